//! What a consumer must hold after each page, told from the pages alone and by other means than the consumer's.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use qianshou_exchange::domain::{
    page::{Head, NO_PAGE},
    tree::Hash,
};
use qianshou_kernel::ledger::{Content, Version};
use qianshou_proto::exchange::v1::{Page, control, page_entry};

use super::{Lawful, disk::Entry, must};

/// The salt of an entry that no honest provider sends.
pub const FORGED: [u8; 16] = *b"not theirs at al";

/// What a record must be: its version, and what is seen of it; `None`: it has ended.
type Holding = (Version, Option<Bytes>);

/// One inbound stream as it must be.
#[derive(Clone, Default)]
pub struct Oracle {
    pub epoch: u64,
    pub number: u64,
    pub digest: Hash,
    pub first_epoch: u64,
    pub records: BTreeMap<String, Holding>,
    pub swept: BTreeSet<(u64, String)>,
    pub pages: u64,
    pub applied: u64,
    pub quarantined: u64,
}

impl Oracle {
    /// The consumer has committed that it holds this page.
    pub fn apply(&mut self, page: &Page) -> Lawful {
        let head = Head::read(page).unwrap();
        let (follows, before) = if head.number == 1 {
            (head.epoch > self.epoch, NO_PAGE)
        } else {
            ((head.epoch, head.number) == (self.epoch, self.number + 1), self.digest)
        };
        must(follows && head.previous == before, "no-fork", || {
            format!("page {}.{} after {}.{}", head.epoch, head.number, self.epoch, self.number)
        })?;
        let mut sent = BTreeSet::new();
        for entry in &page.entries {
            if entry.salt.as_deref() == Some(&FORGED[..]) {
                self.quarantined += 1;
                continue;
            }
            self.applied += 1;
            let wire = entry.version.unwrap_or_default();
            let version = Version { epoch: wire.epoch(), revision: wire.revision() };
            let content = match entry.content.clone() {
                Some(page_entry::Content::Put(payload)) => Some(payload),
                _ => None,
            };
            let before = self.records.insert(entry.name().to_owned(), (version, content));
            must(before.as_ref().is_none_or(|(held, _)| version > *held), "versions-only-grow", || {
                format!("{} at {version:?} after {before:?}", entry.name())
            })?;
            sent.insert(entry.name().to_owned());
        }
        (self.epoch, self.number, self.digest) = (head.epoch, head.number, head.digest);
        self.pages += 1;
        if self.first_epoch == 0 {
            self.first_epoch = head.epoch;
        }
        if matches!(head.event, Some(control::Control::SnapshotComplete(_))) && head.epoch > self.first_epoch {
            self.sweep(head.epoch, &sent);
        }
        Ok(())
    }

    /// What a restored provider did not send again is ended, and can be claimed.
    fn sweep(&mut self, epoch: u64, sent: &BTreeSet<String>) {
        for (name, (version, content)) in &mut self.records {
            if version.epoch < epoch && content.is_some() && !sent.contains(name) {
                (*version, *content) = (Version { epoch, revision: 0 }, None);
                self.swept.insert((epoch, name.clone()));
            }
        }
    }

    /// Whether what the consumer holds of this home is what it must hold.
    pub fn agrees<'a>(&self, held: impl Iterator<Item = &'a Entry>) -> Lawful {
        let mut missing: BTreeSet<&str> = self.records.keys().map(String::as_str).collect();
        for entry in held {
            let name = entry.name.as_str();
            missing.remove(name);
            let content = match &entry.content {
                Content::Put { payload, .. } => Some(payload),
                Content::End(_) => None,
            };
            let Some((version, due)) = self.records.get(name) else {
                return must(false, "one-writer", || format!("{name} was never its home's to send"));
            };
            let ghost = content.is_some() && due.is_none() && self.swept.contains(&(version.epoch, name.to_owned()));
            must(!ghost, "no-fork", || format!("{name} is a ghost of epoch {}", entry.version.epoch))?;
            let same = entry.version == *version && content == due.as_ref();
            must(same, "cursor-with-data", || format!("{name} is at {:?}, not at {version:?}", entry.version))?;
        }
        must(missing.is_empty(), "cursor-with-data", || format!("the cursor stands after {missing:?}"))
    }
}
