//! What a followed entry means here: the subjects it touches are counted again, and what changed is added to the
//! tallies, in the commit that moves the cursor. The order of entries does not matter and repetition does nothing,
//! for a subject is always counted from the newest version of all its records.

pub(crate) mod lag;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use qianshou_kernel::{
    clock::format_day,
    error::Result,
    follow::Follower,
    ledger::{Ledger, Stored},
    person, succession,
    telemetry::Work,
};
use qianshou_proto::registry::v1 as api;

use crate::{
    domain::{
        catalogue::Catalogue,
        division::{self, Listed},
        each,
        facts::{self, Counted},
        record::Record,
        same::{Link, Same},
        tag,
        tally::{Amount, Facts, Spot},
    },
    store::{Change, Store},
};

/// Follows the ledger and keeps the tallies.
#[derive(Clone)]
pub(crate) struct Follow {
    ledger: Ledger,
    store: Store,
    catalogue: &'static Catalogue,
    kinds: Vec<&'static str>,
}

/// A record by name; `None`: it contributes nothing.
type Newest = BTreeMap<String, Option<Record>>;

impl Follower for Follow {
    const NAME: &'static str = "reporting";

    fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    async fn apply(&self, entries: Vec<Stored>, from: u64, to: u64) -> Result<()> {
        let causes: Vec<_> = entries.iter().filter_map(|entry| entry.trace).collect();
        let tally = async {
            let change = self.change(entries).await?;
            if !self.store.save(&Ledger::move_cursor(Self::NAME, from, to), to, change).await? {
                tracing::debug!(from, to, "another process counted these entries");
            }
            Ok(())
        };
        Work::begin(causes, || tracing::info_span!("reporting.tally")).run(tally).await
    }
}

impl Follow {
    pub fn new(ledger: Ledger, store: Store, catalogue: &'static Catalogue) -> Self {
        let kinds: BTreeSet<&str> = catalogue.kinds().chain([division::KIND, division::CHANGES, tag::KIND]).collect();
        let kinds = kinds.into_iter().collect();
        Self { ledger, store, catalogue, kinds }
    }

    /// What entries change. Read outside the transaction that saves it: if anything was followed meanwhile, the
    /// cursor has moved and nothing is saved.
    async fn change(&self, entries: Vec<Stored>) -> Result<Change> {
        let mut changed = self.newest(entries).await?;
        // They are counted, too.
        let tags = changed.iter().filter(|(name, _)| kind_of(name) == Some(tag::KIND));
        let tags = tags.map(|(name, record)| (name.clone(), record.as_ref().and_then(tag::tagged))).collect();
        let mut take = |kind: &str| -> Newest {
            let names: Vec<String> = changed.keys().filter(|name| kind_of(name) == Some(kind)).cloned().collect();
            names.into_iter().map(|name| (name.clone(), changed.remove(&name).flatten())).collect()
        };
        let divisions =
            take(division::KIND).into_iter().map(|(name, record)| (name, record.and_then(|r| listed_by(&r))));
        let divisions = divisions.collect();
        let history =
            take(division::CHANGES).into_iter().map(|(name, record)| (name, record.and_then(|r| changed_by(&r))));
        let history = history.collect();

        let said = self.catalogue.link_kinds().flat_map(take);
        let same: Links = said.map(|(name, record)| (name, record.and_then(|r| self.catalogue.link(&r)))).collect();

        let (members, roots, groups) = self.group(&changed, &same).await?;
        let told = self.told(&groups, &same).await?;
        let records = self.belonging(&members, &groups, changed).await?;
        let before = self.store.facts_by_subject(&list(groups.keys())).await?;
        let mut difference = Facts::default();
        let mut subjects = BTreeMap::new();
        for (subject, roots) in groups {
            let counted = self.count(&roots, &records, &told);
            let nothing = Facts::default();
            difference.add_all(&counted.facts.since(before.get(&subject).unwrap_or(&nothing)));
            subjects.insert(subject, counted);
        }
        Ok(Change { members, roots, subjects, difference, divisions, same, history, tags })
    }

    /// Where the changed records belong, which subjects that touches, before or after, and the roots that make each
    /// of these.
    async fn group(&self, changed: &Newest, links: &Links) -> Result<(Sets, BTreeMap<String, String>, Sets)> {
        let roots_of =
            |record: &Option<Record>| record.as_ref().map(|record| self.catalogue.roots(record)).unwrap_or_default();
        let members: Sets = changed.iter().map(|(name, record)| (name.clone(), roots_of(record))).collect();
        let was = self.store.roots_by_member(&list(changed.keys())).await?;
        let mut touched: BTreeSet<String> = members.values().flatten().chain(was.values().flatten()).cloned().collect();
        touched.extend(self.bound_by(changed).await?);
        let joining = self.joining(changed).await?;
        touched.extend(joining.keys().cloned());
        let (same, mut linked) = self.linked(&mut touched, links).await?;
        linked.extend(joining);

        let before = self.store.subject_by_root(&list(&touched)).await?;
        let subject_of = |root: &String| {
            let end = same.end(root);
            match changed.get(end).or_else(|| linked.get(end)) {
                Some(record) => self.catalogue.subject_name(end, record.as_ref()),
                None => before.get(end).cloned().unwrap_or_else(|| end.to_owned()),
            }
        };
        let roots: BTreeMap<String, String> = touched.iter().map(|root| (root.clone(), subject_of(root))).collect();
        let affected: BTreeSet<&String> = before.values().chain(roots.values()).collect();
        let mut groups = self.store.roots_by_subject(&list(affected)).await?;
        for (root, subject) in &roots {
            if let Some(group) = before.get(root).and_then(|subject| groups.get_mut(subject)) {
                group.remove(root);
            }
            groups.entry(subject.clone()).or_default().insert(root.clone());
        }
        Ok((members, roots, groups))
    }

    /// The roots of persons of whom records were erased elsewhere in the node, among these changed ones: from now on they join them.
    async fn joining(&self, changed: &Newest) -> Result<Newest> {
        let persons: BTreeSet<String> =
            changed.values().flatten().filter_map(|record| record.person().map(str::to_owned)).collect();
        let blinds = self.ledger.joining(&list(&persons)).await?;
        let roots = self.store.roots_by_subject(&self.catalogue.subjects_of(&blinds)).await?;
        let records =
            self.ledger.find(&list(roots.values().flatten().filter(|root| !changed.contains_key(*root)))).await?;
        self.newest(records.into_values().collect()).await
    }

    /// The roots of records that hold only within one that changed.
    async fn bound_by(&self, changed: &Newest) -> Result<BTreeSet<String>> {
        let bounds = |name: &&String| kind_of(name).is_some_and(|kind| self.catalogue.bounds(kind));
        let members = self.store.members_by_root(&list(changed.keys().filter(bounds))).await?;
        let is_within = |kind: &str| self.catalogue.holding(kind).is_some_and(|holding| holding.within.is_some());
        let bound = members.values().flatten().filter(|name| kind_of(name).is_some_and(is_within));
        Ok(self.store.roots_by_member(&list(bound)).await?.into_values().flatten().collect())
    }

    /// What is said to be the same as the touched roots, these added to them; and the records of all that links are or were about.
    async fn linked(&self, touched: &mut BTreeSet<String>, links: &Links) -> Result<(Same, Newest)> {
        let mut known = BTreeMap::new();
        let mut ends: BTreeSet<String> = BTreeSet::new();
        let mut new: Vec<String> = list(touched.iter().chain(links.keys()));
        while !new.is_empty() {
            known.extend(self.store.links(&new).await?);
            let said = known.values().chain(links.values().flatten());
            ends = said.flat_map(|link| [link.root.clone(), link.survivor.clone()]).collect();
            new = ends.iter().filter(|name| touched.insert((*name).clone())).cloned().collect();
        }
        known.retain(|name, _| !links.contains_key(name));
        let same = known.into_values().chain(links.values().flatten().cloned()).collect();
        let records = self.ledger.find(&list(&ends)).await?;
        Ok((same, self.newest(records.into_values().collect()).await?))
    }

    /// What is said to be the same of the roots of subjects that have several.
    async fn told(&self, groups: &Sets, links: &Links) -> Result<Same> {
        let mut roots = groups.values().filter(|roots| roots.len() > 1).flatten().cloned().collect::<BTreeSet<_>>();
        if roots.is_empty() { Ok(Same::default()) } else { Ok(self.linked(&mut roots, links).await?.0) }
    }

    /// The records that belong to the roots of these subjects, by root.
    async fn belonging(&self, members: &Sets, groups: &Sets, changed: Newest) -> Result<BTreeMap<String, Vec<Record>>> {
        let mut names = self.store.members_by_root(&list(groups.values().flatten())).await?;
        names.values_mut().for_each(|names| names.retain(|name| !members.contains_key(name)));
        let others: BTreeSet<&String> = names.values().flatten().collect();
        let others = self.ledger.find(&list(others)).await?;
        let others = self.newest(others.into_values().collect()).await?;
        for (name, roots) in members {
            for root in roots {
                names.entry(root.clone()).or_default().insert(name.clone());
            }
        }
        let known: Newest = others.into_iter().chain(changed).collect();
        let outer = known.values().flatten().filter_map(|record| self.catalogue.within(record));
        let outer: BTreeSet<String> = outer.filter(|name| !known.contains_key(*name)).map(str::to_owned).collect();
        let outer = self.ledger.find(&list(&outer)).await?;
        let outer = self.newest(outer.into_values().collect()).await?;
        let of = |name: &str| known.get(name).or_else(|| outer.get(name))?.as_ref();
        let record = |name: &String| Some(self.bounded(known.get(name)?.clone()?, of));
        Ok(names.iter().map(|(root, names)| (root.clone(), names.iter().filter_map(record).collect())).collect())
    }

    /// A record as far as it holds within the one that it names, if it does.
    fn bounded<'a>(&self, record: Record, of: impl Fn(&str) -> Option<&'a Record>) -> Record {
        let outer = self.catalogue.within(&record).and_then(of);
        self.catalogue.bounded(record, outer)
    }

    /// `same`: what is said of these roots, so that those which only have a person in common count each for itself.
    fn count(&self, roots: &BTreeSet<String>, records: &BTreeMap<String, Vec<Record>>, same: &Same) -> Counted {
        let Some(key) = roots.iter().find_map(|root| self.catalogue.key_of_root(root)) else {
            return Counted::default();
        };
        let of = |roots: &BTreeSet<String>| -> Vec<Record> {
            roots.iter().filter_map(|root| records.get(root)).flatten().cloned().collect()
        };
        let mut units: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        if self.catalogue.counts_at_each(key) {
            for root in roots {
                units.entry(same.end(root)).or_default().insert(root.clone());
            }
        }
        if units.len() < 2 {
            return facts::count(self.catalogue, key, roots, &of(roots));
        }
        let units: Vec<_> = units.into_values().map(|roots| (roots.clone(), of(&roots))).collect();
        each::count(self.catalogue, key, &units)
    }

    /// What records contribute by their newest entries. What was deleted contributes nothing; what ended otherwise
    /// contributes by its last payload, up to the day of its end.
    async fn newest(&self, entries: Vec<Stored>) -> Result<Newest> {
        let mut newest: Newest = entries.iter().map(|entry| (entry.name.to_string(), None)).collect();
        let said = self.ledger.last_said(entries).await?;
        let blind_of = |stored: &Stored| stored.sealed().and_then(|sealed| person::blind_of(sealed));
        let blinds: BTreeSet<String> = said.iter().filter_map(|(stored, _)| blind_of(stored)).collect();
        let joined = self.ledger.joined(&list(&blinds)).await?;
        for (stored, cut) in said {
            if let Some(payload) = stored.payload().cloned() {
                let blind = blind_of(&stored).map(|blind| joined.get(&blind).cloned().unwrap_or(blind));
                newest.insert(stored.name.to_string(), Some(Record::new(stored.name, payload, cut).of_person(blind)));
            }
        }
        Ok(newest)
    }

    /// Counts everything from the ledger, without the tables, and compares.
    pub async fn recount(&self) -> Result<Recount> {
        let records = self.everything().await?;
        let mut groups = Sets::new();
        let mut members: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        let same: Same = records.values().filter_map(|record| self.catalogue.link(record)).collect();
        for record in records.values().filter(|record| !self.catalogue.is_link(record.kind())) {
            for root in self.catalogue.roots(record) {
                let end = same.end(&root);
                let subject = self.catalogue.subject_name(end, records.get(end));
                groups.entry(subject).or_default().insert(root.clone());
                let bounded = self.bounded(record.clone(), |name| records.get(name));
                members.entry(root).or_default().push(bounded);
            }
        }
        let mut facts = Facts::default();
        for roots in groups.values() {
            facts.add_all(&self.count(roots, &members, &same).facts);
        }
        let (counted, expected) = (self.store.tallies().await?, facts.tallies());
        let mut differences = compare(&expected.days, &counted.days);
        differences.extend(compare(&expected.months, &counted.months));
        Ok(Recount { subjects: groups.len(), facts: facts.len(), differences })
    }

    async fn everything(&self) -> Result<BTreeMap<String, Record>> {
        let kinds: Vec<&str> = self.catalogue.kinds().collect();
        let mut records = BTreeMap::new();
        let mut position = 0;
        loop {
            let entries = self.ledger.after(position, &kinds, Self::BATCH).await?;
            let Some(last) = entries.last() else { return Ok(records) };
            position = last.position;
            for (name, record) in self.newest(entries).await? {
                // A record that changed meanwhile comes again, further on.
                match record {
                    Some(record) => drop(records.insert(name, record)),
                    None => drop(records.remove(&name)),
                }
            }
        }
    }
}

/// What counting everything again found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recount {
    /// Subjects that were counted.
    pub subjects: usize,
    /// Dated facts that they contribute.
    pub facts: usize,
    /// Where the tallies say something else; empty: they are right.
    pub differences: Vec<Difference>,
}

/// A tally that is not what the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which; the day is a month for a monthly tally.
    pub spot: Spot,
    /// What the ledger says.
    pub expected: Amount,
    /// What was tallied.
    pub tallied: Amount,
}

fn compare(expected: &BTreeMap<Spot, Amount>, tallied: &BTreeMap<Spot, Amount>) -> Vec<Difference> {
    let spots: BTreeSet<&Spot> = expected.keys().chain(tallied.keys()).collect();
    let of = |sums: &BTreeMap<Spot, Amount>, spot: &Spot| sums.get(spot).copied().unwrap_or_default();
    let differences = spots.into_iter().map(|spot| (spot, of(expected, spot), of(tallied, spot)));
    let differences = differences.filter(|(_, expected, tallied)| expected != tallied);
    differences.map(|(spot, expected, tallied)| Difference { spot: spot.clone(), expected, tallied }).collect()
}

type Sets = BTreeMap<String, BTreeSet<String>>;
/// What records say is the same, by their names; `None`: nothing.
type Links = BTreeMap<String, Option<Link>>;

fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    names.into_iter().cloned().collect()
}

/// The kind in a name that the ledger holds: `nodes/64/KIND/ID`.
fn kind_of(name: &str) -> Option<&str> {
    name.split('/').nth(2)
}

fn changed_by(record: &Record) -> Option<succession::Change> {
    let change = api::Change::decode(record.payload().clone()).ok()?;
    record.cut().is_none().then(|| division::changed(&change)).flatten()
}

fn listed_by(record: &Record) -> Option<Listed> {
    let division = api::Division::decode(record.payload().clone()).ok()?;
    Listed::of(&division, record.cut().map(format_day))
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
