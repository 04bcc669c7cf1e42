//! Names of things. A record is `nodes/64/agencies/{id}`; ids are UUID v7, so they sort by the time they were made.
//!
//! Chance enters here: a seed makes a node's ids repeatable in tests. Keys and nonces never come from a seed.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use rand::{RngCore, SeedableRng, rngs::StdRng};

use crate::{
    clock::Clock,
    error::{Error, Result as Outcome},
};

/// Makes the salts of entries, and chooses what is looked at, from the operating system's randomness whatever makes the ids: a salt that repeats with a seed hides
/// nothing.
pub struct Salts(StdRng);

impl Salts {
    /// A generator of its own.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new() -> Outcome<Self> {
        StdRng::try_from_os_rng().map(Self).map_err(|cause| Error::broken(format!("no randomness: {cause}")))
    }

    /// 128 bits that nobody can guess.
    pub fn fresh(&mut self) -> [u8; 16] {
        let mut salt = [0; 16];
        self.0.fill_bytes(&mut salt);
        salt
    }

    /// A number below a bound that is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }
}

/// Makes ids that sort by time.
#[derive(Clone)]
pub struct Ids {
    clock: Clock,
    chance: Arc<Mutex<StdRng>>,
}

impl Ids {
    /// Ids from the operating system's randomness.
    #[must_use]
    pub fn random(clock: Clock) -> Self {
        Self { clock, chance: Arc::new(Mutex::new(StdRng::from_os_rng())) }
    }

    /// Ids that repeat with the seed.
    #[must_use]
    pub fn seeded(clock: Clock, seed: u64) -> Self {
        Self { clock, chance: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// A fresh UUID v7 in its usual text form.
    #[must_use]
    pub fn fresh(&self) -> String {
        let mut random = [0_u8; 10];
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut random);
        let ms = u64::try_from(self.clock.now_ms()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid().to_string()
    }
}

/// A record's name: its home node, its collection (which is its kind) and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    text: String,
    node_end: usize,
    collection_end: usize,
}

const PREFIX: &str = "nodes/";

impl Name {
    /// Builds a name from parts that are already known to be sound.
    #[must_use]
    pub fn of(node: &str, collection: &str, id: &str) -> Self {
        let node_end = PREFIX.len() + node.len();
        Self {
            text: format!("{PREFIX}{node}/{collection}/{id}"),
            node_end,
            collection_end: node_end + 1 + collection.len(),
        }
    }

    /// The node that writes this record, for ever.
    #[must_use]
    pub fn home(&self) -> &str {
        &self.text[PREFIX.len()..self.node_end]
    }

    /// The record's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[self.node_end + 1..self.collection_end]
    }

    /// The id within node and kind.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.text[self.collection_end + 1..]
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is no record's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a record's name: nodes/NODE/KIND/ID is expected")]
pub struct NotAName;

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let mut parts = text.strip_prefix(PREFIX).ok_or(NotAName)?.split('/');
        let (Some(node), Some(collection), Some(id), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAName);
        };
        let sound = |part: &str, longest: usize, ok: fn(u8) -> bool| {
            !part.is_empty() && part.len() <= longest && part.bytes().all(ok)
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if is_node(node) && sound(collection, 40, |b| b.is_ascii_lowercase() || b == b'-') && sound(id, 64, plain) {
            Ok(Self::of(node, collection, id))
        } else {
            Err(NotAName)
        }
    }
}

/// Whether a text is a node's code: two to twelve digits (`00` the nation, `64` Ningxia).
#[must_use]
pub fn is_node(text: &str) -> bool {
    (2..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// An area: the nation (`00`) or a division's code of 2, 4, 6, 9 or 12 digits. `64`, `640000` and `640000000000` are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Area(String);

const LEVELS: [usize; 5] = [2, 4, 6, 9, 12];

/// What stands behind a division's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Civil affairs has confirmed it.
    Official,
    /// A zone of the statisticians at county level, parts 71–80.
    StatisticalZone,
    /// A township of parts 400–599, or a village of 400 onwards, that nobody has confirmed.
    Unconfirmed,
}

impl Area {
    /// Everything.
    pub const NATION: &'static str = "00";

    /// Reads a code, with or without trailing zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.bytes().all(|b| b.is_ascii_digit()) || !LEVELS.contains(&text.len()) {
            return None;
        }
        let mut code = text;
        for (longer, shorter) in [(12, 9), (9, 6), (6, 4), (4, 2)] {
            if code.len() == longer && code[shorter..].bytes().all(|b| b == b'0') {
                code = &code[..shorter];
            }
        }
        Some(Self(code.to_owned()))
    }

    /// Its shortest code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The area and everything it lies in, from the nation down.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        let above = LEVELS.into_iter().filter(|l| *l <= self.0.len()).map(|l| &self.0[..l]);
        std::iter::once(Self::NATION).chain(above.filter(|a| *a != Self::NATION)).collect()
    }

    /// The division that it lies in; `None`: a province or the nation.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.path().into_iter().rev().nth(1).filter(|above| *above != Self::NATION)
    }

    /// The county that it lies in; itself, where it is no part of one.
    #[must_use]
    pub fn county(&self) -> Self {
        self.0.get(..6).and_then(Self::parse).unwrap_or_else(|| self.clone())
    }

    /// What stands behind its code.
    ///
    /// Source: 统计用区划代码和城乡划分代码编制规则 (National Bureau of Statistics).
    #[must_use]
    pub fn class(&self) -> Class {
        let part = |from: usize| self.0.get(from..).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
        match self.0.len() {
            6 if (71..=80).contains(&part(4)) => Class::StatisticalZone,
            9 if !(1..=399).contains(&part(6)) => Class::Unconfirmed,
            12 if !(1..=399).contains(&part(9)) => Class::Unconfirmed,
            _ => Class::Official,
        }
    }

    /// Whether `code` lies in this area.
    #[must_use]
    pub fn covers(&self, code: &str) -> bool {
        self.0 == Self::NATION || code.starts_with(&self.0)
    }

    /// The first code after all codes below this area; `None`: there is none. For range conditions.
    #[must_use]
    pub fn after(&self) -> Option<String> {
        let kept = self.0.trim_end_matches('9');
        let last = kept.bytes().last()?;
        Some(format!("{}{}", &kept[..kept.len() - 1], char::from(last + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_three_parts() {
        let name: Name = "nodes/64/agencies/0190-ab".parse().unwrap();
        assert_eq!((name.home(), name.kind(), name.id()), ("64", "agencies", "0190-ab"));
        for bad in
            ["", "nodes/64/agencies", "nodes/6x/agencies/1", "nodes/64/agencies/1/2", "nodes/64/Agencies/1", "x/64/a/1"]
        {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_area_has_one_form() {
        let of = |text: &str| Area::parse(text).map(|a| a.0);
        for text in ["64", "6400", "640000", "640000000", "640000000000"] {
            assert_eq!(of(text).as_deref(), Some("64"));
        }
        assert_eq!(of("640104000000").as_deref(), Some("640104"));
        assert_eq!(of("110100").as_deref(), Some("1101"));
        assert_eq!(of("640104012001").as_deref(), Some("640104012001"));
        for bad in ["", "6", "64x", "64010", "宁夏"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(Area::parse("640104012").unwrap().path(), ["00", "64", "6401", "640104", "640104012"]);
        assert_eq!(Area::parse("6499").unwrap().after().as_deref(), Some("65"));
        assert_eq!(Area::parse("00").unwrap().path(), ["00"]);
    }

    #[test]
    fn official_is_what_civil_affairs_confirmed() {
        for (code, class) in [
            ("64", Class::Official),
            ("6401", Class::Official),
            ("640104", Class::Official),
            ("130171", Class::StatisticalZone),
            ("640104012", Class::Official),
            ("640104400", Class::Unconfirmed),
            ("640104012001", Class::Official),
            ("640104012399", Class::Official),
            ("640104012498", Class::Unconfirmed),
        ] {
            assert_eq!(Area::parse(code).unwrap().class(), class, "{code}");
        }
        // A prefecture without counties is one itself.
        for (code, county) in [("640104012001", "640104"), ("640104", "640104"), ("441900003", "4419"), ("64", "64")] {
            assert_eq!(Area::parse(code).unwrap().county().as_str(), county);
        }
        let parent = |code: &str| Area::parse(code).unwrap().parent().map(str::to_owned);
        assert_eq!(parent("640104012001").as_deref(), Some("640104012"));
        assert_eq!((parent("6401").as_deref(), parent("64"), parent("00")), (Some("64"), None, None));
    }

    #[test]
    fn ids_sort_by_time_and_repeat_with_a_seed() {
        let clock = Clock::fixed(1_700_000_000_000);
        let (one, two) = (Ids::seeded(clock.clone(), 7), Ids::seeded(clock.clone(), 7));
        let first = one.fresh();
        assert_eq!(first, two.fresh());
        clock.advance(1);
        assert!(one.fresh() > first);
    }
}
