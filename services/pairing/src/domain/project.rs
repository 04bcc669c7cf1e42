//! Projects (项目): services for a place by an agency, from the application to the evaluation; how they are bought, met over and supervised,
//! and what was served, in counts alone.

use qianshou_kernel::{
    error::Reason,
    identifier::uscc_form,
    kind::{Check, Days, Field, Index, Noun, Parts, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::pairing::v1::{
    Lot, Meeting, MeetingKind, Project, ProjectGroup, ProjectStage, ProjectStageKind, PurchaseMethod, ServiceCount,
    ServiceMethod, SupervisedMonth,
};

pub(super) static GROUPS: [Choice; 3] = [
    Choice::new("NEWCOMER", "新秀培育", &["新秀培育组", "新秀"]),
    Choice::new("INNOVATION", "服务创新", &["服务创新组", "创新"]),
    Choice::new("CAPACITY", "能力提升", &["能力提升组", "提升"]),
];
static STAGES: [Choice; 5] = [
    Choice::new("APPLIED", "申报", &["申请"]),
    Choice::new("APPROVED", "立项", &["已立项"]),
    Choice::new("SUPERVISED", "督导", &["督导中"]),
    Choice::new("MONITORED", "监测", &["监测中"]),
    Choice::new("EVALUATED", "评估", &["已评估", "结项"]),
];
static MEETINGS: [Choice; 3] = [
    Choice::new("START", "启动会", &["启动"]),
    Choice::new("PROGRESS", "推进会", &["推进", "中期会"]),
    Choice::new("CLOSING", "总结会", &["总结", "结项会"]),
];
static PURCHASES: [Choice; 4] = [
    Choice::new("OPEN_TENDER", "公开招标", &["招标"]),
    Choice::new("CONSULTATION", "竞争性磋商", &["磋商"]),
    Choice::new("COMMISSION", "定向委托", &["委托"]),
    Choice::new("MICRO_GRANT", "公益创投", &["创投"]),
];
static SERVICE_METHODS: [Choice; 4] = [
    Choice::new("CASE", "个案", &["个案工作"]),
    Choice::new("GROUP", "小组", &["小组工作"]),
    Choice::new("COMMUNITY", "社区", &["社区工作", "社区活动"]),
    Choice::new("VISIT", "探访", &["走访", "入户探访"]),
];

type S = Field<ProjectStage>;
static STEP: [S; 2] = [
    S::choice::<ProjectStageKind>("stage", "阶段", |step| &mut step.stage, &STAGES).required(),
    S::day("on", "日期", |step| &mut step.on, Days::Any).required(),
];
static STEP_COLUMNS: [Column; 2] = columns(&STEP);
static STEPS: Parts<Project, ProjectStage> = Parts { at: |project| &mut project.stages, fields: &STEP };

type M = Field<Meeting>;
static MEETING: [M; 2] = [
    M::choice::<MeetingKind>("kind", "会议", |meeting| &mut meeting.kind, &MEETINGS).required(),
    M::day("on", "日期", |meeting| &mut meeting.on, Days::Any).required(),
];
static MEETING_COLUMNS: [Column; 2] = columns(&MEETING);
static MET: Parts<Project, Meeting> = Parts { at: |project| &mut project.meetings, fields: &MEETING };

type U = Field<SupervisedMonth>;
static SUPERVISION: [U; 2] = [
    U::day("month", "月份", |month| &mut month.month, Days::Past).required(),
    U::count("times", "次数", |month| &mut month.times, 0..=1_000).required(),
];
static SUPERVISION_COLUMNS: [Column; 2] = columns(&SUPERVISION);
static SUPERVISIONS: Parts<Project, SupervisedMonth> =
    Parts { at: |project| &mut project.supervisions, fields: &SUPERVISION };

type L = Field<Lot>;
static LOT: [L; 5] = [
    L::text("number", "包号", |lot| &mut lot.number).required(),
    L::division("division", "区划代码", |lot| &mut lot.division).required(),
    L::fen("amount_fen", "金额（元）", |lot| &mut lot.amount_fen, 0),
    L::code("awarded_uscc", "中标机构统一社会信用代码", |lot| &mut lot.awarded_uscc, uscc_form),
    L::day("awarded_on", "中标日期", |lot| &mut lot.awarded_on, Days::Any),
];
static LOT_COLUMNS: [Column; 5] = columns(&LOT);
static LOTS: Parts<Project, Lot> = Parts { at: |project| &mut project.lots, fields: &LOT };

type C = Field<ServiceCount>;
static SERVICE: [C; 3] = [
    C::choice::<ServiceMethod>("method", "方法", |service| &mut service.method, &SERVICE_METHODS).required(),
    C::text("clients", "服务对象", |service| &mut service.clients),
    C::count("count", "次数", |service| &mut service.count, 0..=10_000_000).required(),
];
static SERVICE_COLUMNS: [Column; 3] = columns(&SERVICE);
static SERVICES: Parts<Project, ServiceCount> = Parts { at: |project| &mut project.services, fields: &SERVICE };

type F = Field<Project>;
static FIELDS: [F; 20] = [
    F::text("name", "项目名称", |project| &mut project.display_name)
        .or(&["名称", "项目"])
        .fills("display_name")
        .required()
        .key()
        .example("银龄陪伴"),
    F::code("agency_uscc", "承接机构统一社会信用代码", |project| &mut project.agency_uscc, uscc_form)
        .or(&["承接机构信用代码", "机构统一社会信用代码", "统一社会信用代码"])
        .required()
        .key()
        .example("91350100M000100Y43"),
    F::division("division", "所在地区划代码", |project| &mut project.division)
        .or(&["区划代码", "行政区划代码", "所在地区", "所在地区代码", "地区代码"])
        .required()
        .example("640422"),
    F::choice::<ProjectGroup>("group", "组别", |project| &mut project.group, &GROUPS)
        .or(&["项目组别"])
        .example("服务创新"),
    F::choice::<ProjectStageKind>("stage", "阶段", |project| &mut project.stage, &STAGES)
        .or(&["项目阶段"])
        .example("立项"),
    F::day("approved_on", "立项日期", |project| &mut project.approved_on, Days::Any)
        .or(&["立项时间"])
        .example("2023-04-01"),
    F::texts("clients", "服务对象", |project| &mut project.clients).or(&["服务人群"]).example("老年人；儿童"),
    F::fen("amount", "金额（元）", |project| &mut project.amount_fen, 0)
        .or(&["金额", "项目金额", "项目资金"])
        .fills("amount_fen")
        .example("50000"),
    super::programme::<Project>(|project| &mut project.programme, "三区计划"),
    F::parts("stages", "阶段记录", &STEPS, &STEP_COLUMNS).example("申报｜2023-02-01；立项｜2023-04-01"),
    F::parts("meetings", "会议记录", &MET, &MEETING_COLUMNS).or(&["三会"]).example("启动会｜2023-04-10"),
    F::count("supervisions_least", "每月最低督导次数", |project| &mut project.supervisions_least, 0..=100).example("1"),
    F::parts("supervisions", "督导记录", &SUPERVISIONS, &SUPERVISION_COLUMNS).example("2023-05-01｜2"),
    F::last_day("until", "结束日期", |project| &mut project.until).or(&["结束时间"]),
    F::text("notice", "公告编号", |project| &mut project.notice),
    F::choice::<PurchaseMethod>("method", "购买方式", |project| &mut project.method, &PURCHASES).example("公开招标"),
    F::parts("lots", "标包", &LOTS, &LOT_COLUMNS).or(&["分包"]).example("1｜640422｜50000"),
    F::text("contract", "合同编号", |project| &mut project.contract),
    F::day("contracted_on", "合同日期", |project| &mut project.contracted_on, Days::Any).or(&["签订日期"]),
    F::parts("services", "服务量", &SERVICES, &SERVICE_COLUMNS).or(&["服务统计"]).example("个案｜老年人｜12"),
];
static SHEET: Sheet = Sheet::new("服务项目", &columns(&FIELDS));

/// The noun.
pub struct Projects;

impl Noun for Projects {
    type Record = Project;

    const COLLECTION: &'static str = "projects";
    const TABLE: &'static str = "pairing_projects";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(project: &mut Project, check: &mut Check) {
        super::in_their_order(check, ("stages", "on"), project.stages.iter().map(|step| &step.on));
        let approved = project.stages.iter().find(|step| step.stage() == ProjectStageKind::Approved);
        project.approved_on = approved.and_then(|step| step.on.clone()).or(project.approved_on.take());
        project.stage = project.stages.last().and_then(|step| step.stage).or(project.stage);
        let past = project.stage.is_some() && project.stage() != ProjectStageKind::Applied;
        if past {
            check.required("approved_on", &project.approved_on);
            check.past("approved_on", &project.approved_on);
        }
        check.in_order(("until", &project.until), ("approved_on", &project.approved_on));
        super::each_once(check, ("lots", "number"), project.lots.iter().map(|lot| &lot.number));
        super::each_once(check, ("supervisions", "month"), project.supervisions.iter().map(|month| &month.month));
        for (i, month) in project.supervisions.iter().enumerate() {
            if month.month.as_deref().is_some_and(|month| month.len() == 10 && !month.ends_with("-01")) {
                check.refuse(&format!("supervisions[{i}].month"), Reason::Malformed, "2023-05-01");
            }
        }
    }

    fn index(project: &Project, _blind: Option<&str>) -> Index {
        let state = project.stage().as_str_name().trim_start_matches("PROJECT_STAGE_KIND_");
        Index::new(&project.division, state, &project.display_name)
            .claim("display_name", &[project.display_name.as_deref(), project.agency_uscc.as_deref()])
    }
}
