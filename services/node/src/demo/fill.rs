//! Puts a sample into a province through its own RPC API, as an integrator would.

use futures::stream;
use indicatif::ProgressBar;
use qianshou_kernel::error::{Error, Result};
use qianshou_proto::{
    common::v1::{PutOutcome, PutState},
    registry::v1::{
        Agency, BatchPutAgenciesRequest, BatchPutCertificatesRequest, BatchPutStationsRequest, BatchPutWorkersRequest,
        Certificate, Station, Worker,
    },
};

use super::{nodes::DemoNode, sample::Sample};

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

macro_rules! put {
    ($name:ident, $rpc:ident, $record:ty, $request:ident, $field:ident) => {
        async fn $name(node: &DemoNode, records: Vec<$record>, bar: &ProgressBar) -> Result<Vec<String>> {
            let mut names = Vec::with_capacity(records.len());
            for batch in records.chunks(BATCH) {
                let parts: Vec<$request> =
                    batch.chunks(PART).map(|part| $request { $field: part.to_vec(), ..$request::default() }).collect();
                let answer = node
                    .registry()
                    .$rpc(stream::iter(parts))
                    .await
                    .map_err(|s| Error::broken(s.message().to_owned()))?;
                for outcome in answer.into_inner().outcomes {
                    names.push(named(outcome)?);
                }
                bar.inc(batch.len() as u64);
            }
            Ok(names)
        }
    };
}

put!(put_agencies, batch_put_agencies, Agency, BatchPutAgenciesRequest, agencies);
put!(put_stations, batch_put_stations, Station, BatchPutStationsRequest, stations);
put!(put_workers, batch_put_workers, Worker, BatchPutWorkersRequest, workers);
put!(put_certificates, batch_put_certificates, Certificate, BatchPutCertificatesRequest, certificates);

fn named(outcome: PutOutcome) -> Result<String> {
    if outcome.state() == PutState::Refused {
        let why = outcome.violations.first().map(|v| format!("{} | {}", v.message_zh(), v.message_en()));
        return Err(Error::broken(format!("the sample was refused: {}", why.unwrap_or_default())));
    }
    Ok(outcome.name.unwrap_or_default())
}
