//! Whether what stands in the database is what was written there: every entry follows from the one before it, every record points at
//! its newest entry, and the head at the last.
//!
//! In pieces, so that a walk over millions needs little memory and a task can go round slowly. Reads only; other houses verify their
//! own tables by the same [`Part`].

use futures::future::BoxFuture;
use qianshou_proto::common::v1::EndReason;
use serde::Serialize;

use super::{
    Content, End, Version,
    chain::{self, Hash, Place},
    head,
};
use crate::{
    binds,
    db::{Db, Row, Statement},
    error::{Error, Result},
    id::Salts,
};

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where: `entry 17`, `page STREAM/1/3` …
    pub at: String,
    /// What is wrong, for a Chinese reader.
    pub zh: String,
    /// What is wrong, for an English reader.
    pub en: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} | {}", self.at, self.en, self.zh)
    }
}

/// What looking at one piece found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where the next piece begins; `None`: this was the last.
    pub next: Option<String>,
    /// How many things were looked at.
    pub count: u64,
    /// The first that does not hold.
    pub fault: Option<Fault>,
}

/// Something of a node that can be verified piece by piece.
pub trait Part: Send + Sync {
    /// What it is called, in a word: `entries`.
    fn name(&self) -> &'static str;
    /// How many things there are, roughly, for a progress bar.
    fn total(&self) -> BoxFuture<'_, Result<u64>>;
    /// Looks at what comes after a place, at most `limit` things; "" is the beginning.
    fn look<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, Result<Piece>>;
    /// Looks at a few things at the end and at random.
    fn sample(&self, count: u32) -> BoxFuture<'_, Result<Piece>>;
}

/// The ledger's entries, records and head.
pub struct Entries(pub Db);

impl Part for Entries {
    fn name(&self) -> &'static str {
        "entries"
    }

    fn total(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async { Ok(head(&self.0).await?.position) })
    }

    fn look<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, Result<Piece>> {
        Box::pin(async move {
            let from = after.parse().unwrap_or(0);
            let (reached, fault) = entries(&self.0, from, limit).await?;
            let count = reached - from;
            let ended = fault.is_none() && count < u64::from(limit);
            let fault = if ended { at_the_head(&self.0, reached).await? } else { fault };
            Ok(Piece { next: (!ended).then(|| reached.to_string()), count, fault })
        })
    }

    fn sample(&self, count: u32) -> BoxFuture<'_, Result<Piece>> {
        Box::pin(async move {
            let position = head(&self.0).await?.position;
            let tail = position.saturating_sub(u64::from(count));
            let (reached, mut fault) = entries(&self.0, tail, count).await?;
            if fault.is_none() {
                fault = at_the_head(&self.0, reached).await?;
            }
            let mut chance = Salts::new()?;
            for _ in 0..count {
                if fault.is_some() || tail == 0 {
                    break;
                }
                fault = entries(&self.0, chance.below(tail), 1).await?.1;
            }
            Ok(Piece { next: None, count: u64::from(count), fault })
        })
    }
}

/// How an entry does not hold.
enum Wrong {
    Missing,
    Changed,
    Purged,
    Record,
    Head,
    Unchained,
}

fn fault(position: u64, name: &str, wrong: &Wrong) -> Fault {
    let (zh, en) = match wrong {
        Wrong::Missing => ("该位置没有条目", "there is no entry at this position"),
        Wrong::Changed => (
            "条目与写入时不同（摘要不衔接）",
            "it is not what was written: its digest does not follow from the one before",
        ),
        Wrong::Purged => {
            ("内容缺失，且链上没有抹除记录", "its content is gone, and no chained entry says that it was erased")
        }
        Wrong::Record => ("记录没有指向其最新条目", "its record does not point at its newest entry"),
        Wrong::Head => ("账本头与最后一个条目不符", "the ledger's head is not what its last entry says"),
        Wrong::Unchained => (
            "升级加盐时，此处与前一条目的旧摘要已不衔接",
            "it did not follow from the one before when the chain was salted, at the upgrade to this level",
        ),
    };
    let of = if name.is_empty() { String::new() } else { format!(" ({name})") };
    Fault { at: format!("entry {position}{of}"), zh: zh.to_owned(), en: en.to_owned() }
}

/// Looks at the entries after a position; answers the last that holds, and the first that does not.
async fn entries(db: &Db, after: u64, limit: u32) -> Result<(u64, Option<Fault>)> {
    const SQL: &str = "SELECT e.position, e.name, e.epoch, e.revision, e.ended, e.ended_on, e.previous, e.payload, e.sealed, e.salt, \
                       e.content, e.digest, e.actor, e.written_at, e.kind, e.home, r.position, r.epoch, r.revision, r.ended, r.kind, \
                       r.home, n.name, n.ended, n.content \
                       FROM entries e LEFT JOIN records r ON r.name = e.name LEFT JOIN entries n ON n.position = r.position \
                       WHERE e.position > $1 ORDER BY e.position LIMIT $2";
    const BEFORE: &str = "SELECT digest FROM entries WHERE position = $1";
    let mut before = match db.fetch_one(BEFORE, binds![after]).await? {
        Some(row) => hash(&row.bytes(0)?)?,
        None if after == 0 => chain::NOTHING,
        None => return Ok((after, Some(fault(after, "", &Wrong::Missing)))),
    };
    let mut reached = after;
    for row in db.fetch(SQL, binds![after, limit]).await? {
        let (position, name) = (row.count(0)?, row.text(1)?);
        if position != reached + 1 {
            return Ok((reached, Some(fault(reached + 1, "", &Wrong::Missing))));
        }
        if let Some(wrong) = entry(&row, &before)? {
            return Ok((reached, Some(fault(position, &name, &wrong))));
        }
        before = hash(&row.bytes(11)?)?;
        reached = position;
    }
    Ok((reached, None))
}

fn entry(row: &Row, before: &Hash) -> Result<Option<Wrong>> {
    let (position, name, actor) = (row.count(0)?, row.text(1)?, row.text(12)?);
    let version = Version { epoch: row.count(2)?, revision: row.count(3)? };
    let (payload, sealed, salt) = (row.maybe_bytes(7)?, row.maybe_bytes(8)?, row.maybe_bytes(9)?);
    let erased = i64::from(EndReason::Erased as i32);
    let content = match (row.maybe_bytes(10)?, row.maybe_int(4)?) {
        (Some(content), ended) => {
            // Its content was purged: a later entry of the record, whole itself, has to say so.
            let told = row.maybe_int(23)? == Some(erased) && row.maybe_bytes(24)?.is_none();
            if payload.is_some() || sealed.is_some() || salt.is_some() || ended != Some(erased) {
                return Ok(Some(Wrong::Changed));
            }
            if !told || row.maybe_int(16)?.is_none_or(|newest| newest <= row.int(0).unwrap_or(i64::MAX)) {
                return Ok(Some(Wrong::Purged));
            }
            hash(&content)?
        }
        (None, None) => {
            let (Some(payload), Some(salt)) = (payload, salt) else { return Ok(Some(Wrong::Purged)) };
            let content = Content::Put { payload: payload.into(), sealed: sealed.map(bytes::Bytes::from) };
            chain::content_digest(&salt, &content)
        }
        (None, Some(reason)) => {
            let Some(salt) = salt else { return Ok(Some(Wrong::Purged)) };
            let reason = i32::try_from(reason).unwrap_or_default();
            let end = End { reason, on: row.maybe_text(5)?.unwrap_or_default() };
            if payload.is_some() || sealed.is_some() {
                return Ok(Some(Wrong::Changed));
            }
            chain::content_digest(&salt, &Content::End(end))
        }
    };
    let previous = row.maybe_int(6)?.and_then(|p| u64::try_from(p).ok()).unwrap_or(0);
    let place = Place { position, name: &name, version, previous, actor: &actor, written_at_ms: row.int(13)? };
    if chain::link(before, &place, &content)[..] != row.bytes(11)?[..] {
        return Ok(Some(Wrong::Changed));
    }
    // Kind and home stand in the name, which the chain covers.
    let mut parts = name.split('/').skip(1);
    if parts.next() != Some(&row.text(15)?) || parts.next() != Some(&row.text(14)?) {
        return Ok(Some(Wrong::Changed));
    }
    Ok((!points_right(row, position, &name, version)?).then_some(Wrong::Record))
}

/// Whether the record of an entry points at this entry, or at a later one of its own.
fn points_right(row: &Row, position: u64, name: &str, version: Version) -> Result<bool> {
    let Some(newest) = row.maybe_int(16)?.and_then(|newest| u64::try_from(newest).ok()) else { return Ok(false) };
    if row.maybe_text(22)?.as_deref() != Some(name) || newest < position {
        return Ok(false);
    }
    let held = Version { epoch: row.count(17)?, revision: row.count(18)? };
    let same = held == version && row.bool(19)? == row.maybe_int(4)?.is_some();
    let of = row.text(20)? == row.text(14)? && row.text(21)? == row.text(15)?;
    Ok(of && (newest > position || same))
}

/// Whether the head says what the last entry does; entries that were written meanwhile are another round's.
async fn at_the_head(db: &Db, reached: u64) -> Result<Option<Fault>> {
    const SQL: &str = "SELECT h.position, h.digest, e.digest, h.unchained FROM head h LEFT JOIN entries e ON e.position = h.position \
                       WHERE h.id = 1";
    let row = db.fetch_one(SQL, vec![]).await?.ok_or_else(|| Error::broken("the ledger has no head"))?;
    let (position, digest) = (row.count(0)?, row.bytes(1)?);
    let last = if position == 0 { Some(chain::NOTHING.to_vec()) } else { row.maybe_bytes(2)? };
    if position < reached || last.as_ref() != Some(&digest) {
        return Ok(Some(fault(position.max(reached), "", &Wrong::Head)));
    }
    let unchained = row.maybe_int(3)?.and_then(|at| u64::try_from(at).ok());
    Ok(unchained.map(|at| fault(at, "", &Wrong::Unchained)))
}

fn hash(bytes: &[u8]) -> Result<Hash> {
    bytes.try_into().map_err(|_| Error::broken("the ledger's digest has not 32 bytes"))
}

/// How far the task that goes round has come with a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Which part.
    pub part: String,
    /// Whole rounds so far.
    pub rounds: u64,
    /// When it was last looked at, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// What does not hold, as it was told.
    pub fault: Option<(String, String)>,
}

/// Looks at the next piece of a part and keeps how far it came. A piece that does not hold is looked at again, until it does.
pub async fn beat(db: &Db, part: &dyn Part, limit: u32, now_ms: i64) -> Result<Option<Fault>> {
    const KEEP: &str = "INSERT INTO verified (part, reached, at, round, fault_zh, fault_en) VALUES ($1, $2, $3, $4, $5, $6) \
                        ON CONFLICT (part) DO UPDATE SET reached = excluded.reached, at = excluded.at, round = excluded.round, \
                        fault_zh = excluded.fault_zh, fault_en = excluded.fault_en";
    let held = db.fetch_one("SELECT reached, round FROM verified WHERE part = $1", binds![part.name()]).await?;
    let (from, round) = held.map_or(Ok((String::new(), 0)), |row| Ok::<_, Error>((row.text(0)?, row.count(1)?)))?;
    let Piece { next, fault, .. } = part.look(&from, limit).await?;
    let (reached, round) = match (&fault, next) {
        (Some(_), _) => (from, round),
        (None, Some(next)) => (next, round),
        (None, None) => (String::new(), round + 1),
    };
    let (zh, en) = fault.clone().map(|f| (format!("{}：{}", f.at, f.zh), format!("{}: {}", f.at, f.en))).unzip();
    super::run(db, &[Statement::new(KEEP, binds![part.name(), reached, now_ms, round, zh, en])]).await?;
    Ok(fault)
}

/// How far the task that goes round has come.
pub async fn rounds(db: &Db) -> Result<Vec<Round>> {
    let sql = "SELECT part, round, at, fault_zh, fault_en FROM verified ORDER BY part";
    let round = |row: &Row| {
        Ok(Round {
            part: row.text(0)?,
            rounds: row.count(1)?,
            at_ms: row.int(2)?,
            fault: row.maybe_text(3)?.zip(row.maybe_text(4)?),
        })
    };
    db.fetch(sql, vec![]).await?.iter().map(round).collect()
}
