//! The province and the nation: two processes, the agreement between them, and what is done to them.

use std::time::Duration;

use bytes::Bytes;
use qianshou_kernel::clock::Clock;
use qianshou_proto::exchange::v1 as api;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{ASK_AGAIN, Kill, Lawful, PATIENCE, Plan, UNDISTURBED, answered, backup::Backup, must, writers::Writers};
use crate::{
    Caller, World,
    process::Process,
    treaty::{self, share},
};

/// Where the nation may see records.
pub(super) const AREA: &str = "6401";

/// How long a receipt may take while everybody writes; there may be none.
const RECEIPT: Duration = Duration::from_secs(5);

/// Both of them.
pub(super) struct Pair {
    pub(super) world: World,
    pub(super) provider: Process,
    pub(super) consumer: Process,
    /// What they agree on.
    pub(super) clauses: Vec<api::KindClause>,
    pub(super) agreement: api::Agreement,
    pub(super) kills: usize,
    /// The provider was restored.
    pub(super) restored: bool,
}

/// Where a stream stands at one side: a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) epoch: u64,
    pub(super) number: u64,
    /// Of the last page of the epoch.
    pub(super) digest: Bytes,
}

impl Pair {
    pub(super) async fn open(world: &World, plan: &Plan) -> Self {
        let entries = plan.page_max_entries.to_string();
        let settings = [("QIANSHOU__EXCHANGE__PAGE_MAX_ENTRIES", entries.as_str())];
        let mutated = plan.mutation.map(|name| ("QIANSHOU_MUTATION", name));
        let provider = world.process("64", &settings).await;
        let consumer = world.process("00", &settings.into_iter().chain(mutated).collect::<Vec<_>>()).await;
        let mut workers = share("workers", "division sector assignment since until", AREA);
        workers.pseudonym = Some(plan.pseudonyms);
        let clauses = vec![
            share("agencies", "display_name uscc type division founded_on closed_on fields", AREA),
            workers,
            share("certificates", "worker level issued_on registered_until revoked_on division", AREA),
        ];
        treaty::introduce(&[&provider.admin, &consumer.admin]).await;
        let agreement = treaty::draft(&provider.admin, treaty::terms("64", "00", clauses.clone())).await;
        Self { world: world.clone(), provider, consumer, clauses, agreement, kills: 0, restored: false }
    }

    /// Signs at the provider; the consumer signs while it is tormented.
    pub(super) async fn offer(&self) {
        treaty::sign(&self.provider.admin, &self.agreement).await;
        let arrived = async || treaty::agreement(&self.consumer.admin, self.agreement.id()).await;
        crate::eventually("the offer at the consumer", arrived).await;
    }

    /// Kills both while everybody writes.
    pub(super) async fn torment(&mut self, writers: &mut Writers, kills: &[Vec<Kill>; 2]) -> Lawful {
        let (over, signer, agreement) = (CancellationToken::new(), self.consumer.admin.clone(), self.agreement.clone());
        let killed = async {
            let (provider, consumer) = (endure(&mut self.provider, &kills[0]), endure(&mut self.consumer, &kills[1]));
            let (one, two, ()) = tokio::join!(provider, consumer, sleep(UNDISTURBED));
            self.kills += one + two;
            let held = if one + two > 0 { self.last_kill().await } else { Ok(()) };
            over.cancel();
            held
        };
        let (wrote, signed, held) = tokio::join!(writers.write(&over), sign(&signer, &agreement), killed);
        wrote.and(signed).and(held)
    }

    /// Kills the consumer in the moment in which a receipt of it has arrived. Applied, not accepted: the page must be in what
    /// it leaves behind.
    async fn last_kill(&mut self) -> Lawful {
        let deadline = Instant::now() + RECEIPT;
        let before = self.stream(&self.provider.admin).await?.applied();
        while self.stream(&self.provider.admin).await?.applied() == before && Instant::now() < deadline {
            sleep(ASK_AGAIN).await;
        }
        self.consumer.kill().await;
        self.kills += 1;
        let (acknowledged, applied) = (self.acknowledged().await, self.applied().await);
        self.consumer.start().await;
        let at = |standing: &Standing| (standing.epoch, standing.number);
        let holds = acknowledged.number == 0 || at(&acknowledged) <= at(&applied);
        must(holds, "applied-not-accepted", || format!("acknowledged {acknowledged:?}, applied {applied:?}"))
    }

    /// The provider comes back as it was some time ago, and says so.
    pub(super) async fn restore(&mut self, writers: &mut Writers, kills: &[Vec<Kill>; 2]) -> Lawful {
        let loaded = self.world.settle("64").await;
        stop(&mut self.provider).await?;
        let backup = Backup::take(&loaded).await;
        self.provider.start().await;
        let as_it_was = writers.clone();
        self.torment(writers, &[vec![], vec![]]).await?;
        self.quiet().await?;
        self.provider.kill().await;
        backup.put_back().await;
        let node = qianshou::node::Node::open(loaded, Clock::system(), None).await.unwrap();
        node.ledger().new_epoch().await.unwrap();
        node.ledger().db().close().await;
        // As long as it is open here, no other process serves its database.
        drop(node);
        self.provider.start().await;
        (*writers, self.restored) = (as_it_was, true);
        self.torment(writers, kills).await
    }

    /// Waits until nothing moves any more; answers how many pages were made.
    pub(super) async fn quiet(&self) -> Lawful<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (sent, received) = (self.stream(&self.provider.admin).await?, self.stream(&self.consumer.admin).await?);
            // Of what was on its way when a backup was made, the restored provider never hears.
            let whole = |stream: &api::Stream| stream.entries() == stream.applied() + stream.quarantined();
            let quiet = |stream: &api::Stream| stream.pages() > 0 && stream.behind() == 0;
            if quiet(&sent) && quiet(&received) && (self.restored || whole(&sent)) && whole(&received) {
                return Ok(sent.pages());
            }
            must(Instant::now() < deadline, "quiescence", || format!("provider {sent:?}, consumer {received:?}"))?;
            sleep(ASK_AGAIN).await;
        }
    }

    async fn stream(&self, at: &Caller) -> Lawful<api::Stream> {
        let listed = answered(|| async {
            Ok(at.exchange().list_streams(api::ListStreamsRequest {}).await?.into_inner().streams)
        })
        .await?;
        Ok(listed.into_iter().find(|stream| stream.agreement() == self.agreement.id()).unwrap_or_default())
    }

    /// The last page that the provider made.
    pub(super) async fn made(&self) -> Standing {
        standing(&self.provider, "SELECT epoch, next_number - 1, digest FROM exchange_outbound").await
    }

    /// The last page whose receipt the provider has.
    pub(super) async fn acknowledged(&self) -> Standing {
        standing(&self.provider, "SELECT epoch, acked, digest FROM exchange_outbound").await
    }

    /// The last page that the consumer has applied.
    pub(super) async fn applied(&self) -> Standing {
        standing(&self.consumer, "SELECT epoch, number, digest FROM exchange_inbound").await
    }
}

/// Stops a process as an operator does.
pub(super) async fn stop(process: &mut Process) -> Lawful {
    let code = process.stop().await;
    must(code == Some(0), "drains", || format!("{} ended with {code:?}", process.folder.display()))
}

async fn standing(at: &Process, sql: &'static str) -> Standing {
    let db = at.db().await;
    let row = db.fetch_one(sql, vec![]).await.unwrap();
    db.close().await;
    row.map(|row| Standing {
        epoch: row.count(0).unwrap(),
        number: row.count(1).unwrap(),
        digest: row.bytes(2).unwrap().into(),
    })
    .unwrap_or_default()
}

/// Kills a process again and again; answers how often.
async fn endure(process: &mut Process, kills: &[Kill]) -> usize {
    let mut times = 0;
    for Kill { after, down, again } in kills {
        sleep(*after).await;
        process.kill().await;
        times += 1;
        sleep(*down).await;
        if let Some(again) = again {
            if timeout(*again, process.start()).await.is_ok() {
                continue;
            }
            // Whoever stops waiting for it has killed it.
            times += 1;
            sleep(*down).await;
        }
        process.start().await;
    }
    times
}

/// Signs, unless that is done.
async fn sign(at: &Caller, drafted: &api::Agreement) -> Lawful {
    let asked = api::SignAgreementRequest { id: drafted.id.clone(), digest: drafted.digest.clone() };
    answered(|| async { at.exchange().sign_agreement(asked.clone()).await }).await.map(drop)
}
