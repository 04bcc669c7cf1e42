//! What this node receives: streams, pages with their receipts, entries that were set aside, recovery claims.

use std::collections::BTreeSet;

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::{Row, Statement, Value},
    error::Result,
    ledger::{Command, Content, End, Ledger, Version, Write},
};
use qianshou_proto::{
    common::v1::EndReason,
    exchange::v1::{QuarantineItem, Receipt, StreamState},
};

use super::{Store, hash_of, refusal_of, state_of};
use crate::domain::{
    consumer::{Advance, Commit, Cursor, Inbound, Refused, SetAside, Sweep},
    tree::Hash,
};

const OPEN: &str = "INSERT INTO exchange_inbound (stream, epoch, number, digest, first_epoch, pages, entries, applied, quarantined, \
                    state, moved_at, puller, leased_until) VALUES ($1, 0, 0, $2, 0, 0, 0, 0, 0, $3, $4, $5, 0) \
                    ON CONFLICT (stream) DO NOTHING";
const LIST: &str = "SELECT stream, epoch, number, digest, first_epoch, pages, entries, applied, quarantined, state, refusal, \
                    moved_at, leased_until, skipped FROM exchange_inbound ORDER BY stream";
const FIND: &str = "SELECT stream, epoch, number, digest, first_epoch, pages, entries, applied, quarantined, state, refusal, \
                    moved_at, leased_until, skipped FROM exchange_inbound WHERE stream = $1";
const ADVANCE: &str = "UPDATE exchange_inbound SET epoch = $5, number = $6, digest = $7, first_epoch = $8, pages = pages + 1, \
                       entries = entries + $9, applied = applied + $10, quarantined = quarantined + $11, state = $12, \
                       refusal = NULL, moved_at = $13, skipped = skipped + $14 WHERE stream = $1 AND epoch = $2 AND number = $3 AND digest = $4";
const REFUSED: &str =
    "UPDATE exchange_inbound SET state = $2, refusal = $3, refusal_receipt = $4, moved_at = $5 WHERE stream = $1";
const RECEIVED: &str = "INSERT INTO exchange_received (stream, epoch, number, digest, entries, page, receipt, received_at) \
                        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const RECALL: &str = "SELECT digest, receipt FROM exchange_received WHERE stream = $1 AND epoch = $2 AND number = $3";
const ASIDE: &str = "exchange_quarantine (stream, epoch, number, place, name, reason, entry, set_aside_at)";
const CLAIMS: &str = "exchange_recovery (stream, epoch, name, found_at)";
const LEASE: &str = "UPDATE exchange_inbound SET puller = $2, leased_until = $3 \
                     WHERE stream = $1 AND (puller = $2 OR leased_until < $4)";
const PULLER: &str = "SELECT puller, leased_until FROM exchange_inbound WHERE stream = $1";
const RELEASE: &str = "UPDATE exchange_inbound SET leased_until = 0 WHERE puller = $1";
const SET_ASIDE: &str = "SELECT stream, epoch, number, place, name, reason, set_aside_at FROM exchange_quarantine \
                         WHERE (stream, epoch, number, place) > ($1, $2, $3, $4) AND ($5 = '' OR stream = $5) \
                         ORDER BY stream, epoch, number, place LIMIT $6";

/// An inbound stream with when it last moved and how long somebody has promised to pull it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The stream.
    pub stream: Inbound,
    /// When it last moved.
    pub moved_at_ms: i64,
    /// Until when a process of this node pulls it.
    pub leased_until_ms: i64,
}

/// The place of an item in the list of what was set aside.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct QuarantineKey {
    /// The stream.
    pub stream: String,
    /// Epoch of the page.
    pub epoch: u64,
    /// Number of the page.
    pub number: u64,
    /// Place in the page; -1: before the first.
    pub place: i64,
}

/// A consumer's commit as one command of the ledger; the sweep's names are read from the ledger. It is refused by
/// [`qianshou_kernel::ledger::Rejection::Guard`] if another process has moved the cursor.
pub async fn consumer_command(ledger: &Ledger, provider: &str, commit: &Commit, now_ms: i64) -> Result<Command> {
    let mut writes = commit.writes.clone();
    let mut statements = vec![];
    if let Some(advance) = &commit.advance {
        statements.extend(advance_statements(&commit.stream, advance, now_ms));
    }
    if let Some(Refused { reason, receipt }) = &commit.refused {
        let binds =
            binds![&commit.stream, StreamState::Refused as i32, *reason as i32, receipt.encode_to_vec(), now_ms];
        statements.push(Statement::expecting(REFUSED, binds, 1));
    }
    if let Some(sweep) = &commit.sweep {
        let (ends, claims) = sweep_of(ledger, &commit.stream, sweep, &commit.writes, now_ms).await?;
        writes.extend(ends);
        statements.push(claims);
    }
    let traces = commit.traces.clone();
    Ok(Command { actor: format!("nodes/{provider}"), writes, statements, traces, ..Command::default() })
}

async fn sweep_of(
    ledger: &Ledger,
    stream: &str,
    sweep: &Sweep,
    written: &[Write],
    now_ms: i64,
) -> Result<(Vec<Write>, Statement)> {
    let Sweep { home, kinds, epoch, on } = sweep;
    let sent: BTreeSet<&str> = written.iter().map(|write| name_of(write).as_str()).collect();
    let mut names = ledger.older_than_epoch(home, kinds, *epoch).await?;
    names.retain(|name| !sent.contains(name.as_str()));
    let rows: Vec<Vec<Value>> = names.iter().map(|name| binds![stream, *epoch, name.as_str(), now_ms]).collect();
    let version = Version { epoch: *epoch, revision: 0 };
    let end = || Content::End(End { reason: EndReason::Deleted.into(), on: on.clone() });
    let ends = names.into_iter().map(|name| Write::Received(name, version, end())).collect();
    let once = "ON CONFLICT (stream, epoch, name) DO NOTHING";
    Ok((ends, Statement::insert(CLAIMS, once, rows)))
}

fn name_of(write: &Write) -> &qianshou_kernel::id::Name {
    match write {
        Write::Own(name, _) | Write::Received(name, _, _) => name,
    }
}

fn advance_statements(stream: &str, advance: &Advance, now_ms: i64) -> Vec<Statement> {
    let Advance { from, to, first_epoch, page, receipt, count, applied, skipped, quarantine, ended } = advance;
    let state = if *ended { StreamState::Ended } else { StreamState::Running };
    let mut binds =
        binds![stream, from.epoch, from.number, &from.digest[..], to.epoch, to.number, &to.digest[..], *first_epoch];
    binds.extend(binds![*count, *applied, quarantine.len() as u64, state as i32, now_ms, *skipped]);
    let kept = binds![
        stream,
        to.epoch,
        to.number,
        &to.digest[..],
        *count,
        page.encode_to_vec(),
        receipt.encode_to_vec(),
        now_ms
    ];
    let mut statements = vec![Statement::expecting(ADVANCE, binds, 1), Statement::expecting(RECEIVED, kept, 1)];
    let aside: Vec<Vec<Value>> = quarantine
        .iter()
        .map(|SetAside { place, reason, name, entry }| {
            binds![stream, to.epoch, to.number, *place, name, *reason as i32, &entry[..], now_ms]
        })
        .collect();
    statements.push(Statement::insert(ASIDE, "", aside));
    statements
}

fn inbound(row: &Row) -> Result<Listed> {
    let cursor = Cursor { epoch: row.count(1)?, number: row.count(2)?, digest: row.bytes(3)? };
    let stream = Inbound {
        stream: row.text(0)?,
        cursor,
        first_epoch: row.count(4)?,
        pages: row.count(5)?,
        entries: row.count(6)?,
        applied: row.count(7)?,
        quarantined: row.count(8)?,
        state: state_of(row.int(9)?),
        refusal: refusal_of(row.maybe_int(10)?),
        skipped: row.count(13)?,
    };
    Ok(Listed { stream, moved_at_ms: row.int(11)?, leased_until_ms: row.int(12)? })
}

impl Store {
    /// The streams this node receives.
    pub async fn inbound_list(&self) -> Result<Vec<Listed>> {
        self.db().fetch(LIST, vec![]).await?.iter().map(inbound).collect()
    }

    /// A stream that this node receives.
    pub async fn inbound_find(&self, stream: &str) -> Result<Option<Inbound>> {
        let row = self.db().fetch_one(FIND, binds![stream]).await?;
        Ok(row.as_ref().map(inbound).transpose()?.map(|listed| listed.stream))
    }

    /// A stream that this node receives, begun if there is none.
    pub async fn inbound_open(&self, stream: &str) -> Result<Inbound> {
        if let Some(found) = self.inbound_find(stream).await? {
            return Ok(found);
        }
        let binds = binds![stream, Vec::<u8>::new(), StreamState::Running as i32, self.now_ms(), ""];
        self.run(vec![Statement::new(OPEN, binds)]).await?;
        Ok(self.inbound_find(stream).await?.unwrap_or_else(|| Inbound::new(stream)))
    }

    /// Makes a consumer's commit last; `false`: another process has moved the cursor.
    pub async fn inbound_commit(&self, provider: &str, commit: &Commit) -> Result<bool> {
        self.submit(consumer_command(&self.ledger, provider, commit, self.now_ms()).await?).await
    }

    /// What was applied under a number, and what was answered.
    pub async fn inbound_recall(&self, stream: &str, epoch: u64, number: u64) -> Result<Option<(Hash, Receipt)>> {
        let row = self.db().fetch_one(RECALL, binds![stream, epoch, number]).await?;
        row.map(|row| Ok((hash_of(&row.bytes(0)?)?, Receipt::decode(&row.bytes(1)?[..])?))).transpose()
    }

    /// Promises that this process pulls a stream for a while; `false`: another has promised it.
    pub async fn inbound_lease(&self, stream: &str, holder: &str, for_ms: i64) -> Result<bool> {
        let now = self.now_ms();
        // Read first: being refused under the head's lock would cost every writer.
        let row = self.db().fetch_one(PULLER, binds![stream]).await?;
        if let Some(row) = row
            && row.text(0)? != holder
            && row.int(1)? >= now
        {
            return Ok(false);
        }
        self.run(vec![Statement::expecting(LEASE, binds![stream, holder, now + for_ms, now], 1)]).await
    }

    /// Takes back every promise of this process, so that another need not wait for their end.
    pub async fn inbound_release(&self, holder: &str) -> Result<()> {
        self.run(vec![Statement::new(RELEASE, binds![holder])]).await.map(drop)
    }

    /// Entries that were set aside, after a place in their list; `stream` empty: of all streams.
    pub async fn quarantine_list(
        &self,
        stream: &str,
        after: &QuarantineKey,
        limit: u32,
    ) -> Result<Vec<(QuarantineKey, QuarantineItem)>> {
        let QuarantineKey { stream: last, epoch, number, place } = after;
        let rows = self.db().fetch(SET_ASIDE, binds![last, *epoch, *number, *place, stream, limit]).await?;
        rows.iter().map(item).collect()
    }
}

fn item(row: &Row) -> Result<(QuarantineKey, QuarantineItem)> {
    let key = QuarantineKey { stream: row.text(0)?, epoch: row.count(1)?, number: row.count(2)?, place: row.int(3)? };
    let item = QuarantineItem {
        stream: Some(key.stream.clone()),
        page: Some(key.number),
        index: u32::try_from(key.place).ok(),
        name: Some(row.text(4)?),
        reason: i32::try_from(row.int(5)?).ok(),
        at_ms: Some(row.int(6)?),
    };
    Ok((key, item))
}
