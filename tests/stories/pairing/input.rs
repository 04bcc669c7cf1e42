//! What is put in wrong: a clear refusal that names the field, nothing written.

use qianshou_kernel::error::Reason;
use qianshou_proto::pairing::v1::{
    Allocation, Approval, Arrival, Commitment, Dispatch, Extension, Lot, Outcome, Payment, Project, ProjectStage,
    Receipt, ReviewLevel, Statement, SupervisedMonth, Terms,
};
use qianshou_tests::{
    World,
    halves::{allocation, approval, arrival, commitment, dispatch, outcome, payment, project, receipt, review},
    refusal::refused,
    sample::{agency, citizen, uscc},
    stories,
};

use crate::registry::input::{Fault, refuse_all};

stories! {
    bad_halves_are_refused_and_nothing_is_written
    bad_money_is_refused_and_nothing_is_written
}

async fn bad_halves_are_refused_and_nothing_is_written(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(agency(2)).await.unwrap();
    admin.create(dispatch(1)).await.unwrap();
    admin.create(arrival(1)).await.unwrap();
    admin.create(outcome(1, 2)).await.unwrap();
    admin.create(project(1)).await.unwrap();

    let commitments: [Fault<Commitment>; 18] = [
        (|c| c.programme = None, Reason::Required, "programme"),
        (|c| c.batch = Some(" ".into()), Reason::Required, "batch"),
        (|c| c.programme = Some("牵\0手".into()), Reason::ControlCharacter, "programme"),
        (|c| c.sending_uscc = None, Reason::Required, "sending_uscc"),
        (|c| c.sending_uscc = Some("9164".into()), Reason::Malformed, "sending_uscc"),
        (|c| c.receiving_uscc = Some("914403001922038217".into()), Reason::CheckDigit, "receiving_uscc"),
        (|c| c.receiving_uscc = Some(uscc(99)), Reason::ReferenceNotFound, "sending_uscc"),
        (|c| c.receiving_uscc = Some(uscc(1)), Reason::Duplicate, "receiving_uscc"),
        (|c| c.side = Some(1), Reason::ReferenceNotFound, "sending_uscc"),
        (|c| c.side = Some(9), Reason::NotInList, "side"),
        (|c| c.receiving_division = Some("64010".into()), Reason::Malformed, "receiving_division"),
        (|c| c.from = None, Reason::Required, "from"),
        (|c| c.until = Some("2022-12-31".into()), Reason::OutOfOrder, "until"),
        (|c| c.closed_on = Some("2022-12-31".into()), Reason::OutOfOrder, "closed_on"),
        (|c| c.reviews = vec![review(ReviewLevel::County, "2024-06-02")], Reason::InFuture, "reviews[0].on"),
        (|c| c.statements = vec![Statement::default()], Reason::Required, "statements[0].kind"),
        (
            |c| c.terms.push(Terms { since: Some("2022-01-01".into()), ..Terms::default() }),
            Reason::OutOfOrder,
            "terms[1].since",
        ),
        (|c| c.terms = vec![Terms::default(); 201], Reason::TooMany, "terms"),
    ];
    let outcomes: [Fault<Outcome>; 6] = [
        (|o| o.value = None, Reason::Required, "value"),
        (|o| o.value = Some(1_000_001), Reason::Malformed, "value"),
        (|o| o.measure = Some(9), Reason::NotInList, "measure"),
        (|o| o.reported_on = Some("2024-06-02".into()), Reason::InFuture, "reported_on"),
        (
            |o| {
                o.receiving_uscc = Some(uscc(98));
                o.receiving_division = None;
            },
            Reason::Required,
            "receiving_division",
        ),
        (|o| o.reported_on = Some("2023-01-02".into()), Reason::Duplicate, "receiving_uscc"),
    ];
    let dispatches: [Fault<Dispatch>; 10] = [
        (|d| d.id_number = None, Reason::Required, "id_number"),
        (|d| d.id_number = Some("11010519491231002X1".into()), Reason::Malformed, "id_number"),
        (|d| d.id_number = Some(citizen(1)), Reason::Duplicate, "id_number"),
        (|d| d.year = Some("23".into()), Reason::Malformed, "year"),
        (|d| d.host_division = None, Reason::Required, "host_division"),
        (|d| d.division = Some("649999".into()), Reason::NotInList, "division"),
        (|d| d.until = Some("2023-03-31".into()), Reason::OutOfOrder, "until"),
        (|d| d.returned_on = Some("2024-04-01".into()), Reason::OutOfOrder, "until"),
        (|d| d.extensions = vec![Extension::default()], Reason::Required, "extensions[0].on"),
        (|d| d.replaces = Some("nodes/64/dispatches/nobody".into()), Reason::ReferenceNotFound, "replaces"),
    ];
    let arrivals: [Fault<Arrival>; 5] = [
        (|a| a.number = None, Reason::Required, "number"),
        (|a| a.number = Some("2023-0001".into()), Reason::Duplicate, "number"),
        (|a| a.service_days = Some(4_001), Reason::Malformed, "service_days"),
        (|a| a.from = Some("2024-06-02".into()), Reason::InFuture, "from"),
        (|a| a.until = Some("2023-04-02".into()), Reason::OutOfOrder, "until"),
    ];
    let projects: [Fault<Project>; 8] = [
        (|p| p.display_name = Some("银龄陪伴1".into()), Reason::Malformed, "agency_uscc"),
        (|p| p.agency_uscc = None, Reason::Required, "agency_uscc"),
        (|p| p.amount_fen = Some(-1), Reason::Malformed, "amount_fen"),
        (|p| p.division = Some("649999".into()), Reason::NotInList, "division"),
        (
            |p| p.stages.push(ProjectStage { stage: Some(3), on: Some("2023-01-01".into()) }),
            Reason::OutOfOrder,
            "stages[2].on",
        ),
        (|p| p.lots = vec![lot(), lot()], Reason::Duplicate, "lots[1].number"),
        (
            |p| p.supervisions = vec![SupervisedMonth { month: Some("2023-05-02".into()), times: Some(1) }],
            Reason::Malformed,
            "supervisions[0].month",
        ),
        (|p| p.group = Some(9), Reason::NotInList, "group"),
    ];
    let before = ningxia.ledger.head().await.unwrap();
    refuse_all(admin, &commitment(1, 2), &commitments).await;
    refuse_all(admin, &outcome(2, 2), &outcomes).await;
    refuse_all(admin, &dispatch(2), &dispatches).await;
    refuse_all(admin, &arrival(2), &arrivals).await;
    let wrong = Project { agency_uscc: Some("1".into()), ..project(2) };
    refuse_all(admin, &wrong, &projects[..1]).await;
    refuse_all(admin, &project(2), &projects[1..]).await;
    refused(admin.create(approval(&commitment(1, 2), "2023-03-01")).await, Reason::NotHome, "name");
    assert_eq!(ningxia.ledger.head().await.unwrap(), before, "nothing was written");

    let nation = world.node("00").await;
    let approvals: [Fault<Approval>; 4] = [
        (|a| a.terms_digest = Some("abc".into()), Reason::Malformed, "terms_digest"),
        (|a| a.decision = None, Reason::Required, "decision"),
        (|a| a.on = Some("2024-06-02".into()), Reason::InFuture, "on"),
        (|a| a.sending_uscc = Some("1".into()), Reason::Malformed, "sending_uscc"),
    ];
    refuse_all(&nation.admin, &approval(&commitment(1, 2), "2023-03-01"), &approvals).await;
}

fn lot() -> Lot {
    Lot { number: Some("1".into()), division: Some("640202".into()), ..Lot::default() }
}

async fn bad_money_is_refused_and_nothing_is_written(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(allocation(1)).await.unwrap();
    admin.create(payment(1)).await.unwrap();
    admin.create(receipt(1)).await.unwrap();
    let allocations: [Fault<Allocation>; 7] = [
        (|a| a.amount_fen = None, Reason::Required, "amount_fen"),
        (|a| a.amount_fen = Some(-1), Reason::Malformed, "amount_fen"),
        (|a| a.amount_fen = Some(i64::MAX), Reason::Malformed, "amount_fen"),
        (|a| a.source = None, Reason::Required, "source"),
        (|a| a.year = Some("2023上".into()), Reason::Malformed, "year"),
        (|a| a.until = Some("2022-12-31".into()), Reason::OutOfOrder, "until"),
        (|a| a.purpose = Some("选派补助1".into()), Reason::Duplicate, "division"),
    ];
    let payments: [Fault<Payment>; 6] = [
        (|p| p.payer = None, Reason::Required, "payer"),
        (|p| p.amount_fen = Some(0), Reason::Malformed, "amount_fen"),
        (|p| p.paid_on = Some("2024-06-02".into()), Reason::InFuture, "paid_on"),
        (|p| p.voucher = Some("PZ-00001".into()), Reason::Duplicate, "voucher"),
        (|p| p.source = Some(99), Reason::NotInList, "source"),
        (|p| p.payee_uscc = Some("914403001922038217".into()), Reason::CheckDigit, "payee_uscc"),
    ];
    let receipts: [Fault<Receipt>; 4] = [
        (|r| r.amount_fen = None, Reason::Required, "amount_fen"),
        (|r| r.received_on = Some("2024-06-02".into()), Reason::InFuture, "received_on"),
        (|r| r.voucher = Some("PZ-00001".into()), Reason::Duplicate, "voucher"),
        (|r| r.division = Some("64010".into()), Reason::Malformed, "division"),
    ];
    let before = ningxia.ledger.head().await.unwrap();
    refuse_all(admin, &allocation(2), &allocations).await;
    refuse_all(admin, &payment(2), &payments).await;
    refuse_all(admin, &receipt(2), &receipts).await;
    assert_eq!(ningxia.ledger.head().await.unwrap(), before, "nothing was written");
}
