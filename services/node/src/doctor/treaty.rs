//! Peers and agreements, as the database has them; peers are called with the node's own certificate.

use std::{sync::Arc, time::Duration};

use qianshou_exchange::{
    domain::{agreement::Held, peer::waits},
    store::Store,
};
use qianshou_kernel::{
    clock::{Clock, format_day},
    config::Loaded,
    db::Db,
    error::Result,
    identity::NodeKeys,
    kind::Kinds,
    ledger::{self, Ledger},
    line::Line,
};
use qianshou_proto::exchange::v1::{
    AgreementState, Card, IntroduceRequest, exchange_service_client::ExchangeServiceClient,
};
use time::Date;

use super::{Report, Seen, fail, folder, ok, warn, worst};

/// How long a peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn examine(report: &mut Report, loaded: &Loaded, db: &Db, keys: &NodeKeys, clock: &Clock) {
    let node = &loaded.config.node.code;
    let kinds = Arc::new(Kinds::new(crate::node::kinds()));
    match Ledger::open(db.clone(), node, kinds, clock.clone(), ledger::Limits::default()).await {
        Ok(ledger) => {
            let store = Store::new(ledger);
            report.add_result(12, peers(&store, keys, clock).await);
            report.add_result(13, agreements(&store, node, clock.today()).await);
        }
        Err(error) => report.add_result(12, Err(error)),
    }
}

/// Each peer answers, and its pinned certificate does not end soon.
async fn peers(store: &Store, keys: &NodeKeys, clock: &Clock) -> Result<Seen> {
    let peers = store.peer_list().await?;
    let mut seen = vec![];
    for card in peers.iter().map(|peer| &peer.card) {
        let mend = format!("ask node {} for its new card, then qianshou peer add CARD", card.node());
        let der = card.certificate.as_deref().unwrap_or_default();
        seen.push(folder::certificate(&format!("the certificate of node {}", card.node()), der, clock.now_ms(), &mend));
        seen.push(call(card, keys, clock).await);
    }
    let names: Vec<&str> = peers.iter().map(|peer| peer.card.node()).collect();
    Ok(worst(seen, if names.is_empty() { "none | 无".into() } else { names.join(", ") }))
}

async fn call(card: &Card, keys: &NodeKeys, clock: &Clock) -> Seen {
    let (node, address) = (card.node(), card.address());
    if address.is_empty() {
        return ok(format!("node {node} has no address"));
    }
    let mend = format!("qianshou peer test {node}; ask whether it runs and still pins our card");
    let line = match Line::to_peer(address, keys, card.certificate.as_deref().unwrap_or_default(), clock) {
        Ok(line) => line,
        Err(error) => return fail(error.to_string(), mend),
    };
    let mut client = ExchangeServiceClient::new(line);
    match tokio::time::timeout(PATIENCE, client.introduce(IntroduceRequest {})).await {
        Ok(Ok(answer)) if answer.get_ref().card.as_ref().and_then(|c| c.key_id.as_ref()) == card.key_id.as_ref() => {
            ok(node)
        }
        Ok(Ok(_)) => {
            fail(format!("node {node} answers with another key"), format!("compare the card of node {node} again"))
        }
        Ok(Err(_)) | Err(_) => warn(format!("node {node} does not answer at {address}"), mend),
    }
}

/// Nothing waits for a signature, and nothing ends soon.
async fn agreements(store: &Store, node: &str, today: Date) -> Result<Seen> {
    let all = store.agreement_list().await?;
    let seen = all.iter().map(|held| agreement(held, node, today)).collect();
    Ok(worst(seen, format!("{} agreements | 份协议", all.len())))
}

fn agreement(held: &Held, node: &str, today: Date) -> Seen {
    let (id, with) = (&held.accord.id, held.accord.other(node).unwrap_or("?"));
    let sign = format!("qianshou agreement show {id}; qianshou agreement sign {id}");
    let again = "qianshou agreement draft …".to_owned();
    if let Some(since) = held.waits_since_ms(today) {
        let (_, en) = waits(with, since);
        return fail(format!("{id}: {en}"), format!("{sign}; ask node {with} to sign {id} too"));
    }
    match held.state(today) {
        AgreementState::Draft | AgreementState::Proposed => {
            warn(format!("{id} with {with} waits for our signature"), sign)
        }
        AgreementState::Offered => {
            warn(format!("{id} waits for the signature of {with}"), format!("ask node {with} to sign {id}"))
        }
        AgreementState::Expired => warn(format!("{id} with {with} has expired"), again),
        AgreementState::InForce => match held.accord.ends_on() {
            Some(end) if (end - today).whole_days() <= folder::SOON_DAYS => {
                warn(format!("{id} with {with} ends on {}", format_day(end)), again)
            }
            _ => ok(id),
        },
        _ => ok(id),
    }
}
