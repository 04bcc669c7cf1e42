use qianshou_kernel::{id::Name, joint::money::flow_key, ledger::Version};
use qianshou_proto::pairing::v1::{GroupSupervision, ProjectGroup, ProjectStage, SupervisedMonth};
use time::macros::date;

use super::{findings as found_in, *};

const AT: Date = date!(2024 - 03 - 01);

fn said<T>(name: String, said: T) -> Said<T> {
    let name: Name = name.parse().unwrap();
    Said { name, version: Version { epoch: 1, revision: 1 }, cut: None, said: Some(said) }
}

fn text(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

fn findings(books: &Books, at: Date) -> Vec<Finding> {
    found_in(books, at, 30)
}

/// The same for every run: a small generator of its own.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn payment(n: u64, on: Date, amount_fen: i64) -> Said<Payment> {
    let mut payment = Payment {
        payer: text("自治区民政厅"),
        payee_uscc: text(format!("payee{}", n % 20)),
        programme: text("三区计划"),
        source: Some(FundSource::Central.into()),
        project: text(format!("项目{n}")),
        purpose: text("选派补助"),
        amount_fen: Some(amount_fen),
        paid_on: text(format_day(on)),
        voucher: text(format!("PZ{n:05}")),
        division: text("64"),
        ..Payment::default()
    };
    payment.flow = flow_key(payment.payer.as_deref(), payment.payee_uscc.as_deref(), payment.voucher.as_deref());
    said(format!("nodes/64/payments/{n}"), payment)
}

fn receipt(of: &Said<Payment>) -> Said<Receipt> {
    let payment = of.said.as_ref().unwrap();
    let receipt = Receipt {
        amount_fen: payment.amount_fen,
        received_on: payment.paid_on.clone(),
        flow: payment.flow.clone(),
        division: text("35"),
        ..Receipt::default()
    };
    said(format!("nodes/35/receipts/{}", of.name.id()), receipt)
}

fn number(n: u64) -> Option<String> {
    text(format!("2023-{n:04}"))
}

fn dispatch(n: u64) -> Said<Dispatch> {
    let (programme, year) = (text("三区计划"), text("2023"));
    said(format!("nodes/35/dispatches/{n}"), Dispatch { programme, year, number: number(n), ..Dispatch::default() })
}

fn arrival(n: u64, days: u32) -> Said<Arrival> {
    let (programme, year, service_days) = (text("三区计划"), text("2023"), Some(days));
    let arrival = Arrival { programme, year, number: number(n), service_days, ..Arrival::default() };
    said(format!("nodes/64/arrivals/{n}"), arrival)
}

/// A year of money with one error in twenty: everything planted is found, and nothing else.
#[test]
fn a_year_with_planted_errors() {
    for seed in 0..50 {
        let mut chance = Chance(seed);
        let mut books = Books { funded: ["三区计划".to_owned()].into(), ..Books::default() };
        // What is for another purpose may be spent later, and what is another province's at any time on anything: neither helps.
        for (purpose, division, until) in [
            (text("选派补助"), "64", text("2023-12-31")),
            (text("项目经费"), "64", text("2024-12-31")),
            (None, "35", None),
        ] {
            let allocation = Allocation {
                programme: text("三区计划"),
                source: Some(FundSource::Central.into()),
                purpose,
                division: text(division),
                from: text("2023-01-01"),
                until,
                ..Allocation::default()
            };
            books.allocations.push(said(format!("nodes/64/allocations/{}", books.allocations.len()), allocation));
        }
        let mut planted: BTreeSet<(FindingKind, String)> = BTreeSet::new();
        for n in 0..1_000 {
            let on = date!(2023 - 01 - 01) + Duration::days(i64::try_from(chance.below(365)).unwrap());
            let amount = i64::try_from(chance.below(5_000_000)).unwrap() + 1;
            let mut paid = payment(n, on, amount);
            if chance.below(7) == 0 {
                // For no project in particular, as offices write it; and an instalment like the one before, on another day.
                let said = paid.said.as_mut().unwrap();
                said.project = None;
                if let Some(before) = books.payments.last().and_then(|before| before.said.as_ref())
                    && before.paid_on != said.paid_on
                {
                    (said.amount_fen, said.payee_uscc) = (before.amount_fen, before.payee_uscc.clone());
                    said.flow = flow_key(said.payer.as_deref(), said.payee_uscc.as_deref(), said.voucher.as_deref());
                }
            }
            let mut error = |kind, name: &Name| planted.extend([(kind, name.to_string())]);
            match (chance.below(20), chance.below(5)) {
                (0, 0) => error(FindingKind::MissingReceipt, &paid.name),
                (0, 1) => {
                    books.receipts.push(receipt(&paid));
                    let mut again = payment(n + 10_000, on, amount);
                    let (first, flow) = (paid.said.clone().unwrap(), again.said.as_ref().unwrap().flow.clone());
                    again.said = Some(Payment { flow, ..first });
                    error(FindingKind::DoublePayment, &again.name);
                    books.payments.push(again);
                }
                (0, 2) => {
                    paid.said.as_mut().unwrap().purpose = text("办公设备");
                    books.receipts.push(receipt(&paid));
                    error(FindingKind::DivertedEarmark, &paid.name);
                }
                (0, 3) => {
                    paid.said.as_mut().unwrap().paid_on = text("2024-01-05");
                    books.receipts.push(receipt(&paid));
                    error(FindingKind::OutsideTerm, &paid.name);
                }
                (0, _) => {
                    books.receipts.push(receipt(&paid));
                    let served = arrival(n, 30);
                    error(FindingKind::DaysWithoutDispatch, &served.name);
                    books.arrivals.push(served);
                }
                _ => {
                    books.receipts.push(receipt(&paid));
                    books.dispatches.push(dispatch(n));
                    books.arrivals.push(arrival(n, 120));
                }
            }
            books.payments.push(paid);
        }
        let found: BTreeSet<(FindingKind, String)> =
            findings(&books, AT).iter().map(|finding| (finding.kind(), finding.record().to_owned())).collect();
        assert!(planted.len() > 20, "seed {seed}");
        assert_eq!(found, planted, "seed {seed}");
        // In whatever order and however often they came.
        let mut shuffled = books.clone();
        shuffled.payments.reverse();
        shuffled.receipts.rotate_left(7);
        shuffled.payments.extend(books.payments[..100].to_vec());
        assert_eq!(findings(&shuffled, AT), findings(&books, AT), "seed {seed}");
    }
}

#[test]
fn amounts_and_sources_are_compared() {
    let kinds = |books: &Books, at| findings(books, at).iter().map(Finding::kind).collect::<Vec<_>>();
    let paid = payment(1, date!(2023 - 05 - 01), 100);
    let mut less = receipt(&paid);
    less.said.as_mut().unwrap().amount_fen = Some(99);
    let books = Books { payments: vec![paid.clone()], receipts: vec![less], ..Books::default() };
    assert_eq!(kinds(&books, AT), [FindingKind::AmountDiffers]);
    let books = Books { receipts: vec![receipt(&paid)], ..Books::default() };
    assert_eq!(kinds(&books, AT), [FindingKind::MissingPayment]);
    let books = Books { payments: vec![paid.clone()], ..Books::default() };
    assert_eq!(kinds(&books, AT), [FindingKind::MissingReceipt]);
    assert_eq!(kinds(&books, date!(2023 - 05 - 31)), [], "it may still be on its way");
    let matching = Allocation {
        programme: text("三区计划"),
        source: Some(FundSource::ProvincialMatching.into()),
        division: text("64"),
        ..Allocation::default()
    };
    let books = Books {
        funded: ["三区计划".to_owned()].into(),
        payments: vec![paid.clone()],
        receipts: vec![receipt(&paid)],
        allocations: vec![said("nodes/64/allocations/1".into(), matching)],
        ..Books::default()
    };
    assert_eq!(kinds(&books, AT), [FindingKind::Unallocated]);
    let found = &findings(&books, AT)[0];
    assert!(found.message_zh().contains("请登记资金安排") && found.message_en().contains("save the allocation"));
}

#[test]
fn a_month_without_supervision_is_found() {
    let month = |month: &str, times| SupervisedMonth { month: text(month), times: Some(times) };
    let project = |supervisions: Vec<SupervisedMonth>| Project {
        approved_on: text("2023-04-10"),
        supervisions_least: Some(2),
        stages: vec![ProjectStage { stage: Some(ProjectStageKind::Evaluated.into()), on: text("2023-07-20") }],
        supervisions,
        ..Project::default()
    };
    let found = |supervisions| {
        let books =
            Books { projects: vec![said("nodes/64/projects/1".into(), project(supervisions))], ..Books::default() };
        findings(&books, AT).iter().map(|finding| finding.detail().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(vec![month("2023-05-01", 2), month("2023-06-01", 3)]), [""; 0], "whole months only");
    assert_eq!(found(vec![month("2023-05-01", 2), month("2023-06-01", 1)]), ["2023-06"]);
    assert_eq!(found(vec![month("2023-05-01", 0)]), ["2023-05", "2023-06"], "zero is a value, and too few");
    // What a project does not say itself, its programme says for its group.
    let rules = |least| Programme {
        display_name: text("三区计划"),
        supervisions: vec![GroupSupervision { group: Some(ProjectGroup::Newcomer.into()), least: Some(least) }],
        ..Programme::default()
    };
    let project = Project {
        programme: text("三区计划"),
        group: Some(ProjectGroup::Newcomer.into()),
        supervisions_least: None,
        ..project(vec![month("2023-05-01", 2), month("2023-06-01", 1)])
    };
    let mut books = Books { projects: vec![said("nodes/64/projects/1".into(), project)], ..Books::default() };
    assert_eq!(findings(&books, AT), []);
    books.programmes =
        vec![said("nodes/00/programmes/1".into(), rules(2)), said("nodes/35/programmes/1".into(), rules(9))];
    assert_eq!(findings(&books, AT).len(), 1);
    // The last day there is ends nothing badly.
    let last = Project { approved_on: text("9999-12-31"), supervisions_least: Some(1), ..Project::default() };
    books.projects = vec![said("nodes/64/projects/2".into(), last)];
    assert_eq!(findings(&books, date!(9999 - 12 - 31)), []);
}

#[test]
fn what_was_promised_is_compared_with_what_came() {
    let allocation = |n: u32, source: FundSource, fen, promised| {
        let allocation = Allocation {
            programme: text("三区计划"),
            year: text("2023"),
            source: Some(source.into()),
            division: text("64"),
            amount_fen: Some(fen),
            matches: Option::from(i32::from(FundSource::Central)).filter(|_| promised > 0),
            match_thousandths: Some(promised).filter(|promised| *promised > 0),
            ..Allocation::default()
        };
        said(format!("nodes/64/allocations/{n}"), allocation)
    };
    let found = |matching, promised| {
        let central = allocation(1, FundSource::Central, 786_000_000, 0);
        let own = allocation(2, FundSource::ProvincialMatching, matching, promised);
        findings(&Books { allocations: vec![central, own], ..Books::default() }, AT).len()
    };
    assert_eq!([found(628_000_000, 799), found(628_000_000, 800), found(620_000_000, 799)], [0, 1, 1]);

    let served = |days| {
        let arrival = Arrival { from: text("2023-04-01"), until: text("2023-04-30"), ..arrival(1, days).said.unwrap() };
        let books = Books {
            arrivals: vec![said("nodes/64/arrivals/1".into(), arrival)],
            dispatches: vec![dispatch(1)],
            ..Books::default()
        };
        findings(&books, AT).iter().map(Finding::kind).collect::<Vec<_>>()
    };
    assert_eq!((served(30), served(31)), (vec![], vec![FindingKind::TooManyDays]));

    let half = |until: &str| Commitment {
        programme: text("牵手计划"),
        batch: text("第一批"),
        receiving_uscc: text("B"),
        side: Some(Side::Receiving.into()),
        until: text(until),
        terms: vec![Terms { people_trained: Some(3), projects: Some(1), ..Terms::default() }],
        ..Commitment::default()
    };
    let outcome = |node: u32, value| {
        let outcome = Outcome {
            programme: text("牵手计划"),
            batch: text("第一批"),
            receiving_uscc: text("B"),
            measure: Some(OutcomeMeasure::PeopleTrained.into()),
            value: Some(value),
            reported_on: text("2023-06-30"),
            outcome: text("the same to both"),
            ..Outcome::default()
        };
        said(format!("nodes/{node}/outcomes/1"), outcome)
    };
    let shortfalls = |until| {
        let books = Books {
            commitments: vec![said("nodes/64/commitments/1".into(), half(until))],
            outcomes: vec![outcome(35, 2), outcome(64, 2)],
            ..Books::default()
        };
        findings(&books, AT).iter().map(|finding| finding.detail().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shortfalls("2024-12-31"), [""; 0], "there is time");
    assert_eq!(shortfalls("2023-12-31"), ["PEOPLE_TRAINED 2/3", "PROJECTS 0/1"]);
}
