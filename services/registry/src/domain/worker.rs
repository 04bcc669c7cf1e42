//! Workers (社会工作专业人才): a person's record at one province. The citizen number (GB 11643) is sealed and is the natural
//! key by its blind index; elsewhere the person is a pseudonym.

use qianshou_kernel::{
    kind::{Check, Days, Index, Noun},
    sheet::{Cell, Choice, Column, Sheet},
};
use qianshou_proto::registry::v1::{Assignment, Sector, Worker};

use super::{agency::Agencies, identifier, station::Stations};

static SECTORS: [Choice; 5] = [
    Choice::new("AGENCY", "社工机构", &["社会工作服务机构", "社会组织", "社会服务机构"]),
    Choice::new("GOVERNMENT", "行政机关", &["机关", "党政机关"]),
    Choice::new("INSTITUTION", "事业单位", &["事业"]),
    Choice::new("COMMUNITY", "城乡社区", &["社区", "村居"]),
    Choice::new("OTHER", "其他", &["其它"]),
];
static ASSIGNMENTS: [Choice; 3] = [
    Choice::new("PROFESSIONAL", "专业", &["专业社工", "专职"]),
    Choice::new("DESIGNATED", "指定", &["指定人员"]),
    Choice::new("PART_TIME", "兼职", &["兼职人员"]),
];

static SHEET: Sheet = Sheet {
    title: "社会工作专业人才",
    columns: &[
        Column::new("name", "姓名", Cell::Text).or(&["人员姓名"]).fills("full_name").required().example("张三"),
        Column::new("id_number", "证件号码", Cell::Secret)
            .or(&super::ID_NUMBER)
            .required()
            .key()
            .example("11010519491231002X"),
        super::place("640104"),
        Column::new("employer_uscc", "用人单位统一社会信用代码", Cell::Reference { kind: "agencies", field: "uscc" })
            .or(&["用人单位信用代码", "单位统一社会信用代码", "单位信用代码", "统一社会信用代码", "信用代码"])
            .fills("employer")
            .example("91350100M000100Y43"),
        Column::new("sector", "单位类别", Cell::Choice(&SECTORS)).or(&["单位性质", "单位类型"]).example("社工机构"),
        Column::new("post_category", "岗位类别", Cell::Text).or(&["岗位", "岗位类型"]).example("社会工作"),
        Column::new("station", "服务站点", Cell::Placed { kind: "stations", field: "display_name" })
            .or(&["所在站点", "社工站", "服务社工站"])
            .example("兴庆区掌政镇社工站"),
        Column::new("assignment", "人员性质", Cell::Choice(&ASSIGNMENTS)).or(&["人员类别", "人员类型"]).example("专业"),
        Column::new("languages", "服务语言", Cell::Texts).or(&["语言", "服务语种"]).example("zh"),
        Column::new("since", "入职日期", Cell::Day).or(&["入职时间", "上岗日期", "从业日期"]).example("2019-07-01"),
        Column::new("until", "离职日期", Cell::Day).or(&["离职时间", "离岗日期"]),
    ],
};

/// The noun.
pub struct Workers;

impl Noun for Workers {
    type Record = Worker;

    const COLLECTION: &'static str = "workers";
    const TABLE: &'static str = "registry_workers";
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const PERSON: Option<u32> = Some(14);
    const KEY: Option<&'static str> = Some("id_number");

    fn check(worker: &mut Worker, check: &mut Check) {
        let today = check.today;
        check.required_text("full_name", &mut worker.full_name);
        check.required("id_number", &worker.id_number);
        let parse = |text: &str| identifier::citizen_number(text, today).map_err(Into::into);
        check.form("id_number", &mut worker.id_number, parse, |number| number.as_str().to_owned());
        super::division(check, "division", &mut worker.division);
        check.reference("employer", &mut worker.employer, Agencies::COLLECTION);
        check.choice::<Sector>("sector", &mut worker.sector);
        check.text("post_category", &mut worker.post_category);
        check.reference("station", &mut worker.station, Stations::COLLECTION);
        check.choice::<Assignment>("assignment", &mut worker.assignment);
        check.texts("languages", &mut worker.languages);
        let since = check.day("since", &mut worker.since, Days::Past);
        let until = check.day("until", &mut worker.until, Days::Any);
        check.in_order("until", until, "since", since);
        // A pseudonym is written by the exchange, on the way out.
        worker.person = None;
    }

    fn index(worker: &Worker, blind: Option<&str>) -> Index {
        let state = if worker.until.is_some() { "LEFT" } else { "ACTIVE" };
        Index::new(&worker.division, state, &worker.full_name)
            .claim("id_number", &[blind])
            .link("employer", &worker.employer)
            .link("station", &worker.station)
    }

    fn take_secret(worker: &mut Worker) -> Option<String> {
        worker.id_number.take()
    }
}
