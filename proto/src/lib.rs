//! The contract: every message and service that crosses a boundary of a Qianshou node, generated from
//! `proto/qianshou/<package>/v1/{service,resources}.proto`.
//!
//! It holds no behaviour and knows nobody: no rule, no SQL, no transport. Clients are generic over any tower service, so
//! the same generated client talks to a house next door (the `Routes` of this process) or across town (a channel).
//!
//! The path of one request: a caller fills a generated request, a house's `rpc/` room parses it into types of its
//! `domain/` that cannot be wrong, and answers with a generated response. Past that edge nothing of this crate is seen, except
//! that a record's payload in the ledger *is* its resource message, encoded once and never again.

#![expect(clippy::allow_attributes, reason = "the generators write them")]

/// What every package shares: the closed list of refusals, versions, ends, and the closed filter language.
pub mod common {
    /// Version 1, frozen by `buf breaking`.
    pub mod v1 {
        tonic::include_proto!("qianshou.common.v1");
    }
}

/// The register: divisions; agencies, stations, workers and what is said of them; standards, documents, tags.
pub mod registry {
    /// Version 1, frozen by `buf breaking`.
    pub mod v1 {
        tonic::include_proto!("qianshou.registry.v1");
    }
}

/// Pairing: one side's halves of what two sides do together, and what both say together.
pub mod pairing {
    /// Version 1, frozen by `buf breaking`.
    pub mod v1 {
        tonic::include_proto!("qianshou.pairing.v1");
    }
}

/// The change feed: a node's ledger, read after a position.
pub mod ledger {
    /// Version 1, frozen by `buf breaking`.
    pub mod v1 {
        tonic::include_proto!("qianshou.ledger.v1");
    }
}

/// Who may call: tokens, roles, areas.
pub mod identity {
    /// Version 1, frozen by `buf breaking`.
    pub mod v1 {
        tonic::include_proto!("qianshou.identity.v1");
    }
}

/// Tables: indicators, cells, and the subjects that wait.
pub mod reporting {
    /// Version 1, frozen by `buf breaking`.
    pub mod v1 {
        tonic::include_proto!("qianshou.reporting.v1");
    }
}

/// Exchange between authorities: cards, agreements, streams of signed pages, receipts.
pub mod exchange {
    /// Version 1, frozen by `buf breaking`; its `resources.proto` is also the page format that is signed and kept.
    pub mod v1 {
        tonic::include_proto!("qianshou.exchange.v1");
    }
}

/// The audit: who did what, when, from where, and what came of it.
pub mod audit {
    /// Version 1, frozen by `buf breaking`.
    pub mod v1 {
        tonic::include_proto!("qianshou.audit.v1");
    }
}

/// The encoded `google.protobuf.FileDescriptorSet` of the whole contract with its imports and comments, exactly as the
/// compiler wrote it: for reflection, for JSON, and for the descriptor digests that agreements quote.
pub const DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptor");

/// A record's message: every resource begins with its name and its version, both written by the system.
pub trait Resource: prost::Message + Default + Clone + PartialEq + 'static {
    /// The message's full name.
    const MESSAGE: &'static str;

    /// `nodes/NODE/COLLECTION/ID`
    fn name_mut(&mut self) -> &mut Option<String>;
    /// `EPOCH.REVISION`
    fn etag_mut(&mut self) -> &mut Option<String>;
}

macro_rules! resources {
    ($($package:ident: $($message:ident)+;)+) => {$($(
        impl Resource for $package::v1::$message {
            const MESSAGE: &'static str = concat!("qianshou.", stringify!($package), ".v1.", stringify!($message));

            fn name_mut(&mut self) -> &mut Option<String> {
                &mut self.name
            }

            fn etag_mut(&mut self) -> &mut Option<String> {
                &mut self.etag
            }
        }
    )+)+};
}
resources! {
    registry: Division Change Agency Station Worker Certificate Post Employment System Incubation Template Assessment Recognition Document Move Merge Task Campaign Figure Category Quota Tag;
    pairing: Commitment Approval Outcome Dispatch Arrival Project Allocation Payment Receipt Programme Activity Offer Need Order Acceptance;
}
