//! Service systems (服务体系): which levels of stations an area has decided to have, three of them or four (三级、四级服务体系).

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Referred, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::{StationType, System};

use super::station::TYPES;

type F = Field<System>;
static FIELDS: [F; 5] = [
    super::place::<System>(|system| &mut system.division, "6401").key(),
    F::text("name", "体系名称", |system| &mut system.display_name)
        .or(&["名称", "服务体系"])
        .fills("display_name")
        .example("市、县、乡、村四级服务体系"),
    F::choices::<StationType>("types", "站点类型", |system| &mut system.types, &TYPES)
        .or(&["包含站点类型", "层级"])
        .required()
        .example("市级孵化基地；县级指导中心；乡镇街道社工站；村社区社工室"),
    F::day("since", "实行日期", |system| &mut system.since, Days::Any)
        .or(&["实行时间", "生效日期", "开始日期"])
        .required()
        .key()
        .example("2021-01-01"),
    F::day("until", "终止日期", |system| &mut system.until, Days::Any).or(&["终止时间", "失效日期", "结束日期"]),
];
static SHEET: Sheet = Sheet::new("服务体系", &columns(&FIELDS));

/// The noun.
pub struct Systems;

impl Noun for Systems {
    type Record = System;

    const COLLECTION: &'static str = "systems";
    const TABLE: &'static str = "registry_systems";
    const COLUMNS: &'static [&'static str] = &["since", "until"];
    const SPAN: Option<(&'static str, &'static str)> = Some(("since", "until"));
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(system: &mut System, check: &mut Check) {
        if system.division.as_ref().is_some_and(|code| code.len() > 6) {
            check.refuse("division", Reason::Malformed, "2, 4 or 6 digits | 2、4 或 6 位数字");
        }
        check.in_order(("until", &system.until), ("since", &system.since));
    }

    fn index(system: &System, _blind: Option<&str>) -> Index {
        let System { division, since, until, .. } = system;
        let index = Index::new(division, super::validity(until), &system.display_name)
            .column(since.clone())
            .column(until.clone())
            .claim("division", &[division.as_deref(), since.as_deref()]);
        // Of two that are made at the same moment only one goes on.
        if until.is_none() { index.claim("division", &[division.as_deref(), Some("now")]) } else { index }
    }

    /// An area has one system at a time.
    fn settle(system: &mut System, _referred: &Referred<'_>, check: &mut Check) {
        let code = system.division.clone().unwrap_or_default();
        let itself = check.stood::<System>().and_then(|stood| stood.name);
        let Some(others) = check.standing_at::<System>(Self::COLLECTION, &code) else { return };
        let own = format!("nodes/{}/", check.home);
        let other = |other: &&System| match &other.name {
            Some(name) => name.starts_with(&own) && Some(name) != itself.as_ref(),
            // New in the same batch.
            None => true,
        };
        let overlaps =
            |other: &&System| begins_before(&system.since, &other.until) && begins_before(&other.since, &system.until);
        if let Some(other) = others.iter().filter(other).find(overlaps) {
            let until = other.until.as_deref().unwrap_or_default();
            check.refuse("division", Reason::Duplicate, format!("{code} {}–{until}", other.since()));
        }
    }
}

/// Whether an interval that begins on a day begins before another has ended; days are ISO-8601 dates.
fn begins_before(since: &Option<String>, until: &Option<String>) -> bool {
    until.as_ref().is_none_or(|until| since.as_ref() < Some(until))
}
