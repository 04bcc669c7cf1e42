use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::Request, middleware::from_fn, response::Response, routing::any};
use http::header::CONTENT_TYPE;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tonic::Code;
use tower::ServiceExt as _;
use tracing::instrument::WithSubscriber as _;

use super::*;

const STATUS: &str = "rpc.grpc.status_code";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

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

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn read(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_span_knows_service_method_and_status_and_nothing_more() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(move || writer.clone());
    let refused = || async { tonic::Status::not_found("张三").into_http::<Body>() };
    let unfinished =
        || async { Response::builder().header(CONTENT_TYPE, "application/grpc").body(Body::from("李四")).unwrap() };
    let router = Router::new().route(CHECK, any(refused)).route(WATCH, any(unfinished)).fallback(refused);
    let router = router.layer(from_fn(trace));
    async {
        for path in [CHECK, WATCH, "/a.v1.House/zhao_liu"] {
            let request = Request::builder().uri(path).body(Body::from("王五")).unwrap();
            drop(router.clone().oneshot(request).await.unwrap());
        }
    }
    .with_subscriber(subscriber.finish())
    .await;
    let (text, read) = (lines.text(), lines.read());
    let expected = [
        ("grpc.health.v1.Health", "Check", Code::NotFound),
        ("grpc.health.v1.Health", "Watch", Code::Cancelled),
        ("_OTHER", "_OTHER", Code::NotFound),
    ];
    assert_eq!(read.len(), expected.len(), "{text}");
    for (line, (service, method, code)) in read.iter().zip(expected) {
        let span = &line["span"];
        assert_eq!((&span["rpc.service"], &span["rpc.method"]), (&service.into(), &method.into()));
        assert_eq!(span[STATUS], code as i32);
    }
    assert!(["张三", "李四", "王五", "zhao_liu"].iter().all(|name| !text.contains(name)), "{text}");
}

#[tokio::test]
async fn a_json_line_says_which_trace_it_belongs_to() {
    let lines = Lines::default();
    let writer = lines.clone();
    let provider = SdkTracerProvider::builder().build();
    let json = fmt::layer().fmt_fields(JsonFields::new()).event_format(Traced(Format::default().json()));
    let subscriber = tracing_subscriber::registry()
        .with(json.with_writer(move || writer.clone()))
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("t")));
    let cause = Trace::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("outside");
        let span = tracing::info_span!("work", n = 1);
        cause.adopt(&span);
        span.in_scope(|| tracing::info!("inside"));
    });
    let read = lines.read();
    assert_eq!((&read[0]["fields"]["message"], &read[0]["trace_id"]), (&"outside".into(), &serde_json::Value::Null));
    assert_eq!(read[1]["fields"]["message"], "inside");
    assert_eq!(read[1]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(read[1]["span_id"].as_str().map(str::len), Some(16));
    assert_ne!(read[1]["span_id"], "00f067aa0ba902b7");
}

/// As the PostgreSQL driver does before every statement.
#[test]
fn a_question_that_leads_to_nothing_silences_no_span() {
    let lines = Lines::default();
    let writer = lines.clone();
    let provider = SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("t"));
    let json = fmt::layer().json().with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry()
        .with(vec![json.with_filter(filter_of("info").unwrap()).boxed(), spans.with_filter(Ours).boxed()]);
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..3 {
            assert!(!tracing::enabled!(target: "sqlx::query", tracing::Level::DEBUG));
            tracing::info_span!("work").in_scope(|| {
                assert!(Trace::current().is_some(), "the span is not there");
                tracing::info!("done");
            });
        }
    });
    assert_eq!(lines.read().iter().filter(|line| line["span"]["name"] == "work").count(), 3, "{}", lines.text());
}

#[tokio::test]
async fn a_setting_that_cannot_be_is_refused_by_name() {
    let config = |change: fn(&mut crate::config::Telemetry)| {
        let mut config = Config::defaults().unwrap();
        change(&mut config.telemetry);
        config
    };
    for (config, field) in [
        (config(|t| t.otlp_endpoint = "collector:4317".into()), "telemetry.otlp_endpoint"),
        (config(|t| t.otlp_endpoint = "https://collector:4317".into()), "telemetry.otlp_endpoint"),
        (config(|t| t.prometheus_listen = "9464".into()), "telemetry.prometheus_listen"),
        (config(|t| (t.otlp_endpoint, t.sample_ratio) = ("http://127.0.0.1:1".into(), 1.5)), "telemetry.sample_ratio"),
    ] {
        match Telemetry::start(&config).await {
            Err(Error::Refused(refusal)) => assert_eq!(refusal.0[0].field, field),
            Err(other) => panic!("{field}: {other}"),
            Ok(_) => panic!("{field}: not refused"),
        }
    }
}

#[test]
fn a_filter_that_cannot_be_read_is_refused() {
    assert_eq!(init("a=b=c", LogFormat::Text).unwrap_err().reason(), Reason::Malformed);
    init("info,qianshou=debug", LogFormat::Json).unwrap();
    init("warn", LogFormat::Text).unwrap();
}
