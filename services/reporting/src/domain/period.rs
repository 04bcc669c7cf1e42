//! When a cell is meant: a day, or a year, half, quarter or month.

use qianshou_kernel::clock::{format_day, parse_day};
use time::{Date, Month};

/// `2023`, `2023H1`, `2023Q2` or `2023-05`, with its first and its last day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// As it is written.
    pub text: String,
    /// First day.
    pub first: Date,
    /// Last day.
    pub last: Date,
}

impl Period {
    /// Reads a period.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (year, rest) = text.split_at_checked(4)?;
        let one =
            |digits: &str, most: u8| digits.parse::<u8>().ok().filter(|n| digits.len() == 1 && (1..=most).contains(n));
        let (month, months) = match rest.split_at_checked(1) {
            None => (1, 12),
            Some(("H", half)) => (one(half, 2)? * 6 - 5, 6),
            Some(("Q", quarter)) => (one(quarter, 4)? * 3 - 2, 3),
            Some(("-", month)) if month.len() == 2 => (month.parse().ok()?, 1),
            Some(_) => return None,
        };
        let first = parse_day(&format!("{year}-{month:02}-01"))?;
        let last_month = Month::try_from(month + months - 1).ok()?;
        let last = Date::from_calendar_date(first.year(), last_month, last_month.length(first.year())).ok()?;
        Some(Self { text: text.to_owned(), first, last })
    }

    /// The calendar year of a day up to that day, written as the year.
    #[must_use]
    pub fn year_to(day: Date) -> Self {
        let first = Date::from_ordinal_date(day.year(), 1).unwrap_or(day);
        Self { text: format!("{:04}", day.year()), first, last: day }
    }
}

/// The month of a day: `2023-05`.
#[must_use]
pub fn month_of(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), u8::from(day.month()))
}

/// Which tallies add up to a range of days: whole months, and the days of one month that is cut. Bounds are texts as
/// they are stored; a range without days or months is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// First month, `0000-00` for "from the beginning".
    pub month_from: String,
    /// First month no longer.
    pub month_until: String,
    /// First day.
    pub day_from: String,
    /// Last day.
    pub day_to: String,
}

impl Window {
    /// Everything up to a day, this day included.
    #[must_use]
    pub fn up_to(day: Date) -> Self {
        Self { month_from: "0000-00".to_owned(), ..Self::of(day, day) }
    }

    /// From one day, which begins a month, to another, both included.
    #[must_use]
    pub fn of(first: Date, last: Date) -> Self {
        let whole = last.day() == last.month().length(last.year());
        let begin = format!("{}-01", month_of(last));
        let (month_until, day_from) = match last.next_day() {
            Some(next) if whole => (month_of(next), "9999-99-99".to_owned()),
            _ => (month_of(last), begin),
        };
        Self { month_from: month_of(first), month_until, day_from, day_to: format_day(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> Option<(String, String)> {
        Period::parse(text).map(|p| (format_day(p.first), format_day(p.last)))
    }

    #[test]
    fn a_period_has_a_first_and_a_last_day() {
        for (text, first, last) in [
            ("2023", "2023-01-01", "2023-12-31"),
            ("2023H1", "2023-01-01", "2023-06-30"),
            ("2023H2", "2023-07-01", "2023-12-31"),
            ("2023Q2", "2023-04-01", "2023-06-30"),
            ("2024-02", "2024-02-01", "2024-02-29"),
        ] {
            assert_eq!(days(text), Some((first.into(), last.into())), "{text}");
        }
        for text in [
            "",
            "23",
            "2023H3",
            "2023Q0",
            "2023-13",
            "2023-5",
            "2023-00",
            "2023x1",
            "2023Q12",
            "二〇二三",
            "2023H",
            "2023-05-01",
        ] {
            assert_eq!(days(text), None, "{text}");
        }
    }

    #[test]
    fn whole_months_need_no_days() {
        let window = |text: &str| Window::up_to(parse_day(text).unwrap());
        let whole = window("2023-12-31");
        assert_eq!((&*whole.month_from, &*whole.month_until), ("0000-00", "2024-01"));
        assert!(whole.day_from > whole.day_to);
        let cut = window("2023-05-17");
        assert_eq!((&*cut.month_until, &*cut.day_from, &*cut.day_to), ("2023-05", "2023-05-01", "2023-05-17"));
        let year = Period::year_to(parse_day("2023-05-17").unwrap());
        assert_eq!((&*year.text, year.first), ("2023", parse_day("2023-01-01").unwrap()));
        assert_eq!(Window::of(year.first, year.last), Window { month_from: "2023-01".into(), ..cut });
    }
}
