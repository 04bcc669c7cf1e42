//! The pinned certificates of peers: a set that changes while doors are open.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use tokio_util::sync::CancellationToken;

/// Which certificate is which node's. Clones share the set.
#[derive(Clone, Debug, Default)]
pub struct PeerSet(Arc<RwLock<BTreeMap<String, Pinned>>>);

#[derive(Debug)]
struct Pinned {
    certificate: Vec<u8>,
    removed: CancellationToken,
}

impl PeerSet {
    /// Pins a node's certificate (DER). Another one in its place is removed; the same again changes nothing.
    pub fn add(&self, node: &str, certificate: &[u8]) {
        let mut peers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if peers.get(node).is_some_and(|pinned| pinned.certificate == certificate) {
            return;
        }
        let pinned = Pinned { certificate: certificate.to_vec(), removed: CancellationToken::new() };
        if let Some(former) = peers.insert(node.to_owned(), pinned) {
            former.removed.cancel();
        }
    }

    /// Removes a node and cuts its open connections at once. Whether it was there.
    pub fn remove(&self, node: &str) -> bool {
        let removed = self.0.write().unwrap_or_else(PoisonError::into_inner).remove(node);
        removed.map(|pinned| pinned.removed.cancel()).is_some()
    }

    /// The node whose certificate (DER) this is.
    #[must_use]
    pub fn node_of(&self, certificate: &[u8]) -> Option<String> {
        self.find(certificate).map(|(node, _)| node)
    }

    /// The node, and the token that its removal cancels.
    pub(super) fn find(&self, certificate: &[u8]) -> Option<(String, CancellationToken)> {
        let peers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = peers.iter().find(|(_, pinned)| pinned.certificate == certificate);
        found.map(|(node, pinned)| (node.clone(), pinned.removed.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_pinned_whole_and_replaced_whole() {
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
}
