//! Spreadsheets as offices write them: files in, receipts and exports out, all through the RPC API. A kind's columns stand beside its
//! noun; nothing here knows one by name.
//!
//! The path of an import: [`read`] streams rows → [`header`] finds the columns → [`row`] makes a message of each row, or reasons →
//! [`client`] puts them, a batch at a time → [`receipt`] says what became of each. An export goes the other way: [`client`] lists →
//! [`export`] → [`write`](mod@write). Whatever the number of rows, only a batch of them is in memory.

mod bounds;
pub(crate) mod client;
pub(crate) mod export;
mod header;
pub(crate) mod import;
mod progress;
pub(crate) mod read;
pub(crate) mod receipt;
mod row;
pub(crate) mod template;
mod text;
pub(crate) mod write;

use std::path::Path;

use qianshou_kernel::{
    error::{Error, Reason, Result},
    kind::Kind,
    sheet::Sheet,
};
use time::Date;

use crate::node::kinds;

/// The column that tells equal rows apart and, in an export, names the record.
pub(crate) const REF: &str = "ref";
/// Its header.
pub(crate) const REF_HEADER: &str = "编号";
/// The header under which a receipt says what became of a row.
pub(crate) const VERDICT_HEADER: &str = "校验结果";

/// The sheets that we add to workbooks ourselves, which no import misses: a receipt's figures and a template's notes.
pub(crate) const SUMMARY_SHEET: &str = "校验汇总";
pub(crate) const NOTES_SHEET: &str = "填写说明";

/// One cell, as the file has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    /// Nothing in it.
    #[default]
    Empty,
    /// A text.
    Text(String),
    /// A number, and a code that the office's program took for one.
    Number(f64),
    /// A day.
    Day(Date),
    /// `#N/A` and its like.
    Error(String),
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Its number as the office's program shows it, from 1; a line of a CSV file.
    pub(crate) number: u32,
    /// Its cells, without empty ones at its end.
    pub(crate) cells: Vec<Value>,
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Number(_) | Self::Day(_) | Self::Error(_) => false,
        }
    }

    /// What a person reads in the cell.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) | Self::Error(text) => text.clone(),
            // Also writes whole numbers without a point.
            Self::Number(number) => number.to_string(),
            Self::Day(day) => qianshou_kernel::clock::format_day(*day),
        }
    }
}

impl Row {
    /// Bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let text = |cell: &Value| if let Value::Text(text) | Value::Error(text) = cell { text.len() } else { 0 };
        self.cells.iter().map(text).sum()
    }
}

/// A kind that has a sheet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    pub(crate) kind: Kind,
    pub(crate) sheet: &'static Sheet,
}

impl Described {
    /// What commands call it.
    pub(crate) fn called(&self) -> &'static str {
        self.sheet.kind.unwrap_or(self.kind.collection)
    }

    /// What a file that begins with these rows is: of this kind, or the other half of what it tells.
    pub(crate) fn of(self, rows: &[Row]) -> Result<Self> {
        let Some(other) = self.sheet.other else { return Ok(self) };
        let half = kind(other.kind)?;
        Ok(if header::has_column(half.sheet, rows, other.column) { half } else { self })
    }
}

/// A kind by its name, if it has a sheet.
pub(crate) fn kind(name: &str) -> Result<Described> {
    let described = |kind: &Kind| kind.sheet.map(|sheet| Described { kind: *kind, sheet });
    let all: Vec<Described> = kinds().iter().filter_map(described).collect();
    let found = all.iter().find(|described| described.called() == name || described.kind.collection == name);
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(Described::called).collect();
        Error::refused("KIND", Reason::NotInList, known.join(", "))
    })
}

/// A refusal of a file.
fn of_file(file: &Path, reason: Reason, detail: impl std::fmt::Display) -> Error {
    Error::refused(file.display().to_string(), reason, detail)
}

#[cfg(test)]
mod tests {
    use prost_reflect::MessageDescriptor;
    use qianshou_kernel::{
        kind::descriptors,
        sheet::{Cell, Column},
    };

    use super::*;

    #[test]
    fn every_sheet_fits_its_message() {
        for kind in kinds() {
            let Described { sheet, .. } = super::kind(kind.collection).unwrap();
            let message = descriptors().get_message_by_name(kind.message).unwrap();
            // What an export did not hold, the next import would wipe out.
            let mut known = vec!["name", "etag", "ref", "person"];
            // What follows from other records or from the rest.
            known.extend(match kind.collection {
                "merges" => &["division"][..],
                "assessments" => &["passed", "standard"],
                "outcomes" => &["division", "outcome", "agency", "commitment"],
                "moves" => &["division", "successor"],
                "divisions" => &["level", "parent", "class"],
                "commitments" => &[
                    "division",
                    "agency",
                    "sending_division",
                    "sending_agency",
                    "pairing",
                    "cohort",
                    "rules",
                    "several",
                ],
                "approvals" => &["pairing", "cohort"],
                "dispatches" => &["participations"],
                "activities" => &["pairing"],
                "allocations" => &["counted_on"],
                "payments" => &["flow", "year"],
                "receipts" => &["flow"],
                _ => &[],
            });
            fits(&message, sheet.columns, &known);
            if let Some(other) = sheet.other {
                let half = super::kind(other.kind).unwrap().sheet;
                assert!(half.columns.iter().any(|column| column.field == other.column), "{}", other.column);
                assert!(sheet.columns.iter().all(|column| column.field != other.column), "{}", other.column);
            }
        }
    }

    fn fits(message: &MessageDescriptor, columns: &[Column], known: &[&str]) {
        for column in columns {
            let field = message.get_field_by_name(column.path).unwrap_or_else(|| panic!("{}", column.path));
            let several = matches!(column.cell, Cell::Texts | Cell::Choices(_) | Cell::Parts(_) | Cell::Counts);
            assert_eq!(field.is_list(), several, "{}", column.field);
            match column.cell {
                Cell::Choice(choices) | Cell::Choices(choices) => {
                    for choice in choices {
                        assert!(row::number_of(&field, choice.name).is_some(), "{}", choice.name);
                    }
                    assert_eq!(field.kind().as_enum().unwrap().values().count(), choices.len() + 1);
                }
                Cell::Parts(columns) => fits(field.kind().as_message().unwrap(), columns, &[]),
                _ => {}
            }
        }
        for field in message.fields() {
            let filled = known.contains(&field.name()) || columns.iter().any(|column| column.path == field.name());
            assert!(filled, "{} has no column for {}", message.name(), field.name());
        }
    }

    #[test]
    fn an_unknown_kind_is_told_the_known_ones() {
        let refused = super::kind("agency").unwrap_err().to_string();
        assert!(refused.contains("agencies") && refused.contains("certificates"), "{refused}");
    }
}
