//! What is counted nowhere, and why: a keyset, never an OFFSET.

use qianshou_kernel::{
    error::{Error, Reason, Result},
    id::Area,
    identity::{Caller, Role},
    kind::{page_key, page_token},
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

/// Nothing that is asked decides what is listed but who asks.
const QUESTION: &str = "problems";

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
        let key: Option<(String, String, String)> = page_key(QUESTION, asked.page_token.as_deref())?;
        let (record, indicator, subject) = key.unwrap_or_default();
        let after = ProblemKey { record, indicator, subject };
        let mut problems = self.store.problems(within.as_ref(), &after, size + 1).await?;
        let more = problems.len() > size;
        problems.truncate(size);
        let next_page_token = problems.last().filter(|_| more).map(|last| {
            let ProblemKey { record, indicator, subject } = &last.key;
            page_token(QUESTION, &(record, indicator, subject))
        });
        let next_page_token = next_page_token.transpose()?;
        Ok(ListProblemsResponse { problems: problems.into_iter().map(message).collect(), next_page_token })
    }
}

/// The record that has to be mended is what is named, not the subject that it belongs to.
fn message(Listing { key, reason_zh, reason_en }: Listing) -> Problem {
    let (subject, indicator) = (Some(key.record), Some(key.indicator));
    Problem { subject, indicator, reason_zh: Some(reason_zh), reason_en: Some(reason_en) }
}
