//! One call as the audit sees it: from where, who, what, about what, and what came of it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName};
use http_body::{Frame, SizeHint};
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _, Value};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    Audit, BEGUN, Class, Line, Log, OK,
    class::{METHODS, Method},
    line::plain,
    writer::ANONYMOUS,
};
use crate::{
    config::ms,
    error::{Error, Reason, Result},
    identity::{Caller, Role},
    server::Remote,
};

/// What a call carries that a neighbour passed on, and for whom.
pub(crate) static FORWARDED: HeaderName = HeaderName::from_static("qianshou-forwarded");
/// An act's request at most.
const ACT_MAX_BYTES: usize = 1 << 20;
/// And how long it may take to arrive.
const ACT_TIMEOUT_MS: u64 = 10_000;
/// What frames a message: whether it is compressed, and how long it is.
const HEAD_BYTES: usize = 5;
/// How look-ups by number are called.
const LOOK_UP: &str = "look up by number";
/// Fields of a request that say what it is about; each holds a name, an id or a code of ours.
const ABOUT: [&str; 10] = ["id", "name", "node", "agreement", "stream", "act", "kind", "area", "role", "confirmed"];

/// Whose calls are watched, and which services are only passed on here.
#[derive(Clone)]
pub struct Watch {
    pub audit: Audit,
    /// Services of other processes, which write the lines of their calls themselves.
    pub away: Vec<&'static str>,
}

/// A call on its way.
#[derive(Clone)]
pub(crate) struct Call(Arc<Inner>);

struct Inner {
    audit: Audit,
    method: &'static Method,
    address: String,
    /// It is answered by another process.
    away: bool,
    said: Mutex<Said>,
}

/// What became known of a call.
#[derive(Default)]
struct Said {
    actor: Option<(String, String, String)>,
    target: Vec<String>,
    rows: Option<(u64, u64)>,
    lookups: u64,
    /// A line says that it was begun, and none yet what came of it.
    open: bool,
}

tokio::task_local! {
    static CALL: Call;
}

/// Says of the act that is being carried out what it is about: a name or an id of ours, never a person's.
pub fn about(target: impl std::fmt::Display) {
    let target = target.to_string();
    CALL.try_with(|call| call.said().target.push(target)).ok();
}

/// Counts the records of the batch that is being written, and those of it that were refused.
pub fn count_rows(done: u64, refused: u64) {
    let add = |call: &Call| {
        let mut said = call.said();
        let (before, refused_before) = said.rows.unwrap_or_default();
        said.rows = Some((before + done, refused_before + refused));
    };
    CALL.try_with(add).ok();
}

/// Counts look-ups by the number of a person, made by the call that is being answered.
pub fn count_lookups(count: u64) {
    CALL.try_with(|call| call.said().lookups += count).ok();
}

/// Sees every call of a door, those of health and reflection apart.
pub(crate) async fn watch(State(watch): State<Option<Watch>>, mut request: Request, next: Next) -> Response {
    let Some(call) = watch.and_then(|watch| Call::begun(watch, &request)) else { return next.run(request).await };
    request.extensions_mut().insert(call.clone());
    let open = Open(call.clone());
    let answer = CALL.scope(call.clone(), next.run(request)).await;
    let answer = call.answered(answer).await;
    drop(open);
    answer
}

/// Takes the caller of a call that was let in. What opens a door is written down here, before it is carried out.
///
/// # Errors
/// UNAVAILABLE: the audit cannot be written, so the door stays shut. BUSY: this caller was refused here too often.
pub(crate) async fn admitted(request: Request, caller: &Caller) -> Result<Request> {
    let Some(call) = request.extensions().get::<Call>().cloned() else { return Ok(request) };
    let role = if caller.peer.is_some() { "peer" } else { caller.role.as_str() };
    call.said().actor = Some((caller.actor.clone(), role.to_owned(), caller.area.clone()));
    // Who may not do such things at all is refused by the house, and counted.
    if call.0.away || !call.0.method.class.is_act() || caller.need(Role::Administrator).is_err() {
        return Ok(request);
    }
    if call.0.audit.is_knocking(&caller.actor, &call.0.method.act) {
        return Err(Error::refused("", Reason::Busy, ""));
    }
    let (parts, body) = request.into_parts();
    let long = |_| Error::refused("", Reason::TooLong, format!("{ACT_MAX_BYTES} bytes"));
    let read = tokio::time::timeout(ms(ACT_TIMEOUT_MS), axum::body::to_bytes(body, ACT_MAX_BYTES)).await;
    let body = read.map_err(|_| Error::refused("", Reason::Busy, ""))?.map_err(long)?;
    call.said().target.extend(target(call.0.method, &body));
    if call.0.method.class == Class::Door {
        call.0.audit.write(Log::Acts, call.line(BEGUN)).await?;
        call.said().open = true;
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

impl Call {
    fn begun(watch: Watch, request: &Request) -> Option<Self> {
        let (path, method) = METHODS.get_key_value(request.uri().path())?;
        let away = watch.away.iter().any(|service| path[1..].split('/').next() == Some(service));
        let address = from(request);
        Some(Self(Arc::new(Inner { audit: watch.audit, method, address, away, said: Mutex::default() })))
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, outcome: &str) -> Line {
        let said = self.said();
        let (actor, role, area) =
            said.actor.clone().unwrap_or_else(|| (ANONYMOUS.to_owned(), String::new(), String::new()));
        Line {
            at_ms: self.0.audit.clock().now_ms(),
            actor,
            role,
            area,
            address: self.0.address.clone(),
            act: self.0.method.act.clone(),
            target: said.target.join(" "),
            outcome: outcome.to_owned(),
            detail: String::new(),
            count: 1,
        }
    }

    /// A line of what is counted: what it was about would make a line of each.
    fn counted(&self, outcome: &str) -> Line {
        Line { target: String::new(), ..self.line(outcome) }
    }

    async fn answered(&self, answer: Response) -> Response {
        // Another process writes the lines of what got beyond this one.
        if self.0.away && self.said().actor.is_some() {
            return answer;
        }
        self.count_lookups();
        if let Some(refused) = refusal(answer.headers()) {
            self.refused(&refused);
            return answer;
        }
        let (audit, class) = (&self.0.audit, self.0.method.class);
        match class {
            Class::Door | Class::Act => {
                let written = audit.write(Log::Acts, self.line(OK)).await;
                self.said().open = false;
                if let Err(error) = written {
                    return Status::from(error).into_http();
                }
            }
            Class::Said => audit.count(Log::Acts, self.counted(OK), 1),
            Class::Batch => {
                let (done, refused) = self.said().rows.unwrap_or((1, 0));
                if done > 0 {
                    audit.count(Log::Acts, self.counted(OK), done);
                }
                if refused > 0 {
                    audit.count(Log::Acts, self.counted("REFUSED_RECORDS"), refused);
                }
            }
            Class::Read => audit.count(Log::Usage, self.counted(OK), 1),
            Class::Change | Class::Look => {}
        }
        if self.0.method.descriptor.is_server_streaming() {
            let call = self.clone();
            return answer.map(|body| Body::new(Tail { body, call }));
        }
        answer
    }

    fn refused(&self, reason: &str) {
        self.said().open = false;
        // Acts tell what they were about: few may try them, and who tries too often is not heard.
        let told = self.0.method.class.is_act() && self.said().actor.is_some();
        let line = if told { self.line(reason) } else { self.counted(reason) };
        self.0.audit.count(Log::Acts, line, 1);
    }

    fn count_lookups(&self) {
        let lookups = std::mem::take(&mut self.said().lookups);
        if lookups > 0 {
            let line = Line { act: LOOK_UP.to_owned(), ..self.counted(OK) };
            self.0.audit.count(Log::Usage, line, lookups);
        }
    }
}

/// Whoever goes away before the answer has not undone what was begun; that it is unknown how it ended is written down, too.
struct Open(Call);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count_lookups();
        if self.0.said().open {
            self.0.refused("CANCELLED");
        }
    }
}

/// From where a call comes: the other end of the connection, and for whom that says it passes the call on.
fn from(request: &Request) -> String {
    let remote = request.extensions().get::<Remote>().map(|remote| remote.address.ip().to_string()).unwrap_or_default();
    let claimed = request.headers().get(&FORWARDED).and_then(|claimed| claimed.to_str().ok());
    match claimed.and_then(|claimed| claimed.parse::<std::net::IpAddr>().ok()) {
        Some(claimed) => format!("{remote} for {claimed}"),
        None => remote,
    }
}

/// The reason of a refusal, if an answer is one.
fn refusal(headers: &HeaderMap) -> Option<String> {
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)?;
    let reason = status.get_details_error_info().map(|info| info.reason);
    let plainly = |reason: String| plain(reason.trim_start_matches("ERROR_REASON_"), 60);
    Some(reason.filter(|reason| !reason.is_empty()).map_or_else(|| upper(status.code()), plainly))
}

/// `DEADLINE_EXCEEDED`
fn upper(code: Code) -> String {
    let mut text = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_uppercase());
    }
    text
}

/// What a request says that it is about.
fn target(method: &Method, body: &[u8]) -> Vec<String> {
    let Some((head, message)) = body.split_at_checked(HEAD_BYTES) else { return vec![] };
    let unpacked = match head[0] {
        0 => message.to_vec(),
        _ => zstd::bulk::decompress(message, ACT_MAX_BYTES).unwrap_or_default(),
    };
    let Ok(asked) = DynamicMessage::decode(method.descriptor.input(), &unpacked[..]) else { return vec![] };
    let mut told = told(&asked);
    for inner in ["card", "terms"] {
        if let Some(Value::Message(inner)) = asked.get_field_by_name(inner).as_deref() {
            told.extend(self::told(inner));
        }
    }
    told
}

fn told(message: &DynamicMessage) -> Vec<String> {
    let field = |name: &&str| {
        let field = message.descriptor().get_field_by_name(name).filter(|field| message.has_field(field))?;
        let text = match (&*message.get_field(&field), field.kind()) {
            (Value::String(text), _) => text.clone(),
            (Value::Bool(yes), _) => yes.to_string(),
            (Value::EnumNumber(number), Kind::Enum(values)) => {
                let value = values.get_value(*number)?;
                value.name().rsplit('_').next().unwrap_or_default().to_lowercase()
            }
            _ => return None,
        };
        Some(format!("{name}={}", plain(&text, 80)))
    };
    ABOUT.iter().filter_map(field).collect()
}

/// An answer's stream that may still end with a refusal.
struct Tail {
    body: Body,
    call: Call,
}

impl http_body::Body for Tail {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let trailers = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::trailers_ref);
        if let Some(refused) = trailers.and_then(refusal) {
            self.call.refused(&refused);
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
