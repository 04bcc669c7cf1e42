//! The shape of a record that another home has written: what is checked before it is stored, so that it can be stored, indexed and
//! shown like one of our own. Fields may be absent, for they may be withheld; numbers that are not known here are kept as they came.
//!
//! Never changes a byte, and asks no rule that only the record's home can answer.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_reflect::{Cardinality, FieldDescriptor, Kind as FieldKind, MessageDescriptor};
use qianshou_proto::Resource;
use time::Date;

use super::{Check, Noun, descriptors};
use crate::{
    error::is_hidden,
    id::Name,
    identifier,
    wire::{Malformed, Wire, fields, put_bytes},
};

/// Messages within messages.
const DEPTH_MOST: usize = 8;
/// How often one repeated field may stand in a message.
const TIMES_MOST: usize = 1_000;

/// How large a record may be, and the day it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Characters in one text at most.
    pub text_max_chars: usize,
    /// Bytes of the record at most.
    pub record_max_bytes: usize,
    /// Today in China.
    pub today: Date,
}

/// What is wrong with a record's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misshape {
    /// It is no message of its kind.
    Unreadable,
    /// A field, by its path, has not the form, the length or the range that it has here.
    Field(String),
    /// A field, by its path, holds a citizen number in the clear.
    IdentityNumber(String),
}

pub(super) fn check<N: Noun>(payload: &[u8], bounds: &Bounds) -> Result<(), Misshape> {
    if payload.len() > bounds.record_max_bytes {
        return Err(Misshape::Field(String::new()));
    }
    let message = descriptors().get_message_by_name(N::Record::MESSAGE).ok_or(Misshape::Unreadable)?;
    walk(&message, payload, bounds, &mut Vec::new())?;
    let mut record = N::Record::decode(payload).map_err(|_| Misshape::Unreadable)?;
    let mut check = Check::of_received(bounds.today, bounds.text_max_chars);
    N::FIELDS.iter().for_each(|field| field.check(&mut record, &mut check));
    check.violations.into_iter().next().map_or(Ok(()), |violation| Err(Misshape::Field(violation.field)))
}

/// Every field that the contract knows, on the wire: also those that nobody may write here.
fn walk(message: &MessageDescriptor, bytes: &[u8], bounds: &Bounds, path: &mut Vec<String>) -> Result<(), Misshape> {
    let mut times = BTreeMap::new();
    for field in fields(bytes) {
        let field = field.map_err(|_| Misshape::Unreadable)?;
        let Some(known) = message.get_field(field.number) else { continue };
        let seen = times.entry(field.number).or_insert(0_usize);
        *seen += 1;
        let most = if known.cardinality() == Cardinality::Repeated { TIMES_MOST } else { 1 };
        path.push(known.name().to_owned());
        if *seen > most {
            return Err(Misshape::Field(path.join(".")));
        }
        match (known.kind(), field.wire) {
            (FieldKind::Message(inner), Wire::Len(part)) if path.len() <= DEPTH_MOST => {
                walk(&inner, part, bounds, path)?
            }
            (kind, wire) => value(&known, &kind, wire, bounds, path)?,
        }
        path.pop();
    }
    Ok(())
}

fn value(
    field: &FieldDescriptor,
    kind: &FieldKind,
    wire: Wire<'_>,
    bounds: &Bounds,
    path: &[String],
) -> Result<(), Misshape> {
    let sound = match (kind, wire) {
        (FieldKind::String, Wire::Len(text)) => {
            let text = std::str::from_utf8(text).map_err(|_| Misshape::Unreadable)?;
            if has_open_number(text, bounds.today) {
                return Err(Misshape::IdentityNumber(path.join(".")));
            }
            !text.chars().any(is_hidden) && text.chars().count() <= bounds.text_max_chars
        }
        (FieldKind::Enum(list), Wire::Varint(value)) => {
            i32::try_from(value as i64).is_ok_and(|value| list.get_value(value).is_some())
        }
        (FieldKind::Float, Wire::Fixed32(bits)) => f32::from_bits(bits).is_finite(),
        (FieldKind::Double, Wire::Fixed64(bits)) => f64::from_bits(bits).is_finite(),
        (FieldKind::Message(_), _) => false,
        // Packed numbers; the record's bytes bound them, and its fields their values.
        (_, Wire::Len(_)) => field.is_packed() || matches!(kind, FieldKind::Bytes | FieldKind::Enum(_)),
        _ => true,
    };
    if sound { Ok(()) } else { Err(Misshape::Field(path.join("."))) }
}

/// Whether an open text holds a citizen number. An organisation's code is no such text, whatever its digits, nor is a record's name,
/// unless its id is nothing but such a number.
#[must_use]
pub fn has_open_number(text: &str, today: Date) -> bool {
    identifier::holds_citizen_number(text, today)
        && text.parse::<Name>().map_or(true, |name| name.id().len() == 18)
        && !identifier::is_registered_uscc(text)
}

/// A payload without the texts that hold a citizen number, wherever they stand in it; `None`: it has none. What stays is byte for
/// byte what came.
pub(super) fn without_open_numbers(message: &MessageDescriptor, bytes: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let mut kept = vec![];
    let mut found = false;
    for field in fields(bytes) {
        let field = field?;
        match (message.get_field(field.number).map(|known| known.kind()), field.wire) {
            (Some(FieldKind::String), Wire::Len(text))
                if std::str::from_utf8(text).is_ok_and(|text| has_open_number(text, Date::MAX)) =>
            {
                found = true;
            }
            (Some(FieldKind::Message(inner)), Wire::Len(part)) => match without_open_numbers(&inner, part)? {
                Some(part) => {
                    found = true;
                    put_bytes(&mut kept, field.number, &part);
                }
                None => kept.extend_from_slice(field.raw),
            },
            _ => kept.extend_from_slice(field.raw),
        }
    }
    Ok(found.then_some(kept))
}
