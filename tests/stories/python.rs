//! A client in Python, made from the `.proto` files alone (`tests/python/check.py`), talks to a node of either database.

use std::{collections::BTreeSet, process::Stdio};

use qianshou_proto::{common::v1::ErrorReason, identity::v1 as identity};
use qianshou_tests::{
    World,
    process::{Process, qianshou},
    python, source, stories,
};
use serde_json::Value;
use tokio::process::Command;

stories! {
    a_client_in_python_finds_what_the_contract_says
}

async fn a_client_in_python_finds_what_the_contract_says(world: World) {
    let python = python().expect(
        "QIANSHOU_TEST_PYTHON names no Python with tests/python/requirements.txt: run tests/run, which makes one",
    );
    let ningxia = world.process("64", &[]).await;
    let mut nation = world.process("00", &[]).await;
    let card = world.folder("cards").join("00.card");
    let (output, ca) = (card.to_str().unwrap(), nation.folder.join("keys/ca.pem"));
    let token = administrator(&nation).await;
    let args =
        ["peer", "card", "-o", output, "--node", &nation.address, "--token", &token, "--ca", ca.to_str().unwrap()];
    let told = qianshou(&args, &[]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    nation.kill().await;

    let ran = Command::new(python)
        .arg(source::root().join("tests/python/check.py"))
        .env("QIANSHOU_NODE", &ningxia.address)
        .env("QIANSHOU_TOKEN", administrator(&ningxia).await)
        .env("QIANSHOU_CA", ningxia.folder.join("keys/ca.pem"))
        .env("QIANSHOU_PEER_CARD", &card)
        .env("TMPDIR", world.folder("python"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let names = |value: Vec<String>| value.into_iter().collect::<BTreeSet<_>>();
    let provoked = names(serde_json::from_value(told["provoked"].clone()).unwrap());
    let not = names(told["not_provoked"].as_object().unwrap().keys().cloned().collect());
    let all = names((0..).map_while(|n| ErrorReason::try_from(n).ok()).map(short).collect());
    assert_eq!(provoked.union(&not).cloned().collect::<BTreeSet<_>>(), all, "every reason is provoked or explained");
    println!("{} checks, {} reasons provoked on {}", told["checks"], provoked.len(), world.database);
}

fn short(reason: ErrorReason) -> String {
    reason.as_str_name().trim_start_matches("ERROR_REASON_").to_owned()
}

/// A token in words, for a program of another kind.
async fn administrator(node: &Process) -> String {
    let asked = identity::CreateTokenRequest {
        display_name: Some("python".into()),
        role: Some(identity::Role::Administrator.into()),
        area: node.folder.file_name().and_then(|code| Some(code.to_str()?.to_owned())),
        ..Default::default()
    };
    node.admin.identity().create_token(asked).await.unwrap().into_inner().secret.unwrap()
}
