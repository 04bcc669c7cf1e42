//! Heads that the node has signed: where its ledger stood. Kept for good, and shown to others: whoever changes an entry and computes
//! every digest after it again cannot make what was signed say so, too.
//!
//! One a minute while the ledger moves, and one each hundred groups; after thirty days the last of each day stays.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use prost::Message as _;
use qianshou_proto::exchange::v1::{LedgerHead, LedgerHeadBody, Signature};

use super::{
    head,
    verify::{Fault, Part, Piece},
};
use crate::{
    binds,
    db::{Db, Row, Statement},
    error::Result,
    identity::{NodeKeys, verify},
};

/// What the signature of a head is made for.
pub const HEAD_CONTEXT: &str = "qianshou.head.v1";
/// How long every head is kept.
const KEEP_ALL_MS: i64 = 30 * 86_400_000;

/// Signs where the ledger stands, if it has moved since it last did, or its key was replaced; answers whether it did.
pub async fn sign(db: &Db, keys: &NodeKeys, now_ms: i64) -> Result<bool> {
    const KEEP: &str = "INSERT INTO heads (position, at, body, signature) VALUES ($1, $2, $3, $4) \
                        ON CONFLICT (position) DO UPDATE SET at = excluded.at, body = excluded.body, signature = excluded.signature";
    let head = head(db).await?;
    let newest = db.fetch_one("SELECT position, signature FROM heads ORDER BY position DESC LIMIT 1", vec![]).await?;
    if let Some(row) = newest {
        let signature = Signature::decode(&row.bytes(1)?[..]).unwrap_or_default();
        // After a change of key what stands is signed again, for peers do not take the former key's word.
        if head.position < row.count(0)? || (head.position == row.count(0)? && signature.key_id() == keys.key_id) {
            return Ok(false);
        }
    } else if head.position == 0 {
        return Ok(false);
    }
    let body = LedgerHeadBody {
        node: Some(head.node),
        epoch: Some(head.epoch),
        position: Some(head.position),
        digest: Some(head.digest.into()),
        at_ms: Some(now_ms),
    };
    let body = body.encode_to_vec();
    let signature = keys.sign(HEAD_CONTEXT, &body).encode_to_vec();
    super::run(db, &[Statement::new(KEEP, binds![head.position, now_ms, body, signature])]).await?;
    Ok(true)
}

/// Forgets what need not be kept: of days long past, every head but the last.
pub async fn thin(db: &Db, now_ms: i64) -> Result<()> {
    const THIN: &str = "DELETE FROM heads WHERE at < $1 AND position NOT IN \
                        (SELECT MAX(h.position) FROM heads h WHERE h.at < $1 GROUP BY h.at / 86400000)";
    super::run(db, &[Statement::new(THIN, binds![now_ms - KEEP_ALL_MS])]).await.map(drop)
}

/// The newest signed head.
pub async fn newest(db: &Db) -> Result<Option<LedgerHead>> {
    let sql = "SELECT body, signature FROM heads ORDER BY position DESC LIMIT 1";
    db.fetch_one(sql, vec![]).await?.map(|row| signed(&row, 0)).transpose()
}

fn signed(row: &Row, first: usize) -> Result<LedgerHead> {
    let signature = Signature::decode(&row.bytes(first + 1)?[..]).unwrap_or_default();
    Ok(LedgerHead { body: Some(row.bytes(first)?.into()), signature: Some(signature) })
}

/// What a head says, if the holder of this key signed it.
#[must_use]
pub fn read(head: &LedgerHead, key: &[u8; 32]) -> Option<LedgerHeadBody> {
    let body = head.body.as_deref()?;
    let held = verify(key, HEAD_CONTEXT, body, head.signature.as_ref()?);
    held.then(|| LedgerHeadBody::decode(body).ok()).flatten()
}

/// Whether heads of ours that others kept are what this ledger says; the first that is not.
pub async fn agree(db: &Db, kept: &[LedgerHead], key: &[u8; 32], by: &str) -> Result<Option<Fault>> {
    let bodies: BTreeMap<u64, LedgerHeadBody> =
        kept.iter().filter_map(|head| read(head, key)).map(|body| (body.position(), body)).collect();
    let positions: Vec<u64> = bodies.keys().copied().collect();
    let rows = db.fetch("SELECT position, digest FROM entries WHERE position IN ({1})", binds![&positions]).await?;
    let ours: BTreeMap<u64, Vec<u8>> =
        rows.iter().map(|row| Ok((row.count(0)?, row.bytes(1)?))).collect::<Result<_>>()?;
    let epoch = head(db).await?.epoch;
    let other = bodies.values().find(|body| {
        let here = ours.get(&body.position());
        // What a restored node lost is of an epoch before.
        if here.is_none() && body.epoch() < epoch { false } else { here.map(Vec::as_slice) != body.digest.as_deref() }
    });
    Ok(other.map(|body| Fault {
        at: format!("head {} at node {by}", body.position()),
        zh: "我方曾向对方出示的签名账本头与现在的账本不符".to_owned(),
        en: "the ledger is not what the signed head said that was shown to them".to_owned(),
    }))
}

/// The signed heads of this node, against its chain.
pub struct Heads {
    /// Where they stand.
    pub db: Db,
    /// The node's signing key, and those that it had before.
    pub keys: Vec<[u8; 32]>,
}

impl Heads {
    async fn after(&self, after: u64, limit: u32) -> Result<Piece> {
        const SQL: &str = "SELECT h.position, h.body, h.signature, e.digest FROM heads h LEFT JOIN entries e ON e.position = h.position \
                           WHERE h.position > $1 ORDER BY h.position LIMIT $2";
        let rows = self.db.fetch(SQL, binds![after, limit]).await?;
        let mut count = 0;
        for row in &rows {
            let position = row.count(0)?;
            let wrong = |zh: &str, en: &str| {
                let at = format!("head {position}");
                Piece { next: None, count, fault: Some(Fault { at, zh: zh.to_owned(), en: en.to_owned() }) }
            };
            let head = signed(row, 1)?;
            let signed = self.keys.iter().find_map(|key| read(&head, key)).filter(|body| body.position() == position);
            let Some(body) = signed else {
                return Ok(wrong("签名账本头的签名不成立", "the signature of this head does not hold"));
            };
            if row.maybe_bytes(3)?.as_deref() != body.digest.as_deref() {
                let en = "the chain is not what was signed here: entries up to this position were changed and computed again";
                return Ok(wrong("账本与签名时不符：此位置以前的条目被改动并重算", en));
            }
            count += 1;
        }
        let last = rows.last().filter(|_| rows.len() == limit as usize);
        Ok(Piece { next: last.map(|row| row.count(0)).transpose()?.map(|p| p.to_string()), count, fault: None })
    }
}

impl Part for Heads {
    fn name(&self) -> &'static str {
        "heads"
    }

    fn total(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async {
            let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM heads";
            self.db.fetch_one(count, vec![]).await?.map_or(Ok(0), |row| row.count(0))
        })
    }

    fn look<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, Result<Piece>> {
        Box::pin(self.after(after.parse().unwrap_or(0), limit))
    }

    /// There are few: all of them.
    fn sample(&self, count: u32) -> BoxFuture<'_, Result<Piece>> {
        Box::pin(async move {
            let (mut after, mut looked) = (0, 0);
            loop {
                let piece = self.after(after, count).await?;
                looked += piece.count;
                match piece.next.as_deref().and_then(|next| next.parse().ok()) {
                    Some(next) if piece.fault.is_none() => after = next,
                    _ => return Ok(Piece { next: None, count: looked, fault: piece.fault }),
                }
            }
        })
    }
}
