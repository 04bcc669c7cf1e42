//! Rows that are wrong in every way: each reason in the receipt, the cell marked, the good rows taken, nothing personal told.

use qianshou_kernel::identity::Role;
use qianshou_tests::{
    World,
    desk::{Desk, Said},
    sample::{citizen, uscc},
    stories,
};

stories! {
    every_reason_is_in_the_receipt_and_good_rows_are_taken
    a_receipt_can_be_mended_and_sent_again
}

/// A row's cells, and what its verdict must say; nothing: it is taken.
pub(super) type Case<'a> = (Vec<&'a str>, &'a [&'a str]);

pub(super) async fn send(desk: &Desk, kind: &str, headers: &[&str], cases: &[Case<'_>]) -> Said {
    let rows: Vec<Vec<&str>> =
        std::iter::once(headers.to_vec()).chain(cases.iter().map(|(cells, _)| cells.clone())).collect();
    let (file, receipt) = (format!("{kind}.xlsx"), format!("{kind}-回执.xlsx"));
    desk.workbook(&file, &rows);
    let said = desk.import(kind, &file, &["--receipt", &receipt]).await;
    let bad = cases.iter().filter(|(_, reasons)| !reasons.is_empty()).count() as u64;
    assert_eq!((said.code, said.figures()[3]), (3, bad), "{said:?}");
    assert_eq!(said.figures()[0], cases.len() as u64 - bad, "{said:?}");
    let written = desk.sheet(&receipt, 0);
    for ((cells, reasons), row) in cases.iter().zip(&written[2..]) {
        assert!(row.starts_with(&cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>()), "{row:?}");
        let verdict = &row[headers.len()];
        if reasons.is_empty() {
            assert_eq!(verdict, "通过", "{row:?}");
        }
        for reason in *reasons {
            assert!(verdict.starts_with("拒绝：") && verdict.contains(reason), "{reason} is not in {verdict}");
        }
    }
    let summary = desk.sheet(&receipt, 1);
    assert_eq!(summary[5], ["拒绝", &bad.to_string()]);
    let told: usize = summary[8..].iter().map(|reason| reason[1].parse::<usize>().unwrap()).sum();
    assert_eq!(told, cases.iter().map(|(_, reasons)| reasons.len()).sum::<usize>(), "{summary:?}");
    // The same file again changes nothing, and says the same.
    let again = desk.import(kind, &file, &[]).await;
    assert_eq!((again.code, again.figures()), (3, [0, 0, cases.len() as u64 - bad, bad]), "{again:?}");
    said
}

async fn every_reason_is_in_the_receipt_and_good_rows_are_taken(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    let [one, two, three, four, five, six, seven] = [1, 2, 3, 4, 5, 6, 7].map(uscc);
    let spoilt = wrong_check_digit(&two);
    let long = "长".repeat(4_001);
    let agencies = ["机构名称", "统一社会信用代码", "机构类型", "所在地区划代码", "成立日期", "注销日期"];
    let cases: [Case<'_>; 10] = [
        (vec!["甲", &one, "其他", "640104", "2018-03-01", ""], &[]),
        (
            vec!["", &spoilt, "马戏团", "649999", "去年", ""],
            &[
                "机构名称：必填",
                "统一社会信用代码：校验码",
                "机构类型：不在有效列表中（社会服务机构、",
                "成立日期：格式不正确",
                "所在地区划代码：不在有效列表中",
            ],
        ),
        (vec!["乙", &two, "", "649999", "", ""], &["所在地区划代码：不在有效列表中"]),
        (vec!["乙", &five, "", "6401", "2030-01-01", ""], &["成立日期：不能晚于今天"]),
        (
            vec!["乙", &six, "", "64010", "2020-01-02", "2020-01-01"],
            &["所在地区划代码：格式", "注销日期：不能早于成立日期"],
        ),
        (vec!["两\n行", &three, "", "640104", "", ""], &["机构名称：含有不可见的控制字符"]),
        (vec![&long, &seven, "", "640104", "", ""], &["机构名称：超过长度上限4000 个字符"]),
        (vec!["丙", &one, "", "640104", "", ""], &["统一社会信用代码：已被第 3 行使用"]),
        (vec!["=1+1", &four, "企业", "640122", "2018/3", ""], &[]),
        (vec!["丁", "9135", "", "", "", ""], &["统一社会信用代码：格式不正确，应为18 位", "所在地区划代码：必填"]),
    ];
    let said = send(&desk, "agencies", &agencies, &cases).await;
    assert_eq!(said.err.lines().filter(|line| line.contains(" | row ")).count(), 8, "{said:?}");

    let stations = ["站点名称", "站点类型", "所在地区划代码", "状态", "运营机构统一社会信用代码", "六有"];
    let cases: [Case<'_>; 4] = [
        (vec!["站", "社工站", "640104100", "运行", &one, "场地"], &[]),
        (
            vec!["站二", "社工站", "640104", "", "", "场地；泳池"],
            &["六有：不在有效列表中", "所在地区划代码：格式不正确，应为至少 9 位"],
        ),
        (
            vec!["站三", "", "640104100", "", &two, ""],
            &["站点类型：必填", "运营机构统一社会信用代码：引用的记录不存在"],
        ),
        (vec!["站四", "社工站", "640104100", "", "", ""], &[]),
    ];
    send(&desk, "stations", &stations, &cases).await;

    let [first, second, third] = [1, 2, 3].map(citizen);
    let wrong = wrong_check_digit(&second);
    let workers = ["姓名", "证件号码", "所在地区划代码", "用人单位统一社会信用代码", "服务站点", "入职日期"];
    let cases: [Case<'_>; 5] = [
        (vec!["甲", &first, "640104", &one, "站", "2019-07-01"], &[]),
        (vec!["乙", &wrong, "640104", "", "", ""], &["证件号码：校验码不正确"]),
        (vec!["乙", &second, "640122", "", "站", ""], &["服务站点：引用的记录不存在"]),
        (vec!["丙", &third, "640104", &two, "", ""], &["用人单位统一社会信用代码：引用的记录不存在"]),
        (vec!["丙", "", "640104", "", "", "2023-02-30"], &["证件号码：必填", "入职日期：格式不正确"]),
    ];
    let said = send(&desk, "workers", &workers, &cases).await;
    for number in [&wrong, &second, &third] {
        assert!(!said.err.contains(number.as_str()) && !said.out.contains(number.as_str()), "{said:?}");
    }

    let certificates = ["证件号码", "证书级别", "证书编号", "发证日期", "登记有效期至"];
    let cases: [Case<'_>; 4] = [
        (vec![&first, "高级", "1", "2019-09-10", ""], &[]),
        (vec![&third, "高级", "2", "2019-09-10", ""], &["证件号码：引用的记录不存在"]),
        (vec![&first, "特级", "", "2019-09-10", ""], &["证书级别：不在有效列表中（助理社会工作师、", "证书编号：必填"]),
        (vec![&first, "中级", "3", "2019-09-10", "2018-01"], &["登记有效期至：不能早于发证日期"]),
    ];
    let said = send(&desk, "certificates", &certificates, &cases).await;
    assert!(!said.err.contains(&third) && !said.err.contains(&first), "{said:?}");

    // What is wrong with one of several parts in a cell is told with its place and its own name.
    let templates = ["模板名称", "版本", "所在地区划代码", "生效日期", "指标"];
    let cases: [Case<'_>; 4] = [
        (vec!["规范", "2023", "64", "2023-01-01", "A1｜场地｜是｜60；A2｜设备"], &[]),
        (
            vec!["规范", "2024", "64", "2024-01-01", "A1｜场地；A1｜设备｜｜10001；A3"],
            &["指标第2项编码：已被指标第1项使用", "指标第2项权重：格式不正确", "指标第3项指标：必填"],
        ),
        (vec!["规范", "2025", "64", "", "A1｜场地｜也许"], &["生效日期：必填", "指标：不在有效列表中（是、否）"]),
        (
            vec!["规范", "2025", "64", "2025-01-01", "A1｜场地｜是｜60｜80｜多"],
            &["指标：格式不正确，应为编码｜指标｜必备｜权重｜达标分"],
        ),
    ];
    send(&desk, "templates", &templates, &cases).await;
    let posts = ["岗位名称", "岗位类别", "所在地区划代码", "数量", "设岗单位统一社会信用代码"];
    let cases: [Case<'_>; 3] = [
        (vec!["岗", "管理", "640104", "", &one], &[]),
        (vec!["岗二", "", "640104", "几个", ""], &["岗位类别：必填", "数量：格式不正确，应为整数"]),
        (
            vec!["岗三", "管理", "640104", "0", &two],
            &["数量：格式不正确", "设岗单位统一社会信用代码：引用的记录不存在"],
        ),
    ];
    send(&desk, "posts", &posts, &cases).await;

    let nation = world.node("00").await;
    let desk = world.desk(&nation, Role::Editor, "00").await;
    let divisions = ["区划代码", "名称", "生效日期", "失效日期"];
    let cases: [Case<'_>; 4] = [
        (vec!["640104398", "新镇", "2024-01-01", ""], &[]),
        (vec!["64010", "新镇", "2024-01-01", ""], &["区划代码：格式"]),
        (vec!["640104397", "", "2024-01-01", ""], &["名称：必填"]),
        (vec!["640104397", "新镇", "2024-01-01", "2024-01-01"], &["失效日期：不能早于生效日期"]),
    ];
    send(&desk, "divisions", &divisions, &cases).await;
}

async fn a_receipt_can_be_mended_and_sent_again(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    let (one, two) = (uscc(1), uscc(2));
    let file = |second: &str| {
        format!("机构名称,统一社会信用代码,所在地区划代码,备注\n甲,{one},640104,'=x\n乙,{second},640104,\n")
    };
    std::fs::write(desk.file("a.csv"), file(&wrong_check_digit(&two))).unwrap();
    let said = desk.import("agencies", "a.csv", &["--receipt", "b.csv"]).await;
    assert_eq!((said.code, said.figures()), (3, [1, 0, 0, 1]), "{said:?}");
    let receipt = std::fs::read_to_string(desk.file("b.csv")).unwrap();
    assert!(receipt.contains("备注,校验结果\n") && receipt.contains("'=x,通过\n"), "{receipt}");
    let mended = receipt.replace(&wrong_check_digit(&two), &two);
    std::fs::write(desk.file("b.csv"), mended).unwrap();
    let said = desk.import("agencies", "b.csv", &["--receipt", "c.csv"]).await;
    assert_eq!((said.code, said.figures()), (0, [1, 0, 1, 0]), "{said:?}");
    let again = std::fs::read_to_string(desk.file("c.csv")).unwrap();
    assert_eq!(
        again,
        file(&two)
            .replace("备注\n", "备注,校验结果\n")
            .replace("=x\n", "=x,未变\n")
            .replace("640104,\n", "640104,,通过\n")
    );
}

pub(super) fn wrong_check_digit(sound: &str) -> String {
    let (body, check) = sound.split_at(sound.len() - 1);
    format!("{body}{}", if check == "1" { "2" } else { "1" })
}
