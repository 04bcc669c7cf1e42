//! What is exported, imported and exported again is the same, whatever texts the records hold.

use proptest::{
    collection::vec,
    prelude::Strategy,
    sample::select,
    strategy::ValueTree as _,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use qianshou::node::kinds;
use qianshou_kernel::identity::Role;
use qianshou_proto::{
    common::v1::{PutOutcome, PutState},
    registry::v1::{
        Agency, Assessment, AssessmentResult, Campaign, Category, Certificate, Criterion, Document, Employment,
        Escalation, Figure, Incubation, Merge, Move, Post, Quota, QuotaBasis, QuotaPart, Recognition, Registration,
        SixHave, Station, StationType, Tag, TagLabel, Task, Template, Worker,
    },
};
use qianshou_tests::{
    Caller, World,
    sample::{
        TOWNSHIP, agency, assessment, campaign, category, certificate, document, employment, figure, incubation,
        moving, post, quota, recognition, station, system, tag, task, template, worker,
    },
    stories,
    verbs::Noun,
};

stories! { an_export_comes_back_as_it_went }

/// Records of each kind.
const RECORDS: u32 = 40;
/// What goes wrong in files: formulas, separators, quotes, escapes, wide and long characters.
const PIECES: [&str; 22] = [
    "=", "+", "-", "@", "'", "\"", ",", "；", ";", "\\", "/", "|", " ", "甲", "８", "Ａ", "😀", "_x0041_", "<b>",
    "&amp;", "#N/A", "1",
];

/// Chance that repeats.
struct Chance(TestRunner);

impl Chance {
    fn text(&mut self) -> String {
        let text = vec(select(&PIECES[..]), 1..8).prop_map(|pieces| pieces.concat().trim().to_owned());
        let text = text.prop_filter("not empty", |text| !text.is_empty());
        text.new_tree(&mut self.0).unwrap().current()
    }

    fn texts(&mut self) -> Vec<String> {
        let count = (0..4_usize).new_tree(&mut self.0).unwrap().current();
        (0..count).map(|_| self.text()).collect()
    }
}

async fn put<N: Noun>(by: &Caller, nouns: Vec<N>) -> Vec<Option<String>> {
    let outcomes = by.put(nouns).await.unwrap();
    let taken = |outcome: &PutOutcome| outcome.state() == PutState::Created;
    assert!(outcomes.iter().all(taken), "{outcomes:?}");
    outcomes.into_iter().map(|outcome| outcome.name).collect()
}

/// Names of records of one kind, by their numbers.
type Names = Vec<Option<String>>;

async fn fill(by: &Caller) {
    let mut chance =
        Chance(TestRunner::new_with_rng(Default::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha)));
    let names = fill_registers(by, &mut chance).await;
    fill_what_is_said(by, &mut chance, names).await;
}

async fn fill_registers(by: &Caller, chance: &mut Chance) -> [Names; 3] {
    let agencies = (0..RECORDS).map(|n| Agency {
        display_name: Some(format!("{}{n}", chance.text())),
        fields: chance.texts(),
        aliases: chance.texts(),
        closed_on: (n % 3 == 0).then(|| "2020-02-29".to_owned()),
        r#type: (n % 4 > 0).then_some((n % 7).cast_signed()),
        ..agency(n)
    });
    let agencies = put(by, agencies.collect::<Vec<_>>()).await;
    let stations = (0..RECORDS).map(|n| Station {
        // The last are equal but for their number.
        display_name: Some(if n + 3 > RECORDS { "=站".to_owned() } else { chance.text() + &n.to_string() }),
        r#ref: (n % 2 == 1).then(|| chance.text()),
        brand: (n % 3 == 0).then(|| chance.text()),
        languages: chance.texts(),
        six_haves: vec![SixHave::Place.into(), SixHave::Rules.into()].split_off((n % 3) as usize),
        demonstration_level: (n % 5 == 0).then(|| chance.text()),
        operator: (n % 2 == 0).then(|| agencies[n as usize].clone()).flatten(),
        host: (n % 3 == 1).then(|| chance.text()),
        planned_on: (n % 4 == 1).then(|| "2020-10-01".to_owned()),
        building_since: (n % 4 == 2).then(|| "2021-01-01".to_owned()),
        ..station(n)
    });
    let mut below: Vec<Station> = stations.collect();
    let centre = Station {
        r#type: Some(StationType::CountyCentre.into()),
        division: Some("640104".to_owned()),
        ..below.remove(0)
    };
    let mut stations = put(by, vec![centre]).await;
    below.iter_mut().step_by(3).for_each(|station| station.parent = stations[0].clone());
    stations.extend(put(by, below).await);
    let workers = (0..RECORDS).map(|n| Worker {
        full_name: Some(chance.text()),
        post_category: (n % 2 == 0).then(|| chance.text()),
        languages: chance.texts(),
        station: stations[n as usize].clone(),
        employer: agencies[n as usize].clone(),
        // Some serve at a station that is not at or below their own division.
        division: Some(if n % 3 == 0 { "640202".to_owned() } else { TOWNSHIP.to_owned() }),
        ..worker(n)
    });
    let workers = put(by, workers.collect::<Vec<_>>()).await;
    let certificates = (0..RECORDS).map(|n| Certificate {
        number: Some(format!("{}{n}", chance.text())),
        registered_until: (n % 2 == 0).then(|| "2025-09-30".to_owned()),
        revoked_on: (n % 5 == 0).then(|| "2021-01-01".to_owned()),
        registrations: (0..n % 3).map(registration).collect(),
        ..certificate(n, workers[n as usize].as_deref().unwrap())
    });
    put(by, certificates.collect::<Vec<_>>()).await;
    [agencies, stations, workers]
}

fn registration(n: u32) -> Registration {
    Registration {
        registered_on: Some(format!("202{n}-10-01")),
        until: Some(format!("202{}-09-30", n + 3)),
        hours: (n > 0).then_some(72),
    }
}

async fn fill_what_is_said(by: &Caller, chance: &mut Chance, [agencies, stations, workers]: [Names; 3]) {
    let of = |names: &Names, n: u32| names[n as usize].clone().unwrap();
    let posts = (0..RECORDS).map(|n| Post {
        // The last are equal but for their number.
        display_name: Some(if n + 3 > RECORDS { "=岗".to_owned() } else { chance.text() }),
        category: Some(chance.text()),
        title_link: (n % 2 == 0).then(|| chance.text()),
        employer: (n % 3 == 0).then(|| of(&agencies, n)),
        r#ref: Some(format!("{}{n}", chance.text())),
        ..post(n)
    });
    let posts = put(by, posts.collect::<Vec<_>>()).await;
    let employments = (0..RECORDS).map(|n| Employment {
        employer: (n % 2 == 0).then(|| of(&agencies, n)),
        station: (n % 3 == 0).then(|| of(&stations, n)),
        post: (n % 4 == 0).then(|| of(&posts, n)),
        ..employment(n, &of(&workers, n))
    });
    put(by, employments.collect::<Vec<_>>()).await;
    put(by, (0..RECORDS).map(system).collect::<Vec<_>>()).await;
    let incubations = (0..RECORDS).map(|n| {
        let whole = incubation(n, &of(&stations, n), &of(&agencies, n));
        Incubation { stages: whole.stages[(n % 3).min(1) as usize..].to_vec(), ..whole }
    });
    put(by, incubations.collect::<Vec<_>>()).await;
    let templates = (0..RECORDS).map(|n| {
        let criteria = (0..n % 4).map(|i| Criterion {
            code: Some(format!("{}{i}", chance.text())),
            title: Some(chance.text()),
            required: (i > 0).then_some(i == 1),
            weight: (i < 2).then_some(10),
            least: (i == 1).then_some(60),
        });
        let criteria = criteria.collect();
        Template { edition: Some(chance.text()), issuer: Some(chance.text()), criteria, ..template(n) }
    });
    let templates: Vec<Template> = templates.collect();
    let names = put(by, templates.clone()).await;
    let assessments = (0..RECORDS).map(|n| {
        let results = templates[n as usize].criteria.iter().map(|criterion| AssessmentResult {
            criterion: criterion.code.clone(),
            met: criterion.required,
            score: criterion.weight,
            evidence: (n % 2 == 0).then(|| chance.text()),
        });
        let six_haves = if n % 4 == 3 { vec![] } else { vec![SixHave::Staff.into()] };
        let none_of_six = (n % 4 == 3).then_some(true);
        Assessment {
            results: results.collect(),
            six_haves,
            none_of_six,
            ..assessment(n, &of(&stations, n), &of(&names, n))
        }
    });
    put(by, assessments.collect::<Vec<_>>()).await;
    let recognitions = (0..RECORDS).map(|n| Recognition {
        station: (n % 3 == 0).then(|| of(&stations, n)),
        agency: (n % 3 == 1).then(|| of(&agencies, n)),
        worker: (n % 3 == 2).then(|| of(&workers, n)),
        level: (n % 2 == 0).then(|| chance.text()),
        batch: Some(chance.text()),
        ..recognition(n, "")
    });
    put(by, recognitions.collect::<Vec<_>>()).await;
    let documents = (0..RECORDS).map(|n| Document {
        title: Some(format!("{}{n}", chance.text())),
        number: (n % 2 == 0).then(|| format!("{}{n}", chance.text())),
        issuers: vec![chance.text(), format!("甲{n}")],
        ..document(n)
    });
    put(by, documents.collect::<Vec<_>>()).await;
    let tags = (0..RECORDS).map(|n| Tag {
        label: Some(if n % 2 == 0 { TagLabel::Other } else { TagLabel::KeyCounty }.into()),
        text: (n % 4 != 1).then(|| chance.text()),
        ..tag(n)
    });
    put(by, tags.collect::<Vec<_>>()).await;
    let tasks = (0..RECORDS).map(|n| Task {
        done_on: (n % 3 == 0).then(|| "2021-11-30".to_owned()),
        escalations: (0..n % 3).map(|i| escalation(&chance.text(), i)).collect(),
        ..task(n)
    });
    put(by, tasks.collect::<Vec<_>>()).await;
    let campaigns = (0..RECORDS).map(|n| Campaign {
        title: Some(format!("{}{n}", chance.text())),
        emergency: [None, Some(true), Some(false)][n as usize % 3],
        ..campaign(n)
    });
    put(by, campaigns.collect::<Vec<_>>()).await;
    put(by, (0..RECORDS).map(|n| Figure { campaign: Some(chance.text()), ..figure(n) }).collect::<Vec<_>>()).await;
    let categories = (0..RECORDS).map(|n| Category {
        includes: (0..n % 3).map(|i| format!("G{i}")).collect(),
        title: Some(chance.text()),
        ..category(n)
    });
    put(by, categories.collect::<Vec<_>>()).await;
    let quotas = (0..RECORDS).map(|n| {
        let mut of = |share, planned| QuotaPart { value: Some(format!("{}{share:?}", chance.text())), share, planned };
        let parts = [vec![of(Some(4_000), None), of(Some(6_000), Some(7))], vec![of(None, Some(5))]];
        let basis = [QuotaBasis::Category, QuotaBasis::Field][n as usize % 2];
        Quota { basis: Some(basis.into()), parts: parts[n as usize % 2].clone(), ..quota(n) }
    });
    put(by, quotas.collect::<Vec<_>>()).await;
    let moves = (0..RECORDS).map(|n| Move {
        agency: (n % 2 == 0).then(|| of(&agencies, n)),
        worker: (n % 2 == 1).then(|| of(&workers, n)),
        reason: Some(chance.text()),
        ..moving(&of(&agencies, n))
    });
    put(by, moves.collect::<Vec<_>>()).await;
    let merges = (0..RECORDS).map(|n| {
        let next = (n + 1) % RECORDS;
        Merge {
            agency: (n % 2 == 0).then(|| of(&agencies, n)),
            surviving_agency: (n % 2 == 0).then(|| of(&agencies, next)),
            worker: (n % 2 == 1).then(|| of(&workers, n)),
            surviving_worker: (n % 2 == 1).then(|| of(&workers, next)),
            reason: Some(chance.text()),
            ..Merge::default()
        }
    });
    put(by, merges.collect::<Vec<_>>()).await;
}

fn escalation(reason: &str, n: u32) -> Escalation {
    let text = |text: &str| Some(text.to_owned());
    Escalation { from: text("640104"), to: text("6401"), on: Some(format!("2022-01-0{}", n + 1)), reason: text(reason) }
}

/// Halves, people, projects and money.
async fn fill_pairing(by: &Caller) {
    use qianshou_proto::pairing::v1 as api;
    use qianshou_tests::halves;
    let mut chance =
        Chance(TestRunner::new_with_rng(Default::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha)));
    let commitments = (0..RECORDS).map(|n| api::Commitment {
        statements: (0..n % 3).map(|_| halves::statement(api::StatementKind::Suspended, "2023-05-01")).collect(),
        reviews: (0..n % 2).map(|_| halves::review(api::ReviewLevel::County, "2023-02-01")).collect(),
        evaluations: (0..n % 2).map(|_| halves::evaluation("2024-01-01")).collect(),
        close_reason: (n % 4 == 0).then(|| chance.text()),
        batch: Some(format!("{}{n}", chance.text())),
        ..halves::commitment(1_000 + n, 1)
    });
    put(by, commitments.collect::<Vec<_>>()).await;
    put(by, (0..RECORDS).map(|n| halves::outcome(n, n)).collect::<Vec<_>>()).await;
    let dispatches = (0..RECORDS).map(|n| api::Dispatch {
        full_name: Some(chance.text()),
        projects: chance.texts(),
        extensions: (0..n % 2)
            .map(|_| api::Extension { on: Some("2024-01-01".into()), until: Some("2024-05-31".into()) })
            .collect(),
        ..halves::dispatch(n)
    });
    put(by, dispatches.collect::<Vec<_>>()).await;
    put(by, (0..RECORDS).map(halves::arrival).collect::<Vec<_>>()).await;
    let projects = (0..RECORDS).map(|n| api::Project {
        display_name: Some(format!("{}{n}", chance.text())),
        clients: chance.texts(),
        amount_fen: Some(i64::from(n) * 7),
        lots: (0..n % 3)
            .map(|lot| api::Lot {
                number: Some(lot.to_string()),
                division: Some("640202".into()),
                amount_fen: Some(5_000_005),
                ..api::Lot::default()
            })
            .collect(),
        notice: (n % 2 == 0).then(|| chance.text()),
        effects: (0..n % 3).map(|i| halves::measure(&format!("{}{i}", chance.text()), (i == 0).then_some(0))).collect(),
        services: vec![halves::service("2023-05-01", n)],
        evaluations: halves::worked(api::Project::default()).evaluations.split_off((n % 2) as usize),
        maturity: (n % 4 > 0).then_some((n % 4).cast_signed()),
        ..halves::project(n)
    });
    let mut projects: Vec<api::Project> = projects.collect();
    projects.push(halves::worked(halves::project(RECORDS - 1)));
    projects.remove(0);
    put(by, projects).await;
    put(by, (0..RECORDS).map(halves::allocation).collect::<Vec<_>>()).await;
    let payments = (0..RECORDS)
        .map(|n| api::Payment { payer: Some(format!("厅{}", chance.text())), ..halves::payment(n) })
        .map(|payment| api::Payment { stage: Some(2), number: Some("2023-0001".into()), ..payment });
    put(by, payments.collect::<Vec<_>>()).await;
    put(by, (0..RECORDS).map(halves::receipt).collect::<Vec<_>>()).await;
    put(by, (0..RECORDS).map(halves::programme).collect::<Vec<_>>()).await;
    put(by, (0..RECORDS).map(halves::activity).collect::<Vec<_>>()).await;
    let offers = (0..RECORDS)
        .map(|n| api::Offer { menu_code: (n % 2 == 0).then(|| format!("{}{n}", chance.text())), ..halves::offer(n) });
    put(by, offers.collect::<Vec<_>>()).await;
    let needs = put(by, (0..RECORDS).map(halves::need).collect::<Vec<_>>()).await;
    let orders = (0..RECORDS).map(|n| api::Order {
        confirmed_on: (n % 2 == 0).then(|| "2023-05-20".to_owned()),
        remark: (n % 3 == 0).then(|| chance.text()),
        ..halves::order(n, needs[n as usize].as_deref().unwrap())
    });
    put(by, orders.collect::<Vec<_>>()).await;
    let acceptances = (0..RECORDS).map(|n| api::Acceptance {
        fulfilled_on: (n % 2 == 0).then(|| "2023-05-20".to_owned()),
        reason: (n % 3 == 0).then(|| chance.text()),
        ..halves::acceptance(&format!("nodes/35/orders/{n}"))
    });
    put(by, acceptances.collect::<Vec<_>>()).await;
}

async fn an_export_comes_back_as_it_went(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    fill(&ningxia.admin).await;
    fill_pairing(&ningxia.admin).await;
    let before = ningxia.position().await;
    for kind in kinds().into_iter().filter(|kind| kind.home.is_none()).map(|kind| kind.collection) {
        let (csv, xlsx) = (format!("{kind}.csv"), format!("{kind}.xlsx"));
        desk.export(kind, &csv).await;
        desk.export(kind, &xlsx).await;
        for file in [&csv, &xlsx] {
            let said = desk.import(kind, file, &[]).await;
            assert_eq!(said.figures(), [0, 0, u64::from(RECORDS), 0], "{kind}: {said:?}");
        }
        assert_eq!(ningxia.position().await, before, "nothing was written");
        let (csv_again, xlsx_again) = (format!("{kind}-2.csv"), format!("{kind}-2.xlsx"));
        desk.export(kind, &csv_again).await;
        desk.export(kind, &xlsx_again).await;
        let text = |name: &str| std::fs::read_to_string(desk.file(name)).unwrap();
        assert_eq!(text(&csv), text(&csv_again));
        assert_eq!(desk.sheet(&xlsx, 0), desk.sheet(&xlsx_again, 0));
        let opens = |line: &str| line.strip_prefix('"').unwrap_or(line).starts_with(['=', '+', '-', '@']);
        assert!(!text(&csv).lines().any(opens), "no office program takes a text for a formula");
    }
    let workers = std::fs::read_to_string(desk.file("workers.csv")).unwrap();
    assert!(workers.contains("nodes/64/stations/") && workers.contains("nodes/64/workers/"));
    assert!(!workers.contains(&qianshou_tests::sample::citizen(1)), "no export answers a citizen number");
}
