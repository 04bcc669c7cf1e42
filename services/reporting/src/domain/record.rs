//! A record as the ledger holds it, and its fields, read by number: no message type is named here, so an indicator
//! over a new kind of record is data.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::{FieldDescriptor, Kind};
use qianshou_kernel::{
    clock::parse_day,
    error::{Error, Result},
    filter::{Condition, Filter, Test},
    id::{Area, Name},
    wire::{self, Wire, fields},
};
use time::Date;

use super::catalogue::Steps;

/// What is shown for a field that is absent.
pub const UNKNOWN: &str = "UNKNOWN";

/// The newest content of a record, until when it contributes.
#[derive(Clone, Debug)]
pub struct Record {
    name: Name,
    payload: Bytes,
    cut: Option<Date>,
    blind: Option<String>,
    readable: bool,
}

impl Record {
    /// A record with its last payload. `cut`: it has ended, and from this day on it contributes nothing.
    #[must_use]
    pub fn new(name: Name, payload: Bytes, cut: Option<Date>) -> Self {
        let readable = fields(&payload).all(|field| field.is_ok());
        Self { name, payload, cut, blind: None, readable }
    }

    /// The same, of whoever this stands for at this node: its sealed number, of which nobody learns anything.
    #[must_use]
    pub fn of_person(self, blind: Option<String>) -> Self {
        Self { blind, ..self }
    }

    /// Whom it is about, as far as this node alone knows.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name.kind()
    }

    /// Its last payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The first day on which it contributes nothing any more.
    #[must_use]
    pub fn cut(&self) -> Option<Date> {
        self.cut
    }

    /// The same, contributing nothing from a day on.
    #[must_use]
    pub fn until(self, day: Option<Date>) -> Self {
        Self { cut: self.cut.into_iter().chain(day).min(), ..self }
    }

    /// The record as it was at each of its steps, in their order: what a step says stands in place of what the record says; only the first
    /// begins when the record does. Without any, itself.
    #[must_use]
    pub fn at_steps(&self, steps: &Steps) -> Vec<Self> {
        let told = fields(&self.payload).map_while(Result::ok).filter(|field| field.number == steps.of.number);
        let at = |(i, field): (usize, wire::Field<'_>)| {
            let Wire::Len(step) = field.wire else { return None };
            let mut payload = self.payload.to_vec();
            for said in fields(step).map_while(Result::ok) {
                let set = steps.set.iter().find(|(from, to)| *from == said.number && (i > 0 || *to != steps.enters));
                match (set, said.wire) {
                    // Of a field that is there twice the last is meant.
                    (Some((_, to)), Wire::Len(bytes)) => wire::put_bytes(&mut payload, *to, bytes),
                    (Some((_, to)), Wire::Varint(number)) => wire::put_varint(&mut payload, *to, number),
                    _ => {}
                }
            }
            Some(Self { payload: payload.into(), ..self.clone() })
        };
        let all: Vec<Self> = told.enumerate().filter_map(at).collect();
        if all.is_empty() { vec![self.clone()] } else { all }
    }

    /// Whether its bytes are a message.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// A text; an empty one is absent.
    #[must_use]
    pub fn text(&self, field: &Field) -> Option<&str> {
        match self.last(field.number) {
            Some(Wire::Len(bytes)) => std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// Every text of a field that may have several; empty ones are absent.
    pub fn texts(&self, field: &Field) -> impl Iterator<Item = &str> + use<'_> {
        let number = field.number;
        fn text<'a>(field: wire::Field<'a>, number: u32) -> Option<&'a str> {
            match field.wire {
                Wire::Len(bytes) if field.number == number => std::str::from_utf8(bytes).ok().filter(|t| !t.is_empty()),
                _ => None,
            }
        }
        fields(&self.payload).map_while(Result::ok).filter_map(move |field| text(field, number))
    }

    /// A number; an enum's "unspecified" is absent.
    #[must_use]
    pub fn number(&self, field: &Field) -> Option<i64> {
        match self.last(field.number) {
            Some(Wire::Varint(number)) => Some(number.cast_signed()).filter(|n| field.names.is_none() || *n != 0),
            _ => None,
        }
    }

    /// A day, ISO-8601. `Err`: there is something that is none.
    pub fn day(&self, field: &Field) -> Result<Option<Date>, NotADay> {
        self.text(field).map(|text| parse_day(text).ok_or(NotADay)).transpose()
    }

    /// An area, in its shortest form.
    #[must_use]
    pub fn area(&self, field: &Field) -> Option<Area> {
        self.text(field).and_then(Area::parse)
    }

    /// The field as a coordinate of a cell: a text, an enum's value without its prefix, `TRUE` or `FALSE`; [`UNKNOWN`] if it is
    /// absent.
    #[must_use]
    pub fn shown(&self, field: &Field) -> String {
        let shown = match &field.names {
            Some(names) => self.number(field).and_then(|number| names.get(&number)).map(String::as_str),
            None if field.flag => self.number(field).map(|number| if number == 0 { "FALSE" } else { "TRUE" }),
            None => self.text(field),
        };
        shown.unwrap_or(UNKNOWN).to_owned()
    }

    /// Whether all rules hold.
    #[must_use]
    pub fn meets(&self, rules: &[Rule]) -> bool {
        rules.iter().all(|rule| {
            let holds = || match rule.elements {
                Some(least) => self.elements(rule.field.number) >= least,
                None => rule.filter.matches(&self.payload).unwrap_or(false),
            };
            let other = || rule.or_present.as_ref().is_some_and(|other| !self.lacks(other));
            (rule.or_absent && self.lacks(&rule.field)) || holds() || other()
        })
    }

    /// How many numbers a field has, packed into one or each for itself.
    fn elements(&self, number: u32) -> usize {
        let count = |wire: Wire<'_>| match wire {
            Wire::Len(packed) => packed.iter().filter(|byte| **byte < 0x80).count(),
            _ => 1,
        };
        fields(&self.payload).map_while(Result::ok).filter(|f| f.number == number).map(|f| count(f.wire)).sum()
    }

    /// Whether a field is absent.
    #[must_use]
    pub fn lacks(&self, field: &Field) -> bool {
        self.text(field).is_none() && self.number(field).is_none()
    }

    /// As protobuf reads a singular field: the last one counts.
    fn last(&self, number: u32) -> Option<Wire<'_>> {
        fields(&self.payload)
            .map_while(Result::ok)
            .filter(|field| field.number == number)
            .last()
            .map(|field| field.wire)
    }
}

/// A text that should be an ISO-8601 day and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADay;

/// A field of one kind of record.
#[derive(Clone, Debug)]
pub struct Field {
    number: u32,
    name: String,
    /// An enum's values, without their prefix.
    names: Option<BTreeMap<i64, String>>,
    /// Several numbers in one.
    packed: bool,
    /// Yes or no.
    flag: bool,
}

impl Field {
    /// What the contract says of a field.
    #[must_use]
    pub fn of(field: &FieldDescriptor) -> Self {
        let names = if let Kind::Enum(values) = field.kind() {
            let unspecified = values.default_value().name().to_owned();
            let prefix = unspecified.strip_suffix("UNSPECIFIED").unwrap_or_default();
            let short = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
            Some(values.values().map(|v| (i64::from(v.number()), short(v.name()))).collect())
        } else {
            None
        };
        let flag = matches!(field.kind(), Kind::Bool);
        Self { number: field.number(), name: field.name().to_owned(), names, packed: field.is_packed(), flag }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The numbers of an enum's values by their names without prefix; `None`: this is no enum.
    #[must_use]
    pub fn numbers(&self, names: &[String]) -> Option<Result<Vec<i64>>> {
        let known = self.names.as_ref()?;
        let number = |name: &String| known.iter().find(|(_, known)| *known == name).map(|(number, _)| *number);
        let missing = |name: &String| Error::broken(format!("{} has no value {name}", self.name));
        Some(names.iter().map(|name| number(name).ok_or_else(|| missing(name))).collect())
    }
}

/// A condition on a record.
#[derive(Clone, Debug)]
pub struct Rule {
    filter: Filter,
    field: Field,
    /// At least so many packed numbers, which the filter does not read.
    elements: Option<usize>,
    or_absent: bool,
    or_present: Option<Field>,
}

impl Rule {
    /// Numbers of the fields that it looks at.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        [&self.field].into_iter().chain(&self.or_present).map(Field::number)
    }

    /// A test of the kernel's closed filter on one field; `or_absent`: a record without the field passes as well.
    #[must_use]
    pub fn new(field: Field, test: Test, or_absent: bool) -> Self {
        let elements = if let Test::AtLeast(least) = test { Some(least as usize) } else { None };
        let elements = elements.filter(|_| field.packed);
        let filter = Filter { all: vec![Condition { path: vec![field.number], test }] };
        Self { elements, filter, field, or_absent, or_present: None }
    }

    /// A record that has this other field passes as well.
    #[must_use]
    pub fn or_present(self, other: Option<Field>) -> Self {
        Self { or_present: other, ..self }
    }
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::kind::descriptors;

    use super::*;

    fn field(name: &str) -> Field {
        Field::of(
            &descriptors()
                .get_message_by_name("qianshou.registry.v1.Station")
                .unwrap()
                .get_field_by_name(name)
                .unwrap(),
        )
    }

    fn station(payload: Vec<u8>) -> Record {
        Record::new("nodes/64/stations/1".parse().unwrap(), payload.into(), None)
    }

    #[test]
    fn a_field_is_absent_or_says_something() {
        let mut payload = vec![];
        wire::put_text(&mut payload, 3, "");
        wire::put_varint(&mut payload, 4, 3);
        wire::put_text(&mut payload, 5, "640104012000");
        wire::put_varint(&mut payload, 6, 0);
        wire::put_text(&mut payload, 7, "2021-06-01");
        wire::put_text(&mut payload, 8, "2021-06");
        let record = station(payload);
        assert!(record.is_readable());
        assert_eq!(record.text(&field("display_name")), None);
        assert_eq!(record.shown(&field("type")), "TOWNSHIP_STATION");
        assert_eq!(record.shown(&field("status")), UNKNOWN);
        assert_eq!(record.shown(&field("origin")), UNKNOWN);
        assert_eq!(record.area(&field("division")).unwrap().as_str(), "640104012");
        assert_eq!(record.day(&field("opened_on")).unwrap(), parse_day("2021-06-01"));
        assert_eq!(record.day(&field("closed_on")), Err(NotADay));
        assert!(record.lacks(&field("status")) && !record.lacks(&field("type")));
    }

    #[test]
    fn packed_numbers_are_counted() {
        let rule = |least| [Rule::new(field("six_haves"), Test::AtLeast(least), false)];
        let mut payload = vec![];
        wire::put_bytes(&mut payload, 13, &[1, 2, 0x83, 0x01]);
        wire::put_varint(&mut payload, 13, 6);
        let record = station(payload);
        assert!(record.meets(&rule(4)) && !record.meets(&rule(5)));
        assert!(!station(vec![]).meets(&rule(1)));
    }

    #[test]
    fn a_rule_may_let_the_absent_pass() {
        let operating = |or_absent| {
            let field = field("status");
            let numbers = field.numbers(&["OPERATING".into(), "CLOSED".into()]).unwrap().unwrap();
            [Rule::new(field, Test::NumberIn(numbers), or_absent)]
        };
        let with = |status: Option<u64>| {
            let mut payload = vec![];
            status.into_iter().for_each(|status| wire::put_varint(&mut payload, 6, status));
            station(payload)
        };
        assert!(with(Some(3)).meets(&operating(false)) && with(Some(4)).meets(&operating(true)));
        assert!(!with(Some(1)).meets(&operating(true)) && !with(None).meets(&operating(false)));
        assert!(with(None).meets(&operating(true)) && with(Some(0)).meets(&operating(true)));
        assert!(field("status").numbers(&["OPEN".into()]).unwrap().is_err());
    }
}
