//! Records that may be one and the same (疑似重复), for a person to decide: the same code or person at two nodes, or names that are nearly
//! the same: 厦门市湖里区霞岸老年服务中心 and 厦门市湖里区霞辉老年社会服务中心 are told apart by one character beside what every such name has.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::id::{Area, Name};
use qianshou_proto::registry::v1::DuplicateReason;

/// What is compared of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Its name.
    pub record: Name,
    /// Its division.
    pub division: String,
    /// What it is called; absent: withheld.
    pub title: Option<String>,
    /// Codes that two nodes may both have: of an agency its credit code, of a person the pseudonyms.
    pub codes: Vec<String>,
    /// Among which records near names are looked for: an agency's county, a worker's namesakes.
    pub block: Option<String>,
    stem: Vec<char>,
}

impl Compared {
    /// An agency, of which near names lie in one county.
    #[must_use]
    pub fn agency(record: Name, division: String, title: Option<String>, uscc: Option<String>) -> Self {
        let stem = title.as_deref().map(stem).unwrap_or_default();
        let block = Some(county(&division).to_owned());
        Self { record, division, title, codes: uscc.into_iter().collect(), block, stem }
    }

    /// A worker, whose near names are those of [`namesakes`].
    #[must_use]
    pub fn worker(
        record: Name,
        division: String,
        title: Option<String>,
        person: Option<String>,
        namesakes: Option<String>,
    ) -> Self {
        let stem = title.as_deref().map(|name| name.chars().collect()).unwrap_or_default();
        Self { record, division, title, codes: person.into_iter().collect(), block: namesakes, stem }
    }

    /// Why it may be the same as another; `same`: what a code says that both have.
    fn like(&self, other: &Self, same: DuplicateReason) -> Option<DuplicateReason> {
        if self.codes.iter().any(|code| other.codes.contains(code)) {
            return Some(same);
        }
        let near = self.block.is_some() && self.block == other.block && are_near(&self.stem, &other.stem);
        near.then_some(DuplicateReason::NearName)
    }
}

/// What workers have in common whose names are looked at together: the name, and the employer, or the division where none is given.
#[must_use]
pub fn namesakes(name: Option<&str>, employer: Option<&str>, division: Option<&str>) -> Option<String> {
    // As much of a name as an index takes.
    const CHARS: usize = 100;
    let name: String = name?.chars().take(CHARS).collect();
    Some(format!("{name}\u{1f}{}", employer.or(division)?))
}

/// Two records that may be the same, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The one at which the walk came upon the other.
    pub one: Compared,
    /// The other.
    pub other: Compared,
    /// Why.
    pub reason: DuplicateReason,
}

impl Pair {
    /// Both, the older first.
    #[must_use]
    pub fn by_age(&self) -> [&Compared; 2] {
        let id = |of: &Compared| (of.record.id().to_owned(), of.record.to_string());
        if id(&self.one) <= id(&self.other) { [&self.one, &self.other] } else { [&self.other, &self.one] }
    }
}

/// The next records of a walk over an area, and all that any of them has to be compared with.
#[derive(Clone, Debug)]
pub struct Step {
    /// The records, in the order of the walk.
    pub ones: Vec<Compared>,
    /// What they are compared with; they may be among it.
    pub others: Vec<Compared>,
    /// What a code says that both have.
    pub same: DuplicateReason,
    /// The node that walks.
    pub home: String,
}

impl Step {
    /// At most `most` pairs, those of the first record behind the other of this name; and at how many records the walk was until then.
    #[must_use]
    pub fn pairs(&self, mut behind: Option<&str>, most: usize) -> (Vec<Pair>, usize) {
        let mut by_code: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut by_block: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, other) in self.others.iter().enumerate() {
            other.codes.iter().for_each(|code| by_code.entry(code).or_default().push(i));
            other.block.iter().for_each(|block| by_block.entry(block).or_default().push(i));
        }
        let mut pairs = vec![];
        for (i, one) in self.ones.iter().enumerate() {
            let codes = one.codes.iter().filter_map(|code| by_code.get(code.as_str()));
            let near = codes.chain(one.block.iter().filter_map(|block| by_block.get(block.as_str()))).flatten();
            // Each once, in the order of their names.
            let near: BTreeSet<(&str, usize)> = near.map(|at| (self.others[*at].record.as_str(), *at)).collect();
            let mut last = "";
            for (name, at) in near {
                let other = &self.others[at];
                if name == last || behind.is_some_and(|behind| name <= behind) || !self.is_told_at(one, other) {
                    continue;
                }
                last = name;
                if let Some(reason) = one.like(other, self.same) {
                    pairs.push(Pair { one: one.clone(), other: other.clone(), reason });
                }
                if pairs.len() >= most {
                    return (pairs, i);
                }
            }
            behind = None;
        }
        (pairs, self.ones.len())
    }

    /// Each pair is told once: at the lesser of two names; at this node's record, if the other is another's, for only of its own people
    /// does a node know under which pseudonyms they may be found.
    fn is_told_at(&self, one: &Compared, other: &Compared) -> bool {
        let is_own = |of: &Compared| of.record.home() == self.home;
        if is_own(one) == is_own(other) { one.record < other.record } else { is_own(one) }
    }
}

/// Up to which code a county reaches, after the first: all that begins with it, or, of what is no county, itself alone.
#[must_use]
pub fn block_bounds(block: &str) -> (String, String) {
    let until = Area::parse(block).filter(|_| block.len() >= COUNTY_DIGITS).and_then(|area| area.after());
    (block.to_owned(), until.unwrap_or_else(|| format!("{block}0")))
}

const COUNTY_DIGITS: usize = 6;

fn county(division: &str) -> &str {
    division.get(..COUNTY_DIGITS).unwrap_or(division)
}

/// What names of agencies have in common.
const COMMON: [&str; 16] = [
    "社会工作",
    "社会组织",
    "社会服务",
    "公益",
    "社会",
    "社工",
    "服务",
    "发展",
    "促进",
    "中心",
    "事务所",
    "协会",
    "机构",
    "工作室",
    "站",
    "会",
];

/// What tells a name from others: without the place before it and without what every such name has.
fn stem(name: &str) -> Vec<char> {
    let place = name.char_indices().rfind(|(_, c)| ['省', '市', '县', '区', '旗'].contains(c));
    let own = place.map_or(name, |(at, c)| &name[at + c.len_utf8()..]);
    let own = COMMON.iter().fold(own.to_owned(), |own, common| own.replace(common, ""));
    own.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Whether two stems are equal but for one character in three or four, or for two in more.
fn are_near(a: &[char], b: &[char]) -> bool {
    let longest = a.len().max(b.len());
    !a.is_empty() && !b.is_empty() && distance(a, b) <= if longest < 3 { 0 } else { longest.div_ceil(6).min(2) }
}

/// How many characters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pairs among these, each by its names and its reason.
    fn told(all: &[Compared], same: DuplicateReason) -> Vec<(String, String, DuplicateReason)> {
        let step = Step { ones: all.to_vec(), others: all.to_vec(), same, home: "35".to_owned() };
        let (pairs, reached) = step.pairs(None, usize::MAX);
        assert_eq!(reached, all.len());
        let told = |pair: &Pair| {
            let [one, other] = pair.by_age().map(|of| of.record.to_string().replace("nodes/", ""));
            (one, other, pair.reason)
        };
        let mut told: Vec<_> = pairs.iter().map(told).collect();
        told.sort();
        told
    }

    fn agency(id: &str, title: &str, division: &str, uscc: &str) -> Compared {
        let title = Some(title.to_owned()).filter(|title| !title.is_empty());
        Compared::agency(id.parse().unwrap(), division.to_owned(), title, Some(uscc.to_owned()))
    }

    fn worker(id: &str, name: &str, division: &str, person: &str, employer: Option<&str>) -> Compared {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let block = namesakes(some(name).as_deref(), employer, Some(division));
        Compared::worker(id.parse().unwrap(), division.to_owned(), some(name), some(person), block)
    }

    fn pair(one: &str, other: &str, reason: DuplicateReason) -> (String, String, DuplicateReason) {
        (one.to_owned(), other.to_owned(), reason)
    }

    #[test]
    fn near_names_are_of_one_county() {
        let all = [
            agency("nodes/35/agencies/2", "厦门市湖里区霞岸老年服务中心", "350206", "A"),
            agency("nodes/35/agencies/1", "厦门市湖里区霞辉老年社会服务中心", "350206001", "B"),
            agency("nodes/35/agencies/3", "霞岸老年社会工作服务中心", "350203", "C"),
            agency("nodes/35/agencies/4", "湖里区爱心社会工作服务中心", "350206", "D"),
            agency("nodes/35/agencies/5", "湖里区阳光社会工作服务中心", "350206", "E"),
            agency("nodes/64/agencies/0", "别的名字", "640104", "A"),
            agency("nodes/35/agencies/7", "社会工作服务中心", "350206", "F"),
            agency("nodes/35/agencies/8", "", "350206", "G"),
        ];
        let expected = [
            pair("35/agencies/1", "35/agencies/2", DuplicateReason::NearName),
            pair("64/agencies/0", "35/agencies/2", DuplicateReason::SameCode),
        ];
        assert_eq!(told(&all, DuplicateReason::SameCode), expected);
    }

    #[test]
    fn people_are_the_same_at_one_place_or_by_their_pseudonym() {
        let mut all = vec![
            worker("nodes/64/workers/1", "张伟", "640104001", "", Some("nodes/64/agencies/1")),
            worker("nodes/64/workers/2", "张伟", "640105001", "", Some("nodes/64/agencies/1")),
            worker("nodes/64/workers/3", "张伟", "640104001", "", None),
            worker("nodes/64/workers/4", "张伟", "640104001", "p", None),
            worker("nodes/62/workers/5", "", "350102", "p", None),
            worker("nodes/35/workers/6", "", "350102", "", None),
        ];
        all[5].codes = vec!["q".into(), "p".into()];
        let (near, same) = (DuplicateReason::NearName, DuplicateReason::SamePerson);
        let expected = [
            pair("64/workers/1", "64/workers/2", near),
            pair("64/workers/3", "64/workers/4", near),
            pair("64/workers/4", "35/workers/6", same),
            pair("64/workers/4", "62/workers/5", same),
            pair("62/workers/5", "35/workers/6", same),
        ];
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(told(&all, same), expected);
    }

    #[test]
    fn a_walk_goes_on_where_it_was_cut() {
        let of_one_name = |n: u32| worker(&format!("nodes/64/workers/{n}"), "张伟", "640104001", "", None);
        let all: Vec<Compared> = (1..=5).map(of_one_name).collect();
        let of = |from: usize| Step {
            ones: all[from..].to_vec(),
            others: all.clone(),
            same: DuplicateReason::SamePerson,
            home: "64".to_owned(),
        };
        let (mut seen, mut at, mut behind) = (vec![], 0, None::<String>);
        loop {
            let (pairs, reached) = of(at).pairs(behind.as_deref(), 3);
            seen.extend(pairs.iter().map(|pair| (pair.one.record.to_string(), pair.other.record.to_string())));
            at += reached;
            if at == all.len() {
                break;
            }
            behind = pairs.last().map(|pair| pair.other.record.to_string());
        }
        let once: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!((seen.len(), once.len()), (10, 10));
    }

    #[test]
    fn a_county_reaches_over_its_townships() {
        let of = |block: &str| block_bounds(block);
        assert_eq!(of("640104"), ("640104".into(), "640105".into()));
        assert_eq!(of("64"), ("64".into(), "640".into()));
    }

    #[test]
    fn distance_is_the_least_number_of_changes() {
        let of = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(
            (of("霞岸老年", "霞辉老年"), of("", "爱心"), of("爱心", "心爱"), of("一二三", "二三四")),
            (1, 2, 2, 2)
        );
    }
}
