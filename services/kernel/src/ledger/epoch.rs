//! The lives of a node's history. A restored node opens the next one before anything is written, so every later version is
//! above every earlier; its peers are told when an operator declares it, for what they hold beyond the backup ends with that.

use super::Ledger;
use crate::{
    db::Db,
    error::{Error, Result},
};

const NEW: &str = "UPDATE head SET epoch = epoch + 1, declared = NULL WHERE id = 1 RETURNING epoch";
/// `declared` is the epoch that peers know; NULL: the one that stands.
const OPEN: &str =
    "UPDATE head SET epoch = epoch + 1, declared = COALESCE(declared, epoch) WHERE id = 1 RETURNING epoch";
const DECLARE: &str = "UPDATE head SET declared = NULL WHERE id = 1 AND declared IS NOT NULL RETURNING epoch";

impl Ledger {
    /// Opens a new epoch and declares it.
    pub async fn new_epoch(&self) -> Result<u64> {
        moved(&self.db, NEW).await?.ok_or_else(headless)
    }
}

/// Opens a new epoch that peers are not told of yet: their streams stand still until it is declared.
pub async fn open_epoch(db: &Db) -> Result<u64> {
    moved(db, OPEN).await?.ok_or_else(headless)
}

/// Declares the epoch that was opened, or with `new` one more if none waits. Answers it; `None`: none waited.
pub async fn declare_epoch(db: &Db, new: bool) -> Result<Option<u64>> {
    match moved(db, DECLARE).await? {
        None if new => moved(db, NEW).await,
        declared => Ok(declared),
    }
}

async fn moved(db: &Db, sql: &'static str) -> Result<Option<u64>> {
    let mut tx = super::begin(db).await?;
    let epoch = tx.fetch(sql, vec![]).await?.first().map(|row| row.count(0)).transpose()?;
    tx.commit().await?;
    Ok(epoch)
}

fn headless() -> Error {
    Error::broken("the ledger has no head")
}
