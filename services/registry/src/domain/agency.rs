//! Agencies (社会工作服务机构): organisations with a unified social credit code (GB 32100).

use qianshou_kernel::{
    identifier,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::registry::v1::{Agency, AgencyType};

use super::moving::predecessor;

static TYPES: [Choice; 6] = [
    Choice::new("SOCIAL_SERVICE", "社会服务机构", &["民办非企业单位", "民非", "民办非企业", "社工机构"]),
    Choice::new("SOCIAL_GROUP", "社会团体", &["社团", "协会"]),
    Choice::new("FOUNDATION", "基金会", &[]),
    Choice::new("PUBLIC_INSTITUTION", "事业单位", &["事业"]),
    Choice::new("ENTERPRISE", "企业", &["公司"]),
    Choice::new("OTHER", "其他", &["其它"]),
];

type F = Field<Agency>;
static FIELDS: [F; 10] = [
    F::text("name", "机构名称", |agency| &mut agency.display_name)
        .or(&["单位名称", "名称", "社工机构名称", "机构全称"])
        .fills("display_name")
        .required()
        .example("银川市塞上社会工作服务中心"),
    F::code("uscc", "统一社会信用代码", |agency| &mut agency.uscc, identifier::uscc_form)
        .or(&["信用代码", "统一信用代码", "社会信用代码", "机构信用代码", "机构代码"])
        .required()
        .key()
        .example("91350100M000100Y43"),
    F::choice::<AgencyType>("type", "机构类型", |agency| &mut agency.r#type, &TYPES)
        .or(&["单位类型", "类型", "机构性质", "单位性质"])
        .example("社会服务机构"),
    super::place::<Agency>(|agency| &mut agency.division, "640104"),
    F::day("founded_on", "成立日期", |agency| &mut agency.founded_on, Days::Past)
        .or(&["成立时间", "登记日期", "注册日期"])
        .example("2018-03-01"),
    F::day("closed_on", "注销日期", |agency| &mut agency.closed_on, Days::Past).or(&["注销时间", "撤销日期"]),
    F::texts("fields", "业务领域", |agency| &mut agency.fields)
        .or(&["服务领域", "业务范围"])
        .example("儿童福利；老年服务"),
    F::texts("aliases", "别名", |agency| &mut agency.aliases).or(&["别名/曾用名", "曾用名", "简称", "机构别名"]),
    F::code("predecessor", "转出记录", |agency| &mut agency.predecessor, predecessor::<Agencies>)
        .or(&["原记录", "前身记录"]),
    F::day("arrived_on", "转入日期", |agency| &mut agency.arrived_on, Days::Past).or(&["迁入日期"]),
];
static SHEET: Sheet = Sheet::new("社会工作服务机构", &columns(&FIELDS));

/// An agency that a record refers to.
pub(super) const fn by_uscc<R>(
    field: &'static str,
    header: &'static str,
    at: fn(&mut R) -> &mut Option<String>,
) -> Field<R> {
    Field::reference(field, header, at, Agencies::COLLECTION, "uscc")
}

/// The noun.
pub struct Agencies;

impl Noun for Agencies {
    type Record = Agency;

    const COLLECTION: &'static str = "agencies";
    const TABLE: &'static str = "registry_agencies";
    const OWNS: bool = true;
    const COLUMNS: &'static [&'static str] = &["uscc"];
    const INDEX_LEVEL: i64 = 2;
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const KEY: Option<&'static str> = Some("uscc");

    fn check(agency: &mut Agency, check: &mut Check) {
        let Agency { founded_on, closed_on, arrived_on, predecessor, .. } = agency;
        check.in_order(("closed_on", closed_on), ("founded_on", founded_on));
        check.in_order(("arrived_on", arrived_on), ("founded_on", founded_on));
        check.in_order(("closed_on", closed_on), ("arrived_on", arrived_on));
        if predecessor.is_some() {
            check.required("arrived_on", arrived_on);
        }
    }

    fn index(agency: &Agency, _blind: Option<&str>) -> Index {
        let state = if agency.closed_on.is_some() { "CLOSED" } else { "OPEN" };
        Index::new(&agency.division, state, &agency.display_name)
            .of_type(agency.r#type().as_str_name(), "AGENCY_TYPE_")
            .also(&agency.aliases)
            .code(&agency.uscc)
            .column(super::short(&agency.uscc))
            .claim("uscc", &[agency.uscc.as_deref()])
            .mention("predecessor", &agency.predecessor)
    }
}
