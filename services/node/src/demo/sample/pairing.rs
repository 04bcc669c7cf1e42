//! The demo's halves: ten pairs of agencies in two batches, 308 people sent to eighty projects, and the money behind it (SF039–SF048).
//!
//! Invented like the registers: the figures are the reports', the people and agencies are the registers' own.

use qianshou_kernel::joint::pairing::terms_digest;
use qianshou_proto::{
    pairing::v1::{
        Allocation, Approval, Arrival, Authority, Batch as Announced, Commitment, Decision, Dispatch, Evaluation,
        EvaluationKind, FundSource, Outcome, OutcomeMeasure, Payment, Programme, Project, ProjectGroup, ProjectStage,
        ProjectStageKind, Receipt, Review, ReviewLevel, Terms,
    },
    registry::v1::{Tag, TagLabel},
};

use super::{PAIRS, Sample};

/// One node's halves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Halves {
    pub tags: Vec<Tag>,
    pub commitments: Vec<Commitment>,
    pub approvals: Vec<Approval>,
    pub outcomes: Vec<Outcome>,
    pub dispatches: Vec<Dispatch>,
    pub arrivals: Vec<Arrival>,
    pub projects: Vec<Project>,
    pub allocations: Vec<Allocation>,
    pub payments: Vec<Payment>,
    pub receipts: Vec<Receipt>,
}

impl Halves {
    /// How many records there are.
    pub(in crate::demo) fn len(&self) -> usize {
        let agreed = self.commitments.len() + self.approvals.len() + self.outcomes.len();
        let worked = self.dispatches.len() + self.arrivals.len() + self.projects.len();
        self.tags.len() + agreed + worked + self.allocations.len() + self.payments.len() + self.receipts.len()
    }
}

const HAND_IN_HAND: &str = "牵手计划";
const THREE_AREAS: &str = "三区计划";
const YEAR: &str = "2023";
/// People sent (SF041).
const SENT: usize = 308;
/// Projects they take part in (SF042).
const PROJECTS: usize = 80;
/// Central money and the province's match, in 分 (SF039, SF040).
const CENTRAL_FEN: i64 = 786_000_000;
const MATCHING_FEN: i64 = 628_000_000;
/// People trained by each pair (SF047).
const TRAINED: u32 = 30;
/// What each paired agency of Ningxia got, in 分, and all of them together.
const GRANT_FEN: i64 = 5_000_000;
pub const PAID_FEN: i64 = GRANT_FEN * PAIRS as i64;

/// A batch: its name, the day it was proposed, reviewed by county and province, approved, begun and, maybe, closed.
struct Batch {
    name: &'static str,
    proposed: &'static str,
    county: &'static str,
    province: &'static str,
    approved: &'static str,
    from: &'static str,
    until: &'static str,
    closed: Option<&'static str>,
}

const BATCHES: [Batch; 2] = [
    Batch {
        name: "第一批",
        proposed: "2020-09-01",
        county: "2020-09-10",
        province: "2020-09-20",
        approved: "2020-10-15",
        from: "2020-11-01",
        until: "2022-10-31",
        closed: Some("2022-12-01"),
    },
    Batch {
        name: "第二批",
        proposed: "2022-10-10",
        county: "2022-10-20",
        province: "2022-11-01",
        approved: "2022-12-05",
        from: "2023-01-01",
        until: "2024-12-31",
        closed: None,
    },
];

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The halves of Fujian, of Ningxia, and the nation's approvals.
#[must_use]
pub fn halves(fujian: &Sample, ningxia: &Sample) -> [Halves; 3] {
    let (mut ours, mut theirs, mut nation) = (Halves::default(), Halves::default(), Halves::default());
    for pair in 0..PAIRS {
        let batch = &BATCHES[pair / (PAIRS / BATCHES.len())];
        let (sender, receiver) = (&fujian.agencies[pair], &ningxia.agencies[pair]);
        let half = Commitment {
            programme: text(HAND_IN_HAND),
            batch: text(batch.name),
            sending_uscc: sender.uscc.clone(),
            receiving_uscc: receiver.uscc.clone(),
            receiving_division: receiver.division.clone(),
            from: text(batch.from),
            until: text(batch.until),
            proposed_on: text(batch.proposed),
            terms: vec![Terms {
                since: text(batch.proposed),
                agencies_built: Some(1),
                people_trained: Some(3),
                projects: Some(1),
                ..Terms::default()
            }],
            evaluations: batch.closed.map(evaluation).into_iter().collect(),
            closed_on: batch.closed.map(str::to_owned),
            ..Commitment::default()
        };
        let reviewed = |level: ReviewLevel, authority: &str, on: &str| Review {
            level: Some(level.into()),
            decision: Some(Decision::Approved.into()),
            authority: text(authority),
            on: text(on),
            reason: None,
        };
        nation.approvals.push(approval(&half, batch.approved));
        let province = vec![reviewed(ReviewLevel::Province, "福建省民政厅", batch.province)];
        ours.commitments.push(Commitment { reviews: province, ..half.clone() });
        let reviews = vec![
            reviewed(ReviewLevel::County, "县（区）民政局", batch.county),
            reviewed(ReviewLevel::Province, "宁夏回族自治区民政厅", batch.province),
        ];
        theirs.commitments.push(Commitment { reviews, ..half });
        let reached = [
            (OutcomeMeasure::PeopleTrained, TRAINED),
            (OutcomeMeasure::AgenciesBuilt, 1),
            (OutcomeMeasure::Projects, 1),
        ]
        .map(|(measure, value)| Outcome {
            programme: text(HAND_IN_HAND),
            batch: text(batch.name),
            receiving_uscc: receiver.uscc.clone(),
            measure: Some(measure.into()),
            value: Some(value),
            reported_on: text("2023-11-30"),
            receiving_division: receiver.division.clone(),
            ..Outcome::default()
        });
        // Both sides tell of the first batch; it counts once.
        ours.outcomes.extend(batch.closed.into_iter().flat_map(|_| reached.clone()));
        theirs.outcomes.extend(reached);
        // Every receiving county is one that the nation helps first (SF045).
        theirs.tags.push(Tag {
            division: receiver.division.as_ref().map(|division| division[..6].to_owned()),
            label: Some(TagLabel::KeyCounty.into()),
            since: text("2020-01-01"),
            ..Tag::default()
        });
    }
    theirs.tags.sort_by(|one, other| one.division.cmp(&other.division));
    theirs.tags.dedup();
    sent(ningxia, &mut theirs);
    money(ningxia, &mut theirs);
    [ours, theirs, nation]
}

/// The nation's programmes, with their rules.
#[must_use]
pub fn programmes() -> Vec<Programme> {
    let authority = |name: &str, since: &str, until: Option<&str>| Authority {
        display_name: text(name),
        since: text(since),
        until: until.map(str::to_owned),
    };
    let announced = |batch: &Batch| Announced {
        title: text(batch.name),
        from: text(batch.from),
        until: text(batch.until),
        ..Announced::default()
    };
    let authorities =
        vec![authority("民政部", "2012-01-01", Some("2023-03-16")), authority("中央社会工作部", "2023-03-16", None)];
    let hand_in_hand = Programme {
        display_name: text(HAND_IN_HAND),
        division: text("00"),
        since: text("2017-10-01"),
        authorities: authorities.clone(),
        batches: BATCHES.iter().map(announced).collect(),
        agencies_built: Some(1),
        people_trained: Some(3),
        projects: Some(1),
        tag: text("KEY_COUNTY"),
        review_levels: [ReviewLevel::County, ReviewLevel::Province, ReviewLevel::Ministry].map(Into::into).to_vec(),
        ..Programme::default()
    };
    let three_areas = Programme {
        display_name: text(THREE_AREAS),
        division: text("00"),
        since: text("2012-01-01"),
        authorities,
        ..Programme::default()
    };
    vec![hand_in_hand, three_areas]
}

fn evaluation(on: &str) -> Evaluation {
    Evaluation { kind: Some(EvaluationKind::Final.into()), score: Some(9_100), on: text(on), note: None }
}

fn approval(half: &Commitment, on: &str) -> Approval {
    Approval {
        programme: half.programme.clone(),
        batch: half.batch.clone(),
        sending_uscc: half.sending_uscc.clone(),
        receiving_uscc: half.receiving_uscc.clone(),
        division: half.receiving_division.clone(),
        terms_digest: half.terms.first().and_then(|terms| terms_digest(half, terms)),
        decision: Some(Decision::Approved.into()),
        on: text(on),
        authority: text("民政部"),
        ..Approval::default()
    }
}

/// Ningxia's own people, sent from its cities to its poorer counties.
fn sent(ningxia: &Sample, halves: &mut Halves) {
    let host = |project: usize| ningxia.agencies[project % PAIRS].division.clone();
    let name = |project: usize| format!("{}第{}号项目", THEMES[project % THEMES.len()], project + 1);
    for project in 0..PROJECTS {
        let step = |stage: ProjectStageKind, on: &str| ProjectStage { stage: Some(stage.into()), on: text(on) };
        halves.projects.push(Project {
            display_name: Some(name(project)),
            agency_uscc: ningxia.agencies[project % PAIRS].uscc.clone(),
            division: host(project),
            group: Some([ProjectGroup::Newcomer, ProjectGroup::Innovation, ProjectGroup::Capacity][project % 3].into()),
            programme: text(THREE_AREAS),
            amount_fen: Some(GRANT_FEN),
            stages: vec![step(ProjectStageKind::Applied, "2023-01-10"), step(ProjectStageKind::Approved, "2023-02-20")],
            ..Project::default()
        });
    }
    let at_work = ningxia.workers.iter().filter(|worker| worker.record.until.is_none());
    for (n, worker) in at_work.take(SENT).enumerate() {
        let project = n % PROJECTS;
        let number = Some(format!("{YEAR}-{:04}", n + 1));
        halves.dispatches.push(Dispatch {
            programme: text(THREE_AREAS),
            year: text(YEAR),
            full_name: worker.record.full_name.clone(),
            id_number: worker.record.id_number.clone(),
            host_division: host(project),
            from: text("2023-03-01"),
            until: text("2024-02-29"),
            projects: vec![name(project)],
            number: number.clone(),
            ..Dispatch::default()
        });
        halves.arrivals.push(Arrival {
            programme: text(THREE_AREAS),
            year: text(YEAR),
            number,
            division: host(project),
            from: text("2023-03-03"),
            service_days: Some(180),
            confirmed: Some(true),
            ..Arrival::default()
        });
    }
}

const THEMES: [&str; 5] = ["银龄陪伴", "童心港湾", "搬迁融入", "助残同行", "社区共治"];

/// Central money, what the province adds, and grants that came in.
fn money(ningxia: &Sample, halves: &mut Halves) {
    let allocation = |source: FundSource, amount_fen| Allocation {
        programme: text(THREE_AREAS),
        year: text(YEAR),
        source: Some(source.into()),
        purpose: text("选派补助"),
        division: text("64"),
        amount_fen: Some(amount_fen),
        ..Allocation::default()
    };
    let matching = Allocation {
        matches: Some(FundSource::Central.into()),
        match_thousandths: Some(799),
        ..allocation(FundSource::ProvincialMatching, MATCHING_FEN)
    };
    halves.allocations = vec![allocation(FundSource::Central, CENTRAL_FEN), matching];
    for (n, agency) in ningxia.agencies[..PAIRS].iter().enumerate() {
        let (payer, voucher) = (text("宁夏回族自治区民政厅"), Some(format!("PZ-{YEAR}-{:04}", n + 1)));
        halves.payments.push(Payment {
            payer: payer.clone(),
            payee_uscc: agency.uscc.clone(),
            programme: text(THREE_AREAS),
            source: Some(FundSource::Central.into()),
            purpose: text("选派补助"),
            amount_fen: Some(GRANT_FEN),
            paid_on: text("2023-05-20"),
            voucher: voucher.clone(),
            division: text("64"),
            ..Payment::default()
        });
        halves.receipts.push(Receipt {
            payer,
            payee_uscc: agency.uscc.clone(),
            amount_fen: Some(GRANT_FEN),
            received_on: text("2023-05-23"),
            voucher,
            division: agency.division.clone(),
            ..Receipt::default()
        });
    }
}
