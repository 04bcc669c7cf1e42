//! Records that may be one and the same (疑似重复), for a person to decide: the same code or person at two nodes, or names that are nearly
//! the same: 厦门市湖里区霞岸老年服务中心 and 厦门市湖里区霞辉老年社会服务中心 are told apart by one character beside what every such name has.

use std::collections::BTreeMap;

use qianshou_kernel::id::Name;
use qianshou_proto::registry::v1::DuplicateReason;

/// What is compared of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Its name.
    pub record: Name,
    /// What it is called; absent: withheld.
    pub title: Option<String>,
    /// Its division.
    pub division: String,
    /// A code that two nodes may both have: of an agency its credit code, of a person the pseudonym.
    pub code: Option<String>,
    /// For a worker, the employer; `None` for an agency.
    pub employer: Option<String>,
}

/// Two records that may be the same, by their places in what was compared, the older first.
pub type Pair = (usize, usize, DuplicateReason);

/// Pairs that may be the same, in the order of the records' names.
#[must_use]
pub fn agencies(all: &[Compared]) -> Vec<Pair> {
    let mut pairs = of_one_code(all, DuplicateReason::SameCode);
    let stems: Vec<Option<Vec<char>>> = all.iter().map(|one| one.title.as_deref().map(stem)).collect();
    near(
        all,
        &mut pairs,
        |one| county(&one.division).to_owned(),
        |a, b| stems[a].as_ref().zip(stems[b].as_ref()).is_some_and(|(a, b)| are_near(a, b)),
    );
    in_order(all, pairs)
}

/// Pairs that may be the same, in the order of the records' names.
#[must_use]
pub fn workers(all: &[Compared]) -> Vec<Pair> {
    let mut pairs = of_one_code(all, DuplicateReason::SamePerson);
    let of = |one: &Compared| {
        let place = one.employer.clone().unwrap_or_else(|| one.division.clone());
        format!("{}\u{1f}{place}", one.title.as_deref().unwrap_or_default())
    };
    near(all, &mut pairs, of, |a, b| all[a].title.is_some() && all[b].title.is_some());
    in_order(all, pairs)
}

fn of_one_code(all: &[Compared], reason: DuplicateReason) -> BTreeMap<(usize, usize), DuplicateReason> {
    let mut by_code: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, one) in all.iter().enumerate() {
        if let Some(code) = &one.code {
            by_code.entry(code).or_default().push(i);
        }
    }
    by_code.values().flat_map(|group| pairs_of(group)).map(|pair| (pair, reason)).collect()
}

/// Adds the pairs of each group that are near.
fn near(
    all: &[Compared],
    pairs: &mut BTreeMap<(usize, usize), DuplicateReason>,
    group: impl Fn(&Compared) -> String,
    is_near: impl Fn(usize, usize) -> bool,
) {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, one) in all.iter().enumerate() {
        groups.entry(group(one)).or_default().push(i);
    }
    for pair in groups.values().flat_map(|group| pairs_of(group)) {
        if is_near(pair.0, pair.1) {
            pairs.entry(pair).or_insert(DuplicateReason::NearName);
        }
    }
}

fn pairs_of(group: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    group.iter().enumerate().flat_map(|(i, a)| group[i + 1..].iter().map(move |b| (*a, *b)))
}

fn in_order(all: &[Compared], pairs: BTreeMap<(usize, usize), DuplicateReason>) -> Vec<Pair> {
    let id = |i: usize| (all[i].record.id(), all[i].record.as_str());
    let sorted = pairs.into_iter().map(|((a, b), reason)| if id(a) <= id(b) { (a, b, reason) } else { (b, a, reason) });
    let mut sorted: Vec<Pair> = sorted.collect();
    sorted.sort_by(|a, b| (id(a.0), id(a.1)).cmp(&(id(b.0), id(b.1))));
    sorted
}

fn county(division: &str) -> &str {
    division.get(..6).unwrap_or(division)
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

    fn compared(id: &str, title: &str, division: &str, code: Option<&str>, employer: Option<&str>) -> Compared {
        Compared {
            record: id.parse().unwrap(),
            title: Some(title.to_owned()).filter(|title| !title.is_empty()),
            division: division.to_owned(),
            code: code.map(str::to_owned),
            employer: employer.map(str::to_owned),
        }
    }

    #[test]
    fn near_names_are_of_one_county() {
        let all = [
            compared("nodes/35/agencies/2", "厦门市湖里区霞岸老年服务中心", "350206", Some("A"), None),
            compared("nodes/35/agencies/1", "厦门市湖里区霞辉老年社会服务中心", "350206001", Some("B"), None),
            compared("nodes/35/agencies/3", "霞岸老年社会工作服务中心", "350203", Some("C"), None),
            compared("nodes/35/agencies/4", "湖里区爱心社会工作服务中心", "350206", Some("D"), None),
            compared("nodes/35/agencies/5", "湖里区阳光社会工作服务中心", "350206", Some("E"), None),
            compared("nodes/64/agencies/6", "别的名字", "640104", Some("A"), None),
            compared("nodes/35/agencies/7", "社会工作服务中心", "350206", Some("F"), None),
            compared("nodes/35/agencies/8", "", "350206", Some("G"), None),
        ];
        let pairs = agencies(&all);
        assert_eq!(pairs, [(1, 0, DuplicateReason::NearName), (0, 5, DuplicateReason::SameCode)]);
    }

    #[test]
    fn people_are_the_same_at_one_place_or_by_their_pseudonym() {
        let all = [
            compared("nodes/64/workers/1", "张伟", "640104001", None, Some("nodes/64/agencies/1")),
            compared("nodes/64/workers/2", "张伟", "640105001", None, Some("nodes/64/agencies/1")),
            compared("nodes/64/workers/3", "张伟", "640104001", None, None),
            compared("nodes/64/workers/4", "张伟", "640104001", Some("p"), None),
            compared("nodes/35/workers/5", "", "350102", Some("p"), None),
            compared("nodes/35/workers/6", "", "350102", None, None),
        ];
        let near = DuplicateReason::NearName;
        assert_eq!(workers(&all), [(0, 1, near), (2, 3, near), (3, 4, DuplicateReason::SamePerson)]);
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
