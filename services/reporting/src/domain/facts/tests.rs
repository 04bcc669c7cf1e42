use proptest::{collection::vec, prelude::*};
use qianshou_proto::registry::v1::{
    Assessment,
    CertificateLevel::{Assistant, Intermediate, Senior},
    Employment, Incubation, IncubationStage, Recognition, Station, StationStatus,
    StationType::{CountyMain, TownshipStation},
    Worker,
};

use super::*;
use crate::domain::{
    catalogue::catalogue,
    testing::{
        agency, assessment, certificate, cut, demonstration, employment, name, post, professional, record, station,
        text, worker,
    },
};

/// Counts a subject of the roots with these names.
fn counted(key: &str, roots: &[&str], records: &[Record]) -> Counted {
    let kind = catalogue().unwrap().subject(key).unwrap().root.as_ref().unwrap();
    count(catalogue().unwrap(), key, &roots.iter().map(|id| name(kind, id)).collect(), records)
}

/// One indicator's facts as `day area dims ±value[!opening]`.
fn told(counted: &Counted, indicator: &str) -> Vec<String> {
    let mut facts: Vec<_> = counted.facts.iter().filter(|(spot, _)| spot.indicator == indicator).collect();
    facts.sort_by_key(|(spot, amount)| (&spot.day, amount.value, &spot.area));
    let tell = |(spot, amount): (&Spot, Amount)| {
        let opening = if amount.opening == 0 { String::new() } else { format!("!{:+}", amount.opening) };
        format!("{} {} {} {:+}{opening}", spot.day, spot.area, spot.dims, amount.value)
    };
    facts.into_iter().map(tell).collect()
}

fn person(records: &[Record]) -> Counted {
    counted("person", &["w", "v"], records)
}

#[test]
fn a_person_is_certified_at_the_highest_level_held() {
    let records = [
        record("workers", "w", &worker("640104", "2015-01-01", "")),
        record("certificates", "1", &certificate("w", Assistant, "2016-03-01", "")),
        record("certificates", "2", &certificate("w", Intermediate, "2018-03-01", "2020-12-31")),
        record("certificates", "3", &certificate("w", Senior, "2019-03-01", "2019-12-31")),
    ];
    let counted = person(&records);
    assert_eq!(
        told(&counted, "certified_total"),
        [
            "2016-03-01 640104 level=ASSISTANT;sector=AGENCY +1",
            "2018-03-01 640104 level=ASSISTANT;sector=AGENCY -1",
            "2018-03-01 640104 level=INTERMEDIATE;sector=AGENCY +1",
            "2019-03-01 640104 level=INTERMEDIATE;sector=AGENCY -1",
            "2019-03-01 640104 level=SENIOR;sector=AGENCY +1",
            "2020-01-01 640104 level=SENIOR;sector=AGENCY -1",
            "2020-01-01 640104 level=INTERMEDIATE;sector=AGENCY +1",
            "2021-01-01 640104 level=INTERMEDIATE;sector=AGENCY -1",
            "2021-01-01 640104 level=ASSISTANT;sector=AGENCY +1",
        ]
    );
    assert_eq!(told(&counted, "certified_new").len(), 3);
    assert!(counted.problems.is_empty());
}

#[test]
fn a_certificate_ends_with_its_registration_or_its_revocation() {
    let mut revoked = certificate("w", Assistant, "2016-03-01", "2019-12-31");
    revoked.revoked_on = text("2018-05-01");
    let records = [record("workers", "w", &worker("640104", "2015-01-01", "")), record("certificates", "1", &revoked)];
    let told = told(&person(&records), "certified_total");
    assert_eq!(told[1], "2018-05-01 640104 level=ASSISTANT;sector=AGENCY -1");
}

#[test]
fn the_area_is_the_one_of_the_worker_record_at_the_time() {
    let records = [
        record("workers", "v", &worker("6402", "2018-01-01", "")),
        record("workers", "w", &worker("6401", "2015-01-01", "2017-01-01")),
        record("certificates", "1", &certificate("w", Assistant, "2014-03-01", "")),
    ];
    let counted = person(&records);
    // Before the first, the earliest; between the two, the latest that began before.
    assert_eq!(
        told(&counted, "certified_total"),
        [
            "2014-03-01 6401 level=ASSISTANT;sector=AGENCY +1",
            "2018-01-01 6401 level=ASSISTANT;sector=AGENCY -1",
            "2018-01-01 6402 level=ASSISTANT;sector=AGENCY +1",
        ]
    );
    assert_eq!(
        told(&counted, "talent_total"),
        ["2015-01-01 6401 sector=AGENCY +1", "2017-01-01 6401 sector=AGENCY -1", "2018-01-01 6402 sector=AGENCY +1"]
    );
}

#[test]
fn a_person_with_two_worker_records_counts_once() {
    let records = [
        record("workers", "v", &worker("6402", "2018-01-01", "2019-01-01")),
        record("workers", "w", &worker("6401", "2015-01-01", "")),
    ];
    assert_eq!(
        told(&person(&records), "talent_total"),
        [
            "2015-01-01 6401 sector=AGENCY +1",
            "2018-01-01 6401 sector=AGENCY -1",
            "2018-01-01 6402 sector=AGENCY +1",
            "2019-01-01 6402 sector=AGENCY -1",
            "2019-01-01 6401 sector=AGENCY +1",
        ]
    );
}

#[test]
fn one_certificate_told_by_two_is_one_event() {
    let records = |level| {
        [
            record("workers", "w", &worker("6401", "2015-01-01", "")),
            record("workers", "v", &worker("6402", "2016-01-01", "")),
            record("certificates", "1", &certificate("w", Assistant, "2016-03-01", "")),
            record("certificates", "2", &certificate("v", level, "2016-03-01", "")),
        ]
    };
    let told = |level| told(&person(&records(level)), "certified_new");
    assert_eq!(told(Assistant), ["2016-03-01 6402 level=ASSISTANT +1"]);
    assert_eq!(told(Senior), ["2016-03-01 6402 level=ASSISTANT +1", "2016-03-01 6402 level=SENIOR +1"]);
}

#[test]
fn without_an_entering_date_it_is_an_opening_balance() {
    let records = [record("workers", "w", &worker("640104", "", "2020-01-01"))];
    let expected = ["0001-01-01 640104 sector=AGENCY +1!+1", "2020-01-01 640104 sector=AGENCY -1!-1"];
    assert_eq!(told(&person(&records), "talent_total"), expected);
}

#[test]
fn a_flow_without_its_date_is_listed_and_counted_nowhere() {
    let records = [
        record("workers", "w", &worker("640104", "2015-01-01", "")),
        record("certificates", "1", &certificate("w", Assistant, "", "")),
    ];
    let counted = person(&records);
    assert_eq!(told(&counted, "certified_new"), [""; 0]);
    assert_eq!(told(&counted, "certified_total"), ["0001-01-01 640104 level=ASSISTANT;sector=AGENCY +1!+1"]);
    let problem = counted.problems.first().unwrap();
    assert_eq!((problem.record.as_str(), problem.indicator.as_str()), (&*name("certificates", "1"), "certified_new"));
    assert_eq!(problem.trouble, Trouble::Undated("issued_on".into()));
}

#[test]
fn a_certificate_waits_for_its_worker() {
    let waiting = record("certificates", "1", &certificate("w", Assistant, "2016-03-01", ""));
    let counted = person(std::slice::from_ref(&waiting));
    assert!(counted.facts.is_empty());
    let missing: Vec<&str> = counted.problems.iter().map(|p| p.indicator.as_str()).collect();
    assert_eq!(missing, ["certified_new", "certified_total"]);
    let whole = person(&[waiting, record("workers", "w", &worker("6401", "2015-01-01", ""))]);
    assert!(whole.problems.is_empty() && whole.facts.len() == 3);
}

#[test]
fn what_left_contributes_until_that_day() {
    let (w, c) = (worker("6401", "2015-01-01", ""), certificate("w", Assistant, "2016-03-01", ""));
    let (one, two) = (record("workers", "w", &w), record("certificates", "1", &c));
    let left = person(&[cut(&one, &w, "2020-07-01"), cut(&two, &c, "2020-07-01")]);
    assert_eq!(told(&left, "talent_total")[1], "2020-07-01 6401 sector=AGENCY -1");
    assert_eq!(told(&left, "certified_total")[1], "2020-07-01 6401 level=ASSISTANT;sector=AGENCY -1");
    assert_eq!(told(&left, "certified_new"), ["2016-03-01 6401 level=ASSISTANT +1"]);
    let before = person(&[cut(&one, &w, "2014-07-01"), cut(&two, &c, "2014-07-01")]);
    assert!(before.facts.is_empty() && before.problems.is_empty());
}

#[test]
fn a_station_counts_while_it_operates() {
    let with = |status: Option<StationStatus>, closed_on: &str| {
        let mut station = station(TownshipStation, "640104012", "2021-06-01", closed_on);
        station.status = status.map(Into::into);
        counted("station", &["s"], &[record("stations", "s", &station)])
    };
    let dims = "origin=UNKNOWN;type=TOWNSHIP_STATION";
    for status in [None, Some(StationStatus::Operating), Some(StationStatus::Unspecified)] {
        assert_eq!(told(&with(status, ""), "station_township"), [format!("2021-06-01 640104012 {dims} +1")]);
    }
    let closed = with(Some(StationStatus::Closed), "2023-02-01");
    assert_eq!(told(&closed, "station_total")[1], format!("2023-02-01 640104012 {dims} -1"));
    assert!(told(&closed, "station_county").is_empty() && told(&closed, "station_village").is_empty());
    for status in [StationStatus::Planned, StationStatus::Building] {
        assert_eq!(with(Some(status), ""), Counted::default());
    }
    let undated = with(Some(StationStatus::Closed), "");
    assert!(undated.facts.is_empty());
    let missing: Vec<_> = undated.problems.iter().map(|p| (p.indicator.as_str(), p.area.as_str())).collect();
    assert_eq!(
        missing,
        [("station_professional", "640104012"), ("station_total", "640104012"), ("station_township", "640104012")]
    );
}

#[test]
fn a_station_is_professional_while_a_professional_serves() {
    let records = [
        record("stations", "s", &station(CountyMain, "640104", "2021-06-01", "2024-01-01")),
        record("workers", "1", &professional("s", "2020-01-01", "2022-01-01")),
        record("workers", "2", &professional("s", "2021-10-01", "2022-03-01")),
        record("workers", "3", &professional("s", "2023-10-01", "")),
        record("workers", "4", &Worker { assignment: None, ..professional("s", "2022-06-01", "") }),
    ];
    let counted = counted("station", &["s"], &records);
    let days: Vec<String> =
        told(&counted, "station_professional").iter().map(|f| f.replace(" 640104  ", " ")).collect();
    assert_eq!(days, ["2021-06-01 +1", "2022-03-01 -1", "2023-10-01 +1", "2024-01-01 -1"]);
    assert!(told(&counted, "station_bilingual").is_empty());
}

/// One indicator's facts of a station with these records: `day ±value[!opening]`.
fn of_station(station: &Station, others: &[Record], indicator: &str) -> Vec<String> {
    let records: Vec<Record> = [record("stations", "s", station)].into_iter().chain(others.iter().cloned()).collect();
    let counted = counted("station", &["s"], &records);
    assert_eq!(counted.problems.iter().find(|problem| problem.indicator == indicator), None);
    told(&counted, indicator).iter().map(|fact| fact.replace(" 640104  ", " ").replace(" 640104", "")).collect()
}

#[test]
fn an_employment_makes_a_station_professional_too() {
    let here = station(CountyMain, "640104", "2021-06-01", "");
    let others = [
        record("workers", "1", &professional("s", "2020-01-01", "2022-01-01")),
        record("employments", "1", &employment("s", "2021-12-01", "2022-03-01")),
        record("employments", "2", &employment("s", "2023-03-01", "")),
    ];
    let facts = of_station(&here, &others, "station_professional");
    assert_eq!(facts, ["2021-06-01 +1", "2022-03-01 -1", "2023-03-01 +1"]);
    assert!(of_station(&here, &others[..0], "station_professional").is_empty());
}

#[test]
fn a_demonstration_station_is_recognised_or_says_so_itself() {
    let here = station(CountyMain, "640104", "2021-06-01", "2024-01-01");
    let itself =
        Station { demonstration_level: text("省级"), demonstration_batch: text("第一批"), ..here.clone() };
    let recognised = |level, on, until| record("recognitions", level, &demonstration("s", level, on, until));
    let of = |station: &Station, others: &[Record]| of_station(station, others, "station_demonstration");
    assert!(of(&here, &[]).is_empty());
    assert_eq!(
        of(&itself, &[]),
        ["2021-06-01 batch=第一批;level=省级 +1!+1", "2024-01-01 batch=第一批;level=省级 -1!-1"],
        "since it opened at the earliest, and flagged"
    );
    let one = recognised("市级", "2022-12-01", "2023-05-01");
    let expected = ["2022-12-01 batch=UNKNOWN;level=市级 +1", "2023-05-01 batch=UNKNOWN;level=市级 -1"];
    assert_eq!(
        of(&itself, std::slice::from_ref(&one)),
        expected,
        "what was recognised goes before what it says itself"
    );
    let two = [one, recognised("省级", "2023-02-01", "")];
    let days: Vec<String> = of(&here, &two).iter().map(|fact| fact.replace("batch=UNKNOWN;level=", "")).collect();
    assert_eq!(days, ["2022-12-01 市级 +1", "2023-02-01 市级 -1", "2023-02-01 省级 +1", "2024-01-01 省级 -1"]);
    let undated = of(&here, &[recognised("市级", "", "")]);
    assert_eq!(undated[0], "2021-06-01 batch=UNKNOWN;level=市级 +1!+1");
    let award = Recognition { kind: Some(2), ..demonstration("s", "", "2022-12-01", "") };
    assert!(of(&here, &[record("recognitions", "1", &award)]).is_empty());
}

#[test]
fn the_newest_assessment_decides_whether_the_standard_is_met() {
    let here = station(CountyMain, "640104", "2021-06-01", "");
    let itself = |haves| Station { six_haves: (1..=haves).collect(), ..here.clone() };
    let of = |station: &Station, others: &[Record]| of_station(station, others, "station_standard_met");
    let assessed = |id, haves, on, until| record("assessments", id, &assessment("s", haves, on, until));
    assert_eq!(of(&itself(6), &[]), ["2021-06-01 +1!+1"]);
    assert!(of(&itself(5), &[]).is_empty());
    let first = assessed("1", 6, "2022-05-10", "2025-05-10");
    assert_eq!(of(&here, std::slice::from_ref(&first)), ["2022-05-10 +1", "2025-05-10 -1"]);
    let both = [first, assessed("2", 5, "2023-05-10", "")];
    assert_eq!(of(&itself(6), &both), ["2022-05-10 +1", "2023-05-10 -1"]);
    let silent = assessment("s", 0, "2023-05-10", "");
    assert_eq!(
        of(&itself(6), &[record("assessments", "3", &silent)]),
        ["2021-06-01 +1!+1"],
        "it does not speak of them"
    );
    let none = record("assessments", "3", &Assessment { none_of_six: Some(true), ..silent });
    assert!(of(&itself(6), std::slice::from_ref(&none)).is_empty(), "it says that there are none");
    let first = assessed("1", 6, "2022-05-10", "");
    assert_eq!(of(&here, &[first, none]), ["2022-05-10 +1", "2023-05-10 -1"]);
}

#[test]
fn a_station_is_assessed_by_its_newest_assessment() {
    let here = station(CountyMain, "640104", "2021-06-01", "");
    let by = |standard: &str, passed, on: &str| Assessment {
        template: text("nodes/64/templates/1"),
        standard: text(standard),
        passed,
        ..assessment("s", 0, on, "")
    };
    let all = [
        record("assessments", "1", &by("规范 2022", Some(false), "2022-05-10")),
        record("assessments", "2", &by("规范 2023", Some(true), "2023-05-10")),
        record("assessments", "3", &by("指引 2024", None, "2024-05-10")),
        record("assessments", "4", &assessment("s", 6, "2025-05-10", "")),
    ];
    let dims = |passed: &str, template: &str| format!("passed={passed};template={template}");
    let [failed, passed, unsaid] =
        [dims("FALSE", "规范 2022"), dims("TRUE", "规范 2023"), dims("UNKNOWN", "指引 2024")];
    assert_eq!(
        of_station(&here, &all, "station_assessed"),
        [
            format!("2022-05-10 {failed} +1"),
            format!("2023-05-10 {failed} -1"),
            format!("2023-05-10 {passed} +1"),
            format!("2024-05-10 {passed} -1"),
            format!("2024-05-10 {unsaid} +1"),
        ]
    );
}

#[test]
fn a_person_counts_where_they_are_employed_at_the_time() {
    let at = |division: &str, sector: Option<i32>, since: &str, until: &str| Employment {
        division: text(division),
        sector,
        ..employment("", since, until)
    };
    let records = [
        record("workers", "w", &worker("6402", "2015-01-01", "2023-01-01")),
        record("employments", "1", &at("640104", Some(3), "2016-01-01", "2018-01-01")),
        record("employments", "2", &at("640122", None, "2017-06-01", "2018-01-01")),
        // It says not where, and goes on after they left.
        record("employments", "3", &at("", Some(4), "2020-01-01", "")),
        record("certificates", "1", &certificate("w", Assistant, "2015-03-01", "")),
    ];
    let expected = [
        "2015-01-01 6402 sector=AGENCY +1",
        "2016-01-01 6402 sector=AGENCY -1",
        "2016-01-01 640104 sector=INSTITUTION +1",
        "2017-06-01 640104 sector=INSTITUTION -1",
        "2017-06-01 640122 sector=AGENCY +1",
        "2018-01-01 640122 sector=AGENCY -1",
        "2018-01-01 6402 sector=AGENCY +1",
        "2020-01-01 6402 sector=AGENCY -1",
        "2020-01-01 6402 sector=COMMUNITY +1",
        "2023-01-01 6402 sector=COMMUNITY -1",
    ];
    let counted = person(&records);
    assert_eq!(told(&counted, "talent_total"), expected);
    let certified = told(&counted, "certified_total");
    assert_eq!(certified[0], "2015-03-01 6402 level=ASSISTANT;sector=AGENCY +1");
    assert!(certified.contains(&"2016-01-01 640104 level=ASSISTANT;sector=INSTITUTION +1".to_owned()));
    assert!(counted.problems.is_empty());
    assert!(person(&records[1..]).facts.is_empty(), "without their record nobody is counted");
}

#[test]
fn an_incubation_is_at_each_of_its_stages() {
    let stage = |stage: i32, on: &str| IncubationStage { stage: Some(stage), on: text(on) };
    let with = |stages: Vec<IncubationStage>| {
        let incubation = Incubation {
            division: text("6401"),
            stage: Some(3),
            stages,
            since: text("2022-03-01"),
            until: text("2024-01-01"),
            ..Incubation::default()
        };
        told(&counted("incubation", &["i"], &[record("incubations", "i", &incubation)]), "incubation_total")
    };
    assert_eq!(with(vec![]), ["2022-03-01 6401 stage=GRADUATED +1", "2024-01-01 6401 stage=GRADUATED -1"]);
    assert_eq!(
        with(vec![stage(1, "2022-03-05"), stage(2, "2022-06-01"), stage(3, "2023-06-01")]),
        [
            "2022-03-01 6401 stage=ENTERED +1",
            "2022-06-01 6401 stage=ENTERED -1",
            "2022-06-01 6401 stage=INCUBATING +1",
            "2023-06-01 6401 stage=INCUBATING -1",
            "2023-06-01 6401 stage=GRADUATED +1",
            "2024-01-01 6401 stage=GRADUATED -1",
        ]
    );
}

#[test]
fn a_recognition_of_nobody_is_missed_at_a_station() {
    let withheld = record("recognitions", "r", &demonstration("", "省级", "2022-12-01", ""));
    let nobodys = counted("recognition", &["r"], std::slice::from_ref(&withheld));
    assert!(nobodys.problems.iter().any(|problem| {
        problem.indicator == "station_demonstration" && problem.trouble == Trouble::Unattached("station".into())
    }));
    let elsewhere = Recognition { agency: text("nodes/64/agencies/a"), ..demonstration("", "", "2022-12-01", "") };
    let elsewhere = counted("recognition", &["r"], &[record("recognitions", "r", &elsewhere)]);
    assert!(elsewhere.problems.iter().all(|problem| problem.indicator != "station_demonstration"));
}

#[test]
fn a_post_stands_for_as_many_as_it_says() {
    let with =
        |count| counted("post", &["p"], &[record("posts", "p", &post("640104", count, "2021-01-01", "2023-01-01"))]);
    let dims = "category=管理;sector=UNKNOWN";
    let expected = [format!("2021-01-01 640104 {dims} +3"), format!("2023-01-01 640104 {dims} -3")];
    assert_eq!(told(&with(3), "post_total"), expected);
    let withheld = with(0);
    assert!(withheld.facts.is_empty());
    assert_eq!(withheld.problems.first().unwrap().trouble, Trouble::Unweighted("count".into()));
}

#[test]
fn a_bilingual_station_has_two_languages() {
    let with = |languages: &[&str]| {
        let mut station = station(CountyMain, "640104", "2021-06-01", "");
        station.languages = languages.iter().map(|l| (*l).to_owned()).collect();
        told(&counted("station", &["s"], &[record("stations", "s", &station)]), "station_bilingual").len()
    };
    assert_eq!([with(&[]), with(&["zh"]), with(&["zh", "ug"])], [0, 0, 1]);
}

proptest! {
    #[test]
    fn a_person_is_one_whatever_their_records_say(
        workers in vec((0..4_usize, 0..6_usize, 0..6_usize), 0..4),
        certificates in vec((0..4_usize, 0..4_i32, 0..6_usize, 0..6_usize), 0..5),
        employments in vec((0..4_usize, 0..6_usize, 0..6_usize), 0..3),
    ) {
        const DAYS: [&str; 6] = ["", "2015-03-01", "2018-06-15", "2018-06-16", "2021-12-31", "2022"];
        let area = |i: usize| ["6401", "640104", "3502", ""][i];
        let ids = ["w", "v", "u"];
        let mut records: Vec<Record> = workers.iter().zip(ids).map(|((a, s, u), id)| record("workers", id, &worker(area(*a), DAYS[*s], DAYS[*u]))).collect();
        records.extend(certificates.iter().enumerate().map(|(i, (w, level, issued, until))| {
            let mut told = certificate(ids.get(*w).unwrap_or(&"w"), Assistant, DAYS[*issued], DAYS[*until]);
            told.level = Some(*level);
            record("certificates", &i.to_string(), &told)
        }));
        records.extend(employments.iter().enumerate().map(|(i, (a, s, u))| {
            let told = Employment { division: text(area(*a)), ..employment("", DAYS[*s], DAYS[*u]) };
            record("employments", &i.to_string(), &told)
        }));
        let counted = counted("person", &ids, &records);
        for indicator in ["talent_total", "certified_total"] {
            let mut sum = 0;
            let mut per_day = BTreeMap::<String, i64>::new();
            for (spot, amount) in counted.facts.iter().filter(|(spot, _)| spot.indicator == indicator) {
                *per_day.entry(spot.day.clone()).or_default() += amount.value;
            }
            for (day, change) in per_day {
                sum += change;
                prop_assert!((0..=1).contains(&sum), "{} {} {}", indicator, day, sum);
            }
        }
        records.reverse();
        prop_assert_eq!(super::count(catalogue().unwrap(), "person", &ids.map(|id| name("workers", id)).into(), &records), counted);
    }
}

#[test]
fn what_has_no_area_or_no_day_is_listed() {
    let trouble = |records: &[Record]| counted("agency", &["a"], records).problems.into_iter().next().unwrap().trouble;
    assert_eq!(trouble(&[record("agencies", "a", &agency("", "2015-03-01"))]), Trouble::Nowhere);
    assert_eq!(trouble(&[record("agencies", "a", &agency("640104", "2015"))]), Trouble::NotADay("founded_on".into()));
    let mut closed = agency("640104", "2015-03-01");
    closed.closed_on = text("2014-01-01");
    assert_eq!(trouble(&[record("agencies", "a", &closed)]), Trouble::OutOfOrder);
    let unreadable = Record::new("nodes/64/agencies/a".parse().unwrap(), vec![0x0b].into(), None);
    assert_eq!(trouble(&[unreadable]), Trouble::Unreadable);
}
