//! What one method may take: time, the size of a message and how fast it comes, calls at once, of all and of one caller. Who may not call
//! it is told before anything of the request is read. The shorter of a caller's own deadline and ours holds.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, PoisonError},
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
use http_body::{Frame, SizeHint};
use prost_reflect::MethodDescriptor;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, Sleep, sleep},
};
use tonic::Status;

use crate::{
    config::{Limits, MethodLimits, ms},
    error::{Reason, Refusal},
    identity::{Caller, Role},
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
    rate: Rate,
    of: Arc<BTreeMap<String, Method>>,
}

struct Method {
    limits: MethodLimits,
    places: Places,
}

impl Methods {
    pub(super) fn new(limits: &Limits) -> Self {
        let method = |limits: &MethodLimits| Method { limits: limits.clone(), places: Places::new(limits) };
        let of = limits.methods.iter().map(|(pattern, limits)| (pattern.clone(), method(limits))).collect();
        let rate = Rate { least_bytes_per_s: limits.upload_min_bytes_per_s, grace: ms(limits.upload_grace_ms) };
        Self { timeout: ms(limits.request_timeout_ms), rate, of: Arc::new(of) }
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
    let caller = request.extensions().get::<Caller>();
    if let Err(refusal) = caller.map_or(Ok(()), |caller| may_call(caller, &path)) {
        return Status::from(refusal).into_http();
    }
    let place = method.map(|method| method.places.take(caller.map_or("", |caller| &caller.actor))).transpose();
    let Ok(place) = place else {
        return Status::from(Refusal::one("", Reason::Busy, "")).into_http();
    };
    let limit = methods.timeout(&path, method, request.headers());
    let most = method.and_then(|method| method.limits.message_max_bytes);
    let rate = (!CONVERSATIONS.contains(&path)).then(|| methods.rate.begin());
    let request = request.map(|body| Body::new(Measured { body, rate, lengths: Lengths::new(most) }));
    let answer = next.run(request);
    let answer = match limit {
        Some(limit) => tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
            Status::deadline_exceeded("处理超时，请以同一请求编号重试 | took too long; repeat with the same request id")
                .into_http()
        }),
        None => answer.await,
    };
    let whole = !CONVERSATIONS.contains(&path);
    let lengths = whole.then(|| Lengths::new(Some(ANSWER_MAX_BYTES)));
    unread(answer).map(|body| Body::new(Held { body, lengths, _place: place }))
}

/// What a caller of a lesser role is refused whatever the request holds; the house looks again, and at the area.
fn may_call(caller: &Caller, path: &str) -> Result<(), Refusal> {
    // What belongs to a limited caller the verbs of a noun tell by themselves.
    let of_nouns = path.contains(".RegistryService/") || path.contains(".PairingService/");
    needed(path).map_or(Ok(()), |role| if of_nouns { caller.need_role(role) } else { caller.need(role) })
}

/// The role that a method of the contract needs in any case; `None`: reading, which each house judges for itself.
fn needed(path: &str) -> Option<Role> {
    let (service, name) = path.rsplit_once('/').unwrap_or_default();
    let begins = |verbs: &[&str]| verbs.iter().any(|verb| name.starts_with(verb));
    match service.rsplit('.').next().unwrap_or_default() {
        "RegistryService" | "PairingService" => match name {
            "ErasePerson" => Some(Role::Administrator),
            _ => begins(&["Create", "Update", "Delete", "BatchPut"]).then_some(Role::Editor),
        },
        "IdentityService" => begins(&["Create", "Revoke", "Approve", "Reject"]).then_some(Role::Administrator),
        "ExchangeAdminService" => begins(&["Add", "Remove", "Draft", "Sign"]).then_some(Role::Administrator),
        _ => None,
    }
}

/// Tonic calls a request that it cannot read an internal error; ours tell their reason in the details.
fn unread(answer: Response) -> Response {
    let headers = answer.headers();
    let is_internal = headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "13");
    if !is_internal || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return answer;
    }
    Status::from(Refusal::one("", Reason::Malformed, "a protobuf message of this method | 该方法的 protobuf 消息"))
        .into_http()
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

/// Places taken, by caller.
type Taken = Arc<Mutex<HashMap<String, u32>>>;

/// Calls at once.
struct Places {
    all: Option<Arc<Semaphore>>,
    per_caller: Option<u32>,
    taken: Taken,
}

/// A call's place, until its answer was read.
struct Place {
    _all: Option<OwnedSemaphorePermit>,
    of: Option<(String, Taken)>,
}

impl Places {
    fn new(limits: &MethodLimits) -> Self {
        let all = limits.concurrency_max.map(|most| Arc::new(Semaphore::new(most as usize)));
        Self { all, per_caller: limits.concurrency_max_per_caller, taken: Arc::default() }
    }

    /// A place of one caller's, then one of all: whoever has had their share takes none of the others'.
    fn take(&self, caller: &str) -> Result<Place, TryAcquireError> {
        let mut place = Place { _all: None, of: None };
        if let Some(most) = self.per_caller {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(caller.to_owned()).or_default();
            if *count >= most {
                return Err(TryAcquireError::NoPermits);
            }
            *count += 1;
            place.of = Some((caller.to_owned(), self.taken.clone()));
        }
        place._all = self.all.clone().map(Semaphore::try_acquire_owned).transpose()?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((caller, taken)) = self.of.take() else { return };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&caller) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&caller);
            }
        }
    }
}

/// What an answer weighs at most, if nothing before this saw to it: clients take 4 MiB.
const ANSWER_MAX_BYTES: usize = 7 << 19;

/// An answer that holds its place, and is refused where it would be more than clients take.
struct Held {
    body: Body,
    /// `None`: it may be as long as it likes, or has been refused.
    lengths: Option<Lengths>,
    _place: Option<Place>,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let (Some(Ok(part)), Some(lengths)) = (&frame, &mut self.lengths) else { return Poll::Ready(frame) };
        let Err(most) = part.data_ref().map_or(Ok(()), |part| lengths.pass(part)) else { return Poll::Ready(frame) };
        // Nothing follows it.
        (self.lengths, self.body) = (None, Body::empty());
        let detail =
            format!("{most} bytes in one answer; ask for less at once | 一次答复 {most} 字节；请缩小范围或每页条数");
        let mut trailers = HeaderMap::new();
        drop(Status::from(Refusal::one("", Reason::TooMany, detail)).add_header(&mut trailers));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How fast a body has to come while somebody waits for it.
#[derive(Clone, Copy)]
struct Rate {
    least_bytes_per_s: u64,
    grace: Duration,
}

/// A body's rate so far; it begins anew after each stretch that was fast enough.
struct Pace {
    rate: Rate,
    waited: Duration,
    since: Option<Instant>,
    bytes: u64,
    /// Rings when the grace is over and nothing has come.
    bell: Pin<Box<Sleep>>,
}

impl Rate {
    fn begin(self) -> Pace {
        let bell = Box::pin(sleep(self.grace));
        Pace { rate: self, waited: Duration::ZERO, since: None, bytes: 0, bell }
    }
}

impl Pace {
    /// So much came.
    fn came(&mut self, bytes: usize) {
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.bytes += bytes as u64;
    }

    /// Nothing has come yet; ready if that lasts too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if self.since.is_none() {
            self.since = Some(now);
            let left = self.rate.grace.saturating_sub(self.waited);
            self.bell.as_mut().reset(now + left);
        }
        loop {
            ready!(self.bell.as_mut().poll(cx));
            if self.bytes < self.rate.grace.as_secs_f64() as u64 * self.rate.least_bytes_per_s {
                return Poll::Ready(());
            }
            (self.waited, self.bytes, self.since) = (Duration::ZERO, 0, Some(now));
            self.bell.as_mut().reset(now + self.rate.grace);
        }
    }
}

/// A request's body that ends with a refusal where a message in it announces more than its method takes, or where it comes too slowly.
struct Measured {
    body: Body,
    rate: Option<Pace>,
    lengths: Lengths,
}

/// The lengths that messages announce as their bytes go by.
struct Lengths {
    most: Option<usize>,
    head: Vec<u8>,
    left: usize,
}

impl Lengths {
    fn new(most: Option<usize>) -> Self {
        Self { most, head: vec![], left: 0 }
    }

    /// Refused with the limit: a message announces more.
    fn pass(&mut self, mut part: &[u8]) -> Result<(), usize> {
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
                if let Some(most) = self.most.filter(|most| self.left > *most) {
                    return Err(most);
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
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => {
                let Some(rate) = &mut self.rate else { return Poll::Pending };
                ready!(rate.poll_stalled(cx));
                let told = "上传停顿过久，请以同一请求编号重试 | the upload stalled; repeat with the same request id";
                return Poll::Ready(Some(Err(Status::deadline_exceeded(told))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(cause))) => return Poll::Ready(Some(Err(Status::from_error(Box::new(cause))))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        if let Some(rate) = &mut self.rate {
            rate.came(frame.data_ref().map_or(0, Bytes::len));
        }
        let passed = frame.data_ref().map_or(Ok(()), |part| self.lengths.pass(part));
        let refused = |most| Refusal::one("", Reason::TooLong, format!("{most} bytes")).into();
        Poll::Ready(Some(passed.map(|()| frame).map_err(refused)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// Paths of the methods that take a stream.
static UPLOADS: LazyLock<HashSet<String>> =
    LazyLock::new(|| methods().filter(|(_, method)| method.is_client_streaming()).map(|(path, _)| path).collect());

/// Paths of the methods in which both sides go on talking.
static CONVERSATIONS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let both = |method: &MethodDescriptor| method.is_client_streaming() && method.is_server_streaming();
    methods().filter(|(_, method)| both(method)).map(|(path, _)| path).collect()
});

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
                let mut lengths = Lengths::new(Some(20));
                bytes.chunks(cut).try_for_each(|part| lengths.pass(part))
            };
            pass(&[message(20), message(0), message(19)].concat()).unwrap();
            assert_eq!(pass(&[message(3), message(21)].concat()), Err(20));
        }
    }

    #[test]
    fn a_method_of_the_contract_has_a_class() {
        for (path, method) in crate::kind::methods() {
            let name = method.name();
            let reads = ["Get", "List", "Read", "Trace", "Test"].iter().any(|verb| name.starts_with(verb));
            let writes = ["Create", "Update", "Delete", "BatchPut"].iter().any(|verb| name.starts_with(verb));
            assert!(!reads || needed(&path).is_none(), "{path}");
            assert!(!writes || needed(&path).is_some(), "{path}");
            // A body of more than a few bytes is taken from those who may write only.
            let heavy = name.starts_with("BatchPut");
            assert!(!heavy || needed(&path) == Some(Role::Editor), "{path}");
        }
        let of = |role| Caller::new("tokens/1", role, "64");
        let put = "/qianshou.registry.v1.RegistryService/BatchPutAgencies";
        assert!(may_call(&of(Role::Reader), put).is_err() && may_call(&of(Role::Editor), put).is_ok());
    }

    #[test]
    fn one_caller_leaves_places_for_the_others() {
        let limits =
            MethodLimits { concurrency_max: Some(3), concurrency_max_per_caller: Some(2), ..MethodLimits::default() };
        let places = Places::new(&limits);
        let (first, second) = (places.take("a").unwrap(), places.take("a").unwrap());
        assert!(places.take("a").is_err());
        let other = places.take("b").unwrap();
        assert!(places.take("b").is_err() && places.take("c").is_err(), "that was the last of all");
        drop(first);
        assert!(places.take("a").is_ok());
        drop((second, other));
        assert!(places.taken.lock().unwrap().is_empty());
    }

    /// Whether a body is cut after we waited so long for so many bytes.
    async fn is_cut(waited: Duration, bytes: usize) -> bool {
        let rate = Rate { least_bytes_per_s: 1_000, grace: ms(10_000) };
        let mut pace = rate.begin();
        // Waited for in pieces; what we did ourselves between them counts for nothing.
        for _ in 0..10 {
            pace.since = Instant::now().checked_sub(waited / 10);
            pace.came(bytes / 10);
        }
        let stalled = std::future::poll_fn(|cx| pace.poll_stalled(cx));
        tokio::time::timeout(ms(100), stalled).await.is_ok()
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_drips_is_cut() {
        for (waited_ms, bytes, cut) in
            [(9_000, 0, false), (10_000, 0, true), (10_000, 50, true), (10_000, 20_000, false), (100, 10, false)]
        {
            assert_eq!(is_cut(ms(waited_ms), bytes).await, cut, "{waited_ms} ms, {bytes} bytes");
        }
    }
}
