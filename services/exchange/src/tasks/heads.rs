//! Where the ledgers stand, shown to every peer that can be reached and kept of every peer that shows it, once a minute.

use std::{sync::Arc, time::Duration};

use qianshou_kernel::{error::Result, ledger::heads};
use qianshou_proto::exchange::v1::{Card, IntroduceRequest, LedgerHead, ShowHeadRequest};

use crate::{
    House, client,
    domain::{page::key_of, peer::is_renewed},
};

const EVERY: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(15);

/// Shows until the house's token is cancelled.
pub(super) async fn run(house: Arc<House>) {
    let cancel = house.ground.cancel.clone();
    let mut beat = tokio::time::interval(EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while cancel.run_until_cancelled(beat.tick()).await.is_some() {
        if let Err(error) = show_all(&house).await {
            tracing::debug!(%error, "the head was not shown");
        }
    }
}

async fn show_all(house: &Arc<House>) -> Result<()> {
    let head = heads::newest(house.ground.ledger.db()).await?;
    let peers = house.store.peer_list().await?;
    let shown = peers.iter().filter(|peer| !peer.card.address().is_empty()).map(|peer| async {
        let asked = ShowHeadRequest { head: head.clone() };
        let mut client = client(house, &peer.card)?;
        let answer = tokio::time::timeout(PATIENCE, client.show_head(asked)).await;
        // An older peer does not know the call, and one that is away is asked again.
        if let Ok(Ok(answer)) = answer
            && let Some(head) = &answer.get_ref().head
        {
            keep(house, &peer.card, head).await?;
        }
        let answer = tokio::time::timeout(PATIENCE, client.introduce(IntroduceRequest {})).await;
        if let Ok(Ok(answer)) = answer
            && let Some(card) = &answer.get_ref().card
        {
            learn(house, &peer.card, card).await?;
        }
        Ok::<_, qianshou_kernel::error::Error>(())
    });
    for answer in futures::future::join_all(shown).await {
        answer?;
    }
    Ok(())
}

/// Takes over a later certificate that a peer shows for its pinned key, so that its end is known.
pub(crate) async fn learn(house: &House, known: &Card, shown: &Card) -> Result<()> {
    if is_renewed(known, shown, house.clock().now_ms()) && house.store.peer_renew(known, shown).await? {
        tracing::info!(peer = known.node(), "the peer has renewed its certificate for the same key");
    }
    Ok(())
}

/// Keeps what a peer has shown; `false`: it is not the peer's.
pub(crate) async fn keep(house: &House, card: &Card, head: &LedgerHead) -> Result<bool> {
    let node = card.node();
    let body = key_of(card).and_then(|key| heads::read(head, &key)).filter(|body| body.node() == node);
    let Some(body) = body else { return Ok(false) };
    if !house.store.head_keep(node, head, &body).await? {
        let (epoch, position) = (body.epoch(), body.position());
        tracing::error!(
            node,
            epoch,
            position,
            "the peer's ledger is not what it showed before: its history was changed"
        );
    }
    Ok(true)
}
