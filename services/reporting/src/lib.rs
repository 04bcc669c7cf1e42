//! Reporting: tables of what the ledger holds. A cell is a sum of dated facts.
//!
//! It writes no record, asks no other house and keeps nothing that could not be counted again from the ledger.
//!
//! The path of an entry: [`follow`] finds the subjects it touches → [`domain`] makes each subject's facts from all
//! its records → what differs from the facts as last counted is added to the tallies, in the commit that moves the
//! cursor ([`store`]).
//!
//! The path of a request: the caller is known → [`rpc`] parses it → waits until everything is counted that the ledger
//! holds → reads few rows → the cells.

pub mod domain;
mod follow;
mod rpc;
mod store;

use std::time::Duration;

pub use follow::{Difference, Recount};
use qianshou_kernel::{
    db::Migration,
    erasure::{Answered, Copies},
    error::{Error, Reason, Result},
    follow::{Follower, run, step},
    ledger::Ledger,
    succession::History,
};
use qianshou_proto::reporting::v1::reporting_service_server::ReportingServiceServer;
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        catalogue::{Catalogue, catalogue, catalogue_digest},
        tally::Tallies,
    },
    follow::Follow,
    store::Store,
};

/// The house's own tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { house: "reporting", version: 1, sql: include_str!("migrations/1_reporting.sql") },
    Migration { house: "reporting", version: 2, sql: include_str!("migrations/2_changes.sql") },
    Migration { house: "reporting", version: 3, sql: include_str!("migrations/3_same.sql") },
    Migration { house: "reporting", version: 4, sql: include_str!("migrations/4_tags.sql") },
];

/// How often the cursor is looked at while somebody waits for it: another process may be the one that follows.
const LOOK_EVERY_MS: u64 = 50;

/// The house.
#[derive(Clone)]
pub struct Reporting {
    ledger: Ledger,
    store: Store,
    catalogue: &'static Catalogue,
    patience: Duration,
    progress: watch::Sender<u64>,
    history: History,
}

impl Reporting {
    /// A house over a ledger whose database has this house's tables. `patience`: how long a table waits for what it
    /// has to hold.
    ///
    /// # Errors
    /// The indicators contradict the contract, which this crate's tests rule out.
    pub fn new(ledger: Ledger, patience: Duration) -> Result<Self> {
        let store = Store::new(ledger.db().clone());
        Ok(Self {
            ledger,
            store,
            catalogue: catalogue()?,
            patience,
            progress: watch::Sender::new(0),
            history: History::default(),
        })
    }

    /// Its service; message limits are set by the node.
    #[must_use]
    pub fn service(&self) -> ReportingServiceServer<Self> {
        ReportingServiceServer::new(self.clone())
    }

    /// Follows the ledger until cancelled. Tables are right in every process of the node as long as one of them
    /// follows.
    pub fn start(&self, cancel: CancellationToken) -> JoinHandle<()> {
        let progress = self.progress.clone();
        let report = move |position| {
            progress.send_replace(position);
        };
        tokio::spawn(follow::lag::measure(self.ledger.clone(), cancel.clone()));
        let (store, ledger, follow) = (self.store.clone(), self.ledger.clone(), self.follow());
        tokio::spawn(async move {
            while let Err(error) = store.count_again_by(&catalogue_digest(), &ledger, Follow::NAME).await {
                tracing::error!(%error, "what was counted by another catalogue is still there; it is tried again");
                if cancel.run_until_cancelled(tokio::time::sleep(Duration::from_secs(5))).await.is_none() {
                    return;
                }
            }
            run(ledger, follow, cancel, report).await;
        })
    }

    /// Counts everything again from the ledger and compares it with the tallies. It first waits until these have
    /// caught up; what is saved meanwhile shows up as a difference.
    ///
    /// # Errors
    /// NOT_YET: the tallies did not catch up in time.
    pub async fn recount(&self) -> Result<Recount> {
        let head = self.ledger.head().await?.position;
        if self.reach(head).await? < head {
            return Err(Error::refused("", Reason::NotYet, head));
        }
        self.follow().recount().await
    }

    /// Every tally that is not zero, per day and per month, at every level of the area.
    pub async fn tallies(&self) -> Result<Tallies> {
        self.store.tallies().await
    }

    /// Up to where everything is counted.
    pub async fn position(&self) -> Result<u64> {
        self.ledger.cursor(Follow::NAME).await
    }

    fn follow(&self) -> Follow {
        Follow::new(self.ledger.clone(), self.store.clone(), self.catalogue)
    }

    /// Counts everything up to where the ledger stands now, whoever else follows.
    async fn catch_up(&self) -> Result<()> {
        let head = self.ledger.head().await?.position;
        while self.position().await? < head {
            step(&self.ledger, &self.follow()).await?;
        }
        Ok(())
    }

    /// Waits until everything up to a position is counted, and answers up to where it is; less, if patience ended
    /// first.
    async fn reach(&self, position: u64) -> Result<u64> {
        let mut progress = self.progress.subscribe();
        let end = Instant::now() + self.patience;
        loop {
            let reached = self.position().await?;
            if reached >= position || Instant::now() >= end {
                return Ok(reached);
            }
            let look = end.min(Instant::now() + Duration::from_millis(LOOK_EVERY_MS));
            // Either way the cursor is asked again: it is the truth, the rest are hints.
            drop(tokio::time::timeout_at(look, progress.changed()).await);
        }
    }
}

/// By whom subjects were is in this house's tables until the end of their records is counted.
impl Copies for Reporting {
    fn count<'a>(&'a self, _names: &'a [String]) -> Answered<'a, Option<u64>> {
        Box::pin(async { Ok(None) })
    }

    fn clear(&self) -> Answered<'_, ()> {
        Box::pin(self.catch_up())
    }
}
