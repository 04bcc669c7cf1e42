//! Two nodes, mutual TLS between them, and what must be true of what crosses.

pub(crate) mod testing;

use std::time::Duration;

use prost::Message as _;
use qianshou_kernel::{
    config::Config,
    id::Ids,
    identity::{Caller, FourEyes, Role, card},
    server::{Listener, PeerSet, Troubles, serve},
};
use qianshou_proto::{
    common::v1::EndReason,
    exchange::v1::{
        self as api, AgreementState, Stream, StreamState, exchange_admin_service_server::ExchangeAdminService as _,
    },
    registry::v1::{Agency, Worker},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, service::Routes};

use crate::{
    Exchange, Ground,
    rpc::admin::Admin,
    tests::testing::{DAY_MS, TestNode, terms, under},
};

/// A node that serves its peers.
struct Served {
    node: TestNode,
    exchange: Exchange,
    card: api::Card,
    cancel: CancellationToken,
}

impl Served {
    async fn new(code: &str) -> Self {
        Self::serve(TestNode::new(code).await, "127.0.0.1:0").await
    }

    async fn serve(node: TestNode, listen: &str) -> Self {
        let (peers, cancel) = (PeerSet::default(), CancellationToken::new());
        let listener = Listener::peers(listen.parse().unwrap(), &node.keys, peers.clone()).await.unwrap();
        let card = card(&node.keys, "节点", &format!("https://{}", listener.address()));
        let mut config = Config::defaults().unwrap();
        (config.exchange.heartbeat_ms, config.exchange.backoff_min_ms, config.exchange.backoff_max_ms) = (50, 10, 100);
        (config.exchange.page_max_entries, config.exchange.window_pages) = (3, 2);
        let ground = Ground {
            text_max_chars: config.limits.text_max_chars,
            record_max_bytes: config.limits.record_max_bytes,
            ledger: node.ledger.clone(),
            ids: Ids::random(node.clock.clone()),
            keys: node.keys.clone(),
            secrets: node.secrets.clone(),
            peers,
            troubles: Troubles::default(),
            card: card.clone(),
            config: config.exchange.clone(),
            four_eyes: FourEyes::new(
                node.ledger.db().clone(),
                node.clock.clone(),
                Ids::random(node.clock.clone()),
                &config,
            ),
            cancel: cancel.clone(),
        };
        let exchange = Exchange::open(ground).await.unwrap();
        exchange.start_tasks();
        let routes = Routes::new(exchange.peer_service());
        let (limits, shutdown) = (config.limits.clone(), cancel.clone());
        tokio::spawn(async move { serve(listener, routes, &limits, shutdown).await.unwrap() });
        Self { node, exchange, card, cancel }
    }

    fn admin(&self) -> Admin {
        Admin(self.exchange.0.clone())
    }

    async fn meet(&self, other: &Self) {
        let request = api::AddPeerRequest { card: Some(other.card.clone()), confirmed: Some(true), replace: None };
        let peer = self.admin().add_peer(asked(request)).await.unwrap().into_inner().peer.unwrap();
        assert!(peer.added_at_ms.is_some() && peer.fingerprint().len() > 32);
    }

    async fn sign(&self, id: &str, digest: &str) -> api::Agreement {
        let request = api::SignAgreementRequest { id: Some(id.into()), digest: Some(digest.into()) };
        self.admin().sign_agreement(asked(request)).await.unwrap().into_inner().agreement.unwrap()
    }

    async fn stream(&self) -> Option<Stream> {
        let streams = self.admin().list_streams(asked(api::ListStreamsRequest {})).await.unwrap().into_inner().streams;
        streams.into_iter().next()
    }

    async fn agency(&self, name: &str) -> Option<Agency> {
        let found = self.node.ledger.find_one(&name.parse().unwrap()).await.unwrap()?;
        found.payload().map(|payload| Agency::decode(payload.clone()).unwrap())
    }
}

fn asked<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let caller = Caller::new("tokens/1", Role::Administrator, "00");
    request.extensions_mut().insert(caller);
    request
}

/// Waits for what must come, and says what it was if it does not.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

async fn in_step(provider: &Served, consumer: &Served) {
    until("the streams are in step", || async {
        let (Some(out), Some(into)) = (provider.stream().await, consumer.stream().await) else {
            return false;
        };
        out.behind() == 0
            && into.behind() == 0
            && out.entries() == into.entries()
            && out.entries() == out.applied() + out.quarantined()
    })
    .await;
}

/// Ningxia and the nation, with an agreement that both have signed.
async fn pair() -> (Served, Served, api::Agreement) {
    let (provider, consumer) = (Served::new("64").await, Served::new("00").await);
    provider.meet(&consumer).await;
    consumer.meet(&provider).await;
    let mut drafted = api::Terms { agreement: None, ..terms() };
    // What is drafted anew names an area for personal data.
    drafted.clauses[1].scope = Some(under(&[5], "64"));
    let request = api::DraftAgreementRequest { terms: Some(drafted) };
    let agreement = consumer.admin().draft_agreement(asked(request)).await.unwrap().into_inner().agreement.unwrap();
    assert_eq!(agreement.state(), AgreementState::Draft);
    let (id, digest) = (agreement.id().to_owned(), agreement.digest().to_owned());
    assert_eq!(consumer.sign(&id, &digest).await.state(), AgreementState::Offered);
    until("the terms arrive", || async { provider.exchange.store().agreement_find(&id).await.unwrap().is_some() })
        .await;
    let signed = provider.sign(&id, &digest).await;
    assert_eq!(signed.state(), AgreementState::InForce);
    (provider, consumer, signed)
}

#[tokio::test]
async fn records_cross_masked_and_in_step() {
    let (provider, consumer, _) = pair().await;
    for i in 0..10 {
        provider.node.agency(&format!("a{i}"), "机构", if i < 8 { "640104" } else { "350100" }).await;
    }
    provider.node.worker("w1", "11010519491231002X", "640104").await;
    in_step(&provider, &consumer).await;

    let agency = consumer.agency("nodes/64/agencies/a0").await.unwrap();
    assert_eq!((agency.display_name(), agency.division()), ("机构", "640104"));
    assert_eq!(consumer.agency("nodes/64/agencies/a8").await, None);
    let worker = consumer.node.ledger.find_one(&"nodes/64/workers/w1".parse().unwrap()).await.unwrap().unwrap();
    let worker = Worker::decode(worker.payload().unwrap().clone()).unwrap();
    assert_eq!((worker.full_name.clone(), worker.person().len()), (None, 40));

    let (out, into) = (provider.stream().await.unwrap(), consumer.stream().await.unwrap());
    assert_eq!((out.entries(), out.applied(), out.quarantined()), (9, 9, 0));
    assert_eq!((into.pages(), into.applied()), (out.pages(), 9));
    assert_eq!((out.state(), into.state()), (StreamState::Running, StreamState::Running));

    // A change, a move out of the scope, an end.
    provider.node.agency("a0", "新名称", "640104").await;
    provider.node.agency("a1", "机构", "350100").await;
    provider.node.end("nodes/64/agencies/a2", EndReason::Ended.into()).await;
    in_step(&provider, &consumer).await;
    assert_eq!(consumer.agency("nodes/64/agencies/a0").await.unwrap().display_name(), "新名称");
    let end = |name: &'static str| {
        let ledger = consumer.node.ledger.clone();
        async move {
            match ledger.find_one(&name.parse().unwrap()).await.unwrap().unwrap().content {
                qianshou_kernel::ledger::Content::End(end) => end.reason,
                qianshou_kernel::ledger::Content::Put { .. } => 0,
            }
        }
    };
    assert_eq!(end("nodes/64/agencies/a1").await, EndReason::LeftScope as i32);
    assert_eq!(end("nodes/64/agencies/a2").await, EndReason::Ended as i32);
}

#[tokio::test]
async fn a_restored_provider_opens_a_new_epoch_and_nothing_forks() {
    let (provider, consumer, agreement) = pair().await;
    provider.node.agency("a1", "一", "640104").await;
    in_step(&provider, &consumer).await;
    let backup = tempfile::tempdir().unwrap();
    let copy = backup.path().join("node.db");
    provider.node.ledger.db().fetch(format!("VACUUM INTO '{}'", copy.display()), vec![]).await.unwrap();
    provider.node.agency("a1", "二", "640104").await;
    provider.node.agency("lost", "失", "640104").await;
    in_step(&provider, &consumer).await;

    // The provider comes back from the backup at the same address and does not say so.
    let listen = provider.card.address().trim_start_matches("https://").to_owned();
    provider.cancel.cancel();
    provider.node.ledger.db().close().await;
    let TestNode { keys, secrets, clock, folder, .. } = provider.node;
    let ledger = TestNode::ledger(backup.path(), "64", &clock).await;
    let node = TestNode { folder, keys, secrets, ledger, clock };
    let provider = Served::serve(node, &listen).await;
    until("the stream stops", || async { provider.stream().await.is_some_and(|s| s.state() == StreamState::Stopped) })
        .await;
    until("the consumer sees it", || async {
        consumer.stream().await.is_some_and(|s| s.state() == StreamState::Stopped)
    })
    .await;
    assert_eq!(consumer.agency("nodes/64/agencies/a1").await.unwrap().display_name(), "二");

    assert_eq!(provider.node.ledger.new_epoch().await.unwrap(), 2);
    until("what was lost is ended", || async { consumer.agency("nodes/64/agencies/lost").await.is_none() }).await;
    assert_eq!(consumer.agency("nodes/64/agencies/a1").await.unwrap().display_name(), "一");
    until("the stream runs", || async {
        consumer.stream().await.is_some_and(|s| s.state() == StreamState::Running && s.epoch() == 2)
    })
    .await;
    drop((backup, agreement));
}

#[tokio::test]
async fn nothing_leaves_after_the_end() {
    let (provider, consumer, _) = pair().await;
    provider.node.agency("a1", "一", "640104").await;
    in_step(&provider, &consumer).await;
    provider.node.clock.advance(60 * DAY_MS);
    provider.node.agency("a2", "二", "640104").await;
    until("the stream ends", || async {
        let (out, into) = (provider.stream().await.unwrap(), consumer.stream().await.unwrap());
        out.state() == StreamState::Ended && into.state() == StreamState::Ended
    })
    .await;
    assert_eq!(consumer.agency("nodes/64/agencies/a2").await, None);
}

#[tokio::test]
async fn a_removed_peer_is_cut_off() {
    let (provider, consumer, _) = pair().await;
    provider.node.agency("a1", "一", "640104").await;
    in_step(&provider, &consumer).await;
    let test = api::TestPeerRequest { node: Some("64".into()) };
    let tested = consumer.admin().test_peer(asked(test.clone())).await.unwrap().into_inner();
    assert!(tested.round_trip_us() > 0 && tested.peer.unwrap().connected());
    provider.admin().remove_peer(asked(api::RemovePeerRequest { node: Some("00".into()) })).await.unwrap();
    provider.node.agency("a2", "二", "640104").await;
    until("the consumer waits", || async {
        consumer.stream().await.is_some_and(|s| s.state() == StreamState::Waiting)
    })
    .await;
    assert!(consumer.admin().test_peer(asked(test)).await.is_err());
    assert_eq!(consumer.agency("nodes/64/agencies/a2").await, None);
}
