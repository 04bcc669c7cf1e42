//! A backup that only the holder of a recovery key can read: each file by itself in the age format, which the ordinary `age` opens.
//! The key is made once and kept away from the node; the node has its public half alone.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write as _},
    path::Path,
    str::FromStr as _,
};

use age::{
    Decryptor, Encryptor,
    secrecy::ExposeSecret as _,
    x25519::{Identity, Recipient},
};
use qianshou_kernel::{
    error::{Error, Reason, Result},
    files::{private_anew, private_file, private_folder},
};

use super::manifest::{files, wrong};

/// What the name of an encrypted file ends with.
const SUFFIX: &str = ".age";

/// Makes a recovery key in a file that is not there yet; answers its public half.
pub fn new_key(file: &Path) -> Result<String> {
    let key = Identity::generate();
    let public = key.to_public().to_string();
    let text = format!("# qianshou recovery key\n# public key: {public}\n{}\n", key.to_string().expose_secret());
    let told = |cause| Error::refused("--new-recovery-key", Reason::Duplicate, format!("{}: {cause}", file.display()));
    private_file(file, text.as_bytes()).map_err(told)?;
    Ok(public)
}

/// Reads public halves.
pub(super) fn recipients(texts: &[String]) -> Result<Vec<Recipient>> {
    let read = |text: &String| Recipient::from_str(text.trim());
    let wrong = |_| Error::refused("--recipient", Reason::Malformed, "age1…");
    texts.iter().map(|text| read(text).map_err(wrong)).collect()
}

/// Reads the keys of a file as `age-keygen` writes it.
pub(super) fn identities(file: &Path) -> Result<Vec<Identity>> {
    let told = |cause: &dyn std::fmt::Display| {
        Error::refused("--identity", Reason::NotFound, format!("{}: {cause}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|cause| told(&cause))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|line| Identity::from_str(line).map_err(|cause| told(&cause))).collect::<Result<Vec<_>>>()?;
    if keys.is_empty() { Err(told(&"AGE-SECRET-KEY-1…")) } else { Ok(keys) }
}

/// Whether a folder holds a backup of this sort.
pub(super) fn is_encrypted(directory: &Path) -> bool {
    directory.join(format!("{}{SUFFIX}", super::manifest::NAME)).exists()
}

/// Encrypts everything in one folder into another; the manifest last, so that a folder without one is no backup.
pub(super) fn encrypt(from: &Path, to: &Path, recipients: &[Recipient]) -> Result<()> {
    let mut paths = files(from)?;
    paths.sort_by_key(|path| path == super::manifest::NAME);
    for path in paths {
        let target = to.join(format!("{path}{SUFFIX}"));
        private_folder(target.parent().unwrap_or(to))?;
        let known = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(known).map_err(|cause| Error::broken(cause.to_string()))?;
        let mut sealed = encryptor.wrap_output(BufWriter::new(private_anew(&target)?))?;
        io::copy(&mut BufReader::new(File::open(from.join(&path))?), &mut sealed)?;
        let mut out = sealed.finish()?;
        out.flush()?;
        out.get_ref().sync_all()?;
    }
    Ok(File::open(to)?.sync_all()?)
}

/// Decrypts a backup into an empty folder.
///
/// # Errors
/// A refusal that names the first file that was changed, is of another key, or does not belong there.
pub(super) fn decrypt(from: &Path, to: &Path, identities: &[Identity]) -> Result<()> {
    for path in files(from)? {
        let plain = path.strip_suffix(SUFFIX).ok_or_else(|| wrong(&path))?;
        let keys = identities.iter().map(|key| key as &dyn age::Identity);
        let opened = Decryptor::new_buffered(BufReader::new(File::open(from.join(&path))?));
        let mut opened = opened.and_then(|sealed| sealed.decrypt(keys)).map_err(|cause| match cause {
            age::DecryptError::NoMatchingKeys => {
                Error::refused("--identity", Reason::Malformed, "the backup's own key")
            }
            _ => wrong(&path),
        })?;
        let target = to.join(plain);
        private_folder(target.parent().unwrap_or(to))?;
        let mut out = private_anew(&target)?;
        io::copy(&mut opened, &mut out).map_err(|cause| match cause.kind() {
            io::ErrorKind::StorageFull => Error::from(cause),
            _ => wrong(&path),
        })?;
        out.sync_all()?;
    }
    Ok(())
}
