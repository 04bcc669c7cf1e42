//! Our halves on their way to the other side. Each is offered until the peer has taken it; a start of the process offers all
//! once more, so a peer that lost what it had gets it again. Offering changes nothing where it is known.

use std::{collections::HashMap, sync::Arc, time::Instant};

use prost::Message as _;
use qianshou_kernel::{
    config::ms,
    error::{Error, Reason, Result, shown},
};
use qianshou_proto::exchange::v1::{Card, OfferStatementRequest, Statement, Verdict};
use tonic::{Code, Status};

use super::{Backoff, REASON_MAX_CHARS};
use crate::{
    House, client,
    domain::agreement::{self, Held, verdict},
    store::Half,
};

/// How long a peer may take to answer.
const ANSWER_TIMEOUT_MS: u64 = 15_000;
/// Heartbeats after which a peer that has not signed is asked again.
const ASK_AGAIN_BEATS: u64 = 30;

/// How the offer of one agreement stands.
struct Offer {
    half: Vec<u8>,
    /// The peer has it.
    taken: bool,
    next: Instant,
    backoff: Backoff,
}

/// Offers until the house's token is cancelled.
pub(super) async fn run(house: Arc<House>) {
    let cancel = house.ground.cancel.clone();
    let mut offers: HashMap<String, Offer> = HashMap::new();
    let mut rung = house.hub.rung();
    loop {
        rung.borrow_and_update();
        for lost in house.hub.take_lost() {
            offers.remove(&lost);
        }
        if let Err(error) = look(&house, &mut offers).await {
            tracing::error!(%error, "statements could not be offered; it is tried again");
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            heard = rung.changed() => if heard.is_err() { return },
            () = tokio::time::sleep(ms(house.ground.config.heartbeat_ms.min(1_000))) => {}
        }
    }
}

/// The provider does not know the agreement: our half is offered again.
pub(super) fn offer_again(house: &House, held: &Held, status: &Status) {
    if status.code() == Code::NotFound {
        house.hub.lost(&held.accord.id);
    }
}

async fn look(house: &Arc<House>, offers: &mut HashMap<String, Offer>) -> Result<()> {
    let mut due = vec![];
    for held in house.store.agreement_list().await? {
        let Some(ours) = held.ours.clone() else { continue };
        let half = ours.encode_to_vec();
        let fresh = || Offer { half: half.clone(), taken: false, next: Instant::now(), backoff: Backoff::of(house) };
        let offer = offers.entry(held.accord.id.clone()).or_insert_with(fresh);
        if offer.half != half {
            *offer = fresh();
        }
        let settled = offer.taken && held.theirs.is_some();
        if !settled && offer.next <= Instant::now() {
            due.push((held, ours));
        }
    }
    let asked = due.into_iter().map(|(held, ours)| async move {
        let answer = offer(house, &held, ours).await;
        (held.accord.id, answer)
    });
    for (id, answer) in futures::future::join_all(asked).await {
        let Some(offer) = offers.get_mut(&id) else { continue };
        match answer {
            Ok(()) => {
                offer.taken = true;
                offer.next = Instant::now() + ms(house.ground.config.heartbeat_ms * ASK_AGAIN_BEATS);
            }
            Err(error) => {
                tracing::debug!(%error, agreement = %id, "a statement could not be delivered; it is tried again");
                offer.next = Instant::now() + offer.backoff.pause();
            }
        }
    }
    Ok(())
}

async fn offer(house: &Arc<House>, held: &Held, ours: Statement) -> Result<()> {
    let other = held.accord.other(house.node()).ok_or_else(|| Error::broken("an agreement between others"))?;
    let peer = house.store.peer_find(other).await?.ok_or_else(|| Error::refused("", Reason::PeerUnknown, other))?;
    let mut client = client(house, &peer.card)?;
    let request = OfferStatementRequest { terms: Some(held.terms.clone().into()), statement: Some(ours) };
    let answer = tokio::time::timeout(ms(ANSWER_TIMEOUT_MS), client.offer_statement(request)).await;
    let answer = answer.map_err(|_| Error::refused("", Reason::Unavailable, other))?;
    let answer = answer.map_err(|status| {
        Error::broken(format!("{:?}: {}", status.code(), shown(status.message(), REASON_MAX_CHARS)))
    })?;
    house.hub.hear(other, house.clock().now_ms());
    match answer.into_inner().statement {
        Some(theirs) => take_theirs(house, held, &peer.card, &theirs).await,
        None => Ok(()),
    }
}

/// Keeps the other side's half if it holds and says something new. A withdrawal is never taken back by an older signature.
pub(crate) async fn take_theirs(house: &House, held: &Held, card: &Card, theirs: &Statement) -> Result<()> {
    if held.theirs.as_ref() == Some(theirs) {
        return Ok(());
    }
    let says = agreement::check_half(&held.accord, card, theirs)?;
    let known = verdict(held.theirs.as_ref());
    if known == Some(says) || known == Some(Verdict::Withdrawn) {
        return Ok(());
    }
    if !house.store.agreement_half(&held.accord, Half::Theirs, theirs, card).await? {
        return Err(Error::refused("", Reason::Busy, card.node()));
    }
    house.changed().await;
    tracing::info!(agreement = %held.accord.id, peer = card.node(), "the other side's half has arrived");
    Ok(())
}
