//! A node as a folder: its database in one state, its keys, its configuration, and a manifest that says what it is and proves
//! that it is whole. Taken while the node serves and writes; put into an empty place and nowhere else.
//!
//! A restored node opens a new epoch before anything is written to it, and tells its peers nothing until that epoch is
//! declared: what they hold beyond the backup ends with it, and somebody has to want that.

mod manifest;
mod settings;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use qianshou_kernel::{
    clock::Clock,
    config::{Config, Loaded},
    db::Db,
    error::{Error, Reason, Result},
    ledger,
};

pub use self::manifest::Manifest;
use crate::node;

const DATABASE: &str = "database";
const KEYS: &str = "keys";
const SETTINGS: &str = "node.toml";

/// Copies the node whose configuration is `config` into `directory`, which must be empty or not there.
///
/// # Errors
/// A refusal if the folder holds something or the tables are at another level than this program's.
pub async fn take(config: &Path, directory: &Path, clock: &Clock) -> Result<Manifest> {
    let loaded = Config::load(config)?;
    must_be_empty(directory)?;
    let db = node::database(&loaded).await?;
    if !node::pending(&db.levels().await?).is_empty() {
        let config = config.display();
        let zh = format!("数据表版本较旧，请先执行 qianshou migrate --config {config}");
        let en = format!("the tables are at an older level; first run `qianshou migrate --config {config}`");
        return Err(Error::told("--config", Reason::ContractLevel, zh, en));
    }
    let data = directory.join(DATABASE);
    for folder in [directory, &data] {
        private_folder(folder)?;
    }
    let (levels, head) = ledger::snapshot(&db, &data).await?;
    db.close().await;
    copy_folder(&loaded.keys_directory(), &directory.join(KEYS))?;
    private_file(&directory.join(SETTINGS), &fs::read(config)?)?;
    let manifest = Manifest::of(directory, Db::kind_of(&loaded.config.database.url), levels, &head, clock.now_ms())?;
    manifest.write(directory)?;
    Ok(manifest)
}

/// A node that was restored.
pub struct Restored {
    /// Its configuration.
    pub config: PathBuf,
    /// What it was restored from.
    pub manifest: Manifest,
    /// Its epoch now, not yet declared to its peers.
    pub epoch: u64,
}

/// Makes a node in `to`, which must be empty or not there, from the backup in `directory`. `database` is an empty database of
/// the backup's kind; a file in `to` needs none to be named.
///
/// # Errors
/// A refusal if the backup is not whole, of another kind, made by a later program, or if a place is not empty.
pub async fn restore(directory: &Path, to: &Path, database: Option<&str>) -> Result<Restored> {
    let manifest = Manifest::read(directory)?;
    manifest.verify(directory)?;
    if let Some(house) = node::later(&manifest.migrations) {
        return Err(Error::refused("DIR", Reason::ContractLevel, house));
    }
    let url = match database {
        Some(url) if Db::kind_of(url) == manifest.kind => url,
        None if manifest.kind == "sqlite" => "sqlite:qianshou.db",
        _ if manifest.kind == "sqlite" => return Err(Error::refused("--database", Reason::Malformed, "sqlite:FILE")),
        _ => return Err(Error::refused("--database", Reason::Malformed, "postgres://user@host/an_empty_database")),
    };
    must_be_empty(to)?;
    private_folder(to)?;
    let file = std::path::absolute(to)?.join(SETTINGS);
    let draft = file.with_extension("toml.draft");
    let text = fs::read_to_string(directory.join(SETTINGS))?;
    let text = settings::with(&settings::with(&text, "database", "url", url), "keys", "directory", KEYS);
    private_file(&draft, text.as_bytes())?;
    let loaded = must_say(Config::load(&draft)?, url)?;
    copy_folder(&directory.join(KEYS), &to.join(KEYS))?;

    let data = directory.join(DATABASE);
    let migrations = node::migrations();
    let db = Db::from_snapshot(url, &loaded.directory, &data, &manifest.migrations, &migrations).await?;
    manifest.must_be(&ledger::head(&db).await?)?;
    let epoch = ledger::open_epoch(&db).await?;
    db.migrate(&migrations).await?;
    db.close().await;
    // Last, so that a folder with a node.toml is a whole node.
    fs::rename(&draft, &file)?;
    File::open(to)?.sync_all()?;
    Ok(Restored { config: file, manifest, epoch })
}

/// The environment stands above the file: it must not lead a restored node to the database that it came from.
fn must_say(loaded: Loaded, url: &str) -> Result<Loaded> {
    let held = loaded.config.database.url == url && loaded.config.keys.directory == Path::new(KEYS);
    let names = "QIANSHOU__DATABASE__URL, QIANSHOU__KEYS__DIRECTORY";
    let zh = format!("环境变量 {names} 会覆盖恢复出的配置，请先取消");
    let en = format!("the environment ({names}) stands above the restored configuration; unset it first");
    if held { Ok(loaded) } else { Err(Error::told("--to", Reason::ReadOnly, zh, en)) }
}

fn must_be_empty(directory: &Path) -> Result<()> {
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        let shown = directory.display();
        let (zh, en) =
            (format!("{shown} 不是空文件夹，请另选一个"), format!("{shown} is not empty; name another folder"));
        return Err(Error::told("DIR", Reason::Duplicate, zh, en));
    }
    Ok(())
}

fn private_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    Ok(DirBuilder::new().recursive(true).mode(0o700).create(path)?)
}

fn private_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}

/// Copies keys: few small files, readable by their owner only.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    private_folder(to)?;
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            private_file(&to.join(name), &fs::read(path)?)?;
        }
    }
    Ok(File::open(to)?.sync_all()?)
}
