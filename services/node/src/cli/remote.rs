//! Commands that talk to a running node, by its RPC API. Each asks, then shows the answer as JSON or in columns.

use std::{io::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use qianshou_kernel::{
    clock::{Clock, format_day},
    error::Error,
    line::Line,
};
use qianshou_proto::{
    exchange::v1::{self as exchange, exchange_admin_service_client::ExchangeAdminServiceClient},
    identity::v1::{self as identity, identity_service_client::IdentityServiceClient},
    reporting::v1::{self as reporting, reporting_service_client::ReportingServiceClient},
};
use serde_json::{Value, json};
use tonic::Status;

use super::{
    Connection,
    show::{self, columns, day},
    terms,
};

type Answer = Result<(), String>;

fn told(status: Status) -> String {
    if status.message().is_empty() { status.to_string() } else { status.message().to_owned() }
}

fn failed(error: Error) -> String {
    error.to_string()
}

fn admin(to: &Connection) -> Result<ExchangeAdminServiceClient<Line>, String> {
    Ok(ExchangeAdminServiceClient::new(to.line().map_err(failed)?))
}

/// Prints JSON, or what people read.
fn print(to: &Connection, json: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
    if to.json { println!("{}", json()) } else { println!("{}", text()) }
}

fn all<M: prost::Message>(name: &str, messages: &[M]) -> Value {
    messages.iter().map(|m| show::message(name, m)).collect()
}

#[derive(Subcommand)]
pub(super) enum Peer {
    /// Prints this node's card: the file that introduces it to another.
    Card {
        #[command(flatten)]
        to: Connection,
        /// Write it to a file.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Adds a peer by its card, after its fingerprints were compared by another way.
    Add {
        #[command(flatten)]
        to: Connection,
        /// The peer's card.
        card: PathBuf,
        /// The fingerprints were compared.
        #[arg(long)]
        yes: bool,
    },
    /// Lists peers.
    List {
        #[command(flatten)]
        to: Connection,
    },
    /// Calls a peer and measures.
    Test {
        #[command(flatten)]
        to: Connection,
        /// Its code.
        peer: String,
    },
    /// Removes a peer and cuts its connections.
    Remove {
        #[command(flatten)]
        to: Connection,
        /// Its code.
        peer: String,
    },
}

const CARD: &str = "qianshou.exchange.v1.Card";
const PEER: &str = "qianshou.exchange.v1.Peer";

impl Peer {
    pub(super) async fn run(self) -> Answer {
        match self {
            Self::Card { to, output } => {
                let card = admin(&to)?
                    .get_card(exchange::GetCardRequest {})
                    .await
                    .map_err(told)?
                    .into_inner()
                    .card
                    .unwrap_or_default();
                let text = format!("{:#}", show::message(CARD, &card));
                match output {
                    Some(file) => std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?,
                    None => println!("{text}"),
                }
            }
            Self::Add { to, card, yes } => peer_add(&to, &card, yes).await?,
            Self::List { to } => {
                let peers =
                    admin(&to)?.list_peers(exchange::ListPeersRequest {}).await.map_err(told)?.into_inner().peers;
                print(&to, || all(PEER, &peers), || peers_text(&peers));
            }
            Self::Test { to, peer } => {
                let asked = exchange::TestPeerRequest { node: Some(peer) };
                let answer = admin(&to)?.test_peer(asked).await.map_err(told)?.into_inner();
                let micros = answer.round_trip_us();
                print(&to, || json!({"round_trip_us": micros}), || format!("ok, {micros} µs"));
            }
            Self::Remove { to, peer } => {
                admin(&to)?.remove_peer(exchange::RemovePeerRequest { node: Some(peer) }).await.map_err(told)?;
                print(&to, || json!({}), || "已移除 | removed".into());
            }
        }
        Ok(())
    }
}

/// Reads a card's JSON.
pub(crate) fn read_card(text: &str) -> Result<exchange::Card, String> {
    let described = qianshou_kernel::kind::descriptors().get_message_by_name(CARD).ok_or("no card in the contract")?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let card = prost_reflect::DynamicMessage::deserialize(described, &mut reader)
        .map_err(|e| format!("名片无法读取 | not a card: {e}"))?;
    card.transcode_to().map_err(|e| format!("名片无法读取 | not a card: {e}"))
}

async fn peer_add(to: &Connection, file: &std::path::Path, yes: bool) -> Answer {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let card = read_card(&text)?;
    let mut client = admin(to)?;
    let asked = |confirmed| exchange::AddPeerRequest { card: Some(card.clone()), confirmed: Some(confirmed) };
    let peer = client.add_peer(asked(false)).await.map_err(told)?.into_inner().peer.unwrap_or_default();
    if !yes {
        eprintln!("证书指纹 | certificate: {}", peer.fingerprint());
        eprintln!("签名密钥指纹 | signing key: {}", peer.key_fingerprint());
        eprint!("请通过电话等其他途径核对，一致请输入 yes | compare by another way; type yes if they agree: ");
        drop(std::io::stderr().flush());
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|e| e.to_string())?;
        if line.trim() != "yes" {
            return Err("未确认，未添加；核对后可加 --yes | not confirmed, not added; after comparing use --yes".into());
        }
    }
    let peer = client.add_peer(asked(true)).await.map_err(told)?.into_inner().peer.unwrap_or_default();
    print(to, || show::message(PEER, &peer), || peers_text(std::slice::from_ref(&peer)));
    Ok(())
}

fn peers_text(peers: &[exchange::Peer]) -> String {
    let rows: Vec<_> = peers
        .iter()
        .map(|peer| {
            let card = peer.card.clone().unwrap_or_default();
            vec![
                card.node().into(),
                card.display_name().into(),
                card.address().into(),
                peer.connected().to_string(),
                peer.fingerprint().into(),
            ]
        })
        .collect();
    columns(&["node", "name", "address", "connected", "certificate"], &rows)
}

#[derive(Subcommand)]
pub(super) enum Agreement {
    /// Drafts terms. Nothing crosses before both sides have signed.
    Draft(Draft),
    /// Signs an agreement whose terms were read; `show` prints their digest.
    Sign {
        #[command(flatten)]
        to: Connection,
        /// The agreement.
        id: String,
        /// The digest of the terms that were read; absent: the terms as they stand now.
        #[arg(long)]
        digest: Option<String>,
    },
    /// Lists agreements.
    List {
        #[command(flatten)]
        to: Connection,
    },
    /// Shows an agreement.
    Show {
        #[command(flatten)]
        to: Connection,
        /// The agreement.
        id: String,
    },
}

#[derive(Args)]
pub(super) struct Draft {
    #[command(flatten)]
    to: Connection,
    /// The node that provides.
    #[arg(long)]
    from: String,
    /// The node that receives.
    #[arg(long = "to")]
    consumer: String,
    /// `KIND=FIELD,FIELD,@person`; `*` is every field; once per kind.
    #[arg(long, required = true)]
    share: Vec<String>,
    /// Only records whose division lies in this area.
    #[arg(long)]
    area: Option<String>,
    /// What for.
    #[arg(long)]
    purpose: String,
    /// By which law or document.
    #[arg(long)]
    legal_basis: Option<String>,
    /// The highest level that may cross: 1 public, 2 unit data, 3 personal data.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
    level: u8,
    /// The pseudonym domain for `@person`.
    #[arg(long)]
    domain: Option<String>,
    /// First day, absent: today.
    #[arg(long)]
    begins: Option<String>,
    /// Last day.
    #[arg(long)]
    ends: String,
    /// Days that the receiver may keep what it got after the end.
    #[arg(long, default_value_t = 3650)]
    retention_days: u32,
}

const AGREEMENT: &str = "qianshou.exchange.v1.Agreement";

impl Agreement {
    pub(super) async fn run(self) -> Answer {
        let (to, agreement) = match self {
            Self::Draft(draft) => draft.run().await?,
            Self::Sign { to, id, digest } => {
                let mut client = admin(&to)?;
                let digest = match digest {
                    Some(digest) => digest,
                    None => {
                        let asked = exchange::GetAgreementRequest { id: Some(id.clone()) };
                        let shown =
                            client.get_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default();
                        shown.digest().to_owned()
                    }
                };
                let asked = exchange::SignAgreementRequest { id: Some(id), digest: Some(digest) };
                (to, client.sign_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default())
            }
            Self::Show { to, id } => {
                let asked = exchange::GetAgreementRequest { id: Some(id) };
                let shown =
                    admin(&to)?.get_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default();
                println!("{:#}", show::message(AGREEMENT, &shown));
                return Ok(());
            }
            Self::List { to } => {
                let listed = admin(&to)?
                    .list_agreements(exchange::ListAgreementsRequest {})
                    .await
                    .map_err(told)?
                    .into_inner()
                    .agreements;
                print(&to, || all(AGREEMENT, &listed), || agreements_text(&listed));
                return Ok(());
            }
        };
        print(&to, || show::message(AGREEMENT, &agreement), || agreements_text(std::slice::from_ref(&agreement)));
        Ok(())
    }
}

impl Draft {
    async fn run(self) -> Result<(Connection, exchange::Agreement), String> {
        let clauses = self.share.iter().map(|share| terms::clause(share, self.area.as_deref()));
        let level = match self.level {
            1 => exchange::Sensitivity::L1,
            2 => exchange::Sensitivity::L2,
            _ => exchange::Sensitivity::L3,
        };
        let terms = exchange::Terms {
            provider: Some(self.from),
            consumer: Some(self.consumer),
            clauses: clauses.collect::<Result<_, _>>().map_err(failed)?,
            purpose: Some(self.purpose),
            legal_basis: self.legal_basis,
            sharing_class: Some(exchange::SharingClass::Conditional.into()),
            sensitivity_cap: Some(level.into()),
            pseudonym_domain: self.domain,
            begins_on: Some(self.begins.unwrap_or_else(|| format_day(Clock::system().today()))),
            ends_on: Some(self.ends),
            retention_days: Some(self.retention_days),
            after_end: Some(exchange::AfterEnd::Keep.into()),
            ..exchange::Terms::default()
        };
        let asked = exchange::DraftAgreementRequest { terms: Some(terms) };
        let drafted =
            admin(&self.to)?.draft_agreement(asked).await.map_err(told)?.into_inner().agreement.unwrap_or_default();
        Ok((self.to, drafted))
    }
}

fn agreements_text(agreements: &[exchange::Agreement]) -> String {
    let rows: Vec<_> = agreements
        .iter()
        .map(|agreement| {
            let terms = agreement.terms.clone().unwrap_or_default();
            let kinds: Vec<&str> = terms.clauses.iter().map(exchange::KindClause::kind).collect();
            let state = agreement.state().as_str_name().trim_start_matches("AGREEMENT_STATE_").to_lowercase();
            let way = format!("{} → {}", terms.provider(), terms.consumer());
            vec![
                agreement.id().into(),
                way,
                state,
                kinds.join(","),
                format!("{} – {}", terms.begins_on(), terms.ends_on()),
                agreement.digest().into(),
            ]
        })
        .collect();
    columns(&["agreement", "way", "state", "kinds", "term", "digest"], &rows)
}

#[derive(Subcommand)]
pub(super) enum Stream {
    /// Lists streams with how far they are.
    List {
        #[command(flatten)]
        to: Connection,
    },
}

impl Stream {
    pub(super) async fn run(self) -> Answer {
        let Self::List { to } = self;
        let streams =
            admin(&to)?.list_streams(exchange::ListStreamsRequest {}).await.map_err(told)?.into_inner().streams;
        print(&to, || all("qianshou.exchange.v1.Stream", &streams), || streams_text(&streams));
        Ok(())
    }
}

fn streams_text(streams: &[exchange::Stream]) -> String {
    let rows: Vec<_> = streams
        .iter()
        .map(|stream| {
            let state = stream.state().as_str_name().trim_start_matches("STREAM_STATE_").to_lowercase();
            let way = if stream.direction() == exchange::StreamDirection::Outbound { "→" } else { "←" };
            let figures = [stream.pages(), stream.entries(), stream.applied(), stream.quarantined(), stream.behind()];
            let mut row = vec![format!("{way} {}", stream.peer()), stream.agreement().into(), state];
            row.extend(figures.map(|n| n.to_string()));
            row.push(format!("{} {}", stream.reason_zh(), stream.reason_en()).trim().to_owned());
            row
        })
        .collect();
    columns(&["peer", "agreement", "state", "pages", "entries", "applied", "quarantined", "behind", "reason"], &rows)
}

#[derive(Subcommand)]
pub(super) enum Quarantine {
    /// Lists entries that were set aside.
    List {
        #[command(flatten)]
        to: Connection,
        /// Only of this stream.
        #[arg(long)]
        stream: Option<String>,
    },
}

impl Quarantine {
    pub(super) async fn run(self) -> Answer {
        let Self::List { to, stream } = self;
        let mut items = vec![];
        let mut page_token = None;
        loop {
            let asked = exchange::ListQuarantineRequest { stream: stream.clone(), page_size: None, page_token };
            let page = admin(&to)?.list_quarantine(asked).await.map_err(told)?.into_inner();
            page_token = page.next_page_token.filter(|t| !t.is_empty());
            items.extend(page.items);
            if page_token.is_none() {
                break;
            }
        }
        let row = |item: &exchange::QuarantineItem| {
            let reason = item.reason().as_str_name().trim_start_matches("QUARANTINE_REASON_").to_lowercase();
            vec![item.stream().into(), item.page().to_string(), item.index().to_string(), item.name().into(), reason]
        };
        let head = ["stream", "page", "index", "name", "reason"];
        print(
            &to,
            || all("qianshou.exchange.v1.QuarantineItem", &items),
            || columns(&head, &items.iter().map(row).collect::<Vec<_>>()),
        );
        Ok(())
    }
}

#[derive(Subcommand)]
pub(super) enum Token {
    /// Makes a token; its secret is shown once.
    Create {
        #[command(flatten)]
        to: Connection,
        /// Whose it is.
        name: String,
        /// reader, editor or administrator.
        #[arg(long, default_value = "reader")]
        role: String,
        /// The area it is for, with everything below; 00 is everything.
        #[arg(long)]
        area: String,
    },
    /// Lists tokens.
    List {
        #[command(flatten)]
        to: Connection,
    },
    /// Revokes a token.
    Revoke {
        #[command(flatten)]
        to: Connection,
        /// The token's id.
        id: String,
    },
}

const TOKEN: &str = "qianshou.identity.v1.Token";

impl Token {
    pub(super) async fn run(self) -> Answer {
        let desk = |to: &Connection| Ok::<_, String>(IdentityServiceClient::new(to.line().map_err(failed)?));
        match self {
            Self::Create { to, name, role, area } => {
                let role = identity::Role::from_str_name(&format!("ROLE_{}", role.to_uppercase())).unwrap_or_default();
                let asked = identity::CreateTokenRequest {
                    display_name: Some(name),
                    role: Some(role.into()),
                    area: Some(area),
                };
                let made = desk(&to)?.create_token(asked).await.map_err(told)?.into_inner();
                let id = made.token.unwrap_or_default().id.unwrap_or_default();
                let secret = made.secret.unwrap_or_default();
                print(&to, || json!({"id": id, "token": secret}), || secret.clone());
            }
            Self::List { to } => {
                let tokens =
                    desk(&to)?.list_tokens(identity::ListTokensRequest {}).await.map_err(told)?.into_inner().tokens;
                print(&to, || all(TOKEN, &tokens), || tokens_text(&tokens));
            }
            Self::Revoke { to, id } => {
                let asked = identity::RevokeTokenRequest { id: Some(id) };
                let token = desk(&to)?.revoke_token(asked).await.map_err(told)?.into_inner().token.unwrap_or_default();
                print(&to, || show::message(TOKEN, &token), || tokens_text(std::slice::from_ref(&token)));
            }
        }
        Ok(())
    }
}

fn tokens_text(tokens: &[identity::Token]) -> String {
    let row = |token: &identity::Token| {
        let role = token.role().as_str_name().trim_start_matches("ROLE_").to_lowercase();
        let (created, revoked) = (day(token.created_at_ms()), day(token.revoked_at_ms()));
        vec![token.id().into(), token.display_name().into(), role, token.area().into(), created, revoked]
    };
    columns(&["id", "name", "role", "area", "created", "revoked"], &tokens.iter().map(row).collect::<Vec<_>>())
}

#[derive(Args)]
pub(super) struct Table {
    #[command(flatten)]
    to: Connection,
    /// Indicators, such as certified_total.
    #[arg(required = true)]
    indicators: Vec<String>,
    /// The area: 2, 4, 6, 9 or 12 digits; 00 is the nation.
    #[arg(long)]
    area: String,
    /// At this day.
    #[arg(long, conflicts_with = "period")]
    at: Option<String>,
    /// Over this period: 2023, 2023H1, 2023Q2, 2023-05.
    #[arg(long)]
    period: Option<String>,
    /// Broken down by these dimensions.
    #[arg(long, value_delimiter = ',')]
    by: Vec<String>,
    /// The divisions of this day, for coverage.
    #[arg(long)]
    divisions_at: Option<String>,
    /// Print CSV.
    #[arg(long)]
    csv: bool,
}

impl Table {
    pub(super) async fn run(self) -> Answer {
        let asked = reporting::ReadTableRequest {
            indicators: self.indicators,
            area: Some(self.area),
            at: self.at,
            period: self.period,
            by: self.by,
            min_position: None,
            divisions_at: self.divisions_at,
        };
        let mut client = ReportingServiceClient::new(self.to.line().map_err(failed)?);
        let cells = client.read_table(asked).await.map_err(told)?.into_inner().cells;
        if self.csv {
            return write_csv(&cells);
        }
        print(&self.to, || cells.iter().map(show::cell).collect(), || show::cells(&cells));
        Ok(())
    }
}

fn write_csv(cells: &[reporting::Cell]) -> Answer {
    let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
    let broken = |e: csv::Error| e.to_string();
    writer.write_record(["indicator", "area", "at", "by", "value", "unit", "status"]).map_err(broken)?;
    for cell in cells {
        let shown = show::cell(cell);
        let text = |key: &str| {
            shown[key].as_str().map_or_else(
                || if shown[key].is_null() { String::new() } else { shown[key].to_string() },
                str::to_owned,
            )
        };
        let by: Vec<String> = cell.by.iter().map(|d| format!("{}={}", d.key(), d.value())).collect();
        let at = if cell.at.is_some() { text("at") } else { text("period") };
        writer
            .write_record([
                text("indicator"),
                text("area"),
                at,
                by.join(";"),
                text("value"),
                text("unit"),
                text("status"),
            ])
            .map_err(broken)?;
    }
    writer.flush().map_err(|e| e.to_string())
}
