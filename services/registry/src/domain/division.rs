//! Divisions (行政区划): a code, its name, and the days between which it is valid. A code is not an identity and a name is
//! no key (GB/T 2260; 城关镇 occurs 88 times), so a record is one code's one validity, and its place is what stays when it is renamed,
//! re-coded or moved. Only the nation writes them.

use qianshou_kernel::{
    error::Reason,
    id::{Area, Class},
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::{Division, DivisionClass};
use time::Date;

type F = Field<Division>;
/// Also the interval format of public lists: `code,name,first_snapshot,gone_by_snapshot`.
static FIELDS: [F; 6] = [
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
    F::text("place", "地点编号", |division| &mut division.place).or(&["地点标识", "地点ID"]),
    F::code("urban_rural", "城乡分类代码", |division| &mut division.urban_rural, urban_rural)
        .or(&["城乡分类", "城乡属性"])
        .example("111"),
];
static SHEET: Sheet = Sheet::new("行政区划", &columns(&FIELDS));

/// Kept as listed: 441900 is a county-level code beside 4419, though both are one area.
fn as_listed(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    Area::parse(text).map(|_| text.to_owned()).ok_or((Reason::Malformed, "2, 4, 6, 9, 12 digits".into()))
}

/// The statisticians' classes, which follow a list of their own.
///
/// Source: 统计用区划代码和城乡划分代码编制规则 (National Bureau of Statistics).
fn urban_rural(text: &str, _today: Date) -> Result<String, (Reason, String)> {
    const CLASSES: [&str; 7] = ["111", "112", "121", "122", "123", "210", "220"];
    let known = CLASSES.contains(&text).then(|| text.to_owned());
    known.ok_or_else(|| (Reason::NotInList, CLASSES.join(", ")))
}

/// Digits of the levels, the highest first.
const LEVELS: [usize; 5] = [2, 4, 6, 9, 12];

/// Fills what follows from the code, and the place where none is given. A code is read as it is listed: 441900 is a county in 4419.
pub(crate) fn complete(division: &mut Division) {
    let Some((area, code)) = division.code.clone().and_then(|code| Some((Area::parse(&code)?, code))) else { return };
    let level = LEVELS.iter().position(|digits| *digits == code.len());
    division.level = level.and_then(|level| i32::try_from(level + 1).ok());
    division.parent = level.and_then(|level| level.checked_sub(1)).map(|above| code[..LEVELS[above]].to_owned());
    let class = match area.class() {
        Class::Official => DivisionClass::Official,
        Class::StatisticalZone => DivisionClass::StatisticalZone,
        Class::Unconfirmed => DivisionClass::Unconfirmed,
    };
    division.class = Some(class.into());
    if division.place.is_none() {
        division.place = Some(format!("{code}-{}", division.valid_from()));
    }
}

/// The noun.
pub struct Divisions;

impl Noun for Divisions {
    type Record = Division;

    const COLLECTION: &'static str = "divisions";
    const TABLE: &'static str = "registry_divisions";
    const COLUMNS: &'static [&'static str] = &["valid_from", "valid_to"];
    const INDEX_LEVEL: i64 = 2;
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
        complete(division);
    }

    fn index(division: &Division, _blind: Option<&str>) -> Index {
        let state = if division.valid_to.is_some() { "GONE" } else { "VALID" };
        Index::new(&division.code, state, &division.display_name)
            .of_type(division.level().as_str_name(), "DIVISION_LEVEL_")
            .code(&division.code)
            .column(division.valid_from.clone())
            .column(division.valid_to.clone())
            // Without a first day it holds since before the list begins.
            .claim("code", &[division.code.as_deref(), Some(division.valid_from.as_deref().unwrap_or_default())])
            // A code that comes again has ended before.
            .claim("valid_to", &[division.code.as_deref(), division.valid_to.is_none().then_some("")])
    }
}
