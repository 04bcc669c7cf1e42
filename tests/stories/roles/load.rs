//! Five processes of a province, two of them registries that clerks write at without a pause; one is killed, or told to end.

use std::collections::HashMap;

use qianshou_proto::{ledger::v1::ReadEntriesRequest, registry::v1::Agency};
use qianshou_tests::{
    Caller, World, eventually, on_postgres,
    process::{Process, Town},
    sample::agency,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{figures_of, position};

on_postgres! {
    a_killed_registry_loses_nothing_acknowledged
    a_registry_that_ends_loses_no_call
}

/// Clerks at each registry.
const CLERKS: u32 = 4;
/// Writes before and after what is done to one of them.
const WRITES: u64 = 150;

/// What a clerk was told.
#[derive(Default)]
struct Told {
    acknowledged: Vec<(String, u64)>,
    failed: Vec<Status>,
}

/// What a clerk does about a call that failed.
#[derive(Clone, Copy)]
enum Then<'a> {
    /// Goes home.
    Leave,
    /// Asks another, anew: had the first begun it, it would be refused as a duplicate.
    Ask(&'a Caller),
}

struct Five {
    town: Town,
    one: Process,
    two: Process,
    others: Vec<Process>,
}

/// Whoever ends answers first what it has begun, however busy the machine is.
const DRAINS: [(&str, &str); 1] = [("QIANSHOU__LIMITS__DRAIN_TIMEOUT_MS", "20000")];

impl Five {
    async fn open(world: &World) -> Self {
        let town = world.town("64").await;
        let houses = ["registry", "registry", "exchange", "reporting", "reporting"];
        let mut all = futures::future::join_all(houses.map(|house| town.serve(house, &DRAINS))).await.into_iter();
        let (one, two) = (all.next().unwrap(), all.next().unwrap());
        Self { one, two, others: all.collect(), town }
    }

    /// Waits until as much more was written, here or there.
    async fn more(&self) {
        let before = position(&self.two.admin).await;
        let more = async || (position(&self.two.admin).await >= before + WRITES).then_some(());
        eventually("more writes", more).await;
    }

    /// Everything that was acknowledged is in the ledger, once, where it was said to be; and of what failed nothing, or what
    /// was in flight.
    async fn check(&self, told: &[Told], unknown: usize) {
        let asked =
            ReadEntriesRequest { kinds: vec!["agencies".into()], history: Some(true), ..ReadEntriesRequest::default() };
        let mut feed = self.two.admin.feed().read_entries(asked).await.unwrap().into_inner();
        let mut held: HashMap<String, u64> = HashMap::new();
        while let Some(part) = feed.message().await.unwrap() {
            for entry in part.entries {
                assert!(held.insert(entry.name().to_owned(), entry.position()).is_none(), "{} twice", entry.name());
            }
        }
        let mut acknowledged = 0;
        for (name, position) in told.iter().flat_map(|told| &told.acknowledged) {
            assert_eq!(held.get(name), Some(position), "{name} was acknowledged");
            acknowledged += 1;
        }
        assert!(acknowledged as u64 >= WRITES * 2 && held.len() - acknowledged <= unknown);
        for reporting in &self.others[1..] {
            let counted = figures_of(&reporting.admin, &["agency_total"]).await;
            assert_eq!(counted, [i64::try_from(held.len()).unwrap()]);
        }
        super::counted_once(&self.town).await;
    }
}

/// Writes one agency after another until it is over.
async fn clerk(number: u32, by: &Caller, then: Then<'_>, over: &CancellationToken) -> Told {
    let mut told = Told::default();
    for n in number * 10_000.. {
        if over.is_cancelled() {
            break;
        }
        let mut answer = by.create::<Agency>(agency(n)).await;
        if let Err(status) = answer {
            told.failed.push(status);
            let Then::Ask(other) = then else { break };
            answer = other.create(agency(n)).await;
        }
        let saved = answer.expect("the other registry takes it");
        told.acknowledged.push((saved.noun.name().to_owned(), saved.position));
    }
    told
}

async fn clerks(first: u32, by: &Caller, then: Then<'_>, over: &CancellationToken) -> Vec<Told> {
    futures::future::join_all((first..first + CLERKS).map(|number| clerk(number, by, then, over))).await
}

async fn a_killed_registry_loses_nothing_acknowledged(world: World) {
    let mut five = Five::open(&world).await;
    let over = CancellationToken::new();
    let (one, two) = (five.one.admin.clone(), five.two.admin.clone());
    let killed = async {
        five.more().await;
        five.one.kill().await;
        five.more().await;
        over.cancel();
    };
    let (mut at_one, at_two, ()) =
        tokio::join!(clerks(0, &one, Then::Leave, &over), clerks(CLERKS, &two, Then::Leave, &over), killed);
    for told in &at_two {
        assert!(told.failed.is_empty(), "the other registry was not touched: {:?}", told.failed);
    }
    for told in &at_one {
        assert_eq!(told.failed.len(), 1, "a clerk has one call in flight");
    }
    at_one.extend(at_two);
    five.check(&at_one, CLERKS as usize).await;
}

async fn a_registry_that_ends_loses_no_call(world: World) {
    let mut five = Five::open(&world).await;
    let over = CancellationToken::new();
    let (one, two) = (five.one.admin.clone(), five.two.admin.clone());
    let stopped = async {
        five.more().await;
        assert_eq!(five.one.stop().await, Some(0), "{}", five.one.said());
        five.more().await;
        over.cancel();
    };
    let (mut at_one, at_two, ()) =
        tokio::join!(clerks(0, &one, Then::Ask(&two), &over), clerks(CLERKS, &two, Then::Leave, &over), stopped);
    for told in &at_two {
        assert!(told.failed.is_empty(), "the other registry was not touched: {:?}", told.failed);
    }
    for status in at_one.iter().flat_map(|told| &told.failed) {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    assert!(at_one.iter().all(|told| !told.failed.is_empty()), "each clerk saw it go");
    at_one.extend(at_two);
    five.check(&at_one, 0).await;
}
