//! The rules every field shares: required, not too long, nothing invisible in it, a real day, a value of the list.

use std::str::FromStr;

use time::Date;

use crate::{
    clock::parse_day,
    error::{Reason, Violation},
    id::Name,
};

/// Collects what is wrong with one record, while bringing its fields into their one form.
pub struct Check {
    /// What was found.
    pub violations: Vec<Violation>,
    /// Today in China.
    pub today: Date,
    text_max_chars: usize,
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
    pub(crate) fn new(today: Date, text_max_chars: usize) -> Self {
        Self { violations: vec![], today, text_max_chars }
    }

    /// Says that something is wrong.
    pub fn refuse(&mut self, field: &str, reason: Reason, detail: impl std::fmt::Display) {
        self.violations.push(Violation::new(field, reason, detail));
    }

    /// Says so unless the field is there.
    pub fn required<T>(&mut self, field: &str, value: &Option<T>) {
        if value.is_none() {
            self.refuse(field, Reason::Required, "");
        }
    }

    /// A text: trimmed; an empty one is absent.
    pub fn text(&mut self, field: &str, value: &mut Option<String>) {
        let Some(text) = value else { return };
        if text.trim().len() != text.len() {
            *text = text.trim().to_owned();
        }
        if text.chars().any(char::is_control) {
            self.refuse(field, Reason::ControlCharacter, "");
        } else if text.chars().count() > self.text_max_chars {
            let most = self.text_max_chars;
            self.refuse(field, Reason::TooLong, format!("{most} characters | {most} 个字符"));
        } else if text.is_empty() {
            *value = None;
        }
    }

    /// A text that must be there.
    pub fn required_text(&mut self, field: &str, value: &mut Option<String>) {
        self.text(field, value);
        self.required(field, value);
    }

    /// Several texts: trimmed, without empty ones and repetitions, at most fifty.
    pub fn texts(&mut self, field: &str, values: &mut Vec<String>) {
        const MOST: usize = 50;
        if values.len() > MOST {
            return self.refuse(field, Reason::TooMany, MOST);
        }
        let mut kept: Vec<String> = vec![];
        for text in std::mem::take(values) {
            let mut text = Some(text);
            self.text(field, &mut text);
            kept.extend(text.filter(|t| !kept.contains(t)));
        }
        *values = kept;
    }

    /// A day, ISO-8601.
    pub fn day(&mut self, field: &str, value: &mut Option<String>, days: Days) -> Option<Date> {
        self.text(field, value);
        let text = value.as_deref()?;
        let Some(day) = parse_day(text) else {
            self.refuse(field, Reason::Malformed, "2023-05-01");
            return None;
        };
        if days == Days::Past && day > self.today {
            self.refuse(field, Reason::InFuture, crate::clock::format_day(self.today));
        }
        Some(day)
    }

    /// Two days in order, the later one not before the earlier.
    pub fn in_order(&mut self, field: &str, later: Option<Date>, earlier_field: &str, earlier: Option<Date>) {
        if let (Some(later), Some(earlier)) = (later, earlier)
            && later < earlier
        {
            self.refuse(field, Reason::OutOfOrder, earlier_field);
        }
    }

    /// A value of a closed list; unknown numbers are refused, "unspecified" is absent.
    pub fn choice<E: TryFrom<i32>>(&mut self, field: &str, value: &mut Option<i32>) {
        if *value == Some(0) {
            *value = None;
        }
        if value.is_some_and(|v| E::try_from(v).is_err()) {
            self.refuse(field, Reason::NotInList, "enum");
        }
    }

    /// The name of a record of one kind.
    pub fn reference(&mut self, field: &str, value: &mut Option<String>, kind: &str) {
        self.text(field, value);
        if value.as_deref().is_some_and(|text| Name::from_str(text).map_or(true, |name| name.kind() != kind)) {
            self.refuse(field, Reason::Malformed, format!("nodes/NODE/{kind}/ID"));
        }
    }

    /// A field with a form of its own: on success its one form is kept.
    pub fn form<T>(
        &mut self,
        field: &str,
        value: &mut Option<String>,
        parse: impl FnOnce(&str) -> Result<T, (Reason, String)>,
        form: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        self.text(field, value);
        match parse(value.as_deref()?) {
            Ok(parsed) => {
                *value = Some(form(&parsed));
                Some(parsed)
            }
            Err((reason, detail)) => {
                self.refuse(field, reason, detail);
                None
            }
        }
    }
}
