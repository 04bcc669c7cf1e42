//! Figures of campaigns (专项行动数据): how many of what was counted where on which day. A campaign may be another node's, so a figure
//! names it by its title.

use qianshou_kernel::{
    clock::{format_day, parse_day},
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Referred, columns},
    sheet::Sheet,
};
use qianshou_proto::registry::v1::{Campaign, Figure};

use super::{campaign::Campaigns, holds_on};

type F = Field<Figure>;
static FIELDS: [F; 5] = [
    F::text("campaign", "行动名称", |figure| &mut figure.campaign)
        .or(&["专项行动", "活动名称"])
        .required()
        .key()
        .example("汛期应急社会工作服务"),
    F::code("measure", "指标代码", |figure| &mut figure.measure, super::code)
        .or(&["指标", "代码"])
        .required()
        .key()
        .example("VISITS"),
    super::place::<Figure>(|figure| &mut figure.division, "640104").key(),
    F::day("on", "日期", |figure| &mut figure.on, Days::Past)
        .or(&["填报日期", "统计日期"])
        .required()
        .key()
        .example("2023-07-01"),
    F::count("value", "数值", |figure| &mut figure.value, 0..=u32::MAX).or(&["数量", "人次"]).required().example("120"),
];
static SHEET: Sheet = Sheet::new("专项行动数据", &columns(&FIELDS));

/// The noun.
pub struct Figures;

impl Noun for Figures {
    type Record = Figure;

    const COLLECTION: &'static str = "figures";
    const TABLE: &'static str = "registry_figures";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn index(figure: &Figure, _blind: Option<&str>) -> Index {
        let Figure { campaign, measure, division, on, .. } = figure;
        let key = [campaign.as_deref(), measure.as_deref(), division.as_deref(), on.as_deref()];
        Index::new(division, "REPORTED", campaign).claim("campaign", &key)
    }

    /// A campaign that is known here says what it counts and when.
    fn settle(figure: &mut Figure, _referred: &Referred<'_>, check: &mut Check) {
        let title = figure.campaign.as_deref().unwrap_or_default();
        let Some(campaigns) = check.titled::<Campaign>(Campaigns::COLLECTION, title) else { return };
        let day = figure.on.as_deref().unwrap_or_default();
        let during: Vec<&Campaign> = campaigns.iter().filter(|c| holds_on((&c.starts_on, &after(c)), day)).collect();
        if during.is_empty() {
            let days: Vec<String> = campaigns.iter().map(|c| format!("{}–{}", c.starts_on(), c.ends_on())).collect();
            if !days.is_empty() {
                check.refuse("on", Reason::NotInList, days.join("、"));
            }
            return;
        }
        let codes: Vec<&str> = during.iter().flat_map(|c| &c.measures).map(|measure| measure.code()).collect();
        if !codes.is_empty() && !codes.contains(&figure.measure()) {
            check.refuse("measure", Reason::NotInList, codes.join("、"));
        }
    }
}

/// The first day after a campaign.
fn after(campaign: &Campaign) -> Option<String> {
    campaign.ends_on.as_deref().and_then(parse_day)?.next_day().map(format_day)
}
