//! Keeping a node: backups that are taken while it writes, restored elsewhere; tables that are brought to a level; a doctor who says
//! what is wrong, and mistakes that are told with the next step.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use qianshou_kernel::{
    db::{Db, Statement},
    error::Reason,
    ledger,
};
use qianshou_proto::{
    exchange::v1::{Stream, StreamState},
    identity::v1 as identity,
    ledger::v1::GetHeadRequest,
    registry::v1::Agency,
};
use qianshou_tests::{
    Caller, Database, World, eventually,
    process::{Process, qianshou},
    refusal::refused,
    sample::agency,
    stories,
    treaty::{agree, draft, introduce, settled, share, stream, terms},
};
use serde_json::Value;

stories! {
    a_backup_taken_while_writing_goes_on_elsewhere
    a_backup_is_whole_or_refused
    tables_are_brought_to_a_level
    a_doctor_says_what_is_wrong_and_what_mends_it
    a_mistake_is_told_with_the_next_step
}

/// Nothing forks: whatever was acknowledged before the backup is in it, peers hear nothing of the restored node's history until its
/// epoch is declared, and then both sides hold the same.
async fn a_backup_taken_while_writing_goes_on_elsewhere(world: World) {
    let ningxia = world.process("64", &[]).await;
    let nation = world.process("00", &[]).await;
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let clauses = vec![share("agencies", "display_name uscc division", "64")];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    let before = create(&ningxia.admin, 0..30).await;

    let backup = world.folder("safe").join("backup");
    let (backup, config) = (text(&backup), text(&ningxia.folder.join("node.toml")));
    let (over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let write = async || {
        while !over.load(Ordering::SeqCst) {
            let n = 1_000 + u32::try_from(written.load(Ordering::SeqCst)).unwrap();
            ningxia.admin.create(agency(n)).await.unwrap();
            written.fetch_add(1, Ordering::SeqCst);
        }
    };
    let keep = async {
        let at_first = written.load(Ordering::SeqCst);
        let told = qianshou(&["backup", &backup, "--config", &config, "--json"], &[]).await;
        let meanwhile = written.load(Ordering::SeqCst) - at_first;
        over.store(true, Ordering::SeqCst);
        (told.json(), meanwhile)
    };
    let ((), (made, meanwhile)) = tokio::join!(write(), keep);
    assert!(meanwhile > 0, "nothing was written while the backup was taken");
    assert_eq!((made["node"].as_str(), made["epoch"].as_u64()), (Some("64"), Some(1)));

    // What comes after the backup is lost with the machine; the nation has it.
    let lost = create(&ningxia.admin, 500..520).await;
    settled(&ningxia.admin, &nation.admin, &id).await;
    assert!(nation.admin.get::<Agency>(&lost[0]).await.is_ok());
    let mut ningxia = ningxia;
    ningxia.kill().await;

    let elsewhere = world.folder("elsewhere").join("64");
    let to = text(&elsewhere);
    let mut args = vec!["restore", &backup, "--to", &to, "--json"];
    let url = world.empty_database("restored").await;
    if world.database == Database::Postgres {
        args.extend(["--database", &url]);
    }
    let restored = qianshou(&args, &[]).await.json();
    assert_eq!((restored["from_epoch"].as_u64(), restored["epoch"].as_u64()), (Some(1), Some(2)), "epochs differ");
    let config = text(&elsewhere.join("node.toml"));
    assert_eq!(show(&config).await["declared"], false);

    let settings = &restored["settings"];
    assert_eq!((&settings["node.code"]["value"], &settings["keys.directory"]["value"]), (&"64".into(), &"keys".into()));
    let formerly = ningxia.admin.clone();
    let ningxia = ningxia.moved_to(&elsewhere, restored["token"].as_str().unwrap()).await;
    let revived = formerly.list::<Agency>(Default::default()).await;
    refused(revived, Reason::Unauthenticated, "");
    let head = ningxia.admin.feed().get_head(GetHeadRequest {}).await.unwrap().into_inner();
    assert_eq!((head.epoch(), Some(head.position())), (2, made["position"].as_u64()));
    for name in &before {
        ningxia.admin.get::<Agency>(name).await.unwrap();
    }
    refused(ningxia.admin.get::<Agency>(&lost[0]).await, Reason::NotFound, "name");
    let positions = positions(&ningxia).await;
    assert_eq!(positions.len() as u64, head.position(), "one state: no gap, and nothing beyond the head");

    let fresh = ningxia.admin.create(agency(600)).await.unwrap().noun;
    assert_eq!(fresh.etag(), "2.1", "above everything that was");
    for side in [&nation.admin, &ningxia.admin] {
        let stopped = async || stream(side, &id).await.filter(|s| s.state() == StreamState::Stopped && declares(s));
        eventually("a stopped stream that says what to do", stopped).await;
    }
    assert!(nation.admin.get::<Agency>(&lost[0]).await.is_ok(), "nothing ends before somebody says so");
    refused(nation.admin.get::<Agency>(fresh.name()).await, Reason::NotFound, "name");

    let declared = qianshou(&["epoch", "declare", "--config", &config], &[]).await;
    assert_eq!(declared.code, Some(0), "{declared:?}");
    assert_eq!(show(&config).await["declared"], true);
    eventually("the lost records' end", async || nation.admin.get::<Agency>(&lost[0]).await.err()).await;
    let running =
        async || stream(&nation.admin, &id).await.filter(|s| s.state() == StreamState::Running && s.epoch() == 2);
    eventually("the stream in the new epoch", running).await;
    let same = async || (agencies(&ningxia.admin).await == agencies(&nation.admin).await).then_some(());
    eventually("both hold the same", same).await;
    assert!(nation.admin.get::<Agency>(fresh.name()).await.is_ok());

    let again = qianshou(&["epoch", "declare", "--config", &config], &[]).await;
    assert!(again.code == Some(1) && again.err.contains("--new"), "{again:?}");
}

async fn a_backup_is_whole_or_refused(world: World) {
    let ningxia = world.process("64", &[]).await;
    create(&ningxia.admin, 0..3).await;
    let backup = world.folder("safe").join("backup");
    let (shown, config) = (text(&backup), text(&ningxia.folder.join("node.toml")));
    let take = ["backup", &shown, "--config", &config];
    let told = qianshou(&take, &[]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let again = qianshou(&take, &[]).await;
    assert!(again.code == Some(1) && again.err.contains("not empty"), "{again:?}");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&backup), mode(&backup.join("keys"))), (0o700, 0o700));
    for file in ["keys/signing.pem", "keys/seal.key", "keys/domains/minning.key", "node.toml", "manifest.json"] {
        assert_eq!(mode(&backup.join(file)), 0o600, "{file}");
    }

    let url = world.empty_database("restored").await;
    let to = text(&world.folder("restored").join("64"));
    let mut restore = vec!["restore", &shown, "--to", &to];
    let other_kind = if world.database == Database::Postgres { "sqlite:x.db" } else { "postgres://127.0.0.1/x" };
    let other = qianshou(&[&restore[..], &["--database", other_kind]].concat(), &[]).await;
    assert!(other.code == Some(1) && other.err.contains("--database"), "{other:?}");
    if world.database == Database::Postgres {
        let nowhere = qianshou(&restore, &[]).await;
        assert!(nowhere.code == Some(1) && nowhere.err.contains("--database"), "{nowhere:?}");
        let busy = ningxia_url(&ningxia);
        let full = qianshou(&[&restore[..], &["--database", &busy]].concat(), &[]).await;
        assert!(full.code == Some(1) && full.err.contains("not empty"), "{full:?}");
        restore.extend(["--database", &url]);
    }
    // The environment would lead the restored node back to where it came from.
    let misled = qianshou(&restore, &[("QIANSHOU__DATABASE__URL", "sqlite:elsewhere.db")]).await;
    assert!(misled.code == Some(1) && misled.err.contains("QIANSHOU__DATABASE__URL"), "{misled:?}");

    let data = std::fs::read_dir(backup.join("database")).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    for file in [&data, &backup.join("keys/seal.key")] {
        let sound = std::fs::read(file).unwrap();
        let mut touched = sound.clone();
        *touched.last_mut().unwrap() ^= 1;
        std::fs::write(file, &touched).unwrap();
        let told = qianshou(&restore, &[]).await;
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(told.code == Some(1) && told.err.contains(name) && !Path::new(&to).exists(), "{told:?}");
        std::fs::write(file, &sound).unwrap();
    }
    std::fs::rename(backup.join("manifest.json"), backup.join("manifest")).unwrap();
    let half = qianshou(&restore, &[]).await;
    assert!(half.code == Some(1) && half.err.contains("manifest.json"), "{half:?}");
    std::fs::rename(backup.join("manifest"), backup.join("manifest.json")).unwrap();
    let told = qianshou(&restore, &[]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let twice = qianshou(&restore, &[]).await;
    assert!(twice.code == Some(1) && twice.err.contains("not empty"), "{twice:?}");
}

async fn tables_are_brought_to_a_level(world: World) {
    let loaded = world.settle("64").await;
    let config = text(&loaded.directory.join("node.toml"));
    let migrate = async |more: &[&str]| qianshou(&[&["migrate", "--config", &config], more].concat(), &[]).await;
    let nothing = migrate(&["--check"]).await;
    assert!(nothing.code == Some(1) && nothing.err.contains("database"), "{nothing:?}");
    let db = Db::create(&loaded.config.database.url, &loaded.directory, 1, 2).await.unwrap();
    db.migrate(&ledger::MIGRATIONS[..1]).await.unwrap();
    let steps = |told: &Value| told["steps"].as_array().unwrap().clone();
    for _ in 0..2 {
        let told = migrate(&["--check", "--json"]).await.json();
        let kernel = steps(&told).into_iter().find(|step| step["house"] == "kernel").unwrap();
        assert_eq!(
            (kernel["from"].as_u64(), kernel["to"].as_u64()),
            (Some(1), ledger::MIGRATIONS.last().map(|m| m.version as u64))
        );
        assert_eq!(told["done"], false, "told twice, for nothing was done");
    }
    let early = qianshou(&["backup", &text(&world.folder("b")), "--config", &config], &[]).await;
    assert!(early.code == Some(1) && early.err.contains("qianshou migrate"), "{early:?}");
    assert!(steps(&migrate(&["--json"]).await.json()).len() > 3);
    assert!(steps(&migrate(&["--check", "--json"]).await.json()).is_empty());
    let later = "INSERT INTO migrations (house, version) VALUES ('kernel', 99)";
    db.run(&[Statement::new(later, vec![])]).await.unwrap();
    let told = migrate(&[]).await;
    assert!(told.code == Some(1) && told.err.contains("kernel 99"), "{told:?}");
}

async fn create(by: &Caller, numbers: std::ops::Range<u32>) -> Vec<String> {
    let mut names = vec![];
    for n in numbers {
        names.push(by.create(agency(n)).await.unwrap().noun.name().to_owned());
    }
    names
}

async fn agencies(by: &Caller) -> BTreeSet<(String, String)> {
    let all = by.list_all::<Agency>(Default::default()).await;
    all.into_iter().map(|agency| (agency.name().to_owned(), agency.uscc().to_owned())).collect()
}

/// Every position that the node's ledger has.
async fn positions(node: &Process) -> BTreeSet<i64> {
    let rows = node.db().await.fetch("SELECT position FROM entries", vec![]).await.unwrap();
    rows.iter().map(|row| row.int(0).unwrap()).collect()
}

async fn show(config: &str) -> Value {
    qianshou(&["epoch", "show", "--config", config, "--json"], &[]).await.json()
}

fn declares(stream: &Stream) -> bool {
    stream.reason_zh().contains("epoch declare") && stream.reason_en().contains("epoch declare")
}

fn ningxia_url(node: &Process) -> String {
    qianshou_kernel::config::Config::load(&node.folder.join("node.toml")).unwrap().config.database.url
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A sound node fails nothing; every fault that is made is found, under its number, with the command that mends it.
async fn a_doctor_says_what_is_wrong_and_what_mends_it(world: World) {
    let mut ningxia = world.process("64", &[]).await;
    let mut nation = world.process("00", &[]).await;
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let clauses = || vec![share("agencies", "uscc division", "64")];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses())).await;
    create(&ningxia.admin, 0..2).await;
    settled(&ningxia.admin, &nation.admin, &id).await;
    let (file, ca) = (ningxia.folder.join("node.toml"), text(&ningxia.folder.join("keys/ca.pem")));
    let (config, token, address) = (text(&file), token(&ningxia).await, ningxia.address.clone());
    let offline = ["doctor", "--config", config.as_str(), "--json"];
    let online = [&offline[..], &["--node", &address, "--token", &token, "--ca", &ca]].concat();

    let well = examined(&online, Some(0)).await;
    let numbers: Vec<u64> = well.iter().map(|check| check["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    assert!(well.iter().all(|check| check["grade"] != "fail"), "{well:?}");
    for number in [1, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16] {
        assert_eq!(found(&well, number), ("ok".to_owned(), String::new()), "{:?}", well[number as usize - 1]);
    }

    nation.kill().await;
    let mode = |bits| std::fs::Permissions::from_mode(bits);
    let key = ningxia.folder.join("keys/seal.key");
    std::fs::set_permissions(&key, mode(0o644)).unwrap();
    agree_half(&ningxia.admin).await;
    let ill = examined(&online, Some(1)).await;
    for (number, grade, mend) in [(4, "fail", "chmod"), (12, "warn", "peer test 00"), (13, "warn", "agreement sign")] {
        let (seen, told) = found(&ill, number);
        assert!(seen == grade && told.contains(mend), "{number}: {:?}", ill[number as usize - 1]);
    }
    std::fs::set_permissions(&key, mode(0o600)).unwrap();

    ningxia.kill().await;
    let (grade, mend) = found(&examined(&online, Some(1)).await, 14);
    assert!(grade == "fail" && mend.contains("qianshou serve"), "{mend}");
    let db = ningxia.db().await;
    ledger::open_epoch(&db).await.unwrap();
    let (grade, mend) = found(&examined(&offline, Some(1)).await, 11);
    assert!(grade == "fail" && mend.contains("qianshou epoch declare"), "{mend}");
    ledger::declare_epoch(&db, false).await.unwrap();
    let ahead = Statement::new("UPDATE entries SET written_at = $1", qianshou_kernel::binds![i64::MAX / 2]);
    db.run(&[ahead, Statement::new("DELETE FROM migrations WHERE house = 'reporting'", vec![])]).await.unwrap();
    let (grade, mend) = found(&examined(&offline, Some(1)).await, 9);
    assert!(grade == "fail" && mend.contains("qianshou migrate"), "{mend}");
    let back = "INSERT INTO migrations (house, version) VALUES ('reporting', $1)";
    let versions = qianshou_reporting::MIGRATIONS.iter().map(|migration| migration.version);
    let back: Vec<Statement> = versions.map(|v| Statement::new(back, qianshou_kernel::binds![v])).collect();
    db.run(&back).await.unwrap();
    let (grade, mend) = found(&examined(&offline, Some(1)).await, 10);
    assert!(grade == "fail" && mend.contains("timedatectl"), "{mend}");

    std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("poll_ms", "pol_ms")).unwrap();
    let (grade, mend) = found(&examined(&offline, Some(1)).await, 1);
    assert!(grade == "fail" && mend.contains("config show"), "{mend}");
}

/// The mistakes of a first hour: what is told names what to do next, in both languages.
async fn a_mistake_is_told_with_the_next_step(world: World) {
    let ningxia = world.process("64", &[]).await;
    let nation = world.settle("00").await;
    let (address, ca) = (ningxia.address.as_str(), text(&ningxia.folder.join("keys/ca.pem")));
    let (other, config) = (text(&nation.keys_directory().join("ca.pem")), text(&ningxia.folder.join("node.toml")));
    let (folder, fresh) = (text(&ningxia.folder), text(&world.folder("fresh").join("35")));
    let nowhere = format!("https://{}", nation.config.api.listen);
    let list = |node: &str, token: &str, ca: &str| -> Vec<String> {
        ["token", "list", "--node", node, "--token", token, "--ca", ca].map(str::to_owned).to_vec()
    };
    // On SQLite the file is refused before the port.
    let again = if world.database == Database::Sqlite { "another process serves" } else { "api.listen" };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for (args, next) in [
        (list(address, "qst_x", &other), "keys/ca.pem"),
        (list(address, "qst_x", &ca), "QIANSHOU_TOKEN"),
        (list(&nowhere, "qst_x", &ca), "qianshou serve"),
        (list(address, "qst_x", "nothing.pem"), "--ca"),
        (words(&["serve", "--config", &config]), again),
        (words(&["serve", "--config", "nothing.toml"]), "qianshou init"),
        (words(&["init", &folder, "--province", "64"]), "qianshou serve"),
        (words(&["init", &fresh, "--province", "35", "--database", "postgres://127.0.0.1:9/x"]), "database.url"),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let told = qianshou(&args, &[]).await;
        let in_chinese = told.err.chars().any(qianshou_tests::refusal::is_han);
        assert!(told.code == Some(1) && told.err.contains(next) && in_chinese, "{args:?}: {told:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let told = qianshou(&["completions", shell], &[]).await;
        assert!(told.code == Some(0) && told.out.contains("restore") && told.out.contains("doctor"), "{shell}");
    }
}

async fn examined(args: &[&str], code: Option<i32>) -> Vec<Value> {
    let told = qianshou(args, &[]).await;
    assert_eq!(told.code, code, "{told:?}");
    serde_json::from_str(&told.out).unwrap()
}

/// A check's grade, and what mends it.
fn found(checks: &[Value], number: u64) -> (String, String) {
    let check = checks.iter().find(|check| check["number"] == number).unwrap_or_else(|| panic!("{number}: {checks:?}"));
    (check["grade"].as_str().unwrap().to_owned(), check["mend"].as_str().unwrap_or_default().to_owned())
}

/// An agreement that nobody has signed.
async fn agree_half(at: &Caller) {
    draft(at, terms("64", "00", vec![share("stations", "type division", "64")])).await;
}

async fn token(node: &Process) -> String {
    let asked = identity::CreateTokenRequest {
        display_name: Some("doctor".into()),
        role: Some(identity::Role::Administrator.into()),
        area: Some("64".into()),
        ..Default::default()
    };
    node.admin.identity().create_token(asked).await.unwrap().into_inner().secret.unwrap()
}
