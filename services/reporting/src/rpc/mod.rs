//! The verbs of the contract, a file each: admit → parse → read → answer. Nothing here writes.

mod indicators;
mod problems;
mod restate;
mod table;

use qianshou_kernel::server::caller;
use qianshou_proto::reporting::v1::{
    ListIndicatorsRequest, ListIndicatorsResponse, ListProblemsRequest, ListProblemsResponse, ReadTableRequest,
    ReadTableResponse, reporting_service_server::ReportingService,
};
use tonic::{Request, Response, Status};

use crate::Reporting;

#[tonic::async_trait]
impl ReportingService for Reporting {
    async fn read_table(&self, request: Request<ReadTableRequest>) -> Result<Response<ReadTableResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.table(&caller, request.into_inner()).await?))
    }

    async fn list_indicators(
        &self,
        request: Request<ListIndicatorsRequest>,
    ) -> Result<Response<ListIndicatorsResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.indicators(&caller)?))
    }

    async fn list_problems(
        &self,
        request: Request<ListProblemsRequest>,
    ) -> Result<Response<ListProblemsResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(self.problems(&caller, request.into_inner()).await?))
    }
}

#[cfg(test)]
mod tests;
