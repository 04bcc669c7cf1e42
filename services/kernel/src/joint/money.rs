//! Money on its way: a payment that its receipt matches. Each receipt matches one payment and each payment one receipt, of the same payer,
//! payee, voucher, amount and currency; of several payments the first by day and name. So what was paid twice and came in once counts once.

use std::collections::BTreeMap;

use qianshou_proto::pairing::v1::{Payment, Receipt, Transfer};

use super::Said;
use crate::clock::parse_day;

/// What money is in if nobody says.
const YUAN: &str = "CNY";

/// The text that both halves share.
#[must_use]
pub fn flow_key(payer: Option<&str>, payee: Option<&str>, voucher: Option<&str>) -> Option<String> {
    super::key(&[payer, payee, voucher])
}

/// A payment with the receipt it is matched by.
pub type Matched<'a> = (&'a Said<Payment>, &'a Said<Receipt>);

/// Which payment is matched by which receipt; in the order of the payments' days and names.
#[must_use]
pub fn matches<'a>(payments: &'a [Said<Payment>], receipts: &'a [Said<Receipt>]) -> Vec<Matched<'a>> {
    let mut open: BTreeMap<(&str, i64, &str), Vec<&Said<Receipt>>> = BTreeMap::new();
    let mut received = super::newest(receipts);
    received.sort_by_key(|(said, receipt)| (receipt.received_on.clone(), said.name.clone()));
    for (said, receipt) in received.into_iter().rev() {
        let holds =
            said.cut.is_none_or(|cut| receipt.received_on.as_deref().and_then(parse_day).is_some_and(|on| on < cut));
        if let (Some(flow), Some(fen), true) = (receipt.flow.as_deref(), receipt.amount_fen, holds) {
            open.entry((flow, fen, receipt.currency.as_deref().unwrap_or(YUAN))).or_default().push(said);
        }
    }
    let mut paid = super::newest(payments);
    paid.sort_by_key(|(said, payment)| (payment.paid_on.clone(), said.name.clone()));
    let matched = |(said, payment): (&'a Said<Payment>, &'a Payment)| {
        let on = payment.paid_on.as_deref().and_then(parse_day)?;
        let key = (payment.flow.as_deref()?, payment.amount_fen?, payment.currency.as_deref().unwrap_or(YUAN));
        said.cut.is_none_or(|cut| on < cut).then(|| open.get_mut(&key)?.pop().map(|receipt| (said, receipt)))?
    };
    paid.into_iter().filter_map(matched).collect()
}

/// Every payment that is matched, with its name.
#[must_use]
pub fn transfers<'a>(
    payments: &'a [Said<Payment>],
    receipts: &'a [Said<Receipt>],
) -> Vec<(&'a Said<Payment>, Transfer)> {
    let transfer = |(said, _): Matched<'a>| {
        let payment = said.said.as_ref()?;
        Some((
            said,
            Transfer {
                flow: payment.flow.clone(),
                programme: payment.programme.clone(),
                source: payment.source,
                amount_fen: payment.amount_fen,
                paid_on: payment.paid_on.clone(),
                division: payment.division.clone(),
                year: payment.year.clone(),
                currency: payment.currency.clone(),
            },
        ))
    };
    matches(payments, receipts).into_iter().filter_map(transfer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Name, ledger::Version};

    fn said<T>(name: &str, said: T) -> Said<T> {
        let name: Name = name.parse().unwrap();
        Said { name, version: Version { epoch: 1, revision: 1 }, cut: None, said: Some(said) }
    }

    fn payment(id: &str, fen: i64, on: &str) -> Said<Payment> {
        said(
            &format!("nodes/35/payments/{id}"),
            Payment {
                flow: flow_key(Some("厅"), Some("a"), Some("v1")),
                amount_fen: Some(fen),
                paid_on: Some(on.into()),
                ..Payment::default()
            },
        )
    }

    fn receipt(id: &str, fen: i64) -> Said<Receipt> {
        said(
            &format!("nodes/64/receipts/{id}"),
            Receipt {
                flow: flow_key(Some("厅"), Some("a"), Some("v1")),
                amount_fen: Some(fen),
                received_on: Some("2023-06-01".into()),
                ..Receipt::default()
            },
        )
    }

    #[test]
    fn what_was_paid_twice_and_came_in_once_counts_once() {
        let paid = [payment("b", 100, "2023-05-02"), payment("a", 100, "2023-05-03"), payment("c", 200, "2023-05-01")];
        let names = |receipts: &[Said<Receipt>]| {
            transfers(&paid, receipts).iter().map(|(said, _)| said.name.id().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[receipt("1", 100)]), ["b"]);
        assert_eq!(names(&[receipt("1", 100), receipt("2", 100)]), ["b", "a"]);
        assert_eq!(names(&[receipt("1", 100), receipt("1", 100)]), ["b"], "the same one again");
        assert_eq!(names(&[receipt("1", 150)]), Vec::<String>::new());
        assert_eq!(names(&[]), Vec::<String>::new());
    }
}
