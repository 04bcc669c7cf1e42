//! What a backup is, the digests that prove it whole, and the node's signature under them. It is written last: a folder without one
//! is no backup.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use qianshou_kernel::{
    db::Levels,
    error::{Error, Reason, Result},
    files::private_file,
    identity::{NodeKeys, SEAL, key_id},
    ledger::Head,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(super) const NAME: &str = "manifest.json";
/// The signature, in hexadecimal digits.
const SIGNATURE: &str = "manifest.sig";
/// What is signed begins so, that it is taken for nothing else that the key signs.
const CONTEXT: &[u8] = b"qianshou/backup-manifest/v1\0";
/// The format of the folder. The first one had no signature; others are not read.
const FORMAT: u32 = 2;
const UNSIGNED_FORMAT: u32 = 1;
const BLOCK_BYTES: usize = 1 << 20;

/// A backup in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The version of the program that made it.
    pub program: String,
    /// When, milliseconds since 1970-01-01 UTC.
    pub made_at_ms: i64,
    /// `sqlite` or `postgres`.
    pub kind: String,
    /// Whose it is.
    pub node: String,
    /// The ledger's epoch.
    pub epoch: u64,
    /// The ledger's last position that is in it.
    pub position: u64,
    /// The ledger's digest at that position, hexadecimal.
    pub digest: String,
    /// The level of each house's tables.
    pub migrations: Levels,
    /// The short name of the node's key that signed; empty in the format without signatures.
    #[serde(default)]
    pub key_id: String,
    /// That key, hexadecimal.
    #[serde(default)]
    public_key: String,
    /// Tells the key that seals identity numbers from others; the backup itself may be without that key.
    #[serde(default)]
    seal_check: String,
    /// Every file beside this one.
    pub files: Vec<Copied>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    path: String,
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Describes what stands in `directory`.
    pub(super) fn of(
        directory: &Path,
        kind: &str,
        (migrations, head): (Levels, &Head),
        keys: &NodeKeys,
        made_at_ms: i64,
    ) -> Result<Self> {
        let files = collect(directory)?;
        Ok(Self {
            key_id: keys.key_id.clone(),
            public_key: hex::encode(keys.signing.verifying_key().as_bytes()),
            seal_check: seal_check(&keys.seal),
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            made_at_ms,
            kind: kind.to_owned(),
            node: head.node.clone(),
            epoch: head.epoch,
            position: head.position,
            digest: hex::encode(&head.digest),
            migrations,
            files,
        })
    }

    pub(super) fn write(&self, directory: &Path, keys: &NodeKeys) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|cause| Error::broken(cause.to_string()))?;
        let signature = keys.signing.sign(&[CONTEXT, &text].concat());
        private_file(&directory.join(SIGNATURE), hex::encode(signature.to_bytes()).as_bytes())?;
        let draft = directory.join("manifest.draft");
        private_file(&draft, &text)?;
        fs::rename(&draft, directory.join(NAME))?;
        Ok(File::open(directory)?.sync_all()?)
    }

    /// Reads the manifest of a backup, and verifies its signature and every file: each is there as it was written, and no other.
    ///
    /// # Errors
    /// A refusal if there is none, or that names what does not hold.
    pub fn verified(directory: &Path, may_be_unsigned: bool) -> Result<Self> {
        let path = directory.join(NAME);
        let text = fs::read(&path).map_err(|_| Error::refused("DIR", Reason::NotFound, path.display()))?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|_| wrong(NAME))?;
        match manifest.format {
            FORMAT => manifest.must_be_signed(directory, &text)?,
            UNSIGNED_FORMAT if may_be_unsigned => {}
            UNSIGNED_FORMAT => return Err(unsigned()),
            _ => return Err(wrong("format")),
        }
        let found = collect(directory)?;
        if let Some(file) = manifest.files.iter().find(|file| !found.contains(file)) {
            return Err(wrong(&file.path));
        }
        match found.iter().find(|file| !manifest.files.contains(file)) {
            Some(stray) => Err(wrong(&stray.path)),
            None => Ok(manifest),
        }
    }

    fn must_be_signed(&self, directory: &Path, text: &[u8]) -> Result<()> {
        let signature = fs::read_to_string(directory.join(SIGNATURE)).map_err(|_| wrong(SIGNATURE))?;
        let signature = hex::decode(signature.trim()).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        let public = hex::decode(&self.public_key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = public.filter(|public| key_id(public) == self.key_id);
        let key = key.and_then(|public| VerifyingKey::from_bytes(&public).ok());
        let (Some(key), Some(signature)) = (key, signature) else { return Err(wrong(SIGNATURE)) };
        key.verify_strict(&[CONTEXT, text].concat(), &signature).map_err(|_| wrong(SIGNATURE))
    }

    /// The keys that the backup brings are those that signed it and sealed its identity numbers. Without a seal key there is nothing to
    /// compare.
    pub(super) fn must_be_of(&self, public: &[u8; 32], seal: Option<[u8; 32]>) -> Result<()> {
        if self.format == UNSIGNED_FORMAT {
            return Ok(());
        }
        if hex::encode(public) != self.public_key {
            return Err(wrong("keys/signing.pem"));
        }
        match &seal {
            Some(seal) if seal_check(seal) != self.seal_check => Err(wrong(SEAL)),
            _ => Ok(()),
        }
    }

    /// The restored ledger stands where the backed up one stood.
    pub(super) fn must_be(&self, head: &Head) -> Result<()> {
        let same = (head.node == self.node && head.epoch == self.epoch && head.position == self.position)
            && hex::encode(&head.digest) == self.digest;
        if same { Ok(()) } else { Err(Error::broken("the restored ledger does not stand where the manifest says")) }
    }
}

fn seal_check(seal: &[u8; 32]) -> String {
    let sum = Sha256::new().chain_update(b"qianshou/backup-seal-check/v1\0").chain_update(seal).finalize();
    hex::encode(&sum[..8])
}

fn unsigned() -> Error {
    let zh = "这是旧版程序的备份，没有签名，无法证明未被改动；确认来源可靠后可加 --unsigned";
    let en = "this backup was made by an older program and is not signed: nothing proves that it was not changed. If you know where it \
              was kept, say --unsigned";
    Error::told("DIR", Reason::SignatureInvalid, zh, en)
}

pub(super) fn wrong(what: &str) -> Error {
    let zh = format!("备份不完整或已被改动（{what}），请换用另一份备份");
    let en = format!("the backup is not whole or was changed ({what}); take another one");
    Error::told("DIR", Reason::Malformed, zh, en)
}

/// The digests of every file but the manifest and its signature.
fn collect(directory: &Path) -> Result<Vec<Copied>> {
    let paths = files(directory)?.into_iter().filter(|path| path != NAME && path != SIGNATURE);
    let copied = |path: String| digest(&directory.join(&path)).map(|(bytes, sha256)| Copied { path, bytes, sha256 });
    paths.map(copied).collect()
}

/// The paths of all files below a folder, in their order. What is neither a file nor a folder is not of a backup.
pub(super) fn files(directory: &Path) -> Result<Vec<String>> {
    let (mut found, mut folders) = (vec![], vec![String::new()]);
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(directory.join(&below))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| wrong("?"))?;
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => found.push(path),
                _ => return Err(wrong(&path)),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn digest(path: &Path) -> Result<(u64, String)> {
    let (mut file, mut sum, mut total) = (File::open(path)?, Sha256::new(), 0);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok((total, hex::encode(sum.finalize())));
        }
        sum.update(&block[..read]);
        total += read as u64;
    }
}
