use proptest::{collection::vec, prelude::*};
use qianshou_kernel::{follow::Follower, ledger::Content};
use qianshou_proto::{
    common::v1::EndReason,
    registry::v1::{
        Assessment, Certificate, CertificateLevel::Assistant, Employment, Post, Recognition, Station,
        StationType::TownshipStation, Worker,
    },
};

use super::{testing::House, *};
use crate::{
    Reporting,
    domain::{
        tally::Tallies,
        testing::{assessment, certificate, demonstration, employment, name, professional, station, text, worker},
    },
    store::{Listing, ProblemKey},
};

impl House {
    /// The sum of an indicator at an area over all days.
    async fn sum(&self, indicator: &str, area: &str) -> i64 {
        let days = self.reporting.tallies().await.unwrap().days;
        days.iter().filter(|(s, _)| s.indicator == indicator && s.area == area).map(|(_, amount)| amount.value).sum()
    }

    async fn listed(&self) -> Vec<Listing> {
        let first = ProblemKey { record: String::new(), indicator: String::new(), subject: String::new() };
        self.reporting.store.problems(None, &first, 1_000).await.unwrap()
    }
}

#[tokio::test]
async fn a_certificate_counts_as_soon_as_its_worker_is_here() {
    let house = House::open().await;
    house.put(&name("certificates", "1"), 1, &certificate("w", Assistant, "2016-03-01", "")).await;
    house.settle().await;
    assert_eq!((house.sum("certified_total", "00").await, house.listed().await.len()), (0, 2));
    house.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "")).await;
    house.settle().await;
    assert_eq!((house.sum("certified_total", "640104").await, house.listed().await.len()), (1, 0));
    assert_eq!((house.sum("certified_new", "64").await, house.sum("talent_total", "00").await), (1, 1));

    house.end(&name("workers", "w"), 2, EndReason::Deleted, "2023-01-01").await;
    house.settle().await;
    assert_eq!((house.sum("certified_total", "00").await, house.listed().await.len()), (0, 2));
    assert_eq!(house.reporting.tallies().await.unwrap(), Tallies::default());
}

#[tokio::test]
async fn a_certificate_that_names_no_worker_is_listed() {
    let house = House::open().await;
    house
        .put(
            &name("certificates", "1"),
            1,
            &Certificate { worker: None, ..certificate("w", Assistant, "2016-03-01", "") },
        )
        .await;
    house.settle().await;
    assert_eq!(house.listed().await.len(), 2);
    house.put(&name("certificates", "1"), 2, &certificate("w", Assistant, "2016-03-01", "")).await;
    house.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "")).await;
    house.settle().await;
    assert_eq!((house.sum("certified_total", "00").await, house.listed().await.len()), (1, 0));
}

#[tokio::test]
async fn one_pseudonym_is_one_person() {
    let house = House::open().await;
    let at = |division: &str, since: &str| Worker { person: text("p"), ..worker(division, since, "") };
    house.put("nodes/64/workers/a", 1, &at("6401", "2015-01-01")).await;
    house.settle().await;
    house.put("nodes/35/workers/b", 1, &at("3501", "2018-01-01")).await;
    house
        .put(
            "nodes/35/certificates/c",
            1,
            &Certificate { worker: text("nodes/35/workers/b"), ..certificate("", Assistant, "2019-01-01", "") },
        )
        .await;
    house.settle().await;
    // Each province counts whom it has registered, and the nation one.
    let talent = async |area: &str| house.sum("talent_total", area).await;
    assert_eq!([talent("00").await, talent("64").await, talent("35").await], [1, 1, 1]);
    assert_eq!((house.sum("talent_total/several", "00").await, house.sum("talent_total/several", "35").await), (1, 0));
    assert_eq!([house.sum("certified_total", "64").await, house.sum("certified_total", "35").await], [0, 1]);
    // The later record's pseudonym was wrong: they are two again.
    house.put("nodes/35/workers/b", 2, &Worker { person: text("q"), ..at("3501", "2018-01-01") }).await;
    house.settle().await;
    assert_eq!((house.sum("talent_total", "00").await, house.sum("talent_total", "64").await), (2, 1));
    assert_eq!(house.sum("certified_total", "35").await, 1);
}

#[tokio::test]
async fn an_end_takes_back_or_leaves_the_past() {
    for (reason, left) in
        [(EndReason::Deleted, 0), (EndReason::LeftScope, 2), (EndReason::Ended, 2), (EndReason::Erased, 2)]
    {
        let house = House::open().await;
        house.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "")).await;
        house.put(&name("workers", "w"), 2, &worker("640105", "2015-01-01", "")).await;
        house.follow().await;
        house.end(&name("workers", "w"), 3, reason, "2020-07-01").await;
        // A second end, of what had already ended, changes nothing that is earlier.
        house.end(&name("workers", "w"), 4, EndReason::Erased, "2022-07-01").await;
        house.settle().await;
        let days = house.reporting.tallies().await.unwrap().days;
        let days: Vec<&str> = days.keys().filter(|s| s.area == "640105").map(|s| s.day.as_str()).collect();
        assert_eq!(days, &["2015-01-01", "2020-07-01"][..left]);
    }
}

#[tokio::test]
async fn a_worker_makes_the_station_professional_and_takes_it_along() {
    let house = House::open().await;
    for s in ["s", "t"] {
        house.put(&name("stations", s), 1, &station(TownshipStation, "640104012", "2021-06-01", "")).await;
    }
    house.put(&name("workers", "w"), 1, &professional("s", "2022-01-01", "")).await;
    house.settle().await;
    assert_eq!(
        (house.sum("station_professional", "00").await, house.sum("station_township", "640104012").await),
        (1, 2)
    );
    house.put(&name("workers", "w"), 2, &professional("t", "2022-01-01", "")).await;
    house.settle().await;
    assert_eq!(house.sum("station_professional", "00").await, 1);
    house.put(&name("workers", "w"), 3, &worker("640104", "2022-01-01", "")).await;
    house.settle().await;
    assert_eq!((house.sum("station_professional", "00").await, house.sum("talent_total", "00").await), (0, 1));
}

/// Who has left serves nowhere, whatever their employment says; in whatever order that is told.
#[tokio::test]
async fn an_employment_ends_with_its_worker() {
    let house = House::open().await;
    house.put(&name("stations", "s"), 1, &station(TownshipStation, "640104012", "2021-06-01", "")).await;
    house.put(&name("employments", "e"), 1, &employment("s", "2022-01-01", "")).await;
    house.settle().await;
    let days = async |indicator: &str| {
        let days = house.reporting.tallies().await.unwrap().days;
        let of = days.iter().filter(|(spot, _)| spot.indicator == indicator && spot.area == "00");
        of.map(|(spot, amount)| format!("{} {:+}", spot.day, amount.value)).collect::<Vec<_>>()
    };
    assert_eq!(days("station_professional").await, ["2022-01-01 +1"]);
    house.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "2023-03-01")).await;
    house.settle().await;
    assert_eq!(days("station_professional").await, ["2022-01-01 +1", "2023-03-01 -1"]);
    house.put(&name("workers", "w"), 2, &worker("640104", "2015-01-01", "")).await;
    house.settle().await;
    assert_eq!(days("station_professional").await, ["2022-01-01 +1"]);
    house.end(&name("workers", "w"), 3, EndReason::Ended, "2022-09-01").await;
    house.settle().await;
    assert_eq!(days("station_professional").await, ["2022-01-01 +1", "2022-09-01 -1"]);
    assert_eq!(days("talent_total").await, ["2015-01-01 +1", "2022-09-01 -1"]);
}

/// A recognition of an agency and an employment without a station are nothing of a station's, and nobody misses them there.
#[tokio::test]
async fn what_belongs_elsewhere_is_not_missed() {
    let house = House::open().await;
    let recognised =
        |station: &str| Recognition { division: text("64"), ..demonstration(station, "省级", "2022-12-01", "") };
    let award = Recognition { agency: text(&name("agencies", "a")), ..recognised("") };
    house.put(&name("recognitions", "a"), 1, &award).await;
    house.put(&name("employments", "e"), 1, &employment("", "2022-01-01", "")).await;
    house.settle().await;
    assert_eq!((house.listed().await, house.sum("station_demonstration", "00").await), (vec![], 0));
    assert_eq!(house.sum("recognition_total", "64").await, 1);
    // Withheld altogether, it is missed; and one whose station has not arrived waits.
    house.put(&name("recognitions", "b"), 1, &recognised("")).await;
    house.put(&name("recognitions", "c"), 1, &recognised("s")).await;
    house.put(&name("assessments", "d"), 1, &assessment("s", 6, "2023-05-10", "")).await;
    house.settle().await;
    assert_eq!(house.listed().await.len(), 3);
    house.put(&name("stations", "s"), 1, &station(TownshipStation, "640104012", "2021-06-01", "")).await;
    house.put(&name("recognitions", "b"), 2, &award).await;
    house.put(&name("employments", "e"), 2, &employment("s", "2022-01-01", "")).await;
    house.settle().await;
    assert_eq!(house.listed().await, []);
    for indicator in ["station_demonstration", "station_standard_met", "station_professional"] {
        assert_eq!(house.sum(indicator, "640104012").await, 1, "{indicator}");
    }
}

#[tokio::test]
async fn the_same_entries_again_change_nothing() {
    let house = House::open().await;
    let position = house.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "")).await;
    let entries = house.ledger.after(0, &[], 10).await.unwrap();
    let follow = house.reporting.follow();
    follow.apply(entries.clone(), 0, position).await.unwrap();
    let once = house.reporting.tallies().await.unwrap();
    // As another process would, that read the cursor before.
    follow.apply(entries.clone(), 0, position).await.unwrap();
    // As after a restart that lost nothing but the memory of it.
    follow.apply(entries, position, position).await.unwrap();
    assert_eq!(house.reporting.tallies().await.unwrap(), once);
    house.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_follow_count_once() {
    let house = House::open().await;
    let cancel = tokio_util::sync::CancellationToken::new();
    let other = Reporting::new(house.ledger.clone(), std::time::Duration::from_secs(20)).unwrap();
    let following = [house.reporting.start(cancel.clone()), other.start(cancel.clone())];
    for i in 0..40 {
        house
            .put(&name("workers", &format!("w{}", i % 10)), i + 1, &worker(AREAS[(i % 3) as usize], "2015-01-01", ""))
            .await;
    }
    assert_eq!(other.recount().await.unwrap().differences, []);
    assert_eq!(house.sum("talent_total", "00").await, 10);
    cancel.cancel();
    for task in following {
        task.await.unwrap();
    }
}

const DAYS: [&str; 6] = ["", "2015-03-01", "2018-06-15", "2020-01-01", "2021-12-31", "2022"];
const AREAS: [&str; 4] = ["6401", "640104012", "3502", ""];
const NAMES: [&str; 12] = [
    "nodes/64/workers/a",
    "nodes/64/workers/b",
    "nodes/35/workers/c",
    "nodes/64/certificates/a",
    "nodes/64/certificates/b",
    "nodes/35/certificates/c",
    "nodes/64/stations/a",
    "nodes/35/stations/b",
    "nodes/64/employments/a",
    "nodes/64/assessments/a",
    "nodes/64/recognitions/a",
    "nodes/64/posts/a",
];

/// What happens to one of [`NAMES`]: its number, and numbers that choose what it says.
type Event = (usize, [usize; 6]);

fn content((record, [kind, a, b, c, d, e]): Event) -> Content {
    let day = |i: usize| text(DAYS[i % DAYS.len()]);
    let area = |i: usize| text(AREAS[i % AREAS.len()]);
    if kind == 0 {
        let reasons = [EndReason::Deleted, EndReason::LeftScope, EndReason::Ended, EndReason::Erased];
        return Content::End(qianshou_kernel::ledger::End {
            reason: reasons[a % 4].into(),
            on: DAYS[1 + b % 5].to_owned(),
        });
    }
    let payload = match record {
        0..=2 => Worker {
            division: area(a),
            since: day(b),
            until: day(c),
            person: text(["", "p", "q"][d % 3]),
            station: text([NAMES[6], NAMES[7], ""][e % 3]),
            assignment: Some(i32::try_from(kind % 3).unwrap()),
            ..Worker::default()
        }
        .encode_to_vec(),
        3..=5 => Certificate {
            worker: text([NAMES[0], NAMES[1], NAMES[2], ""][a % 4]),
            issued_on: day(b),
            registered_until: day(c),
            level: Some(i32::try_from(d % 4).unwrap()),
            ..Certificate::default()
        }
        .encode_to_vec(),
        8 => Employment {
            station: text([NAMES[6], NAMES[7], ""][a % 3]),
            worker: text([NAMES[0], NAMES[1], NAMES[2], ""][e % 4]),
            division: area(d),
            since: day(b),
            until: day(c),
            assignment: Some(i32::try_from(kind % 3).unwrap()),
            ..Employment::default()
        }
        .encode_to_vec(),
        9 => Assessment {
            station: text([NAMES[6], NAMES[7], ""][a % 3]),
            six_haves: (0..i32::try_from(d % 7).unwrap()).collect(),
            assessed_on: day(b),
            expires_on: day(c),
            ..Assessment::default()
        }
        .encode_to_vec(),
        10 => Recognition {
            station: text([NAMES[6], NAMES[7], ""][a % 3]),
            agency: text(["a", ""][e % 2]),
            kind: Some(i32::try_from(kind % 3).unwrap()),
            recognised_on: day(b),
            withdrawn_on: day(c),
            ..Recognition::default()
        }
        .encode_to_vec(),
        11 => Post {
            division: area(a),
            since: day(b),
            ended_on: day(c),
            count: u32::try_from(d % 3).ok().filter(|count| *count > 0),
            ..Post::default()
        }
        .encode_to_vec(),
        _ => Station {
            division: area(a),
            opened_on: day(b),
            closed_on: day(c),
            r#type: Some(3),
            status: Some(i32::try_from(d % 5).unwrap()),
            six_haves: (0..i32::try_from(e % 7).unwrap()).collect(),
            demonstration_level: text(["", "省级"][kind % 2]),
            ..Station::default()
        }
        .encode_to_vec(),
    };
    Content::Put { payload: payload.into(), sealed: None }
}

/// Saves events in an order and follows now and then.
async fn counted(events: &[(Event, u64)], every: usize) -> (Tallies, Vec<Listing>) {
    let house = House::open().await;
    for (i, ((record, numbers), revision)) in events.iter().enumerate() {
        house.receive(NAMES[*record], *revision, content((*record, *numbers))).await;
        if i % every == 0 {
            step_once(&house).await;
        }
    }
    house.settle().await;
    (house.reporting.tallies().await.unwrap(), house.listed().await)
}

async fn step_once(house: &House) {
    qianshou_kernel::follow::step(&house.ledger, &house.reporting.follow()).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Records come in any order among each other, their versions in order, old ones again; the tallies are those of
    /// a recount.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        events in vec((0..NAMES.len(), proptest::array::uniform6(0..12_usize)), 1..32),
        places in proptest::array::uniform12(0..1_000_u32),
        every in 1..9_usize,
    ) {
        let mut revisions = [0; NAMES.len()];
        let events: Vec<(Event, u64)> = events.into_iter().map(|event| {
            revisions[event.0] += 1;
            (event, revisions[event.0])
        }).collect();
        let mut other = events.clone();
        other.sort_by_key(|((record, _), _)| places[*record]);
        other.extend(events.iter().take(8).cloned());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (one, two) = runtime.block_on(async { (counted(&events, every).await, counted(&other, 100).await) });
        prop_assert_eq!(one, two);
    }
}

#[tokio::test]
async fn the_lag_is_the_age_of_what_is_not_counted() {
    let house = House::open().await;
    assert_eq!(lag::look(&house.ledger).await.unwrap(), (0, 0.0));
    house.put(&name("workers", "w"), 1, &worker("640104", "2015-01-01", "")).await;
    house.ledger.clock().advance(2_500);
    house.put(&name("workers", "v"), 1, &worker("640104", "2015-01-01", "")).await;
    assert_eq!(lag::look(&house.ledger).await.unwrap(), (2, 2.5));
    house.settle().await;
    assert_eq!(lag::look(&house.ledger).await.unwrap(), (0, 0.0));
}
