//! Pairing's service: the kernel's six verbs for each of its nouns, and what halves say together.

mod findings;
mod matches;
mod orders;
mod pairings;

use qianshou_kernel::{
    clock::parse_day,
    error::{Error, Reason, Result},
    id::{Area, Name},
    identity::{Caller, Role},
    nouns,
};
use qianshou_proto::pairing::v1 as api;
use time::Date;

use crate::{
    Pairing,
    domain::{
        Acceptances, Activities, Allocations, Approvals, Arrivals, Commitments, Dispatches, Needs, Offers, Orders,
        Outcomes, Payments, Programmes, Projects, Receipts,
    },
    store::Place,
};

nouns! {
    api::pairing_service_server::PairingService, Pairing, api;
    Commitment commitment Commitments commitments;
    Approval approval Approvals approvals;
    Outcome outcome Outcomes outcomes;
    Dispatch dispatch Dispatches dispatches;
    Arrival arrival Arrivals arrivals;
    Project project Projects projects;
    Allocation allocation Allocations allocations;
    Payment payment Payments payments;
    Receipt receipt Receipts receipts;
    Programme programme Programmes programmes;
    Activity activity Activities activities;
    Offer offer Offers offers;
    Need need Needs needs;
    Order order Orders orders;
    Acceptance acceptance Acceptances acceptances;
    {
        async fn get_pairing(&self, request: tonic::Request<api::GetPairingRequest>)
            -> Result<tonic::Response<api::GetPairingResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.pairing_get(&caller, request.into_inner()).await?))
        }

        async fn list_pairings(&self, request: tonic::Request<api::ListPairingsRequest>)
            -> Result<tonic::Response<api::ListPairingsResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.pairing_list(&caller, request.into_inner()).await?))
        }

        async fn list_findings(&self, request: tonic::Request<api::ListFindingsRequest>)
            -> Result<tonic::Response<api::ListFindingsResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.finding_list(&caller, request.into_inner()).await?))
        }

        async fn list_matches(&self, request: tonic::Request<api::ListMatchesRequest>)
            -> Result<tonic::Response<api::ListMatchesResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.match_list(&caller, request.into_inner()).await?))
        }

        async fn list_order_states(&self, request: tonic::Request<api::ListOrderStatesRequest>)
            -> Result<tonic::Response<api::ListOrderStatesResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.order_state_list(&caller, request.into_inner()).await?))
        }
    }
}

impl Pairing {
    /// Admits a reader and waits for the position they ask for.
    async fn admit(&self, caller: &Caller, min_position: Option<u64>) -> Result<()> {
        caller.need(Role::Reader)?;
        self.wait(min_position).await
    }

    async fn wait(&self, min_position: Option<u64>) -> Result<()> {
        match min_position {
            Some(position) => self.verbs.ledger.at_least(position, self.verbs.patience).await,
            None => Ok(()),
        }
    }

    /// A day that is asked for; absent: today.
    fn day(&self, field: &str, text: Option<&str>) -> Result<Date> {
        match text.filter(|text| !text.is_empty()) {
            None => Ok(self.verbs.ledger.clock().today()),
            Some(text) => parse_day(text).ok_or_else(|| Error::refused(field, Reason::Malformed, "2023-06-30")),
        }
    }
}

/// An area that is asked for; absent: all that the caller may see.
fn within(caller: &Caller, text: Option<&str>) -> Result<Area> {
    let text = text.filter(|text| !text.is_empty()).unwrap_or(&caller.area);
    let area = Area::parse(text).ok_or_else(|| Error::refused("area", Reason::Malformed, "2, 4, 6, 9, 12 digits"))?;
    caller.need_area("area", area.as_str())?;
    Ok(area)
}

/// What is shown of a table of halves to whoever asks for an area: its own records, and to whoever answers for all of this node also what
/// the other sides say.
struct View {
    node: String,
    area: Area,
    whole: bool,
}

impl View {
    fn new(node: &str, area: Area) -> Self {
        let whole = area.as_str() == node || area.as_str() == Area::NATION;
        Self { node: node.to_owned(), area, whole }
    }

    /// The first code, and the first beyond.
    fn range(&self) -> (String, String) {
        if self.whole {
            return (String::new(), ":".to_owned());
        }
        (self.area.as_str().to_owned(), self.area.after().unwrap_or_else(|| ":".to_owned()))
    }

    fn shows(&self, row: &Place) -> bool {
        let of_others = || row.name.parse::<Name>().is_ok_and(|name| name.home() != self.node);
        lies_in(&self.area, Some(&row.area)) || (self.whole && of_others())
    }
}

/// Whether a division lies in an area.
fn lies_in(area: &Area, division: Option<&str>) -> bool {
    area.as_str() == Area::NATION || division.is_some_and(|division| division.starts_with(area.as_str()))
}
