//! `bench [NAME…] [--database sqlite|postgres] [--json]`: what the machine makes of it. Figures, no verdicts; run it in a release build on a
//! machine that does nothing else.

use std::process::ExitCode;

use clap::Parser;
use qianshou_tests::{
    Database,
    bench::{BENCHES, Figure, find, sync_latency},
};

/// Measures writing, batches, exchange, tables, divisions, finding, and the memory each takes.
#[derive(Parser)]
struct Asked {
    /// Which: create, batch, exchange, change, table, divisions, history, find, lookup; all if none is named.
    names: Vec<String>,
    /// On which database; both if none is named. PostgreSQL's address is taken from QIANSHOU_TEST_POSTGRES.
    #[arg(long, value_enum)]
    database: Option<Database>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// A part of the usual amount, for a quick look: 0.1 is a tenth.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
}

fn main() -> ExitCode {
    let asked = Asked::parse();
    let show = |figure: Figure| {
        if asked.json {
            println!("{}", figure.json());
        } else {
            println!("{figure}");
        }
    };
    sync_latency().into_iter().for_each(show);
    let names: Vec<&str> = if asked.names.is_empty() {
        BENCHES.iter().map(|(name, _)| *name).collect()
    } else {
        asked.names.iter().map(String::as_str).collect()
    };
    let databases = asked.database.map_or(vec![Database::Sqlite, Database::Postgres], |one| vec![one]);
    for name in names {
        let Some(bench) = find(name) else {
            let known: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
            eprintln!("bench: there is no {name}; there are {}", known.join(", "));
            return ExitCode::from(2);
        };
        for database in &databases {
            bench(*database, asked.scale).into_iter().for_each(show);
        }
    }
    ExitCode::SUCCESS
}
