//! Assessments (评估): what was found at a station by a template, and which of the six haves (六有) it had.

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Parts, Referred, columns},
    sheet::{Column, Sheet},
};
use qianshou_proto::registry::v1::{Assessment, AssessmentResult, SixHave, Station, Template};

use super::{
    or_none, referred_to,
    station::{SIX_HAVES, Stations},
    template::Templates,
};

type R = Field<AssessmentResult>;
static RESULT: [R; 4] = [
    R::text("criterion", "编码", |result| &mut result.criterion).required(),
    R::flag("met", "是否达标", |result| &mut result.met),
    R::count("score", "得分", |result| &mut result.score, 0..=POINTS),
    R::text("evidence", "佐证材料", |result| &mut result.evidence),
];
static RESULT_COLUMNS: [Column; 4] = columns(&RESULT);
static RESULTS: Parts<Assessment, AssessmentResult> =
    Parts { at: |assessment| &mut assessment.results, fields: &RESULT };

type F = Field<Assessment>;
static FIELDS: [F; 9] = [
    super::around::<Assessment>(|assessment| &mut assessment.division, "640104100"),
    F::placed("station", "评估站点", |assessment| &mut assessment.station, Stations::COLLECTION, "display_name")
        .or(&["站点", "站点名称", "社工站"])
        .required()
        .key()
        .example("兴庆区掌政镇社工站"),
    F::placed("template", "评估模板", |assessment| &mut assessment.template, Templates::COLLECTION, "display_name")
        .within(2)
        .or(&["模板", "评估标准", "标准名称"])
        .key()
        .example("乡镇（街道）社工站建设规范"),
    F::day("assessed_on", "评估日期", |assessment| &mut assessment.assessed_on, Days::Past)
        .or(&["评估时间"])
        .required()
        .key()
        .example("2023-05-10"),
    F::day("expires_on", "失效日期", |assessment| &mut assessment.expires_on, Days::Any)
        .or(&["失效时间"])
        .example("2026-05-10"),
    F::text("assessor", "评估机构", |assessment| &mut assessment.assessor)
        .or(&["评估单位", "评估方"])
        .example("宁夏社会工作协会"),
    F::parts("results", "评估结果", &RESULTS, &RESULT_COLUMNS)
        .or(&["结果", "各项结果"])
        .example("A1｜是｜90｜宁评〔2023〕1号；A2｜否｜｜"),
    F::choices::<SixHave>("six_haves", "六有", |assessment| &mut assessment.six_haves, &SIX_HAVES)
        .or(&["六有情况", "六有达标"])
        .example("场地；设备；人员"),
    F::count("score", "总得分", |assessment| &mut assessment.score, 0..=POINTS * HUNDREDTHS).or(&["总分"]),
];
static SHEET: Sheet = Sheet::new("社工站评估", &columns(&FIELDS));

/// Points of a criterion at most.
const POINTS: u32 = 100;
/// A score is kept in hundredths of a point.
const HUNDREDTHS: u32 = 100;
/// All of the six haves.
const SIX: usize = 6;

/// The noun.
pub struct Assessments;

impl Noun for Assessments {
    type Record = Assessment;

    const COLLECTION: &'static str = "assessments";
    const TABLE: &'static str = "registry_assessments";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(assessment: &mut Assessment, check: &mut Check) {
        check.in_order(("expires_on", &assessment.expires_on), ("assessed_on", &assessment.assessed_on));
        if !assessment.results.is_empty() {
            check.required("template", &assessment.template);
        }
        super::each_once(check, ("results", "criterion"), assessment.results.iter().map(|r| &r.criterion));
    }

    fn index(assessment: &Assessment, _blind: Option<&str>) -> Index {
        let state = if assessment.six_haves.len() == SIX { "COMPLETE" } else { "PARTIAL" };
        let Assessment { station, template, assessed_on, .. } = assessment;
        Index::new(&assessment.division, state, &None)
            .claim("station", &[station.as_deref(), or_none(template), assessed_on.as_deref()])
            .link("station", station)
            .link("template", template)
    }

    /// An assessment belongs to the place of its station, and speaks of its template's criteria alone.
    fn settle(assessment: &mut Assessment, referred: &Referred<'_>, check: &mut Check) {
        let station: Option<Station> = referred_to(&assessment.station, referred);
        assessment.division = station.and_then(|station| station.division);
        let template: Option<Template> = referred_to(&assessment.template, referred);
        assessment.score = template.as_ref().and_then(|template| score(template, &assessment.results));
        let codes = template.iter().flat_map(|template| &template.criteria).map(|criterion| &criterion.code);
        for (i, result) in assessment.results.iter().enumerate() {
            if template.is_some() && !codes.clone().any(|code| *code == result.criterion) {
                let detail = "the template's criteria | 评估模板的指标";
                check.refuse(&format!("results[{i}].criterion"), Reason::NotInList, detail);
            }
        }
    }
}

/// The weighted sum in hundredths of a point, over all criteria, rounded; what has no result has no points.
fn score(template: &Template, results: &[AssessmentResult]) -> Option<u32> {
    let weight = |criterion: &Option<String>| {
        let known = template.criteria.iter().find(|known| known.code == *criterion);
        u64::from(known.and_then(|known| known.weight).unwrap_or(0))
    };
    let points = |result: &AssessmentResult| {
        u64::from(result.score.unwrap_or(if result.met() { POINTS } else { 0 }).min(POINTS))
    };
    let whole: u64 = template.criteria.iter().map(|criterion| weight(&criterion.code)).sum();
    if whole == 0 || results.is_empty() {
        return None;
    }
    let sum: u64 = results.iter().map(|result| weight(&result.criterion) * points(result)).sum();
    u32::try_from((sum * u64::from(HUNDREDTHS) + whole / 2) / whole).ok()
}

#[cfg(test)]
mod tests {
    use qianshou_proto::registry::v1::Criterion;

    use super::*;

    #[test]
    fn a_score_is_the_weighted_sum() {
        let criterion = |code: &str, weight| Criterion { code: Some(code.into()), weight, ..Criterion::default() };
        let result = |code: &str, met, score| AssessmentResult {
            criterion: Some(code.into()),
            met,
            score,
            ..AssessmentResult::default()
        };
        let of = |criteria: &[Criterion], results: &[AssessmentResult]| {
            score(&Template { criteria: criteria.to_vec(), ..Template::default() }, results)
        };
        let two = [criterion("A1", Some(60)), criterion("A2", Some(40))];
        assert_eq!(of(&two, &[result("A1", None, Some(80)), result("A2", Some(true), Some(50))]), Some(6_800));
        assert_eq!(of(&two, &[result("A1", Some(true), None), result("A2", Some(false), None)]), Some(6_000));
        assert_eq!(of(&two, &[result("A2", Some(true), None)]), Some(4_000), "what was not looked at has no points");
        assert_eq!(of(&two, &[]), None);
        let thirds = [criterion("A1", Some(1)), criterion("A2", Some(2))];
        assert_eq!(of(&thirds, &[result("A2", Some(true), None)]), Some(6_667));
        assert_eq!(of(&[criterion("A1", None)], &[result("A1", Some(true), None)]), None, "nothing has a weight");
    }
}
