//! What this node sends: streams, pages, and what consumers hold.

use std::collections::BTreeMap;

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::{Row, Statement, Value, as_i64},
    error::Result,
    ledger::{Command, Read},
};
use qianshou_proto::exchange::v1::{Page, Receipt, RefusalReason, StreamState};

use super::{Store, hash_of, number, refusal_of, state_of};
use crate::domain::{
    page::{Made, NO_PAGE},
    provider::{Advance, Commit, Outbound, Shown},
};

const OPEN: &str = "INSERT INTO exchange_outbound (stream, epoch, next_number, digest, position, acked, pages, entries, applied, \
                    quarantined, state, moved_at) VALUES ($1, 0, 1, $2, 0, 0, 0, 0, 0, 0, $3, $4) ON CONFLICT (stream) DO NOTHING";
const LIST: &str = "SELECT stream, epoch, next_number, digest, position, snapshot, acked, pages, entries, applied, quarantined, \
                    state, refusal, moved_at FROM exchange_outbound ORDER BY stream";
const FIND: &str = "SELECT stream, epoch, next_number, digest, position, snapshot, acked, pages, entries, applied, quarantined, \
                    state, refusal, moved_at FROM exchange_outbound WHERE stream = $1";
const ADVANCE: &str = "UPDATE exchange_outbound SET epoch = $5, next_number = $6, digest = $7, position = $8, snapshot = $9, \
                       pages = $10, entries = $11, moved_at = $12 \
                       WHERE stream = $1 AND epoch = $2 AND next_number = $3 AND position = $4";
const REOPEN: &str = "UPDATE exchange_outbound SET acked = 0, state = $2, refusal = NULL WHERE stream = $1";
const ACKNOWLEDGE: &str = "UPDATE exchange_outbound SET acked = $4, applied = applied + $5, quarantined = quarantined + $6, \
                           state = CASE WHEN state = $7 THEN $8 ELSE state END, refusal = NULL, moved_at = $9 \
                           WHERE stream = $1 AND epoch = $2 AND acked = $3";
const MARK: &str =
    "UPDATE exchange_outbound SET state = $2, refusal = $3, refusal_receipt = $4, moved_at = $5 WHERE stream = $1";
const PAGE: &str = "INSERT INTO exchange_pages (stream, epoch, number, digest, entries, position, page, made_at) \
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const LOAD: &str = "SELECT page FROM exchange_pages WHERE stream = $1 AND epoch = $2 AND number = $3";
const MADE_AT: &str = "SELECT made_at FROM exchange_pages WHERE stream = $1 AND epoch = $2 AND number = $3";
const RECEIPT: &str = "UPDATE exchange_pages SET receipt = $4 WHERE stream = $1 AND epoch = $2 AND number = $3";
const WAITING: &str = "SELECT CAST(COALESCE(SUM(entries), 0) AS BIGINT) FROM exchange_pages \
                       WHERE stream = $1 AND epoch = $2 AND number > $3";
const FORGET: &str = "DELETE FROM exchange_held WHERE stream = $1 AND epoch < $2";
const HELD: &str = "SELECT name, epoch, digest FROM exchange_held WHERE stream = $1 AND name IN ({2})";
const HOLD: &str = "exchange_held (stream, name, epoch, digest)";
const HOLD_AGAIN: &str = "ON CONFLICT (stream, name) DO UPDATE SET epoch = excluded.epoch, digest = excluded.digest";
const DROP: &str = "DELETE FROM exchange_held WHERE stream = $1 AND name IN ({2})";

/// A provider's commit as one command of the ledger. It is refused by [`qianshou_kernel::ledger::Rejection::Guard`] if another
/// process has moved the stream, and by `Changed` if a record that its page shows has ended meanwhile: no page is made of what was erased.
#[must_use]
pub fn provider_command(node: &str, commit: &Commit, now_ms: i64) -> Command {
    let statements = match commit {
        Commit::Advance(advance) => advance_statements(advance, now_ms),
        Commit::Acknowledge { stream, epoch, number: page, applied, quarantined, receipt } => {
            let (refused, running) = (StreamState::Refused as i32, StreamState::Running as i32);
            let binds = binds![stream, *epoch, page - 1, *page, *applied, *quarantined, refused, running, now_ms];
            let kept = binds![stream, *epoch, *page, receipt.encode_to_vec()];
            vec![Statement::expecting(ACKNOWLEDGE, binds, 1), Statement::expecting(RECEIPT, kept, 1)]
        }
        Commit::Mark { stream, state, refusal } => vec![mark(stream, *state, refusal.as_ref(), now_ms)],
    };
    let shown = match commit {
        Commit::Advance(advance) => Some(advance.shown.keys()),
        Commit::Acknowledge { .. } | Commit::Mark { .. } => None,
    };
    let reads = shown.into_iter().flatten().filter_map(|name| name.parse().ok()).map(Read::Live).collect();
    Command { actor: format!("nodes/{node}"), reads, statements, ..Command::default() }
}

fn mark(stream: &str, state: StreamState, refusal: Option<&(RefusalReason, Receipt)>, now_ms: i64) -> Statement {
    let reason = Value::Int(refusal.map(|(reason, _)| i64::from(*reason as i32)));
    let receipt = Value::Bytes(refusal.map(|(_, receipt)| receipt.encode_to_vec()));
    Statement::expecting(MARK, vec![stream.into(), number(state as i32), reason, receipt, now_ms.into()], 1)
}

fn advance_statements(advance: &Advance, now_ms: i64) -> Vec<Statement> {
    let Advance { from, row, page, shown, dropped, forget_older } = advance;
    let stream = Value::from(&row.stream);
    let mut binds =
        binds![&row.stream, from.epoch, from.next, from.position, row.epoch, row.next, &row.digest[..], row.position];
    binds.push(Value::Int(row.snapshot.map(as_i64)));
    binds.extend(binds![row.pages, row.entries, now_ms]);
    let mut statements = vec![Statement::expecting(ADVANCE, binds, 1)];
    if row.epoch != from.epoch {
        statements.push(Statement::expecting(REOPEN, vec![stream.clone(), number(row.state as i32)], 1));
    } else if row.state == StreamState::Ended {
        statements.push(mark(&row.stream, row.state, None, now_ms));
    }
    if let Some(Made { epoch, number, digest, count, page }) = page {
        let binds =
            binds![&row.stream, *epoch, *number, &digest[..], *count, row.position, page.encode_to_vec(), now_ms];
        statements.push(Statement::expecting(PAGE, binds, 1));
    }
    let held: Vec<Vec<Value>> =
        shown.iter().map(|(name, shown)| binds![&row.stream, name, shown.epoch, &shown.digest[..]]).collect();
    statements.push(Statement::insert(HOLD, HOLD_AGAIN, held));
    statements.push(Statement::new(DROP, binds![&row.stream, dropped]));
    if *forget_older {
        statements.push(Statement::new(FORGET, binds![&row.stream, row.epoch]));
    }
    statements
}

fn outbound(row: &Row) -> Result<(Outbound, i64)> {
    let stream = Outbound {
        stream: row.text(0)?,
        epoch: row.count(1)?,
        next: row.count(2)?,
        digest: hash_of(&row.bytes(3)?)?,
        position: row.count(4)?,
        snapshot: row.maybe_int(5)?.and_then(|position| u64::try_from(position).ok()),
        acked: row.count(6)?,
        pages: row.count(7)?,
        entries: row.count(8)?,
        applied: row.count(9)?,
        quarantined: row.count(10)?,
        state: state_of(row.int(11)?),
        refusal: refusal_of(row.maybe_int(12)?),
    };
    Ok((stream, row.int(13)?))
}

impl Store {
    /// The streams this node sends, each with when it last moved.
    pub async fn outbound_list(&self) -> Result<Vec<(Outbound, i64)>> {
        self.db().fetch(LIST, vec![]).await?.iter().map(outbound).collect()
    }

    /// A stream that this node sends.
    pub async fn outbound_find(&self, stream: &str) -> Result<Option<Outbound>> {
        let row = self.db().fetch_one(FIND, binds![stream]).await?;
        Ok(row.as_ref().map(outbound).transpose()?.map(|(stream, _)| stream))
    }

    /// A stream that this node sends, begun if there is none.
    pub async fn outbound_open(&self, stream: &str) -> Result<Outbound> {
        if let Some(found) = self.outbound_find(stream).await? {
            return Ok(found);
        }
        let binds = binds![stream, &NO_PAGE[..], StreamState::Running as i32, self.now_ms()];
        self.run(vec![Statement::new(OPEN, binds)]).await?;
        Ok(self.outbound_find(stream).await?.unwrap_or_else(|| Outbound::new(stream)))
    }

    /// Makes a provider's commit last; `false`: another process has moved the stream.
    pub async fn outbound_commit(&self, commit: &Commit) -> Result<bool> {
        self.submit(provider_command(self.ledger.node(), commit, self.now_ms())).await
    }

    /// A page as it was made.
    pub async fn page_load(&self, stream: &str, epoch: u64, number: u64) -> Result<Option<Page>> {
        let row = self.db().fetch_one(LOAD, binds![stream, epoch, number]).await?;
        row.map(|row| Ok(Page::decode(bytes::Bytes::from(row.bytes(0)?))?)).transpose()
    }

    /// When a page was made; `None`: it was not.
    pub async fn page_made_at(&self, stream: &str, epoch: u64, number: u64) -> Result<Option<i64>> {
        let row = self.db().fetch_one(MADE_AT, binds![stream, epoch, number]).await?;
        row.map(|row| row.int(0)).transpose()
    }

    /// What the consumer holds of these records.
    pub async fn held(&self, stream: &str, names: &[String]) -> Result<BTreeMap<String, Shown>> {
        let rows = self.db().fetch(HELD, binds![stream, names]).await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, Shown { epoch: row.count(1)?, digest: hash_of(&row.bytes(2)?)? })))
            .collect()
    }

    /// Entries in pages that the consumer has not acknowledged.
    pub async fn outbound_waiting(&self, row: &Outbound) -> Result<u64> {
        let row = self.db().fetch_one(WAITING, binds![&row.stream, row.epoch, row.acked]).await?;
        row.map_or(Ok(0), |row| row.count(0))
    }
}
