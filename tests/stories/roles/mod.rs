//! Houses as processes of their own, several of any at once, on one PostgreSQL. SQLite has no such shape: there a second process
//! is refused, which is told here too. What holds on either database stands first.

mod grants;
mod load;

use qianshou::node::Node;
use qianshou_kernel::{clock::Clock, db::Statement, error::Reason, identity::Role};
use qianshou_proto::{
    exchange::v1::{GetCardRequest, RemovePeerRequest, TestPeerRequest},
    identity::v1 as identity,
    ledger::v1::{GetHeadRequest, ReadEntriesRequest},
    registry::v1::{Agency, Certificate},
    reporting::v1::{Cell, ReadTableRequest, cell::Value},
};
use qianshou_reporting::Reporting;
use qianshou_tests::{
    Caller, Database, PATIENCE, World,
    crowd::Crowd,
    eventually, on_postgres,
    process::{Town, refused_to_serve},
    refusal::{refused, refused_in_batch},
    sample::{self, NINGXIA, agency},
    stories,
    treaty::{add_peer, agree, introduce, settled, terms, to_nation},
    verbs::Noun,
    world,
};
use tokio_util::sync::CancellationToken;
use tonic::Code;

stories! {
    an_older_process_reads_and_does_not_write
}

// A shape that only PostgreSQL has.
on_postgres! {
    the_straight_line_runs_through_five_processes
    a_word_is_heard_without_a_look
    two_followers_count_once
    another_process_pulls_on
    two_processes_send_one_stream
}

#[test]
fn a_sqlite_file_has_one_process_sqlite() {
    qianshou_tests::run(Database::Sqlite, a_sqlite_file_has_one_process);
}

/// Looks so seldom that what is seen was heard.
const NEVER_LOOKS: (&str, &str) = ("QIANSHOU__LEDGER__POLL_MS", "600000");
/// Keeps tokens so long that a revocation was heard of.
const KEEPS_TOKENS: (&str, &str) = ("QIANSHOU__LIMITS__TOKEN_CACHE_MS", "600000");
const DAY: &str = "2024-05-31";
const STOCKS: [&str; 4] = ["talent_total", "certified_total", "agency_total", "station_total"];

/// A clerk saves at either registry; the exchange carries it; the nation's table and the province's count it. Everybody may
/// knock at any door.
async fn the_straight_line_runs_through_five_processes(world: World) {
    let town = world.town("64").await;
    let [one, reporting] = [town.serve("registry", &[]).await, town.serve("reporting", &[]).await];
    let exchange = town.serve("exchange", &[("QIANSHOU__NEIGHBOURS__REPORTING", &one.address)]).await;
    // Where nobody listens first: after one call that is lost, the other is asked.
    let registries = format!("https://127.0.0.1:1,{}", one.address);
    let neighbours = [
        ("QIANSHOU__NEIGHBOURS__REGISTRY", registries.as_str()),
        ("QIANSHOU__NEIGHBOURS__EXCHANGE", &exchange.address),
        ("QIANSHOU__NEIGHBOURS__REPORTING", &reporting.address),
    ];
    let [two, counting] = [town.serve("registry", &neighbours).await, town.serve("reporting", &neighbours).await];
    let nation = world.process("00", &[]).await;
    introduce(&[&exchange.admin, &nation.admin]).await;
    let agreement = agree(&two.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;

    refused(counting.admin.create(agency(900)).await, Reason::Unavailable, "");
    // A batch goes up and a feed comes down through a process that has neither house.
    let by_one = sample::fill(&one.admin, NINGXIA, 1..21);
    let by_two = sample::fill(&two.admin, NINGXIA, 100..120);
    let by_gateway = sample::fill(&counting.admin, NINGXIA, 200..210);
    let ([_, _, workers, _], ..) = tokio::join!(by_one, by_two, by_gateway);
    assert_eq!(newest(&counting.admin, "agencies").await.len(), 50);
    settled(&exchange.admin, &nation.admin, &agreement).await;
    for at in [&nation, &reporting, &counting, &two] {
        assert_eq!(figures(&at.admin).await, [50; 4], "at {}", at.address);
    }
    one.admin.delete::<Certificate>(certificate_of(&two.admin, &workers[0]).await.name()).await.unwrap();
    let at_the_nation = async || (figures(&nation.admin).await == [50, 49, 50, 50]).then_some(());
    eventually("the nation's new table", at_the_nation).await;
    counted_once(&town).await;

    // A house that is nowhere to be found, and two processes that point at each other.
    let hint = one.admin.reporting().read_table(asked()).await.unwrap_err();
    assert_eq!(hint.code(), Code::Unimplemented);
    assert!(hint.message().contains("[neighbours] reporting") && hint.message().contains("不提供"), "{hint:?}");
    assert_eq!(exchange.admin.reporting().read_table(asked()).await.unwrap_err().code(), Code::Unimplemented);
    // Who calls is asked at every door.
    let stranger = town.caller(&counting, "qst_nobody");
    assert_eq!(stranger.create(agency(901)).await.unwrap_err().code(), Code::Unauthenticated);
}

/// NOTIFY comes after the commit: another process has the position, and forgets a token, without looking.
async fn a_word_is_heard_without_a_look(world: World) {
    let town = world.town("64").await;
    let deaf = [NEVER_LOOKS, KEEPS_TOKENS];
    let [one, two] = [town.serve("registry,reporting", &deaf).await, town.serve("registry", &deaf).await];
    for n in 0..20 {
        let (from, to) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let saved = from.admin.create(agency(n)).await.unwrap();
        let read = Agency::get(&to.admin, saved.noun.name(), Some(saved.position)).await;
        assert_eq!(read.unwrap().uscc, saved.noun.uscc, "{n}");
    }
    let made = identity::CreateTokenRequest {
        display_name: Some("clerk".into()),
        role: Some(identity::Role::Reader.into()),
        area: Some("64".into()),
        ..Default::default()
    };
    let made = one.admin.identity().create_token(made).await.unwrap().into_inner();
    let clerk = town.caller(&two, made.secret());
    let look = async || clerk.list::<Agency>(Default::default()).await;
    assert!(look().await.is_ok());
    let id = made.token.unwrap().id;
    one.admin.identity().revoke_token(identity::RevokeTokenRequest { id }).await.unwrap();
    let shut = async || look().await.err().filter(|status| status.code() == Code::Unauthenticated);
    eventually("the end of a token at the other process", shut).await;
}

/// Both read the same entries and count them; one commit of the two moves the cursor.
async fn two_followers_count_once(world: World) {
    let (_, url) = world.database("ledger").await;
    let cancel = CancellationToken::new();
    let mut ledgers = vec![];
    for _ in 0..3 {
        ledgers.push(world.ledger_on(world::open(&url).await).await);
    }
    let houses: Vec<Reporting> =
        ledgers.iter().map(|ledger| Reporting::new(ledger.clone(), PATIENCE).unwrap()).collect();
    for house in &houses[..2] {
        house.start(cancel.clone());
    }
    let crowd = Crowd { writers: 6, commands: 40, number: 1 };
    let written = crowd.write(&ledgers[2]).await.len();
    let recount = houses[2].recount().await.unwrap();
    assert!(recount.differences.is_empty() && recount.subjects > 100, "{written} written, {recount:?}");
    cancel.cancel();
}

/// A stream has one puller; when its process dies another takes over, and nothing comes twice.
async fn another_process_pulls_on(world: World) {
    let town = world.town("00").await;
    let [mut one, two] = [town.serve("exchange,reporting", &[]).await, town.serve("exchange,reporting", &[]).await];
    let province = world.process("64", &[]).await;
    introduce(&[&one.admin, &province.admin]).await;
    let agreement = agree(&province.admin, &one.admin, terms("64", "00", to_nation("64"))).await;
    sample::fill(&province.admin, NINGXIA, 1..11).await;
    settled(&province.admin, &two.admin, &agreement).await;
    one.kill().await;
    sample::fill(&province.admin, NINGXIA, 11..21).await;
    settled(&province.admin, &two.admin, &agreement).await;
    one.start().await;
    let mut two = two;
    assert_eq!(two.stop().await, Some(0), "{}", two.said());
    sample::fill(&province.admin, NINGXIA, 21..31).await;
    let sent = settled(&province.admin, &one.admin, &agreement).await;
    assert_eq!((sent.quarantined(), sent.entries()), (0, sent.applied()));
    assert_eq!(figures(&one.admin).await, [30; 4]);
}

/// Both make the pages of a stream, and each page is made once; a peer goes on with either, and is cut off at both.
async fn two_processes_send_one_stream(world: World) {
    let town = world.town("64").await;
    let nation = world.process("00", &[]).await;
    let [mut one, two] = [town.serve("registry,exchange", &[]).await, town.serve("registry,exchange", &[]).await];
    introduce(&[&one.admin, &nation.admin]).await;
    let agreement = agree(&two.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    tokio::join!(sample::fill(&one.admin, NINGXIA, 1..31), sample::fill(&two.admin, NINGXIA, 100..130));
    for at in [&one, &two] {
        let sent = settled(&at.admin, &nation.admin, &agreement).await;
        assert_eq!((sent.quarantined(), sent.entries()), (0, sent.applied()));
    }
    one.kill().await;
    // Another address, the same keys: the other process has heard whom the first was introduced to.
    let card = two.admin.exchange().get_card(GetCardRequest {}).await.unwrap().into_inner().card.unwrap();
    add_peer(&nation.admin, &card).await;
    sample::fill(&two.admin, NINGXIA, 200..210).await;
    let sent = settled(&two.admin, &nation.admin, &agreement).await;
    assert_eq!((sent.quarantined(), sent.entries()), (0, sent.applied()));
    assert_eq!(figures(&nation.admin).await, [70; 4]);

    one.start().await;
    let test = async || {
        let asked = TestPeerRequest { node: Some("64".into()) };
        nation.admin.exchange().test_peer(asked).await
    };
    assert!(test().await.is_ok());
    one.admin.exchange().remove_peer(RemovePeerRequest { node: Some("00".into()) }).await.unwrap();
    eventually("the other process's door shut", async || test().await.err()).await;
}

async fn a_sqlite_file_has_one_process(world: World) {
    let town = world.town("64").await;
    let said = refused_to_serve(&town, &["--role", "registry"]).await;
    assert!(said.contains("--role") && said.contains("PostgreSQL") && said.contains("只能由一个进程服务"), "{said}");
    let said = refused_to_serve(&town, &["--role", "registry,console"]).await;
    assert!(said.contains("registry, pairing, exchange, reporting"), "{said}");
    let mut first = world.process("64", &[]).await;
    first.admin.create(agency(1)).await.unwrap();
    let said = refused_to_serve(&town, &[]).await;
    assert!(said.contains("another process serves") && said.contains("请先停止那个进程"), "{said}");
    // Whoever is killed leaves no lock behind.
    first.kill().await;
    first.start().await;
    assert_eq!(newest(&first.admin, "agencies").await.len(), 1);
}

/// An operator has upgraded the database; this process reads on and writes nothing, whichever way.
async fn an_older_process_reads_and_does_not_write(world: World) {
    let node = world.node("64").await;
    let saved = node.admin.create(agency(1)).await.unwrap().noun;
    assert_eq!(figures_of(&node.admin, &["agency_total"]).await, [1]);
    let raise = "UPDATE head SET contract = contract + 1 WHERE id = 1";
    node.ledger.db().run(&[Statement::new(raise, vec![])]).await.unwrap();
    let position = node.position().await;
    let answers = [
        node.admin.create(agency(2)).await.map(drop),
        node.admin.only_asking().create(agency(2)).await.map(drop),
        node.admin.replace(Agency { founded_on: Some("2019-03-01".into()), ..saved.clone() }).await.map(drop),
        node.admin.delete::<Agency>(saved.name()).await.map(drop),
    ];
    for answer in answers {
        refused(answer, Reason::ContractLevel, "");
    }
    refused_in_batch(&node.admin.put(vec![agency(3)]).await.unwrap()[0], Reason::ContractLevel, "");
    let token = identity::CreateTokenRequest {
        display_name: Some("late".into()),
        role: Some(identity::Role::Reader.into()),
        area: Some("64".into()),
        ..Default::default()
    };
    refused(node.admin.identity().create_token(token).await, Reason::ContractLevel, "");
    assert_eq!(node.admin.get::<Agency>(saved.name()).await.unwrap(), saved);
    assert_eq!(newest(&node.admin, "agencies").await.len(), 1);
    assert_eq!(figures_of(&node.admin, &["agency_total"]).await, [1]);
    assert_eq!(node.position().await, position);
    // The program of that level would write on.
    let back = "UPDATE head SET contract = contract - 1 WHERE id = 1";
    node.ledger.db().run(&[Statement::new(back, vec![])]).await.unwrap();
    let editor = node.caller(Role::Editor, "64").await;
    editor.create(agency(2)).await.unwrap();
    node.counts_right().await;
}

/// Asserts that the province's tallies are what counting everything again gives.
async fn counted_once(town: &Town) {
    let node = Node::open(town.loaded().clone(), Clock::system(), None).await.unwrap();
    let recount = Reporting::new(node.ledger().clone(), PATIENCE).unwrap().recount().await.unwrap();
    node.ledger().db().close().await;
    assert!(recount.differences.is_empty(), "{:?}", recount.differences);
}

async fn certificate_of(by: &Caller, worker: &str) -> Certificate {
    let all = by.list_all::<Certificate>(Default::default()).await;
    all.into_iter().find(|certificate| certificate.worker() == worker).unwrap()
}

/// The names of a kind's records, from the feed.
async fn newest(by: &Caller, kind: &str) -> Vec<String> {
    let asked = ReadEntriesRequest { kinds: vec![kind.to_owned()], ..ReadEntriesRequest::default() };
    let mut feed = by.feed().read_entries(asked).await.unwrap().into_inner();
    let mut names = vec![];
    while let Some(part) = feed.message().await.unwrap() {
        names.extend(part.entries.into_iter().map(|entry| entry.name.unwrap()));
    }
    names
}

async fn position(by: &Caller) -> u64 {
    by.feed().get_head(GetHeadRequest {}).await.unwrap().into_inner().position()
}

fn asked() -> ReadTableRequest {
    ReadTableRequest {
        indicators: STOCKS.map(str::to_owned).to_vec(),
        area: Some("64".into()),
        at: Some(DAY.into()),
        ..ReadTableRequest::default()
    }
}

async fn figures(by: &Caller) -> Vec<i64> {
    figures_of(by, &STOCKS).await
}

async fn figures_of(by: &Caller, indicators: &[&str]) -> Vec<i64> {
    let asked = ReadTableRequest { indicators: indicators.iter().map(|i| (*i).to_owned()).collect(), ..asked() };
    let cells = by.reporting().read_table(asked).await.unwrap().into_inner().cells;
    let value = |cell: &Cell| match cell.value {
        Some(Value::Count(count)) => count,
        _ => -1,
    };
    cells.iter().map(value).collect()
}
