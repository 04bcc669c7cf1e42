//! What every call passes before it reaches a house: the question who calls.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header::AUTHORIZATION};
use tonic::Status;

use super::{Guard, Remote};
use crate::{
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

/// Puts the [`Caller`] into the request's extensions, or answers for the house.
pub(super) async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let remote = request.extensions().get::<Remote>().cloned();
    let caller = match guard {
        Guard::Peers(_) => remote
            .as_ref()
            .and_then(|remote| remote.peer.as_ref())
            .map(|node| Caller::of_peer(node))
            .ok_or_else(unauthenticated),
        Guard::People(_) if request.uri().path().starts_with(HEALTH) => return next.run(request).await,
        Guard::People(tokens) => match bearer(request.headers()).map(hash_token) {
            Some(hash) => match tokens.find(&hash).await {
                Ok(caller) => caller.ok_or_else(unauthenticated),
                Err(error) => Err(error),
            },
            None => Err(unauthenticated()),
        },
    };
    match caller {
        Ok(caller) => {
            if let Some(remote) = remote {
                remote.proof.give();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => Status::from(error).into_http(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
}

fn unauthenticated() -> Error {
    Refusal::one("", Reason::Unauthenticated, "").into()
}
