//! Needs (服务需求): what is needed somewhere, told by whoever answers for it; never by or of a service user.

use qianshou_kernel::{
    clock::day_after,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::pairing::v1::{Need, PartyType};

use super::offer::PARTIES;

type F = Field<Need>;
static FIELDS: [F; 8] = [
    F::text("party", "需求方", |need| &mut need.party)
        .or(&["单位", "单位名称"])
        .required()
        .key()
        .example("红寺堡区罗山社区"),
    F::choice::<PartyType>("party_type", "主体类型", |need| &mut need.party_type, &PARTIES)
        .required()
        .example("社会组织"),
    F::text("title", "名称", |need| &mut need.title).or(&["内容"]).required().key().example("助老陪伴"),
    F::text("kind", "类别", |need| &mut need.kind).or(&["领域"]).required().example("养老服务"),
    F::division("division", "所在地区划代码", |need| &mut need.division)
        .or(&["区划代码"])
        .required()
        .key()
        .example("640303"),
    F::count("quantity", "数量", |need| &mut need.quantity, 1..=10_000_000).example("10"),
    F::day("from", "开始日期", |need| &mut need.from, Days::Any).required().key().example("2023-01-01"),
    F::last_day("until", "结束日期", |need| &mut need.until),
];
static SHEET: Sheet = Sheet::new("服务需求", &columns(&FIELDS));

/// The noun.
pub struct Needs;

impl Noun for Needs {
    type Record = Need;

    const COLLECTION: &'static str = "needs";
    const TABLE: &'static str = "pairing_needs";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const COLUMNS: &'static [&'static str] = &["closed_on"];
    const PHASES: &'static [(&'static str, &'static str)] = &[("CLOSED", "closed_on")];
    const INDEX_LEVEL: i64 = 2;

    fn check(need: &mut Need, check: &mut Check) {
        check.in_order(("until", &need.until), ("from", &need.from));
    }

    fn index(need: &Need, _blind: Option<&str>) -> Index {
        let Need { party, title, division, from, until, .. } = need;
        Index::new(division, "OPEN", title)
            .column(day_after(until))
            .claim("title", &[party.as_deref(), title.as_deref(), division.as_deref(), from.as_deref()])
    }
}
