//! The registry's nouns and their rules. Pure: no async, no SQL, no tonic.

pub mod agency;
pub mod assessment;
pub mod certificate;
pub mod change;
pub mod division;
pub mod document;
pub mod employment;
pub mod history;
pub mod incubation;
pub mod post;
pub mod recognition;
pub mod station;
pub mod system;
pub mod tag;
pub mod template;
pub mod worker;

use std::collections::BTreeMap;

pub use self::{
    agency::Agencies, assessment::Assessments, certificate::Certificates, change::Changes, division::Divisions,
    document::Documents, employment::Employments, incubation::Incubations, post::Posts, recognition::Recognitions,
    station::Stations, system::Systems, tag::Tags, template::Templates, worker::Workers,
};
use prost::Message;
pub use qianshou_kernel::identifier;
use qianshou_kernel::{
    error::Reason,
    kind::{Check, Field, Kind, Referred},
};

/// Every kind of this house; one that refers to others stands behind them.
pub const KINDS: [Kind; 15] = [
    Kind::of::<Divisions>(),
    Kind::of::<Changes>(),
    Kind::of::<Agencies>(),
    Kind::of::<Stations>(),
    Kind::of::<Workers>(),
    Kind::of::<Certificates>(),
    Kind::of::<Posts>(),
    Kind::of::<Employments>(),
    Kind::of::<Systems>(),
    Kind::of::<Incubations>(),
    Kind::of::<Templates>(),
    Kind::of::<Assessments>(),
    Kind::of::<Recognitions>(),
    Kind::of::<Documents>(),
    Kind::of::<Tags>(),
];

/// Other headers over citizen numbers.
const ID_NUMBER: [&str; 6] = ["身份证号", "身份证号码", "身份证", "证件号", "居民身份证号", "公民身份号码"];

/// The division that a record belongs to.
const fn place<R>(at: fn(&mut R) -> &mut Option<String>, example: &'static str) -> Field<R> {
    around(at, example).required()
}

/// The division around what a row names by its title; the record's own follows from that.
const fn around<R>(at: fn(&mut R) -> &mut Option<String>, example: &'static str) -> Field<R> {
    Field::division("division", "所在地区划代码", at)
        .or(&["区划代码", "行政区划代码", "所在地行政区划代码", "所在地区", "所在地区代码", "地区代码"])
        .example(example)
}

/// A record that another refers to, if it is here.
fn referred_to<R: Message + Default>(name: &Option<String>, referred: &Referred<'_>) -> Option<R> {
    R::decode(referred(name.as_deref()?)?).ok()
}

/// A part of a natural key that need not be there.
fn or_none(part: &Option<String>) -> Option<&str> {
    Some(part.as_deref().unwrap_or_default())
}

/// The state of what holds during an interval.
fn validity(until: &Option<String>) -> &'static str {
    if until.is_some() { "GONE" } else { "VALID" }
}

/// Refuses a part of a record whose code another part has.
fn each_once<'a>(check: &mut Check, (parts, code): (&str, &str), codes: impl Iterator<Item = &'a Option<String>>) {
    let mut seen = BTreeMap::new();
    for (i, text) in codes.enumerate() {
        if let Some(before) = text.as_ref().and_then(|text| seen.insert(text, i)) {
            check.refuse(&format!("{parts}[{i}].{code}"), Reason::Duplicate, format!("{parts}[{before}]"));
        }
    }
}
