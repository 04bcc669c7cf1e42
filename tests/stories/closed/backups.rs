//! Backups: signed by their node and verified before anything is laid down; encrypted to a recovery key, if somebody asks for it;
//! without the key that seals identity numbers, if that lives elsewhere.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use age::x25519::Identity;
use qianshou::backup::{self, Asked, Restored};
use qianshou_kernel::{
    clock::Clock,
    config::Config,
    db::{Db, Statement},
    error::{Error, Reason, Result},
};
use qianshou_tests::{Database, World, process::qianshou, sample::agency, stories};

use super::files::FEW_DIVISIONS;

stories! {
    whatever_was_touched_is_named
    a_ledger_changed_before_its_backup_is_not_laid_down
    only_the_recovery_key_opens_an_encrypted_backup
    the_seal_key_can_live_elsewhere
}

/// A byte of each file, a file too few, a file too many: nothing is laid down, and the refusal says where.
async fn whatever_was_touched_is_named(world: World) {
    let (config, safe) = (node_with_an_agency(&world).await, world.folder("safe").join("backup"));
    backup::take(&config, &safe, &[], &Clock::system()).await.unwrap();
    let files = below(&safe);
    let name = |file: &Path| file.strip_prefix(&safe).unwrap().to_str().unwrap().to_owned();
    let names: Vec<String> = files.iter().map(|file| name(file)).collect();
    for expected in
        ["manifest.json", "manifest.sig", "node.toml", "keys/signing.pem", "keys/seal.key", "keys/domains/minning.key"]
    {
        assert!(names.iter().any(|name| name == expected), "{expected} is not in {names:?}");
    }
    let to = world.folder("restored").join("64");
    let url = world.empty_database("restored").await;
    let refused = async |expected: &[&str]| {
        let error = restore(&world, &safe, &to, &url, None, false).await.err().expect("it is restored").to_string();
        assert!(expected.iter().any(|name| error.contains(name)), "{error}: {expected:?}");
        assert!(!to.exists(), "something was laid down: {expected:?}");
    };
    for file in &files {
        let sound = std::fs::read(file).unwrap();
        if !sound.is_empty() {
            let mut touched = sound.clone();
            let at = touched.len() / 2;
            touched[at] ^= 1;
            std::fs::write(file, &touched).unwrap();
            // A manifest that was changed is not the one that was signed.
            refused(&[&name(file), if name(file) == "manifest.json" { "manifest.sig" } else { "\0" }]).await;
        }
        std::fs::remove_file(file).unwrap();
        refused(&[&name(file)]).await;
        std::fs::write(file, &sound).unwrap();
    }
    for stray in ["stray", "database/stray", "keys/domains/other.key"] {
        std::fs::write(safe.join(stray), "x").unwrap();
        refused(&[stray]).await;
        std::fs::remove_file(safe.join(stray)).unwrap();
    }
    // Somebody else's signature under a changed backup is not the node's.
    let manifest = std::fs::read_to_string(safe.join("manifest.json")).unwrap();
    let other = manifest.replace("\"node\": \"64\"", "\"node\": \"35\"");
    assert_ne!(other, manifest);
    std::fs::write(safe.join("manifest.json"), other).unwrap();
    refused(&["manifest.sig"]).await;
    // One of an older program has none: whoever wants it has to say so.
    let old = manifest.replace("\"format\": 2", "\"format\": 1");
    std::fs::write(safe.join("manifest.json"), old).unwrap();
    let error = restore(&world, &safe, &to, &url, None, false).await.err().unwrap();
    assert!(error.reason() == Reason::SignatureInvalid && error.to_string().contains("--unsigned"), "{error}");
    std::fs::remove_file(safe.join("manifest.sig")).unwrap();
    assert_eq!(restore(&world, &safe, &to, &url, None, true).await.unwrap().manifest.node, "64");
}

async fn only_the_recovery_key_opens_an_encrypted_backup(world: World) {
    let config = node_with_an_agency(&world).await;
    let (key, other) = (world.folder("vault").join("key"), world.folder("vault").join("other"));
    let told = qianshou(&["backup", "--new-recovery-key", text(&key), "--json"], &[]).await.json();
    let recipient = told["recipient"].as_str().unwrap().to_owned();
    assert!(recipient.starts_with("age1") && backup::new_key(&key).is_err(), "a key is not written over");
    backup::new_key(&other).unwrap();
    let safe = world.folder("safe").join("backup");
    let (shown, from) = (text(&safe).to_owned(), text(&config).to_owned());
    let taken = qianshou(&["backup", &shown, "--config", &from, "--recipient", &recipient, "--json"], &[]).await.json();
    assert_eq!(taken["node"], "64");
    assert!(!config.parent().unwrap().join("backup.draft").exists(), "a copy in the clear was left");

    let seal = std::fs::read(config.with_file_name("keys").join("seal.key")).unwrap();
    let files = below(&safe);
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1") && text(file).ends_with(".age"), "{}", file.display());
        assert!(!bytes.windows(seal.len()).any(|part| part == seal), "{} is in the clear", file.display());
    }
    // As the ordinary `age -d -i key` would.
    let secret = std::fs::read_to_string(&key).unwrap();
    let secret = Identity::from_str(secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap()).unwrap();
    let mut opened = vec![];
    let sealed = std::fs::read(safe.join("keys/seal.key.age")).unwrap();
    let reader = age::Decryptor::new(&sealed[..]).unwrap().decrypt(std::iter::once(&secret as &dyn age::Identity));
    reader.unwrap().read_to_end(&mut opened).unwrap();
    assert_eq!(opened, seal);

    let to = world.folder("restored").join("64");
    let url = world.empty_database("restored").await;
    for (identity, field) in [(None, "--identity"), (Some(&other), "--identity"), (Some(&config), "--identity")] {
        let error = restore(&world, &safe, &to, &url, identity.map(PathBuf::as_path), false).await.err().unwrap();
        assert!(matches!(&error, Error::Refused(refusal) if refusal.0[0].field == field), "{error}");
    }
    for file in files.iter().filter(|file| text(file).contains("keys/") || text(file).contains("manifest")) {
        let sound = std::fs::read(file).unwrap();
        let mut touched = sound.clone();
        *touched.last_mut().unwrap() ^= 1;
        std::fs::write(file, &touched).unwrap();
        let error = restore(&world, &safe, &to, &url, Some(&key), false).await.err().unwrap().to_string();
        assert!(error.contains(file.file_name().unwrap().to_str().unwrap()), "{error}");
        std::fs::write(file, &sound).unwrap();
    }
    assert!(!to.exists() && below(to.parent().unwrap()).is_empty(), "nothing was laid down");
    let restored = restore(&world, &safe, &to, &url, Some(&key), false).await.unwrap();
    assert_eq!((restored.epoch, restored.seal_missing), (2, None));
    let left = below(to.parent().unwrap()).into_iter().find(|path| text(path).contains("draft"));
    assert_eq!(left, None, "a copy in the clear was left");
}

/// Neither beside the database nor in the backup: whoever steals those has no identity numbers.
async fn the_seal_key_can_live_elsewhere(world: World) {
    let (folder, vault) = (world.folder("place").join("64"), world.folder("vault").join("seal"));
    let url = world.empty_database("own").await;
    let apart = [("QIANSHOU__KEYS__SEAL_DIRECTORY", text(&vault)), FEW_DIVISIONS];
    let init = qianshou(&["init", text(&folder), "--province", "64", "--database", &url], &apart).await;
    assert_eq!(init.code, Some(0), "{init:?}");
    let config = folder.join("node.toml");
    let said = std::fs::read_to_string(&config).unwrap();
    assert!(said.contains("seal_directory"), "what init was told stands in node.toml: {said}");
    assert!(vault.join("seal.key").exists() && !folder.join("keys/seal.key").exists());

    let safe = world.folder("safe").join("backup");
    backup::take(&config, &safe, &[], &Clock::system()).await.unwrap();
    assert!(below(&safe).iter().all(|path| !text(path).contains("seal.key")));
    let to = world.folder("restored").join("64");
    let place = world.empty_database("restored").await;
    let aside = vault.with_file_name("aside");
    std::fs::rename(&vault, &aside).unwrap();
    let restored = restore(&world, &safe, &to, &place, None, false).await.unwrap();
    assert_eq!(restored.seal_missing, Some(vault.join("seal.key")), "it says what to put where");
    let told = qianshou(&["serve", "--config", text(&to.join("node.toml"))], &[]).await;
    assert!(told.code == Some(1) && told.err.contains("seal.key"), "{told:?}");
    std::fs::rename(&aside, &vault).unwrap();
    let checked = qianshou(&["doctor", "--config", text(&to.join("node.toml")), "--json"], &[]).await;
    let checks: Vec<serde_json::Value> = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(checks[3]["grade"], "ok", "{}", checks[3]);
}

/// A node that rests, with a record; answers its configuration.
/// The backup of a database in which somebody changed a payload is whole and signed; its chain is not.
async fn a_ledger_changed_before_its_backup_is_not_laid_down(world: World) {
    let (config, safe) = (node_with_an_agency(&world).await, world.folder("safe").join("backup"));
    let loaded = Config::load(&config).unwrap();
    let by_hand = async |sql: &'static str| {
        let db = Db::open(&loaded.database_url().unwrap(), &loaded.directory, 1, 1).await.unwrap();
        assert!(db.run(&[Statement::new(sql, vec![])]).await.unwrap());
        db.close().await;
    };
    let sound = world.folder("sound").join("backup");
    let manifest = backup::take(&config, &sound, &[], &Clock::system()).await.unwrap();
    let to = world.folder("restored").join("64");
    let url = world.empty_database("restored").await;
    let changes = [
        ("UPDATE audit SET actor = 'changed' WHERE log = 'acts' AND number = 1", "audit acts 1"),
        ("UPDATE entries SET actor = 'changed' WHERE position = 1", "entry 1"),
    ];
    for (change, named) in changes {
        by_hand(change).await;
        backup::take(&config, &safe, &[], &Clock::system()).await.unwrap();
        let error = restore(&world, &safe, &to, &url, None, false).await.err().unwrap().to_string();
        assert!(error.contains(named), "{error}");
        assert!(!to.exists(), "something was laid down");
        std::fs::remove_dir_all(&safe).unwrap();
    }
    // What was refused left the place and the database empty.
    let restored = restore(&world, &sound, &to, &url, None, false).await.unwrap();
    assert_eq!(restored.manifest.position, manifest.position);
}

async fn node_with_an_agency(world: &World) -> PathBuf {
    let ningxia = world.node("64").await;
    ningxia.admin.create(agency(1)).await.unwrap();
    let folder = ningxia.folder.clone();
    drop(ningxia.rest().await);
    folder.join("node.toml")
}

async fn restore(
    world: &World,
    directory: &Path,
    to: &Path,
    url: &str,
    identity: Option<&Path>,
    may_be_unsigned: bool,
) -> Result<Restored> {
    let database = (world.database == Database::Postgres).then_some(url);
    backup::restore(Asked { directory, to, database, identity, may_be_unsigned, erasures: None }).await
}

/// Every file below a folder, in order.
fn below(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
