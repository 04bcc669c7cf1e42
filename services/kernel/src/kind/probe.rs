//! Doors for those who try what anybody may send: the pure halves of the verbs, without a database. No part of a node calls them.

use std::collections::BTreeSet;

use prost::DecodeError;
use time::Date;

use super::{Kind, Noun, check::Check, decide, found::Sought, read_etag};
use crate::{
    db::Words,
    error::{Result, Violation},
    ledger::Version,
};

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBy {
    /// The text that decides; `None`: it is not found.
    pub text: Option<String>,
    /// The words that narrow, between spaces.
    pub words: String,
}

/// What becomes of a record before the database is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Formed {
    /// In its one form, without what is sealed.
    pub payload: Vec<u8>,
    /// What is wrong with it.
    pub violations: Vec<Violation>,
}

/// [`Formed`] of a payload, for a day, a node and a longest text.
pub(super) type Former = fn(&[u8], Date, &str, usize) -> Result<Formed, DecodeError>;

pub(super) fn formed<N: Noun>(
    payload: &[u8],
    today: Date,
    home: &str,
    text_max_chars: usize,
) -> Result<Formed, DecodeError> {
    use prost::Message as _;
    let mut record = N::Record::decode(payload)?;
    let mut check = Check::new(today, home, text_max_chars);
    decide::in_form::<N>(&mut record, &mut check);
    N::take_secret(&mut record);
    Ok(Formed { payload: record.encode_to_vec(), violations: check.violations })
}

impl Kind {
    /// What a payload is found by.
    pub fn found_by(&self, payload: &[u8]) -> Result<FoundBy, DecodeError> {
        self.whole_index(payload, None).map(|index| FoundBy { text: index.found, words: index.words })
    }

    /// A payload as a verb brings it into its form.
    pub fn formed(
        &self,
        payload: &[u8],
        today: Date,
        home: &str,
        text_max_chars: usize,
    ) -> Result<Formed, DecodeError> {
        (self.former)(payload, today, home, text_max_chars)
    }

    /// Whether a record is meant by what somebody types, and whether its words say so, too; `None`: nothing is sought.
    #[must_use]
    pub fn finds(&self, query: &str, record: &FoundBy) -> Option<(bool, bool)> {
        let sought = Sought::new(query)?;
        let held: BTreeSet<&str> = record.words.split(' ').collect();
        let narrows = sought.words(self.collection).is_none_or(|asked| has(&held, &asked));
        Some((record.text.as_deref().is_some_and(|text| sought.fits(text)), narrows))
    }
}

/// An etag as a version.
pub fn version_of(etag: &str) -> Result<Version> {
    read_etag(etag)
}

/// As the databases understand it.
fn has(held: &BTreeSet<&str>, asked: &Words) -> bool {
    match asked {
        Words::Whole(word) => held.contains(word.as_str()),
        Words::Begun(word) => held.range(word.as_str()..).next().is_some_and(|held| held.starts_with(word)),
        Words::All(all) => all.iter().all(|asked| has(held, asked)),
        Words::Any(any) => any.iter().any(|asked| has(held, asked)),
    }
}
