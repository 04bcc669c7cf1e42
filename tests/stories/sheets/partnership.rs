//! Sheets of what two sides do together: forms as offices fill them in, rows that are wrong, and money of which each side has its half.

use qianshou_kernel::identity::Role;
use qianshou_proto::{
    pairing::v1::{Allocation, Dispatch, FundSource, Payment, Project, ProjectGroup, ProjectStageKind, Receipt},
    registry::v1::Agency,
};
use qianshou_tests::{
    Node, World,
    desk::Desk,
    sample::{agency, citizen, uscc},
    stories,
};

use super::bad_rows::{Case, send, wrong_check_digit};

stories! {
    bad_rows_of_pairings_are_told
    bad_rows_of_work_are_told
    bad_rows_of_money_are_told
    forms_of_offices_are_read
    money_in_ten_thousands_is_refused
    the_payee_imports_its_half
}

/// Ningxia, which has two agencies, and a desk there.
async fn desk(world: &World) -> (Node, Desk) {
    let ningxia = world.node("64").await;
    let at = |n: u32, division: &str| Agency { division: Some(division.into()), ..agency(n) };
    ningxia.admin.put(vec![at(3, "640303"), at(4, "640324")]).await.unwrap();
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    (ningxia, desk)
}

async fn bad_rows_of_pairings_are_told(world: World) {
    let (_ningxia, desk) = desk(&world).await;
    let [one, two, three, four] = [1, 2, 3, 4].map(uscc);
    let spoilt = wrong_check_digit(&one);
    let (sending, receiving) = ("援派机构统一社会信用代码", "受援机构统一社会信用代码");
    let headers = ["计划", "批次", sending, receiving, "受援地区划代码", "开始日期", "结束日期"];
    let pair =
        |batch, sending, receiving, from, until| vec!["牵手计划", batch, sending, receiving, "640303", from, until];
    let cases: [Case<'_>; 6] = [
        (pair("第一批", &one, &three, "2022年5月", "2024/4"), &[]),
        (
            vec!["", "", &spoilt, &four, "64999", "2022-05-01", "明年"],
            &[
                "计划：必填",
                "批次：必填",
                "援派机构统一社会信用代码：校验码",
                "受援地区划代码：格式不正确",
                "结束日期：格式不正确",
            ],
        ),
        (pair("第一批", &one, &two, "2022-05-01", ""), &["援派机构统一社会信用代码：引用的记录不存在"]),
        (pair("第一批", &two, &four, "2022-05-01", "2022-04"), &["结束日期：不能早于开始日期"]),
        (pair("第一批", &two, &three, "2022-05-01", ""), &["批次：已被"]),
        (
            pair("第二批", &three, &three, "2022-05-01", ""),
            &["受援机构统一社会信用代码：已被援派机构统一社会信用代码使用"],
        ),
    ];
    send(&desk, "pairings", &headers, &cases).await;

    let headers = ["计划", "批次", receiving, "指标", "数量", "填报日期"];
    let told = |uscc, measure, value, on| vec!["牵手计划", "第一批", uscc, measure, value, on];
    let cases: [Case<'_>; 5] = [
        (told(&three, "培养人才", "30", "2023年6月30日"), &[]),
        (
            told(&three, "幸福感", "三十", "2030-01-01"),
            &["指标：不在有效列表中（培养人数、", "数量：格式不正确，应为整数", "填报日期：不能晚于今天"],
        ),
        (told(&one, "培养人数", "30", "2023-06-30"), &["受援地区划代码：必填"]),
        (
            told("9164", "培养人数", "1,000,001", "2023-06-30"),
            &["受援机构统一社会信用代码：格式不正确", "数量：格式不正确"],
        ),
        (told(&three, "培养人数", "31", "2023-06-30"), &["计划：已被第 3 行使用"]),
    ];
    send(&desk, "outcomes", &headers, &cases).await;
}

async fn bad_rows_of_work_are_told(world: World) {
    let (_ningxia, desk) = desk(&world).await;
    let [first, second, third] = [1, 2, 3].map(citizen);
    let wrong = wrong_check_digit(&second);
    let headers = ["计划", "年度", "姓名", "证件号码", "接收地区划代码", "开始日期", "结束日期", "参与项目"];
    let sent = |id, division, from, until| vec!["三区计划", "2023", "甲", id, division, from, until, "银龄陪伴"];
    let cases: [Case<'_>; 5] = [
        (sent(&first, "640202", "2023年4月", "2024年3月"), &[]),
        (
            vec!["", "23", "乙", &wrong, "640202", "", "", ""],
            &["计划：必填", "年度：格式不正确", "证件号码：校验码", "开始日期：必填"],
        ),
        (sent(&third, "640202", "2023-04-01", "2023-03"), &["结束日期：不能早于开始日期"]),
        (sent("", "640202", "2023-02-30", ""), &["证件号码：必填", "开始日期：格式不正确"]),
        (sent(&third, "64020", "2023-04-01", ""), &["接收地区划代码：格式不正确"]),
    ];
    let said = send(&desk, "dispatches", &headers, &cases).await;
    for number in [&first, &wrong, &third] {
        assert!(!said.err.contains(number.as_str()) && !said.out.contains(number.as_str()), "{said:?}");
    }

    let one = uscc(1);
    let headers = [
        "项目名称",
        "承接机构统一社会信用代码",
        "所在地区划代码",
        "组别",
        "阶段",
        "立项日期",
        "服务对象",
        "金额（元）",
    ];
    let cases: [Case<'_>; 5] = [
        (vec!["银龄陪伴", &one, "640202", "服务创新", "督导", "", "老年人", "50000"], &[]),
        (vec!["童心港湾", &one, "640202", "", "", "2023/5/1", "", "1,200.50"], &[]),
        (
            vec!["", "9164", "649999", "第四组", "结束", "去年", "", "1e3"],
            &[
                "项目名称：必填",
                "承接机构统一社会信用代码：格式不正确",
                "所在地区划代码：不在有效列表中",
                "组别：不在有效列表中（新秀培育、",
                "阶段：不在有效列表中（申报、",
                "立项日期：格式不正确",
                "金额（元）：格式不正确",
            ],
        ),
        (
            vec!["新项目", &one, "640202", "新秀培育", "立项", "2030-01-01", "", "-1"],
            &["立项日期：不能晚于今天", "金额（元）：格式不正确"],
        ),
        (vec!["新项目", &one, "", "", "", "", "", ""], &["所在地区划代码：必填"]),
    ];
    send(&desk, "projects", &headers, &cases).await;
}

async fn bad_rows_of_money_are_told(world: World) {
    let (_ningxia, desk) = desk(&world).await;
    let headers = ["计划", "年度", "资金来源", "用途", "地区划代码", "金额（元）"];
    let given = |source, amount| vec!["三区计划", "2023", source, "选派补助", "64", amount];
    let cases: [Case<'_>; 5] = [
        (given("中央财政", "7,860,000.00"), &[]),
        (given("天上", "786万元"), &["资金来源：不在有效列表中（中央、", "金额（元）：格式不正确，应为元"]),
        (
            vec!["", "二〇二三", "中央", "", "649999", "0.001"],
            &["计划：必填", "年度：格式不正确", "地区划代码：不在有效列表中", "金额（元）：格式不正确"],
        ),
        (given("中央", "1"), &["计划：已被第 3 行使用"]),
        (given("省级配套", ""), &["金额（元）：必填"]),
    ];
    send(&desk, "allocations", &headers, &cases).await;

    let three = uscc(3);
    let spoilt = wrong_check_digit(&three);
    let payee = "收款机构统一社会信用代码";
    let headers = ["付款单位", payee, "计划", "资金来源", "项目名称", "金额（元）", "付款日期", "凭证号"];
    let paid = |source, amount, on, voucher| vec!["自治区民政厅", &three, "三区计划", source, "", amount, on, voucher];
    let cases: [Case<'_>; 5] = [
        (paid("中央", "￥20,000.50", "2023-05-20", "PZ-1"), &[]),
        (
            vec!["", &spoilt, "三区计划", "中央", "", "0", "2030-01-01", ""],
            &[
                "付款单位：必填",
                "收款机构统一社会信用代码：校验码",
                "金额（元）：格式不正确",
                "付款日期：不能晚于今天",
                "凭证号：必填",
            ],
        ),
        (paid("天上", "20,00", "2023-05-20", "PZ-2"), &["资金来源：不在有效列表中", "金额（元）：格式不正确"]),
        (paid("中央", "1", "2023-05-20", "PZ-1"), &["付款单位：已被第 3 行使用"]),
        (paid("", "100.001", "20230230", "PZ-3"), &["金额（元）：格式不正确", "付款日期：格式不正确"]),
    ];
    send(&desk, "payments", &headers, &cases).await;

    // With the day it came in, it is the payee's half.
    let headers = ["付款单位", payee, "金额（元）", "付款日期", "凭证号", "到账日期"];
    let came = |amount, on, voucher| vec!["自治区民政厅", &three, amount, "2023-05-20", voucher, on];
    let cases: [Case<'_>; 4] = [
        (came("20000.50", "2023-05-23", "PZ-1"), &[]),
        (came("20000.50", "", "PZ-2"), &["到账日期：必填"]),
        (came("20000.50", "2023-05-19", "PZ-2"), &["到账日期：不能早于付款日期"]),
        (came("两万", "2030年1月1日", "PZ-3"), &["金额（元）：格式不正确", "到账日期：不能晚于今天"]),
    ];
    let said = send(&desk, "payments", &headers, &cases).await;
    assert_eq!(said.json()["kind"], "receipts");
}

/// Texts in GB18030 with titles, remarks, months, thousands and the words that offices use.
async fn forms_of_offices_are_read(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    let (one, first, second) = (uscc(1), citizen(1), citizen(2));
    desk.text(
        "dispatches.csv",
        &format!(
            "宁夏“三区计划”选派人员名单,,,,,,,\r\n填表单位：自治区民政厅,,,,填表日期：2023年6月1日,,,\r\n\
             序号,计划名称,所属年度,人员姓名,身份证号码,接收地区,选派开始日期,选派结束日期,参与项目名称\r\n\
             1,三区计划,2023年,王一,{first},640202,2023年5月,2024年4月,银龄陪伴；童心港湾\r\n\
             2,三区计划,2023,李二,{second},640202000000,2023/5/1,,银龄陪伴\r\n"
        ),
    );
    desk.text(
        "projects.csv",
        &format!(
            "2023年政府购买社会工作服务项目表,,,,,,,\r\n说明：金额以元为单位,,,,,,,\r\n\
             项目,承接机构信用代码,所在地区,项目组别,项目阶段,立项时间,服务人群,项目资金\r\n\
             银龄陪伴,{one},640202,服务创新组,督导中,,老年人;残疾人,\"50,000.00\"\r\n\
             童心港湾,{one},640202,新秀,,2023年5月,儿童,￥1200\r\n\
             社区共治,{one},640202,提升,已立项,2023/5/1,,\"１,２００,０００元\"\r\n\
             助残同行,{one},640202,,申请,,,\r\n"
        ),
    );
    desk.text(
        "allocations.csv",
        "三区计划资金安排,,,,,\r\n单位：元,,,,,\r\n计划,年份,来源,资金用途,行政区划代码,安排金额\r\n\
         三区计划,2023年,中央补助,选派补助,640000,\"7,860,000.00\"\r\n\
         三区计划,2023年,自治区配套,选派补助,64,\"6,280,000\"\r\n\
         三区计划,2023年,彩票公益金,,640202,0.07\r\n",
    );
    for (kind, count) in [("dispatches", 2), ("projects", 4), ("allocations", 3)] {
        let file = format!("{kind}.csv");
        for (dry, figures) in
            [(true, [count, 0, 0, 0]), (false, [count, 0, 0, 0]), (true, [0, 0, count, 0]), (false, [0, 0, count, 0])]
        {
            let said = desk.import(kind, &file, if dry { &["--dry-run"] } else { &[] }).await;
            assert_eq!((said.code, said.figures()), (0, figures), "{said:?}");
        }
    }
    let admin = &ningxia.admin;
    let mut sent = admin.list_all::<Dispatch>(Default::default()).await;
    sent.sort_by_key(|dispatch| dispatch.full_name.clone());
    let told: Vec<_> = sent.iter().map(|d| (d.full_name(), d.from(), d.until(), d.projects.len())).collect();
    assert_eq!(told, [("李二", "2023-05-01", "", 1), ("王一", "2023-05-01", "2024-04-30", 2)]);
    assert!(sent.iter().all(|d| d.year() == "2023" && d.host_division() == "640202" && d.division() == "64"));
    let mut projects = admin.list_all::<Project>(Default::default()).await;
    projects.sort_by_key(|project| project.amount_fen);
    let told: Vec<_> = projects.iter().map(|p| (p.amount_fen, p.group(), p.stage(), p.approved_on())).collect();
    assert_eq!(
        told,
        [
            (None, ProjectGroup::Unspecified, ProjectStageKind::Applied, ""),
            (Some(120_000), ProjectGroup::Newcomer, ProjectStageKind::Approved, "2023-05-01"),
            (Some(5_000_000), ProjectGroup::Innovation, ProjectStageKind::Supervised, ""),
            (Some(120_000_000), ProjectGroup::Capacity, ProjectStageKind::Approved, "2023-05-01"),
        ]
    );
    let mut given = admin.list_all::<Allocation>(Default::default()).await;
    given.sort_by_key(|allocation| allocation.amount_fen);
    let told: Vec<_> = given.iter().map(|a| (a.amount_fen(), a.source(), a.division(), a.currency())).collect();
    assert_eq!(
        told,
        [
            (7, FundSource::Lottery, "640202", "CNY"),
            (628_000_000, FundSource::ProvincialMatching, "64", "CNY"),
            (786_000_000, FundSource::Central, "64", "CNY"),
        ]
    );

    // What was approved before anybody counted stands from the beginning; what is in other money is not yuan.
    let dollars = Allocation { currency: Some("USD".into()), purpose: None, ..qianshou_tests::halves::allocation(1) };
    admin.create(dollars).await.unwrap();
    let table = async |indicator: &str, at: &str| {
        let said = desk.run(&["table", indicator, "--area", "64", "--at", at, "--json"]).await;
        said.json()[0]["value"].clone()
    };
    assert_eq!(table("project_total", "2023-04-30").await, 1);
    assert_eq!(table("project_total", "2023-12-31").await, 3);
    assert_eq!(table("funds_allocated", "2023-12-31").await, "14140000.07");
}

async fn money_in_ten_thousands_is_refused(world: World) {
    let (_ningxia, desk) = desk(&world).await;
    let row = "三区计划,2023,中央,选派补助,64,786\r\n";
    for (note, header) in [("资金安排", "金额（万元）"), ("单位：万元", "金额")] {
        desk.text("allocations.csv", &format!("{note},,,,,\r\n计划,年度,资金来源,用途,地区划代码,{header}\r\n{row}"));
        let said = desk.import("allocations", "allocations.csv", &["--receipt", "回执.xlsx"]).await;
        assert!(said.code == 1 && said.out.is_empty() && said.err.contains("换算为元"), "{said:?}");
        assert!(!desk.file("回执.xlsx").exists());
    }
    let exported = desk.run(&["export", "allocations"]).await;
    assert_eq!(exported.out.lines().count(), 1, "nothing was saved: {exported:?}");
}

/// One file of money: where it was paid it is the payer's half, where it came in, with the day of that, the payee's.
async fn the_payee_imports_its_half(world: World) {
    let (fujian, ningxia) = (world.node("35").await, world.node("64").await);
    let file = |day: &str, on: [&str; 2]| {
        let rows = [3, 4].map(uscc).into_iter().zip(on).zip(["PZ-1", "PZ-2"]);
        let rows = rows.map(|((payee, on), voucher)| {
            let row = format!("福建省民政厅,{payee},三区计划,中央,银龄陪伴,\"20,000.50\",2023-05-20,{voucher}");
            if day.is_empty() { format!("{row}\r\n") } else { format!("{row},{on}\r\n") }
        });
        format!(
            "资金拨付表\r\n付款单位,收款机构统一社会信用代码,计划,资金来源,项目名称,金额（元）,付款日期,凭证号{day}\r\n{}",
            rows.collect::<String>()
        )
    };
    let payer = world.desk(&fujian, Role::Editor, "35").await;
    payer.text("payments.csv", &file("", ["", ""]));
    for figures in [[2, 0, 0, 0], [0, 0, 2, 0]] {
        let said = payer.import("payments", "payments.csv", &[]).await;
        assert_eq!((said.code, said.figures(), &said.json()["kind"]), (0, figures, &"payments".into()), "{said:?}");
        assert!(said.err.is_empty(), "{said:?}");
    }
    let payee = world.desk(&ningxia, Role::Editor, "64").await;
    payee.text("payments.csv", &file(",到账日期", ["2023-05-23", "2023-05-24"]));
    let before = ningxia.position().await;
    let asked = payee.import("payments", "payments.csv", &["--dry-run"]).await;
    assert_eq!((asked.figures(), ningxia.position().await), ([2, 0, 0, 0], before), "{asked:?}");
    for figures in [[2, 0, 0, 0], [0, 0, 2, 0]] {
        let said = payee.import("payments", "payments.csv", &["--receipt", "回执.csv"]).await;
        assert_eq!((said.code, said.figures(), &said.json()["kind"]), (0, figures, &"receipts".into()), "{said:?}");
        assert!(said.err.contains("receipts") && said.err.contains("项目名称"), "{said:?}");
    }
    let marked = std::fs::read(payee.file("回执.csv")).unwrap();
    let marked = String::from_utf8(marked).unwrap();
    assert!(marked.contains("到账日期,校验结果") && marked.contains("2023-05-24,未变"), "{marked}");

    let mut paid: Vec<Payment> = fujian.admin.list_all(Default::default()).await;
    let mut came: Vec<Receipt> = ningxia.admin.list_all(Default::default()).await;
    paid.sort_by_key(|payment| payment.voucher.clone());
    came.sort_by_key(|receipt| receipt.voucher.clone());
    assert_eq!((came[0].received_on(), came[0].paid_on(), came[1].division()), ("2023-05-23", "2023-05-20", "64"));
    assert!(paid.iter().map(|payment| &payment.flow).eq(came.iter().map(|receipt| &receipt.flow)), "{paid:?} {came:?}");
    // Each half is exported by its own name, and comes back.
    assert_eq!(payee.run(&["export", "payments"]).await.out.lines().count(), 1);
    for (desk, kind) in [(&payer, "payments"), (&payee, "receipts")] {
        let exported = format!("{kind}.xlsx");
        desk.export(kind, &exported).await;
        let said = desk.import(kind, &exported, &[]).await;
        assert_eq!((said.figures(), &said.json()["kind"]), ([0, 0, 2, 0], &kind.into()), "{said:?}");
    }
}
