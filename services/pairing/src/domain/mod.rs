//! The nouns of pairing and their rules. Pure: no async, no SQL, no tonic.

pub mod acceptance;
pub mod activity;
pub mod allocation;
pub mod approval;
pub mod arrival;
pub mod commitment;
pub mod dispatch;
pub mod findings;
mod measure;
pub mod need;
pub mod offer;
pub mod order;
pub mod outcome;
pub mod payment;
pub mod programme;
pub mod project;
pub mod receipt;

use std::collections::BTreeMap;

pub use self::{
    acceptance::Acceptances, activity::Activities, allocation::Allocations, approval::Approvals, arrival::Arrivals,
    commitment::Commitments, dispatch::Dispatches, need::Needs, offer::Offers, order::Orders, outcome::Outcomes,
    payment::Payments, programme::Programmes, project::Projects, receipt::Receipts,
};
use prost::Message;
use qianshou_kernel::{
    error::Reason,
    identifier, joint,
    kind::{Check, Field, Kind, Referred},
    sheet::Choice,
};
use qianshou_proto::{pairing::v1::FundSource, registry::v1::Agency};
use time::Date;

/// Every kind of this house; one that refers to others stands behind them.
pub const KINDS: [Kind; 15] = [
    Kind::of::<Programmes>(),
    Kind::of::<Commitments>(),
    Kind::of::<Approvals>(),
    Kind::of::<Outcomes>(),
    Kind::of::<Dispatches>(),
    Kind::of::<Arrivals>(),
    Kind::of::<Projects>(),
    Kind::of::<Allocations>(),
    Kind::of::<Payments>(),
    Kind::of::<Receipts>(),
    Kind::of::<Activities>(),
    Kind::of::<Offers>(),
    Kind::of::<Needs>(),
    Kind::of::<Orders>(),
    Kind::of::<Acceptances>(),
];

/// The registry's collection of agencies.
const AGENCIES: &str = "agencies";

/// The lists of a fund's sources.
static SOURCES: [Choice; 10] = [
    Choice::new("CENTRAL", "中央", &["中央资金", "中央财政", "中央补助"]),
    Choice::new("PROVINCIAL_MATCHING", "省级配套", &["配套", "自治区配套", "省配套", "省级配套资金"]),
    Choice::new("LOTTERY", "福彩公益金", &["福彩", "彩票公益金", "福利彩票公益金"]),
    Choice::new("FISCAL", "财政", &["财政资金", "本级财政"]),
    Choice::new("RELIEF", "救助", &["救助资金", "社会救助"]),
    Choice::new("ELDERLY", "养老", &["养老资金", "养老服务"]),
    Choice::new("HUMAN_RESOURCES", "人社", &["人社资金", "人力资源和社会保障"]),
    Choice::new("WOMEN", "妇联", &["妇联资金"]),
    Choice::new("DISABLED", "残联", &["残联资金"]),
    Choice::new("SOCIETY", "社会", &["社会资金", "社会捐赠", "社会募集"]),
];
static DECISIONS: [Choice; 2] =
    [Choice::new("APPROVED", "同意", &["通过", "批准"]), Choice::new("RETURNED", "退回", &["不同意", "驳回"])];

const fn programme<R>(at: fn(&mut R) -> &mut Option<String>, example: &'static str) -> Field<R> {
    Field::text("programme", "计划", at).or(&["计划名称", "项目计划", "计划类别"]).example(example)
}

const fn batch<R>(at: fn(&mut R) -> &mut Option<String>) -> Field<R> {
    Field::text("batch", "批次", at).or(&["结对批次"]).required().key().example("第一批")
}

const fn year<R>(at: fn(&mut R) -> &mut Option<String>) -> Field<R> {
    Field::code("year", "年度", at, year_form).or(&["年份", "所属年度"]).required().key().example("2023")
}

fn year_form(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let digits = text.strip_suffix('年').unwrap_or(text);
    let sound = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()) && ("1949".."2200").contains(&digits);
    if sound { Ok(digits.to_owned()) } else { Err((Reason::Malformed, "2023".to_owned())) }
}

/// A record that another refers to, if it is here.
fn referred_to<R: Message + Default>(name: &Option<String>, referred: &Referred<'_>) -> Option<R> {
    R::decode(referred(name.as_deref()?)?).ok()
}

/// The division of an agency of this node.
fn seat(agency: &Option<String>, referred: &Referred<'_>) -> Option<String> {
    referred_to::<Agency>(agency, referred)?.division
}

/// The agency of this node with this code: `None`, it is not known yet; `Some(None)`, there is none.
fn own_agency(check: &mut Check, uscc: &Option<String>) -> Option<Option<String>> {
    match uscc.as_deref().filter(|code| identifier::uscc(code).is_ok()) {
        Some(code) => check.find(AGENCIES, code),
        None => Some(None),
    }
}

/// A source as indexes and shared texts have it.
pub(crate) fn source_text(source: FundSource) -> &'static str {
    source.as_str_name().trim_start_matches("FUND_SOURCE_")
}

/// The text that a payment and what was set aside for it share.
pub(crate) fn fund_key(programme: Option<&str>, source: Option<&str>) -> Option<String> {
    joint::key(&[programme, source])
}

/// The text that both halves of a dispatch share.
pub(crate) fn number_key(programme: Option<&str>, year: Option<&str>, number: Option<&str>) -> Option<String> {
    joint::key(&[programme, year, number])
}

/// The text of dispatches that have no number, so that any arrival there may be theirs.
pub(crate) fn unnumbered_key(programme: Option<&str>, year: Option<&str>, host: Option<&str>) -> Option<String> {
    joint::key(&[programme, year, host])
}

/// The text that what is told of the pairings of a receiving agency in a batch shares.
pub(crate) fn received_key(programme: Option<&str>, batch: Option<&str>, receiving: Option<&str>) -> Option<String> {
    joint::key(&[programme, batch, receiving])
}

/// A part of a natural key that need not be there.
fn or_none(part: &Option<String>) -> Option<&str> {
    Some(part.as_deref().unwrap_or_default())
}

/// Says so unless each of these days of parts is not before the one before it.
fn in_their_order<'a>(check: &mut Check, (parts, day): (&str, &str), days: impl Iterator<Item = &'a Option<String>>) {
    let mut before: Option<(String, &Option<String>)> = None;
    for (i, on) in days.enumerate() {
        let field = format!("{parts}[{i}].{day}");
        if let Some((earlier, then)) = &before {
            check.in_order((&field, on), (earlier, then));
        }
        before = Some((field, on));
    }
}

/// Refuses a part of a record whose code another part has.
fn each_once<'a, T: Ord + 'a>(
    check: &mut Check,
    (parts, code): (&str, &str),
    codes: impl Iterator<Item = &'a Option<T>>,
) {
    let mut seen = BTreeMap::new();
    for (i, text) in codes.enumerate() {
        if let Some(before) = text.as_ref().and_then(|text| seen.insert(text, i)) {
            check.refuse(&format!("{parts}[{i}].{code}"), Reason::Duplicate, format!("{parts}[{before}]"));
        }
    }
}
