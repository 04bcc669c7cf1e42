//! What two sides decide is two halves, one at each side. The joint state is a pure function of both, so it is the same
//! wherever the same halves have arrived, in whatever order, however often.
//!
//! Never decides for either side; a half that is missing stays missing. It is told the halves and asked; it knows no ledger.

pub mod money;
pub mod order;
pub mod pairing;

use std::collections::BTreeMap;

use time::Date;

use crate::{id::Name, ledger::Version};

/// A half as it is known here, in one version.
#[derive(Clone, Debug, PartialEq)]
pub struct Said<T> {
    /// Its name.
    pub name: Name,
    /// Which version this is.
    pub version: Version,
    /// From this day on it contributes nothing any more.
    pub cut: Option<Date>,
    /// What it says; `None`: it was deleted, it should never have been.
    pub said: Option<T>,
}

/// Of every half the newest version, in the order of their names, however often and in whatever order they came; what was deleted is
/// not among them.
pub fn newest<'a, T>(halves: impl IntoIterator<Item = &'a Said<T>>) -> Vec<(&'a Said<T>, &'a T)> {
    let mut newest: BTreeMap<&str, &Said<T>> = BTreeMap::new();
    for half in halves {
        let standing = newest.entry(half.name.as_str()).or_insert(half);
        let rank = |half: &Said<T>| (half.version, half.said.is_none(), half.cut.is_some());
        if rank(half) > rank(standing) {
            *standing = half;
        }
    }
    newest.into_values().filter_map(|half| Some((half, half.said.as_ref()?))).collect()
}

/// Texts as one, so that other texts never give the same; `None` if one is missing.
#[must_use]
pub fn key(parts: &[Option<&str>]) -> Option<String> {
    let part = |part: &Option<&str>| part.map(|text| text.replace('%', "%25").replace('/', "%2F"));
    parts.iter().map(part).collect::<Option<Vec<_>>>().map(|parts| parts.join("/"))
}

/// Both halves as far as they are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint<T> {
    /// Neither side has said anything.
    Neither,
    /// We have; the other side has not, as far as we know.
    Ours(T),
    /// The other side has; we have not.
    Theirs(T),
    /// Both have.
    Both {
        /// Our half.
        ours: T,
        /// The other side's.
        theirs: T,
    },
}

impl<T> Joint<T> {
    /// Puts the halves side by side.
    #[must_use]
    pub fn of(ours: Option<T>, theirs: Option<T>) -> Self {
        match (ours, theirs) {
            (None, None) => Self::Neither,
            (Some(ours), None) => Self::Ours(ours),
            (None, Some(theirs)) => Self::Theirs(theirs),
            (Some(ours), Some(theirs)) => Self::Both { ours, theirs },
        }
    }

    /// Whether any half that is here is so.
    pub fn any(&self, is: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Neither => false,
            Self::Ours(half) | Self::Theirs(half) => is(half),
            Self::Both { ours, theirs } => is(ours) || is(theirs),
        }
    }
}
