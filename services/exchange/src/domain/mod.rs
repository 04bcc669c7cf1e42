//! Agreements, pages and the two state machines that carry them. Pure: no async, no SQL, no tonic, no clock.
//!
//! [`agreement`] says what may cross and whether it may today; [`page`] is the envelope, [`tree`] the hash under it;
//! [`provider`] and [`consumer`] decide. Whoever drives a machine carries out its outputs in their order, one at a
//! time, and hands the answer to one in before anything else; it may stop dead between any two of them.

pub mod agreement;
pub mod consumer;
pub mod page;
pub mod peer;
pub mod provider;
pub mod sensitivity;
pub mod tree;

use std::str::FromStr;

use qianshou_kernel::error::{Error, Reason, Result, Violation};
use qianshou_proto::exchange::v1::AgreementState;
use time::Date;

/// Limits of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries in one page at most.
    pub page_max_entries: usize,
    /// Bytes of the entries in one page at most, unless one entry alone is larger.
    pub page_max_bytes: usize,
    /// Pages made and not yet acknowledged at most.
    pub window_pages: u32,
    /// Characters in one text field of a received record at most.
    pub text_max_chars: usize,
    /// Bytes of one received record at most.
    pub record_max_bytes: usize,
}

/// What a decision may know of the moment it is taken in.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Today in China.
    pub today: Date,
    /// How the agreement stands today.
    pub state: AgreementState,
}

/// A rule broken on purpose, to prove that the tests notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The consumer commits its cursor before the data.
    CursorFirst,
    /// The consumer drops ends.
    DropEnd,
    /// The consumer takes records of other homes from whoever sends them.
    TrustSender,
    /// The consumer acknowledges before it has committed.
    EarlyReceipt,
    /// The consumer keeps what a restored provider no longer has.
    IgnoreEpoch,
}

impl Mutation {
    const ALL: [(&str, Self); 5] = [
        ("cursor-first", Self::CursorFirst),
        ("drop-end", Self::DropEnd),
        ("trust-sender", Self::TrustSender),
        ("early-receipt", Self::EarlyReceipt),
        ("ignore-epoch", Self::IgnoreEpoch),
    ];

    /// The mutation that the environment names; none unless this was built to be mutated.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        #[cfg(feature = "mutations")]
        #[expect(clippy::disallowed_methods, reason = "only a build for tests reads it, and only here")]
        return std::env::var("QIANSHOU_MUTATION").ok().and_then(|name| name.parse().ok());
        #[cfg(not(feature = "mutations"))]
        None
    }
}

impl FromStr for Mutation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        let names = || Self::ALL.map(|(known, _)| known).join(", ");
        found.map(|(_, mutation)| mutation).ok_or_else(|| Error::refused("mutation", Reason::NotInList, names()))
    }
}

/// A violation whose texts are its own.
pub(crate) fn violation(field: impl Into<String>, reason: Reason, zh: &str, en: &str) -> Violation {
    let field = field.into();
    let at = if field.is_empty() { String::new() } else { format!("{field}: ") };
    Violation { zh: format!("{at}{zh}"), en: format!("{at}{en}"), field, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_are_read_by_name() {
        for (name, mutation) in Mutation::ALL {
            assert_eq!(name.parse::<Mutation>().unwrap(), mutation);
        }
        assert!("cursor_first".parse::<Mutation>().is_err());
    }
}
