//! The calls: [`peer`] between nodes, on the listener that only pinned certificates pass; [`admin`] for the node's own
//! operators.

pub(crate) mod admin;
pub(crate) mod peer;

use qianshou_kernel::error::{Error, Reason};

fn required<T>(field: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| Error::refused(field, Reason::Required, ""))
}

fn required_text(field: &str, value: Option<String>) -> Result<String, Error> {
    required(field, value.filter(|text| !text.is_empty()))
}
