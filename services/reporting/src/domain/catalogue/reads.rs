//! What is read of a kind's records: what a residue keeps of a record whose person was erased.

use std::collections::BTreeSet;

use super::{Catalogue, Count, Field, Measure, Rule, When};

impl Catalogue {
    /// Numbers of the fields of a kind's records that anything here reads, but for the one that says whose they are.
    #[must_use]
    pub fn reads(&self, kind: &str) -> BTreeSet<u32> {
        let mut read = self.held_by(kind);
        for subject in self.subjects.values() {
            read.extend(subject.shared.get(kind).map(Field::number));
            let member = subject.members.get(kind).into_iter();
            read.extend(member.flat_map(|member| [&member.field].into_iter().chain(&member.or)).map(Field::number));
        }
        let same = self.same.get(kind).into_iter();
        read.extend(same.flat_map(|same| same.record.iter().chain(&same.survivor)).map(Field::number));
        for indicator in self.indicators.values() {
            if let Measure::Count(count) = &indicator.measure {
                read.extend(counted_by(count, kind));
            }
        }
        read
    }

    /// What says where and when a record holds.
    fn held_by(&self, kind: &str) -> BTreeSet<u32> {
        let Some(holding) = self.records.get(kind) else { return BTreeSet::new() };
        let days = [&holding.area, &holding.enters].into_iter().chain(&holding.not_before).chain(&holding.leaves);
        let needs = holding.needs.iter().map(|(_, field)| field);
        let more = holding.leaves_after.iter().chain(needs).chain(&holding.within);
        let steps = holding.steps.iter().map(|steps| &steps.of);
        let conditions = holding.needs.iter().flat_map(|(conditions, _)| conditions).chain(&holding.conditions);
        days.chain(more).chain(steps).map(Field::number).chain(conditions.flat_map(Rule::numbers)).collect()
    }
}

/// What one indicator looks at of a kind's records.
fn counted_by(count: &Count, kind: &str) -> Vec<u32> {
    let mut read: Vec<u32> = vec![];
    for source in &count.sources {
        let dimensions = source.dimensions.values().flatten().filter(|(from, _)| from == kind);
        read.extend(dimensions.map(|(_, field)| field.number()));
        if source.from == kind {
            read.extend(source.conditions.iter().chain(&source.counts_if).flat_map(Rule::numbers));
            read.extend(count.areas.iter().chain(&count.weight).map(Field::number));
            match &count.when {
                When::Stock { highest, .. } => read.extend(highest.iter().map(Field::number)),
                When::Flow { on, once } => read.extend(once.iter().chain([on]).map(Field::number)),
            }
        }
    }
    if let When::Stock { alongside, .. } = &count.when {
        let rules = alongside.iter().filter(|(of, _)| of == kind).flat_map(|(_, rules)| rules);
        read.extend(rules.flat_map(Rule::numbers));
    }
    read
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::kind::descriptors;

    use crate::domain::catalogue::catalogue;

    /// A field that comes to be counted by is kept of everybody who is erased: it is looked at here first.
    #[test]
    fn what_is_counted_names_nobody() {
        for (kind, message, expected) in [
            ("workers", "registry.v1.Worker", "assignment division languages sector since station until"),
            ("certificates", "registry.v1.Certificate", "division issued_on level registered_until revoked_on worker"),
            ("employments", "registry.v1.Employment", "assignment division sector since station until worker"),
            ("dispatches", "pairing.v1.Dispatch", "division from host_division participations programme until year"),
            ("merges", "registry.v1.Merge", "agency surviving_agency surviving_worker worker"),
            ("moves", "registry.v1.Move", "agency successor worker"),
        ] {
            let described = descriptors().get_message_by_name(&format!("qianshou.{message}")).unwrap();
            let read = catalogue().unwrap().reads(kind);
            let mut names: Vec<String> =
                read.iter().map(|number| described.get_field(*number).unwrap().name().to_owned()).collect();
            names.sort();
            assert_eq!(names.join(" "), expected, "{kind}");
        }
    }
}
