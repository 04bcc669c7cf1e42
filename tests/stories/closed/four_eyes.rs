//! Where `[security] four_eyes` is on, what opens a door needs a second administrator: another token, another name, another line of makers.

use std::fmt::Debug;

use qianshou_kernel::{error::Reason, identity::Role};
use qianshou_proto::{
    audit::v1::ListAuditEntriesRequest,
    exchange::v1::{self as exchange, Sensitivity},
    identity::v1::{self as api, PendingActState},
};
use qianshou_tests::{Caller, Node, World, process::qianshou, refusal::refused, stories, treaty, world::DAY_MS};
use tonic::Status;

stories! {
    an_administrators_token_needs_a_second_administrator
    a_peer_and_personal_data_need_a_second_administrator
}

/// A node where the rule is on.
async fn strict(world: &World) -> Node {
    let file = world.settle("64").await.directory.join("node.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[security]\nfour_eyes = true\n")).unwrap();
    world.node("64").await
}

/// An administrator of the whole node whom the operator made at the machine, with the secret.
async fn from_the_machine(world: &World, node: &Node, name: &str) -> (Caller, String) {
    let loaded = world.settle("64").await;
    let (tokens, _) = qianshou::node::tokens(&loaded, world.clock.clone()).await.unwrap();
    let secret = tokens.administrator(name).await.unwrap();
    (node.holder(&secret), secret)
}

fn administrator(name: &str, area: &str) -> api::CreateTokenRequest {
    api::CreateTokenRequest {
        display_name: Some(name.to_owned()),
        role: Some(api::Role::Administrator.into()),
        area: Some(area.to_owned()),
        life_days: Some(30),
        ..Default::default()
    }
}

async fn make(by: &Caller, asked: &api::CreateTokenRequest) -> Result<api::CreateTokenResponse, Status> {
    Ok(by.identity().create_token(asked.clone()).await?.into_inner())
}

/// The id under which a refused act waits.
#[track_caller]
fn waits<T: Debug>(answer: Result<T, Status>) -> String {
    let told = answer.as_ref().expect_err("it waits").message().to_owned();
    refused(answer, Reason::NeedsSecondAdministrator, "");
    let (_, id) = told.rsplit_once("qianshou approval approve ").unwrap();
    id.split('`').next().unwrap().to_owned()
}

async fn approve(by: &Caller, id: &str) -> Result<api::PendingAct, Status> {
    let asked = api::ApprovePendingActRequest { id: Some(id.to_owned()), reason: Some("核对无误".to_owned()) };
    Ok(by.identity().approve_pending_act(asked).await?.into_inner().pending_act.unwrap())
}

async fn reject(by: &Caller, id: &str) -> Result<api::PendingAct, Status> {
    let asked = api::RejectPendingActRequest { id: Some(id.to_owned()), reason: None };
    Ok(by.identity().reject_pending_act(asked).await?.into_inner().pending_act.unwrap())
}

async fn state(by: &Caller, id: &str) -> PendingActState {
    let asked = api::GetPendingActRequest { id: Some(id.to_owned()) };
    by.identity().get_pending_act(asked).await.unwrap().into_inner().pending_act.unwrap().state()
}

async fn an_administrators_token_needs_a_second_administrator(world: World) {
    let ningxia = strict(&world).await;
    let first = &ningxia.admin;
    let (second, _) = from_the_machine(&world, &ningxia, "另一位").await;
    let (namesake, _) = from_the_machine(&world, &ningxia, " Story").await;
    // What opens no door needs nobody.
    ningxia.caller(Role::Editor, "64").await;

    let asked = administrator("市管理员", "6401");
    let id = waits(make(first, &asked).await);
    assert_eq!(waits(make(first, &asked).await), id, "it waits once");
    let other = waits(make(first, &administrator("市管理员", "6402")).await);
    assert_ne!(other, id, "another request is another act");
    assert_ne!(waits(make(&second, &asked).await), id, "another's request is another act");
    for same in [first, &namesake] {
        refused(approve(same, &id).await, Reason::Forbidden, "id");
    }
    refused(approve(&second, "nobody").await, Reason::NotFound, "id");
    let approved = approve(&second, &id).await.unwrap();
    assert_eq!((approved.state(), approved.area()), (PendingActState::Approved, "6401"));
    assert!(approved.told_zh().contains("市管理员") && approved.told_en().contains("6401"), "{approved:?}");
    assert!(approved.requested_by_name() == "story" && approved.decided_by() != approved.requested_by());
    refused(approve(&second, &id).await, Reason::StaleVersion, "id");

    // Carried out once, also where it is repeated at the same moment.
    let (made, late) = match tokio::join!(make(first, &asked), make(first, &asked)) {
        (Ok(made), late @ Err(_)) | (late @ Err(_), Ok(made)) => (made, late),
        both => panic!("once: {both:?}"),
    };
    assert_eq!(state(first, &id).await, PendingActState::Done);
    let again = waits(late);
    assert!(again != id && waits(make(first, &asked).await) != id, "the approval is used up");

    // Whom the first made is not another; and sees only what its area is about.
    let city = ningxia.holder(made.secret());
    refused(approve(&city, &again).await, Reason::Forbidden, "id");
    refused(approve(&city, &other).await, Reason::NotFound, "id");
    refused(reject(&city, &other).await, Reason::NotFound, "id");
    let listed = city.identity().list_pending_acts(api::ListPendingActsRequest::default()).await.unwrap().into_inner();
    assert!(listed.pending_acts.len() == 3 && listed.pending_acts.iter().all(|act| act.area() == "6401"), "{listed:?}");
    refused(approve(first, &waits(make(&city, &administrator("县", "640104")).await)).await, Reason::Forbidden, "id");
    let of_second = waits(make(&second, &administrator("县管理员", "640104")).await);
    approve(&city, &of_second).await.unwrap();
    let editor = ningxia.caller(Role::Editor, "64").await;
    refused(approve(&editor, &again).await, Reason::Forbidden, "");

    // Rejected, taken back, over; and an approval falls with the token of whoever gave it.
    assert_eq!(reject(&second, &again).await.unwrap().state(), PendingActState::Rejected);
    assert_eq!(reject(first, &other).await.unwrap().state(), PendingActState::Rejected);
    let id = waits(make(first, &asked).await);
    let (third, _) = from_the_machine(&world, &ningxia, "第三位").await;
    let by = approve(&third, &id).await.unwrap().decided_by().trim_start_matches("tokens/").to_owned();
    first.identity().revoke_token(api::RevokeTokenRequest { id: Some(by) }).await.unwrap();
    let anew = waits(make(first, &asked).await);
    assert_ne!(anew, id);
    world.clock.advance(8 * DAY_MS);
    assert_eq!(state(first, &anew).await, PendingActState::Expired);
    refused(approve(&second, &anew).await, Reason::StaleVersion, "id");
    assert_ne!(waits(make(first, &asked).await), anew);
}

async fn a_peer_and_personal_data_need_a_second_administrator(world: World) {
    let ningxia = strict(&world).await;
    let nation = world.node("00").await;
    let (second, secret) = from_the_machine(&world, &ningxia, "另一位").await;
    let card = nation.admin.exchange().get_card(exchange::GetCardRequest {}).await.unwrap().into_inner().card;
    let add = async |confirmed: bool| {
        let asked = exchange::AddPeerRequest { card: card.clone(), confirmed: Some(confirmed) };
        ningxia.admin.exchange().add_peer(asked).await
    };
    add(false).await.unwrap();
    let id = waits(add(true).await);
    assert!(
        ningxia.admin.exchange().list_peers(exchange::ListPeersRequest {}).await.unwrap().into_inner().peers.is_empty()
    );

    // By the command line, as people do.
    let ca = ningxia.keys().ca_path.display().to_string();
    let to = ["--json", "--node", &ningxia.address, "--ca", &ca, "--token", &secret];
    let listed = qianshou(&[&["approval", "list"], &to[..]].concat(), &[]).await.json();
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&id.as_str().into(), &"PENDING_ACT_STATE_OPEN".into()));
    let said = qianshou(&[&["approval", "approve", &id, "--reason", "电话核对"], &to[..]].concat(), &[]).await.json();
    assert_eq!(said["state"], "PENDING_ACT_STATE_APPROVED", "{said}");
    add(true).await.unwrap();
    add(true).await.expect("what changes nothing asks nobody");

    treaty::introduce(&[&nation.admin]).await;
    let own = ningxia.admin.exchange().get_card(exchange::GetCardRequest {}).await.unwrap().into_inner().card.unwrap();
    treaty::add_peer(&nation.admin, &own).await;
    let terms = |cap: Sensitivity, kind: &str| exchange::Terms {
        sensitivity_cap: Some(cap.into()),
        ..treaty::terms("64", "00", vec![treaty::share(kind, "division", "64")])
    };
    let plain = treaty::draft(&ningxia.admin, terms(Sensitivity::L2, "agencies")).await;
    treaty::sign(&ningxia.admin, &plain).await;
    let personal = treaty::draft(&ningxia.admin, terms(Sensitivity::L3, "stations")).await;
    let sign = async || {
        let asked = exchange::SignAgreementRequest { id: personal.id.clone(), digest: personal.digest.clone() };
        ningxia.admin.exchange().sign_agreement(asked).await
    };
    let id = waits(sign().await);
    assert!(approve(&second, &id).await.unwrap().told_en().contains(personal.id()));
    sign().await.unwrap();
    sign().await.expect("what is signed stays signed");

    let asked = ListAuditEntriesRequest {
        act: Some("IdentityService/ApprovePendingAct".to_owned()),
        ..ListAuditEntriesRequest::default()
    };
    let lines = ningxia.admin.audit().list_audit_entries(asked).await.unwrap().into_inner();
    assert!(format!("{lines:?}").contains(&id), "{lines:?}");
}
