//! What is counted nowhere, and why: a keyset, never an OFFSET.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use qianshou_kernel::{
    error::{Error, Reason, Result},
    id::Area,
    identity::{Caller, Role},
};
use qianshou_proto::reporting::v1::{ListProblemsRequest, ListProblemsResponse, Problem};

use crate::{
    Reporting,
    store::{Listing, ProblemKey},
};

/// Problems on one page, when nothing else is asked for.
const PAGE_PROBLEMS: usize = 100;
/// Problems on one page at most.
const PAGE_MAX_PROBLEMS: usize = 1_000;

impl Reporting {
    /// One page of what the caller may see: everything for who answers for the whole node, else what lies in their
    /// area.
    pub(super) async fn problems(&self, caller: &Caller, asked: ListProblemsRequest) -> Result<ListProblemsResponse> {
        caller.need(Role::Reader)?;
        let within = if caller.covers(self.ledger.node()) {
            None
        } else {
            Some(Area::parse(&caller.area).ok_or_else(|| Error::refused("", Reason::AreaForbidden, &caller.area))?)
        };
        let size = match asked.page_size.unwrap_or(0) {
            0 => PAGE_PROBLEMS,
            size => usize::try_from(size)
                .map_err(|_| Error::refused("page_size", Reason::Malformed, format!("0–{PAGE_MAX_PROBLEMS}")))?,
        };
        let size = size.min(PAGE_MAX_PROBLEMS);
        let after = read_token(asked.page_token())?;
        let mut problems = self.store.problems(within.as_ref(), &after, size + 1).await?;
        let more = problems.len() > size;
        problems.truncate(size);
        let next_page_token = problems.last().filter(|_| more).map(|last| write_token(&last.key));
        Ok(ListProblemsResponse { problems: problems.into_iter().map(message).collect(), next_page_token })
    }
}

/// The record that has to be mended is what is named, not the subject that it belongs to.
fn message(Listing { key, reason_zh, reason_en }: Listing) -> Problem {
    let (subject, indicator) = (Some(key.record), Some(key.indicator));
    Problem { subject, indicator, reason_zh: Some(reason_zh), reason_en: Some(reason_en) }
}

fn write_token(key: &ProblemKey) -> String {
    URL_SAFE_NO_PAD.encode([&*key.record, &*key.indicator, &*key.subject].join("\n"))
}

fn read_token(token: &str) -> Result<ProblemKey> {
    if token.is_empty() {
        return Ok(ProblemKey { record: String::new(), indicator: String::new(), subject: String::new() });
    }
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.as_deref().and_then(|text| {
        let mut parts = text.splitn(3, '\n').map(str::to_owned);
        Some(ProblemKey { record: parts.next()?, indicator: parts.next()?, subject: parts.next()? })
    });
    key.ok_or_else(|| Error::refused("page_token", Reason::BadPageToken, ""))
}
