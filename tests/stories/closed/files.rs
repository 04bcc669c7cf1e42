//! Files: what a node writes is its owner's alone; what should be there and is not is not made up; one database has one process.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use qianshou_kernel::{db::Db, identity::Role};
use qianshou_tests::{
    Database, World,
    process::{qianshou, qianshou_unmasked},
    sample::agency,
    stories,
};

stories! {
    what_a_node_writes_is_its_owners_alone
    keys_that_others_can_read_stop_the_node
    a_node_without_its_database_does_not_begin_anew
}

#[test]
fn a_database_has_one_process_whatever_it_is_called_sqlite() {
    qianshou_tests::run(Database::Sqlite, a_database_has_one_process_whatever_it_is_called);
}

/// Putting all of them takes long.
pub(super) const FEW_DIVISIONS: (&str, &str) = ("QIANSHOU__DIVISIONS__BOOTSTRAP_AREAS", "64");

/// Whatever the umask says, and whatever mode a file of that name had.
async fn what_a_node_writes_is_its_owners_alone(world: World) {
    let folder = world.folder("place").join("64");
    let (shown, config) = (text(&folder), text(&folder.join("node.toml")));
    let url = world.empty_database("own").await;
    let init = qianshou_unmasked(&["init", &shown, "--province", "64", "--database", &url], &[FEW_DIVISIONS]).await;
    assert_eq!(init.code, Some(0), "{init:?}");
    all_private(&folder);
    let db = Db::open(&url, &folder, 1, 2).await.unwrap();
    if let Some(file) = url.strip_prefix("sqlite:") {
        assert!(below(Path::new(file).parent().unwrap()).len() >= 4, "database, log, index");
        all_private(Path::new(file));
        all_private(&PathBuf::from(format!("{file}-wal")));
    }
    db.close().await;
    let backup = world.folder("backup");
    let told = qianshou_unmasked(&["backup", &text(&backup), "--config", &config], &[]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    all_private(&backup);

    let ningxia = world.node("64").await;
    let desk = world.desk(&ningxia, Role::Editor, "64").await;
    ningxia.admin.create(agency(1)).await.unwrap();
    for file in ["out.csv", "out.xlsx", "back.csv", "back.xlsx"] {
        std::fs::write(desk.file(file), "yesterday's").unwrap();
        std::fs::set_permissions(desk.file(file), std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    for kind in ["csv", "xlsx"] {
        let out = format!("out.{kind}");
        desk.export("agencies", &out).await;
        let again = desk.import("agencies", &out, &["--receipt", &format!("back.{kind}")]).await;
        assert_eq!(again.code, 0, "{again:?}");
        all_private(&desk.file(&out));
        all_private(&desk.file(&format!("back.{kind}")));
    }
}

async fn keys_that_others_can_read_stop_the_node(world: World) {
    let loaded = world.settle("64").await;
    let config = text(&loaded.directory.join("node.toml"));
    let keys = loaded.keys_directory();
    for (path, mode) in [(keys.join("seal.key"), 0o640), (keys.join("domains"), 0o755), (keys.clone(), 0o711)] {
        let sound = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let told = qianshou(&["serve", "--config", &config], &[]).await;
        let next = format!("chmod -R go= {}", keys.display());
        assert!(told.code == Some(1) && told.err.contains(&next) && told.err.contains("可被他人读取"), "{told:?}");
        std::fs::set_permissions(&path, sound).unwrap();
    }
}

/// A volume that is not mounted, a database that was dropped: nothing takes its place by itself.
async fn a_node_without_its_database_does_not_begin_anew(world: World) {
    let ningxia = world.node("64").await;
    ningxia.admin.create(agency(1)).await.unwrap();
    let (folder, resting) = (ningxia.folder.clone(), ningxia.rest().await);
    let (config, file) = (text(&folder.join("node.toml")), folder.join("qianshou.db"));
    let empty = world.empty_database("lost").await;
    let environment = [("QIANSHOU__DATABASE__URL", empty.as_str())];
    let place = empty.strip_prefix("sqlite:").map(PathBuf::from);
    for command in ["serve", "migrate", "backup", "doctor"] {
        let backup = text(&world.folder("b"));
        let further = match command {
            "backup" => vec![backup.as_str()],
            _ => vec![],
        };
        let told = qianshou(&[&[command, "--config", &config], &further[..]].concat(), &environment).await;
        assert_eq!(told.code, Some(1), "{command}: {told:?}");
        if command == "serve" {
            assert!(told.err.contains("qianshou restore") && told.err.contains("qianshou init"), "{told:?}");
        }
        if let Some(place) = &place {
            assert!(!place.exists(), "{command} made a database");
        }
    }
    if let Some(place) = &place {
        // A file with nothing in it is no database of a node either.
        std::fs::write(place, "").unwrap();
        let told = qianshou(&["serve", "--config", &config], &environment).await;
        assert!(told.code == Some(1) && told.err.contains("the database is empty"), "{told:?}");
        assert!(file.exists());
    }
    let ningxia = resting.open().await;
    assert_eq!(ningxia.admin.list_all::<qianshou_proto::registry::v1::Agency>(Default::default()).await.len(), 1);
}

/// Neither a lock that was removed nor another name lets a second process in.
async fn a_database_has_one_process_whatever_it_is_called(world: World) {
    let ningxia = world.process("64", &[]).await;
    let file = ningxia.folder.join("qianshou.db");
    for entry in below(&ningxia.folder).iter().filter(|path| text(path).ends_with(".lock")) {
        std::fs::remove_file(entry).unwrap();
    }
    let config = text(&ningxia.folder.join("node.toml"));
    let doors = [("QIANSHOU__API__LISTEN", "127.0.0.1:0"), ("QIANSHOU__PEERS__LISTEN", "127.0.0.1:0")];
    let serve = async |url: &str| {
        let environment = [&doors[..], &[("QIANSHOU__DATABASE__URL", url)]].concat();
        qianshou(&["serve", "--config", &config], &environment).await
    };
    let elsewhere = world.folder("elsewhere");
    std::os::unix::fs::symlink(&file, elsewhere.join("soft.db")).unwrap();
    for url in [format!("sqlite:{}", file.display()), format!("sqlite:{}/soft.db", elsewhere.display())] {
        let told = serve(&url).await;
        assert!(told.code == Some(1) && told.err.contains("another process serves"), "{told:?}");
    }
    std::fs::hard_link(&file, elsewhere.join("hard.db")).unwrap();
    let hard = format!("sqlite:{}/hard.db", elsewhere.display());
    let told = serve(&hard).await;
    assert!(told.code == Some(1) && told.err.contains("hard link") && told.err.contains("硬链接"), "{told:?}");
    let told =
        qianshou(&["epoch", "declare", "--new", "--config", &config], &[("QIANSHOU__DATABASE__URL", &hard)]).await;
    assert!(told.code == Some(1) && told.err.contains("hard link"), "{told:?}");
    ningxia.admin.create(agency(1)).await.unwrap();
}

fn all_private(path: &Path) {
    for path in below(path) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let right = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(format!("{mode:o}"), format!("{right:o}"), "{}", path.display());
    }
}

/// Everything below a folder, itself first.
fn below(path: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten().flat_map(|entry| below(&entry.path()));
    std::iter::once(path.to_owned()).chain(inside).collect()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
