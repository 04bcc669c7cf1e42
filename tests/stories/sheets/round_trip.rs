//! What is exported, imported and exported again is the same, whatever texts the records hold.

use proptest::{
    collection::vec,
    prelude::Strategy,
    sample::select,
    strategy::ValueTree as _,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use qianshou_kernel::identity::Role;
use qianshou_proto::{
    common::v1::{PutOutcome, PutState},
    registry::v1::{Agency, Certificate, SixHave, Station, Worker},
};
use qianshou_registry::domain::KINDS;
use qianshou_tests::{
    Caller, World,
    sample::{TOWNSHIP, agency, certificate, station, worker},
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

async fn fill(by: &Caller) {
    let mut chance =
        Chance(TestRunner::new_with_rng(Default::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha)));
    let agencies = (0..RECORDS).map(|n| Agency {
        display_name: Some(format!("{}{n}", chance.text())),
        fields: chance.texts(),
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
        ..station(n)
    });
    let stations = put(by, stations.collect::<Vec<_>>()).await;
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
        ..certificate(n, workers[n as usize].as_deref().unwrap())
    });
    put(by, certificates.collect::<Vec<_>>()).await;
}

async fn an_export_comes_back_as_it_went(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    fill(&ningxia.admin).await;
    let before = ningxia.position().await;
    for kind in KINDS.map(|kind| kind.collection).into_iter().filter(|kind| *kind != "divisions") {
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
