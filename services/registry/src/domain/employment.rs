//! Employments (任职): a worker at a unit, in a post, at a station, for a time. A new employment is a new record, so that who served
//! where is known for any day.

use qianshou_kernel::{
    kind::{Check, Days, Field, Index, Noun, Referred, Staff, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::{Assignment, Employment, Sector, Station, Worker};

use super::{
    or_none,
    post::Posts,
    referred_to,
    station::Stations,
    worker::{ASSIGNMENTS, SECTORS},
};

type F = Field<Employment>;
static FIELDS: [F; 9] = [
    super::worker::by_number(|employment: &mut Employment| &mut employment.worker)
        .required()
        .key()
        .example("11010519491231002X"),
    super::agency::by_uscc("employer_uscc", "用人单位统一社会信用代码", |employment: &mut Employment| {
        &mut employment.employer
    })
    .or(&["用人单位信用代码", "单位统一社会信用代码", "单位信用代码", "统一社会信用代码", "信用代码"])
    .fills("employer")
    .key()
    .example("91350100M000100Y43"),
    F::choice::<Sector>("sector", "单位类别", |employment| &mut employment.sector, &SECTORS)
        .or(&["单位性质", "单位类型"])
        .example("社工机构"),
    super::around::<Employment>(|employment| &mut employment.division, "640104"),
    F::placed("post", "任职岗位", |employment| &mut employment.post, Posts::COLLECTION, "display_name")
        .or(&["岗位", "岗位名称"])
        .example("社会工作岗"),
    F::placed("station", "服务站点", |employment| &mut employment.station, Stations::COLLECTION, "display_name")
        .within(6)
        .or(&["所在站点", "社工站", "服务社工站"])
        .key()
        .example("兴庆区掌政镇社工站"),
    F::choice::<Assignment>("assignment", "人员性质", |employment| &mut employment.assignment, &ASSIGNMENTS)
        .or(&["人员类别", "人员类型"])
        .example("专业"),
    F::day("since", "任职日期", |employment| &mut employment.since, Days::Past)
        .or(&["任职时间", "入职日期", "上岗日期"])
        .required()
        .key()
        .example("2021-07-01"),
    F::day("until", "离任日期", |employment| &mut employment.until, Days::Any).or(&[
        "离任时间",
        "离职日期",
        "离岗日期",
    ]),
];
static SHEET: Sheet = Sheet::new("社会工作者任职", &columns(&FIELDS));

/// The noun.
pub struct Employments;

impl Noun for Employments {
    type Record = Employment;

    const COLLECTION: &'static str = "employments";
    const TABLE: &'static str = "registry_employments";
    const OWNERS: &'static [&'static str] = &["employer"];
    const STAFF: Staff = Staff::Keeps;
    const TOUCHES: &'static [&'static str] = &["worker", "station"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(employment: &mut Employment, check: &mut Check) {
        check.in_order(("until", &employment.until), ("since", &employment.since));
    }

    fn index(employment: &Employment, _blind: Option<&str>) -> Index {
        let state = if employment.until.is_some() { "LEFT" } else { "ACTIVE" };
        let Employment { worker, since, employer, station, post, .. } = employment;
        let key = [worker.as_deref(), since.as_deref(), or_none(employer), or_none(station)];
        Index::new(&employment.division, state, &None)
            .claim("worker", &key)
            .link("worker", worker)
            .link("employer", employer)
            .link("post", post)
            .link("station", station)
    }

    /// An employment belongs to the place where it began; what becomes of the worker later moves nothing of it.
    fn settle(employment: &mut Employment, referred: &Referred<'_>, check: &mut Check) {
        let Employment { worker, station, division, .. } = &*employment;
        let stood = check.stood::<Employment>().filter(|stood| (&stood.worker, &stood.station) == (worker, station));
        let station = || referred_to::<Station>(station, referred)?.division;
        let worker = || referred_to::<Worker>(worker, referred)?.division;
        let stands = stood.and_then(|stood| stood.division);
        employment.division = stands.or_else(station).or_else(|| division.clone()).or_else(worker);
    }
}
