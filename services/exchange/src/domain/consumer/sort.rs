//! Good entries from bad ones. What is not the sender's to send, outside the agreement or unreadable is set aside alone; the
//! page goes through.

use prost::Message as _;
use qianshou_kernel::{
    clock::parse_day,
    error::shown,
    id::Name,
    identifier::veiled,
    kind::{Bounds, has_open_number},
    ledger::{Content, End, Version, Write},
    telemetry::Trace,
};
use qianshou_proto::{
    common::v1::EndReason,
    exchange::v1::{Page, PageEntry, QuarantineReason, page_entry},
};

use super::{Consumer, SetAside};
use crate::domain::{
    Limits, Moment, Mutation,
    page::{Head, is_erased},
};

/// Characters of a name that is no name which are kept for the operator.
const NAME_MAX_CHARS: usize = 120;
/// Nobody writes a record so often, nor is restored so often; behind a version near the largest number nothing could follow.
const VERSION_MOST: u64 = 1 << 40;

/// What becomes of a page's entries.
#[derive(Default)]
pub(super) struct Sorted {
    /// Records to be written.
    pub(super) writes: Vec<Write>,
    /// In whose trace each was saved; empty where nobody said.
    pub(super) traces: Vec<Option<Trace>>,
    /// Entries that are set aside.
    pub(super) aside: Vec<SetAside>,
    /// Records that are held already at their version or a later one, and entries that were erased at their home.
    pub(super) skipped: u32,
}

impl Consumer {
    /// Every entry of a page, with the hint at its trace that may have come with it.
    pub(super) fn sort(&self, now: Moment, head: &Head, page: &Page, hints: &[Option<Trace>]) -> Sorted {
        let Sorted { mut writes, mut traces, mut aside, mut skipped } = Sorted::default();
        let hints = hints.iter().copied().map(Some).chain(std::iter::repeat(None));
        for ((place, entry), hint) in (0_u32..).zip(&page.entries).zip(hints) {
            if is_erased(entry) {
                skipped += 1;
                continue;
            }
            match self.admit(now, head, entry) {
                Ok(Write::Received(_, _, Content::End(_))) if self.mutation == Some(Mutation::DropEnd) => {}
                Ok(write) => {
                    skipped += u32::from(self.holds(&write));
                    writes.push(write);
                    traces.extend(hint);
                }
                Err(reason) => {
                    let name = shown(&veiled(entry.name()), NAME_MAX_CHARS);
                    aside.push(SetAside { place, reason, name, entry: entry.encode_to_vec() });
                }
            }
        }
        Sorted { writes, traces, aside, skipped }
    }

    fn holds(&self, write: &Write) -> bool {
        let Write::Received(name, version, _) = write else { return false };
        self.held.get(name.as_str()).is_some_and(|held| version <= held)
    }

    fn admit(&self, now: Moment, head: &Head, entry: &PageEntry) -> Result<Write, QuarantineReason> {
        let name: Name = entry.name().parse().map_err(|_| QuarantineReason::Name)?;
        if name.kind() != entry.kind() || name.home() != entry.home() {
            return Err(QuarantineReason::Name);
        }
        if has_open_number(entry.name(), now.today) {
            return Err(QuarantineReason::IdentityNumber);
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
                let Limits { text_max_chars, record_max_bytes, .. } = self.limits;
                clause.admit(payload, &Bounds { text_max_chars, record_max_bytes, today: now.today })?;
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
    let version = entry.version.unwrap_or_default();
    let version = Version { epoch: version.epoch(), revision: version.revision() };
    if version.epoch == 0 {
        return Err(QuarantineReason::Unreadable);
    }
    if version.epoch > VERSION_MOST || version.revision > VERSION_MOST {
        return Err(QuarantineReason::Version);
    }
    Ok(version)
}
