//! Pages that were sent follow what is erased, whichever process erases it and wherever that was interrupted.

use std::sync::Arc;

use qianshou_kernel::{config::ms, error::Result};

use crate::House;

/// Looks whenever the ledger moves, until cancelled: a count of few rows, and the pages only where it has changed.
pub(super) async fn run(house: Arc<House>) {
    let cancel = house.ground.cancel.clone();
    let mut bell = house.ground.ledger.bell();
    let mut known = None;
    loop {
        match look(&house, &mut known).await {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "what was erased is gone from the pages that were sent"),
            Err(error) => {
                tracing::error!(%error, "what was erased still stands in pages; it is tried again");
                known = None;
            }
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            rung = bell.changed() => if rung.is_err() { return },
            () = tokio::time::sleep(ms(house.ground.config.heartbeat_ms)) => {}
        }
    }
}

async fn look(house: &House, known: &mut Option<u64>) -> Result<u64> {
    let count = Some(house.ground.ledger.erased_count().await?);
    if *known == count {
        return Ok(0);
    }
    let cleared = house.store.clear_erased().await?;
    if cleared > 0 {
        house.ground.ledger.db().scrub().await?;
    }
    *known = count;
    Ok(cleared)
}
