//! Identifiers that the country gives: what they look like, and which of them can be true. That a code is well formed
//! does not say that it was ever given; only a list or a register can say that, and none is asked here.
//!
//! Every parser takes what people type: it trims ASCII white space and raises letters.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::iter;

use time::{Date, Month};

use crate::error::Reason;

const USCC_ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
const BODY_WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];
const BODY_CHECKS: &[u8; 11] = b"0X987654321";
const CITIZEN_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CITIZEN_CHECKS: &[u8; 11] = b"10X98765432";

/// Why a text is no identifier. It never repeats the text, which may be the number of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierError {
    /// Too many or too few characters.
    Length,
    /// A character that does not belong there.
    Alphabet,
    /// The check character does not fit the others: mistyped.
    CheckDigit,
    /// The date of birth is no date.
    BirthDate,
    /// The date of birth is after today.
    InFuture,
    /// No province has the number 00.
    Province,
}

/// A unified social credit code (统一社会信用代码) of one organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uscc(String);

/// A citizen number (公民身份号码) of one person. It is never printed, by `Debug` neither.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CitizenNumber {
    number: String,
    birth_date: Date,
}

/// A division code (行政区划代码, 统计用区划代码) in its shortest form: `64`, not `640000`.
///
/// A code is no identity: it may be given again when its division is gone, so it says nothing without a date.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DivisionCode(String);

/// The levels of divisions, the highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Province,
    Prefecture,
    County,
    Township,
    Village,
}

/// Reads a unified social credit code. Source: GB 32100.
///
/// # Errors
/// Not 18 characters; a character outside the alphabet, which has no I, O, S, V, Z; a check character that does not
/// fit.
pub fn uscc(text: &str) -> Result<Uscc, IdentifierError> {
    let text = tidy(text);
    if !text.bytes().all(|byte| USCC_ALPHABET.contains(&byte)) {
        return Err(IdentifierError::Alphabet);
    }
    let (first17, _) = text.split_at_checked(17).ok_or(IdentifierError::Length)?;
    if text.len() != 18 {
        return Err(IdentifierError::Length);
    }
    if uscc_with_check(first17).as_ref() != Some(&text) {
        return Err(IdentifierError::CheckDigit);
    }
    Ok(Uscc(text))
}

/// A unified social credit code from its first 17 characters, or `None` if they are not that. Source: GB 32100.
#[must_use]
pub fn uscc_with_check(first17: &str) -> Option<String> {
    let first17 = tidy(first17);
    if first17.len() != 17 {
        return None;
    }
    let (mut sum, mut weight) = (0, 1);
    for byte in first17.bytes() {
        sum += weight * USCC_ALPHABET.iter().position(|letter| *letter == byte)?;
        weight = weight * 3 % 31;
    }
    let check = char::from(USCC_ALPHABET[(31 - sum % 31) % 31]);
    Some(format!("{first17}{check}"))
}

/// Reads a citizen number. Source: GB 11643.
///
/// # Errors
/// Not 18 characters; anything but digits, and an X only at the end; a check character that does not fit; a date of
/// birth that is no date, or is after `today`.
pub fn citizen_number(text: &str, today: Date) -> Result<CitizenNumber, IdentifierError> {
    let number = tidy(text);
    let fits = |(at, byte): (usize, u8)| byte.is_ascii_digit() || (at == 17 && byte == b'X');
    if !number.bytes().enumerate().all(fits) {
        return Err(IdentifierError::Alphabet);
    }
    let (first17, _) = number.split_at_checked(17).ok_or(IdentifierError::Length)?;
    if number.len() != 18 {
        return Err(IdentifierError::Length);
    }
    if citizen_with_check(first17).as_ref() != Some(&number) {
        return Err(IdentifierError::CheckDigit);
    }
    let birth_date = date(&number[6..14]).ok_or(IdentifierError::BirthDate)?;
    if birth_date > today {
        return Err(IdentifierError::InFuture);
    }
    Ok(CitizenNumber { number, birth_date })
}

/// A citizen number from its first 17 digits, or `None` if they are not that. The date of birth is not looked at.
/// Source: GB 11643.
#[must_use]
pub fn citizen_with_check(first17: &str) -> Option<String> {
    let first17 = tidy(first17);
    if first17.len() != 17 {
        return None;
    }
    let digits: Option<Vec<u32>> = first17.chars().map(|digit| digit.to_digit(10)).collect();
    let check = check(&digits?, &CITIZEN_WEIGHTS, CITIZEN_CHECKS);
    Some(format!("{first17}{check}"))
}

/// The second digits of the provinces, by their first, from 1.
const PROVINCES: [&str; 8] = ["12345", "123", "1234567", "123456", "01234", "12345", "1", "123"];

/// Whether a text holds a citizen number: eighteen digits (the last may be X), as they are or full-width, also with spaces or
/// hyphens between them and among other digits, that begin with a province (or with 9, as those of
/// foreigners with permanent residence do), hold a date of birth before `today` and end
/// with their check character. Source: GB 11643.
#[must_use]
pub fn holds_citizen_number(text: &str, today: Date) -> bool {
    has_digits(text)
        && runs(text).iter().any(|run| run.windows(18).any(|number| is_citizen_number(&plain(number), today)))
}

/// A text with every number that is, or is a mistyped, citizen number left out: what a refusal or a log may repeat.
#[must_use]
pub fn veiled(text: &str) -> Cow<'_, str> {
    if !has_digits(text) {
        return Cow::Borrowed(text);
    }
    let spans = |run: &Vec<Digit>| {
        let found = run.windows(18).filter(|number| looks_like_one(&plain(number)));
        found.map(|number| number[0].from..number[17].until).collect::<Vec<_>>()
    };
    let (mut veiled, mut at) = (String::new(), 0);
    for span in runs(text).iter().flat_map(spans) {
        if span.start >= at {
            veiled.push_str(&text[at..span.start]);
            veiled.push_str("***");
        }
        at = at.max(span.end);
    }
    if at == 0 { Cow::Borrowed(text) } else { Cow::Owned(veiled + &text[at..]) }
}

/// Nearly all texts have fewer digits than a citizen number.
fn has_digits(text: &str) -> bool {
    text.chars().filter(|c| c.is_ascii_digit() || ('０'..='９').contains(c)).take(17).count() == 17
}

/// A digit or X of a text, as it is meant, and where it stands there.
#[derive(Clone, Copy)]
struct Digit {
    byte: u8,
    from: usize,
    until: usize,
}

fn plain(number: &[Digit]) -> Vec<u8> {
    number.iter().map(|digit| digit.byte).collect()
}

/// The digits of a text that follow each other, at most spaces and hyphens between them.
fn runs(text: &str) -> Vec<Vec<Digit>> {
    let meant = |c: char| match c {
        '０'..='９' => u8::try_from(c as u32 - '０' as u32).ok().map(|digit| b'0' + digit),
        'x' | 'X' | 'ｘ' | 'Ｘ' => Some(b'X'),
        _ => u8::try_from(c).ok().filter(u8::is_ascii_digit),
    };
    let between = |c: char| {
        c.is_whitespace()
            || matches!(c, '-' | '－' | '.' | '·' | '_' | '\u{2010}'..='\u{2015}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
    };
    let (mut runs, mut run) = (vec![], vec![]);
    for (from, c) in text.char_indices() {
        match meant(c) {
            Some(byte) => run.push(Digit { byte, from, until: from + c.len_utf8() }),
            None if between(c) => {}
            None => runs.push(std::mem::take(&mut run)),
        }
    }
    runs.push(run);
    runs
}

/// Seventeen digits with a date in their middle; the check character may be mistyped.
fn looks_like_one(number: &[u8]) -> bool {
    let two = |at: usize| (number[at] - b'0') * 10 + (number[at + 1] - b'0');
    number[..17].iter().all(u8::is_ascii_digit)
        && matches!(&number[6..8], b"19" | b"20")
        && (1..=12).contains(&two(10))
        && (1..=31).contains(&two(12))
}

fn is_province([first, second]: [u8; 2]) -> bool {
    matches!(first, b'1'..=b'8') && PROVINCES[usize::from(first - b'1')].as_bytes().contains(&second)
}

fn is_citizen_number(number: &[u8], today: Date) -> bool {
    let begins = number[0] == b'9' || is_province([number[0], number[1]]);
    if !begins || !matches!(&number[6..8], b"19" | b"20") {
        return false;
    }
    std::str::from_utf8(number).is_ok_and(|number| citizen_number(number, today).is_ok())
}

/// Whether a text is an organisation's code that was given in a province, or by the nation, and so no person's number.
#[must_use]
pub fn is_registered_uscc(text: &str) -> bool {
    let given = |code: &Uscc| {
        matches!(&code.0[2..4], "10") || is_province(code.0.as_bytes()[2..4].try_into().unwrap_or_default())
    };
    uscc(text).is_ok_and(|code| given(&code))
}

/// Reads a division code of 2, 4, 6, 9 or 12 digits, and cuts zeros that only fill it up: no division of any level
/// has the number zero among its siblings. Source: GB/T 2260 and the statistical codes that extend it.
///
/// Where a prefecture has townships but no counties (441900003 in Dongguan), zeros stand in for the county. Such a
/// zero county (441900) is the prefecture itself.
///
/// # Errors
/// Another length, something that is no digit, or province 00.
pub fn division_code(text: &str) -> Result<DivisionCode, IdentifierError> {
    let text = text.trim_ascii();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(IdentifierError::Alphabet);
    }
    if Level::ALL.iter().all(|level| level.digits() != text.len()) {
        return Err(IdentifierError::Length);
    }
    if text.starts_with("00") {
        return Err(IdentifierError::Province);
    }
    Ok(DivisionCode::shortest(text))
}

impl Uscc {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The division where the organisation was registered, as it was coded then: to be looked up in history, not today.
    /// `None` where the third to eighth characters are no such code.
    #[must_use]
    pub fn registered_in(&self) -> Option<DivisionCode> {
        division_code(&self.0[2..8]).ok()
    }

    /// Whether the body code inside (characters 9 to 17) has its own check character. A mismatch is worth a warning
    /// and no more. Source: GB 11714.
    #[must_use]
    pub fn body_code_holds(&self) -> bool {
        let values: Vec<u32> = self.0[8..16].chars().filter_map(|letter| letter.to_digit(36)).collect();
        self.0[16..].starts_with(check(&values, &BODY_WEIGHTS, BODY_CHECKS))
    }
}

impl CitizenNumber {
    /// The number, with an upper-case X. Whoever asks for it answers for where it goes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.number
    }

    #[must_use]
    pub fn birth_date(&self) -> Date {
        self.birth_date
    }
}

impl DivisionCode {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn level(&self) -> Level {
        let level = Level::ALL.into_iter().find(|level| level.digits() >= self.0.len());
        level.unwrap_or(Level::Village)
    }

    /// The next division above that exists; `None` for a province.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let above = self.level().above()?;
        Some(Self::shortest(&self.0[..above.digits()]))
    }

    /// The divisions above, the nearest first, up to the province.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        iter::successors(self.parent(), Self::parent)
    }

    /// Whether civil affairs know the division, rather than statistics alone: townships and villages numbered
    /// 001–399, and all counties but the zones numbered 71–80. Only its own number counts: a street in a zone is a
    /// street. Source: the numbering of the statistical codes (统计用区划代码); so counted, Ningxia has 242 townships on
    /// 2021-10-31.
    #[must_use]
    pub fn official(&self) -> bool {
        match self.level() {
            Level::Province | Level::Prefecture => true,
            Level::County => !("71"..="80").contains(&self.number()),
            Level::Township | Level::Village => self.number() <= "399",
        }
    }

    /// The digits that tell the division from its siblings.
    fn number(&self) -> &str {
        &self.0[self.level().above().map_or(0, Level::digits)..]
    }

    /// `digits` has the length of a level.
    fn shortest(digits: &str) -> Self {
        let only_zeros = |rest: &str| rest.bytes().all(|byte| byte == b'0');
        let mut ends = Level::ALL.into_iter().map(Level::digits);
        let end = ends.find(|&end| digits.get(end..).is_some_and(only_zeros));
        Self(digits[..end.unwrap_or(digits.len())].to_owned())
    }
}

impl Level {
    pub const ALL: [Self; 5] = [Self::Province, Self::Prefecture, Self::County, Self::Township, Self::Village];

    /// How many digits a code of this level has: 2, 4, 6, 9 or 12.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::Province => 2,
            Self::Prefecture => 4,
            Self::County => 6,
            Self::Township => 9,
            Self::Village => 12,
        }
    }

    fn above(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|level| *level < self)
    }
}

fn tidy(text: &str) -> String {
    text.trim_ascii().to_ascii_uppercase()
}

/// The check character by a weighted sum modulo 11.
fn check(values: &[u32], weights: &[u32], checks: &[u8; 11]) -> char {
    let sum: u32 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    char::from(checks[sum as usize % 11])
}

/// A day as eight digits.
fn date(digits: &str) -> Option<Date> {
    let month: u8 = digits.get(4..6)?.parse().ok()?;
    let day = digits.get(6..8)?.parse().ok()?;
    let year = digits.get(..4)?.parse().ok()?;
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

impl fmt::Display for IdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "too many or too few characters",
            Self::Alphabet => "a character does not belong there",
            Self::CheckDigit => "the check character does not fit the others",
            Self::BirthDate => "the date of birth is no date",
            Self::InFuture => "the date of birth is after today",
            Self::Province => "no province has the number 00",
        })
    }
}

impl Error for IdentifierError {}

impl fmt::Display for Uscc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CitizenNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CitizenNumber(..)")
    }
}

impl fmt::Display for DivisionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an identifier's fault is called in a refusal.
impl From<IdentifierError> for (Reason, String) {
    fn from(error: IdentifierError) -> Self {
        use IdentifierError as Fault;
        match error {
            Fault::Length => (Reason::Malformed, "18 characters | 18 位".into()),
            Fault::Alphabet => (Reason::Malformed, "0–9, A–Z | 数字和大写字母".into()),
            Fault::CheckDigit => (Reason::CheckDigit, "its original | 原件".into()),
            Fault::BirthDate => (Reason::Malformed, "a real birth date | 真实出生日期".into()),
            Fault::InFuture => (Reason::InFuture, "birth date | 出生日期".into()),
            Fault::Province => (Reason::NotInList, "province | 省".into()),
        }
    }
}

/// A unified social credit code in its one form, for a field of a noun.
pub fn uscc_form(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    uscc(text).map(|code| code.as_str().to_owned()).map_err(Into::into)
}

/// A citizen number in its one form, for a field of a noun.
pub fn citizen_form(text: &str, today: Date) -> Result<String, (Reason, String)> {
    citizen_number(text, today).map(|number| number.as_str().to_owned()).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USCCS: [&str; 4] = ["91350100M000100Y43", "914403001922038216", "9144030071526726XG", "91330100799655058B"];

    #[test]
    fn a_citizen_number_is_noticed_in_an_open_text() {
        let number = citizen_with_check("64010419980808001").unwrap();
        let wide: String =
            number.chars().map(|c| char::from_u32(c as u32 - '0' as u32 + '０' as u32).unwrap()).collect();
        let spaced = format!("{} {}\u{3000}{}", &number[..6], &number[6..14], &number[14..]);
        for text in [
            &number,
            &format!("张三{number}"),
            &format!("No.13900001111{number}号"),
            &wide,
            &spaced,
            &format!("{number}X"),
        ] {
            assert!(holds_citizen_number(text, today()), "{text}");
            let veiled = veiled(text);
            assert!(!veiled.contains("0808") && veiled.contains("***"), "{text} {veiled}");
        }
        let x = (0..500)
            .filter_map(|n| citizen_with_check(&format!("64010419980808{n:03}")))
            .find(|n| n.ends_with('X'))
            .unwrap();
        assert!(holds_citizen_number(&x.to_lowercase(), today()) && holds_citizen_number(&format!("证{x}件"), today()));
        for text in [
            "兴庆区掌政镇社工站",
            "2019064000001",
            "91640100MJX0000012",
            "64010419980808001",
            &citizen_with_check("64010420990808001").unwrap(),
            &citizen_with_check("64010419981308001").unwrap(),
            &citizen_with_check("00010419980808001").unwrap(),
            "0190a1b2-7def-7123-8123-456789abcdef",
            "1000000000000000",
        ] {
            assert!(!holds_citizen_number(text, today()), "{text}");
        }
        assert_eq!(veiled("nodes/64/workers/640104199808080010 and more"), "nodes/64/workers/*** and more", "mistyped");
        assert_eq!(veiled("1–1000000000000000 分"), "1–1000000000000000 分");
    }

    fn today() -> Date {
        Date::from_calendar_date(2025, Month::September, 25).unwrap()
    }

    fn citizen(text: &str) -> Result<String, IdentifierError> {
        citizen_number(text, today()).map(|citizen| citizen.as_str().to_owned())
    }

    fn division(text: &str) -> DivisionCode {
        division_code(text).unwrap()
    }

    fn shortest(text: &str) -> Result<String, IdentifierError> {
        division_code(text).map(|code| code.to_string())
    }

    #[test]
    fn real_credit_codes_are_read() {
        for code in USCCS {
            let read = uscc(&format!(" {}\n", code.to_ascii_lowercase())).unwrap();
            assert_eq!((read.as_str(), read.body_code_holds()), (code, true));
            assert_eq!(uscc_with_check(&code[..17]).as_deref(), Some(code));
        }
        assert_eq!(uscc(USCCS[0]).unwrap().registered_in(), Some(division("3501")));
    }

    #[test]
    fn false_credit_codes_are_refused() {
        assert_eq!(uscc("91350100M000100Y4Z"), Err(IdentifierError::Alphabet));
        assert_eq!(uscc("91350100M000100Y44"), Err(IdentifierError::CheckDigit));
        assert_eq!(uscc("91350100M000100Y4"), Err(IdentifierError::Length));
        assert_eq!(uscc("91350100M000100Y433"), Err(IdentifierError::Length));
        assert_eq!(uscc(""), Err(IdentifierError::Length));
        assert_eq!(uscc("统一社会信用"), Err(IdentifierError::Alphabet));
        assert_eq!(uscc_with_check("91350100M000100Y"), None);
        assert_eq!(uscc_with_check("91350100O000100Y4"), None);
    }

    #[test]
    fn a_body_code_that_fails_is_only_told() {
        let code = uscc_with_check("91350100M000100Y5").unwrap();
        assert!(!uscc(&code).unwrap().body_code_holds());
        let code = uscc_with_check("9100000XM000100Y4").unwrap();
        assert_eq!(uscc(&code).unwrap().registered_in(), None);
    }

    #[test]
    fn real_citizen_numbers_are_read() {
        assert_eq!(citizen(" 11010519491231002x "), Ok("11010519491231002X".to_owned()));
        assert_eq!(citizen("440524188001010014"), Ok("440524188001010014".to_owned()));
        let birth_date = citizen_number("11010519491231002X", today()).unwrap().birth_date();
        assert_eq!(birth_date, Date::from_calendar_date(1949, Month::December, 31).unwrap());
    }

    #[test]
    fn false_citizen_numbers_are_refused() {
        let with = |first17| citizen_with_check(first17).unwrap();
        assert_eq!(citizen("110105194912310021"), Err(IdentifierError::CheckDigit));
        assert_eq!(citizen("1101051949123100X2"), Err(IdentifierError::Alphabet));
        assert_eq!(citizen("11010519491231002"), Err(IdentifierError::Length));
        assert_eq!(citizen("11010519491231002X0"), Err(IdentifierError::Length));
        assert_eq!(citizen("公民身份号码"), Err(IdentifierError::Alphabet));
        assert_eq!(citizen(&with("11010519490229002")), Err(IdentifierError::BirthDate));
        assert_eq!(citizen(&with("11010519491331002")), Err(IdentifierError::BirthDate));
        assert_eq!(citizen(&with("11010520250926002")), Err(IdentifierError::InFuture));
        assert!(citizen(&with("11010520250925002")).is_ok());
        assert!(citizen(&with("11010520000229002")).is_ok());
        assert_eq!(citizen_with_check("1101051949123100X"), None);
        assert_eq!(citizen_with_check("1101051949123100"), None);
    }

    #[test]
    fn a_citizen_number_is_never_printed() {
        let number = citizen_number("11010519491231002X", today()).unwrap();
        assert_eq!(format!("{number:?}"), "CitizenNumber(..)");
    }

    #[test]
    fn division_codes_take_their_shortest_form() {
        let cases = [
            ("64", "64"),
            ("6400", "64"),
            ("640000", "64"),
            ("640000000", "64"),
            ("640000000000", "64"),
            (" 640100 ", "6401"),
            ("640104", "640104"),
            ("640104000", "640104"),
            ("640104000000", "640104"),
            ("640104012", "640104012"),
            ("640104012000", "640104012"),
            ("640104012001", "640104012001"),
            ("110101001010", "110101001010"),
            ("441900", "4419"),
            ("441900003000", "441900003"),
        ];
        for (text, code) in cases {
            assert_eq!(shortest(text).as_deref(), Ok(code));
        }
        assert_eq!(shortest("640"), Err(IdentifierError::Length));
        assert_eq!(shortest("64010401200"), Err(IdentifierError::Length));
        assert_eq!(shortest(""), Err(IdentifierError::Length));
        assert_eq!(shortest("64010X"), Err(IdentifierError::Alphabet));
        assert_eq!(shortest("六四"), Err(IdentifierError::Alphabet));
        assert_eq!(shortest("000000"), Err(IdentifierError::Province));
    }

    #[test]
    fn divisions_know_what_is_above_them() {
        let above = |text| division(text).ancestors().map(|code| code.to_string()).collect::<Vec<_>>();
        assert_eq!(above("640104012001"), ["640104012", "640104", "6401", "64"]);
        assert_eq!(above("441900003"), ["4419", "44"]);
        assert_eq!(above("64"), Vec::<String>::new());
        assert_eq!(division("640104").parent(), Some(division("6401")));
        let levels = ["64", "6401", "640104", "640104012", "640104012001"].map(|text| division(text).level());
        assert_eq!(levels, Level::ALL);
        assert!(Level::Province < Level::Village);
    }

    #[test]
    fn statistics_alone_know_what_is_not_official() {
        let official =
            ["64", "6471", "640104", "130170", "130181", "640104001", "640104399", "640104012001", "130171010"];
        let others = ["130171", "130180", "640121400", "640104999", "640104012400", "640121400598"];
        assert!(official.into_iter().all(|text| division(text).official()));
        assert!(others.into_iter().all(|text| !division(text).official()));
    }

    proptest! {
        #[test]
        fn one_wrong_character_of_a_credit_code_is_noticed(
            first17 in "[0-9A-HJ-NPQRTUWXY]{17}",
            at in 0_usize..18,
            letter in 0_usize..31,
        ) {
            let code = uscc_with_check(&first17).unwrap();
            prop_assert!(uscc(&code).is_ok());
            let letter = char::from(USCC_ALPHABET[letter]).to_string();
            let mut changed = code.clone();
            changed.replace_range(at..=at, &letter);
            prop_assert_eq!(uscc(&changed).is_ok(), changed == code);
        }

        #[test]
        fn one_wrong_digit_of_a_citizen_number_is_noticed(serial in 0_u32..1000, at in 0_usize..17, digit in 0_u8..10) {
            let number = citizen_with_check(&format!("11010519491231{serial:03}")).unwrap();
            prop_assert!(citizen(&number).is_ok());
            let mut changed = number.clone();
            changed.replace_range(at..=at, &digit.to_string());
            prop_assert_eq!(citizen(&changed).is_ok(), changed == number);
        }

        #[test]
        fn padding_changes_no_division(code in "[1-9][0-9]([0-9]{2}|[0-9]{4}|[0-9]{7}|[0-9]{10})?") {
            let read = division(&code);
            prop_assert_eq!(&division(read.as_str()), &read);
            for level in Level::ALL.into_iter().filter(|level| level.digits() >= code.len()) {
                prop_assert_eq!(&division(&format!("{code:0<width$}", width = level.digits())), &read);
            }
            for above in read.ancestors() {
                prop_assert!(code.starts_with(above.as_str()) && above.level() < read.level());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = (uscc(&text).is_ok(), citizen(&text).is_ok(), division_code(&text).is_ok());
        }
    }
}
