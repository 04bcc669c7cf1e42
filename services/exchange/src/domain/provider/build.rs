//! From records to a page: masked, in scope, and no more than what the consumer does not have yet.

use std::collections::BTreeMap;

use prost::Message as _;
use qianshou_kernel::{clock::format_day, ledger::Version, telemetry::Trace};
use qianshou_proto::{
    common::v1::{End, EndReason, Version as WireVersion},
    exchange::v1::{Opened, PageEntry, SnapshotComplete, control, page_entry::Content},
};

use super::{Advance, LedgerHead, Made, Outbound, Provider, Shown, Source, SourceContent};
use crate::domain::{Moment, page};

/// Entries on their way into one page.
#[derive(Default)]
struct Draft {
    entries: Vec<PageEntry>,
    traces: Vec<Option<Trace>>,
    bytes: usize,
    shown: BTreeMap<String, Shown>,
    dropped: Vec<String>,
}

impl Outbound {
    /// The stream once it has this page.
    pub(super) fn take(&mut self, made: &Made) {
        self.next = made.number + 1;
        self.digest = made.digest;
        self.pages += 1;
        self.entries += u64::from(made.count);
    }
}

impl Provider {
    /// One step of production from records that were read: a page, or only a position where nothing is in scope.
    pub(super) fn build(
        &self,
        now: Moment,
        base: &Outbound,
        head: LedgerHead,
        sources: Vec<Source>,
        shown: &BTreeMap<String, Shown>,
    ) -> Advance {
        let asked = self.limits.page_max_entries;
        let last = sources.last().map_or(0, |source| source.position);
        let mut reached = if sources.len() >= asked { last } else { head.position.max(last) };
        let mut draft = Draft::default();
        let mut before = if base.epoch == self.row.epoch { self.scanned } else { 0 };
        for source in sources {
            let position = source.position;
            let name = source.name.to_string();
            let content = self.content(now, base.epoch, &source, shown.get(&name));
            if let Some(content) = content {
                let entry = entry_of(base.epoch, &source, content);
                let bytes = entry.encoded_len();
                if !draft.entries.is_empty() && draft.bytes + bytes > self.limits.page_max_bytes {
                    reached = before;
                    break;
                }
                draft.add(base.epoch, name, entry, bytes);
                draft.traces.push(source.trace);
            }
            before = position;
        }
        self.close(now, base, reached, draft)
    }

    /// What the consumer is told of a record; `None`: nothing, for it is none of its business or it has it.
    fn content(&self, now: Moment, epoch: u64, source: &Source, held: Option<&Shown>) -> Option<Content> {
        let clause = self.accord.clauses.get(source.name.kind()).filter(|_| source.name.home() == self.node)?;
        let ended = |reason: i32, on: String| Content::End(End { reason: Some(reason), on: Some(on) });
        let left = || held.map(|_| ended(EndReason::LeftScope.into(), format_day(now.today)));
        match &source.content {
            SourceContent::End(end) => held.map(|_| ended(end.reason, end.on.clone())),
            SourceContent::Put { payload, pseudonym } => match clause.show(payload, pseudonym.as_deref()) {
                Ok(Some(content)) => {
                    let digest = page::digest(&content);
                    let has_it = held.is_some_and(|held| held.epoch == epoch && held.digest == digest);
                    (!has_it).then(|| Content::Put(content.into()))
                }
                // Outside the scope, or not to be masked: either way it is not to be seen.
                Ok(None) | Err(_) => left(),
            },
        }
    }

    fn close(&self, now: Moment, base: &Outbound, reached: u64, draft: Draft) -> Advance {
        let opens = base.next == 1;
        let complete = !opens && base.snapshot.is_some_and(|snapshot| reached >= snapshot);
        let event = match (opens, complete) {
            (true, _) => Some(control::Control::Opened(Opened {})),
            (_, true) => Some(control::Control::SnapshotComplete(SnapshotComplete {})),
            _ => None,
        };
        let mut row = Outbound { position: reached, ..base.clone() };
        let mut made = (event.is_some() || !draft.entries.is_empty())
            .then(|| page::make(&self.place(base), draft.entries, event, now.today, &*self.signer));
        if let Some(made) = &mut made {
            made.page.traces = page::hints(&draft.traces);
            row.take(made);
        }
        if complete {
            row.snapshot = None;
        }
        Advance {
            from: self.row.at(),
            row,
            page: made,
            shown: draft.shown,
            dropped: draft.dropped,
            forget_older: complete,
        }
    }
}

impl Draft {
    fn add(&mut self, epoch: u64, name: String, entry: PageEntry, bytes: usize) {
        match &entry.content {
            Some(Content::Put(content)) => {
                self.shown.insert(name, Shown { epoch, digest: page::digest(content) });
            }
            _ => self.dropped.push(name),
        }
        self.bytes += bytes;
        self.entries.push(entry);
    }
}

fn entry_of(epoch: u64, source: &Source, content: Content) -> PageEntry {
    let version = wire_version(epoch, source.version);
    PageEntry {
        salt: Some(source.salt.to_vec().into()),
        name: Some(source.name.to_string()),
        kind: Some(source.name.kind().to_owned()),
        home: Some(source.name.home().to_owned()),
        version: Some(WireVersion { epoch: Some(version.epoch), revision: Some(version.revision) }),
        content: Some(content),
        leaf: None,
    }
}

/// The version a record has in a stream of an epoch: after a restore every record stands above all it was before.
#[must_use]
pub fn wire_version(epoch: u64, version: Version) -> Version {
    Version { epoch, revision: if version.epoch == epoch { version.revision } else { 0 } }
}
