//! What a refusal must be: the right reason and code, the field by name, and a sentence in Chinese and in English.

use std::fmt::Debug;

use qianshou_kernel::error::{Reason, code};
use qianshou_proto::common::v1::{PutOutcome, PutState};
use tonic::Status;
use tonic_types::{ErrorDetail, StatusExt as _};

/// Asserts that a call was refused for this reason because of this field; an empty field means the whole call.
///
/// # Panics
/// If it was not, or not so that a clerk and a program would understand.
#[track_caller]
pub fn refused<T: Debug>(answer: Result<T, Status>, reason: Reason, field: &str) {
    let status = answer.expect_err(&format!("{field} should have been refused: {}", reason.as_str_name()));
    assert_eq!(status.code(), code(reason), "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().expect("a refusal has ErrorInfo");
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        (reason.as_str_name(), "qianshou"),
        "{}",
        status.message()
    );
    let fields: Vec<&str> =
        details.bad_request().iter().flat_map(|b| &b.field_violations).map(|v| v.field.as_str()).collect();
    assert!(fields.contains(&field), "{field:?} is not among {fields:?}: {}", status.message());
    let told = |locale: &str| {
        let texts = status.get_error_details_vec().into_iter();
        let text = texts
            .filter_map(|detail| if let ErrorDetail::LocalizedMessage(text) = detail { Some(text) } else { None })
            .find(|text| text.locale == locale);
        text.unwrap_or_else(|| panic!("not told in {locale}: {status:?}")).message
    };
    // What the caller named by itself is told by that name, not by its field's.
    let by_name = matches!(reason, Reason::NotYet | Reason::PeerUnknown | Reason::AgreementUnknown);
    understood(if by_name { "" } else { field }, &told("zh-CN"), &told("en"));
}

/// Asserts that a record of a batch was refused for this reason because of this field.
///
/// # Panics
/// If it was not.
#[track_caller]
pub fn refused_in_batch(outcome: &PutOutcome, reason: Reason, field: &str) {
    assert_eq!(outcome.state(), PutState::Refused, "{outcome:?}");
    assert_eq!((&outcome.name, &outcome.etag), (&None, &None), "what was refused has no name");
    let found = outcome.violations.iter().find(|v| v.field() == field && v.reason() == reason);
    let violation = found.unwrap_or_else(|| panic!("{field} {} is not in {outcome:?}", reason.as_str_name()));
    understood(field, violation.message_zh(), violation.message_en());
}

#[track_caller]
fn understood(field: &str, zh: &str, en: &str) {
    assert!(zh.contains(field) && zh.chars().any(is_han), "not Chinese, or not about {field:?}: {zh}");
    assert!(
        en.contains(field) && en.chars().any(|c| c.is_ascii_alphabetic()),
        "not English, or not about {field:?}: {en}"
    );
}

/// Whether a character is Chinese.
#[must_use]
pub fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}
