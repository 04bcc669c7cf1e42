//! Facts are never moved: they keep the code they were reported under. A table on the boundaries of a day is made from the tallies as
//! reported, less what those boundaries give to others, and with what they bring from elsewhere; to the last unit, so that the
//! areas of a level add up to the same as reported.
//!
//! What was abolished and followed by nothing, whole or in part, stays with the nearest division above it; so does what was created
//! later. Where a code remains among its own successors, what lies below it and is not told of has not moved: only what was reported of
//! the code itself is divided. Of villages no change tells: they go with their township, and keep their last digits there if the list has them so.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{
    id::Area,
    succession::{Share, Shares, carried, divided, settled, township_of},
};

use super::tally::Amount;

/// What was reported, by code and by coordinates.
pub type Reported = BTreeMap<String, BTreeMap<String, Amount>>;

/// What one code takes from, or brings to, an area.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    code: String,
    /// Codes below it that went a way of their own.
    without: Vec<String>,
    /// It remains, and so does everything below it: only what was reported of itself is divided.
    remains: bool,
    /// Where it is on the day.
    shares: Shares,
}

/// What has to be read and added to restate an area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    area: Area,
    pieces: Vec<Piece>,
}

/// Digits of a township's code.
const TOWNSHIP_DIGITS: usize = 9;

fn is_within(code: &str, area: &Area) -> bool {
    area.as_str() == Area::NATION || code.starts_with(area.as_str())
}

impl Plan {
    /// The plan for an area on a day; `moved`: every code that is not itself on that day; `listed`: which of the [`villages`] of the plan
    /// the list of the day has.
    #[must_use]
    pub fn of(area: &Area, moved: &BTreeMap<String, Shares>, listed: &BTreeSet<String>) -> Self {
        let pieces = moved.keys().filter_map(|code| {
            let shares = settled(code, moved);
            let held = is_within(code, area);
            // What only changes its code within the area changes nothing there.
            let stays = shares.keys().all(|to| is_within(to, area) == held);
            (!stays).then(|| Piece::of(code, shares, moved))
        });
        let pieces = pieces.chain(of_place(area.as_str(), moved, listed)).collect();
        Self { area: area.clone(), pieces }
    }

    /// The plan for which divisions of so many digits in an area have something on a day by what was reported under other codes.
    #[must_use]
    pub fn covering(area: &Area, digits: usize, moved: &BTreeMap<String, Shares>) -> Self {
        let pieces = moved.keys().filter(|code| code.len() == digits).filter_map(|code| {
            let shares = settled(code, moved);
            let comes = shares.keys().any(|to| is_within(to, area));
            // What covers a division is its own, whatever lies below it.
            comes.then(|| Piece { remains: false, ..Piece::of(code, shares, moved) })
        });
        Self { area: area.clone(), pieces: pieces.collect() }
    }

    /// The codes whose figures as reported have to be read.
    #[must_use]
    pub fn codes(&self) -> BTreeSet<&str> {
        let pieces = self.pieces.iter();
        pieces.flat_map(|piece| piece.without.iter().chain([&piece.code])).map(String::as_str).collect()
    }

    /// The codes of which also has to be read what was reported below them.
    #[must_use]
    pub fn remaining(&self) -> BTreeSet<&str> {
        self.pieces.iter().filter(|piece| piece.remains).map(|piece| piece.code.as_str()).collect()
    }

    /// What has to be added to the area's own figures, for each combination of coordinates. `reported`: by code, by coordinates; `below`:
    /// the same for all that lies below a code that remains.
    #[must_use]
    pub fn difference(&self, reported: &Reported, below: &Reported) -> BTreeMap<String, Amount> {
        let mut difference: BTreeMap<String, Amount> = BTreeMap::new();
        for piece in &self.pieces {
            let held = is_within(&piece.code, &self.area);
            for (dims, amount) in piece.own(reported, below) {
                let part = |figure: i64| {
                    let (parts, rest) = divided(figure, &piece.shares);
                    let ours: i64 =
                        parts.iter().filter(|(to, _)| is_within(to, &self.area)).map(|(_, part)| part).sum();
                    ours + if held { rest - figure } else { 0 }
                };
                let more = Amount { value: part(amount.value), opening: part(amount.opening) };
                let sum = difference.entry(dims).or_default();
                *sum = sum.plus(more);
            }
        }
        difference
    }

    /// The codes on the day that the pieces bring something to, in the area.
    #[must_use]
    pub fn brought(&self, reported: &Reported) -> BTreeMap<String, i64> {
        let mut brought: BTreeMap<String, i64> = BTreeMap::new();
        for piece in &self.pieces {
            let figure: i64 = piece.own(reported, &Reported::new()).values().map(|amount| amount.value).sum();
            for (to, part) in divided(figure, &piece.shares).0 {
                if is_within(to, &self.area) {
                    *brought.entry(to.to_owned()).or_default() += part;
                }
            }
        }
        brought
    }
}

impl Piece {
    fn of(code: &str, shares: Shares, moved: &BTreeMap<String, Shares>) -> Self {
        let remains = moved.get(code).is_some_and(|became| became.contains_key(code));
        let without = if remains { vec![] } else { below(code, moved) };
        Self { code: code.to_owned(), without, remains, shares }
    }

    /// What was reported under the code and under nothing below it that went its own way, or remains.
    fn own(&self, reported: &Reported, below: &Reported) -> BTreeMap<String, Amount> {
        let mut own = reported.get(&self.code).cloned().unwrap_or_default();
        let without = self.without.iter().filter_map(|code| reported.get(code));
        let below = below.get(&self.code).filter(|_| self.remains);
        for (dims, amount) in without.chain(below).flatten() {
            let left = own.entry(dims.clone()).or_default();
            *left = left.plus(Amount { value: -amount.value, opening: -amount.opening });
        }
        own
    }
}

/// The villages of which the plan for an area has to know whether the list has them; none unless the area is a village.
#[must_use]
pub fn villages(area: &Area, moved: &BTreeMap<String, Shares>) -> Vec<String> {
    let code = area.as_str();
    let there = township_of(code).and_then(|township| carried(code, moved.get(township)?));
    township_of(code).map(|_| code.to_owned()).into_iter().chain(there).collect()
}

/// What a division brings and takes that no change names, but one above it: what is gone takes with it all that lay in it, a village
/// into the township where the list has it.
fn of_place(code: &str, moved: &BTreeMap<String, Shares>, listed: &BTreeSet<String>) -> Vec<Piece> {
    let whole = |to: String| Shares::from([(to, Share::WHOLE)]);
    let path = Area::parse(code);
    let above = path.iter().flat_map(Area::path).rev().find_map(|up| moved.get_key_value(up));
    let gone = above.filter(|(up, became)| *up != code && !became.contains_key(*up));
    let leaves = gone.map(|(up, became)| {
        let there = carried(code, became).filter(|village| up.len() == TOWNSHIP_DIGITS && listed.contains(village));
        Piece::of(code, there.map_or_else(|| settled(up, moved), whole), moved)
    });
    let before = township_of(code).into_iter().flat_map(|township| carrying(township, moved));
    let before = before.map(|from| format!("{from}{}", &code[TOWNSHIP_DIGITS..]));
    let comes = before.filter(|from| listed.contains(code) && !moved.contains_key(from));
    leaves.into_iter().chain(comes.map(|from| Piece::of(&from, whole(code.to_owned()), moved))).collect()
}

/// The townships that became this one and nothing else.
fn carrying<'m>(township: &'m str, moved: &'m BTreeMap<String, Shares>) -> impl Iterator<Item = &'m str> {
    let all = moved.iter().filter(|(code, _)| code.len() == township.len());
    all.filter(|(_, became)| became.len() == 1 && became.get(township) == Some(&Share::WHOLE)).map(|(code, _)| &**code)
}

/// The townships that became one other in an area, each with that: their villages may have gone along.
#[must_use]
pub fn townships<'m>(area: &Area, moved: &'m BTreeMap<String, Shares>) -> BTreeMap<&'m str, &'m str> {
    let one = |(code, became): (&'m String, &'m Shares)| {
        let (to, share) = became.first_key_value()?;
        let alone = code.len() == TOWNSHIP_DIGITS && to.len() == TOWNSHIP_DIGITS && became.len() == 1;
        let here = is_within(to, area) || area.as_str().starts_with(to.as_str());
        (alone && here && *share == Share::WHOLE).then_some((code.as_str(), to.as_str()))
    };
    moved.iter().filter_map(one).collect()
}

/// The highest codes below a code that went a way of their own.
fn below(code: &str, moved: &BTreeMap<String, Shares>) -> Vec<String> {
    let mut highest: Vec<String> = vec![];
    for under in moved.range(code.to_owned()..).map(|(under, _)| under).take_while(|under| under.starts_with(code)) {
        if under != code && highest.last().is_none_or(|last| !under.starts_with(last.as_str())) {
            highest.push(under.clone());
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::succession::{Change, Succession};

    use super::*;

    fn change(on: &str, from: &[&str], to: &[(&str, u32)]) -> Change {
        Change {
            on: on.into(),
            from: from.iter().map(|code| (*code).to_owned()).collect(),
            to: to.iter().map(|(code, part)| ((*code).to_owned(), *part)).collect(),
        }
    }

    fn moved(at: &str) -> BTreeMap<String, Shares> {
        let on = "2021-10-31";
        let history = Succession::new([
            change(on, &["350427"], &[("350405", 1)]),
            change(on, &["350427100"], &[("350405100", 1)]),
            change(on, &["330104"], &[("330102", 8), ("330114", 2)]),
            change(on, &["330104005"], &[("330102011", 1)]),
            change(on, &["620121112"], &[("620171104", 1)]),
            change(on, &["640104400"], &[]),
            change(on, &["520221"], &[("520201", 5), ("520204", 30)]),
            change(on, &["520201"], &[("520201", 1)]),
        ]);
        history.moved(at)
    }

    fn restated(area: &str, facts: &[(&str, i64)], at: &str) -> i64 {
        let area = Area::parse(area).unwrap();
        let moved = moved(at);
        let listed = villages(&area, &moved).into_iter().filter(|code| code != "620171104999").collect();
        let plan = Plan::of(&area, &moved, &listed);
        let sum =
            |under: &dyn Fn(&str) -> bool| facts.iter().filter(|(code, _)| under(code)).map(|(_, n)| n).sum::<i64>();
        let of = |code: &str| {
            let value = sum(&|fact| fact.starts_with(code));
            (code.to_owned(), BTreeMap::from([(String::new(), Amount { value, opening: 0 })]))
        };
        let reported = plan.codes().into_iter().map(of).collect();
        let under = |code: &str| {
            let value = sum(&|fact| fact.starts_with(code) && fact != code);
            (code.to_owned(), BTreeMap::from([(String::new(), Amount { value, opening: 0 })]))
        };
        let below = plan.remaining().into_iter().map(under).collect();
        let more = plan.difference(&reported, &below);
        sum(&|fact| is_within(fact, &area)) + more.values().map(|more| more.value).sum::<i64>()
    }

    #[test]
    fn what_moved_is_counted_where_it_is() {
        let facts =
            [("350427", 5), ("350427100", 3), ("330104", 7), ("330104005", 2), ("620121112", 4), ("640104400", 1)];
        let of = |area: &str| restated(area, &facts, "2023-12-31");
        assert_eq!((of("350427"), of("350405"), of("350405100"), of("3504")), (0, 8, 3, 8));
        // Seven are divided 8 : 2, and the two of the street are where the street is.
        assert_eq!((of("330104"), of("330102"), of("330114"), of("330102011"), of("33")), (0, 8, 1, 2, 9));
        assert_eq!((of("620121"), of("620171"), of("620171104"), of("6201")), (0, 4, 4, 4));
        assert_eq!((of("640104"), of("64"), of("00")), (1, 1, 22));
        // A village goes along; one that the list does not have there is somewhere in the township.
        let of = |area: &str| restated(area, &[("620121112003", 2), ("620121112999", 1)], "2023-12-31");
        assert_eq!((of("620171104003"), of("620171104999"), of("620171104")), (2, 0, 3));
        assert_eq!((of("620121112003"), of("620121112999"), of("620121112")), (0, 0, 0));
        // 520201 took a part of 520221 and remains; what lies in it has not moved.
        let before = |area: &str| restated(area, &[("520201", 4), ("520201001", 3), ("520204", 2)], "2020-12-31");
        assert_eq!((before("520201"), before("520221"), before("520204"), before("520201001")), (5, 4, 0, 3));
        // What lay in a county that is gone went with it.
        assert_eq!(restated("350427200", &[("350427200", 1)], "2023-12-31"), 0);
        let before = |area: &str| restated(area, &[("350405", 6), ("350404", 1)], "2020-12-31");
        assert_eq!((before("350427"), before("350405"), before("350404")), (6, 0, 1));
    }

    #[test]
    fn areas_of_a_level_add_up_to_what_was_reported() {
        let facts = [("350427", 5), ("330104", 7), ("330104005", 2), ("330114", 3), ("620121112", 4), ("640104400", 1)];
        let counties = ["350427", "350405", "330104", "330102", "330114", "620121", "620171", "640104"];
        for at in ["2020-12-31", "2021-10-31", "2023-12-31"] {
            let sum: i64 = counties.iter().map(|county| restated(county, &facts, at)).sum();
            assert_eq!(sum, 22, "{at}");
        }
    }
}
