//! Allocations (资金安排): money that was set aside, from a source, for a purpose, to be spent within a term.

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Parts, columns},
    sheet::Sheet,
};
use qianshou_proto::pairing::v1::{Allocation, FundSource, Measure};
use time::Date;

use super::{
    SOURCES, fund_key,
    measure::{self, MEASURE, MEASURE_COLUMNS},
    or_none, source_text,
};

static PERFORMANCE: Parts<Allocation, Measure> =
    Parts { at: |allocation| &mut allocation.performance, fields: &MEASURE };

/// What money is counted in unless somebody says otherwise.
const YUAN: &str = "CNY";

/// The currency of money (ISO 4217).
pub(super) const fn currency<R>(at: fn(&mut R) -> &mut Option<String>) -> Field<R> {
    Field::code("currency", "币种", at, currency_form).or(&["货币", "币别"]).example(YUAN)
}

fn currency_form(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let code = match text {
        "人民币" | "元" | "RMB" => YUAN.to_owned(),
        code => code.to_ascii_uppercase(),
    };
    let sound = code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
    if sound { Ok(code) } else { Err((Reason::Malformed, "ISO 4217, CNY".to_owned())) }
}

/// Money of which nobody says in which currency is in yuan.
pub(super) fn in_yuan(currency: &mut Option<String>) {
    currency.get_or_insert_with(|| YUAN.to_owned());
}

type F = Field<Allocation>;
static FIELDS: [F; 12] = [
    super::programme::<Allocation>(|allocation| &mut allocation.programme, "三区计划").required().key(),
    super::year::<Allocation>(|allocation| &mut allocation.year),
    F::choice::<FundSource>("source", "资金来源", |allocation| &mut allocation.source, &SOURCES)
        .or(&["来源"])
        .required()
        .key()
        .example("中央"),
    F::text("purpose", "用途", |allocation| &mut allocation.purpose).or(&["资金用途"]).key().example("选派补助"),
    F::division("division", "地区划代码", |allocation| &mut allocation.division)
        .or(&["区划代码", "行政区划代码", "所在地区划代码", "地区代码", "地区"])
        .required()
        .key()
        .example("64"),
    F::fen("amount", "金额（元）", |allocation| &mut allocation.amount_fen, 0)
        .or(&["金额", "安排金额"])
        .fills("amount_fen")
        .required()
        .example("7860000"),
    F::day("from", "可用开始日期", |allocation| &mut allocation.from, Days::Any),
    F::last_day("until", "可用结束日期", |allocation| &mut allocation.until),
    F::choice::<FundSource>("matches", "配套来源", |allocation| &mut allocation.matches, &SOURCES),
    F::count("match_thousandths", "配套比例（千分之）", |allocation| &mut allocation.match_thousandths, 0..=1_000_000),
    currency::<Allocation>(|allocation| &mut allocation.currency),
    F::parts("performance", "资金绩效", &PERFORMANCE, &MEASURE_COLUMNS)
        .or(&["绩效记录", "绩效指标"])
        .example("服务人次｜人次｜5000｜5230｜2023-12-20"),
];
static SHEET: Sheet = Sheet::new("资金安排", &columns(&FIELDS));

/// The noun.
pub struct Allocations;

impl Noun for Allocations {
    type Record = Allocation;

    const COLLECTION: &'static str = "allocations";
    const TABLE: &'static str = "pairing_allocations";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(allocation: &mut Allocation, check: &mut Check) {
        in_yuan(&mut allocation.currency);
        let of_year =
            |day: &str| allocation.year.as_deref().filter(|year| year.len() == 4).map(|year| format!("{year}-{day}"));
        let (first, last) = (of_year("01-01"), of_year("12-31"));
        allocation.counted_on = first.clone();
        allocation.from = allocation.from.take().or(first);
        allocation.until = allocation.until.take().or(last);
        check.in_order(("until", &allocation.until), ("from", &allocation.from));
        measure::each_once(check, "performance", &allocation.performance);
    }

    fn index(allocation: &Allocation, _blind: Option<&str>) -> Index {
        let source = source_text(allocation.source());
        let Allocation { programme, year, purpose, division, .. } = allocation;
        let key = [programme.as_deref(), year.as_deref(), Some(source), or_none(purpose), division.as_deref()];
        Index::new(division, source, purpose)
            .claim("division", &key)
            .shares("programme", programme.clone())
            .shares("fund", fund_key(programme.as_deref(), Some(source)))
    }
}
