//! Tasks (任务分工): the city plans, the county supervises, the township implements; what is not done in time is handed up.

use qianshou_kernel::{
    clock::day_after,
    error::Reason,
    id::Area,
    kind::{Check, Days, Field, Index, Noun, Parts, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::registry::v1::{Duty, DutyRole, Escalation, Task};

static ROLES: [Choice; 3] = [
    Choice::new("PLAN", "统筹规划", &["统筹", "规划", "牵头"]),
    Choice::new("SUPERVISE", "督导推进", &["督导", "推进", "督办"]),
    Choice::new("IMPLEMENT", "实施落实", &["实施", "落实", "承办"]),
];

type D = Field<Duty>;
static DUTY: [D; 5] = [
    D::choice::<DutyRole>("role", "职责", |duty| &mut duty.role, &ROLES).required(),
    D::division("division", "区划代码", |duty| &mut duty.division).required(),
    D::text("authority", "责任单位", |duty| &mut duty.authority),
    D::day("due_on", "完成时限", |duty| &mut duty.due_on, Days::Any),
    D::day("done_on", "完成日期", |duty| &mut duty.done_on, Days::Past),
];
static DUTY_COLUMNS: [Column; 5] = columns(&DUTY);
static DUTIES: Parts<Task, Duty> = Parts { at: |task| &mut task.duties, fields: &DUTY };

type E = Field<Escalation>;
static ESCALATION: [E; 4] = [
    E::division("from", "上报地区代码", |escalation| &mut escalation.from).required(),
    E::division("to", "受理地区代码", |escalation| &mut escalation.to).required(),
    E::day("on", "日期", |escalation| &mut escalation.on, Days::Past).required(),
    E::text("reason", "原因", |escalation| &mut escalation.reason),
];
static ESCALATION_COLUMNS: [Column; 4] = columns(&ESCALATION);
static ESCALATIONS: Parts<Task, Escalation> = Parts { at: |task| &mut task.escalations, fields: &ESCALATION };

type F = Field<Task>;
static FIELDS: [F; 7] = [
    F::text("title", "任务名称", |task| &mut task.title)
        .or(&["任务", "任务内容", "工作任务"])
        .required()
        .key()
        .example("乡镇（街道）社工站全覆盖"),
    super::place::<Task>(|task| &mut task.division, "6401").key(),
    F::day("issued_on", "下达日期", |task| &mut task.issued_on, Days::Past)
        .or(&["部署日期", "下达时间"])
        .required()
        .key()
        .example("2021-03-01"),
    F::last_day("due_on", "完成时限", |task| &mut task.due_on)
        .or(&["截止日期", "完成期限"])
        .required()
        .example("2021-12-31"),
    F::day("done_on", "完成日期", |task| &mut task.done_on, Days::Past).or(&["办结日期", "完成时间"]),
    F::parts("duties", "责任分工", &DUTIES, &DUTY_COLUMNS)
        .or(&["分工", "职责分工"])
        .example("统筹规划｜6401｜银川市民政局；督导推进｜640104｜兴庆区民政局"),
    F::parts("escalations", "上报督办", &ESCALATIONS, &ESCALATION_COLUMNS).or(&["督办记录", "提级记录"]),
];
static SHEET: Sheet = Sheet::new("任务分工", &columns(&FIELDS));

/// The noun.
pub struct Tasks;

impl Noun for Tasks {
    type Record = Task;

    const COLLECTION: &'static str = "tasks";
    const TABLE: &'static str = "registry_tasks";
    const COLUMNS: &'static [&'static str] = &["overdue_on"];
    const PHASES: &'static [(&'static str, &'static str)] = &[("OVERDUE", "overdue_on")];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(task: &mut Task, check: &mut Check) {
        let issued = ("issued_on", &task.issued_on);
        check.in_order(("due_on", &task.due_on), issued);
        check.in_order(("done_on", &task.done_on), issued);
        let of = |duty: &Duty| Some(format!("{} {}", duty.role?, duty.division.as_deref()?));
        let duties: Vec<Option<String>> = task.duties.iter().map(of).collect();
        super::each_once(check, ("duties", "division"), duties.iter());
        for (i, duty) in task.duties.iter().enumerate() {
            check.in_order((&format!("duties[{i}].due_on"), &duty.due_on), issued);
            check.in_order((&format!("duties[{i}].done_on"), &duty.done_on), issued);
        }
        let mut before = ("issued_on".to_owned(), &task.issued_on);
        for (i, step) in task.escalations.iter().enumerate() {
            let at = format!("escalations[{i}].on");
            check.in_order((&at, &step.on), (&before.0, before.1));
            before = (at, &step.on);
            let up = step.from.as_deref().zip(step.to.as_deref().and_then(Area::parse));
            if up.is_some_and(|(from, to)| from == to.as_str() || !to.covers(from)) {
                check.refuse(&format!("escalations[{i}].to"), Reason::OutOfOrder, "from");
            }
        }
    }

    fn index(task: &Task, _blind: Option<&str>) -> Index {
        let done = task.done_on.is_some();
        let overdue = if done { None } else { day_after(&task.due_on) };
        Index::new(&task.division, if done { "DONE" } else { "OPEN" }, &task.title)
            .column(overdue)
            .claim("title", &[task.title.as_deref(), task.division.as_deref(), task.issued_on.as_deref()])
    }
}
