//! From the file to the catalogue: names of fields become numbers of the contract.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::MessageDescriptor;
use qianshou_kernel::{
    error::{Error, Result},
    filter::Test,
    kind::descriptors,
};
use qianshou_proto::reporting::v1::{IndicatorKind, Unit};

use super::{
    Catalogue, Count, Holding, Identity, Indicator, Measure, Member, Same, Source, Steps, Subject, When, file,
};
use crate::domain::{
    joint::Joint,
    record::{Field, Rule},
};

impl Catalogue {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// It contradicts itself or the contract.
    pub fn parse(text: &str) -> Result<Self> {
        let file: file::File = toml::from_str(text).map_err(|error| Error::broken(error.to_string()))?;
        let reader = Reader::new(&file)?;
        let records = file.records.iter().map(|(kind, record)| Ok((kind.clone(), reader.holding(kind, record)?)));
        let same = file.same.iter().map(|same| Ok((same.from.clone(), reader.same(same)?)));
        let subjects =
            file.subjects.iter().map(|(key, subject)| Ok((key.clone(), reader.subject(subject, &file.joints)?)));
        let made = |kind: &&String| file.joints.values().any(|joint| joint.makes == **kind);
        let halves = file.joints.values().flat_map(|joint| joint.halves.keys());
        let mut catalogue = Self {
            records: records.collect::<Result<_>>()?,
            followed: file
                .records
                .keys()
                .filter(|kind| !made(kind))
                .chain(halves)
                .chain(file.same.iter().map(|same| &same.from))
                .cloned()
                .collect(),
            subjects: subjects.collect::<Result<_>>()?,
            same: same.collect::<Result<_>>()?,
            indicators: BTreeMap::new(),
        };
        let counts = file.indicators.iter().map(|indicator| reader.indicator(indicator));
        for indicator in counts.chain(file.coverages.iter().map(|file| Ok(coverage(file)))) {
            let indicator = indicator?;
            if let Some(twice) = catalogue.indicators.insert(indicator.id.clone(), indicator) {
                return Err(Error::broken(format!("{} is there twice", twice.id)));
            }
        }
        catalogue.check()?;
        Ok(catalogue)
    }

    /// What no single entry of the file can see.
    fn check(&self) -> Result<()> {
        let roots: Vec<&String> = self.subjects.values().filter_map(|subject| subject.root.as_ref()).collect();
        if roots.iter().collect::<BTreeSet<_>>().len() < roots.len() {
            return Err(Error::broken("two subjects share a root"));
        }
        for (kind, holding) in &self.records {
            let by = |field: &Field| {
                let of = |member: &Member| member.field.number() == field.number();
                self.subjects.values().any(|s| s.root.is_some() && s.members.get(kind).is_some_and(of))
            };
            if !holding.within.iter().all(by) {
                return Err(Error::broken(format!("{kind} are within what they are no members of")));
            }
        }
        for indicator in self.indicators.values() {
            let apart = |key: &String| indicator.dimensions().any(|known| known == key);
            let sound = indicator.apart.iter().all(apart)
                && match &indicator.measure {
                    Measure::Count(count) => self.is_sound(count),
                    Measure::Coverage { stock, .. } => {
                        self.indicator(stock).is_some_and(|stock| stock.kind() == IndicatorKind::Stock)
                    }
                };
            if !sound {
                return Err(Error::broken(format!("{} names what is not its subject's", indicator.id)));
            }
        }
        Ok(())
    }

    /// Whether every record that is read belongs to the subject, and every dimension to a record that is at hand.
    fn is_sound(&self, count: &Count) -> bool {
        let Some(subject) = self.subject(&count.subject) else {
            return false;
        };
        let alongside = if let When::Stock { alongside, .. } = &count.when { &alongside[..] } else { &[] };
        let belongs = |kind: &String| subject.has(kind);
        let names = |source: &Source| source.dimensions.keys().cloned().collect::<Vec<_>>();
        let sound = |source: &Source| {
            let at_hand = |kind: &String| *kind == source.from || count.placed_by.contains(kind);
            belongs(&source.from)
                && source.dimensions.values().all(|from| !from.is_empty() && from.iter().all(|(kind, _)| at_hand(kind)))
                && names(source) == names(&count.sources[0])
        };
        !count.placed_by.is_empty()
            && count.placed_by.iter().all(belongs)
            && count.sources.iter().all(sound)
            && alongside.iter().all(|(kind, _)| belongs(kind))
            && (count.weight.is_none() || count.sources.len() == 1)
            && (count.areas.is_empty() || count.sources.iter().all(|source| count.placed_by.iter().eq([&source.from])))
            && count.areas.len() <= 2
    }
}

fn coverage(file: &file::Coverage) -> Indicator {
    Indicator {
        id: file.id.clone(),
        name_zh: file.name_zh.clone(),
        name_en: file.name_en.clone(),
        unit: Unit::Ratio,
        measure: Measure::Coverage { stock: file.stock.clone(), digits: file.digits },
        apart: vec![],
    }
}

/// Resolves names of fields.
struct Reader(BTreeMap<String, MessageDescriptor>);

impl Reader {
    fn new(file: &file::File) -> Result<Self> {
        let message = |(kind, message): (&String, &String)| {
            let found = descriptors().get_message_by_name(message);
            found.map(|m| (kind.clone(), m)).ok_or_else(|| Error::broken(format!("there is no message {message}")))
        };
        let records = file.records.iter().map(|(kind, record)| (kind, &record.message));
        let halves = file.joints.values().flat_map(|joint| &joint.halves).map(|(kind, half)| (kind, &half.message));
        let same = file.same.iter().map(|same| (&same.from, &same.message));
        records.chain(halves).chain(same).map(message).collect::<Result<_>>().map(Self)
    }

    fn field(&self, kind: &str, name: &str) -> Result<Field> {
        let field = self.0.get(kind).and_then(|message| message.get_field_by_name(name));
        field.map(|f| Field::of(&f)).ok_or_else(|| Error::broken(format!("there is no field {kind}.{name}")))
    }

    fn fields<'a>(&self, kind: &str, names: impl IntoIterator<Item = &'a String>) -> Result<Vec<Field>> {
        names.into_iter().map(|name| self.field(kind, name)).collect()
    }

    fn holding(&self, kind: &str, record: &file::Record) -> Result<Holding> {
        let needs =
            record.needs.iter().map(|need| Ok((self.rules(kind, &need.conditions)?, self.field(kind, &need.field)?)));
        let enters = self.field(kind, &record.enters)?;
        Ok(Holding {
            area: self.field(kind, &record.area)?,
            conditions: self.rules(kind, &record.conditions)?,
            not_before: record.not_before.as_ref().map(|field| self.field(kind, field)).transpose()?,
            leaves: self.fields(kind, &record.leaves)?,
            leaves_after: self.fields(kind, &record.leaves_after)?,
            needs: needs.collect::<Result<_>>()?,
            within: record.within.as_ref().map(|field| self.field(kind, field)).transpose()?,
            steps: record.steps.as_ref().map(|steps| self.steps(kind, steps, &enters)).transpose()?,
            enters,
        })
    }

    fn steps(&self, kind: &str, file: &file::Steps, enters: &Field) -> Result<Steps> {
        let message = self.0.get(kind).and_then(|message| message.get_field_by_name(&file.of));
        let step = message.and_then(|field| field.kind().as_message().cloned());
        let step = step.ok_or_else(|| Error::broken(format!("{kind}.{} are no steps", file.of)))?;
        let set = |(to, from): (&String, &String)| {
            let from = step.get_field_by_name(from).ok_or_else(|| Error::broken(format!("a step has no {from}")))?;
            Ok((from.number(), self.field(kind, to)?.number()))
        };
        let set = file.set.iter().map(set).collect::<Result<_>>()?;
        Ok(Steps { of: self.field(kind, &file.of)?, set, enters: enters.number() })
    }

    fn subject(&self, subject: &file::Subject, joints: &BTreeMap<String, file::Joint>) -> Result<Subject> {
        let root = subject.root.clone().unwrap_or_default();
        if [subject.root.is_some(), subject.joint.is_some(), !subject.by.is_empty()].iter().filter(|is| **is).count()
            != 1
        {
            return Err(Error::broken("a subject has a root, or a joint, or is by texts"));
        }
        let joint = |name: &String| {
            let file = joints.get(name).ok_or_else(|| Error::broken(format!("there is no joint {name}")))?;
            let known = Joint::named(name).ok_or_else(|| Error::broken(format!("no function makes {name}")))?;
            Ok::<_, Error>((known, file))
        };
        let joint = subject.joint.as_ref().map(joint).transpose()?;
        let halves = joint.iter().flat_map(|(_, file)| file.halves.iter().map(|(kind, half)| (kind, &half.key)));
        let shared = halves.chain(&subject.by).map(|(kind, field)| Ok((kind.clone(), self.field(kind, field)?)));
        let identity = subject.identity.as_ref().map(|of| {
            let field = self.field(&root, &of.field)?;
            Ok::<_, Error>(Identity { field, prefix: of.prefix.clone(), own: of.own, each: of.each })
        });
        let members = subject.members.iter().map(|(kind, member)| Ok((kind.clone(), self.member(kind, member)?)));
        Ok(Subject {
            root: subject.root.clone(),
            shared: shared.collect::<Result<_>>()?,
            joint: joint.map(|(joint, file)| (joint, file.makes.clone())),
            identity: identity.transpose()?,
            members: members.collect::<Result<_>>()?,
        })
    }

    fn same(&self, same: &file::Same) -> Result<Same> {
        Ok(Same { record: self.fields(&same.from, &same.record)?, survivor: self.fields(&same.from, &same.survivor)? })
    }

    fn member(&self, kind: &str, member: &file::Member) -> Result<Member> {
        match member {
            file::Member::Field(field) => Ok(Member { field: self.field(kind, field)?, or: vec![] }),
            file::Member::Either(file::Either { field, or }) => {
                Ok(Member { field: self.field(kind, field)?, or: self.fields(kind, or)? })
            }
        }
    }

    fn indicator(&self, file: &file::Indicator) -> Result<Indicator> {
        let unit = Unit::from_str_name(&format!("UNIT_{}", file.unit));
        Ok(Indicator {
            id: file.id.clone(),
            name_zh: file.name_zh.clone(),
            name_en: file.name_en.clone(),
            unit: unit.ok_or_else(|| Error::broken(format!("there is no unit {}", file.unit)))?,
            measure: Measure::Count(Box::new(self.count(file)?)),
            apart: file.apart.clone(),
        })
    }

    fn count(&self, file: &file::Indicator) -> Result<Count> {
        let file::Indicator { from, conditions, counts_if, dimensions, .. } = file;
        let mut sources = vec![self.source(from, [conditions, counts_if], false, dimensions)?];
        for file::Source { from, conditions, counts_if, undated, dimensions } in &file.or {
            sources.push(self.source(from, [conditions, counts_if], *undated, dimensions)?);
        }
        Ok(Count {
            subject: file.subject.clone(),
            sources,
            placed_by: file.placed_by.as_ref().map_or_else(|| vec![from.clone()], |kinds| kinds.texts().to_vec()),
            areas: self.fields(from, &file.at)?,
            weight: file.weight.as_ref().map(|field| self.field(from, field)).transpose()?,
            when: self.when(file)?,
        })
    }

    fn source(
        &self,
        from: &str,
        [conditions, counts_if]: [&[file::Condition]; 2],
        undated: bool,
        dimensions: &BTreeMap<String, file::Preferred>,
    ) -> Result<Source> {
        let from_field = |path: &String| {
            let (kind, field) =
                path.split_once('.').ok_or_else(|| Error::broken(format!("{path} is not KIND.FIELD")))?;
            Ok((kind.to_owned(), self.field(kind, field)?))
        };
        let dimension = |(name, paths): (&String, &file::Preferred)| {
            Ok((name.clone(), paths.texts().iter().map(from_field).collect::<Result<_>>()?))
        };
        Ok(Source {
            from: from.to_owned(),
            conditions: self.rules(from, conditions)?,
            counts_if: self.rules(from, counts_if)?,
            undated,
            dimensions: dimensions.iter().map(dimension).collect::<Result<_>>()?,
        })
    }

    fn when(&self, file: &file::Indicator) -> Result<When> {
        let of_stocks = file.highest.is_some() || !file.alongside.is_empty() || !file.or.is_empty();
        match (&file.kind, &file.on) {
            (file::Kind::Stock, None) if file.once.is_empty() => {
                let highest = file.highest.as_ref().map(|field| self.field(&file.from, field)).transpose()?;
                let alongside =
                    file.alongside.iter().map(|w| Ok((w.from.clone(), self.rules(&w.from, &w.conditions)?)));
                Ok(When::Stock { highest, alongside: alongside.collect::<Result<_>>()? })
            }
            (file::Kind::Flow, Some(on)) if !of_stocks && file.counts_if.is_empty() => {
                Ok(When::Flow { on: self.field(&file.from, on)?, once: self.fields(&file.from, &file.once)? })
            }
            _ => Err(Error::broken("a flow has `on` and `once`, a stock `highest`, `while`, `if` and `or`")),
        }
    }

    fn rules(&self, kind: &str, conditions: &[file::Condition]) -> Result<Vec<Rule>> {
        conditions.iter().map(|condition| self.rule(kind, condition)).collect()
    }

    fn rule(&self, kind: &str, condition: &file::Condition) -> Result<Rule> {
        let field = self.field(kind, &condition.field)?;
        let test = match (&condition.one_of, &condition.under, condition.at_least, condition.present) {
            (Some(values), None, None, false) => match field.numbers(values) {
                Some(numbers) => Test::NumberIn(numbers?),
                None => Test::OneOf(values.clone()),
            },
            (None, Some(prefix), None, false) => Test::Under(prefix.clone()),
            (None, None, Some(times), false) => Test::AtLeast(times),
            (None, None, None, true) => Test::Present,
            _ => return Err(Error::broken(format!("{} wants one test", condition.field))),
        };
        let or_present = condition.or_present.as_ref().map(|other| self.field(kind, other)).transpose()?;
        Ok(Rule::new(field, test, condition.or_absent).or_present(or_present))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue::catalogue;

    const TEXT: &str = include_str!("../indicators.toml");

    #[test]
    fn the_file_is_read_whole() {
        let catalogue = catalogue().unwrap();
        assert_eq!(catalogue.indicators().count(), 34);
        let kinds = "agencies allocations approvals assessments certificates commitments dispatches documents employments figures incubations \
                     merges moves outcomes payments posts projects quotas receipts recognitions stations tags tasks workers";
        assert_eq!(catalogue.kinds().collect::<Vec<_>>().join(" "), kinds);
        assert_eq!(catalogue.indicator("certified_new").unwrap().kind(), IndicatorKind::Flow);
        assert_eq!(catalogue.indicator("village_coverage").unwrap().unit, Unit::Ratio);
        assert_eq!(catalogue.key_of_root("nodes/64/workers/1"), Some("person"));
        assert_eq!(catalogue.key_of_root("nodes/64/certificates/1"), Some("person"));
        assert_eq!(catalogue.key_of_root("nodes/64/divisions/1"), None);
        assert_eq!(catalogue.key_of_root("pairing/牵手计划/第一批"), Some("pairing"));
        assert_eq!(catalogue.key_of_root("nodes/64/commitments/1"), Some("pairing"));
    }

    #[test]
    fn what_the_contract_or_the_grammar_does_not_know_is_refused() {
        for (good, bad) in [
            ("highest = \"level\"", "hihgest = \"level\""),
            ("highest = \"level\"", "highest = \"rank\""),
            ("on = \"issued_on\"", "highest = \"level\""),
            ("message = \"qianshou.registry.v1.Worker\"", "message = \"qianshou.registry.v1.Labourer\""),
            ("in = [\"PROFESSIONAL\"]", "in = [\"PROFESSOR\"]"),
            ("at_least = 2", "at_least = 2, present = true"),
            ("unit = \"AGENCY\"", "unit = \"MILE\""),
            ("sector = [\"employments.sector\", \"workers.sector\"]", "sector = \"stations.type\""),
            ("placed_by = [\"employments\", \"workers\"]", "placed_by = [\"stations\", \"workers\"]"),
            ("placed_by = [\"employments\", \"workers\"]", "placed_by = []"),
            ("within = \"worker\"", "within = \"post\""),
            ("of = \"stages\"", "of = \"stage\""),
            ("apart = [\"measure\"]", "apart = [\"unit\"]"),
            ("or_present = \"none_of_six\"", "or_present = \"seven\""),
            ("stock = \"station_village\"", "stock = \"certified_new\""),
            ("id = \"agency_total\"", "id = \"talent_total\""),
            ("survivor = [\"successor\"]", "survivor = [\"heir\"]"),
            ("root = \"agencies\"", "root = \"stations\""),
            ("subject = \"agency\"", "subject = \"person\""),
            ("weight = \"count\"", "weight = \"size\""),
            ("or = [\"worker\"]", "otherwise = [\"worker\"]"),
            ("batch = \"stations.demonstration_batch\"", "lot = \"stations.demonstration_batch\""),
            ("undated = true", "undated = 2021"),
            ("joint = \"pairing\"", "joint = \"marriage\""),
            ("makes = \"pairings\"", "makes = \"couples\""),
            ("key = \"cohort\"", "key = \"herd\""),
            ("at = [\"division\"]", "at = [\"place\"]"),
            ("once = [\"level\", \"issued_on\"]", "if = [{ field = \"level\", present = true }]"),
        ] {
            assert!(TEXT.contains(good), "{good}");
            assert!(Catalogue::parse(&TEXT.replacen(good, bad, 1)).is_err(), "{bad}");
        }
    }
}
