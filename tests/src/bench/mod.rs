//! What is measured, over real sockets, real TLS and real files, with the default configuration. A bench fills a world of its own, measures
//! one thing in it, and answers figures.

mod divisions;
mod exchange;
mod find;
mod history;
mod lookup;
mod table;
mod write;

use std::{
    fmt,
    fs::File,
    io::Write as _,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::Database;

/// One figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub bench: String,
    /// On which database; none for what concerns the machine.
    pub database: Option<Database>,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// How many times, or of how many.
    pub n: u64,
}

impl Figure {
    /// As one line of JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let database = self.database.map(|database| database.to_string());
        json!({"bench": self.bench, "database": database, "value": rounded(self.value), "unit": self.unit, "n": self.n})
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.database.map(|database| database.to_string()).unwrap_or_default();
        write!(f, "{:<24} {database:<9} {:>12} {:<10} n={}", self.bench, rounded(self.value), self.unit, self.n)
    }
}

fn rounded(value: f64) -> f64 {
    let digits = if value.abs() < 100.0 { 100.0 } else { 1.0 };
    (value * digits).round() / digits
}

/// A bench: on a database, with a part of its usual amount.
pub type Bench = fn(Database, f64) -> Vec<Figure>;

/// All of them, by name.
pub const BENCHES: [(&str, Bench); 9] = [
    ("create", write::create),
    ("batch", write::batch),
    ("exchange", exchange::flow),
    ("change", exchange::change),
    ("table", table::table),
    ("divisions", divisions::divisions),
    ("history", history::history),
    ("find", find::find),
    ("lookup", lookup::lookup),
];

/// A bench by its name.
#[must_use]
pub fn find(name: &str) -> Option<Bench> {
    BENCHES.iter().find(|(known, _)| *known == name).map(|(_, bench)| *bench)
}

/// How long the disk takes to keep 4 KiB: what bounds every commit.
#[must_use]
pub fn sync_latency() -> Vec<Figure> {
    const TIMES: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("sync")).unwrap();
    let mut took = vec![];
    for _ in 0..TIMES {
        let began = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        took.push(began.elapsed());
    }
    percentiles("disk-sync", None, &mut took)
}

/// Times in milliseconds, at the median and at the 99th percentile.
fn percentiles(bench: &str, database: Option<Database>, took: &mut [Duration]) -> Vec<Figure> {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    [("p50", at(50)), ("p99", at(99))]
        .map(|(part, value)| Figure {
            bench: format!("{bench}-{part}"),
            database,
            value,
            unit: "ms",
            n: took.len() as u64,
        })
        .to_vec()
}

/// So many in this time.
fn rate(bench: &str, database: Database, n: u64, took: Duration) -> Figure {
    Figure {
        bench: bench.to_owned(),
        database: Some(database),
        value: n as f64 / took.as_secs_f64(),
        unit: "records/s",
        n,
    }
}

/// A part of an amount, at least one.
fn scaled(amount: u32, scale: f64) -> u32 {
    ((f64::from(amount) * scale) as u32).max(1)
}

/// The most memory this process has held since [`forget_peak`].
fn peak(bench: &str, database: Database) -> Figure {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    Figure { bench: format!("{bench}-memory"), database: Some(database), value: kib / 1024.0, unit: "MiB", n: 1 }
}

fn forget_peak() {
    // Where the system does not let us, the peak is that of the whole run.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}
