//! Tokens in the node's database, and the service that makes, lists and revokes them. Who keeps tokens does so inside its own area,
//! and nobody outside the node's; what lies elsewhere is answered as if it were not there.

use std::sync::Arc;

use futures::future::BoxFuture;
use prost::Message as _;
use qianshou_proto::identity::v1::{self as api, identity_service_server::IdentityService};
use tonic::{Request, Response, Status};

use super::{
    CachedTokens, Caller, DoorAct, FourEyes, Role, Tokens, fresh_secret, generate_token, token::TOKEN_REVOKED,
};
use crate::{
    audit, binds,
    clock::Clock,
    config::{self, Config},
    db::{Db, Row, Statement},
    error::{Error, Reason, Result, is_hidden},
    id::{Area, Ids, Name},
    kind::{Areas, Kinds, has_open_number, page_key, page_token},
    ledger::{self, Ledger},
    server::caller,
};

/// The tokens of a node.
#[derive(Clone)]
pub struct StoredTokens {
    db: Db,
    clock: Clock,
    ids: Ids,
    node: Arc<str>,
    life: config::Tokens,
    page_records: usize,
    page_max_records: usize,
}

/// A token to be made, which nothing speaks against.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose it will be.
    pub display_name: String,
    /// What it may do.
    pub role: Role,
    /// Where, with everything below: in the node's own area.
    pub area: Area,
    /// The agency or pairing whose records alone it sees and writes.
    pub limited_to: Option<String>,
    /// Until when it holds, milliseconds UTC.
    pub expires_at_ms: i64,
    /// Who makes it.
    pub created_by: String,
}

const COLUMNS: &str = "SELECT id, display_name, role, area, created_at, revoked_at, expires_at, used_at, created_by, limited_to FROM tokens";
const INSERT: &str = "INSERT INTO tokens (id, hash, display_name, role, area, created_at, expires_at, created_by, limited_to) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
/// One row that is always there: whoever revokes takes it first, so that of two who revoke the last two administrators one comes second.
const ONE_AT_A_TIME: &str = "UPDATE tokens SET role = role WHERE id = (SELECT MIN(id) FROM tokens)";
const REVOKE: &str = "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND (role <> $3 OR area <> $4 OR EXISTS ( \
                      SELECT 1 FROM tokens o WHERE o.id <> $1 AND o.role = $3 AND o.area = $4 AND o.revoked_at IS NULL \
                      AND (o.expires_at IS NULL OR o.expires_at > $2)))";
const REVOKE_ALL: &str = "UPDATE tokens SET revoked_at = $1 WHERE revoked_at IS NULL";
const USED: &str = "UPDATE tokens SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $3)";

const DAY_MS: i64 = 86_400_000;
/// How exactly is known when a token was last used: a write for each call would cost more than it says.
const USED_TO_MS: i64 = 3_600_000;
/// What an area is limited to beside it: a record's name or a key, in bytes.
const LIMIT_MAX_BYTES: usize = 400;

impl StoredTokens {
    /// The tokens of `node`, kept in `db`.
    #[must_use]
    pub fn new(db: Db, clock: Clock, ids: Ids, node: &str, config: &Config) -> Self {
        let (page_records, page_max_records) = (config.limits.list_page_records, config.limits.list_page_max_records);
        Self { db, clock, ids, node: node.into(), life: config.tokens, page_records, page_max_records }
    }

    /// Makes an administrator's token for the node's whole area, for whoever holds its folder; answers the secret.
    pub async fn administrator(&self, display_name: &str) -> Result<String> {
        let (_, secret) = self.save(self.first(display_name)?, vec![]).await?;
        Ok(secret)
    }

    /// Revokes every token and makes one administrator's, in one commit: after a restore. Answers the secret.
    pub async fn replace_all(&self, display_name: &str) -> Result<String> {
        let revoke = Statement::new(REVOKE_ALL, binds![self.clock.now_ms()]);
        let (_, secret) = self.save(self.first(display_name)?, vec![revoke]).await?;
        Ok(secret)
    }

    fn first(&self, display_name: &str) -> Result<NewToken> {
        Ok(NewToken {
            display_name: display_name.to_owned(),
            role: Role::Administrator,
            area: self.own_area()?,
            limited_to: None,
            expires_at_ms: self.end_after(self.life.life_days),
            created_by: OPERATOR.to_owned(),
        })
    }

    /// Gives an end to the tokens that were made before tokens had one.
    pub async fn give_ends(&self) -> Result<()> {
        const ENDLESS: &str = "SELECT id FROM tokens WHERE expires_at IS NULL AND revoked_at IS NULL LIMIT 1";
        const END: &str = "UPDATE tokens SET expires_at = $1 WHERE expires_at IS NULL";
        if self.db.fetch_one(ENDLESS, vec![]).await?.is_some() {
            let end = self.end_after(self.life.life_days);
            ledger::run(&self.db, &[Statement::new(END, binds![end])]).await?;
        }
        Ok(())
    }

    /// What is asked for, if this caller may have it made.
    pub async fn wished(
        &self,
        by: &Caller,
        asked: &api::CreateTokenRequest,
        areas: &dyn Areas,
        kinds: &Kinds,
    ) -> Result<NewToken> {
        by.need(Role::Administrator)?;
        if asked.role() == api::Role::Unspecified {
            return Err(Error::refused("role", Reason::Required, ""));
        }
        let role = Role::ALL.into_iter().find(|role| number(*role) == i64::from(asked.role.unwrap_or_default()));
        let role =
            role.ok_or_else(|| Error::refused("role", Reason::NotInList, "AUDITOR, READER, EDITOR, ADMINISTRATOR"))?;
        let name = asked.display_name().trim();
        let is_plain = !name.chars().any(is_hidden) && !has_open_number(name, self.clock.today());
        if name.is_empty() || name.chars().count() > 200 || !is_plain {
            return Err(Error::refused("display_name", Reason::Malformed, "1–200 characters | 1–200 个字符"));
        }
        let area = self.area(by, asked.area(), areas).await?;
        Ok(NewToken {
            display_name: name.to_owned(),
            role,
            area,
            limited_to: asked.limited_to.as_deref().map(|text| self.limit(role, text, kinds)).transpose()?,
            expires_at_ms: self.end(asked)?,
            created_by: by.actor.clone(),
        })
    }

    /// An area inside the caller's and the node's, which the list of divisions knows.
    async fn area(&self, by: &Caller, text: &str, areas: &dyn Areas) -> Result<Area> {
        let own = self.own_area()?;
        let below = own.as_str();
        let area = Area::parse(text)
            .ok_or_else(|| Error::refused("area", Reason::Malformed, format!("{below}, {below}01 …")))?;
        if !own.covers(area.as_str()) {
            return Err(Error::refused("area", Reason::AreaForbidden, below));
        }
        by.need_area("area", area.as_str())?;
        let code = [area.as_str().to_owned()];
        if area != own && !areas.unknown(&code).await?.is_empty() {
            return Err(Error::refused("area", Reason::NotInList, area.as_str()));
        }
        Ok(area)
    }

    fn own_area(&self) -> Result<Area> {
        Area::parse(&self.node).ok_or_else(|| Error::broken("the node's code is no area"))
    }

    /// What a token is limited to. An empty text is refused: a script whose variable is empty must not make a token without limit.
    fn limit(&self, role: Role, text: &str, kinds: &Kinds) -> Result<String> {
        let refuse = |detail: &str| Err(Error::refused("limited_to", Reason::Malformed, detail));
        let is_record = text.starts_with("nodes/");
        let owns = |name: &Name| kinds.get(name.kind()).is_some_and(|kind| kind.owns);
        let is_own = || text.parse::<Name>().is_ok_and(|name| name.home() == &*self.node && owns(&name));
        match text {
            _ if role == Role::Administrator || role == Role::Auditor => {
                refuse("for readers and editors | 仅限读者与编辑")
            }
            _ if text.trim().len() != text.len()
                || text.is_empty()
                || text.len() > LIMIT_MAX_BYTES
                || text.chars().any(char::is_control)
                || (is_record && !is_own()) =>
            {
                let node = &*self.node;
                refuse(&format!("nodes/{node}/agencies/ID, or a pairing's key | nodes/{node}/agencies/ID 或结对键"))
            }
            _ => Ok(text.to_owned()),
        }
    }

    fn end(&self, asked: &api::CreateTokenRequest) -> Result<i64> {
        let (now, most) = (self.clock.now_ms(), self.life.life_max_days);
        let days = asked.life_days.filter(|days| *days > 0);
        if days.is_some() && asked.expires_at_ms.is_some() {
            let detail = "absent beside expires_at_ms | 不与 expires_at_ms 同填";
            return Err(Error::refused("life_days", Reason::Malformed, detail));
        }
        match asked.expires_at_ms.or_else(|| days.map(|days| now + i64::from(days) * DAY_MS)) {
            None => Ok(self.end_after(self.life.life_days)),
            Some(end) if end <= now => Err(Error::refused("expires_at_ms", Reason::OutOfOrder, now)),
            Some(end) if end > self.end_after(most) => {
                let detail = format!("at most {most} days from now | 自今日起至多 {most} 天");
                Err(Error::refused("expires_at_ms", Reason::Malformed, detail))
            }
            Some(end) => Ok(end),
        }
    }

    fn end_after(&self, days: u32) -> i64 {
        self.clock.now_ms() + i64::from(days.min(self.life.life_max_days)) * DAY_MS
    }

    /// Makes a token; its secret is in the answer and nowhere else.
    pub async fn create(&self, new: NewToken) -> Result<(api::Token, String)> {
        let (id, secret) = self.save(new, vec![]).await?;
        Ok((self.get(&id).await?, secret))
    }

    async fn save(&self, new: NewToken, mut before: Vec<Statement>) -> Result<(String, String)> {
        let (secret, hash) = generate_token(fresh_secret()?);
        let (id, role, area) = (self.ids.fresh(), number(new.role), new.area.as_str());
        let (now, end) = (self.clock.now_ms(), new.expires_at_ms);
        let binds = binds![&id, hash, new.display_name, role, area, now, end, new.created_by, new.limited_to];
        before.push(Statement::new(INSERT, binds));
        ledger::run(&self.db, &before).await?;
        Ok((id, secret))
    }

    async fn get(&self, id: &str) -> Result<api::Token> {
        let row = self.db.fetch_one(format!("{COLUMNS} WHERE id = $1"), binds![id]).await?;
        token(&row.ok_or_else(|| Error::refused("id", Reason::NotFound, id))?)
    }

    /// A page of the tokens of the caller's area.
    pub async fn list(&self, by: &Caller, asked: &api::ListTokensRequest) -> Result<api::ListTokensResponse> {
        by.need(Role::Administrator)?;
        let size = match asked.page_size() {
            size if size < 0 => return Err(Error::refused("page_size", Reason::Malformed, "0–1000")),
            0 => self.page_records,
            size => self.page_max_records.min(usize::try_from(size).unwrap_or(usize::MAX)),
        };
        let question = format!("tokens {}", by.area);
        let after = page_key::<String>(&question, asked.page_token.as_deref())?.unwrap_or_default();
        let area = Area::parse(&by.area).ok_or_else(|| Error::refused("area", Reason::AreaForbidden, &by.area))?;
        let (from, until) = match area.as_str() {
            Area::NATION => (String::new(), ":".to_owned()),
            code => (code.to_owned(), area.after().unwrap_or_else(|| ":".to_owned())),
        };
        let sql = format!("{COLUMNS} WHERE id > $1 AND area >= $2 AND area < $3 ORDER BY id LIMIT $4");
        let rows = self.db.fetch(sql, binds![after, from, until, size as u64 + 1]).await?;
        let mut tokens = rows.iter().map(token).collect::<Result<Vec<_>>>()?;
        let more = tokens.len() > size;
        tokens.truncate(size);
        let last = tokens.last().filter(|_| more).map(|token| token.id().to_owned());
        let next_page_token = last.map(|id| page_token(&question, &id)).transpose()?;
        Ok(api::ListTokensResponse { tokens, next_page_token })
    }

    /// Revokes a token of the caller's area, and tells the node's processes.
    pub async fn revoke(&self, by: &Caller, id: &str, ledger: &Ledger) -> Result<api::Token> {
        by.need(Role::Administrator)?;
        if id.is_empty() {
            return Err(Error::refused("id", Reason::Required, ""));
        }
        if !by.covers(self.get(id).await?.area()) {
            return Err(Error::refused("id", Reason::NotFound, id));
        }
        let binds = binds![id, self.clock.now_ms(), number(Role::Administrator), &*self.node];
        ledger::run(&self.db, &[Statement::new(ONE_AT_A_TIME, vec![]), Statement::new(REVOKE, binds)]).await?;
        let token = self.get(id).await?;
        if token.revoked_at_ms.is_none() {
            let zh = "这是本节点最后一个有效的管理员令牌；请先另建一个：qianshou token create";
            let en = "the last administrator of this node: make another first with `qianshou token create`";
            return Err(Error::told("id", Reason::StillReferenced, format!("id：{zh}"), format!("id: {en}")));
        }
        ledger.tell(TOKEN_REVOKED).await;
        Ok(token)
    }

    /// Notes that a token is used, behind the call's back and no more than once an hour.
    fn note_use(&self, id: &str, used: Option<i64>) {
        let now = self.clock.now_ms();
        let before = now - USED_TO_MS;
        if used.is_some_and(|used| used >= before) {
            return;
        }
        let (db, statement) = (self.db.clone(), Statement::new(USED, binds![id, now, before]));
        tokio::spawn(async move {
            if let Err(error) = ledger::run(&db, &[statement]).await {
                tracing::debug!(%error, "a token's use was not noted");
            }
        });
    }
}

/// Who acts that holds the node's folder.
const OPERATOR: &str = "operator";

impl Caller {
    /// Whoever holds the node's folder.
    #[must_use]
    pub fn operator() -> Self {
        Self::new(OPERATOR, Role::Administrator, Area::NATION)
    }
}

impl Tokens for StoredTokens {
    fn find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Caller>>> {
        Box::pin(async move {
            let sql = "SELECT id, role, area, limited_to, used_at FROM tokens WHERE hash = $1 AND revoked_at IS NULL \
                       AND (expires_at IS NULL OR expires_at > $2)";
            let Some(row) = self.db.fetch_one(sql, binds![hash, self.clock.now_ms()]).await? else { return Ok(None) };
            let (id, held, area) = (row.text(0)?, row.int(1)?, row.text(2)?);
            let role = Role::ALL.into_iter().find(|role| number(*role) == held);
            let role = role.ok_or_else(|| Error::broken("a token's role is none"))?;
            self.note_use(&id, row.maybe_int(4)?);
            let area = if area == *self.node { Area::NATION } else { &area };
            let caller = Caller::new(&format!("tokens/{id}"), role, area);
            Ok(Some(Caller { limited_to: row.maybe_text(3)?, ..caller }))
        })
    }
}

fn number(role: Role) -> i64 {
    i64::from(i32::from(match role {
        Role::Auditor => api::Role::Auditor,
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
        expires_at_ms: row.maybe_int(6)?,
        last_used_at_ms: row.maybe_int(7)?,
        created_by: row.maybe_text(8)?,
        limited_to: row.maybe_text(9)?,
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
    /// Which areas exist.
    pub areas: Arc<dyn Areas>,
    /// Acts that wait for a second administrator.
    pub four_eyes: FourEyes,
}

impl TokenDesk {
    /// A token that lets somebody make others needs a second administrator.
    async fn second_look(&self, caller: &Caller, asked: &api::CreateTokenRequest, new: &NewToken) -> Result<()> {
        if new.role != Role::Administrator {
            return Ok(());
        }
        let (name, area) = (&new.display_name, new.area.as_str());
        let told = [
            format!("为“{name}”创建{area}的管理员令牌"),
            format!("make an administrator's token for {area}, for “{name}”"),
        ];
        let asked = asked.encode_to_vec();
        let act = DoorAct { act: "IdentityService/CreateToken", area: area.to_owned(), asked, told };
        self.four_eyes.pass(caller, act).await
    }
}

#[tonic::async_trait]
impl IdentityService for TokenDesk {
    async fn create_token(
        &self,
        request: Request<api::CreateTokenRequest>,
    ) -> Result<Response<api::CreateTokenResponse>, Status> {
        let caller = caller(&request)?;
        let kinds = self.ledger.kinds();
        let new = self.tokens.wished(&caller, request.get_ref(), &*self.areas, kinds).await?;
        self.second_look(&caller, request.get_ref(), &new).await?;
        let (token, secret) = self.tokens.create(new).await?;
        audit::about(format_args!("tokens/{}", token.id()));
        Ok(Response::new(api::CreateTokenResponse { token: Some(token), secret: Some(secret) }))
    }

    async fn list_tokens(
        &self,
        request: Request<api::ListTokensRequest>,
    ) -> Result<Response<api::ListTokensResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.tokens.list(&caller, request.get_ref()).await?))
    }

    async fn revoke_token(
        &self,
        request: Request<api::RevokeTokenRequest>,
    ) -> Result<Response<api::RevokeTokenResponse>, Status> {
        let caller = caller(&request)?;
        let token = self.tokens.revoke(&caller, request.get_ref().id(), &self.ledger).await?;
        self.cache.forget();
        Ok(Response::new(api::RevokeTokenResponse { token: Some(token) }))
    }

    async fn list_pending_acts(
        &self,
        request: Request<api::ListPendingActsRequest>,
    ) -> Result<Response<api::ListPendingActsResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.four_eyes.list(&caller, request.get_ref()).await?))
    }

    async fn get_pending_act(
        &self,
        request: Request<api::GetPendingActRequest>,
    ) -> Result<Response<api::GetPendingActResponse>, Status> {
        let act = self.four_eyes.get(&caller(&request)?, request.get_ref().id()).await?;
        Ok(Response::new(api::GetPendingActResponse { pending_act: Some(act) }))
    }

    async fn approve_pending_act(
        &self,
        request: Request<api::ApprovePendingActRequest>,
    ) -> Result<Response<api::ApprovePendingActResponse>, Status> {
        let (caller, asked) = (caller(&request)?, request.get_ref());
        let act = self.four_eyes.decide(&caller, asked.id(), true, asked.reason()).await?;
        Ok(Response::new(api::ApprovePendingActResponse { pending_act: Some(act) }))
    }

    async fn reject_pending_act(
        &self,
        request: Request<api::RejectPendingActRequest>,
    ) -> Result<Response<api::RejectPendingActResponse>, Status> {
        let (caller, asked) = (caller(&request)?, request.get_ref());
        let act = self.four_eyes.decide(&caller, asked.id(), false, asked.reason()).await?;
        Ok(Response::new(api::RejectPendingActResponse { pending_act: Some(act) }))
    }
}
