//! Activities (结对活动): what a pair did together, with counts of who took part.

use qianshou_kernel::{
    identifier::uscc_form,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::pairing::v1::{Activity, ActivityKind, JointGoal};

use super::or_none;

static KINDS: [Choice; 6] = [
    Choice::new("VISIT", "互访", &["走访", "考察"]),
    Choice::new("SITE_STAY", "驻点", &["驻点服务"]),
    Choice::new("TRAINING", "培训", &[]),
    Choice::new("JOINT_PROJECT", "联合项目", &["项目合作"]),
    Choice::new("BRAND", "品牌", &["品牌建设"]),
    Choice::new("REMOTE_SUPERVISION", "远程督导", &["线上督导"]),
];
static GOALS: [Choice; 4] = [
    Choice::new("RESOURCES", "资源共享", &[]),
    Choice::new("PROJECTS", "项目共建", &[]),
    Choice::new("BRANDS", "品牌共创", &[]),
    Choice::new("PEOPLE", "人才共融", &[]),
];

type F = Field<Activity>;
static FIELDS: [F; 11] = [
    super::programme::<Activity>(|activity| &mut activity.programme, "牵手计划").required().key(),
    super::batch::<Activity>(|activity| &mut activity.batch),
    F::code("receiving_uscc", "受援机构统一社会信用代码", |activity| &mut activity.receiving_uscc, uscc_form)
        .or(&["受援机构信用代码"])
        .required()
        .key()
        .example("914403001922038216"),
    F::choice::<ActivityKind>("kind", "活动类型", |activity| &mut activity.kind, &KINDS)
        .or(&["类型"])
        .required()
        .key()
        .example("培训"),
    F::choices::<JointGoal>("goals", "共建内容", |activity| &mut activity.goals, &GOALS).example("人才共融"),
    F::text("title", "活动名称", |activity| &mut activity.title).or(&["名称"]).key().example("督导能力提升班"),
    F::day("held_on", "活动日期", |activity| &mut activity.held_on, Days::Past)
        .or(&["开始日期", "日期"])
        .required()
        .key()
        .example("2023-06-10"),
    F::last_day("until", "结束日期", |activity| &mut activity.until),
    F::count("persons", "参加人数", |activity| &mut activity.persons, 0..=1_000_000).example("40"),
    F::count("volunteers", "志愿者人数", |activity| &mut activity.volunteers, 0..=1_000_000),
    F::division("division", "活动地区划代码", |activity| &mut activity.division).or(&["区划代码"]).example("640303"),
];
static SHEET: Sheet = Sheet::new("结对活动", &columns(&FIELDS));

/// The noun.
pub struct Activities;

impl Noun for Activities {
    type Record = Activity;

    const COLLECTION: &'static str = "activities";
    const TABLE: &'static str = "pairing_activities";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(activity: &mut Activity, check: &mut Check) {
        let home = check.home.clone();
        activity.division.get_or_insert(home);
        check.in_order(("until", &activity.until), ("held_on", &activity.held_on));
    }

    fn index(activity: &Activity, _blind: Option<&str>) -> Index {
        let state = activity.kind().as_str_name().trim_start_matches("ACTIVITY_KIND_");
        let Activity { programme, batch, receiving_uscc, held_on, title, .. } = activity;
        let key = [programme.as_deref(), batch.as_deref(), receiving_uscc.as_deref(), Some(state), held_on.as_deref()];
        Index::new(&activity.division, state, title)
            .claim("title", &key.into_iter().chain([or_none(title)]).collect::<Vec<_>>())
    }
}
