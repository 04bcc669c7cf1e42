//! Orders (点单): the needer's half: an offer, often of a service menu, is asked for to meet a need; then it is called off, or confirmed and
//! judged. What the offerer does is told by its acceptance. Offer and need may be another node's.

use std::str::FromStr;

use qianshou_kernel::{
    error::Reason,
    id::Name,
    kind::{Check, Days, Field, Index, Noun, columns},
    sheet::Sheet,
};
use qianshou_proto::pairing::v1::Order;

type F = Field<Order>;
static FIELDS: [F; 9] = [
    F::code("offer", "供给编号", |order| &mut order.offer, |text, _| named(text, "offers"))
        .required()
        .key()
        .example("nodes/35/offers/018fd1f4-4e00-7a57-8e2b-5c62e2d51736"),
    F::code("need", "需求编号", |order| &mut order.need, |text, _| named(text, "needs"))
        .required()
        .key()
        .example("nodes/63/needs/018fd1f4-4e00-7a57-8e2b-5c62e2d51736"),
    F::count("quantity", "数量", |order| &mut order.quantity, 1..=10_000_000).example("10"),
    F::day("ordered_on", "点单日期", |order| &mut order.ordered_on, Days::Past).required().key().example("2023-05-01"),
    F::day("cancelled_on", "取消日期", |order| &mut order.cancelled_on, Days::Past).or(&["撤单日期"]),
    F::day("confirmed_on", "确认日期", |order| &mut order.confirmed_on, Days::Past)
        .or(&["确认完成日期"])
        .example("2023-05-20"),
    F::count("feedback", "评价（百分之一分）", |order| &mut order.feedback, 0..=10_000).example("9500"),
    F::text("remark", "评价说明", |order| &mut order.remark).or(&["评语"]),
    F::division("division", "所在地区划代码", |order| &mut order.division).or(&["区划代码"]).example("640303"),
];
static SHEET: Sheet = Sheet::new("服务点单", &columns(&FIELDS));

/// The name of a record of a kind, which need not be here.
pub(super) fn named(text: &str, kind: &str) -> Result<String, (Reason, String)> {
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
    const INDEX_LEVEL: i64 = 2;

    fn check(order: &mut Order, check: &mut Check) {
        let home = check.home.clone();
        order.division.get_or_insert(home);
        let Order { ordered_on, cancelled_on, confirmed_on, .. } = &*order;
        check.in_order(("cancelled_on", cancelled_on), ("ordered_on", ordered_on));
        check.in_order(("confirmed_on", confirmed_on), ("ordered_on", ordered_on));
        if cancelled_on.is_some() && confirmed_on.is_some() {
            let detail = "one of two: called off, or confirmed | 取消与确认只能填其一";
            check.refuse("confirmed_on", Reason::Malformed, detail);
        }
    }

    fn index(order: &Order, _blind: Option<&str>) -> Index {
        let state = match (&order.cancelled_on, &order.confirmed_on) {
            (Some(_), _) => "CANCELLED",
            (None, Some(_)) => "CONFIRMED",
            (None, None) => "ORDERED",
        };
        Index::new(&order.division, state, &None)
            .claim("offer", &[order.offer.as_deref(), order.need.as_deref(), order.ordered_on.as_deref()])
            .link_or_mention("offer", &order.offer)
            .link_or_mention("need", &order.need)
            .shares("offer", order.offer.clone())
    }
}
