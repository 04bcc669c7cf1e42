//! A seeded world for the exchange: the machines of production, without threads, clocks or sockets of their own. One seed is one
//! history, to the byte: who saves what, which message is lost, repeated, late or cut off, which side falls over between which
//! two steps, which backup is put back. What the machines keep stands in a [`disk::Disk`]: a model, or the real ledger on SQLite.
//!
//! The path of one history: [`world`] is drawn from the seed → steps at random → perfect network until nothing moves → what must
//! be true ([`oracle`] at every commit, the rest at the end). Never looks into a machine: it sees what is said and what is kept.

mod cast;
mod disk;
mod finish;
mod network;
mod oracle;
mod sqlite;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use qianshou_exchange::domain::Mutation;

/// A law that did not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Its name.
    pub law: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// What a step answers.
pub(crate) type Lawful<T = ()> = Result<T, Broken>;

/// It holds, or the history ends here.
pub(crate) fn must(holds: bool, law: &'static str, seen: impl FnOnce() -> String) -> Lawful {
    if holds { Ok(()) } else { Err(Broken { law, seen: seen() }) }
}

/// How a history went.
#[derive(Clone, Debug)]
pub struct Told {
    /// What decides all of it.
    pub seed: u64,
    /// How many steps it had, and at which it ended if a law was broken.
    pub steps: u64,
    /// What was broken.
    pub broken: Option<Broken>,
}

/// Whether a seed's history stands on the real ledger.
#[must_use]
pub fn is_real(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

/// The seed of number `index` in a run of `histories` that begins with `first`: the first is `first` itself, so any history is
/// told again by its own seed. The last bit says on what it stands: at least 500 of a run, or half of a short one, on the real ledger.
#[must_use]
pub fn seed_of(first: u64, index: u64, histories: u64) -> u64 {
    const BITS: u64 = (1 << 48) - 1;
    if index == 0 {
        return first;
    }
    let every = (histories / 500).max(2);
    // SplitMix64, so that neighbours have nothing in common. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators".
    let mut mixed = first.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) & BITS & !1) | u64::from(index % every != 1)
}

/// Tells one history.
#[must_use]
pub fn tell(seed: u64, mutation: Option<Mutation>) -> Told {
    let mut steps = 0;
    let told = catch_unwind(AssertUnwindSafe(|| world::World::of(seed, mutation).tell(&mut steps)));
    let broken =
        told.unwrap_or_else(|_| Err(Broken { law: "no-panic", seen: "the panic is told above".to_owned() })).err();
    Told { seed, steps, broken }
}
