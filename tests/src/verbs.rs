//! The six verbs of every noun, so that one story tells all nouns: `editor.create(agency)`, `editor.list::<Agency>(…)`.

use std::future::Future;

use prost_types::FieldMask;
use qianshou_kernel::kind::{ListQuery, Listed, Written};
use qianshou_proto::{Resource, common::v1::PutOutcome, pairing::v1 as pairing, registry::v1 as registry};
use tonic::Status;

use crate::Caller;

/// An answer, or a refusal.
pub type Answer<T> = Result<T, Status>;

/// Records in one message of a batch.
const PART_RECORDS: usize = 1_000;

/// What the verbs of a noun are called on the wire.
pub trait Noun: Resource + std::fmt::Debug {
    /// As in names.
    const COLLECTION: &'static str;

    fn create(self, by: &Caller) -> impl Future<Output = Answer<Written<Self>>> + Send;
    fn get(by: &Caller, name: &str, min_position: Option<u64>) -> impl Future<Output = Answer<Self>> + Send;
    fn list(by: &Caller, asked: ListQuery) -> impl Future<Output = Answer<Listed<Self>>> + Send;
    fn update(self, by: &Caller, paths: Option<Vec<String>>) -> impl Future<Output = Answer<Written<Self>>> + Send;
    fn delete(by: &Caller, name: &str, etag: Option<String>) -> impl Future<Output = Answer<u64>> + Send;
    fn put(by: &Caller, parts: Vec<Vec<Self>>) -> impl Future<Output = Answer<(Vec<PutOutcome>, u64)>> + Send;
}

impl Caller {
    /// Saves a new record.
    pub async fn create<N: Noun>(&self, noun: N) -> Answer<Written<N>> {
        noun.create(self).await
    }

    /// Reads a record.
    pub async fn get<N: Noun>(&self, name: &str) -> Answer<N> {
        N::get(self, name, None).await
    }

    /// Lists a page.
    pub async fn list<N: Noun>(&self, asked: ListQuery) -> Answer<Listed<N>> {
        N::list(self, asked).await
    }

    /// Lists everything, page by page.
    pub async fn list_all<N: Noun>(&self, asked: ListQuery) -> Vec<N> {
        let mut all = vec![];
        let mut asked = asked;
        loop {
            let page = self.list::<N>(asked.clone()).await.unwrap();
            all.extend(page.nouns);
            if page.next_page_token.is_empty() {
                return all;
            }
            asked.page_token = Some(page.next_page_token);
        }
    }

    /// Changes a whole record.
    pub async fn replace<N: Noun>(&self, noun: N) -> Answer<Written<N>> {
        noun.update(self, None).await
    }

    /// Changes the fields that are named.
    pub async fn update<N: Noun>(&self, noun: N, paths: &[&str]) -> Answer<Written<N>> {
        noun.update(self, Some(paths.iter().map(|p| (*p).to_owned()).collect())).await
    }

    /// Deletes a record, whichever version stands.
    pub async fn delete<N: Noun>(&self, name: &str) -> Answer<u64> {
        N::delete(self, name, None).await
    }

    /// Puts a batch, in one call of as many messages as it takes.
    pub async fn put<N: Noun>(&self, nouns: Vec<N>) -> Answer<Vec<PutOutcome>> {
        let parts = nouns.chunks(PART_RECORDS).map(<[N]>::to_vec).collect();
        N::put(self, parts).await.map(|(outcomes, _)| outcomes)
    }
}

macro_rules! nouns {
    ($api:ident: $($Noun:ident $noun:ident $Nouns:ident $nouns:ident;)+) => { crate::paste::paste! {$(
        impl Noun for $api::$Noun {
            const COLLECTION: &'static str = stringify!($nouns);

            async fn create(self, by: &Caller) -> Answer<Written<Self>> {
                let (request_id, validate_only) = (by.request_id.clone(), by.validate_only);
                let asked = $api::[<Create $Noun Request>] { $noun: Some(self), request_id, validate_only };
                let answer = by.$api().[<create_ $noun>](asked).await?.into_inner();
                Ok(Written { position: answer.position(), noun: answer.$noun.unwrap() })
            }

            async fn get(by: &Caller, name: &str, min_position: Option<u64>) -> Answer<Self> {
                let asked = $api::[<Get $Noun Request>] { name: Some(name.to_owned()), min_position };
                Ok(by.$api().[<get_ $noun>](asked).await?.into_inner().$noun.unwrap())
            }

            async fn list(by: &Caller, asked: ListQuery) -> Answer<Listed<Self>> {
                let ListQuery { page_size, page_token, area, state, query, order_by, min_position, at, divisions_at, r#type, tag } = asked;
                let asked = $api::[<List $Nouns Request>] { page_size, page_token, area, state, query, order_by, min_position, at, divisions_at, r#type, tag };
                let answer = by.$api().[<list_ $nouns>](asked).await?.into_inner();
                Ok(Listed { next_page_token: answer.next_page_token().to_owned(), position: answer.position(), nouns: answer.$nouns })
            }

            async fn update(self, by: &Caller, paths: Option<Vec<String>>) -> Answer<Written<Self>> {
                let (request_id, validate_only) = (by.request_id.clone(), by.validate_only);
                let update_mask = paths.map(|paths| FieldMask { paths });
                let asked = $api::[<Update $Noun Request>] { $noun: Some(self), update_mask, request_id, validate_only };
                let answer = by.$api().[<update_ $noun>](asked).await?.into_inner();
                Ok(Written { position: answer.position(), noun: answer.$noun.unwrap() })
            }

            async fn delete(by: &Caller, name: &str, etag: Option<String>) -> Answer<u64> {
                let (request_id, validate_only) = (by.request_id.clone(), by.validate_only);
                let asked = $api::[<Delete $Noun Request>] { name: Some(name.to_owned()), etag, request_id, validate_only };
                Ok(by.$api().[<delete_ $noun>](asked).await?.into_inner().position())
            }

            async fn put(by: &Caller, parts: Vec<Vec<Self>>) -> Answer<(Vec<PutOutcome>, u64)> {
                let (request_id, validate_only) = (by.request_id.clone(), by.validate_only);
                let message = move |$nouns| $api::[<BatchPut $Nouns Request>] { $nouns, request_id: request_id.clone(), validate_only, update_mask: None };
                let messages: Vec<_> = parts.into_iter().map(message).collect();
                let answer = by.$api().[<batch_put_ $nouns>](futures::stream::iter(messages)).await?.into_inner();
                Ok((answer.outcomes.clone(), answer.position()))
            }
        }
    )+}};
}
nouns! {
    registry:
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
}
nouns! {
    pairing:
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
}
