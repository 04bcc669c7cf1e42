//! `simulate --histories N [--seed S] [--mutation NAME]`: tells N seeded histories of the exchange. 0: no law was broken; 1: one
//! was, and the last line says which, in which history and at which step; that seed with `--histories 1` tells it again.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use qianshou_exchange::domain::Mutation;
use qianshou_tests::simulation::{Told, is_real, seed_of, tell};

const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Tells seeded histories of the exchange and looks whether its laws hold.
#[derive(Parser)]
struct Asked {
    /// How many histories.
    #[arg(long, value_name = "N")]
    histories: u64,
    /// The seed of the first; the others follow from it.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// A rule that the consumers break: cursor-first, drop-end, trust-sender, early-receipt, ignore-epoch.
    #[arg(long, value_name = "NAME", value_parser = |name: &str| name.parse::<Mutation>().map_err(|refusal| refusal.to_string()))]
    mutation: Option<Mutation>,
}

/// What several hands have told so far.
#[derive(Default)]
struct Tally {
    next: AtomicU64,
    told: AtomicU64,
    real: AtomicU64,
    steps: AtomicU64,
    /// The first history that broke a law, by number: the same however many hands there are.
    broken: Mutex<Option<(u64, Told)>>,
}

impl Tally {
    fn broken(&self) -> Option<(u64, Told)> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, asked: &Asked) {
        loop {
            let index = self.next.fetch_add(1, Ordering::SeqCst);
            if index >= asked.histories || self.broken().is_some() {
                return;
            }
            let seed = seed_of(asked.seed, index, asked.histories);
            let told = tell(seed, asked.mutation);
            self.told.fetch_add(1, Ordering::SeqCst);
            self.real.fetch_add(u64::from(is_real(seed)), Ordering::SeqCst);
            self.steps.fetch_add(told.steps, Ordering::SeqCst);
            if told.broken.is_some() {
                let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
                if broken.as_ref().is_none_or(|(first, _)| index < *first) {
                    *broken = Some((index, told));
                }
            }
        }
    }

    fn summary(&self, since: Instant) -> String {
        let [told, real, steps] = [&self.told, &self.real, &self.steps].map(|count| count.load(Ordering::SeqCst));
        format!(
            "{told} histories, {real} of them on the real ledger, {steps} steps, {:.1} s",
            since.elapsed().as_secs_f64()
        )
    }
}

fn main() -> ExitCode {
    let (asked, since, tally) = (Asked::parse(), Instant::now(), Tally::default());
    thread::scope(|scope| {
        let hands = thread::available_parallelism().map_or(1, usize::from);
        let hands: Vec<_> = (0..hands).map(|_| scope.spawn(|| tally.tell(&asked))).collect();
        let mut said = Instant::now();
        while !hands.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(20));
            if said.elapsed() > PROGRESS_EVERY {
                eprintln!("{}", tally.summary(since));
                said = Instant::now();
            }
        }
    });
    println!("{}", tally.summary(since));
    let Some((index, Told { seed, steps, broken })) = tally.broken() else { return ExitCode::SUCCESS };
    if let Some(broken) = broken {
        eprintln!("history {index}: {}: {}", broken.law, broken.seen);
        println!("{}", serde_json::json!({ "law": broken.law, "seed": seed, "step": steps }));
    }
    ExitCode::FAILURE
}
