//! A collector as an authority would run one: it takes traces, metrics and logs by OTLP over gRPC, and keeps them word for word.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{Metric, metric::Data, number_data_point},
    resource::v1::Resource,
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status, transport::Server};

/// A span that was received.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Which node sent it.
    pub node: String,
    /// What it is called.
    pub name: String,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// Its parent's id, in hexadecimal.
    pub parent: String,
    /// The names of its attributes.
    pub attributes: BTreeSet<String>,
}

/// The newest value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Which node sent it.
    pub node: String,
    /// What it is called.
    pub name: String,
    /// In what it counts.
    pub unit: String,
    /// One of its attributes' values each, `key=value`, in order.
    pub attributes: Vec<String>,
    /// Its value; of a histogram, how many there were.
    pub value: f64,
}

/// A line of a log: the node that sent it, and its attributes, `key=value`, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Which node sent it.
    pub node: String,
    /// One of its attributes' values each.
    pub attributes: Vec<String>,
}

#[derive(Default)]
struct Heard {
    lines: Vec<LogLine>,
    spans: Vec<Span>,
    figures: Vec<Figure>,
    words: Vec<u8>,
}

/// A collector that listens until it is dropped.
pub struct Collector {
    /// `http://127.0.0.1:port`
    pub endpoint: String,
    heard: Arc<Mutex<Heard>>,
    _shut: DropGuard,
}

impl Collector {
    /// Listens.
    pub async fn open() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", tcp.local_addr().unwrap());
        let (heard, shut) = (Arc::<Mutex<Heard>>::default(), CancellationToken::new());
        let server = Server::builder()
            .add_service(TraceServiceServer::new(Ear(heard.clone())))
            .add_service(LogsServiceServer::new(Ear(heard.clone())))
            .add_service(MetricsServiceServer::new(Ear(heard.clone())))
            .serve_with_incoming_shutdown(TcpListenerStream::new(tcp), shut.clone().cancelled_owned());
        tokio::spawn(server);
        Self { endpoint, heard, _shut: shut.drop_guard() }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    /// The spans of one trace, in the order they came.
    #[must_use]
    pub fn trace(&self, trace: &str) -> Vec<Span> {
        self.heard().spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// Every figure of a node by this name, each newest for its attributes.
    #[must_use]
    pub fn figures(&self, node: &str, name: &str) -> Vec<Figure> {
        let mut newest: Vec<Figure> = vec![];
        for figure in self.heard().figures.iter().filter(|figure| figure.node == node && figure.name == name) {
            newest.retain(|older| older.attributes != figure.attributes);
            newest.push(figure.clone());
        }
        newest
    }

    /// The lines of a node's log, in the order they came.
    #[must_use]
    pub fn lines(&self, node: &str) -> Vec<LogLine> {
        self.heard().lines.iter().filter(|line| line.node == node).cloned().collect()
    }

    /// All that was ever received, as it was on the wire.
    #[must_use]
    pub fn words(&self) -> Vec<u8> {
        self.heard().words.clone()
    }
}

struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap()
    }
}

#[tonic::async_trait]
impl TraceService for Ear {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let told = request.into_inner();
        let mut heard = self.heard();
        heard.words.extend(told.encode_to_vec());
        for resource in told.resource_spans {
            let node = node_of(resource.resource.as_ref());
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                heard.spans.push(Span {
                    node: node.clone(),
                    name: span.name,
                    trace: hex::encode(&span.trace_id),
                    id: hex::encode(&span.span_id),
                    parent: hex::encode(&span.parent_span_id),
                    attributes: span.attributes.into_iter().map(|attribute| attribute.key).collect(),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Ear {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let told = request.into_inner();
        let mut heard = self.heard();
        heard.words.extend(told.encode_to_vec());
        for resource in told.resource_metrics {
            let node = node_of(resource.resource.as_ref());
            for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                heard.figures.extend(figures_of(&node, metric));
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Ear {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let received = request.into_inner();
        let mut heard = self.heard();
        heard.words.extend(received.encode_to_vec());
        for resource in received.resource_logs {
            let node = node_of(resource.resource.as_ref());
            for record in resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                let mut attributes: Vec<String> = record.attributes.iter().map(text_of).collect();
                attributes.sort();
                heard.lines.push(LogLine { node: node.clone(), attributes });
            }
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn figures_of(node: &str, metric: Metric) -> Vec<Figure> {
    let Metric { name, unit, data, .. } = metric;
    let figure = |attributes: &[KeyValue], value: f64| {
        let mut attributes: Vec<String> = attributes.iter().map(text_of).collect();
        attributes.sort();
        Figure { node: node.to_owned(), name: name.clone(), unit: unit.clone(), attributes, value }
    };
    let number = |value: Option<number_data_point::Value>| match value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    };
    match data {
        Some(Data::Gauge(gauge)) => {
            gauge.data_points.iter().map(|point| figure(&point.attributes, number(point.value))).collect()
        }
        Some(Data::Sum(sum)) => {
            sum.data_points.iter().map(|point| figure(&point.attributes, number(point.value))).collect()
        }
        Some(Data::Histogram(histogram)) => {
            histogram.data_points.iter().map(|point| figure(&point.attributes, point.count as f64)).collect()
        }
        _ => vec![],
    }
}

fn node_of(resource: Option<&Resource>) -> String {
    let attributes = resource.map(|resource| &resource.attributes[..]).unwrap_or_default();
    let node = attributes.iter().map(text_of).find_map(|text| text.strip_prefix("qianshou.node=").map(str::to_owned));
    node.unwrap_or_default()
}

fn text_of(attribute: &KeyValue) -> String {
    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
    let text = match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    format!("{}={text}", attribute.key)
}
