//! Each house under a database role of its own, with the grants of `deploy/grants.sql` and no more.

use qianshou_kernel::db::Db;
use qianshou_proto::registry::v1::ErasePersonRequest;
use qianshou_tests::{
    Database, World, eventually,
    sample::{self, NINGXIA, agency},
    source,
    treaty::{agree, introduce, settled, terms, to_nation},
};

use super::figures;

#[test]
fn each_house_has_grants_of_its_own_postgres() {
    qianshou_tests::run(Database::Postgres, each_house_has_grants_of_its_own);
}

const HOUSES: [&str; 4] = ["registry", "pairing", "exchange", "reporting"];

async fn each_house_has_grants_of_its_own(world: World) {
    let town = world.town("64").await;
    let owner = town.loaded().config.database.url.clone();
    let file = std::fs::read_to_string(source::root().join("deploy/grants.sql")).unwrap();
    let addresses = world.database_roles(&owner, &file).await;
    let address = |house: &str| addresses[HOUSES.iter().position(|known| *known == house).unwrap()].as_str();
    let serve = async |house: &str| town.serve(house, &[("QIANSHOU__DATABASE__URL", address(house))]).await;
    let [registry, pairing, exchange, reporting] =
        futures::future::join_all(HOUSES.map(serve)).await.try_into().unwrap_or_else(|_| unreachable!());
    let nation = world.process("00", &[]).await;

    introduce(&[&exchange.admin, &nation.admin]).await;
    let agreement = agree(&exchange.admin, &nation.admin, terms("64", "00", to_nation("64"))).await;
    let back = agree(
        &nation.admin,
        &exchange.admin,
        terms("00", "64", vec![qianshou_tests::treaty::share("agencies", "display_name uscc division", "64")]),
    )
    .await;
    let [agencies, _, workers, _] = sample::fill(&registry.admin, NINGXIA, 1..21).await;
    registry.admin.under("once").create(agency(500)).await.unwrap();
    registry.admin.under("once").create(agency(500)).await.unwrap();
    registry.admin.delete::<qianshou_proto::registry::v1::Agency>(&agencies[0]).await.unwrap_err();
    nation.admin.create(agency(600)).await.unwrap();
    settled(&exchange.admin, &nation.admin, &agreement).await;
    settled(&nation.admin, &exchange.admin, &back).await;
    for at in [&reporting, &nation] {
        let counted = async || (figures(&at.admin).await == [20, 20, 22, 20]).then_some(());
        eventually("the table", counted).await;
    }
    // The registry erases, the exchange clears its pages, reporting joins what is left: each under its own role.
    let asked = ErasePersonRequest {
        name: Some(workers[0].clone()),
        reason: Some("本人申请".into()),
        clause: Some("第四十七条".into()),
        ..ErasePersonRequest::default()
    };
    let erased = registry.admin.registry().erase_person(asked).await.unwrap().into_inner();
    assert_eq!(erased.records.len(), 2);
    let db = Db::open(&owner, &source::root(), 1, 2).await.unwrap();
    let cleared = "SELECT 1 FROM cursors WHERE name = 'exchange erased' AND position > 0";
    eventually("cleared pages", async || db.fetch_one(cleared, vec![]).await.unwrap()).await;
    db.close().await;
    settled(&exchange.admin, &nation.admin, &agreement).await;
    let counted = async || (figures(&reporting.admin).await == [20, 20, 22, 20]).then_some(());
    eventually("the table, as before", counted).await;
    for house in [&registry, &pairing, &exchange, &reporting] {
        assert!(!house.said().contains("permission denied"), "{}", house.said());
    }

    for (house, sql) in [
        (
            "reporting",
            "INSERT INTO records (name, kind, home, position, epoch, revision, ended) VALUES ('a', 'b', 'c', 1, 1, 1, FALSE)",
        ),
        ("reporting", "UPDATE head SET position = position"),
        ("reporting", "SELECT name FROM registry_workers"),
        ("reporting", "SELECT id FROM exchange_agreements"),
        ("registry", "SELECT id FROM exchange_agreements"),
        ("registry", "UPDATE reporting_months SET value = 0"),
        ("registry", "DELETE FROM entries"),
        ("registry", "UPDATE entries SET digest = payload"),
        ("exchange", "DELETE FROM exchange_pages"),
        ("exchange", "UPDATE entries SET payload = NULL"),
        ("exchange", "SELECT facts FROM reporting_subjects"),
    ] {
        let db = Db::open(address(house), &source::root(), 1, 2).await.unwrap();
        let refused = db.fetch(sql, vec![]).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{house}: {sql}: {refused}");
        db.close().await;
    }
    no_table_is_forgotten(&owner, &file).await;
}

/// A house that comes later has to say here what it needs.
async fn no_table_is_forgotten(owner: &str, file: &str) {
    let db = Db::open(owner, &source::root(), 1, 2).await.unwrap();
    let sql = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'";
    for row in db.fetch(sql, vec![]).await.unwrap() {
        let table = row.text(0).unwrap();
        let named = file.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == table);
        assert!(named, "deploy/grants.sql does not name {table}");
    }
    db.close().await;
}
