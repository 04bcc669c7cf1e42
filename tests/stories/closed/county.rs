//! No area changes another area's figures alone: a number is a key within a county, what touches another county's record is refused, and
//! whatever one county does, the other's table stands.

use std::collections::BTreeMap;

use prost_types::FieldMask;
use qianshou_kernel::{error::Reason, identity::Role, kind::ListQuery};
use qianshou_proto::{
    common::v1::{PutOutcome, PutState},
    pairing::v1::{Dispatch, Outcome},
    registry::v1::{
        Agency, Assessment, Certificate, CreateProposalRequest, DecideProposalRequest, Employment, Merge, Move, Post,
        Proposal, ProposalAct, ProposalDecision, Recognition, Station, Template, Worker, proposal::Record,
    },
    reporting::v1::{Cell, ListIndicatorsRequest, ReadTableRequest},
};
use qianshou_tests::{
    Caller, Node, World,
    halves::{dispatch, outcome},
    refusal::{refused, refused_in_batch},
    sample::{agency, assessment, certificate, citizen, employment, post, recognition, station, template, worker},
    stories,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::reporting::figures;

stories! {
    two_counties_register_one_person
    what_touches_another_county_is_refused
    a_clerk_imports_within_the_county
    no_call_of_one_county_moves_the_others_table
    what_counts_in_another_county_is_written_above
}

/// Two counties of one city.
pub(super) const HERE: &str = "640104";
pub(super) const THERE: &str = "640122";
const DAY: &str = "2024-05-31";

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) async fn editors(node: &Node) -> [Caller; 3] {
    let editor = async |area: &str| node.caller(Role::Editor, area).await;
    [editor(HERE).await, editor(THERE).await, editor("6401").await]
}

/// Somebody as a county registers them.
pub(super) fn registered(n: u32, county: &str) -> Worker {
    Worker { division: text(county), ..worker(n) }
}

fn names(status: &tonic::Status, of: &[&str]) -> bool {
    of.iter().all(|name| status.message().contains(name))
}

async fn two_counties_register_one_person(world: World) {
    let ningxia = world.node("64").await;
    let [here, there, city] = editors(&ningxia).await;
    let one = here.create(registered(1, HERE)).await.unwrap().noun;
    let other = there.create(registered(1, THERE)).await.unwrap().noun;
    assert_ne!(one.name, other.name);
    // A township of the county is the county's; there the number is known.
    refused(here.create(registered(1, "640104100")).await, Reason::Duplicate, "id_number");
    let put = there.put(vec![registered(1, THERE)]).await.unwrap();
    assert_eq!((put[0].state(), put[0].name.as_deref()), (PutState::Unchanged, other.name.as_deref()));

    // Each finds its own by the number; who sees both has to say which.
    let by_number = |n: u32| Certificate { worker: Some(format!("workers/{}", citizen(1))), ..certificate(n, "") };
    let of_one = here.create(by_number(1)).await.unwrap().noun;
    assert_eq!((of_one.worker.clone(), of_one.division()), (one.name.clone(), HERE));
    let of_other = there.create(by_number(1)).await.unwrap().noun;
    assert_eq!((of_other.worker.clone(), of_other.division()), (other.name.clone(), THERE));
    let unclear = city.create(by_number(2)).await;
    assert!(names(unclear.as_ref().unwrap_err(), &[one.name(), other.name(), "division"]), "{unclear:?}");
    refused(unclear, Reason::Duplicate, "worker");
    let decided = city.create(Certificate { division: text(THERE), ..by_number(2) }).await.unwrap().noun;
    assert_eq!(decided.worker, other.name);
    city.delete::<Certificate>(decided.name()).await.unwrap();
    // Within one county a certificate is still one.
    let second = here.create(registered(2, HERE)).await.unwrap().noun;
    refused(here.create(certificate(1, second.name())).await, Reason::Duplicate, "number");
    here.delete::<Worker>(second.name()).await.unwrap();

    // Each counts her, and the city once; it says so.
    let asked = ["talent_total", "certified_total"];
    for area in [HERE, THERE, "6401", "64", "00"] {
        assert_eq!(figures(&ningxia.admin, area, DAY, &asked).await, ["1", "1"], "{area}");
    }
    let cells = table(&ningxia.admin, "6401", &asked.map(str::to_owned)).await;
    for cell in &cells {
        assert_eq!(cell.in_several_counties, Some(1), "{cell:?}");
        assert!(cell.note().contains("其中1人") && cell.note().contains("1 of them"), "{cell:?}");
    }
    assert!(
        table(&ningxia.admin, HERE, &asked.map(str::to_owned)).await.iter().all(|c| c.in_several_counties.is_none())
    );

    // One of them moves to a third county; there the number is free for her, where she was it is again.
    let moved = Worker { name: other.name.clone(), division: text("640106"), ..Worker::default() };
    city.update(moved, &["division"]).await.unwrap();
    let back = there.create(registered(1, THERE)).await.unwrap().noun;
    let again = Worker { name: other.name.clone(), division: text(THERE), ..Worker::default() };
    refused(city.update(again, &["division"]).await, Reason::Duplicate, "id_number");
    assert_eq!(figures(&ningxia.admin, "6401", DAY, &["talent_total"]).await, ["1"]);
    there.delete::<Worker>(back.name()).await.unwrap();
    ningxia.counts_right().await;
}

async fn what_touches_another_county_is_refused(world: World) {
    let ningxia = world.node("64").await;
    let [here, there, city] = editors(&ningxia).await;
    let theirs = there.create(registered(1, THERE)).await.unwrap().noun;
    let station_there = there.create(Station { division: text("640122100"), ..station(1) }).await.unwrap().noun;
    let agency_there = there.create(Agency { division: text(THERE), ..agency(1) }).await.unwrap().noun;
    let own = here.create(registered(2, HERE)).await.unwrap().noun;
    let before = whole_table(&ningxia.admin, THERE).await;

    let forged = Certificate { division: text(HERE), ..certificate(1, theirs.name()) };
    refused(here.create(forged).await, Reason::AreaForbidden, "worker");
    let served = Employment { division: text(HERE), ..employment(1, theirs.name()) };
    refused(here.create(served.clone()).await, Reason::AreaForbidden, "worker");
    let number = format!("workers/{}", citizen(1));
    refused(
        here.create(Employment { worker: Some(number), ..served.clone() }).await,
        Reason::ReferenceNotFound,
        "worker",
    );
    let at_their_station = Worker { name: own.name.clone(), station: station_there.name.clone(), ..Worker::default() };
    refused(here.update(at_their_station, &["station"]).await, Reason::AreaForbidden, "station");
    let merged = Merge { worker: theirs.name.clone(), surviving_worker: own.name.clone(), ..Merge::default() };
    refused(here.create(merged).await, Reason::AreaForbidden, "worker");
    let moving = Move { worker: theirs.name.clone(), to: text("35"), on: text("2024-01-01"), ..Move::default() };
    refused(here.create(moving).await, Reason::AreaForbidden, "worker");
    let praised = Recognition { division: text(HERE), ..recognition(1, station_there.name()) };
    refused(here.create(praised).await, Reason::AreaForbidden, "station");
    assert_eq!(whole_table(&ningxia.admin, THERE).await, before);

    // The city holds both; what it did is not taken back by one county either.
    let served = city.create(served).await.unwrap().noun;
    let later = Employment { name: served.name.clone(), until: text("2021-01-01"), ..Employment::default() };
    refused(here.update(later, &["until"]).await, Reason::AreaForbidden, "worker");
    refused(here.delete::<Employment>(served.name()).await, Reason::AreaForbidden, "worker");
    city.delete::<Employment>(served.name()).await.unwrap();
    assert_eq!(whole_table(&ningxia.admin, THERE).await, before);

    // What still refers is named to whom it belongs, and counted to others.
    let employed = Worker { name: own.name.clone(), employer: agency_there.name.clone(), ..Worker::default() };
    here.update(employed, &["employer"]).await.unwrap();
    let there_says = there.delete::<Agency>(agency_there.name()).await;
    assert!(!names(there_says.as_ref().unwrap_err(), &[own.name()]), "{there_says:?}");
    assert!(names(there_says.as_ref().unwrap_err(), &["workers: 1"]), "{there_says:?}");
    refused(there_says, Reason::StillReferenced, "name");
    let city_says = city.delete::<Agency>(agency_there.name()).await;
    assert!(names(city_says.as_ref().unwrap_err(), &[own.name()]), "{city_says:?}");
    ningxia.counts_right().await;
}

async fn a_clerk_imports_within_the_county(world: World) {
    let ningxia = world.node("64").await;
    ningxia.admin.put(vec![registered(1, HERE), registered(1, THERE), registered(2, THERE)]).await.unwrap();
    let desk = world.desk(&ningxia, Role::Editor, HERE).await;
    let row = |n: u32| vec![citizen(n), "社会工作师".to_owned(), format!("2019-{n:08}"), "2019-09-10".to_owned()];
    let rows = [row(1), row(2)];
    let head = vec!["证件号码", "证书级别", "证书编号", "发证日期"];
    let rows: Vec<Vec<&str>> =
        [head].into_iter().chain(rows.iter().map(|row| row.iter().map(String::as_str).collect())).collect();
    desk.workbook("certificates.xlsx", &rows);
    assert_eq!(desk.import("certificates", "certificates.xlsx", &[]).await.figures(), [1, 0, 0, 1], "one is not here");
    assert_eq!(desk.import("certificates", "certificates.xlsx", &[]).await.figures(), [0, 0, 1, 1]);
    let there = world.desk(&ningxia, Role::Editor, THERE).await;
    there.workbook("certificates.xlsx", &rows);
    assert_eq!(there.import("certificates", "certificates.xlsx", &[]).await.figures(), [2, 0, 0, 0]);
    for (area, expected) in [(HERE, "1"), (THERE, "2"), ("6401", "2")] {
        assert_eq!(figures(&ningxia.admin, area, DAY, &["certified_total"]).await, [expected], "{area}");
    }
    // At the city the row does not say which county's record is meant.
    let city = ningxia.caller(Role::Editor, "6401").await;
    let unclear = Certificate { worker: Some(format!("workers/{}", citizen(1))), ..certificate(7, "") };
    let told: Vec<PutOutcome> = city.put(vec![unclear]).await.unwrap();
    refused_in_batch(&told[0], Reason::Duplicate, "worker");
    ningxia.counts_right().await;
}

/// A dispatch counts at its host, an outcome where the receiving agency is: one county does not write these for another, nor take them back.
async fn what_counts_in_another_county_is_written_above(world: World) {
    let ningxia = world.node("64").await;
    let [here, there, city] = editors(&ningxia).await;
    let count = async |area: &str| {
        figures(&ningxia.admin, area, "2023-12-31", &["dispatch_persons", "dispatch_projects", "pairing_trained"])
            .await
            .join(" ")
    };
    let own = here.create(Agency { division: text(HERE), ..agency(1) }).await.unwrap().noun;
    let built = |at: &str| Outcome { receiving_uscc: own.uscc.clone(), receiving_division: text(at), ..outcome(1, 1) };
    let sent = |at: &str| Dispatch { division: text(HERE), host_division: text(at), ..dispatch(1) };
    let before = count(THERE).await;
    refused(here.create(built(THERE)).await, Reason::AreaForbidden, "receiving_division");
    refused(here.create(sent(THERE)).await, Reason::AreaForbidden, "host_division");
    refused_in_batch(&here.put(vec![sent(THERE)]).await.unwrap()[0], Reason::AreaForbidden, "host_division");
    assert_eq!(count(THERE).await, before);
    // Within the county, to another province, and by the area above.
    here.create(built(HERE)).await.unwrap();
    here.create(Dispatch { division: text(HERE), host_division: text("350203"), ..dispatch(2) }).await.unwrap();
    let above = city.create(sent(THERE)).await.unwrap().noun;
    let counted = count(THERE).await;
    assert_ne!(counted, before);
    // Its own half as it is, it neither takes back nor brings home.
    let home = Dispatch { name: above.name.clone(), host_division: text(HERE), ..Dispatch::default() };
    refused(here.update(home, &["host_division"]).await, Reason::AreaForbidden, "host_division");
    refused(here.delete::<Dispatch>(above.name()).await, Reason::AreaForbidden, "host_division");
    refused(there.delete::<Dispatch>(above.name()).await, Reason::AreaForbidden, "name");
    assert_eq!(count(THERE).await, counted);
    city.delete::<Dispatch>(above.name()).await.unwrap();
    assert_eq!(count(THERE).await, before);
    ningxia.counts_right().await;
}

/// Random calls of one county, names and numbers of the other's records among them.
async fn no_call_of_one_county_moves_the_others_table(world: World) {
    let ningxia = world.node("64").await;
    let [here, there, _] = editors(&ningxia).await;
    ningxia.admin.create(template(1)).await.unwrap();
    fill(&there, THERE, 1..7).await;
    fill(&here, HERE, 4..10).await;
    let before = whole_table(&ningxia.admin, THERE).await;
    assert!(before.values().filter(|figure| !["-", "Count(0)"].contains(&figure.as_str())).count() > 8, "{before:?}");
    let mut all = Names::default();
    all.add(&ningxia.admin).await;
    let mut done = 0;
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        for step in 0..60 {
            done += u32::from(call(&here, &mut all, &mut random).await);
            if step % 20 == 19 {
                assert_eq!(whole_table(&ningxia.admin, THERE).await, before, "seed {seed}, step {step}");
            }
        }
    }
    assert!(done > 40, "only {done} calls did anything");
    ningxia.counts_right().await;
}

/// A county's records, some of people whom the other knows, too.
async fn fill(by: &Caller, county: &str, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let who = by.create(registered(n, county)).await.unwrap().noun;
        by.create(certificate(n, who.name())).await.unwrap();
        by.create(employment(n, who.name())).await.unwrap();
        let far = if county == HERE { 0 } else { 1_000 };
        let there = by.create(Agency { division: text(county), ..agency(n + far) }).await.unwrap().noun;
        let at = by.create(Station { division: Some(format!("{county}100")), ..station(n) }).await.unwrap().noun;
        by.create(recognition(n, at.name())).await.unwrap();
        by.create(Post { division: text(county), employer: there.name, ..post(n) }).await.unwrap();
    }
}

/// Names of records by their kinds.
#[derive(Default)]
struct Names(BTreeMap<&'static str, Vec<String>>);

impl Names {
    async fn add(&mut self, by: &Caller) {
        macro_rules! of {
            ($($Noun:ident)+) => {$(
                let listed = by.list_all::<$Noun>(ListQuery::default()).await;
                let names = listed.into_iter().filter_map(|noun| noun.name);
                self.0.entry(stringify!($Noun)).or_default().extend(names);
            )+};
        }
        of!(Worker Certificate Employment Agency Station Recognition Post Template);
    }

    fn any(&self, kind: &str, random: &mut StdRng) -> String {
        let names = &self.0[kind];
        names[random.random_range(0..names.len())].clone()
    }
}

/// One random call; answers whether it was done.
async fn call(by: &Caller, names: &mut Names, random: &mut StdRng) -> bool {
    let n: u32 = random.random_range(1..14);
    let [worker_name, other] = [names.any("Worker", random), names.any("Worker", random)];
    let number = format!("workers/{}", citizen(n));
    let who = if random.random_bool(0.3) { number } else { worker_name.clone() };
    let place = names.any("Station", random);
    let county = [HERE, THERE, "640104100"][random.random_range(0..3)];
    let until = text(["2020-01-01", "2023-01-01"][random.random_range(0..2)]);
    macro_rules! create {
        ($Noun:ident $noun:expr) => {{
            let saved = by.create::<$Noun>($noun).await;
            let name = saved.as_ref().ok().and_then(|saved| saved.noun.name.clone());
            names.0.entry(stringify!($Noun)).or_default().extend(name);
            saved.is_ok()
        }};
    }
    match random.random_range(0..20) {
        18 | 19 => propose(by, names, random, [&who, &worker_name, &place], [county, THERE]).await,
        0 => create!(Worker registered(n, county)),
        1 => create!(Worker Worker { station: Some(place), ..registered(n, county) }),
        2 => create!(Certificate Certificate { division: text(county), ..certificate(n + 20, &who) }),
        3 => create!(Certificate certificate(n, &who)),
        4 => create!(Employment Employment { division: text(county), ..employment(n, &who) }),
        5 => create!(Employment Employment { station: Some(place), ..employment(n + 40, &who) }),
        6 => by.create(Merge { worker: Some(who), surviving_worker: Some(other), ..Merge::default() }).await.is_ok(),
        7 => by.create(Move { worker: Some(who), to: text("35"), on: until, ..Move::default() }).await.is_ok(),
        8 => create!(Recognition recognition(n + 60, &place)),
        9 => by.create(assessment(n, &place, &names.any("Template", random))).await.is_ok(),
        10 => {
            by.put::<Worker>(vec![Worker { until, ..registered(n, county) }]).await.unwrap()[0].state()
                != PutState::Refused
        }
        11 => {
            by.put::<Assessment>(vec![assessment(n, &place, &names.any("Template", random))]).await.unwrap()[0].state()
                != PutState::Refused
        }
        12 => by.update(Worker { name: Some(worker_name), until, ..Worker::default() }, &["until"]).await.is_ok(),
        13 => by
            .update(Worker { name: Some(worker_name), division: text(county), ..Worker::default() }, &["division"])
            .await
            .is_ok(),
        14 => {
            let name = names.any("Certificate", random);
            by.update(Certificate { name: Some(name), worker: Some(who), ..Certificate::default() }, &["worker"])
                .await
                .is_ok()
        }
        15 => {
            let name = names.any("Employment", random);
            by.update(Employment { name: Some(name), until, ..Employment::default() }, &["until"]).await.is_ok()
        }
        16 => by.delete::<Certificate>(&names.any("Certificate", random)).await.is_ok(),
        _ => match random.random_range(0..5) {
            0 => by.delete::<Worker>(&worker_name).await.is_ok(),
            1 => by.delete::<Employment>(&names.any("Employment", random)).await.is_ok(),
            2 => by.delete::<Station>(&place).await.is_ok(),
            3 => by.delete::<Agency>(&names.any("Agency", random)).await.is_ok(),
            _ => by.delete::<Recognition>(&names.any("Recognition", random)).await.is_ok(),
        },
    }
}

/// Proposes something to the other county, or decides what was proposed, as far as one side may.
async fn propose(
    by: &Caller,
    names: &Names,
    random: &mut StdRng,
    [who, worker, place]: [&str; 3],
    [county, to]: [&str; 2],
) -> bool {
    let n: u32 = random.random_range(1..14);
    let paths = |paths: &[&str]| Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let (act, record, update_mask) = match random.random_range(0..6) {
        0 => {
            (ProposalAct::Create, Record::Employment(Employment { division: text(county), ..employment(n, who) }), None)
        }
        1 => (ProposalAct::Create, Record::Certificate(certificate(n + 80, who)), None),
        2 => {
            let merge = Merge { worker: text(who), surviving_worker: text(worker), ..Merge::default() };
            (ProposalAct::Create, Record::Merge(merge), None)
        }
        3 => {
            let changed =
                Worker { name: text(worker), station: text(place), division: text(county), ..Worker::default() };
            (ProposalAct::Update, Record::Worker(changed), paths(&["station", "division"]))
        }
        4 => {
            let ended = Employment { name: Some(names.any("Employment", random)), ..Employment::default() };
            (ProposalAct::Delete, Record::Employment(ended), None)
        }
        _ => (ProposalAct::Create, Record::Recognition(recognition(n + 90, place)), None),
    };
    let proposal =
        Proposal { to_area: text(to), act: Some(act.into()), record: Some(record), update_mask, ..Proposal::default() };
    let asked = CreateProposalRequest { proposal: Some(proposal), ..CreateProposalRequest::default() };
    let Ok(made) = by.registry().create_proposal(asked).await else { return false };
    let decision =
        [ProposalDecision::Accept, ProposalDecision::Refuse, ProposalDecision::Withdraw][random.random_range(0..3)];
    let decide = DecideProposalRequest {
        name: made.into_inner().proposal.unwrap().name,
        decision: Some(decision.into()),
        reason: text("随机"),
    };
    let decided = by.registry().decide_proposal(decide).await;
    assert!(decided.is_err() || decision == ProposalDecision::Withdraw, "one side decided for the other: {decided:?}");
    true
}

async fn table(at: &Caller, area: &str, indicators: &[String]) -> Vec<Cell> {
    let asked = ReadTableRequest {
        indicators: indicators.to_vec(),
        area: text(area),
        at: text(DAY),
        ..ReadTableRequest::default()
    };
    let look = async || {
        let cells = at.reporting().read_table(asked.clone()).await.unwrap().into_inner().cells;
        let whole = cells.iter().all(|cell| cell.status() != qianshou_proto::reporting::v1::CellStatus::Provisional);
        Some(cells).filter(|_| whole)
    };
    qianshou_tests::eventually("a table with everything counted", look).await
}

/// Every figure of an area.
pub(super) async fn whole_table(at: &Caller, area: &str) -> BTreeMap<String, String> {
    let known = at.reporting().list_indicators(ListIndicatorsRequest {}).await.unwrap().into_inner().indicators;
    let ids: Vec<String> = known.into_iter().filter_map(|indicator| indicator.id).collect();
    let cells = table(at, area, &ids).await;
    let shown = |cell: &Cell| cell.value.as_ref().map_or_else(|| "-".to_owned(), |value| format!("{value:?}"));
    cells.iter().map(|cell| (cell.indicator().to_owned(), shown(cell))).collect()
}
