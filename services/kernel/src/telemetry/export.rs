//! Where telemetry goes: traces, metrics and the lines of the audit to a collector by OTLP over gRPC, metrics also to whoever reads the
//! Prometheus page.
//!
//! Both are plain: a collector stands beside the node and speaks TLS to the rest of the world; the page is for the same machine.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, response::IntoResponse as _, routing::get};
use http::{StatusCode, Uri, header::CONTENT_TYPE};
use opentelemetry::{KeyValue, metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    logs::{BatchConfigBuilder as LogBatches, BatchLogProcessor, SdkLoggerProvider},
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use super::metrics;
use crate::{
    config::{Config, ms},
    error::{Error, Reason, Result},
};

/// The instrumentation scope of all that is ours.
const SCOPE: &str = "qianshou";
/// How long a collector may take to take what it is sent.
const EXPORT_TIMEOUT_MS: u64 = 5_000;
/// How long the last spans and metrics may take when the process ends.
const SHUTDOWN_TIMEOUT_MS: u64 = 5_000;
/// Spans and lines of the audit wait for one another at most so long.
const BATCH_WAIT_MAX_MS: u64 = 5_000;
/// Reading the page may take so long.
const PAGE_TIMEOUT_MS: u64 = 10_000;

pub(super) struct Exporters {
    tracer: Option<SdkTracerProvider>,
    logger: Option<SdkLoggerProvider>,
    meter: Option<SdkMeterProvider>,
    listen: Option<SocketAddr>,
    shut: CancellationToken,
}

impl Exporters {
    pub(super) async fn open(config: &Config) -> Result<Self> {
        let endpoint = Some(config.telemetry.otlp_endpoint.as_str()).filter(|endpoint| !endpoint.is_empty());
        endpoint.map(check).transpose()?;
        let listen = page_address(&config.telemetry.prometheus_listen)?;
        let tracer = endpoint.map(|endpoint| traces(endpoint, config)).transpose()?;
        let logger = endpoint.map(|endpoint| logs(endpoint, config)).transpose()?;
        let mut readers = SdkMeterProvider::builder().with_resource(resource(config));
        if let Some(endpoint) = endpoint {
            readers = readers.with_reader(pushed(endpoint, config)?);
        }
        let shut = CancellationToken::new();
        if let Some(address) = listen {
            let registry = Registry::new();
            let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
            readers = readers.with_reader(reader.map_err(unusable)?);
            serve(address, registry, shut.clone()).await?;
        }
        let meter = (endpoint.is_some() || listen.is_some()).then(|| readers.build());
        if let Some(meter) = &meter {
            metrics::start(meter.meter(SCOPE));
        }
        Ok(Self { tracer, logger, meter, listen, shut })
    }

    /// What an operator should know, once there is a log.
    pub(super) fn warn(&self) {
        if let Some(listen) = self.listen.filter(|listen| !listen.ip().is_loopback()) {
            tracing::warn!(%listen, "other machines can read the Prometheus page: it is not encrypted and asks nobody who they are");
        }
    }

    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.tracer.as_ref().map(|provider| provider.tracer(SCOPE))
    }

    pub(super) fn logger(&self) -> Option<&SdkLoggerProvider> {
        self.logger.as_ref()
    }

    pub(super) async fn shutdown(self) {
        self.shut.cancel();
        let ended = tokio::task::spawn_blocking(move || {
            let traces = self.tracer.map(|tracer| tracer.shutdown_with_timeout(ms(SHUTDOWN_TIMEOUT_MS)));
            let logs = self.logger.map(|logger| logger.shutdown_with_timeout(ms(SHUTDOWN_TIMEOUT_MS)));
            let metrics = self.meter.map(|meter| meter.shutdown_with_timeout(ms(SHUTDOWN_TIMEOUT_MS)));
            [traces, logs, metrics].into_iter().flatten().find_map(std::result::Result::err)
        });
        if let Ok(Some(cause)) = ended.await {
            tracing::warn!(%cause, "the last telemetry of this process may be lost");
        }
    }
}

fn unusable(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Broken(Box::new(cause))
}

fn check(endpoint: &str) -> Result<()> {
    let uri = endpoint.parse::<Uri>().ok();
    let plain = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some());
    let refused = || Error::refused("telemetry.otlp_endpoint", Reason::Malformed, "http://127.0.0.1:4317");
    plain.map(drop).ok_or_else(refused)
}

fn page_address(listen: &str) -> Result<Option<SocketAddr>> {
    if listen.is_empty() {
        return Ok(None);
    }
    let refused = |_| Error::refused("telemetry.prometheus_listen", Reason::Malformed, "127.0.0.1:9464");
    listen.parse().map(Some).map_err(refused)
}

/// Who speaks. Nothing is taken from the environment.
fn resource(config: &Config) -> Resource {
    let node = config.node.code.clone();
    let instance = Some(&config.telemetry.instance).filter(|name| !name.is_empty()).unwrap_or(&node).clone();
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "qianshou"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
            KeyValue::new("qianshou.node", node),
        ])
        .build()
}

fn traces(endpoint: &str, config: &Config) -> Result<SdkTracerProvider> {
    let ratio = config.telemetry.sample_ratio;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(Error::refused("telemetry.sample_ratio", Reason::Malformed, "0.0 … 1.0"));
    }
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(ms(EXPORT_TIMEOUT_MS));
    let wait = ms(config.telemetry.export_interval_ms.min(BATCH_WAIT_MAX_MS));
    let batches = BatchSpanProcessor::builder(exporter.build().map_err(unusable)?)
        .with_batch_config(BatchConfigBuilder::default().with_scheduled_delay(wait).build());
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(config))
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .with_span_processor(batches.build());
    Ok(provider.build())
}

fn logs(endpoint: &str, config: &Config) -> Result<SdkLoggerProvider> {
    let exporter = LogExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(ms(EXPORT_TIMEOUT_MS));
    let wait = ms(config.telemetry.export_interval_ms.min(BATCH_WAIT_MAX_MS));
    let batches = BatchLogProcessor::builder(exporter.build().map_err(unusable)?)
        .with_batch_config(LogBatches::default().with_scheduled_delay(wait).build());
    Ok(SdkLoggerProvider::builder().with_resource(resource(config)).with_log_processor(batches.build()).build())
}

fn pushed(endpoint: &str, config: &Config) -> Result<PeriodicReader<MetricExporter>> {
    let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(ms(EXPORT_TIMEOUT_MS));
    let exporter = exporter.build().map_err(unusable)?;
    Ok(PeriodicReader::builder(exporter).with_interval(ms(config.telemetry.export_interval_ms)).build())
}

/// Answers `GET /metrics` until `shut`.
async fn serve(listen: SocketAddr, registry: Registry, shut: CancellationToken) -> Result<()> {
    let tcp = TcpListener::bind(listen).await;
    let tcp = tcp.map_err(|cause| Error::broken(format!("telemetry.prometheus_listen: {listen}: {cause}")))?;
    let page = move || async move { page_of(&registry) };
    let routes = Routes::from(Router::new().route("/metrics", get(page)));
    let server =
        Server::builder().accept_http1(true).timeout(Duration::from_millis(PAGE_TIMEOUT_MS)).add_routes(routes);
    tokio::spawn(async move {
        let served = server.serve_with_incoming_shutdown(TcpListenerStream::new(tcp), shut.cancelled_owned()).await;
        if let Err(cause) = served {
            tracing::error!(%cause, "the Prometheus page has ended");
        }
    });
    Ok(())
}

fn page_of(registry: &Registry) -> axum::response::Response {
    let (encoder, mut text) = (TextEncoder::new(), vec![]);
    match encoder.encode(&registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
