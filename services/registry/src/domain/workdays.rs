//! Working days in China: Monday to Friday without the public holidays, and the weekend days on which these are worked off.
//!
//! Source: the General Office of the State Council's notices on the holidays of 2024, 2025 and 2026
//! (国务院办公厅关于部分节假日安排的通知).

use std::ops::RangeInclusive;

use time::{Date, Weekday};

/// A day of a year: month and day.
type Day = (u8, u8);

/// The holidays of one year.
struct Year {
    year: i32,
    /// Days off, from the first to the last.
    off: &'static [RangeInclusive<Day>],
    /// Saturdays and Sundays that are worked.
    worked: &'static [Day],
}

/// The years that are known, without a gap.
static YEARS: [Year; 3] = [
    Year {
        year: 2024,
        off: &[
            (1, 1)..=(1, 1),
            (2, 10)..=(2, 17),
            (4, 4)..=(4, 6),
            (5, 1)..=(5, 5),
            (6, 10)..=(6, 10),
            (9, 15)..=(9, 17),
            (10, 1)..=(10, 7),
        ],
        worked: &[(2, 4), (2, 18), (4, 7), (4, 28), (5, 11), (9, 14), (9, 29), (10, 12)],
    },
    Year {
        year: 2025,
        off: &[
            (1, 1)..=(1, 1),
            (1, 28)..=(2, 4),
            (4, 4)..=(4, 6),
            (5, 1)..=(5, 5),
            (5, 31)..=(6, 2),
            (10, 1)..=(10, 8),
        ],
        worked: &[(1, 26), (2, 8), (4, 27), (9, 28), (10, 11)],
    },
    Year {
        year: 2026,
        off: &[
            (1, 1)..=(1, 3),
            (2, 15)..=(2, 23),
            (4, 4)..=(4, 6),
            (5, 1)..=(5, 5),
            (6, 19)..=(6, 21),
            (9, 25)..=(9, 27),
            (10, 1)..=(10, 7),
        ],
        worked: &[(1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10)],
    },
];

/// The last day of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub on: Date,
    /// The term runs into a year whose holidays are not known: another day may come of it.
    pub provisional: bool,
}

/// The last day of a term of so many working days; the day of receipt does not count.
#[must_use]
pub fn due(received: Date, working_days: u32) -> Due {
    let mut due = Due { on: received, provisional: false };
    let mut left = working_days;
    while left > 0 {
        let Some(next) = due.on.next_day() else { break };
        let year = YEARS.iter().find(|known| known.year == next.year());
        due = Due { on: next, provisional: due.provisional || year.is_none() };
        left -= u32::from(is_worked(next, year));
    }
    due
}

fn is_worked(day: Date, year: Option<&Year>) -> bool {
    let at = (u8::from(day.month()), day.day());
    let is_off = year.is_some_and(|year| year.off.iter().any(|days| days.contains(&at)));
    let is_made_up = year.is_some_and(|year| year.worked.contains(&at));
    let is_weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    is_made_up || (!is_weekend && !is_off)
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::clock::{format_day, parse_day};
    use time::Month;

    use super::*;

    #[test]
    fn a_term_ends_on_the_working_day_that_the_notices_give() {
        for (received, days, on, provisional) in [
            ("2025-09-25", 10, "2025-10-15", false),
            ("2025-01-20", 10, "2025-02-08", false),
            ("2026-02-10", 10, "2026-03-02", false),
            ("2024-06-01", 10, "2024-06-17", false),
            ("2024-09-30", 1, "2024-10-08", false),
            ("2024-02-09", 1, "2024-02-18", false),
            ("2025-12-31", 1, "2026-01-04", false),
            ("2026-12-31", 1, "2027-01-01", true),
            ("2026-12-25", 10, "2027-01-08", true),
            ("2026-12-17", 10, "2026-12-31", false),
            ("2023-12-31", 1, "2024-01-02", false),
            ("2023-12-20", 1, "2023-12-21", true),
        ] {
            let due = due(parse_day(received).unwrap(), days);
            assert_eq!((format_day(due.on).as_str(), due.provisional), (on, provisional), "{received}");
        }
    }

    /// The notices move days and make none: what is off on weekdays is the statutory days and what is worked off on weekends.
    #[test]
    fn what_is_worked_off_makes_up_for_days_off() {
        // New Year, Qingming, Dragon Boat, Mid-Autumn 1 each, Spring and National Day 3 each, Labour Day 1; from 2025 one more for Spring and for
        // Labour Day.
        for (known, statutory) in YEARS.iter().zip([11, 13, 13]) {
            let date =
                |(month, day): Day| Date::from_calendar_date(known.year, Month::try_from(month).unwrap(), day).unwrap();
            let is_weekend = |day: Date| matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            assert!(known.worked.iter().all(|day| is_weekend(date(*day))), "{}", known.year);
            let mut days = std::iter::successors(Some(date((1, 1))), |day| day.next_day());
            let in_year = days.by_ref().take_while(|day| day.year() == known.year);
            let is_off = |day: &Date| known.off.iter().any(|days| days.contains(&(u8::from(day.month()), day.day())));
            let off = in_year.filter(|day| is_off(day) && !is_weekend(*day)).count();
            assert_eq!(off, statutory + known.worked.len(), "{}", known.year);
        }
    }
}
