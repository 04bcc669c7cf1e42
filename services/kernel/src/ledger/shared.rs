//! Records that share a text: halves of one thing, whatever their homes. An index forgets what has ended; here it stays, with the day
//! from which it says nothing any more, for what it said before still counts.

use std::collections::BTreeMap;

use prost::Message;
use qianshou_proto::common::v1::EndReason;
use time::Date;

use super::{Content, Ledger, Stored, erase::is_residue};
use crate::{
    binds,
    clock::{day_of, parse_day},
    db::Row,
    error::Result,
    joint::Said,
    kind::shared_text,
};

impl Ledger {
    /// What records of a kind say last that share one of these texts in a field: once each, in the order of their positions.
    pub async fn sharing<T: Message + Default>(
        &self,
        kind: &str,
        field: &str,
        texts: &[String],
    ) -> Result<Vec<Said<T>>> {
        let texts: Vec<String> = texts.iter().map(|text| shared_text(text)).collect();
        self.said(self.newest_sharing(kind, field, &texts).await?).await
    }

    /// Whether any record of a kind, alive or ended, shares this text in a field.
    pub async fn is_shared(&self, kind: &str, field: &str, text: &str) -> Result<bool> {
        const SQL: &str = "SELECT 1 FROM shared WHERE kind = $1 AND field = $2 AND text = $3 LIMIT 1";
        Ok(!self.db.fetch(SQL, binds![kind, field, shared_text(text)]).await?.is_empty())
    }

    /// The texts that records of a kind share in a field, after one and in their order, `limit` at most; only those that begin with
    /// `begun`.
    pub async fn shared_texts(
        &self,
        kind: &str,
        field: &str,
        begun: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>> {
        const SQL: &str = "SELECT DISTINCT text FROM shared WHERE kind = $1 AND field = $2 AND text > $3 AND text >= $4 AND text < $5 \
                           ORDER BY text LIMIT $6";
        // No text holds a character behind the last one.
        let end = format!("{begun}\u{10FFFF}");
        let rows = self.db.fetch(SQL, binds![kind, field, after, begun, end, limit as u64]).await?;
        rows.iter().map(|row: &Row| row.text(0)).collect()
    }

    /// What entries say, as messages; what cannot be read says nothing.
    pub async fn said<T: Message + Default>(&self, entries: Vec<Stored>) -> Result<Vec<Said<T>>> {
        let said = |(stored, cut): (Stored, Option<Date>)| {
            let half = T::decode(stored.payload()?.clone()).ok()?;
            Some(Said { name: stored.name, version: stored.version, cut, said: Some(half) })
        };
        Ok(self.last_said(entries).await?.into_iter().filter_map(said).collect())
    }

    /// What records say last by these newest entries, each with the day of its end: of one that ended otherwise than by deletion, what it
    /// said before that; a residue of what was erased has no such day. What was deleted is not in the answer.
    pub async fn last_said(&self, entries: Vec<Stored>) -> Result<Vec<(Stored, Option<Date>)>> {
        let mut said = vec![];
        let mut open: Vec<(Stored, Option<Date>)> = entries.into_iter().map(|entry| (entry, None)).collect();
        while !open.is_empty() {
            let mut before: BTreeMap<u64, Option<Date>> = BTreeMap::new();
            for (entry, cut) in open.drain(..) {
                match (&entry.content, entry.previous) {
                    (Content::Put { .. }, _) => said.push((entry, cut)),
                    (Content::End(end), Some(previous)) if is_residue(end) => drop(before.insert(previous, cut)),
                    (Content::End(end), Some(previous)) if end.reason != i32::from(EndReason::Deleted) => {
                        let on = parse_day(&end.on).unwrap_or_else(|| day_of(entry.written_at_ms));
                        before.insert(previous, cut.into_iter().chain([on]).min());
                    }
                    (Content::End(_), _) => {}
                }
            }
            let positions: Vec<u64> = before.keys().copied().collect();
            for entry in self.entries_at(&positions).await? {
                let cut = before.get(&entry.position).copied().flatten();
                open.push((entry, cut));
            }
        }
        Ok(said)
    }
}
