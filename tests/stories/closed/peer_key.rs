//! A peer's key: what one key has signed does not serve another, certificates hold on their days, and both can be renewed.

use std::sync::Arc;

use prost::Message as _;
use qianshou_exchange::store::Store;
use qianshou_kernel::{
    clock::Clock,
    config::Config,
    error::Reason,
    identity::{NodeKeys, card, fingerprint},
    line::Line,
};
use qianshou_proto::{
    exchange::v1::{
        self as api, AgreementState, StreamState, exchange_admin_service_server::SERVICE_NAME as ADMIN,
        exchange_service_client::ExchangeServiceClient,
    },
    registry::v1::Agency,
};
use qianshou_tests::{
    Caller, Node, World, eventually,
    forger::{Forger, Log, entry},
    refusal::refused,
    sample, stories,
    treaty::{add_peer, agree, agreement, introduce, settled, share, sign, stream, terms},
    world::DAY_MS,
};
use sha2::{Digest as _, Sha256};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

stories! {
    a_swapped_key_receives_and_delivers_nothing_until_both_sign_again
    a_key_that_the_one_before_has_signed_goes_on_by_itself
    after_a_stolen_key_both_sides_sign_again
    certificates_hold_on_their_days_and_are_renewed_for_their_keys
}

/// Two provinces that send each other their agencies: what Fujian gives, and what it takes.
async fn two_provinces(world: &World) -> (Node, Node, String, String) {
    let (fujian, ningxia) = (world.node("35").await, world.node("64").await);
    introduce(&[&fujian.admin, &ningxia.admin]).await;
    let clause = |area: &str| vec![share("agencies", "display_name division", area)];
    let given = agree(&fujian.admin, &ningxia.admin, terms("35", "64", clause("35"))).await;
    let taken = agree(&ningxia.admin, &fujian.admin, terms("64", "35", clause("64"))).await;
    create(&fujian, 1).await;
    create(&ningxia, 2).await;
    settled(&fujian.admin, &ningxia.admin, &given).await;
    settled(&ningxia.admin, &fujian.admin, &taken).await;
    (fujian, ningxia, given, taken)
}

async fn create(at: &Node, number: u32) -> String {
    let division = if at.code == "35" { "350102" } else { "640104" };
    let agency = Agency { division: Some(division.into()), ..sample::agency(number) };
    at.admin.create(agency).await.unwrap().noun.name().to_owned()
}

async fn card_of(node: &Node) -> api::Card {
    node.admin.exchange().get_card(api::GetCardRequest {}).await.unwrap().into_inner().card.unwrap()
}

async fn add(
    at: &Caller,
    card: &api::Card,
    confirmed: bool,
    replace: Option<&str>,
) -> Result<api::Peer, tonic::Status> {
    let replace = replace.map(str::to_owned);
    let asked = api::AddPeerRequest { card: Some(card.clone()), confirmed: Some(confirmed), replace };
    at.exchange().add_peer(asked).await.map(|answer| answer.into_inner().peer.unwrap())
}

async fn state(at: &Node, id: &str) -> AgreementState {
    agreement(&at.admin, id).await.unwrap().state()
}

async fn health(node: &Node, service: &str) -> ServingStatus {
    let asked = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(node.admin.line()).check(asked).await.unwrap().into_inner().status()
}

fn as_peer(keys: &NodeKeys, to: &Node, clock: &Clock) -> ExchangeServiceClient<Line> {
    ExchangeServiceClient::new(Line::to_peer(&to.peers, keys, to.keys().peer.leaf(), clock).unwrap())
}

/// What a consumer gets that calls for a stream: its first message, or the refusal.
async fn pull(keys: &NodeKeys, from: &Node, agreement: &str, clock: &Clock) -> Result<(), tonic::Status> {
    let hello = api::Hello { agreement: Some(agreement.to_owned()), ..api::Hello::default() };
    let hello = api::PullRequest { message: Some(api::pull_request::Message::Hello(hello)) };
    let answer = as_peer(keys, from, clock).pull(tokio_stream::iter([hello])).await?;
    answer.into_inner().message().await.map(drop)
}

async fn a_swapped_key_receives_and_delivers_nothing_until_both_sign_again(world: World) {
    let (fujian, ningxia, given, taken) = two_provinces(&world).await;
    let true_card = card_of(&ningxia).await;
    let keys = NodeKeys::create_on(&world.folder("swapped").join("keys"), "64", &[], &world.clock).unwrap();
    let received = stream(&fujian.admin, &taken).await.unwrap().pages();
    let (swapped, other) = Forger::stand(keys, "127.0.0.1:0".parse().unwrap(), &fujian.keys()).await;

    // It is said to be a replacement, with both fingerprints and what to do, confirmed or not, and by whatever way round.
    let print = |card: &api::Card| fingerprint(card.signing_key());
    let forged = api::Card { successions: forged_succession(&world, &true_card), ..other.clone() };
    for (card, confirmed, replace) in
        [(&other, false, None), (&other, true, None), (&other, true, Some(print(&true_card))), (&forged, true, None)]
    {
        let refusal = add(&fujian.admin, card, confirmed, replace.as_deref()).await;
        let told = refusal.clone().unwrap_err().message().to_owned();
        refused(refusal, Reason::Duplicate, "card");
        assert!(
            told.contains(&print(&true_card)) && told.contains(&print(&other)) && told.contains("--replace"),
            "{told}"
        );
    }
    assert_eq!(
        (state(&fujian, &given).await, health(&fujian, ADMIN).await),
        (AgreementState::InForce, ServingStatus::Serving)
    );
    let removal = api::RemovePeerRequest { node: Some("64".into()) };
    fujian.admin.exchange().remove_peer(removal).await.unwrap();
    refused(add(&fujian.admin, &other, true, None).await, Reason::Duplicate, "card");

    // Whoever names the new fingerprint replaces the key, and nothing more: what the other has signed is void.
    add(&fujian.admin, &other, true, Some(&print(&other).to_lowercase())).await.unwrap();
    let secret = create(&fujian, 3).await;
    for id in [&given, &taken] {
        assert_eq!(state(&fujian, id).await, AgreementState::Draft);
        assert!(agreement(&fujian.admin, id).await.unwrap().key_replaced_at_ms.is_some());
        let waits = stream(&fujian.admin, id).await.unwrap();
        assert_eq!(waits.state(), StreamState::Waiting);
        assert!(
            waits.reason_zh().contains("重新签署") && waits.reason_en().contains("replaced on 2024-06-01"),
            "{waits:?}"
        );
    }
    let red = async || (health(&fujian, ADMIN).await == ServingStatus::NotServing).then_some(());
    eventually("health of the exchange", red).await;
    assert_eq!(health(&fujian, "").await, ServingStatus::Serving, "people go on");
    assert!(pull(&swapped.keys, &fujian, &given, &world.clock).await.is_err());
    assert!(pull(&ningxia.keys(), &fujian, &given, &world.clock).await.is_err(), "the other key is not known any more");
    // Its own half makes a proposal of it, no more.
    for id in [&given, &taken] {
        let offer = offered(&swapped, agreement(&fujian.admin, id).await.unwrap());
        as_peer(&swapped.keys, &fujian, &world.clock).offer_statement(offer).await.unwrap();
        assert_eq!(state(&fujian, id).await, AgreementState::Proposed);
    }
    assert!(pull(&swapped.keys, &fujian, &given, &world.clock).await.is_err());
    let waits = stream(&fujian.admin, &taken).await.unwrap();
    assert_eq!((waits.state(), waits.pages()), (StreamState::Waiting, received));

    // Both have signed: it is in force.
    for id in [&given, &taken] {
        sign(&fujian.admin, &agreement(&fujian.admin, id).await.unwrap()).await;
        assert_eq!(state(&fujian, id).await, AgreementState::InForce);
        assert!(agreement(&fujian.admin, id).await.unwrap().key_replaced_at_ms.is_none());
    }
    let mut call = swapped.called().await;
    let terms_bytes = agreement(&fujian.admin, &taken).await.unwrap().terms_bytes().to_vec();
    let log = Log {
        keys: swapped.keys.clone(),
        stream: taken.clone(),
        agreement: Sha256::digest(&terms_bytes).into(),
        epoch: 2,
        number: 0,
        digest: [0; 32],
    };
    let agency = Agency { display_name: Some("机构".into()), division: Some("640104".into()), ..Agency::default() };
    let page = log.next(vec![entry("64", "agencies", "new", 1, agency.encode_to_vec())]);
    assert_eq!(swapped.page(&mut call, &page).await.applied(), 1);
    eventually("the stream for the new key", async || pull(&swapped.keys, &fujian, &given, &world.clock).await.ok())
        .await;
    assert!(ningxia.admin.get::<Agency>(&secret).await.is_err(), "the other never received it");
    let green = async || (health(&fujian, ADMIN).await == ServingStatus::Serving).then_some(());
    eventually("health of the exchange", green).await;
}

/// A succession by which the true key would follow another: signed by keys of the forger's, over the true one's name.
fn forged_succession(world: &World, known: &api::Card) -> Vec<api::Succession> {
    let keys = NodeKeys::create_on(&world.folder("thief").join("keys"), "64", &[], &world.clock).unwrap();
    let body = api::SuccessionBody {
        node: Some("64".into()),
        old_key: known.signing_key.clone(),
        new_key: Some(keys.signing.verifying_key().to_bytes().to_vec().into()),
        at_ms: Some(0),
    };
    let body = body.encode_to_vec();
    let mut signature = keys.sign("qianshou.succession.v1", &body);
    let by_new = Some(signature.clone());
    signature.key_id.clone_from(&known.key_id);
    vec![api::Succession { body: Some(body.into()), by_old: Some(signature), by_new }]
}

fn offered(by: &Forger, agreement: api::Agreement) -> api::OfferStatementRequest {
    let body = api::StatementBody {
        node: Some("64".into()),
        terms_digest: Some(Sha256::digest(agreement.terms_bytes()).to_vec().into()),
        verdict: Some(api::Verdict::Signed.into()),
        signed_at_ms: Some(0),
    };
    let body = body.encode_to_vec();
    let signature = Some(by.keys.sign("qianshou.statement.v1", &body));
    let statement = Some(api::Statement { body: Some(body.into()), signature });
    api::OfferStatementRequest { terms: agreement.terms_bytes, statement }
}

/// What `qianshou key replace` does to a node that rests, by the story's clock.
async fn with_another_key(world: &World, node: Node, succeeds: bool) -> Node {
    let file = node.folder.join("node.toml");
    let resting = node.rest().await;
    let loaded = Config::load(&file).unwrap();
    NodeKeys::replace(&loaded.keys_directory(), succeeds, &world.clock).unwrap();
    let ledger = qianshou::node::ledger(&loaded, world.clock.clone()).await.unwrap();
    let keys = NodeKeys::of(&loaded).unwrap();
    let followed = Store::new(ledger.clone()).agreements_follow(succeeds.then_some(&keys)).await.unwrap();
    assert_eq!(followed, 2);
    ledger.db().close().await;
    resting.open().await
}

async fn a_key_that_the_one_before_has_signed_goes_on_by_itself(world: World) {
    let (fujian, ningxia, given, taken) = two_provinces(&world).await;
    let before = card_of(&ningxia).await;
    // Fujian is away; a page that the key before has signed waits for it.
    let away = fujian.rest().await;
    let made = stream(&ningxia.admin, &taken).await.unwrap().pages();
    let waiting = create(&ningxia, 4).await;
    let paged = async || stream(&ningxia.admin, &taken).await.filter(|stream| stream.pages() > made);
    eventually("a page that waits", paged).await;
    let ningxia = with_another_key(&world, ningxia, true).await;
    let fujian = away.open().await;
    let after = card_of(&ningxia).await;

    let mut touched = after.clone();
    touched.successions[0].by_old = touched.successions[0].by_new.clone();
    let bare = api::Card { successions: vec![], ..after.clone() };
    for forged in [&touched, &bare] {
        refused(add(&fujian.admin, forged, true, None).await, Reason::Duplicate, "card");
    }
    assert_eq!(state(&fujian, &given).await, AgreementState::InForce);
    add_peer(&fujian.admin, &after).await;
    let late = create(&fujian, 5).await;
    settled(&ningxia.admin, &fujian.admin, &taken).await;
    settled(&fujian.admin, &ningxia.admin, &given).await;
    fujian.admin.get::<Agency>(&waiting).await.unwrap();
    ningxia.admin.get::<Agency>(&late).await.unwrap();
    for node in [&fujian, &ningxia] {
        for id in [&given, &taken] {
            assert_eq!(state(node, id).await, AgreementState::InForce);
        }
    }
    // Nobody leads it back to the key that was left, whoever holds that.
    refused(add(&fujian.admin, &before, true, None).await, Reason::Duplicate, "card");
    // What the key before has signed is known for the node's own still.
    let verified =
        qianshou_kernel::audit::verify(ningxia.ledger.db(), &(&ningxia.keys()).into(), |_, _| ()).await.unwrap();
    assert!(verified.wrong.is_none() && verified.lines > 0, "{verified:?}");
    // A restart offers our halves again, by whichever key.
    let (fujian, ningxia) = (fujian.restart().await, ningxia.restart().await);
    create(&ningxia, 6).await;
    settled(&ningxia.admin, &fujian.admin, &taken).await;
}

async fn after_a_stolen_key_both_sides_sign_again(world: World) {
    let (fujian, ningxia, given, taken) = two_provinces(&world).await;
    let ningxia = with_another_key(&world, ningxia, false).await;
    assert_eq!(state(&ningxia, &given).await, AgreementState::Draft);
    let after = card_of(&ningxia).await;
    refused(add(&fujian.admin, &after, true, None).await, Reason::Duplicate, "card");
    let print = fingerprint(after.signing_key());
    add(&fujian.admin, &after, true, Some(&print)).await.unwrap();
    for node in [&ningxia, &fujian] {
        for id in [&given, &taken] {
            sign(&node.admin, &agreement(&node.admin, id).await.unwrap()).await;
        }
    }
    let late = [create(&fujian, 7).await, create(&ningxia, 8).await];
    settled(&fujian.admin, &ningxia.admin, &given).await;
    settled(&ningxia.admin, &fujian.admin, &taken).await;
    ningxia.admin.get::<Agency>(&late[0]).await.unwrap();
    fujian.admin.get::<Agency>(&late[1]).await.unwrap();
}

async fn certificates_hold_on_their_days_and_are_renewed_for_their_keys(world: World) {
    let (fujian, ningxia, given, taken) = two_provinces(&world).await;
    let made = |name: &str, ms: i64| {
        Arc::new(NodeKeys::create_on(&world.folder(name).join("keys"), "62", &[], &Clock::fixed(ms)).unwrap())
    };
    for (keys, says) in
        [(made("ended", 946_684_800_000), "ended on 2019"), (made("early", 2_524_608_000_000), "begins on 2049")]
    {
        let card = card(&keys, "甘肃", "https://127.0.0.1:7443");
        for confirmed in [false, true] {
            let refusal = add(&fujian.admin, &card, confirmed, None).await;
            assert!(refusal.as_ref().unwrap_err().message().contains(says), "{refusal:?}");
            refused(refusal, Reason::CardInvalid, "card");
        }
    }
    let sound = NodeKeys::create_on(&world.folder("sound").join("keys"), "62", &[], &world.clock).unwrap();
    for address in ["https://user:geheim@127.0.0.1:7443", "https://169.254.169.254", "https://[fe80::1]:7443"] {
        refused(add(&fujian.admin, &card(&sound, "甘肃", address), true, None).await, Reason::CardInvalid, "card");
    }

    // Twenty-one years later both have ended: neither end takes the other's, and both say so.
    world.clock.advance(21 * 365 * DAY_MS);
    let (fujian, ningxia) = (fujian.restart().await, ningxia.restart().await);
    let late = [create(&fujian, 3).await, create(&ningxia, 4).await];
    let apart = async || stream(&ningxia.admin, &given).await.filter(|stream| stream.state() == StreamState::Waiting);
    eventually("a stream that waits", apart).await;
    let test = api::TestPeerRequest { node: Some("64".into()) };
    refused(fujian.admin.exchange().test_peer(test.clone()).await, Reason::Unavailable, "");
    let red = async || (health(&fujian, ADMIN).await == ServingStatus::NotServing).then_some(());
    eventually("health of the exchange", red).await;

    // Renewed for the same keys, everything goes on without a new card.
    let (fujian, ningxia) = (renewed(&world, fujian).await, renewed(&world, ningxia).await);
    settled(&fujian.admin, &ningxia.admin, &given).await;
    settled(&ningxia.admin, &fujian.admin, &taken).await;
    ningxia.admin.get::<Agency>(&late[0]).await.unwrap();
    fujian.admin.get::<Agency>(&late[1]).await.unwrap();
    let peer = fujian.admin.exchange().test_peer(test).await.unwrap().into_inner().peer.unwrap();
    assert!(peer.certificate_ends_ms() < world.clock.now_ms(), "as it was pinned");
    let peers = fujian.admin.exchange().list_peers(api::ListPeersRequest {}).await.unwrap().into_inner().peers;
    assert!(peers[0].certificate_ends_ms() > world.clock.now_ms(), "its end is known once it has shown the new one");
}

/// What `qianshou key renew` does, by the story's clock. What people's programs are shown stays, for they go by the system's clock.
async fn renewed(world: &World, node: Node) -> Node {
    let directory = node.folder.join("keys");
    let resting = node.rest().await;
    let kept =
        ["server.pem", "ca.pem"].map(|name| (directory.join(name), std::fs::read(directory.join(name)).unwrap()));
    NodeKeys::renew(&directory, &[], &world.clock).unwrap();
    for (file, bytes) in kept {
        std::fs::write(file, bytes).unwrap();
    }
    resting.open().await
}
