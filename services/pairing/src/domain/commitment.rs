//! Commitments (结对承诺): one side's half of a pairing. It names exactly one counterpart by its code; an agency of this node has one half a
//! batch that is not closed, whichever side it is on.

use qianshou_kernel::{
    clock::parse_day,
    error::Reason,
    id::Area,
    identifier::uscc_form,
    identity::Caller,
    joint::pairing::{cohort_key, pairing_key, speaker_key, terms_digest},
    kind::{Check, Days, Field, Index, Judged, Noun, Parts, Referred, Staff, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::{
    pairing::v1::{
        Commitment, Decision, Evaluation, EvaluationKind, Programme, Review, ReviewLevel, Side, Statement,
        StatementKind, Terms,
    },
    registry::v1::{Agency, AgencyType},
};
use time::Date;

use super::{
    DECISIONS, own_agency,
    programme::{LEVELS, Programmes, TITLE},
    received_key, referred_to,
};

static SIDES: [Choice; 3] = [
    Choice::new("SENDING", "援派", &["援派方", "派出"]),
    Choice::new("RECEIVING", "受援", &["受援方", "接收"]),
    Choice::new("BOTH", "双方", &["两方", "省内双方"]),
];
static KINDS: [Choice; 4] = [
    Choice::new("SUSPENDED", "中止", &["暂停"]),
    Choice::new("RESUMED", "恢复", &[]),
    Choice::new("DISPUTED", "异议", &["争议"]),
    Choice::new("SETTLED", "异议消除", &["争议解决"]),
];
static WHENS: [Choice; 2] =
    [Choice::new("MIDTERM", "中期", &["中期评估"]), Choice::new("FINAL", "终期", &["终期评估", "期末"])];

type T = Field<Terms>;
static TERM: [T; 6] = [
    T::day("since", "生效日期", |terms| &mut terms.since, Days::Any).required(),
    T::count("agencies_built", "建成机构", |terms| &mut terms.agencies_built, 0..=1_000),
    T::count("people_trained", "培养人数", |terms| &mut terms.people_trained, 0..=100_000),
    T::count("projects", "完成项目", |terms| &mut terms.projects, 0..=1_000),
    T::text("digest", "校验", |terms| &mut terms.digest),
    T::last_day("until", "结束日期", |terms| &mut terms.until),
];
static TERM_COLUMNS: [Column; 6] = columns(&TERM);
static TERMS: Parts<Commitment, Terms> = Parts { at: |commitment| &mut commitment.terms, fields: &TERM };

type V = Field<Review>;
static REVIEW: [V; 5] = [
    V::choice::<ReviewLevel>("level", "层级", |review| &mut review.level, &LEVELS).required(),
    V::choice::<Decision>("decision", "意见", |review| &mut review.decision, &DECISIONS).required(),
    V::text("authority", "审核单位", |review| &mut review.authority),
    V::day("on", "日期", |review| &mut review.on, Days::Past).required(),
    V::text("reason", "理由", |review| &mut review.reason),
];
static REVIEW_COLUMNS: [Column; 5] = columns(&REVIEW);
static REVIEWS: Parts<Commitment, Review> = Parts { at: |commitment| &mut commitment.reviews, fields: &REVIEW };

type S = Field<Statement>;
static STATEMENT: [S; 3] = [
    S::choice::<StatementKind>("kind", "类型", |statement| &mut statement.kind, &KINDS).required(),
    S::day("on", "日期", |statement| &mut statement.on, Days::Any).required(),
    S::text("reason", "理由", |statement| &mut statement.reason),
];
static STATEMENT_COLUMNS: [Column; 3] = columns(&STATEMENT);
static STATEMENTS: Parts<Commitment, Statement> =
    Parts { at: |commitment| &mut commitment.statements, fields: &STATEMENT };

type E = Field<Evaluation>;
static EVALUATION: [E; 4] = [
    E::choice::<EvaluationKind>("kind", "类型", |evaluation| &mut evaluation.kind, &WHENS).required(),
    E::count("score", "得分（百分之一分）", |evaluation| &mut evaluation.score, 0..=10_000),
    E::day("on", "日期", |evaluation| &mut evaluation.on, Days::Past).required(),
    E::text("note", "说明", |evaluation| &mut evaluation.note),
];
static EVALUATION_COLUMNS: [Column; 4] = columns(&EVALUATION);
static EVALUATIONS: Parts<Commitment, Evaluation> =
    Parts { at: |commitment| &mut commitment.evaluations, fields: &EVALUATION };

type F = Field<Commitment>;
static FIELDS: [F; 16] = [
    super::programme::<Commitment>(|commitment| &mut commitment.programme, "牵手计划").required().key(),
    super::batch::<Commitment>(|commitment| &mut commitment.batch),
    F::code("sending_uscc", "援派机构统一社会信用代码", |commitment| &mut commitment.sending_uscc, uscc_form)
        .or(&["援派机构信用代码", "派出机构统一社会信用代码"])
        .required()
        .key()
        .example("91350100M000100Y43"),
    F::code("receiving_uscc", "受援机构统一社会信用代码", |commitment| &mut commitment.receiving_uscc, uscc_form)
        .or(&["受援机构信用代码", "接收机构统一社会信用代码"])
        .required()
        .key()
        .example("914403001922038216"),
    F::division("division", "受援地区划代码", |commitment| &mut commitment.receiving_division)
        .or(&["受援地区代码", "受援地区", "受援县区划代码"])
        .fills("receiving_division")
        .required()
        .example("640303"),
    F::day("from", "开始日期", |commitment| &mut commitment.from, Days::Any)
        .or(&["起始日期", "结对开始日期", "开始时间"])
        .required()
        .example("2022-05-01"),
    F::last_day("until", "结束日期", |commitment| &mut commitment.until)
        .or(&["终止日期", "结对结束日期", "结束时间"])
        .example("2024-04-30"),
    F::choice::<Side>("side", "结对角色", |commitment| &mut commitment.side, &SIDES).or(&["角色", "承诺方"]),
    F::parts("terms", "最低任务", &TERMS, &TERM_COLUMNS).or(&["任务", "协议任务"]).example("2022-05-01｜1｜3｜1"),
    F::day("proposed_on", "提出日期", |commitment| &mut commitment.proposed_on, Days::Any).or(&["申报日期"]),
    F::parts("reviews", "审核记录", &REVIEWS, &REVIEW_COLUMNS)
        .or(&["审核"])
        .example("省级｜同意｜自治区民政厅｜2022-04-10"),
    F::parts("statements", "过程记录", &STATEMENTS, &STATEMENT_COLUMNS),
    F::parts("evaluations", "评估记录", &EVALUATIONS, &EVALUATION_COLUMNS).or(&["评估"]),
    F::day("closed_on", "结对终止日期", |commitment| &mut commitment.closed_on, Days::Past).or(&["结项日期"]),
    F::text("close_reason", "终止原因", |commitment| &mut commitment.close_reason),
    F::choices::<ReviewLevel>("review_levels", "审核层级", |commitment| &mut commitment.review_levels, &LEVELS),
];
static SHEET: Sheet = Sheet::new("机构结对", &columns(&FIELDS)).called("pairings");

/// The text that it shares with the outcomes of its receiving agency.
pub fn received(commitment: &Commitment) -> Option<String> {
    let Commitment { programme, batch, receiving_uscc, .. } = commitment;
    received_key(programme.as_deref(), batch.as_deref(), receiving_uscc.as_deref())
}

/// The noun.
pub struct Commitments;

impl Noun for Commitments {
    type Record = Commitment;

    const COLLECTION: &'static str = "commitments";
    const TABLE: &'static str = "pairing_commitments";
    const OWNERS: &'static [&'static str] = &["agency", "pairing"];
    const STAFF: Staff = Staff::Keeps;
    /// Where there is a programme, it decides on the levels.
    const JUDGED: &'static [Judged<Commitment>] = &[
        ("reviews", |before, after| before.reviews == after.reviews),
        ("evaluations", |before, after| before.evaluations == after.evaluations),
        ("review_levels", |before, after| after.rules.is_some() || before.review_levels == after.review_levels),
    ];
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);
    const INDEX_LEVEL: i64 = 2;

    fn check(commitment: &mut Commitment, check: &mut Check) {
        if commitment.sending_uscc.is_some() && commitment.sending_uscc == commitment.receiving_uscc {
            return check.refuse("receiving_uscc", Reason::Duplicate, "sending_uscc");
        }
        take_side(commitment, check);
        // The rules of the programme hold if it is here: that of this node's own area before the nation's.
        if let Some(title) = commitment.programme.as_deref() {
            let homes = [check.home.clone(), Area::NATION.to_owned()];
            let [own, nations] =
                homes.map(|home| check.find_claimed(&home, Programmes::COLLECTION, TITLE, &[title, &home]));
            if let (Some(own), Some(nations)) = (own, nations) {
                commitment.rules = own.or(nations);
            }
        }
        let Commitment { programme, batch, sending_uscc, receiving_uscc, from, .. } = &*commitment;
        let (programme, batch) = (programme.as_deref(), batch.as_deref());
        let pairing = pairing_key(programme, batch, sending_uscc.as_deref(), receiving_uscc.as_deref());
        let (cohort, from) = (cohort_key(programme, batch), from.clone());
        (commitment.pairing, commitment.cohort) = (pairing, cohort);
        if commitment.terms.is_empty() {
            commitment.terms.push(Terms { since: from.clone(), ..Terms::default() });
        }
        // An amendment that does not speak of the last day leaves it as it was.
        let mut until = None;
        for terms in &mut commitment.terms {
            until = terms.until.clone().or(until);
            terms.until = until.clone();
        }
        let digests: Vec<Option<String>> =
            commitment.terms.iter().map(|terms| terms_digest(commitment, terms)).collect();
        commitment.terms.iter_mut().zip(digests).for_each(|(terms, digest)| terms.digest = digest);
        commitment.proposed_on = commitment.proposed_on.take().or(from);
        let Commitment { from, until, proposed_on, closed_on, terms, statements, .. } = &*commitment;
        check.in_order(("until", until), ("from", from));
        check.in_order(("closed_on", closed_on), ("proposed_on", proposed_on));
        super::in_their_order(check, ("terms", "since"), terms.iter().map(|terms| &terms.since));
        super::in_their_order(check, ("statements", "on"), statements.iter().map(|statement| &statement.on));
        for (i, terms) in terms.iter().enumerate() {
            check.in_order((&format!("terms[{i}].until"), &terms.until), ("from", from));
        }
        for (i, review) in commitment.reviews.iter().enumerate() {
            if review.level() == ReviewLevel::Ministry {
                check.refuse(&format!("reviews[{i}].level"), Reason::NotInList, "COUNTY, PROVINCE");
            }
        }
    }

    fn index(commitment: &Commitment, _blind: Option<&str>) -> Index {
        let Commitment { programme, batch, sending_uscc, receiving_uscc, closed_on, .. } = commitment;
        let state = if closed_on.is_some() { "CLOSED" } else { "OPEN" };
        let (programme, batch) = (programme.as_deref(), batch.as_deref());
        let mut index = Index::new(&commitment.division, state, &commitment.pairing)
            .link("agency", &commitment.agency)
            .link("sending_agency", &commitment.sending_agency)
            .link("rules", &commitment.rules)
            .shares("pairing", commitment.pairing.clone())
            .shares("received", received(commitment));
        let sides =
            [(Side::Sending, "sending_uscc", sending_uscc), (Side::Receiving, "receiving_uscc", receiving_uscc)];
        for (_, field, own) in sides.into_iter().filter(|(side, ..)| [*side, Side::Both].contains(&commitment.side())) {
            // Both halves may be at one node.
            let key = [programme, batch, sending_uscc.as_deref(), receiving_uscc.as_deref(), Some(field)];
            index =
                index.claim("receiving_uscc", &key).shares("speaker", speaker_key(programme, batch, own.as_deref()));
            // One half a batch that is not closed: the other side of "one to one" is the counterpart's own claim.
            if closed_on.is_none() && !commitment.several() {
                index = index.claim("batch", &[programme, batch, own.as_deref()]);
            }
        }
        index
    }

    /// A half belongs to the place of its agency, which does not work for profit.
    fn settle(commitment: &mut Commitment, referred: &Referred<'_>, check: &mut Check) {
        let rules: Option<Programme> = referred_to(&commitment.rules, referred);
        if let Some(rules) = &rules {
            keep_to(rules, commitment, check);
            commitment.review_levels.clone_from(&rules.review_levels);
        }
        let rules = rules.unwrap_or_default();
        commitment.several = (rules.one_a_batch == Some(false)).then_some(true);
        let mut admit = |field, agency: &Option<String>| {
            let agency: Option<Agency> = referred_to(agency, referred);
            let for_profit = agency.is_some_and(|agency| agency.r#type() == AgencyType::Enterprise);
            if for_profit && rules.non_profit.unwrap_or(true) {
                check.refuse(field, Reason::NotInList, "agencies that do not work for profit | 非营利机构");
            }
        };
        admit(if commitment.side() == Side::Sending { "sending_uscc" } else { "receiving_uscc" }, &commitment.agency);
        admit("sending_uscc", &commitment.sending_agency);
        let seat = |agency: &Option<String>| super::seat(agency, referred);
        commitment.division = seat(&commitment.agency).or(commitment.division.take());
        commitment.sending_division = seat(&commitment.sending_agency);
    }

    /// A province's review is written by whoever answers for the province, not by a county.
    fn admit(commitment: &Commitment, before: Option<&Commitment>, caller: &Caller, check: &mut Check) {
        let Some(area) = Area::parse(&caller.area) else { return };
        let stood = |review: &Review| before.is_some_and(|before| before.reviews.contains(review));
        for (i, review) in commitment.reviews.iter().enumerate() {
            if review.level() == ReviewLevel::Province && area.as_str().len() > 2 && !stood(review) {
                check.refuse(&format!("reviews[{i}].level"), Reason::AreaForbidden, area.as_str());
            }
        }
    }
}

/// Says where a half does not keep to its programme's rules. What it does not speak of is not below any minimum.
fn keep_to(rules: &Programme, commitment: &Commitment, check: &mut Check) {
    for (i, terms) in commitment.terms.iter().enumerate() {
        for (field, agreed, least) in [
            ("agencies_built", terms.agencies_built, rules.agencies_built),
            ("people_trained", terms.people_trained, rules.people_trained),
            ("projects", terms.projects, rules.projects),
        ] {
            if let (Some(agreed), Some(least)) = (agreed, least)
                && agreed < least
            {
                let detail = format!("at least {least} | 至少 {least}");
                check.refuse(&format!("terms[{i}].{field}"), Reason::Malformed, detail);
            }
        }
    }
    let batches = &rules.batches;
    if !batches.is_empty() && batches.iter().all(|batch| batch.title != commitment.batch) {
        check.refuse("batch", Reason::NotInList, "the programme's batches | 该计划的批次");
    }
    if let Some(from) = &commitment.from {
        let (since, until) = (rules.since.as_ref(), rules.until.as_ref());
        if since.is_some_and(|since| from < since) || until.is_some_and(|until| until <= from) {
            let open = |day: Option<&String>| day.map_or("…".to_owned(), String::clone);
            check.refuse("from", Reason::OutOfOrder, format!("{} – {}", open(since), open(until)));
        }
    }
    let day = |text: &Option<String>| text.as_deref().and_then(parse_day);
    if let (Some(from), Some(until)) = (day(&commitment.from), day(&commitment.until).and_then(Date::next_day)) {
        let months =
            (until.year() - from.year()) * 12 + i32::from(u8::from(until.month())) - i32::from(u8::from(from.month()));
        let whole = if until.day() < from.day() { months - 1 } else { months };
        let below = rules.months_least.is_some_and(|least| i64::from(whole) < i64::from(least));
        let above = rules.months_most.is_some_and(|most| {
            i64::from(whole) > i64::from(most) || (i64::from(whole) == i64::from(most) && until.day() != from.day())
        });
        if below || above {
            let (least, most) = (rules.months_least.unwrap_or(0), rules.months_most.unwrap_or(600));
            check.refuse("until", Reason::Malformed, format!("{least}–{most} months | {least}–{most} 个月"));
        }
    }
}

/// Finds out which half it is: that of the agency which is this node's, or both.
fn take_side(commitment: &mut Commitment, check: &mut Check) {
    let sending = own_agency(check, &commitment.sending_uscc);
    let receiving = own_agency(check, &commitment.receiving_uscc);
    let (Some(sending), Some(receiving)) = (sending, receiving) else { return };
    let codes = [&commitment.sending_uscc, &commitment.receiving_uscc];
    if codes.iter().any(|code| code.as_deref().is_none_or(|code| qianshou_kernel::identifier::uscc(code).is_err())) {
        return;
    }
    let side = match (commitment.side(), &sending, &receiving) {
        (Side::Unspecified, Some(_), Some(_)) => Side::Both,
        (Side::Unspecified, Some(_), None) => Side::Sending,
        (Side::Unspecified, None, Some(_)) => Side::Receiving,
        (Side::Unspecified, None, None) => Side::Sending,
        (given, ..) => given,
    };
    if sending.is_none() && side != Side::Receiving {
        return check.refuse("sending_uscc", Reason::ReferenceNotFound, super::AGENCIES);
    }
    if receiving.is_none() && side != Side::Sending {
        return check.refuse("receiving_uscc", Reason::ReferenceNotFound, super::AGENCIES);
    }
    commitment.side = Some(side.into());
    (commitment.agency, commitment.sending_agency) = match side {
        Side::Sending => (sending, None),
        Side::Both => (receiving, sending),
        _ => (receiving, None),
    };
}
