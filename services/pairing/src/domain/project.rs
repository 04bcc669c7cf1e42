//! Projects (项目): services for a place by an agency, from the application to the evaluation; how they are bought, met over and supervised,
//! and what was served, in counts alone.

use std::cmp::Ordering;

use qianshou_kernel::{
    error::Reason,
    identifier::uscc_form,
    joint,
    kind::{Check, Days, Field, Index, Judged, Noun, Parts, Staff, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::pairing::v1::{
    AgencyMaturity, EvaluationKind, Instalment, Lot, Measure, Meeting, MeetingKind, Project, ProjectEvaluation,
    ProjectGroup, ProjectStage, ProjectStageKind, PurchaseMethod, ServiceCount, ServiceMethod, SupervisedMonth,
};

use super::measure::{self, MEASURE, MEASURE_COLUMNS};

pub(super) static GROUPS: [Choice; 3] = [
    Choice::new("NEWCOMER", "新秀培育", &["新秀培育组", "新秀"]),
    Choice::new("INNOVATION", "服务创新", &["服务创新组", "创新"]),
    Choice::new("CAPACITY", "能力提升", &["能力提升组", "提升"]),
];
pub(super) static STAGES: [Choice; 5] = [
    Choice::new("APPLIED", "申报", &["申请"]),
    Choice::new("APPROVED", "立项", &["已立项"]),
    Choice::new("SUPERVISED", "督导", &["督导中"]),
    Choice::new("MONITORED", "监测", &["监测中"]),
    Choice::new("EVALUATED", "评估", &["已评估", "结项"]),
];
static MEETINGS: [Choice; 3] = [
    Choice::new("PRESS_CONFERENCE", "新闻发布会", &["发布会", "启动会", "启动"]),
    Choice::new("SUPERVISORS", "督导见面会", &["见面会", "督导会"]),
    Choice::new("EVALUATION_BRIEFING", "评估说明会", &["说明会", "评估会"]),
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
static MATURITIES: [Choice; 3] = [
    Choice::new("STARTING", "初创", &["初创期", "初创型"]),
    Choice::new("GROWING", "成长", &["成长期", "成长型"]),
    Choice::new("MATURE", "成熟", &["成熟期", "成熟型"]),
];
static EVALUATED: [Choice; 2] =
    [Choice::new("MIDTERM", "中期", &["中期评估"]), Choice::new("FINAL", "终期", &["终期评估", "期末", "结项评估"])];

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
static LOT: [L; 7] = [
    L::text("number", "包号", |lot| &mut lot.number).required(),
    L::division("division", "区划代码", |lot| &mut lot.division).required(),
    L::fen("amount_fen", "金额（元）", |lot| &mut lot.amount_fen, 0),
    L::code("awarded_uscc", "中标机构统一社会信用代码", |lot| &mut lot.awarded_uscc, uscc_form),
    L::day("awarded_on", "中标日期", |lot| &mut lot.awarded_on, Days::Any),
    L::text("contract", "合同编号", |lot| &mut lot.contract),
    L::day("contracted_on", "合同日期", |lot| &mut lot.contracted_on, Days::Any),
];
static LOT_COLUMNS: [Column; 7] = columns(&LOT);
static LOTS: Parts<Project, Lot> = Parts { at: |project| &mut project.lots, fields: &LOT };

type I = Field<Instalment>;
static INSTALMENT: [I; 3] = [
    I::choice::<ProjectStageKind>("stage", "阶段", |instalment| &mut instalment.stage, &STAGES).required(),
    I::day("due_on", "应付日期", |instalment| &mut instalment.due_on, Days::Any),
    I::fen("amount_fen", "金额（元）", |instalment| &mut instalment.amount_fen, 1).required(),
];
static INSTALMENT_COLUMNS: [Column; 3] = columns(&INSTALMENT);
static INSTALMENTS: Parts<Project, Instalment> = Parts { at: |project| &mut project.instalments, fields: &INSTALMENT };

type E = Field<ProjectEvaluation>;
static EVALUATION: [E; 5] = [
    E::choice::<EvaluationKind>("kind", "类型", |evaluation| &mut evaluation.kind, &EVALUATED).required(),
    E::count("score", "得分（百分之一分）", |evaluation| &mut evaluation.score, 0..=10_000),
    E::day("on", "日期", |evaluation| &mut evaluation.on, Days::Past).required(),
    E::text("evaluator", "评估方", |evaluation| &mut evaluation.evaluator),
    E::text("note", "说明", |evaluation| &mut evaluation.note),
];
static EVALUATION_COLUMNS: [Column; 5] = columns(&EVALUATION);
static EVALUATIONS: Parts<Project, ProjectEvaluation> =
    Parts { at: |project| &mut project.evaluations, fields: &EVALUATION };

static EFFECTS: Parts<Project, Measure> = Parts { at: |project| &mut project.effects, fields: &MEASURE };
static PERFORMANCE: Parts<Project, Measure> = Parts { at: |project| &mut project.performance, fields: &MEASURE };

type C = Field<ServiceCount>;
static SERVICE: [C; 4] = [
    C::choice::<ServiceMethod>("method", "方法", |service| &mut service.method, &SERVICE_METHODS).required(),
    C::text("clients", "服务对象", |service| &mut service.clients),
    C::count("count", "次数", |service| &mut service.count, 0..=10_000_000).required(),
    C::day("month", "月份", |service| &mut service.month, Days::Past),
];
static SERVICE_COLUMNS: [Column; 4] = columns(&SERVICE);
static SERVICES: Parts<Project, ServiceCount> = Parts { at: |project| &mut project.services, fields: &SERVICE };

type F = Field<Project>;
static FIELDS: [F; 26] = [
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
    F::parts("meetings", "会议记录", &MET, &MEETING_COLUMNS).or(&["三会"]).example("新闻发布会｜2023-04-10"),
    F::count("supervisions_least", "每月最低督导次数", |project| &mut project.supervisions_least, 0..=100).example("1"),
    F::parts("supervisions", "督导记录", &SUPERVISIONS, &SUPERVISION_COLUMNS).example("2023-05-01｜2"),
    F::last_day("until", "结束日期", |project| &mut project.until).or(&["结束时间"]),
    F::text("notice", "公告编号", |project| &mut project.notice),
    F::day("notice_on", "公告日期", |project| &mut project.notice_on, Days::Any).or(&["公告时间"]),
    F::choice::<PurchaseMethod>("method", "购买方式", |project| &mut project.method, &PURCHASES).example("公开招标"),
    F::parts("lots", "标包", &LOTS, &LOT_COLUMNS).or(&["分包"]).example("1｜640422｜50000"),
    F::parts("instalments", "分阶段付款", &INSTALMENTS, &INSTALMENT_COLUMNS)
        .or(&["付款计划"])
        .example("立项｜2023-05-01｜30000；评估｜2024-04-01｜20000"),
    F::parts("services", "服务量", &SERVICES, &SERVICE_COLUMNS)
        .or(&["服务统计"])
        .example("个案｜老年人｜12｜2023-05-01"),
    F::parts("effects", "成效指标", &EFFECTS, &MEASURE_COLUMNS)
        .or(&["服务成效"])
        .example("服务对象满意度｜%｜90｜95｜2024-03-20"),
    F::parts("evaluations", "评估记录", &EVALUATIONS, &EVALUATION_COLUMNS)
        .or(&["项目评估"])
        .example("中期｜8650｜2023-10-20｜自治区社会工作协会"),
    F::parts("performance", "资金绩效", &PERFORMANCE, &MEASURE_COLUMNS).or(&["绩效记录", "绩效指标"]),
    F::day("agency_founded_on", "申报机构成立日期", |project| &mut project.agency_founded_on, Days::Past)
        .or(&["机构成立日期"]),
    F::choice::<AgencyMaturity>("maturity", "机构成熟度", |project| &mut project.maturity, &MATURITIES)
        .or(&["机构发展阶段"]),
    F::fen("grant_fen", "资助金额（元）", |project| &mut project.grant_fen, 1).or(&["创投资金"]),
];
static SHEET: Sheet = Sheet::new("服务项目", &columns(&FIELDS));

/// The noun.
pub struct Projects;

impl Noun for Projects {
    type Record = Project;

    const COLLECTION: &'static str = "projects";
    const TABLE: &'static str = "pairing_projects";
    const OWNERS: &'static [&'static str] = &["agency_uscc"];
    const STAFF: Staff = Staff::Keeps;
    const JUDGED: &'static [Judged<Project>] = &[
        ("evaluations", |before, after| before.evaluations == after.evaluations),
        ("grant_fen", |before, after| before.grant_fen == after.grant_fen),
    ];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(project: &mut Project, check: &mut Check) {
        steps(project, check);
        purchase(project, check);
        let Project { until, approved_on, supervisions, services, .. } = &*project;
        check.in_order(("until", until), ("approved_on", approved_on));
        check.in_order(("approved_on", approved_on), ("agency_founded_on", &project.agency_founded_on));
        super::each_once(check, ("supervisions", "month"), supervisions.iter().map(|month| &month.month));
        firsts(check, "supervisions", supervisions.iter().map(|month| &month.month));
        firsts(check, "services", services.iter().map(|service| &service.month));
        // What is told twice would count twice.
        let counted: Vec<Option<String>> = services.iter().map(counted).collect();
        super::each_once(check, ("services", "method"), counted.iter());
        measure::each_once(check, "effects", &project.effects);
        measure::each_once(check, "performance", &project.performance);
    }

    fn index(project: &Project, _blind: Option<&str>) -> Index {
        let state = project.stage().as_str_name().trim_start_matches("PROJECT_STAGE_KIND_");
        Index::new(&project.division, state, &project.display_name)
            .claim("display_name", &[project.display_name.as_deref(), project.agency_uscc.as_deref()])
            .shares("agency_uscc", project.agency_uscc.clone())
    }
}

/// Steps go from stage to stage, each once; the last says where it stands. A day of approval alone says that it is approved.
fn steps(project: &mut Project, check: &mut Check) {
    super::in_their_order(check, ("stages", "on"), project.stages.iter().map(|step| &step.on));
    for (i, two) in project.stages.windows(2).enumerate() {
        let (before, field) = (format!("stages[{i}]"), format!("stages[{}].stage", i + 1));
        match two[1].stage.zip(two[0].stage).map(|(later, earlier)| later.cmp(&earlier)) {
            Some(Ordering::Less) => check.refuse(&field, Reason::OutOfOrder, before),
            Some(Ordering::Equal) => check.refuse(&field, Reason::Duplicate, before),
            Some(Ordering::Greater) | None => {}
        }
    }
    let approved = project.stages.iter().find(|step| step.stage() == ProjectStageKind::Approved);
    project.approved_on = approved.and_then(|step| step.on.clone()).or(project.approved_on.take());
    let by_day = project.approved_on.as_ref().map(|_| ProjectStageKind::Approved.into());
    project.stage = project.stages.last().and_then(|step| step.stage).or(project.stage).or(by_day);
    if project.stage.is_some() && project.stage() != ProjectStageKind::Applied {
        check.past("approved_on", &project.approved_on);
    }
}

/// A notice, then awards, then contracts; and nothing is paid or given beyond what it costs.
fn purchase(project: &Project, check: &mut Check) {
    let Project { lots, instalments, amount_fen, grant_fen, notice_on, .. } = project;
    super::each_once(check, ("lots", "number"), lots.iter().map(|lot| &lot.number));
    for (i, lot) in lots.iter().enumerate() {
        check.in_order((&format!("lots[{i}].awarded_on"), &lot.awarded_on), ("notice_on", notice_on));
        let awarded = format!("lots[{i}].awarded_on");
        check.in_order((&format!("lots[{i}].contracted_on"), &lot.contracted_on), (&awarded, &lot.awarded_on));
    }
    super::in_their_order(check, ("instalments", "due_on"), instalments.iter().map(|instalment| &instalment.due_on));
    let stages: Vec<Option<String>> = instalments.iter().map(|one| one.stage.map(|stage| stage.to_string())).collect();
    super::each_once(check, ("instalments", "stage"), stages.iter());
    let due = instalments.iter().filter_map(|instalment| instalment.amount_fen).map(i128::from).sum::<i128>();
    for (field, fen) in [("instalments", due), ("grant_fen", grant_fen.map_or(0, i128::from))] {
        if fen > 0 && amount_fen.is_some_and(|most| fen > i128::from(most)) {
            check.refuse(field, Reason::Malformed, "at most amount_fen | 不超过 amount_fen");
        }
    }
}

/// Says so unless each of these months is told by its first day.
fn firsts<'a>(check: &mut Check, parts: &str, months: impl Iterator<Item = &'a Option<String>>) {
    for (i, month) in months.enumerate() {
        if month.as_deref().is_some_and(|month| month.len() == 10 && !month.ends_with("-01")) {
            check.refuse(&format!("{parts}[{i}].month"), Reason::Malformed, "2023-05-01");
        }
    }
}

/// What a count of services is of.
fn counted(service: &ServiceCount) -> Option<String> {
    let month = super::or_none(&service.month);
    joint::key(&[Some(service.method?.to_string().as_str()), super::or_none(&service.clients), month])
}
