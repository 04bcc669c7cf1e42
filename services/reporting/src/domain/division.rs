//! The official list of divisions that coverage divides by.

use qianshou_kernel::{id::Area, succession};
use qianshou_proto::registry::v1::{Change, Division};

/// The kind of record that lists divisions.
pub const KIND: &str = "divisions";
/// The kind of record that tells what became of divisions.
pub const CHANGES: &str = "changes";
/// For a division that is in the list from its beginning.
pub const ALWAYS: &str = "0001-01-01";
/// For a division that is still in the list.
pub const STILL: &str = "9999-12-31";

/// One code during one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The code, in its shortest form.
    pub code: Area,
    /// First day, ISO-8601.
    pub valid_from: String,
    /// First day no longer, ISO-8601.
    pub valid_to: String,
}

impl Listed {
    /// What a record lists; `None`: no code. `cut`: the record ended on this day, ISO-8601.
    #[must_use]
    pub fn of(division: &Division, cut: Option<String>) -> Option<Self> {
        let valid_to = division.valid_to.clone().unwrap_or_else(|| STILL.to_owned());
        Some(Self {
            code: Area::parse(division.code())?,
            valid_from: division.valid_from.clone().unwrap_or_else(|| ALWAYS.to_owned()),
            valid_to: cut.filter(|cut| *cut < valid_to).unwrap_or(valid_to),
        })
    }
}

/// What a record of a change says; `None`: it says nothing.
#[must_use]
pub fn changed(change: &Change) -> Option<succession::Change> {
    let Change { effective_on, from, to, parts, .. } = change;
    Some(succession::Change::told(effective_on.as_deref()?, from, to, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_that_ended_is_listed_until_then() {
        let division =
            Division { code: Some("640104000000".into()), valid_to: Some("2020-01-01".into()), ..Division::default() };
        let listed = Listed::of(&division, Some("2019-05-01".into())).unwrap();
        assert_eq!((listed.code.as_str(), &*listed.valid_from, &*listed.valid_to), ("640104", ALWAYS, "2019-05-01"));
        assert_eq!(Listed::of(&division, Some("2021-05-01".into())).unwrap().valid_to, "2020-01-01");
        assert_eq!(Listed::of(&Division::default(), None), None);
    }
}
