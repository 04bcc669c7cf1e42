//! Proposals as callers see them: made, read, listed, decided. Only the two areas and those above them see one. What is accepted is written
//! by the record's ordinary verb, in one commit with the decision.

use prost::Message;
use qianshou_kernel::{
    binds,
    clock::format_day,
    db::{Row, Statement},
    error::{Error, Reason, Result, is_hidden},
    id::{Area, Name},
    identity::{Caller, Role},
    kind::{ANSWER_MAX_BYTES, Act, has_open_number, page_key, page_token, request_of},
    ledger::{self, Ledger, Request},
};
use qianshou_proto::registry::v1::{
    CreateProposalRequest, DecideProposalRequest, DecideProposalResponse, ListProposalsRequest, ListProposalsResponse,
    Proposal, ProposalAct, ProposalDecision, ProposalState, proposal::Record,
};

use crate::{
    Registry,
    domain::{
        Assessments, Certificates, Employments, Merges, Moves, Recognitions, Workers,
        proposal::{ANSWER_WORKING_DAYS, By, decide, is_escalated},
        workdays,
    },
};

/// How they are called in names.
const COLLECTION: &str = "proposals";
/// Proposals of one area that are not decided, at most.
const OPEN_MAX: u64 = 1_000;
/// What one proposal weighs at most.
const PROPOSAL_MAX_BYTES: usize = 64 << 10;
/// Proposals on a page at most.
const PAGE_MAX: usize = 100;

/// Does `$do` with the noun and the record of a proposal; `$again` makes the proposal's record of a noun's.
macro_rules! of_record {
    ($given:expr, $noun:ident, $record:ident, $again:ident => $do:expr) => {
        of_record! { $given, $noun, $record, $again => $do;
            Worker Workers, Certificate Certificates, Employment Employments, Merge Merges, Move Moves,
            Recognition Recognitions, Assessment Assessments }
    };
    ($given:expr, $noun:ident, $record:ident, $again:ident => $do:expr; $($Record:ident $Noun:ident),+) => {
        match $given {$(
            Record::$Record($record) => {
                type $noun = $Noun;
                let $again = Record::$Record;
                $do
            }
        )+}
    };
}

/// A proposal as it is kept, with the request that made it.
struct Kept {
    proposal: Proposal,
    asked: Vec<u8>,
}

impl Kept {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self { proposal: Proposal::decode(&row.bytes(0)?[..])?, asked: row.bytes(1)? })
    }

    /// The first answer to a request, if this is the same request.
    fn again(self, request: &Request) -> Result<Proposal> {
        if self.asked == request.digest {
            Ok(self.proposal)
        } else {
            Err(Error::refused("request_id", Reason::RequestIdReused, ""))
        }
    }
}

impl Registry {
    /// Makes a proposal.
    pub(super) async fn propose(&self, caller: &Caller, asked: CreateProposalRequest) -> Result<Proposal> {
        caller.need(Role::Editor)?;
        let request = request_of(caller, asked.request_id.as_deref(), "CreateProposal", &asked)?;
        if let Some(request) = &request
            && let Some(first) = self.of_request(&request.id).await?
        {
            return first.again(request).map(|first| self.today(first));
        }
        let given = asked.proposal.ok_or_else(|| Error::refused("proposal", Reason::Required, ""))?;
        let mut proposal = self.formed(caller, given).await?;
        if asked.validate_only.unwrap_or(false) {
            return Ok(self.today(proposal));
        }
        let name = Name::of(self.verbs.ledger.node(), COLLECTION, &self.verbs.ids.fresh());
        proposal.name = Some(name.to_string());
        let request = request.unwrap_or_else(|| Request { id: name.to_string(), digest: [0; 32] });
        if self.insert(&proposal, &request).await? {
            return Ok(self.today(proposal));
        }
        let first = self.of_request(&request.id).await?;
        let first = first.ok_or_else(|| Error::broken("a proposal that stood in the way is gone"))?;
        first.again(&request).map(|first| self.today(first))
    }

    /// What was given, in its form. Nothing here depends on what lies outside the caller's area.
    async fn formed(&self, caller: &Caller, given: Proposal) -> Result<Proposal> {
        let outputs = [
            ("name", given.name.is_some()),
            ("from_area", given.from_area.is_some()),
            ("state", given.state.is_some()),
            ("proposed_on", given.proposed_on.is_some()),
            ("due_on", given.due_on.is_some()),
            ("due_provisional", given.due_provisional.is_some()),
            ("escalated", given.escalated.is_some()),
            ("disputed", given.disputed.is_some()),
            ("decided_on", given.decided_on.is_some()),
            ("decided_by", given.decided_by.is_some()),
            ("decision_reason", given.decision_reason.is_some()),
            ("written", given.written.is_some()),
        ];
        if let Some((field, _)) = outputs.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Error::refused(field, Reason::ReadOnly, ""));
        }
        let to = self.asked_area(caller, given.to_area.as_deref()).await?;
        let from = Area::parse(&caller.area).ok_or_else(|| Error::refused("", Reason::AreaForbidden, &caller.area))?;
        let act = act_of(&given)?;
        let paths = given.update_mask.as_ref().map(|mask| &mask.paths[..]);
        let record = given.record.ok_or_else(|| Error::refused("record", Reason::Required, ""))?;
        if matches!(record, Record::Worker(_)) && act == Act::Create {
            let zh = "act：人员由各地区自行登记，不需提案；请先在本地区登记，再提案修改";
            let en = "act: every area registers people by itself; create the worker in your area, then propose a change of it";
            return Err(Error::told("act", Reason::NotInList, zh, en));
        }
        let record = of_record!(record, N, record, again => {
            again(self.verbs.proposed::<N>(caller, act, record, paths).await?)
        });
        let today = self.verbs.ledger.clock().today();
        let due = workdays::due(today, ANSWER_WORKING_DAYS);
        let proposal = Proposal {
            from_area: Some(from.as_str().to_owned()),
            to_area: Some(to.as_str().to_owned()),
            act: given.act,
            record: Some(record),
            update_mask: given.update_mask,
            reason: self.reason(given.reason)?,
            state: Some(ProposalState::Proposed.into()),
            proposed_on: Some(format_day(today)),
            due_on: Some(format_day(due.on)),
            due_provisional: Some(due.provisional),
            disputed: Some(false),
            ..Proposal::default()
        };
        if proposal.encoded_len() > PROPOSAL_MAX_BYTES {
            let detail = format!("{PROPOSAL_MAX_BYTES} bytes | {PROPOSAL_MAX_BYTES} 字节");
            return Err(Error::refused("proposal", Reason::TooLong, detail));
        }
        Ok(proposal)
    }

    /// The area that is asked: one of this node's that is not in the caller's.
    async fn asked_area(&self, caller: &Caller, text: Option<&str>) -> Result<Area> {
        let text = text.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Error::refused("to_area", Reason::Required, ""))?;
        let malformed = || Error::refused("to_area", Reason::Malformed, "2, 4, 6, 9, 12 digits");
        let area = Area::parse(text).ok_or_else(malformed)?;
        let node = self.verbs.ledger.node();
        let code = area.as_str().to_owned();
        let lies_here = Area::parse(node).is_some_and(|node| node.covers(&code));
        let is_listed = code == node || self.verbs.areas.unknown(std::slice::from_ref(&code)).await?.is_empty();
        if !lies_here || !is_listed {
            return Err(Error::refused("to_area", Reason::NotInList, &code));
        }
        if caller.covers(&code) {
            let zh = format!("to_area：{code} 在您的辖区内，不需提案，请直接办理");
            let en = format!("to_area: {code} lies in your area; write the record yourself");
            return Err(Error::told("to_area", Reason::Malformed, zh, en));
        }
        Ok(area)
    }

    /// A reason that people read.
    fn reason(&self, reason: Option<String>) -> Result<Option<String>> {
        let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let Some(text) = &reason else { return Ok(None) };
        if text.chars().any(is_hidden) {
            return Err(Error::refused("reason", Reason::ControlCharacter, ""));
        }
        let most = self.verbs.text_max_chars;
        if text.chars().count() > most {
            return Err(Error::refused("reason", Reason::TooLong, format!("{most} characters | {most} 个字符")));
        }
        if has_open_number(text, self.verbs.ledger.clock().today()) {
            let detail = "a text without a citizen number | 不含公民身份号码的文字";
            return Err(Error::refused("reason", Reason::Malformed, detail));
        }
        Ok(reason)
    }

    /// Keeps a new proposal. `false`: the request has one already.
    async fn insert(&self, proposal: &Proposal, request: &Request) -> Result<bool> {
        const OPEN: &str = "SELECT COUNT(*) FROM registry_proposals WHERE from_area = $1 AND state = $2";
        const INSERT: &str = "INSERT INTO registry_proposals \
             (name, request, asked, from_area, to_area, state, disputed, due_on, proposal) \
             VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7, $8) ON CONFLICT (request) DO NOTHING";
        let db = self.verbs.ledger.db();
        let state = short(proposal.state());
        let open = db.fetch_one(OPEN, binds![proposal.from_area(), &state]).await?;
        if open.map_or(Ok(0), |row| row.count(0))? >= OPEN_MAX {
            return Err(Error::refused("proposal", Reason::TooMany, OPEN_MAX));
        }
        let bytes = proposal.encode_to_vec();
        let binds = binds![
            proposal.name(),
            &request.id,
            &request.digest[..],
            proposal.from_area(),
            proposal.to_area(),
            state,
            proposal.due_on(),
            bytes
        ];
        ledger::run(db, &[Statement::expecting(INSERT, binds, 1)]).await
    }

    async fn of_request(&self, id: &str) -> Result<Option<Kept>> {
        const SQL: &str = "SELECT proposal, asked FROM registry_proposals WHERE request = $1";
        self.verbs.ledger.db().fetch_one(SQL, binds![id]).await?.as_ref().map(Kept::read).transpose()
    }

    /// Reads a proposal that the caller sees.
    pub(super) async fn proposal(&self, caller: &Caller, name: Option<&str>) -> Result<Proposal> {
        caller.need(Role::Reader)?;
        self.seen(caller, name).await.map(|proposal| self.today(proposal))
    }

    /// A proposal from or to the caller's area; any other is not found.
    async fn seen(&self, caller: &Caller, name: Option<&str>) -> Result<Proposal> {
        const SQL: &str = "SELECT proposal, asked FROM registry_proposals WHERE name = $1";
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Error::refused("name", Reason::Required, ""))?;
        let kept = self.verbs.ledger.db().fetch_one(SQL, binds![name]).await?.as_ref().map(Kept::read).transpose()?;
        let kept = kept.map(|kept| kept.proposal);
        let seen = kept.filter(|p| caller.covers(p.from_area()) || caller.covers(p.to_area()));
        seen.ok_or_else(|| Error::refused("name", Reason::NotFound, COLLECTION))
    }

    /// As it stands today.
    fn today(&self, proposal: Proposal) -> Proposal {
        let escalated = is_escalated(&proposal, self.verbs.ledger.clock().today());
        Proposal { escalated: Some(escalated), ..proposal }
    }

    /// A page of the proposals that the caller sees.
    pub(super) async fn proposals(
        &self,
        caller: &Caller,
        asked: ListProposalsRequest,
    ) -> Result<ListProposalsResponse> {
        const ALL: &str = "SELECT proposal, asked FROM registry_proposals WHERE name > $1 AND ($2 = '' OR state = $2) \
             AND ((from_area >= $3 AND from_area < $4) OR (to_area >= $3 AND to_area < $4)) ORDER BY name LIMIT $5";
        const TO_DECIDE: &str = "SELECT proposal, asked FROM registry_proposals WHERE name > $1 \
             AND ($2 = '' OR state = $2) AND state = 'PROPOSED' AND to_area >= $3 AND to_area < $4 \
             AND ((disputed = FALSE AND (due_on < $6 OR from_area < $3 OR from_area >= $4)) \
             OR (disputed = TRUE AND from_area >= $3 AND from_area < $4)) ORDER BY name LIMIT $5";
        caller.need(Role::Reader)?;
        let size = self.verbs.page_size(asked.page_size)?.min(PAGE_MAX);
        let state = match asked.state {
            None | Some(0) => String::new(),
            Some(_) if asked.state() == ProposalState::Unspecified => {
                return Err(Error::refused("state", Reason::NotInList, "PROPOSED, ACCEPTED, REFUSED, WITHDRAWN"));
            }
            Some(_) => short(asked.state()),
        };
        let question = format!("{COLLECTION} {} {state} {}", caller.area, asked.to_decide());
        let after: Option<String> = page_key(&question, asked.page_token.as_deref())?;
        let (from, until) = bounds(&caller.area)?;
        let mut binds = binds![after.unwrap_or_default(), state, from, until, size as u64 + 1];
        let sql = if asked.to_decide() {
            binds.extend(binds![format_day(self.verbs.ledger.clock().today())]);
            TO_DECIDE
        } else {
            ALL
        };
        let rows = self.verbs.ledger.db().fetch(sql, binds).await?;
        let mut bytes = 0;
        let mut proposals = vec![];
        for row in &rows {
            let proposal = self.today(Kept::read(row)?.proposal);
            bytes += proposal.encoded_len() + 16;
            if proposals.len() == size || bytes > ANSWER_MAX_BYTES {
                break;
            }
            proposals.push(proposal);
        }
        let more = proposals.len() < rows.len();
        let next = proposals.last().filter(|_| more).map(|last| page_token(&question, &last.name()));
        Ok(ListProposalsResponse { next_page_token: next.transpose()?, proposals })
    }

    /// Decides a proposal; one that is accepted is carried out.
    pub(super) async fn decided(
        &self,
        caller: &Caller,
        asked: DecideProposalRequest,
    ) -> Result<DecideProposalResponse> {
        caller.need(Role::Editor)?;
        let stood = self.seen(caller, asked.name.as_deref()).await?;
        let area = Area::parse(&caller.area).map_or_else(|| caller.area.clone(), |area| area.as_str().to_owned());
        let covers = |area: &str, code: &str| Area::parse(area).is_some_and(|area| area.covers(code));
        let by = By {
            holds_from: caller.covers(stood.from_area()),
            holds_to: caller.covers(stood.to_area()),
            decided_above: covers(stood.decided_by(), stood.from_area()),
            area,
        };
        let decision = asked.decision();
        let today = self.verbs.ledger.clock().today();
        let decided = decide(&stood, decision, self.reason(asked.reason)?, &by, today)?;
        if decision == ProposalDecision::Accept {
            return self.carry_out(caller, &stood, decided).await;
        }
        if !ledger::run(self.verbs.ledger.db(), &[moved(&stood, &decided)]).await? {
            let (zh, en) = ("name：已由他人处理，请重新读取", "name: was decided meanwhile; read it again");
            return Err(Error::told("name", Reason::StaleVersion, zh, en));
        }
        Ok(DecideProposalResponse { proposal: Some(self.today(decided)), position: None })
    }

    /// Writes what was proposed: what is outside the caller's area has to lie in the area that proposed.
    async fn carry_out(&self, caller: &Caller, stood: &Proposal, decided: Proposal) -> Result<DecideProposalResponse> {
        let together = caller.agreeing_with(stood.from_area());
        let act = act_of(stood)?;
        let paths = stood.update_mask.as_ref().map(|mask| &mask.paths[..]);
        let record = stood.record.clone().ok_or_else(|| Error::broken("a proposal holds no record"))?;
        let named = |name: &str| Proposal { written: Some(name.to_owned()), ..decided.clone() };
        let with = |name: &Name| moved(stood, &named(name.as_str()));
        let (name, position) = of_record!(record, N, record, _again => {
            let done = self.verbs.carry_out::<N>(&together, act, record, paths, &with).await?;
            (done.noun.name, done.position)
        });
        let proposal = self.today(named(&name.unwrap_or_default()));
        Ok(DecideProposalResponse { proposal: Some(proposal), position: Some(position) })
    }
}

/// The statements that take what was proposed out of all proposals which name one of these records.
pub(crate) async fn without(ledger: &Ledger, names: &[&str]) -> Result<Vec<Statement>> {
    const NEXT: &str = "SELECT proposal, asked FROM registry_proposals WHERE name > $1 ORDER BY name LIMIT 100";
    const CLEAR: &str = "UPDATE registry_proposals SET state = $2, proposal = $3, asked = $4 WHERE name = $1";
    let (mut statements, mut after) = (vec![], String::new());
    loop {
        let rows = ledger.db().fetch(NEXT, binds![&after]).await?;
        let proposals = rows.iter().map(|row| Ok(Kept::read(row)?.proposal)).collect::<Result<Vec<_>>>()?;
        let Some(last) = proposals.last() else { return Ok(statements) };
        after = last.name().to_owned();
        for proposal in proposals.into_iter().filter(|proposal| proposal.record.is_some()) {
            let said = proposal.encode_to_vec();
            if !names.iter().any(|name| said.windows(name.len()).any(|part| part == name.as_bytes())) {
                continue;
            }
            let is_open = proposal.state() == ProposalState::Proposed;
            let state = if is_open { ProposalState::Withdrawn } else { proposal.state() };
            let cleared = Proposal {
                state: Some(state.into()),
                record: None,
                reason: None,
                decision_reason: None,
                written: None,
                ..proposal
            };
            let binds = binds![cleared.name(), short(state), cleared.encode_to_vec(), vec![0_u8; 32]];
            statements.push(Statement::new(CLEAR, binds));
        }
    }
}

fn act_of(proposal: &Proposal) -> Result<Act> {
    match proposal.act() {
        ProposalAct::Create => Ok(Act::Create),
        ProposalAct::Update => Ok(Act::Update),
        ProposalAct::Delete => Ok(Act::Delete),
        ProposalAct::Unspecified => Err(Error::refused("act", Reason::Required, "")),
    }
}

fn short(state: ProposalState) -> String {
    state.as_str_name().trim_start_matches("PROPOSAL_STATE_").to_owned()
}

/// The statement that keeps a decision, unless another was taken meanwhile.
fn moved(stood: &Proposal, decided: &Proposal) -> Statement {
    const SQL: &str = "UPDATE registry_proposals SET state = $2, disputed = $3, proposal = $4 \
         WHERE name = $1 AND state = $5 AND disputed = $6";
    let bytes = decided.encode_to_vec();
    let new = (short(decided.state()), decided.disputed());
    let binds = binds![decided.name(), new.0, new.1, bytes, short(stood.state()), stood.disputed()];
    Statement::expecting(SQL, binds, 1)
}

/// The first code of an area and the first beyond it; every area that proposes or is asked is between those of the nation.
fn bounds(area: &str) -> Result<(String, String)> {
    let area = Area::parse(area).ok_or_else(|| Error::refused("", Reason::AreaForbidden, area))?;
    if area.as_str() == Area::NATION {
        return Ok(("0".to_owned(), ":".to_owned()));
    }
    Ok((area.as_str().to_owned(), area.after().unwrap_or_else(|| ":".to_owned())))
}
