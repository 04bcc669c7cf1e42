//! The chain over all entries: each entry's digest covers the one before it, so nothing earlier can be changed without changing
//! everything after it.
//!
//! An entry's content goes in as a digest of its own, salted with a secret that stands beside the content and is purged with it:
//! what is left of an erased entry then proves its place and gives nothing away, even of a content that could be guessed.

use sha2::{Digest, Sha256};

use super::{Content, Version};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Stands for the entry before the first one.
pub const NOTHING: Hash = [0; 32];

/// What the chain covers of an entry beside its content.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its position.
    pub position: u64,
    /// The record's name, and in it kind and home.
    pub name: &'a str,
    /// The record's version.
    pub version: Version,
    /// The position of the record's version before this one; 0: there is none.
    pub previous: u64,
    /// Who wrote it.
    pub actor: &'a str,
    /// When, milliseconds since 1970-01-01 UTC.
    pub written_at_ms: i64,
}

/// The digest of an entry's content under its salt. Every part is framed by its length in eight bytes, big-endian.
#[must_use]
pub fn content_digest(salt: &[u8], content: &Content) -> Hash {
    let mut hash = Sha256::new();
    frame(&mut hash, salt);
    frame_content(&mut hash, content);
    hash.finalize().into()
}

/// The chain's digest after one more entry. Numbers are eight bytes, all big-endian; every part is framed as in the content.
#[must_use]
pub fn link(before: &Hash, place: &Place<'_>, content: &Hash) -> Hash {
    let mut hash = Sha256::new_with_prefix(before);
    frame(&mut hash, &place.position.to_be_bytes());
    frame(&mut hash, place.name.as_bytes());
    frame(&mut hash, &place.version.epoch.to_be_bytes());
    frame(&mut hash, &place.version.revision.to_be_bytes());
    frame(&mut hash, &place.previous.to_be_bytes());
    frame(&mut hash, place.actor.as_bytes());
    frame(&mut hash, &place.written_at_ms.to_be_bytes());
    frame(&mut hash, content);
    hash.finalize().into()
}

/// The chain's digest as it was before contents were salted (contract levels 1 to 3).
pub(super) fn unsalted_link(before: &Hash, name: &str, version: Version, content: &Content) -> Hash {
    let mut hash = Sha256::new_with_prefix(before);
    frame(&mut hash, name.as_bytes());
    frame(&mut hash, &version.epoch.to_be_bytes());
    frame(&mut hash, &version.revision.to_be_bytes());
    frame_content(&mut hash, content);
    hash.finalize().into()
}

fn frame_content(hash: &mut Sha256, content: &Content) {
    match content {
        Content::Put { payload, sealed } => {
            frame(hash, b"put");
            frame(hash, payload);
            frame(hash, sealed.as_deref().unwrap_or_default());
        }
        Content::End(end) => {
            frame(hash, b"end");
            frame(hash, &end.reason.to_be_bytes());
            frame(hash, end.on.as_bytes());
        }
    }
}

fn frame(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}
