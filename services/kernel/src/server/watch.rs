//! A body that ends when its caller's token no longer holds: what streams for hours is not let go on by whoever was let in once.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::{FutureExt as _, future::BoxFuture};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::admit::unauthenticated;
use crate::{
    error::Result,
    identity::{Caller, Tokens},
};

/// How often a token is asked for again: no more often, however short the cache's time, and no more seldom, however long.
const LEAST_MS: u64 = 100;
const MOST_MS: u64 = 5_000;

/// A token that is asked for again and again.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) tokens: Arc<dyn Tokens>,
    pub(super) hash: String,
    pub(super) every: Duration,
}

/// How often to ask where tokens are kept in mind for so long.
pub(super) fn every(token_cache_ms: u64) -> Duration {
    Duration::from_millis(token_cache_ms.clamp(LEAST_MS, MOST_MS))
}

/// Which way a body goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// What the caller sends: it ends with an error.
    In,
    /// What the caller gets: it ends with a status.
    Out,
}

/// A watched body.
pub(super) struct Watched {
    body: Body,
    way: Way,
    watch: Watch,
    due: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    asking: Option<BoxFuture<'static, Result<Option<Caller>>>>,
    is_over: bool,
}

impl Watched {
    pub(super) fn body(body: Body, way: Way, watch: Watch) -> Body {
        let due = Instant::now() + watch.every;
        Body::new(Self { body, way, watch, due, timer: None, asking: None, is_over: false })
    }

    /// Ready when the token holds no more.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(asking) = &mut self.asking {
                let Poll::Ready(answer) = asking.poll_unpin(cx) else { return Poll::Pending };
                if matches!(answer, Ok(None)) {
                    return Poll::Ready(());
                }
                // While the database is away, what is open goes on.
                self.asking = None;
                self.due = Instant::now() + self.watch.every;
                self.timer = None;
            }
            let due = self.due;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            let Watch { tokens, hash, .. } = self.watch.clone();
            self.asking = Some(Box::pin(async move { tokens.find(&hash).await }));
        }
    }

    fn end(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        self.is_over = true;
        let status = Status::from(unauthenticated());
        if self.way == Way::In {
            return Some(Err(status));
        }
        let mut trailers = HeaderMap::new();
        Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers)))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        // What is always ready is looked at between two frames, what waits also while it does.
        let is_due = this.asking.is_some() || Instant::now() >= this.due;
        if is_due && this.poll_end(cx).is_ready() {
            return Poll::Ready(this.end());
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(failed))),
            Poll::Pending if this.poll_end(cx).is_ready() => Poll::Ready(this.end()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn failed(cause: axum::Error) -> Status {
    Status::from_error(Box::new(cause))
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicU32, Ordering},
    };

    use futures::{StreamExt as _, stream};
    use http_body::Body as _;

    use super::*;
    use crate::identity::Role;

    /// Known so many times.
    struct Known(AtomicU32);

    impl Tokens for Known {
        fn find<'a>(&'a self, _hash: &'a str) -> BoxFuture<'a, Result<Option<Caller>>> {
            let known = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            Box::pin(async move { Ok(known.then(|| Caller::new("tokens/1", Role::Reader, "64"))) })
        }
    }

    fn watched(times: u32, way: Way, body: Body) -> Body {
        let every = Duration::from_millis(5);
        let watch = Watch { tokens: Arc::new(Known(AtomicU32::new(times))), hash: "hash".into(), every };
        Watched::body(body, way, watch)
    }

    async fn next(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
        poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }

    #[tokio::test]
    async fn a_silent_body_ends_with_its_token() {
        let silent = || Body::from_stream(stream::pending::<Result<Bytes, Status>>());
        for times in [0, 3] {
            let mut body = watched(times, Way::Out, silent());
            let trailers = next(&mut body).await.unwrap().unwrap().into_trailers().unwrap();
            assert_eq!(trailers["grpc-status"], "16");
            assert!(next(&mut body).await.is_none());
        }
        let cause = next(&mut watched(0, Way::In, silent())).await.unwrap().unwrap_err();
        assert_eq!(Status::from_error(Box::new(cause)).code(), tonic::Code::Unauthenticated);
    }

    #[tokio::test]
    async fn a_busy_body_ends_with_its_token() {
        let entries = stream::repeat(()).then(|()| async {
            tokio::task::yield_now().await;
            Ok::<_, Status>(Bytes::from_static(b"entry"))
        });
        let mut body = watched(1, Way::Out, Body::from_stream(entries));
        while next(&mut body).await.unwrap().unwrap().is_data() {}
        let mut whole = watched(0, Way::Out, Body::from("whole"));
        assert_eq!(next(&mut whole).await.unwrap().unwrap().into_data().unwrap(), "whole");
        assert!(next(&mut whole).await.is_none(), "what is at hand is given at once");
    }
}
