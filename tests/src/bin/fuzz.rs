//! `fuzz [TARGET…] [--seconds N | --executions N] [--seed S]`: gives whatever reads what others wrote inputs without end. 0: every
//! law held; 1: one was broken, and the last line says which, by which input; `fuzz TARGET --seed S --from K --executions 1` makes
//! that input again, and `fuzz TARGET --input HEX` takes it as it is told.

use std::{process::ExitCode, thread, time::Duration};

use clap::Parser;
use qianshou_tests::fuzz::{
    Mutation, Named, TARGETS, named,
    run::{Asked, Fault, Report, keep_panics, once, run},
};
use serde_json::json;

/// The stack that those threads have that answer callers.
const STACK_BYTES: usize = 2 << 20;
/// How long each target is run if nothing else is asked.
const USUAL_SECONDS: f64 = 10.0;

/// Gives whatever reads what others wrote inputs without end.
#[derive(Parser)]
struct Options {
    /// Which; all if none is named.
    #[arg(value_name = "TARGET", value_parser = |name: &str| named(name).ok_or_else(names))]
    targets: Vec<Named>,
    /// For so many seconds, shared by the targets.
    #[arg(long, value_name = "N", conflicts_with = "executions")]
    seconds: Option<f64>,
    /// So many executions of each target.
    #[arg(long, value_name = "N")]
    executions: Option<u64>,
    /// What decides every input.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// The first execution.
    #[arg(long, value_name = "K", default_value_t = 0)]
    from: u64,
    /// One input, in hexadecimal digits, for one target.
    #[arg(long, value_name = "HEX", value_parser = |text: &str| hex::decode(text).map(Input))]
    input: Option<Input>,
    /// The process may hold so much memory.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory_max_mib: u64,
    /// One execution may take so long.
    #[arg(long, value_name = "MS", default_value_t = if cfg!(debug_assertions) { 2_000 } else { 200 })]
    slow_ms: u64,
    /// A fault planted on purpose, which has to be noticed.
    #[arg(long, value_name = "NAME")]
    mutation: Option<Mutation>,
    /// Figures as JSON.
    #[arg(long)]
    json: bool,
    /// Say each execution before it begins, for one that ends the process.
    #[arg(long)]
    trace: bool,
}

#[derive(Clone)]
struct Input(Vec<u8>);

fn names() -> String {
    TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}

fn main() -> ExitCode {
    let options = Options::parse();
    keep_panics();
    let hand = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || all(&options));
    match hand.map(thread::JoinHandle::join) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        other => {
            eprintln!("the fuzzer itself failed: {:?}", other.map(|_| ()));
            ExitCode::from(2)
        }
    }
}

fn all(options: &Options) -> bool {
    let targets = if options.targets.is_empty() { TARGETS.to_vec() } else { options.targets.clone() };
    let seconds = options.seconds.map(|all| all / targets.len() as f64);
    let seconds = seconds.or_else(|| options.executions.is_none().then_some(USUAL_SECONDS));
    let asked = Asked {
        seed: options.seed,
        from: options.from,
        executions: options.executions,
        time: seconds.map(Duration::from_secs_f64),
        memory_max_mib: Some(options.memory_max_mib),
        slow: Duration::from_millis(options.slow_ms),
        mutation: options.mutation,
        trace: options.trace,
    };
    for target in targets {
        if let Some(Input(input)) = &options.input {
            let Err(broken) = once(target, input, &asked) else { continue };
            let (seed, execution, input) = (asked.seed, asked.from, input.clone());
            return tell_fault(&Fault { target: target.name, seed, execution, broken, input });
        }
        match run(target, &asked) {
            Ok(report) => tell(&report, options.json),
            Err(fault) => return tell_fault(&fault),
        }
    }
    true
}

fn tell(report: &Report, as_json: bool) {
    let Report { target, executions, time, peak_mib, slowest: (slowest, took) } = report;
    let a_second = *executions as f64 / time.as_secs_f64().max(1e-9);
    if as_json {
        let figures = json!({
            "target": target,
            "executions": executions,
            "seconds": time.as_secs_f64(),
            "executions_a_second": a_second.round(),
            "peak_mib": peak_mib,
            "slowest_ms": took.as_secs_f64() * 1e3,
            "slowest_execution": slowest,
        });
        println!("{figures}");
    } else {
        let peak = peak_mib.map_or("?".to_owned(), |peak| peak.to_string());
        println!(
            "{target:<10} {executions:>10} executions {:>8.1} s {a_second:>9.0}/s, at most {peak} MiB, slowest {:.1} ms (--from {slowest})",
            time.as_secs_f64(),
            took.as_secs_f64() * 1e3,
        );
    }
}

fn tell_fault(fault: &Fault) -> bool {
    let Fault { target, seed, execution, broken, input } = fault;
    let seen: String = broken.seen.chars().take(2_000).collect();
    let input = hex::encode(input);
    println!(
        "{}",
        json!({ "target": target, "seed": seed, "execution": execution, "law": broken.law, "seen": seen, "input": input })
    );
    false
}
