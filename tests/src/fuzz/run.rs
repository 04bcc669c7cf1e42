//! One target for as long as asked: each execution under a guard, timed; the process's memory watched; the first input that breaks a
//! law is made as small as it can be.

use std::{
    cell::Cell,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Broken, Lawful, Mutation, Named, Target,
    chance::{Chance, INPUT_MAX_BYTES},
};

/// Executions between two looks at the memory.
const LOOK_EVERY: u64 = 512;
/// Executions that are tried to make an input smaller, at most.
const SMALLER_MAX_TRIES: usize = 4_000;
/// How long that may take.
const SMALLER_MAX: Duration = Duration::from_secs(20);
/// How often an input is repeated before it counts as slow: the machine may have been busy with something else.
const SLOW_TRIES: usize = 4;

/// What is asked of a run.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What decides all inputs.
    pub seed: u64,
    /// The first execution.
    pub from: u64,
    /// So many executions; `None`: until the time is over.
    pub executions: Option<u64>,
    /// For so long; `None`: until the executions are done.
    pub time: Option<Duration>,
    /// The process may hold so much memory; `None`: nobody looks.
    pub memory_max_mib: Option<u64>,
    /// One execution may take so long.
    pub slow: Duration,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
    /// Whether each execution is told before it begins, for the one that ends the process.
    pub trace: bool,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Report {
    /// The target.
    pub target: &'static str,
    /// Executions.
    pub executions: u64,
    /// How long they took.
    pub time: Duration,
    /// The most memory that the process held meanwhile, if the system tells.
    pub peak_mib: Option<u64>,
    /// The execution that took longest, and how long.
    pub slowest: (u64, Duration),
}

/// An input that broke a law.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The target.
    pub target: &'static str,
    /// What decides the input.
    pub seed: u64,
    /// Its number.
    pub execution: u64,
    /// What was broken.
    pub broken: Broken,
    /// The smallest input found that breaks the same law.
    pub input: Vec<u8>,
}

/// Runs a target.
///
/// # Errors
/// The first execution that broke a law.
pub fn run(named: Named, asked: &Asked) -> Result<Report, Box<Fault>> {
    forget_peak();
    let mut target = (named.open)(asked.mutation);
    let since = Instant::now();
    let (mut execution, mut slowest) = (asked.from, (asked.from, Duration::ZERO));
    let until = asked.executions.map_or(u64::MAX, |executions| asked.from.saturating_add(executions));
    while execution < until && asked.time.is_none_or(|time| since.elapsed() < time) {
        if asked.trace {
            eprintln!("{} --from {execution}", named.name);
        }
        let input = input_of(&*target, named.name, asked.seed, execution);
        let begun = Instant::now();
        let lawful = guarded(&mut *target, &input);
        let took = begun.elapsed();
        let lawful = lawful.and_then(|()| in_time(&mut *target, &input, took, asked.slow));
        let look = execution % LOOK_EVERY == 0 || took > asked.slow / 8;
        let lawful = lawful.and_then(|()| if look { in_memory(asked) } else { Ok(()) });
        if let Err(broken) = lawful {
            let input = smaller(&mut *target, input, &broken, asked);
            return Err(Box::new(Fault { target: named.name, seed: asked.seed, execution, broken, input }));
        }
        if took > slowest.1 {
            let took = (0..SLOW_TRIES).map(|_| timed(&mut *target, &input)).fold(took, Duration::min);
            slowest = if took > slowest.1 { (execution, took) } else { slowest };
        }
        execution += 1;
    }
    Ok(Report {
        target: named.name,
        executions: execution - asked.from,
        time: since.elapsed(),
        peak_mib: peak_mib(),
        slowest,
    })
}

/// Gives a target one input that is known.
///
/// # Errors
/// The law that it breaks.
pub fn once(named: Named, input: &[u8], asked: &Asked) -> Lawful {
    let mut target = (named.open)(asked.mutation);
    let took = Instant::now();
    guarded(&mut *target, input)?;
    in_time(&mut *target, input, took.elapsed(), asked.slow)?;
    in_memory(asked)
}

fn input_of(target: &dyn Target, name: &str, seed: u64, execution: u64) -> Vec<u8> {
    let mut input = target.make(&mut Chance::of(seed, name, execution));
    input.truncate(INPUT_MAX_BYTES);
    input
}

static PANICKED: Mutex<String> = Mutex::new(String::new());

/// Panics are kept to be told with their input, not printed.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panicked| {
        *PANICKED.lock().unwrap_or_else(PoisonError::into_inner) = panicked.to_string();
    }));
}

fn guarded(target: &mut dyn Target, input: &[u8]) -> Lawful {
    catch_unwind(AssertUnwindSafe(|| target.check(input))).unwrap_or_else(|panicked| {
        let kept = std::mem::take(&mut *PANICKED.lock().unwrap_or_else(PoisonError::into_inner));
        let text = panicked.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Broken { law: "no-panic", seen: if kept.is_empty() { text.unwrap_or_default() } else { kept } })
    })
}

fn timed(target: &mut dyn Target, input: &[u8]) -> Duration {
    let begun = Instant::now();
    drop(guarded(target, input));
    begun.elapsed()
}

fn in_time(target: &mut dyn Target, input: &[u8], took: Duration, slow: Duration) -> Lawful {
    let mut least = took;
    for _ in 0..SLOW_TRIES {
        if least <= slow {
            return Ok(());
        }
        least = least.min(timed(target, input));
    }
    let seen = format!("{} ms for {} bytes", least.as_millis(), input.len());
    Err(Broken { law: "bounded-time", seen })
}

fn in_memory(asked: &Asked) -> Lawful {
    match (peak_mib(), asked.memory_max_mib) {
        (Some(peak), Some(most)) if peak > most => Err(Broken {
            law: "bounded-memory",
            seen: format!("{peak} MiB, since one of the last {LOOK_EVERY} executions"),
        }),
        _ => Ok(()),
    }
}

/// The most memory that the process has held, as Linux tells it.
#[must_use]
pub fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024)
}

/// From here on the peak is counted anew, where the system can.
fn forget_peak() {
    drop(fs::write("/proc/self/clear_refs", "5"));
}

/// Cuts and zeroes parts of an input as long as it breaks the same law.
fn smaller(target: &mut dyn Target, input: Vec<u8>, broken: &Broken, asked: &Asked) -> Vec<u8> {
    let since = Instant::now();
    let tries = Cell::new(0);
    let breaks = |target: &mut dyn Target, input: &[u8]| {
        tries.set(tries.get() + 1);
        let took = Instant::now();
        let lawful = guarded(target, input);
        let lawful = lawful.and_then(|()| {
            if broken.law == "bounded-time" { in_time(target, input, took.elapsed(), asked.slow) } else { Ok(()) }
        });
        lawful.is_err_and(|other| other.law == broken.law)
    };
    let mut least = input;
    // What came over many executions is in no single input.
    if !breaks(target, &least) {
        return least;
    }
    let mut length = least.len().div_ceil(2);
    while length > 0 {
        let (mut at, mut shrunk) = (0, false);
        while at < least.len() {
            if tries.get() > SMALLER_MAX_TRIES || since.elapsed() > SMALLER_MAX {
                return least;
            }
            let to = (at + length).min(least.len());
            let cut = [&least[..at], &least[to..]].concat();
            let zeroed = [&least[..at], &vec![0; to - at][..], &least[to..]].concat();
            if breaks(target, &cut) {
                (least, shrunk) = (cut, true);
                continue;
            }
            if zeroed != least && breaks(target, &zeroed) {
                least = zeroed;
            }
            at = to;
        }
        if !(shrunk && length == 1) {
            length /= 2;
        }
    }
    least
}
