//! Records that pairing takes, told apart by a number.

use qianshou_kernel::joint::pairing::terms_digest;
use qianshou_proto::pairing::v1::{
    Acceptance, AcceptanceDecision, Activity, ActivityKind, Allocation, Approval, Arrival, Authority, Batch,
    ClientCount, Commitment, Decision, Delivery, Dispatch, Evaluation, EvaluationKind, FundSource, Instalment,
    JointGoal, Lot, Measure, Need, Offer, Order, Outcome, OutcomeMeasure, PartyType, Payment, Programme, Project,
    ProjectEvaluation, ProjectGroup, ProjectStage, ProjectStageKind, Receipt, Review, ReviewLevel, ServiceCount,
    ServiceMethod, Statement, StatementKind, Terms,
};

use crate::sample::{citizen, full_name, uscc};

/// The programme of the pairings.
pub const HAND_IN_HAND: &str = "牵手计划";
/// The programme of the dispatches.
pub const THREE_AREAS: &str = "三区计划";

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A half of the pairing of these two agencies; whose, its node finds out.
#[must_use]
pub fn commitment(sending: u32, receiving: u32) -> Commitment {
    Commitment {
        programme: text(HAND_IN_HAND),
        batch: text("第一批"),
        sending_uscc: Some(uscc(sending)),
        receiving_uscc: Some(uscc(receiving)),
        receiving_division: text("640104"),
        from: text("2023-01-01"),
        until: text("2024-12-31"),
        terms: vec![Terms { since: text("2023-01-01"), people_trained: Some(3), ..Terms::default() }],
        ..Commitment::default()
    }
}

/// The ministry's approval of the newest terms of a half.
#[must_use]
pub fn approval(of: &Commitment, on: &str) -> Approval {
    let terms = of.terms.last().unwrap();
    Approval {
        programme: of.programme.clone(),
        batch: of.batch.clone(),
        sending_uscc: of.sending_uscc.clone(),
        receiving_uscc: of.receiving_uscc.clone(),
        division: of.receiving_division.clone(),
        terms_digest: terms_digest(of, terms),
        decision: Some(Decision::Approved.into()),
        on: text(on),
        authority: text("民政部"),
        ..Approval::default()
    }
}

/// That a level approves.
#[must_use]
pub fn review(level: ReviewLevel, on: &str) -> Review {
    Review {
        level: Some(level.into()),
        decision: Some(Decision::Approved.into()),
        authority: text("自治区民政厅"),
        on: text(on),
        ..Review::default()
    }
}

/// A statement of one side.
#[must_use]
pub fn statement(kind: StatementKind, on: &str) -> Statement {
    Statement { kind: Some(kind.into()), on: text(on), reason: text("培养人数") }
}

/// The evaluation at the end.
#[must_use]
pub fn evaluation(on: &str) -> Evaluation {
    Evaluation { kind: Some(EvaluationKind::Final.into()), score: Some(8_650), on: text(on), ..Evaluation::default() }
}

/// People trained by the pairing of this receiving agency.
#[must_use]
pub fn outcome(n: u32, receiving: u32) -> Outcome {
    Outcome {
        programme: text(HAND_IN_HAND),
        batch: text("第一批"),
        receiving_uscc: Some(uscc(receiving)),
        measure: Some(OutcomeMeasure::PeopleTrained.into()),
        value: Some(30),
        reported_on: Some(day(n)),
        receiving_division: text("640104"),
        ..Outcome::default()
    }
}

/// A dispatch to a county of Ningxia.
#[must_use]
pub fn dispatch(n: u32) -> Dispatch {
    Dispatch {
        programme: text(THREE_AREAS),
        year: text("2023"),
        full_name: Some(full_name(n)),
        id_number: Some(citizen(n)),
        host_division: text("640202"),
        from: text("2023-04-01"),
        until: text("2024-03-31"),
        projects: vec![format!("银龄陪伴{}", n / 4)],
        number: Some(format!("2023-{n:04}")),
        ..Dispatch::default()
    }
}

/// The host's half of that dispatch.
#[must_use]
pub fn arrival(n: u32) -> Arrival {
    Arrival {
        programme: text(THREE_AREAS),
        year: text("2023"),
        number: Some(format!("2023-{n:04}")),
        division: text("640202"),
        from: text("2023-04-03"),
        service_days: Some(120),
        confirmed: Some(true),
        ..Arrival::default()
    }
}

/// A project that was approved.
#[must_use]
pub fn project(n: u32) -> Project {
    let step = |stage: ProjectStageKind, on: &str| ProjectStage { stage: Some(stage.into()), on: text(on) };
    Project {
        display_name: Some(format!("银龄陪伴{n}")),
        agency_uscc: Some(uscc(n)),
        division: text("640202"),
        group: Some(ProjectGroup::Innovation.into()),
        stage: Some(ProjectStageKind::Approved.into()),
        approved_on: text("2023-03-20"),
        amount_fen: Some(5_000_050),
        programme: text(THREE_AREAS),
        stages: vec![step(ProjectStageKind::Applied, "2023-02-01"), step(ProjectStageKind::Approved, "2023-03-20")],
        ..Project::default()
    }
}

/// What a purchase and the work of a project add to it: a lot with its contract, instalments, counts and what came of it all.
#[must_use]
pub fn worked(project: Project) -> Project {
    let due = |stage: ProjectStageKind, on: &str, fen| Instalment {
        stage: Some(stage.into()),
        due_on: text(on),
        amount_fen: Some(fen),
    };
    let lot = Lot {
        number: text("1"),
        division: text("640202"),
        amount_fen: Some(5_000_005),
        awarded_uscc: project.agency_uscc.clone(),
        awarded_on: text("2023-03-10"),
        contract: text("HT-2023-1"),
        contracted_on: text("2023-03-15"),
    };
    let evaluated = ProjectEvaluation {
        kind: Some(EvaluationKind::Midterm.into()),
        score: Some(0),
        on: text("2023-10-20"),
        evaluator: text("自治区社会工作协会"),
        note: None,
    };
    Project {
        notice: text("GG-1"),
        notice_on: text("2023-03-01"),
        lots: vec![lot],
        instalments: vec![
            due(ProjectStageKind::Approved, "2023-04-01", 3_000_050),
            due(ProjectStageKind::Evaluated, "2024-04-01", 2_000_000),
        ],
        services: vec![service("2023-05-01", 12), service("2023-06-01", 0)],
        effects: vec![measure("服务对象满意度", Some(0)), measure("志愿者留任率", None)],
        performance: vec![measure("服务人次", Some(5_230))],
        evaluations: vec![evaluated],
        ..project
    }
}

/// Casework with the old of a month.
#[must_use]
pub fn service(month: &str, count: u32) -> ServiceCount {
    let method = Some(ServiceMethod::Case.into());
    ServiceCount { method, clients: text("老年人"), count: Some(count), month: text(month) }
}

/// What was to be reached, and what was.
#[must_use]
pub fn measure(of: &str, value: Option<u32>) -> Measure {
    let on = value.and(text("2023-12-20"));
    Measure { measure: text(of), unit: text("%"), target: Some(90), value, on }
}

/// Central money, told apart by its purpose.
#[must_use]
pub fn allocation(n: u32) -> Allocation {
    Allocation {
        programme: text(THREE_AREAS),
        year: text("2023"),
        source: Some(FundSource::Central.into()),
        purpose: Some(format!("选派补助{n}")),
        division: text("64"),
        amount_fen: Some(786_000_000),
        from: text("2023-01-01"),
        until: text("2023-12-31"),
        performance: vec![measure("选派人数", Some(308))],
        ..Allocation::default()
    }
}

/// A payment, told apart by its voucher.
#[must_use]
pub fn payment(n: u32) -> Payment {
    Payment {
        payer: text("自治区民政厅"),
        payee_uscc: Some(uscc(1)),
        programme: text(THREE_AREAS),
        source: Some(FundSource::Central.into()),
        project: Some(format!("银龄陪伴{n}")),
        purpose: text("选派补助0"),
        amount_fen: Some(2_000_050),
        paid_on: text("2023-05-20"),
        voucher: Some(format!("PZ-{n:05}")),
        division: text("64"),
        ..Payment::default()
    }
}

/// The receipt of that payment.
#[must_use]
pub fn receipt(n: u32) -> Receipt {
    let Payment { payer, payee_uscc, amount_fen, voucher, .. } = payment(n);
    let division = text("64");
    Receipt { payer, payee_uscc, amount_fen, voucher, received_on: text("2023-05-22"), division, ..Receipt::default() }
}

/// A programme of Ningxia's own, with rules.
#[must_use]
pub fn programme(n: u32) -> Programme {
    let authority = |name: &str, since: &str| Authority { display_name: text(name), since: text(since), until: None };
    Programme {
        display_name: Some(format!("山海协作{n}")),
        division: text("64"),
        since: text("2020-01-01"),
        authorities: vec![authority("自治区民政厅", "2020-01-01"), authority("自治区党委社会工作部", "2023-06-01")],
        batches: vec![Batch { title: text("第一批"), from: text("2023-01-01"), ..Batch::default() }],
        people_trained: Some(3),
        non_profit: Some(true),
        tag: text("KEY_COUNTY"),
        months_least: Some(12),
        months_most: Some(24),
        ..Programme::default()
    }
}

/// The nation's programme of the pairings: everybody reviews them.
#[must_use]
pub fn hand_in_hand() -> Programme {
    let batch = |title: &str| Batch { title: text(title), from: text("2023-01-01"), ..Batch::default() };
    Programme {
        display_name: text(HAND_IN_HAND),
        division: text("00"),
        since: text("2017-10-01"),
        batches: ["第一批", "第二批", "第三批"].map(batch).to_vec(),
        review_levels: [ReviewLevel::County, ReviewLevel::Province, ReviewLevel::Ministry].map(Into::into).to_vec(),
        ..Programme::default()
    }
}

/// A visit of a pair.
#[must_use]
pub fn activity(n: u32) -> Activity {
    Activity {
        programme: text(HAND_IN_HAND),
        batch: text("第一批"),
        receiving_uscc: Some(uscc(n)),
        kind: Some(ActivityKind::Visit.into()),
        goals: vec![JointGoal::Resources.into(), JointGoal::People.into()],
        title: text("互访交流"),
        held_on: Some(day(n)),
        persons: Some(12),
        volunteers: Some(0),
        workers: Some(6),
        clients: vec![ClientCount { clients: text("老年人"), persons: Some(30) }],
        division: text("640202"),
        sending_uscc: Some(uscc(n + 1)),
        ..Activity::default()
    }
}

/// Something that an agency offers.
#[must_use]
pub fn offer(n: u32) -> Offer {
    Offer {
        party: Some(format!("同心社工服务中心{n}")),
        party_type: Some(PartyType::Organisation.into()),
        title: text("助老陪伴"),
        kind: text("养老服务"),
        division: text("640202"),
        quantity: Some(n + 1),
        from: text("2023-01-01"),
        ..Offer::default()
    }
}

/// Something that a community needs.
#[must_use]
pub fn need(n: u32) -> Need {
    Need {
        party: Some(format!("罗山社区{n}")),
        party_type: Some(PartyType::Community.into()),
        title: text("助老陪伴"),
        kind: text("养老服务"),
        division: text("640202"),
        quantity: Some(10),
        from: text("2023-03-01"),
        until: text("2023-12-31"),
        ..Need::default()
    }
}

/// An order of Fujian's offer for this need.
#[must_use]
pub fn order(n: u32, need: &str) -> Order {
    Order {
        offer: Some(format!("nodes/35/offers/{n}")),
        need: text(need),
        quantity: Some(5),
        ordered_on: text("2023-05-01"),
        division: text("64"),
        ..Order::default()
    }
}

/// The offerer's answer to an order: it is taken on, and some of it is done.
#[must_use]
pub fn acceptance(order: &str) -> Acceptance {
    Acceptance {
        order: text(order),
        decision: Some(AcceptanceDecision::Taken.into()),
        on: text("2023-05-03"),
        deliveries: vec![Delivery { on: text("2023-05-10"), quantity: Some(2), note: None }],
        ..Acceptance::default()
    }
}

/// A day for each number, before the stories' own.
fn day(n: u32) -> String {
    format!("2023-{:02}-{:02}", 1 + n / 28 % 12, 1 + n % 28)
}
