//! Spreadsheets as offices write them, through the program that offices run.

mod bad_rows;
mod long;
mod office;
mod partnership;
mod round_trip;

use qianshou::node::kinds;
use qianshou_kernel::identity::Role;
use qianshou_proto::registry::v1::{
    Agency, Assessment, Certificate, CertificateLevel, Post, SixHave, Station, Template, Worker,
};
use qianshou_tests::{
    World,
    desk::Desk,
    sample::{agency, citizen, uscc},
    stories,
};

stories! {
    good_files_of_every_kind_are_taken_once
    a_template_of_every_kind_is_taken
    each_province_imports_its_half_of_one_file
    asking_first_saves_nothing
    a_clerk_stays_in_their_area
    what_a_file_does_not_speak_of_stays
}

/// Files of kinds that a province keeps, each in another form.
fn write_files(desk: &Desk) {
    let (one, two) = (uscc(1), uscc(2));
    desk.workbook(
        "agencies.xlsx",
        &[
            vec!["序号", "单位名称", "信用代码（18位）", "机构类型", "行政区划代码", "成立时间", "业务领域"],
            vec!["1", "塞上中心", &one, "民非", "640104", "2018年3月", "儿童福利；老年服务"],
            vec!["2", "贺兰中心", &two, "社会团体", "640122000000", "20190501", ""],
        ],
    );
    let place = "640104100";
    desk.text(
        "stations.csv",
        &format!(
            "填表单位：兴庆区\r\n站点名称*,级别,区划代码,启用时间,运营机构统一社会信用代码,六有,示范等级,编号\r\n\
             掌政镇社工站,社工站,{place},2021.6.1,{one},场地；人员;制度,省级,\r\n\
             掌政镇社工站,社工站,{place},2021/6/1 0:00,,,,二号\r\n"
        ),
    );
    let (first, second) = (citizen(1), citizen(2));
    desk.workbook(
        "workers.xlsx",
        &[
            vec!["说明：每人一行"],
            vec!["姓名", "身份证号", "所在地区划代码", "单位信用代码", "单位类别", "社工站", "人员性质", "入职时间"],
            vec!["张三", &first, "640104", &one, "社工机构", "", "专业", "2019-07"],
            vec!["李四", &second, "640104", "", "城乡社区", "", "指定", "2020年1月2日"],
        ],
    );
    std::fs::write(
        desk.file("certificates.csv"),
        format!(
            "\u{feff}证件号码,证书级别,证书编号,发证日期,有效期至\n{first},中级,2019064000001,2019-09-10,2024-02\n\
             {second},助理,2019064000001,2019/9/10,\n"
        ),
    )
    .unwrap();
    desk.workbook(
        "posts.xlsx",
        &[
            vec!["岗位", "设岗单位信用代码", "岗位类型", "区划代码", "岗位数", "设岗时间", "职称"],
            vec!["社会工作岗", &one, "专业技术岗位", "640104", "1,200", "2021.06.01", "社会工作师"],
            vec!["社会工作岗", "", "管理岗位", "640104", "", "", ""],
        ],
    );
    desk.text(
        "templates.csv",
        "标准名称,版次,地区代码,指标,实施日期\r\n建设规范,2022,64,,2022年1月\r\n\
         建设规范（新）,2023,64,A1|有固定场地|有|60; A2 ｜ 有设备,2023-01-01\r\n",
    );
}

const FILES: [(&str, &str); 6] = [
    ("agencies", "agencies.xlsx"),
    ("stations", "stations.csv"),
    ("workers", "workers.xlsx"),
    ("certificates", "certificates.csv"),
    ("posts", "posts.xlsx"),
    ("templates", "templates.csv"),
];

async fn good_files_of_every_kind_are_taken_once(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    write_files(&desk);
    for (kind, file) in FILES {
        let said = desk.import(kind, file, &[]).await;
        assert_eq!((said.code, said.figures()), (0, [2, 0, 0, 0]), "{said:?}");
    }
    let before = ningxia.position().await;
    for (kind, file) in FILES {
        let said = desk.import(kind, file, &[]).await;
        assert_eq!((said.code, said.figures()), (0, [0, 0, 2, 0]), "{said:?}");
    }
    assert_eq!(ningxia.position().await, before, "the same files again change nothing");

    let admin = &ningxia.admin;
    let mut agencies = admin.list_all::<Agency>(Default::default()).await;
    agencies.sort_by_key(|agency| agency.uscc.clone());
    assert_eq!((agencies[0].founded_on(), agencies[1].founded_on()), ("2018-03-01", "2019-05-01"));
    assert_eq!((agencies[0].fields.len(), agencies[1].division()), (2, "640122"));
    let mut stations = admin.list_all::<Station>(Default::default()).await;
    stations.sort_by_key(|station| station.r#ref.clone());
    assert_eq!((stations[0].operator.as_ref(), stations[1].r#ref()), (agencies[0].name.as_ref(), "二号"));
    let haves = [SixHave::Place, SixHave::Staff, SixHave::Rules].map(i32::from);
    assert_eq!((stations[0].six_haves.as_slice(), stations[0].demonstration_level()), (&haves[..], "省级"));
    let mut workers = admin.list_all::<Worker>(Default::default()).await;
    workers.sort_by_key(|worker| worker.full_name.clone());
    assert_eq!((workers[0].employer.as_ref(), workers[0].since()), (agencies[0].name.as_ref(), "2019-07-01"));
    let mut certificates = admin.list_all::<Certificate>(Default::default()).await;
    certificates.sort_by_key(|certificate| std::cmp::Reverse(certificate.level));
    assert_eq!((certificates[0].worker.as_ref(), certificates[0].division()), (workers[0].name.as_ref(), "640104"));
    assert_eq!(
        (certificates[0].level(), certificates[0].registered_until()),
        (CertificateLevel::Intermediate, "2024-02-29")
    );

    let mut posts = admin.list_all::<Post>(Default::default()).await;
    posts.sort_by_key(|post| post.count);
    assert_eq!((posts[0].count(), posts[1].count(), posts[1].employer.as_ref()), (1, 1_200, agencies[0].name.as_ref()));
    let templates = admin.list_all::<Template>(Default::default()).await;
    let criteria = &templates.iter().find(|template| template.edition() == "2023").unwrap().criteria;
    let told: Vec<_> = criteria.iter().map(|c| (c.code(), c.title(), c.required, c.weight)).collect();
    assert_eq!(told, [("A1", "有固定场地", Some(true), Some(60)), ("A2", "有设备", None, None)]);
    let headers = vec!["区划代码", "社工站", "评估标准", "评估时间", "评估结果", "六有"];
    let found = "A1|Y|90|卷\\|宗1；A2|×";
    let row = vec!["640104", stations[0].name(), "建设规范（新）", "2023年5月10日", found, "场地"];
    desk.workbook("assessments.xlsx", &[headers, row]);
    for figures in [[1, 0, 0, 0], [0, 0, 1, 0]] {
        let said = desk.import("assessments", "assessments.xlsx", &[]).await;
        assert_eq!((said.code, said.figures()), (0, figures), "{said:?}");
    }
    let assessed = admin.list_all::<Assessment>(Default::default()).await.remove(0);
    assert_eq!((assessed.station.as_ref(), assessed.score()), (stations[0].name.as_ref(), 9_000));
    let told: Vec<_> = assessed.results.iter().map(|r| (r.criterion(), r.met(), r.score, r.evidence())).collect();
    assert_eq!(told, [("A1", true, Some(90), "卷|宗1"), ("A2", false, None, "")]);

    let nation = world.node("00").await;
    let desk = world.desk(&nation, Role::Editor, "00").await;
    let list =
        "code,name,first_snapshot,gone_by_snapshot\n640104398,新镇,2024-01-01,\n640104399,旧镇,2016-07-31,2020-10-31\n";
    std::fs::write(desk.file("list.csv"), list).unwrap();
    for figures in [[2, 0, 0, 0], [0, 0, 2, 0]] {
        let said = desk.import("divisions", "list.csv", &[]).await;
        assert_eq!((said.code, said.figures()), (0, figures), "{said:?}");
    }
}

/// The same file of pairings at both provinces: each writes its own half. What it does not speak of stays.
async fn each_province_imports_its_half_of_one_file(world: World) {
    use qianshou_proto::pairing::v1::{Commitment, Outcome, Side};
    use qianshou_tests::sample::{agency, uscc};
    let (fujian, ningxia) = (world.node("35").await, world.node("64").await);
    let at = |n: u32, division: &str| Agency { division: Some(division.into()), ..agency(n) };
    fujian.admin.put(vec![at(1, "350203"), at(2, "350102")]).await.unwrap();
    ningxia.admin.put(vec![at(3, "640303"), at(4, "640324")]).await.unwrap();
    let pairings = format!(
        "计划,批次,援派机构统一社会信用代码,受援机构统一社会信用代码,受援地区划代码,开始日期,结束日期\n\
         牵手计划,第一批,{},{},640303,2022-05-01,2024-04\n牵手计划,第一批,{},{},640324,2022年5月,\n",
        uscc(1),
        uscc(3),
        uscc(2),
        uscc(4)
    );
    let outcomes = format!(
        "计划,批次,受援机构统一社会信用代码,指标,数量,填报日期\n牵手计划,第一批,{},培养人数,30,2023-06-30\n",
        uscc(3)
    );
    for (node, side, division) in [(&fujian, Side::Sending, "35"), (&ningxia, Side::Receiving, "640303")] {
        let desk = world.desk(node, Role::Editor, &node.code).await;
        for (file, text) in [("pairings.csv", &pairings), ("outcomes.csv", &outcomes)] {
            std::fs::write(desk.file(file), text).unwrap();
        }
        for figures in [[2, 0, 0, 0], [0, 0, 2, 0]] {
            let said = desk.import("pairings", "pairings.csv", &[]).await;
            assert_eq!((said.code, said.figures()), (0, figures), "{said:?}");
        }
        let halves = node.admin.list_all::<Commitment>(Default::default()).await;
        assert!(halves.iter().all(|half| half.side() == side && half.division().starts_with(&node.code)), "{halves:?}");
        let first = halves.iter().find(|half| half.receiving_uscc() == uscc(3)).unwrap();
        assert_eq!((first.from(), first.until()), ("2022-05-01", "2024-04-30"));
        let said = desk.import("outcomes", "outcomes.csv", &[]).await;
        let told: Vec<Outcome> = node.admin.list_all(Default::default()).await;
        // Whoever does not have the agency takes the place from their half of the pairing.
        assert_eq!((said.figures(), told[0].receiving_division()), ([1, 0, 0, 0], "640303"), "{said:?}");
        assert_eq!(told[0].division(), division);
    }
}

async fn a_template_of_every_kind_is_taken(world: World) {
    let nation = world.node("00").await;
    let ningxia = world.node("64").await;
    let (national, provincial) =
        (world.desk(&nation, Role::Editor, "00").await, world.desk(&ningxia, Role::Editor, "64").await);
    // Of two that are one, only the duplicate has a template of its own.
    let survivor = Agency { uscc: Some("9144030071526726XG".into()), ..agency(1) };
    ningxia.admin.create(survivor).await.unwrap();
    for (kind, home) in kinds().into_iter().map(|kind| (kind.collection, kind.home)) {
        let desk = if home.is_some() { &national } else { &provincial };
        let said = desk.run(&["export", "--template", kind]).await;
        assert_eq!((said.code, said.out.trim()), (0, &format!("{kind}-template.xlsx")[..]), "{said:?}");
        let said = desk.import(kind, &format!("{kind}-template.xlsx"), &[]).await;
        assert_eq!((said.code, said.json()["rows"].as_u64()), (0, Some(1)), "{said:?}");
        assert!(said.err.is_empty(), "nothing of it is left unread: {said:?}");
    }
    let refused = provincial.run(&["export", "--template", "ships"]).await;
    assert!(refused.code == 1 && refused.err.contains("agencies"), "{refused:?}");
    let usage = provincial.run(&["export"]).await;
    assert_eq!(usage.code, 2, "{usage:?}");
}

async fn asking_first_saves_nothing(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    write_files(&desk);
    let before = ningxia.position().await;
    let said = desk.import("agencies", "agencies.xlsx", &["--dry-run", "--receipt", "回执.xlsx"]).await;
    assert_eq!((said.code, said.figures()), (0, [2, 0, 0, 0]), "{said:?}");
    assert_eq!(said.json()["columns_left"][0], "序号");
    assert_eq!(ningxia.position().await, before);
    let receipt = desk.sheet("回执.xlsx", 0);
    assert_eq!(
        (receipt[0][0].as_str(), receipt[1][7].as_str(), receipt[3][7].as_str()),
        ("社会工作统计表", "校验结果", "通过")
    );
    assert!(receipt[1][0] == "序号" && receipt[3][1] == "贺兰中心", "{receipt:?}");

    let itself = desk.import("agencies", "agencies.xlsx", &["--receipt", "agencies.xlsx"]).await;
    assert_eq!(itself.code, 1, "{itself:?}");
    let foreign = desk.import("stations", "agencies.xlsx", &[]).await;
    assert!(foreign.code == 1 && foreign.err.contains("站点名称") && foreign.out.is_empty(), "{foreign:?}");
}

async fn a_clerk_stays_in_their_area(world: World) {
    let ningxia = world.node("64").await;
    let everywhere = world.desk(&ningxia, Role::Editor, "64").await;
    let county = world.desk(&ningxia, Role::Editor, "640122").await;
    write_files(&everywhere);
    write_files(&county);
    let said = county.import("agencies", "agencies.xlsx", &[]).await;
    assert_eq!((said.code, said.figures()), (3, [1, 0, 0, 1]), "{said:?}");
    assert_eq!(said.json()["reasons"][0]["reason"], "AREA_FORBIDDEN");
    assert!(said.err.contains("第 3 行：行政区划代码：") && said.err.contains("--receipt"), "{said:?}");
    everywhere.import("agencies", "agencies.xlsx", &[]).await;
    let lines = |said: &qianshou_tests::desk::Said| said.out.lines().count();
    let all = everywhere.run(&["export", "agencies"]).await;
    let some = everywhere.run(&["export", "agencies", "--area", "640104"]).await;
    let own = county.run(&["export", "agencies"]).await;
    assert_eq!((lines(&all), lines(&some), lines(&own)), (3, 2, 2), "{all:?} {some:?} {own:?}");
    assert!(
        all.out.starts_with(
            "机构名称,统一社会信用代码,机构类型,所在地区划代码,成立日期,注销日期,业务领域,别名,转出记录,转入日期,编号\n"
        ),
        "{all:?}"
    );
    let reader = world.desk(&ningxia, Role::Reader, "64").await;
    let refused = reader.import("agencies", "../desk-64-64/agencies.xlsx", &[]).await;
    assert!(refused.code == 1 && refused.err.contains("editor"), "{refused:?}");
}

async fn what_a_file_does_not_speak_of_stays(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    write_files(&desk);
    desk.import("agencies", "agencies.xlsx", &[]).await;
    let of = |rows: &[Vec<&str>]| desk.workbook("less.xlsx", rows);
    let (one, two) = (uscc(1), uscc(2));
    let headers = vec!["机构名称", "统一社会信用代码", "所在地区划代码", "注销日期"];
    of(&[headers.clone(), vec!["塞上中心", &one, "640104", "2024-05-01"], vec!["贺兰中心", &two, "640122", ""]]);
    let said = desk.import("agencies", "less.xlsx", &[]).await;
    assert_eq!((said.code, said.figures()), (0, [0, 1, 1, 0]), "{said:?}");
    let kept = async || {
        let mut agencies = ningxia.admin.list_all::<Agency>(Default::default()).await;
        agencies.sort_by_key(|agency| agency.uscc.clone());
        agencies
    };
    let agencies = kept().await;
    assert_eq!(
        (agencies[0].founded_on(), agencies[0].closed_on(), agencies[0].fields.len()),
        ("2018-03-01", "2024-05-01", 2)
    );

    // What it does speak of has to go with what stands there, and an empty cell is said.
    of(&[headers.clone(), vec!["塞上中心", &one, "640104", "2017-01-01"]]);
    let said = desk.import("agencies", "less.xlsx", &[]).await;
    assert_eq!((said.code, said.figures()), (3, [0, 0, 0, 1]), "{said:?}");
    of(&[headers, vec!["塞上中心", &one, "640104", ""]]);
    let said = desk.import("agencies", "less.xlsx", &[]).await;
    assert_eq!((said.code, said.figures()), (0, [0, 1, 0, 0]), "{said:?}");
    assert_eq!((&kept().await[0].closed_on, kept().await[0].founded_on()), (&None, "2018-03-01"));
}
