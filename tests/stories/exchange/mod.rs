//! The exchange: what crosses between authorities, and what does not. Two provinces and the nation, over real sockets.

mod forgery;

use std::collections::BTreeMap;

use qianshou_kernel::{clock::Clock, error::Reason, identity::NodeKeys, line::Line};
use qianshou_proto::{
    common::v1::{EndReason, condition::Test},
    exchange::v1::{self as api, StreamState, exchange_service_client::ExchangeServiceClient},
    registry::v1::{Agency, Certificate, Worker},
};
use qianshou_tests::{
    Caller, Node, World, eventually,
    process::Process,
    refusal::refused,
    sample::{self, FUJIAN, NINGXIA, agency, citizen, full_name, station},
    scan::Everything,
    stories,
    treaty::{agree, agreement, draft, introduce, settled, share, share_all, sign, stream, terms, to_nation},
};

stories! {
    what_is_agreed_arrives_and_nothing_else
    changes_and_ends_arrive
    a_later_agreement_brings_what_was_before
    nothing_crosses_without_two_signatures
    terms_that_do_not_hold_are_not_signed
    a_restart_loses_and_repeats_nothing
    a_removed_peer_is_cut
    an_unknown_certificate_gets_no_connection
    nothing_is_leaked
}

async fn what_is_agreed_arrives_and_nothing_else(world: World) {
    let [fujian, ningxia, nation] = three_nodes(&world).await;
    let [_, _, workers, certificates] = sample::fill(&ningxia.admin, NINGXIA, 1..121).await;
    sample::fill(&fujian.admin, FUJIAN, 200..230).await;
    // One person works in both provinces.
    let both = Worker { division: Some("350102".into()), ..sample::worker(1) };
    let commuter = fujian.admin.create(both).await.unwrap().noun;

    let from_ningxia = agree(&ningxia.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    let from_fujian = agree(&fujian.admin, &nation.admin, terms("35", "00", to_nation("35"))).await;
    let partners = vec![share("agencies", "display_name uscc division", "64")];
    let to_partner = agree(&ningxia.admin, &fujian.admin, terms("64", "35", partners)).await;
    let sent = settled(&ningxia.admin, &nation.admin, &from_ningxia).await;
    assert_eq!((sent.entries(), sent.applied(), sent.quarantined(), sent.behind()), (480, 480, 0, 0));
    assert_eq!(settled(&fujian.admin, &nation.admin, &from_fujian).await.applied(), 121);
    assert_eq!(settled(&ningxia.admin, &fujian.admin, &to_partner).await.applied(), 120);

    let (home, away) = (records(&ningxia).await, records(&nation).await);
    let of =
        |records: &BTreeMap<String, String>, node: &str| records.iter().filter(|(name, _)| name.contains(node)).count();
    assert_eq!((of(&home, "nodes/64/"), of(&away, "nodes/64/"), of(&away, "nodes/35/")), (480, 480, 121));
    for (name, version) in &home {
        assert_eq!(away.get(name), Some(version), "{name}");
    }
    assert_eq!(of(&records(&fujian).await, "nodes/64/agencies"), 120);
    assert_eq!(of(&records(&ningxia).await, "nodes/35/"), 0);

    // What was withheld is absent, never empty; what was agreed is there, byte for byte.
    let known = ningxia.admin.get::<Worker>(&workers[0]).await.unwrap();
    let told = nation.admin.get::<Worker>(&workers[0]).await.unwrap();
    assert!(told.full_name.is_none() && told.id_number.is_none() && told.person.is_some(), "{told:?}");
    assert_eq!(Worker { full_name: known.full_name.clone(), person: None, ..told.clone() }, known);
    assert_eq!(nation.admin.get::<Certificate>(&certificates[0]).await.unwrap().number, None);
    let there = nation.admin.get::<Worker>(commuter.name()).await.unwrap();
    assert_eq!(there.person, told.person, "one person, one pseudonym");
    let other = nation.admin.get::<Worker>(&workers[1]).await.unwrap();
    assert_ne!(other.person, told.person);
    refused(nation.admin.replace(told).await, Reason::NotHome, "name");
}

async fn changes_and_ends_arrive(world: World) {
    let [_, ningxia, nation] = three_nodes(&world).await;
    let [_, _, _, certificates] = sample::fill(&ningxia.admin, NINGXIA, 1..10).await;
    let clauses = vec![
        share("agencies", "display_name division", "6401"),
        share("certificates", "worker level division", "64"),
        share("workers", "division", "64"),
    ];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    let mine = Agency { division: Some("640104".into()), ..agency(50) };
    let mine = ningxia.admin.create(mine).await.unwrap().noun;
    settled(&ningxia.admin, &nation.admin, &id).await;
    let name = mine.name();
    assert_eq!(nation.admin.get::<Agency>(name).await.unwrap().display_name, mine.display_name);

    // A change of what is shared arrives, with its version; a change of what is not shared is nobody's business.
    ningxia
        .admin
        .update(Agency { display_name: Some("改名".into()), ..without_etag(&mine) }, &["display_name"])
        .await
        .unwrap();
    eventually("the new name", async || {
        nation.admin.get::<Agency>(name).await.ok().filter(|a| a.display_name() == "改名")
    })
    .await;
    ningxia
        .admin
        .update(Agency { closed_on: Some("2024-05-01".into()), ..without_etag(&mine) }, &["closed_on"])
        .await
        .unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    assert_eq!(nation.admin.get::<Agency>(name).await.unwrap().etag(), "1.2");

    // It moves away: from that day on it is not the nation's to see. It comes back: it is there again.
    let moved = |division: &str| Agency { division: Some(division.into()), ..without_etag(&mine) };
    ningxia.admin.update(moved("640202"), &["division"]).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    assert_eq!(end_of(&nation, name).await, Some((EndReason::LeftScope.into(), "2024-06-01".into())));
    refused(nation.admin.get::<Agency>(name).await, Reason::NotFound, "name");
    ningxia.admin.update(moved("640122"), &["division"]).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    assert_eq!(nation.admin.get::<Agency>(name).await.unwrap().division(), "640122");

    ningxia.admin.delete::<Agency>(name).await.unwrap();
    ningxia.admin.delete::<Certificate>(&certificates[3]).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    for gone in [name, &certificates[3]] {
        assert_eq!(end_of(&nation, gone).await, Some((EndReason::Deleted.into(), "2024-06-01".into())));
    }
}

async fn a_later_agreement_brings_what_was_before(world: World) {
    let [_, ningxia, nation] = three_nodes(&world).await;
    sample::fill(&ningxia.admin, NINGXIA, 1..61).await;
    let first =
        agree(&ningxia.admin, &nation.admin, terms("64", "00", vec![share("agencies", "uscc division", "64")])).await;
    assert_eq!(settled(&ningxia.admin, &nation.admin, &first).await.applied(), 60);
    ningxia.admin.create(station(900)).await.unwrap();
    let second =
        agree(&ningxia.admin, &nation.admin, terms("64", "00", vec![share("stations", "type division", "64")])).await;
    assert_eq!(settled(&ningxia.admin, &nation.admin, &second).await.applied(), 61);
    assert_eq!(settled(&ningxia.admin, &nation.admin, &first).await.applied(), 60, "each stream has its own log");
    // A kind goes one way under one agreement only.
    let again =
        draft_refusal(&ningxia.admin, terms("64", "00", vec![share("stations", "type division", "6401")])).await;
    refused(again, Reason::AgreementConflict, "clauses.stations");
}

async fn nothing_crosses_without_two_signatures(world: World) {
    let [_, ningxia, nation] = three_nodes(&world).await;
    sample::fill(&ningxia.admin, NINGXIA, 1..4).await;
    let clauses = || vec![share("agencies", "uscc division", "64")];
    let drafted =
        draft(&ningxia.admin, api::Terms { ends_on: Some("2024-06-02".into()), ..terms("64", "00", clauses()) }).await;
    assert_eq!(drafted.state(), api::AgreementState::Draft);
    sign(&ningxia.admin, &drafted).await;
    let proposed =
        async || agreement(&nation.admin, drafted.id()).await.filter(|a| a.state() == api::AgreementState::Proposed);
    assert_eq!(eventually("the offer", proposed).await.terms_bytes(), drafted.terms_bytes(), "verbatim");
    assert_eq!(agreement(&ningxia.admin, drafted.id()).await.unwrap().state(), api::AgreementState::Offered);
    assert!(stream(&nation.admin, drafted.id()).await.is_none(), "one signature opens no stream");
    let other = api::SignAgreementRequest { id: drafted.id.clone(), digest: Some("00".repeat(32)) };
    assert!(nation.admin.exchange().sign_agreement(other).await.is_err(), "what was not read is not signed");

    sign(&nation.admin, &drafted).await;
    assert_eq!(settled(&ningxia.admin, &nation.admin, drafted.id()).await.applied(), 3);
    // The term is over: from that day on nothing crosses, and what has crossed stays, for so it was agreed.
    world.clock.advance(2 * qianshou_tests::world::DAY_MS);
    let late = ningxia.admin.create(agency(9)).await.unwrap().noun;
    let over = async || stream(&nation.admin, drafted.id()).await.filter(|s| s.state() == StreamState::Ended);
    eventually("the stream's end", over).await;
    refused(nation.admin.get::<Agency>(late.name()).await, Reason::NotFound, "name");
    assert_eq!(records(&nation).await.len(), 3);
    // A next agreement takes up where it ended.
    let next = api::Terms { begins_on: Some("2024-06-03".into()), ..terms("64", "00", clauses()) };
    let next = agree(&ningxia.admin, &nation.admin, next).await;
    settled(&ningxia.admin, &nation.admin, &next).await;
    assert!(nation.admin.get::<Agency>(late.name()).await.is_ok());
}

async fn terms_that_do_not_hold_are_not_signed(world: World) {
    let [_, ningxia, _nation] = three_nodes(&world).await;
    let sound = || terms("64", "00", vec![share("agencies", "uscc division", "64")]);
    let with = |clauses| api::Terms { clauses, ..sound() };
    let number = |kind: &str, numbers: Vec<u32>| {
        let mut clause = share(kind, "division", "64");
        clause.fields.push(qianshou_proto::common::v1::FieldPath { numbers });
        vec![clause]
    };
    let mut unseen = share("agencies", "uscc division", "64");
    unseen.fields.retain(|path| path.numbers != [6]);
    let personal = |test: Test| {
        let mut clause = share("workers", "full_name division", "64");
        clause.scope.as_mut().unwrap().all[0].test = Some(test);
        with(vec![clause])
    };
    let nowhere = with(vec![share_all("workers", "full_name division")]);
    let endless = |clause| api::Terms { ends_on: None, ..with(vec![clause]) };
    let with_number = "为11010519491231002X提供统计".to_owned();
    let faults = [
        (nowhere, Reason::AgreementInvalid, "clauses[0].scope"),
        (personal(Test::Present(true)), Reason::AgreementInvalid, "clauses[0].scope"),
        (personal(Test::Under(String::new())), Reason::AgreementInvalid, "clauses[0].scope"),
        (personal(Test::Under("6".into())), Reason::AgreementInvalid, "clauses[0].scope"),
        (endless(share("workers", "full_name division", "64")), Reason::AgreementInvalid, "ends_on"),
        (api::Terms { purpose: Some(with_number), ..sound() }, Reason::Malformed, "purpose"),
        (api::Terms { provider: Some("35".into()), ..sound() }, Reason::AgreementInvalid, "provider"),
        (api::Terms { consumer: Some("64".into()), ..sound() }, Reason::AgreementInvalid, "consumer"),
        (api::Terms { clauses: vec![], ..sound() }, Reason::Required, "clauses"),
        (api::Terms { purpose: None, ..sound() }, Reason::AgreementInvalid, "purpose"),
        (api::Terms { legal_basis: None, ..sound() }, Reason::AgreementInvalid, "legal_basis"),
        (
            api::Terms { sensitivity_cap: Some(api::Sensitivity::L4.into()), ..sound() },
            Reason::AgreementInvalid,
            "sensitivity_cap",
        ),
        (api::Terms { ends_on: Some("2023-12-31".into()), ..sound() }, Reason::OutOfOrder, "ends_on"),
        (with(vec![unseen]), Reason::AgreementInvalid, "clauses[0].scope"),
        (with(number("workers", vec![4])), Reason::AgreementInvalid, "clauses[0].fields"),
        (with(number("workers", vec![99])), Reason::UnknownField, "clauses[0].fields"),
    ];
    for (wrong, reason, field) in faults {
        let refusal = draft_refusal(&ningxia.admin, wrong.clone()).await.expect_err(field);
        let told = refusal.message().to_owned();
        assert!(told.contains(field.split('[').next().unwrap()), "{field}: {told}");
        assert_eq!(refusal.code(), qianshou_kernel::error::code(reason), "{field}: {told}");
    }
    let mut capped = terms("64", "00", vec![share("workers", "full_name division", "64")]);
    capped.sensitivity_cap = Some(api::Sensitivity::L2.into());
    assert!(draft_refusal(&ningxia.admin, capped).await.is_err(), "a name is above the cap");
    draft(&ningxia.admin, endless(share("agencies", "uscc division", "64"))).await;
}

/// Both sides stop and start again, in the middle of it and often.
async fn a_restart_loses_and_repeats_nothing(world: World) {
    let [fujian, mut ningxia, mut nation] = three_nodes(&world).await;
    fujian.stop().await;
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    for round in 0..4 {
        sample::fill(&ningxia.admin, NINGXIA, 1 + round * 100..61 + round * 100).await;
        if round % 2 == 0 {
            nation = nation.restart().await;
        } else {
            ningxia = ningxia.restart().await;
        }
    }
    let sent = settled(&ningxia.admin, &nation.admin, &id).await;
    assert_eq!((sent.entries(), sent.applied()), (960, 960), "none lost, none twice");
    let (home, away) = (records(&ningxia).await, records(&nation).await);
    assert_eq!(home, away);
    nation.counts_right().await;
}

async fn a_removed_peer_is_cut(world: World) {
    let [_, ningxia, nation] = three_nodes(&world).await;
    sample::fill(&ningxia.admin, NINGXIA, 1..4).await;
    let id =
        agree(&ningxia.admin, &nation.admin, terms("64", "00", vec![share("agencies", "uscc division", "64")])).await;
    settled(&ningxia.admin, &nation.admin, &id).await;
    let mut line = as_peer(&nation.keys(), &ningxia);
    line.introduce(api::IntroduceRequest {}).await.unwrap();
    let connected = async |at: &Caller, node: &str| {
        let peers = at.exchange().list_peers(api::ListPeersRequest {}).await.unwrap().into_inner().peers;
        peers.into_iter().any(|peer| peer.card.is_some_and(|card| card.node() == node) && peer.connected == Some(true))
    };
    assert!(connected(&nation.admin, "64").await && connected(&ningxia.admin, "00").await);

    let removal = api::RemovePeerRequest { node: Some("00".into()) };
    ningxia.admin.exchange().remove_peer(removal.clone()).await.unwrap();
    assert!(line.introduce(api::IntroduceRequest {}).await.is_err(), "an open connection is cut");
    eventually("the cut at the nation", async || (!connected(&nation.admin, "64").await).then_some(())).await;
    refused(ningxia.admin.exchange().remove_peer(removal).await, Reason::PeerUnknown, "node");
    let late = ningxia.admin.create(agency(9)).await.unwrap().noun;
    assert!(line.introduce(api::IntroduceRequest {}).await.is_err());
    let waiting = async || {
        stream(&nation.admin, &id).await.filter(|s| s.state() == StreamState::Waiting && !s.reason_zh().is_empty())
    };
    eventually("a stream that says why it waits", waiting).await;
    refused(nation.admin.get::<Agency>(late.name()).await, Reason::NotFound, "name");

    // Added again, it goes on where it was.
    introduce(&[&ningxia.admin, &nation.admin]).await;
    assert_eq!(settled(&ningxia.admin, &nation.admin, &id).await.applied(), 4);
    assert!(nation.admin.get::<Agency>(late.name()).await.is_ok());
}

async fn an_unknown_certificate_gets_no_connection(world: World) {
    let [_, ningxia, nation] = three_nodes(&world).await;
    // A node that says it is 00, with keys of its own.
    let other = NodeKeys::create_on(&world.folder("other").join("keys"), "00", &[], &world.clock).unwrap();
    let refusal = as_peer(&other, &ningxia).introduce(api::IntroduceRequest {}).await.unwrap_err();
    assert!(refusal.metadata().is_empty(), "it came as far as an answer: {refusal:?}");
    // A person's token is no certificate, and a peer's certificate is no token.
    let token =
        Line::to(&ningxia.peers, &std::fs::read(ningxia.keys().ca_path).unwrap(), Some("qst_x".into())).unwrap();
    assert!(ExchangeServiceClient::new(token).introduce(api::IntroduceRequest {}).await.is_err());
    let door = Line::to_peer(&ningxia.address, &nation.keys(), ningxia.keys().server.leaf(), &world.clock).unwrap();
    let stranger = qianshou_proto::exchange::v1::exchange_admin_service_client::ExchangeAdminServiceClient::new(door)
        .get_card(api::GetCardRequest {})
        .await;
    refused(stranger, Reason::Unauthenticated, "");
    // And a provider whose certificate is not the pinned one is not talked to.
    let posing = Line::to_peer(&ningxia.peers, &nation.keys(), other.peer.leaf(), &world.clock).unwrap();
    assert!(ExchangeServiceClient::new(posing).introduce(api::IntroduceRequest {}).await.is_err());
    as_peer(&nation.keys(), &ningxia).introduce(api::IntroduceRequest {}).await.unwrap();
}

/// An agreement without names and numbers: nothing the consumer has holds any, in whatever file or column; and nobody holds a
/// citizen's number, the provider included.
async fn nothing_is_leaked(world: World) {
    let talkative = [("QIANSHOU__LOG__FILTER", "debug")];
    let ningxia = world.process("64", &talkative).await;
    let nation = world.process("00", &talkative).await;
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    let [_, _, workers, _] = sample::fill(&ningxia.admin, NINGXIA, 1..31).await;
    settled(&ningxia.admin, &nation.admin, &id).await;
    ningxia
        .admin
        .update(
            Worker { name: Some(workers[4].clone()), full_name: Some("欧阳改姓名".into()), ..Worker::default() },
            &["full_name"],
        )
        .await
        .unwrap();
    ningxia.admin.create(Agency { display_name: Some("最后一家机构".into()), ..agency(400) }).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    refused(ningxia.admin.create(sample::worker(2)).await, Reason::Duplicate, "id_number");

    let (home, away) = (everything(&ningxia).await, everything(&nation).await);
    for n in 1..31 {
        assert_eq!(away.find(&full_name(n)), [""; 0], "a name at the nation");
        assert_eq!(away.find(&citizen(n)), [""; 0], "a number at the nation");
        assert_eq!(home.find(&citizen(n)), [""; 0], "a number at home");
    }
    assert_eq!(away.find("欧阳改姓名"), [""; 0]);
    assert_eq!(away.find("2019-00000001"), [""; 0], "a certificate's number");
    // The same scanner finds what was agreed, and the name at home.
    assert!(!away.find("最后一家机构").is_empty() && !away.find(&sample::uscc(7)).is_empty());
    assert!(home.find(&full_name(1)).contains(&"entries.payload"));
    assert!(std::fs::metadata(nation.folder.join("log")).unwrap().len() > 1_000, "the logs were talkative");
}

async fn everything(node: &Process) -> Everything {
    Everything::of(&node.folder, &node.db().await).await
}

async fn three_nodes(world: &World) -> [Node; 3] {
    let nodes = [world.node("35").await, world.node("64").await, world.node("00").await];
    introduce(&[&nodes[0].admin, &nodes[1].admin, &nodes[2].admin]).await;
    nodes
}

/// Live records with their versions, divisions apart.
async fn records(node: &Node) -> BTreeMap<String, String> {
    let kinds = ["agencies", "stations", "workers", "certificates"];
    let stored = node.ledger.after(0, &kinds, 100_000).await.unwrap().into_iter();
    stored
        .filter(|record| record.payload().is_some())
        .map(|record| (record.name.to_string(), record.version.etag()))
        .collect()
}

/// Why and since when a record is no more.
async fn end_of(node: &Node, name: &str) -> Option<(i32, String)> {
    match node.ledger.find_one(&name.parse().unwrap()).await.unwrap()?.content {
        qianshou_kernel::ledger::Content::End(end) => Some((end.reason, end.on)),
        qianshou_kernel::ledger::Content::Put { .. } => None,
    }
}

fn without_etag(agency: &Agency) -> Agency {
    Agency { etag: None, ..agency.clone() }
}

async fn draft_refusal(at: &Caller, terms: api::Terms) -> Result<(), tonic::Status> {
    at.exchange().draft_agreement(api::DraftAgreementRequest { terms: Some(terms) }).await.map(|_| ())
}

/// A peer's own line to a node.
fn as_peer(keys: &NodeKeys, to: &Node) -> ExchangeServiceClient<Line> {
    ExchangeServiceClient::new(Line::to_peer(&to.peers, keys, to.keys().peer.leaf(), &Clock::system()).unwrap())
}
