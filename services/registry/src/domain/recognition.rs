//! Recognitions (认定): demonstration stations, awards, pilots, brands. A station, an agency or a worker is recognised, at a level, in
//! a batch, until it ends or is withdrawn.

use qianshou_kernel::{
    kind::{Check, Days, Field, Index, Noun, Referred, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::registry::v1::{Agency, Recognition, RecognitionKind, Station, Worker};

use super::{or_none, referred_to, station::Stations};

static KINDS: [Choice; 4] = [
    Choice::new("DEMONSTRATION", "示范", &["示范站", "示范点", "示范单位", "示范社工室"]),
    Choice::new("AWARD", "表彰", &["奖项", "荣誉", "表彰奖励"]),
    Choice::new("PILOT", "试点", &["试点单位"]),
    Choice::new("BRAND", "品牌", &["品牌项目", "服务品牌"]),
];

type F = Field<Recognition>;
static FIELDS: [F; 11] = [
    super::around::<Recognition>(|recognition| &mut recognition.division, "640104100"),
    F::placed("station", "站点名称", |recognition| &mut recognition.station, Stations::COLLECTION, "display_name")
        .or(&["站点", "社工站"])
        .key()
        .example("兴庆区掌政镇社工站"),
    super::agency::by_uscc("agency_uscc", "机构统一社会信用代码", |recognition: &mut Recognition| {
        &mut recognition.agency
    })
    .or(&["机构信用代码", "统一社会信用代码", "信用代码"])
    .fills("agency")
    .key(),
    super::worker::by_number(|recognition: &mut Recognition| &mut recognition.worker).key(),
    F::choice::<RecognitionKind>("kind", "认定类型", |recognition| &mut recognition.kind, &KINDS)
        .or(&["类型", "类别", "认定类别"])
        .required()
        .key()
        .example("示范"),
    F::text("level", "等级", |recognition| &mut recognition.level)
        .or(&["级别", "示范等级", "认定等级"])
        .key()
        .example("省级"),
    F::text("batch", "批次", |recognition| &mut recognition.batch)
        .or(&["示范批次", "认定批次"])
        .key()
        .example("第一批"),
    F::text("issuer", "认定单位", |recognition| &mut recognition.issuer)
        .or(&["授予单位", "发文单位", "命名单位"])
        .example("自治区民政厅"),
    F::day("recognised_on", "认定日期", |recognition| &mut recognition.recognised_on, Days::Past)
        .or(&["认定时间", "授予日期", "命名日期"])
        .required()
        .key()
        .example("2022-12-01"),
    F::last_day("valid_until", "有效期至", |recognition| &mut recognition.valid_until)
        .or(&["有效期"])
        .example("2025-11-30"),
    F::day("withdrawn_on", "撤销日期", |recognition| &mut recognition.withdrawn_on, Days::Past)
        .or(&["撤销时间", "摘牌日期"]),
];
static SHEET: Sheet = Sheet::new("认定表彰", &columns(&FIELDS));

/// The noun.
pub struct Recognitions;

impl Noun for Recognitions {
    type Record = Recognition;

    const COLLECTION: &'static str = "recognitions";
    const TABLE: &'static str = "registry_recognitions";
    const OWNERS: &'static [&'static str] = &["agency"];
    const TOUCHES: &'static [&'static str] = &["station", "agency", "worker"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(recognition: &mut Recognition, check: &mut Check) {
        let Recognition { station, agency, worker, .. } = &*recognition;
        super::one_of(check, [("station", station), ("agency", agency), ("worker", worker)]);
        let recognised = ("recognised_on", &recognition.recognised_on);
        check.in_order(("valid_until", &recognition.valid_until), recognised);
        check.in_order(("withdrawn_on", &recognition.withdrawn_on), recognised);
    }

    fn index(recognition: &Recognition, _blind: Option<&str>) -> Index {
        let state = if recognition.withdrawn_on.is_some() { "WITHDRAWN" } else { "STANDING" };
        let kind = recognition.kind.map(|kind| kind.to_string());
        let Recognition { station, agency, worker, level, batch, recognised_on, .. } = recognition;
        let subject = super::named([("station", station), ("agency", agency), ("worker", worker)]);
        let (field, subject) = subject.map_or(("station", None), |(field, name)| (field, Some(name)));
        let key = [subject, kind.as_deref(), recognised_on.as_deref(), or_none(level), or_none(batch)];
        Index::new(&recognition.division, state, &None)
            .of_type(recognition.kind().as_str_name(), "RECOGNITION_KIND_")
            .claim(field, &key)
            .link("station", station)
            .link("agency", agency)
            .link("worker", worker)
    }

    /// A recognition belongs to the place that whom it recognises had then.
    fn settle(recognition: &mut Recognition, referred: &Referred<'_>, check: &mut Check) {
        let Recognition { station, agency, worker, .. } = &*recognition;
        let same = |stood: &Recognition| (&stood.station, &stood.agency, &stood.worker) == (station, agency, worker);
        let stands = check.stood::<Recognition>().filter(same).and_then(|stood| stood.division);
        let station = || referred_to::<Station>(station, referred)?.division;
        let agency = || referred_to::<Agency>(agency, referred)?.division;
        let worker = || referred_to::<Worker>(worker, referred)?.division;
        recognition.division = stands.or_else(station).or_else(agency).or_else(worker);
    }
}
