//! The pinned keys of peers' certificates: a set that changes while doors are open. A certificate that was renewed for the same key goes
//! on holding.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, identity::public_key};

/// Which certificate's key is which node's. Clones share the set.
#[derive(Clone, Debug, Default)]
pub struct PeerSet(Arc<RwLock<Set>>, Clock);

#[derive(Debug, Default)]
struct Set {
    peers: BTreeMap<String, Pinned>,
    changes: u64,
}

#[derive(Debug)]
struct Pinned {
    key: Vec<u8>,
    removed: CancellationToken,
}

/// What is pinned of a certificate: its key with its algorithm, or all of what is none.
pub(super) fn pin(certificate: &[u8]) -> &[u8] {
    public_key(certificate).unwrap_or(certificate)
}

impl PeerSet {
    /// An empty set, for doors that judge certificates' days by this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self(Arc::default(), clock)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.1
    }

    /// Pins the key of a node's certificate (DER). Another one in its place is removed; the same again changes nothing.
    pub fn add(&self, node: &str, certificate: &[u8]) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        set.changes += 1;
        set.pin(node, certificate);
    }

    /// Removes a node and cuts its open connections at once. Whether it was there.
    pub fn remove(&self, node: &str) -> bool {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        set.changes += 1;
        set.peers.remove(node).map(|pinned| pinned.removed.cancel()).is_some()
    }

    /// How often the set was changed here.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).changes
    }

    /// Makes the set what was read elsewhere (node, certificate), as another process may have changed it; nothing happens if
    /// it was changed here since `changes`, for then the reading may be older.
    pub fn settle(&self, changes: u64, read: &[(&str, &[u8])]) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if set.changes != changes {
            return;
        }
        set.peers.retain(|node, pinned| {
            let stays = read.iter().any(|(known, _)| known == node);
            if !stays {
                pinned.removed.cancel();
            }
            stays
        });
        for (node, certificate) in read {
            set.pin(node, certificate);
        }
    }

    /// The node whose key is in this certificate (DER).
    #[must_use]
    pub fn node_of(&self, certificate: &[u8]) -> Option<String> {
        self.find(certificate).map(|(node, _)| node)
    }

    /// The node, and the token that its removal cancels.
    pub(super) fn find(&self, certificate: &[u8]) -> Option<(String, CancellationToken)> {
        let set = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = set.peers.iter().find(|(_, pinned)| pinned.key == pin(certificate));
        found.map(|(node, pinned)| (node.clone(), pinned.removed.clone()))
    }
}

impl Set {
    fn pin(&mut self, node: &str, certificate: &[u8]) {
        let key = pin(certificate);
        if self.peers.get(node).is_some_and(|pinned| pinned.key == key) {
            return;
        }
        let pinned = Pinned { key: key.to_vec(), removed: CancellationToken::new() };
        if let Some(former) = self.peers.insert(node.to_owned(), pinned) {
            former.removed.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_pinned_whole_and_replaced_whole() {
        let peers = PeerSet::default();
        peers.add("35", b"one");
        let (node, removed) = peers.find(b"one").unwrap();
        peers.add("35", b"one");
        assert!(node == "35" && !removed.is_cancelled());
        assert_eq!((peers.node_of(b"on"), peers.node_of(b"one+")), (None, None));
        peers.add("35", b"two");
        assert!(removed.is_cancelled());
        assert_eq!((peers.node_of(b"one"), peers.node_of(b"two").as_deref()), (None, Some("35")));
        let (_, removed) = peers.find(b"two").unwrap();
        assert!(peers.remove("35") && !peers.remove("35") && removed.is_cancelled());
    }

    #[test]
    fn a_certificate_renewed_for_its_key_holds_and_cuts_nothing() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = |key: &rcgen::KeyPair, year: i32| {
            let mut params = rcgen::CertificateParams::new(vec!["x".into()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            params.self_signed(key).unwrap().der().to_vec()
        };
        let peers = PeerSet::default();
        peers.add("35", &certificate(&key, 2030));
        let (_, removed) = peers.find(&certificate(&key, 2050)).unwrap();
        peers.add("35", &certificate(&key, 2050));
        assert!(!removed.is_cancelled());
        assert_eq!(peers.node_of(&certificate(&rcgen::KeyPair::generate().unwrap(), 2030)), None);
    }

    #[test]
    fn what_another_process_pinned_or_removed_is_taken_over() {
        let peers = PeerSet::default();
        peers.add("35", b"one");
        let (_, removed) = peers.find(b"one").unwrap();
        let read = peers.changes();
        peers.settle(read, &[("35", b"one"), ("00", b"nation")]);
        assert!(peers.find(b"nation").is_some() && !removed.is_cancelled());
        peers.add("64", b"new");
        peers.settle(read, &[]);
        assert!(peers.find(b"new").is_some(), "the reading is older than the change");
        peers.settle(peers.changes(), &[("64", b"new")]);
        assert!(removed.is_cancelled() && peers.find(b"one").is_none() && peers.find(b"new").is_some());
    }
}
