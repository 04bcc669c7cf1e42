//! Bringing a chain that was written before contents were salted to the salted form, once, before this process writes: what an
//! unsalted digest covers could be guessed from it after an erasure, so none may stay.
//!
//! In batches under the head row's lock, each with its cursor in its commit. Every old digest is checked before it is replaced; where
//! one did not hold, the first such position is kept, and verifying tells it for ever.

use qianshou_proto::common::v1::EndReason;

use super::{
    Content, End, Version,
    chain::{self, Hash, Place},
};
use crate::{
    binds,
    db::{Db, Row, Statement, Tx},
    error::{Error, Result},
    id::Salts,
};

/// Entries in one commit at most.
const BATCH: u32 = 4_000;

/// Salts what is not salted yet; `progress` hears how many entries are done so far. Does nothing on a database of another level.
pub async fn salt(db: &Db, mut progress: impl FnMut(u64)) -> Result<()> {
    const WAITS: &str = "SELECT salted FROM head WHERE id = 1 AND salted IS NOT NULL";
    while db.fetch_one(WAITS, vec![]).await?.is_some() {
        let mut tx = super::begin(db).await?;
        let done = batch(&mut tx).await?;
        tx.commit().await?;
        progress(done);
    }
    Ok(())
}

/// Salts the next entries; answers the position up to which the chain is salted.
async fn batch(tx: &mut Tx) -> Result<u64> {
    const LOCK: &str =
        "UPDATE head SET position = position WHERE id = 1 RETURNING salted, unsalted, unchained, position, digest";
    const NEXT: &str = "SELECT position, name, epoch, revision, ended, ended_on, previous, payload, sealed, digest, actor, written_at \
                        FROM entries WHERE position > $1 ORDER BY position LIMIT $2";
    const REPLACE: &str = "UPDATE entries SET salt = (SELECT s.salt FROM salting s WHERE s.position = entries.position), \
                           digest = (SELECT s.digest FROM salting s WHERE s.position = entries.position) \
                           WHERE position > $1 AND position <= $2";
    let rows = tx.fetch(LOCK, vec![]).await?;
    let head = rows.first().ok_or_else(|| Error::broken("the ledger has no head"))?;
    let Some(from) = head.maybe_int(0)?.and_then(|position| u64::try_from(position).ok()) else {
        return head.count(3);
    };
    let mut old = head.maybe_bytes(1)?.map_or(Ok(chain::NOTHING), |bytes| hash(&bytes))?;
    let mut unchained = head.maybe_int(2)?;
    let before = tx.fetch("SELECT digest FROM entries WHERE position = $1", binds![from]).await?;
    let mut new = before.first().map_or(Ok(chain::NOTHING), |row| hash(&row.bytes(0)?))?;

    let entries = tx.fetch(NEXT, binds![from, BATCH]).await?;
    let (mut salts, mut last, mut rows) = (Salts::new()?, from, vec![]);
    for row in &entries {
        let (position, name, actor) = (row.count(0)?, row.text(1)?, row.text(10)?);
        let version = Version { epoch: row.count(2)?, revision: row.count(3)? };
        let content = content(row)?;
        let stood = hash(&row.bytes(9)?)?;
        if chain::unsalted_link(&old, &name, version, &content) != stood || position != last + 1 {
            unchained = unchained.or_else(|| i64::try_from(position).ok());
        }
        let place = Place {
            position,
            name: &name,
            version,
            previous: row.maybe_int(6)?.and_then(|p| u64::try_from(p).ok()).unwrap_or(0),
            actor: &actor,
            written_at_ms: row.int(11)?,
        };
        let salt = salts.fresh();
        new = chain::link(&new, &place, &chain::content_digest(&salt, &content));
        (old, last) = (stood, position);
        rows.push(binds![position, &salt[..], &new[..]]);
    }
    if rows.len() < BATCH as usize {
        if old != hash(&head.bytes(4)?)? || last != head.count(3)? {
            unchained = unchained.or(Some(head.int(3)?));
        }
        let end = "UPDATE head SET salted = NULL, unsalted = NULL, unchained = $1, digest = $2 WHERE id = 1";
        tx.run(&Statement::insert("salting (position, salt, digest)", "", rows)).await?;
        tx.execute(REPLACE, binds![from, last]).await?;
        tx.execute(end, binds![unchained, &new[..]]).await?;
    } else {
        let on = "UPDATE head SET salted = $1, unsalted = $2, unchained = $3 WHERE id = 1";
        tx.run(&Statement::insert("salting (position, salt, digest)", "", rows)).await?;
        tx.execute(REPLACE, binds![from, last]).await?;
        tx.execute(on, binds![last, &old[..], unchained]).await?;
    }
    tx.execute("DELETE FROM salting", vec![]).await?;
    Ok(last)
}

fn content(row: &Row) -> Result<Content> {
    Ok(match (row.maybe_int(4)?, row.maybe_text(5)?) {
        (Some(reason), on) => Content::End(End {
            reason: i32::try_from(reason).unwrap_or(EndReason::Unspecified as i32),
            on: on.unwrap_or_default(),
        }),
        (None, _) => Content::Put {
            payload: row.maybe_bytes(7)?.unwrap_or_default().into(),
            sealed: row.maybe_bytes(8)?.map(bytes::Bytes::from),
        },
    })
}

fn hash(bytes: &[u8]) -> Result<Hash> {
    bytes.try_into().map_err(|_| Error::broken("the ledger's digest has not 32 bytes"))
}
