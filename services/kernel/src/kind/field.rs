//! A field of a noun, told once: what it is called in a message and in a sheet, what form it has, whether it must be there. The
//! check, the sheet and the template all read it.

use std::ops::RangeInclusive;

use time::Date;

use super::{Check, Days};
use crate::{
    error::Reason,
    id::Area,
    sheet::{ALL_DIGITS, Cell, Choice, Column},
};

/// One field of the record `R`.
pub struct Field<R: 'static> {
    /// What it looks like in a sheet; its path is the field's name in the message.
    pub column: Column,
    at: At<R>,
}

type Text<R> = fn(&mut R) -> &mut Option<String>;

/// Where the field is, and the form it has.
enum At<R: 'static> {
    Text(Text<R>),
    Form(Text<R>, Form),
    Day(Text<R>, Days),
    Reference(Text<R>, &'static str),
    Texts(fn(&mut R) -> &mut Vec<String>, Form),
    Choice(fn(&mut R) -> &mut Option<i32>, fn(i32) -> bool),
    Choices(fn(&mut R) -> &mut Vec<i32>, fn(i32) -> bool),
    Count(fn(&mut R) -> &mut Option<u32>, u32, u32),
    Fen(fn(&mut R) -> &mut Option<i64>, i64),
    Flag(fn(&mut R) -> &mut Option<bool>),
    Parts(&'static dyn Several<R>),
    Counts(fn(&mut R) -> &mut Vec<u32>),
}

/// The most that one record may say of money: ten trillion yuan. Sums of many still fit.
pub const FEN_MOST: i64 = 1_000_000_000_000_000;

/// Brings a text into its one form. It is given today.
pub type Form = fn(&str, Date) -> Result<String, (Reason, String)>;

impl<R> Clone for Field<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Field<R> {}
impl<R> Clone for At<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for At<R> {}

impl<R> Field<R> {
    /// A text as it stands.
    pub const fn text(field: &'static str, header: &'static str, at: Text<R>) -> Self {
        Self { column: Column::new(field, header, Cell::Text), at: At::Text(at) }
    }

    /// A code with a form of its own.
    pub const fn code(field: &'static str, header: &'static str, at: Text<R>, form: Form) -> Self {
        Self { column: Column::new(field, header, Cell::Code), at: At::Form(at, form) }
    }

    /// A code that no receipt, error or log repeats, and no export answers.
    pub const fn secret(field: &'static str, header: &'static str, at: Text<R>, form: Form) -> Self {
        Self { column: Column::new(field, header, Cell::Secret), at: At::Form(at, form) }
    }

    /// The code of a division.
    pub const fn division(field: &'static str, header: &'static str, at: Text<R>) -> Self {
        Self::code(field, header, at, division)
    }

    /// A day; in a sheet a month alone is its first.
    pub const fn day(field: &'static str, header: &'static str, at: Text<R>, days: Days) -> Self {
        Self { column: Column::new(field, header, Cell::Day), at: At::Day(at, days) }
    }

    /// A day that something lasts until; in a sheet a month alone is its last.
    pub const fn last_day(field: &'static str, header: &'static str, at: Text<R>) -> Self {
        Self { column: Column::new(field, header, Cell::LastDay), at: At::Day(at, Days::Any) }
    }

    /// Another record of the kind `kind`, in a sheet by its natural key, which is its field `key`.
    pub const fn reference(
        field: &'static str,
        header: &'static str,
        at: Text<R>,
        kind: &'static str,
        key: &'static str,
    ) -> Self {
        Self { column: Column::new(field, header, Cell::Reference { kind, field: key }), at: At::Reference(at, kind) }
    }

    /// Another record of the kind `kind`, in a sheet by its title at or below the division of the row; `title` holds it.
    pub const fn placed(
        field: &'static str,
        header: &'static str,
        at: Text<R>,
        kind: &'static str,
        title: &'static str,
    ) -> Self {
        let cell = Cell::Placed { kind, field: title, digits: ALL_DIGITS };
        Self { column: Column::new(field, header, cell), at: At::Reference(at, kind) }
    }

    /// Where a row's title is looked for: not in its own division, but in the one of so many digits around it.
    #[must_use]
    pub const fn within(self, digits: usize) -> Self {
        let cell = match self.column.cell {
            Cell::Placed { kind, field, .. } => Cell::Placed { kind, field, digits },
            other => other,
        };
        Self { column: Column { cell, ..self.column }, at: self.at }
    }

    /// Several texts.
    pub const fn texts(field: &'static str, header: &'static str, at: fn(&mut R) -> &mut Vec<String>) -> Self {
        Self::formed(field, header, at, as_it_stands)
    }

    /// Several texts, each with a form of its own.
    pub const fn formed(
        field: &'static str,
        header: &'static str,
        at: fn(&mut R) -> &mut Vec<String>,
        form: Form,
    ) -> Self {
        Self { column: Column::new(field, header, Cell::Texts), at: At::Texts(at, form) }
    }

    /// The codes of several divisions.
    pub const fn divisions(field: &'static str, header: &'static str, at: fn(&mut R) -> &mut Vec<String>) -> Self {
        Self::formed(field, header, at, division)
    }

    /// One value of the list `E`.
    pub const fn choice<E: TryFrom<i32>>(
        field: &'static str,
        header: &'static str,
        at: fn(&mut R) -> &mut Option<i32>,
        choices: &'static [Choice],
    ) -> Self {
        Self { column: Column::new(field, header, Cell::Choice(choices)), at: At::Choice(at, is_one::<E>) }
    }

    /// Several values of the list `E`.
    pub const fn choices<E: TryFrom<i32>>(
        field: &'static str,
        header: &'static str,
        at: fn(&mut R) -> &mut Vec<i32>,
        choices: &'static [Choice],
    ) -> Self {
        Self { column: Column::new(field, header, Cell::Choices(choices)), at: At::Choices(at, is_one::<E>) }
    }

    /// How many, within a range; zero is a value.
    pub const fn count(
        field: &'static str,
        header: &'static str,
        at: fn(&mut R) -> &mut Option<u32>,
        range: RangeInclusive<u32>,
    ) -> Self {
        Self { column: Column::new(field, header, Cell::Count), at: At::Count(at, *range.start(), *range.end()) }
    }

    /// Money in 分, at least so much and at most [`FEN_MOST`]; in a sheet in yuan, exactly.
    pub const fn fen(
        field: &'static str,
        header: &'static str,
        at: fn(&mut R) -> &mut Option<i64>,
        least: i64,
    ) -> Self {
        Self { column: Column::new(field, header, Cell::Yuan), at: At::Fen(at, least) }
    }

    /// Yes or no.
    pub const fn flag(field: &'static str, header: &'static str, at: fn(&mut R) -> &mut Option<bool>) -> Self {
        Self { column: Column::new(field, header, Cell::Flag), at: At::Flag(at) }
    }

    /// Several messages with fields of their own; `columns` are these.
    pub const fn parts(
        field: &'static str,
        header: &'static str,
        parts: &'static dyn Several<R>,
        columns: &'static [Column],
    ) -> Self {
        Self { column: Column::new(field, header, Cell::Parts(columns)), at: At::Parts(parts) }
    }

    /// Several numbers, in an order that means something.
    pub const fn counts(field: &'static str, header: &'static str, at: fn(&mut R) -> &mut Vec<u32>) -> Self {
        Self { column: Column::new(field, header, Cell::Counts), at: At::Counts(at) }
    }

    /// Other headers that offices write.
    #[must_use]
    pub const fn or(self, variants: &'static [&'static str]) -> Self {
        Self { column: self.column.or(variants), ..self }
    }

    /// Its name in the message, where the sheet calls it otherwise.
    #[must_use]
    pub const fn fills(self, path: &'static str) -> Self {
        Self { column: self.column.fills(path), ..self }
    }

    /// It must be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { column: self.column.required(), ..self }
    }

    /// It is part of the natural key.
    #[must_use]
    pub const fn key(self) -> Self {
        Self { column: self.column.key(), ..self }
    }

    /// What the template shows in it.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { column: self.column.example(example), ..self }
    }

    /// Brings the field into its one form and says what is wrong with it.
    pub(super) fn check(&self, record: &mut R, check: &mut Check) {
        let field = self.column.path;
        let required = |check: &mut Check, there: bool| {
            if self.column.required && !there && !check.received {
                check.refuse(field, Reason::Required, "");
            }
        };
        match self.at {
            At::Text(at) => {
                check.text(field, at(record));
                required(check, at(record).is_some());
            }
            At::Form(at, form) => {
                let today = check.today;
                // Only a secret field takes the number of a person.
                if matches!(self.column.cell, Cell::Secret) || check.open(field, at(record)) {
                    check.form(field, at(record), |text| form(text, today));
                }
                required(check, at(record).is_some());
            }
            At::Day(at, days) => {
                check.day(field, at(record), days);
                required(check, at(record).is_some());
            }
            At::Reference(at, kind) => {
                check.reference(field, at(record), kind);
                required(check, at(record).is_some());
            }
            At::Texts(at, form) => {
                let today = check.today;
                check.texts(field, at(record), |text| form(text, today));
                required(check, !at(record).is_empty());
            }
            At::Choice(at, is_one) => {
                check.choice(field, at(record), is_one);
                required(check, at(record).is_some());
            }
            At::Choices(at, is_one) => {
                check.choices(field, at(record), is_one);
                required(check, !at(record).is_empty());
            }
            At::Count(at, least, most) => {
                if at(record).is_some_and(|count| !(least..=most).contains(&count)) {
                    check.refuse(field, Reason::Malformed, format!("{least}–{most}"));
                }
                required(check, at(record).is_some());
            }
            At::Fen(at, least) => {
                if at(record).is_some_and(|fen| !(least..=FEN_MOST).contains(&fen)) {
                    check.refuse(field, Reason::Malformed, format!("{least}–{FEN_MOST} 分 (fen)"));
                }
                required(check, at(record).is_some());
            }
            At::Flag(at) => required(check, at(record).is_some()),
            At::Parts(parts) => {
                let there = parts.check(field, record, check) > 0;
                required(check, there);
            }
            At::Counts(at) => required(check, !at(record).is_empty()),
        }
    }
}

/// Messages of one kind within the record `R`.
pub trait Several<R>: Sync {
    /// Brings each into its one form; answers how many there are.
    fn check(&self, field: &str, record: &mut R, check: &mut Check) -> usize;
}

/// Where the messages `E` are in the record `R`, and their fields.
pub struct Parts<R: 'static, E: 'static> {
    /// Where they are.
    pub at: fn(&mut R) -> &mut Vec<E>,
    /// Their fields.
    pub fields: &'static [Field<E>],
}

impl<R, E> Several<R> for Parts<R, E> {
    fn check(&self, field: &str, record: &mut R, check: &mut Check) -> usize {
        const MOST: usize = 200;
        let all = (self.at)(record);
        if all.len() > MOST {
            check.refuse(field, Reason::TooMany, MOST);
            return all.len();
        }
        for (i, one) in all.iter_mut().enumerate() {
            check.within(format!("{field}[{i}]."), |check| self.fields.iter().for_each(|part| part.check(one, check)));
        }
        all.len()
    }
}

/// The columns of a noun's fields, for its sheet.
pub const fn columns<R, const N: usize>(fields: &[Field<R>; N]) -> [Column; N] {
    let mut columns = [Column::new("", "", Cell::Text); N];
    let mut i = 0;
    while i < N {
        columns[i] = fields[i].column;
        i += 1;
    }
    columns
}

fn is_one<E: TryFrom<i32>>(value: i32) -> bool {
    E::try_from(value).is_ok()
}

fn as_it_stands(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    Ok(text.to_owned())
}

/// A division's code in its shortest form; whether it exists is asked of the list.
fn division(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let malformed = || (Reason::Malformed, "2, 4, 6, 9 or 12 digits | 2、4、6、9 或 12 位数字".to_owned());
    Area::parse(text).map(|area| area.as_str().to_owned()).ok_or_else(malformed)
}
