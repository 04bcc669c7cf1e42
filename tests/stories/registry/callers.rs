//! Who may see and do what; and what nobody sees.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use qianshou_kernel::{error::Reason, identity::Role, kind::ListQuery};
use qianshou_proto::{
    identity::v1 as identity,
    ledger::v1 as ledger,
    registry::v1::{Agency, Worker},
};
use qianshou_tests::{
    Database, World,
    refusal::{refused, refused_in_batch},
    sample::{COUNTIES, agency, certificate, citizen, full_name, worker},
    scan::Everything,
    stories,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

stories! {
    identity_numbers_are_sealed
    callers_do_what_they_may
    a_token_is_known_until_it_is_revoked
    whoever_asks_is_told_what_there_is
}

/// The number of a citizen is asked for, compared, and never seen again: not in an answer, not in the feed, not on the disk.
async fn identity_numbers_are_sealed(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let created = admin.create(worker(1)).await.unwrap().noun;
    admin.put((2..40).map(worker).collect()).await.unwrap();
    assert_eq!((&created.id_number, admin.get::<Worker>(created.name()).await.unwrap().id_number), (&None, None));
    assert!(admin.list_all::<Worker>(ListQuery::default()).await.iter().all(|w| w.id_number.is_none()));
    refused(admin.create(Worker { full_name: Some("别人".into()), ..worker(1) }).await, Reason::Duplicate, "id_number");

    // A change without the number keeps it; a change of the number frees the old one.
    admin.update(Worker { post_category: Some("社区".into()), ..created.clone() }, &["post_category"]).await.unwrap();
    refused(admin.create(worker(1)).await, Reason::Duplicate, "id_number");
    admin.update(Worker { etag: None, id_number: Some(citizen(77)), ..created.clone() }, &["id_number"]).await.unwrap();
    admin.create(worker(1)).await.unwrap();
    let of_that_county = Worker { division: created.division.clone(), ..worker(77) };
    refused(admin.create(of_that_county).await, Reason::Duplicate, "id_number");
    admin.delete::<Worker>(created.name()).await.unwrap();
    admin.only_asking().create(worker(78)).await.unwrap();
    refused(admin.create(Worker { full_name: None, ..worker(79) }).await, Reason::Required, "full_name");

    let feed = admin
        .feed()
        .read_entries(ledger::ReadEntriesRequest { history: Some(true), ..Default::default() })
        .await
        .unwrap();
    let told: Vec<u8> = feed
        .into_inner()
        .try_collect::<Vec<_>>()
        .await
        .unwrap()
        .iter()
        .flat_map(prost::Message::encode_to_vec)
        .collect();
    let everything = Everything::of(&ningxia.folder, ningxia.ledger.db()).await;
    for n in [1, 2, 39, 77, 78, 79] {
        assert!(!String::from_utf8_lossy(&told).contains(&citizen(n)), "the feed tells a number");
        assert_eq!(everything.find(&citizen(n)), [""; 0], "a number stands there");
    }
    let found = everything.find(&full_name(2));
    assert!(found.contains(&"entries.payload"), "the scanner sees what is there: {found:?}");
    assert!(
        world.database == Database::Postgres || found.iter().any(|place| place.contains("qianshou.db")),
        "{found:?}"
    );
}

async fn callers_do_what_they_may(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let [yinchuan, helan, dawukou] =
        [0, 1, 2].map(|n| Agency { division: Some(COUNTIES[n].to_owned()), ..agency(n as u32) });
    let here = admin.create(yinchuan.clone()).await.unwrap().noun;
    let there = admin.create(dawukou).await.unwrap().noun;
    let person = admin.create(Worker { division: Some(COUNTIES[2].into()), ..worker(2) }).await.unwrap().noun;
    let before = ningxia.position().await;

    let reader = ningxia.caller(Role::Reader, "64").await;
    assert_eq!(reader.list_all::<Agency>(ListQuery::default()).await.len(), 2);
    refused(reader.create(helan.clone()).await, Reason::Forbidden, "");
    refused(reader.replace(here.clone()).await, Reason::Forbidden, "");
    refused(reader.delete::<Agency>(here.name()).await, Reason::Forbidden, "");
    refused(reader.put(vec![helan.clone()]).await, Reason::Forbidden, "");
    refused(reader.identity().list_tokens(identity::ListTokensRequest::default()).await, Reason::Forbidden, "");

    let editor = ningxia.caller(Role::Editor, "6401").await;
    refused(
        editor.create(Agency { division: Some("640202".into()), ..agency(9) }).await,
        Reason::AreaForbidden,
        "division",
    );
    refused(editor.replace(there.clone()).await, Reason::AreaForbidden, "division");
    refused(editor.delete::<Agency>(there.name()).await, Reason::AreaForbidden, "name");
    refused(editor.get::<Agency>(there.name()).await, Reason::AreaForbidden, "name");
    refused(
        editor.update(Agency { division: Some("640202".into()), ..here.clone() }, &["division"]).await,
        Reason::AreaForbidden,
        "division",
    );
    refused(
        editor.update(Agency { division: Some("640104".into()), ..there }, &["division"]).await,
        Reason::AreaForbidden,
        "division",
    );
    refused(editor.create(certificate(1, person.name())).await, Reason::AreaForbidden, "division");
    refused_in_batch(
        &editor.put(vec![Agency { division: Some("640202".into()), ..agency(9) }]).await.unwrap()[0],
        Reason::AreaForbidden,
        "division",
    );
    refused(editor.identity().list_tokens(identity::ListTokensRequest::default()).await, Reason::Forbidden, "");
    let feed = editor.feed().read_entries(ledger::ReadEntriesRequest::default()).await;
    refused(feed.map(|_| ()), Reason::AreaForbidden, "area");
    let seen = editor.list_all::<Agency>(ListQuery::default()).await;
    assert_eq!(seen, [here], "a list is cut to the caller's area");
    assert!(
        editor.list_all::<Agency>(ListQuery { area: Some("6402".into()), ..ListQuery::default() }).await.is_empty()
    );
    assert_eq!(ningxia.position().await, before, "nothing was written by whom it was not allowed");
    editor.create(helan).await.unwrap();

    let stranger = ningxia.stranger();
    refused(stranger.get::<Agency>("nodes/64/agencies/1").await, Reason::Unauthenticated, "");
    refused(stranger.create(agency(8)).await, Reason::Unauthenticated, "");
    refused(
        stranger.exchange().get_card(qianshou_proto::exchange::v1::GetCardRequest {}).await,
        Reason::Unauthenticated,
        "",
    );
}

async fn a_token_is_known_until_it_is_revoked(world: World) {
    let ningxia = world.node("64").await;
    let reader = ningxia.caller(Role::Reader, "6401").await;
    reader.list::<Agency>(ListQuery::default()).await.unwrap();
    let mut desk = ningxia.admin.identity();
    let tokens = desk.list_tokens(identity::ListTokensRequest::default()).await.unwrap().into_inner().tokens;
    let token = tokens.iter().find(|token| token.role() == identity::Role::Reader).unwrap();
    assert_eq!((token.area(), token.revoked_at_ms), ("6401", None));
    let revoke = || identity::RevokeTokenRequest { id: token.id.clone() };
    let revoked = desk.revoke_token(revoke()).await.unwrap().into_inner().token.unwrap();
    refused(reader.list::<Agency>(ListQuery::default()).await, Reason::Unauthenticated, "");
    world.clock.advance(60_000);
    assert_eq!(desk.revoke_token(revoke()).await.unwrap().into_inner().token.unwrap(), revoked, "once and for ever");
    refused(
        desk.revoke_token(identity::RevokeTokenRequest { id: Some("nobody".into()) }).await,
        Reason::NotFound,
        "id",
    );
    let unnamed = identity::CreateTokenRequest { role: Some(1), area: Some("64".into()), ..Default::default() };
    refused(desk.create_token(unnamed).await, Reason::Malformed, "display_name");

    let ningxia = ningxia.restart().await;
    ningxia.admin.list::<Agency>(ListQuery::default()).await.unwrap();
}

/// Health is for everybody, reflection for whoever has a token.
async fn whoever_asks_is_told_what_there_is(world: World) {
    let ningxia = world.node("64").await;
    let services = [
        "qianshou.registry.v1.RegistryService",
        "qianshou.reporting.v1.ReportingService",
        "qianshou.exchange.v1.ExchangeAdminService",
        "qianshou.ledger.v1.LedgerService",
        "qianshou.identity.v1.IdentityService",
        "qianshou.audit.v1.AuditService",
    ];
    let mut health = HealthClient::new(ningxia.stranger().line());
    for service in [""].iter().chain(&services) {
        let answer = health.check(HealthCheckRequest { service: (*service).to_owned() }).await;
        let status = answer.unwrap_or_else(|status| panic!("health of {service:?}: {status}")).into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let ask = || {
        futures::stream::iter([ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        }])
    };
    let strange = ServerReflectionClient::new(ningxia.stranger().line()).server_reflection_info(ask()).await;
    refused(strange.map(|_| ()), Reason::Unauthenticated, "");
    let answer = ServerReflectionClient::new(ningxia.admin.line()).server_reflection_info(ask()).await.unwrap();
    let answer = answer.into_inner().message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = answer else { panic!("{answer:?}") };
    let listed: BTreeSet<&str> = listed.service.iter().map(|s| s.name.as_str()).collect();
    assert!(services.iter().all(|service| listed.contains(service)), "{listed:?}");
}
