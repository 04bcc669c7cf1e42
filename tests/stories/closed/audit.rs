//! The audit: every act leaves its line, nobody is named in one, a line that was changed is found, a flood stays small, and what
//! cannot be written down is not done.

use std::sync::Arc;

use qianshou_kernel::{
    audit, config,
    db::{Db, Statement},
    error::Reason,
    identity::Role,
    kind::ListQuery,
};
use qianshou_proto::{
    audit::v1::{self as api, AuditEntry, AuditLog},
    identity::v1 as identity,
    ledger::v1::ReadEntriesRequest,
    registry::v1::{Agency, Worker},
};
use qianshou_tests::{
    Caller, Node, World,
    refusal::refused,
    sample::{agency, certificate, citizen, full_name, worker},
    stories,
    treaty::{agree, introduce, terms, to_nation},
    world::DAY_MS,
};

stories! {
    every_act_leaves_its_line
    an_area_sees_its_own_lines
    a_line_that_was_changed_is_named
    a_flood_of_refusals_is_few_lines
    two_writers_make_one_chain
    lines_are_kept_as_configured
    what_cannot_be_written_down_is_not_done
    the_command_line_lists_exports_and_verifies
}

/// All lines that somebody sees, with what was counted so far.
async fn lines(at: &Caller) -> Vec<AuditEntry> {
    let mut all = vec![];
    let mut asked = api::ListAuditEntriesRequest { page_size: Some(7), ..Default::default() };
    loop {
        let page = at.audit().list_audit_entries(asked.clone()).await.unwrap().into_inner();
        all.extend(page.entries);
        asked.page_token = page.next_page_token.filter(|token| !token.is_empty());
        if asked.page_token.is_none() {
            return all;
        }
    }
}

/// Actor, target, outcome and count of the lines of one act.
fn of<'a>(lines: &'a [AuditEntry], act: &str) -> Vec<(&'a str, &'a str, &'a str, u64)> {
    let here = lines.iter().filter(|line| line.act() == act);
    here.map(|line| (line.actor(), line.target(), line.outcome(), line.count())).collect()
}

/// The actor of whoever calls, as the audit names it.
async fn actor(node: &Node, name: &str) -> String {
    let tokens =
        node.admin.identity().list_tokens(identity::ListTokensRequest::default()).await.unwrap().into_inner().tokens;
    let token = tokens.iter().find(|token| token.display_name() == name).unwrap();
    format!("tokens/{}", token.id())
}

async fn revoke(at: &Caller, id: &str) -> Result<(), tonic::Status> {
    at.identity().revoke_token(identity::RevokeTokenRequest { id: Some(id.to_owned()) }).await.map(|_| ())
}

async fn every_act_leaves_its_line(world: World) {
    let (ningxia, nation) = (world.node("64").await, world.node("00").await);
    let editor = ningxia.caller(Role::Editor, "6401").await;
    let who = actor(&ningxia, "editor 6401").await;
    let admin = actor(&ningxia, "story").await;
    let id = who.trim_start_matches("tokens/");
    introduce(&[&ningxia.admin, &nation.admin]).await;
    agree(&ningxia.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;

    editor.create(worker(1)).await.unwrap();
    editor.put((2..7).map(worker).collect::<Vec<Worker>>()).await.unwrap();
    for _ in 0..3 {
        editor.list::<Worker>(ListQuery::default()).await.unwrap();
    }
    editor.list::<Agency>(ListQuery::default()).await.unwrap();
    // Whoever asks by a number is counted, dry runs too.
    drop(editor.only_asking().create(certificate(1, &format!("workers/{}", citizen(1)))).await);
    for _ in 0..2 {
        refused(editor.identity().list_tokens(identity::ListTokensRequest::default()).await, Reason::Forbidden, "");
    }
    refused(ningxia.stranger().list::<Worker>(ListQuery::default()).await, Reason::Unauthenticated, "");
    let feed = ningxia.admin.feed().read_entries(ReadEntriesRequest::default()).await.unwrap();
    drop(feed);
    revoke(&ningxia.admin, id).await.unwrap();
    refused(revoke(&ningxia.admin, "nobody").await, Reason::NotFound, "id");

    let all = lines(&ningxia.admin).await;
    let created = of(&all, "IdentityService/CreateToken");
    let told = "area=6401 role=editor";
    assert_eq!(
        created[..2],
        [(admin.as_str(), told, "BEGUN", 1), (admin.as_str(), &*format!("{told} {who}"), "OK", 1)]
    );
    let target = format!("id={id}");
    let revoked = of(&all, "IdentityService/RevokeToken");
    assert!(revoked.contains(&(&admin, &target, "OK", 1)) && revoked.contains(&(&admin, "id=nobody", "NOT_FOUND", 1)));
    for act in ["AddPeer", "SignAgreement"] {
        let outcomes: Vec<&str> = of(&all, &format!("ExchangeAdminService/{act}")).iter().map(|line| line.2).collect();
        assert!(outcomes.contains(&"BEGUN") && outcomes.contains(&"OK"), "{act}: {outcomes:?}");
    }
    assert!(of(&all, "ExchangeAdminService/AddPeer").iter().any(|line| line.1.contains("node=00")));
    let mut batches = of(&all, "RegistryService/BatchPutWorkers");
    batches.sort_unstable();
    assert_eq!(batches, [(who.as_str(), "", "OK", 3), (&who, "", "REFUSED_RECORDS", 2)]);
    assert_eq!(of(&all, "RegistryService/CreateWorker"), [], "the ledger has who wrote a record");
    let listed = of(&all, "RegistryService/ListWorkers");
    assert!(listed.contains(&(&who, "", "OK", 3)) && listed.contains(&("anonymous", "", "UNAUTHENTICATED", 1)));
    assert_eq!(of(&all, "RegistryService/ListAgencies"), []);
    assert_eq!(of(&all, "LedgerService/ReadEntries"), [(admin.as_str(), "", "OK", 1)]);
    let looked_up = of(&all, "look up by number");
    assert!(!looked_up.is_empty() && looked_up.iter().all(|line| (line.0, line.2) == (&who, "OK")), "{looked_up:?}");
    assert!(of(&all, "IdentityService/ListTokens").contains(&(&who, "", "FORBIDDEN", 2)));
    let [serve] = &of(&all, "serve")[..] else { panic!("the node itself says that it serves") };
    assert_eq!((serve.0, serve.2), ("node", "OK"));
    let line = all.iter().find(|line| line.actor() == who && line.act() == "RegistryService/ListWorkers").unwrap();
    assert_eq!(
        (line.role(), line.area(), line.address(), line.log()),
        ("editor", "6401", "127.0.0.1", AuditLog::Usage)
    );
    assert!(of(&lines(&nation.admin).await, "ExchangeService/Pull").iter().all(|line| line.0 == "nodes/64"));

    let text = format!("{all:?}");
    for n in 1..7 {
        assert!(!text.contains(&citizen(n)) && !text.contains(&full_name(n)), "somebody is named");
    }
    assert!(!text.contains("editor 6401"), "a token's words may name a person");
    sound(&ningxia.admin, None).await;
}

/// Verifies; the first line that does not hold, if one is expected.
async fn sound(at: &Caller, wrong: Option<(AuditLog, u64)>) {
    let mut steps = at.audit().verify_audit(api::VerifyAuditRequest {}).await.unwrap().into_inner();
    let mut last = None;
    while let Some(step) = steps.message().await.unwrap() {
        last = Some(step);
    }
    let last = last.unwrap();
    let found = last.number.map(|number| (last.log(), number));
    assert_eq!((last.sound, found), (Some(wrong.is_none()), wrong), "{last:?}");
}

async fn an_area_sees_its_own_lines(world: World) {
    let ningxia = world.node("64").await;
    let [yinchuan, guyuan] = ["6401", "6404"].map(|area| ningxia.caller(Role::Administrator, area));
    let (yinchuan, guyuan) = (yinchuan.await, guyuan.await);
    let county = ningxia.caller(Role::Reader, "640104").await;
    for caller in [&yinchuan, &guyuan, &county] {
        caller.list::<Worker>(ListQuery::default()).await.unwrap();
    }
    refused(ningxia.stranger().list::<Worker>(ListQuery::default()).await, Reason::Unauthenticated, "");
    let seen = lines(&yinchuan).await;
    assert!(!seen.is_empty() && seen.iter().all(|line| line.area().starts_with("6401")), "{seen:?}");
    assert!(seen.iter().any(|line| line.area() == "640104"));
    assert!(lines(&ningxia.admin).await.iter().any(|line| line.area() == "6404"));
    refused(lines_of(&county).await, Reason::Forbidden, "");
    let auditor = ningxia.caller(Role::Auditor, "6401").await;
    assert!(lines(&auditor).await.iter().all(|line| line.area().starts_with("6401")));
    let all = yinchuan.audit().verify_audit(api::VerifyAuditRequest {}).await;
    refused(all.map(|_| ()), Reason::AreaForbidden, "area");
    let whose = actor(&ningxia, "reader 640104").await;
    let asked = api::ListAuditEntriesRequest { actor: Some(whose.clone()), ..Default::default() };
    let only = ningxia.admin.audit().list_audit_entries(asked).await.unwrap().into_inner().entries;
    assert!(!only.is_empty() && only.iter().all(|line| line.actor() == whose));
    let later = api::ListAuditEntriesRequest { from_ms: Some(world.clock.now_ms() + 1), ..Default::default() };
    assert_eq!(ningxia.admin.audit().list_audit_entries(later).await.unwrap().into_inner().entries, []);
    let asked = api::ListAuditEntriesRequest { page_token: Some("1.elsewhere.2".into()), ..Default::default() };
    refused(ningxia.admin.audit().list_audit_entries(asked).await, Reason::BadPageToken, "page_token");
}

async fn lines_of(at: &Caller) -> Result<Vec<AuditEntry>, tonic::Status> {
    let asked = api::ListAuditEntriesRequest::default();
    Ok(at.audit().list_audit_entries(asked).await?.into_inner().entries)
}

async fn by_hand(db: &Db, statements: &[&'static str]) {
    let statements: Vec<Statement> = statements.iter().map(|sql| Statement::new(*sql, vec![])).collect();
    assert!(db.run(&statements).await.unwrap());
}

async fn a_line_that_was_changed_is_named(world: World) {
    let ningxia = world.node("64").await;
    let db = ningxia.ledger.db().clone();
    for area in ["6401", "6402", "6403"] {
        ningxia.caller(Role::Reader, area).await;
    }
    sound(&ningxia.admin, None).await;
    let acts = |number| Some((AuditLog::Acts, number));
    let changes: [(&[&'static str], &[&'static str], u64); 4] = [
        (
            &["UPDATE audit SET detail = 'x' WHERE log = 'acts' AND number = 3"],
            &["UPDATE audit SET detail = '' WHERE log = 'acts' AND number = 3"],
            3,
        ),
        (
            &[
                "UPDATE audit SET number = 1000 WHERE log = 'acts' AND number = 4",
                "UPDATE audit SET number = 4 WHERE log = 'acts' AND number = 5",
                "UPDATE audit SET number = 5 WHERE log = 'acts' AND number = 1000",
            ],
            &[
                "UPDATE audit SET number = 1000 WHERE log = 'acts' AND number = 4",
                "UPDATE audit SET number = 4 WHERE log = 'acts' AND number = 5",
                "UPDATE audit SET number = 5 WHERE log = 'acts' AND number = 1000",
            ],
            4,
        ),
        (
            &["UPDATE audit SET log = 'away' WHERE log = 'acts' AND number = 2"],
            &["UPDATE audit SET log = 'acts' WHERE log = 'away'"],
            2,
        ),
        // Who removes the front has to sign where it begins.
        (
            &[
                "UPDATE audit SET log = 'away' WHERE log = 'acts' AND number = 1",
                "UPDATE audit_head SET purged = 1 WHERE log = 'acts'",
            ],
            &[
                "UPDATE audit SET log = 'acts' WHERE log = 'away'",
                "UPDATE audit_head SET purged = 0 WHERE log = 'acts'",
            ],
            1,
        ),
    ];
    for (change, back, number) in changes {
        by_hand(&db, change).await;
        sound(&ningxia.admin, acts(number)).await;
        by_hand(&db, back).await;
        sound(&ningxia.admin, None).await;
    }
    // And who removes the end, where it ends.
    let last = db.fetch_one("SELECT number FROM audit_head WHERE log = 'acts'", vec![]).await.unwrap().unwrap();
    by_hand(
        &db,
        &[
            "DELETE FROM audit WHERE log = 'acts' AND number = (SELECT number FROM audit_head WHERE log = 'acts')",
            "UPDATE audit_head SET number = number - 1, digest = (SELECT digest FROM audit WHERE log = 'acts' \
             AND number = audit_head.number - 1) WHERE log = 'acts'",
        ],
    )
    .await;
    let verified = audit::verify(&db, &audit::Signer::from(&ningxia.keys()), |_, _| ()).await.unwrap();
    assert_eq!(verified.wrong.unwrap().number, last.count(0).unwrap() - 1);
}

async fn a_flood_of_refusals_is_few_lines(world: World) {
    let ningxia = world.node("64").await;
    let reader = ningxia.caller(Role::Reader, "64").await;
    let before = lines(&ningxia.admin).await.len();
    for _ in 0..200 {
        refused(ningxia.stranger().get::<Agency>("nodes/64/agencies/1").await, Reason::Unauthenticated, "");
        refused(reader.create(agency(1)).await, Reason::Forbidden, "");
        refused(revoke(&reader, "nobody").await, Reason::Forbidden, "");
    }
    let all = lines(&ningxia.admin).await;
    let (get, create) = (of(&all, "RegistryService/GetAgency"), of(&all, "RegistryService/CreateAgency"));
    assert_eq!((get.len(), get[0].3, create.len(), create[0].3), (1, 200, 1, 200));
    // The list itself and the list of tokens were counted, too.
    assert!(all.len() <= before + 5, "{} lines", all.len() - before);
    // A door that was knocked at in vain a hundred times is not opened again at once, for this caller alone.
    let asked = || identity::CreateTokenRequest {
        role: Some(identity::Role::Reader.into()),
        area: Some("64".into()),
        ..Default::default()
    };
    for _ in 0..100 {
        refused(ningxia.admin.identity().create_token(asked()).await, Reason::Malformed, "display_name");
    }
    refused(ningxia.admin.identity().create_token(asked()).await, Reason::Busy, "");
    ningxia.audit.flush().await.unwrap();
    ningxia.caller(Role::Reader, "6401").await;
}

/// As two processes of a node do, each through its own writer: every line has its own number, and the chain holds.
async fn two_writers_make_one_chain(world: World) {
    let ningxia = world.node("64").await;
    let db = ningxia.ledger.db().clone();
    let open = || {
        let keys = Arc::new(ningxia.keys());
        let config = config::Audit { keep_days: 184, usage_keep_days: 1_095, batch_ms: 60_000 };
        audit::Audit::open(db.clone(), keys, world.clock.clone(), config)
    };
    let (one, other) = (open(), open());
    let before = lines(&ningxia.admin).await.len();
    let write = async |to: audit::Audit, name: &str| {
        for n in 0..25 {
            to.write(audit::Log::Acts, audit::Line::of_node(0, "story", format!("{name}-{n}"), "")).await.unwrap();
        }
    };
    tokio::join!(write(one.clone(), "a"), write(other, "b"), write(one, "c"));
    assert_eq!(of(&lines(&ningxia.admin).await, "story").len(), 75);
    assert!(lines(&ningxia.admin).await.len() >= before + 75);
    sound(&ningxia.admin, None).await;
}

async fn lines_are_kept_as_configured(world: World) {
    let ningxia = world.node("64").await;
    ningxia.admin.list::<Worker>(ListQuery::default()).await.unwrap();
    let first = lines(&ningxia.admin).await;
    let ran = |log: AuditLog, lines: &[AuditEntry]| lines.iter().filter(|line| line.log() == log).count();
    assert!(ran(AuditLog::Acts, &first) > 0 && ran(AuditLog::Usage, &first) > 0);
    world.clock.advance(183 * DAY_MS);
    assert_eq!(ningxia.audit.purge().await.unwrap(), 0, "nothing is gone before its time");
    world.clock.advance(2 * DAY_MS);
    // The task looks when the node begins to serve.
    let ningxia = ningxia.restart().await;
    let purged = async || {
        let all = lines(&ningxia.admin).await;
        let old = all.iter().any(|line| line.log() == AuditLog::Acts && line.at_ms() == first[0].at_ms());
        (!old).then_some(all)
    };
    let all = qianshou_tests::eventually("old acts are purged", purged).await;
    assert!(ran(AuditLog::Usage, &all) >= ran(AuditLog::Usage, &first), "usage is kept for three years");
    sound(&ningxia.admin, None).await;
    world.clock.advance(911 * DAY_MS);
    // Its administrator's token has ended meanwhile; a restart brings another. Its task and this may both purge.
    let ningxia = ningxia.restart().await;
    ningxia.audit.purge().await.unwrap();
    let all = lines(&ningxia.admin).await;
    assert!(all.iter().all(|line| line.at_ms() > first[0].at_ms()), "{all:?}");
    assert!(all.iter().all(|line| line.number() > 1), "numbers go on");
    sound(&ningxia.admin, None).await;
}

async fn what_cannot_be_written_down_is_not_done(world: World) {
    let ningxia = world.node("64").await;
    let tokens = async || {
        let asked = identity::ListTokensRequest::default();
        ningxia.admin.identity().list_tokens(asked).await.unwrap().into_inner().tokens.len()
    };
    let before = tokens().await;
    by_hand(ningxia.ledger.db(), &["ALTER TABLE audit RENAME TO audit_away"]).await;
    let asked = identity::CreateTokenRequest {
        display_name: Some("somebody".into()),
        role: Some(identity::Role::Reader.into()),
        area: Some("64".into()),
        ..Default::default()
    };
    refused(ningxia.admin.identity().create_token(asked.clone()).await, Reason::Unavailable, "");
    assert_eq!(tokens().await, before, "the door stayed shut");
    // Reading and writing records goes on.
    ningxia.admin.create(agency(1)).await.unwrap();
    ningxia.admin.list::<Worker>(ListQuery::default()).await.unwrap();
    by_hand(ningxia.ledger.db(), &["ALTER TABLE audit_away RENAME TO audit"]).await;
    ningxia.admin.identity().create_token(asked).await.unwrap();
    let all = lines(&ningxia.admin).await;
    let counted = of(&all, "RegistryService/ListWorkers");
    assert_eq!(counted.iter().map(|line| line.3).sum::<u64>(), 1, "what was counted meanwhile is not lost");
    let created = of(&all, "IdentityService/CreateToken");
    assert!(created.iter().any(|line| line.2 == "UNAVAILABLE"), "{created:?}");
    sound(&ningxia.admin, None).await;
}

async fn the_command_line_lists_exports_and_verifies(world: World) {
    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Administrator, "64").await;
    let listed = desk.run(&["audit", "list", "--act", "IdentityService/CreateToken", "--json"]).await.json();
    assert_eq!(listed[0]["outcome"], "BEGUN", "{listed}");
    let told = desk.run(&["audit", "list", "--from", "2024-06-01", "--until", "2024-06-01"]).await;
    assert!(told.out.contains("2024-06-01 12:00:00") && told.out.contains("127.0.0.1"), "{told:?}");
    assert_eq!(desk.run(&["audit", "list", "--from", "2024-06-02", "--json"]).await.out.trim(), "[]");
    let exported = desk.run(&["audit", "export", "audit.jsonl", "--json"]).await.json();
    let text = std::fs::read_to_string(desk.file("audit.jsonl")).unwrap();
    assert_eq!(exported["lines"].as_u64().unwrap(), text.lines().count() as u64);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(desk.file("audit.jsonl")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!desk.file("audit.jsonl.part").exists());
    let whole = desk.run(&["audit", "verify"]).await;
    assert!(whole.code == 0 && whole.out.contains("whole"), "{whole:?}");
    by_hand(ningxia.ledger.db(), &["UPDATE audit SET actor = 'nobody' WHERE log = 'acts' AND number = 2"]).await;
    let broken = desk.run(&["audit", "verify"]).await;
    assert!(broken.code == 1 && broken.err.contains("acts 2"), "{broken:?}");

    // At the machine, beside the node's doors.
    by_hand(ningxia.ledger.db(), &["UPDATE audit SET actor = 'nobody' WHERE log = 'acts' AND number = 2"]).await;
    let config = ningxia.folder.join("node.toml");
    let config = config.to_str().unwrap();
    let copied = desk.run(&["backup", "copy", "--config", config]).await;
    assert_eq!(copied.code, 0, "{copied:?}");
    let all = lines(&ningxia.admin).await;
    let backup = of(&all, "backup");
    assert_eq!(backup.iter().map(|line| (line.1, line.2)).collect::<Vec<_>>(), [("copy", "BEGUN"), ("copy", "OK")]);
    assert!(backup.iter().all(|line| line.0.starts_with("operator@machine:")), "{backup:?}");
}
