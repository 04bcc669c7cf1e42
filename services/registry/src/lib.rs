//! The registry of one province: its divisions with their tags; its agencies, stations, workers, certificates and posts; how these
//! are employed, incubated, assessed and recognised, move away and are told to be one; the standards and documents by which that is
//! done.
//!
//! It never counts and never speaks to a peer. One request: the caller is known → [`rpc`] hands the message to a verb of
//! the kernel → the noun's rules in [`domain`] → the ledger, in one commit with the index → the answer.

pub mod domain;
mod rpc;
pub mod store;
mod tasks;

use std::sync::Arc;

use qianshou_kernel::{db::Migration, erasure::Eraser, kind::Verbs, person::Domain};
use qianshou_proto::registry::v1::registry_service_server::RegistryServiceServer;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::store::List;

/// The registry's own tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { house: "registry", version: 1, sql: include_str!("migrations/1_registry.sql") },
    Migration { house: "registry", version: 2, sql: include_str!("migrations/2_by_title.sql") },
    Migration { house: "registry", version: 3, sql: include_str!("migrations/3_nouns.sql") },
    Migration { house: "registry", version: 4, sql: include_str!("migrations/4_changes.sql") },
    Migration { house: "registry", version: 5, sql: include_str!("migrations/5_moves.sql") },
    Migration { house: "registry", version: 6, sql: include_str!("migrations/6_finding.sql") },
    Migration { house: "registry", version: 7, sql: include_str!("migrations/7_registrations.sql") },
    Migration { house: "registry", version: 8, sql: include_str!("migrations/8_tasks.sql") },
    Migration { house: "registry", version: 9, sql: include_str!("migrations/9_indexes.sql") },
    Migration { house: "registry", version: 10, sql: include_str!("migrations/10_quotas.sql") },
    Migration { house: "registry", version: 11, sql: include_str!("migrations/11_number.sql") },
    Migration { house: "registry", version: 12, sql: include_str!("migrations/12_proposals.sql") },
];

/// The house.
#[derive(Clone)]
pub struct Registry {
    verbs: Verbs,
    divisions: List,
    domains: Arc<[Domain]>,
    eraser: Eraser,
}

impl Registry {
    /// A registry that saves through these verbs and erases by this; `domains`: those whose keys the node holds.
    #[must_use]
    pub fn new(verbs: Verbs, domains: Vec<Domain>, eraser: Eraser) -> Self {
        let divisions = List::new(verbs.ledger.clone());
        Self { verbs, divisions, domains: domains.into(), eraser }
    }

    /// Does what nobody has to ask for, until cancelled; in every process of this house.
    pub fn start(&self, cancel: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(tasks::run(self.verbs.ledger.clone(), cancel))
    }

    /// Its service; message limits are set by the node.
    #[must_use]
    pub fn service(self) -> RegistryServiceServer<Self> {
        RegistryServiceServer::new(self)
    }
}
