//! One line, and what may stand in it.

use std::{fmt, os::unix::fs::MetadataExt as _};

use sha2::{Digest as _, Sha256};

use super::{Log, OK};

/// Characters of one field at most.
const FIELD_MAX_CHARS: usize = 200;
/// A run of so many digits may be the number of a person, so it is not written down.
const NUMBER_DIGITS: usize = 15;

/// One line of the audit, without its place in the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// When, milliseconds since 1970-01-01 UTC.
    pub at_ms: i64,
    /// Who: `tokens/{id}`, `nodes/{node}`, `operator@machine:{user}`, `anonymous`, `node`.
    pub actor: String,
    pub role: String,
    pub area: String,
    /// From where; empty: at the machine.
    pub address: String,
    /// What: `IdentityService/CreateToken`, `backup` …
    pub act: String,
    /// What it was about: a name or an id of ours, never a person's.
    pub target: String,
    /// `OK`, `BEGUN` or the reason of the refusal.
    pub outcome: String,
    pub detail: String,
    /// Calls or records.
    pub count: u64,
}

impl Line {
    /// What somebody at the machine did.
    #[must_use]
    pub fn at_machine(at_ms: i64, act: &str, target: impl fmt::Display, outcome: &str) -> Self {
        let (act, target, outcome) = (act.to_owned(), target.to_string(), outcome.to_owned());
        Self { at_ms, actor: operator(), act, target, outcome, count: 1, ..Self::default() }
    }

    /// What the node itself did.
    #[must_use]
    pub fn of_node(at_ms: i64, act: &str, target: impl fmt::Display, detail: impl fmt::Display) -> Self {
        let (target, detail) = (target.to_string(), detail.to_string());
        let (actor, act, outcome) = ("node".to_owned(), act.to_owned(), OK.to_owned());
        Self { at_ms, actor, act, target, detail, outcome, count: 1, ..Self::default() }
    }

    /// The line as it may be written.
    pub(super) fn bounded(mut self) -> Self {
        let texts = [
            &mut self.actor,
            &mut self.role,
            &mut self.area,
            &mut self.address,
            &mut self.act,
            &mut self.target,
            &mut self.outcome,
            &mut self.detail,
        ];
        for text in texts {
            *text = plain(text, FIELD_MAX_CHARS);
        }
        self
    }

    /// The digest that the line gets as this number behind a digest: SHA-256 over that and every field, each framed by its length.
    pub(super) fn digest(&self, previous: &[u8], log: Log, number: u64) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut frame = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        frame(previous);
        frame(log.as_str().as_bytes());
        frame(&number.to_be_bytes());
        frame(&self.at_ms.to_be_bytes());
        let Self { actor, role, area, address, act, target, outcome, detail, .. } = self;
        for text in [actor, role, area, address, act, target, outcome, detail] {
            frame(text.as_bytes());
        }
        frame(&self.count.to_be_bytes());
        hash.finalize().into()
    }
}

/// A text without whatever could be a person's name or number or trouble a terminal: ASCII only, long runs of digits hidden.
#[must_use]
pub fn plain(text: &str, most: usize) -> String {
    let ascii = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let mut shown = String::new();
    let mut digits = String::new();
    for c in text.chars().map(ascii).take(most).chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let hidden = digits.len() >= NUMBER_DIGITS;
        shown.push_str(if hidden { "***" } else { &digits });
        digits.clear();
        // The last character of a citizen's number is no digit always.
        if c != '\0' && !(hidden && c.eq_ignore_ascii_case(&'x')) {
            shown.push(c);
        }
    }
    shown
}

/// Who sits at the machine: the user of this process, by name where the system's list of users has one.
#[must_use]
pub fn operator() -> String {
    let Ok(uid) = std::fs::metadata("/proc/self").map(|own| own.uid()) else {
        return "operator@machine:unknown".to_owned();
    };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|user| {
        let mut parts = user.split(':');
        let name = parts.next()?;
        (parts.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    format!("operator@machine:{}", named.unwrap_or_else(|| uid.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_no_person() {
        for (text, shown) in [
            ("tokens/0190a5c2-1111-7abc-8def-0123456789ab", "tokens/0190a5c2-1111-7abc-8def-0123456789ab"),
            ("workers/11010519491231002X", "workers/***"),
            ("workers/11010519491231002x and 640104001001", "workers/*** and 640104001001"),
            ("110105491231002", "***"),
            ("张三", "??"),
            ("a\u{1b}[31m\0b", "a?[31m?b"),
            ("1234", "1234"),
        ] {
            assert_eq!(plain(text, 100), shown, "{text}");
        }
        assert_eq!(plain(&"a".repeat(300), 200).len(), 200);
        assert!(operator().starts_with("operator@machine:"));
    }

    #[test]
    fn every_field_and_the_place_are_in_the_digest() {
        let text = |text: &str| text.to_owned();
        let line = Line {
            at_ms: 1,
            actor: text("a"),
            role: text("b"),
            area: text("c"),
            address: text("d"),
            act: text("e"),
            target: text("f"),
            outcome: text("g"),
            detail: text("h"),
            count: 2,
        };
        let digest = line.digest(&[0; 32], Log::Acts, 1);
        let other = [
            line.digest(&[1; 32], Log::Acts, 1),
            line.digest(&[0; 32], Log::Usage, 1),
            line.digest(&[0; 32], Log::Acts, 2),
            Line { at_ms: 2, ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { actor: text("ab"), role: text(""), ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { area: text("x"), ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { address: text("x"), ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { act: text("x"), ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { target: text("x"), ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { outcome: text("x"), ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { detail: text("x"), ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
            Line { count: 3, ..line.clone() }.digest(&[0; 32], Log::Acts, 1),
        ];
        assert!(other.iter().all(|other| *other != digest));
    }
}
