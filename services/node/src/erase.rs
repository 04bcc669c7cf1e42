//! What erasing a person takes of the houses: what reporting counts by, and the exchange's copies.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use qianshou_exchange::store::Store;
use qianshou_kernel::{
    clock::Clock,
    config::Loaded,
    db::Db,
    erasure::{Copies, Eraser, journal::Journal},
    error::Result,
    id::Ids,
    kind::Kinds,
    ledger::{self, Kept, Ledger},
    person::Secrets,
};
use qianshou_reporting::{Reporting, domain::catalogue::catalogue};
use tokio_util::sync::CancellationToken;

use crate::node;

/// Erases persons of a ledger. `copies`: of the houses that are in this process; elsewhere each clears its own.
pub(crate) fn eraser(
    ledger: &Ledger,
    ids: &Ids,
    secrets: Option<Arc<Secrets>>,
    journal: Journal,
    copies: Vec<Arc<dyn Copies>>,
) -> Result<Eraser> {
    Ok(Eraser::new(ledger.clone(), ids.clone(), secrets, kept(ledger)?, journal, copies))
}

/// Finishes what was interrupted, before anything is served.
pub(crate) async fn begin(eraser: &Eraser, cancel: CancellationToken) -> Result<()> {
    let records = eraser.finish().await?;
    if records > 0 {
        tracing::info!(records, "an erasure that was interrupted is finished");
    }
    tokio::spawn(eraser.clone().keep_tidy(cancel));
    Ok(())
}

/// Erases again, in a database that was restored, what a journal says, and hands the journal on to the restored node; answers the
/// journal and how many records. `None`: none was named, and the configuration names none outside of the node's folder.
pub(crate) async fn again(db: &Db, loaded: &Loaded, named: Option<&Path>) -> Result<Option<(PathBuf, usize)>> {
    let own = loaded.journal();
    let journal = match named {
        Some(file) => Journal::at(file.to_owned()),
        None if own.file().exists() => own.clone(),
        None => return Ok(None),
    };
    if journal.read()?.is_empty() {
        return Ok(Some((journal.file().to_owned(), 0)));
    }
    if own.file() != journal.file() {
        own.take_over(&journal)?;
    }
    node::reindex(db).await?;
    let clock = Clock::system();
    let (kinds, limits) = (Arc::new(Kinds::new(node::kinds())), ledger::Limits::default());
    let ledger = Ledger::open(db.clone(), &loaded.config.node.code, kinds, clock.clone(), limits).await?;
    // The journal names every record, so no number has to be opened; the key for that may be elsewhere.
    let copies = vec![pages(&ledger), Arc::new(Reporting::new(ledger.clone(), Duration::ZERO)?) as Arc<dyn Copies>];
    let records = eraser(&ledger, &Ids::random(clock), None, own, copies)?.replay().await?;
    Ok(Some((journal.file().to_owned(), records)))
}

/// The pages that the exchange sent.
pub(crate) fn pages(ledger: &Ledger) -> Arc<dyn Copies> {
    Arc::new(Store::new(ledger.clone()))
}

/// What the indicator catalogue reads of each kind.
fn kept(ledger: &Ledger) -> Result<BTreeMap<String, Kept>> {
    let catalogue = catalogue()?;
    let of = |kind: &str| Kept { fields: catalogue.reads(kind), links: catalogue.is_link(kind) };
    Ok(ledger.kinds().iter().map(|kind| (kind.collection.to_owned(), of(kind.collection))).collect())
}
