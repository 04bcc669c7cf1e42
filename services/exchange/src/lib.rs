//! The exchange: what crosses between authorities, under which agreement, and the proof of it.
//!
//! The path of one record: saved at home → the provider's heartbeat hears the ledger's bell → agreement (in force? scope,
//! mask, pseudonym) → page *n*: hash tree, chain, signature; **committed, then sent** ══ mutual TLS ══▶ the consumer's puller
//! → verify, sort out bad entries → records and cursor in one commit → signed receipt → the provider's window moves on.
//!
//! Never sends what no signed clause in force names; never applies a page whose signature, chain or agreement does not hold;
//! never merges; never decodes and encodes again what it passes on.

pub mod domain;
mod rpc;
pub mod store;
mod tasks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use qianshou_kernel::{
    clock::Clock,
    config,
    error::Result,
    id::Ids,
    identity::{FourEyes, NodeKeys},
    ledger::Ledger,
    line::Line,
    person::Secrets,
    server::PeerSet,
};
use qianshou_proto::exchange::v1::{
    Card,
    exchange_admin_service_server::{ExchangeAdminService, ExchangeAdminServiceServer},
    exchange_service_client::ExchangeServiceClient,
    exchange_service_server::{ExchangeService, ExchangeServiceServer},
};
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;

pub use crate::store::MIGRATIONS;
use crate::{
    domain::{Limits, Mutation},
    rpc::{admin::Admin, peer::Peers},
    store::Store,
    tasks::hub::Hub,
};

/// Beyond two pages' bytes, what frames them in a message.
const MESSAGE_MARGIN_BYTES: usize = 64 * 1024;

/// What the node's processes are told when peers or agreements have changed.
pub(crate) const CHANGED: &str = "exchange changed";

/// What the exchange stands on.
pub struct Ground {
    /// The node's ledger, whose database holds this house's tables too.
    pub ledger: Ledger,
    /// Fresh ids for agreements.
    pub ids: Ids,
    /// The node's keys: it signs with them, shows its certificate, and knows its pseudonym domains.
    pub keys: Arc<NodeKeys>,
    /// Opens sealed identity numbers, for pseudonyms.
    pub secrets: Arc<Secrets>,
    /// The certificates that the peers' door accepts; filled and emptied here.
    pub peers: PeerSet,
    /// This node's own card.
    pub card: Card,
    /// Limits, heartbeat and back-off.
    pub config: config::Exchange,
    /// Characters in one text field at most, whoever writes it.
    pub text_max_chars: usize,
    /// Bytes of one record at most, whoever writes it.
    pub record_max_bytes: usize,
    /// Acts that wait for a second administrator.
    pub four_eyes: FourEyes,
    /// Ends every stream and task.
    pub cancel: CancellationToken,
}

/// What every room of the house shares.
pub(crate) struct House {
    pub(crate) ground: Ground,
    pub(crate) store: Store,
    pub(crate) hub: Hub,
    pub(crate) mutation: Option<Mutation>,
}

impl House {
    pub(crate) fn node(&self) -> &str {
        self.ground.ledger.node()
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.ground.ledger.clock()
    }

    /// Peers or agreements have changed: the tasks look again, in every process of the node.
    pub(crate) async fn changed(&self) {
        self.hub.ring();
        self.ground.ledger.tell(CHANGED).await;
    }

    pub(crate) fn limits(&self) -> Limits {
        let config = &self.ground.config;
        Limits {
            page_max_entries: config.page_max_entries,
            page_max_bytes: config.page_max_bytes,
            window_pages: config.window_pages,
            text_max_chars: self.ground.text_max_chars,
            record_max_bytes: self.ground.record_max_bytes,
        }
    }

    pub(crate) fn message_max_bytes(&self) -> usize {
        self.ground.config.page_max_bytes * 2 + MESSAGE_MARGIN_BYTES
    }
}

/// The exchange of one node; cheap to clone.
#[derive(Clone)]
pub struct Exchange(Arc<House>);

impl Exchange {
    /// Opens the house on tables that stand, and pins the certificates of its confirmed peers.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open(ground: Ground) -> Result<Self> {
        let store = Store::new(ground.ledger.clone());
        for peer in store.peer_list().await? {
            ground.peers.add(peer.card.node(), peer.card.certificate.as_deref().unwrap_or_default());
        }
        let mutation = Mutation::from_environment();
        if let Some(mutation) = mutation {
            tracing::warn!(?mutation, "this process breaks a rule on purpose");
        }
        Ok(Self(Arc::new(House { ground, store, hub: Hub::default(), mutation })))
    }

    /// What answers on the peers' listener.
    #[must_use]
    pub fn peer_service(&self) -> ExchangeServiceServer<impl ExchangeService + use<>> {
        let most = self.0.message_max_bytes();
        ExchangeServiceServer::new(Peers(self.0.clone()))
            .max_decoding_message_size(most)
            .max_encoding_message_size(most)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
    }

    /// What answers on the people's listener.
    #[must_use]
    pub fn admin_service(&self) -> ExchangeAdminServiceServer<impl ExchangeAdminService + use<>> {
        ExchangeAdminServiceServer::new(Admin(self.0.clone()))
            .max_decoding_message_size(MESSAGE_MARGIN_BYTES + domain::agreement::TERMS_MAX_BYTES)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
    }

    /// Starts the heartbeats: production and serving of every outbound stream, one puller for every inbound one, and the
    /// delivery of our statements. They end when the ground's token is cancelled.
    pub fn start_tasks(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(tasks::run(self.0.clone()))
    }

    /// This house's own tables, for the node's command line and for tests.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }
}

/// A client of a peer's exchange, with this house's limits.
pub(crate) fn client(house: &House, card: &Card) -> Result<ExchangeServiceClient<Line>> {
    let certificate = card.certificate.as_deref().unwrap_or_default();
    let line = Line::to_peer(card.address(), &house.ground.keys, certificate)?;
    let most = house.message_max_bytes();
    Ok(ExchangeServiceClient::new(line)
        .max_decoding_message_size(most)
        .max_encoding_message_size(most)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Zstd))
}
