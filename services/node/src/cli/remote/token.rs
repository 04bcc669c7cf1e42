//! `qianshou token`: who may call this node. By RPC as its administrators, or at the machine as whoever holds its folder.

use std::path::PathBuf;

use clap::Subcommand;
use qianshou_kernel::{clock::Clock, config::Config, identity, ledger::Ledger};
use qianshou_proto::identity::v1::{self as api, identity_service_client::IdentityServiceClient};
use qianshou_registry::store::List;
use serde_json::json;

use super::{Answer, all, failed, print, told};
use crate::{
    cli::{
        Connection, machine,
        show::{self, columns, day},
    },
    node,
};

#[derive(Subcommand)]
pub(in crate::cli) enum Token {
    /// Makes a token; its secret is shown once.
    Create {
        #[command(flatten)]
        to: Connection,
        /// The node's configuration, at the machine: no token and no running node is needed.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Whose it is.
        name: String,
        /// auditor, reader, editor or administrator.
        #[arg(long, default_value = "reader")]
        role: String,
        /// The area it is for, with everything below; the node's own code is all of it.
        #[arg(long)]
        area: String,
        /// How many days it holds; absent: as the node is configured to.
        #[arg(long)]
        days: Option<u32>,
        /// The one agency (nodes/64/agencies/ID) or pairing key whose records alone it sees and writes, for readers and editors.
        #[arg(long)]
        limited_to: Option<String>,
    },
    /// Lists tokens.
    List {
        #[command(flatten)]
        to: Connection,
        /// The node's configuration, at the machine.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Revokes a token.
    Revoke {
        #[command(flatten)]
        to: Connection,
        /// The node's configuration, at the machine.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The token's id.
        id: String,
    },
}

const TOKEN: &str = "qianshou.identity.v1.Token";

/// Tokens at the machine.
struct Local {
    tokens: identity::StoredTokens,
    ledger: Ledger,
    operator: identity::Caller,
}

impl Local {
    async fn open(config: &std::path::Path) -> Result<Self, String> {
        let loaded = Config::load(config).map_err(failed)?;
        let (tokens, ledger) = node::tokens(&loaded, Clock::system()).await.map_err(failed)?;
        Ok(Self { tokens, ledger, operator: identity::Caller::operator() })
    }

    async fn create(&self, asked: api::CreateTokenRequest) -> qianshou_kernel::error::Result<(api::Token, String)> {
        let areas = List::new(self.ledger.clone());
        let new = self.tokens.wished(&self.operator, &asked, &areas, self.ledger.kinds()).await?;
        self.tokens.create(new).await
    }
}

impl Token {
    pub(in crate::cli) async fn run(self) -> Answer {
        match self {
            Self::Create { to, config, name, role, area, days, limited_to } => {
                let role = api::Role::from_str_name(&format!("ROLE_{}", role.to_uppercase())).unwrap_or_default();
                let asked = api::CreateTokenRequest {
                    display_name: Some(name),
                    role: Some(role.into()),
                    area: Some(area),
                    expires_at_ms: None,
                    limited_to,
                    life_days: days,
                };
                let (token, secret) = match config {
                    Some(config) => {
                        let target = format!("area={} role={}", asked.area(), asked.role().as_str_name());
                        machine::begun(&config, "token create", &target).await.map_err(failed)?;
                        let made = Local::open(&config).await?.create(asked).await.map_err(failed)?;
                        let target = format!("{target} tokens/{}", made.0.id());
                        machine::done(&config, "token create", target).await.map_err(failed)?;
                        made
                    }
                    None => {
                        let made = desk(&to)?.create_token(asked).await.map_err(told)?.into_inner();
                        (made.token.unwrap_or_default(), made.secret.unwrap_or_default())
                    }
                };
                let (id, end) = (token.id().to_owned(), token.expires_at_ms());
                print(&to, || json!({"id": id, "token": secret, "expires_at_ms": end}), || secret.clone());
            }
            Self::List { to, config } => {
                let local = match config {
                    Some(config) => Some(Local::open(&config).await?),
                    None => None,
                };
                let (mut tokens, mut asked) = (vec![], api::ListTokensRequest::default());
                loop {
                    let page = match &local {
                        Some(Local { tokens, operator, .. }) => tokens.list(operator, &asked).await.map_err(failed)?,
                        None => desk(&to)?.list_tokens(asked.clone()).await.map_err(told)?.into_inner(),
                    };
                    tokens.extend(page.tokens);
                    asked.page_token = page.next_page_token.filter(|token| !token.is_empty());
                    if asked.page_token.is_none() {
                        break;
                    }
                }
                print(&to, || all(TOKEN, &tokens), || tokens_text(&tokens));
            }
            Self::Revoke { to, config, id } => {
                let token = match config {
                    Some(config) => {
                        let Local { tokens, ledger, operator } = Local::open(&config).await?;
                        let revoked = tokens.revoke(&operator, &id, &ledger).await.map_err(failed)?;
                        machine::done(&config, "token revoke", format!("tokens/{id}")).await.map_err(failed)?;
                        revoked
                    }
                    None => {
                        let asked = api::RevokeTokenRequest { id: Some(id) };
                        desk(&to)?.revoke_token(asked).await.map_err(told)?.into_inner().token.unwrap_or_default()
                    }
                };
                print(&to, || show::message(TOKEN, &token), || tokens_text(std::slice::from_ref(&token)));
            }
        }
        Ok(())
    }
}

fn desk(to: &Connection) -> Result<IdentityServiceClient<qianshou_kernel::line::Line>, String> {
    Ok(IdentityServiceClient::new(to.line().map_err(failed)?))
}

fn tokens_text(tokens: &[api::Token]) -> String {
    let row = |token: &api::Token| {
        let role = token.role().as_str_name().trim_start_matches("ROLE_").to_lowercase();
        let days =
            [token.created_at_ms(), token.expires_at_ms(), token.last_used_at_ms(), token.revoked_at_ms()].map(day);
        let [created, ends, used, revoked] = days;
        let (id, name, area) = (token.id().into(), token.display_name().into(), token.area().into());
        vec![id, name, role, area, token.limited_to().into(), created, ends, used, revoked, token.created_by().into()]
    };
    let head = ["id", "name", "role", "area", "limited to", "created", "ends", "used", "revoked", "by"];
    columns(&head, &tokens.iter().map(row).collect::<Vec<_>>())
}
