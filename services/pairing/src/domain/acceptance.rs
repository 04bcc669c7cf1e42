//! Acceptances (接单): the offerer's half of an order: whether it is taken on, what was done for it, and that all of it was. It names the
//! order, whether that is here or not.

use qianshou_kernel::{
    error::Reason,
    id::Name,
    kind::{Check, Days, Field, Index, Noun, Parts, Referred, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::pairing::v1::{Acceptance, AcceptanceDecision, Delivery, Order};

use super::order::named;

static DECISIONS: [Choice; 2] =
    [Choice::new("TAKEN", "接单", &["已接单", "接受"]), Choice::new("DECLINED", "谢绝", &["已谢绝", "拒单"])];

type D = Field<Delivery>;
static DELIVERY: [D; 3] = [
    D::day("on", "日期", |delivery| &mut delivery.on, Days::Past).required(),
    D::count("quantity", "数量", |delivery| &mut delivery.quantity, 0..=10_000_000),
    D::text("note", "说明", |delivery| &mut delivery.note),
];
static DELIVERY_COLUMNS: [Column; 3] = columns(&DELIVERY);
static DELIVERIES: Parts<Acceptance, Delivery> =
    Parts { at: |acceptance| &mut acceptance.deliveries, fields: &DELIVERY };

type F = Field<Acceptance>;
static FIELDS: [F; 7] = [
    F::code("order", "点单编号", |acceptance| &mut acceptance.order, |text, _| named(text, "orders"))
        .required()
        .key()
        .example("nodes/63/orders/018fd1f4-4e00-7a57-8e2b-5c62e2d51736"),
    F::choice::<AcceptanceDecision>("decision", "答复", |acceptance| &mut acceptance.decision, &DECISIONS)
        .or(&["接单意见"])
        .required()
        .example("接单"),
    F::day("on", "答复日期", |acceptance| &mut acceptance.on, Days::Past)
        .or(&["接单日期"])
        .required()
        .example("2023-05-03"),
    F::text("reason", "谢绝理由", |acceptance| &mut acceptance.reason).or(&["理由"]),
    F::parts("deliveries", "办理记录", &DELIVERIES, &DELIVERY_COLUMNS).or(&["服务记录"]).example("2023-05-10｜4"),
    F::day("fulfilled_on", "完成日期", |acceptance| &mut acceptance.fulfilled_on, Days::Past).or(&["办结日期"]),
    F::division("division", "供给方区划代码", |acceptance| &mut acceptance.division)
        .or(&["区划代码", "所在地区划代码"])
        .example("64"),
];
static SHEET: Sheet = Sheet::new("服务接单", &columns(&FIELDS));

/// The noun.
pub struct Acceptances;

impl Noun for Acceptances {
    type Record = Acceptance;

    const COLLECTION: &'static str = "acceptances";
    const TABLE: &'static str = "pairing_acceptances";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(acceptance: &mut Acceptance, check: &mut Check) {
        let home = check.home.clone();
        acceptance.division.get_or_insert(home);
        let Acceptance { on, deliveries, fulfilled_on, .. } = &*acceptance;
        super::in_their_order(check, ("deliveries", "on"), deliveries.iter().map(|delivery| &delivery.on));
        if let Some(first) = deliveries.first() {
            check.in_order(("deliveries[0].on", &first.on), ("on", on));
        }
        check.in_order(("fulfilled_on", fulfilled_on), ("on", on));
        if let Some(last) = deliveries.last() {
            check.in_order(("fulfilled_on", fulfilled_on), ("deliveries", &last.on));
        }
        let done = !deliveries.is_empty() || fulfilled_on.is_some();
        if acceptance.decision() == AcceptanceDecision::Declined && done {
            check.refuse("decision", Reason::Malformed, "TAKEN: something was done for it | 接单：已有办理记录");
        }
    }

    fn index(acceptance: &Acceptance, _blind: Option<&str>) -> Index {
        let decided = acceptance.decision().as_str_name().trim_start_matches("ACCEPTANCE_DECISION_");
        let state = if acceptance.fulfilled_on.is_some() { "FULFILLED" } else { decided };
        Index::new(&acceptance.division, state, &None)
            .claim("order", &[acceptance.order.as_deref()])
            .link_or_mention("order", &acceptance.order)
            .shares("order", acceptance.order.clone())
    }

    /// Only the node of the offer answers for it.
    fn settle(acceptance: &mut Acceptance, referred: &Referred<'_>, check: &mut Check) {
        let Some(order) = super::referred_to::<Order>(&acceptance.order, referred) else { return };
        let offer = order.offer.and_then(|offer| offer.parse::<Name>().ok());
        if let Some(offer) = offer.filter(|offer| offer.home() != check.home) {
            check.refuse("order", Reason::NotHome, offer.home());
        }
    }
}
