//! What is stored is what was written, or `verify` says where it is not: told on the ledger itself, and on nodes that exchange.

use std::collections::BTreeMap;

use qianshou_kernel::{
    binds,
    db::{Db, Statement, Value},
    id::Name,
    identity::NodeKeys,
    ledger::{
        self, Content, End, Ledger, Version, chain, heads,
        verify::{Entries, Fault, Part as _, beat, rounds},
    },
};
use qianshou_proto::{common::v1::EndReason, registry::v1::Agency};
use qianshou_tests::{
    World,
    crowd::{command, name, save},
    eventually,
    process::{Process, qianshou},
    sample::agency,
    stories,
    treaty::{agree, introduce, settled, share, terms},
    world::{DAY_MS, TODAY_MS},
};
use sha2::{Digest, Sha256};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

stories! {
    what_was_changed_by_hand_is_found_and_named
    an_older_chain_is_salted_and_verifies
    digests_that_were_all_computed_again_are_found
    pages_and_receipts_are_verified_and_health_says_so
}

/// Every change in the ledger's tables is found at the position where it was made, by a whole walk and by the task that goes round; what
/// is put back holds again.
async fn what_was_changed_by_hand_is_found_and_named(world: World) {
    let ledger = world.ledger().await;
    written(&ledger).await;
    let db = ledger.db();
    assert_eq!(whole(db).await, None);
    let erased = i64::from(EndReason::Erased as i32);
    let content = content_of(db, 5).await;
    let older = "UPDATE records SET position = 3, revision = 1 WHERE name = $1";
    let first = name(3).to_string();
    let swapped = || {
        let to = |from: i64, to: i64| {
            Statement::new("UPDATE entries SET position = $2 WHERE position = $1", binds![from, to])
        };
        vec![to(6, -6), to(7, 6), to(-6, 7)]
    };
    let one = |sql: &'static str, binds: Vec<Value>| vec![Statement::new(sql, binds)];
    let purge = "UPDATE entries SET payload = NULL, sealed = NULL, salt = NULL, content = $1, ended = $2, ended_on = '2024-06-01' \
                 WHERE position = 5";
    for (what, position, by_hand) in [
        ("a payload", 5, one("UPDATE entries SET payload = $1 WHERE position = 5", binds![b"other".to_vec()])),
        ("a sealed part", 5, one("UPDATE entries SET sealed = $1 WHERE position = 5", binds![b"other".to_vec()])),
        ("an end's reason", 13, one("UPDATE entries SET ended = 3 WHERE position = 13", vec![])),
        ("the order", 6, swapped()),
        ("a digest", 7, one("UPDATE entries SET digest = $1 WHERE position = 7", binds![vec![7_u8; 32]])),
        ("who wrote", 8, one("UPDATE entries SET actor = 'nobody' WHERE position = 8", vec![])),
        ("when", 8, one("UPDATE entries SET written_at = 1 WHERE position = 8", vec![])),
        ("a kind", 8, one("UPDATE entries SET kind = 'stations' WHERE position = 8", vec![])),
        ("a payload that is gone", 9, one("UPDATE entries SET payload = NULL WHERE position = 9", vec![])),
        ("an erasure that nobody chained", 5, one(purge, binds![content.to_vec(), erased])),
        ("an entry that is gone", 10, one("DELETE FROM entries WHERE position = 10", vec![])),
        // What they say of the first record goes with them.
        ("the last entries", 1, one("DELETE FROM entries WHERE position >= 13", vec![])),
        ("a record taken back", 12, one(older, binds![&first])),
        ("a record that is gone", 4, one("DELETE FROM records WHERE position = 4", vec![])),
        ("the head", 14, one("UPDATE head SET digest = $1", binds![vec![9_u8; 32]])),
    ] {
        let kept = copy(db).await;
        db.run(&by_hand).await.unwrap();
        let found = whole(db).await.unwrap_or_else(|| panic!("{what}"));
        assert!(found.at.starts_with(&format!("entry {position}")), "{what}: {found}");
        assert_eq!(beat(db, &Entries(db.clone()), 1_000, 1).await.unwrap(), Some(found.clone()), "{what}");
        assert_eq!(Entries(db.clone()).sample(50).await.unwrap().fault, Some(found), "{what}");
        put_back(db, kept).await;
        assert_eq!(beat(db, &Entries(db.clone()), 1_000, 2).await.unwrap(), None, "{what}, put back");
    }
    let told = rounds(db).await.unwrap();
    assert!(told.len() == 1 && told[0].fault.is_none() && told[0].rounds == 15, "{told:?}");
}

/// A database of contract level 3 is salted when it is opened; what did not hold before is told for ever.
async fn an_older_chain_is_salted_and_verifies(world: World) {
    for touched in [false, true] {
        let url = world.empty_database(if touched { "touched" } else { "sound" }).await;
        let db = Db::create(&url, std::path::Path::new("/"), 2, 4).await.unwrap();
        let before: Vec<_> = ledger::MIGRATIONS.iter().filter(|step| step.version < 6).copied().collect();
        db.migrate(&before).await.unwrap();
        at_level_3(&db).await;
        if touched {
            let change = "UPDATE entries SET payload = $1 WHERE position = 4";
            db.run(&[Statement::new(change, binds![b"other".to_vec()])]).await.unwrap();
        }
        db.close().await;
        let ledger = world.ledger_on(qianshou_tests::world::open(&url).await).await;
        let head = ledger.head().await.unwrap();
        assert_eq!(head.position, 4_100);
        assert_ne!(head.digest, vec![3_u8; 32]);
        ledger.submit(command(vec![save(&name(9_000), 9_000)])).await.unwrap();
        let found = whole(ledger.db()).await;
        match touched {
            true => assert!(found.is_some_and(|fault| fault.at == "entry 4" && fault.en.contains("salted"))),
            false => assert_eq!(found, None),
        }
    }
}

/// Whoever changes an entry and computes every digest after it again is found by the heads that were signed before, and without these by
/// the heads that a peer was shown.
async fn digests_that_were_all_computed_again_are_found(world: World) {
    let ledger = world.ledger().await;
    let db = ledger.db();
    let keys = NodeKeys::create(&world.folder("signer").join("keys"), "64", &[]).unwrap();
    let key = keys.signing.verifying_key().to_bytes();
    assert!(!heads::sign(db, &keys, TODAY_MS).await.unwrap(), "nothing was written");
    written(&ledger).await;
    assert!(heads::sign(db, &keys, TODAY_MS).await.unwrap());
    assert!(!heads::sign(db, &keys, TODAY_MS + 1).await.unwrap(), "nothing has moved");
    ledger.submit(command(vec![save(&name(50), 50)])).await.unwrap();
    let part = heads::Heads { db: db.clone(), keys: vec![key] };
    assert_eq!(part.look("", 10).await.unwrap().fault, None);
    let shown = heads::newest(db).await.unwrap().unwrap();
    assert_eq!(heads::read(&shown, &key).unwrap().position(), 14);
    assert_eq!(heads::agree(db, std::slice::from_ref(&shown), &key, "00").await.unwrap(), None);

    let other = "UPDATE entries SET payload = $1 WHERE position = 5";
    db.run(&[Statement::new(other, binds![b"other".to_vec()])]).await.unwrap();
    computed_again(&ledger).await;
    assert_eq!(whole(db).await, None, "the chain by itself says nothing");
    let found = part.look("", 10).await.unwrap().fault.unwrap();
    assert_eq!(found.at, "head 14");
    db.run(&[Statement::new("DELETE FROM heads", vec![])]).await.unwrap();
    assert!(heads::sign(db, &keys, TODAY_MS).await.unwrap());
    assert_eq!(part.look("", 10).await.unwrap().fault, None, "it was signed again");
    let found = heads::agree(db, &[shown], &key, "00").await.unwrap().unwrap();
    assert_eq!(found.at, "head 14 at node 00");

    // After thirty days the last head of each day stays.
    for (n, day) in [(60, 0), (61, 0), (62, 1), (63, 40)] {
        ledger.submit(command(vec![save(&name(n), n)])).await.unwrap();
        heads::sign(db, &keys, TODAY_MS + day * DAY_MS).await.unwrap();
    }
    heads::thin(db, TODAY_MS + 40 * DAY_MS).await.unwrap();
    let kept = db.fetch("SELECT position FROM heads ORDER BY position", vec![]).await.unwrap();
    let kept: Vec<u64> = kept.iter().map(|row| row.count(0).unwrap()).collect();
    assert_eq!(kept, [17, 18, 19]);
}

/// What an intruder does who knows the chain's form.
async fn computed_again(ledger: &Ledger) {
    let mut digest = chain::NOTHING;
    for entry in ledger.history(0, 1_000).await.unwrap() {
        let row = ledger.db().fetch_one("SELECT salt FROM entries WHERE position = $1", binds![entry.position]);
        let salt = row.await.unwrap().unwrap().bytes(0).unwrap();
        let place = chain::Place {
            position: entry.position,
            name: entry.name.as_str(),
            version: entry.version,
            previous: entry.previous.unwrap_or(0),
            actor: &entry.actor,
            written_at_ms: entry.written_at_ms,
        };
        digest = chain::link(&digest, &place, &chain::content_digest(&salt, &entry.content));
        let again = "UPDATE entries SET digest = $1 WHERE position = $2";
        ledger.db().run(&[Statement::new(again, binds![&digest[..], entry.position])]).await.unwrap();
    }
    ledger.db().run(&[Statement::new("UPDATE head SET digest = $1", binds![&digest[..]])]).await.unwrap();
}

/// The pages that were sent and received and both sides' receipts: changed by hand, each is named by `qianshou verify` and by doctor,
/// and health is red until it is put back.
async fn pages_and_receipts_are_verified_and_health_says_so(world: World) {
    let ningxia = world.process("64", &[]).await;
    let nation = world.process("00", &[]).await;
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let clauses = vec![share("agencies", "display_name uscc division", "64")];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    for n in 0..3 {
        ningxia.admin.create(agency(n)).await.unwrap();
    }
    settled(&ningxia.admin, &nation.admin, &id).await;
    for node in [&ningxia, &nation] {
        let told = verify(node, Some(0)).await;
        assert!(told.values().all(Option::is_none), "{told:?}");
    }
    let config = ningxia.folder.join("node.toml");
    let asked = ["verify", "--with-peers", "--json", "--config", config.to_str().unwrap()];
    let told = qianshou(&asked, &[]).await.json();
    let peers = told.as_array().unwrap().iter().find(|part| part["part"] == "peers").unwrap();
    assert!(peers["fault"].is_null() && peers["count"] == 1, "{told}");
    // The same commits that hold the cursors hold the pages.
    for (node, part, what, by_hand) in [
        (&ningxia, "pages", "page", "UPDATE exchange_pages SET page = $1 WHERE number = 1"),
        (&ningxia, "pages", "receipt", "UPDATE exchange_pages SET receipt = $1 WHERE number = 1"),
        (&ningxia, "pages", "page", "UPDATE exchange_pages SET digest = $1 WHERE number = 1"),
        (&nation, "received", "page", "UPDATE exchange_received SET page = $1 WHERE number = 1"),
        (&nation, "received", "receipt", "UPDATE exchange_received SET receipt = $1 WHERE number = 1"),
    ] {
        let db = node.db().await;
        let column = by_hand.split(' ').nth(3).unwrap();
        let table = by_hand.split(' ').nth(1).unwrap();
        let read = format!("SELECT {column} FROM {table} WHERE number = 1");
        let kept = db.fetch_one(read, vec![]).await.unwrap().unwrap().bytes(0).unwrap();
        let mut touched = kept.clone();
        let last = touched.len() - 1;
        touched[last] ^= 1;
        db.run(&[Statement::new(by_hand, binds![touched])]).await.unwrap();
        let found = verify(node, Some(1)).await.remove(part).flatten().unwrap_or_else(|| panic!("{by_hand}"));
        assert!(found.starts_with(&format!("{what} {id}/1/1")), "{by_hand}: {found}");
        if what == "receipt" {
            health(node, ServingStatus::NotServing).await;
        }
        db.run(&[Statement::new(by_hand, binds![kept])]).await.unwrap();
        health(node, ServingStatus::Serving).await;
        db.close().await;
    }
    assert_eq!(nation.admin.list_all::<Agency>(Default::default()).await.len(), 3);
}

/// What `qianshou verify --full` found, by part.
async fn verify(node: &Process, code: Option<i32>) -> BTreeMap<String, Option<String>> {
    let config = node.folder.join("node.toml");
    let told = qianshou(&["verify", "--full", "--json", "--config", config.to_str().unwrap()], &[]).await;
    assert_eq!(told.code, code, "{told:?}");
    let parts: Vec<serde_json::Value> = serde_json::from_str(&told.out).unwrap();
    let of = |part: &serde_json::Value| part["fault"]["at"].as_str().map(str::to_owned);
    parts.iter().map(|part| (part["part"].as_str().unwrap().to_owned(), of(part))).collect()
}

async fn health(node: &Process, wanted: ServingStatus) {
    eventually(&format!("{wanted:?}"), async || {
        let mut client = HealthClient::new(node.admin.line());
        let asked = HealthCheckRequest { service: String::new() };
        (client.check(asked).await.unwrap().into_inner().status() == wanted).then_some(())
    })
    .await;
}

/// Fourteen entries: ten records, two of them changed, one ended, one received.
async fn written(ledger: &Ledger) {
    for n in 1..=10 {
        ledger.submit(command(vec![save(&name(n), n)])).await.unwrap();
    }
    ledger.submit(command(vec![save(&name(2), 20)])).await.unwrap();
    ledger.submit(command(vec![save(&name(3), 30)])).await.unwrap();
    let end = Content::End(End { reason: EndReason::Deleted.into(), on: "2024-06-01".into() });
    ledger.submit(command(vec![ledger::Write::Own(name(1), end)])).await.unwrap();
    let Content::Put { payload, .. } = content(40) else { unreachable!() };
    let received = Content::Put { payload, sealed: None };
    let other = Name::of("35", "agencies", "elsewhere");
    let version = Version { epoch: 3, revision: 9 };
    ledger.submit(command(vec![ledger::Write::Received(other, version, received)])).await.unwrap();
}

fn content(n: u32) -> Content {
    let ledger::Write::Own(_, content) = save(&name(n), n) else { unreachable!() };
    content
}

async fn whole(db: &Db) -> Option<Fault> {
    Entries(db.clone()).look("", 100_000).await.unwrap().fault
}

async fn content_of(db: &Db, position: i64) -> chain::Hash {
    let sql = "SELECT payload, salt FROM entries WHERE position = $1";
    let row = db.fetch_one(sql, binds![position]).await.unwrap().unwrap();
    let content = Content::Put { payload: row.bytes(0).unwrap().into(), sealed: None };
    chain::content_digest(&row.bytes(1).unwrap(), &content)
}

/// The ledger's tables as they are.
async fn copy(db: &Db) -> [Vec<Vec<Value>>; 3] {
    const ENTRIES: &str = "SELECT name, kind, home, ended_on, actor, trace, position, epoch, revision, ended, previous, written_at, \
                           payload, sealed, digest, salt, content FROM entries ORDER BY position";
    let entries = db.fetch(ENTRIES, vec![]).await.unwrap();
    let entry = |row: &qianshou_kernel::db::Row| {
        let texts = (0..6).map(|i| Value::Text(row.maybe_text(i).unwrap()));
        let ints = (6..12).map(|i| Value::Int(row.maybe_int(i).unwrap()));
        let bytes = (12..17).map(|i| Value::Bytes(row.maybe_bytes(i).unwrap()));
        texts.chain(ints).chain(bytes).collect()
    };
    let records = "SELECT name, kind, home, position, epoch, revision, ended FROM records";
    let records = db.fetch(records, vec![]).await.unwrap();
    let record = |row: &qianshou_kernel::db::Row| {
        let texts = (0..3).map(|i| Value::Text(row.maybe_text(i).unwrap()));
        let ints = (3..6).map(|i| Value::Int(row.maybe_int(i).unwrap()));
        texts.chain(ints).chain([Value::Bool(row.maybe_bool(6).unwrap())]).collect()
    };
    let head = db.fetch_one("SELECT digest FROM head", vec![]).await.unwrap().unwrap().bytes(0).unwrap();
    [entries.iter().map(entry).collect(), records.iter().map(record).collect(), vec![binds![head]]]
}

async fn put_back(db: &Db, [entries, records, head]: [Vec<Vec<Value>>; 3]) {
    let into = "entries (name, kind, home, ended_on, actor, trace, position, epoch, revision, ended, previous, written_at, payload, \
                sealed, digest, salt, content)";
    db.run(&[
        Statement::new("DELETE FROM entries", vec![]),
        Statement::new("DELETE FROM records", vec![]),
        Statement::insert(into, "", entries),
        Statement::insert("records (name, kind, home, position, epoch, revision, ended)", "", records),
        Statement::new("UPDATE head SET digest = $1", head.into_iter().next().unwrap()),
    ])
    .await
    .unwrap();
}

/// 4,100 agencies as a program of contract level 3 wrote them.
async fn at_level_3(db: &Db) {
    let (mut digest, mut entries, mut records) = ([0_u8; 32], vec![], vec![]);
    for n in 1..=4_100_u32 {
        let (name, Content::Put { payload, .. }) = (name(n).to_string(), content(n)) else { unreachable!() };
        let parts: [&[u8]; 6] = [name.as_bytes(), &1_u64.to_be_bytes(), &1_u64.to_be_bytes(), b"put", &payload, b""];
        let framed = parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat());
        digest = Sha256::digest(digest.into_iter().chain(framed).collect::<Vec<u8>>()).into();
        entries.push(binds![
            n,
            &name,
            "agencies",
            "64",
            1_i64,
            1_i64,
            payload.to_vec(),
            &digest[..],
            "tokens/1",
            5_i64
        ]);
        records.push(binds![&name, "agencies", "64", n, 1_i64, 1_i64, false]);
    }
    let head = "INSERT INTO head (id, node, epoch, position, digest, contract) VALUES (1, '64', 1, 4100, $1, 3)";
    db.run(&[
        Statement::new(head, binds![&digest[..]]),
        Statement::insert(
            "entries (position, name, kind, home, epoch, revision, payload, digest, actor, written_at)",
            "",
            entries,
        ),
        Statement::insert("records (name, kind, home, position, epoch, revision, ended)", "", records),
    ])
    .await
    .unwrap();
}
