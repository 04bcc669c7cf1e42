//! Divisions have a history: what became of a code, and what it was.

use std::collections::BTreeSet;

use qianshou_kernel::{error::Reason, kind::ListQuery};
use qianshou_proto::registry::v1::{Change, ChangeKind, Division, Station, StationType, TraceDivisionRequest};
use qianshou_tests::{
    Caller, World, eventually,
    refusal::refused,
    sample::{division, station},
    stories,
    treaty::{agree, introduce, settled, share_all, terms},
};
use tonic::Status;

use crate::reporting::restated;

stories! {
    a_code_is_traced_both_ways
    a_village_is_traced_with_its_township
    an_operator_tells_of_a_later_change
    an_operator_decides_what_was_left_open
    of_a_code_one_interval_is_open
}

async fn a_code_is_traced_both_ways(world: World) {
    let fujian = world.node("35").await;
    let traced = async |code: &str, on: &str, at: &str| trace(&fujian.admin, code, on, at).await.unwrap();
    assert_eq!(traced("350427", "2020-06-30", "2023-06-30").await, ["350405 沙县区 1/1"]);
    assert_eq!(traced("350405", "2023-06-30", "2020-06-30").await, ["350427 沙县 1/1"]);
    assert_eq!(traced("350402", "2020-06-30", "2023-06-30").await, ["350404 三元区 1/1"]);
    assert_eq!(traced("350427", "2020-06-30", "2020-06-30").await, ["350427 沙县 1/1"]);
    let back = ["350402 梅列区 1/2", "350403 三元区 1/2"];
    assert_eq!(traced("350404", "2023-06-30", "2020-06-30").await, back);
    assert_eq!(traced("640104012", "2022-10-31", "2021-10-31").await, Vec::<String>::new(), "it did not exist");
    assert_eq!(traced("640104", "2016-07-31", "2023-06-30").await, ["640104 兴庆区 1/1"]);
    assert_eq!(traced("620121112", "2021-10-31", "2023-06-30").await, ["620171104 上川镇 1/1"]);
    assert_eq!(traced("620171104", "2023-06-30", "2021-10-31").await, ["620121112 上川镇 1/1"]);
    let admin = &fujian.admin;
    refused(trace(admin, "640104012", "2021-10-31", "2023-06-30").await, Reason::NotFound, "code");
    refused(trace(admin, "64010", "2021-10-31", "2023-06-30").await, Reason::Malformed, "code");
    refused(trace(admin, "", "2021-10-31", "2023-06-30").await, Reason::Required, "code");
    refused(trace(admin, "640104", "2021-13-31", "2023-06-30").await, Reason::Malformed, "on");
}

async fn an_operator_tells_of_a_later_change(world: World) {
    let nation = world.node("00").await;
    let admin = &nation.admin;
    let merged = Change {
        kind: Some(ChangeKind::Merged.into()),
        effective_on: Some("2025-01-01".into()),
        from: vec!["640104".into(), "640105".into()],
        to: vec!["640104".into()],
        document: Some("民函〔2024〕1号".into()),
        ..Change::default()
    };
    assert_eq!(trace(admin, "640105", "2023-06-30", "2025-06-30").await.unwrap(), ["640105 西夏区 1/1"]);
    let told = admin.create(merged.clone()).await.unwrap().noun;
    assert_eq!(trace(admin, "640105", "2023-06-30", "2025-06-30").await.unwrap(), ["640104 兴庆区 1/1"]);
    refused(admin.create(merged.clone()).await, Reason::Duplicate, "effective_on");
    let alone = Change { from: vec!["640106".into()], ..merged.clone() };
    refused(admin.create(alone).await, Reason::Required, "from");
    let parts = Change { parts: vec![1, 2], from: vec!["640106".into(), "640121".into()], ..merged.clone() };
    refused(admin.create(parts).await, Reason::Malformed, "parts");
    let split = Change {
        kind: Some(ChangeKind::Split.into()),
        from: vec!["640121".into()],
        to: vec!["640122".into(), "640181".into()],
        parts: vec![1_000_001, 1],
        ..merged.clone()
    };
    refused(admin.create(split).await, Reason::Malformed, "parts");
    let no_code = Change { from: vec!["64010".into(), "640105".into()], ..merged.clone() };
    refused(admin.create(no_code).await, Reason::Malformed, "from");
    // However a code is written, it is the same: here, in lists and in tables.
    let long = Change { from: vec!["640104000000".into(), "640105000".into()], ..merged.clone() };
    refused(admin.create(long.clone()).await, Reason::Duplicate, "effective_on");
    assert_eq!((&told.from, &told.to), (&merged.from, &merged.to));
    admin.delete::<Change>(told.name()).await.unwrap();
    assert_eq!(trace(admin, "640105", "2023-06-30", "2025-06-30").await.unwrap(), ["640105 西夏区 1/1"]);
    let again = admin.create(long).await.unwrap().noun;
    assert_eq!((&again.from, &again.to), (&merged.from, &merged.to));
    assert_eq!(trace(admin, "640105", "2023-06-30", "2025-06-30").await.unwrap(), ["640104 兴庆区 1/1"]);
    let at = |n: u32, place: &str| Station { division: Some(place.into()), ..station(n) };
    admin.put(vec![at(1, "640104100"), at(2, "640105100")]).await.unwrap();
    let within =
        ListQuery { area: Some("640104".into()), divisions_at: Some("2025-06-30".into()), ..ListQuery::default() };
    assert_eq!(admin.list_all::<Station>(within).await.len(), 2);
}

/// Changes are told down to the townships. A village keeps its last digits in its township's successor, if the list has it there.
async fn a_village_is_traced_with_its_township(world: World) {
    let nation = world.node("00").await;
    let admin = &nation.admin;
    let listed = |code: &str, name: &str, from: &str, to: Option<&str>| Division {
        code: Some(code.into()),
        display_name: Some(name.into()),
        valid_from: Some(from.into()),
        valid_to: to.map(str::to_owned),
        ..Division::default()
    };
    let until = Some("2022-10-31");
    let villages = [
        listed("620121112001", "甲村", "2016-07-31", until),
        listed("620171104001", "甲村", "2022-10-31", None),
        listed("620121112002", "乙村", "2016-07-31", until),
    ];
    admin.put(villages.to_vec()).await.unwrap();
    let traced = async |code: &str, on: &str, at: &str| trace(admin, code, on, at).await.unwrap();
    let (old, new) = ("2021-10-31", "2023-06-30");
    assert_eq!(traced("620121112001", old, new).await, ["620171104001 甲村 1/1"]);
    assert_eq!(traced("620171104001", new, old).await, ["620121112001 甲村 1/1"]);
    assert_eq!(traced("620121112001", old, "2022-10-30").await, ["620121112001 甲村 1/1"]);
    assert_eq!(traced("620121112002", old, new).await, ["620171104 上川镇 1/1"], "somewhere in it");

    // Tables go the same way.
    let room = |n: u32, village: &str| Station {
        r#type: Some(StationType::VillageRoom.into()),
        division: Some(village.into()),
        ..station(n)
    };
    admin.put(vec![room(1, "620121112001"), room(2, "620121112002")]).await.unwrap();
    let day = "2023-12-31";
    let at = async |area: &str, on: Option<&str>| {
        let (total, covered) = ("station_village", "village_coverage");
        [restated(admin, area, day, on, total).await, restated(admin, area, day, on, covered).await].join(" ")
    };
    let missing = "CELL_STATUS_MISSING";
    assert_eq!(at("620121112", None).await, format!("2 {missing}"));
    assert_eq!(at("620121112", Some(new)).await, format!("0 {missing}"));
    assert_eq!((at("620171104", None).await, at("620171104", Some(new)).await), ("0 0/1".into(), "2 1/1".into()));
    assert_eq!(
        (at("620171104001", Some(new)).await, at("620171104", Some(old)).await),
        ("1 1/1".into(), format!("0 {missing}"))
    );
    assert_eq!(
        (at("620121112001", Some(old)).await, at("620121112", Some(old)).await),
        ("1 1/1".into(), "2 2/2".into())
    );
    assert_eq!(at("620121112001", Some(new)).await, format!("0 {missing}"));
}

/// What the lists do not say stands as a pair, abolished and created. An operator who knows decides it; provinces hear of it and their
/// tables follow.
async fn an_operator_decides_what_was_left_open(world: World) {
    const DAY: &str = "2018-10-31";
    let [nation, ningxia] = [world.node("00").await, world.node("64").await];
    introduce(&[&nation.admin, &ningxia.admin]).await;
    let clauses = vec![
        share_all("changes", "kind effective_on from to parts document note"),
        share_all("divisions", "code display_name valid_from valid_to place level parent class"),
    ];
    let id = agree(&nation.admin, &ningxia.admin, terms("00", "64", clauses)).await;
    settled(&nation.admin, &ningxia.admin, &id).await;
    let there = Station { division: Some("640302402".into()), ..station(1) };
    ningxia.admin.create(there).await.unwrap();
    let counted = async |area: &str| {
        let on = Some("2019-06-30");
        restated(&ningxia.admin, area, "2023-12-31", on, "station_total").await
    };
    assert_eq!(
        (counted("640302402").await, counted("640302").await, counted("640121001").await),
        ("0".into(), "1".into(), "0".into())
    );

    let open = async |state: &str, area: &str| {
        let asked = ListQuery { area: Some(area.into()), state: Some(state.into()), ..ListQuery::default() };
        let found = nation.admin.list_all::<Change>(asked).await.into_iter();
        found.filter(|change| change.effective_on() == DAY).collect::<Vec<_>>()
    };
    let [abolished, created] = [open("ABOLISHED", "640302402").await, open("CREATED", "640121001").await];
    let decided = Change {
        kind: Some(ChangeKind::Moved.into()),
        to: vec!["640121001".into()],
        document: Some("宁政函〔2018〕1号".into()),
        ..abolished[0].clone()
    };
    nation.admin.update(decided, &["kind", "to", "document"]).await.unwrap();
    nation.admin.delete::<Change>(created[0].name()).await.unwrap();
    assert_eq!((open("ABOLISHED", "640302402").await.len(), open("CREATED", "640121001").await.len()), (0, 0));
    settled(&nation.admin, &ningxia.admin, &id).await;
    let follows = async || (counted("640121001").await == "1").then_some(());
    eventually("the province's table on new boundaries", follows).await;
    assert_eq!((counted("640302402").await, counted("640302").await), ("0".into(), "0".into()));
    assert_eq!(trace(&ningxia.admin, "640302402", "2017-10-31", "2019-06-30").await.unwrap().len(), 1);
    // The successor is the place that it was.
    let of = async |code: &str| {
        let asked = ListQuery { area: Some(code.into()), ..ListQuery::default() };
        ningxia
            .admin
            .list_all::<Division>(asked)
            .await
            .into_iter()
            .map(|d| d.place().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let before = of("640302402").await;
    assert_eq!(before.len(), 1);
    eventually("the place that goes on", async || (of("640121001").await == before).then_some(())).await;
}

/// Whoever comes first, here or in another process.
async fn of_a_code_one_interval_is_open(world: World) {
    let nation = world.node("00").await;
    let admin = &nation.admin;
    let of = |day: u32| Division { valid_from: Some(format!("2024-01-{day:02}")), ..division(1) };
    let answers = futures::future::join_all((1..9).map(|day| admin.create(of(day)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let stands = answers.iter().flatten().next().unwrap().noun.clone();
    for lost in answers.into_iter().filter(Result::is_err) {
        refused(lost, Reason::Duplicate, "valid_to");
    }
    let ended = Division { valid_to: Some("2025-01-01".into()), ..stands };
    admin.update(ended, &["valid_to"]).await.unwrap();
    admin.create(Division { valid_from: Some("2025-01-01".into()), ..division(1) }).await.unwrap();
}

async fn trace(by: &Caller, code: &str, on: &str, at: &str) -> Result<Vec<String>, Status> {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let asked = TraceDivisionRequest { code: text(code), on: text(on), at: text(at) };
    let answer = by.registry().trace_division(asked).await?.into_inner();
    let shown = answer.divisions.iter().map(|division| {
        let name = division.display_name.as_deref().unwrap_or_default();
        format!("{} {name} {}/{}", division.code(), division.numerator(), division.denominator())
    });
    Ok(shown.collect())
}
