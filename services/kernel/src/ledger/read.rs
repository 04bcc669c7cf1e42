//! Reading the ledger: a record by name, by key, or everything after a position.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use bytes::Bytes;
use qianshou_proto::common::v1::EndReason;

use super::{Answer, Committed, Content, End, Ledger, Rejection, Request, Version};
use crate::{
    binds,
    db::{Db, Levels, Row, Value, as_i64},
    error::{Error, Result},
    id::Name,
    telemetry::Trace,
};

/// Where the ledger stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose ledger.
    pub node: String,
    /// Which life of its history.
    pub epoch: u64,
    /// The newest position.
    pub position: u64,
    /// The digest over all entries so far.
    pub digest: Vec<u8>,
    /// Whether peers may be told of the epoch.
    pub declared: bool,
}

const HEAD: &str = "SELECT node, epoch, position, digest, declared FROM head WHERE id = 1";

fn head_of(row: Option<&Row>) -> Result<Head> {
    let row = row.ok_or_else(|| Error::broken("the ledger has no head"))?;
    let declared = row.maybe_int(4)?.is_none();
    Ok(Head { node: row.text(0)?, epoch: row.count(1)?, position: row.count(2)?, digest: row.bytes(3)?, declared })
}

/// Where the ledger of a database stands.
pub async fn head(db: &Db) -> Result<Head> {
    head_of(db.fetch(HEAD, vec![]).await?.first())
}

/// When the newest entry of a database's ledger was written, milliseconds since 1970-01-01 UTC; `None`: there is none.
pub async fn last_written_ms(db: &Db) -> Result<Option<i64>> {
    let newest = "SELECT written_at FROM entries ORDER BY position DESC LIMIT 1";
    db.fetch_one(newest, vec![]).await?.map(|row| row.int(0)).transpose()
}

/// Copies one state of a database into an empty folder, as [`Db::snapshot`]; answers its tables' levels and its ledger's head.
pub async fn snapshot(db: &Db, folder: &Path) -> Result<(Levels, Head)> {
    let (levels, rows) = db.snapshot(folder, HEAD).await?;
    Ok((levels, head_of(rows.first())?))
}

/// An entry as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its place.
    pub position: u64,
    /// Whose record.
    pub name: Name,
    /// Which version.
    pub version: Version,
    /// What it says.
    pub content: Content,
    /// The place of the record's version before this one.
    pub previous: Option<u64>,
    /// The chain's digest up to here.
    pub digest: Vec<u8>,
    /// Who wrote it.
    pub actor: String,
    /// When, for people; never for order.
    pub written_at_ms: i64,
    /// In whose trace, if somebody looks at it.
    pub trace: Option<Trace>,
}

impl Stored {
    /// The record, unless it has ended.
    #[must_use]
    pub fn payload(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Put { payload, .. } => Some(payload),
            Content::End(_) => None,
        }
    }

    /// Whether it says that the record was erased, or said something that was.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        matches!(&self.content, Content::End(end) if end.reason == EndReason::Erased as i32)
    }

    /// The sealed identity number, if there is one here.
    #[must_use]
    pub fn sealed(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Put { sealed, .. } => sealed.as_ref(),
            Content::End(_) => None,
        }
    }
}

/// The columns of an entry, in the order [`stored`] reads them.
macro_rules! entry {
    () => {
        "e.position, e.name, e.epoch, e.revision, e.ended, e.ended_on, e.previous, e.payload, e.sealed, e.digest, \
         e.actor, e.written_at, e.trace"
    };
}
/// How many columns `entry!()` has; what else a statement asks for comes after them.
const ENTRY_COLUMNS: usize = 13;

/// Reads a row of `entry!()`.
fn stored(row: &Row) -> Result<Stored> {
    let name = row.text(1)?.parse().map_err(|_| Error::broken("the ledger holds a name that is none"))?;
    let content = match (row.maybe_int(4)?, row.maybe_text(5)?) {
        (Some(reason), on) => {
            Content::End(End { reason: i32::try_from(reason).unwrap_or(0), on: on.unwrap_or_default() })
        }
        (None, _) => Content::Put { payload: row.bytes(7)?.into(), sealed: row.maybe_bytes(8)?.map(Bytes::from) },
    };
    Ok(Stored {
        position: row.count(0)?,
        name,
        version: Version { epoch: row.count(2)?, revision: row.count(3)? },
        content,
        previous: row.maybe_int(6)?.and_then(|p| u64::try_from(p).ok()),
        digest: row.bytes(9)?,
        actor: row.text(10)?,
        written_at_ms: row.int(11)?,
        trace: row.maybe_text(12)?.and_then(|text| Trace::hint(&text)),
    })
}

impl Ledger {
    /// Where the ledger stands, asked of the database.
    pub async fn head(&self) -> Result<Head> {
        head(&self.db).await
    }

    /// The newest entries of records by name; what never was is not in the answer, what ended is, with its end.
    pub async fn find(&self, names: &[String]) -> Result<BTreeMap<String, Stored>> {
        const SQL: &str = concat!(
            "SELECT ",
            entry!(),
            " FROM records r JOIN entries e ON e.position = r.position WHERE r.name IN ({1})"
        );
        let rows = self.db.fetch(SQL, binds![names]).await?;
        rows.iter().map(|row| stored(row).map(|s| (s.name.to_string(), s))).collect()
    }

    /// The versions that are held of records by name, also of those that have ended.
    pub async fn versions(&self, names: &[String]) -> Result<BTreeMap<String, Version>> {
        const SQL: &str = "SELECT name, epoch, revision FROM records WHERE name IN ({1})";
        // A text that no database keeps is nobody's name.
        let names: Vec<String> = names.iter().filter(|name| name.parse::<Name>().is_ok()).cloned().collect();
        let rows = self.db.fetch(SQL, binds![&names]).await?;
        let version = |row: &Row| Ok((row.text(0)?, Version { epoch: row.count(1)?, revision: row.count(2)? }));
        rows.iter().map(version).collect()
    }

    /// The newest entry of one record.
    pub async fn find_one(&self, name: &Name) -> Result<Option<Stored>> {
        Ok(self.find(&[name.to_string()]).await?.remove(name.as_str()))
    }

    /// What a request was answered the first time, if it was.
    pub async fn answered(&self, request: &Request) -> Result<Option<Answer>> {
        let sql = "SELECT digest, first, last FROM requests WHERE id = $1";
        let Some(row) = self.db.fetch_one(sql, binds![&request.id]).await? else { return Ok(None) };
        if row.bytes(0)?[..] != request.digest[..] {
            return Ok(Some(Err(Rejection::RequestReused)));
        }
        let (first, last) = (row.count(1)?, row.count(2)?);
        let entries = self.entries_between(first, last).await?;
        let written = entries.into_iter().map(|e| (e.name, e.version, e.position)).collect();
        Ok(Some(Ok(Committed { position: last, written, repeated: true })))
    }

    /// What the first answers to these request ids wrote: by id, the first entry of each.
    pub async fn first_written(&self, ids: &[String]) -> Result<BTreeMap<String, Stored>> {
        const SQL: &str = concat!(
            "SELECT ",
            entry!(),
            ", q.id FROM requests q JOIN entries e ON e.position = q.first WHERE q.last >= q.first AND q.id IN ({1})"
        );
        let rows = self.db.fetch(SQL, binds![ids]).await?;
        rows.iter().map(|row| Ok((row.text(ENTRY_COLUMNS)?, stored(row)?))).collect()
    }

    /// The entries from one position to another, both included.
    pub async fn entries_between(&self, first: u64, last: u64) -> Result<Vec<Stored>> {
        const SQL: &str =
            concat!("SELECT ", entry!(), " FROM entries e WHERE e.position BETWEEN $1 AND $2 ORDER BY e.position");
        self.db.fetch(SQL, binds![first, last]).await?.iter().map(stored).collect()
    }

    /// The entries at exact positions, in order.
    pub async fn entries_at(&self, positions: &[u64]) -> Result<Vec<Stored>> {
        const SQL: &str = concat!("SELECT ", entry!(), " FROM entries e WHERE e.position IN ({1}) ORDER BY e.position");
        self.db.fetch(SQL, binds![positions]).await?.iter().map(stored).collect()
    }

    /// The newest entries of records of a kind that share one of these texts in a field, in order.
    pub(crate) async fn newest_sharing(&self, kind: &str, field: &str, texts: &[String]) -> Result<Vec<Stored>> {
        const SQL: &str = concat!(
            "SELECT ",
            entry!(),
            " FROM records r JOIN entries e ON e.position = r.position WHERE r.name IN ( \
             SELECT s.name FROM shared s WHERE s.kind = $1 AND s.field = $2 AND s.text IN ({3})) ORDER BY r.position"
        );
        self.db.fetch(SQL, binds![kind, field, texts]).await?.iter().map(stored).collect()
    }

    /// Whose the unique keys are.
    pub async fn claimed(&self, keys: &[String]) -> Result<BTreeMap<String, Name>> {
        let rows = self.db.fetch("SELECT claim, name FROM claims WHERE claim IN ({1})", binds![keys]).await?;
        rows.iter()
            .map(|row| {
                let name = row.text(1)?.parse().map_err(|_| Error::broken("a claim's holder is no name"))?;
                Ok((row.text(0)?, name))
            })
            .collect()
    }

    /// Which records refer to these: (target, source).
    pub async fn referring(&self, targets: &[String]) -> Result<Vec<(String, String)>> {
        let rows = self.db.fetch("SELECT target, source FROM links WHERE target IN ({1})", binds![targets]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// Which of these records any other refers to.
    pub async fn referred_to(&self, names: &[String]) -> Result<BTreeSet<String>> {
        let rows = self.db.fetch("SELECT DISTINCT target FROM links WHERE target IN ({1})", binds![names]).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Records after a position, each once at its newest version, in order, `limit` at most. `kinds` empty: every kind.
    pub async fn after(&self, position: u64, kinds: &[&str], limit: u32) -> Result<Vec<Stored>> {
        const SQL: &str = concat!(
            "SELECT ",
            entry!(),
            " FROM records r JOIN entries e ON e.position = r.position WHERE r.position > $1 ORDER BY r.position LIMIT $2"
        );
        const OF_KINDS: &str = concat!(
            "SELECT ",
            entry!(),
            " FROM records r JOIN entries e ON e.position = r.position \
             WHERE r.position > $1 AND e.kind IN ({3}) ORDER BY r.position LIMIT $2"
        );
        let rows = if kinds.is_empty() {
            self.db.fetch(SQL, binds![position, limit]).await?
        } else {
            self.db.fetch(OF_KINDS, binds![position, limit, kinds]).await?
        };
        rows.iter().map(stored).collect()
    }

    /// Every version after a position, in order.
    pub async fn history(&self, position: u64, limit: u32) -> Result<Vec<Stored>> {
        const SQL: &str =
            concat!("SELECT ", entry!(), " FROM entries e WHERE e.position > $1 ORDER BY e.position LIMIT $2");
        self.db.fetch(SQL, binds![position, limit]).await?.iter().map(stored).collect()
    }

    /// Names of one home's live records of some kinds whose version is of an epoch before `epoch`.
    pub async fn older_than_epoch(&self, home: &str, kinds: &[String], epoch: u64) -> Result<Vec<Name>> {
        const SQL: &str =
            "SELECT name FROM records WHERE home = $1 AND epoch < $2 AND ended = FALSE AND kind IN ({3}) ORDER BY name";
        let rows = self.db.fetch(SQL, binds![home, epoch, kinds]).await?;
        rows.iter().map(|r| r.text(0)?.parse().map_err(|_| Error::broken("a record's name is none"))).collect()
    }

    /// A follower's cursor; a new follower begins at 0.
    pub async fn cursor(&self, follower: &str) -> Result<u64> {
        let row = self.db.fetch_one("SELECT position FROM cursors WHERE name = $1", binds![follower]).await?;
        row.map_or(Ok(0), |row| row.count(0))
    }

    /// The statement that moves a follower's cursor, for the commit that holds what it did. It fails if another process
    /// moved it meanwhile.
    #[must_use]
    pub fn move_cursor(follower: &str, from: u64, to: u64) -> crate::db::Statement {
        const MOVE: &str = "INSERT INTO cursors (name, position) VALUES ($1, $3) \
                            ON CONFLICT (name) DO UPDATE SET position = excluded.position WHERE cursors.position = $2";
        crate::db::Statement::expecting(MOVE, vec![follower.into(), Value::Int(Some(as_i64(from))), to.into()], 1)
    }
}
