//! The indicators: `indicators.toml`, read once, with every field name resolved against the contract. A name that the
//! contract does not know, or a key that this file's grammar does not know, is an error of the build's tests, never
//! of a request.

mod file;
mod reads;
mod resolve;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use qianshou_kernel::{
    error::{Error, Result},
    id::Name,
};
use qianshou_proto::reporting::v1::{IndicatorKind, Unit};
use sha2::{Digest, Sha256};
use time::Date;

use super::{
    joint::Joint,
    record::{Field, Record, Rule},
    same::Link,
};

/// Everything that is counted here.
#[derive(Debug)]
pub struct Catalogue {
    records: BTreeMap<String, Holding>,
    /// Kinds of records that are followed.
    followed: BTreeSet<String>,
    subjects: BTreeMap<String, Subject>,
    same: BTreeMap<String, Same>,
    indicators: BTreeMap<String, Indicator>,
}

/// When records of one kind hold.
#[derive(Debug)]
pub struct Holding {
    /// Where a record belongs.
    pub area: Field,
    /// Conditions without which it never holds.
    pub conditions: Vec<Rule>,
    /// First day.
    pub enters: Field,
    /// Before this day it does not hold, whatever its first day is.
    pub not_before: Option<Field>,
    /// First day no longer.
    pub leaves: Vec<Field>,
    /// Last day.
    pub leaves_after: Vec<Field>,
    /// Fields that it has to have, under conditions.
    pub needs: Vec<(Vec<Rule>, Field)>,
    /// The field that names a record beyond whose own end it does not hold.
    pub within: Option<Field>,
    /// The field with the steps it went through: it is counted as one record for each.
    pub steps: Option<Steps>,
}

impl Holding {
    /// The first day on which a record no longer holds, whatever else is wrong with it.
    #[must_use]
    pub fn end(&self, record: &Record) -> Option<Date> {
        let known = |field: &Field| record.day(field).ok().flatten();
        let leaves = self.leaves.iter().filter_map(known);
        let after = self.leaves_after.iter().filter_map(known).filter_map(Date::next_day);
        leaves.chain(after).chain(record.cut()).min()
    }
}

/// Messages within a record that tell what it was when.
#[derive(Debug)]
pub struct Steps {
    /// The field that holds them.
    pub of: Field,
    /// Numbers of a step's fields, each with that of the record's field that it stands for.
    pub set: Vec<(u32, u32)>,
    /// The number of the record's field with its first day, which is also that of the first step.
    pub enters: u32,
}

/// What is counted: a root and the records that refer to it.
#[derive(Debug)]
pub struct Subject {
    /// Kind of the root; `None`: it has none, the records that share a text are one.
    pub root: Option<String>,
    /// Kinds whose records share a text, and the field that holds it, or several.
    pub shared: BTreeMap<String, Field>,
    /// What these records make together is counted in their place, as records of this kind.
    pub joint: Option<(Joint, String)>,
    /// What makes several roots one subject.
    pub identity: Option<Identity>,
    /// Kinds that refer to the root.
    pub members: BTreeMap<String, Member>,
}

/// What makes several roots one subject.
#[derive(Debug)]
pub struct Identity {
    /// A text that they share.
    pub field: Field,
    /// How such a subject's name begins.
    pub prefix: String,
    /// Of this node's own records that do not have the field, the sealed number that they share.
    pub own: bool,
    /// Each of its roots counts where it is by what is said there alone, and the subject once above them.
    pub each: bool,
}

impl Subject {
    /// Whether records of a kind are counted for it.
    #[must_use]
    pub fn has(&self, kind: &str) -> bool {
        match &self.joint {
            Some((_, made)) => made == kind,
            None => {
                self.root.as_deref() == Some(kind) || self.members.contains_key(kind) || self.shared.contains_key(kind)
            }
        }
    }
}

/// Records of a kind that say that two records are one and the same.
#[derive(Debug)]
pub struct Same {
    /// The fields of which one names the record that is a duplicate or has moved.
    pub record: Vec<Field>,
    /// The fields of which one names the record that stands for both.
    pub survivor: Vec<Field>,
}

/// How records of a kind belong to a subject.
#[derive(Debug)]
pub struct Member {
    /// The field that names the root.
    pub field: Field,
    /// Fields one of which a record has that belongs elsewhere instead.
    pub or: Vec<Field>,
}

/// One indicator.
#[derive(Debug)]
pub struct Indicator {
    /// `certified_total`
    pub id: String,
    /// Its name in Chinese.
    pub name_zh: String,
    /// Its name in English.
    pub name_en: String,
    /// What it counts.
    pub unit: Unit,
    /// How it is made.
    pub measure: Measure,
    /// Dimensions over whose values nothing adds up.
    pub apart: Vec<String>,
}

/// How an indicator is made.
#[derive(Debug)]
pub enum Measure {
    /// From subjects.
    Count(Box<Count>),
    /// From another indicator's tallies and the list of divisions.
    Coverage {
        /// The stock that covers a division.
        stock: String,
        /// Digits of the divisions that are to be covered.
        digits: usize,
    },
}

/// How subjects are counted.
#[derive(Debug)]
pub struct Count {
    /// Key in [`Catalogue::subject`].
    pub subject: String,
    /// What is counted: the first of these that any record of the subject speaks to.
    pub sources: Vec<Source>,
    /// Kinds of the records that give the area, the preferred first: of those before the last one that holds.
    pub placed_by: Vec<String>,
    /// The fields that give the area instead of the record's own, two at most: of both it counts at each, and above both once.
    pub areas: Vec<Field>,
    /// The field that says how many a record stands for; `None`: one.
    pub weight: Option<Field>,
    /// When.
    pub when: When,
}

/// Records that are counted.
#[derive(Debug)]
pub struct Source {
    /// Their kind.
    pub from: String,
    /// Which of them.
    pub conditions: Vec<Rule>,
    /// What the one that counts at an instant has to say for the subject to count.
    pub counts_if: Vec<Rule>,
    /// The day on which they enter is not the day that is meant: an opening balance.
    pub undated: bool,
    /// Names with the records they are read from, the preferred first, in the order of the names.
    pub dimensions: BTreeMap<String, Vec<(String, Field)>>,
}

/// When a subject counts.
#[derive(Debug)]
pub enum When {
    /// While a record holds.
    Stock {
        /// Of several records the one with the highest value; `None`: the latest that entered.
        highest: Option<Field>,
        /// Only while a record of one of these kinds that meets its conditions holds as well; empty: always.
        alongside: Vec<(String, Vec<Rule>)>,
    },
    /// On one day.
    Flow {
        /// The day.
        on: Field,
        /// Records that agree in all of these are one event.
        once: Vec<Field>,
    },
}

impl Indicator {
    /// Stock, flow or coverage.
    #[must_use]
    pub fn kind(&self) -> IndicatorKind {
        match &self.measure {
            Measure::Coverage { .. } => IndicatorKind::Coverage,
            Measure::Count(count) => match count.when {
                When::Stock { .. } => IndicatorKind::Stock,
                When::Flow { .. } => IndicatorKind::Flow,
            },
        }
    }

    /// The names it can be broken down by.
    pub fn dimensions(&self) -> impl Iterator<Item = &str> {
        let count = if let Measure::Count(count) = &self.measure { Some(count) } else { None };
        let source = count.and_then(|count| count.sources.first());
        source.into_iter().flat_map(|source| source.dimensions.keys().map(String::as_str))
    }
}

/// The catalogue of this binary.
///
/// # Errors
/// `indicators.toml` contradicts itself or the contract; a test reads it, so no release has that.
pub fn catalogue() -> Result<&'static Catalogue> {
    static CATALOGUE: LazyLock<Result<Catalogue, String>> =
        LazyLock::new(|| Catalogue::parse(TEXT).map_err(|error| error.to_string()));
    CATALOGUE.as_ref().map_err(|error| Error::broken(format!("indicators.toml: {error}")))
}

const TEXT: &str = include_str!("indicators.toml");
/// Raise it when the same indicators are counted in another way.
const COUNTING: &str = "2";

/// Which catalogue this is, and which way of counting.
#[must_use]
pub fn catalogue_digest() -> String {
    hex::encode(Sha256::new_with_prefix(COUNTING).chain_update(TEXT).finalize())
}

impl Catalogue {
    /// Every indicator, by id.
    pub fn indicators(&self) -> impl Iterator<Item = &Indicator> {
        self.indicators.values()
    }

    /// One indicator.
    #[must_use]
    pub fn indicator(&self, id: &str) -> Option<&Indicator> {
        self.indicators.get(id)
    }

    /// The indicators that count subjects of one key.
    pub fn counts<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = (&'a str, &'a Count)> {
        self.indicators.values().filter_map(move |indicator| match &indicator.measure {
            Measure::Count(count) if count.subject == subject => Some((indicator.id.as_str(), &**count)),
            _ => None,
        })
    }

    /// Kinds of records that are read, in the order of their names.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.followed.iter().map(String::as_str)
    }

    /// The kinds whose records say that others are the same.
    pub fn link_kinds(&self) -> impl Iterator<Item = &str> {
        self.same.keys().map(String::as_str)
    }

    /// Whether records of a kind say that others are the same.
    #[must_use]
    pub fn is_link(&self, kind: &str) -> bool {
        self.same.contains_key(kind)
    }

    /// What a record says is the same as what: only the home of a record may say so of it.
    #[must_use]
    pub fn link(&self, record: &Record) -> Option<Link> {
        let same = self.same.get(record.kind())?;
        let named = |fields: &[Field]| fields.iter().find_map(|field| record.text(field)).map(str::to_owned);
        let link = Link { root: named(&same.record)?, survivor: named(&same.survivor)? };
        let home = |name: &str| name.parse::<Name>().ok().map(|name| name.home().to_owned());
        (record.cut().is_none() && home(&link.root) == home(record.name())).then_some(link)
    }

    /// When records of a kind hold.
    #[must_use]
    pub fn holding(&self, kind: &str) -> Option<&Holding> {
        self.records.get(kind)
    }

    /// Whether other records hold only within records of this kind.
    #[must_use]
    pub fn bounds(&self, kind: &str) -> bool {
        let bound = |kind: &String, member: &Member| {
            let within = self.holding(kind).and_then(|holding| holding.within.as_ref());
            within.is_some_and(|field| field.number() == member.field.number())
        };
        let mut of_kind = self.subjects.values().filter(|subject| subject.root.as_deref() == Some(kind));
        of_kind.any(|subject| subject.members.iter().any(|(kind, member)| bound(kind, member)))
    }

    /// The record beyond whose end this one does not hold.
    #[must_use]
    pub fn within<'a>(&self, record: &'a Record) -> Option<&'a str> {
        record.text(self.holding(record.kind())?.within.as_ref()?)
    }

    /// A record as far as it holds within another.
    #[must_use]
    pub fn bounded(&self, record: Record, outer: Option<&Record>) -> Record {
        let end = outer.and_then(|outer| self.holding(outer.kind())?.end(outer));
        record.until(end)
    }

    /// The subjects that a record, which is one itself, should belong to as well and does not, with the field that does not say so.
    pub fn missed<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = (&'a str, &'a Field)> {
        let is_root = self.is_root(record.kind());
        self.subjects.iter().filter(move |_| is_root).filter_map(|(key, subject)| {
            let Member { field, or } = subject.members.get(record.kind())?;
            let missed = record.text(field).is_none() && !or.is_empty() && or.iter().all(|other| record.lacks(other));
            missed.then_some((key.as_str(), field))
        })
    }

    /// One subject.
    #[must_use]
    pub fn subject(&self, key: &str) -> Option<&Subject> {
        self.subjects.get(key)
    }

    /// Whether each root of a subject counts for itself.
    #[must_use]
    pub fn counts_at_each(&self, key: &str) -> bool {
        self.subject(key).and_then(|subject| subject.identity.as_ref()).is_some_and(|identity| identity.each)
    }

    /// Whether records of a kind are roots.
    #[must_use]
    pub fn is_root(&self, kind: &str) -> bool {
        self.subjects.values().any(|subject| subject.root.as_deref() == Some(kind))
    }

    /// The key of the subject whose root has this name; for a record that waits on its own, the first that it could
    /// belong to.
    #[must_use]
    pub fn key_of_root(&self, root: &str) -> Option<&str> {
        let Ok(name) = root.parse::<Name>() else {
            // A text that is shared, behind its subject's key.
            let (key, _) = root.split_once('/')?;
            return self.subjects.get_key_value(key).map(|(key, _)| key.as_str());
        };
        let of = |belongs: &dyn Fn(&Subject) -> bool| {
            self.subjects.iter().find(|(_, s)| belongs(s)).map(|(key, _)| key.as_str())
        };
        let kind = name.kind();
        of(&|s| s.root.as_deref() == Some(kind))
            .or_else(|| of(&|s| s.members.contains_key(kind) || s.shared.contains_key(kind)))
    }

    /// The roots a record belongs to. A record that should name a root and does not is its own, and waits.
    #[must_use]
    pub fn roots(&self, record: &Record) -> BTreeSet<String> {
        let mut roots = BTreeSet::new();
        let mut elsewhere = false;
        for (key, subject) in &self.subjects {
            if let Some(field) = subject.shared.get(record.kind()) {
                roots.extend(record.texts(field).map(|text| format!("{key}/{text}")));
            }
            let Some(member) = subject.members.get(record.kind()) else { continue };
            let named = record.text(&member.field);
            elsewhere |= named.is_none() && member.or.iter().any(|field| !record.lacks(field));
            roots.extend(named.filter(|named| kind_of(named) == subject.root).map(str::to_owned));
        }
        if (roots.is_empty() && !elsewhere) || self.is_root(record.kind()) {
            roots.insert(record.name().to_owned());
        }
        roots
    }

    /// The subjects that records with these blind indexes make, of whatever kind.
    #[must_use]
    pub fn subjects_of(&self, blinds: &[String]) -> Vec<String> {
        let own =
            self.subjects.values().filter_map(|subject| subject.identity.as_ref()).filter(|identity| identity.own);
        own.flat_map(|identity| blinds.iter().map(|blind| format!("{}{blind}", identity.prefix))).collect()
    }

    /// The subject a root makes, given its record if it is here.
    #[must_use]
    pub fn subject_name(&self, root: &str, record: Option<&Record>) -> String {
        let subject =
            self.subjects.values().find(|s| record.is_some_and(|record| s.root.as_deref() == Some(record.kind())));
        let identity = subject.and_then(|s| s.identity.as_ref());
        let same = identity.zip(record).and_then(|(identity, record)| {
            let own = || record.person().filter(|_| identity.own);
            Some(format!("{}{}", identity.prefix, record.text(&identity.field).or_else(own)?))
        });
        same.unwrap_or_else(|| root.to_owned())
    }
}

fn kind_of(name: &str) -> Option<String> {
    name.parse::<Name>().ok().map(|name| name.kind().to_owned())
}
