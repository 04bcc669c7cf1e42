//! A database that is away, for its disk is full or its server is stopped, and comes back: nothing is lost or doubled, nobody
//! starts anything again, and health and the doctor tell the truth at every moment.

use std::{collections::BTreeSet, fmt::Write as _};

use qianshou_kernel::{
    db::{Db, Statement},
    error::Reason,
};
use qianshou_proto::{identity::v1 as identity, registry::v1::Agency};
use qianshou_tests::{
    Caller, Database, World, eventually,
    process::{Process, qianshou},
    refusal::refused,
    sample::{agency, uscc},
    stories,
};
use serde_json::Value;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

stories! {
    a_database_that_is_away_comes_back_by_itself
    a_transaction_that_failed_holds_nobody_up
    a_database_that_was_put_in_place_of_another_is_not_served
}

/// Rows of a file that is imported meanwhile; the disk has not the room for them.
const ROWS: u32 = 3_000;
/// What the disk has.
const ROOM_BYTES: u64 = 4 << 20;
/// Services whose health is asked, the whole first.
const SERVICES: [&str; 5] = [
    "",
    "qianshou.registry.v1.RegistryService",
    "qianshou.reporting.v1.ReportingService",
    "qianshou.exchange.v1.ExchangeAdminService",
    "qianshou.identity.v1.IdentityService",
];

async fn a_database_that_is_away_comes_back_by_itself(world: World) {
    let (outage, environment) = world.outage("64").await;
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ningxia = world.process("64", &environment).await;
    let ca = ningxia.folder.join("keys/ca.pem");
    let mut text = "机构名称,统一社会信用代码,所在地区划代码\n".to_owned();
    (0..ROWS).for_each(|n| writeln!(text, "塞上社会工作服务中心{n},{},640104", uscc(n)).unwrap());
    let file = world.folder("desk").join("agencies.csv");
    std::fs::write(&file, text).unwrap();
    let asked = identity::CreateTokenRequest {
        display_name: Some("clerk".into()),
        role: Some(identity::Role::Administrator.into()),
        area: Some("64".into()),
        ..Default::default()
    };
    let made = ningxia.admin.identity().create_token(asked).await.unwrap().into_inner();
    let clerk = Caller::new(&ningxia.address, &std::fs::read(&ca).unwrap(), made.secret.clone());
    eventually("health", async || healthy(&ningxia, true).await.then_some(())).await;
    let config = ningxia.folder.join("node.toml");
    let doctor = ["doctor", "--config", config.to_str().unwrap(), "--json"];
    let graded = async |number: usize| {
        let told = qianshou(&doctor, &environment).await;
        serde_json::from_str::<Vec<Value>>(&told.out).unwrap()[number - 1].clone()
    };
    let check = graded(7).await;
    assert!(check["grade"] == "ok" && check["note"].as_str().unwrap().contains("a commit lasts"), "{check}");

    let (token, ca) = (made.secret.unwrap(), ca.to_str().unwrap().to_owned());
    let clerk_says =
        [("QIANSHOU_NODE", ningxia.address.as_str()), ("QIANSHOU_TOKEN", token.as_str()), ("QIANSHOU_CA", ca.as_str())];
    let arguments = ["import", "agencies", file.to_str().unwrap(), "--json"];
    let import = qianshou(&arguments, &clerk_says);
    let meanwhile = async {
        outage.begin(ROOM_BYTES);
        // All say so, each at the moment: the registry's writer, health, the doctor.
        eventually("bad health", async || healthy(&ningxia, false).await.then_some(())).await;
        let refusal = ningxia.admin.create(agency(ROWS)).await.unwrap_err();
        assert_eq!(refusal.code(), tonic::Code::Unavailable, "{refusal:?}");
        if world.database == Database::Sqlite {
            assert!(
                refusal.message().contains("disk is full") && refusal.message().contains("磁盘已满"),
                "{refusal:?}"
            );
            assert_eq!(graded(3).await["grade"], "fail");
        }
        assert_eq!(graded(7).await["grade"], "fail");
        assert!(healthy(&ningxia, false).await, "it does not waver");
        outage.end();
        eventually("good health", async || healthy(&ningxia, true).await.then_some(())).await;
    };
    let (_, ()) = tokio::join!(import, meanwhile);

    ningxia.admin.create(agency(ROWS)).await.unwrap();
    let again = qianshou(&arguments, &clerk_says).await.json();
    let figures = ["created", "unchanged", "refused"].map(|figure| again[figure].as_u64().unwrap());
    assert_eq!((figures[0] + figures[1], figures[2]), (u64::from(ROWS), 0), "{again}");
    let all = ningxia.admin.list_all::<Agency>(Default::default()).await;
    let keys: BTreeSet<&str> = all.iter().map(Agency::uscc).collect();
    assert_eq!((all.len(), keys.len()), (ROWS as usize + 1, ROWS as usize + 1), "nothing is lost, nothing is double");
    let revoke = identity::RevokeTokenRequest { id: made.token.unwrap().id };
    ningxia.admin.identity().revoke_token(revoke).await.unwrap();
    refused(clerk.list::<Agency>(Default::default()).await, Reason::Unauthenticated, "");
    assert_eq!(graded(7).await["grade"], "ok");
    assert!(healthy(&ningxia, true).await);
}

/// Whether all the services are well, or none is.
async fn healthy(node: &Process, well: bool) -> bool {
    let ca = std::fs::read(node.folder.join("keys/ca.pem")).unwrap();
    let mut health = HealthClient::new(Caller::new(&node.address, &ca, None).line());
    for service in SERVICES {
        let asked = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner();
        if (asked.status() == ServingStatus::Serving) != well {
            return false;
        }
    }
    true
}

/// However a transaction ends, the next one begins: dropped in the middle, undone by the database itself, or with a statement
/// that failed.
async fn a_transaction_that_failed_holds_nobody_up(world: World) {
    let (db, _) = world.database("one").await;
    let put =
        |n: i64| Statement::new("INSERT INTO cursors (name, position) VALUES ('x', $1)", qianshou_kernel::binds![n]);
    let begun = async || {
        let mut tx = db.begin().await.unwrap();
        assert!(tx.run(&put(1)).await.unwrap());
        tx
    };
    drop(begun().await);
    let mut undone = begun().await;
    undone.execute("ROLLBACK", vec![]).await.unwrap();
    undone.rollback().await.unwrap();
    let mut undone = begun().await;
    undone.execute("ROLLBACK", vec![]).await.unwrap();
    drop(undone.commit().await);
    let mut twice = begun().await;
    let error = twice.run(&put(2)).await.unwrap_err();
    assert_eq!(error.away(), None, "the database is there: {error}");
    assert!(twice.commit().await.is_err(), "half of it is not committed");
    assert!(!db.run(&[put(3), Statement::expecting("DELETE FROM cursors WHERE name = 'y'", vec![], 1)]).await.unwrap());
    assert_eq!(*db.away().borrow(), None);
    assert!(db.run(&[put(4)]).await.unwrap());
    let rows = db.fetch("SELECT position FROM cursors", vec![]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.int(0).unwrap()).collect::<Vec<_>>(), [4]);
}

/// A database that is deleted or replaced while a node serves it: the node answers nothing from it and writes nothing to it.
async fn a_database_that_was_put_in_place_of_another_is_not_served(world: World) {
    let (_outage, environment) = world.outage("64").await;
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let ningxia = world.process("64", &environment).await;
    ningxia.admin.create(agency(0)).await.unwrap();
    eventually("health", async || healthy(&ningxia, true).await.then_some(())).await;
    let file = ningxia.folder.join("qianshou.db");
    let aside = ningxia.folder.join("aside.db");
    let ledger = async |position: i64| {
        let db: Db = ningxia.db().await;
        let set = Statement::new("UPDATE head SET position = $1", qianshou_kernel::binds![position]);
        assert!(db.run(&[set]).await.unwrap());
        db.close().await;
    };
    match world.database {
        Database::Sqlite => std::fs::rename(&file, &aside).unwrap(),
        // An older state, as from a dump.
        Database::Postgres => ledger(0).await,
    }
    eventually("bad health", async || healthy(&ningxia, false).await.then_some(())).await;
    let refusal = ningxia.admin.create(agency(1)).await.unwrap_err();
    assert!(refusal.code() == tonic::Code::Unavailable && refusal.message().contains("replaced"), "{refusal:?}");
    if world.database == Database::Sqlite {
        std::fs::copy(&aside, &file).unwrap();
        assert!(healthy(&ningxia, false).await, "a copy is another file");
        assert!(ningxia.admin.create(agency(1)).await.is_err());
        std::fs::rename(&aside, &file).unwrap();
        eventually("health", async || healthy(&ningxia, true).await.then_some(())).await;
        ningxia.admin.create(agency(1)).await.unwrap();
    }
}
