//! What a node says about itself: lines on standard error and, where somebody listens, traces and metrics.
//!
//! ```text
//! log      always: text or JSON lines, with the ids of the trace they belong to
//! traces   [telemetry] otlp_endpoint: a span per call, and per step of an entry's way (rpc → ledger.commit →
//!          exchange.page ═▶ exchange.apply → ledger.commit → reporting.tally), all in the trace of whoever saved the record
//! metrics  by the same way, and to whoever reads [telemetry] prometheus_listen
//! ```
//!
//! Never a payload, never a field or a name of a record, never who calls: what a person did stands in the ledger. Off, it
//! costs the write path a look at a flag.

pub mod context;
mod export;
pub mod metrics;
pub mod rpc;

use std::{
    io::IsTerminal as _,
    sync::atomic::{AtomicBool, Ordering},
};

use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::filter_fn,
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, JsonFields, Writer},
    },
    layer::SubscriberExt as _,
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

static TRACING: AtomicBool = AtomicBool::new(false);

/// Whether this process makes traces.
#[must_use]
pub fn is_tracing() -> bool {
    TRACING.load(Ordering::Relaxed)
}

type Layers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// Sends tracing to standard error, and nowhere else. The first call of a process decides; later ones change nothing.
///
/// # Errors
/// A refusal of a filter that cannot be read.
pub fn init(filter: &str, format: LogFormat) -> Result<()> {
    install(vec![lines(filter, format)?]);
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
        let mut layers = vec![lines(&config.log.filter, config.log.format)?];
        let exporters = Exporters::open(config).await?;
        if let Some(tracer) = exporters.tracer() {
            let spans = tracing_opentelemetry::layer().with_tracer(tracer);
            let spans = spans.with_location(false).with_threads(false).with_target(false).with_level(false);
            layers.push(spans.with_filter(filter_fn(is_span_of_ours).with_max_level_hint(LevelFilter::INFO)).boxed());
            TRACING.store(true, Ordering::Relaxed);
        }
        install(layers);
        exporters.warn();
        Ok(Self(exporters))
    }

    /// Sends what is still here and ends; waits no longer than the exporters' own patience.
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }
}

/// Events stay in the log: what they say was not written for a collector.
fn is_span_of_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= LevelFilter::INFO && metadata.target().starts_with(OURS)
}

fn install(layers: Layers) {
    drop(tracing_subscriber::registry().with(layers).try_init());
}

fn lines(filter: &str, format: LogFormat) -> Result<Box<dyn Layer<Registry> + Send + Sync>> {
    let filter = EnvFilter::builder().parse(format!("{QUIET},{filter}"));
    let filter = filter.map_err(|cause| Error::refused("log.filter", Reason::Malformed, cause))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    Ok(match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
        LogFormat::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(Traced(Format::default().json()))
            .with_filter(filter)
            .boxed(),
    })
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
