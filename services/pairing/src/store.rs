//! Which halves are here, own and received, with the day on which what ended was cut off. The ledger keeps what ended; an index does not.

use std::collections::BTreeMap;

use prost::Message;
use qianshou_kernel::{
    clock::{day_of, parse_day},
    error::Result,
    joint::Said,
    ledger::{Content, Ledger, Stored},
};
use qianshou_proto::common::v1::EndReason;
use time::Date;

/// Everything that was ever here of a kind, except what was deleted.
#[derive(Clone)]
pub(crate) struct Halves(pub Ledger);

/// Records read at once.
const BLOCK: u32 = 1_000;

impl Halves {
    /// The halves of a kind, whatever became of them.
    pub async fn of<T: Message + Default>(&self, kind: &str) -> Result<Vec<Said<T>>> {
        let mut halves = vec![];
        let mut position = 0;
        loop {
            let entries = self.0.after(position, &[kind], BLOCK).await?;
            let Some(last) = entries.last() else { return Ok(halves) };
            position = last.position;
            halves.extend(self.said(entries).await?);
        }
    }

    /// What entries say; of what ended otherwise than by deletion, what it said last, cut off on the day of its end.
    async fn said<T: Message + Default>(&self, entries: Vec<Stored>) -> Result<Vec<Said<T>>> {
        let mut said = vec![];
        let mut open: Vec<(Stored, Option<Date>)> = entries.into_iter().map(|entry| (entry, None)).collect();
        while !open.is_empty() {
            let mut before: BTreeMap<u64, Option<Date>> = BTreeMap::new();
            for (Stored { name, version, content, previous, written_at_ms, .. }, cut) in open.drain(..) {
                match (content, previous) {
                    (Content::Put { payload, .. }, _) => {
                        said.extend(T::decode(payload).ok().map(|half| Said { name, version, cut, said: Some(half) }));
                    }
                    (Content::End(end), Some(previous)) if end.reason != i32::from(EndReason::Deleted) => {
                        let on = parse_day(&end.on).unwrap_or_else(|| day_of(written_at_ms));
                        before.insert(previous, cut.into_iter().chain([on]).min());
                    }
                    (Content::End(_), _) => {}
                }
            }
            let positions: Vec<u64> = before.keys().copied().collect();
            for entry in self.0.entries_at(&positions).await? {
                let cut = before.get(&entry.position).copied().flatten();
                open.push((entry, cut));
            }
        }
        Ok(said)
    }
}
