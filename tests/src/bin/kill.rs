//! `kill`: real processes, killed while they write and exchange, on either database; see [`qianshou_tests::kill`].
//!
//! Exit code 0: no law broken. 1: one was, and the last line is `{"law":…,"seed":…}`; the same seed does the same again, as far
//! as the moments of a real machine can be told. `--mutation all` is 0 if every mutation was noticed by the law that it breaks.

use std::{
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use clap::Parser;
use qianshou_exchange::domain::Mutation;
use qianshou_tests::{
    Database,
    kill::{Plan, Told, run},
    simulation::Broken,
};
use serde_json::json;

/// Kills nodes while they write and exchange, and looks whether anything was lost.
#[derive(Parser)]
struct Options {
    /// How many runs on each database.
    #[arg(long, default_value_t = 5)]
    runs: u64,
    /// The first run's seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// On which database: sqlite, postgres or both.
    #[arg(long, default_value = "sqlite", value_parser = databases)]
    database: &'static [Database],
    /// Breaks a rule in the consumer's program (`drop-end`, …, or `all`), which must be noticed.
    #[arg(long)]
    mutation: Option<String>,
}

fn databases(name: &str) -> Result<&'static [Database], String> {
    const BOTH: &[Database] = &[Database::Sqlite, Database::Postgres];
    match name {
        "sqlite" => Ok(&BOTH[..1]),
        "postgres" => Ok(&BOTH[1..]),
        "both" => Ok(BOTH),
        _ => Err("sqlite, postgres or both".to_owned()),
    }
}

/// Every mutation, and the law that it breaks.
const MUTATIONS: [(&str, &str); 5] = [
    ("cursor-first", "consumer-equals-provider"),
    ("drop-end", "consumer-equals-provider"),
    ("trust-sender", "one-writer"),
    ("early-receipt", "applied-not-accepted"),
    ("ignore-epoch", "consumer-equals-provider"),
];
/// Runs in which a mutation has to be noticed.
const MUTATED_RUNS: u64 = 2;

fn main() -> ExitCode {
    let Options { runs, seed, database: databases, mutation } = Options::parse();
    let Some(asked) = mutation else {
        let plans = (seed..seed + runs).flat_map(|seed| databases.iter().map(move |on| (*on, Plan::ordinary(seed))));
        return ended(plans.into_iter().find_map(|(on, plan)| one(on, plan).err()));
    };
    let chosen: Vec<_> = MUTATIONS.into_iter().filter(|(name, _)| asked == "all" || asked == *name).collect();
    let mut notices =
        chosen.iter().flat_map(|(name, law)| databases.iter().map(move |on| (*law, mutated(*on, seed, name))));
    match chosen.len() {
        0 => {
            eprintln!("--mutation: all, or one of {}", MUTATIONS.map(|(name, _)| name).join(", "));
            ExitCode::from(2)
        }
        1 => ended(notices.find_map(|(_, noticed)| noticed)),
        _ => {
            let missed = notices.filter(|(law, noticed)| noticed.map(|(noticed, _)| noticed) != Some(*law)).count();
            println!("{missed} mutations missed");
            ExitCode::from(u8::from(missed > 0))
        }
    }
}

/// A law that was seen broken, and the seed of that run.
type Noticed = (&'static str, u64);

fn ended(noticed: Option<Noticed>) -> ExitCode {
    let Some((law, seed)) = noticed else { return ExitCode::SUCCESS };
    println!("{}", json!({"law": law, "seed": seed}));
    ExitCode::from(1)
}

/// Runs a mutation until a law is seen broken.
fn mutated(database: Database, seed: u64, name: &'static str) -> Option<Noticed> {
    let mutation: Mutation = name.parse().expect("a mutation");
    (seed..seed + MUTATED_RUNS).find_map(|seed| one(database, Plan::mutated(seed, name, mutation)).err())
}

/// Runs one plan and says in a line what became of it.
fn one(database: Database, plan: Plan) -> Result<(), Noticed> {
    let (seed, mutated, started) = (plan.seed, plan.mutation.is_some(), Instant::now());
    print!("seed {seed}  {database}  {}", plan.mutation.map(|name| format!("{name}  ")).unwrap_or_default());
    drop(std::io::stdout().flush());
    let told = catch_unwind(AssertUnwindSafe(|| qianshou_tests::run(database, |world| run(world, plan))));
    let told = told.unwrap_or_else(|_| Err(Broken { law: "no-panic", seen: "the panic is told above".to_owned() }));
    let seconds = started.elapsed().as_secs_f64();
    match told {
        Ok(Told { kills, writes, pages, also }) => {
            let also: String = also.iter().map(|what| format!("  {what}")).collect();
            println!("{kills} kills  {writes} writes  {pages} pages  {seconds:.1} s{also}  ok");
            Ok(())
        }
        Err(Broken { law, seen }) => {
            let (word, most) = if mutated { ("noticed", 100) } else { ("BROKEN", usize::MAX) };
            println!("{seconds:.1} s  {word} {law}: {}", seen.chars().take(most).collect::<String>());
            Err((law, seed))
        }
    }
}
