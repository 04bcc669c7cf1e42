//! New certificates for the same keys, and new keys after the old ones. Each file is written beside and renamed over the one before; who
//! runs a node meanwhile stops it first, or starts it again afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ed25519_dalek::SigningKey;
use prost::Message as _;
use qianshou_proto::exchange::v1::Succession;
use rcgen::KeyPair;

use super::{
    NodeKeys, TlsIdentity,
    certificate::is_issued_by,
    fresh_secret,
    keys::{
        Authority, authority, certificate, peer_certificate, read, server_certificate, signing_key, signing_pem,
        sync_folder, unreadable, write,
    },
    succession,
    succession::SUCCESSIONS_MAX,
};
use crate::{clock::Clock, error::Result};

const FORMER: &str = "former.keys";
const SUCCESSIONS: &str = "successions";

/// What a renewal made, and what it left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Files with a new certificate.
    pub made: Vec<PathBuf>,
    /// Files whose certificate another authority issued: it is renewed there.
    pub left: Vec<PathBuf>,
}

impl NodeKeys {
    /// Makes the certificates of a node's folder anew, from yesterday on, for the keys that are there: what peers and people's programs
    /// trust goes on holding. `names` are further names of the people's listener.
    ///
    /// # Errors
    /// A broken machine's, naming the file that cannot be read or written.
    pub fn renew(directory: &Path, names: &[String], clock: &Clock) -> Result<Renewed> {
        let node = read(&directory.join("node"))?.trim().to_owned();
        let key = |name: &str| key_pair(&directory.join(name));
        let issuer = authority(&node, key("ca.key")?, clock).map_err(certificate)?;
        let peer = peer_certificate(&issuer, &node, &key("peer.key")?, clock)?;
        let mut files = vec![("ca.pem", issuer.pem()), ("peer.pem", peer)];
        let mut renewed = Renewed::default();
        if is_ours(directory, &issuer)? {
            files.push(("server.pem", server_certificate(&issuer, &node, names, &key("server.key")?, clock)?));
        } else {
            renewed.left.push(directory.join("server.pem"));
        }
        for (name, text) in files {
            replace(directory, name, &text)?;
            renewed.made.push(directory.join(name));
        }
        Ok(renewed)
    }

    /// The public halves of the signing keys that a folder's node had before.
    ///
    /// # Errors
    /// As [`NodeKeys::renew`].
    pub fn former_in(directory: &Path) -> Result<Vec<[u8; 32]>> {
        former(directory)
    }

    /// Gives a node's folder another signing key and another key for peers. `succeeds`: the key before signs the new one, and cards say so;
    /// otherwise peers sign every agreement again. Answers the public half of the key before.
    ///
    /// # Errors
    /// As [`NodeKeys::renew`].
    pub fn replace(directory: &Path, succeeds: bool, clock: &Clock) -> Result<[u8; 32]> {
        let node = read(&directory.join("node"))?.trim().to_owned();
        let (old, new) = (signing_key(directory)?, SigningKey::from_bytes(&fresh_secret()?));
        let before = old.verifying_key().to_bytes();
        let issuer = authority(&node, key_pair(&directory.join("ca.key"))?, clock).map_err(certificate)?;
        let peer_key = KeyPair::generate().map_err(certificate)?;
        let peer = peer_certificate(&issuer, &node, &peer_key, clock)?;
        let mut line = if succeeds { successions(directory)? } else { vec![] };
        if succeeds {
            line.push(succession(&node, &old, &new, clock.now_ms()));
        }
        let line = &line[line.len().saturating_sub(SUCCESSIONS_MAX)..];
        let mut former = former(directory)?;
        former.push(before);
        // The signing key before the keys for peers: where it stops in between, `renew` makes whole what is left.
        replace_lines(directory, FORMER, former.iter().map(hex::encode))?;
        replace_lines(directory, SUCCESSIONS, line.iter().map(|one| hex::encode(one.encode_to_vec())))?;
        replace(directory, "signing.pem", &signing_pem(&new)?)?;
        replace(directory, "peer.key", &peer_key.serialize_pem())?;
        replace(directory, "peer.pem", &peer)?;
        Ok(before)
    }
}

/// Public halves of the signing keys before.
pub(super) fn former(directory: &Path) -> Result<Vec<[u8; 32]>> {
    lines(&directory.join(FORMER), |bytes| bytes.try_into().ok())
}

/// How the signing key came to follow those before it.
pub(super) fn successions(directory: &Path) -> Result<Vec<Succession>> {
    lines(&directory.join(SUCCESSIONS), |bytes| Succession::decode(&bytes[..]).ok())
}

fn lines<T>(path: &Path, read_one: impl Fn(Vec<u8>) -> Option<T>) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(vec![]);
    }
    let one = |line: &str| hex::decode(line.trim()).ok().and_then(&read_one);
    let all: Option<Vec<T>> = read(path)?.lines().map(one).collect();
    all.ok_or_else(|| unreadable(path, "hexadecimal lines are expected"))
}

fn replace_lines(directory: &Path, name: &str, lines: impl Iterator<Item = String>) -> Result<()> {
    replace(directory, name, &lines.collect::<Vec<_>>().join("\n"))
}

fn key_pair(path: &Path) -> Result<KeyPair> {
    KeyPair::from_pem(&read(path)?).map_err(|cause| unreadable(path, cause))
}

/// Whether our own authority issued what people's programs are shown, or it cannot be read.
fn is_ours(directory: &Path, issuer: &Authority) -> Result<bool> {
    let shown = TlsIdentity::read(directory, "server")?;
    Ok(is_issued_by(shown.leaf(), issuer.der()))
}

fn replace(directory: &Path, name: &str, text: &str) -> Result<()> {
    let draft = directory.join(format!("{name}.draft"));
    if draft.exists() {
        fs::remove_file(&draft)?;
    }
    write(&draft, text)?;
    fs::rename(&draft, directory.join(name))?;
    sync_folder(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::identity::{card, check_card, keys_before, public_key, validity_ms};

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn certificates_are_renewed_for_the_same_keys() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("keys");
        let clock = Clock::fixed(1_717_214_400_000);
        let before = NodeKeys::create_on(&directory, "64", &[], &clock).unwrap();
        clock.advance(365 * DAY_MS);
        fs::write(directory.join("peer.pem.draft"), "left of one that failed").unwrap();
        let renewed = NodeKeys::renew(&directory, &["nx.example".into()], &clock).unwrap();
        assert_eq!((renewed.made.len(), renewed.left.len()), (3, 0));
        let after = NodeKeys::open(&directory).unwrap();
        for (one, two) in [(&before.peer, &after.peer), (&before.server, &after.server)] {
            assert_eq!((public_key(one.leaf()), one.key.secret_der()), (public_key(two.leaf()), two.key.secret_der()));
            let ends = [one, two].map(|identity| validity_ms(identity.leaf()).unwrap().1);
            assert_eq!(ends[1] - ends[0], 365 * DAY_MS);
        }
        assert_eq!((before.key_id, &before.blind), (after.key_id.clone(), &after.blind));
        check_card(&card(&after, "", "")).unwrap();
        for file in fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        }
        assert!(!directory.join("peer.pem.draft").exists());
    }

    #[test]
    fn what_another_authority_issued_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (directory, other) = (folder.path().join("keys"), folder.path().join("other"));
        let clock = Clock::fixed(1_717_214_400_000);
        NodeKeys::create_on(&directory, "64", &[], &clock).unwrap();
        NodeKeys::create_on(&other, "35", &[], &clock).unwrap();
        for name in ["server.pem", "server.key"] {
            fs::copy(other.join(name), directory.join(name)).unwrap();
        }
        let renewed = NodeKeys::renew(&directory, &[], &clock).unwrap();
        assert_eq!(renewed.left, [directory.join("server.pem")]);
        assert_eq!(fs::read(directory.join("server.pem")).unwrap(), fs::read(other.join("server.pem")).unwrap());
    }

    #[test]
    fn a_new_key_follows_the_old_one_or_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("keys");
        let clock = Clock::fixed(1_717_214_400_000);
        let public = |keys: &NodeKeys| keys.signing.verifying_key().to_bytes();
        let first = NodeKeys::create_on(&directory, "64", &[], &clock).unwrap();
        let signed = first.sign("context", b"bytes");
        assert_eq!(NodeKeys::replace(&directory, true, &clock).unwrap(), public(&first));
        let second = NodeKeys::open(&directory).unwrap();
        let shown = card(&second, "宁夏", "");
        check_card(&shown).unwrap();
        assert_eq!(keys_before(&shown), [public(&first)]);
        assert_ne!(public_key(second.peer.leaf()), public_key(first.peer.leaf()));
        assert!(second.signed("context", b"bytes", &signed) && !second.signed("context", b"other", &signed));
        assert!(!first.signed("context", b"bytes", &second.sign("context", b"bytes")));

        NodeKeys::replace(&directory, true, &clock).unwrap();
        let third = NodeKeys::open(&directory).unwrap();
        assert_eq!(keys_before(&card(&third, "", "")), [public(&second), public(&first)]);
        NodeKeys::replace(&directory, false, &clock).unwrap();
        let fourth = NodeKeys::open(&directory).unwrap();
        assert_eq!((keys_before(&card(&fourth, "", "")).len(), fourth.former.len()), (0, 3));
        assert!(fourth.signed("context", b"bytes", &signed));
    }
}
