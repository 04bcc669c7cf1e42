//! What a node says about itself: lines on standard error and, where somebody listens, traces and metrics.
//!
//! ```text
//! log      always: text or JSON lines, with the ids of the trace they belong to
//! audit    its lines also as logs of OpenTelemetry, by [telemetry] otlp_endpoint
//! traces   [telemetry] otlp_endpoint: a span per call, and per step of an entry's way (rpc → ledger.commit →
//!          exchange.page ═▶ exchange.apply → ledger.commit → reporting.tally), all in the trace of whoever saved the record
//! metrics  by the same way, and to whoever reads [telemetry] prometheus_listen
//! ```
//!
//! Never a payload, never a field or a name of a record. Traces and metrics never say who calls; the log does where somebody acts, by
//! token or node: each line of the [audit](crate::audit) is an event of the target `audit`. Off, it costs the write path a look at a flag.

pub mod context;
mod export;
pub mod metrics;
pub mod rpc;

use std::{
    io::IsTerminal as _,
    sync::atomic::{AtomicBool, Ordering},
};

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::FilterFn,
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, JsonFields, Writer},
    },
    layer::{self, Filter, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

pub use context::{Trace, Work};
pub use rpc::trace;

use crate::{
    config::{Config, LogFormat},
    error::{Error, Reason, Result},
};
use export::Exporters;

/// The crates below us speak only when something is wrong, unless the filter names them: else what sends telemetry would
/// be told about by telemetry.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,rustls=warn,tokio_rustls=warn,sqlx=warn,\
                     opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry_otlp=warn";

/// What every crate of ours is called at first; only these make spans of a trace.
const OURS: &str = "qianshou";

/// The target of the audit's events.
pub(crate) const AUDIT: &str = "audit";

static TRACING: AtomicBool = AtomicBool::new(false);

/// Whether this process makes traces.
#[must_use]
pub fn is_tracing() -> bool {
    TRACING.load(Ordering::Relaxed)
}

type Boxed<S> = Box<dyn Layer<S> + Send + Sync>;

/// Sends tracing to standard error, and nowhere else. The first call of a process decides; later ones change nothing.
///
/// # Errors
/// A refusal of a filter that cannot be read.
pub fn init(filter: &str, format: LogFormat) -> Result<()> {
    let lines = lines(format);
    drop(tracing_subscriber::registry().with(filter_of(filter)?).with(lines).try_init());
    Ok(())
}

/// What has to be ended with the process.
pub struct Telemetry(Exporters);

impl Telemetry {
    /// Begins to speak as the configuration says; a tokio runtime must be there. Once a process, before anything else.
    ///
    /// # Errors
    /// A refusal of a setting by its name, or the address for Prometheus cannot be bound.
    pub async fn start(config: &Config) -> Result<Self> {
        let filter = filter_of(&config.log.filter)?;
        let exporters = Exporters::open(config).await?;
        match exporters.tracer() {
            None => init(&config.log.filter, config.log.format)?,
            Some(tracer) => {
                let spans = tracing_opentelemetry::layer().with_tracer(tracer);
                let spans = spans.with_location(false).with_threads(false).with_target(false).with_level(false);
                let mut layers =
                    vec![lines(config.log.format).with_filter(filter).boxed(), spans.with_filter(Ours).boxed()];
                let audited =
                    FilterFn::new(|metadata: &Metadata<'_>| metadata.is_event() && metadata.target() == AUDIT);
                let logs = exporters.logger().map(OpenTelemetryTracingBridge::new);
                layers.extend(logs.map(|logs| logs.with_filter(audited).boxed()));
                drop(tracing_subscriber::registry().with(layers).try_init());
                TRACING.store(true, Ordering::Relaxed);
            }
        }
        exporters.warn();
        Ok(Self(exporters))
    }

    /// Sends what is still here and ends; waits no longer than the exporters' own patience.
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }
}

fn filter_of(filter: &str) -> Result<EnvFilter> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}"));
    filter.map_err(|cause| Error::refused("log.filter", Reason::Malformed, cause))
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(format: LogFormat) -> Boxed<S> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(Traced(Format::default().json())).boxed(),
    }
}

/// The spans of our own crates. Events stay in the log, except the audit's: what they say was not written for a collector.
struct Ours;

impl Ours {
    fn wants(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && *metadata.level() <= LevelFilter::INFO && metadata.target().starts_with(OURS)
    }
}

impl<S> Filter<S> for Ours {
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        Self::wants(metadata)
    }

    /// Never "always": each span is asked about. A crate that only asks whether something would be logged, as the PostgreSQL
    /// driver does, leaves its answer behind on the thread, and a span that nobody asks about would take it for its own.
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::wants(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

/// JSON lines that say which trace they belong to, in the words of OpenTelemetry's logs.
struct Traced(Format<Json>);

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let Some(trace) = Trace::current() else {
            return self.0.format_event(ctx, to, event);
        };
        let mut line = String::new();
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(head) => writeln!(to, r#"{head},"trace_id":"{}","span_id":"{}"}}"#, trace.trace_id(), trace.span_id()),
            None => to.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests;
