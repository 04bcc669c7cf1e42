//! Pairing: what one authority does together with another, as its own half of it: commitments, approvals and outcomes; dispatches, arrivals
//! and projects; allocations, payments and receipts.
//!
//! It never writes the other side's half and never speaks to a peer. One request: the caller is known → [`rpc`] hands the message to a verb
//! of the kernel → the noun's rules in [`domain`] → the ledger, in one commit with the index → the answer. What both halves say together
//! is the kernel's joint function of the halves that [`store`] finds here: those that share a text, never all of them.

pub mod domain;
mod rpc;
mod store;

use qianshou_kernel::{config::Pairing as Settings, db::Migration, kind::Verbs};
use qianshou_proto::pairing::v1::pairing_service_server::PairingServiceServer;

use crate::store::Halves;

/// Pairing's own tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { house: "pairing", version: 1, sql: include_str!("migrations/1_pairing.sql") },
    Migration { house: "pairing", version: 2, sql: include_str!("migrations/2_linkage.sql") },
];

/// The house.
#[derive(Clone)]
pub struct Pairing {
    verbs: Verbs,
    settings: Settings,
}

impl Pairing {
    /// A house that saves through these verbs.
    #[must_use]
    pub fn new(verbs: Verbs, settings: Settings) -> Self {
        Self { verbs, settings }
    }

    fn halves(&self) -> Halves {
        Halves(self.verbs.ledger.clone())
    }

    /// Its service; message limits are set by the node.
    #[must_use]
    pub fn service(self) -> PairingServiceServer<Self> {
        PairingServiceServer::new(self)
    }
}
