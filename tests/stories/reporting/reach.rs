//! Everything reaches the nation through agreements with lists of fields; names and numbers do not, unless they are listed.

use std::collections::BTreeMap;

use qianshou::node::kinds;
use qianshou_kernel::{
    kind::{Kind, descriptors},
    wire,
};
use qianshou_proto::{
    exchange::v1 as exchange,
    ledger::v1::{ReadEntriesRequest, entry::Content},
    registry::v1::{Employment, Post, Station, StationType, System, Worker},
};
use qianshou_tests::{
    Caller, World,
    process::Process,
    sample::{
        agency, assessment, campaign, category, certificate, citizen, document, employment, figure, full_name,
        incubation, merge, moving, post, quota, recognition, station, system, tag, task, template, uscc, worker,
    },
    scan::Everything,
    stories,
    treaty::{agree, introduce, settled, share, terms},
    verbs::Noun,
};

use super::{figures, period};

stories! {
    everything_reaches_the_nation_without_names
}

/// What people, units and papers are called and numbered by.
const NAMES: [&str; 8] = ["full_name", "id_number", "person", "display_name", "aliases", "number", "uscc", "title"];

async fn named<N: Noun>(by: &Caller, noun: N) -> String {
    by.create(noun).await.unwrap().noun.name_mut().clone().unwrap()
}

/// A record of each kind that a province keeps in its register.
async fn fill(by: &Caller) {
    let base = Station { r#type: Some(StationType::CityBase.into()), division: Some("6401".into()), ..station(9) };
    let [here, base] = [named(by, station(1)).await, named(by, base).await];
    let [first, second] = [named(by, agency(1)).await, named(by, agency(2)).await];
    let who = named(by, Worker { assignment: None, ..worker(1) }).await;
    let standard = named(by, template(1)).await;
    named(by, certificate(1, &who)).await;
    named(by, Post { employer: Some(first.clone()), ..post(1) }).await;
    named(by, Employment { station: Some(here.clone()), ..employment(1, &who) }).await;
    named(by, System { until: None, ..system(1) }).await;
    named(by, incubation(1, &base, &first)).await;
    named(by, assessment(1, &here, &standard)).await;
    named(by, recognition(1, &here)).await;
    named(by, document(1)).await;
    named(by, moving(&first)).await;
    named(by, merge(&second, &first)).await;
    named(by, task(1)).await;
    named(by, campaign(1)).await;
    named(by, figure(1)).await;
    named(by, category(1)).await;
    named(by, quota(1)).await;
    named(by, tag(1)).await;
}

/// The kinds of the register that a province is home to.
fn of_the_register() -> Vec<Kind> {
    let ours = |kind: &Kind| kind.home.is_none() && kind.message.starts_with("qianshou.registry.");
    kinds().into_iter().filter(ours).collect()
}

/// The fields of a kind that are no names.
fn shared(kind: &Kind) -> BTreeMap<u32, String> {
    let message = descriptors().get_message_by_name(kind.message).unwrap();
    let fields = message.fields().filter(|field| field.number() > 2 && !NAMES.contains(&field.name()));
    fields.map(|field| (field.number(), field.name().to_owned())).collect()
}

/// What records of a node say, by their names: the numbers of their fields with the bytes that stand in them.
async fn said(at: &Caller, home: &str) -> BTreeMap<String, Vec<(u32, String)>> {
    let mut answers = at.feed().read_entries(ReadEntriesRequest::default()).await.unwrap().into_inner();
    let mut all = BTreeMap::new();
    while let Some(answer) = answers.message().await.unwrap() {
        for entry in answer.entries.into_iter().filter(|entry| entry.home() == home) {
            let name = entry.name().to_owned();
            if let Some(Content::Put(payload)) = entry.content {
                let fields = wire::fields(&payload).map(|field| field.map(|f| (f.number, format!("{:?}", f.wire))));
                all.insert(name, fields.collect::<Result<_, _>>().unwrap());
            }
        }
    }
    all
}

async fn everything(node: &Process) -> Everything {
    Everything::of(&node.folder, &node.db().await).await
}

async fn everything_reaches_the_nation_without_names(world: World) {
    let talkative = [("QIANSHOU__LOG__FILTER", "debug")];
    let [ningxia, nation] = [world.process("64", &talkative).await, world.process("00", &talkative).await];
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let clause = |kind: &Kind| {
        let fields: Vec<String> = shared(kind).into_values().collect();
        let pseudonym = kind.person.map(|_| true);
        exchange::KindClause { pseudonym, ..share(kind.collection, &fields.join(" "), "64") }
    };
    let clauses = of_the_register().iter().map(clause).collect();
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    fill(&ningxia.admin).await;
    let sent = settled(&ningxia.admin, &nation.admin, &id).await;
    assert_eq!((sent.applied(), sent.quarantined()), (sent.entries(), 0));

    let (home, away) = (said(&ningxia.admin, "64").await, said(&nation.admin, "64").await);
    assert_eq!(away.keys().collect::<Vec<_>>(), home.keys().collect::<Vec<_>>(), "each arrived");
    for kind in of_the_register() {
        let of_kind = |name: &str| name.split('/').nth(2) == Some(kind.collection);
        let fields = shared(&kind);
        let records: Vec<&String> = home.keys().filter(|name| of_kind(name)).collect();
        assert!(!records.is_empty(), "no record of {}", kind.collection);
        for name in records {
            let expected: Vec<_> = home[name].iter().filter(|(number, _)| fields.contains_key(number)).collect();
            let told = away[name].iter().filter(|(number, _)| kind.person != Some(*number)).collect::<Vec<_>>();
            assert_eq!(told, expected, "exactly what was listed of {name}");
            assert_eq!(away[name].iter().any(|(number, _)| kind.person == Some(*number)), kind.person.is_some());
        }
    }
    for (indicator, expected) in [
        ("agency_total", "1"),
        ("station_total", "2"),
        ("talent_total", "1"),
        ("certified_total[INTERMEDIATE]", "1"),
        ("post_total", "2"),
        ("station_professional", "1"),
        ("incubation_total[stage=ENTERED]", "1"),
        ("station_assessed[passed=TRUE]", "1"),
        ("station_assessed[template=社工站建设规范1 2023]", "1"),
        ("recognition_total[batch=第一批]", "1"),
        ("station_demonstration[省级]", "1"),
        ("document_total[kind=POLICY]", "1"),
        ("task_open", "1"),
        ("tag_total[label=KEY_COUNTY]", "1"),
        ("quota_total[basis=SECTOR]", "1"),
        ("campaign_figure[measure=VISITS]", "1"),
    ] {
        for at in [&ningxia.admin, &nation.admin] {
            assert_eq!(figures(at, "64", "2023-12-31", &[indicator]).await, [expected], "{indicator}");
        }
    }
    for at in [&ningxia.admin, &nation.admin] {
        let flows = [("task_total", "2021"), ("task_done", "2021"), ("certified_new", "2019")];
        let mut told = vec![];
        for (indicator, year) in flows {
            told.extend(period(at, "64", year, indicator).await);
        }
        assert_eq!(told, [1, 0, 1]);
    }
    let (at_home, abroad) = (everything(&ningxia).await, everything(&nation).await);
    for secret in [citizen(1), full_name(1), uscc(1), "2019-00000001".to_owned(), "掌政镇社工站1".to_owned()] {
        assert_eq!(abroad.find(&secret), [""; 0], "{secret} at the nation");
    }
    assert_eq!(at_home.find(&citizen(1)), [""; 0]);
    assert!(!at_home.find(&full_name(1)).is_empty() && !abroad.find("社工站建设规范1 2023").is_empty());
}
