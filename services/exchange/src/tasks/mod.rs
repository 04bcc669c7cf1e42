//! The heartbeats. One supervisor looks at the agreements, now and then and when it is rung, and sees to it that every
//! outbound stream has its [`outbound`] task, every inbound one its puller ([`inbound`]), and every half of ours its delivery
//! ([`statements`]); [`erase`] takes what was erased out of sent pages; [`measure`] says how they do; [`heads`] shows where the ledger stands. Each takes no input but what is kept, and may be stopped at any point.

mod erase;
pub(crate) mod heads;
pub(crate) mod hub;
mod inbound;
mod measure;
mod outbound;
mod statements;

use std::{collections::HashMap, sync::Arc, time::Duration};

use prost::Message as _;
use qianshou_kernel::{config::ms, error::Result, ledger::MISSED};
use qianshou_proto::exchange::v1::{AgreementState, Card};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

pub(crate) use statements::take_theirs;

use crate::{
    CHANGED, House,
    domain::{Limits, agreement::Held, page},
};

/// How long a process that ends tries to release its streams.
const RELEASE_TIMEOUT_MS: u64 = 2_000;

/// Answers that may be on their way to a consumer.
pub(crate) fn outbound_answers(limits: Limits) -> usize {
    limits.window_pages as usize + outbound::ANSWERS_MARGIN
}

/// A task that runs, and the card and terms it was started with.
struct Running {
    basis: [u8; 32],
    cancel: CancellationToken,
}

/// Runs the house's heartbeats until its token is cancelled.
pub(crate) async fn run(house: Arc<House>) {
    let cancel = house.ground.cancel.clone();
    let mut running: HashMap<String, Running> = HashMap::new();
    let mut rung = house.hub.rung();
    tokio::spawn(statements::run(house.clone()));
    tokio::spawn({
        let (house, cancel) = (house.clone(), cancel.clone());
        async move { cancel.run_until_cancelled(hear(&house)).await }
    });
    tokio::spawn(measure::run(house.clone()));
    tokio::spawn(heads::run(house.clone()));
    tokio::spawn(erase::run(house.clone()));
    loop {
        rung.borrow_and_update();
        if let Err(error) = look(&house, &mut running).await {
            tracing::error!(%error, "the agreements could not be looked at; it is tried again");
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            heard = rung.changed() => if heard.is_err() { break },
            () = tokio::time::sleep(ms(house.ground.config.heartbeat_ms)) => {}
        }
    }
    release(&house).await;
}

/// Another process of the node may pull at once what this one has pulled.
async fn release(house: &House) {
    if house.ground.ledger.db().is_shared() {
        let released = house.store.inbound_release(house.hub.holder());
        if !matches!(tokio::time::timeout(ms(RELEASE_TIMEOUT_MS), released).await, Ok(Ok(()))) {
            tracing::warn!("the streams of this process could not be released; another takes them when the lease ends");
        }
    }
}

/// Rings when another process of the node has changed peers or agreements.
async fn hear(house: &House) {
    let mut words = house.ground.ledger.words();
    loop {
        match words.recv().await {
            Ok(word) if word != CHANGED && word != MISSED => {}
            // What was missed may have been that.
            Ok(_) | Err(RecvError::Lagged(_)) => house.hub.ring(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Starts what should run and stops what should not.
async fn look(house: &Arc<House>, running: &mut HashMap<String, Running>) -> Result<()> {
    let changes = house.ground.peers.changes();
    let cards: HashMap<String, Card> =
        house.store.peer_list().await?.into_iter().map(|peer| (peer.card.node().to_owned(), peer.card)).collect();
    let pinned: Vec<(&str, &[u8])> =
        cards.iter().map(|(node, card)| (node.as_str(), card.certificate.as_deref().unwrap_or_default())).collect();
    house.ground.peers.settle(changes, &pinned);
    let today = house.clock().today();
    let mut wanted = HashMap::new();
    for held in house.store.agreement_list().await? {
        let signed = matches!(
            held.state(today),
            AgreementState::InForce | AgreementState::NotYet | AgreementState::Expired | AgreementState::Withdrawn
        );
        let card = held.accord.other(house.node()).and_then(|other| cards.get(other));
        if let (true, Some(card)) = (signed, card) {
            wanted.insert(held.accord.id.clone(), (held, card.clone()));
        }
    }
    running.retain(|id, task| {
        let basis = wanted.get(id).map(|(_, card)| basis_of(card));
        let keep = basis == Some(task.basis) && !task.cancel.is_cancelled();
        if !keep {
            task.cancel.cancel();
        }
        keep
    });
    for (id, (held, card)) in wanted {
        running.entry(id).or_insert_with(|| start(house, held, card));
    }
    Ok(())
}

fn basis_of(card: &Card) -> [u8; 32] {
    page::digest(&card.encode_to_vec())
}

fn start(house: &Arc<House>, held: Held, card: Card) -> Running {
    let cancel = house.ground.cancel.child_token();
    let running = Running { basis: basis_of(&card), cancel: cancel.clone() };
    // The guard ends the entry when the task does, so that the next look starts another.
    let (house, ended) = (house.clone(), cancel.clone().drop_guard());
    if held.accord.provider == house.node() {
        tokio::spawn(async move {
            outbound::run(house, held, card, cancel).await;
            drop(ended);
        });
    } else {
        tokio::spawn(async move {
            inbound::run(house, held, card, cancel).await;
            drop(ended);
        });
    }
    running
}

/// Pauses that double up to a limit, each shortened at random so that peers do not come back all at once.
struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    fn of(house: &House) -> Self {
        let (least, most) = (ms(house.ground.config.backoff_min_ms), ms(house.ground.config.backoff_max_ms));
        Self { least, most, next: least }
    }

    fn reset(&mut self) {
        self.next = self.least;
    }

    fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.most);
        pause
    }
}
