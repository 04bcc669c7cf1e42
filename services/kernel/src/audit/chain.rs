//! The two chains in the database: appended to under the lock of their head rows, walked from front to end, purged from the
//! front. Head and front are signed by the node's key, so that nobody without it makes a shorter or another chain.

use prost::Message as _;
use qianshou_proto::exchange::v1::Signature;

use super::{Line, read::line_of};
use crate::{
    binds,
    db::{Db, Statement, Tx},
    error::{Error, Result},
    identity::NodeKeys,
    ledger,
};

/// What the node signs: the newest line, and the last one that was purged.
const HEAD_CONTEXT: &str = "qianshou.audit.head.v1";
const PURGED_CONTEXT: &str = "qianshou.audit.purged.v1";
/// Lines read or purged at a time.
const CHUNK: usize = 1_000;

/// Which chain a line stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Log {
    /// What was done and what was refused.
    Acts,
    /// What was looked at.
    Usage,
}

impl Log {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Acts, Self::Usage];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Usage => "usage",
        }
    }
}

/// Where a chain stands.
struct Head {
    number: u64,
    digest: Vec<u8>,
    signature: Vec<u8>,
    purged: u64,
    purged_digest: Vec<u8>,
    purged_signature: Vec<u8>,
}

/// What is signed of a place in a chain.
fn place(node: &str, log: Log, number: u64, digest: &[u8]) -> Vec<u8> {
    format!("{node} {} {number} {}", log.as_str(), hex::encode(digest)).into_bytes()
}

fn signed(keys: &NodeKeys, context: &str, log: Log, number: u64, digest: &[u8]) -> Vec<u8> {
    keys.sign(context, &place(&keys.node, log, number, digest)).encode_to_vec()
}

fn holds(keys: &NodeKeys, context: &str, log: Log, number: u64, digest: &[u8], signature: &[u8]) -> bool {
    Signature::decode(signature)
        .is_ok_and(|signature| keys.signed(context, &place(&keys.node, log, number, digest), &signature))
}

/// Takes the head row of a chain, which is the lock that makes several processes right.
async fn lock(tx: &mut Tx, keys: &NodeKeys, log: Log) -> Result<Head> {
    let take = "UPDATE audit_head SET number = number WHERE log = $1 \
                RETURNING number, digest, signature, purged, purged_digest, purged_signature";
    let mut rows = tx.fetch(take, binds![log.as_str()]).await?;
    if rows.is_empty() {
        let (first, none) = (vec![0_u8; 32], signed(keys, HEAD_CONTEXT, log, 0, &[0; 32]));
        let front = signed(keys, PURGED_CONTEXT, log, 0, &[0; 32]);
        let new = "INSERT INTO audit_head (log, number, digest, signature, purged, purged_digest, purged_signature) \
                   VALUES ($1, 0, $2, $3, 0, $2, $4) ON CONFLICT (log) DO NOTHING";
        tx.execute(new, binds![log.as_str(), first, none, front]).await?;
        rows = tx.fetch(take, binds![log.as_str()]).await?;
    }
    head_of(rows.first().ok_or_else(|| Error::broken("the audit has no head"))?)
}

fn head_of(row: &crate::db::Row) -> Result<Head> {
    Ok(Head {
        number: row.count(0)?,
        digest: row.bytes(1)?,
        signature: row.bytes(2)?,
        purged: row.count(3)?,
        purged_digest: row.bytes(4)?,
        purged_signature: row.bytes(5)?,
    })
}

/// Appends lines in one commit; answers each one's number.
///
/// # Errors
/// The database refuses or is at a level that this binary does not write; nothing was written.
pub async fn append(db: &Db, keys: &NodeKeys, lines: Vec<(Log, Line)>) -> Result<Vec<(Log, u64, Line)>> {
    let mut written = Vec::with_capacity(lines.len());
    let mut tx = ledger::begin(db).await?;
    for log in Log::ALL {
        let here: Vec<Line> = lines.iter().filter(|(of, _)| *of == log).map(|(_, l)| l.clone().bounded()).collect();
        if here.is_empty() {
            continue;
        }
        let Head { mut number, mut digest, .. } = lock(&mut tx, keys, log).await?;
        let mut rows = vec![];
        for line in here {
            number += 1;
            digest = line.digest(&digest, log, number).to_vec();
            let Line { at_ms, actor, role, area, address, act, target, outcome, detail, count } = &line;
            rows.push(binds![
                log.as_str(),
                number,
                *at_ms,
                actor,
                role,
                area,
                address,
                act,
                target,
                outcome,
                detail,
                *count,
                digest.clone()
            ]);
            written.push((log, number, line));
        }
        let into =
            "audit (log, number, at_ms, actor, role, area, address, act, target, outcome, detail, count, digest)";
        tx.run(&Statement::insert(into, "", rows)).await?;
        let signature = signed(keys, HEAD_CONTEXT, log, number, &digest);
        let head = "UPDATE audit_head SET number = $2, digest = $3, signature = $4 WHERE log = $1";
        tx.execute(head, binds![log.as_str(), number, digest, signature]).await?;
    }
    tx.commit().await?;
    Ok(written)
}

/// Removes lines from the front of a chain that are older than this, and signs where it begins now. Answers how many went.
///
/// # Errors
/// The database refuses; what was purged so far stays so.
pub async fn purge(db: &Db, keys: &NodeKeys, log: Log, before_ms: i64) -> Result<u64> {
    let mut gone = 0;
    loop {
        let mut tx = ledger::begin(db).await?;
        let head = lock(&mut tx, keys, log).await?;
        let front = "SELECT number, at_ms, digest FROM audit WHERE log = $1 AND number > $2 ORDER BY number LIMIT $3";
        let mut last = None;
        for row in tx.fetch(front, binds![log.as_str(), head.purged, CHUNK as u64]).await? {
            if row.int(1)? >= before_ms {
                break;
            }
            last = Some((row.count(0)?, row.bytes(2)?));
        }
        let Some((number, digest)) = last else {
            tx.rollback().await?;
            return Ok(gone);
        };
        gone += tx.execute("DELETE FROM audit WHERE log = $1 AND number <= $2", binds![log.as_str(), number]).await?;
        let signature = signed(keys, PURGED_CONTEXT, log, number, &digest);
        let anchor = "UPDATE audit_head SET purged = $2, purged_digest = $3, purged_signature = $4 WHERE log = $1";
        tx.execute(anchor, binds![log.as_str(), number, digest, signature]).await?;
        tx.commit().await?;
    }
}

/// The first line that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub log: Log,
    pub number: u64,
    pub zh: &'static str,
    pub en: &'static str,
}

/// What walking the chains found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lines that were walked.
    pub lines: u64,
    /// `None`: both chains hold.
    pub wrong: Option<Wrong>,
}

const CHANGED: (&str, &str) = ("此行被改动", "this line was changed");
const MISSING: (&str, &str) = ("此行缺失", "this line is missing");
const FRONT: (&str, &str) = ("链首的签名不成立", "where the chain begins is not signed by this node");
const END: (&str, &str) = ("链尾的签名不成立", "where the chain ends is not signed by this node");

/// Walks both chains; `progress` hears how many lines were walked, and of how many. Lines that are written meanwhile are not walked.
///
/// # Errors
/// The database cannot be read.
pub async fn verify(db: &Db, keys: &NodeKeys, mut progress: impl FnMut(u64, u64) + Send) -> Result<Verified> {
    let mut verified = Verified { lines: 0, wrong: None };
    let mut total = 0;
    for log in Log::ALL {
        total += head(db, log).await?.map_or(0, |head| head.number.saturating_sub(head.purged));
    }
    for log in Log::ALL {
        // What is purged meanwhile moves the front, and the walk begins anew there.
        loop {
            let before = head(db, log).await?;
            let begun = verified.lines;
            let wrong = walk(db, keys, log, before.as_ref(), |walked| progress(begun + walked, total)).await?;
            match wrong {
                Ok(walked) => verified.lines += walked,
                Err(wrong) => {
                    let purged = |head: &Option<Head>| head.as_ref().map(|head| head.purged);
                    if purged(&head(db, log).await?) != purged(&before) {
                        continue;
                    }
                    return Ok(Verified { wrong: Some(wrong), ..verified });
                }
            }
            break;
        }
    }
    Ok(verified)
}

async fn head(db: &Db, log: Log) -> Result<Option<Head>> {
    let sql =
        "SELECT number, digest, signature, purged, purged_digest, purged_signature FROM audit_head WHERE log = $1";
    db.fetch_one(sql, binds![log.as_str()]).await?.as_ref().map(head_of).transpose()
}

/// Walks one chain from its front to its head.
async fn walk(
    db: &Db,
    keys: &NodeKeys,
    log: Log,
    head: Option<&Head>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Result<u64, Wrong>> {
    let wrong = |number: u64, (zh, en): (&'static str, &'static str)| Ok(Err(Wrong { log, number, zh, en }));
    let Some(head) = head else {
        let first =
            db.fetch_one("SELECT number FROM audit WHERE log = $1 ORDER BY number LIMIT 1", binds![log.as_str()]);
        return match first.await? {
            Some(row) => wrong(row.count(0)?, END),
            None => Ok(Ok(0)),
        };
    };
    if !holds(keys, PURGED_CONTEXT, log, head.purged, &head.purged_digest, &head.purged_signature) {
        return wrong(head.purged, FRONT);
    }
    let (mut number, mut digest, mut walked) = (head.purged, head.purged_digest.clone(), 0);
    while number < head.number {
        let sql = "SELECT log, number, at_ms, actor, role, area, address, act, target, outcome, detail, count, digest FROM audit \
                   WHERE log = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT $4";
        let rows = db.fetch(sql, binds![log.as_str(), number, head.number, CHUNK as u64]).await?;
        if rows.is_empty() {
            return wrong(number + 1, MISSING);
        }
        for row in &rows {
            let (_, here, line, held) = line_of(row)?;
            number += 1;
            if here != number {
                return wrong(number, MISSING);
            }
            digest = line.digest(&digest, log, number).to_vec();
            if digest != held {
                return wrong(number, CHANGED);
            }
        }
        walked += rows.len() as u64;
        progress(walked);
    }
    let ends = digest == head.digest && holds(keys, HEAD_CONTEXT, log, head.number, &head.digest, &head.signature);
    if ends { Ok(Ok(walked)) } else { wrong(number, END) }
}
