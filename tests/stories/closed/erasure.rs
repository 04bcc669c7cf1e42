//! A person's data is erased at home: nothing of it is left, what was counted stays counted, and what is restored is erased again.

use std::{collections::BTreeMap, path::Path};

use qianshou::backup::{self, Asked, Restored};
use qianshou_exchange::store::{Pages, Way};
use qianshou_kernel::{
    clock::Clock,
    config::Config,
    db::Db,
    erasure::journal::{Begun, Journal},
    error::{Error, Reason},
    identity::Role,
    ledger::{
        Content,
        verify::{Entries, Part as _},
    },
    person::Secrets,
};
use qianshou_proto::{
    common::v1::EndReason,
    ledger::v1::ReadEntriesRequest,
    registry::v1::{
        Certificate, CreateProposalRequest, Employment, ErasePersonRequest, ErasePersonResponse, GetProposalRequest,
        Merge, Proposal, ProposalAct, ProposalState, Recognition, RecognitionKind, Worker, proposal,
    },
};
use qianshou_tests::{
    Caller, Database, Node, World, eventually,
    refusal::{refused, refused_in_batch},
    sample::{NINGXIA, agency, certificate, citizen, employment, fill, full_name, worker},
    scan::Everything,
    stories,
    treaty::{agree, introduce, settled, share, terms},
};
use tonic::Status;

use super::county::whole_table;

stories! {
    a_person_is_erased_and_stays_counted
    erasure_stays_in_the_callers_area
    who_was_merged_stays
    a_request_that_made_who_was_erased_makes_nobody_again
    what_was_proposed_of_a_person_is_erased_too
    an_interrupted_erasure_is_finished
}

const REASON: &str = "本人申请";
const CLAUSE: &str = "个人信息保护法第四十七条";
/// The areas whose tables are looked at.
const AREAS: [&str; 4] = ["00", "64", "640104", "640122"];

fn asked(name: &str) -> ErasePersonRequest {
    ErasePersonRequest {
        name: Some(name.to_owned()),
        reason: Some(REASON.to_owned()),
        clause: Some(CLAUSE.to_owned()),
        ..ErasePersonRequest::default()
    }
}

async fn erase(by: &Caller, asked: ErasePersonRequest) -> Result<ErasePersonResponse, Status> {
    Ok(by.registry().erase_person(asked).await?.into_inner())
}

/// What the samples of this number say of a person, and by what the node finds them.
fn marks(node: &Node, n: u32) -> Vec<String> {
    let keys = node.keys();
    let blind = Secrets::new(&keys.seal, &keys.blind).unwrap().blind.index("workers", &citizen(n));
    vec![full_name(n), citizen(n), format!("2019-{n:08}"), blind]
}

async fn tables(by: &Caller) -> Vec<BTreeMap<String, String>> {
    let mut all = vec![];
    for area in AREAS {
        all.push(whole_table(by, area).await);
    }
    all
}

/// Nothing of the marks stands in a node's folder and database.
async fn is_clean(folder: &Path, db: &Db, marks: &[String]) {
    let everything = Everything::of(folder, db).await;
    for mark in marks {
        assert_eq!(everything.find(mark), Vec::<&str>::new(), "{mark}");
    }
}

/// Chain, records and sent pages hold.
async fn holds(db: &Db, node: &Node) {
    let key = node.keys().signing.verifying_key().to_bytes();
    let pages = Pages { db: db.clone(), node: "64".into(), key, way: Way::Sent };
    assert_eq!(pages.look("", 100_000).await.unwrap().fault, None);
    assert_eq!(Entries(db.clone()).look("", 100_000).await.unwrap().fault, None);
}

async fn feed(by: &Caller, history: bool) -> String {
    let asked = ReadEntriesRequest { history: Some(history), ..ReadEntriesRequest::default() };
    let mut entries = by.feed().read_entries(asked).await.unwrap().into_inner();
    let mut told = String::new();
    while let Some(part) = entries.message().await.unwrap() {
        for entry in part.entries {
            told += &String::from_utf8_lossy(&prost::Message::encode_to_vec(&entry));
        }
    }
    told
}

async fn restore(world: &World, from: &Path, name: &str, journal: Option<&Path>) -> (Restored, Db) {
    let (to, url) = (world.folder(name).join("64"), world.empty_database(name).await);
    let database = (world.database == Database::Postgres).then_some(url.as_str());
    let asked = Asked { directory: from, to: &to, database, identity: None, may_be_unsigned: false, erasures: journal };
    let restored = backup::restore(asked).await.unwrap();
    let loaded = Config::load(&restored.config).unwrap();
    let db = Db::open(&loaded.database_url().unwrap(), &loaded.directory, 2, 4).await.unwrap();
    (restored, db)
}

async fn a_person_is_erased_and_stays_counted(world: World) {
    let ningxia = world.node("64").await;
    let nation = world.node("00").await;
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let clauses = vec![
        share("workers", "full_name division sector since until", "64"),
        share("certificates", "worker level number issued_on division", "64"),
    ];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    let [_, _, workers, certificates] = fill(&ningxia.admin, NINGXIA, 1..6).await;
    let (person, other) = (&workers[0], &workers[1]);
    // Versions before the last say as much, and so do records that were deleted.
    let served = ningxia.admin.create(employment(1, person)).await.unwrap().noun;
    let left = Employment { name: served.name.clone(), until: Some("2024-01-31".into()), ..Employment::default() };
    ningxia.admin.update(left, &["until"]).await.unwrap();
    let second = Certificate { number: Some("2019-00000001-B".into()), ..certificate(1, person) };
    let second = ningxia.admin.under("by-mistake").create(second).await.unwrap().noun;
    settled(&ningxia.admin, &nation.admin, &id).await;
    ningxia.admin.delete::<Certificate>(second.name()).await.unwrap();
    let honour = Recognition {
        worker: Some(person.clone()),
        kind: Some(RecognitionKind::Award.into()),
        recognised_on: Some("2022-03-01".into()),
        ..Recognition::default()
    };
    ningxia.admin.create(honour).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    let before = tables(&ningxia.admin).await;
    let marks = marks(&ningxia, 1);
    let config = ningxia.folder.join("node.toml");
    let safe = world.folder("safe");
    backup::take(&config, &safe.join("before"), &[], &Clock::system()).await.unwrap();
    let db = ningxia.ledger.db();
    let everything = Everything::of(&ningxia.folder, db).await;
    for mark in marks.iter().filter(|mark| **mark != citizen(1)) {
        assert!(!everything.find(mark).is_empty(), "the scan sees what is there: {mark}");
    }

    let would = ErasePersonRequest { validate_only: Some(true), ..asked(person) };
    let would = erase(&ningxia.admin, would).await.unwrap();
    assert_eq!((would.records.len(), would.versions, would.pages, would.position), (5, Some(6), Some(3), None));
    assert!(!feed(&ningxia.admin, false).await.is_empty() && feed(&ningxia.admin, true).await.contains(&marks[0]));
    let once = ErasePersonRequest { request_id: Some("once".into()), ..asked(person) };
    let done = erase(&ningxia.admin, once.clone()).await.unwrap();
    assert_eq!(done.records, would.records);
    assert_eq!(erase(&ningxia.admin, once).await.unwrap(), done, "the first answer is given again");
    refused(erase(&ningxia.admin, asked(person)).await, Reason::NotFound, "name");

    is_clean(&ningxia.folder, db, &marks).await;
    assert!(!Everything::of(&ningxia.folder, db).await.find(&full_name(2)).is_empty(), "another's stays");
    assert_eq!(tables(&ningxia.admin).await, before);
    ningxia.counts_right().await;
    holds(db, &ningxia).await;
    assert_eq!(ningxia.admin.list_all::<Worker>(Default::default()).await.len(), 4);
    assert_eq!(ningxia.admin.list_all::<Certificate>(Default::default()).await.len(), 4);
    assert!(ningxia.admin.list_all::<Employment>(Default::default()).await.is_empty());
    refused(ningxia.admin.get::<Worker>(person).await, Reason::NotFound, "name");
    for history in [false, true] {
        let told = feed(&ningxia.admin, history).await;
        assert!(marks.iter().all(|mark| !told.contains(mark)), "the feed tells of who was erased");
    }
    // The number is free again.
    ningxia.admin.only_asking().create(worker(1)).await.unwrap();

    // The stream goes on and brings the end; what was erased is not sent again.
    ningxia.admin.create(agency(50)).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    for name in [person, &certificates[0]] {
        let stored = nation.ledger.find_one(&name.parse().unwrap()).await.unwrap().unwrap();
        assert!(matches!(&stored.content, Content::End(end) if end.reason == EndReason::Erased as i32), "{stored:?}");
    }
    assert!(nation.ledger.find_one(&other.parse().unwrap()).await.unwrap().unwrap().payload().is_some());
    holds(db, &ningxia).await;

    // A file that is exported, and a backup that is made now, are without the person; one from before is erased again.
    let desk = world.desk(&ningxia, Role::Administrator, "64").await;
    for kind in ["workers", "certificates"] {
        desk.export(kind, &format!("{kind}.csv")).await;
        let sheet = std::fs::read_to_string(desk.file(&format!("{kind}.csv"))).unwrap();
        assert!(sheet.lines().count() > 4 && marks.iter().all(|mark| !sheet.contains(mark)), "{sheet}");
    }
    let said = desk.run(&["erase", other, "--reason", REASON, "--clause", CLAUSE, "--check", "--json"]).await;
    assert_eq!((said.code, said.json()["records"].as_array().map(Vec::len)), (0, Some(2)), "{said:?}");
    backup::take(&config, &safe.join("after"), &[], &Clock::system()).await.unwrap();
    let kept = Everything::of(&safe.join("after"), db).await;
    assert!(marks.iter().all(|mark| kept.find(mark).is_empty()), "a backup made later holds who was erased");
    let journal = ningxia.folder.join("erasures.jsonl");
    let told = std::fs::read_to_string(&journal).unwrap();
    assert!(told.contains(person) && told.contains(CLAUSE) && marks.iter().all(|mark| !told.contains(mark)));

    let (restored, db) = restore(&world, &safe.join("before"), "without", None).await;
    assert_eq!(restored.erased, None);
    let folder = restored.config.parent().unwrap().to_owned();
    assert!(!Everything::of(&folder, &db).await.find(&marks[0]).is_empty(), "nobody named the journal");
    let (restored, db) = restore(&world, &safe.join("before"), "again", Some(&journal)).await;
    assert_eq!(restored.erased, Some((journal.clone(), 5)));
    let folder = restored.config.parent().unwrap().to_owned();
    is_clean(&folder, &db, &marks).await;
    assert_eq!(Entries(db).look("", 100_000).await.unwrap().fault, None);
    let own = Journal::at(folder.join("erasures.jsonl")).read().unwrap();
    assert_eq!(own, Journal::at(journal).read().unwrap(), "the restored node hands the journal on");
}

async fn what_was_proposed_of_a_person_is_erased_too(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let [one, other] = [1, 4].map(|n| Worker { division: Some("640122".into()), ..worker(n) });
    let one = admin.create(one).await.unwrap().noun.name.unwrap();
    let other = admin.create(other).await.unwrap().noun.name.unwrap();
    let editor = ningxia.caller(Role::Editor, "640104").await;
    let propose = async |n: u32, worker: &str| {
        let proposal = Proposal {
            to_area: Some("640122".into()),
            act: Some(ProposalAct::Create.into()),
            record: Some(proposal::Record::Certificate(certificate(n, worker))),
            reason: Some(format!("{}的证书", full_name(n))),
            ..Proposal::default()
        };
        let asked = CreateProposalRequest { proposal: Some(proposal), ..CreateProposalRequest::default() };
        editor.registry().create_proposal(asked).await.unwrap().into_inner().proposal.unwrap()
    };
    let [of_one, of_other] = [propose(1, &one).await, propose(4, &other).await];
    erase(admin, asked(&one)).await.unwrap();
    let read = async |name: &str| {
        let asked = GetProposalRequest { name: Some(name.to_owned()) };
        editor.registry().get_proposal(asked).await.unwrap().into_inner().proposal.unwrap()
    };
    let looked = async || (ningxia.ledger.cursor("registry.proposals.erased").await.unwrap() > 0).then_some(());
    eventually("the proposals looked at", looked).await;
    let cleared = read(of_one.name()).await;
    assert_eq!(cleared.record, None);
    assert_eq!((cleared.state(), &cleared.reason), (ProposalState::Withdrawn, &None));
    assert_eq!(read(of_other.name()).await, of_other, "of others all stands");
    is_clean(&ningxia.folder, ningxia.ledger.db(), &marks(&ningxia, 1)).await;
}

async fn erasure_stays_in_the_callers_area(world: World) {
    let ningxia = world.node("64").await;
    let [here, there] = ["640104", "640122"];
    let of = |county: &str| Worker { division: Some(county.to_owned()), ..worker(1) };
    let own = ningxia.admin.create(of(here)).await.unwrap().noun;
    let theirs = ningxia.admin.create(of(there)).await.unwrap().noun;
    let double = Worker { id_number: Some(citizen(2)), ..of(here) };
    let double = ningxia.admin.create(double).await.unwrap().noun;
    let one = Merge { worker: double.name.clone(), surviving_worker: own.name.clone(), ..Merge::default() };
    ningxia.admin.create(one).await.unwrap();
    for (n, name) in [(1, own.name()), (2, theirs.name()), (3, double.name())] {
        ningxia.admin.create(certificate(n, name)).await.unwrap();
    }
    let before = tables(&ningxia.admin).await;
    let county = ningxia.caller(Role::Administrator, here).await;
    let neighbour = ningxia.caller(Role::Administrator, there).await;

    // A record of another area is answered like one that does not exist.
    let missing = "nodes/64/workers/missing";
    let told = |answer: Result<ErasePersonResponse, Status>, name: &str| {
        refused(answer.clone(), Reason::NotFound, "name");
        answer.unwrap_err().message().replace(name, "")
    };
    for validate_only in [Some(true), None] {
        let asked = |name: &str| ErasePersonRequest { validate_only, ..asked(name) };
        let outside = told(erase(&neighbour, asked(own.name())).await, own.name());
        assert_eq!(outside, told(erase(&neighbour, asked(missing)).await, missing));
        for role in [Role::Auditor, Role::Reader, Role::Editor] {
            let lesser = ningxia.caller(role, "64").await;
            refused(erase(&lesser, asked(own.name())).await, Reason::Forbidden, "");
        }
    }
    let wrong = |reason: &str, clause: &str| ErasePersonRequest {
        reason: Some(reason.to_owned()),
        clause: Some(clause.to_owned()),
        ..asked(own.name())
    };
    refused(erase(&county, wrong("", CLAUSE)).await, Reason::Required, "reason");
    refused(erase(&county, wrong(REASON, " ")).await, Reason::Required, "clause");
    refused(erase(&county, wrong(&citizen(1), CLAUSE)).await, Reason::Malformed, "reason");
    refused(erase(&county, wrong(&format!("{}申请", full_name(1)), CLAUSE)).await, Reason::Malformed, "reason");
    refused(erase(&county, asked("nodes/35/workers/1")).await, Reason::NotHome, "name");
    refused(erase(&county, asked("nodes/64/agencies/1")).await, Reason::NotInList, "name");
    refused(erase(&county, asked("workers/1")).await, Reason::Malformed, "name");
    assert_eq!(tables(&ningxia.admin).await, before);

    // The county erases what is its own of the person; the other's record stays, and joins what is left.
    let done = erase(&county, asked(own.name())).await.unwrap();
    assert!(done.records.iter().all(|name| name != double.name()), "another number, whatever a merge says: {done:?}");
    assert!(done.records.iter().all(|name| name != theirs.name()), "{done:?}");
    assert_eq!(done.records.len(), 3, "{done:?}");
    refused(erase(&county, asked(theirs.name())).await, Reason::NotFound, "name");
    assert_eq!(ningxia.admin.get::<Worker>(theirs.name()).await.unwrap().full_name, Some(full_name(1)));
    assert_eq!(tables(&ningxia.admin).await, before, "once above both, as before");
    ningxia.counts_right().await;
    let changed = Worker { name: theirs.name.clone(), until: Some("2030-01-01".into()), ..Worker::default() };
    neighbour.update(changed, &["until"]).await.unwrap();
    ningxia.counts_right().await;
    let before = tables(&ningxia.admin).await;

    for name in [theirs.name(), double.name()] {
        erase(&ningxia.admin, asked(name)).await.unwrap();
        assert_eq!(tables(&ningxia.admin).await, before);
    }
    ningxia.counts_right().await;
    let marks = [marks(&ningxia, 1), marks(&ningxia, 2), marks(&ningxia, 3)].concat();
    is_clean(&ningxia.folder, ningxia.ledger.db(), &marks).await;
    holds(ningxia.ledger.db(), &ningxia).await;
}

async fn who_was_merged_stays(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let [_, _, workers, certificates] = fill(admin, NINGXIA, 1..3).await;
    let [one, other] = [&workers[0], &workers[1]];
    let merged = Merge { worker: Some(other.clone()), surviving_worker: Some(one.clone()), ..Merge::default() };
    let merged = admin.create(merged).await.unwrap().noun;
    let before = tables(admin).await;

    let done = erase(admin, asked(one)).await.unwrap();
    assert_eq!(done.records.len(), 3, "the worker, the certificate, the merge: {done:?}");
    refused(admin.get::<Merge>(merged.name()).await, Reason::NotFound, "name");
    assert_eq!(admin.get::<Worker>(other).await.unwrap().full_name, Some(full_name(2)));
    admin.get::<Certificate>(&certificates[1]).await.unwrap();
    assert_eq!(tables(admin).await, before, "what is left still counts as one with who stays");
    ningxia.counts_right().await;
    is_clean(&ningxia.folder, ningxia.ledger.db(), &marks(&ningxia, 1)).await;

    erase(admin, asked(other)).await.unwrap();
    assert_eq!(tables(admin).await, before, "and so when that one is erased, too");
    ningxia.counts_right().await;
    is_clean(&ningxia.folder, ningxia.ledger.db(), &marks(&ningxia, 2)).await;
    holds(ningxia.ledger.db(), &ningxia).await;
}

async fn a_request_that_made_who_was_erased_makes_nobody_again(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let (alone, together) = (admin.under("alone"), admin.under("together"));
    let one = alone.create(worker(1)).await.unwrap().noun;
    let made = together.put(vec![worker(2)]).await.unwrap();
    for name in [one.name(), made[0].name()] {
        erase(admin, asked(name)).await.unwrap();
    }
    refused(alone.create(worker(1)).await, Reason::RequestIdReused, "request_id");
    refused(alone.create(worker(3)).await, Reason::RequestIdReused, "request_id");
    let again = together.put(vec![worker(2)]).await.unwrap();
    refused_in_batch(&again[0], Reason::RequestIdReused, "request_id");
    assert_eq!(again[0].name, None);
    assert!(admin.list_all::<Worker>(Default::default()).await.is_empty());
    admin.under("anew").create(worker(1)).await.unwrap();
}

async fn an_interrupted_erasure_is_finished(world: World) {
    let ningxia = world.node("64").await;
    let [_, _, workers, certificates] = fill(&ningxia.admin, NINGXIA, 1..4).await;
    let before = tables(&ningxia.admin).await;
    let (config, folder) = (ningxia.folder.join("node.toml"), ningxia.folder.clone());
    let safe = world.folder("safe").join("backup");
    backup::take(&config, &safe, &[], &Clock::system()).await.unwrap();
    let journal = Journal::at(folder.join("erasures.jsonl"));
    let (first, second) = (marks(&ningxia, 1), marks(&ningxia, 2));
    // It was refused: nothing is erased by it, ever.
    refused(erase(&ningxia.admin, asked("nodes/64/workers/missing")).await, Reason::NotFound, "name");
    let resting = ningxia.rest().await;
    // The process was killed between the journal and the commit.
    let begun = |i: usize| Begun {
        id: format!("begun {i}"),
        erase: vec![certificates[i].clone(), workers[i].clone()],
        at_ms: 1,
        by: "tokens/1".into(),
        reason: REASON.into(),
        clause: CLAUSE.into(),
    };
    journal.begin(&begun(0)).unwrap();
    let ningxia = resting.open().await;
    is_clean(&folder, ningxia.ledger.db(), &first).await;
    assert_eq!(tables(&ningxia.admin).await, before);
    ningxia.counts_right().await;
    assert_eq!(journal.read().unwrap(), [(begun(0), true)], "its outcome is known now");
    journal.begin(&begun(1)).unwrap();
    drop(ningxia.rest().await);

    let (restored, db) = restore(&world, &safe, "again", Some(journal.file())).await;
    assert_eq!(restored.erased.map(|(_, records)| records), Some(4), "also what had no outcome");
    is_clean(restored.config.parent().unwrap(), &db, &[first, second].concat()).await;
    let nothing = world.folder("nothing").join("none.jsonl");
    let (to, url) = (world.folder("refused").join("64"), world.empty_database("refused").await);
    let database = (world.database == Database::Postgres).then_some(url.as_str());
    let asked =
        Asked { directory: &safe, to: &to, database, identity: None, may_be_unsigned: false, erasures: Some(&nothing) };
    let error = backup::restore(asked).await.err().unwrap();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.0[0].field == "--erasures"), "{error}");
    assert!(!to.exists(), "nothing was laid down");
}
