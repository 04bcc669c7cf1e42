//! Taking what was erased out of the pages that were sent: header and signature stay, and of an entry the hash of its leaf, so that
//! the page's root still follows and says nothing. Goes on from a cursor of its own, so whatever interrupts it is made up for.

use std::collections::BTreeSet;

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::Statement,
    erasure::{Answered, Copies},
    error::Result,
    ledger::Ledger,
};
use qianshou_proto::exchange::v1::{Page, PageEntry, page_entry::Content};

use super::Store;
use crate::domain::page::erased;

/// Up to which position of the ledger erasures have reached the pages.
const CURSOR: &str = "exchange erased";
/// Pages in one look.
const LOOK: u32 = 50;

impl Copies for Store {
    fn count<'a>(&'a self, names: &'a [String]) -> Answered<'a, Option<u64>> {
        Box::pin(async move { self.over_pages(names, false).await.map(Some) })
    }

    fn clear(&self) -> Answered<'_, ()> {
        Box::pin(async move { self.clear_erased().await.map(drop) })
    }
}

impl Store {
    /// Takes out of the pages what was erased since the last time; answers how many entries. Several may do so at once.
    pub async fn clear_erased(&self) -> Result<u64> {
        // The digest of what was shown could be guessed by; another is never what is shown next.
        const SHOWN: &str = "UPDATE exchange_held SET digest = $1 WHERE name IN ({2})";
        let from = self.ledger.cursor(CURSOR).await?;
        let erased = self.ledger.erased_after(from).await?;
        let Some(to) = erased.last().map(|(_, position)| *position) else { return Ok(0) };
        let names: Vec<String> = erased.into_iter().map(|(name, _)| name).collect();
        let count = self.over_pages(&names, true).await?;
        let shown = Statement::new(SHOWN, binds![vec![0_u8; 32], &names]);
        if !self.run(vec![shown, Ledger::move_cursor(CURSOR, from, to)]).await? {
            tracing::debug!(from, to, "another process cleared these pages");
        }
        Ok(count)
    }

    /// Counts the entries of pages that show these records, and may take them out.
    async fn over_pages(&self, names: &[String], may_clear: bool) -> Result<u64> {
        const NEXT: &str = "SELECT stream, epoch, number, page FROM exchange_pages WHERE (stream, epoch, number) > ($1, $2, $3) \
                            ORDER BY stream, epoch, number LIMIT $4";
        const REWRITE: &str =
            "UPDATE exchange_pages SET page = $4 WHERE stream = $1 AND epoch = $2 AND number = $3 AND page = $5";
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let shows = |entry: &PageEntry| matches!(entry.content, Some(Content::Put(_))) && names.contains(entry.name());
        let (mut after, mut count) = ((String::new(), 0, 0), 0);
        loop {
            let rows = self.db().fetch(NEXT, binds![&after.0, after.1, after.2, LOOK]).await?;
            let before = after.clone();
            let (mut rewritten, mut entries) = (vec![], 0);
            for row in &rows {
                after = (row.text(0)?, row.count(1)?, row.count(2)?);
                let stood = row.bytes(3)?;
                let mut page = Page::decode(&stood[..])?;
                let found: Vec<&mut PageEntry> = page.entries.iter_mut().filter(|entry| shows(entry)).collect();
                if found.is_empty() {
                    continue;
                }
                entries += found.len() as u64;
                for entry in found {
                    // A page that stands here was whole when it was made.
                    *entry = erased(entry).unwrap_or_default();
                }
                let binds = binds![&after.0, after.1, after.2, page.encode_to_vec(), stood];
                rewritten.push(Statement::expecting(REWRITE, binds, 1));
            }
            // Somebody else has taken something out of one of these meanwhile: they are looked at again.
            if may_clear && !rewritten.is_empty() && !self.run(rewritten).await? {
                after = before;
                continue;
            }
            count += entries;
            if rows.len() < LOOK as usize {
                return Ok(count);
            }
        }
    }
}
