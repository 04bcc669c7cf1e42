//! The service: lists, exports and verifies, for who may audit.

use futures::stream::BoxStream;
use qianshou_proto::audit::v1::{self as api, audit_service_server::AuditService};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    Audit, Log, Signer, Wrong,
    read::{Placed, Wanted, page},
    verify,
};
use crate::{
    error::{Error, Reason, Result},
    id::Area,
    identity::Caller,
    server::caller,
};

/// Lines of a page, when none are asked for and at most.
const PAGE_LINES: usize = 100;
const PAGE_MAX_LINES: usize = 1_000;

/// The service for auditors.
#[derive(Clone)]
pub struct AuditDesk {
    /// What is read.
    pub audit: Audit,
}

/// Who may audit.
fn may_audit<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = caller(request)?;
    caller.may_audit()?;
    Ok(caller)
}

impl AuditDesk {
    /// The area whose callers' lines a caller sees; `None`: everything.
    fn bounds(&self, caller: &Caller) -> Result<Option<Area>> {
        if caller.covers(&self.audit.keys().node) {
            return Ok(None);
        }
        let area = Area::parse(&caller.area);
        area.map(Some).ok_or_else(|| Error::refused("area", Reason::AreaForbidden, &caller.area))
    }

    fn wanted(
        &self,
        caller: &Caller,
        from_ms: Option<i64>,
        until_ms: Option<i64>,
        actor: Option<String>,
        act: Option<String>,
    ) -> Result<Wanted> {
        let from_ms = from_ms.unwrap_or(0);
        let until_ms = until_ms.filter(|until| *until != 0).unwrap_or(i64::MAX);
        if until_ms < from_ms {
            return Err(Error::refused("until_ms", Reason::OutOfOrder, "from_ms"));
        }
        Ok(Wanted {
            from_ms,
            until_ms,
            actor: actor.unwrap_or_default(),
            act: act.unwrap_or_default(),
            area: self.bounds(caller)?,
            after: (from_ms, String::new(), 0),
        })
    }

    /// What was counted so far is listed, too. Where it cannot be written, what is written is listed all the same.
    async fn settle(&self) {
        drop(self.audit.flush().await);
    }

    async fn walk(self, answers: mpsc::Sender<Result<api::VerifyAuditResponse, Status>>) {
        let told = |walked, total| api::VerifyAuditResponse {
            walked: Some(walked),
            total: Some(total),
            ..api::VerifyAuditResponse::default()
        };
        // Whoever is too slow for every step gets the next one.
        let progress = |walked, total| drop(answers.try_send(Ok(told(walked, total))));
        let verified = verify(self.audit.db(), &Signer::from(&**self.audit.keys()), progress).await;
        let last = verified.map(|verified| api::VerifyAuditResponse {
            sound: Some(verified.wrong.is_none()),
            log: verified.wrong.as_ref().map(|wrong| log_number(wrong.log)),
            number: verified.wrong.as_ref().map(|wrong| wrong.number),
            reason_zh: verified.wrong.as_ref().map(|Wrong { zh, .. }| (*zh).to_owned()),
            reason_en: verified.wrong.as_ref().map(|Wrong { en, .. }| (*en).to_owned()),
            ..told(verified.lines, verified.lines)
        });
        // Nobody takes it who has gone away.
        drop(answers.send(last.map_err(Status::from)).await);
    }
}

fn log_number(log: Log) -> i32 {
    i32::from(match log {
        Log::Acts => api::AuditLog::Acts,
        Log::Usage => api::AuditLog::Usage,
    })
}

fn message((log, number, line, digest): Placed) -> api::AuditEntry {
    api::AuditEntry {
        log: Some(log_number(log)),
        number: Some(number),
        at_ms: Some(line.at_ms),
        actor: Some(line.actor),
        role: Some(line.role),
        area: Some(line.area),
        address: Some(line.address),
        act: Some(line.act),
        target: Some(line.target),
        outcome: Some(line.outcome),
        detail: Some(line.detail),
        count: Some(line.count),
        digest: Some(digest.into()),
    }
}

fn place((log, number, line, _): &Placed) -> (i64, String, u64) {
    (line.at_ms, log.as_str().to_owned(), *number)
}

fn token((at_ms, log, number): &(i64, String, u64)) -> String {
    format!("{at_ms}.{log}.{number}")
}

fn read_token(text: &str) -> Result<(i64, String, u64)> {
    let mut parts = text.splitn(3, '.');
    let log = |log: &str| Log::ALL.into_iter().find(|known| known.as_str() == log);
    let mut read = || {
        let at_ms = parts.next()?.parse().ok()?;
        let log = log(parts.next()?)?.as_str().to_owned();
        Some((at_ms, log, parts.next()?.parse::<i64>().ok()?.unsigned_abs()))
    };
    read().ok_or_else(|| Error::refused("page_token", Reason::BadPageToken, ""))
}

#[tonic::async_trait]
impl AuditService for AuditDesk {
    type ExportAuditEntriesStream = BoxStream<'static, Result<api::ExportAuditEntriesResponse, Status>>;
    type VerifyAuditStream = BoxStream<'static, Result<api::VerifyAuditResponse, Status>>;

    async fn list_audit_entries(
        &self,
        request: Request<api::ListAuditEntriesRequest>,
    ) -> Result<Response<api::ListAuditEntriesResponse>, Status> {
        let caller = may_audit(&request)?;
        let asked = request.into_inner();
        let mut wanted = self.wanted(&caller, asked.from_ms, asked.until_ms, asked.actor, asked.act)?;
        if let Some(text) = asked.page_token.filter(|text| !text.is_empty()) {
            wanted.after = read_token(&text)?;
        }
        self.settle().await;
        let size = asked.page_size.filter(|size| *size > 0).map_or(PAGE_LINES, |size| size as usize);
        let size = size.min(PAGE_MAX_LINES);
        let mut lines = page(self.audit.db(), &wanted, size + 1).await?;
        let more = lines.len() > size;
        lines.truncate(size);
        let next = lines.last().filter(|_| more).map(|line| token(&place(line)));
        let entries = lines.into_iter().map(message).collect();
        Ok(Response::new(api::ListAuditEntriesResponse { entries, next_page_token: Some(next.unwrap_or_default()) }))
    }

    async fn export_audit_entries(
        &self,
        request: Request<api::ExportAuditEntriesRequest>,
    ) -> Result<Response<Self::ExportAuditEntriesStream>, Status> {
        let caller = may_audit(&request)?;
        let asked = request.into_inner();
        let wanted = self.wanted(&caller, asked.from_ms, asked.until_ms, asked.actor, asked.act)?;
        self.settle().await;
        let db = self.audit.db().clone();
        let stream = futures::stream::try_unfold(Some(wanted), move |wanted| {
            let db = db.clone();
            async move {
                let Some(mut wanted) = wanted else { return Ok(None) };
                let lines = page(&db, &wanted, PAGE_MAX_LINES).await?;
                let Some(last) = lines.last() else { return Ok(None) };
                wanted.after = place(last);
                let next = (lines.len() == PAGE_MAX_LINES).then_some(wanted);
                let entries = lines.into_iter().map(message).collect();
                Ok::<_, Status>(Some((api::ExportAuditEntriesResponse { entries }, next)))
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn verify_audit(
        &self,
        request: Request<api::VerifyAuditRequest>,
    ) -> Result<Response<Self::VerifyAuditStream>, Status> {
        let caller = may_audit(&request)?;
        caller.need_area("area", &self.audit.keys().node)?;
        self.settle().await;
        let (answers, told) = mpsc::channel(16);
        tokio::spawn(self.clone().walk(answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }
}
