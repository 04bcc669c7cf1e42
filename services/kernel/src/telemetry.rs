//! What a node says about itself: lines on standard error, and one span per call with its service, method and status.
//!
//! Never a payload, never a field of a record, never who calls: what a person did stands in the ledger.

use std::{
    io::IsTerminal as _,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body::{Frame, SizeHint};
use tonic::Code;
use tracing::{Instrument as _, Span, field::Empty};
use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    config::LogFormat,
    error::{Error, Reason, Result},
};

/// The crates below us speak only when something is wrong, unless the filter names them.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,rustls=warn,tokio_rustls=warn,sqlx=warn";

const STATUS: &str = "rpc.grpc.status_code";

/// Sends tracing to standard error. The first call of a process decides; later ones change nothing.
///
/// # Errors
/// A refusal of a filter that cannot be read.
pub fn init(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}"));
    let filter = filter.map_err(|cause| Error::refused("log.filter", Reason::Malformed, cause))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    drop(match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    });
    Ok(())
}

/// One span per call; a layer by `axum::middleware::from_fn`. A call ends with its trailers, not with its first byte.
pub async fn trace(request: Request, next: Next) -> Response {
    let span = span_of(request.uri().path());
    let response = next.run(request).instrument(span.clone()).await;
    let is_grpc =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if let Some(code) = code_in(response.headers()) {
        tell(&span, code);
        response
    } else if is_grpc {
        response.map(|body| Body::new(Traced { body, span, told: false }))
    } else {
        response
    }
}

fn span_of(path: &str) -> Span {
    let call = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let (service, method) = call.filter(|(_, method)| !method.contains('/')).unwrap_or_default();
    tracing::info_span!(
        "rpc",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty
    )
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}

fn tell(span: &Span, code: Code) {
    span.record(STATUS, code as i32);
    span.in_scope(|| tracing::debug!(?code, "answered"));
}

/// A body that tells the span how its call ended.
struct Traced {
    body: Body,
    span: Span,
    told: bool,
}

impl http_body::Body for Traced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let span = self.span.clone();
        let frame = ready!(span.in_scope(|| Pin::new(&mut self.body).poll_frame(cx)));
        let trailers = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::trailers_ref);
        if let Some(code) = trailers.and_then(code_in) {
            tell(&span, code);
            self.told = true;
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

impl Drop for Traced {
    fn drop(&mut self) {
        if !self.told {
            tell(&self.span, Code::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Router, middleware::from_fn, routing::any};
    use tower::ServiceExt as _;
    use tracing::instrument::WithSubscriber as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_span_knows_service_method_and_status_and_nothing_more() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone()).finish();
        let refused = || async { tonic::Status::not_found("张三").into_http::<Body>() };
        let unfinished = || async {
            Response::builder().header(CONTENT_TYPE, "application/grpc").body(Body::from("李四")).unwrap()
        };
        let router =
            Router::new().route("/a.v1.House/Refused", any(refused)).route("/a.v1.House/Left", any(unfinished));
        let router = router.layer(from_fn(trace));
        async {
            for path in ["/a.v1.House/Refused", "/a.v1.House/Left"] {
                let request = Request::builder().uri(path).body(Body::from("王五")).unwrap();
                drop(router.clone().oneshot(request).await.unwrap());
            }
        }
        .with_subscriber(subscriber)
        .await;
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let spans: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["span"].clone()).collect();
        assert_eq!(spans.len(), 2, "{text}");
        for (span, method, code) in [(&spans[0], "Refused", Code::NotFound), (&spans[1], "Left", Code::Cancelled)] {
            assert_eq!((&span["rpc.service"], &span["rpc.method"]), (&"a.v1.House".into(), &method.into()));
            assert_eq!(span[STATUS], code as i32);
        }
        assert!(["张三", "李四", "王五"].iter().all(|name| !text.contains(name)), "{text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        assert_eq!(init("a=b=c", LogFormat::Text).unwrap_err().reason(), Reason::Malformed);
        init("info,qianshou=debug", LogFormat::Json).unwrap();
        init("warn", LogFormat::Text).unwrap();
    }
}
