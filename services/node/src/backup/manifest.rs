//! What a backup is, and the digests that prove it whole. It is written last: a folder without one is no backup.

use std::{
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use qianshou_kernel::{
    db::Levels,
    error::{Error, Reason, Result},
    ledger::Head,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const NAME: &str = "manifest.json";
/// The format of the folder; another one is not read.
const FORMAT: u32 = 1;
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
    pub(super) fn of(directory: &Path, kind: &str, migrations: Levels, head: &Head, made_at_ms: i64) -> Result<Self> {
        let mut files = vec![];
        collect(directory, "", &mut files)?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Self {
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

    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|cause| Error::broken(cause.to_string()))?;
        let draft = directory.join("manifest.draft");
        super::private_file(&draft, &text)?;
        fs::rename(&draft, directory.join(NAME))?;
        Ok(File::open(directory)?.sync_all()?)
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// A refusal if there is none, or one of another format.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        let text = fs::read(&path).map_err(|_| Error::refused("DIR", Reason::NotFound, path.display()))?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|_| wrong(NAME))?;
        if manifest.format == FORMAT { Ok(manifest) } else { Err(wrong("format")) }
    }

    /// Every file is there as it was written, and no other.
    pub(super) fn verify(&self, directory: &Path) -> Result<()> {
        let mut found = vec![];
        collect(directory, "", &mut found)?;
        found.retain(|file| file.path != NAME);
        for file in &self.files {
            if !found.contains(file) {
                return Err(wrong(&file.path));
            }
        }
        match found.iter().find(|file| !self.files.contains(file)) {
            Some(stray) => Err(wrong(&stray.path)),
            None => Ok(()),
        }
    }

    /// The restored ledger stands where the backed up one stood.
    pub(super) fn must_be(&self, head: &Head) -> Result<()> {
        let same = (head.node == self.node && head.epoch == self.epoch && head.position == self.position)
            && hex::encode(&head.digest) == self.digest;
        if same { Ok(()) } else { Err(Error::broken("the restored ledger does not stand where the manifest says")) }
    }
}

fn wrong(what: &str) -> Error {
    let zh = format!("备份不完整或已被改动（{what}），请换用另一份备份");
    let en = format!("the backup is not whole or was changed ({what}); take another one");
    Error::told("DIR", Reason::Malformed, zh, en)
}

fn collect(directory: &Path, below: &str, files: &mut Vec<Copied>) -> Result<()> {
    for entry in fs::read_dir(directory.join(below))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| wrong("?"))?;
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            collect(directory, &path, files)?;
        } else {
            let (bytes, sha256) = digest(&entry.path())?;
            files.push(Copied { path, bytes, sha256 });
        }
    }
    Ok(())
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
