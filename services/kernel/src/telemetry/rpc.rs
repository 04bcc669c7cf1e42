//! One span and one measurement per call, at the end that answers and at the end that asks. A call ends with its trailers, not
//! with its first byte.

use std::{
    collections::HashSet,
    future::Future,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body::{Frame, SizeHint};
use tonic::Code;
use tracing::{Instrument as _, Span, field::Empty};

use super::{
    Trace, is_tracing,
    metrics::{self, Side},
};
use crate::kind::methods;

const STATUS: &str = "rpc.grpc.status_code";
/// What is asked for by a name that nobody gave: a caller may say anything, so it is not repeated.
const OTHER: Method = Method { path: "_OTHER", service: "_OTHER", method: "_OTHER" };

/// Methods beside those of our contract.
const FOREIGN: [&str; 5] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

static PATHS: LazyLock<HashSet<String>> =
    LazyLock::new(|| methods().map(|(path, _)| path).chain(FOREIGN.map(str::to_owned)).collect());

/// A method of a known service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// `package.Service/Method`
    path: &'static str,
    pub(super) service: &'static str,
    pub(super) method: &'static str,
}

impl Method {
    fn of(path: &str) -> Self {
        let known = PATHS.get(path).and_then(|path| path.strip_prefix('/'));
        let parts = known.and_then(|path| Some((path, path.split_once('/')?)));
        parts.map_or(OTHER, |(path, (service, method))| Self { path, service, method })
    }
}

/// A call on its way. Whoever drops it before its end has cancelled it.
pub(crate) struct Call {
    side: Side,
    method: Method,
    begun: Instant,
    span: Span,
    told: bool,
}

impl Call {
    /// We are asked.
    fn served(path: &str, headers: &HeaderMap) -> Self {
        let call = Self::begin(Side::Server, "server", path);
        if is_tracing()
            && let Some(cause) = Trace::in_headers(headers)
        {
            cause.adopt(&call.span);
        }
        call
    }

    /// We ask; `None`: nobody wants to know. The call's place in its trace goes into the headers.
    pub(crate) fn made<B>(request: &mut http::Request<B>) -> Option<Self> {
        if !is_tracing() && metrics::meter().is_none() {
            return None;
        }
        let call = Self::begin(Side::Client, "client", request.uri().path());
        if is_tracing() {
            Trace::inject(&call.span, request.headers_mut());
        }
        Some(call)
    }

    fn begin(side: Side, kind: &'static str, path: &str) -> Self {
        let method = Method::of(path);
        let span = tracing::info_span!(
            "rpc",
            otel.name = method.path,
            otel.kind = kind,
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = method.service,
            rpc.method = method.method,
            rpc.grpc.status_code = Empty
        );
        Self { side, method, begun: Instant::now(), span, told: false }
    }

    fn tell(&mut self, code: Code) {
        self.told = true;
        self.span.record(STATUS, code as i32);
        if is_failure(self.side, code) {
            self.span.record("otel.status_code", "ERROR");
        }
        self.span.in_scope(|| tracing::debug!(?code, "answered"));
        metrics::call(self.side, self.method, code, self.begun.elapsed());
    }

    /// Lets the call end with the answer's body, unless it has ended with its head.
    fn answered<B>(mut self, answer: http::Response<B>, wrap: impl FnOnce(Answer<B>) -> B) -> http::Response<B> {
        let kind = answer.headers().get(CONTENT_TYPE);
        let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        match code_in(answer.headers()) {
            Some(code) => {
                self.tell(code);
                answer
            }
            None if is_grpc => answer.map(|body| wrap(Answer { body, call: self })),
            None => {
                self.told = true;
                answer
            }
        }
    }

    /// Waits for the answer to what we asked.
    pub(crate) async fn asked(
        mut self,
        answer: impl Future<Output = Result<http::Response<tonic::body::Body>, tonic::Status>>,
    ) -> Result<http::Response<tonic::body::Body>, tonic::Status> {
        match answer.instrument(self.span.clone()).await {
            Ok(answer) => Ok(self.answered(answer, tonic::body::Body::new)),
            Err(cause) => {
                self.tell(Code::Unavailable);
                Err(cause)
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Code::Cancelled);
        }
    }
}

/// The conventions' errors: for who asked, everything but OK; for who answers, what is not the caller's doing.
fn is_failure(side: Side, code: Code) -> bool {
    let ours =
        [Code::Unknown, Code::DeadlineExceeded, Code::Unimplemented, Code::Internal, Code::Unavailable, Code::DataLoss];
    match side {
        Side::Client => code != Code::Ok,
        Side::Server => ours.contains(&code),
    }
}

/// A span and a measurement for every call that comes in; a layer by `axum::middleware::from_fn`.
pub async fn trace(request: Request, next: Next) -> Response {
    let call = Call::served(request.uri().path(), request.headers());
    let response = next.run(request).instrument(call.span.clone()).await;
    call.answered(response, Body::new)
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}

/// A body that ends its call.
struct Answer<B> {
    body: B,
    call: Call,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let span = self.call.span.clone();
        let frame = ready!(span.in_scope(|| Pin::new(&mut self.body).poll_frame(cx)));
        let trailers = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::trailers_ref);
        if let Some(code) = trailers.and_then(code_in) {
            self.call.tell(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
