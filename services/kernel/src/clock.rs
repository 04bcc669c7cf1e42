//! Time as a parameter. Instants are milliseconds UTC; days are ISO-8601 text at the edges and [`Date`] inside.
//!
//! Never decides order: order is position, page number and version.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use time::{Date, Month, OffsetDateTime, UtcOffset};

/// Where the time comes from: the system, or a value that a test moves.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `ms` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn fixed(ms: i64) -> Self {
        Self(Some(Arc::new(AtomicI64::new(ms))))
    }

    /// Moves a fixed clock by `ms`; the system's clock is not ours to move.
    pub fn advance(&self, ms: i64) {
        if let Some(fixed) = &self.0 {
            fixed.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Some(fixed) => fixed.load(Ordering::SeqCst),
            #[expect(clippy::disallowed_methods, reason = "the one door through which time enters")]
            None => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                now.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// Today in China (UTC+8), where every office that reports lives.
    #[must_use]
    pub fn today(&self) -> Date {
        day_of(self.now_ms())
    }
}

/// The Chinese calendar day of an instant in milliseconds UTC.
#[must_use]
pub fn day_of(ms: i64) -> Date {
    let china = UtcOffset::from_hms(8, 0, 0).unwrap_or(UtcOffset::UTC);
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).map_or(Date::MIN, |at| at.to_offset(china).date())
}

/// Reads `2023-05-01`, four digits, two and two; anything else is `None`.
#[must_use]
pub fn parse_day(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<u16> {
        bytes[range].iter().try_fold(0_u16, |n, b| b.is_ascii_digit().then(|| n * 10 + u16::from(b - b'0')))
    };
    let month = Month::try_from(u8::try_from(number(5..7)?).ok()?).ok()?;
    Date::from_calendar_date(i32::from(number(0..4)?), month, u8::try_from(number(8..10)?).ok()?).ok()
}

/// Writes a day as `2023-05-01`.
#[must_use]
pub fn format_day(day: Date) -> String {
    format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

/// The day after a last one, both as text: the first on which what lasts until then is over.
#[must_use]
pub fn day_after(last: &Option<String>) -> Option<String> {
    last.as_deref().and_then(parse_day).and_then(Date::next_day).map(format_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_reads_as_it_is_written() {
        for text in ["2023-05-01", "2024-02-29", "1949-10-01"] {
            assert_eq!(parse_day(text).map(format_day).as_deref(), Some(text));
        }
        for text in ["2023-5-1", "2023-02-29", "2023-13-01", "2023/05/01", "", "20230501xx"] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }

    #[test]
    fn the_day_after_the_last_is_the_first_that_is_over() {
        let after = |last: &str| day_after(&Some(last.to_owned()));
        assert_eq!(after("2023-12-31").as_deref(), Some("2024-01-01"));
        assert_eq!((after("soon"), day_after(&None)), (None, None));
    }

    #[test]
    fn midnight_in_china_begins_the_day() {
        assert_eq!(format_day(day_of(1_700_000_000_000)), "2023-11-15");
        assert_eq!(format_day(day_of(1_704_038_399_000)), "2023-12-31");
        assert_eq!(format_day(day_of(1_704_038_400_000)), "2024-01-01");
    }
}
