//! Stations (社工站): county centres, township stations, village rooms and city bases, hosted by a division.

use qianshou_kernel::{
    clock::format_day,
    error::Reason,
    id::Area,
    kind::{Check, Days, Field, Index, Noun, Referred, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::registry::v1::{SixHave, Station, StationOrigin, StationStatus, StationType, System};

use super::{holds_on, referred_to, system::Systems};

pub(super) static TYPES: [Choice; 5] = [
    Choice::new("COUNTY_CENTRE", "县级指导中心", &["指导中心", "县区指导中心", "县级社工指导中心"]),
    Choice::new("COUNTY_MAIN", "县级总站", &["总站", "县级社工总站", "县社工总站"]),
    Choice::new("TOWNSHIP_STATION", "乡镇街道社工站", &["社工站", "乡镇社工站", "街道社工站", "乡镇（街道）社工站"]),
    Choice::new("VILLAGE_ROOM", "村社区社工室", &["社工室", "村社工室", "社区社工室", "村（社区）社工室"]),
    Choice::new("CITY_BASE", "市级孵化基地", &["孵化基地", "市级社工孵化基地"]),
];
static STATUSES: [Choice; 4] = [
    Choice::new("PLANNED", "规划", &["规划中", "拟建"]),
    Choice::new("BUILDING", "在建", &["建设中"]),
    Choice::new("OPERATING", "运行", &["运行中", "运营", "正常", "在用"]),
    Choice::new("CLOSED", "停用", &["已停用", "关闭", "撤销"]),
];
static ORIGINS: [Choice; 3] = [
    Choice::new("NEW", "新建", &[]),
    Choice::new("RENAMED", "挂牌", &["加挂", "加挂牌子"]),
    Choice::new("INTEGRATED", "整合", &["合并"]),
];
pub(super) static SIX_HAVES: [Choice; 6] = [
    Choice::new("PLACE", "场地", &["有场地"]),
    Choice::new("EQUIPMENT", "设备", &["有设备", "设施设备"]),
    Choice::new("STAFF", "人员", &["有人员"]),
    Choice::new("PROJECTS", "项目", &["有项目"]),
    Choice::new("WORKFLOW", "工作流程", &["有工作流程", "流程", "有流程"]),
    Choice::new("RULES", "规章制度", &["有规章制度", "制度", "有制度"]),
];

type F = Field<Station>;
static FIELDS: [F; 18] = [
    F::text("name", "站点名称", |station| &mut station.display_name)
        .or(&["社工站名称", "名称", "站点"])
        .fills("display_name")
        .required()
        .key()
        .example("兴庆区掌政镇社工站"),
    F::choice::<StationType>("type", "站点类型", |station| &mut station.r#type, &TYPES)
        .or(&["类型", "级别", "站点级别", "社工站类型"])
        .required()
        .key()
        .example("乡镇街道社工站"),
    super::place::<Station>(|station| &mut station.division, "640104100").key(),
    F::choice::<StationStatus>("status", "状态", |station| &mut station.status, &STATUSES)
        .or(&["运行状态", "站点状态"])
        .example("运行"),
    F::day("opened_on", "启用日期", |station| &mut station.opened_on, Days::Any)
        .or(&["启用时间", "建成日期", "建成时间", "成立日期"])
        .example("2021-06-01"),
    F::day("closed_on", "关闭日期", |station| &mut station.closed_on, Days::Past).or(&["关闭时间", "停用日期"]),
    super::agency::by_uscc("operator_uscc", "运营机构统一社会信用代码", |station: &mut Station| {
        &mut station.operator
    })
    .or(&["运营机构信用代码", "承接机构统一社会信用代码", "承接机构信用代码", "统一社会信用代码", "信用代码"])
    .fills("operator")
    .example("91350100M000100Y43"),
    F::choice::<StationOrigin>("origin", "建站方式", |station| &mut station.origin, &ORIGINS)
        .or(&["建设方式"])
        .example("新建"),
    super::languages(|station: &mut Station| &mut station.languages),
    F::text("brand", "品牌", |station| &mut station.brand).or(&["品牌名称", "服务品牌"]),
    F::choices::<SixHave>("six_haves", "六有", |station| &mut station.six_haves, &SIX_HAVES)
        .or(&["六有情况", "六有达标"])
        .example("场地；设备；人员"),
    F::text("demonstration_level", "示范等级", |station| &mut station.demonstration_level)
        .or(&["示范级别", "示范站等级"]),
    F::text("demonstration_batch", "示范批次", |station| &mut station.demonstration_batch).or(&["示范站批次"]),
    // What is above a station lies around its division, at most as far away as its city.
    F::placed("parent", "上级站点", |station| &mut station.parent, Stations::COLLECTION, "display_name")
        .within(4)
        .or(&["上级社工站", "上级总站", "上级站点名称"]),
    F::text("host", "依托单位", |station| &mut station.host)
        .or(&["依托机构", "所在单位", "挂靠单位"])
        .example("掌政镇人民政府"),
    F::day("planned_on", "规划日期", |station| &mut station.planned_on, Days::Any).or(&["规划时间", "立项日期"]),
    F::day("building_since", "开工日期", |station| &mut station.building_since, Days::Any).or(&[
        "开工时间",
        "建设日期",
        "开建日期",
    ]),
    F::texts("aliases", "别名", |station| &mut station.aliases).or(&["别名/曾用名", "曾用名", "简称", "站点别名"]),
];
static SHEET: Sheet = Sheet::new("社工站", &columns(&FIELDS));

/// The noun.
pub struct Stations;

impl Noun for Stations {
    type Record = Station;

    const COLLECTION: &'static str = "stations";
    const TABLE: &'static str = "registry_stations";
    const OWNERS: &'static [&'static str] = &["operator"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(station: &mut Station, check: &mut Check) {
        station.status.get_or_insert(StationStatus::Operating.into());
        let least = digits_of(station.r#type());
        if station.division.as_deref().and_then(Area::parse).is_some_and(|place| place.as_str().len() < least) {
            check.refuse("division", Reason::Malformed, format!("at least {least} digits | 至少 {least} 位"));
        }
        // What is planned may lie ahead; what operates has opened.
        if !matches!(station.status(), StationStatus::Planned | StationStatus::Building) {
            check.past("opened_on", &station.opened_on);
        }
        check.in_order(("building_since", &station.building_since), ("planned_on", &station.planned_on));
        check.in_order(("opened_on", &station.opened_on), ("building_since", &station.building_since));
        check.in_order(("closed_on", &station.closed_on), ("opened_on", &station.opened_on));
        check.text("ref", &mut station.r#ref);
    }

    fn index(station: &Station, _blind: Option<&str>) -> Index {
        let state = station.status().as_str_name().trim_start_matches("STATION_STATUS_");
        let kind = station.r#type.map(|t| t.to_string());
        let mut key = vec![station.display_name.as_deref(), kind.as_deref(), station.division.as_deref()];
        key.extend(station.r#ref.as_deref().map(Some));
        Index::new(&station.division, state, &station.display_name)
            .of_type(station.r#type().as_str_name(), "STATION_TYPE_")
            .also(&station.aliases)
            .code(&station.r#ref)
            .claim("display_name", &key)
            .link("operator", &station.operator)
            .link("parent", &station.parent)
    }

    /// What is above a station is of a higher type, so that the tree has no circle; and its own is one that the area has.
    fn settle(station: &mut Station, referred: &Referred<'_>, check: &mut Check) {
        fits_its_system(station, check);
        let parent = referred_to::<Station>(&station.parent, referred).and_then(|parent| rank_of(parent.r#type()));
        if parent.zip(rank_of(station.r#type())).is_some_and(|(parent, own)| parent >= own) {
            check.refuse("parent", Reason::NotInList, "stations of a higher type | 上级类型的站点");
        }
    }
}

/// A new station, or one that becomes another, is of a type that the service system of its area has on the day it opens: the nearest
/// one around it. Where none is recorded, every type is taken.
fn fits_its_system(station: &Station, check: &mut Check) {
    let of = |station: &Station| (station.r#type, station.division.clone(), station.opened_on.clone());
    if check.stood::<Station>().is_some_and(|stood| of(&stood) == of(station)) {
        return;
    }
    let day = station.opened_on.clone().unwrap_or_else(|| format_day(check.today));
    let area = station.division.as_deref().and_then(Area::parse);
    let around = area.iter().flat_map(Area::path);
    let systems = around.filter_map(|code| check.standing_at::<System>(Systems::COLLECTION, code)).flatten();
    // One that does not say what it has was told by another node, which withheld it.
    let says = |system: &System| !system.types.is_empty() && holds_on((&system.since, &system.until), &day);
    let nearest = systems.filter(says).last();
    if let Some(system) = nearest.filter(|system| !system.types.contains(&station.r#type.unwrap_or_default())) {
        let known = TYPES.iter().filter(|choice| {
            let number = StationType::from_str_name(&format!("STATION_TYPE_{}", choice.name));
            number.is_some_and(|number| system.types.contains(&number.into()))
        });
        let known: Vec<&str> = known.map(|choice| choice.text).collect();
        check.refuse("type", Reason::NotInList, format!("{} {}", system.division(), known.join("、")));
    }
}

/// The place of a type in the service system, the highest first.
fn rank_of(kind: StationType) -> Option<u8> {
    match kind {
        StationType::Unspecified => None,
        StationType::CityBase => Some(0),
        StationType::CountyCentre => Some(1),
        StationType::CountyMain => Some(2),
        StationType::TownshipStation => Some(3),
        StationType::VillageRoom => Some(4),
    }
}

/// The level of the division that hosts a station, in digits of its code, at least.
fn digits_of(kind: StationType) -> usize {
    match kind {
        StationType::Unspecified => 2,
        StationType::CityBase => 4,
        StationType::CountyCentre | StationType::CountyMain => 6,
        StationType::TownshipStation | StationType::VillageRoom => 9,
    }
}
