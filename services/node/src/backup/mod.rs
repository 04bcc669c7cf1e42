//! A node as a folder: its database in one state, its keys, its configuration, and a manifest, signed by the node, that says what it
//! is and proves that it is whole. Taken while the node serves and writes; put into an empty place and nowhere else.
//!
//! A restored node opens a new epoch before anything is written to it, and tells its peers nothing until that epoch is
//! declared: what they hold beyond the backup ends with it, and somebody has to want that.

mod manifest;
mod recovery;
mod settings;

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
};

use qianshou_kernel::{
    audit::Signer,
    clock::Clock,
    config::{Config, Loaded, Origin},
    db::Db,
    error::{Error, Reason, Result},
    files::{private_file, private_folder},
    identity::{NodeKeys, SEAL},
    ledger,
};

pub use self::{manifest::Manifest, recovery::new_key};
use crate::{erase, node, verify};

const DATABASE: &str = "database";
const KEYS: &str = "keys";
const SETTINGS: &str = "node.toml";

/// Copies the node whose configuration is `config` into `directory`, which must be empty or not there. With recipients, only who
/// holds one of their keys can read it, and nothing of it is in `directory` in the clear at any time.
///
/// # Errors
/// A refusal if the folder holds something, the tables are at another level than this program's, or a recipient is none.
pub async fn take(config: &Path, directory: &Path, recipients: &[String], clock: &Clock) -> Result<Manifest> {
    let loaded = Config::load(config)?;
    let recipients = recovery::recipients(recipients)?;
    must_be_empty(directory)?;
    if recipients.is_empty() {
        return copy(config, &loaded, directory, clock).await;
    }
    let draft = Draft::beside(&loaded.directory.join("backup"))?;
    let manifest = copy(config, &loaded, &draft.0, clock).await?;
    private_folder(directory)?;
    recovery::encrypt(&draft.0, directory, &recipients)?;
    Ok(manifest)
}

async fn copy(config: &Path, loaded: &Loaded, directory: &Path, clock: &Clock) -> Result<Manifest> {
    let keys = NodeKeys::of(loaded)?;
    let db = node::database(loaded).await?;
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
    // A seal key that lives elsewhere is kept elsewhere, too.
    let apart = loaded.seal_directory() != loaded.keys_directory();
    copy_folder(&loaded.keys_directory(), &directory.join(KEYS), &|name| apart && name == SEAL)?;
    private_file(&directory.join(SETTINGS), &fs::read(config)?)?;
    let kind = Db::kind_of(&loaded.config.database.url);
    let manifest = Manifest::of(directory, kind, (levels, &head), &keys, clock.now_ms())?;
    manifest.write(directory, &keys)?;
    Ok(manifest)
}

/// A folder for what must not stay, gone with this value.
struct Draft(PathBuf);

impl Draft {
    /// In the same folder as `place`. What a killed process left of an earlier one is removed.
    fn beside(place: &Path) -> Result<Self> {
        let mut name = place.components().collect::<PathBuf>().into_os_string();
        name.push(".draft");
        let path = PathBuf::from(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        private_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!(%error, folder = %self.0.display(), "a copy in the clear could not be removed; remove it");
        }
    }
}

/// What is to be restored, and how much is asked of it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The backup.
    pub directory: &'a Path,
    /// The node's new folder: empty, or not there yet.
    pub to: &'a Path,
    /// An empty database of the backup's kind; a file in `to` needs none to be named.
    pub database: Option<&'a str>,
    /// A file with the key of an encrypted backup.
    pub identity: Option<&'a Path>,
    /// A backup of an older program, which has no signature, will do.
    pub may_be_unsigned: bool,
    /// The journal of erasures of the node that was backed up; `None`: the one that its configuration names, if that is not in the
    /// node's folder.
    pub erasures: Option<&'a Path>,
}

/// A node that was restored.
pub struct Restored {
    /// Its configuration.
    pub config: PathBuf,
    /// What it was restored from.
    pub manifest: Manifest,
    /// Its epoch now, not yet declared to its peers.
    pub epoch: u64,
    /// The secret of its only token, an administrator's; those of the backup are revoked.
    pub token: String,
    /// What its configuration says other than the defaults: key, value, where that stands.
    pub settings: Vec<(String, String, String)>,
    /// The journal of erasures that was replayed, and how many records were erased again by it.
    pub erased: Option<(PathBuf, usize)>,
    /// Where the key that seals identity numbers has to be put before it serves; the backup is without it.
    pub seal_missing: Option<PathBuf>,
}

/// Makes a node from a backup.
///
/// # Errors
/// A refusal if the backup is not whole or not signed by its node, of another kind, made by a later program, or if a place is not
/// empty. Nothing is laid down then.
pub async fn restore(asked: Asked<'_>) -> Result<Restored> {
    must_be_empty(asked.to)?;
    if !recovery::is_encrypted(asked.directory) {
        return lay_down(&asked).await;
    }
    let file = asked.identity.ok_or_else(|| {
        let (zh, en) = (
            "备份已加密，请用 --identity FILE 指出恢复密钥",
            "the backup is encrypted; name the recovery key with --identity FILE",
        );
        Error::told("--identity", Reason::Required, zh, en)
    })?;
    let identities = recovery::identities(file)?;
    let draft = Draft::beside(&std::path::absolute(asked.to)?)?;
    recovery::decrypt(asked.directory, &draft.0, &identities)?;
    lay_down(&Asked { directory: &draft.0, ..asked }).await
}

/// Lays a backup down; where it proves to be wrong, nothing of it stays.
async fn lay_down(asked: &Asked<'_>) -> Result<Restored> {
    let made = !asked.to.exists();
    let restored = laid_down(asked).await;
    if restored.is_err() && asked.to.exists() {
        for entry in fs::read_dir(asked.to)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        if made {
            fs::remove_dir(asked.to)?;
        }
    }
    restored
}

async fn laid_down(asked: &Asked<'_>) -> Result<Restored> {
    let &Asked { directory, to, database, may_be_unsigned, erasures, .. } = asked;
    if let Some(file) = erasures.filter(|file| !file.is_file()) {
        return Err(Error::refused("--erasures", Reason::NotFound, file.display()));
    }
    let manifest = Manifest::verified(directory, may_be_unsigned)?;
    let keys = directory.join(KEYS);
    let key = NodeKeys::public_key_in(&keys)?;
    manifest.must_be_of(&key, NodeKeys::seal_in(&keys)?)?;
    if let Some(house) = node::later(&manifest.migrations) {
        return Err(Error::refused("DIR", Reason::ContractLevel, house));
    }
    let url = match database {
        Some(url) if Db::kind_of(url) == manifest.kind => url,
        None if manifest.kind == "sqlite" => "sqlite:qianshou.db",
        _ if manifest.kind == "sqlite" => return Err(Error::refused("--database", Reason::Malformed, "sqlite:FILE")),
        _ => return Err(Error::refused("--database", Reason::Malformed, "postgres://user@host/an_empty_database")),
    };
    private_folder(to)?;
    let file = std::path::absolute(to)?.join(SETTINGS);
    let draft = file.with_extension("toml.draft");
    let text = fs::read_to_string(directory.join(SETTINGS))?;
    let text = settings::with(&settings::with(&text, "database", "url", url), "keys", "directory", KEYS);
    private_file(&draft, text.as_bytes())?;
    let loaded = must_say(Config::load(&draft)?, url)?;
    copy_folder(&keys, &to.join(KEYS), &|_| false)?;
    let seal = NodeKeys::seal_in(&loaded.seal_directory())?;
    manifest.must_be_of(&key, seal)?;
    let seal_missing = seal.is_none().then(|| loaded.seal_directory().join(SEAL));

    let (data, migrations) = (directory.join(DATABASE), node::migrations());
    let address = loaded.database_url()?;
    let db = Db::from_snapshot(&address, &loaded.directory, &data, &manifest.migrations, &migrations).await?;
    let signer = Signer { node: manifest.node.clone(), key, former: NodeKeys::former_in(&keys)? };
    let begun = begin(&db, &manifest, &signer, &loaded, erasures).await;
    let (epoch, token, erased) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            db.take_back().await?;
            return Err(error);
        }
    };
    db.close().await;
    // Last, so that a folder with a node.toml is a whole node.
    fs::rename(&draft, &file)?;
    File::open(to)?.sync_all()?;
    Ok(Restored { config: file, manifest, epoch, token, settings: differing(&loaded), erased, seal_missing })
}

/// Verifies the whole of what was laid down, begins a new epoch with one new administrator, and erases again what was erased since.
async fn begin(
    db: &Db,
    manifest: &Manifest,
    signer: &Signer,
    loaded: &Loaded,
    erasures: Option<&Path>,
) -> Result<(u64, String, Option<(PathBuf, usize)>)> {
    manifest.must_be(&ledger::head(db).await?)?;
    let epoch = ledger::open_epoch(db).await?;
    db.migrate(&node::migrations()).await?;
    let looked = verify::walk(&verify::parts(db, signer), |_, _, _| ()).await?;
    if let Some(fault) = looked.into_iter().find_map(|part| part.fault) {
        let (at, zh, en) = (fault.at, fault.zh, fault.en);
        let zh = format!("备份中的 {at}：{zh}；请改用更早的备份");
        let en = format!("{at} in the backup: {en}; use an earlier backup");
        return Err(Error::told("DIR", Reason::Malformed, zh, en));
    }
    let token = node::only_administrator(db, &loaded.config).await?;
    let erased = erase::again(db, loaded, erasures).await?;
    Ok((epoch, token, erased))
}

/// What a configuration says other than the defaults.
fn differing(loaded: &Loaded) -> Vec<(String, String, String)> {
    let said = loaded.origins.iter().filter(|(_, (_, origin))| *origin != Origin::Default);
    let place = |origin: &Origin| match origin {
        Origin::File(_) => SETTINGS.to_owned(),
        other => other.to_string(),
    };
    said.map(|(key, (value, origin))| (key.clone(), value.clone(), place(origin))).collect()
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

/// Copies keys: few small files, readable by their owner only.
fn copy_folder(from: &Path, to: &Path, left_out: &dyn Fn(&OsStr) -> bool) -> Result<()> {
    private_folder(to)?;
    for entry in fs::read_dir(from)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if path.is_dir() {
            copy_folder(&path, &to.join(name), left_out)?;
        } else if !left_out(&name) {
            private_file(&to.join(name), &fs::read(path)?)?;
        }
    }
    Ok(File::open(to)?.sync_all()?)
}
