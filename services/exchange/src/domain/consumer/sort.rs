//! Good entries from bad ones. What is not the sender's to send, outside the agreement or unreadable is set aside alone; the
//! page goes through.

use prost::Message as _;
use qianshou_kernel::{
    clock::parse_day,
    id::Name,
    ledger::{Content, End, Version, Write},
    telemetry::Trace,
};
use qianshou_proto::{
    common::v1::EndReason,
    exchange::v1::{Page, PageEntry, QuarantineReason, page_entry},
};

use super::{Consumer, SetAside};
use crate::domain::{Mutation, page::Head};

/// Characters of a name that is no name which are kept for the operator.
const NAME_MAX_CHARS: usize = 120;

/// What becomes of a page's entries.
#[derive(Default)]
pub(super) struct Sorted {
    /// Records to be written.
    pub(super) writes: Vec<Write>,
    /// In whose trace each was saved; empty where nobody said.
    pub(super) traces: Vec<Option<Trace>>,
    /// Entries that are set aside.
    pub(super) aside: Vec<SetAside>,
}

impl Consumer {
    /// Every entry of a page, with the hint at its trace that may have come with it.
    pub(super) fn sort(&self, head: &Head, page: &Page, hints: &[Option<Trace>]) -> Sorted {
        let Sorted { mut writes, mut traces, mut aside } = Sorted::default();
        let hints = hints.iter().copied().map(Some).chain(std::iter::repeat(None));
        for ((place, entry), hint) in (0_u32..).zip(&page.entries).zip(hints) {
            match self.admit(head, entry) {
                Ok(Write::Received(_, _, Content::End(_))) if self.mutation == Some(Mutation::DropEnd) => {}
                Ok(write) => {
                    writes.push(write);
                    traces.extend(hint);
                }
                Err(reason) => {
                    let name = printable(entry.name());
                    aside.push(SetAside { place, reason, name, entry: entry.encode_to_vec() });
                }
            }
        }
        Sorted { writes, traces, aside }
    }

    fn admit(&self, head: &Head, entry: &PageEntry) -> Result<Write, QuarantineReason> {
        let name: Name = entry.name().parse().map_err(|_| QuarantineReason::Name)?;
        if name.kind() != entry.kind() || name.home() != entry.home() {
            return Err(QuarantineReason::Name);
        }
        let trusting = self.mutation == Some(Mutation::TrustSender);
        if name.home() != self.accord.provider && !trusting {
            return Err(QuarantineReason::ForeignHome);
        }
        let clause = self.accord.clauses.get(name.kind()).ok_or(QuarantineReason::UnknownKind)?;
        if clause.home().is_some_and(|home| home != name.home()) && !trusting {
            return Err(QuarantineReason::ForeignHome);
        }
        let version = version_of(entry)?;
        if version.epoch > head.epoch {
            return Err(QuarantineReason::Stale);
        }
        let content = match entry.content.as_ref().ok_or(QuarantineReason::Unreadable)? {
            page_entry::Content::Put(payload) => {
                clause.admit(payload)?;
                Content::Put { payload: payload.clone(), sealed: None }
            }
            page_entry::Content::End(end) => {
                if end.reason() == EndReason::Unspecified || parse_day(end.on()).is_none() {
                    return Err(QuarantineReason::Unreadable);
                }
                Content::End(End { reason: end.reason().into(), on: end.on().to_owned() })
            }
        };
        Ok(Write::Received(name, version, content))
    }
}

/// A version that can be stored and compared.
fn version_of(entry: &PageEntry) -> Result<Version, QuarantineReason> {
    const MOST: u64 = i64::MAX as u64;
    let version = entry.version.unwrap_or_default();
    let version = Version { epoch: version.epoch(), revision: version.revision() };
    let sound = (1..=MOST).contains(&version.epoch) && version.revision <= MOST;
    if sound { Ok(version) } else { Err(QuarantineReason::Unreadable) }
}

/// A text from outside, fit for a database and a screen.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(NAME_MAX_CHARS).collect()
}
