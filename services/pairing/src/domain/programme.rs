//! Programmes (计划): national, or a province's own, with their rules as data. The authority in charge is dated, never a constant.

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Parts, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::{
    pairing::v1::{Authority, Batch, GroupSupervision, Programme, ProjectGroup, ReviewLevel},
    registry::v1::TagLabel,
};
use time::Date;

type A = Field<Authority>;
static AUTHORITY: [A; 3] = [
    A::text("display_name", "主管部门", |authority| &mut authority.display_name).required(),
    A::day("since", "开始日期", |authority| &mut authority.since, Days::Any).required(),
    A::day("until", "结束日期", |authority| &mut authority.until, Days::Any),
];
static AUTHORITY_COLUMNS: [Column; 3] = columns(&AUTHORITY);
static AUTHORITIES: Parts<Programme, Authority> =
    Parts { at: |programme| &mut programme.authorities, fields: &AUTHORITY };

type B = Field<Batch>;
static BATCH: [B; 5] = [
    B::text("title", "批次", |batch| &mut batch.title).required(),
    B::day("from", "开始日期", |batch| &mut batch.from, Days::Any),
    B::last_day("until", "结束日期", |batch| &mut batch.until),
    B::text("document", "文件", |batch| &mut batch.document),
    B::text("generation", "期次", |batch| &mut batch.generation),
];
static BATCH_COLUMNS: [Column; 5] = columns(&BATCH);
static BATCHES: Parts<Programme, Batch> = Parts { at: |programme| &mut programme.batches, fields: &BATCH };

type S = Field<GroupSupervision>;
static SUPERVISION: [S; 2] = [
    S::choice::<ProjectGroup>("group", "组别", |supervision| &mut supervision.group, &super::project::GROUPS)
        .required(),
    S::count("least", "每月最低督导次数", |supervision| &mut supervision.least, 0..=100).required(),
];
static SUPERVISION_COLUMNS: [Column; 2] = columns(&SUPERVISION);
static SUPERVISIONS: Parts<Programme, GroupSupervision> =
    Parts { at: |programme| &mut programme.supervisions, fields: &SUPERVISION };

pub(super) static LEVELS: [Choice; 3] = [
    Choice::new("COUNTY", "县级", &["县", "县（区）"]),
    Choice::new("PROVINCE", "省级", &["省", "省（区）"]),
    Choice::new("MINISTRY", "部级", &["部", "国家级"]),
];

type F = Field<Programme>;
static FIELDS: [F; 16] = [
    F::text("name", "计划名称", |programme| &mut programme.display_name)
        .or(&["计划", "名称"])
        .fills("display_name")
        .required()
        .key()
        .example("牵手计划"),
    F::division("division", "适用地区区划代码", |programme| &mut programme.division)
        .or(&["区划代码", "适用地区"])
        .required()
        .key()
        .example("64"),
    F::day("since", "开始日期", |programme| &mut programme.since, Days::Any).required().example("2017-10-01"),
    F::day("until", "结束日期", |programme| &mut programme.until, Days::Any),
    F::parts("authorities", "主管部门", &AUTHORITIES, &AUTHORITY_COLUMNS).example("民政部｜2017-10-01｜2023-04-01"),
    F::parts("batches", "批次", &BATCHES, &BATCH_COLUMNS).example("第一批｜2020-11-01｜2022-10-31｜｜第一期"),
    F::count("agencies_built", "最低建成机构", |programme| &mut programme.agencies_built, 0..=1_000).example("1"),
    F::count("people_trained", "最低培养人数", |programme| &mut programme.people_trained, 0..=100_000).example("3"),
    F::count("projects", "最低完成项目", |programme| &mut programme.projects, 0..=1_000).example("1"),
    F::flag("non_profit", "限非营利机构", |programme| &mut programme.non_profit).example("是"),
    F::code("tag", "受援地区标签", |programme| &mut programme.tag, label).example("KEY_COUNTY"),
    F::count("months_least", "最短月数", |programme| &mut programme.months_least, 0..=600),
    F::count("months_most", "最长月数", |programme| &mut programme.months_most, 0..=600),
    F::choices::<ReviewLevel>("review_levels", "审核层级", |programme| &mut programme.review_levels, &LEVELS)
        .example("县级；省级；部级"),
    F::flag("one_a_batch", "每批次限一个结对", |programme| &mut programme.one_a_batch).example("是"),
    F::parts("supervisions", "督导频次", &SUPERVISIONS, &SUPERVISION_COLUMNS).example("新秀培育｜2；服务创新｜2"),
];
static SHEET: Sheet = Sheet::new("帮扶计划", &columns(&FIELDS));

fn label(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    let label = text.to_ascii_uppercase();
    let known = TagLabel::from_str_name(&format!("TAG_LABEL_{label}")).is_some_and(|l| l != TagLabel::Unspecified);
    if known { Ok(label) } else { Err((Reason::NotInList, "KEY_COUNTY, RELOCATION, OTHER".to_owned())) }
}

/// The field that holds its natural key, with the division.
pub(super) const TITLE: &str = "display_name";

/// The noun.
pub struct Programmes;

impl Noun for Programmes {
    type Record = Programme;

    const COLLECTION: &'static str = "programmes";
    const TABLE: &'static str = "pairing_programmes";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(programme: &mut Programme, check: &mut Check) {
        check.in_order(("until", &programme.until), ("since", &programme.since));
        super::in_their_order(check, ("authorities", "since"), programme.authorities.iter().map(|a| &a.since));
        super::each_once(check, ("supervisions", "group"), programme.supervisions.iter().map(|group| &group.group));
        super::each_once(check, ("batches", "title"), programme.batches.iter().map(|batch| &batch.title));
        if let (Some(least), Some(most)) = (programme.months_least, programme.months_most)
            && most < least
        {
            check.refuse("months_most", Reason::OutOfOrder, "months_least");
        }
    }

    fn index(programme: &Programme, _blind: Option<&str>) -> Index {
        let state = if programme.until.is_some() { "GONE" } else { "VALID" };
        let Programme { display_name, division, .. } = programme;
        Index::new(division, state, display_name)
            .claim(TITLE, &[display_name.as_deref(), division.as_deref()])
            .shares(TITLE, display_name.clone())
    }
}
