//! Puts a sample into a province through its own RPC API, as an integrator would.

use futures::stream;
use indicatif::ProgressBar;
use qianshou_kernel::error::{Error, Result};
use qianshou_proto::{
    common::v1::{PutOutcome, PutState},
    pairing::v1::{
        Allocation, Approval, Arrival, BatchPutAllocationsRequest, BatchPutApprovalsRequest, BatchPutArrivalsRequest,
        BatchPutCommitmentsRequest, BatchPutDispatchesRequest, BatchPutOutcomesRequest, BatchPutPaymentsRequest,
        BatchPutProgrammesRequest, BatchPutProjectsRequest, BatchPutReceiptsRequest, Commitment, Dispatch, Outcome,
        Payment, Programme, Project, Receipt,
    },
    registry::v1::{
        Agency, BatchPutAgenciesRequest, BatchPutCertificatesRequest, BatchPutStationsRequest, BatchPutTagsRequest,
        BatchPutWorkersRequest, Certificate, Station, Tag, Worker,
    },
};

use super::{
    nodes::DemoNode,
    sample::{Sample, pairing::Halves},
};

/// Records in one message of a batch, and messages in one batch.
const PART: usize = 500;
const BATCH: usize = 5_000;

/// Fills a node. Records that stand already are left as they are, so it can be repeated.
pub(super) async fn fill(node: &DemoNode, sample: Sample, bar: &ProgressBar) -> Result<()> {
    let total = sample.agencies.len() + sample.stations.len() + sample.workers.len() + sample.certificates.len();
    bar.inc_length(total as u64);
    bar.set_message(node.code);
    let agencies = put_agencies(node, sample.agencies, bar).await?;
    let named = |names: &[String], index: Option<usize>| index.and_then(|i| names.get(i).cloned());

    let stations = sample
        .stations
        .into_iter()
        .map(|planned| Station { operator: named(&agencies, planned.operator), ..planned.record });
    let stations = put_stations(node, stations.collect(), bar).await?;
    let workers = sample.workers.into_iter().map(|planned| Worker {
        employer: named(&agencies, planned.employer),
        station: named(&stations, planned.station),
        ..planned.record
    });
    let workers = put_workers(node, workers.collect(), bar).await?;
    let certificates = sample
        .certificates
        .into_iter()
        .map(|planned| Certificate { worker: named(&workers, Some(planned.worker)), ..planned.record });
    put_certificates(node, certificates.collect(), bar).await?;
    Ok(())
}

/// Fills a node with its halves, once its agencies are there.
pub(super) async fn pair(node: &DemoNode, halves: Halves, bar: &ProgressBar) -> Result<()> {
    bar.inc_length(halves.len() as u64);
    put_tags(node, halves.tags, bar).await?;
    put_commitments(node, halves.commitments, bar).await?;
    put_approvals(node, halves.approvals, bar).await?;
    put_outcomes(node, halves.outcomes, bar).await?;
    put_dispatches(node, halves.dispatches, bar).await?;
    put_arrivals(node, halves.arrivals, bar).await?;
    put_projects(node, halves.projects, bar).await?;
    put_allocations(node, halves.allocations, bar).await?;
    put_payments(node, halves.payments, bar).await?;
    put_receipts(node, halves.receipts, bar).await?;
    Ok(())
}

/// Announces the nation's programmes.
pub(super) async fn announce(nation: &DemoNode, programmes: Vec<Programme>, bar: &ProgressBar) -> Result<()> {
    put_programmes(nation, programmes, bar).await.map(drop)
}

macro_rules! put {
    ($name:ident, $house:ident, $rpc:ident, $record:ty, $request:ident, $field:ident) => {
        async fn $name(node: &DemoNode, records: Vec<$record>, bar: &ProgressBar) -> Result<Vec<String>> {
            let mut names = Vec::with_capacity(records.len());
            for batch in records.chunks(BATCH) {
                let parts: Vec<$request> =
                    batch.chunks(PART).map(|part| $request { $field: part.to_vec(), ..$request::default() }).collect();
                let answer =
                    node.$house().$rpc(stream::iter(parts)).await.map_err(|s| Error::broken(s.message().to_owned()))?;
                for outcome in answer.into_inner().outcomes {
                    names.push(named(outcome)?);
                }
                bar.inc(batch.len() as u64);
            }
            Ok(names)
        }
    };
}

put!(put_agencies, registry, batch_put_agencies, Agency, BatchPutAgenciesRequest, agencies);
put!(put_stations, registry, batch_put_stations, Station, BatchPutStationsRequest, stations);
put!(put_workers, registry, batch_put_workers, Worker, BatchPutWorkersRequest, workers);
put!(put_certificates, registry, batch_put_certificates, Certificate, BatchPutCertificatesRequest, certificates);
put!(put_tags, registry, batch_put_tags, Tag, BatchPutTagsRequest, tags);
put!(put_programmes, pairing, batch_put_programmes, Programme, BatchPutProgrammesRequest, programmes);
put!(put_commitments, pairing, batch_put_commitments, Commitment, BatchPutCommitmentsRequest, commitments);
put!(put_approvals, pairing, batch_put_approvals, Approval, BatchPutApprovalsRequest, approvals);
put!(put_outcomes, pairing, batch_put_outcomes, Outcome, BatchPutOutcomesRequest, outcomes);
put!(put_dispatches, pairing, batch_put_dispatches, Dispatch, BatchPutDispatchesRequest, dispatches);
put!(put_arrivals, pairing, batch_put_arrivals, Arrival, BatchPutArrivalsRequest, arrivals);
put!(put_projects, pairing, batch_put_projects, Project, BatchPutProjectsRequest, projects);
put!(put_allocations, pairing, batch_put_allocations, Allocation, BatchPutAllocationsRequest, allocations);
put!(put_payments, pairing, batch_put_payments, Payment, BatchPutPaymentsRequest, payments);
put!(put_receipts, pairing, batch_put_receipts, Receipt, BatchPutReceiptsRequest, receipts);

fn named(outcome: PutOutcome) -> Result<String> {
    if outcome.state() == PutState::Refused {
        let why = outcome.violations.first().map(|v| format!("{} | {}", v.message_zh(), v.message_en()));
        return Err(Error::broken(format!("the sample was refused: {}", why.unwrap_or_default())));
    }
    Ok(outcome.name.unwrap_or_default())
}
