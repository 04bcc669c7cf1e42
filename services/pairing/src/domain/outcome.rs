//! Outcomes (结对成效): what a pairing has reached by a report. Both sides may tell the same; it counts once.

use qianshou_kernel::{
    identifier::uscc_form,
    joint,
    kind::{Check, Days, Field, Index, Noun, Referred, Staff, columns},
    sheet::{Choice, Sheet},
};
use qianshou_proto::pairing::v1::{Commitment, Outcome, OutcomeMeasure};

use super::{Commitments, received_key};

static MEASURES: [Choice; 3] = [
    Choice::new("PEOPLE_TRAINED", "培养人数", &["培养人才", "培养社工", "培训人数"]),
    Choice::new("AGENCIES_BUILT", "建成机构", &["培育机构"]),
    Choice::new("PROJECTS", "完成项目", &["项目", "实施项目"]),
];

type F = Field<Outcome>;
static FIELDS: [F; 7] = [
    super::programme::<Outcome>(|outcome| &mut outcome.programme, "牵手计划").required().key(),
    super::batch::<Outcome>(|outcome| &mut outcome.batch),
    F::code("receiving_uscc", "受援机构统一社会信用代码", |outcome| &mut outcome.receiving_uscc, uscc_form)
        .or(&["受援机构信用代码"])
        .required()
        .key()
        .example("914403001922038216"),
    F::choice::<OutcomeMeasure>("measure", "指标", |outcome| &mut outcome.measure, &MEASURES)
        .or(&["成效指标", "指标名称"])
        .required()
        .key()
        .example("培养人数"),
    F::count("value", "数量", |outcome| &mut outcome.value, 0..=1_000_000)
        .or(&["数值", "完成数"])
        .required()
        .example("30"),
    F::day("reported_on", "填报日期", |outcome| &mut outcome.reported_on, Days::Past)
        .or(&["报告日期", "统计日期"])
        .required()
        .key()
        .example("2023-06-30"),
    F::division("division", "受援地区划代码", |outcome| &mut outcome.receiving_division)
        .or(&["受援地区代码", "受援地区"])
        .fills("receiving_division")
        .example("640303"),
];
static SHEET: Sheet = Sheet::new("结对成效", &columns(&FIELDS));

pub(super) fn received(outcome: &Outcome) -> Option<String> {
    let Outcome { programme, batch, receiving_uscc, .. } = outcome;
    received_key(programme.as_deref(), batch.as_deref(), receiving_uscc.as_deref())
}

/// The noun.
pub struct Outcomes;

impl Noun for Outcomes {
    type Record = Outcome;

    const COLLECTION: &'static str = "outcomes";
    const TABLE: &'static str = "pairing_outcomes";
    const OWNERS: &'static [&'static str] = &["agency", "received"];
    const STAFF: Staff = Staff::Keeps;
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(outcome: &mut Outcome, check: &mut Check) {
        if let Some(agency) = super::own_agency(check, &outcome.receiving_uscc) {
            outcome.agency = agency;
        }
        if let Some(half) =
            received(outcome).and_then(|text| check.find_sharing(Commitments::COLLECTION, "received", &text))
        {
            outcome.commitment = half;
        }
        let Outcome { programme, batch, receiving_uscc, reported_on, .. } = &*outcome;
        let measure = outcome.measure().as_str_name();
        outcome.outcome = joint::key(&[
            programme.as_deref(),
            batch.as_deref(),
            receiving_uscc.as_deref(),
            Some(measure),
            reported_on.as_deref(),
        ]);
        outcome.division = Some(check.home.clone());
    }

    fn index(outcome: &Outcome, _blind: Option<&str>) -> Index {
        let state = outcome.measure().as_str_name().trim_start_matches("OUTCOME_MEASURE_");
        Index::new(&outcome.division, state, &None)
            .claim("receiving_uscc", &[outcome.outcome.as_deref()])
            .link("agency", &outcome.agency)
            .link("commitment", &outcome.commitment)
            .shares("received", received(outcome))
    }

    fn counts_at(outcome: &Outcome) -> Option<(&'static str, &str)> {
        Some(("receiving_division", outcome.receiving_division.as_deref()?))
    }

    /// An outcome counts where the receiving agency is.
    fn settle(outcome: &mut Outcome, referred: &Referred<'_>, check: &mut Check) {
        let seat = super::seat(&outcome.agency, referred);
        let half: Option<Commitment> = super::referred_to(&outcome.commitment, referred);
        let agreed = half.and_then(|half| half.receiving_division);
        outcome.receiving_division = outcome.receiving_division.take().or_else(|| seat.clone()).or(agreed);
        check.required("receiving_division", &outcome.receiving_division);
        if let Some(seat) = seat {
            outcome.division = Some(seat);
        }
    }
}
