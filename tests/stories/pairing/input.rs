//! What is put in wrong: a clear refusal that names the field, nothing written.

use qianshou_kernel::error::Reason;
use qianshou_proto::pairing::v1::{
    Acceptance, Activity, Allocation, Approval, Arrival, Commitment, Delivery, Dispatch, Extension, Lot, Meeting, Need,
    Offer, Order, Outcome, Payment, Project, ProjectStage, Receipt, ReviewLevel, Statement, SupervisedMonth, Terms,
};
use qianshou_tests::{
    World,
    halves::{
        acceptance, activity, allocation, approval, arrival, commitment, dispatch, measure, need, offer, order,
        outcome, payment, project, receipt, review, service, worked,
    },
    refusal::refused,
    sample::{agency, citizen, uscc},
    stories,
};

use crate::registry::input::{Fault, refuse_all};

stories! {
    bad_halves_are_refused_and_nothing_is_written
    bad_projects_are_refused_and_nothing_is_written
    bad_money_is_refused_and_nothing_is_written
    bad_linkage_is_refused_and_nothing_is_written
}

async fn bad_halves_are_refused_and_nothing_is_written(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(agency(2)).await.unwrap();
    admin.create(dispatch(1)).await.unwrap();
    admin.create(arrival(1)).await.unwrap();
    admin.create(outcome(1, 2)).await.unwrap();

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
    let dispatches: [Fault<Dispatch>; 13] = [
        (|d| d.id_number = None, Reason::Required, "id_number"),
        (|d| d.id_number = Some("11010519491231002X1".into()), Reason::Malformed, "id_number"),
        (|d| d.id_number = Some(citizen(1)), Reason::Duplicate, "id_number"),
        (|d| d.year = Some("23".into()), Reason::Malformed, "year"),
        (|d| d.host_division = None, Reason::Required, "host_division"),
        (|d| d.division = Some("649999".into()), Reason::NotInList, "division"),
        (|d| d.until = Some("2023-03-31".into()), Reason::OutOfOrder, "until"),
        (|d| d.returned_on = Some("2024-04-01".into()), Reason::OutOfOrder, "until"),
        (|d| d.extensions = vec![Extension::default()], Reason::Required, "extensions[0].on"),
        (|d| d.extensions = vec![extension("2024-03-30")], Reason::OutOfOrder, "extensions[0].until"),
        (
            |d| d.extensions = vec![extension("2024-05-31"), extension("2024-04-30")],
            Reason::OutOfOrder,
            "extensions[1].until",
        ),
        (|d| d.number = Some("2023-0001".into()), Reason::Duplicate, "number"),
        (|d| d.replaces = Some("nodes/64/dispatches/nobody".into()), Reason::ReferenceNotFound, "replaces"),
    ];
    let arrivals: [Fault<Arrival>; 10] = [
        (|a| a.number = None, Reason::Required, "number"),
        (|a| a.number = Some("2023-0001".into()), Reason::Duplicate, "number"),
        (|a| a.service_days = Some(4_001), Reason::Malformed, "service_days"),
        (|a| a.programme = None, Reason::Required, "programme"),
        (|a| a.year = Some("二〇二三".into()), Reason::Malformed, "year"),
        (|a| a.division = Some("649999".into()), Reason::NotInList, "division"),
        (|a| a.from = Some("2023-02-29".into()), Reason::Malformed, "from"),
        (|a| a.number = Some("长".repeat(4_001)), Reason::TooLong, "number"),
        (|a| a.from = Some("2024-06-02".into()), Reason::InFuture, "from"),
        (|a| a.until = Some("2023-04-02".into()), Reason::OutOfOrder, "until"),
    ];
    let before = ningxia.ledger.head().await.unwrap();
    refuse_all(admin, &commitment(1, 2), &commitments).await;
    refuse_all(admin, &outcome(2, 2), &outcomes).await;
    refuse_all(admin, &dispatch(2), &dispatches).await;
    refuse_all(admin, &arrival(2), &arrivals).await;
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

fn extension(until: &str) -> Extension {
    Extension { on: Some("2024-03-01".into()), until: Some(until.into()) }
}

async fn bad_projects_are_refused_and_nothing_is_written(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(project(1)).await.unwrap();
    fn step(stage: i32, on: &str) -> ProjectStage {
        ProjectStage { stage: Some(stage), on: Some(on.into()) }
    }
    let projects: [Fault<Project>; 27] = [
        (|p| p.display_name = None, Reason::Required, "display_name"),
        (|p| p.agency_uscc = None, Reason::Required, "agency_uscc"),
        (|p| p.agency_uscc = Some("1".into()), Reason::Malformed, "agency_uscc"),
        (
            |p| (p.display_name, p.agency_uscc) = (project(1).display_name, project(1).agency_uscc),
            Reason::Duplicate,
            "display_name",
        ),
        (|p| p.amount_fen = Some(-1), Reason::Malformed, "amount_fen"),
        (|p| p.division = Some("649999".into()), Reason::NotInList, "division"),
        (|p| p.group = Some(9), Reason::NotInList, "group"),
        (|p| p.stages.push(step(3, "2023-01-01")), Reason::OutOfOrder, "stages[2].on"),
        (|p| p.stages.push(step(1, "2023-04-01")), Reason::OutOfOrder, "stages[2].stage"),
        (|p| p.stages.push(step(2, "2023-04-01")), Reason::Duplicate, "stages[2].stage"),
        (|p| p.stages = vec![step(2, "2024-06-02")], Reason::InFuture, "approved_on"),
        (
            |p| (p.stages, p.stage, p.approved_on) = (vec![], None, Some("2024-06-02".into())),
            Reason::InFuture,
            "approved_on",
        ),
        (|p| p.meetings = vec![Meeting { kind: Some(4), on: None }], Reason::NotInList, "meetings[0].kind"),
        (|p| p.until = Some("2023-03-19".into()), Reason::OutOfOrder, "until"),
        (|p| p.lots = vec![lot(), lot()], Reason::Duplicate, "lots[1].number"),
        (|p| p.notice_on = Some("2023-03-11".into()), Reason::OutOfOrder, "lots[0].awarded_on"),
        (|p| p.lots[0].contracted_on = Some("2023-03-09".into()), Reason::OutOfOrder, "lots[0].contracted_on"),
        (|p| p.amount_fen = Some(5_000_049), Reason::Malformed, "instalments"),
        (|p| p.instalments[1].stage = Some(2), Reason::Duplicate, "instalments[1].stage"),
        (|p| p.instalments[1].due_on = Some("2023-03-31".into()), Reason::OutOfOrder, "instalments[1].due_on"),
        (|p| p.instalments[0].amount_fen = Some(0), Reason::Malformed, "instalments[0].amount_fen"),
        (|p| p.services.push(service("2023-06-01", 1)), Reason::Duplicate, "services[2].method"),
        (|p| p.services.push(service("2023-07-02", 1)), Reason::Malformed, "services[2].month"),
        (|p| p.effects.push(measure("志愿者留任率", None)), Reason::Duplicate, "effects[2].measure"),
        (|p| p.evaluations[0].score = Some(10_001), Reason::Malformed, "evaluations[0].score"),
        (|p| p.grant_fen = Some(5_000_051), Reason::Malformed, "grant_fen"),
        (
            |p| p.supervisions = vec![SupervisedMonth { month: Some("2023-05-02".into()), times: Some(1) }],
            Reason::Malformed,
            "supervisions[0].month",
        ),
    ];
    let before = ningxia.ledger.head().await.unwrap();
    refuse_all(admin, &worked(project(2)), &projects).await;
    assert_eq!(ningxia.ledger.head().await.unwrap(), before, "nothing was written");
    let worked = admin.create(worked(project(2))).await.unwrap().noun;
    let effects: Vec<Option<u32>> = worked.effects.iter().map(|effect| effect.value).collect();
    assert_eq!(effects, [Some(0), None], "zero is a value, absent is not yet measured");
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
    let allocations: [Fault<Allocation>; 10] = [
        (|a| a.amount_fen = None, Reason::Required, "amount_fen"),
        (|a| a.amount_fen = Some(-1), Reason::Malformed, "amount_fen"),
        (|a| a.amount_fen = Some(i64::MAX), Reason::Malformed, "amount_fen"),
        (|a| a.source = None, Reason::Required, "source"),
        (|a| a.year = Some("2023上".into()), Reason::Malformed, "year"),
        (|a| a.until = Some("2022-12-31".into()), Reason::OutOfOrder, "until"),
        (|a| a.purpose = Some("选派补助1".into()), Reason::Duplicate, "division"),
        (|a| a.currency = Some("￥".into()), Reason::Malformed, "currency"),
        (|a| a.performance[0].on = Some("2024-06-02".into()), Reason::InFuture, "performance[0].on"),
        (|a| a.performance.push(a.performance[0].clone()), Reason::Duplicate, "performance[1].measure"),
    ];
    let payments: [Fault<Payment>; 11] = [
        (|p| p.payer = None, Reason::Required, "payer"),
        (|p| p.amount_fen = Some(0), Reason::Malformed, "amount_fen"),
        (|p| p.paid_on = Some("2024-06-02".into()), Reason::InFuture, "paid_on"),
        (|p| p.voucher = Some("PZ-00001".into()), Reason::Duplicate, "voucher"),
        (|p| p.source = Some(99), Reason::NotInList, "source"),
        (|p| p.currency = Some("YUAN".into()), Reason::Malformed, "currency"),
        (|p| (p.stage, p.project) = (Some(2), None), Reason::Required, "project"),
        (|p| (p.number, p.programme) = (Some("2023-0001".into()), None), Reason::Required, "programme"),
        (|p| p.dispatch_year = Some("2023".into()), Reason::Required, "number"),
        (|p| p.dispatch_year = Some("23".into()), Reason::Malformed, "dispatch_year"),
        (|p| p.payee_uscc = Some("914403001922038217".into()), Reason::CheckDigit, "payee_uscc"),
    ];
    let receipts: [Fault<Receipt>; 6] = [
        (|r| r.amount_fen = None, Reason::Required, "amount_fen"),
        (|r| r.received_on = Some("2024-06-02".into()), Reason::InFuture, "received_on"),
        (|r| r.voucher = Some("PZ-00001".into()), Reason::Duplicate, "voucher"),
        (|r| r.division = Some("64010".into()), Reason::Malformed, "division"),
        (|r| r.currency = Some("C N".into()), Reason::Malformed, "currency"),
        (|r| r.paid_on = Some("2023-05-23".into()), Reason::OutOfOrder, "received_on"),
    ];
    let before = ningxia.ledger.head().await.unwrap();
    refuse_all(admin, &allocation(2), &allocations).await;
    refuse_all(admin, &payment(2), &payments).await;
    refuse_all(admin, &receipt(2), &receipts).await;
    assert_eq!(ningxia.ledger.head().await.unwrap(), before, "nothing was written");

    // Whoever says nothing of it means yuan; what is said is brought into its one form.
    let given = admin.create(allocation(2)).await.unwrap().noun;
    let paid = admin.create(Payment { currency: Some("usd".into()), ..payment(2) }).await.unwrap().noun;
    let came = admin.create(Receipt { currency: Some("人民币".into()), ..receipt(2) }).await.unwrap().noun;
    assert_eq!((given.currency(), paid.currency(), came.currency()), ("CNY", "USD", "CNY"));
}

async fn bad_linkage_is_refused_and_nothing_is_written(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(offer(9)).await.unwrap();
    let wanted = admin.create(need(1)).await.unwrap().noun;
    let given = admin.create(offer(0)).await.unwrap().noun;
    let ordered = Order { offer: given.name, ..order(3, wanted.name()) };
    let ordered = admin.create(ordered).await.unwrap().noun;
    admin.create(order(1, wanted.name())).await.unwrap();
    admin.create(acceptance("nodes/35/orders/1")).await.unwrap();
    let offers: [Fault<Offer>; 8] = [
        (|o| o.party = None, Reason::Required, "party"),
        (|o| o.party_type = None, Reason::Required, "party_type"),
        (|o| o.kind = None, Reason::Required, "kind"),
        (|o| o.division = Some("649999".into()), Reason::NotInList, "division"),
        (|o| o.quantity = Some(0), Reason::Malformed, "quantity"),
        (|o| o.until = Some("2022-12-31".into()), Reason::OutOfOrder, "until"),
        (|o| o.menu_code = Some("YL\n3".into()), Reason::ControlCharacter, "menu_code"),
        (|o| o.party = Some("同心社工服务中心9".into()), Reason::Duplicate, "title"),
    ];
    let needs: [Fault<Need>; 9] = [
        (|n| n.party = None, Reason::Required, "party"),
        (|n| n.party_type = Some(9), Reason::NotInList, "party_type"),
        (|n| n.title = Some("  ".into()), Reason::Required, "title"),
        (|n| n.kind = None, Reason::Required, "kind"),
        (|n| n.division = Some("649999".into()), Reason::NotInList, "division"),
        (|n| n.quantity = Some(10_000_001), Reason::Malformed, "quantity"),
        (|n| n.from = Some("2023-02-30".into()), Reason::Malformed, "from"),
        (|n| n.until = Some("2023-02-28".into()), Reason::OutOfOrder, "until"),
        (|n| n.party = Some("罗山社区1".into()), Reason::Duplicate, "title"),
    ];
    let orders: [Fault<Order>; 11] = [
        (|o| o.offer = Some("offers/1".into()), Reason::Malformed, "offer"),
        (|o| o.offer = Some("nodes/35/needs/1".into()), Reason::Malformed, "offer"),
        (|o| o.offer = Some("nodes/64/offers/nothing".into()), Reason::ReferenceNotFound, "offer"),
        (|o| o.need = None, Reason::Required, "need"),
        (|o| o.need = Some("nodes/64/needs/nothing".into()), Reason::ReferenceNotFound, "need"),
        (|o| o.quantity = Some(0), Reason::Malformed, "quantity"),
        (|o| o.ordered_on = Some("2024-06-02".into()), Reason::InFuture, "ordered_on"),
        (|o| o.cancelled_on = Some("2023-04-30".into()), Reason::OutOfOrder, "cancelled_on"),
        (|o| o.confirmed_on = Some("2023-04-30".into()), Reason::OutOfOrder, "confirmed_on"),
        (
            |o| (o.cancelled_on, o.confirmed_on) = (Some("2023-05-02".into()), Some("2023-05-02".into())),
            Reason::Malformed,
            "confirmed_on",
        ),
        (|o| o.feedback = Some(10_001), Reason::Malformed, "feedback"),
    ];
    let acceptances: [Fault<Acceptance>; 10] = [
        (|a| a.order = None, Reason::Required, "order"),
        (|a| a.order = Some("nodes/35/offers/1".into()), Reason::Malformed, "order"),
        (|a| a.order = Some("nodes/64/orders/nothing".into()), Reason::ReferenceNotFound, "order"),
        (|a| a.order = Some("nodes/35/orders/1".into()), Reason::Duplicate, "order"),
        (|a| a.decision = Some(9), Reason::NotInList, "decision"),
        (|a| a.decision = Some(2), Reason::Malformed, "decision"),
        (|a| a.on = Some("2023-05-11".into()), Reason::OutOfOrder, "deliveries[0].on"),
        (|a| a.deliveries = vec![Delivery::default()], Reason::Required, "deliveries[0].on"),
        (|a| a.fulfilled_on = Some("2023-05-09".into()), Reason::OutOfOrder, "fulfilled_on"),
        (|a| a.fulfilled_on = Some("2024-06-02".into()), Reason::InFuture, "fulfilled_on"),
    ];
    let activities: [Fault<Activity>; 10] = [
        (|a| a.programme = None, Reason::Required, "programme"),
        (|a| a.kind = Some(9), Reason::NotInList, "kind"),
        (|a| a.held_on = Some("2024-06-02".into()), Reason::InFuture, "held_on"),
        (|a| a.until = Some("2023-01-02".into()), Reason::OutOfOrder, "until"),
        (|a| a.goals = vec![9], Reason::NotInList, "goals"),
        (|a| a.receiving_uscc = Some("1".into()), Reason::Malformed, "receiving_uscc"),
        (|a| a.sending_uscc = Some("914403001922038217".into()), Reason::CheckDigit, "sending_uscc"),
        (|a| a.sending_uscc = a.receiving_uscc.clone(), Reason::Duplicate, "sending_uscc"),
        (|a| a.clients[0].persons = None, Reason::Required, "clients[0].persons"),
        (|a| a.clients.push(a.clients[0].clone()), Reason::Duplicate, "clients[1].clients"),
    ];
    let before = ningxia.ledger.head().await.unwrap();
    refuse_all(admin, &offer(1), &offers).await;
    refuse_all(admin, &need(2), &needs).await;
    refuse_all(admin, &order(2, wanted.name()), &orders).await;
    refuse_all(admin, &acceptance(ordered.name()), &acceptances).await;
    refuse_all(admin, &activity(2), &activities).await;
    let again = Order { quantity: Some(6), ..order(1, wanted.name()) };
    refused(admin.create(again).await, Reason::Duplicate, "offer");
    assert_eq!(ningxia.ledger.head().await.unwrap(), before, "nothing was written");
}
