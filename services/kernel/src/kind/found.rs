//! What a record is found by: its title, its other names and its codes; a name also by its pinyin and by the initials of that.
//!
//! Two things are kept. The **text** stands in the house's table and decides: what is asked is tested against it, by [`Sought::fits`].
//! The **words** stand in the database's index of words and only narrow: whatever fits has the words that [`Sought::words`] asks
//! for, but not the other way round. A property test holds the two together.
//!
//! Words are few, for each costs as much as a column when it is written. Behind two letters for the kind and one for what they are:
//! `p`, one for each Chinese character and reading: its syllable, and the initials of the three after it; `n`, one for each other
//! letter or digit: it and the three after it; `c`, a whole code. Chinese characters are looked up by how they sound, initials by
//! all syllables that begin so.

use std::{
    collections::{BTreeSet, HashSet},
    ops::RangeInclusive,
    sync::LazyLock,
};

use pinyin::ToPinyinMulti as _;

use super::Index;
use crate::db::Words;

/// Names are lines; a line that begins so is a code. No name has it, for its blanks are spaces.
const CODE: char = '\t';
/// Readings of one character at most, the usual ones first.
const READINGS: usize = 3;
/// Characters in a word that begins with a letter or digit that has no reading.
const PIECE: usize = 4;
/// Initials behind a syllable.
const INITIALS: usize = 3;
/// Ways to read letters as syllables that are looked up; with more of them every record is tested.
const WAYS: usize = 32;
/// Letters of the longest syllable.
const SYLLABLE_LETTERS: usize = 6;
/// Between a syllable and initials.
const AND: char = '0';
/// The longest code that is kept as a word.
const CODE_CHARS: usize = 64;

/// Characters of all its names by which a record is found, the title's first, and codes: each character costs up to eighty words.
const NAMES_MAX_CHARS: usize = 1_000;
const CODES_MAX: usize = 100;

/// One form for all ways to write the same: half width, lower case, single spaces.
fn folded(text: &str) -> String {
    let half = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c if c.is_whitespace() || c.is_control() => ' ',
        c => c,
    };
    let mut one = String::with_capacity(text.len());
    for c in text.chars().map(half).flat_map(char::to_lowercase) {
        if c != ' ' || !(one.is_empty() || one.ends_with(' ')) {
            one.push(c);
        }
    }
    one.truncate(one.trim_end().len());
    one
}

/// A code without what people put between its parts.
fn as_code(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).take(CODE_CHARS).collect()
}

/// Characters with readings, but for some that hardly anybody has ever seen.
const HAN: RangeInclusive<char> = '\u{3000}'..='\u{9fff}';
/// The readings of each of them.
static READ: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| HAN.map(read).collect());

/// How a character may be read, without tones; `ü` is `v`, as it is typed.
fn readings(c: char) -> &'static [&'static str] {
    let at = u32::from(c).checked_sub(u32::from(*HAN.start()));
    at.and_then(|at| READ.get(usize::try_from(at).ok()?)).map(Vec::as_slice).unwrap_or_default()
}

fn read(c: char) -> Vec<&'static str> {
    let mut all = vec![];
    for sound in c.to_pinyin_multi().into_iter().flatten().filter_map(|reading| typed(reading.plain())) {
        if all.len() < READINGS && !all.contains(&sound) {
            all.push(sound);
        }
    }
    all
}

fn typed(plain: &'static str) -> Option<&'static str> {
    match plain {
        "lü" => Some("lv"),
        "lüe" => Some("lve"),
        "nü" => Some("nv"),
        "nüe" => Some("nve"),
        plain => plain.bytes().all(|b| b.is_ascii_lowercase()).then_some(plain),
    }
}

fn initials(c: char) -> impl Iterator<Item = u8> {
    let of = |sound: &&str| sound.as_bytes()[0];
    let all = readings(c);
    all.iter()
        .enumerate()
        .filter(move |(i, sound)| !all[..*i].iter().any(|s| of(s) == of(sound)))
        .map(move |(_, s)| of(s))
}

/// Whether it has words of its own kind: a letter or digit that has no reading.
fn is_spelt(c: char) -> bool {
    c.is_alphanumeric() && readings(c).is_empty()
}

/// Every syllable there is.
static SYLLABLES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| READ.iter().flatten().copied().collect());

/// Two letters that keep most kinds apart. Where they do not, the join with the house's table does.
fn of_kind(collection: &str) -> &str {
    collection.get(..2).unwrap_or(collection)
}

/// How many characters from the first on hold, at most so many, and whether it was the text's end that cut them short.
fn run(text: &[char], most: usize, holds: impl Fn(char) -> bool) -> (usize, bool) {
    let count = text.iter().take(most).take_while(|c| holds(**c)).count();
    (count, count < most && count == text.len())
}

impl Index {
    /// Computes what the record is found by.
    pub(crate) fn find_by(&mut self, collection: &str) {
        let mut left = NAMES_MAX_CHARS;
        let mut within = |name: &String| {
            let within = folded(&name.chars().take(left).collect::<String>());
            left -= within.chars().count().min(left);
            within
        };
        let names: Vec<String> =
            self.title.iter().chain(&self.aliases).map(&mut within).filter(|name| !name.is_empty()).collect();
        let code = |code: &String| as_code(&folded(&code.chars().take(NAMES_MAX_CHARS).collect::<String>()));
        let codes: Vec<String> = self.codes.iter().take(CODES_MAX).map(code).filter(|code| !code.is_empty()).collect();
        if names.is_empty() && codes.is_empty() {
            return;
        }
        let kind = of_kind(collection);
        for name in &names {
            let name: Vec<char> = name.chars().collect();
            for i in 0..name.len() {
                if is_spelt(name[i]) {
                    let (count, _) = run(&name[i..], PIECE, is_spelt);
                    self.word(kind, 'n', name[i..i + count].iter().copied());
                }
                let rows = if readings(name[i]).is_empty() { vec![] } else { rows_of_initials(&name[i + 1..]) };
                for syllable in readings(name[i]) {
                    for row in &rows {
                        self.word(kind, 'p', syllable.chars().chain(row.chars()));
                    }
                }
            }
        }
        for code in &codes {
            self.word(kind, 'c', code.chars());
        }
        let lines = names.into_iter().chain(codes.into_iter().map(|code| format!("{CODE}{code}")));
        self.found = Some(lines.collect::<Vec<_>>().join("\n"));
    }

    fn word(&mut self, kind: &str, what: char, word: impl Iterator<Item = char>) {
        if !self.words.is_empty() {
            self.words.push(' ');
        }
        self.words.push_str(kind);
        self.words.push(what);
        self.words.extend(word);
    }
}

/// The initials of the characters behind a syllable, in every reading, as they stand in a word.
fn rows_of_initials(behind: &[char]) -> Vec<String> {
    let (count, _) = run(behind, INITIALS, |c| !readings(c).is_empty());
    let first = if count == 0 { String::new() } else { AND.to_string() };
    behind[..count].iter().fold(vec![first], |rows, c| {
        rows.iter().flat_map(|row| initials(*c).map(move |letter| format!("{row}{}", char::from(letter)))).collect()
    })
}

/// What is sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sought {
    /// In its one form.
    text: String,
    /// As a code.
    code: String,
    /// As pinyin, each part of whole syllables but the last; empty: it cannot be pinyin.
    letters: Vec<String>,
}

impl Sought {
    /// `None`: nothing is.
    pub(super) fn new(text: &str) -> Option<Self> {
        let text = folded(text);
        let pinyin = text.replace('ü', "v");
        let is_pinyin = pinyin.chars().all(|c| c.is_ascii_lowercase() || c == ' ' || c == '\'');
        let parts = pinyin.split([' ', '\'']).filter(|part| is_pinyin && !part.is_empty());
        let letters = parts.map(str::to_owned).collect();
        let code = if text.is_ascii() { as_code(&text) } else { String::new() };
        (!text.is_empty()).then_some(Self { text, code, letters })
    }

    /// The text, if a name that holds it is all that can fit.
    pub(super) fn only_by_name(&self) -> Option<&str> {
        (self.code.is_empty() && self.letters.is_empty()).then_some(&self.text)
    }

    /// Whether a record with this text is meant.
    pub(super) fn fits(&self, found: &str) -> bool {
        found.lines().any(|line| match line.strip_prefix(CODE) {
            Some(code) => !self.code.is_empty() && code.starts_with(&self.code),
            None => line.contains(&self.text) || (!self.letters.is_empty() && self.sounds_in(line)),
        })
    }

    fn sounds_in(&self, name: &str) -> bool {
        let starts = name.char_indices().map(|(at, _)| &name[at..]);
        let whole = match &self.letters[..] {
            [letters] => Some(letters),
            _ => None,
        };
        starts.into_iter().any(|rest| {
            sounds(rest, &self.letters[0], &self.letters[1..])
                || whole.is_some_and(|letters| begins_with_initials(rest, letters))
        })
    }

    /// The words that every record has that fits; `None`: there are none to look up.
    pub(super) fn words(&self, collection: &str) -> Option<Words> {
        let kind = of_kind(collection);
        let mut ways = vec![];
        ways.push(by_name(kind, &self.text.chars().collect::<Vec<_>>())?);
        if !self.code.is_empty() {
            ways.push(Words::Begun(word(kind, 'c', self.code.chars())));
        }
        if !self.letters.is_empty() {
            let mut read = Ways::default();
            read.find(&self.letters[0], &self.letters[1..]);
            if read.found.len() > WAYS {
                return None;
            }
            ways.extend(read.found.into_iter().map(|syllables| in_a_row(kind, &syllables)));
            if let [letters] = &self.letters[..] {
                ways.push(initials_in_a_row(kind, letters));
            }
        }
        Some(Words::Any(ways))
    }
}

fn word(kind: &str, what: char, word: impl Iterator<Item = char>) -> String {
    kind.chars().chain([what]).chain(word).collect()
}

/// Whether a name begins with these sounds: `part` and then `parts`, each of whole syllables; the last may be broken off.
fn sounds(name: &str, part: &str, parts: &[String]) -> bool {
    let Some(first) = name.chars().next() else { return false };
    let name = &name[first.len_utf8()..];
    readings(first).iter().any(|reading| match (part.strip_prefix(*reading), parts) {
        (Some(""), []) => true,
        (Some(""), [next, rest @ ..]) => sounds(name, next, rest),
        (Some(rest), _) => sounds(name, rest, parts),
        (None, []) => reading.starts_with(part),
        (None, _) => false,
    })
}

fn begins_with_initials(name: &str, letters: &str) -> bool {
    let mut name = name.chars();
    letters.chars().all(|letter| name.next().is_some_and(|c| initials(c).any(|initial| char::from(initial) == letter)))
}

/// The ways to read letters as syllables, of which the very last may be broken off.
#[derive(Default)]
struct Ways<'a> {
    before: Vec<&'a str>,
    found: Vec<Vec<&'a str>>,
    /// What cannot be read to the end: how many parts and letters of the first of them are left. Without it `xianxian…vv` would take four
    /// times as long for each syllable.
    dead: HashSet<(usize, usize)>,
}

impl<'a> Ways<'a> {
    fn find(&mut self, part: &'a str, parts: &'a [String]) {
        let left = (parts.len(), part.len());
        if self.found.len() > WAYS || self.dead.contains(&left) {
            return;
        }
        let (known, last) = (self.found.len(), parts.is_empty());
        if last && SYLLABLES.range(part..).next().is_some_and(|syllable| syllable.starts_with(part)) {
            self.found.push([&self.before[..], &[part]].concat());
        }
        for to in 1..=part.len().min(SYLLABLE_LETTERS) {
            if !SYLLABLES.contains(&part[..to]) || (last && to == part.len()) {
                continue;
            }
            self.before.push(&part[..to]);
            match (&part[to..], parts) {
                ("", [next, rest @ ..]) => self.find(next, rest),
                (rest, _) => self.find(rest, parts),
            }
            self.before.pop();
        }
        if self.found.len() == known {
            self.dead.insert(left);
        }
    }
}

/// The words of every name that holds this text; `None`: they say nothing.
fn by_name(kind: &str, text: &[char]) -> Option<Words> {
    let (mut all, mut last) = (vec![], None);
    for (i, c) in text.iter().enumerate() {
        let (begun, word, is_cut) = if let Some(syllable) = readings(*c).first() {
            // All of its readings are in the index, and so is the first.
            let (count, is_cut) = run(&text[i + 1..], INITIALS, |c| !readings(c).is_empty());
            let behind = text[i + 1..=i + count].iter().filter_map(|c| initials(*c).next()).map(char::from);
            let behind: String = (count > 0).then_some(AND).into_iter().chain(behind).collect();
            (count > 0, word(kind, 'p', syllable.chars().chain(behind.chars())), is_cut)
        } else if is_spelt(*c) {
            let (count, is_cut) = run(&text[i..], PIECE, is_spelt);
            (all.is_empty(), word(kind, 'n', text[i..i + count].iter().copied()), is_cut)
        } else {
            continue;
        };
        match (is_cut, begun) {
            (false, _) => all.push(Words::Whole(word)),
            (true, true) => all.push(Words::Begun(word)),
            // A piece of what comes before, and of much else.
            (true, false) => last = last.or(Some(word)),
        }
    }
    if all.is_empty() {
        all.extend(last.map(Words::Begun));
    }
    (!all.is_empty()).then_some(Words::All(all))
}

/// The words of every name in which these syllables stand in a row, the last of them perhaps broken off.
fn in_a_row(kind: &str, syllables: &[&str]) -> Words {
    let of = |i: usize| {
        let behind = syllables[i + 1..].iter().take(INITIALS).filter_map(|syllable| syllable.chars().next());
        let behind: String = Some(AND).filter(|_| i + 1 < syllables.len()).into_iter().chain(behind).collect();
        let word = word(kind, 'p', syllables[i].chars().chain(behind.chars()));
        if i + INITIALS < syllables.len() { Words::Whole(word) } else { Words::Begun(word) }
    };
    Words::All((0..syllables.len().saturating_sub(1).max(1)).map(of).collect())
}

/// The words of every name in which syllables with these initials stand in a row.
fn initials_in_a_row(kind: &str, letters: &str) -> Words {
    let rows = letters.as_bytes().chunks(1 + INITIALS).enumerate().filter(|(i, row)| *i == 0 || row.len() > 1);
    let of = |(_, row): (usize, &[u8])| {
        let row = String::from_utf8_lossy(row);
        let (first, behind) = row.split_at(1);
        if behind.is_empty() {
            return Words::Begun(word(kind, 'p', first.chars()));
        }
        let begins = SYLLABLES.range(first..).take_while(|syllable| syllable.starts_with(first));
        let words = begins.map(|syllable| word(kind, 'p', syllable.chars().chain([AND]).chain(behind.chars())));
        let whole = behind.len() == INITIALS;
        let words = words.map(|word| if whole { Words::Whole(word) } else { Words::Begun(word) });
        // No syllable begins so: what no name has.
        Words::Any(words.chain([Words::Whole(word(kind, 'p', first.chars()))]).collect())
    };
    Words::All(rows.map(of).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(title: &str, aliases: &[&str], codes: &[&str]) -> Index {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let mut index =
            Index { title: Some(title.to_owned()), aliases: owned(aliases), codes: owned(codes), ..Index::default() };
        index.find_by("stations");
        index
    }

    fn fits(index: &Index, text: &str) -> bool {
        Sought::new(text).unwrap().fits(index.found.as_deref().unwrap_or_default())
    }

    /// As the databases understand it.
    fn has(words: &BTreeSet<&str>, asked: &Words) -> bool {
        match asked {
            Words::Whole(word) => words.contains(word.as_str()),
            Words::Begun(word) => words.range(word.as_str()..).next().is_some_and(|held| held.starts_with(word)),
            Words::All(all) => all.iter().all(|asked| has(words, asked)),
            Words::Any(any) => any.iter().any(|asked| has(words, asked)),
        }
    }

    fn narrows(index: &Index, text: &str) -> bool {
        let words = index.words.split(' ').collect();
        Sought::new(text).unwrap().words("stations").is_none_or(|asked| has(&words, &asked))
    }

    #[test]
    fn a_long_text_costs_no_more_than_its_beginning() {
        // Each of these is read in three ways.
        let long = "和差参".repeat(60_000);
        let index = found("掌政镇社工站", &[&long, "不再"], &[&long]);
        assert!(index.found.as_ref().unwrap().chars().count() <= NAMES_MAX_CHARS + CODE_CHARS + 3);
        assert!(index.words.len() < NAMES_MAX_CHARS * 81 * 14, "{} bytes", index.words.len());
        for text in ["掌政镇", "zzzsgz", "和差参"] {
            assert!(fits(&index, text) && narrows(&index, text), "{text}");
        }
        assert!(!fits(&index, "不再"));
    }

    #[test]
    fn a_record_is_found_by_what_people_type() {
        let index = found("兴庆区掌政镇社工站", &["掌政 ＳＷ Station"], &["91640100-MJX0 01"]);
        for text in [
            "兴",
            "站",
            "庆区",
            "社工站",
            "兴庆区掌政镇社工站",
            " 掌政镇 ",
            "xing",
            "xingqingqu",
            "xing qing qu",
            "xing'qing",
            "xingqing qu",
            "zhangzh",
            "zhang zh",
            "ZhangZhengZhen",
            "z",
            "xqq",
            "XQQZZZSGZ",
            "sgz",
            "ｘｑｑ",
            "掌政 sw",
            "station",
            "stat",
            "91640100mjx001",
            "91640100-m",
            "9164",
            "xingqingou",
        ] {
            assert!(fits(&index, text), "{text}");
            assert!(narrows(&index, text), "{text}");
        }
        for text in ["区庆", "银川", "ing", "qing xing", "xqz", "zhang zh z", "640100mjx", "xing qing q z", "0100"]
        {
            assert!(!fits(&index, text), "{text}");
        }
        assert_eq!(Sought::new(" \u{3000} "), None);
    }

    #[test]
    fn a_character_is_found_by_each_of_its_readings() {
        for (name, texts) in [
            ("重庆市", ["chongqing", "zhongqing", "cqs", "zqs"]),
            ("厦门大学", ["xiamen", "shamendaxue", "xmdx", "smd"]),
            ("西安市", ["xian", "xi an", "xianshi", "xas"]),
            ("吕梁绿化", ["lvliang", "lüliang", "lvlianglvhua", "lllh"]),
        ] {
            for text in texts {
                assert!(fits(&found(name, &[], &[]), text) && narrows(&found(name, &[], &[]), text), "{name} {text}");
            }
        }
        assert!(!fits(&found("先生", &[], &[]), "xi an"), "a space is a syllable's end");
    }

    #[test]
    fn few_words_are_looked_up() {
        let asked = |text: &str| Sought::new(text).unwrap().words("stations");
        let begun = |word: &str| Words::Begun(word.to_owned());
        let any = |words: Vec<Words>| Some(Words::Any(vec![Words::All(words)]));
        assert_eq!(asked("社工站"), any(vec![begun("stpshe0gz"), begun("stpgong0z")]));
        assert_eq!(
            asked("社工站点"),
            any(vec![Words::Whole("stpshe0gzd".into()), begun("stpgong0zd"), begun("stpzhan0d")])
        );
        assert_eq!(asked("站"), any(vec![begun("stpzhan")]));
        assert_eq!(asked("〔"), None);
        assert_eq!(asked(&"xian".repeat(12)), None, "too many ways to read it");
    }

    #[test]
    fn what_cannot_be_read_to_the_end_is_told_at_once() {
        let asked = |text: &str| Sought::new(text).unwrap().words("stations");
        let letters = format!("{}vv", "xian".repeat(20));
        let ways = |text: &str| if let Some(Words::Any(ways)) = asked(text) { ways.len() } else { 0 };
        assert_eq!(ways(&letters), 3, "a name, a code or initials, and no syllables");
        assert_eq!(ways(&format!("{}vv", "xian xian".repeat(9))), 2, "nor initials, for there are spaces");
    }

    proptest! {
        #[test]
        fn what_fits_has_the_words(
            title in "[兴庆区重掌政a1B（ 厦西安]{1,9}", alias in "[长行绿ab2〕· 市]{0,6}", code in "[0-9A-Z-]{0,12}",
            from in 0_usize..9, length in 1_usize..9, typed in 0_u8..4, broken in 0_usize..4,
        ) {
            let index = found(&title, &[&alias], &[&code]);
            let of = if typed == 3 { code.clone() } else { title.clone() };
            let part: Vec<char> = of.chars().skip(from % of.chars().count().max(1)).take(length).collect();
            let mut text: String = match typed {
                1 => part.iter().filter_map(|c| readings(*c).last().copied()).collect(),
                2 => part.iter().filter_map(|c| initials(*c).last().map(char::from)).collect(),
                3 => part.iter().collect(),
                _ => part.iter().collect(),
            };
            if typed == 1 {
                text.truncate(text.len().saturating_sub(broken));
            }
            prop_assume!(Sought::new(&text).is_some());
            if fits(&index, &text) {
                prop_assert!(narrows(&index, &text), "{text} in {:?} {:?}", index.found, Sought::new(&text).unwrap().words("stations"));
            }
            if typed == 0 {
                prop_assert!(fits(&index, &text), "{text} in {:?}", index.found);
            }
        }
    }
}
