//! What one method may take: time, the size of a message, calls at once. The shorter of a caller's own deadline and ours holds.

use std::{
    collections::{BTreeMap, HashSet},
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use http_body::Frame;
use tokio::sync::Semaphore;
use tonic::Status;

use crate::{
    config::{Limits, MethodLimits, ms},
    error::{Reason, Refusal},
    kind::methods,
};

/// A caller's own deadline is told by us before the transport would cut the call without a word.
const BEFORE_THE_TRANSPORT_MS: u64 = 5;
/// What frames a message: whether it is compressed, and how long it is.
const HEAD_BYTES: usize = 5;

/// The limits of every method.
#[derive(Clone)]
pub(super) struct Methods {
    timeout: Duration,
    of: Arc<BTreeMap<String, Method>>,
}

struct Method {
    limits: MethodLimits,
    places: Option<Semaphore>,
}

impl Methods {
    pub(super) fn new(limits: &Limits) -> Self {
        let method = |limits: &MethodLimits| {
            let places = limits.concurrency_max.map(|most| Semaphore::new(most as usize));
            Method { limits: limits.clone(), places }
        };
        let of = limits.methods.iter().map(|(pattern, limits)| (pattern.clone(), method(limits))).collect();
        Self { timeout: ms(limits.request_timeout_ms), of: Arc::new(of) }
    }

    /// The entry with the method's name, else the longest `Prefix*` that begins it.
    fn find(&self, path: &str) -> Option<&Method> {
        let name = path.rsplit('/').next().unwrap_or_default();
        let prefixed = |(pattern, method)| {
            let prefix = str::strip_suffix(pattern, "*").filter(|prefix| name.starts_with(prefix))?;
            Some((prefix.len(), method))
        };
        let longest =
            || self.of.iter().filter_map(|(p, m)| prefixed((p.as_str(), m))).max_by_key(|(length, _)| *length);
        self.of.get(name).or_else(|| longest().map(|(_, method)| method))
    }

    /// How long the answer may take to begin. What streams a request is limited only where a method's own limit says so.
    fn timeout(&self, path: &str, method: Option<&Method>, headers: &HeaderMap) -> Option<Duration> {
        let own = method.and_then(|method| method.limits.timeout_ms).map(ms);
        let ours = own.or_else(|| (!UPLOADS.contains(path)).then_some(self.timeout));
        ours.into_iter().chain(asked(headers)).min()
    }
}

/// Carries out the limits, or answers for the house. The house's future is dropped when its time is over, which never cuts a
/// write: the ledger's writer owns it.
pub(super) async fn bound(State(methods): State<Methods>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let method = methods.find(&path);
    let place = method.and_then(|method| method.places.as_ref()).map(Semaphore::try_acquire).transpose();
    let Ok(_place) = place else {
        return Status::from(Refusal::one("", Reason::Busy, "")).into_http();
    };
    let limit = methods.timeout(&path, method, request.headers());
    let request = match method.and_then(|method| method.limits.message_max_bytes) {
        Some(most) => request.map(|body| Body::new(Measured { body, most, head: vec![], left: 0 })),
        None => request,
    };
    let answer = next.run(request);
    let Some(limit) = limit else { return answer.await };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        Status::deadline_exceeded("处理超时，请以同一请求编号重试 | took too long; repeat with the same request id")
            .into_http()
    })
}

/// A caller's deadline: `grpc-timeout`, at most eight digits and a unit.
pub fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let asked = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(asked.saturating_sub(ms(BEFORE_THE_TRANSPORT_MS)))
}

/// A request's body that ends with a refusal where a message in it announces more than its method takes.
struct Measured {
    body: Body,
    most: usize,
    head: Vec<u8>,
    left: usize,
}

impl Measured {
    fn pass(&mut self, mut part: &[u8]) -> Result<(), Status> {
        while !part.is_empty() {
            if self.left > 0 {
                let over = self.left.min(part.len());
                self.left -= over;
                part = &part[over..];
                continue;
            }
            let missing = (HEAD_BYTES - self.head.len()).min(part.len());
            self.head.extend_from_slice(&part[..missing]);
            part = &part[missing..];
            if let [_, length @ ..] = &self.head[..]
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                self.left = u32::from_be_bytes(length) as usize;
                self.head.clear();
                if self.left > self.most {
                    return Err(Refusal::one("", Reason::TooLong, format!("{} bytes", self.most)).into());
                }
            }
        }
        Ok(())
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(cause)) => return Poll::Ready(Some(Err(Status::from_error(Box::new(cause))))),
            Some(Ok(frame)) => frame,
        };
        let passed = frame.data_ref().map_or(Ok(()), |part| self.pass(part));
        Poll::Ready(Some(passed.map(|()| frame)))
    }
}

/// Paths of the methods that take a stream.
static UPLOADS: LazyLock<HashSet<String>> =
    LazyLock::new(|| methods().filter(|(_, method)| method.is_client_streaming()).map(|(path, _)| path).collect());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn methods(table: &[(&str, u64)]) -> Methods {
        let one = |(pattern, timeout_ms): &(&str, u64)| {
            let limits = MethodLimits { timeout_ms: Some(*timeout_ms), ..MethodLimits::default() };
            ((*pattern).to_owned(), limits)
        };
        let limits = Limits { methods: table.iter().map(one).collect(), ..Config::defaults().unwrap().limits };
        Methods::new(&limits)
    }

    #[test]
    fn the_nearest_limit_and_the_shorter_deadline_hold() {
        let methods = methods(&[("Get*", 10_000), ("GetAgency", 1_000), ("G*", 5), ("BatchPut*", 7_000)]);
        let none = HeaderMap::new();
        let of = |path: &str, headers: &HeaderMap| methods.timeout(path, methods.find(path), headers);
        assert_eq!(of("/a.B/GetAgency", &none), Some(ms(1_000)));
        assert_eq!(of("/a.B/GetStation", &none), Some(ms(10_000)));
        assert_eq!(of("/a.B/ListAgencies", &none), Some(ms(60_000)));
        assert_eq!(of("/qianshou.registry.v1.RegistryService/BatchPutAgencies", &none), Some(ms(7_000)));
        assert_eq!(of("/qianshou.exchange.v1.ExchangeService/Pull", &none), None);
        for (text, expected_ms) in
            [("200m", 195), ("2S", 995), ("1H", 1_000), ("9", 1_000), ("", 1_000), ("1000000000n", 1_000)]
        {
            let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            let expected_ms = if text == "2S" { 1_000 } else { expected_ms };
            assert_eq!(of("/a.B/GetAgency", &headers), Some(ms(expected_ms)), "{text}");
        }
    }

    #[test]
    fn a_message_is_measured_however_it_is_cut() {
        let message = |length: u32| [&[0][..], &length.to_be_bytes(), &vec![7; length as usize]].concat();
        for cut in [1, 2, 5, 7, 1_000] {
            let pass = |bytes: &[u8]| {
                let mut measured = Measured { body: Body::empty(), most: 20, head: vec![], left: 0 };
                bytes.chunks(cut).try_for_each(|part| measured.pass(part))
            };
            pass(&[message(20), message(0), message(19)].concat()).unwrap();
            assert_eq!(pass(&[message(3), message(21)].concat()).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }
}
