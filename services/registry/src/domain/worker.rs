//! Workers (社会工作专业人才): a person's record at one county. The citizen number (GB 11643) is sealed and is the natural
//! key within the county by its blind index: another county that registers the person makes a record of its own. Elsewhere the person
//! is a pseudonym.

use qianshou_kernel::{
    identifier,
    kind::{Check, Days, Field, Index, Noun, Staff, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::registry::v1::{Assignment, Sector, Worker};

use super::{duplicate::namesakes, moving::predecessor, station::Stations};

pub(super) static SECTORS: [Choice; 5] = [
    Choice::new("AGENCY", "社工机构", &["社会工作服务机构", "社会组织", "社会服务机构"]),
    Choice::new("GOVERNMENT", "行政机关", &["机关", "党政机关"]),
    Choice::new("INSTITUTION", "事业单位", &["事业"]),
    Choice::new("COMMUNITY", "城乡社区", &["社区", "村居"]),
    Choice::new("OTHER", "其他", &["其它"]),
];
pub(super) static ASSIGNMENTS: [Choice; 3] = [
    Choice::new("PROFESSIONAL", "专业", &["专业社工", "专职"]),
    Choice::new("DESIGNATED", "指定", &["指定人员"]),
    Choice::new("PART_TIME", "兼职", &["兼职人员"]),
];

type F = Field<Worker>;
static FIELDS: [F; 12] = [
    F::text("name", "姓名", |worker| &mut worker.full_name)
        .or(&["人员姓名"])
        .fills("full_name")
        .required()
        .example("张三"),
    F::secret("id_number", "证件号码", |worker| &mut worker.id_number, identifier::citizen_form)
        .or(&super::ID_NUMBER)
        .required()
        .key()
        .example("11010519491231002X"),
    super::place::<Worker>(|worker| &mut worker.division, "640104"),
    super::agency::by_uscc("employer_uscc", "用人单位统一社会信用代码", |worker: &mut Worker| {
        &mut worker.employer
    })
    .or(&["用人单位信用代码", "单位统一社会信用代码", "单位信用代码", "统一社会信用代码", "信用代码"])
    .fills("employer")
    .example("91350100M000100Y43"),
    F::choice::<Sector>("sector", "单位类别", |worker| &mut worker.sector, &SECTORS)
        .or(&["单位性质", "单位类型"])
        .example("社工机构"),
    F::text("post_category", "岗位类别", |worker| &mut worker.post_category)
        .or(&["岗位", "岗位类型"])
        .example("社会工作"),
    // Who is filed under one township may serve in another of the county.
    F::placed("station", "服务站点", |worker| &mut worker.station, Stations::COLLECTION, "display_name")
        .within(6)
        .or(&["所在站点", "社工站", "服务社工站"])
        .example("兴庆区掌政镇社工站"),
    F::choice::<Assignment>("assignment", "人员性质", |worker| &mut worker.assignment, &ASSIGNMENTS)
        .or(&["人员类别", "人员类型"])
        .example("专业"),
    super::languages(|worker: &mut Worker| &mut worker.languages),
    F::day("since", "入职日期", |worker| &mut worker.since, Days::Past)
        .or(&["入职时间", "上岗日期", "从业日期"])
        .example("2019-07-01"),
    F::day("until", "离职日期", |worker| &mut worker.until, Days::Any).or(&["离职时间", "离岗日期"]),
    F::code("predecessor", "转出记录", |worker| &mut worker.predecessor, predecessor::<Workers>)
        .or(&["原记录", "前身记录"]),
];
static SHEET: Sheet = Sheet::new("社会工作专业人才", &columns(&FIELDS));

/// A worker that a record refers to.
pub(super) const fn by_number<R>(at: fn(&mut R) -> &mut Option<String>) -> Field<R> {
    Field::reference("id_number", "证件号码", at, Workers::COLLECTION, "id_number")
        .or(&super::ID_NUMBER)
        .fills("worker")
}

/// The noun.
pub struct Workers;

impl Noun for Workers {
    type Record = Worker;

    const COLLECTION: &'static str = "workers";
    const TABLE: &'static str = "registry_workers";
    const OWNERS: &'static [&'static str] = &["employer"];
    const STAFF: Staff = Staff::Changes;
    const COLUMNS: &'static [&'static str] = &["person", "namesakes", "number"];
    const INDEX_LEVEL: i64 = 3;
    const COUNTY_KEY: Option<&'static str> = Some("number");
    const TOUCHES: &'static [&'static str] = &["station"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const PERSON: Option<u32> = Some(14);
    const KEY: Option<&'static str> = Some("id_number");

    fn check(worker: &mut Worker, check: &mut Check) {
        check.in_order(("until", &worker.until), ("since", &worker.since));
        if worker.predecessor.is_some() {
            check.required("since", &worker.since);
        }
        // A pseudonym is written by the exchange, on the way out.
        worker.person = None;
    }

    fn index(worker: &Worker, blind: Option<&str>) -> Index {
        let state = if worker.until.is_some() { "LEFT" } else { "ACTIVE" };
        let Worker { full_name, employer, division, .. } = worker;
        Index::new(&worker.division, state, &worker.full_name)
            .column(super::short(&worker.person))
            .column(namesakes(full_name.as_deref(), employer.as_deref(), division.as_deref()))
            .column(blind.map(str::to_owned))
            .claim("id_number", &[blind, super::county(division).as_deref()])
            .link("employer", &worker.employer)
            .link("station", &worker.station)
            .mention("predecessor", &worker.predecessor)
    }

    fn take_secret(worker: &mut Worker) -> Option<String> {
        worker.id_number.take()
    }
}
