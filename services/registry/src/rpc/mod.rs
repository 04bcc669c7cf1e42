//! The registry's service: the kernel's six verbs for each of its nouns, the end of a person's data, and what became of a division.

mod duplicates;
mod erase;
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
    }
}
