//! Incubations (孵化): a base takes an agency in, and it stands on its own in the end or leaves before (三级孵化).

use qianshou_kernel::{
    kind::{Check, Days, Field, Index, Noun, Parts, Referred, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::registry::v1::{Incubation, IncubationStage, IncubationStageKind, Station};

use super::{referred_to, station::Stations};

static KINDS: [Choice; 4] = [
    Choice::new("ENTERED", "入孵", &["入驻", "已入孵"]),
    Choice::new("INCUBATING", "在孵", &["孵化中", "培育中"]),
    Choice::new("GRADUATED", "出孵", &["毕业", "已出孵"]),
    Choice::new("LEFT", "退出", &["中途退出", "退孵"]),
];

type S = Field<IncubationStage>;
static STAGE: [S; 2] = [
    S::choice::<IncubationStageKind>("stage", "阶段", |stage| &mut stage.stage, &KINDS).required(),
    S::day("on", "日期", |stage| &mut stage.on, Days::Past).required(),
];
static STAGE_COLUMNS: [Column; 2] = columns(&STAGE);
static STAGES: Parts<Incubation, IncubationStage> = Parts { at: |incubation| &mut incubation.stages, fields: &STAGE };

type F = Field<Incubation>;
static FIELDS: [F; 7] = [
    super::around::<Incubation>(|incubation| &mut incubation.division, "640104"),
    F::placed("base", "孵化基地", |incubation| &mut incubation.base, Stations::COLLECTION, "display_name")
        .or(&["基地", "基地名称", "孵化基地名称"])
        .required()
        .key()
        .example("兴庆区掌政镇社工站"),
    super::agency::by_uscc("agency_uscc", "入孵机构统一社会信用代码", |incubation: &mut Incubation| {
        &mut incubation.agency
    })
    .or(&["机构统一社会信用代码", "机构信用代码", "统一社会信用代码", "信用代码"])
    .fills("agency")
    .required()
    .key()
    .example("91350100M000100Y43"),
    F::choice::<IncubationStageKind>("stage", "孵化阶段", |incubation| &mut incubation.stage, &KINDS)
        .or(&["阶段", "孵化状态", "状态"])
        .required()
        .example("在孵"),
    F::parts("stages", "阶段记录", &STAGES, &STAGE_COLUMNS)
        .or(&["孵化记录", "阶段历史"])
        .example("入孵｜2022-03-01；在孵｜2022-06-01"),
    F::day("since", "入孵日期", |incubation| &mut incubation.since, Days::Past)
        .or(&["入孵时间", "开始日期"])
        .required()
        .key()
        .example("2022-03-01"),
    F::day("until", "结束日期", |incubation| &mut incubation.until, Days::Any).or(&[
        "出孵日期",
        "结束时间",
        "出孵时间",
    ]),
];
static SHEET: Sheet = Sheet::new("机构孵化", &columns(&FIELDS));

/// The noun.
pub struct Incubations;

impl Noun for Incubations {
    type Record = Incubation;

    const COLLECTION: &'static str = "incubations";
    const TABLE: &'static str = "registry_incubations";
    const OWNERS: &'static [&'static str] = &["agency"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(incubation: &mut Incubation, check: &mut Check) {
        let mut before = ("since".to_owned(), &incubation.since);
        for (i, stage) in incubation.stages.iter().enumerate() {
            let this = (format!("stages[{i}].on"), &stage.on);
            check.in_order((&this.0, this.1), (&before.0, before.1));
            before = this;
        }
        check.in_order(("until", &incubation.until), (&before.0, before.1));
        if let Some(last) = incubation.stages.last() {
            incubation.stage = last.stage;
        }
    }

    fn index(incubation: &Incubation, _blind: Option<&str>) -> Index {
        let state = incubation.stage().as_str_name().trim_start_matches("INCUBATION_STAGE_KIND_");
        let Incubation { base, agency, since, .. } = incubation;
        Index::new(&incubation.division, state, &None)
            .claim("agency", &[base.as_deref(), agency.as_deref(), since.as_deref()])
            .link("base", base)
            .link("agency", agency)
    }

    /// An incubation belongs to the place that its base had when it began.
    fn settle(incubation: &mut Incubation, referred: &Referred<'_>, check: &mut Check) {
        let stood = check.stood::<Incubation>().filter(|stood| stood.base == incubation.base);
        let base = || referred_to::<Station>(&incubation.base, referred)?.division;
        incubation.division = stood.and_then(|stood| stood.division).or_else(base);
    }
}
