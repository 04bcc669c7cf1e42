//! Which records are meant: a closed list of tests on fields, all of which must hold. One filter language serves the
//! scope of an agreement and the condition of an indicator. It has no scripting, no "or" and no "not", so anybody can
//! read what a filter lets pass and a program can tell which fields it looks at.
//!
//! It reads bytes and knows no schema, hence two rules where protobuf leaves a choice. Of several texts **any** may
//! hold, because a list of texts cannot be told from one that was set twice; whoever admits foreign bytes to a scope
//! and minds the difference refuses a singular field that is there twice. Of several numbers the **last** one counts,
//! as for every singular field; packed numbers are not read.

use std::fmt;

use qianshou_proto::common::v1 as common;

use crate::wire::{Malformed, Wire, fields};

/// Conditions that must all hold. The default has none, and everything matches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub all: Vec<Condition>,
}

/// A test on the field at the end of a path of field numbers; the numbers before it lead through message fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub path: Vec<u32>,
    pub test: Test,
}

/// What is asked of a field. A field that is absent passes no test; one that is there but of another wire type passes
/// only [`Test::Present`] and [`Test::AtLeast`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The text is one of these.
    OneOf(Vec<String>),
    /// The text begins with this: an area and all areas below it.
    Under(String),
    /// `from` ≤ text ≤ `until`, by bytes: right for ISO 8601 dates and for codes of one length. A missing bound is
    /// open.
    Between { from: Option<String>, until: Option<String> },
    /// The field is there, be it empty or zero.
    Present,
    /// The number (a varint: integer, enum or bool; not `sint`) is one of these.
    NumberIn(Vec<i64>),
    /// The field occurs so many times; even zero times means that it is there.
    AtLeast(u32),
}

impl Filter {
    /// Whether a record with this payload is meant.
    ///
    /// # Errors
    /// `payload`, or a message that a path leads through, is no protobuf.
    pub fn matches(&self, payload: &[u8]) -> Result<bool, Malformed> {
        for condition in &self.all {
            if !condition.matches(payload)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The fields that the filter looks at.
    pub fn paths(&self) -> impl Iterator<Item = &[u32]> {
        self.all.iter().map(|condition| condition.path.as_slice())
    }

    /// The filter as text for people, such as `5 under "64" and 4 in {2,3}`. Conditions stand as they were written,
    /// sets are sorted. Texts are escaped, so that one cannot pose as a part of the filter.
    #[must_use]
    pub fn canonical(&self) -> String {
        if self.all.is_empty() {
            return "everything".to_owned();
        }
        let conditions: Vec<String> = self.all.iter().map(Condition::to_string).collect();
        conditions.join(" and ")
    }
}

impl Condition {
    fn matches(&self, payload: &[u8]) -> Result<bool, Malformed> {
        let mut found = Vec::new();
        values(payload, &self.path, &mut found)?;
        Ok(self.test.holds(&found))
    }
}

impl Test {
    fn holds(&self, found: &[Wire<'_>]) -> bool {
        let any_text =
            |holds: &dyn Fn(&[u8]) -> bool| found.iter().any(|value| matches!(value, Wire::Len(text) if holds(text)));
        match self {
            Test::OneOf(texts) => any_text(&|text| texts.iter().any(|one| one.as_bytes() == text)),
            Test::Under(prefix) => any_text(&|text| text.starts_with(prefix.as_bytes())),
            Test::Between { from, until } => any_text(&|text| {
                from.as_ref().is_none_or(|from| from.as_bytes() <= text)
                    && until.as_ref().is_none_or(|until| text <= until.as_bytes())
            }),
            Test::Present => !found.is_empty(),
            Test::NumberIn(numbers) => {
                matches!(found.last(), Some(Wire::Varint(number)) if numbers.contains(&number.cast_signed()))
            }
            Test::AtLeast(times) => !found.is_empty() && found.len() >= *times as usize,
        }
    }
}

/// The values at `path`, in the order of the bytes. Protobuf merges messages that are there twice, and so does this.
fn values<'a>(payload: &'a [u8], path: &[u32], found: &mut Vec<Wire<'a>>) -> Result<(), Malformed> {
    let Some((number, below)) = path.split_first() else {
        return Ok(());
    };
    for field in fields(payload) {
        let field = field?;
        match field.wire {
            _ if field.number != *number => {}
            value if below.is_empty() => found.push(value),
            Wire::Len(message) => values(message, below, found)?,
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<String> = self.path.iter().map(u32::to_string).collect();
        write!(f, "{} {}", path.join("."), self.test)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::OneOf(texts) => write!(f, "in {}", set(texts)),
            Test::Under(prefix) => write!(f, "under {prefix:?}"),
            Test::Between { from: Some(from), until: Some(until) } => write!(f, "from {from:?} until {until:?}"),
            Test::Between { from: Some(from), until: None } => write!(f, "from {from:?}"),
            Test::Between { from: None, until: Some(until) } => write!(f, "until {until:?}"),
            Test::Between { from: None, until: None } => write!(f, "any text"),
            Test::Present => write!(f, "present"),
            Test::NumberIn(numbers) => write!(f, "in {}", set(numbers)),
            Test::AtLeast(times) => write!(f, "at least {times} times"),
        }
    }
}

fn set<T: Ord + fmt::Debug>(values: &[T]) -> String {
    let mut sorted: Vec<&T> = values.iter().collect();
    sorted.sort();
    sorted.dedup();
    let texts: Vec<String> = sorted.iter().map(|value| format!("{value:?}")).collect();
    format!("{{{}}}", texts.join(","))
}

/// A condition that is no condition: it lacks its path or its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear;

impl TryFrom<&common::Filter> for Filter {
    type Error = Unclear;

    fn try_from(message: &common::Filter) -> Result<Self, Unclear> {
        use common::condition::Test as Asked;
        let condition = |condition: &common::Condition| {
            let path = condition.path.as_ref().filter(|p| !p.numbers.is_empty()).ok_or(Unclear)?.numbers.clone();
            let test = match condition.test.as_ref().ok_or(Unclear)? {
                Asked::OneOf(set) => Test::OneOf(set.values.clone()),
                Asked::Under(prefix) => Test::Under(prefix.clone()),
                Asked::Between(range) => Test::Between { from: range.from.clone(), until: range.until.clone() },
                Asked::Present(true) => Test::Present,
                Asked::Present(false) => return Err(Unclear),
                Asked::NumberIn(set) => Test::NumberIn(set.values.clone()),
                Asked::AtLeast(count) => Test::AtLeast(*count),
            };
            Ok(Condition { path, test })
        };
        Ok(Self { all: message.all.iter().map(condition).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_bytes, put_text, put_varint};
    use proptest::prelude::*;

    fn only(path: &[u32], test: Test) -> Filter {
        Filter { all: vec![Condition { path: path.to_vec(), test }] }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn between(from: Option<&str>, until: Option<&str>) -> Test {
        Test::Between { from: from.map(str::to_owned), until: until.map(str::to_owned) }
    }

    /// 1 texts · 2 a number, set twice · 3 a message with (1 text, 2 number), there twice · 4 an empty text
    fn payload() -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, 1, "640104");
        put_varint(&mut out, 2, 7);
        put_text(&mut out, 1, "350102");
        put_varint(&mut out, 2, -3_i64 as u64);
        for (date, number) in [("2021-10-31", 1), ("2022-10-31", 2)] {
            let mut inner = Vec::new();
            put_text(&mut inner, 1, date);
            put_varint(&mut inner, 2, number);
            put_bytes(&mut out, 3, &inner);
        }
        put_text(&mut out, 4, "");
        out
    }

    #[test]
    fn tests_hold_or_not() {
        let cases: &[(&[u32], Test, bool)] = &[
            (&[1], Test::OneOf(texts(&["350102", "1"])), true),
            (&[1], Test::OneOf(texts(&["64"])), false),
            (&[1], Test::OneOf(vec![]), false),
            (&[1], Test::Under("64".into()), true),
            (&[1], Test::Under("6401".into()), true),
            (&[1], Test::Under("65".into()), false),
            (&[1], Test::Under(String::new()), true),
            (&[9], Test::Under(String::new()), false),
            (&[2], Test::Under(String::new()), false),
            (&[2], Test::NumberIn(vec![-3]), true),
            (&[2], Test::NumberIn(vec![7]), false),
            (&[1], Test::NumberIn(vec![640104]), false),
            (&[9], Test::NumberIn(vec![0]), false),
            (&[3, 2], Test::NumberIn(vec![2]), true),
            (&[3, 2], Test::NumberIn(vec![1]), false),
            (&[3, 1], between(Some("2022-01-01"), Some("2023-01-01")), true),
            (&[3, 1], between(Some("2022-10-31"), None), true),
            (&[3, 1], between(None, Some("2021-10-31")), true),
            (&[3, 1], between(None, Some("2021-10-30")), false),
            (&[3, 1], between(Some("2023-01-01"), None), false),
            (&[3, 1], between(None, None), true),
            (&[2], between(None, None), false),
            (&[4], Test::Present, true),
            (&[2], Test::Present, true),
            (&[9], Test::Present, false),
            (&[2, 1], Test::Present, false),
            (&[], Test::Present, false),
            (&[3], Test::AtLeast(2), true),
            (&[3, 1], Test::AtLeast(2), true),
            (&[3], Test::AtLeast(3), false),
            (&[4], Test::AtLeast(0), true),
            (&[9], Test::AtLeast(0), false),
        ];
        for (path, test, expected) in cases {
            let filter = only(path, test.clone());
            assert_eq!(filter.matches(&payload()), Ok(*expected), "{}", filter.canonical());
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let holds = Condition { path: vec![1], test: Test::Present };
        let fails = Condition { path: vec![9], test: Test::Present };
        assert_eq!(Filter::default().matches(&payload()), Ok(true));
        assert_eq!(Filter { all: vec![holds.clone(), holds.clone()] }.matches(&payload()), Ok(true));
        assert_eq!(Filter { all: vec![holds, fails] }.matches(&payload()), Ok(false));
    }

    #[test]
    fn malformed_bytes_are_an_error_not_a_mismatch() {
        assert_eq!(only(&[1], Test::Present).matches(&[0x0b]), Err(Malformed::WireType));
        assert_eq!(only(&[1, 1], Test::Present).matches(&payload()), Err(Malformed::WireType));
    }

    #[test]
    fn is_shown_to_people() {
        let mut filter = only(&[5], Test::Under("64".into()));
        filter.all.push(Condition { path: vec![4], test: Test::NumberIn(vec![3, 2, 3]) });
        assert_eq!(filter.canonical(), r#"5 under "64" and 4 in {2,3}"#);
        assert_eq!(filter.paths().collect::<Vec<_>>(), [&[5], &[4]]);
        let shown = |test| only(&[3, 1], test).canonical();
        assert_eq!(shown(Test::OneOf(texts(&["b", "a", "b"]))), r#"3.1 in {"a","b"}"#);
        assert_eq!(shown(between(Some("2021"), Some("2022"))), r#"3.1 from "2021" until "2022""#);
        assert_eq!(shown(between(Some("2021"), None)), r#"3.1 from "2021""#);
        assert_eq!(shown(between(None, Some("2022"))), r#"3.1 until "2022""#);
        assert_eq!(shown(between(None, None)), "3.1 any text");
        assert_eq!(shown(Test::Present), "3.1 present");
        assert_eq!(shown(Test::AtLeast(2)), "3.1 at least 2 times");
        assert_eq!(shown(Test::Under("6\" and 4 present".into())), r#"3.1 under "6\" and 4 present""#);
        assert_eq!(shown(Test::Under("宁夏\u{202e}".into())), r#"3.1 under "宁夏\u{202e}""#);
        assert_eq!(Filter::default().canonical(), "everything");
    }

    proptest! {
        #[test]
        fn unknown_fields_change_nothing(
            noise in 10_u32..1000,
            text: String,
            code in "[0-9]{2,12}",
            prefix in "[0-9]{0,3}",
        ) {
            let mut plain = Vec::new();
            put_text(&mut plain, 5, &code);
            let mut noisy = Vec::new();
            put_text(&mut noisy, noise, &text);
            noisy.extend_from_slice(&plain);
            put_varint(&mut noisy, noise, 1);
            let filter = only(&[5], Test::Under(prefix.clone()));
            prop_assert_eq!(filter.matches(&plain), Ok(code.starts_with(&prefix)));
            prop_assert_eq!(filter.matches(&noisy), filter.matches(&plain));
        }
    }
}
