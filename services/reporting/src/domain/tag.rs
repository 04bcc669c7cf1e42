//! Tags of divisions, by which a table may be narrowed: which codes carried a tag on a day.

use std::collections::BTreeSet;

use prost::Message;
use qianshou_kernel::{clock::format_day, id::Area};
use qianshou_proto::registry::v1::{Tag, TagLabel};

use super::{division::STILL, record::Record};

/// The kind of record that says so.
pub const KIND: &str = "tags";
const PREFIX: &str = "TAG_LABEL_";

/// That a division carries a tag during an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The label, without its prefix.
    pub label: String,
    /// The code, in its shortest form.
    pub code: Area,
    /// First day, ISO-8601; empty: always did.
    pub since: String,
    /// First day no longer, ISO-8601.
    pub until: String,
}

/// What a record says; `None`: nothing.
#[must_use]
pub fn tagged(record: &Record) -> Option<Tagged> {
    let tag = Tag::decode(record.payload().clone()).ok()?;
    let until = tag.until.clone().into_iter().chain(record.cut().map(format_day)).min();
    Some(Tagged {
        label: tag.label().as_str_name().trim_start_matches(PREFIX).to_owned(),
        code: Area::parse(tag.division())?,
        since: tag.since.clone().unwrap_or_default(),
        until: until.unwrap_or_else(|| STILL.to_owned()),
    })
}

/// Whether there is such a label.
#[must_use]
pub fn is_label(text: &str) -> bool {
    TagLabel::from_str_name(&format!("{PREFIX}{text}")).is_some_and(|label| label != TagLabel::Unspecified)
}

/// The part of an area that lies in these divisions, as codes of which none lies in another.
#[must_use]
pub fn part_of(area: &Area, codes: &BTreeSet<String>) -> Vec<String> {
    let covers = |code: &String, other: &str| Area::parse(code).is_some_and(|code| code.covers(other));
    if codes.iter().any(|code| covers(code, area.as_str())) {
        return vec![area.as_str().to_owned()];
    }
    let mut part: Vec<String> = vec![];
    // In the order of texts a code follows what it lies in.
    for code in codes.iter().filter(|code| area.covers(code)) {
        if part.last().is_none_or(|last| !covers(last, code)) {
            part.push(code.clone());
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{cut, record, text};

    #[test]
    fn a_part_of_an_area_counts_nothing_twice() {
        let part = |area: &str, codes: &[&str]| {
            part_of(&Area::parse(area).unwrap(), &codes.iter().map(|code| (*code).to_owned()).collect())
        };
        let codes = ["350128", "640424", "640424100", "640424100001", "640502"];
        assert_eq!(part("64", &codes), ["640424", "640502"]);
        assert_eq!(part("00", &codes), ["350128", "640424", "640502"]);
        assert_eq!(part("640424100", &codes), ["640424100"]);
        assert_eq!(part("6405", &codes[..4]), [""; 0]);
        assert_eq!(part("64", &["00"]), ["64"]);
    }

    #[test]
    fn a_tag_that_ended_holds_until_then() {
        let told = Tag {
            division: text("640424000000"),
            label: Some(TagLabel::KeyCounty.into()),
            since: text("2021-08-27"),
            until: text("2025-01-01"),
            ..Tag::default()
        };
        let whole = record(KIND, "1", &told);
        let tag = tagged(&whole).unwrap();
        assert_eq!((&*tag.label, tag.code.as_str(), &*tag.until), ("KEY_COUNTY", "640424", "2025-01-01"));
        assert_eq!(tagged(&cut(&whole, &told, "2023-01-01")).unwrap().until, "2023-01-01");
        assert_eq!(tagged(&record(KIND, "1", &Tag::default())), None);
        assert!(is_label("RELOCATION") && !is_label("UNSPECIFIED") && !is_label("RICH"));
    }
}
