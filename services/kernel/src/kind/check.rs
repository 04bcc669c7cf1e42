//! The rules every field shares: required, not too long, nothing invisible in it, a real day, a value of the list.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use bytes::Bytes;
use qianshou_proto::Resource;
use time::Date;

use super::has_open_number;
use crate::{
    clock::parse_day,
    error::{Reason, Violation, is_hidden},
    id::{Area, Name},
    ledger::{Version, claim_key},
};

/// Collects what is wrong with one record, while bringing its fields into their one form.
pub struct Check {
    /// What was found.
    pub violations: Vec<Violation>,
    /// Today in China.
    pub today: Date,
    /// The code of this node, whose records these are.
    pub home: String,
    /// What is known of records that are referred to by key.
    known: Option<BTreeMap<String, Name>>,
    /// Keys that several records in the caller's area have, with these.
    several: BTreeMap<String, Vec<Name>>,
    /// References by key that stay as they are written, for whoever decides later to look up.
    kept: BTreeSet<String>,
    /// References by key that have to be looked up.
    pub(crate) lookups: BTreeSet<String>,
    text_max_chars: usize,
    /// What the names of fields begin with, within a part of the record: `stages[2].`
    part: String,
    /// The record as it stands, if it does.
    pub(super) stood: Option<Neighbour>,
    /// The records beside this one that were looked up.
    pub(super) around: Around,
    /// Places whose records have to be looked up.
    pub(super) unknown: BTreeSet<Place>,
    /// Records that a rule looked at, as they were then.
    pub(super) looked: Vec<(Name, Version)>,
    /// The field that changes only while no other record refers to this one.
    pub(super) frozen: Option<&'static str>,
    /// The record is another home's: its shape is checked, and neither what may be withheld nor what its home alone can know.
    pub(super) received: bool,
}

/// Where a rule looks for records: a kind, a column of its index, and what stands there.
pub(super) type Place = (String, &'static str, String);
/// Records by the places where they were looked for.
pub(super) type Around = BTreeMap<Place, Vec<Neighbour>>;

/// A record that a rule looks at.
#[derive(Clone, Debug)]
pub(super) struct Neighbour {
    /// Its name and version; `None`: it is new, in the same batch.
    pub(super) saved: Option<(Name, Version)>,
    pub(super) payload: Bytes,
}

impl Neighbour {
    /// The record with its name; `None`: it cannot be read.
    fn read<R: Resource>(&self) -> Option<R> {
        let mut record = R::decode(self.payload.clone()).ok()?;
        *record.name_mut() = self.saved.as_ref().map(|(name, _)| name.to_string());
        Some(record)
    }
}

/// Which days a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// Today or earlier: something that happened.
    Past,
    /// Any day: something planned or due.
    Any,
}

impl Check {
    pub(crate) fn new(today: Date, home: &str, text_max_chars: usize) -> Self {
        Self {
            violations: vec![],
            today,
            home: home.to_owned(),
            known: None,
            several: BTreeMap::new(),
            kept: BTreeSet::new(),
            lookups: BTreeSet::new(),
            text_max_chars,
            part: String::new(),
            stood: None,
            around: Around::new(),
            unknown: BTreeSet::new(),
            looked: vec![],
            frozen: None,
            received: false,
        }
    }

    /// The check of a record that another home has written.
    pub(super) fn of_received(today: Date, text_max_chars: usize) -> Self {
        Self { received: true, ..Self::new(today, "", text_max_chars) }
    }

    /// The same check once the references by key have been looked up.
    pub(crate) fn knowing(self, known: BTreeMap<String, Name>, several: BTreeMap<String, Vec<Name>>) -> Self {
        Self { known: Some(known), several, ..self }
    }

    /// The same check for references that stay as they are written.
    pub(super) fn keeping(self, kept: BTreeSet<String>) -> Self {
        Self { kept, ..self }
    }

    /// Says that a key is held in several counties of the caller's area, and which records those are.
    fn refuse_several(&mut self, field: &str, names: &[Name]) {
        let field = format!("{}{field}", self.part);
        let names: Vec<&str> = names.iter().map(Name::as_str).collect();
        self.violations.push(ambiguous(field, &names.join(", ")));
    }

    /// Says that something is wrong.
    pub fn refuse(&mut self, field: &str, reason: Reason, detail: impl std::fmt::Display) {
        self.violations.push(Violation::new(format!("{}{field}", self.part), reason, detail));
    }

    /// Checks a part of the record, whose fields are called by its path.
    pub(super) fn within(&mut self, part: String, check: impl FnOnce(&mut Self)) {
        let whole = std::mem::replace(&mut self.part, part);
        check(self);
        self.part = whole;
    }

    /// Says so unless the field is there.
    pub fn required<T>(&mut self, field: &str, value: &Option<T>) {
        if value.is_none() && !self.received {
            self.refuse(field, Reason::Required, "");
        }
    }

    /// A text that everybody may read: trimmed; an empty one is absent; nobody's citizen number stands in it.
    pub fn text(&mut self, field: &str, value: &mut Option<String>) {
        self.bounded(field, value);
        self.open(field, value);
    }

    /// Refuses a citizen number where it is not asked for, and does not repeat it. Whether there is none.
    pub(super) fn open(&mut self, field: &str, value: &Option<String>) -> bool {
        let is_open = value.as_deref().is_none_or(|text| !has_open_number(text, self.today));
        if !is_open {
            self.refuse(field, Reason::Malformed, "a text without a citizen number | 不含公民身份号码的文字");
        }
        is_open
    }

    /// A text, whatever it says.
    fn bounded(&mut self, field: &str, value: &mut Option<String>) {
        let Some(text) = value else { return };
        if text.trim().len() != text.len() {
            *text = text.trim().to_owned();
        }
        if text.chars().any(is_hidden) {
            self.refuse(field, Reason::ControlCharacter, "");
        } else if text.chars().count() > self.text_max_chars {
            let most = self.text_max_chars;
            self.refuse(field, Reason::TooLong, format!("{most} characters | {most} 个字符"));
        } else if text.is_empty() {
            *value = None;
        }
    }

    /// Several texts, each in its form: trimmed, without empty ones and repetitions, at most fifty.
    pub(super) fn texts(
        &mut self,
        field: &str,
        values: &mut Vec<String>,
        form: impl Fn(&str) -> Result<String, (Reason, String)>,
    ) {
        const MOST: usize = 50;
        if values.len() > MOST {
            return self.refuse(field, Reason::TooMany, MOST);
        }
        let mut kept: Vec<String> = vec![];
        for text in std::mem::take(values) {
            let mut text = Some(text);
            if self.open(field, &text) {
                self.form(field, &mut text, &form);
            }
            kept.extend(text.filter(|t| !kept.contains(t)));
        }
        *values = kept;
    }

    /// A day, ISO-8601.
    pub(super) fn day(&mut self, field: &str, value: &mut Option<String>, days: Days) {
        self.bounded(field, value);
        let Some(text) = value.as_deref() else { return };
        match parse_day(text) {
            None => self.refuse(field, Reason::Malformed, "2023-05-01"),
            Some(_) if days == Days::Past => self.past(field, value),
            Some(_) => {}
        }
    }

    /// A day that has come, in a field of any days.
    pub fn past(&mut self, field: &str, day: &Option<String>) {
        if !self.received && day.as_deref().and_then(parse_day).is_some_and(|day| day > self.today) {
            self.refuse(field, Reason::InFuture, crate::clock::format_day(self.today));
        }
    }

    /// Two days in order, the later one not before the earlier.
    pub fn in_order(&mut self, (field, later): (&str, &Option<String>), (before, earlier): (&str, &Option<String>)) {
        let day = |text: &Option<String>| text.as_deref().and_then(parse_day);
        if let (Some(later), Some(earlier)) = (day(later), day(earlier))
            && later < earlier
        {
            self.refuse(field, Reason::OutOfOrder, before);
        }
    }

    /// A value of a closed list; unknown numbers are refused, "unspecified" is absent.
    pub(super) fn choice(&mut self, field: &str, value: &mut Option<i32>, is_one: fn(i32) -> bool) {
        if *value == Some(0) {
            *value = None;
        }
        if value.is_some_and(|value| !is_one(value)) {
            self.refuse(field, Reason::NotInList, "enum");
        }
    }

    /// Values of a closed list: in order, without repetitions.
    pub(super) fn choices(&mut self, field: &str, values: &mut Vec<i32>, is_one: fn(i32) -> bool) {
        values.retain(|value| *value != 0);
        values.sort_unstable();
        values.dedup();
        if values.iter().any(|value| !is_one(*value)) {
            self.refuse(field, Reason::NotInList, "enum");
        }
    }

    /// The name of a record of one kind, or a [`Lookup`] of one, which its name takes the place of.
    pub(super) fn reference(&mut self, field: &str, value: &mut Option<String>, kind: &str) {
        self.bounded(field, value);
        let Some(text) = value else { return };
        if Name::from_str(text).is_ok_and(|name| name.kind() == kind) {
            return;
        }
        if self.received || Lookup::parse(text).is_none_or(|lookup| lookup.kind != kind) {
            return self.refuse(field, Reason::Malformed, format!("nodes/NODE/{kind}/ID, {kind}/KEY"));
        }
        match self.known.as_ref().map(|known| known.get(text)) {
            None => drop(self.lookups.insert(text.clone())),
            Some(Some(name)) => *text = name.to_string(),
            Some(None) if self.several.contains_key(text) => {
                let names = self.several[text].clone();
                self.refuse_several(field, &names);
            }
            Some(None) if self.kept.contains(text.as_str()) => {}
            // The key itself may be a citizen number and is not repeated.
            Some(None) => self.refuse(field, Reason::ReferenceNotFound, kind),
        }
    }

    /// The record of this node with this natural key, if there is one. `None`: it is not known yet, the record is checked again.
    pub fn find(&mut self, kind: &str, key: &str) -> Option<Option<String>> {
        self.look_up(&[key], |key| format!("{kind}/{}", key[0]))
    }

    /// The live record of a home with this natural key, told by the field and the parts that its kind claims, if it is here.
    pub fn find_claimed(&mut self, home: &str, kind: &str, field: &str, parts: &[&str]) -> Option<Option<String>> {
        self.look_up(parts, |parts| format!("{CLAIM}{}", claim_key(home, kind, field, &parts.join("\u{1f}"))))
    }

    /// A live record of this node that shares a text in a field ([`super::Index::shares`]), the first by name if there are several.
    pub fn find_sharing(&mut self, kind: &str, field: &str, text: &str) -> Option<Option<String>> {
        self.look_up(&[text], |text| format!("{SHARED}{kind}/{field}/{}", text[0]))
    }

    fn look_up(&mut self, given: &[&str], text: impl FnOnce(&[&str]) -> String) -> Option<Option<String>> {
        // Refused by its own field; no database is asked for it.
        if given.iter().any(|part| part.chars().any(is_hidden)) {
            return Some(None);
        }
        let text = text(given);
        let found = self.known.as_ref().map(|known| known.get(&text).map(Name::to_string));
        if found.is_none() {
            self.lookups.insert(text);
        }
        found
    }

    /// While it is settled: the record as it stands, with its name; `None`: it is new.
    #[must_use]
    pub fn stood<R: Resource>(&self) -> Option<R> {
        self.stood.as_ref().and_then(Neighbour::read)
    }

    /// While it is settled: the records of a kind whose division is exactly this code, with their names; those that are new in the same
    /// batch have none. `None`: they are not known yet, the record is settled again.
    pub fn standing_at<R: Resource>(&mut self, kind: &str, code: &str) -> Option<Vec<R>> {
        self.beside((kind.to_owned(), "area", code.to_owned()))
    }

    /// The same of records that are called so.
    pub fn titled<R: Resource>(&mut self, kind: &str, title: &str) -> Option<Vec<R>> {
        self.beside((kind.to_owned(), "title", title.to_owned()))
    }

    fn beside<R: Resource>(&mut self, place: Place) -> Option<Vec<R>> {
        let Some(found) = self.around.get(&place) else {
            self.unknown.insert(place);
            return None;
        };
        self.looked.extend(found.iter().filter_map(|neighbour| neighbour.saved.clone()));
        Some(found.iter().filter_map(Neighbour::read).collect())
    }

    /// While it is settled: this field changes, which it may only while no other record refers to this one.
    pub fn frozen(&mut self, field: &'static str) {
        self.frozen = Some(field);
    }

    /// A field with a form of its own: on success its one form is kept.
    pub(super) fn form(
        &mut self,
        field: &str,
        value: &mut Option<String>,
        form: impl FnOnce(&str) -> Result<String, (Reason, String)>,
    ) {
        self.bounded(field, value);
        match value.as_deref().map(form) {
            Some(Ok(form)) => *value = Some(form),
            Some(Err((reason, detail))) => self.refuse(field, reason, detail),
            None => {}
        }
    }
}

/// A key that two counties of the caller's area hold, which a row without a division does not decide.
fn ambiguous(field: String, names: &str) -> Violation {
    let zh = format!("{field}：辖区内有多条记录使用此编号（{names}）；请填写所在地区划代码 division，或直接写记录名称");
    let en = format!(
        "{field}: several records in your area have this key ({names}); say which county's is meant by `division`, or write the \
         record's name"
    );
    Violation { field, reason: Reason::Duplicate, zh, en }
}

/// What lookups by a claim and by a shared text begin with; no text that somebody may write does.
pub(super) const CLAIM: char = '\u{1}';
pub(super) const SHARED: char = '\u{2}';

/// A record of this node by what is known of it outside: `agencies/91350100M000100Y43` by its natural key,
/// `stations/640104012/兴庆区社工站` by its title at or below a division.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup<'a> {
    pub(crate) kind: &'a str,
    /// The division, where the key is a title.
    pub(crate) place: Option<Area>,
    pub(crate) key: &'a str,
}

impl<'a> Lookup<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once('/').filter(|(kind, _)| *kind != "nodes")?;
        let (place, key) = match rest.split_once('/') {
            Some((place, key)) => (Some(Area::parse(place)?), key.trim()),
            None => (None, rest.trim()),
        };
        (!key.is_empty()).then_some(Self { kind, place, key })
    }
}
