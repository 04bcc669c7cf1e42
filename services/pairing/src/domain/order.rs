//! Orders (点单): an offer taken for a need, from the order to its fulfilment and what is said of it. Offer and need may be another node's.

use std::str::FromStr;

use qianshou_kernel::{
    error::Reason,
    id::Name,
    kind::{Check, Days, Field, Index, Noun, Parts, columns},
    sheet::{Choice, Column, Sheet},
};
use qianshou_proto::pairing::v1::{Order, OrderStage, OrderStep};

static STAGES: [Choice; 4] = [
    Choice::new("ORDERED", "点单", &["已点单"]),
    Choice::new("TAKEN", "接单", &["已接单"]),
    Choice::new("FULFILLED", "完成", &["已完成"]),
    Choice::new("DECLINED", "谢绝", &["已谢绝"]),
];

type S = Field<OrderStep>;
static STEP: [S; 2] = [
    S::choice::<OrderStage>("stage", "阶段", |step| &mut step.stage, &STAGES).required(),
    S::day("on", "日期", |step| &mut step.on, Days::Past).required(),
];
static STEP_COLUMNS: [Column; 2] = columns(&STEP);
static STEPS: Parts<Order, OrderStep> = Parts { at: |order| &mut order.steps, fields: &STEP };

type F = Field<Order>;
static FIELDS: [F; 8] = [
    F::code("offer", "供给编号", |order| &mut order.offer, |text, _| named(text, "offers"))
        .required()
        .key()
        .example("nodes/35/offers/018fd1f4-4e00-7a57-8e2b-5c62e2d51736"),
    F::code("need", "需求编号", |order| &mut order.need, |text, _| named(text, "needs"))
        .required()
        .key()
        .example("nodes/64/needs/018fd1f4-4e00-7a57-8e2b-5c62e2d51736"),
    F::count("quantity", "数量", |order| &mut order.quantity, 1..=10_000_000).example("10"),
    F::day("ordered_on", "点单日期", |order| &mut order.ordered_on, Days::Past).required().key().example("2023-05-01"),
    F::parts("steps", "办理记录", &STEPS, &STEP_COLUMNS).example("接单｜2023-05-03"),
    F::choice::<OrderStage>("stage", "办理阶段", |order| &mut order.stage, &STAGES).example("接单"),
    F::count("feedback", "评价（百分之一分）", |order| &mut order.feedback, 0..=10_000),
    F::division("division", "所在地区划代码", |order| &mut order.division).or(&["区划代码"]).example("640303"),
];
static SHEET: Sheet = Sheet::new("服务点单", &columns(&FIELDS));

/// The name of a record of a kind, which need not be here.
fn named(text: &str, kind: &str) -> Result<String, (Reason, String)> {
    let sound = Name::from_str(text).is_ok_and(|name| name.kind() == kind);
    if sound { Ok(text.to_owned()) } else { Err((Reason::Malformed, format!("nodes/NODE/{kind}/ID"))) }
}

/// The noun.
pub struct Orders;

impl Noun for Orders {
    type Record = Order;

    const COLLECTION: &'static str = "orders";
    const TABLE: &'static str = "pairing_orders";
    const FIELDS: &'static [F] = &FIELDS;
    const SHEET: Option<&'static Sheet> = Some(&SHEET);

    fn check(order: &mut Order, check: &mut Check) {
        let home = check.home.clone();
        order.division.get_or_insert(home);
        super::in_their_order(check, ("steps", "on"), order.steps.iter().map(|step| &step.on));
        if let Some(first) = order.steps.first() {
            check.in_order(("steps[0].on", &first.on), ("ordered_on", &order.ordered_on));
        }
        let last = order.steps.last().and_then(|step| step.stage);
        order.stage = last.or(order.stage).or(Some(OrderStage::Ordered.into()));
    }

    fn index(order: &Order, _blind: Option<&str>) -> Index {
        let state = order.stage().as_str_name().trim_start_matches("ORDER_STAGE_");
        Index::new(&order.division, state, &None)
            .claim("offer", &[order.offer.as_deref(), order.need.as_deref(), order.ordered_on.as_deref()])
    }
}
