//! What became of divisions between two lists of them: a list says which codes hold, not which became which. The rule below
//! reads that from names and from what lies in a division, and leaves undecided what they do not say.
//!
//! At each date, level by level from the top, a code that is no longer there, or is there under another name, is followed by:
//!
//! 1. the one code of its own name in its parent, or in a successor of its parent (re-coded, moved along);
//! 2. the codes in which most of its children are found again by name, each with the number of children as its part (re-coded
//!    and renamed, merged, split); a part below a twentieth is an exchange of a few children and no succession;
//! 3. its own code (renamed);
//! 4. the one new code of its stem in its parent or a successor of it: 沙县 → 沙县区, 龙海市 → 龙海区;
//! 5. of townships and villages, the one new code of its name in the same prefecture or county (moved).
//!
//! What stood before and takes parts of what was split goes on as itself, which is said by a change from its code to its code.
//!
//! What is left was abolished, and a new code that follows nothing was created: an operator may know better and say so in a
//! change of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use qianshou_proto::registry::v1::{ChangeKind, Division};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// The first day after it, ISO-8601.
    pub on: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The codes before.
    pub from: Vec<String>,
    /// The codes after, each with its part.
    pub to: Vec<(String, u32)>,
}

/// Digits of the levels, the highest first.
const LEVELS: [usize; 5] = [2, 4, 6, 9, 12];
/// A successor holds at least one in so many of the children that were found again.
const LEAST_PART: u32 = 20;
/// What a name of a division ends with, the longest first.
const ENDINGS: [&str; 20] = [
    "社区居民委员会",
    "街道办事处",
    "村民委员会",
    "居民委员会",
    "社区居委会",
    "村委会",
    "居委会",
    "开发区",
    "民族乡",
    "自治县",
    "街道",
    "地区",
    "社区",
    "镇",
    "乡",
    "县",
    "市",
    "区",
    "村",
    "旗",
];

/// What became of one code: its successors, each with its part.
type Followed<'a> = HashMap<&'a str, BTreeMap<&'a str, u32>>;

/// The events that lead from list to list.
#[must_use]
pub fn derive(divisions: &[Division]) -> Vec<Event> {
    let dates: BTreeSet<&str> =
        divisions.iter().flat_map(|d| [d.valid_from.as_deref(), d.valid_to.as_deref()]).flatten().collect();
    let mut dates: Vec<&str> = dates.into_iter().collect();
    // The first list says only what there was.
    let mut before = List::on(divisions, dates.first().copied().unwrap_or_default());
    let mut events = vec![];
    for date in dates.drain(..).skip(1) {
        let after = List::on(divisions, date);
        events.extend(Step::between(&before, &after).events(date));
        before = after;
    }
    events.sort();
    events
}

/// The codes that hold on one day.
struct List<'a> {
    names: HashMap<&'a str, &'a str>,
    children: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> List<'a> {
    fn on(divisions: &'a [Division], day: &str) -> Self {
        let holds = |d: &&Division| d.valid_from() <= day && d.valid_to.as_deref().is_none_or(|to| day < to);
        let names: HashMap<_, _> = divisions.iter().filter(holds).map(|d| (d.code(), d.display_name())).collect();
        let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
        for code in names.keys() {
            children.entry(parent(code)).or_default().push(code);
        }
        Self { names, children }
    }

    fn of_level(&self, digits: usize) -> BTreeSet<&'a str> {
        self.names.keys().copied().filter(|code| code.len() == digits).collect()
    }
}

fn parent(code: &str) -> &str {
    let above = LEVELS.iter().rev().find(|digits| **digits < code.len());
    &code[..above.copied().unwrap_or(0)]
}

fn stem(name: &str) -> &str {
    let cut = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).filter(|stem| !stem.is_empty());
    cut.unwrap_or(name)
}

/// From one list to the next.
struct Step<'a, 'l> {
    before: &'l List<'a>,
    after: &'l List<'a>,
    followed: Followed<'a>,
    /// New codes that follow something already.
    taken: HashSet<&'a str>,
}

/// Codes by the place and the name under which they are looked for.
type ByName<'a> = HashMap<(&'a str, &'a str), Vec<&'a str>>;

fn by<'a>(codes: impl Iterator<Item = &'a str>, key: impl Fn(&'a str) -> (&'a str, &'a str)) -> ByName<'a> {
    let mut by = ByName::new();
    for code in codes {
        by.entry(key(code)).or_default().push(code);
    }
    by
}

impl<'a, 'l> Step<'a, 'l> {
    fn between(before: &'l List<'a>, after: &'l List<'a>) -> Self {
        let mut step = Self { before, after, followed: HashMap::new(), taken: HashSet::new() };
        for digits in &LEVELS[1..] {
            let (old, new) = (before.of_level(*digits), after.of_level(*digits));
            let ended: Vec<&str> = old.iter().copied().filter(|code| !after.names.contains_key(code)).collect();
            let begun: Vec<&str> = new.iter().copied().filter(|code| !before.names.contains_key(code)).collect();
            let renamed: Vec<&str> = old.intersection(&new).copied().filter(|code| step.is_renamed(code)).collect();
            let changed: Vec<&str> = ended.iter().chain(&renamed).copied().collect();
            step.by_name(&changed, begun.iter().chain(&renamed).copied());
            step.by_children(&changed);
            for code in renamed {
                if !step.followed.contains_key(code) && !step.taken.contains(code) {
                    step.follow(code, code);
                }
            }
            step.by_stem(&ended, &begun);
            if *digits >= 9 {
                step.by_moving(&ended, &begun);
            }
        }
        step
    }

    fn is_renamed(&self, code: &str) -> bool {
        self.before.names.get(code) != self.after.names.get(code)
    }

    fn follow(&mut self, old: &'a str, new: &'a str) {
        self.followed.insert(old, BTreeMap::from([(new, 1)]));
        self.taken.insert(new);
    }

    /// A code's parent and what became of it.
    fn parents(&self, code: &'a str) -> BTreeSet<&'a str> {
        let parent = parent(code);
        std::iter::once(parent).chain(self.followed.get(parent).into_iter().flat_map(|to| to.keys().copied())).collect()
    }

    fn open<'c>(&self, codes: &'c [&'a str]) -> Vec<&'a str> {
        codes.iter().copied().filter(|code| !self.followed.contains_key(code)).collect()
    }

    fn by_name(&mut self, changed: &[&'a str], new: impl Iterator<Item = &'a str>) {
        let (before, after) = (self.before, self.after);
        let new = by(new, |code| (parent(code), after.names[code]));
        let old = by(changed.iter().copied(), |code| (parent(code), before.names[code]));
        for code in changed.iter().copied() {
            let name = before.names[code];
            let parents = self.parents(code);
            let found = parents.iter().filter_map(|parent| new.get(&(*parent, name))).flatten().copied();
            let found: Vec<&str> = found.filter(|found| *found != code).collect();
            if let [found] = found[..]
                && old[&(parent(code), name)].len() == 1
                && !self.taken.contains(found)
            {
                self.follow(code, found);
            }
        }
    }

    fn by_children(&mut self, changed: &[&'a str]) {
        let Some(digits) = changed.first().map(|code| code.len()) else { return };
        let Some(below) = LEVELS.into_iter().find(|level| *level > digits) else { return };
        let (before, after) = (self.before, self.after);
        // Names of townships are looked for in the province, of villages in the county.
        let within = |code: &'a str| &code[..if below <= 9 { 2 } else { 6 }];
        let new_child = |code: &&str| code.len() == below && before.names.get(code) != after.names.get(code);
        let children = by(after.names.keys().copied().filter(new_child), |code| (within(code), after.names[code]));
        for code in self.open(changed) {
            let held = before.children.get(code).map(Vec::as_slice).unwrap_or_default();
            let mut parts: BTreeMap<&str, u32> = BTreeMap::new();
            for child in held {
                let name = before.names[child];
                let stays = after.names.get(child) == Some(&name);
                let found = if stays { Some(*child) } else { only(children.get(&(within(child), name))) };
                if let Some(found) = found {
                    *parts.entry(&found[..digits]).or_default() += 1;
                }
            }
            let found: u32 = parts.values().sum();
            if found > 0 && found as usize * 2 >= held.len() {
                parts.retain(|_, part| *part * LEAST_PART >= found);
                self.taken.extend(parts.keys());
                self.followed.insert(code, parts);
            }
        }
    }

    fn by_stem(&mut self, ended: &[&'a str], begun: &[&'a str]) {
        let (before, after) = (self.before, self.after);
        let free = begun.iter().copied().filter(|code| !self.taken.contains(code));
        let stems = by(free, |code| (parent(code), stem(after.names[code])));
        for code in self.open(ended) {
            let parents = self.parents(code);
            let found = parents.iter().filter_map(|parent| stems.get(&(*parent, stem(before.names[code])))).flatten();
            if let [found] = found.collect::<Vec<_>>()[..]
                && !self.taken.contains(found)
            {
                self.follow(code, found);
            }
        }
    }

    fn by_moving(&mut self, ended: &[&'a str], begun: &[&'a str]) {
        let (before, after) = (self.before, self.after);
        let within = |code: &'a str| &code[..if code.len() == 9 { 4 } else { 6 }];
        let free = begun.iter().copied().filter(|code| !self.taken.contains(code));
        let new = by(free, |code| (within(code), after.names[code]));
        let old = by(self.open(ended).into_iter(), |code| (within(code), before.names[code]));
        for (key, codes) in &old {
            if let ([code], Some(found)) = (&codes[..], only(new.get(key))) {
                self.follow(code, found);
            }
        }
    }

    fn events(&self, on: &str) -> Vec<Event> {
        let mut events = vec![];
        let mut joined: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        // What takes parts of what was split.
        let mut taking: BTreeSet<&str> = BTreeSet::new();
        let event = |kind, from: Vec<&str>, to: Vec<(&str, u32)>| Event {
            on: on.to_owned(),
            kind,
            from: from.into_iter().map(str::to_owned).collect(),
            to: to.into_iter().map(|(code, part)| (code.to_owned(), part)).collect(),
        };
        for (old, parts) in &self.followed {
            match only(Some(&parts.keys().copied().collect())) {
                Some(new) => joined.entry(new).or_default().push(old),
                None => {
                    let to: Vec<(&str, u32)> = parts.iter().map(|(code, part)| (*code, *part)).collect();
                    taking.extend(to.iter().map(|(code, _)| *code).filter(|code| code != old));
                    events.push(event(ChangeKind::Split, vec![old], to));
                }
            }
        }
        // What stood there before and goes on takes part: backwards it is itself, too.
        let goes_on = |code: &str| self.before.names.contains_key(code) && !self.followed.contains_key(code);
        for code in taking.into_iter().filter(|code| goes_on(code) && !joined.contains_key(code)) {
            events.push(event(ChangeKind::Renamed, vec![code], vec![(code, 1)]));
        }
        for (new, mut old) in joined {
            if goes_on(new) {
                old.push(new);
            }
            old.sort_unstable();
            let kind = match old[..] {
                [old] if old == new => ChangeKind::Renamed,
                [old] if self.parents(old).contains(parent(new)) => ChangeKind::Recoded,
                [_] => ChangeKind::Moved,
                _ => ChangeKind::Merged,
            };
            events.push(event(kind, old, vec![(new, 1)]));
        }
        let gone = self.before.names.keys().filter(|code| !self.after.names.contains_key(*code));
        for code in gone.filter(|code| !self.followed.contains_key(*code)) {
            events.push(event(ChangeKind::Abolished, vec![code], vec![]));
        }
        let successors: HashSet<&str> = self.followed.values().flat_map(|parts| parts.keys().copied()).collect();
        let new = self.after.names.keys().filter(|code| !self.before.names.contains_key(*code));
        for code in new.filter(|code| !successors.contains(*code)) {
            events.push(event(ChangeKind::Created, vec![], vec![(code, 1)]));
        }
        events
    }
}

fn only<'a>(codes: Option<&Vec<&'a str>>) -> Option<&'a str> {
    match codes.map(Vec::as_slice) {
        Some([code]) => Some(code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded;

    fn listed(code: &str, name: &str, from: &str, to: &str) -> Division {
        Division {
            code: Some(code.into()),
            display_name: Some(name.into()),
            valid_from: Some(from.into()),
            valid_to: Some(to.to_owned()).filter(|to| !to.is_empty()),
            ..Division::default()
        }
    }

    fn event(on: &str, kind: ChangeKind, from: &[&str], to: &[(&str, u32)]) -> Event {
        Event {
            on: on.into(),
            kind,
            from: from.iter().map(|code| (*code).to_owned()).collect(),
            to: to.iter().map(|(code, part)| ((*code).to_owned(), *part)).collect(),
        }
    }

    #[test]
    fn the_embedded_lists_tell_what_became_of_what() {
        let events = derive(&embedded().unwrap());
        let of = |code: &str| events.iter().filter(|event| event.from.iter().any(|c| c == code)).collect::<Vec<_>>();
        let on = "2021-10-31";
        assert_eq!(of("350427"), [&event(on, ChangeKind::Recoded, &["350427"], &[("350405", 1)])]);
        assert_eq!(of("350402"), [&event(on, ChangeKind::Merged, &["350402", "350403"], &[("350404", 1)])]);
        assert_eq!(of("620121112"), [&event("2022-10-31", ChangeKind::Moved, &["620121112"], &[("620171104", 1)])]);
        assert_eq!(of("330104"), [&event(on, ChangeKind::Split, &["330104"], &[("330102", 8), ("330114", 2)])]);
        let created = event("2022-10-31", ChangeKind::Created, &[], &[("640104012", 1)]);
        assert!(
            events.contains(&created),
            "{:?}",
            events.iter().filter(|e| e.to.iter().any(|t| t.0 == "640104012")).collect::<Vec<_>>()
        );
    }

    #[test]
    fn nothing_is_lost_between_two_lists() {
        let divisions = embedded().unwrap();
        let events = derive(&divisions);
        let mut followed = BTreeMap::new();
        for event in &events {
            for code in &event.from {
                let again = followed.insert((event.on.as_str(), code.as_str()), event);
                assert!(
                    again.is_none() || event.to.iter().any(|(to, _)| to == code),
                    "{code} became two things: {event:?}"
                );
            }
            assert_eq!(event.from.is_empty(), event.kind == ChangeKind::Created);
            assert_eq!(event.to.is_empty(), event.kind == ChangeKind::Abolished);
        }
        for division in divisions.iter().filter(|d| d.code().len() > 2) {
            if let Some(to) = &division.valid_to {
                assert!(followed.contains_key(&(to.as_str(), division.code())), "{} on {to}", division.code());
            }
        }
    }

    #[test]
    fn what_names_do_not_say_is_not_guessed() {
        let (old, new) = ("2016-07-31", "2017-10-31");
        let divisions = [
            listed("64", "宁夏", old, ""),
            listed("6401", "银川市", old, ""),
            listed("640101", "甲区", old, new),
            listed("640102", "乙区", new, ""),
        ];
        let expected = [
            event(new, ChangeKind::Created, &[], &[("640102", 1)]),
            event(new, ChangeKind::Abolished, &["640101"], &[]),
        ];
        let mut events = derive(&divisions);
        events.sort_by_key(|event| event.kind);
        assert_eq!(events, expected);
    }
}
