//! A subject's dated facts: a pure function of the newest versions of its records. What cannot be counted is listed
//! instead.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use qianshou_kernel::{clock::format_day, id::Area};
use time::Date;

use super::{
    catalogue::{Catalogue, Count, Holding, Source, When},
    record::{Field, Record, Rule, UNKNOWN},
    tally::{Amount, Facts, OPENING, Spot, dims_text},
};

/// What a subject contributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// What counts.
    pub facts: Facts,
    /// What does not, and why.
    pub problems: BTreeSet<Problem>,
}

/// A record that is missing from an indicator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Its name.
    pub record: String,
    /// Id of the indicator.
    pub indicator: String,
    /// Its own area, if it has one.
    pub area: String,
    /// Why.
    pub trouble: Trouble,
}

/// Why a record cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It waits for this record.
    Waits(String),
    /// It does not say which record it belongs to, by this field.
    Unattached(String),
    /// A day is needed in this field.
    Undated(String),
    /// What is in this field is no day.
    NotADay(String),
    /// It leaves before it enters.
    OutOfOrder,
    /// It does not say in this field how many it stands for.
    Unweighted(String),
    /// No area can be found for it.
    Nowhere,
    /// Its bytes cannot be read.
    Unreadable,
}

impl Trouble {
    /// Why, with the next step: Chinese and English.
    #[must_use]
    pub fn texts(&self) -> (String, String) {
        match self {
            Self::Waits(name) => (
                format!("所属记录{name}尚未到达或已删除；该记录到达后自动计入，请登记或交换该记录"),
                format!(
                    "waits for {name}, which is not here or was deleted; it counts as soon as that record is saved or received"
                ),
            ),
            Self::Unattached(field) => (
                format!("{field}：未说明所属记录；请补填，或在协议中共享该字段"),
                format!(
                    "{field}: does not say which record it belongs to; fill it in, or share the field in the agreement"
                ),
            ),
            Self::Undated(field) => (
                format!("{field}：缺少日期，无法计入；请补填，或在协议中共享该字段"),
                format!("{field}: has no date and is counted nowhere; fill it in, or share the field in the agreement"),
            ),
            Self::NotADay(field) => (
                format!("{field}：不是有效日期，请改为 2023-05-01 的形式"),
                format!("{field}: not a day; write it as 2023-05-01"),
            ),
            Self::OutOfOrder => {
                ("结束日期早于开始日期，请核对".to_owned(), "it ends before it begins; check both dates".to_owned())
            }
            Self::Unweighted(field) => (
                format!("{field}：缺少数量，无法计入；请补填，或在协议中共享该字段"),
                format!(
                    "{field}: says no number and is counted nowhere; fill it in, or share the field in the agreement"
                ),
            ),
            Self::Nowhere => (
                "缺少有效的区划代码；请补填，或在协议中共享该字段".to_owned(),
                "no valid division code; fill it in, or share the field in the agreement".to_owned(),
            ),
            Self::Unreadable => (
                "记录内容无法读取，请由其所属节点重新保存".to_owned(),
                "the record cannot be read; have its home save it again".to_owned(),
            ),
        }
    }
}

/// Counts one subject. `key`: which kind of subject; `roots`: the names of its roots, here or not; `records`: the
/// newest version of every record that belongs to it, in any order.
#[must_use]
pub fn count(catalogue: &Catalogue, key: &str, roots: &BTreeSet<String>, records: &[Record]) -> Counted {
    let mut counted = Counted::default();
    for (indicator, told) in tell(catalogue, key, (roots, records), &mut counted.problems) {
        told.add_to(&mut counted.facts, indicator);
    }
    counted
}

/// What one unit of a subject tells of each indicator; what it cannot tell goes to the problems.
pub(super) fn tell<'c>(
    catalogue: &'c Catalogue,
    key: &'c str,
    (roots, records): (&BTreeSet<String>, &[Record]),
    problems: &mut BTreeSet<Problem>,
) -> Vec<(&'c str, Told)> {
    let Some(subject) = catalogue.subject(key) else {
        return vec![];
    };
    let records: &[Record] = &at_steps(catalogue, records);
    let here: BTreeSet<&str> =
        records.iter().filter(|r| subject.root.as_deref() == Some(r.kind())).map(Record::name).collect();
    let mut whole: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    let mut waiting = vec![];
    let mut missed = vec![];
    let made = subject.joint.as_ref().map(|(joint, kind)| joint.made(kind, records));
    for record in records {
        if let Some(field) = subject.shared.get(record.kind()).filter(|field| record.texts(field).next().is_none()) {
            waiting.push((record, Trouble::Unattached(field.name().to_owned())));
            continue;
        }
        let Some(field) = subject.members.get(record.kind()).map(|member| &member.field) else {
            whole.entry(record.kind()).or_default().push(record);
            missed.extend(catalogue.missed(record).map(|(key, field)| (key, record, field)));
            continue;
        };
        match record.text(field) {
            Some(root) if here.contains(root) => whole.entry(record.kind()).or_default().push(record),
            Some(root) if roots.contains(root) => waiting.push((record, Trouble::Waits(root.to_owned()))),
            // Moved to another subject by a version that is not followed yet.
            _ if !roots.contains(record.name()) => {}
            Some(_) | None => waiting.push((record, Trouble::Unattached(field.name().to_owned()))),
        }
    }
    let mut groups: Vec<BTreeMap<&str, Vec<&Record>>> = match &made {
        // What is made is counted each for itself, and the halves are not.
        Some(made) => made.iter().map(|records| by_kind(records)).collect(),
        None => vec![whole],
    };
    groups.iter_mut().flat_map(BTreeMap::values_mut).for_each(|records| records.sort_by_key(|r| r.name()));

    let nothing = BTreeMap::new();
    let mut all = vec![];
    for (key, record, field) in missed {
        for (indicator, count) in catalogue.counts(key).filter(|(_, count)| speaks_of(count, record)) {
            let mut counter = Counter { catalogue, indicator, count, records: &nothing, problems };
            counter.list(record, Trouble::Unattached(field.name().to_owned()));
        }
    }
    for (indicator, count) in catalogue.counts(key) {
        let counts = |record: &Record| subject.joint.is_some() || speaks_of(count, record);
        let mut counter = Counter { catalogue, indicator, count, records: &nothing, problems };
        for (record, trouble) in waiting.iter().filter(|(record, _)| counts(record)) {
            counter.list(record, trouble.clone());
        }
        for group in &groups {
            let mut counter = Counter { catalogue, indicator, count, records: group, problems };
            let told = match &count.when {
                When::Stock { highest, alongside } => Told::Stock(counter.stock(highest.as_ref(), alongside)),
                When::Flow { on, once } => Told::Flow(counter.flow(on, once)),
            };
            all.push((indicator, told));
        }
    }
    all
}

/// The records as they were at each of their steps.
fn at_steps<'a>(catalogue: &Catalogue, records: &'a [Record]) -> Cow<'a, [Record]> {
    let steps = |record: &Record| catalogue.holding(record.kind()).and_then(|holding| holding.steps.as_ref());
    if records.iter().all(|record| steps(record).is_none()) {
        return Cow::Borrowed(records);
    }
    let at = |record: &Record| steps(record).map_or_else(|| vec![record.clone()], |steps| record.at_steps(steps));
    Cow::Owned(records.iter().flat_map(at).collect())
}

/// Whether an indicator counts records of this kind, or what cannot be read.
fn speaks_of(count: &Count, record: &Record) -> bool {
    let source = count.sources.iter().find(|source| source.from == record.kind());
    source.is_some_and(|source| !record.is_readable() || record.meets(&source.conditions))
}

fn by_kind(records: &[Record]) -> BTreeMap<&str, Vec<&Record>> {
    let mut kinds: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    records.iter().for_each(|record| kinds.entry(record.kind()).or_default().push(record));
    kinds
}

/// From the first day a record holds to the first day it no longer does.
#[derive(Clone, Copy, Debug)]
struct Span<'a> {
    record: &'a Record,
    enters: Date,
    leaves: Option<Date>,
    /// The record does not say since when.
    opening: bool,
}

impl Span<'_> {
    fn holds(&self, day: Date) -> bool {
        self.enters <= day && self.leaves.is_none_or(|leaves| day < leaves)
    }
}

/// Where and as what a subject counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// One, or two that it counts at.
    pub(super) areas: BTreeSet<String>,
    pub(super) dims: String,
    pub(super) opening: bool,
    pub(super) weight: i64,
}

impl State {
    /// Adds it on a day, or takes it away.
    fn add_to(&self, facts: &mut Facts, indicator: &str, day: Date, sign: i64) {
        let value = sign * self.weight;
        let mut add = |area: &str, value: i64| {
            let spot = Spot {
                indicator: indicator.to_owned(),
                area: area.to_owned(),
                dims: self.dims.clone(),
                day: format_day(day),
            };
            facts.add(spot, Amount { value, opening: if self.opening { value } else { 0 } });
        };
        self.areas.iter().for_each(|area| add(area, value));
        // At two places: above both it counts once.
        if let (Some(one), Some(other), 2) = (self.areas.first(), self.areas.last(), self.areas.len()) {
            add(common(one, other), -value);
        }
    }
}

/// Which of several records counts at an instant: the highest value, then the latest that entered, then the last by name.
pub(super) type Rank = (Option<i64>, Date, String);

/// An event, told by what makes it one.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) of: Vec<String>,
    pub(super) day: Date,
    pub(super) record: String,
    pub(super) state: State,
}

/// What one indicator counts of one unit.
#[derive(Debug)]
pub(super) enum Told {
    /// From each of these days on, in their order.
    Stock(Vec<(Date, Option<(Rank, State)>)>),
    /// On single days.
    Flow(Vec<Event>),
}

impl Told {
    pub(super) fn add_to(&self, facts: &mut Facts, indicator: &str) {
        match self {
            Self::Stock(changes) => {
                let mut before: Option<&State> = None;
                for (day, now) in changes {
                    let now = now.as_ref().map(|(_, state)| state);
                    before.into_iter().for_each(|state| state.add_to(facts, indicator, *day, -1));
                    now.into_iter().for_each(|state| state.add_to(facts, indicator, *day, 1));
                    before = now;
                }
            }
            Self::Flow(events) => events.iter().for_each(|e| e.state.add_to(facts, indicator, e.day, 1)),
        }
    }
}

/// One indicator over one subject.
struct Counter<'a, 'p> {
    catalogue: &'a Catalogue,
    indicator: &'a str,
    count: &'a Count,
    records: &'a BTreeMap<&'a str, Vec<&'a Record>>,
    problems: &'p mut BTreeSet<Problem>,
}

impl<'a> Counter<'a, '_> {
    fn list(&mut self, record: &Record, trouble: Trouble) {
        let area = self.catalogue.holding(record.kind()).and_then(|holding| record.area(&holding.area));
        self.problems.insert(Problem {
            record: record.name().to_owned(),
            indicator: self.indicator.to_owned(),
            area: area.map(|area| area.as_str().to_owned()).unwrap_or_default(),
            trouble,
        });
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &'a Record> + use<'a> {
        self.records.get(kind).into_iter().flatten().copied()
    }

    /// The subject enters where it begins to be counted in some way and leaves where it ends to be: at each instant
    /// it is counted once.
    fn stock(
        &mut self,
        highest: Option<&Field>,
        alongside: &[(String, Vec<Rule>)],
    ) -> Vec<(Date, Option<(Rank, State)>)> {
        let Some((source, mut spans)) = self.source() else {
            return vec![];
        };
        if !alongside.is_empty() && !spans.is_empty() {
            let others = union(alongside.iter().flat_map(|(kind, rules)| self.spans(kind, rules)).collect());
            spans =
                spans.into_iter().flat_map(|span| others.iter().filter_map(move |other| both(span, *other))).collect();
        }
        let places = self.places();
        let ends = spans.iter().chain(&places).flat_map(|span| [Some(span.enters), span.leaves]).flatten();
        let days: BTreeSet<Date> = ends.collect();
        let mut changes: Vec<(Date, Option<(Rank, State)>)> = vec![];
        for day in days {
            let rank = |span: &&Span<'a>| {
                (highest.and_then(|field| span.record.number(field)), span.enters, span.record.name())
            };
            let winner = spans.iter().filter(|span| span.holds(day)).max_by_key(rank);
            let winner = winner.filter(|span| span.record.meets(&source.counts_if));
            let now = winner.and_then(|span| {
                let (value, enters, name) = rank(&span);
                Some(((value, enters, name.to_owned()), self.state(source, span, &places, day)?))
            });
            if changes.last().map_or(now.is_some(), |(_, before)| *before != now) {
                changes.push((day, now));
            }
        }
        changes
    }

    /// The first source that a record speaks to, else the last, with the spans of its records.
    fn source(&mut self) -> Option<(&'a Source, Vec<Span<'a>>)> {
        let mut found = None;
        for source in &self.count.sources {
            found = Some((source, self.spans(&source.from, &source.conditions)));
            if self.of_kind(&source.from).any(|record| record.is_readable() && record.meets(&source.conditions)) {
                break;
            }
        }
        found
    }

    /// Every event counts on its day, the earliest that is told of it.
    fn flow(&mut self, on: &Field, once: &[Field]) -> Vec<Event> {
        let Some(source) = self.count.sources.first() else {
            return vec![];
        };
        let places = self.places();
        let mut events: BTreeMap<Vec<String>, Span<'a>> = BTreeMap::new();
        for record in self.of_kind(&source.from).filter(|r| !r.is_readable() || r.meets(&source.conditions)) {
            let enters = match record.day(on) {
                _ if !record.is_readable() => Err(Trouble::Unreadable),
                Ok(day) => day.ok_or_else(|| Trouble::Undated(on.name().to_owned())),
                Err(_) => Err(Trouble::NotADay(on.name().to_owned())),
            };
            match enters {
                Err(trouble) => self.list(record, trouble),
                Ok(day) if record.cut().is_some_and(|cut| cut <= day) => {}
                Ok(enters) => {
                    let known = !once.is_empty() && !once.iter().any(|field| record.lacks(field));
                    let event = if known {
                        once.iter().map(|field| record.shown(field)).collect()
                    } else {
                        vec![record.name().to_owned()]
                    };
                    let span = Span { record, enters, leaves: None, opening: false };
                    let earliest = events.entry(event).or_insert(span);
                    *earliest = if enters < earliest.enters { span } else { *earliest };
                }
            }
        }
        let told = events.into_iter().filter_map(|(of, span)| {
            let state = self.state(source, &span, &places, span.enters)?;
            Some(Event { of, day: span.enters, record: span.record.name().to_owned(), state })
        });
        told.collect()
    }

    /// The spans of all records of a kind that meet the rules; those that have none for a reason are listed.
    fn spans(&mut self, kind: &str, rules: &[Rule]) -> Vec<Span<'a>> {
        let Some(holding) = self.catalogue.holding(kind) else {
            return vec![];
        };
        let mut spans = vec![];
        for record in self.of_kind(kind) {
            match span(holding, record) {
                Ok(Some(span)) if record.meets(rules) => spans.push(span),
                Err(trouble) if record.meets(rules) || trouble == Trouble::Unreadable => self.list(record, trouble),
                _ => {}
            }
        }
        spans
    }

    /// The spans of the records that give the area, whatever else is wrong with them.
    fn places(&self) -> Vec<Span<'a>> {
        let itself = |kind: &&String| self.count.sources.iter().all(|source| source.from == **kind);
        let kinds = self.count.placed_by.iter().filter(|kind| !itself(kind));
        let holding = kinds.filter_map(|kind| Some((kind, self.catalogue.holding(kind)?)));
        let place = |holding: &Holding, record: &'a Record| {
            let enters = record.day(&holding.enters).ok().flatten();
            let leaves = holding.end(record);
            Span { record, enters: enters.unwrap_or(OPENING), leaves, opening: enters.is_none() }
        };
        let spans = holding.flat_map(|(kind, holding)| {
            self.of_kind(kind).filter(|r| r.is_readable()).map(move |record| place(holding, record))
        });
        spans.collect()
    }

    /// The records that say where and as what, on a day, the preferred first: of those before the last only what holds.
    fn placing(&self, source: &Source, span: &Span<'a>, places: &[Span<'a>], day: Date) -> Vec<&'a Record> {
        let last = self.count.placed_by.last();
        let record = |kind: &String| {
            if *kind == source.from {
                return Some(span.record);
            }
            let of_kind: Vec<Span<'a>> = places.iter().filter(|place| place.record.kind() == kind).copied().collect();
            let only_now = last != Some(kind);
            place_on(&of_kind, day).filter(|(_, holds)| *holds || !only_now).map(|(record, _)| record)
        };
        self.count.placed_by.iter().filter_map(record).collect()
    }

    /// Where and as what the record that counts on a day counts.
    fn state(&mut self, source: &Source, span: &Span<'a>, places: &[Span<'a>], day: Date) -> Option<State> {
        let placing = self.placing(source, span, places, day);
        let areas = |record: &&Record| -> BTreeSet<String> {
            let own: Vec<&Field> =
                self.catalogue.holding(record.kind()).map(|holding| &holding.area).into_iter().collect();
            let fields = if self.count.areas.is_empty() { own } else { self.count.areas.iter().collect() };
            fields.iter().filter_map(|field| record.area(field)).map(|area| area.as_str().to_owned()).collect()
        };
        let Some(areas) = placing.iter().map(areas).find(|areas| !areas.is_empty()) else {
            self.list(span.record, Trouble::Nowhere);
            return None;
        };
        let weight = match &self.count.weight {
            Some(field) => span.record.number(field).ok_or_else(|| field.name().to_owned()),
            None => Ok(1),
        };
        let weight = weight.map_err(|field| self.list(span.record, Trouble::Unweighted(field))).ok()?;
        let dims = source.dimensions.iter().map(|(name, from)| {
            let at_hand = |kind: &String| {
                if *kind == source.from {
                    Some(span.record)
                } else {
                    placing.iter().copied().find(|r| r.kind() == kind)
                }
            };
            let mut shown = from.iter().filter_map(|(kind, field)| Some(at_hand(kind)?.shown(field)));
            (name.as_str(), shown.find(|value| value != UNKNOWN).unwrap_or_else(|| UNKNOWN.to_owned()))
        });
        let opening = source.undated || span.opening;
        Some(State { areas, dims: dims_text(dims), opening, weight })
    }
}

/// When a record holds; `None`: never.
fn span<'a>(holding: &Holding, record: &'a Record) -> Result<Option<Span<'a>>, Trouble> {
    if !record.is_readable() {
        return Err(Trouble::Unreadable);
    }
    if !record.meets(&holding.conditions) {
        return Ok(None);
    }
    if let Some((_, field)) = holding.needs.iter().find(|(rules, field)| record.meets(rules) && record.lacks(field)) {
        return Err(Trouble::Undated(field.name().to_owned()));
    }
    let day = |field: &Field| record.day(field).map_err(|_| Trouble::NotADay(field.name().to_owned()));
    let not_before = holding.not_before.as_ref().map(day).transpose()?.flatten();
    let enters = day(&holding.enters)?.into_iter().chain(not_before).max().unwrap_or(OPENING);
    let mut ends = vec![];
    for field in &holding.leaves {
        ends.extend(day(field)?);
    }
    for field in &holding.leaves_after {
        ends.extend(day(field)?.and_then(Date::next_day));
    }
    let leaves = ends.into_iter().min();
    if leaves.is_some_and(|leaves| leaves < enters) {
        return Err(Trouble::OutOfOrder);
    }
    let leaves = leaves.into_iter().chain(record.cut()).min();
    let span = Span { record, enters, leaves, opening: enters == OPENING };
    Ok(leaves.is_none_or(|leaves| enters < leaves).then_some(span))
}

/// The record that gives the place on a day, and whether it holds then: of those that hold the latest that entered, else the latest that
/// entered before, else the earliest.
fn place_on<'a>(places: &[Span<'a>], day: Date) -> Option<(&'a Record, bool)> {
    let rank = |span: &&Span<'a>| (span.enters, span.record.name());
    let holding = places.iter().filter(|span| span.holds(day)).max_by_key(rank);
    let before = || places.iter().filter(|span| span.enters <= day).max_by_key(rank);
    let place = holding.or_else(before).or_else(|| places.iter().min_by_key(rank));
    place.map(|span| (span.record, span.holds(day)))
}

/// The smallest area that holds both.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let holds = |digits: &usize| one.get(..*digits).is_some_and(|area| other.starts_with(area));
    [12, 9, 6, 4, 2].iter().find(|digits| holds(digits)).map_or(Area::NATION, |digits| &one[..*digits])
}

/// Spans joined where they meet.
fn union(mut spans: Vec<Span<'_>>) -> Vec<Span<'_>> {
    spans.sort_by_key(|span| span.enters);
    let mut joined: Vec<Span<'_>> = vec![];
    for span in spans {
        match joined.last_mut() {
            Some(last) if last.leaves.is_none_or(|leaves| span.enters <= leaves) => {
                last.leaves = last.leaves.zip(span.leaves).map(|(one, other)| one.max(other));
            }
            _ => joined.push(span),
        }
    }
    joined
}

/// The part of a span in which another holds as well.
fn both<'a>(span: Span<'a>, other: Span<'_>) -> Option<Span<'a>> {
    let enters = span.enters.max(other.enters);
    let leaves = span.leaves.into_iter().chain(other.leaves).min();
    leaves.is_none_or(|leaves| enters < leaves).then_some(Span { enters, leaves, ..span })
}

#[cfg(test)]
mod tests;
