//! `qianshou token`: who may call this node.

use clap::Subcommand;
use qianshou_proto::identity::v1::{self as identity, identity_service_client::IdentityServiceClient};
use serde_json::json;

use super::{Answer, all, failed, print, told};
use crate::cli::{
    Connection,
    show::{self, columns, day},
};

#[derive(Subcommand)]
pub(in crate::cli) enum Token {
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
    pub(in crate::cli) async fn run(self) -> Answer {
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
