//! Whether what a node holds is what was written: its parts walked whole, by sample, or slowly by a task that goes round and turns
//! health red where something does not hold. Changes nothing but its own cursor.

use std::{sync::Arc, time::Duration};

use qianshou_exchange::store::{Pages, Store, Way};
use qianshou_kernel::{
    audit::{Chain, Log, Signer},
    config::ms,
    db::Db,
    error::{Error, Reason, Result, said, shown},
    identity::NodeKeys,
    ledger::{
        Ledger, heads,
        verify::{self, Entries, Fault, Part},
    },
    line::Line,
    server::Troubles,
};
use qianshou_proto::exchange::v1::{ShowHeadRequest, exchange_service_client::ExchangeServiceClient};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Things of a part in one look of a whole walk.
const LOOK: u32 = 2_000;
/// Things at the end of a part, and as many at random, in a look without `--full`.
pub const SAMPLE: u32 = 500;

/// Everything of a node that can be verified.
#[must_use]
pub fn parts(db: &Db, signer: &Signer) -> Vec<Arc<dyn Part>> {
    let pages = |way| {
        let Signer { node, key, .. } = signer.clone();
        Arc::new(Pages { db: db.clone(), node, key, way }) as Arc<dyn Part>
    };
    let chain = |log| Arc::new(Chain { db: db.clone(), signer: signer.clone(), log }) as Arc<dyn Part>;
    let heads =
        heads::Heads { db: db.clone(), keys: std::iter::once(signer.key).chain(signer.former.clone()).collect() };
    let mut all: Vec<Arc<dyn Part>> = vec![Arc::new(Entries(db.clone())), Arc::new(heads)];
    all.extend([pages(Way::Sent), pages(Way::Received)]);
    all.extend(Log::ALL.map(chain));
    all
}

/// What was looked at of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// Which part.
    pub part: &'static str,
    /// How many of its things.
    pub count: u64,
    /// The first that does not hold.
    pub fault: Option<Fault>,
}

/// Walks the parts whole. `progress` hears the part, how many are done and how many there are.
pub async fn walk(parts: &[Arc<dyn Part>], mut progress: impl FnMut(&str, u64, u64)) -> Result<Vec<Looked>> {
    let mut all = vec![];
    for part in parts {
        let (mut count, mut after, total) = (0, String::new(), part.total().await?);
        progress(part.name(), 0, total);
        let fault = loop {
            let piece = part.look(&after, LOOK).await?;
            count += piece.count;
            progress(part.name(), count, total);
            match (piece.fault, piece.next) {
                (None, Some(next)) => after = next,
                (fault, _) => break fault,
            }
        };
        all.push(Looked { part: part.name(), count, fault });
    }
    Ok(all)
}

/// Looks at the end of each part, and here and there.
pub async fn sample(parts: &[Arc<dyn Part>]) -> Result<Vec<Looked>> {
    let mut all = vec![];
    for part in parts {
        let piece = part.sample(SAMPLE).await?;
        all.push(Looked { part: part.name(), count: piece.count, fault: piece.fault });
    }
    Ok(all)
}

/// Characters of a peer's reason that are shown.
const REASON_MAX_CHARS: usize = 500;
/// How long a peer may take to answer.
const PEER_PATIENCE: Duration = Duration::from_secs(15);
/// How long the ledger may move before its head is signed, in time and in groups.
const SIGN_EVERY: Duration = Duration::from_secs(60);
const SIGN_GROUPS: u64 = 100;
/// Signatures between two looks at what need not be kept.
const THIN_EVERY: u64 = 60;

/// Signs the ledger's head at the start, every minute and at every hundredth group, until cancelled.
pub(crate) async fn sign_heads(ledger: Ledger, keys: Arc<NodeKeys>, cancel: CancellationToken) {
    let mut groups = ledger.groups();
    let mut signed = 0_u64;
    loop {
        let now = ledger.clock().now_ms();
        match heads::sign(ledger.db(), &keys, now).await {
            Ok(moved) => signed += u64::from(moved),
            Err(error) => tracing::warn!(%error, "the head could not be signed; it is tried again"),
        }
        if signed % THIN_EVERY == 1
            && let Err(error) = heads::thin(ledger.db(), now).await
        {
            tracing::warn!(%error, "old signed heads are still kept");
        }
        let until = *groups.borrow_and_update() + SIGN_GROUPS;
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            reached = groups.wait_for(|count| *count >= until) => if reached.is_err() { return },
            () = tokio::time::sleep(SIGN_EVERY) => {}
        }
    }
}

/// What peers keep of this node's heads, against its chain: one look a peer, as far as it answers.
pub async fn with_peers(ledger: &Ledger, keys: &NodeKeys) -> Result<Vec<(String, Result<Looked>)>> {
    let db = ledger.db();
    let ours = keys.signing.verifying_key().to_bytes();
    let mut all = vec![];
    for card in Store::new(ledger.clone()).peer_list().await?.into_iter().map(|peer| peer.card) {
        let ask = async {
            let line =
                Line::to_peer(card.address(), keys, card.certificate.as_deref().unwrap_or_default(), ledger.clock())?;
            let asked = ShowHeadRequest { head: heads::newest(db).await? };
            let mut client = ExchangeServiceClient::new(line);
            let answer = tokio::time::timeout(PEER_PATIENCE, client.show_head(asked));
            let away = |cause: String| Error::refused("peer", Reason::Unavailable, cause);
            let answer = answer.await.map_err(|late| away(late.to_string()))?;
            let kept = answer.map_err(|status| away(shown(&said(&status), REASON_MAX_CHARS)))?.into_inner().kept;
            let fault = heads::agree(db, &kept, &ours, card.node()).await?;
            Ok(Looked { part: "peers", count: kept.len() as u64, fault })
        };
        all.push((card.node().to_owned(), ask.await));
    }
    Ok(all)
}

/// Goes round slowly until cancelled, and keeps health red as long as something does not hold. Without parts it hears what another process
/// found.
pub(crate) async fn go_round(
    ledger: Ledger,
    parts: Vec<Arc<dyn Part>>,
    settings: qianshou_kernel::config::Ledger,
    troubles: Troubles,
    cancel: CancellationToken,
) {
    let mut beat = tokio::time::interval(ms(settings.verify_every_ms.max(1)));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = None;
    while cancel.run_until_cancelled(beat.tick()).await.is_some() {
        match round(&ledger, &parts, settings.verify_entries).await {
            Ok(fault) => {
                if let Some(fault) = fault.as_ref().filter(|_| fault != told) {
                    tracing::error!(%fault, "what is stored is not what was written");
                }
                troubles.set("integrity", fault.as_ref().map(Fault::to_string));
                told = fault;
            }
            Err(error) => tracing::warn!(%error, "what is stored could not be verified; it is tried again"),
        }
    }
}

async fn round(ledger: &Ledger, parts: &[Arc<dyn Part>], count: u32) -> Result<Option<Fault>> {
    if parts.is_empty() {
        return heard(ledger).await;
    }
    let mut first = None;
    for part in parts {
        let fault = verify::beat(ledger.db(), part.as_ref(), count, ledger.clock().now_ms()).await?;
        first = first.or(fault);
    }
    Ok(first)
}

/// What the process that goes round found.
async fn heard(ledger: &Ledger) -> Result<Option<Fault>> {
    let found = verify::rounds(ledger.db()).await?.into_iter().find_map(|round| Some((round.part, round.fault?)));
    Ok(found.map(|(at, (zh, en))| Fault { at, zh, en }))
}
