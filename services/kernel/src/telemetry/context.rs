//! Which trace a piece of work belongs to, as W3C Trace Context writes it. It travels in the header `traceparent` of a
//! call, stands beside an entry in the ledger, and goes with the entry to a peer.
//!
//! A hint and nothing more: whoever sends it may say what they like, so it decides nothing and is never signed. `tracestate`
//! is not passed on, for it may say anything at all.

use std::{collections::HashSet, fmt, future::Future};

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::is_tracing;

/// The header that carries it.
pub const HEADER: &str = "traceparent";
/// Characters of a context as text.
pub const TEXT_CHARS: usize = 55;
/// Spans of one step at most: a step that was done for more callers shows in the traces of so many.
const SPANS_MAX: usize = 32;
/// And links to the others.
const LINKS_MAX: usize = 128;

/// A place in a trace: below it hangs what is done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trace {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

impl Trace {
    /// Where this task is at the moment, if anybody traces it.
    #[must_use]
    pub fn current() -> Option<Self> {
        Context::map_current(|context| context.has_active_span().then(|| Self::of(context.span().span_context())))?
    }

    /// The same, if what comes of it is worth keeping: somebody will look at this trace.
    #[must_use]
    pub fn current_sampled() -> Option<Self> {
        if is_tracing() { Self::current().filter(|trace| trace.sampled) } else { None }
    }

    /// Reads `00-{trace}-{span}-{flags}`; `None`: it is not one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        let is_dash = |place: usize| matches!(place, 2 | 35 | 52);
        let shaped = bytes.len() == TEXT_CHARS
            && text.starts_with("00-")
            && bytes
                .iter()
                .enumerate()
                .all(|(place, byte)| if is_dash(place) { *byte == b'-' } else { is_digit(byte) });
        if !shaped {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(&text[3..35]).ok()?, SpanId::from_hex(&text[36..52]).ok()?);
        let flags = u8::from_str_radix(&text[53..], 16).ok()?;
        let valid = trace != TraceId::INVALID && span != SpanId::INVALID;
        valid.then_some(Self { trace, span, sampled: TraceFlags::new(flags).is_sampled() })
    }

    /// Reads what somebody else says about an entry; what nobody will look at is as good as nothing.
    #[must_use]
    pub fn hint(text: &str) -> Option<Self> {
        Self::read(text).filter(|trace| trace.sampled)
    }

    /// The context of a call's headers.
    pub(super) fn in_headers(headers: &HeaderMap) -> Option<Self> {
        Self::read(headers.get(HEADER)?.to_str().ok()?)
    }

    /// Writes a span's place into a call's headers.
    pub(super) fn inject(span: &Span, headers: &mut HeaderMap) {
        let here = Self::of(span.context().span().span_context());
        if let Some(value) = here.and_then(|here| HeaderValue::try_from(here.to_string()).ok()) {
            headers.insert(HEADER, value);
        }
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display + use<> {
        self.trace
    }

    /// 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> impl fmt::Display + use<> {
        self.span
    }

    /// Hangs a span that has not been entered yet below this place.
    pub(super) fn adopt(self, span: &Span) {
        // Fails only where nobody traces.
        drop(span.set_parent(Context::new().with_remote_span_context(self.remote())));
    }

    fn of(context: &SpanContext) -> Option<Self> {
        let (trace, span) = (context.trace_id(), context.span_id());
        context.is_valid().then(|| Self { trace, span, sampled: context.is_sampled() })
    }

    fn remote(self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        SpanContext::new(self.trace, self.span, flags, true, TraceState::NONE)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// One step that is done for several callers at once: a span in the trace of each. It runs in the first, which is linked to the
/// others. For nobody, it is no span at all.
pub struct Work(Vec<Span>);

impl Work {
    /// Begins a step for these callers; `span` makes a span that says what the step is.
    pub fn begin(causes: impl IntoIterator<Item = Trace>, span: impl Fn() -> Span) -> Self {
        if !is_tracing() {
            return Self(vec![]);
        }
        let mut known = HashSet::new();
        let causes: Vec<Trace> =
            causes.into_iter().filter(|cause| cause.sampled && known.insert(*cause)).take(LINKS_MAX).collect();
        let spans: Vec<Span> = causes.iter().take(SPANS_MAX).map(|_| span()).collect();
        for (cause, span) in causes.iter().zip(&spans) {
            cause.adopt(span);
        }
        if let Some(first) = spans.first() {
            causes.iter().skip(1).for_each(|other| first.add_link(other.remote()));
        }
        Self(spans)
    }

    /// Does it; the spans end with it.
    pub async fn run<F: Future>(self, work: F) -> F::Output {
        match self.0.first() {
            Some(first) => work.instrument(first.clone()).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written() {
        let read = Trace::read(TEXT).unwrap();
        assert_eq!((read.to_string().as_str(), Trace::hint(TEXT)), (TEXT, Some(read)));
        assert_eq!(read.trace_id().to_string(), &TEXT[3..35]);
        assert_eq!(read.span_id().to_string(), &TEXT[36..52]);
        let unsampled = TEXT.replace("-01", "-00");
        assert_eq!(Trace::read(&unsampled).unwrap().to_string(), unsampled);
        assert_eq!(Trace::hint(&unsampled), None);
    }

    #[test]
    fn what_is_no_context_is_nothing() {
        let upper = TEXT.to_uppercase();
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let long = format!("{TEXT}-");
        let other = TEXT.replacen("00-", "01-", 1);
        let signed = TEXT.replacen("-4b", "-+b", 1);
        let wide = TEXT.replacen("4bf", "张", 1);
        for text in ["", "张三", &TEXT[..54], &upper, &zero_trace, &zero_span, &long, &other, &signed, &wide] {
            assert_eq!(Trace::read(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn nobody_traces_and_nothing_is_made() {
        assert_eq!((Trace::current(), Trace::current_sampled()), (None, None));
        let work = Work::begin(Trace::read(TEXT), || unreachable!("nobody traces"));
        assert_eq!(work.run(async { 7 }).await, 7);
    }
}
