//! Four eyes: with `[security] four_eyes` an act that opens a door needs a second administrator. The first call keeps what was asked for and
//! is refused; an administrator of another line approves; the first repeats the same call, which is carried out once.
//!
//! An operator at the machine is beside this rule: who holds the folder holds the keys.

use qianshou_proto::identity::v1::{self as api, PendingActState as State};
use sha2::{Digest as _, Sha256};

use super::{Caller, Role};
use crate::{
    audit, binds,
    clock::Clock,
    config::Config,
    db::{Db, Row, Statement},
    error::{Error, Reason, Result, is_hidden},
    id::{Area, Ids},
    kind::{has_open_number, page_key, page_token},
    ledger,
};

/// An act that opens a door: what is asked for, exactly and in words.
#[derive(Clone, Debug)]
pub struct DoorAct {
    /// `IdentityService/CreateToken`
    pub act: &'static str,
    /// The area it is about; whoever approves holds it.
    pub area: String,
    /// The request's bytes.
    pub asked: Vec<u8>,
    /// What it does, in Chinese and in English.
    pub told: [String; 2],
}

/// The acts that wait for a second administrator.
#[derive(Clone)]
pub struct FourEyes {
    db: Db,
    clock: Clock,
    ids: Ids,
    node: std::sync::Arc<str>,
    is_on: bool,
    keep_ms: i64,
    page_records: usize,
    page_max_records: usize,
}

const DAY_MS: i64 = 86_400_000;
/// Acts of one caller that wait at a time.
const WAITING_MAX: u64 = 20;
/// How long an act stays on the list after its end; the audit keeps it longer.
const FORGET_MS: i64 = 90 * DAY_MS;
/// Makers of makers of a token that are looked at.
const LINE_MAX: usize = 64;
const REASON_MAX_CHARS: usize = 500;

const COLUMNS: &str = "SELECT a.id, a.act, a.told_zh, a.told_en, a.area, a.requested_by, a.requested_at, a.expires_at, a.state, \
                       a.decided_by, a.decided_at, a.reason, t.display_name FROM pending_acts a LEFT JOIN tokens t ON \
                       a.requested_by = 'tokens/' || t.id";
/// An approval holds as long as the token of whoever gave it.
const FIND: &str = "SELECT a.id, a.state FROM pending_acts a WHERE a.digest = $1 AND a.expires_at > $2 AND (a.state = 1 OR (a.state = 2 \
                    AND EXISTS (SELECT 1 FROM tokens t WHERE a.decided_by = 'tokens/' || t.id AND t.revoked_at IS NULL \
                    AND (t.expires_at IS NULL OR t.expires_at > $2)))) ORDER BY a.state DESC, a.id LIMIT 1";
const WAITING: &str =
    "SELECT CAST(COUNT(*) AS BIGINT) FROM pending_acts WHERE requested_by = $1 AND state = 1 AND expires_at > $2";
const INSERT: &str = "INSERT INTO pending_acts (id, act, digest, told_zh, told_en, area, requested_by, requested_at, expires_at, state) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)";
const FORGET: &str = "DELETE FROM pending_acts WHERE expires_at < $1";
const USE: &str = "UPDATE pending_acts SET state = 4, used_by = $2 WHERE id = $1 AND state = 2";
const USED: &str = "SELECT used_by FROM pending_acts WHERE id = $1";
const DECIDE: &str = "UPDATE pending_acts SET state = $2, decided_by = $3, decided_at = $4, reason = $5 WHERE id = $1 AND state = 1 \
                      AND expires_at > $4";
const MADE: &str = "SELECT display_name, created_by FROM tokens WHERE id = $1";

impl FourEyes {
    /// As the node is configured.
    #[must_use]
    pub fn new(db: Db, clock: Clock, ids: Ids, config: &Config) -> Self {
        let (page_records, page_max_records) = (config.limits.list_page_records, config.limits.list_page_max_records);
        let (is_on, keep_ms) = (config.security.four_eyes, i64::from(config.security.four_eyes_days) * DAY_MS);
        Self { db, clock, ids, node: config.node.code.as_str().into(), is_on, keep_ms, page_records, page_max_records }
    }

    /// Lets an act pass where the rule is off, or once where another administrator approved of it; what was approved is used up by that.
    ///
    /// # Errors
    /// NEEDS_SECOND_ADMINISTRATOR, with the id under which it waits.
    pub async fn pass(&self, caller: &Caller, act: DoorAct) -> Result<()> {
        if !self.is_on {
            return Ok(());
        }
        let hash = Sha256::new_with_prefix(act.act).chain_update([0]).chain_update(&caller.actor).chain_update([0]);
        let digest = hex::encode(hash.chain_update(&act.asked).finalize());
        let found = self.db.fetch_one(FIND, binds![&digest, self.clock.now_ms()]).await?;
        let found = found.map(|row| Ok::<_, Error>((row.text(0)?, row.int(1)?))).transpose()?;
        let id = match found {
            Some((id, state)) if state == number(State::Approved) => {
                audit::about(format_args!("approvals/{id}"));
                // Of two calls that use it at once one comes first.
                let mine = self.ids.fresh();
                ledger::run(&self.db, &[Statement::new(USE, binds![&id, &mine])]).await?;
                let used = self.db.fetch_one(USED, binds![&id]).await?;
                match used.map(|row| row.maybe_text(0)).transpose()?.flatten() {
                    Some(by) if by == mine => return Ok(()),
                    _ => self.keep(caller, &act, &digest).await?,
                }
            }
            Some((id, _)) => id,
            None => self.keep(caller, &act, &digest).await?,
        };
        audit::about(format_args!("approvals/{id}"));
        Err(Error::refused("", Reason::NeedsSecondAdministrator, id))
    }

    /// Keeps an act until it is decided.
    async fn keep(&self, caller: &Caller, act: &DoorAct, digest: &str) -> Result<String> {
        let now = self.clock.now_ms();
        let waiting = self.db.fetch_one(WAITING, binds![&caller.actor, now]).await?;
        if waiting.map_or(Ok(0), |row| row.count(0))? >= WAITING_MAX {
            return Err(Error::refused("approvals", Reason::TooMany, WAITING_MAX));
        }
        let (id, [zh, en]) = (self.ids.fresh(), &act.told);
        let binds = binds![&id, act.act, digest, zh, en, &act.area, &caller.actor, now, now + self.keep_ms];
        let forget = Statement::new(FORGET, binds![now - FORGET_MS]);
        ledger::run(&self.db, &[forget, Statement::new(INSERT, binds)]).await?;
        tracing::info!(id, act = act.act, actor = caller.actor, "an act waits for a second administrator");
        Ok(id)
    }

    /// The acts of the caller's area, oldest first.
    pub(super) async fn list(
        &self,
        by: &Caller,
        asked: &api::ListPendingActsRequest,
    ) -> Result<api::ListPendingActsResponse> {
        by.need(Role::Administrator)?;
        let size = match asked.page_size() {
            size if size < 0 => return Err(Error::refused("page_size", Reason::Malformed, "0–1000")),
            0 => self.page_records,
            size => self.page_max_records.min(usize::try_from(size).unwrap_or(usize::MAX)),
        };
        let question = format!("pending acts {}", by.area);
        let after = page_key::<String>(&question, asked.page_token.as_deref())?.unwrap_or_default();
        let area = Area::parse(&by.area).ok_or_else(|| Error::refused("area", Reason::AreaForbidden, &by.area))?;
        let (from, until) = match area.as_str() {
            Area::NATION => (String::new(), ":".to_owned()),
            code => (code.to_owned(), area.after().unwrap_or_else(|| ":".to_owned())),
        };
        let sql = format!("{COLUMNS} WHERE a.id > $1 AND a.area >= $2 AND a.area < $3 ORDER BY a.id LIMIT $4");
        let rows = self.db.fetch(sql, binds![after, from, until, size as u64 + 1]).await?;
        let mut acts = rows.iter().map(|row| self.act(row)).collect::<Result<Vec<_>>>()?;
        let more = acts.len() > size;
        acts.truncate(size);
        let last = acts.last().filter(|_| more).map(|act| act.id().to_owned());
        let next_page_token = last.map(|id| page_token(&question, &id)).transpose()?;
        Ok(api::ListPendingActsResponse { pending_acts: acts, next_page_token })
    }

    /// One act of the caller's area.
    pub(super) async fn get(&self, by: &Caller, id: &str) -> Result<api::PendingAct> {
        by.need(Role::Administrator)?;
        if id.is_empty() {
            return Err(Error::refused("id", Reason::Required, ""));
        }
        let row = self.db.fetch_one(format!("{COLUMNS} WHERE a.id = $1"), binds![id]).await?;
        let act = row.map(|row| self.act(&row)).transpose()?.filter(|act| self.holds(by, act.area()));
        act.ok_or_else(|| Error::refused("id", Reason::NotFound, id))
    }

    /// Whoever answers for the whole node answers for its own code.
    fn holds(&self, by: &Caller, area: &str) -> bool {
        by.covers(area) || (by.covers_all() && area == &*self.node)
    }

    /// Approves of an act, or rejects it.
    pub(super) async fn decide(&self, by: &Caller, id: &str, approve: bool, reason: &str) -> Result<api::PendingAct> {
        let act = self.get(by, id).await?;
        if reason.chars().count() > REASON_MAX_CHARS
            || reason.chars().any(is_hidden)
            || has_open_number(reason, self.clock.today())
        {
            let detail = format!("at most {REASON_MAX_CHARS} characters | 至多 {REASON_MAX_CHARS} 个字符");
            return Err(Error::refused("reason", Reason::Malformed, detail));
        }
        if act.state() != State::Open {
            return Err(decided());
        }
        if approve {
            self.must_be_another(by, act.requested_by()).await?;
        }
        let state = if approve { State::Approved } else { State::Rejected };
        let reason = Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let binds = binds![id, number(state), &by.actor, self.clock.now_ms(), reason];
        ledger::run(&self.db, &[Statement::new(DECIDE, binds)]).await?;
        let act = self.get(by, id).await?;
        if (act.state(), act.decided_by()) == (state, by.actor.as_str()) { Ok(act) } else { Err(decided()) }
    }

    /// Refuses the requester itself, a namesake, and a token of its line: whoever makes a token has seen its secret.
    async fn must_be_another(&self, by: &Caller, requester: &str) -> Result<()> {
        let (ours, theirs) = (self.line(&by.actor).await?, self.line(requester).await?);
        let name = |line: &[(String, String)]| line.first().map(|(_, name)| name.trim().to_lowercase());
        let shared = ours.iter().any(|(actor, _)| theirs.iter().any(|(other, _)| actor == other));
        if !shared && !ours.is_empty() && name(&ours) != name(&theirs) {
            return Ok(());
        }
        Err(Error::told(
            "id",
            Reason::Forbidden,
            "id：需由另一位管理员批准：不同令牌、不同名称，且两个令牌不由同一管理员（直接或间接）创建；可在主机上用 qianshou token create --config 另建",
            "id: another administrator has to approve: another token, another name, and neither token made by the other nor both by one \
             administrator, directly or not; make one at the machine with `qianshou token create --config`",
        ))
    }

    /// A token and who made it, and who made that, up to an operator: actor and name.
    async fn line(&self, actor: &str) -> Result<Vec<(String, String)>> {
        let mut line: Vec<(String, String)> = vec![];
        let mut next = Some(actor.to_owned());
        while let Some(actor) = next.take().filter(|_| line.len() < LINE_MAX) {
            let Some(id) = actor.strip_prefix("tokens/") else { break };
            let Some(row) = self.db.fetch_one(MADE, binds![id]).await? else { break };
            next = row.maybe_text(1)?;
            line.push((actor, row.text(0)?));
        }
        Ok(line)
    }

    fn act(&self, row: &Row) -> Result<api::PendingAct> {
        let expires_at_ms = row.int(7)?;
        let state = State::try_from(i32::try_from(row.int(8)?).unwrap_or(0)).unwrap_or_default();
        let is_over = expires_at_ms <= self.clock.now_ms() && [State::Open, State::Approved].contains(&state);
        Ok(api::PendingAct {
            id: Some(row.text(0)?),
            act: Some(row.text(1)?),
            told_zh: Some(row.text(2)?),
            told_en: Some(row.text(3)?),
            area: Some(row.text(4)?),
            requested_by: Some(row.text(5)?),
            requested_at_ms: Some(row.int(6)?),
            expires_at_ms: Some(expires_at_ms),
            state: Some(if is_over { State::Expired } else { state }.into()),
            decided_by: row.maybe_text(9)?,
            decided_at_ms: row.maybe_int(10)?,
            reason: row.maybe_text(11)?,
            requested_by_name: row.maybe_text(12)?,
        })
    }
}

fn decided() -> Error {
    let zh = "id：此事项已有决定或已过期；请用 qianshou approval list 查看，必要时重新发起";
    let en = "id: this act is decided or over; look with `qianshou approval list`, and ask for it again if it is still wanted";
    Error::told("id", Reason::StaleVersion, zh, en)
}

fn number(state: State) -> i64 {
    i64::from(i32::from(state))
}
