//! The two chains in the database: appended to under the lock of their head rows, purged from the front. Head and front are signed by
//! the node's key, so that a chain made without it, shorter or other, does not verify.

use prost::Message as _;
use qianshou_proto::exchange::v1::Signature;

use super::Line;
use crate::{
    binds,
    db::{Db, Statement, Tx},
    error::{Error, Result},
    identity::{self, NodeKeys},
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

/// Where a chain begins and ends.
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) digest: Vec<u8>,
    signature: Vec<u8>,
    pub(super) purged: u64,
    pub(super) purged_digest: Vec<u8>,
    purged_signature: Vec<u8>,
}

impl Head {
    /// Whether the node signed where this chain begins.
    pub(super) fn begins(&self, signer: &Signer, log: Log) -> bool {
        signer.signed(PURGED_CONTEXT, log, self.purged, &self.purged_digest, &self.purged_signature)
    }

    /// Whether the node signed where this chain ends.
    pub(super) fn ends(&self, signer: &Signer, log: Log) -> bool {
        signer.signed(HEAD_CONTEXT, log, self.number, &self.digest, &self.signature)
    }
}

/// What is signed of a place in a chain.
fn place(node: &str, log: Log, number: u64, digest: &[u8]) -> Vec<u8> {
    format!("{node} {} {number} {}", log.as_str(), hex::encode(digest)).into_bytes()
}

fn signed(keys: &NodeKeys, context: &str, log: Log, number: u64, digest: &[u8]) -> Vec<u8> {
    keys.sign(context, &place(&keys.node, log, number, digest)).encode_to_vec()
}

/// Who signs a chain, as far as verifying it needs.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The node's code.
    pub node: String,
    /// Its public key.
    pub key: [u8; 32],
    /// The public keys that it had before.
    pub former: Vec<[u8; 32]>,
}

impl Signer {
    fn signed(&self, context: &str, log: Log, number: u64, digest: &[u8], signature: &[u8]) -> bool {
        let place = place(&self.node, log, number, digest);
        let Ok(signature) = Signature::decode(signature) else { return false };
        let mut keys = std::iter::once(&self.key).chain(&self.former);
        keys.any(|key| identity::verify(key, context, &place, &signature))
    }
}

impl From<&NodeKeys> for Signer {
    fn from(keys: &NodeKeys) -> Self {
        let (key, former) = (keys.signing.verifying_key().to_bytes(), keys.former.clone());
        Self { node: keys.node.clone(), key, former }
    }
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

pub(super) async fn head(db: &Db, log: Log) -> Result<Option<Head>> {
    let sql =
        "SELECT number, digest, signature, purged, purged_digest, purged_signature FROM audit_head WHERE log = $1";
    db.fetch_one(sql, binds![log.as_str()]).await?.as_ref().map(head_of).transpose()
}
