//! A person whom several counties have registered counts in each of them by what that county says alone, and once in every area above
//! them. So no county changes what another counts, and the total is no sum of its parts: how many it has that count in several is told
//! beside it.
//!
//! A change at an area is added there and taken away in the area around it, whose own change is added for itself: what the tallies sum up
//! is right at every level.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{clock::format_day, id::Area};
use time::Date;

use super::{
    catalogue::Catalogue,
    facts::{Counted, Event, Rank, State, Told, tell},
    record::Record,
    tally::{Amount, Facts, Spot},
};

/// What stands behind an indicator's id for how many it counts in several counties.
const SEVERAL: &str = "/several";

/// The tally of how many an indicator counts in several counties.
#[must_use]
pub fn several(indicator: &str) -> String {
    format!("{indicator}{SEVERAL}")
}

/// Counts a subject of several units: each the names of roots that are said to be one, and the records that belong to them.
#[must_use]
pub fn count(catalogue: &Catalogue, key: &str, units: &[(BTreeSet<String>, Vec<Record>)]) -> Counted {
    let mut counted = Counted::default();
    let mut told: BTreeMap<&str, Vec<Told>> = BTreeMap::new();
    for (roots, records) in units {
        for (indicator, of) in tell(catalogue, key, (roots, records), &mut counted.problems) {
            told.entry(indicator).or_default().push(of);
        }
    }
    for (indicator, units) in told {
        let mut add = Add { indicator, facts: &mut counted.facts };
        stock(&mut add, &units);
        flow(&mut add, &units);
    }
    counted
}

/// What counts at one area.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    dims: String,
    weight: i64,
    opening: bool,
    /// More than one county below says so.
    several: bool,
}

/// A stock of one unit: on each day that changes it, what it is from then on.
type History = Vec<(Date, Option<(Rank, State)>)>;
/// The first event of several that are one, and the counties that tell of it.
type Earliest<'a> = (&'a Event, BTreeSet<Area>);

/// Where facts of one indicator go.
struct Add<'a> {
    indicator: &'a str,
    facts: &'a mut Facts,
}

impl Add<'_> {
    /// Adds what is seen at one area, and at no other, or takes it away.
    fn at(&mut self, area: &str, day: Date, seen: &Seen, sign: i64) {
        let value = sign * seen.weight;
        let opening = if seen.opening { value } else { 0 };
        self.alone(self.indicator.to_owned(), area, day, &seen.dims, Amount { value, opening });
        if seen.several {
            self.alone(several(self.indicator), area, day, "", Amount { value: sign, opening: 0 });
        }
    }

    fn alone(&mut self, indicator: String, area: &str, day: Date, dims: &str, amount: Amount) {
        let spot = |area: &str| Spot {
            indicator: indicator.clone(),
            area: area.to_owned(),
            dims: dims.to_owned(),
            day: format_day(day),
        };
        self.facts.add(spot(area), amount);
        if let Some(around) = path(area).into_iter().rev().nth(1) {
            self.facts.add(spot(&around), Amount { value: -amount.value, opening: -amount.opening });
        }
    }
}

fn path(area: &str) -> Vec<String> {
    Area::parse(area).iter().flat_map(Area::path).map(str::to_owned).collect()
}

/// The areas that hold one of a state's, each with the counties of these.
fn around(state: &State) -> BTreeMap<String, BTreeSet<Area>> {
    let mut around: BTreeMap<String, BTreeSet<Area>> = BTreeMap::new();
    for area in state.areas.iter().filter_map(|area| Area::parse(area)) {
        for above in area.path() {
            around.entry(above.to_owned()).or_default().insert(area.county());
        }
    }
    around
}

/// At each area and instant the subject counts once if any unit does there: as the one says that ranks highest.
fn stock(add: &mut Add<'_>, units: &[Told]) {
    let histories = units.iter().filter_map(|told| if let Told::Stock(changes) = told { Some(changes) } else { None });
    let histories: Vec<&History> = histories.collect();
    let days: BTreeSet<Date> = histories.iter().flat_map(|changes| changes.iter().map(|(day, _)| *day)).collect();
    let mut now: Vec<Option<&(Rank, State)>> = vec![None; histories.len()];
    let mut before: BTreeMap<String, Seen> = BTreeMap::new();
    for day in days {
        for (now, changes) in now.iter_mut().zip(&histories) {
            for (_, state) in changes.iter().filter(|(changed, _)| *changed == day) {
                *now = state.as_ref();
            }
        }
        let seen = seen(now.iter().copied().flatten().map(|(rank, state)| (rank, state)));
        let areas: BTreeSet<&String> = before.keys().chain(seen.keys()).collect();
        for area in areas.into_iter().filter(|area| before.get(*area) != seen.get(*area)) {
            before.get(area).into_iter().for_each(|seen| add.at(area, day, seen, -1));
            seen.get(area).into_iter().for_each(|seen| add.at(area, day, seen, 1));
        }
        before = seen;
    }
}

fn seen<'a>(states: impl Iterator<Item = (&'a Rank, &'a State)>) -> BTreeMap<String, Seen> {
    let mut at: BTreeMap<String, (&Rank, &State, BTreeSet<Area>)> = BTreeMap::new();
    for (rank, state) in states {
        for (area, counties) in around(state) {
            let best = at.entry(area).or_insert((rank, state, BTreeSet::new()));
            if rank > best.0 {
                (best.0, best.1) = (rank, state);
            }
            best.2.extend(counties);
        }
    }
    at.into_iter().map(|(area, (_, state, counties))| (area, of(state, &counties))).collect()
}

fn of(state: &State, counties: &BTreeSet<Area>) -> Seen {
    let State { dims, weight, opening, .. } = state.clone();
    Seen { dims, weight, opening, several: counties.len() > 1 }
}

/// At each area an event counts on the earliest day that any unit tells of it there.
fn flow(add: &mut Add<'_>, units: &[Told]) {
    let mut at: BTreeMap<(String, &Vec<String>), Earliest<'_>> = BTreeMap::new();
    let events = units.iter().flat_map(|told| if let Told::Flow(events) = told { &events[..] } else { &[] });
    for event in events {
        for (area, counties) in around(&event.state) {
            let first = at.entry((area, &event.of)).or_insert((event, BTreeSet::new()));
            if (event.day, &event.record) < (first.0.day, &first.0.record) {
                first.0 = event;
            }
            first.1.extend(counties);
        }
    }
    for ((area, _), (event, counties)) in at {
        add.at(&area, event.day, &of(&event.state, &counties), 1);
    }
}

#[cfg(test)]
mod tests;
