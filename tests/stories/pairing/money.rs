//! A year of money on its way between two provinces, as offices write it down: what was planted wrong is found, by both, and nothing else.

use std::collections::BTreeSet;

use qianshou_kernel::identity::Role;
use qianshou_proto::pairing::v1::{Arrival, Finding, ListFindingsRequest, Payment};
use qianshou_tests::{
    Caller, World,
    refusal::refused,
    sample::{citizen, uscc},
    stories,
    treaty::{agree, introduce, settled, share, terms},
};
use time::{Date, Duration, macros::date};

stories! {
    a_year_with_planted_errors_is_found_by_both
}

const PAYMENTS: u32 = 200;

/// What an office wrote wrong, in one row of twenty.
#[derive(Clone, Copy, PartialEq)]
enum Planted {
    MissingReceipt,
    DoublePayment,
    DivertedEarmark,
    OutsideTerm,
    DaysWithoutDispatch,
}

fn planted(n: u32) -> Option<Planted> {
    use Planted::{DaysWithoutDispatch, DivertedEarmark, DoublePayment, MissingReceipt, OutsideTerm};
    let kinds = [MissingReceipt, DoublePayment, DivertedEarmark, OutsideTerm, DaysWithoutDispatch];
    n.is_multiple_of(20).then(|| kinds[(n / 20 % 5) as usize])
}

/// The year's files: payments and arrivals of the payer, who is the host; receipts and dispatches of the others.
struct Year {
    payments: String,
    receipts: String,
    dispatches: String,
    arrivals: String,
    /// What is wrong, by voucher or number.
    wrong: BTreeSet<String>,
}

fn year() -> Year {
    let day = |day: Date| format!("{}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day());
    let mut year = Year {
        payments: "付款单位,收款机构统一社会信用代码,计划,资金来源,项目名称,用途,金额（元）,付款日期,凭证号\n".into(),
        receipts: "付款单位,收款机构统一社会信用代码,金额（元）,到账日期,凭证号\n".into(),
        dispatches: "计划,年度,姓名,证件号码,接收地区划代码,开始日期,结束日期,派遣编号\n".into(),
        arrivals: "计划,年度,派遣编号,接收地区划代码,到岗日期,离岗日期,服务天数\n".into(),
        wrong: BTreeSet::new(),
    };
    for n in 0..PAYMENTS {
        let wrong = planted(n);
        let mut on = date!(2023 - 01 - 01) + Duration::days(i64::from(n));
        if wrong == Some(Planted::OutsideTerm) {
            on = date!(2024 - 01 - 08);
        }
        // Instalments are often alike, and many are for no project in particular.
        let amount = if n.is_multiple_of(3) { "20,000.00".to_owned() } else { format!("{}.{:02}", 1_000 + n, n % 100) };
        let project = if n.is_multiple_of(2) { String::new() } else { format!("项目{}", n % 7) };
        let purpose = if wrong == Some(Planted::DivertedEarmark) { "办公设备" } else { "选派补助" };
        let mut pay = |voucher: &str| {
            let payee = uscc(n % 20);
            let row =
                format!("自治区民政厅,{payee},三区计划,中央,{project},{purpose},\"{amount}\",{},{voucher}\n", day(on));
            year.payments.push_str(&row);
        };
        let voucher = format!("PZ-{n:04}");
        pay(&voucher);
        if wrong == Some(Planted::DoublePayment) {
            pay(&format!("PZ-{n:04}-2"));
        }
        if wrong != Some(Planted::MissingReceipt) {
            let came = day(on + Duration::days(2));
            year.receipts.push_str(&format!("自治区民政厅,{},\"{amount}\",{came},{voucher}\n", uscc(n % 20)));
        }
        let (number, from) = (format!("2023-{n:04}"), "2023-03-01");
        if wrong != Some(Planted::DaysWithoutDispatch) {
            let row = format!("三区计划,2023,,{},640104,{from},2024-02-29,{number}\n", citizen(n));
            year.dispatches.push_str(&row);
        }
        year.arrivals.push_str(&format!("三区计划,2023,{number},640104,{from},2024-02-29,{}\n", 300 + n % 60));
        year.wrong.extend(wrong.map(|wrong| match wrong {
            Planted::DoublePayment => format!("DOUBLE_PAYMENT {voucher}-2"),
            Planted::DaysWithoutDispatch => format!("DAYS_WITHOUT_DISPATCH {number}"),
            Planted::MissingReceipt => format!("MISSING_RECEIPT {voucher}"),
            Planted::DivertedEarmark => format!("DIVERTED_EARMARK {voucher}"),
            Planted::OutsideTerm => format!("OUTSIDE_TERM {voucher}"),
        }));
    }
    year
}

async fn a_year_with_planted_errors_is_found_by_both(world: World) {
    let (fujian, ningxia) = (world.node("35").await, world.node("64").await);
    introduce(&[&fujian.admin, &ningxia.admin]).await;
    let year = year();
    let allocations = "计划,年度,资金来源,用途,地区划代码,金额（元）\n三区计划,2023,中央,选派补助,64,7860000\n";
    // What Fujian has of its own is of no use to Ningxia.
    let others = "计划,年度,资金来源,用途,地区划代码,金额（元）\n三区计划,2023,中央,,35,1000000\n三区计划,2024,中央,,35,1000000\n";
    for (node, files) in [
        (&ningxia, [("payments", &*year.payments), ("arrivals", &*year.arrivals), ("allocations", allocations)]),
        (&fujian, [("receipts", &*year.receipts), ("dispatches", &*year.dispatches), ("allocations", others)]),
    ] {
        let desk = world.desk(node, Role::Editor, &node.code).await;
        for (kind, text) in files {
            let file = format!("{kind}.csv");
            desk.text(&file, text);
            let rows = text.lines().count() as u64 - 1;
            let said = desk.import(kind, &file, &[]).await;
            assert_eq!((said.code, said.figures()), (0, [rows, 0, 0, 0]), "{kind} {said:?}");
        }
    }
    for (from, to) in [(&fujian, &ningxia), (&ningxia, &fujian)] {
        let of = |kind, fields| share(kind, fields, &from.code);
        let clauses = vec![
            of("allocations", "programme year source purpose division amount_fen from until"),
            of(
                "payments",
                "payer payee_uscc programme source project purpose amount_fen paid_on voucher division year flow",
            ),
            of("receipts", "payer payee_uscc amount_fen received_on voucher division flow"),
            of("dispatches", "programme year number host_division from until division"),
            of("arrivals", "programme year number division from until service_days"),
        ];
        let id = agree(&from.admin, &to.admin, terms(&from.code, &to.code, clauses)).await;
        settled(&from.admin, &to.admin, &id).await;
    }
    let here = found(&ningxia.admin, "64").await;
    let payments: Vec<Payment> = ningxia.admin.list_all(Default::default()).await;
    let arrivals: Vec<Arrival> = ningxia.admin.list_all(Default::default()).await;
    let called = |finding: &Finding| {
        let payment = payments.iter().find(|payment| payment.name() == finding.record()).map(Payment::voucher);
        let arrival = arrivals.iter().find(|arrival| arrival.name() == finding.record()).map(Arrival::number);
        let kind = finding.kind().as_str_name().trim_start_matches("FINDING_KIND_");
        format!("{kind} {}", payment.or(arrival).unwrap_or_default())
    };
    assert_eq!(here.iter().map(called).collect::<BTreeSet<_>>(), year.wrong);
    assert_eq!(here.len(), year.wrong.len());
    let there = found(&fujian.admin, "35").await;
    assert_eq!(there, here, "the other side sees the same");
    let county = ningxia.caller(Role::Reader, "640303").await;
    assert_eq!(found(&county, "640303").await, [], "nothing of it is theirs");
    let other = ListFindingsRequest { page_token: Some("x".into()), ..ListFindingsRequest::default() };
    refused(county.pairing().list_findings(other).await, qianshou_kernel::error::Reason::BadPageToken, "page_token");
}

/// Every finding, three a page.
async fn found(by: &Caller, area: &str) -> Vec<Finding> {
    let mut found = vec![];
    let mut page_token = None;
    loop {
        let asked = ListFindingsRequest {
            area: Some(area.to_owned()),
            page_size: Some(3),
            page_token,
            ..ListFindingsRequest::default()
        };
        let page = by.pairing().list_findings(asked).await.unwrap().into_inner();
        assert!(page.findings.len() <= 3);
        found.extend(page.findings);
        page_token = page.next_page_token;
        if page_token.is_none() {
            return found;
        }
    }
}
