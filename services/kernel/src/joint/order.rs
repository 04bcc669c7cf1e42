//! An order from a service menu (点单, 接单): where it stands, as the needer's half and the offerer's together say. Each writes its own alone;
//! an acceptance is the offerer's word only if its home is that of the offer.
//!
//! It depends on the set of halves only. Of several versions of one the newest counts; what a half says of a later day than is asked, or
//! once it is cut off, does not count yet, or any more.
//!
//! The stage on a day is that of the first line which holds. An order is `–` not here, `open`, `cancelled` or `confirmed`; an acceptance
//! `–` not here, `taken`, `declined` or `fulfilled`; `*` is any of them. *Too late*: it was cancelled after it was declined or fulfilled.
//!
//! | order | acceptance | too late | stage |
//! |---|---|---|---|
//! | – | * | * | – |
//! | confirmed | fulfilled | * | CONFIRMED |
//! | cancelled | – | * | CANCELLED |
//! | cancelled | taken | * | CANCELLED |
//! | cancelled | declined | no | CANCELLED |
//! | cancelled | fulfilled | no | CANCELLED |
//! | * | declined | * | DECLINED |
//! | * | fulfilled | * | FULFILLED |
//! | * | taken | * | TAKEN |
//! | * | – | * | ORDERED |

use qianshou_proto::pairing::v1::{Acceptance, AcceptanceDecision, Cited, Order, OrderStage, OrderState};
use time::Date;

use super::{Said, newest};
use crate::{
    clock::{format_day, parse_day},
    id::Name,
};

/// Where an order stands on the day `at`; `None`: it is not here on that day. Acceptances of other orders may be among those given.
#[must_use]
pub fn order_state(order: &Said<Order>, acceptances: &[Said<Acceptance>], at: Date) -> Option<OrderState> {
    let here = |cut: Option<Date>| cut.is_none_or(|cut| at < cut);
    let come = |text: &Option<String>| text.as_deref().and_then(parse_day).filter(|day| *day <= at);
    let said = order.said.as_ref().filter(|_| here(order.cut))?;
    let ordered = come(&said.ordered_on)?;
    let answers = newest(acceptances).into_iter().filter(|(half, a)| {
        here(half.cut) && a.order.as_deref() == Some(order.name.as_str()) && is_of_offerer(&half.name, said)
    });
    let answered = answers.filter_map(|(half, a)| Some((come(&a.on)?, half, a)));
    // One home has one at a time; of what is left of several the latest is meant.
    let answer = answered.max_by_key(|(on, half, _)| (*on, half.name.clone()));
    let told = answer.as_ref().map(|(on, _, a)| (a.decision(), *on, come(&a.fulfilled_on)));
    let (stage, since) = stage(ordered, come(&said.cancelled_on), come(&said.confirmed_on), told);
    let done = answer.as_ref().map(|(.., a)| a.deliveries.as_slice()).unwrap_or_default();
    let done = done.iter().filter(|delivery| come(&delivery.on).is_some());
    Some(OrderState {
        order: Some(cited(order)),
        acceptance: answer.as_ref().map(|(_, half, _)| cited(half)),
        stage: Some(stage.into()),
        since: Some(format_day(since)),
        offer: said.offer.clone(),
        need: said.need.clone(),
        quantity: said.quantity,
        delivered: done.filter_map(|delivery| delivery.quantity).map(u64::from).reduce(|sum, one| sum + one),
    })
}

fn is_of_offerer(acceptance: &Name, order: &Order) -> bool {
    let offer = order.offer.as_deref().and_then(|offer| offer.parse::<Name>().ok());
    offer.is_some_and(|offer| offer.home() == acceptance.home())
}

fn cited<T>(half: &Said<T>) -> Cited {
    Cited { name: Some(half.name.to_string()), etag: Some(half.version.etag()) }
}

/// The stage, and its first day.
fn stage(
    ordered: Date,
    cancelled: Option<Date>,
    confirmed: Option<Date>,
    answer: Option<(AcceptanceDecision, Date, Option<Date>)>,
) -> (OrderStage, Date) {
    let answered = match answer {
        None => None,
        Some((AcceptanceDecision::Declined, on, _)) => Some((OrderStage::Declined, on)),
        Some((_, _, Some(fulfilled))) => Some((OrderStage::Fulfilled, fulfilled)),
        Some((_, on, None)) => Some((OrderStage::Taken, on)),
    };
    match (cancelled, confirmed, answered) {
        (_, Some(confirmed), Some((OrderStage::Fulfilled, done))) => (OrderStage::Confirmed, confirmed.max(done)),
        (Some(cancelled), _, None | Some((OrderStage::Taken, _))) => (OrderStage::Cancelled, cancelled),
        (Some(cancelled), _, Some((_, done))) if cancelled <= done => (OrderStage::Cancelled, cancelled),
        (_, _, Some((stage, on))) => (stage, on.max(ordered)),
        (_, _, None) => (OrderStage::Ordered, ordered),
    }
}

#[cfg(test)]
mod tests {
    use qianshou_proto::pairing::v1::Delivery;

    use super::*;
    use crate::ledger::Version;

    const ORDER: &str = "nodes/64/orders/1";

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn said<T>(name: &str, revision: u64, said: T) -> Said<T> {
        Said { name: name.parse().unwrap(), version: Version { epoch: 1, revision }, cut: None, said: Some(said) }
    }

    fn order(cancelled: &str, confirmed: &str) -> Said<Order> {
        let day = |day: &str| Some(day.to_owned()).filter(|day| !day.is_empty());
        let half = Order {
            offer: text("nodes/35/offers/1"),
            need: text("nodes/64/needs/1"),
            quantity: Some(10),
            ordered_on: text("2023-05-01"),
            cancelled_on: day(cancelled),
            confirmed_on: day(confirmed),
            ..Order::default()
        };
        said(ORDER, 3, half)
    }

    fn acceptance(declined: bool, fulfilled: bool) -> Said<Acceptance> {
        let decision = if declined { AcceptanceDecision::Declined } else { AcceptanceDecision::Taken };
        let delivery = |on: &str, quantity| Delivery { on: text(on), quantity, note: None };
        let half = Acceptance {
            order: text(ORDER),
            decision: Some(decision.into()),
            on: text("2023-05-05"),
            deliveries: if fulfilled {
                vec![delivery("2023-05-08", Some(4)), delivery("2023-05-10", Some(6)), delivery("2023-05-10", None)]
            } else {
                vec![]
            },
            fulfilled_on: fulfilled.then(|| "2023-05-10".to_owned()),
            ..Acceptance::default()
        };
        said("nodes/35/acceptances/1", 2, half)
    }

    fn day(text: &str) -> Date {
        parse_day(text).unwrap()
    }

    #[test]
    fn every_combination_has_its_stage() {
        use OrderStage::{Cancelled, Confirmed, Declined, Fulfilled, Ordered, Taken};
        let answers =
            [vec![], vec![acceptance(false, false)], vec![acceptance(true, false)], vec![acceptance(false, true)]];
        for (cancelled, confirmed, stages) in [
            ("", "", [(Ordered, 1), (Taken, 5), (Declined, 5), (Fulfilled, 10)]),
            ("", "2023-05-12", [(Ordered, 1), (Taken, 5), (Declined, 5), (Confirmed, 12)]),
            ("", "2023-05-09", [(Ordered, 1), (Taken, 5), (Declined, 5), (Confirmed, 10)]),
            ("2023-05-03", "", [(Cancelled, 3), (Cancelled, 3), (Cancelled, 3), (Cancelled, 3)]),
            ("2023-05-07", "", [(Cancelled, 7), (Cancelled, 7), (Declined, 5), (Cancelled, 7)]),
            ("2023-05-11", "", [(Cancelled, 11), (Cancelled, 11), (Declined, 5), (Fulfilled, 10)]),
        ] {
            for (answer, (stage, since)) in answers.iter().zip(stages) {
                let state = order_state(&order(cancelled, confirmed), answer, day("2023-06-01")).unwrap();
                let told = (state.stage(), state.since().to_owned());
                assert_eq!(told, (stage, format!("2023-05-{since:02}")), "{cancelled} {confirmed} {answer:?}");
                assert_eq!(state.order.unwrap().etag(), "1.3");
                let etag = state.acceptance.map(|cited| cited.etag().to_owned());
                assert_eq!(etag.as_deref(), answer.first().map(|_| "1.2"));
                assert_eq!(state.delivered, answer.iter().any(fulfilled).then_some(10));
            }
        }
    }

    fn fulfilled(half: &Said<Acceptance>) -> bool {
        half.said.as_ref().is_some_and(|half| half.fulfilled_on.is_some())
    }

    #[test]
    fn a_day_knows_nothing_of_later_ones() {
        let stage = |on: &str| {
            let state = order_state(&order("", "2023-05-12"), &[acceptance(false, true)], day(on))?;
            Some((state.stage(), state.delivered))
        };
        assert_eq!(stage("2023-04-30"), None);
        assert_eq!(stage("2023-05-01"), Some((OrderStage::Ordered, None)));
        assert_eq!(stage("2023-05-08"), Some((OrderStage::Taken, Some(4))));
        assert_eq!(stage("2023-05-11"), Some((OrderStage::Fulfilled, Some(10))));
        assert_eq!(stage("2023-05-12"), Some((OrderStage::Confirmed, Some(10))));
    }

    #[test]
    fn only_the_offerer_answers_and_only_this_order_and_only_what_is_here() {
        let at = day("2023-06-01");
        let stage = |order: &Said<Order>, answers: &[Said<Acceptance>]| {
            order_state(order, answers, at).map(|state| state.stage())
        };
        let open = order("", "");
        let other = Said { name: "nodes/64/acceptances/1".parse().unwrap(), ..acceptance(false, true) };
        assert_eq!(stage(&open, &[other]), Some(OrderStage::Ordered), "not the offer's home");
        let mut elsewhere = acceptance(false, true);
        elsewhere.said.as_mut().unwrap().order = text("nodes/64/orders/2");
        assert_eq!(stage(&open, &[elsewhere]), Some(OrderStage::Ordered));
        let gone = Said { cut: Some(at), ..acceptance(false, true) };
        assert_eq!(stage(&open, &[gone]), Some(OrderStage::Ordered));
        // Whatever the order they come in, and however often.
        let older = Said { version: Version { epoch: 1, revision: 1 }, ..acceptance(true, false) };
        let newer = acceptance(false, true);
        for answers in [[older.clone(), newer.clone(), newer.clone()], [newer.clone(), newer, older]] {
            assert_eq!(stage(&open, &answers), Some(OrderStage::Fulfilled));
        }
        assert_eq!(stage(&Said { cut: Some(at), ..open.clone() }, &[]), None);
        assert_eq!(stage(&Said { said: None, ..open }, &[]), None);
    }
}
