//! Indexing again what is saved already, where this binary makes another index of a kind than the one that did it before: a new
//! column, another word. In batches under the head row's lock, so that writers go on between them; the cursor is in each
//! batch's commit, so that whoever comes next goes on there.
//!
//! Never touches entries or links: what is referred to does not change by being looked at again. What is unique may, where a binary
//! makes other keys: a key that another record holds already stays with that one.

use std::collections::BTreeMap;

use super::{claim_key, overlay::TableRows};
use crate::{
    binds,
    db::{Db, Statement, Tx},
    error::{Error, Result},
    id::Name,
    kind::{Claim, Kind, Kinds, shared_text},
    person,
};

/// Records in one commit at most.
const BATCH: u32 = 2_000;
/// What the cursor's name begins with; what is indexed comes after it, for a binary with other kinds begins anew.
const CURSOR: &str = "index";

/// Brings the index of every kind to this binary's level; answers how many records were indexed again. `progress` hears how
/// many so far.
pub async fn reindex(db: &Db, kinds: &Kinds, mut progress: impl FnMut(u64)) -> Result<u64> {
    let stale = stale(db, kinds).await?;
    if stale.is_empty() || db.fetch_one("SELECT id FROM head", vec![]).await?.is_none() {
        return Ok(0);
    }
    let of = stale.iter().map(|kind| format!("{}:{}", kind.collection, kind.index_level));
    let cursor = format!("{CURSOR} {}", of.collect::<Vec<_>>().join(" "));
    let mut done = 0;
    loop {
        let mut tx = super::begin(db).await?;
        let count = batch(&mut tx, &stale, &cursor).await?;
        tx.commit().await?;
        done += count.unwrap_or(0);
        match count {
            Some(_) => progress(done),
            None => return Ok(done),
        }
    }
}

/// The kinds whose index was made by another level.
async fn stale<'a>(db: &Db, kinds: &'a Kinds) -> Result<Vec<&'a Kind>> {
    let rows = db.fetch("SELECT kind, level FROM indexed", vec![]).await?;
    let made: BTreeMap<String, i64> = rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect::<Result<_>>()?;
    Ok(kinds.iter().filter(|kind| made.get(kind.collection) != Some(&kind.index_level)).collect())
}

/// Indexes the next records; `None`: there were none, and the kinds are at their level.
async fn batch(tx: &mut Tx, stale: &[&Kind], cursor: &str) -> Result<Option<u64>> {
    const NEXT: &str = "SELECT r.name, r.position, r.kind, e.payload, e.sealed FROM records r JOIN entries e ON e.position = r.position \
                        WHERE r.position > $1 AND r.ended = FALSE AND r.kind IN ({3}) ORDER BY r.position LIMIT $2";
    // Whoever writes takes the head row first: until the commit, what is read here is the newest.
    tx.fetch("UPDATE head SET position = position WHERE id = 1 RETURNING position", vec![]).await?;
    let row = tx.fetch("SELECT position FROM cursors WHERE name = $1", binds![cursor]).await?;
    let from = row.first().map_or(Ok(0), |row| row.count(0))?;
    let collections: Vec<&str> = stale.iter().map(|kind| kind.collection).collect();
    let rows = tx.fetch(NEXT, binds![from, BATCH, &collections[..]]).await?;

    let mut tables: BTreeMap<&str, TableRows> = BTreeMap::new();
    let (mut positions, mut names, mut shared, mut claims) = (vec![], vec![], vec![], vec![]);
    for row in &rows {
        let (name, position, collection) = (row.text(0)?, row.count(1)?, row.text(2)?);
        let kind = stale.iter().find(|kind| kind.collection == collection);
        let kind = **kind.ok_or_else(|| Error::broken("a record of another kind"))?;
        let blind = row.maybe_bytes(4)?.as_deref().and_then(person::blind_of);
        let index = kind.whole_index(&row.bytes(3)?, blind.as_deref());
        let index = index.map_err(|_| Error::broken(format!("{name} cannot be read")))?;
        positions.push(position);
        names.push(name.clone());
        shared.extend(
            index.shared.iter().map(|(field, text)| binds![collection.as_str(), *field, shared_text(text), &name]),
        );
        let home: Name = name.parse().map_err(|_| Error::broken("the ledger holds a name that is none"))?;
        let key = |claim: &Claim| claim_key(home.home(), home.kind(), claim.field, &claim.value);
        claims.extend(index.claims.iter().map(|claim| binds![key(claim), &name]));
        tables.entry(kind.table).or_insert_with(|| TableRows::of(kind)).put(name, position, index);
    }
    let Some(last) = positions.last().copied() else {
        let level = |kind: &&Kind| binds![kind.collection, kind.index_level];
        let newer = "ON CONFLICT (kind) DO UPDATE SET level = excluded.level";
        tx.run_all(vec![
            Statement::insert("indexed (kind, level)", newer, stale.iter().map(level).collect()),
            Statement::new("DELETE FROM cursors WHERE name = $1", binds![cursor]),
        ])
        .await?;
        return Ok(None);
    };
    let mut statements = vec![TableRows::forget_words(&positions)];
    statements.extend(tables.into_values().flat_map(TableRows::statements));
    let once = "ON CONFLICT (kind, field, text, name) DO NOTHING";
    statements.push(Statement::new("DELETE FROM claims WHERE name IN ({1})", binds![&names]));
    statements.push(Statement::insert("claims (claim, name)", "ON CONFLICT (claim) DO NOTHING", claims));
    statements.push(Statement::new("DELETE FROM shared WHERE name IN ({1})", binds![&names]));
    statements.push(Statement::insert("shared (kind, field, text, name)", once, shared));
    let moved = "ON CONFLICT (name) DO UPDATE SET position = excluded.position";
    statements.push(Statement::insert("cursors (name, position)", moved, vec![binds![cursor, last]]));
    tx.run_all(statements).await?;
    Ok(Some(positions.len() as u64))
}
