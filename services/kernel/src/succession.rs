//! What became of codes of divisions: forwards and backwards between two days, and how a figure is divided where one became several.
//!
//! It is told the changes and asked; it knows no record and no list. A code that no change names stayed what it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{error::Result, id::Area};

/// What followed what, on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// First day after it, ISO-8601.
    pub on: String,
    /// The codes before.
    pub from: Vec<String>,
    /// The codes after, each with its part.
    pub to: Vec<(String, u32)>,
}

/// A part of something: `numerator` of `denominator`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Never 0.
    pub numerator: u64,
    /// Never less than the numerator.
    pub denominator: u64,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { numerator: 1, denominator: 1 };

    fn of(self, part: u64, whole: u64) -> Self {
        let (numerator, denominator) = (self.numerator * part, self.denominator * whole);
        let common = greatest_common(numerator, denominator);
        Self { numerator: numerator / common, denominator: denominator / common }
    }

    fn and(self, other: Self) -> Self {
        let numerator = self.numerator * other.denominator + other.numerator * self.denominator;
        Self { numerator, denominator: self.denominator * other.denominator }.of(1, 1)
    }
}

fn greatest_common(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { greatest_common(b, a % b) }
}

/// Codes, each with its share; empty: it was abolished, or had not been created.
pub type Shares = BTreeMap<String, Share>;

/// All changes, to be asked.
#[derive(Clone, Debug, Default)]
pub struct Succession {
    /// By day, by code before.
    forwards: BTreeMap<String, BTreeMap<String, Vec<(String, u32)>>>,
    /// By day, by code after.
    backwards: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Succession {
    /// A history of these changes.
    #[must_use]
    pub fn new(changes: impl IntoIterator<Item = Change>) -> Self {
        let mut all = Self::default();
        for Change { on, from, to } in changes {
            for code in &from {
                let after = all.forwards.entry(on.clone()).or_default().entry(code.clone()).or_default();
                after.extend(to.iter().cloned());
            }
            for (code, _) in &to {
                let before = all.backwards.entry(on.clone()).or_default().entry(code.clone()).or_default();
                before.extend(from.iter().cloned());
            }
        }
        all
    }

    /// What the code, as it was listed on `on`, is on `at`. Back from a merger there is no saying how much each had brought: each
    /// of the codes before gets an equal share.
    #[must_use]
    pub fn of(&self, code: &str, on: &str, at: &str) -> Shares {
        let mut now = Shares::from([(code.to_owned(), Share::WHOLE)]);
        if on <= at {
            for changes in self.forwards.range(after(on)..=at.to_owned()).map(|(_, changes)| changes) {
                now = step(&now, |code| changes.get(code).cloned());
            }
        } else {
            for changes in self.backwards.range(after(at)..=on.to_owned()).rev().map(|(_, changes)| changes) {
                let equal = |code: &str| Some(changes.get(code)?.iter().map(|before| (before.clone(), 1)).collect());
                now = step(&now, equal);
            }
        }
        now
    }

    /// Every code that is not itself on `at`: what was listed before and is no more, or came later.
    #[must_use]
    pub fn moved(&self, at: &str) -> BTreeMap<String, Shares> {
        let mut codes: BTreeMap<&str, &str> = BTreeMap::new();
        for (on, changes) in self.forwards.range(..=at.to_owned()).rev() {
            // As it was listed the day before.
            codes.extend(changes.keys().map(|code| (code.as_str(), on.as_str())));
        }
        let mut moved: BTreeMap<String, Shares> = BTreeMap::new();
        for (code, on) in codes {
            moved.insert(code.to_owned(), self.of(code, &before(on), at));
        }
        for (on, changes) in self.backwards.range(after(at)..) {
            for code in changes.keys() {
                moved.entry(code.clone()).or_insert_with(|| self.of(code, on, at));
            }
        }
        moved.retain(|code, shares| shares.len() != 1 || !shares.contains_key(code));
        moved
    }

    /// Days on which something changed.
    pub fn days(&self) -> BTreeSet<&str> {
        self.forwards.keys().chain(self.backwards.keys()).map(String::as_str).collect()
    }
}

/// Codes that are not themselves on a day, each with what it is then.
pub type Moved = Arc<BTreeMap<String, Shares>>;

/// Days whose moved codes are kept at most.
const MOST_DAYS: usize = 16;

/// The newest history as a process knows it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    state: (i64, i64),
    succession: Arc<Succession>,
    moved: BTreeMap<String, Moved>,
}

impl History {
    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The history in this state, which is how many changes there are and the position of the newest; read anew if it is not the
    /// state that is known.
    pub async fn newest(
        &self,
        state: (i64, i64),
        read: impl Future<Output = Result<Vec<Change>>>,
    ) -> Result<Arc<Succession>> {
        if self.with(|known| known.state) != state {
            let succession = Arc::new(Succession::new(read.await?));
            self.with(|known| *known = Known { state, succession, moved: BTreeMap::new() });
        }
        Ok(self.with(|known| known.succession.clone()))
    }

    /// [`Succession::moved`] of the newest history.
    #[must_use]
    pub fn moved(&self, at: &str) -> Moved {
        self.with(|known| {
            if known.moved.len() >= MOST_DAYS {
                known.moved.clear();
            }
            let succession = known.succession.clone();
            known.moved.entry(at.to_owned()).or_insert_with(|| Arc::new(succession.moved(at))).clone()
        })
    }
}

/// Where a code is: what became of it, or, where nothing did, of the nearest division above it. `moved`: every code that is not itself
/// on the day.
#[must_use]
pub fn settled(code: &str, moved: &BTreeMap<String, Shares>) -> Shares {
    let own = moved.get(code).filter(|shares| !shares.is_empty()).cloned();
    own.unwrap_or_else(|| {
        let up = Area::parse(code).and_then(|area| area.parent().map(str::to_owned));
        up.map_or_else(Shares::new, |up| match moved.get(&up) {
            Some(_) => settled(&up, moved),
            None => Shares::from([(up, Share::WHOLE)]),
        })
    })
}

/// The codes that are in an area on a day, as ranges of texts from the first to before the second, in order. What was divided between
/// this area and others is in each of them.
#[must_use]
pub fn ranges(area: &Area, moved: &BTreeMap<String, Shares>) -> Vec<(String, String)> {
    let end = |code: &str| Area::parse(code).and_then(|area| area.after()).unwrap_or_else(|| LAST.to_owned());
    let is_in = |code: &str| settled(code, moved).keys().any(|to| area.covers(to));
    let mut inner: BTreeMap<(&str, usize), bool> = BTreeMap::new();
    if area.as_str() != Area::NATION {
        inner.insert((area.as_str(), area.as_str().len()), !moved.contains_key(area.as_str()) || is_in(area.as_str()));
    }
    for code in moved.keys() {
        let path = Area::parse(code);
        let within = || path.iter().flat_map(Area::path).any(|up| inner.contains_key(&(up, up.len())));
        let is_in = is_in(code);
        if is_in || within() {
            inner.insert((code, code.len()), is_in);
        }
    }
    let ends: BTreeSet<String> = inner.keys().flat_map(|(code, _)| [(*code).to_owned(), end(code)]).collect();
    let mut ranges: Vec<(String, String)> = vec![];
    let mut begun = inner.into_iter().peekable();
    // The codes that a text lies in, the longest last.
    let mut open: Vec<(String, bool)> = vec![];
    let mut ends = ends.into_iter().peekable();
    while let Some(from) = ends.next() {
        open.retain(|(until, _)| *until > from);
        while let Some(((code, _), is_in)) = begun.next_if(|((code, _), _)| *code <= from.as_str()) {
            open.push((end(code), is_in));
        }
        let Some(until) = ends.peek() else { break };
        if open.last().is_some_and(|(_, is_in)| *is_in) {
            match ranges.last_mut().filter(|(_, before)| *before == from) {
                Some((_, before)) => before.clone_from(until),
                None => ranges.push((from, until.clone())),
            }
        }
    }
    ranges
}

/// A text after all codes.
const LAST: &str = ":";

/// The least text after a day's.
fn after(day: &str) -> String {
    format!("{day}\u{0}")
}

/// A text before a day's and after every earlier day's.
fn before(day: &str) -> String {
    let mut text = day.to_owned();
    let last = text.pop().map_or('/', |c| char::from_u32(u32::from(c) - 1).unwrap_or('/'));
    text.push(last);
    text.push('\u{10ffff}');
    text
}

fn step(now: &Shares, next: impl Fn(&str) -> Option<Vec<(String, u32)>>) -> Shares {
    let mut then = Shares::new();
    for (code, share) in now {
        match next(code) {
            None => add(&mut then, code.clone(), *share),
            Some(codes) => {
                let whole: u64 = codes.iter().map(|(_, part)| u64::from(*part)).sum();
                for (code, part) in codes.into_iter().filter(|(_, part)| *part > 0) {
                    add(&mut then, code, share.of(part.into(), whole));
                }
            }
        }
    }
    then
}

fn add(shares: &mut Shares, code: String, share: Share) {
    let sum = shares.get(&code).map_or(share, |held| held.and(share));
    shares.insert(code, sum);
}

/// Divides a figure by shares, to the last unit: what the shares leave over goes to those that lost most by rounding, of equals to
/// the first. What has no successor stays with nobody and is answered as the rest.
#[must_use]
pub fn divided(figure: i64, shares: &Shares) -> (BTreeMap<&str, i64>, i64) {
    let mut parts: Vec<(&str, i64, i128)> = vec![];
    for (code, Share { numerator, denominator }) in shares {
        let product = i128::from(figure) * i128::from(*numerator);
        let whole = product.div_euclid(i128::from(*denominator));
        // Of different denominators the lost parts are compared in millionths.
        let lost = product.rem_euclid(i128::from(*denominator)) * 1_000_000 / i128::from(*denominator);
        parts.push((code, i64::try_from(whole).unwrap_or(0), lost));
    }
    if parts.is_empty() {
        return (BTreeMap::new(), figure);
    }
    let mut left = figure - parts.iter().map(|(_, part, _)| part).sum::<i64>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| (-parts[*i].2, *i));
    for i in order.into_iter().cycle() {
        if left <= 0 {
            break;
        }
        parts[i].1 += 1;
        left -= 1;
    }
    (parts.into_iter().map(|(code, part, _)| (code, part)).collect(), 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(on: &str, from: &[&str], to: &[(&str, u32)]) -> Change {
        Change {
            on: on.into(),
            from: from.iter().map(|code| (*code).to_owned()).collect(),
            to: to.iter().map(|(code, part)| ((*code).to_owned(), *part)).collect(),
        }
    }

    fn history() -> Succession {
        Succession::new([
            change("2021-10-31", &["350427"], &[("350405", 1)]),
            change("2021-10-31", &["350402", "350403"], &[("350404", 1)]),
            change("2021-10-31", &["330104"], &[("330102", 8), ("330114", 2)]),
            change("2022-10-31", &[], &[("640104012", 1)]),
            change("2023-06-30", &["330114"], &[("330199", 1)]),
            change("2023-06-30", &["371472"], &[]),
        ])
    }

    fn codes(shares: &Shares) -> Vec<(&str, u64, u64)> {
        shares.iter().map(|(code, share)| (code.as_str(), share.numerator, share.denominator)).collect()
    }

    #[test]
    fn a_code_is_followed_both_ways() {
        let history = history();
        assert_eq!(codes(&history.of("350427", "2020-06-01", "2023-12-31")), [("350405", 1, 1)]);
        assert_eq!(codes(&history.of("350405", "2023-12-31", "2020-06-01")), [("350427", 1, 1)]);
        assert_eq!(codes(&history.of("350402", "2020-06-01", "2021-10-31")), [("350404", 1, 1)]);
        assert_eq!(codes(&history.of("350404", "2022-01-01", "2020-06-01")), [("350402", 1, 2), ("350403", 1, 2)]);
        assert_eq!(codes(&history.of("330104", "2020-06-01", "2022-01-01")), [("330102", 4, 5), ("330114", 1, 5)]);
        assert_eq!(codes(&history.of("330104", "2020-06-01", "2023-07-01")), [("330102", 4, 5), ("330199", 1, 5)]);
        assert_eq!(codes(&history.of("350427", "2020-06-01", "2021-10-30")), [("350427", 1, 1)]);
        assert_eq!(
            codes(&history.of("350427", "2021-10-31", "2023-01-01")),
            [("350427", 1, 1)],
            "already another's day"
        );
        assert!(history.of("640104012", "2023-01-01", "2021-12-31").is_empty(), "it did not exist");
        assert!(history.of("371472", "2021-01-01", "2023-12-31").is_empty(), "it was abolished");
    }

    #[test]
    fn what_moved_is_told_for_a_day() {
        let history = history();
        let moved = history.moved("2022-01-01");
        assert_eq!(
            moved.keys().map(String::as_str).collect::<Vec<_>>(),
            ["330104", "330199", "350402", "350403", "350427", "640104012"]
        );
        assert_eq!(codes(&moved["330199"]), [("330114", 1, 1)]);
        assert!(moved["640104012"].is_empty());
        assert!(history.moved("2016-12-31").contains_key("350405"));
    }

    #[test]
    fn a_figure_is_divided_to_the_last_unit() {
        let shares = history().of("330104", "2020-06-01", "2022-01-01");
        assert_eq!(divided(7, &shares), (BTreeMap::from([("330102", 6), ("330114", 1)]), 0));
        assert_eq!(divided(-1, &shares).0.values().sum::<i64>(), -1);
        assert_eq!(divided(7, &Shares::new()), (BTreeMap::new(), 7));
    }

    proptest! {
        #[test]
        fn shares_always_add_up(figure in -1_000_000_i64..1_000_000, parts in prop::collection::vec(1_u32..50, 1..8)) {
            let to: Vec<(String, u32)> = parts.iter().enumerate().map(|(i, part)| (format!("33{i:04}"), *part)).collect();
            let history = Succession::new([Change { on: "2021-10-31".into(), from: vec!["330104".into()], to }]);
            let shares = history.of("330104", "2020-01-01", "2022-01-01");
            let (divided, rest) = divided(figure, &shares);
            prop_assert_eq!(divided.values().sum::<i64>() + rest, figure);
        }
    }

    #[test]
    fn an_area_of_a_day_is_ranges_of_codes() {
        let whole = |to: &str| Shares::from([(to.to_owned(), Share::WHOLE)]);
        let half =
            |to: &[&str]| to.iter().map(|to| ((*to).to_owned(), Share { numerator: 1, denominator: 2 })).collect();
        let moved: BTreeMap<String, Shares> = [
            ("350427".to_owned(), whole("350405")),
            ("350427100".to_owned(), whole("350405100")),
            ("350427200".to_owned(), whole("350481200")),
            ("350428001".to_owned(), whole("350405")),
            ("330104".to_owned(), half(&["330102", "330114"])),
            ("640104400".to_owned(), Shares::new()),
        ]
        .into();
        let of = |area: &str| {
            let ranges = ranges(&Area::parse(area).unwrap(), &moved);
            ranges.iter().map(|(from, until)| format!("{from}–{until}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("350427"), "");
        assert_eq!(of("350405"), "350405–350406 350427–350427200 350427201–350428 350428001–350428002");
        assert_eq!(of("350481"), "350427200–350427201 350481–350482");
        assert_eq!(
            (of("330102"), of("330114"), of("330104")),
            ("330102–330103 330104–330105".into(), "330104–330105 330114–330115".into(), String::new())
        );
        assert_eq!(of("640104"), "640104–640105");
        assert_eq!(of("3504"), "3504–3505");
        assert_eq!(of("350405100"), "350405100–350405101 350427100–350427101");
    }
}
