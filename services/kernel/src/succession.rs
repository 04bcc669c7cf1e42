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
    /// The codes before, in their shortest form.
    pub from: Vec<String>,
    /// The codes after, in their shortest form, each with its part.
    pub to: Vec<(String, u32)>,
}

/// What one code may have at most of a figure, in relation to the parts beside it.
pub const PART_MOST: u32 = 1_000_000;

impl Change {
    /// A change as a record tells it: its day, the codes before, the codes after and their parts (absent: 1 each). Every reader of such
    /// records reads them here, so that lists and tables see one history. What is no code is left out.
    #[must_use]
    pub fn told(on: &str, from: &[String], to: &[String], parts: &[u32]) -> Self {
        let code = |text: &String| Area::parse(text).map(|area| area.as_str().to_owned());
        let part = |i: usize| parts.get(i).copied().unwrap_or(1).min(PART_MOST);
        let from = from.iter().filter_map(code).collect();
        let to = to.iter().enumerate().filter_map(|(i, to)| Some((code(to)?, part(i)))).collect();
        Self { on: on.to_owned(), from, to }
    }
}

/// A part of something: `numerator` of `denominator`, which are below 2⁶².
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
    /// Bits of a share's numbers at most, so that two of them can be multiplied and added.
    const BITS: u32 = 62;

    /// In its lowest terms. What is finer than 2⁻⁶² is rounded: no figure has so many units.
    fn reduced(numerator: u128, denominator: u128) -> Self {
        let common = greatest_common(numerator, denominator);
        let (mut numerator, mut denominator) = (numerator / common, denominator / common);
        let beyond = (u128::BITS - denominator.leading_zeros()).saturating_sub(Self::BITS);
        if beyond > 0 {
            numerator = (numerator >> beyond).max(1);
            denominator = (denominator >> beyond) + 1;
        }
        let short = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        Self { numerator: short(numerator), denominator: short(denominator) }
    }

    fn of(self, part: u64, whole: u64) -> Self {
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        Self::reduced(product(self.numerator, part), product(self.denominator, whole))
    }

    fn and(self, other: Self) -> Self {
        let [a, b] = [self, other].map(|share| (u128::from(share.numerator), u128::from(share.denominator)));
        Self::reduced(a.0 * b.1 + b.0 * a.1, a.1 * b.1)
    }

    /// What it leaves of the whole; `None`: nothing.
    fn rest(self) -> Option<Self> {
        let numerator = self.denominator.checked_sub(self.numerator).filter(|left| *left > 0)?;
        Some(Self { numerator, ..self })
    }
}

fn greatest_common(a: u128, b: u128) -> u128 {
    if b == 0 { a.max(1) } else { greatest_common(b, a % b) }
}

/// Codes, each with its share; empty: it was abolished, or had not been created. If they are less than the whole, the rest was.
pub type Shares = BTreeMap<String, Share>;

/// What shares leave of the whole; `None`: nothing.
fn rest_of(shares: &Shares) -> Option<Share> {
    match shares.values().copied().reduce(Share::and) {
        Some(all) => all.rest(),
        None => Some(Share::WHOLE),
    }
}

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
        if on < at {
            for changes in self.forwards.range(after(on)..=at.to_owned()).map(|(_, changes)| changes) {
                now = step(&now, |code| changes.get(code).cloned());
            }
        } else if on > at {
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

/// Where a code is: what became of it, and, as far as nothing did, of the nearest division above it. `moved`: every code that is not
/// itself on the day. The shares are the whole, but for a province that was abolished: that belongs to nobody.
#[must_use]
pub fn settled(code: &str, moved: &BTreeMap<String, Shares>) -> Shares {
    let mut shares = moved.get(code).cloned().unwrap_or_default();
    let Some(rest) = rest_of(&shares) else { return shares };
    let Some(up) = Area::parse(code).and_then(|area| area.parent().map(str::to_owned)) else { return shares };
    let above = if moved.contains_key(&up) { settled(&up, moved) } else { Shares::from([(up, Share::WHOLE)]) };
    for (to, Share { numerator, denominator }) in above {
        add(&mut shares, to, rest.of(numerator, denominator));
    }
    shares
}

/// Digits of a township's code, and what its villages have behind it.
const TOWNSHIP_DIGITS: usize = 9;

/// The code that a village has by its township: changes are told down to the townships, and a village whose township became exactly
/// one other keeps its last three digits there, if the list has it so. `became`: what became of the township. `None`: nothing is to be
/// had from there.
#[must_use]
pub fn carried(village: &str, became: &Shares) -> Option<String> {
    let (township, own) = village.split_at_checked(TOWNSHIP_DIGITS).filter(|(_, own)| !own.is_empty())?;
    let mut all = became.iter();
    match (all.next(), all.next()) {
        (Some((to, share)), None) if *share == Share::WHOLE && to.len() == TOWNSHIP_DIGITS && to != township => {
            Some(format!("{to}{own}"))
        }
        _ => None,
    }
}

/// The township of a village's code; `None`: it is no village's.
#[must_use]
pub fn township_of(code: &str) -> Option<&str> {
    code.get(..TOWNSHIP_DIGITS).filter(|_| code.len() > TOWNSHIP_DIGITS)
}

/// The codes that are in an area on a day, as ranges of texts from the first to before the second, in order. What was divided between
/// this area and others is in each of them, without what lies below a code that remains, for that has not moved; in the nation is
/// everything.
#[must_use]
pub fn ranges(area: &Area, moved: &BTreeMap<String, Shares>) -> Vec<(String, String)> {
    if area.as_str() == Area::NATION {
        return vec![(String::new(), LAST.to_owned())];
    }
    let end = |code: &str| Area::parse(code).and_then(|area| area.after()).unwrap_or_else(|| LAST.to_owned());
    let is_in = |code: &str| settled(code, moved).keys().any(|to| area.covers(to));
    let mut inner: BTreeMap<(&str, usize), (bool, String)> = BTreeMap::new();
    let whole = |code: &str, is_in: bool| (is_in, end(code));
    let own = area.as_str();
    inner.insert((own, own.len()), whole(own, !moved.contains_key(own) || is_in(own)));
    for (code, became) in moved {
        let path = Area::parse(code);
        let within = || path.iter().flat_map(Area::path).any(|up| inner.contains_key(&(up, up.len())));
        let is_in = is_in(code);
        if is_in && became.contains_key(code) && !area.covers(code) {
            // Itself alone: every code below has a further digit.
            inner.insert((code, code.len()), (true, format!("{code}0")));
        } else if is_in || within() {
            inner.insert((code, code.len()), whole(code, is_in));
        }
    }
    let ends: BTreeSet<String> =
        inner.iter().flat_map(|((code, _), (_, end))| [(*code).to_owned(), end.clone()]).collect();
    let mut ranges: Vec<(String, String)> = vec![];
    let mut begun = inner.into_iter().peekable();
    // The codes that a text lies in, the longest last.
    let mut open: Vec<(String, bool)> = vec![];
    let mut ends = ends.into_iter().peekable();
    while let Some(from) = ends.next() {
        open.retain(|(until, _)| *until > from);
        while let Some((_, (is_in, end))) = begun.next_if(|((code, _), _)| *code <= from.as_str()) {
            open.push((end, is_in));
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
const LAST: &str = "a";

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

/// Divides a figure by shares, to the last unit: what is left over by rounding goes to those that lost most by it, of equals to the
/// first. What the shares leave of the whole has no successor: it belongs to nobody and is answered as the rest, so that all still
/// adds up.
#[must_use]
pub fn divided(figure: i64, shares: &Shares) -> (BTreeMap<&str, i64>, i64) {
    let nobody = rest_of(shares).map(|share| (None, share));
    let all = shares.iter().map(|(code, share)| (Some(code.as_str()), *share)).chain(nobody);
    let mut parts: Vec<(Option<&str>, i64, i128)> = all
        .map(|(code, Share { numerator, denominator })| {
            let product = i128::from(figure) * i128::from(numerator);
            let whole = product.div_euclid(denominator.into());
            // Of different denominators the lost parts are compared in millionths.
            let lost = product.rem_euclid(denominator.into()) * 1_000_000 / i128::from(denominator);
            (code, i64::try_from(whole).unwrap_or(0), lost)
        })
        .collect();
    let mut left = figure - parts.iter().map(|(_, part, _)| part).sum::<i64>();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| (-parts[*i].2, *i));
    for i in order {
        let more = i64::from(left > 0);
        parts[i].1 += more;
        left -= more;
    }
    let rest = left + parts.iter().filter(|(code, ..)| code.is_none()).map(|(_, part, _)| part).sum::<i64>();
    (parts.into_iter().filter_map(|(code, part, _)| Some((code?, part))).collect(), rest)
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
        assert_eq!(codes(&history.of("350427", "2021-10-30", "2021-10-30")), [("350427", 1, 1)], "the same day");
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

    #[test]
    fn what_was_abolished_in_part_belongs_to_nobody() {
        let on = "2021-10-31";
        let history = Succession::new([
            change(on, &["330104"], &[("330102", 3), ("330114", 1)]),
            change("2022-10-31", &["330102"], &[]),
        ]);
        let shares = history.of("330104", "2020-06-01", "2023-06-30");
        assert_eq!(codes(&shares), [("330114", 1, 4)]);
        assert_eq!(divided(10, &shares), (BTreeMap::from([("330114", 3)]), 7), "of equals the first");
        assert_eq!(divided(1_000_000_000_000, &shares).1, 750_000_000_000);
        // In tables and lists that part is with the nearest division above.
        let moved = history.moved("2023-06-30");
        assert_eq!(codes(&settled("330104", &moved)), [("3301", 3, 4), ("330114", 1, 4)]);
        assert_eq!(codes(&settled("330102", &moved)), [("3301", 1, 1)]);
    }

    #[test]
    fn shares_of_many_splits_stay_within_their_bits() {
        let to = |year: u32| -> Vec<(String, u32)> {
            (0..50).map(|i| (format!("33{:04}", i + year * 50), PART_MOST - i * 7 - year)).collect()
        };
        let splits = (1..9).map(|year| Change {
            on: format!("200{year}-01-01"),
            from: vec![format!("33{:04}", year * 50 - 50)],
            to: to(year),
        });
        let shares = Succession::new(splits).of("330000", "1999-01-01", "2023-01-01");
        const FIGURE: i64 = crate::kind::FEN_MOST;
        let (divided, rest) = divided(FIGURE, &shares);
        assert_eq!((shares.len(), divided.values().sum::<i64>() + rest), (393, FIGURE));
        assert!(rest.abs() <= 1, "nothing of it was abolished: {rest}");
    }

    #[test]
    fn a_change_is_read_in_one_form() {
        let text = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>();
        let read = Change::told("2025-01-01", &text(&["640104000000", "x"]), &text(&["640105", "6401"]), &[7]);
        assert_eq!(read, change("2025-01-01", &["640104"], &[("640105", 7), ("6401", 1)]));
    }

    #[test]
    fn a_village_goes_with_its_township() {
        let history = history();
        let became = |code: &str| history.of(code, "2020-06-01", "2023-06-30");
        let whole = |to: &str| Shares::from([(to.to_owned(), Share::WHOLE)]);
        assert_eq!(carried("620121112003", &whole("620171104")).as_deref(), Some("620171104003"));
        assert_eq!(carried("620121112003", &whole("620121112")), None);
        assert_eq!(carried("620121112003", &whole("620171")), None);
        assert_eq!(carried("620121112", &whole("620171104")), None);
        assert_eq!(carried("330104001002", &became("330104")), None, "it became two");
        assert_eq!((township_of("620121112003"), township_of("620121112")), (Some("620121112"), None));
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
        // 520201 took a part of 520221 and remains: what was reported below it is its own.
        let moved = [("520201".to_owned(), half(&["520201", "520221"]))].into();
        let of_day = |area: &str| ranges(&Area::parse(area).unwrap(), &moved);
        let range = |from: &str, until: &str| (from.to_owned(), until.to_owned());
        assert_eq!(of_day("520221"), [range("520201", "5202010"), range("520221", "520222")]);
        assert_eq!(of_day("520201"), [range("520201", "520202")]);
        assert_eq!(of("3504"), "3504–3505");
        assert_eq!(of("350405100"), "350405100–350405101 350427100–350427101");
        assert_eq!(of("00"), "–a");
    }
}
