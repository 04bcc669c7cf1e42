//! Activities (结对活动): what a pair did together. Workers, volunteers (两工互动) and client groups who took part are counts only.

use qianshou_kernel::{
    error::Reason,
    identifier::uscc_form,
    joint::pairing::pairing_key,
    kind::{Check, Days, Field, Index, Noun, Parts, Staff, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::pairing::v1::{Activity, ActivityKind, ClientCount, JointGoal};

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

type C = Field<ClientCount>;
static CLIENT: [C; 2] = [
    C::text("clients", "服务对象", |group| &mut group.clients).required(),
    C::count("persons", "人数", |group| &mut group.persons, 0..=1_000_000).required(),
];
static CLIENT_COLUMNS: [Column; 2] = columns(&CLIENT);
static CLIENTS: Parts<Activity, ClientCount> = Parts { at: |activity| &mut activity.clients, fields: &CLIENT };

type F = Field<Activity>;
static FIELDS: [F; 14] = [
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
    F::code("sending_uscc", "援派机构统一社会信用代码", |activity| &mut activity.sending_uscc, uscc_form)
        .or(&["援派机构信用代码"])
        .example("91350100M000100Y43"),
    F::count("workers", "社工人数", |activity| &mut activity.workers, 0..=1_000_000).example("6"),
    F::parts("clients", "服务对象", &CLIENTS, &CLIENT_COLUMNS).or(&["服务人群"]).example("老年人｜30；困境儿童｜10"),
];
static SHEET: Sheet = Sheet::new("结对活动", &columns(&FIELDS));

/// The noun.
pub struct Activities;

impl Noun for Activities {
    type Record = Activity;

    const COLLECTION: &'static str = "activities";
    const TABLE: &'static str = "pairing_activities";
    const OWNERS: &'static [&'static str] = &["pairing", "sending_uscc", "receiving_uscc"];
    const STAFF: Staff = Staff::Keeps;
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 3;

    fn check(activity: &mut Activity, check: &mut Check) {
        let home = check.home.clone();
        activity.division.get_or_insert(home);
        let Activity { programme, batch, sending_uscc, receiving_uscc, .. } = &*activity;
        if sending_uscc.is_some() && sending_uscc == receiving_uscc {
            check.refuse("sending_uscc", Reason::Duplicate, "receiving_uscc");
        }
        activity.pairing =
            pairing_key(programme.as_deref(), batch.as_deref(), sending_uscc.as_deref(), receiving_uscc.as_deref());
        check.in_order(("until", &activity.until), ("held_on", &activity.held_on));
        super::each_once(check, ("clients", "clients"), activity.clients.iter().map(|group| &group.clients));
    }

    fn index(activity: &Activity, _blind: Option<&str>) -> Index {
        let state = activity.kind().as_str_name().trim_start_matches("ACTIVITY_KIND_");
        let Activity { programme, batch, sending_uscc, receiving_uscc, held_on, title, pairing, .. } = activity;
        let key = [programme.as_deref(), batch.as_deref(), receiving_uscc.as_deref(), Some(state), held_on.as_deref()];
        // A pairing's activities are found by its text, an agency's by its code.
        Index::new(&activity.division, state, title)
            .also(pairing)
            .code(sending_uscc)
            .code(receiving_uscc)
            .shares("pairing", pairing.clone())
            .shares("sending_uscc", sending_uscc.clone())
            .shares("receiving_uscc", receiving_uscc.clone())
            .claim("title", &key.into_iter().chain([or_none(title)]).collect::<Vec<_>>())
    }
}
