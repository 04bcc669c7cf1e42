//! Tokens in the node's database, and the service that makes, lists and revokes them.

use std::sync::Arc;

use futures::future::BoxFuture;
use qianshou_proto::identity::v1::{self as api, identity_service_server::IdentityService};
use tonic::{Request, Response, Status};

use super::{CachedTokens, Caller, Role, Tokens, fresh_secret, generate_token, token::TOKEN_REVOKED};
use crate::{
    audit, binds,
    clock::Clock,
    db::{Db, Row},
    error::{Error, Reason, Result},
    id::{Area, Ids},
    ledger::{self, Ledger},
    server::caller,
};

/// The tokens of a node.
#[derive(Clone)]
pub struct StoredTokens {
    db: Db,
    clock: Clock,
    ids: Ids,
}

const COLUMNS: &str = "SELECT id, display_name, role, area, created_at, revoked_at FROM tokens";

impl StoredTokens {
    /// Tokens kept in `db`.
    #[must_use]
    pub fn new(db: Db, clock: Clock, ids: Ids) -> Self {
        Self { db, clock, ids }
    }

    /// Makes a token; its secret is in the answer and nowhere else.
    pub async fn create(&self, display_name: &str, role: Role, area: &Area) -> Result<(api::Token, String)> {
        let (secret, hash) = generate_token(fresh_secret()?);
        let id = self.ids.fresh();
        let insert =
            "INSERT INTO tokens (id, hash, display_name, role, area, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
        let binds = binds![&id, hash, display_name, number(role), area.as_str(), self.clock.now_ms()];
        ledger::run(&self.db, &[crate::db::Statement::new(insert, binds)]).await?;
        Ok((self.get(&id).await?, secret))
    }

    async fn get(&self, id: &str) -> Result<api::Token> {
        let row = self.db.fetch_one(format!("{COLUMNS} WHERE id = $1"), binds![id]).await?;
        token(&row.ok_or_else(|| Error::refused("id", Reason::NotFound, id))?)
    }

    async fn list(&self) -> Result<Vec<api::Token>> {
        self.db.fetch(format!("{COLUMNS} ORDER BY id"), vec![]).await?.iter().map(token).collect()
    }

    async fn revoke(&self, id: &str) -> Result<api::Token> {
        let update = "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        ledger::run(&self.db, &[crate::db::Statement::new(update, binds![id, self.clock.now_ms()])]).await?;
        self.get(id).await
    }
}

impl Tokens for StoredTokens {
    fn find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Caller>>> {
        Box::pin(async move {
            let sql = "SELECT id, role, area FROM tokens WHERE hash = $1 AND revoked_at IS NULL";
            let Some(row) = self.db.fetch_one(sql, binds![hash]).await? else { return Ok(None) };
            let held = row.int(1)?;
            let role = [Role::Reader, Role::Editor, Role::Administrator].into_iter().find(|role| number(*role) == held);
            let role = role.ok_or_else(|| Error::broken("a token's role is none"))?;
            Ok(Some(Caller { actor: format!("tokens/{}", row.text(0)?), role, area: row.text(2)?, peer: None }))
        })
    }
}

fn number(role: Role) -> i64 {
    i64::from(i32::from(match role {
        Role::Reader => api::Role::Reader,
        Role::Editor => api::Role::Editor,
        Role::Administrator => api::Role::Administrator,
    }))
}

fn token(row: &Row) -> Result<api::Token> {
    Ok(api::Token {
        id: Some(row.text(0)?),
        display_name: Some(row.text(1)?),
        role: Some(i32::try_from(row.int(2)?).unwrap_or(0)),
        area: Some(row.text(3)?),
        created_at_ms: Some(row.int(4)?),
        revoked_at_ms: row.maybe_int(5)?,
    })
}

/// The service for administrators.
#[derive(Clone)]
pub struct TokenDesk {
    /// Where tokens are kept.
    pub tokens: StoredTokens,
    /// What to forget when one is revoked.
    pub cache: Arc<CachedTokens>,
    /// By whose bell the node's other processes hear of it.
    pub ledger: Ledger,
}

#[tonic::async_trait]
impl IdentityService for TokenDesk {
    async fn create_token(
        &self,
        request: Request<api::CreateTokenRequest>,
    ) -> Result<Response<api::CreateTokenResponse>, Status> {
        caller(&request)?.need(Role::Administrator).map_err(Error::from)?;
        let asked = request.into_inner();
        let role = match asked.role() {
            api::Role::Reader => Role::Reader,
            api::Role::Editor => Role::Editor,
            api::Role::Administrator => Role::Administrator,
            api::Role::Unspecified => return Err(Error::refused("role", Reason::Required, "").into()),
        };
        let area =
            Area::parse(asked.area()).ok_or_else(|| Error::refused("area", Reason::Malformed, "00, 64, 6401 …"))?;
        let name = asked.display_name().trim();
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(Error::refused("display_name", Reason::Malformed, "1–200 characters | 1–200 个字符").into());
        }
        let (token, secret) = self.tokens.create(name, role, &area).await?;
        audit::about(format_args!("tokens/{}", token.id()));
        Ok(Response::new(api::CreateTokenResponse { token: Some(token), secret: Some(secret) }))
    }

    async fn list_tokens(
        &self,
        request: Request<api::ListTokensRequest>,
    ) -> Result<Response<api::ListTokensResponse>, Status> {
        caller(&request)?.need(Role::Administrator).map_err(Error::from)?;
        Ok(Response::new(api::ListTokensResponse { tokens: self.tokens.list().await? }))
    }

    async fn revoke_token(
        &self,
        request: Request<api::RevokeTokenRequest>,
    ) -> Result<Response<api::RevokeTokenResponse>, Status> {
        caller(&request)?.need(Role::Administrator).map_err(Error::from)?;
        let token = self.tokens.revoke(request.get_ref().id()).await?;
        self.cache.forget();
        self.ledger.tell(TOKEN_REVOKED).await;
        Ok(Response::new(api::RevokeTokenResponse { token: Some(token) }))
    }
}
