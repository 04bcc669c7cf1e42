//! The forms that offices give to texts, codes and days.

use qianshou_kernel::clock::parse_day;
use time::{Date, Month, util::days_in_month};

use super::Value;

/// From here on a program that keeps numbers as doubles has rounded a code.
const EXACT_BELOW: f64 = 1e15;

/// Full-width forms (`６４０１０４`, `Ｘ`) as their usual ones.
fn half_width(c: char) -> char {
    match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// A code or a choice: half-width, without any space.
pub(super) fn code(text: &str) -> String {
    text.chars().map(half_width).filter(|c| !c.is_whitespace() && !matches!(c, '\u{200b}' | '\u{feff}')).collect()
}

/// A header as it is compared: without spaces, marks and what stands in brackets; `金额（元）*` is `金额`.
pub(super) fn header(text: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::new();
    for c in code(text).to_lowercase().chars() {
        match c {
            '(' | '[' | '【' | '〔' => depth += 1,
            ')' | ']' | '】' | '〕' => depth = depth.saturating_sub(1),
            '*' | '‡' | ':' => {}
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// What stands in a cell that should hold a text; a number too long to have stayed exact is `None`.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.abs() >= EXACT_BELOW => None,
        other => Some(other.shown().trim().to_owned()),
    }
}

/// What stands between several texts of a cell, and between the parts of one of them. The first is what we write.
pub(super) const BETWEEN: [char; 2] = ['；', ';'];
pub(super) const WITHIN: [char; 2] = ['｜', '|'];

/// Several texts between these marks; behind a `\` a mark is a letter like any other.
pub(super) fn parts(text: &str, marks: [char; 2]) -> Vec<String> {
    let (mut texts, mut last) = (vec![], String::new());
    let mut rest = text.chars().peekable();
    let is_mark = |c: char| marks.contains(&c);
    while let Some(c) = rest.next() {
        let escaped = (c == '\\').then(|| rest.next_if(|next| is_mark(*next) || *next == '\\')).flatten();
        match (escaped, c) {
            (None, c) if is_mark(c) => texts.push(std::mem::take(&mut last)),
            (escaped, c) => last.push(escaped.unwrap_or(c)),
        }
    }
    texts.push(last);
    texts.into_iter().map(|text| text.trim().to_owned()).collect()
}

/// Several texts between `；`, without empty ones.
pub(super) fn several(text: &str) -> Vec<String> {
    let mut texts = parts(text, BETWEEN);
    texts.retain(|text| !text.is_empty());
    texts
}

/// Several texts in one cell, so that [`parts`] reads them again.
pub(super) fn joined<'a>(texts: impl Iterator<Item = &'a str>, marks: [char; 2]) -> String {
    let escape = |text: &str, mark: char| text.replace(mark, &format!("\\{mark}"));
    let escaped = |text: &str| marks.iter().fold(escape(text, '\\'), |text, mark| escape(&text, *mark));
    texts.map(escaped).collect::<Vec<_>>().join(&marks[0].to_string())
}

/// A day in any form that offices write; of a month alone its first day, or its last.
pub(super) fn day(value: &Value, last: bool) -> Option<Date> {
    match value {
        Value::Day(day) => Some(*day),
        Value::Number(number) => day_of_number(*number),
        Value::Text(text) => day_of_text(text, last),
        Value::Empty | Value::Error(_) => None,
    }
}

/// `20230501`, or the day that the office's program shows for a number.
fn day_of_number(number: f64) -> Option<Date> {
    const FIRST: i32 = 1;
    const LAST: i32 = 2_958_465;
    if number.fract() != 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float too large becomes the largest integer, which is no day"
    )]
    match number as i32 {
        serial @ FIRST..=LAST => day_of_serial(serial),
        digits => day_of_text(&digits.to_string(), false),
    }
}

/// The day of an office program's serial number, counted from 1900.
pub(super) fn day_of_serial(serial: i32) -> Option<Date> {
    // These programs believe in 1900-02-29, which is number 60.
    let believed = if serial > 60 { serial } else { serial + 1 };
    let epoch = Date::from_calendar_date(1899, Month::December, 30).ok()?;
    epoch.checked_add(time::Duration::days(believed.into()))
}

fn day_of_text(text: &str, last: bool) -> Option<Date> {
    let text: String = text.trim().chars().map(half_width).collect();
    // What programs add to a day when they write it as CSV: `2023/5/1 0:00`.
    let text = match text.split_once([' ', 'T']) {
        Some((day, time)) if time.contains(':') && time.chars().all(|c| c.is_ascii_digit() || ":.Z".contains(c)) => {
            day.to_owned()
        }
        _ => code(&text),
    };
    if let Some(day) = parse_day(&text) {
        return Some(day);
    }
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()) {
        return of_parts(&text[..4], &text[4..6], Some(&text[6..]), last);
    }
    if let Some((year, rest)) = text.split_once('年') {
        let (month, day) = rest.split_once('月')?;
        let day = day.trim_end_matches(['日', '号']);
        return of_parts(year, month, Some(day).filter(|d| !d.is_empty()), last);
    }
    let sign = text.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
    let parts: Vec<&str> = text.split(sign).collect();
    match parts[..] {
        [year, month, day] => of_parts(year, month, Some(day), last),
        // 2023.1 may be what a program made of 2023.10.
        [year, month] if sign != '.' || month.len() == 2 => of_parts(year, month, None, last),
        _ => None,
    }
}

fn of_parts(year: &str, month: &str, day: Option<&str>, last: bool) -> Option<Date> {
    let number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()).then_some(text).filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
    };
    let year = number(year, 4).filter(|_| year.len() == 4)?;
    let month = Month::try_from(u8::try_from(number(month, 2)?).ok()?).ok()?;
    let day = match day {
        Some(day) => u8::try_from(number(day, 2)?).ok()?,
        None if last => days_in_month(month, year),
        None => 1,
    };
    Date::from_calendar_date(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::clock::format_day;

    use super::*;

    #[test]
    fn every_form_of_a_day_is_read() {
        let text = |text: &str| Value::Text(text.into());
        for value in [
            text("2023-05-01"),
            text("2023/5/1"),
            text("2023.5.1"),
            text("2023年5月1日"),
            text("2023年05月01号"),
            text("20230501"),
            text("2023-05"),
            text("2023/5"),
            text("2023年5月"),
            text("2023.05"),
            text(" ２０２３－０５－０１ "),
            text("2023/5/1 0:00"),
            text("2023-05-01T00:00:00Z"),
            text("2023 年 5 月 1 日"),
            Value::Number(20_230_501.0),
            Value::Number(45_047.0),
            Value::Day(parse_day("2023-05-01").unwrap()),
        ] {
            assert_eq!(day(&value, false).map(format_day).as_deref(), Some("2023-05-01"), "{value:?}");
        }
        assert_eq!(day(&text("2024-02"), true).map(format_day).as_deref(), Some("2024-02-29"));
        assert_eq!(day(&text("2024-02-03"), true).map(format_day).as_deref(), Some("2024-02-03"));
        for value in [
            text("2023"),
            text("2023.1"),
            text("2023-13-01"),
            text("2023-02-30"),
            text("5/1/2023"),
            text("去年"),
            text("2023-5-"),
            text("2023-05-01-02"),
            text("1 2023"),
            Value::Number(2023.5),
            Value::Number(-1.0),
            Value::Number(1e300),
            Value::Empty,
            Value::Error("#N/A".into()),
            text("２０２３年"),
            text("+2023-05-01"),
            text("2023-+5-01"),
        ] {
            assert_eq!(day(&value, false), None, "{value:?}");
        }
        assert_eq!(day_of_serial(1).map(format_day).as_deref(), Some("1900-01-01"));
        assert_eq!(day_of_serial(61).map(format_day).as_deref(), Some("1900-03-01"));
    }

    #[test]
    fn codes_lose_what_programs_and_keyboards_did_to_them() {
        assert_eq!(code(" ６４０１ 04\u{3000}"), "640104");
        assert_eq!(code("1101051949123100２Ｘ"), "11010519491231002X");
        assert_eq!(plain(&Value::Number(640_104.0)).as_deref(), Some("640104"));
        assert_eq!(plain(&Value::Number(640_104_012_001.0)).as_deref(), Some("640104012001"));
        assert_eq!(plain(&Value::Number(110_105_194_912_310_020.0)), None, "a rounded citizen number");
    }

    #[test]
    fn headers_are_compared_by_their_words() {
        for text in [
            "统一社会信用代码",
            " 统一社会信用代码* ",
            "统一 社会\n信用代码",
            "统一社会信用代码（18位）",
            "统一社会信用代码‡",
            "*统一社会信用代码：",
        ] {
            assert_eq!(header(text), "统一社会信用代码", "{text}");
        }
        assert_eq!(header("USCC"), "uscc");
        assert_eq!(header("金额（元）"), "金额");
    }

    #[test]
    fn several_texts_are_read_as_they_were_joined() {
        assert_eq!(several(" 儿童福利；老年服务;；"), ["儿童福利", "老年服务"]);
        assert_eq!(several(""), Vec::<String>::new());
        for texts in [vec!["a;b", "c；d", "e\\"], vec!["\\;", "\\\\", "回族\\汉族"], vec!["一"], vec!["|", "a｜"]]
        {
            assert_eq!(several(&joined(texts.iter().copied(), BETWEEN)), texts);
            let inner = joined(texts.iter().copied(), WITHIN);
            let read = several(&joined([inner.as_str(), "x"].into_iter(), BETWEEN));
            assert_eq!(parts(&read[0], WITHIN), texts);
        }
        assert_eq!(several("藏语\\汉语"), ["藏语\\汉语"]);
    }
}
