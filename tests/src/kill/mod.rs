//! Kill runs: a province and the nation in processes of their own, killed and started again while they write and exchange.
//! Whatever was acknowledged must be there afterwards, once; the nation must hold what the agreement lets it see, and no more.
//!
//! The path of a run: records are put → the agreement is signed → [`writers`] write while both processes are killed by the
//! [`Plan`] → quiet → [`check`]. Some runs also restore the province from an older [`backup`], or let a forger speak in its name.

mod backup;
mod check;
mod pair;
mod writers;

use std::{future::Future, ops::Range, time::Duration};

use qianshou_exchange::domain::Mutation;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::{
    World,
    simulation::{Lawful, must},
    verbs::Answer,
};
use pair::Pair;
use writers::Writers;

/// How long a node may stay away before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(30);
/// How long is written where nobody is killed.
const UNDISTURBED: Duration = Duration::from_millis(1_500);

/// What is done to the two nodes; the same for the same seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The rule that the consumer's program breaks, as `QIANSHOU_MUTATION` names it.
    pub mutation: Option<&'static str>,
    /// Whether the agreement puts pseudonyms into workers.
    pseudonyms: bool,
    /// Entries on a page.
    page_max_entries: u32,
    /// Provider's and consumer's, while the first load runs and records change.
    kills: [Vec<Kill>; 2],
    /// Restores the provider from a backup; these kills follow.
    restore: Option<[Vec<Kill>; 2]>,
    /// Writes again once the consumer holds everything: what it holds ends then, however slow the machine is.
    twice: bool,
    /// Lets a forger speak for the provider at the end.
    forge: bool,
}

/// One death.
#[derive(Clone, Debug)]
struct Kill {
    /// How long the process lives before.
    after: Duration,
    /// How long it is away.
    down: Duration,
    /// It is killed again while it starts.
    again: Option<Duration>,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Told {
    /// SIGKILLs.
    pub kills: usize,
    /// Acknowledged writes.
    pub writes: usize,
    /// Pages that the provider made.
    pub pages: u64,
    /// What else was done.
    pub also: Vec<&'static str>,
}

impl Plan {
    /// The plan of an ordinary run. Every fifth restores the provider, every fifth has a forger.
    #[must_use]
    pub fn ordinary(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut kills = [some_kills(&mut chance, 3..6), some_kills(&mut chance, 3..6)];
        // Early enough for the first load.
        kills[1][0].after /= 4;
        let restore = seed.is_multiple_of(5).then(|| [some_kills(&mut chance, 1..2), some_kills(&mut chance, 1..2)]);
        let (pseudonyms, page_max_entries) = (chance.random(), chance.random_range(3..30));
        Self { seed, mutation: None, pseudonyms, page_max_entries, kills, restore, twice: false, forge: seed % 5 == 1 }
    }

    /// The plan that shows best that a rule is broken.
    #[must_use]
    pub fn mutated(seed: u64, name: &'static str, mutation: Mutation) -> Self {
        let calm = || [vec![], vec![]];
        let kills = match mutation {
            Mutation::CursorFirst | Mutation::EarlyReceipt => {
                [vec![], some_kills(&mut StdRng::seed_from_u64(seed), 4..5)]
            }
            Mutation::DropEnd | Mutation::TrustSender | Mutation::IgnoreEpoch => calm(),
        };
        let restore = (mutation == Mutation::IgnoreEpoch).then(calm);
        let (twice, forge) = (mutation == Mutation::DropEnd, mutation == Mutation::TrustSender);
        Self { seed, mutation: Some(name), pseudonyms: true, page_max_entries: 50, kills, restore, twice, forge }
    }
}

fn some_kills(chance: &mut StdRng, times: Range<usize>) -> Vec<Kill> {
    let times = chance.random_range(times);
    (0..times).map(|_| Kill::at_random(chance)).collect()
}

impl Kill {
    fn at_random(chance: &mut StdRng) -> Self {
        let quickly = chance.random_bool(0.3);
        let mut between = |range| Duration::from_millis(chance.random_range(range));
        let (after, down, again) =
            (between(if quickly { 0..150 } else { 300..1_600 }), between(50..300), between(20..400));
        Self { after, down, again: chance.random_bool(0.25).then_some(again) }
    }
}

/// Runs a plan.
///
/// # Errors
/// The first law that was seen broken.
pub async fn run(world: World, plan: Plan) -> Lawful<Told> {
    let mut pair = Pair::open(&world, &plan).await;
    let mut writers = Writers::new(&pair.provider.admin, plan.seed);
    writers.fill().await?;
    pair.offer().await;
    pair.torment(&mut writers, &plan.kills).await?;
    if plan.twice {
        pair.quiet().await?;
        pair.torment(&mut writers, &plan.kills).await?;
    }
    let mut told = Told::default();
    if let Some(kills) = &plan.restore {
        pair.restore(&mut writers, kills).await?;
        told.also.push("restored");
    }
    told.pages = pair.quiet().await?;
    check::provider(&pair, &writers).await?;
    check::consumer(&pair, &writers).await?;
    if plan.forge {
        check::forger(&mut pair).await?;
        told.also.push("forged");
    }
    check::stopped(&mut pair, plan.forge).await?;
    (told.kills, told.writes) = (pair.kills, writers.acknowledged().count());
    Ok(told)
}

/// Asks until it is answered, for a node that was killed comes back. A refusal is an answer, and nobody asked for one.
async fn answered<T, F: Future<Output = Answer<T>>>(mut ask: impl FnMut() -> F) -> Lawful<T> {
    use qianshou_kernel::error::Reason;
    use tonic_types::StatusExt as _;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let reason = status.get_details_error_info().map(|info| info.reason);
        let again = reason
            .as_deref()
            .is_none_or(|reason| [Reason::Busy.as_str_name(), Reason::Unavailable.as_str_name()].contains(&reason));
        must(again && Instant::now() < deadline, "answers", || format!("{status:?}"))?;
        sleep(ASK_AGAIN).await;
    }
}
