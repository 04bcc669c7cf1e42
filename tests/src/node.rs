//! A node in this process, and those who call it over TLS.

use std::path::PathBuf;

use qianshou::node::Serving;
use qianshou_kernel::{
    clock::Clock,
    config::Loaded,
    identity::{NodeKeys, Role},
    ledger::Ledger,
    line::Line,
};
use qianshou_proto::{
    exchange::v1::exchange_admin_service_client::ExchangeAdminServiceClient,
    identity::v1::{self as identity, identity_service_client::IdentityServiceClient},
    ledger::v1::ledger_service_client::LedgerServiceClient,
    pairing::v1::pairing_service_client::PairingServiceClient,
    registry::v1::registry_service_client::RegistryServiceClient,
    reporting::v1::reporting_service_client::ReportingServiceClient,
};
use tokio_util::sync::CancellationToken;

/// A node that serves.
pub struct Node {
    /// Its code.
    pub code: String,
    /// Its folder: configuration, keys, and the database if that is a file.
    pub folder: PathBuf,
    /// Its address for people.
    pub address: String,
    /// Its address for peers.
    pub peers: String,
    /// Its administrator.
    pub admin: Caller,
    /// Its ledger, for whoever checks it.
    pub ledger: Ledger,
    loaded: Loaded,
    clock: Clock,
    seed: u64,
    serving: Serving,
}

impl Node {
    /// The same seed on the same folder would make the same ids again.
    pub(crate) async fn serve(loaded: Loaded, clock: Clock, seed: u64) -> Self {
        let code = loaded.config.node.code.clone();
        let folder = loaded.directory.clone();
        let node = qianshou::node::Node::open_or_make(loaded.clone(), clock.clone(), Some(seed)).await.unwrap();
        let token = node.administrator("story").await.unwrap();
        let ledger = node.ledger().clone();
        let serving = node.serve(CancellationToken::new()).await.unwrap();
        let address = format!("https://{}", serving.api);
        let ca = std::fs::read(NodeKeys::open(&loaded.keys_directory()).unwrap().ca_path).unwrap();
        let peers = format!("https://{}", serving.peers.unwrap());
        let admin = Caller::new(&address, &ca, Some(token));
        Self { code, folder, address, peers, admin, ledger, loaded, clock, seed, serving }
    }

    /// Somebody with a token of this role and area.
    pub async fn caller(&self, role: Role, area: &str) -> Caller {
        let asked = identity::CreateTokenRequest {
            display_name: Some(format!("{role} {area}")),
            role: identity::Role::from_str_name(&format!("ROLE_{}", role.as_str().to_uppercase())).map(Into::into),
            area: Some(area.to_owned()),
        };
        let made = self.admin.identity().create_token(asked).await.unwrap().into_inner();
        Caller::new(&self.address, &self.ca(), made.secret)
    }

    /// Somebody without a token.
    #[must_use]
    pub fn stranger(&self) -> Caller {
        Caller::new(&self.address, &self.ca(), None)
    }

    /// Its keys, as they are in the folder.
    #[must_use]
    pub fn keys(&self) -> NodeKeys {
        NodeKeys::open(&self.loaded.keys_directory()).unwrap()
    }

    /// Where its ledger stands.
    pub async fn position(&self) -> u64 {
        self.ledger.head().await.unwrap().position
    }

    /// Up to which position of its ledger it has counted.
    pub async fn counted(&self) -> u64 {
        self.serving.reporting.position().await.unwrap()
    }

    /// Asserts that every tally is what counting everything again gives.
    ///
    /// # Panics
    /// If one is not.
    pub async fn counts_right(&self) {
        let recount = self.serving.reporting.recount().await.unwrap();
        assert!(recount.differences.is_empty(), "{:?}", recount.differences);
    }

    /// Drains it.
    pub async fn stop(self) {
        self.serving.stop().await.unwrap();
    }

    /// Drains it and opens its folder again, some seconds later.
    pub async fn restart(self) -> Self {
        self.rest().await.open().await
    }

    /// Drains it until it is opened again.
    pub async fn rest(self) -> Resting {
        let resting = Resting { loaded: self.loaded.clone(), clock: self.clock.clone(), seed: self.seed + 1 };
        self.stop().await;
        resting
    }

    fn ca(&self) -> Vec<u8> {
        std::fs::read(self.keys().ca_path).unwrap()
    }
}

/// A node that does not serve.
pub struct Resting {
    loaded: Loaded,
    clock: Clock,
    seed: u64,
}

impl Resting {
    /// Opens its folder again, some seconds later.
    pub async fn open(self) -> Node {
        self.clock.advance(5_000);
        Node::serve(self.loaded, self.clock, self.seed).await
    }
}

/// Somebody who calls a node.
#[derive(Clone)]
pub struct Caller {
    pub(crate) line: Line,
    pub(crate) request_id: Option<String>,
    pub(crate) validate_only: Option<bool>,
}

impl Caller {
    /// Whoever has this token.
    #[must_use]
    pub fn new(address: &str, ca: &[u8], token: Option<String>) -> Self {
        let line = Line::to(address, ca, token).unwrap();
        Self { line, request_id: None, validate_only: None }
    }

    /// The same, under this request id.
    #[must_use]
    pub fn under(&self, request_id: &str) -> Self {
        Self { request_id: Some(request_id.to_owned()), ..self.clone() }
    }

    /// The same, asking only whether it would be taken.
    #[must_use]
    pub fn only_asking(&self) -> Self {
        Self { validate_only: Some(true), ..self.clone() }
    }

    /// Where they call.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// The register.
    #[must_use]
    pub fn registry(&self) -> RegistryServiceClient<Line> {
        RegistryServiceClient::new(self.line())
    }

    /// Pairing.
    #[must_use]
    pub fn pairing(&self) -> PairingServiceClient<Line> {
        PairingServiceClient::new(self.line())
    }

    /// The tables.
    #[must_use]
    pub fn reporting(&self) -> ReportingServiceClient<Line> {
        ReportingServiceClient::new(self.line())
    }

    /// Peers, agreements, streams.
    #[must_use]
    pub fn exchange(&self) -> ExchangeAdminServiceClient<Line> {
        ExchangeAdminServiceClient::new(self.line())
    }

    /// Tokens.
    #[must_use]
    pub fn identity(&self) -> IdentityServiceClient<Line> {
        IdentityServiceClient::new(self.line())
    }

    /// The change feed.
    #[must_use]
    pub fn feed(&self) -> LedgerServiceClient<Line> {
        LedgerServiceClient::new(self.line())
    }
}
