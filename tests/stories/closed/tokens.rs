//! Tokens: who may make them and for where, when they end, who is never locked out, and how they reach a command.

use std::time::{Duration, Instant};

use qianshou_kernel::{binds, db::Db, db::Statement, error::Reason, identity::Role, kind::ListQuery, ledger};
use qianshou_proto::{
    identity::v1 as api,
    ledger::v1::{GetHeadRequest, ReadEntriesRequest, ReadEntriesResponse},
    registry::v1::{Agency, BatchPutAgenciesRequest},
};
use qianshou_tests::{
    Caller, PATIENCE, World, eventually, on_postgres,
    process::qianshou,
    refusal::refused,
    sample::agency,
    stories,
    world::{DAY_MS, TODAY_MS, open},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

stories! {
    an_administrator_stays_in_its_area
    a_token_ends
    somebody_can_always_keep_tokens
    old_tokens_are_brought_inside
    an_operator_needs_no_token
    an_auditor_reads_the_audit_alone
    an_open_stream_ends_with_its_token
    wrong_tokens_are_slow_and_right_ones_are_not
}

on_postgres! {
    a_stream_at_another_process_ends_too
}

async fn make(by: &Caller, role: api::Role, area: &str) -> Result<api::CreateTokenResponse, tonic::Status> {
    let (display_name, role, area) = (Some("made".into()), Some(role.into()), Some(area.into()));
    let asked = api::CreateTokenRequest { display_name, role, area, ..Default::default() };
    Ok(by.identity().create_token(asked).await?.into_inner())
}

async fn tokens(by: &Caller) -> Vec<api::Token> {
    by.identity().list_tokens(api::ListTokensRequest::default()).await.unwrap().into_inner().tokens
}

async fn revoke(by: &Caller, id: &str) -> Result<api::Token, tonic::Status> {
    let asked = api::RevokeTokenRequest { id: Some(id.to_owned()) };
    Ok(by.identity().revoke_token(asked).await?.into_inner().token.unwrap())
}

/// The administrator of a city made itself the nation's.
async fn an_administrator_stays_in_its_area(world: World) {
    let ningxia = world.node("64").await;
    let city = ningxia.caller(Role::Administrator, "6401").await;
    let roles = [api::Role::Reader, api::Role::Editor, api::Role::Administrator, api::Role::Auditor];
    for role in roles {
        for area in ["64", "640000", "6402", "640202", "35", "00", "999999"] {
            refused(make(&city, role, area).await, Reason::AreaForbidden, "area");
        }
        // A node's own administrator makes nothing for what is not the node's.
        for area in ["00", "35", "350102", "999999"] {
            refused(make(&ningxia.admin, role, area).await, Reason::AreaForbidden, "area");
        }
        refused(make(&city, role, "640199").await, Reason::NotInList, "area");
        refused(make(&ningxia.admin, role, "6499").await, Reason::NotInList, "area");
        refused(make(&ningxia.admin, role, "六十四").await, Reason::Malformed, "area");
        make(&city, role, "640104").await.unwrap();
        make(&city, role, "6401").await.unwrap();
    }
    refused(make(&city, api::Role::Unspecified, "6401").await, Reason::Required, "role");
    let editor = ningxia.caller(Role::Editor, "6401").await;
    for role in roles {
        refused(make(&editor, role, "640104").await, Reason::Forbidden, "");
    }

    // Who covers all that the node holds still writes what lies in its area.
    let whole = ningxia.caller(Role::Editor, "64").await;
    let elsewhere = Agency { division: Some("350203".into()), ..agency(7) };
    refused(whole.create(elsewhere).await, Reason::AreaForbidden, "division");

    let seen = tokens(&city).await;
    assert!(seen.iter().all(|token| token.area().starts_with("6401")), "{seen:?}");
    let all = tokens(&ningxia.admin).await;
    assert_eq!((seen.len(), all.len()), (2 * roles.len() + 2, 2 * roles.len() + 4));
    let whole = all.iter().find(|token| token.area() == "64" && token.role() == api::Role::Administrator).unwrap();
    assert_eq!((whole.role(), whole.created_by()), (api::Role::Administrator, "operator"));
    let answers = [revoke(&city, whole.id()).await, revoke(&city, "nobody").await];
    for answer in answers {
        refused(answer, Reason::NotFound, "id");
    }
    assert_eq!(tokens(&ningxia.admin).await, all, "nothing happened");

    let maker =
        all.iter().find(|token| token.area() == "6401" && token.created_by() == format!("tokens/{}", whole.id()));
    assert!(maker.is_some(), "who made it is known: {all:?}");
    let mut paged = vec![];
    let mut asked = api::ListTokensRequest { page_size: Some(3), page_token: None };
    loop {
        let page = city.identity().list_tokens(asked.clone()).await.unwrap().into_inner();
        assert!(page.tokens.len() <= 3);
        paged.extend(page.tokens);
        let foreign = api::ListTokensRequest { page_size: Some(3), page_token: page.next_page_token.clone() };
        asked.page_token = page.next_page_token.filter(|token| !token.is_empty());
        if asked.page_token.is_none() {
            break;
        }
        refused(ningxia.admin.identity().list_tokens(foreign).await, Reason::BadPageToken, "page_token");
    }
    assert_eq!(
        paged.iter().map(api::Token::id).collect::<Vec<_>>(),
        seen.iter().map(api::Token::id).collect::<Vec<_>>()
    );
}

async fn is_shut(caller: &Caller) {
    let shut = async || {
        let answer = caller.list::<Agency>(ListQuery::default()).await;
        answer.err().filter(|status| status.code() == Code::Unauthenticated)
    };
    eventually("the end of a token", shut).await;
}

async fn a_token_ends(world: World) {
    let ningxia = world.node("64").await;
    let asked = |end: i64| api::CreateTokenRequest {
        display_name: Some("for a day".into()),
        role: Some(api::Role::Reader.into()),
        area: Some("64".into()),
        expires_at_ms: Some(end),
        ..Default::default()
    };
    let mut desk = ningxia.admin.identity();
    refused(desk.create_token(asked(TODAY_MS)).await, Reason::OutOfOrder, "expires_at_ms");
    refused(desk.create_token(asked(TODAY_MS + 20_001 * DAY_MS)).await, Reason::Malformed, "expires_at_ms");
    let made = desk.create_token(asked(TODAY_MS + DAY_MS)).await.unwrap().into_inner();
    let reader = ningxia.holder(made.secret());
    reader.list::<Agency>(ListQuery::default()).await.unwrap();
    let id = made.token.unwrap().id.unwrap();
    let of = async || tokens(&ningxia.admin).await.into_iter().find(|token| token.id() == id).unwrap();
    let used = async || of().await.last_used_at_ms;
    assert_eq!(eventually("its use is noted", used).await, TODAY_MS);

    world.clock.advance(DAY_MS - 1);
    eventually("its next use is noted", async || {
        reader.list::<Agency>(ListQuery::default()).await.unwrap();
        used().await.filter(|used| *used > TODAY_MS)
    })
    .await;
    world.clock.advance(1);
    is_shut(&reader).await;
    let ended = of().await;
    assert_eq!((ended.expires_at_ms, ended.revoked_at_ms), (Some(TODAY_MS + DAY_MS), None));
    ningxia.admin.list::<Agency>(ListQuery::default()).await.unwrap();
}

/// Of two administrators who revoke each other at the same moment, one stays.
async fn somebody_can_always_keep_tokens(world: World) {
    let ningxia = world.node("64").await;
    let first = tokens(&ningxia.admin).await[0].clone();
    refused(revoke(&ningxia.admin, first.id()).await, Reason::StillReferenced, "id");
    make(&ningxia.admin, api::Role::Administrator, "6401").await.unwrap();
    refused(revoke(&ningxia.admin, first.id()).await, Reason::StillReferenced, "id");
    let mut admin = ningxia.admin.clone();
    let mut id = first.id.unwrap();
    for _ in 0..5 {
        let made = make(&admin, api::Role::Administrator, "64").await.unwrap();
        let (other, other_id) = (ningxia.holder(made.secret()), made.token.unwrap().id.unwrap());
        other.list::<Agency>(ListQuery::default()).await.unwrap();
        let (one, two) = tokio::join!(revoke(&admin, &other_id), revoke(&other, &id));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        if two.is_ok() {
            (admin, id) = (other, other_id);
        }
    }
    assert!(tokens(&admin).await.iter().any(|token| token.id() == id && token.revoked_at_ms.is_none()));
}

/// What was made before tokens had an area that binds.
async fn old_tokens_are_brought_inside(world: World) {
    let url = world.empty_database("old").await;
    let db = Db::create(&url, std::path::Path::new("/"), 2, 4).await.unwrap();
    db.migrate(&ledger::MIGRATIONS[..5]).await.unwrap();
    let head = "INSERT INTO head (id, node, epoch, position, digest, contract) VALUES (1, $1, 1, 0, $2, 3)";
    let mut old = vec![Statement::new(head, binds!["64", vec![0_u8; 32]])];
    for (id, area) in [("a", "00"), ("b", "64"), ("c", "6401"), ("d", "35"), ("e", "9999")] {
        let sql = "INSERT INTO tokens (id, hash, display_name, role, area, created_at) VALUES ($1, $1, $1, 3, $2, 1)";
        old.push(Statement::new(sql, binds![id, area]));
    }
    assert!(db.run(&old).await.unwrap());
    db.close().await;
    let db = open(&url).await;
    let rows = db.fetch("SELECT id, area, revoked_at FROM tokens ORDER BY id", vec![]).await.unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.text(0).unwrap(), row.text(1).unwrap(), row.maybe_int(2).unwrap().is_some()))
        .collect();
    let expected =
        [("a", "64", false), ("b", "64", false), ("c", "6401", false), ("d", "35", true), ("e", "9999", true)];
    assert_eq!(rows, expected.map(|(id, area, revoked)| (id.to_owned(), area.to_owned(), revoked)));
    db.close().await;
}

/// Whoever holds the folder makes, lists and revokes at the machine, while the node serves.
async fn an_operator_needs_no_token(world: World) {
    let ningxia = world.node("64").await;
    let config = ningxia.folder.join("node.toml").display().to_string();
    let here = async |arguments: &[&str]| {
        qianshou(&[&["token"], arguments, &["--config", &config, "--json"]].concat(), &[]).await
    };
    let made =
        here(&["create", "--role", "administrator", "--area", "64", "--days", "9000", "at the machine"]).await.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let other = here(&["create", "--role", "reader", "--area", "35", "elsewhere"]).await;
    assert!(other.code == Some(1) && other.err.contains("64"), "{other:?}");
    let admin = ningxia.holder(secret);
    admin.create(agency(1)).await.unwrap();
    let listed = here(&["list"]).await.json();
    assert!(
        listed.as_array().unwrap().iter().any(|token| token["id"] == id && token["created_by"] == "operator"),
        "{listed}"
    );

    // From a file, and from a variable that names one; from the command line it is gone before the command asks.
    let (file, ca) = (world.folder("desk").join("token"), ningxia.keys().ca_path.display().to_string());
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let named = format!("@{}", file.display());
    let to = ["token", "list", "--json", "--node", &ningxia.address, "--ca", &ca];
    for (token, variable) in [
        (&["--token", &named][..], vec![]),
        (&["--token", secret], vec![]),
        (&[], vec![("QIANSHOU_TOKEN_FILE", file.to_str().unwrap())]),
    ] {
        let said = qianshou(&[&to[..], token].concat(), &variable).await;
        assert_eq!(said.json().as_array().unwrap().len(), listed.as_array().unwrap().len(), "{token:?}");
    }

    let revoked = here(&["revoke", id]).await;
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    is_shut(&admin).await;
    let unknown = here(&["revoke", "nobody"]).await;
    assert!(unknown.code == Some(1) && unknown.err.contains("nobody"), "{unknown:?}");
}

async fn an_auditor_reads_the_audit_alone(world: World) {
    let ningxia = world.node("64").await;
    let saved = ningxia.admin.create(agency(1)).await.unwrap().noun;
    let auditor = ningxia.caller(Role::Auditor, "64").await;
    refused(auditor.list::<Agency>(ListQuery::default()).await, Reason::Forbidden, "");
    refused(auditor.get::<Agency>(saved.name()).await, Reason::Forbidden, "");
    refused(auditor.create(agency(2)).await, Reason::Forbidden, "");
    refused(auditor.identity().list_tokens(api::ListTokensRequest::default()).await, Reason::Forbidden, "");
    let limited = ningxia.limited(Role::Editor, "64", saved.name()).await;
    refused(limited.feed().get_head(GetHeadRequest {}).await, Reason::Forbidden, "");
    for role in [Role::Administrator, Role::Auditor] {
        let asked = api::CreateTokenRequest {
            display_name: Some("limited".into()),
            role: api::Role::from_str_name(&format!("ROLE_{}", role.as_str().to_uppercase())).map(Into::into),
            area: Some("64".into()),
            limited_to: saved.name.clone(),
            ..Default::default()
        };
        refused(ningxia.admin.identity().create_token(asked).await, Reason::Malformed, "limited_to");
    }
}

/// A feed that is followed, and an upload that goes on.
async fn an_open_stream_ends_with_its_token(world: World) {
    let ningxia = world.node("64").await;
    let made = make(&ningxia.admin, api::Role::Editor, "64").await.unwrap();
    let editor = ningxia.holder(made.secret());
    let mut feed = followed(&editor).await;
    let (parts, sent) = tokio::sync::mpsc::channel::<BatchPutAgenciesRequest>(4);
    let upload = tokio::spawn({
        let mut registry = editor.registry();
        async move { registry.batch_put_agencies(ReceiverStream::new(sent)).await }
    });
    let part = |n| BatchPutAgenciesRequest { agencies: vec![agency(n)], ..Default::default() };
    parts.send(part(1)).await.unwrap();
    ningxia.admin.create(agency(2)).await.unwrap();
    next_entry(&mut feed).await.unwrap();

    revoke(&ningxia.admin, made.token.unwrap().id()).await.unwrap();
    let ended = end_of(&mut feed).await;
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
    refused(upload.await.unwrap(), Reason::Unauthenticated, "");
    drop(parts);
    assert_eq!(ningxia.admin.list_all::<Agency>(ListQuery::default()).await.len(), 1, "nothing of it was saved");
}

async fn followed(by: &Caller) -> tonic::Streaming<ReadEntriesResponse> {
    let after_position = Some(by.feed().get_head(GetHeadRequest {}).await.unwrap().into_inner().position());
    let asked = ReadEntriesRequest { after_position, follow: Some(true), ..Default::default() };
    by.feed().read_entries(asked).await.unwrap().into_inner()
}

async fn next_entry(feed: &mut tonic::Streaming<ReadEntriesResponse>) -> Result<(), tonic::Status> {
    feed.message().await?.expect("a followed feed has no end of its own");
    Ok(())
}

async fn end_of(feed: &mut tonic::Streaming<ReadEntriesResponse>) -> tonic::Status {
    let end = async {
        loop {
            if let Err(status) = next_entry(feed).await {
                return status;
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.expect("the stream ends")
}

async fn a_stream_at_another_process_ends_too(world: World) {
    let town = world.town("64").await;
    let [one, two] = [town.serve("registry", &[]).await, town.serve("reporting", &[]).await];
    let made = make(&one.admin, api::Role::Reader, "64").await.unwrap();
    let mut feed = followed(&town.caller(&two, made.secret())).await;
    revoke(&one.admin, made.token.unwrap().id()).await.unwrap();
    let ended = end_of(&mut feed).await;
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
}

/// Twenty wrong ones are answered at once; after that each waits. Whoever has a right one does not, at the same address.
async fn wrong_tokens_are_slow_and_right_ones_are_not(world: World) {
    let ningxia = world.node("64").await;
    let revoked = make(&ningxia.admin, api::Role::Reader, "64").await.unwrap();
    revoke(&ningxia.admin, revoked.token.as_ref().unwrap().id()).await.unwrap();
    let ended = api::CreateTokenRequest {
        display_name: Some("ended".into()),
        role: Some(api::Role::Reader.into()),
        area: Some("64".into()),
        expires_at_ms: Some(TODAY_MS + 1),
        ..Default::default()
    };
    let ended = ningxia.admin.identity().create_token(ended).await.unwrap().into_inner();
    world.clock.advance(1);
    let mut answers = vec![];
    for secret in ["qst_unknown", revoked.secret(), ended.secret()] {
        let answer = ningxia.holder(secret).list::<Agency>(ListQuery::default()).await.unwrap_err();
        answers.push((answer.code(), answer.message().to_owned(), answer.details().to_vec()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

    let guess = async || {
        let guesser = ningxia.holder("qst_guess");
        refused(guesser.list::<Agency>(ListQuery::default()).await, Reason::Unauthenticated, "");
    };
    let begun = Instant::now();
    for _ in 0..22 {
        guess().await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(100), "nobody was slowed down: {:?}", begun.elapsed());
    let (mut served, guesses) = (0, async {
        for _ in 0..3 {
            guess().await
        }
    });
    tokio::pin!(guesses);
    loop {
        tokio::select! {
            () = &mut guesses => break,
            answer = ningxia.admin.list::<Agency>(ListQuery::default()) => served += usize::from(answer.is_ok()),
        }
    }
    assert!(served > 3, "a right token waits as wrong ones do: {served}");
}
