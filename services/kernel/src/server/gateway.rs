//! Calls for a house that lives in another process of the node are passed on, byte for byte, so that a caller may knock at
//! any door. The neighbour asks for itself who calls: the caller's own token goes along.
//!
//! Never repeats a call, for it cannot know whether the first was heard; never passes on what was passed on before.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::any,
};
use http::{
    HeaderName, HeaderValue,
    header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE},
};
use tonic::{Status, service::Routes};
use tower::ServiceExt as _;

use super::Remote;
use crate::{
    audit::FORWARDED,
    error::{Error, Reason, Result},
    line::Line,
};

/// Headers of a connection, not of a call.
static OF_THE_CONNECTION: [HeaderName; 5] =
    [CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")];

/// A house that lives elsewhere.
pub struct Away {
    house: &'static str,
    lines: Vec<(String, Line)>,
    /// Which line answered last; a failing one makes the next its successor.
    at: AtomicUsize,
}

impl Away {
    /// A house and the addresses of the processes that have it; none: its calls are refused with a hint. `ca_pem` is the
    /// node's own authority, whose certificate every process of the node shows.
    ///
    /// # Errors
    /// A refusal if an address is none.
    pub fn new(house: &'static str, addresses: &[String], ca_pem: &[u8]) -> Result<Self> {
        let line = |address: &String| {
            let refused = |_| Error::refused(format!("neighbours.{house}"), Reason::Malformed, "https://host:port");
            Ok((address.clone(), Line::to(address, ca_pem, None).map_err(refused)?))
        };
        let lines = addresses.iter().map(line).collect::<Result<_>>()?;
        Ok(Self { house, lines, at: AtomicUsize::new(0) })
    }

    /// Routes that also take the calls of `service`, and pass them on.
    #[must_use]
    pub fn add_to(self, routes: Routes, service: &str) -> Routes {
        let path = format!("/{service}/{{method}}");
        Routes::from(routes.into_axum_router().route(&path, any(forward).with_state(Arc::new(self))))
    }

    fn line(&self) -> Option<(usize, &(String, Line))> {
        let at = self.at.load(Ordering::Relaxed);
        Some((at, self.lines.get(at % self.lines.len().max(1))?))
    }

    /// Whoever was told so first moves on; calls that failed at the same time do not move further.
    fn leave(&self, at: usize) {
        self.at.compare_exchange(at, at.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    fn hint(&self) -> Status {
        let house = self.house;
        Status::unimplemented(format!(
            "本进程不提供 {house}：请访问提供它的进程，或在 [neighbours] {house} 中写明其地址 | \
             {house} is not served by this process: call one that has it, or name its address under [neighbours] {house}"
        ))
    }
}

async fn forward(State(away): State<Arc<Away>>, mut request: Request) -> Response {
    // For whom, so that the audit of the other process can say it.
    let caller = request.extensions().get::<Remote>().map(|remote| remote.address.ip().to_string());
    let caller = caller.and_then(|caller| HeaderValue::from_str(&caller).ok());
    let headers = request.headers_mut();
    // What was passed on is not passed on again, so two processes that point at each other cannot send it round and round.
    let again = headers.insert(&FORWARDED, caller.unwrap_or(HeaderValue::from_static("1"))).is_some();
    OF_THE_CONNECTION.iter().for_each(|header| drop(headers.remove(header)));
    let Some((at, (address, line))) = away.line().filter(|_| !again) else {
        return away.hint().into_http();
    };
    match line.clone().oneshot(request.map(tonic::body::Body::new)).await {
        Ok(answer) => answer.map(Body::new),
        Err(_) => {
            tracing::warn!(house = away.house, %address, "a neighbour does not answer");
            away.leave(at);
            Status::from(Error::refused("", Reason::Unavailable, away.house)).into_http()
        }
    }
}
