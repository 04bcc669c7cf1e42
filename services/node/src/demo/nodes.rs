//! The demo's three nodes: opened, introduced to each other, and bound by agreements.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use qianshou_kernel::{
    clock::{Clock, format_day},
    config::Config,
    error::{Error, Result},
    id::Area,
    identity::NodeKeys,
    line::Line,
};
use qianshou_proto::{
    exchange::v1::{self as api, exchange_admin_service_client::ExchangeAdminServiceClient},
    pairing::v1::{Finding, ListFindingsRequest, ListProgrammesRequest, pairing_service_client::PairingServiceClient},
    registry::v1::registry_service_client::RegistryServiceClient,
    reporting::v1::{Cell, ReadTableRequest, reporting_service_client::ReportingServiceClient},
};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::clause,
    node::{self, Node, Serving},
};

/// The pseudonym domain that the two provinces share and the nation does not.
const DOMAIN: &str = "minning";

/// One running node and a line to it.
pub(super) struct DemoNode {
    pub(super) code: &'static str,
    pub(super) address: String,
    token: String,
    line: Line,
    serving: Serving,
}

/// A folder that goes when the demo ends.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("qianshou-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing more can be done about a temporary folder.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Opens the three folders, making those that are not there, and serves them.
pub(super) async fn open_all(root: &Path) -> Result<[DemoNode; 3]> {
    let key = shared_key(root)?;
    let fujian = open(root, "35", "福建省委社会工作部", Some(key)).await?;
    let ningxia = open(root, "64", "宁夏回族自治区党委社会工作部", Some(key)).await?;
    let nation = open(root, "00", "中央社会工作部", None).await?;
    Ok([fujian, ningxia, nation])
}

/// The domain's key, of the first province's folder if that stands already.
fn shared_key(root: &Path) -> Result<[u8; 32]> {
    let held = NodeKeys::open(&root.join("35").join("keys")).ok().and_then(|keys| keys.domains.get(DOMAIN).copied());
    held.map_or_else(qianshou_kernel::identity::fresh_secret, Ok)
}

async fn open(root: &Path, code: &'static str, name: &str, domain: Option<[u8; 32]>) -> Result<DemoNode> {
    let directory = root.join(code);
    if !directory.join("node.toml").exists() {
        node::init(&directory, code, Some(name), None).await?;
    }
    let loaded = Config::load(&directory.join("node.toml"))?;
    if let Some(key) = domain {
        NodeKeys::of(&loaded)?.add_domain(DOMAIN, Some(key))?;
    }
    let node = Node::open(loaded, Clock::system(), None).await?;
    let token = node.administrator("demo").await?;
    let ca = std::fs::read(node.ca_path())?;
    let serving = node.serve(CancellationToken::new()).await?;
    let address = format!("https://{}", serving.api);
    let line = Line::to(&address, &ca, Some(token.clone()))?;
    Ok(DemoNode { code, address, token, line, serving })
}

fn told(status: tonic::Status) -> Error {
    Error::broken(status.message().to_owned())
}

impl DemoNode {
    pub(super) fn registry(&self) -> RegistryServiceClient<Line> {
        RegistryServiceClient::new(self.line.clone()).max_decoding_message_size(64 << 20)
    }

    pub(super) fn pairing(&self) -> PairingServiceClient<Line> {
        PairingServiceClient::new(self.line.clone()).max_decoding_message_size(64 << 20)
    }

    fn admin(&self) -> ExchangeAdminServiceClient<Line> {
        ExchangeAdminServiceClient::new(self.line.clone())
    }

    pub(super) async fn streams(&self) -> Result<Vec<api::Stream>> {
        Ok(self.admin().list_streams(api::ListStreamsRequest {}).await.map_err(told)?.into_inner().streams)
    }

    pub(super) async fn table(&self, request: ReadTableRequest) -> Result<Vec<Cell>> {
        let mut client = ReportingServiceClient::new(self.line.clone());
        Ok(client.read_table(request).await.map_err(told)?.into_inner().cells)
    }

    /// Waits until the programmes of the nation have arrived, whose rules hold for what is saved from now on.
    pub(super) async fn await_programmes(&self, count: usize) -> Result<()> {
        for _ in 0..600 {
            let asked = ListProgrammesRequest::default();
            if self.pairing().list_programmes(asked).await.map_err(told)?.into_inner().programmes.len() >= count {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::broken("the nation's programmes did not arrive"))
    }

    /// What is wrong with the halves that are here.
    pub(super) async fn findings(&self) -> Result<Vec<Finding>> {
        let mut findings = vec![];
        let mut page_token = None;
        loop {
            let asked = ListFindingsRequest { page_token, ..ListFindingsRequest::default() };
            let page = self.pairing().list_findings(asked).await.map_err(told)?.into_inner();
            findings.extend(page.findings);
            page_token = page.next_page_token;
            if page_token.is_none() {
                return Ok(findings);
            }
        }
    }

    async fn agreements(&self) -> Result<Vec<api::Agreement>> {
        Ok(self.admin().list_agreements(api::ListAgreementsRequest {}).await.map_err(told)?.into_inner().agreements)
    }

    /// How to talk to this node from another terminal.
    pub(super) fn invitation(&self, root: &Path) -> String {
        let ca = root.join(self.code).join("keys").join("ca.pem");
        format!(
            "{}: export QIANSHOU_NODE={} QIANSHOU_TOKEN={} QIANSHOU_CA={}",
            self.code,
            self.address,
            self.token,
            ca.display()
        )
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.serving.stop().await
    }
}

/// Gives every node the cards of the two others. In life, people compare the fingerprints by telephone first.
pub(super) async fn introduce_all(nodes: &[DemoNode; 3]) -> Result<()> {
    for from in nodes {
        let card = from.admin().get_card(api::GetCardRequest {}).await.map_err(told)?.into_inner().card;
        for to in nodes.iter().filter(|to| to.code != from.code) {
            let asked = api::AddPeerRequest { card: card.clone(), confirmed: Some(true), replace: None };
            to.admin().add_peer(asked).await.map_err(told)?;
        }
    }
    Ok(())
}

/// Six agreements: both provinces to the nation (no names, no numbers), the partners to each other, and the nation to both.
pub(super) const AGREEMENTS: usize = 6;

const TO_NATION: &[&str] = &[
    "agencies=*",
    "stations=*",
    "workers=division,employer,sector,post_category,station,assignment,languages,since,until,@person",
    "certificates=worker,level,issued_on,registered_until,revoked_on,division",
    "tags=*",
    "commitments=*",
    "outcomes=*",
    DISPATCHES,
    "arrivals=*",
    "projects=*",
    "allocations=*",
    "payments=*",
    "receipts=*",
];
const TO_PARTNER: &[&str] = &[
    "agencies=display_name,uscc,type,division,founded_on,closed_on",
    "tags=*",
    "commitments=*",
    "outcomes=*",
    DISPATCHES,
    "arrivals=*",
    "allocations=*",
    "payments=*",
    "receipts=*",
];
const DISPATCHES: &str =
    "dispatches=programme,year,host_division,from,until,number,returned_on,division,participations,@person";
const FROM_NATION: &[&str] = &["programmes=*", "approvals=*"];

/// Drafts at the provider, signs at both, and waits until all are in force.
pub(super) async fn agree_all(nodes: &[DemoNode; 3]) -> Result<()> {
    let [fujian, ningxia, nation] = nodes;
    for (provider, consumer, shares) in [
        (ningxia, nation, TO_NATION),
        (fujian, nation, TO_NATION),
        (ningxia, fujian, TO_PARTNER),
        (fujian, ningxia, TO_PARTNER),
        (nation, ningxia, FROM_NATION),
        (nation, fujian, FROM_NATION),
    ] {
        let standing = provider.agreements().await?;
        let same = |a: &&api::Agreement| {
            a.terms.as_ref().is_some_and(|t| t.provider() == provider.code && t.consumer() == consumer.code)
        };
        if standing.iter().find(same).is_none() {
            agree(provider, consumer, shares).await?;
        }
    }
    Ok(())
}

async fn agree(provider: &DemoNode, consumer: &DemoNode, shares: &[&str]) -> Result<()> {
    let person = shares.iter().any(|share| share.contains("@person"));
    // What the nation decides is for both sides, wherever it is about.
    let area = Some(provider.code).filter(|code| *code != Area::NATION);
    let clauses = shares.iter().map(|share| clause(share, area, false));
    let terms = api::Terms {
        provider: Some(provider.code.to_owned()),
        consumer: Some(consumer.code.to_owned()),
        clauses: clauses.collect::<Result<_>>()?,
        purpose: Some("闽宁协作统计与结对 | statistics and pairing of the Fujian–Ningxia partnership".to_owned()),
        legal_basis: Some("闽宁社会工作协作协议 | partnership agreement".to_owned()),
        sharing_class: Some(api::SharingClass::Conditional.into()),
        sensitivity_cap: Some(api::Sensitivity::L3.into()),
        pseudonym_domain: person.then(|| DOMAIN.to_owned()),
        begins_on: Some(format_day(Clock::system().today())),
        ends_on: Some("2035-12-31".to_owned()),
        retention_days: Some(3650),
        after_end: Some(api::AfterEnd::Keep.into()),
        ..api::Terms::default()
    };
    let drafted = provider
        .admin()
        .draft_agreement(api::DraftAgreementRequest { terms: Some(terms) })
        .await
        .map_err(told)?
        .into_inner();
    let drafted = drafted.agreement.unwrap_or_default();
    let sign = api::SignAgreementRequest { id: drafted.id.clone(), digest: drafted.digest.clone() };
    provider.admin().sign_agreement(sign.clone()).await.map_err(told)?;
    // The provider's statement travels to the consumer by itself; then the consumer can read and sign.
    for _ in 0..600 {
        if consumer.agreements().await?.iter().any(|a| a.id == drafted.id) {
            consumer.admin().sign_agreement(sign).await.map_err(told)?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Error::broken("a statement did not reach its peer"))
}
