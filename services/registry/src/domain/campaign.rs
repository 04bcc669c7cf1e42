//! Campaigns (专项行动): a flood, an epidemic, a year of quality. For as long as one lasts it counts what it likes, in figures of its own.

use qianshou_kernel::{
    clock::day_after,
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Parts, columns},
    sheet::{Column, Sheet},
};
use qianshou_proto::registry::v1::{Campaign, CampaignMeasure};

type M = Field<CampaignMeasure>;
static MEASURE: [M; 3] = [
    M::code("code", "代码", |measure| &mut measure.code, super::code).required(),
    M::text("title", "指标名称", |measure| &mut measure.title).required(),
    M::text("unit", "单位", |measure| &mut measure.unit).required(),
];
static MEASURE_COLUMNS: [Column; 3] = columns(&MEASURE);
static MEASURES: Parts<Campaign, CampaignMeasure> = Parts { at: |campaign| &mut campaign.measures, fields: &MEASURE };

type F = Field<Campaign>;
static FIELDS: [F; 6] = [
    F::text("title", "行动名称", |campaign| &mut campaign.title)
        .or(&["活动名称", "名称", "专项行动"])
        .required()
        .key()
        .example("汛期应急社会工作服务"),
    super::place::<Campaign>(|campaign| &mut campaign.division, "64"),
    F::day("starts_on", "开始日期", |campaign| &mut campaign.starts_on, Days::Any)
        .or(&["开始时间", "启动日期"])
        .required()
        .key()
        .example("2023-02-01"),
    F::last_day("ends_on", "结束日期", |campaign| &mut campaign.ends_on)
        .or(&["结束时间", "截止日期"])
        .example("2023-11-30"),
    F::flag("emergency", "应急", |campaign| &mut campaign.emergency).or(&["是否应急"]).example("是"),
    F::parts("measures", "统计指标", &MEASURES, &MEASURE_COLUMNS)
        .or(&["指标"])
        .example("VISITS｜入户探访｜人次；HOTLINE｜热线服务｜人次"),
];
static SHEET: Sheet = Sheet::new("专项行动", &columns(&FIELDS));

/// The noun.
pub struct Campaigns;

impl Noun for Campaigns {
    type Record = Campaign;

    const COLLECTION: &'static str = "campaigns";
    const TABLE: &'static str = "registry_campaigns";
    const COLUMNS: &'static [&'static str] = &["over_on"];
    const PHASES: &'static [(&'static str, &'static str)] = &[("OVER", "over_on")];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(campaign: &mut Campaign, check: &mut Check) {
        check.in_order(("ends_on", &campaign.ends_on), ("starts_on", &campaign.starts_on));
        super::each_once(check, ("measures", "code"), campaign.measures.iter().map(|measure| &measure.code));
        if campaign.measures.is_empty() && campaign.emergency == Some(true) {
            check.refuse("measures", Reason::Required, "");
        }
    }

    fn index(campaign: &Campaign, _blind: Option<&str>) -> Index {
        Index::new(&campaign.division, "STANDING", &campaign.title)
            .column(day_after(&campaign.ends_on))
            .claim("title", &[campaign.title.as_deref(), campaign.starts_on.as_deref()])
    }
}
