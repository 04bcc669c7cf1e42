//! Findings, computed from the records that are here whenever somebody asks.

use qianshou_kernel::{error::Result, identity::Caller, kind::Noun};
use qianshou_proto::pairing::v1::{ListFindingsRequest, ListFindingsResponse};

use super::{lies_in, within};
use crate::{
    Pairing,
    domain::{
        Allocations, Arrivals, Commitments, Dispatches, Payments, Programmes, Projects, Receipts,
        findings::{Books, findings},
    },
};

impl Pairing {
    /// What is wrong in an area.
    pub(super) async fn finding_list(
        &self,
        caller: &Caller,
        asked: ListFindingsRequest,
    ) -> Result<ListFindingsResponse> {
        self.admit(caller, asked.min_position).await?;
        let area = within(caller, asked.area.as_deref())?;
        let at = self.day("at", asked.at.as_deref())?;
        let halves = self.halves();
        let books = Books {
            allocations: halves.of(Allocations::COLLECTION).await?,
            payments: halves.of(Payments::COLLECTION).await?,
            receipts: halves.of(Receipts::COLLECTION).await?,
            dispatches: halves.of(Dispatches::COLLECTION).await?,
            arrivals: halves.of(Arrivals::COLLECTION).await?,
            projects: halves.of(Projects::COLLECTION).await?,
            commitments: halves.of(Commitments::COLLECTION).await?,
            programmes: halves.of(Programmes::COLLECTION).await?,
            tags: halves.of("tags").await?,
        };
        let mut findings = findings(&books, at);
        findings.retain(|finding| lies_in(&area, finding.area.as_deref()));
        Ok(ListFindingsResponse { findings })
    }
}
