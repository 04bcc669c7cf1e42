//! What every call passes before it reaches a house: the question who calls.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header::AUTHORIZATION};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::{
    Guard, Remote,
    guesses::Guesses,
    watch::{self, Watch, Watched, Way},
};
use crate::{
    audit,
    config::Limits,
    error::{Error, Reason, Refusal, Result},
    identity::{Caller, hash_token},
};

/// The one service that answers strangers: whether a node stands is no secret.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The caller of a request that came through a door or from next door.
///
/// # Errors
/// Unauthenticated, if it came some other way.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| unauthenticated().into())
}

/// Who stands at a door, and how those are met whose token is wrong.
#[derive(Clone)]
pub(super) struct Admission {
    guard: Guard,
    guesses: Arc<Guesses>,
    every: Duration,
}

impl Admission {
    pub(super) fn new(guard: Guard, limits: &Limits) -> Self {
        Self { guard, guesses: Arc::new(Guesses::new(limits)), every: watch::every(limits.token_cache_ms) }
    }

    /// The answer to a token that is none any more or never was one: always the same, and the later the more of them come from there.
    async fn turn_away(&self, remote: Option<&Remote>) -> Error {
        let Some(Remote { address, .. }) = remote else { return unauthenticated() };
        let wait = self.guesses.wrong(address.ip(), Instant::now());
        if !wait.is_zero() {
            let Some(_place) = self.guesses.place() else { return Refusal::one("", Reason::Busy, "").into() };
            sleep(wait).await;
        }
        unauthenticated()
    }
}

/// Puts the [`Caller`] into the request's extensions, or answers for the house. What is sent and answered ends when the caller's
/// token does.
pub(super) async fn admit(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    let remote = request.extensions().get::<Remote>().cloned();
    let (caller, watch) = match &admission.guard {
        Guard::Peers(_) => {
            let peer = remote.as_ref().and_then(|remote| remote.peer.as_deref()).map(Caller::of_peer);
            (peer.ok_or_else(unauthenticated), None)
        }
        Guard::People(_) if request.uri().path().starts_with(HEALTH) => return next.run(request).await,
        Guard::People(tokens) => match bearer(request.headers()).map(hash_token) {
            Some(hash) => match tokens.find(&hash).await {
                Ok(Some(caller)) => (Ok(caller), Some(Watch { tokens: tokens.clone(), hash, every: admission.every })),
                Ok(None) => (Err(admission.turn_away(remote.as_ref()).await), None),
                Err(error) => (Err(error), None),
            },
            None => (Err(unauthenticated()), None),
        },
    };
    match (caller, watch) {
        (Ok(caller), watch) => {
            if let Some(remote) = remote {
                remote.proof.give();
            }
            request.extensions_mut().insert(caller.clone());
            let request = match audit::admitted(request, &caller).await {
                Ok(request) => request,
                Err(error) => return Status::from(error).into_http(),
            };
            let Some(watch) = watch else { return next.run(request).await };
            let request = request.map(|body| Watched::body(body, Way::In, watch.clone()));
            next.run(request).await.map(|body| Watched::body(body, Way::Out, watch))
        }
        (Err(error), _) => Status::from(error).into_http(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
}

pub(super) fn unauthenticated() -> Error {
    Refusal::one("", Reason::Unauthenticated, "").into()
}
