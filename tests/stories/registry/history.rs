//! Divisions have a history: what became of a code, and what it was.

use qianshou_kernel::error::Reason;
use qianshou_proto::registry::v1::{Change, ChangeKind, TraceDivisionRequest};
use qianshou_tests::{Caller, World, refusal::refused, stories};
use tonic::Status;

stories! {
    a_code_is_traced_both_ways
    an_operator_tells_of_a_later_change
}

async fn a_code_is_traced_both_ways(world: World) {
    let fujian = world.node("35").await;
    let traced = async |code: &str, on: &str, at: &str| trace(&fujian.admin, code, on, at).await.unwrap();
    assert_eq!(traced("350427", "2020-06-30", "2023-06-30").await, ["350405 沙县区 1/1"]);
    assert_eq!(traced("350405", "2023-06-30", "2020-06-30").await, ["350427 沙县 1/1"]);
    assert_eq!(traced("350402", "2020-06-30", "2023-06-30").await, ["350404 三元区 1/1"]);
    let back = ["350402 梅列区 1/2", "350403 三元区 1/2"];
    assert_eq!(traced("350404", "2023-06-30", "2020-06-30").await, back);
    assert_eq!(traced("640104012", "2022-10-31", "2021-10-31").await, Vec::<String>::new(), "it did not exist");
    assert_eq!(traced("640104", "2016-07-31", "2023-06-30").await, ["640104 兴庆区 1/1"]);
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
    let parts = Change { parts: vec![1, 2], from: vec!["640106".into(), "640121".into()], ..merged };
    refused(admin.create(parts).await, Reason::Malformed, "parts");
    admin.delete::<Change>(told.name()).await.unwrap();
    assert_eq!(trace(admin, "640105", "2023-06-30", "2025-06-30").await.unwrap(), ["640105 西夏区 1/1"]);
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
