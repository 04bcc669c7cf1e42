//! Assessments (评估): what was found at a station by a template, and which of the six haves (六有) it had.

use qianshou_kernel::{
    error::Reason,
    kind::{Check, Days, Field, Index, Noun, Parts, Referred, columns},
    sheet::{Column, Sheet},
};
use qianshou_proto::registry::v1::{Assessment, AssessmentResult, Criterion, SixHave, Station, Template};

use super::{
    holds_on, or_none, referred_to,
    station::{SIX_HAVES, Stations},
    template::{POINTS, Templates},
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
static FIELDS: [F; 10] = [
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
    F::flag("none_of_six", "六有全无", |assessment| &mut assessment.none_of_six).or(&["六有均无", "无六有"]),
    F::count("score", "总得分", |assessment| &mut assessment.score, 0..=POINTS * HUNDREDTHS).or(&["总分"]),
];
static SHEET: Sheet = Sheet::new("社工站评估", &columns(&FIELDS));

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
    const TOUCHES: &'static [&'static str] = &["station"];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(assessment: &mut Assessment, check: &mut Check) {
        check.in_order(("expires_on", &assessment.expires_on), ("assessed_on", &assessment.assessed_on));
        if !assessment.results.is_empty() {
            check.required("template", &assessment.template);
        }
        super::each_once(check, ("results", "criterion"), assessment.results.iter().map(|r| &r.criterion));
        assessment.none_of_six = assessment.none_of_six.filter(|none| *none);
        if assessment.none_of_six.is_some() && !assessment.six_haves.is_empty() {
            check.refuse("none_of_six", Reason::TooMany, "six_haves");
        }
    }

    fn index(assessment: &Assessment, _blind: Option<&str>) -> Index {
        let state = if assessment.six_haves.len() == SIX { "COMPLETE" } else { "PARTIAL" };
        let Assessment { station, template, assessed_on, .. } = assessment;
        Index::new(&assessment.division, state, &None)
            .claim("station", &[station.as_deref(), or_none(template), assessed_on.as_deref()])
            .link("station", station)
            .link("template", template)
    }

    /// An assessment belongs to the place that its station had then, and speaks of its template's criteria alone, on a day on which that
    /// holds.
    fn settle(assessment: &mut Assessment, referred: &Referred<'_>, check: &mut Check) {
        let stood = check.stood::<Assessment>().filter(|stood| stood.station == assessment.station);
        let station = || referred_to::<Station>(&assessment.station, referred)?.division;
        assessment.division = stood.and_then(|stood| stood.division).or_else(station);
        let template: Option<Template> = referred_to(&assessment.template, referred);
        assessment.score = template.as_ref().and_then(|template| score(template, &assessment.results));
        assessment.passed = template.as_ref().and_then(|template| passed(template, &assessment.results));
        assessment.standard = template.as_ref().map(|t| format!("{} {}", t.display_name(), t.edition()));
        let day = assessment.assessed_on.as_deref().unwrap_or_default();
        if let Some(template) = template.iter().find(|t| !holds_on((&t.valid_from, &t.valid_to), day)) {
            let detail = format!("{}–{}", template.valid_from(), template.valid_to());
            check.refuse("template", Reason::NotInList, detail);
        }
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
    let whole: u64 = template.criteria.iter().map(|criterion| weight(&criterion.code)).sum();
    if whole == 0 || results.is_empty() {
        return None;
    }
    let sum: u64 = results.iter().map(|result| weight(&result.criterion) * u64::from(points(result))).sum();
    u32::try_from((sum * u64::from(HUNDREDTHS) + whole / 2) / whole).ok()
}

/// Whether every required criterion is met; `None`: nothing is required. What has no result is not met.
fn passed(template: &Template, results: &[AssessmentResult]) -> Option<bool> {
    let met = |criterion: &Criterion| {
        let result = results.iter().find(|result| result.criterion == criterion.code);
        result.is_some_and(|result| match criterion.least {
            Some(least) => result.met != Some(false) && points(result) >= least,
            None => result.met(),
        })
    };
    let mut required = template.criteria.iter().filter(|criterion| criterion.required()).peekable();
    required.peek()?;
    Some(required.all(met))
}

/// Points of a result, at most all.
fn points(result: &AssessmentResult) -> u32 {
    result.score.unwrap_or(if result.met() { POINTS } else { 0 }).min(POINTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(code: &str, met: Option<bool>, score: Option<u32>) -> AssessmentResult {
        AssessmentResult { criterion: Some(code.into()), met, score, ..AssessmentResult::default() }
    }

    #[test]
    fn a_score_is_the_weighted_sum() {
        let criterion = |code: &str, weight| Criterion { code: Some(code.into()), weight, ..Criterion::default() };
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

    #[test]
    fn who_passes_meets_all_that_is_required() {
        let criterion = |code: &str, required, least| Criterion {
            code: Some(code.into()),
            required: Some(required),
            least,
            ..Criterion::default()
        };
        let of = |criteria: &[Criterion], results: &[AssessmentResult]| {
            passed(&Template { criteria: criteria.to_vec(), ..Template::default() }, results)
        };
        let three = [criterion("A1", true, Some(60)), criterion("A2", true, None), criterion("A3", false, Some(90))];
        let (enough, met) = (result("A1", None, Some(60)), result("A2", Some(true), None));
        assert_eq!(of(&three, &[enough.clone(), met.clone()]), Some(true));
        assert_eq!(of(&three, &[enough.clone(), met.clone(), result("A3", Some(false), None)]), Some(true));
        assert_eq!(of(&three, std::slice::from_ref(&enough)), Some(false), "what was not looked at is not met");
        assert_eq!(of(&three, &[result("A1", Some(true), Some(59)), met.clone()]), Some(false));
        assert_eq!(of(&three, &[result("A1", Some(false), Some(100)), met.clone()]), Some(false));
        assert_eq!(of(&three, &[result("A1", Some(true), None), met]), Some(true));
        assert_eq!(of(&three, &[enough, result("A2", None, Some(100))]), Some(false), "nobody says that it is met");
        assert_eq!(of(&three[2..], &[]), None, "nothing is required");
    }
}
