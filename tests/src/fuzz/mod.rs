//! Fuzz targets: whatever reads what others wrote, given inputs without end. Each target makes an input from a number alone, and
//! says what must hold of the answer beside that there is one; the binary `fuzz` runs them for as long as asked.
//!
//! The path of one execution: seed, target and number → [`chance`] → a structured input ([`matter`]), often with its bytes broken →
//! the target's `check`, under a guard against panics, with its time and the process's memory measured ([`run`]) → what was
//! broken, with the input made as small as it can be. Nothing is learned from one execution for the next, so any is repeated alone.

mod card;
pub mod chance;
mod clause;
mod config;
mod filter;
mod mask;
pub mod matter;
mod oracle;
mod page;
mod protobuf;
mod record;
pub mod run;
pub mod script;
mod sheet;
mod text;

use std::str::FromStr;

use chance::Chance;

/// A law that did not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Its name.
    pub law: &'static str,
    /// What was seen instead.
    pub seen: String,
}

/// What a check answers.
pub type Lawful<T = ()> = Result<T, Broken>;

/// It holds, or the execution ends here.
pub(crate) fn must(holds: bool, law: &'static str, seen: impl FnOnce() -> String) -> Lawful {
    if holds { Ok(()) } else { Err(Broken { law, seen: seen() }) }
}

/// Whatever reads what others wrote.
pub trait Target {
    /// An input, from chance alone.
    fn make(&self, chance: &mut Chance) -> Vec<u8>;
    /// Whether the laws hold for an input: any bytes are one.
    fn check(&mut self, input: &[u8]) -> Lawful;
}

/// A target by its name.
#[derive(Clone, Copy)]
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// Makes it ready, with what is broken on purpose.
    pub open: fn(Option<Mutation>) -> Box<dyn Target>,
}

/// Every target, in the order they are run.
pub const TARGETS: &[Named] = &[
    Named { name: "protobuf", open: protobuf::open },
    Named { name: "filter", open: filter::open },
    Named { name: "mask", open: mask::open },
    Named { name: "record", open: record::open },
    Named { name: "clause", open: clause::open },
    Named { name: "page", open: page::open },
    Named { name: "sheet", open: sheet::open },
    Named { name: "card", open: card::open },
    Named { name: "config", open: config::open },
    Named { name: "text", open: text::open },
];

/// The target of this name.
#[must_use]
pub fn named(name: &str) -> Option<Named> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

macro_rules! mutations {
    ($($(#[$doc:meta])* $mutation:ident $name:literal $target:literal)+) => {
        /// A fault planted on purpose, to prove that the laws notice.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[$doc])* $mutation,)+
        }

        impl Mutation {
            /// All, each with its name and the target that has to notice it.
            pub const ALL: &[(&str, &str, Self)] = &[$(($name, $target, Self::$mutation)),+];
        }
    };
}
mutations! {
    /// A reader panics at a byte that it did not expect.
    Panic "panic" "protobuf"
    /// A reader takes ever longer.
    Slow "slow" "protobuf"
    /// A reader keeps what it has read.
    Hoard "hoard" "protobuf"
    /// The walk over a message loses the last byte of a long field.
    LoseByte "lose-byte" "protobuf"
    /// Of several numbers the first counts.
    FirstNumber "first-number" "filter"
    /// A range has no upper end.
    OpenRange "open-range" "filter"
    /// A mask lets numbers pass that it does not name.
    KeepUnknown "keep-unknown" "mask"
    /// A mask drops a frame in which nothing is allowed.
    DropFrame "drop-frame" "mask"
    /// A record in its form gets another each time.
    Unstable "unstable" "record"
    /// The index of words is empty.
    LoseWords "lose-words" "record"
    /// A provider shows a field that no clause names.
    ShowMore "show-more" "clause"
    /// The consumer takes records of other homes from whoever sends them.
    TrustSender "trust-sender" "page"
    /// The consumer acknowledges before it has committed.
    EarlyReceipt "early-receipt" "page"
    /// The last row of a file is not read.
    LoseRow "lose-row" "sheet"
    /// A card is taken for sound if it has any signature.
    TrustCard "trust-card" "card"
    /// A refusal repeats the file that it refuses.
    TellSecret "tell-secret" "config"
    /// An area is over where it begins.
    EarlyEnd "early-end" "text"
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, ..)| *known == name);
        let names = || Self::ALL.iter().map(|(known, ..)| *known).collect::<Vec<_>>().join(", ");
        found.map(|(.., mutation)| *mutation).ok_or_else(names)
    }
}
