//! Who speaks: a node by its keys, a peer by its card, a person by a token. A node signs with Ed25519, speaks TLS with ECDSA
//! P-256, and keeps the keys that hide persons.
//!
//! Never prints a secret, never stores a token's secret, never trusts a certificate for the name in it: a peer's is pinned
//! whole, and a card is worth what the person who compared its fingerprint says.

mod caller;
mod card;
mod certificate;
mod four_eyes;
mod keys;
mod store;
mod token;

pub use caller::{Caller, Role};
pub use card::{CARD_CONTEXT, card, check_card};
pub use certificate::valid_until_ms;
pub use four_eyes::{DoorAct, FourEyes};
pub use keys::{NodeKeys, SEAL, TlsIdentity, fresh_secret, key_id, peer_name};
pub use store::{NewToken, StoredTokens, TokenDesk};
pub use token::{CachedTokens, Tokens, generate_token, hash_token};

use ed25519_dalek::{Signer, VerifyingKey};
use qianshou_proto::exchange::v1::Signature;
use sha2::{Digest, Sha256};

/// The one suite so far.
pub const SUITE: &str = "ed25519";

impl NodeKeys {
    /// Signs bytes for one purpose. A signature made in one context means nothing in another.
    #[must_use]
    pub fn sign(&self, context: &str, bytes: &[u8]) -> Signature {
        let signature = self.signing.sign(&message(context, bytes)).to_bytes();
        Signature {
            suite: Some(SUITE.into()),
            key_id: Some(self.key_id.clone()),
            value: Some(signature.to_vec().into()),
        }
    }
}

/// Whether the holder of this key signed these bytes in this context.
#[must_use]
pub fn verify(public_key: &[u8; 32], context: &str, bytes: &[u8], signature: &Signature) -> bool {
    let named = signature.suite.as_deref() == Some(SUITE) && signature.key_id.as_deref() == Some(&key_id(public_key));
    let value = signature.value.as_deref().and_then(|value| ed25519_dalek::Signature::from_slice(value).ok());
    match (VerifyingKey::from_bytes(public_key), value) {
        (Ok(key), Some(value)) => named && key.verify_strict(&message(context, bytes), &value).is_ok(),
        _ => false,
    }
}

/// What two people read to each other: SHA-256 in groups of four hexadecimal digits.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    let digits: Vec<String> =
        Sha256::digest(bytes).chunks(2).map(|pair| pair.iter().map(|b| format!("{b:02X}")).collect()).collect();
    digits.join(" ")
}

fn message(context: &str, bytes: &[u8]) -> Vec<u8> {
    [context.as_bytes(), &[0], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_context_and_bytes_only() {
        let folder = tempfile::tempdir().unwrap();
        let keys = NodeKeys::create(&folder.path().join("keys"), "64", &[]).unwrap();
        let public = keys.signing.verifying_key().to_bytes();
        let signature = keys.sign("qianshou.page.v1", b"page");
        assert!(verify(&public, "qianshou.page.v1", b"page", &signature));
        assert!(!verify(&public, "qianshou.page.v1", b"pagf", &signature));
        assert!(!verify(&public, "qianshou.card.v1", b"page", &signature));
        assert!(!verify(&[7; 32], "qianshou.page.v1", b"page", &signature));
        let other_suite = Signature { suite: Some("sm2".into()), ..signature.clone() };
        assert!(!verify(&public, "qianshou.page.v1", b"page", &other_suite));
        let short = Signature { value: Some(vec![0; 63].into()), ..signature };
        assert!(!verify(&public, "qianshou.page.v1", b"page", &short));
    }

    #[test]
    fn a_fingerprint_is_sixteen_groups_of_four() {
        let text = fingerprint(b"");
        assert!(text.starts_with("E3B0 C442 98FC 1C14") && text.split(' ').count() == 16, "{text}");
    }
}
