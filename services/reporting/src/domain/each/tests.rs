use proptest::{collection::vec, prelude::*};
use qianshou_proto::registry::v1::{CertificateLevel::Assistant, Employment};

use super::*;
use crate::domain::{
    catalogue::catalogue,
    facts,
    testing::{certificate, employment, name, record, text, worker},
};

const AREAS: [&str; 5] = ["640104", "640104012", "640122", "6401", "350102"];
const DAYS: [&str; 6] = ["", "2015-03-01", "2018-06-15", "2018-06-16", "2021-12-31", "2023-02-01"];
const IDS: [&str; 3] = ["w", "v", "u"];

/// What somebody's record at one county says: the worker, certificates, an employment.
type Said = ((usize, usize, usize), Vec<(i32, usize, usize)>, Option<(usize, usize, usize)>);

fn unit(id: &str, ((area, since, until), certificates, employed): &Said) -> (BTreeSet<String>, Vec<Record>) {
    let mut records = vec![record("workers", id, &worker(AREAS[*area], DAYS[*since], DAYS[*until]))];
    records.extend(certificates.iter().enumerate().map(|(i, (level, issued, until))| {
        let mut told = certificate(id, Assistant, DAYS[*issued], DAYS[*until]);
        told.level = Some(*level);
        record("certificates", &format!("{id}{i}"), &told)
    }));
    records.extend(employed.map(|(area, since, until)| {
        let told = employment("", DAYS[since], DAYS[until]);
        let told = Employment { worker: text(&name("workers", id)), division: text(AREAS[area]), ..told };
        record("employments", id, &told)
    }));
    ([name("workers", id)].into(), records)
}

/// What an indicator has at every area at the end of a day.
fn at(facts: &Facts, indicator: &str, day: &str) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for (spot, amount) in &facts.tallies().days {
        if spot.indicator == indicator && spot.day.as_str() <= day {
            *sums.entry(spot.area.clone()).or_default() += amount.value;
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn flows(facts: &Facts, area: &str) -> i64 {
    let days = facts.tallies().days;
    days.iter().filter(|(spot, _)| spot.indicator == "certified_new" && spot.area == area).map(|(_, a)| a.value).sum()
}

#[test]
fn two_counties_count_one_person_each_and_their_city_once() {
    let here = ((0, 1, 0), vec![(1, 1, 0)], None);
    let there = ((2, 2, 0), vec![(3, 3, 0)], None);
    let facts = count(catalogue().unwrap(), "person", &[unit("w", &here), unit("v", &there)]).facts;
    let of = |indicator: &str, day: &str| at(&facts, indicator, day);
    let all = |areas: &[&str]| areas.iter().map(|area| ((*area).to_owned(), 1)).collect::<BTreeMap<_, _>>();
    assert_eq!(of("talent_total", "2016-01-01"), all(&["00", "64", "6401", "640104"]));
    assert_eq!(of("talent_total", "2019-01-01"), all(&["00", "64", "6401", "640104", "640122"]));
    assert_eq!(of("talent_total/several", "2016-01-01"), all(&[]));
    assert_eq!(of("talent_total/several", "2019-01-01"), all(&["00", "64", "6401"]));
    let levels = |area: &str| {
        let days = facts.tallies().days;
        let of = days.iter().filter(|(spot, _)| spot.indicator == "certified_total" && spot.area == area);
        of.map(|(spot, amount)| format!("{} {} {:+}", spot.day, spot.dims, amount.value)).collect::<Vec<_>>()
    };
    assert_eq!(levels("640104"), ["2015-03-01 level=ASSISTANT;sector=AGENCY +1"], "what the other says moves nothing");
    assert_eq!(levels("640122"), ["2018-06-16 level=SENIOR;sector=AGENCY +1"]);
    assert_eq!(levels("6401").len(), 3, "{:?}", levels("6401"));
    assert_eq!(["640104", "640122", "6401", "00"].map(|area| flows(&facts, area)), [1, 1, 2, 2]);
}

proptest! {
    #[test]
    fn each_county_has_its_own_figure_and_every_area_above_counts_once(
        said in vec(((0..5_usize, 0..6_usize, 0..6_usize), vec((1..4_i32, 0..6_usize, 0..6_usize), 0..3), proptest::option::of((0..5_usize, 1..6_usize, 0..6_usize))), 1..4),
    ) {
        let catalogue = catalogue().unwrap();
        let mut units: Vec<_> = said.iter().zip(IDS).map(|(said, id)| unit(id, said)).collect();
        let counted = count(catalogue, "person", &units);
        let own: Vec<Facts> = units.iter().map(|(roots, records)| facts::count(catalogue, "person", roots, records).facts).collect();
        for indicator in ["talent_total", "certified_total"] {
            for day in ["2014-01-01", "2015-03-01", "2018-06-15", "2018-06-16", "2022-01-01", "2024-01-01"] {
                let mut expected: BTreeMap<String, i64> = BTreeMap::new();
                let mut counties: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
                for facts in &own {
                    let areas = at(facts, indicator, day);
                    // The longest code is where it is.
                    let place = areas.keys().filter(|area| *area != "00").max_by_key(|area| area.len()).cloned();
                    for area in areas.into_keys() {
                        expected.insert(area.clone(), 1);
                        let county = place.clone().map(|place| place.chars().take(6).collect());
                        counties.entry(area).or_default().extend(county);
                    }
                }
                prop_assert_eq!(at(&counted.facts, indicator, day), expected, "{} {}", indicator, day);
                counties.retain(|_, counties| counties.len() > 1);
                let told = at(&counted.facts, &several(indicator), day);
                prop_assert_eq!(told.keys().collect::<Vec<_>>(), counties.keys().collect::<Vec<_>>(), "{} {}", indicator, day);
                prop_assert!(told.values().all(|count| *count == 1));
            }
        }
        units.reverse();
        for (_, records) in &mut units {
            records.reverse();
        }
        prop_assert_eq!(count(catalogue, "person", &units), counted);
    }
}
