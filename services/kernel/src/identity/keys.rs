//! A node's keys: a folder only its owner reads, made whole or not at all.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, spki::der::pem::LineEnding},
};
use qianshou_proto::exchange::v1::Succession;
use rand::{TryRngCore as _, rngs::OsRng};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::renewal;
use crate::{
    clock::Clock,
    config::Loaded,
    error::{Error, Reason, Result},
    files::{open_to_others, private_file, private_folder},
    id::is_node,
};

/// Certificates are pinned or stand under our own authority, so their term is the authority's, not a habit of browsers.
const AUTHORITY_TERM_YEARS: i64 = 30;
const LEAF_TERM_YEARS: i64 = 20;
/// The file of the key that seals identity numbers.
pub const SEAL: &str = "seal.key";

/// Everything secret a node has. `Debug` shows whose it is and nothing more.
pub struct NodeKeys {
    /// The node's code.
    pub node: String,
    /// Signs pages, statements and the card.
    pub signing: SigningKey,
    /// [`key_id`] of the signing key.
    pub key_id: String,
    /// The certificate authority people's programs trust.
    pub ca_path: PathBuf,
    /// What the people's listener shows.
    pub server: TlsIdentity,
    /// What this node shows to peers, as server and as client.
    pub peer: TlsIdentity,
    /// Keys the blind index of identity numbers.
    pub blind: [u8; 32],
    /// Wraps the sealed part of entries.
    pub seal: [u8; 32],
    /// Pseudonym domains by name. Whoever holds such a key can enumerate identity numbers.
    pub domains: BTreeMap<String, [u8; 32]>,
    /// Public halves of the signing keys that this node had before: what it has kept was signed by them.
    pub former: Vec<[u8; 32]>,
    /// How the signing key came to follow those before it, as the card tells it.
    pub successions: Vec<Succession>,
    directory: PathBuf,
}

/// A certificate chain with its key.
pub struct TlsIdentity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl NodeKeys {
    /// Makes the keys of a new node in `directory`, which must not exist yet or be empty. `names` are further names of the
    /// people's listener.
    ///
    /// # Errors
    /// A refusal if the node's code or a name is not one, or if keys are there already.
    pub fn create(directory: &Path, node: &str, names: &[String]) -> Result<Self> {
        Self::create_on(directory, node, names, &Clock::system())
    }

    /// As [`NodeKeys::create`], by another clock: certificates hold from its yesterday on.
    ///
    /// # Errors
    /// As [`NodeKeys::create`].
    pub fn create_on(directory: &Path, node: &str, names: &[String], clock: &Clock) -> Result<Self> {
        Self::create_apart(directory, directory, node, names, clock)
    }

    /// As [`NodeKeys::create`], with the key that seals identity numbers in another folder.
    ///
    /// # Errors
    /// As [`NodeKeys::create`]; a seal key that is there already is not taken.
    pub fn create_apart(
        directory: &Path,
        seal_directory: &Path,
        node: &str,
        names: &[String],
        clock: &Clock,
    ) -> Result<Self> {
        if !is_node(node) {
            return Err(Error::refused("node", Reason::Malformed, "an administrative code such as 64"));
        }
        if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::refused("keys", Reason::Duplicate, directory.display()));
        }
        // Without a trailing slash, so that the draft stands beside it.
        let directory = &directory.components().collect::<PathBuf>();
        let [random, blind, seal] = [fresh_secret()?, fresh_secret()?, fresh_secret()?];
        let mut draft = directory.as_os_str().to_owned();
        draft.push(format!(".{}", hex::encode(&fresh_secret()?[..4])));
        let draft = PathBuf::from(draft);
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        let secrets = Secrets { signing: SigningKey::from_bytes(&random), blind, seal };
        let written = write_all(&draft, node, names, &secrets, clock).and_then(|()| Ok(fs::rename(&draft, directory)?));
        if let Err(cause) = written {
            // What is left of the draft is of no use to anyone; the first cause is the one to tell.
            drop(fs::remove_dir_all(&draft));
            return Err(cause);
        }
        sync_folder(directory.parent().unwrap_or(directory))?;
        if seal_directory.components().ne(directory.components()) {
            private_folder(seal_directory)?;
            private_file(&seal_directory.join(SEAL), format!("{}\n", hex::encode(seal)).as_bytes())?;
            sync_folder(seal_directory)?;
            fs::remove_file(directory.join(SEAL))?;
        }
        Self::open_apart(directory, seal_directory)
    }

    /// Reads the keys of a node.
    ///
    /// # Errors
    /// A broken machine's, naming the file that cannot be read.
    pub fn open(directory: &Path) -> Result<Self> {
        Self::open_apart(directory, directory)
    }

    /// The keys of a configured node.
    ///
    /// # Errors
    /// As [`NodeKeys::open`].
    pub fn of(loaded: &Loaded) -> Result<Self> {
        Self::open_apart(&loaded.keys_directory(), &loaded.seal_directory())
    }

    /// The public half of the signing key that stands in a folder, which may lack other keys.
    ///
    /// # Errors
    /// As [`NodeKeys::open`].
    pub fn public_key_in(directory: &Path) -> Result<[u8; 32]> {
        Ok(signing_key(directory)?.verifying_key().to_bytes())
    }

    /// The key that seals identity numbers, if it is in this folder.
    ///
    /// # Errors
    /// As [`NodeKeys::open`].
    pub fn seal_in(directory: &Path) -> Result<Option<[u8; 32]>> {
        let path = directory.join(SEAL);
        path.exists().then(|| read_secret(&path)).transpose()
    }

    /// Makes sure that only their owner reads a node's keys.
    ///
    /// # Errors
    /// A refusal with the command that mends it.
    pub fn must_be_private(loaded: &Loaded) -> Result<()> {
        for place in [loaded.keys_directory(), loaded.seal_directory().join(SEAL)] {
            if let Some(open) = open_to_others(&place) {
                let (open, place) = (open.display(), place.display());
                let zh = format!("{open} 可被他人读取；请执行 chmod -R go= {place}，并考虑何人可能已读取");
                let en =
                    format!("{open} can be read by others; chmod -R go= {place}, and think of who may have read it");
                return Err(Error::told("keys", Reason::Forbidden, zh, en));
            }
        }
        Ok(())
    }

    fn open_apart(directory: &Path, seal_directory: &Path) -> Result<Self> {
        let node = read(&directory.join("node"))?.trim().to_owned();
        let signing = signing_key(directory)?;
        let mut domains = BTreeMap::new();
        for entry in fs::read_dir(directory.join("domains"))? {
            let path = entry?.path();
            if let (Some(name), Some("key")) =
                (path.file_stem().and_then(|n| n.to_str()), path.extension().and_then(|e| e.to_str()))
            {
                domains.insert(name.to_owned(), read_secret(&path)?);
            }
        }
        Ok(Self {
            node,
            key_id: key_id(signing.verifying_key().as_bytes()),
            signing,
            ca_path: std::path::absolute(directory.join("ca.pem"))?,
            server: TlsIdentity::read(directory, "server")?,
            peer: TlsIdentity::read(directory, "peer")?,
            blind: read_secret(&directory.join("blind.key"))?,
            seal: read_secret(&seal_directory.join(SEAL))?,
            domains,
            former: renewal::former(directory)?,
            successions: renewal::successions(directory)?,
            directory: directory.to_owned(),
        })
    }

    /// Adds a pseudonym domain: a key that was handed over, or a fresh one. The same key again changes nothing.
    ///
    /// # Errors
    /// A refusal if the name is not one, or if the domain has another key: a domain's key never changes.
    pub fn add_domain(&mut self, name: &str, key: Option<[u8; 32]>) -> Result<()> {
        let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=40).contains(&name.len()) || !name.bytes().all(sound) {
            return Err(Error::refused("domain", Reason::Malformed, "a-z, 0-9, -; at most 40"));
        }
        match (self.domains.get(name), key) {
            (Some(held), Some(given)) if *held == given => return Ok(()),
            (Some(_), _) => return Err(Error::refused("domain", Reason::Duplicate, name)),
            (None, _) => {}
        }
        let key = key.map_or_else(fresh_secret, Ok)?;
        let folder = self.directory.join("domains");
        let draft = folder.join(format!("{name}.draft"));
        if draft.exists() {
            fs::remove_file(&draft)?;
        }
        write(&draft, &hex::encode(key))?;
        fs::rename(&draft, folder.join(format!("{name}.key")))?;
        sync_folder(&folder)?;
        self.domains.insert(name.to_owned(), key);
        Ok(())
    }
}

impl TlsIdentity {
    /// The certificate itself, without those above it.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf.as_ref())
    }

    pub(super) fn read(directory: &Path, name: &str) -> Result<Self> {
        let (pem, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
        let chain = CertificateDer::pem_slice_iter(read(&pem)?.as_bytes()).collect::<std::result::Result<Vec<_>, _>>();
        let chain = chain.map_err(|cause| unreadable(&pem, cause))?;
        if chain.is_empty() {
            return Err(unreadable(&pem, "no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(read(&key)?.as_bytes()).map_err(|cause| unreadable(&key, cause))?;
        Ok(Self { chain, key })
    }
}

impl fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKeys").field("node", &self.node).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// The short name of a signing key: the first sixteen hexadecimal digits of its SHA-256.
#[must_use]
pub fn key_id(public_key: &[u8; 32]) -> String {
    hex::encode(&Sha256::digest(public_key)[..8])
}

/// The name in a node's peer certificate; it resolves nowhere.
#[must_use]
pub fn peer_name(node: &str) -> String {
    format!("node-{node}.qianshou.invalid")
}

/// 32 bytes from the operating system.
///
/// # Errors
/// The system has no randomness to give.
pub fn fresh_secret() -> Result<[u8; 32]> {
    let mut secret = [0; 32];
    OsRng.try_fill_bytes(&mut secret).map_err(|cause| Error::broken(format!("no randomness: {cause}")))?;
    Ok(secret)
}

/// What is drawn for a new node.
struct Secrets {
    signing: SigningKey,
    blind: [u8; 32],
    seal: [u8; 32],
}

fn write_all(draft: &Path, node: &str, names: &[String], secrets: &Secrets, clock: &Clock) -> Result<()> {
    let folder = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    folder(draft)?;
    folder(&draft.join("domains"))?;
    let generate = || KeyPair::generate().map_err(certificate);
    let authority = authority(node, generate()?, clock).map_err(certificate)?;
    let (server_key, peer_key) = (generate()?, generate()?);
    let server = server_certificate(&authority, node, names, &server_key, clock)?;
    let peer = peer_certificate(&authority, node, &peer_key, clock)?;
    for (name, text) in [
        ("node", node),
        ("signing.pem", &signing_pem(&secrets.signing)?),
        ("ca.pem", &authority.pem()),
        ("ca.key", &authority.key().serialize_pem()),
        ("server.pem", &server),
        ("server.key", &server_key.serialize_pem()),
        ("peer.pem", &peer),
        ("peer.key", &peer_key.serialize_pem()),
        ("blind.key", &hex::encode(secrets.blind)),
        (SEAL, &hex::encode(secrets.seal)),
    ] {
        write(&draft.join(name), text)?;
    }
    sync_folder(draft)
}

pub(super) fn signing_pem(signing: &SigningKey) -> Result<String> {
    let pem = signing.to_pkcs8_pem(LineEnding::LF).map_err(|cause| Error::broken(format!("signing key: {cause}")))?;
    Ok(pem.to_string())
}

pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(super) fn authority(node: &str, key: KeyPair, clock: &Clock) -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("Qianshou {node}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    term(&mut params, AUTHORITY_TERM_YEARS, clock);
    CertifiedIssuer::self_signed(params, key)
}

/// What people's programs are shown, as PEM.
pub(super) fn server_certificate(
    authority: &Authority,
    node: &str,
    names: &[String],
    key: &KeyPair,
    clock: &Clock,
) -> Result<String> {
    let mut at = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    at.extend(names.iter().filter(|name| *name != "localhost").cloned());
    let named = |_| Error::refused("names", Reason::Malformed, "host names or addresses");
    leaf(authority, node, CertificateParams::new(at).map_err(named)?, key, clock, false).map_err(certificate)
}

/// What peers are shown, as PEM.
pub(super) fn peer_certificate(authority: &Authority, node: &str, key: &KeyPair, clock: &Clock) -> Result<String> {
    let own = CertificateParams::new(vec![peer_name(node)]).map_err(certificate)?;
    leaf(authority, node, own, key, clock, true).map_err(certificate)
}

fn leaf(
    authority: &Authority,
    node: &str,
    mut params: CertificateParams,
    key: &KeyPair,
    clock: &Clock,
    as_client: bool,
) -> Result<String, rcgen::Error> {
    params.distinguished_name.push(DnType::CommonName, format!("Qianshou node {node}"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if as_client {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    params.use_authority_key_identifier_extension = true;
    term(&mut params, LEAF_TERM_YEARS, clock);
    Ok(params.signed_by(key, authority)?.pem())
}

/// From yesterday, for clocks that differ.
fn term(params: &mut CertificateParams, years: i64, clock: &Clock) {
    let now = OffsetDateTime::from_unix_timestamp(clock.now_ms() / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::days(years * 365);
}

pub(super) fn certificate(cause: rcgen::Error) -> Error {
    Error::broken(format!("certificate: {cause}"))
}

pub(super) fn unreadable(path: &Path, cause: impl fmt::Display) -> Error {
    Error::broken(format!("{}: {cause}", path.display()))
}

pub(super) fn signing_key(directory: &Path) -> Result<SigningKey> {
    let path = directory.join("signing.pem");
    SigningKey::from_pkcs8_pem(&read(&path)?).map_err(|cause| unreadable(&path, cause))
}

pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|cause| unreadable(path, cause))
}

fn read_secret(path: &Path) -> Result<[u8; 32]> {
    let text = read(path)?;
    let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| unreadable(path, "64 hexadecimal digits are expected"))
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", text.trim_end())?;
    Ok(file.sync_all()?)
}

pub(super) fn sync_folder(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    Ok(File::open(path)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_reopen_identically() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("new/keys/");
        let mut made = NodeKeys::create(&directory, "64", &["registry.example".into()]).unwrap();
        made.add_domain("west-2026", None).unwrap();
        made.add_domain("given", Some([9; 32])).unwrap();
        made.add_domain("given", Some([9; 32])).unwrap();
        let read = NodeKeys::open(&directory).unwrap();
        assert_eq!(
            (&read.node, &read.signing, &read.key_id, &read.ca_path),
            (&made.node, &made.signing, &made.key_id, &made.ca_path)
        );
        assert_eq!((read.blind, read.seal, &read.domains), (made.blind, made.seal, &made.domains));
        for (one, two) in [(&read.server, &made.server), (&read.peer, &made.peer)] {
            assert_eq!((&one.chain, one.key.secret_der()), (&two.chain, two.key.secret_der()));
        }
        assert_eq!(read.key_id.len(), 16);
        assert_ne!(read.blind, read.seal);
    }

    #[test]
    fn only_the_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("keys");
        NodeKeys::create(&directory, "64", &[]).unwrap().add_domain("west", None).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join("domains"))), (0o700, 0o700));
        let files = [&directory, &directory.join("domains")].map(|d| fs::read_dir(d).unwrap());
        let files: Vec<_> = files.into_iter().flatten().map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
        assert_eq!(files.len(), 11);
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn creation_is_complete_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("keys");
        assert_eq!(NodeKeys::create(&directory, "64", &["schöne".into()]).unwrap_err().reason(), Reason::Malformed);
        assert_eq!(NodeKeys::create(&directory, "six", &[]).unwrap_err().reason(), Reason::Malformed);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        NodeKeys::create(&directory, "64", &[]).unwrap();
        assert_eq!(NodeKeys::create(&directory, "64", &[]).unwrap_err().reason(), Reason::Duplicate);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_domain_keeps_its_key_and_a_sound_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = NodeKeys::create(&folder.path().join("keys"), "64", &[]).unwrap();
        keys.add_domain("west", Some([1; 32])).unwrap();
        assert_eq!(keys.add_domain("west", Some([2; 32])).unwrap_err().reason(), Reason::Duplicate);
        assert_eq!(keys.add_domain("../west", None).unwrap_err().reason(), Reason::Malformed);
        assert_eq!(keys.domains["west"], [1; 32]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let keys = NodeKeys::create(&folder.path().join("keys"), "64", &[]).unwrap();
        assert_eq!(format!("{keys:?}"), format!("NodeKeys {{ node: \"64\", key_id: \"{}\", .. }}", keys.key_id));
    }
}
