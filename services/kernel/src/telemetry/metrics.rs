//! Metrics: names by OpenTelemetry's conventions, durations in seconds. An attribute is one of a short list, such as a peer or
//! a reason; never a name or an id of a record.
//!
//! A house makes its own instruments from [`meter`]; the kernel's stand here. Without a reader there are none, and whoever
//! would measure looks at a flag.

use std::{
    future::Future,
    sync::OnceLock,
    time::{Duration, Instant},
};

pub use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter},
};
use tokio::sync::{mpsc, watch};
use tonic::Code;

use super::rpc::Method;

/// The longest call that still has a bucket of its own lasts 10 s, as the conventions propose.
const CALL_SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const DATABASE_SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
const GROUP_COMMANDS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

static KERNEL: OnceLock<Kernel> = OnceLock::new();

/// What instruments are made from; `None`: nobody reads metrics.
#[must_use]
pub fn meter() -> Option<&'static Meter> {
    KERNEL.get().map(|kernel| &kernel.meter)
}

/// Begins to measure; the first call of a process decides.
pub(super) fn start(meter: Meter) {
    KERNEL.get_or_init(|| Kernel::new(meter));
}

struct Kernel {
    meter: Meter,
    server: Histogram<f64>,
    client: Histogram<f64>,
    database: Histogram<f64>,
    group: Histogram<u64>,
    commit: Histogram<f64>,
}

impl Kernel {
    fn new(meter: Meter) -> Self {
        let seconds = |name: &'static str, what: &'static str, buckets: &[f64]| {
            meter.f64_histogram(name).with_unit("s").with_description(what).with_boundaries(buckets.to_vec()).build()
        };
        let server = seconds("rpc.server.call.duration", "Calls answered.", &CALL_SECONDS);
        let client = seconds("rpc.client.call.duration", "Calls made.", &CALL_SECONDS);
        let database = seconds("db.client.operation.duration", "Statements run.", &DATABASE_SECONDS);
        let commit = seconds(
            "qianshou.ledger.commit.duration",
            "Groups of commands, from the head row's lock to the answers.",
            &DATABASE_SECONDS,
        );
        let group = meter
            .u64_histogram("qianshou.ledger.group.size")
            .with_unit("{command}")
            .with_description("Commands that shared one transaction.")
            .with_boundaries(GROUP_COMMANDS.to_vec())
            .build();
        Self { meter, server, client, database, group, commit }
    }
}

/// Which end of a call is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We answer.
    Server,
    /// We ask.
    Client,
}

pub(super) fn call(side: Side, method: Method, code: Code, took: Duration) {
    let Some(kernel) = KERNEL.get() else { return };
    let attributes = [
        KeyValue::new("rpc.system", "grpc"),
        KeyValue::new("rpc.service", method.service),
        KeyValue::new("rpc.method", method.method),
        KeyValue::new("rpc.grpc.status_code", code as i64),
    ];
    let histogram = match side {
        Side::Server => &kernel.server,
        Side::Client => &kernel.client,
    };
    histogram.record(took.as_secs_f64(), &attributes);
}

/// Runs a group of commands and measures it.
pub(crate) async fn commit<F: Future>(commands: usize, work: F) -> F::Output {
    let Some(kernel) = KERNEL.get() else { return work.await };
    let begun = Instant::now();
    let done = work.await;
    kernel.group.record(commands as u64, &[]);
    kernel.commit.record(begun.elapsed().as_secs_f64(), &[]);
    done
}

/// Runs a statement and measures it, under its database's name and its [`operation`].
pub(crate) async fn statement<F: Future>(system: &'static str, operation: &'static str, work: F) -> F::Output {
    let Some(kernel) = KERNEL.get() else { return work.await };
    let begun = Instant::now();
    let done = work.await;
    let attributes = [KeyValue::new("db.system.name", system), KeyValue::new("db.operation.name", operation)];
    kernel.database.record(begun.elapsed().as_secs_f64(), &attributes);
    done
}

/// What a statement does: its first word, if that is one of ours.
pub(crate) fn operation(sql: &str) -> &'static str {
    const KNOWN: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "COMMIT"];
    let word = sql.split_ascii_whitespace().next().unwrap_or_default();
    KNOWN.into_iter().find(|known| *known == word).unwrap_or("_OTHER")
}

/// Lets readers see, whenever they look, how much waits for a ledger's writer and how far the ledger is.
pub(crate) fn observe_ledger<T: Send + 'static>(queue: mpsc::WeakSender<T>, position: watch::Receiver<u64>) {
    let Some(meter) = meter() else { return };
    meter
        .u64_observable_gauge("qianshou.ledger.queue.depth")
        .with_unit("{submission}")
        .with_description("Submissions that wait for the writer.")
        .with_callback(move |gauge| {
            if let Some(queue) = queue.upgrade() {
                gauge.observe((queue.max_capacity() - queue.capacity()) as u64, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("qianshou.ledger.position")
        .with_unit("{entry}")
        .with_description("The newest position of the ledger that this process knows.")
        .with_callback(move |gauge| gauge.observe(*position.borrow(), &[]))
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_known_by_its_first_word_alone() {
        let insert = "INSERT INTO t (name) VALUES ('张三')";
        assert_eq!([insert, " SELECT 1", "VACUUM", ""].map(operation), ["INSERT", "SELECT", "_OTHER", "_OTHER"]);
    }

    #[tokio::test]
    async fn without_a_reader_work_is_only_done() {
        assert!(meter().is_none());
        assert_eq!((commit(1, async { 1 }).await, statement("sqlite", "SELECT 1", async { 2 }).await), (1, 2));
    }
}
