//! The registry's nouns and their rules. Pure: no async, no SQL, no tonic.

pub mod agency;
pub mod assessment;
pub mod campaign;
pub mod category;
pub mod certificate;
pub mod change;
pub mod division;
pub mod document;
pub mod duplicate;
pub mod employment;
pub mod figure;
pub mod history;
pub mod incubation;
pub mod merge;
pub mod moving;
pub mod post;
pub mod proposal;
pub mod quota;
pub mod recognition;
pub mod station;
pub mod system;
pub mod tag;
pub mod task;
pub mod template;
pub mod workdays;
pub mod worker;

use std::collections::BTreeMap;

pub use self::{
    agency::Agencies, assessment::Assessments, campaign::Campaigns, category::Categories, certificate::Certificates,
    change::Changes, division::Divisions, document::Documents, employment::Employments, figure::Figures,
    incubation::Incubations, merge::Merges, moving::Moves, post::Posts, quota::Quotas, recognition::Recognitions,
    station::Stations, system::Systems, tag::Tags, task::Tasks, template::Templates, worker::Workers,
};
use prost::Message;
pub use qianshou_kernel::identifier;
use qianshou_kernel::{
    error::Reason,
    id::Area,
    kind::{Check, Field, Kind, Referred},
};
use time::Date;

/// Every kind of this house; one that refers to others stands behind them.
pub const KINDS: [Kind; 22] = [
    Kind::of::<Divisions>(),
    Kind::of::<Changes>(),
    Kind::of::<Agencies>(),
    Kind::of::<Stations>(),
    Kind::of::<Workers>(),
    Kind::of::<Certificates>(),
    Kind::of::<Posts>(),
    Kind::of::<Employments>(),
    Kind::of::<Systems>(),
    Kind::of::<Incubations>(),
    Kind::of::<Templates>(),
    Kind::of::<Assessments>(),
    Kind::of::<Recognitions>(),
    Kind::of::<Documents>(),
    Kind::of::<Moves>(),
    Kind::of::<Merges>(),
    Kind::of::<Tasks>(),
    Kind::of::<Campaigns>(),
    Kind::of::<Figures>(),
    Kind::of::<Categories>(),
    Kind::of::<Quotas>(),
    Kind::of::<Tags>(),
];

/// Other headers over citizen numbers.
const ID_NUMBER: [&str; 6] = ["身份证号", "身份证号码", "身份证", "证件号", "居民身份证号", "公民身份号码"];

/// The division that a record belongs to.
const fn place<R>(at: fn(&mut R) -> &mut Option<String>, example: &'static str) -> Field<R> {
    around(at, example).required()
}

/// The division around what a row names by its title; the record's own follows from that.
const fn around<R>(at: fn(&mut R) -> &mut Option<String>, example: &'static str) -> Field<R> {
    Field::division("division", "所在地区划代码", at)
        .or(&["区划代码", "行政区划代码", "所在地行政区划代码", "所在地区", "所在地区代码", "地区代码"])
        .example(example)
}

/// The languages that somebody is served in (双语).
const fn languages<R>(at: fn(&mut R) -> &mut Vec<String>) -> Field<R> {
    Field::formed("languages", "服务语言", at, language).or(&["语言", "服务语种"]).example("zh")
}

/// Languages by their codes (ISO 639), and what offices write for them.
const LANGUAGES: [(&str, &[&str]); 22] = [
    ("zh", &["中文", "汉语", "汉文", "国语", "普通话", "国家通用语言", "国家通用语言文字"]),
    ("yue", &["粤语", "广东话"]),
    ("nan", &["闽南语", "闽南话"]),
    ("hak", &["客家语", "客家话"]),
    ("wuu", &["吴语"]),
    ("bo", &["藏语", "藏文"]),
    ("ug", &["维吾尔语", "维语", "维吾尔文", "维文"]),
    ("mn", &["蒙古语", "蒙语", "蒙古文", "蒙文"]),
    ("kk", &["哈萨克语", "哈语", "哈萨克文"]),
    ("ky", &["柯尔克孜语"]),
    ("uz", &["乌孜别克语"]),
    ("ko", &["朝鲜语", "朝语", "朝鲜文", "韩语"]),
    ("za", &["壮语", "壮文"]),
    ("ii", &["彝语", "彝文"]),
    ("hmn", &["苗语"]),
    ("sce", &["东乡语"]),
    ("slr", &["撒拉语"]),
    ("sjo", &["锡伯语"]),
    ("csl", &["手语", "中国手语"]),
    ("en", &["英语", "英文"]),
    ("ja", &["日语", "日文"]),
    ("ru", &["俄语", "俄文"]),
];

/// A language's code, so that one language counts once however it is written; what is not known stays as it is.
fn language(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let (plain, is_one) = (text.to_ascii_lowercase(), |names: &[&str]| names.contains(&text));
    let known = LANGUAGES.iter().find(|(code, names)| plain == *code || is_one(names));
    Ok(known.map_or_else(|| text.to_owned(), |(code, _)| (*code).to_owned()))
}

/// The first of these fields that is there, with its name.
fn named<'a, const N: usize>(fields: [(&'static str, &'a Option<String>); N]) -> Option<(&'static str, &'a str)> {
    fields.into_iter().find_map(|(field, value)| Some((field, value.as_deref()?)))
}

/// Wants one of these fields, and not two.
fn one_of<const N: usize>(check: &mut Check, fields: [(&str, &Option<String>); N]) {
    let named: Vec<&str> = fields.iter().filter(|(_, value)| value.is_some()).map(|(field, _)| *field).collect();
    match named[..] {
        [] => check.refuse(fields[0].0, Reason::Required, ""),
        [_] => {}
        [_, more, ..] => check.refuse(more, Reason::TooMany, "1"),
    }
}

/// A record that another refers to, if it is here.
fn referred_to<R: Message + Default>(name: &Option<String>, referred: &Referred<'_>) -> Option<R> {
    R::decode(referred(name.as_deref()?)?).ok()
}

/// The county of a division; the division itself, where it is no part of one.
fn county(division: &Option<String>) -> Option<String> {
    division.as_deref().and_then(Area::parse).map(|area| area.county().as_str().to_owned())
}

/// A code that people make: letters, digits, `_` and `-`, in upper case.
fn code(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let known = (text.len() <= 40 && text.chars().all(sound)).then(|| text.to_ascii_uppercase());
    known.ok_or_else(|| (Reason::Malformed, "1–40 of A–Z 0–9 _ - | 1–40 位字母、数字、_、-".to_owned()))
}

/// A part of a natural key that need not be there.
fn or_none(part: &Option<String>) -> Option<&str> {
    Some(part.as_deref().unwrap_or_default())
}

/// Whether an interval, of ISO-8601 dates, holds on a day; its second bound is the first day no longer.
fn holds_on((since, until): (&Option<String>, &Option<String>), day: &str) -> bool {
    since.as_deref().is_none_or(|since| since <= day) && until.as_deref().is_none_or(|until| day < until)
}

/// A code as an index holds it; what is longer than any code is none.
fn short(code: &Option<String>) -> Option<String> {
    code.clone().filter(|code| code.len() <= 64)
}

/// The state of what holds during an interval.
fn validity(until: &Option<String>) -> &'static str {
    if until.is_some() { "GONE" } else { "VALID" }
}

/// Refuses a part of a record whose code another part has.
fn each_once<'a>(check: &mut Check, (parts, code): (&str, &str), codes: impl Iterator<Item = &'a Option<String>>) {
    let mut seen = BTreeMap::new();
    for (i, text) in codes.enumerate() {
        if let Some(before) = text.as_ref().and_then(|text| seen.insert(text, i)) {
            check.refuse(&format!("{parts}[{i}].{code}"), Reason::Duplicate, format!("{parts}[{before}]"));
        }
    }
}

#[cfg(test)]
mod tests {
    use qianshou_kernel::clock::Clock;

    use super::*;

    #[test]
    fn a_language_has_one_form() {
        let of = |text: &str| language(text, Clock::fixed(0).today()).unwrap();
        for (text, code) in
            [("中文", "zh"), ("ZH", "zh"), ("普通话", "zh"), ("藏语", "bo"), ("手语", "csl"), ("鄂伦春语", "鄂伦春语")]
        {
            assert_eq!(of(text), code);
        }
        let mut all: Vec<&str> =
            LANGUAGES.iter().flat_map(|(code, names)| [*code].into_iter().chain(names.iter().copied())).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "each word stands for one language");
    }
}
