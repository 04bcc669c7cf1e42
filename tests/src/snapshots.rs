//! The divisions of the country down to the villages at eight dates from 2016 to 2023, as intervals. Source: the yearly lists of the
//! National Bureau of Statistics.

use std::{collections::BTreeMap, fs::File};

use qianshou_proto::registry::v1::Division;

/// The dates of the eight lists.
pub const DATES: [&str; 8] =
    ["2016-07-31", "2017-10-31", "2018-10-31", "2019-10-31", "2020-06-30", "2021-10-31", "2022-10-31", "2023-06-30"];

/// The file.
#[must_use]
pub fn file() -> std::path::PathBuf {
    crate::source::root().join("tests/data/divisions_2016_2023.csv.gz")
}

/// Its rows, one after the other.
pub fn intervals() -> impl Iterator<Item = Division> {
    qianshou_registry::store::intervals(File::open(file()).unwrap()).map(Result::unwrap)
}

/// How many hold on a date, by the digits of their codes.
pub fn count<'a>(divisions: impl Iterator<Item = &'a Division>, date: &str) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for division in divisions.filter(|d| d.valid_from() <= date && d.valid_to.as_deref().is_none_or(|to| date < to)) {
        *counts.entry(division.code().len()).or_default() += 1;
    }
    counts
}
