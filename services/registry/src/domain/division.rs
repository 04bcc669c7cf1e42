//! Divisions (行政区划): a code, its name, and the days between which it is valid. A code is not an identity and a name is
//! no key (GB/T 2260; 城关镇 occurs 88 times), so a record is one code's one validity. Only the nation writes them.

use qianshou_kernel::{
    error::Reason,
    id::Area,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::Division;
use time::Date;

type F = Field<Division>;
/// Also the interval format of public lists: `code,name,first_snapshot,gone_by_snapshot`.
static FIELDS: [F; 4] = [
    F::code("code", "区划代码", |division| &mut division.code, as_listed)
        .or(&["行政区划代码", "统计用区划代码", "代码"])
        .required()
        .key()
        .example("640104012"),
    F::text("name", "名称", |division| &mut division.display_name)
        .or(&["区划名称", "行政区划名称", "单位名称"])
        .fills("display_name")
        .required()
        .example("星河街街道"),
    F::day("valid_from", "生效日期", |division| &mut division.valid_from, Days::Any)
        .or(&["first_snapshot", "启用日期", "起始日期"])
        .key()
        .example("2022-10-31"),
    F::day("valid_to", "失效日期", |division| &mut division.valid_to, Days::Any).or(&[
        "gone_by_snapshot",
        "停用日期",
        "终止日期",
    ]),
];
static SHEET: Sheet = Sheet::new("行政区划", &columns(&FIELDS));

/// Kept as listed: 441900 is a county-level code beside 4419, though both are one area.
fn as_listed(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    Area::parse(text).map(|_| text.to_owned()).ok_or((Reason::Malformed, "2, 4, 6, 9, 12 digits".into()))
}

/// The noun.
pub struct Divisions;

impl Noun for Divisions {
    type Record = Division;

    const COLLECTION: &'static str = "divisions";
    const TABLE: &'static str = "registry_divisions";
    const COLUMNS: &'static [&'static str] = &["valid_from", "valid_to"];
    const SPAN: Option<(&'static str, &'static str)> = Some(("valid_from", "valid_to"));
    const HOME: Option<&'static str> = Some(Area::NATION);
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(division: &mut Division, check: &mut Check) {
        let Division { valid_from, valid_to, .. } = division;
        check.in_order(("valid_to", valid_to), ("valid_from", valid_from));
        if valid_to.is_some() && valid_to == valid_from {
            check.refuse("valid_to", Reason::OutOfOrder, "valid_from");
        }
    }

    fn index(division: &Division, _blind: Option<&str>) -> Index {
        let state = if division.valid_to.is_some() { "GONE" } else { "VALID" };
        Index::new(&division.code, state, &division.display_name)
            .code(&division.code)
            .column(division.valid_from.clone())
            .column(division.valid_to.clone())
            // Without a first day it holds since before the list begins.
            .claim("code", &[division.code.as_deref(), Some(division.valid_from.as_deref().unwrap_or_default())])
    }
}
