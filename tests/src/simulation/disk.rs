//! What a node keeps, and the two things it may be kept by. [`Model`] is maps; the other is the real ledger.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_exchange::domain::{
    consumer::{self, Inbound},
    provider::{self, LedgerHead, Outbound, Shown},
    tree::Hash,
};
use qianshou_kernel::{
    id::Name,
    ledger::{Content, End, Version, Write},
};
use qianshou_proto::{
    common::v1::EndReason,
    exchange::v1::{Page, Receipt, StreamState},
};

/// A record's newest entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub position: u64,
    pub name: Name,
    pub version: Version,
    pub content: Content,
}

/// What stays when a process falls over. Everything that is changed is changed whole, and lasts.
pub trait Disk {
    /// What lies there now, for whoever opens it next: after a crash, or as a backup.
    fn copy(&self) -> Box<dyn Disk>;
    fn head(&self) -> LedgerHead;
    /// Saves a record of our own; `false`: the ledger refused it.
    fn save(&mut self, name: &Name, content: Content) -> bool;
    fn declare_epoch(&mut self);
    /// Records after a position, each once at its newest version, in order.
    fn after(&self, position: u64, kinds: &[&str], limit: u32) -> Vec<Entry>;
    fn outbound(&self, stream: &str) -> Outbound;
    /// `false`: it relied on what is no longer so.
    fn outbound_commit(&mut self, commit: &provider::Commit) -> bool;
    fn page(&self, stream: &str, epoch: u64, number: u64) -> Option<Page>;
    fn held(&self, stream: &str, names: &[String]) -> BTreeMap<String, Shown>;
    fn inbound(&self, stream: &str) -> Inbound;
    /// `false`: it relied on what is no longer so.
    fn inbound_commit(&mut self, provider: &str, commit: &consumer::Commit) -> bool;
    fn recall(&self, stream: &str, epoch: u64, number: u64) -> Option<(Hash, Receipt)>;
    /// Recovery claims: epoch and name.
    fn claims(&self, stream: &str) -> BTreeSet<(u64, String)>;
    /// How many entries lie aside.
    fn set_aside(&self, stream: &str) -> u64;
}

#[derive(Clone, Default)]
struct Sent {
    row: Option<Outbound>,
    pages: BTreeMap<(u64, u64), Page>,
    held: BTreeMap<String, Shown>,
}

#[derive(Clone, Default)]
struct Got {
    row: Option<Inbound>,
    received: BTreeMap<(u64, u64), (Hash, Receipt)>,
    claims: BTreeSet<(u64, String)>,
    aside: u64,
}

/// Maps that behave as the tables do.
#[derive(Clone)]
pub struct Model {
    head: LedgerHead,
    records: BTreeMap<String, Entry>,
    sent: BTreeMap<String, Sent>,
    got: BTreeMap<String, Got>,
}

impl Model {
    pub fn new() -> Self {
        let head = LedgerHead { epoch: 1, position: 0 };
        Self { head, records: BTreeMap::new(), sent: BTreeMap::new(), got: BTreeMap::new() }
    }

    fn lay(&mut self, name: &Name, version: Version, content: Content) {
        self.head.position += 1;
        let entry = Entry { position: self.head.position, name: name.clone(), version, content };
        self.records.insert(name.to_string(), entry);
    }

    fn receive(&mut self, name: &Name, version: Version, content: Content) {
        if self.records.get(name.as_str()).is_none_or(|held| version > held.version) {
            self.lay(name, version, content);
        }
    }

    fn sweep(&mut self, stream: &str, sweep: &consumer::Sweep, written: &[Write]) {
        let sent: BTreeSet<&Name> = written
            .iter()
            .map(|write| match write {
                Write::Own(name, _) | Write::Received(name, ..) => name,
            })
            .collect();
        let gone: Vec<Name> = self
            .records
            .values()
            .filter(|entry| {
                entry.name.home() == sweep.home
                    && entry.version.epoch < sweep.epoch
                    && matches!(entry.content, Content::Put { .. })
            })
            .filter(|entry| sweep.kinds.iter().any(|kind| kind == entry.name.kind()) && !sent.contains(&entry.name))
            .map(|entry| entry.name.clone())
            .collect();
        for name in gone {
            let end = End { reason: EndReason::Deleted.into(), on: sweep.on.clone() };
            self.receive(&name, Version { epoch: sweep.epoch, revision: 0 }, Content::End(end));
            self.got.entry(stream.to_owned()).or_default().claims.insert((sweep.epoch, name.to_string()));
        }
    }

    fn advance(&mut self, advance: &provider::Advance) -> bool {
        let provider::Advance { from, row, page, shown, dropped, forget_older } = advance;
        let before = self.outbound(&row.stream);
        if before.at() != *from {
            return false;
        }
        let Outbound { acked, applied, quarantined, state, refusal, .. } = before;
        let mut after = Outbound { applied, quarantined, ..row.clone() };
        if row.epoch == from.epoch {
            after.acked = acked;
            (after.state, after.refusal) =
                if row.state == StreamState::Ended { (row.state, None) } else { (state, refusal) };
        } else {
            (after.acked, after.refusal) = (0, None);
        }
        let sent = self.sent.entry(row.stream.clone()).or_default();
        sent.row = Some(after);
        if let Some(made) = page {
            assert!(sent.pages.insert((made.epoch, made.number), made.page.clone()).is_none(), "a page is made twice");
        }
        sent.held.extend(shown.clone());
        sent.held.retain(|name, shown| !(dropped.contains(name) || *forget_older && shown.epoch < row.epoch));
        true
    }
}

impl Disk for Model {
    fn copy(&self) -> Box<dyn Disk> {
        Box::new(self.clone())
    }

    fn head(&self) -> LedgerHead {
        self.head
    }

    fn save(&mut self, name: &Name, content: Content) -> bool {
        let held = self.records.get(name.as_str());
        if held.is_some_and(|held| matches!(held.content, Content::End(_))) {
            return false;
        }
        let revision = held.map_or(1, |held| held.version.revision + 1);
        self.lay(name, Version { epoch: self.head.epoch, revision }, content);
        true
    }

    fn declare_epoch(&mut self) {
        self.head.epoch += 1;
    }

    fn after(&self, position: u64, kinds: &[&str], limit: u32) -> Vec<Entry> {
        let wanted =
            |entry: &&Entry| entry.position > position && (kinds.is_empty() || kinds.contains(&entry.name.kind()));
        let mut found: Vec<Entry> = self.records.values().filter(wanted).cloned().collect();
        found.sort_by_key(|entry| entry.position);
        found.truncate(limit as usize);
        found
    }

    fn outbound(&self, stream: &str) -> Outbound {
        self.sent.get(stream).and_then(|sent| sent.row.clone()).unwrap_or_else(|| Outbound::new(stream))
    }

    fn outbound_commit(&mut self, commit: &provider::Commit) -> bool {
        let (stream, row) = match commit {
            provider::Commit::Advance(advance) => return self.advance(advance),
            provider::Commit::Acknowledge { stream, epoch, number, applied, quarantined, skipped, .. } => {
                let mut row = self.outbound(stream);
                if (row.epoch, row.acked + 1) != (*epoch, *number) {
                    return false;
                }
                row.acked = *number;
                row.applied += u64::from(*applied);
                row.quarantined += u64::from(*quarantined);
                row.skipped += u64::from(*skipped);
                if row.state == StreamState::Refused {
                    row.state = StreamState::Running;
                }
                row.refusal = None;
                (stream, row)
            }
            provider::Commit::Mark { stream, state, refusal } => {
                let refusal = refusal.as_ref().map(|(reason, _)| *reason);
                (stream, Outbound { state: *state, refusal, ..self.outbound(stream) })
            }
        };
        self.sent.entry(stream.clone()).or_default().row = Some(row);
        true
    }

    fn page(&self, stream: &str, epoch: u64, number: u64) -> Option<Page> {
        self.sent.get(stream)?.pages.get(&(epoch, number)).cloned()
    }

    fn held(&self, stream: &str, names: &[String]) -> BTreeMap<String, Shown> {
        let Some(sent) = self.sent.get(stream) else { return BTreeMap::new() };
        names.iter().filter_map(|name| Some((name.clone(), *sent.held.get(name)?))).collect()
    }

    fn inbound(&self, stream: &str) -> Inbound {
        self.got.get(stream).and_then(|got| got.row.clone()).unwrap_or_else(|| Inbound::new(stream))
    }

    fn inbound_commit(&mut self, _: &str, commit: &consumer::Commit) -> bool {
        let mut row = self.inbound(&commit.stream);
        if let Some(advance) = &commit.advance {
            if row.cursor != advance.from {
                return false;
            }
            row.cursor = advance.to.clone();
            row.first_epoch = advance.first_epoch;
            row.pages += 1;
            row.entries += u64::from(advance.count);
            row.skipped += u64::from(advance.skipped);
            row.applied += u64::from(advance.applied);
            row.quarantined += advance.quarantine.len() as u64;
            row.state = if advance.ended { StreamState::Ended } else { StreamState::Running };
            row.refusal = None;
            let got = self.got.entry(commit.stream.clone()).or_default();
            got.aside += advance.quarantine.len() as u64;
            let digest = advance.to.digest[..].try_into().unwrap();
            let first = got.received.insert((advance.to.epoch, advance.to.number), (digest, advance.receipt.clone()));
            assert!(first.is_none(), "a page is received twice");
        }
        if let Some(refused) = &commit.refused {
            (row.state, row.refusal) = (StreamState::Refused, Some(refused.reason));
        }
        self.got.entry(commit.stream.clone()).or_default().row = Some(row);
        for write in &commit.writes {
            if let Write::Received(name, version, content) = write {
                self.receive(name, *version, content.clone());
            }
        }
        if let Some(sweep) = &commit.sweep {
            self.sweep(&commit.stream, sweep, &commit.writes);
        }
        true
    }

    fn recall(&self, stream: &str, epoch: u64, number: u64) -> Option<(Hash, Receipt)> {
        self.got.get(stream)?.received.get(&(epoch, number)).cloned()
    }

    fn claims(&self, stream: &str) -> BTreeSet<(u64, String)> {
        self.got.get(stream).map(|got| got.claims.clone()).unwrap_or_default()
    }

    fn set_aside(&self, stream: &str) -> u64 {
        self.got.get(stream).map_or(0, |got| got.aside)
    }
}
