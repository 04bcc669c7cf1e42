//! The six RPCs of every noun, told once.

/// Implements a house's service for its nouns:
/// `nouns! { api::registry_service_server::RegistryService for Registry, api; Agency agency Agencies agencies; … }`.
/// What the service has beyond that stands in braces at the end. The house has a field `verbs: Verbs`; `Agencies` is its [`Noun`](crate::kind::Noun), `Agency` the message.
#[macro_export]
macro_rules! nouns {
    ($service:path, $house:ty, $api:ident; $($Noun:ident $noun:ident $Nouns:ident $nouns:ident;)+ $({ $($more:tt)* })?) => {
        $crate::paste::paste! {
            #[tonic::async_trait]
            impl $service for $house {$(
                async fn [<create_ $noun>](&self, request: tonic::Request<$api::[<Create $Noun Request>]>)
                    -> Result<tonic::Response<$api::[<Create $Noun Response>]>, tonic::Status> {
                    let caller = $crate::server::caller(&request)?;
                    let asked = request.into_inner();
                    let id = $crate::kind::request_of(&caller, asked.request_id.as_deref(), stringify!([<Create $Noun>]), &asked)?;
                    let dry = asked.validate_only.unwrap_or(false);
                    let done = self.verbs.create::<$Nouns>(&caller, asked.$noun, id, dry).await?;
                    Ok(tonic::Response::new($api::[<Create $Noun Response>] { $noun: Some(done.noun), position: Some(done.position) }))
                }

                async fn [<get_ $noun>](&self, request: tonic::Request<$api::[<Get $Noun Request>]>)
                    -> Result<tonic::Response<$api::[<Get $Noun Response>]>, tonic::Status> {
                    let caller = $crate::server::caller(&request)?;
                    let asked = request.into_inner();
                    let noun = self.verbs.get::<$Nouns>(&caller, asked.name.as_deref(), asked.min_position).await?;
                    Ok(tonic::Response::new($api::[<Get $Noun Response>] { $noun: Some(noun) }))
                }

                async fn [<list_ $nouns>](&self, request: tonic::Request<$api::[<List $Nouns Request>]>)
                    -> Result<tonic::Response<$api::[<List $Nouns Response>]>, tonic::Status> {
                    let caller = $crate::server::caller(&request)?;
                    let $api::[<List $Nouns Request>] { page_size, page_token, area, state, query, order_by, min_position, at, divisions_at, r#type, tag } =
                        request.into_inner();
                    let asked = $crate::kind::ListQuery { page_size, page_token, area, state, query, order_by, min_position, at, divisions_at, r#type, tag };
                    let page = self.verbs.list::<$Nouns>(&caller, asked).await?;
                    Ok(tonic::Response::new($api::[<List $Nouns Response>] {
                        $nouns: page.nouns,
                        next_page_token: Some(page.next_page_token),
                        position: Some(page.position),
                    }))
                }

                async fn [<update_ $noun>](&self, request: tonic::Request<$api::[<Update $Noun Request>]>)
                    -> Result<tonic::Response<$api::[<Update $Noun Response>]>, tonic::Status> {
                    let caller = $crate::server::caller(&request)?;
                    let asked = request.into_inner();
                    let id = $crate::kind::request_of(&caller, asked.request_id.as_deref(), stringify!([<Update $Noun>]), &asked)?;
                    let (paths, dry) = (asked.update_mask.map(|m| m.paths), asked.validate_only.unwrap_or(false));
                    let done = self.verbs.update::<$Nouns>(&caller, asked.$noun, paths, id, dry).await?;
                    Ok(tonic::Response::new($api::[<Update $Noun Response>] { $noun: Some(done.noun), position: Some(done.position) }))
                }

                async fn [<delete_ $noun>](&self, request: tonic::Request<$api::[<Delete $Noun Request>]>)
                    -> Result<tonic::Response<$api::[<Delete $Noun Response>]>, tonic::Status> {
                    let caller = $crate::server::caller(&request)?;
                    let asked = request.into_inner();
                    let id = $crate::kind::request_of(&caller, asked.request_id.as_deref(), stringify!([<Delete $Noun>]), &asked)?;
                    let (name, etag) = (asked.name.as_deref(), asked.etag.as_deref().filter(|e| !e.is_empty()));
                    let dry = asked.validate_only.unwrap_or(false);
                    let position = self.verbs.delete::<$Nouns>(&caller, name, etag, id, dry).await?;
                    Ok(tonic::Response::new($api::[<Delete $Noun Response>] { position: Some(position) }))
                }

                async fn [<batch_put_ $nouns>](&self, request: tonic::Request<tonic::Streaming<$api::[<BatchPut $Nouns Request>]>>)
                    -> Result<tonic::Response<$api::[<BatchPut $Nouns Response>]>, tonic::Status> {
                    let caller = $crate::server::caller(&request)?;
                    let mut stream = request.into_inner();
                    let mut batch = $crate::kind::Batch::<$Nouns>::new(self.verbs.batch_max_records);
                    while let Some(part) = stream.message().await? {
                        batch.add(part.$nouns, part.request_id, part.validate_only, part.update_mask.map(|mask| mask.paths))?;
                    }
                    let (outcomes, position) = batch.put(&self.verbs, &caller, stringify!([<BatchPut $Nouns>])).await?;
                    Ok(tonic::Response::new($api::[<BatchPut $Nouns Response>] { outcomes, position: Some(position) }))
                }
            )+
                $($($more)*)?
            }
        }
    };
}

use prost::Message;
use qianshou_proto::common::v1 as common;
use sha2::{Digest, Sha256};

use super::{ANSWER_MAX_BYTES, Noun, Outcome, Verbs};
use crate::{
    error::{Error, Reason, Result, Violation},
    identity::Caller,
    ledger::Request,
};

/// A batch as its parts arrive.
pub struct Batch<N: Noun> {
    nouns: Vec<N::Record>,
    request_id: Option<String>,
    paths: Option<Vec<String>>,
    dry: bool,
    most: usize,
    bytes: usize,
}

/// What a batch may weigh.
const BATCH_MAX_BYTES: usize = 64 << 20;

impl<N: Noun> Batch<N> {
    /// A batch of `most` records at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { nouns: vec![], request_id: None, paths: None, dry: false, most, bytes: 0 }
    }

    /// Adds a part. The request id, whether to only validate, and the fields that are spoken of are said in the first.
    pub fn add(
        &mut self,
        part: Vec<N::Record>,
        request_id: Option<String>,
        dry: Option<bool>,
        paths: Option<Vec<String>>,
    ) -> Result<()> {
        if self.nouns.is_empty() {
            self.request_id = request_id;
            self.paths = paths;
            self.dry = dry.unwrap_or(false);
        }
        self.bytes += part.iter().map(Message::encoded_len).sum::<usize>();
        if self.nouns.len() + part.len() > self.most {
            return Err(Error::refused(N::COLLECTION, Reason::TooMany, self.most));
        }
        if self.bytes > BATCH_MAX_BYTES {
            return Err(Error::refused(
                N::COLLECTION,
                Reason::TooLong,
                format!("{BATCH_MAX_BYTES} bytes | {BATCH_MAX_BYTES} 字节"),
            ));
        }
        self.nouns.extend(part);
        Ok(())
    }

    /// Puts the whole batch and says what became of each record.
    pub async fn put(self, verbs: &Verbs, caller: &Caller, rpc: &str) -> Result<(Vec<common::PutOutcome>, u64)> {
        let request = super::request_of(caller, self.request_id.as_deref(), rpc, &())?;
        let digest = |request: Request| {
            let mut hash = Sha256::new_with_prefix(rpc);
            hash.update(self.paths.iter().flatten().fold(String::new(), |all, path| all + path + "\n"));
            self.nouns.iter().for_each(|noun| hash.update(noun.encode_length_delimited_to_vec()));
            Request { digest: hash.finalize().into(), ..request }
        };
        let request = request.map(digest);
        let (outcomes, position) = verbs.put_all::<N>(caller, self.nouns, self.paths, request, self.dry).await?;
        let outcomes = outcomes.into_iter().enumerate().map(|(row, outcome)| message(row as u64, outcome)).collect();
        Ok((as_one_answer_holds(outcomes), position))
    }
}

/// Takes off violations, and says how many, where all of them together are more than an answer holds.
fn as_one_answer_holds(mut outcomes: Vec<common::PutOutcome>) -> Vec<common::PutOutcome> {
    let without = |outcome: &common::PutOutcome| {
        outcome.name.as_ref().map_or(0, String::len) + outcome.etag.as_ref().map_or(0, String::len) + OUTCOME_BYTES
    };
    let mut left = ANSWER_MAX_BYTES.saturating_sub(outcomes.iter().map(without).sum());
    for outcome in &mut outcomes {
        let fits = |violation: &&common::Violation| {
            let bytes = violation.encoded_len() + OUTCOME_BYTES;
            left.checked_sub(bytes).inspect(|rest| left = *rest).is_some()
        };
        let told = outcome.violations.iter().take_while(fits).count();
        let untold = outcome.violations.len() - told;
        outcome.violations.truncate(told);
        outcome.violations_left = Some(untold as u64).filter(|untold| *untold > 0);
    }
    outcomes
}

/// What stands around an outcome or a violation.
const OUTCOME_BYTES: usize = 24;

fn message(row: u64, outcome: Outcome) -> common::PutOutcome {
    use common::PutState;
    let of = |state: PutState, name: &crate::id::Name, version: crate::ledger::Version| common::PutOutcome {
        state: Some(state.into()),
        name: Some(name.to_string()),
        etag: Some(version.etag()),
        ..Default::default()
    };
    match outcome {
        Outcome::Created(name, version) => of(PutState::Created, &name, version),
        Outcome::Updated(name, version) => of(PutState::Updated, &name, version),
        Outcome::Unchanged(name, version) => of(PutState::Unchanged, &name, version),
        Outcome::Refused(refusal) => common::PutOutcome {
            state: Some(PutState::Refused.into()),
            violations: refusal.0.iter().map(|violation: &Violation| violation.to_proto(Some(row))).collect(),
            ..Default::default()
        },
    }
}
