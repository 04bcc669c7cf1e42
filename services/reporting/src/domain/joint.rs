//! What halves say together, as records: they are asked of the kernel's joint functions and counted like any others, so that an
//! indicator over them is data.

use prost::Message;
use qianshou_kernel::{
    id::Name,
    joint::{Said, money::transfers, pairing::pairings},
    ledger::Version,
};
use qianshou_proto::pairing::v1::{Pairing, PairingInterval};
use time::Date;

use super::record::Record;

/// Which function makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// Of commitments and approvals, pairings: a record for each stage a pairing was in.
    Pairing,
    /// Of payments and receipts, transfers: a record for each payment that is matched.
    Transfer,
}

impl Joint {
    /// By its name in the catalogue.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "pairing" => Some(Self::Pairing),
            "transfer" => Some(Self::Transfer),
            _ => None,
        }
    }

    /// What these halves make, as records of the kind `kind`; what is counted as one stands together.
    #[must_use]
    pub fn made(self, kind: &str, halves: &[Record]) -> Vec<Vec<Record>> {
        match self {
            Self::Pairing => {
                let (commitments, approvals) = (said(halves, "commitments"), said(halves, "approvals"));
                // The history is all there is; no day is asked for.
                let pairings = pairings(&commitments, &approvals, Date::MAX);
                pairings.iter().map(|pairing| stages(kind, pairing, halves)).collect()
            }
            Self::Transfer => {
                let (payments, receipts) = (said(halves, "payments"), said(halves, "receipts"));
                let made = transfers(&payments, &receipts);
                made.into_iter().map(|(payment, transfer)| vec![record(kind, &payment.name, &transfer)]).collect()
            }
        }
    }
}

/// The halves of a kind. They are the newest versions already.
fn said<T: Message + Default>(halves: &[Record], kind: &str) -> Vec<Said<T>> {
    let said = |half: &Record| {
        let name: Name = half.name().parse().ok()?;
        let said = T::decode(half.payload().clone()).ok()?;
        Some(Said { name, version: Version::default(), cut: half.cut(), said: Some(said) })
    };
    halves.iter().filter(|half| half.kind() == kind).filter_map(said).collect()
}

/// A record for each stage; those before it was active do not say since when it was.
fn stages(kind: &str, pairing: &Pairing, halves: &[Record]) -> Vec<Record> {
    let cited = pairing.sending.as_ref().or(pairing.receiving.as_ref()).map(|cited| cited.name());
    let name = cited.or(halves.first().map(Record::name)).and_then(|name| name.parse::<Name>().ok());
    let Some(name) = name else { return vec![] };
    let stage = |PairingInterval { stage, since, until }: &PairingInterval| {
        let active = pairing.active_from.as_ref().filter(|from| since.as_ref() >= Some(*from));
        let made = Pairing {
            stage: *stage,
            since: since.clone(),
            until: until.clone(),
            active_from: active.cloned(),
            history: vec![],
            ..pairing.clone()
        };
        record(kind, &name, &made)
    };
    pairing.history.iter().map(stage).collect()
}

fn record(kind: &str, of: &Name, message: &impl Message) -> Record {
    Record::new(Name::of(of.home(), kind, of.id()), message.encode_to_vec().into(), None)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use qianshou_kernel::joint::{
        key,
        money::flow_key,
        pairing::{cohort_key, pairing_key},
    };
    use qianshou_proto::pairing::v1::{
        Approval, Commitment, Decision, Dispatch, FundSource, Outcome, OutcomeMeasure, Payment, Receipt, Review,
        ReviewLevel, Side, Terms,
    };

    use super::*;
    use crate::domain::{catalogue::catalogue, facts::count};

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn half(name: &str, message: &impl Message) -> Record {
        Record::new(name.parse().unwrap(), message.encode_to_vec().into(), None)
    }

    /// One indicator's facts as `day area dims ±value`.
    fn told(subject: &str, indicator: &str, records: &[Record]) -> Vec<String> {
        let catalogue = catalogue().unwrap();
        let roots: BTreeSet<String> = records.iter().flat_map(|record| catalogue.roots(record)).collect();
        let counted = count(catalogue, subject, &roots, records);
        assert!(counted.problems.is_empty(), "{:?}", counted.problems);
        let mut facts: Vec<_> = counted.facts.iter().filter(|(spot, _)| spot.indicator == indicator).collect();
        facts.sort_by_key(|(spot, amount)| (&spot.day, amount.value));
        facts.iter().map(|(s, amount)| format!("{} {} {} {:+}", s.day, s.area, s.dims, amount.value)).collect()
    }

    fn commitment(side: Side, sending: &str, receiving: &str) -> Commitment {
        let review = |level: ReviewLevel| Review {
            level: Some(level.into()),
            decision: Some(Decision::Approved.into()),
            on: text("2023-02-01"),
            ..Review::default()
        };
        Commitment {
            programme: text("牵手计划"),
            batch: text("第一批"),
            sending_uscc: text(sending),
            receiving_uscc: text(receiving),
            from: text("2023-01-01"),
            side: Some(side.into()),
            division: text(if side == Side::Sending { "350203" } else { "640303" }),
            terms: vec![Terms { since: text("2023-01-01"), digest: text("d"), ..Terms::default() }],
            reviews: vec![review(ReviewLevel::County), review(ReviewLevel::Province)],
            review_levels: vec![ReviewLevel::Ministry.into()],
            cohort: cohort_key(Some("牵手计划"), Some("第一批")),
            ..Commitment::default()
        }
    }

    #[test]
    fn two_pairings_of_a_batch_count_by_their_stages() {
        let mut halves = vec![];
        for (n, (sending, receiving)) in [("A", "B"), ("C", "D")].into_iter().enumerate() {
            let mut sender = commitment(Side::Sending, sending, receiving);
            if n == 1 {
                sender.closed_on = text("2024-01-01");
            }
            halves.push(half(&format!("nodes/35/commitments/{n}"), &sender));
            halves.push(half(&format!("nodes/64/commitments/{n}"), &commitment(Side::Receiving, sending, receiving)));
            let approval = Approval {
                pairing: pairing_key(Some("牵手计划"), Some("第一批"), Some(sending), Some(receiving)),
                cohort: cohort_key(Some("牵手计划"), Some("第一批")),
                terms_digest: text("d"),
                decision: Some(Decision::Approved.into()),
                on: text("2023-03-01"),
                ..Approval::default()
            };
            halves.push(half(&format!("nodes/00/approvals/{n}"), &approval));
        }
        let dims = |stage: &str| format!("batch=第一批;programme=牵手计划;stage={stage}");
        let expected = [
            format!("2023-03-01 640303 {} +2", dims("ACTIVE")),
            format!("2024-01-01 640303 {} -1", dims("ACTIVE")),
            format!("2024-01-01 640303 {} +1", dims("CLOSED")),
        ];
        assert_eq!(told("pairing", "pairing_total", &halves), expected);
        halves.reverse();
        assert_eq!(told("pairing", "pairing_total", &halves), expected, "in whatever order");
        halves.retain(|half| !half.name().starts_with("nodes/64"));
        assert!(told("pairing", "pairing_total", &halves).is_empty(), "one side alone makes no pairing");
        let catalogue = catalogue().unwrap();
        let nameless = half("nodes/35/commitments/9", &Commitment::default());
        let roots = BTreeSet::from(["nodes/35/commitments/9".to_owned()]);
        assert!(!count(catalogue, "pairing", &roots, &[nameless]).problems.is_empty(), "what is withheld is listed");
    }

    #[test]
    fn money_counts_when_both_halves_agree() {
        let flow = flow_key(Some("厅"), Some("A"), Some("1"));
        let payment = Payment {
            programme: text("三区计划"),
            source: Some(FundSource::Central.into()),
            amount_fen: Some(12_345),
            paid_on: text("2023-05-20"),
            division: text("64"),
            year: text("2023"),
            flow: flow.clone(),
            ..Payment::default()
        };
        let receipt = Receipt { amount_fen: Some(12_345), received_on: text("2023-05-22"), flow, ..Receipt::default() };
        let halves = [half("nodes/64/payments/1", &payment), half("nodes/35/receipts/1", &receipt)];
        assert_eq!(
            told("transfer", "funds_paid", &halves),
            ["2023-05-20 64 programme=三区计划;source=CENTRAL;year=2023 +12345"]
        );
        assert!(told("transfer", "funds_paid", &halves[..1]).is_empty());
    }

    #[test]
    fn what_both_sides_tell_counts_once() {
        let outcome = Outcome {
            programme: text("牵手计划"),
            measure: Some(OutcomeMeasure::PeopleTrained.into()),
            value: Some(30),
            reported_on: text("2023-06-30"),
            receiving_division: text("640303"),
            outcome: text("one"),
            ..Outcome::default()
        };
        let told_by = [half("nodes/35/outcomes/1", &outcome), half("nodes/64/outcomes/1", &outcome)];
        assert_eq!(told("outcome", "pairing_trained", &told_by), ["2023-06-30 640303 programme=牵手计划 +30"]);
    }

    #[test]
    fn people_count_at_their_host_or_at_home_and_projects_once() {
        let dispatch = |id: &str, person: &str| {
            let dispatch = Dispatch {
                programme: text("三区计划"),
                year: text("2023"),
                person: text(person),
                from: text("2023-04-01"),
                host_division: text("640422"),
                division: text("35"),
                participations: vec![key(&[Some("三区计划"), Some("银龄")]).unwrap(), "b".to_owned()],
                ..Dispatch::default()
            };
            half(&format!("nodes/35/dispatches/{id}"), &dispatch)
        };
        let twice = [dispatch("1", "p"), dispatch("2", "p")];
        let dims = "programme=三区计划;year=2023";
        assert_eq!(told("dispatch", "dispatch_persons", &twice), [format!("2023-04-01 640422 {dims} +1")]);
        assert_eq!(told("dispatch", "dispatch_sent", &twice), [format!("2023-04-01 35 {dims} +1")]);
        assert_eq!(told("participation", "dispatch_projects", &twice), ["2023-04-01 640422 programme=三区计划 +1"]);
        let roots = catalogue().unwrap().roots(&twice[0]);
        assert!(roots.contains("participation/b") && roots.contains("nodes/35/dispatches/1"), "{roots:?}");
    }
}
