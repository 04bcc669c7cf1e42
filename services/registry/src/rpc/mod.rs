//! The registry's service: the kernel's six verbs for each of its nouns, the end of a person's data, and what became of a division.

mod duplicates;
mod erase;
pub(crate) mod proposals;
mod trace;

use qianshou_kernel::nouns;
use qianshou_proto::registry::v1 as api;

use crate::{
    Registry,
    domain::{
        Agencies, Assessments, Campaigns, Categories, Certificates, Changes, Divisions, Documents, Employments,
        Figures, Incubations, Merges, Moves, Posts, Quotas, Recognitions, Stations, Systems, Tags, Tasks, Templates,
        Workers,
    },
};

nouns! {
    api::registry_service_server::RegistryService, Registry, api;
    Division division Divisions divisions;
    Change change Changes changes;
    Agency agency Agencies agencies;
    Station station Stations stations;
    Worker worker Workers workers;
    Certificate certificate Certificates certificates;
    Post post Posts posts;
    Employment employment Employments employments;
    System system Systems systems;
    Incubation incubation Incubations incubations;
    Template template Templates templates;
    Assessment assessment Assessments assessments;
    Recognition recognition Recognitions recognitions;
    Document document Documents documents;
    Move r#move Moves moves;
    Merge merge Merges merges;
    Task task Tasks tasks;
    Campaign campaign Campaigns campaigns;
    Figure figure Figures figures;
    Category category Categories categories;
    Quota quota Quotas quotas;
    Tag tag Tags tags;
    {
        async fn erase_person(&self, request: tonic::Request<api::ErasePersonRequest>)
            -> Result<tonic::Response<api::ErasePersonResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.erase(&caller, request.into_inner()).await?))
        }

        async fn trace_division(&self, request: tonic::Request<api::TraceDivisionRequest>)
            -> Result<tonic::Response<api::TraceDivisionResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.trace(&caller, request.into_inner()).await?))
        }

        async fn list_duplicates(&self, request: tonic::Request<api::ListDuplicatesRequest>)
            -> Result<tonic::Response<api::ListDuplicatesResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.duplicates(&caller, request.into_inner()).await?))
        }

        async fn create_proposal(&self, request: tonic::Request<api::CreateProposalRequest>)
            -> Result<tonic::Response<api::CreateProposalResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            let proposal = Some(self.propose(&caller, request.into_inner()).await?);
            Ok(tonic::Response::new(api::CreateProposalResponse { proposal }))
        }

        async fn get_proposal(&self, request: tonic::Request<api::GetProposalRequest>)
            -> Result<tonic::Response<api::GetProposalResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            let proposal = Some(self.proposal(&caller, request.into_inner().name.as_deref()).await?);
            Ok(tonic::Response::new(api::GetProposalResponse { proposal }))
        }

        async fn list_proposals(&self, request: tonic::Request<api::ListProposalsRequest>)
            -> Result<tonic::Response<api::ListProposalsResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.proposals(&caller, request.into_inner()).await?))
        }

        async fn decide_proposal(&self, request: tonic::Request<api::DecideProposalRequest>)
            -> Result<tonic::Response<api::DecideProposalResponse>, tonic::Status> {
            let caller = qianshou_kernel::server::caller(&request)?;
            Ok(tonic::Response::new(self.decided(&caller, request.into_inner()).await?))
        }
    }
}
