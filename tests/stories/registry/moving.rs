//! What moves to another province ends here and has a successor there; what is one and the same is counted once.

use std::collections::BTreeSet;

use prost::Message as _;
use qianshou_kernel::{
    error::Reason,
    id::Name,
    identity::Role,
    kind::ListQuery,
    ledger::{Command, Content as LedgerContent, Version, Write},
};
use qianshou_proto::{
    common::v1::EndReason,
    ledger::v1::{self as ledger, entry::Content},
    registry::v1::{Agency, Certificate, DuplicateReason, ListDuplicatesRequest, Merge, Move, Station, Worker},
};
use qianshou_tests::{
    Caller, World, eventually,
    process::Process,
    refusal::refused,
    sample::{agency, certificate, merge, moving, station, worker},
    stories,
    treaty::{agree, introduce, settled, share, terms, to_nation},
};

use tonic::Status;

use crate::reporting::figures;

stories! {
    who_moves_is_counted_once
    an_agency_moves_with_its_history
    a_move_survives_being_killed_anywhere
    what_is_the_same_is_counted_once
    what_may_be_the_same_is_listed
    many_that_may_be_the_same_are_listed_page_by_page
    a_move_that_fails_holds_no_other_up
    a_certificate_counts_where_it_was_recorded
    an_area_of_another_day_is_listed
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Fujian tells Ningxia who moves there; Ningxia tells Fujian whom it has from there; both tell the nation.
async fn connected([fujian, ningxia, nation]: [&Caller; 3]) -> [String; 4] {
    introduce(&[fujian, ningxia, nation]).await;
    let offers = vec![share("moves", "agency worker to on division successor", "35")];
    let arrivals = vec![
        share("workers", "division since predecessor", "64"),
        share("agencies", "uscc division arrived_on predecessor", "64"),
    ];
    let national = |province: &str| {
        let mut clauses = to_nation(province);
        clauses.retain(|clause| clause.kind() != "agencies");
        let agencies = "display_name uscc division founded_on closed_on arrived_on predecessor";
        clauses.push(share("agencies", agencies, province));
        clauses.push(share("moves", "agency worker to on division successor", province));
        clauses.push(share("merges", "agency surviving_agency worker surviving_worker division", province));
        clauses
    };
    [
        agree(fujian, ningxia, terms("35", "64", offers)).await,
        agree(ningxia, fujian, terms("64", "35", arrivals)).await,
        agree(fujian, nation, terms("35", "00", national("35"))).await,
        agree(ningxia, nation, terms("64", "00", national("64"))).await,
    ]
}

fn at_home(n: u32) -> Worker {
    Worker { division: text("350102"), ..worker(n) }
}

/// Who has come from there.
fn arrived(n: u32, predecessor: &str, on: &str) -> Worker {
    Worker { division: text("640104"), predecessor: text(predecessor), since: text(on), ..worker(n) }
}

fn leaving(worker: &str) -> Move {
    Move { agency: None, worker: text(worker), ..moving("nodes/35/") }
}

/// How a record ended.
async fn end_of(at: &Caller, name: &str) -> Option<(i32, String)> {
    let asked = ledger::ReadEntriesRequest::default();
    let mut answers = at.feed().read_entries(asked).await.unwrap().into_inner();
    while let Some(answer) = answers.message().await.unwrap() {
        for entry in answer.entries.into_iter().filter(|entry| entry.name() == name) {
            if let Some(Content::End(end)) = entry.content {
                return Some((end.reason().into(), end.on().to_owned()));
            }
        }
    }
    None
}

/// The move once it is done.
async fn done(at: &Caller, name: &str) -> Move {
    eventually("the move done", async || at.get::<Move>(name).await.ok().filter(|m| m.successor.is_some())).await
}

async fn who_moves_is_counted_once(world: World) {
    let [fujian, ningxia, nation] = [world.node("35").await, world.node("64").await, world.node("00").await];
    let [_, _, from_fujian, from_ningxia] = connected([&fujian.admin, &ningxia.admin, &nation.admin]).await;
    let here = fujian.admin.create(at_home(1)).await.unwrap().noun;
    let held = fujian.admin.create(certificate(1, here.name())).await.unwrap().noun;
    let offered = fujian.admin.create(leaving(here.name())).await.unwrap().noun;
    assert_eq!((offered.division(), &offered.successor), ("350102", &None));
    settled(&fujian.admin, &nation.admin, &from_fujian).await;
    let counted = async |area: &str, day: &str| {
        figures(&nation.admin, area, day, &["talent_total", "certified_total"]).await.join(" ")
    };
    assert_eq!((counted("35", "2024-05-31").await, counted("00", "2024-05-31").await), ("1 1".into(), "1 1".into()));

    // Nobody comes without a day, nor from a record of this node.
    let nameless = Worker { since: None, ..arrived(1, here.name(), "") };
    refused(ningxia.admin.create(nameless).await, Reason::Required, "since");
    refused(
        ningxia.admin.create(arrived(1, "nodes/64/workers/1", "2024-03-01")).await,
        Reason::Malformed,
        "predecessor",
    );
    refused(
        ningxia.admin.create(arrived(1, "nodes/35/agencies/1", "2024-03-01")).await,
        Reason::Malformed,
        "predecessor",
    );

    eventually("the offer at the other side", async || ningxia.admin.get::<Move>(offered.name()).await.ok()).await;
    let there = ningxia.admin.create(arrived(1, here.name(), "2024-03-11")).await.unwrap().noun;
    let moved = done(&fujian.admin, offered.name()).await;
    assert_eq!(moved.successor, there.name);
    assert_eq!(end_of(&fujian.admin, here.name()).await, Some((EndReason::Ended.into(), "2024-03-11".into())));
    refused(fujian.admin.get::<Worker>(here.name()).await, Reason::NotFound, "name");
    refused(
        fujian.admin.update(Move { reason: text("x"), ..moved.clone() }, &["reason"]).await,
        Reason::ReadOnly,
        "successor",
    );
    assert_eq!(done(&nation.admin, offered.name()).await.successor, there.name);
    settled(&fujian.admin, &nation.admin, &from_fujian).await;
    settled(&ningxia.admin, &nation.admin, &from_ningxia).await;
    for (area, before, after) in [("35", "1 1", "0 0"), ("64", "0 0", "1 1"), ("00", "1 1", "1 1")] {
        assert_eq!(
            (counted(area, "2024-03-10").await.as_str(), counted(area, "2024-03-11").await.as_str()),
            (before, after)
        );
    }
    assert_eq!(figures(&fujian.admin, "35", "2024-03-10", &["talent_total"]).await, ["1"]);
    assert_eq!(figures(&fujian.admin, "35", "2024-03-11", &["talent_total"]).await, ["0"]);
    nation.counts_right().await;

    // What was said of them there can still be put right there; nothing new is said.
    let revoked = Certificate { revoked_on: text("2024-05-01"), ..held.clone() };
    let revoked = fujian.admin.update(revoked, &["revoked_on"]).await.unwrap().noun;
    assert_eq!((revoked.division(), revoked.revoked_on()), ("350102", "2024-05-01"));
    refused(fujian.admin.create(certificate(2, here.name())).await, Reason::ReferenceNotFound, "worker");
}

async fn an_agency_moves_with_its_history(world: World) {
    let [fujian, ningxia, nation] = [world.node("35").await, world.node("64").await, world.node("00").await];
    let [.., from_fujian, from_ningxia] = connected([&fujian.admin, &ningxia.admin, &nation.admin]).await;
    let founded = Agency { division: text("350102"), ..agency(1) };
    let here = fujian.admin.create(founded.clone()).await.unwrap().noun;
    // The successor comes first, the offer later: what arrives first does not matter.
    let there = Agency {
        division: text("640104"),
        predecessor: here.name.clone(),
        arrived_on: text("2024-04-01"),
        ..founded.clone()
    };
    let early = Agency { arrived_on: text("2010-01-01"), ..there.clone() };
    refused(ningxia.admin.create(early).await, Reason::OutOfOrder, "arrived_on");
    let there = ningxia.admin.create(there).await.unwrap().noun;
    let offered = fujian.admin.create(moving(here.name())).await.unwrap().noun;
    assert_eq!(done(&fujian.admin, offered.name()).await.successor, there.name);
    done(&nation.admin, offered.name()).await;
    settled(&fujian.admin, &nation.admin, &from_fujian).await;
    settled(&ningxia.admin, &nation.admin, &from_ningxia).await;
    let total = async |area: &str, day: &str| figures(&nation.admin, area, day, &["agency_total"]).await.remove(0);
    for (area, before, after) in [("35", "1", "0"), ("64", "0", "1"), ("00", "1", "1")] {
        assert_eq!(
            (total(area, "2024-03-31").await.as_str(), total(area, "2024-04-01").await.as_str()),
            (before, after)
        );
    }
    nation.counts_right().await;
}

/// Each step of a move, who is killed so many milliseconds after it was answered, and what they are at by then.
const FAULTS: [(&str, &str, u64, &str); 14] = [
    ("offered", "35", 0, "the offer is committed at home and sent to nobody"),
    ("offered", "35", 40, "the offer is on its way"),
    ("offered", "64", 0, "the other side has not heard of the offer"),
    ("offered", "64", 40, "the offer arrives"),
    ("arrived", "64", 0, "the successor is committed and sent to nobody"),
    ("arrived", "64", 20, "the successor is put into a page"),
    ("arrived", "64", 80, "the successor is sent, its receipt open"),
    ("arrived", "35", 0, "home has not heard of the successor"),
    ("arrived", "35", 20, "the successor arrives at home"),
    ("arrived", "35", 50, "the heartbeat looks for what can be done"),
    ("arrived", "35", 90, "the record ends and the move names its successor, in one commit"),
    ("arrived", "35", 140, "the end is told to the others"),
    ("done", "35", 0, "it is done at home, and the others have not heard"),
    ("done", "64", 0, "it is done at home, and the other side is not there"),
];

async fn a_move_survives_being_killed_anywhere(world: World) {
    let nation = world.process("00", &[]).await;
    let [mut fujian, mut ningxia] = [world.process("35", &[]).await, world.process("64", &[]).await];
    let ids = connected([&fujian.admin, &ningxia.admin, &nation.admin]).await;
    let people = u32::try_from(FAULTS.len()).unwrap();
    let outcomes = fujian.admin.put((0..people).map(at_home).collect()).await.unwrap();
    let here: Vec<String> = outcomes.into_iter().map(|outcome| outcome.name.unwrap()).collect();
    settled(&fujian.admin, &nation.admin, &ids[2]).await;
    let day = "2024-05-31";
    let everybody = people.to_string();
    assert_eq!(figures(&nation.admin, "00", day, &["talent_total"]).await, [everybody.as_str()]);

    for (n, (step, victim, after_ms, at)) in FAULTS.into_iter().enumerate() {
        let number = u32::try_from(n).unwrap();
        let offered = fujian.admin.under(&format!("offer-{n}")).create(leaving(&here[n])).await.unwrap().noun;
        if step == "offered" {
            struck(victim, after_ms, &mut fujian, &mut ningxia).await;
        }
        let arrival = arrived(number, &here[n], "2024-03-01");
        let there = ningxia.admin.under(&format!("arrival-{n}")).create(arrival).await.unwrap().noun;
        if step == "arrived" {
            struck(victim, after_ms, &mut fujian, &mut ningxia).await;
        }
        assert_eq!(done(&fujian.admin, offered.name()).await.successor, there.name, "{at}");
        if step == "done" {
            struck(victim, after_ms, &mut fujian, &mut ningxia).await;
        }
        let total = figures(&nation.admin, "00", day, &["talent_total"]).await.remove(0);
        assert!(total.parse::<u32>().unwrap() <= people, "nobody is counted twice: {total}, {at}");
        eventually(&format!("everybody counted: {at}"), async || {
            let total = figures(&nation.admin, "00", day, &["talent_total"]).await.remove(0);
            assert!(total.parse::<u32>().unwrap() <= people, "nobody is counted twice: {total}, {at}");
            (total == everybody).then_some(())
        })
        .await;
    }
    settled(&fujian.admin, &nation.admin, &ids[2]).await;
    settled(&ningxia.admin, &nation.admin, &ids[3]).await;
    for (area, total) in [("35", "0"), ("64", everybody.as_str()), ("00", everybody.as_str())] {
        assert_eq!(figures(&nation.admin, area, day, &["talent_total"]).await, [total], "{area}");
    }
    assert_eq!(figures(&nation.admin, "35", "2024-02-29", &["talent_total"]).await, [everybody]);
    for name in &here {
        assert_eq!(end_of(&nation.admin, name).await, Some((EndReason::Ended.into(), "2024-03-01".into())));
    }
}

async fn struck(victim: &str, after_ms: u64, fujian: &mut Process, ningxia: &mut Process) {
    let victim = if victim == "35" { fujian } else { ningxia };
    // When it is cut off is what is tried out here, so this waits for nothing.
    tokio::time::sleep(std::time::Duration::from_millis(after_ms)).await;
    victim.kill().await;
    victim.start().await;
}

async fn what_is_the_same_is_counted_once(world: World) {
    let [ningxia, nation] = [world.node("64").await, world.node("00").await];
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let mut clauses = to_nation("64");
    clauses.push(share("merges", "agency surviving_agency worker surviving_worker division", "64"));
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    let admin = &ningxia.admin;
    let mut agencies = vec![];
    let mut workers = vec![];
    for n in 1..4 {
        agencies.push(admin.create(agency(n)).await.unwrap().noun.name.unwrap());
        workers.push(admin.create(worker(n)).await.unwrap().noun.name.unwrap());
    }
    admin.create(certificate(1, &workers[0])).await.unwrap();
    admin.create(certificate(2, &workers[1])).await.unwrap();
    let counted = async || {
        settled(admin, &nation.admin, &id).await;
        let at = async |by: &Caller| {
            figures(by, "64", "2024-05-31", &["agency_total", "talent_total", "certified_total"]).await.join(" ")
        };
        let (home, away) = (at(admin).await, at(&nation.admin).await);
        assert_eq!(home, away);
        nation.counts_right().await;
        ningxia.counts_right().await;
        home
    };
    assert_eq!(counted().await, "3 3 2");
    let first = admin.create(merge(&agencies[0], &agencies[1])).await.unwrap().noun;
    let people = |from: usize, to: usize| Merge {
        worker: Some(workers[from].clone()),
        surviving_worker: Some(workers[to].clone()),
        ..Merge::default()
    };
    let second = admin.create(people(0, 1)).await.unwrap().noun;
    assert_eq!(counted().await, "2 2 1");
    // Of three that are one, whatever leads to whatever; a circle is one as well.
    admin.create(merge(&agencies[1], &agencies[2])).await.unwrap();
    let third = admin.create(people(1, 2)).await.unwrap().noun;
    assert_eq!(counted().await, "1 1 1");
    let circle = admin.create(merge(&agencies[2], &agencies[0])).await.unwrap().noun;
    assert_eq!(counted().await, "1 1 1");
    // A survivor that changes takes the others along.
    let gone = Agency { name: Some(agencies[2].clone()), closed_on: text("2024-01-01"), ..Agency::default() };
    admin.update(gone, &["closed_on"]).await.unwrap();
    assert_eq!(counted().await, "1 1 1", "the others are still open");
    // Without the links they are what they were; nothing was lost.
    for name in [first.name(), second.name(), third.name(), circle.name()] {
        admin.delete::<Merge>(name).await.unwrap();
    }
    assert_eq!(counted().await, "2 3 2");
    refused(admin.delete::<Agency>(&agencies[1]).await, Reason::StillReferenced, "name");
}

async fn what_may_be_the_same_is_listed(world: World) {
    let [fujian, ningxia] = [world.node("35").await, world.node("64").await];
    introduce(&[&fujian.admin, &ningxia.admin]).await;
    let mut workers = share("workers", "full_name division employer", "64");
    workers.pseudonym = Some(true);
    let clauses = vec![share("agencies", "display_name uscc division", "64"), workers];
    let id = agree(&ningxia.admin, &fujian.admin, terms("64", "35", clauses)).await;
    let admin = &fujian.admin;
    let named = |n: u32, name: &str| Agency { division: text("350102"), display_name: text(name), ..agency(n) };
    let near = admin.create(named(1, "福州市鼓楼区霞岸老年服务中心")).await.unwrap().noun.name.unwrap();
    let other = admin.create(named(2, "福州市鼓楼区霞辉老年社会服务中心")).await.unwrap().noun.name.unwrap();
    let apart = admin.create(named(3, "福州市鼓楼区阳光社会工作服务中心")).await.unwrap().noun.name.unwrap();
    ningxia.admin.put(vec![Agency { uscc: agency(3).uscc, ..agency(9) }]).await.unwrap();
    let of_one_name = |n| Worker { full_name: text("张伟"), division: text("640104"), ..worker(n) };
    ningxia.admin.put((0..3).map(of_one_name).collect()).await.unwrap();
    let both = ningxia.admin.create(Worker { division: text("640202"), ..worker(7) }).await.unwrap().noun;
    settled(&ningxia.admin, &fujian.admin, &id).await;
    // A person of our own is known by the number, which neither leaves this process nor is written anywhere.
    let own = admin.create(Worker { full_name: text("别名"), ..at_home(7) }).await.unwrap().noun;

    let page = async |by: &Caller, kind: &str, area: &str, page: (i32, Option<String>)| {
        let asked = ListDuplicatesRequest {
            kind: text(kind).filter(|kind| !kind.is_empty()),
            area: text(area).filter(|area| !area.is_empty()),
            page_size: Some(page.0),
            page_token: page.1,
        };
        Ok::<_, Status>(by.registry().list_duplicates(asked).await?.into_inner())
    };
    let found = async |kind: &str| {
        let found = page(admin, kind, "00", (0, None)).await.unwrap().duplicates;
        found.iter().map(|d| (d.record().to_owned(), d.other().to_owned(), d.reason())).collect::<BTreeSet<_>>()
    };
    let foreign = admin.list_all::<Agency>(ListQuery { area: text("64"), ..ListQuery::default() }).await.remove(0);
    let (near_name, same_code) = (DuplicateReason::NearName, DuplicateReason::SameCode);
    let pairs = [(near.clone(), other.clone(), near_name), (apart.clone(), foreign.name.clone().unwrap(), same_code)];
    let told = |pairs: &[(String, String, DuplicateReason)]| pairs.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(found("agencies").await, told(&pairs));
    let people = found("workers").await;
    assert_eq!(people.len(), 4, "three of one name at one place, and one person: {people:?}");
    let one: Vec<_> = people.iter().filter(|(.., reason)| *reason == DuplicateReason::SamePerson).collect();
    assert_eq!(one.len(), 1);
    assert_eq!(
        BTreeSet::from([&one[0].0, &one[0].1]),
        BTreeSet::from([own.name.as_ref().unwrap(), both.name.as_ref().unwrap()])
    );
    let first = page(admin, "workers", "64", (2, None)).await.unwrap();
    assert_eq!(first.duplicates.len(), 2);
    let second = page(admin, "workers", "64", (2, first.next_page_token)).await.unwrap();
    assert_eq!((second.duplicates.len(), second.next_page_token), (1, None));

    // Once a person has decided, it is no question any more; if they take it back, it is one again.
    let merged = admin.create(merge(&near, &other)).await.unwrap().noun;
    assert_eq!(found("agencies").await, told(&pairs[1..]));
    admin.delete::<Merge>(merged.name()).await.unwrap();
    assert_eq!(found("agencies").await, told(&pairs));
    for (kind, area, reason, field) in [
        ("", "35", Reason::Required, "kind"),
        ("stations", "35", Reason::NotInList, "kind"),
        ("agencies", "", Reason::Required, "area"),
        ("agencies", "3x", Reason::Malformed, "area"),
    ] {
        refused(page(admin, kind, area, (0, None)).await, reason, field);
    }
    refused(page(admin, "agencies", "35", (0, text("x"))).await, Reason::BadPageToken, "page_token");
    refused(page(admin, "agencies", "35", (-1, None)).await, Reason::Malformed, "page_size");
    let clerk = fujian.caller(Role::Reader, "350203").await;
    refused(page(&clerk, "agencies", "350102", (0, None)).await, Reason::AreaForbidden, "area");
}

/// A page costs no more than it looks at, and all pages together have each pair once.
async fn many_that_may_be_the_same_are_listed_page_by_page(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let of_a_county = |n: u32| Agency {
        division: text("640104"),
        display_name: Some(format!("银川市石榴籽{}社会工作服务中心", ["", "甲"][n as usize % 2])),
        ..agency(n)
    };
    admin.put((0..40).map(of_a_county).collect()).await.unwrap();
    let elsewhere = |n: u32| Agency { division: text("640202"), ..of_a_county(n) };
    admin.put((40..43).map(elsewhere).chain((100..600).map(agency)).collect()).await.unwrap();
    let of_one_name = |n| Worker { full_name: text("张伟"), division: text("640104"), ..worker(n) };
    admin.put((0..30).map(of_one_name).collect()).await.unwrap();
    for (kind, area, pairs) in [
        ("agencies", "640104", 40 * 39 / 2),
        ("agencies", "640202", 3),
        ("agencies", "64", 40 * 39 / 2 + 3),
        ("workers", "00", 30 * 29 / 2),
    ] {
        let (mut seen, mut token) = (vec![], None);
        loop {
            let asked =
                ListDuplicatesRequest { kind: text(kind), area: text(area), page_size: Some(100), page_token: token };
            let page = admin.registry().list_duplicates(asked).await.unwrap().into_inner();
            assert!(page.duplicates.len() <= 100);
            let near = page.duplicates.iter().filter(|d| {
                let of_the_list = |name: &Option<String>| name.as_ref().is_some_and(|n| !n.contains("塞上"));
                of_the_list(&d.display_name) && of_the_list(&d.other_display_name)
            });
            seen.extend(near.map(|d| (d.record().to_owned(), d.other().to_owned())));
            token = page.next_page_token;
            if token.is_none() {
                break;
            }
        }
        let once: BTreeSet<_> = seen.iter().collect();
        assert_eq!((once.len(), seen.len()), (pairs, pairs), "{kind} in {area}");
    }
}

/// A move that cannot be done, because what it says is not ours to end, is told in the log and leaves the others alone.
async fn a_move_that_fails_holds_no_other_up(world: World) {
    let [fujian, ningxia] = [world.node("35").await, world.node("64").await];
    introduce(&[&fujian.admin, &ningxia.admin]).await;
    let arrivals = vec![share("workers", "division since predecessor", "64")];
    agree(&ningxia.admin, &fujian.admin, terms("64", "35", arrivals)).await;
    let here = fujian.admin.create(at_home(1)).await.unwrap().noun;
    let theirs = ningxia.admin.create(worker(2)).await.unwrap().noun;
    let theirs_here = async || fujian.admin.get::<Worker>(theirs.name()).await.ok();
    eventually("the other's record", theirs_here).await;
    let division = text("350102");
    let foreign = Move { worker: theirs.name.clone(), to: text("00"), division, ..leaving(here.name()) };
    refused(fujian.admin.create(foreign.clone()).await, Reason::NotHome, "worker");

    // As an older program might have saved it, and with a successor.
    let put = |payload: Vec<u8>| LedgerContent::Put { payload: payload.into(), sealed: None };
    let successor = Worker { predecessor: theirs.name.clone(), since: text("2024-03-01"), ..Worker::default() };
    let command = Command {
        writes: vec![
            Write::Own(Name::of("35", "moves", "0"), put(foreign.encode_to_vec())),
            Write::Received(
                Name::of("00", "workers", "0"),
                Version { epoch: 1, revision: 1 },
                put(successor.encode_to_vec()),
            ),
        ],
        ..Command::default()
    };
    fujian.ledger.submit(command).await.unwrap();
    let offered = fujian.admin.create(leaving(here.name())).await.unwrap().noun;
    let there = ningxia.admin.create(arrived(1, here.name(), "2024-03-11")).await.unwrap().noun;
    assert_eq!(done(&fujian.admin, offered.name()).await.successor, there.name);
    assert_eq!(fujian.admin.get::<Move>("nodes/35/moves/0").await.unwrap().successor, None);
    assert!(theirs_here().await.is_some(), "what is theirs stands");
}

async fn a_certificate_counts_where_it_was_recorded(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let holder = admin.create(Worker { division: text("640104"), ..worker(1) }).await.unwrap().noun;
    let held = admin.create(certificate(1, holder.name())).await.unwrap().noun;
    assert_eq!(held.division(), "640104");
    admin.update(Worker { division: text("640202"), ..holder.clone() }, &["division"]).await.unwrap();
    let renewed = Certificate { registered_until: text("2026-09-10"), ..held.clone() };
    let renewed = admin.update(renewed, &["registered_until"]).await.unwrap().noun;
    assert_eq!(renewed.division(), "640104", "its holder moved, and it did not");
    let told = Certificate { division: text("640105000000"), ..renewed };
    let told = admin.update(told, &["division"]).await.unwrap().noun;
    assert_eq!(told.division(), "640105");
    let second = Certificate { division: text("640106"), ..certificate(2, holder.name()) };
    assert_eq!(admin.create(second).await.unwrap().noun.division(), "640106");
    assert_eq!(admin.create(certificate(3, holder.name())).await.unwrap().noun.division(), "640202");
    let nowhere = Certificate { division: text("649999"), ..certificate(4, holder.name()) };
    refused(admin.create(nowhere).await, Reason::NotInList, "division");
}

async fn an_area_of_another_day_is_listed(world: World) {
    const EVERYWHERE: &str = "350102001 350402001 350404004 350405100 350427001";
    let fujian = world.node("35").await;
    let admin = &fujian.admin;
    let at = |n: u32, division: &str| Station { division: text(division), ..station(n) };
    let stations = [at(1, "350427001"), at(2, "350405100"), at(3, "350402001"), at(4, "350404004"), at(5, "350102001")];
    admin.put(stations.to_vec()).await.unwrap();
    let listed = async |area: &str, day: Option<&str>| {
        let asked = ListQuery { area: text(area), divisions_at: day.map(str::to_owned), ..ListQuery::default() };
        let mut found: Vec<String> =
            admin.list_all::<Station>(asked).await.iter().map(|s| s.division().to_owned()).collect();
        found.sort();
        found.join(" ")
    };
    let (old, new) = (Some("2020-12-31"), Some("2023-06-30"));
    for (area, reported, before, after) in [
        ("350405", "350405100", "", "350405100 350427001"),
        ("350427", "350427001", "350405100 350427001", ""),
        ("350404", "350404004", "", "350402001 350404004"),
        (
            "3504",
            "350402001 350404004 350405100 350427001",
            "350402001 350404004 350405100 350427001",
            "350402001 350404004 350405100 350427001",
        ),
        ("350102", "350102001", "350102001", "350102001"),
        // All that is there is in the nation, whether it has changed or not.
        ("00", EVERYWHERE, EVERYWHERE, EVERYWHERE),
    ] {
        assert_eq!(
            [listed(area, None).await, listed(area, old).await, listed(area, new).await],
            [reported, before, after],
            "{area}"
        );
    }
    let asked = ListQuery { area: text("350405"), divisions_at: text("2023-02-30"), ..ListQuery::default() };
    refused(admin.list::<Station>(asked).await, Reason::Malformed, "divisions_at");
}
