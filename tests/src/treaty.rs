//! How nodes come to exchange: cards, terms, two signatures, and streams that settle.

use qianshou_kernel::kind::descriptors;
use qianshou_proto::{
    common::v1::{Condition, FieldPath, Filter, condition},
    exchange::v1 as api,
};

use crate::{Caller, eventually};

/// The pseudonym domain whose key the provinces hold and the nation does not.
pub const DOMAIN: &str = "minning";
/// Its key.
pub const DOMAIN_KEY: [u8; 32] = [7; 32];

/// What a province tells the nation: no names, no numbers.
#[must_use]
pub fn to_nation(province: &str) -> Vec<api::KindClause> {
    let mut workers =
        share("workers", "division employer sector post_category station assignment languages since until", province);
    workers.pseudonym = Some(true);
    vec![
        share("agencies", "display_name uscc type division founded_on closed_on fields", province),
        share(
            "stations",
            "display_name type division status opened_on closed_on operator origin languages brand",
            province,
        ),
        workers,
        share("certificates", "worker level issued_on registered_until revoked_on division", province),
    ]
}

/// One kind's clause: these fields of the records whose division lies in this area.
///
/// # Panics
/// If there is no such kind or field.
#[must_use]
pub fn share(kind: &str, fields: &str, area: &str) -> api::KindClause {
    let within = Condition { path: Some(path(kind, "division")), test: Some(condition::Test::Under(area.to_owned())) };
    api::KindClause { scope: Some(Filter { all: vec![within] }), ..share_all(kind, fields) }
}

/// One kind's clause: these fields of all its records.
///
/// # Panics
/// If there is no such kind or field.
#[must_use]
pub fn share_all(kind: &str, fields: &str) -> api::KindClause {
    let fields = fields.split(' ').map(|field| path(kind, field)).collect();
    api::KindClause { kind: Some(kind.to_owned()), fields, ..api::KindClause::default() }
}

fn path(kind: &str, field: &str) -> FieldPath {
    let kinds = qianshou::node::kinds();
    let known = kinds.iter().find(|k| k.collection == kind).expect("a kind");
    let message = descriptors().get_message_by_name(known.message).unwrap();
    FieldPath { numbers: vec![message.get_field_by_name(field).expect("a field").number()] }
}

/// Terms in force since the beginning of 2024.
#[must_use]
pub fn terms(provider: &str, consumer: &str, clauses: Vec<api::KindClause>) -> api::Terms {
    let person = clauses.iter().any(|clause| clause.pseudonym());
    api::Terms {
        provider: Some(provider.to_owned()),
        consumer: Some(consumer.to_owned()),
        clauses,
        purpose: Some("统计 | statistics".to_owned()),
        legal_basis: Some("合作协议 | an agreement".to_owned()),
        sharing_class: Some(api::SharingClass::Conditional.into()),
        sensitivity_cap: Some(api::Sensitivity::L3.into()),
        pseudonym_domain: person.then(|| DOMAIN.to_owned()),
        begins_on: Some("2024-01-01".to_owned()),
        ends_on: Some("2099-12-31".to_owned()),
        after_end: Some(api::AfterEnd::Keep.into()),
        ..api::Terms::default()
    }
}

/// Gives everybody the cards of all others.
pub async fn introduce(nodes: &[&Caller]) {
    for (i, from) in nodes.iter().enumerate() {
        let card = from.exchange().get_card(api::GetCardRequest {}).await.unwrap().into_inner().card.unwrap();
        for (j, to) in nodes.iter().enumerate() {
            if i != j {
                add_peer(to, &card).await;
            }
        }
    }
}

/// Adds a peer whose fingerprints were compared.
pub async fn add_peer(to: &Caller, card: &api::Card) {
    let asked = api::AddPeerRequest { card: Some(card.clone()), confirmed: Some(true), replace: None };
    to.exchange().add_peer(asked).await.unwrap();
}

/// Drafts at the provider and signs at both; answers the agreement's id once it is in force on either side.
pub async fn agree(provider: &Caller, consumer: &Caller, terms: api::Terms) -> String {
    let drafted = draft(provider, terms).await;
    let id = drafted.id().to_owned();
    sign(provider, &drafted).await;
    eventually("the offer at the other side", async || agreement(consumer, &id).await).await;
    sign(consumer, &drafted).await;
    for side in [provider, consumer] {
        let in_force = async || agreement(side, &id).await.filter(|a| a.state() == api::AgreementState::InForce);
        eventually("the agreement in force", in_force).await;
    }
    id
}

/// Drafts terms.
pub async fn draft(at: &Caller, terms: api::Terms) -> api::Agreement {
    let asked = api::DraftAgreementRequest { terms: Some(terms) };
    at.exchange().draft_agreement(asked).await.unwrap().into_inner().agreement.unwrap()
}

/// Signs exactly what was drafted.
pub async fn sign(at: &Caller, drafted: &api::Agreement) {
    let asked = api::SignAgreementRequest { id: drafted.id.clone(), digest: drafted.digest.clone() };
    at.exchange().sign_agreement(asked).await.unwrap();
}

/// An agreement as this side knows it.
pub async fn agreement(at: &Caller, id: &str) -> Option<api::Agreement> {
    let all = at.exchange().list_agreements(api::ListAgreementsRequest {}).await.unwrap().into_inner().agreements;
    all.into_iter().find(|agreement| agreement.id() == id)
}

/// A stream as this side knows it.
pub async fn stream(at: &Caller, id: &str) -> Option<api::Stream> {
    let all = at.exchange().list_streams(api::ListStreamsRequest {}).await.unwrap().into_inner().streams;
    all.into_iter().find(|stream| stream.agreement() == id)
}

/// Waits until everything that was saved so far has been applied at the other side.
pub async fn settled(provider: &Caller, consumer: &Caller, id: &str) -> api::Stream {
    let over = |stream: &api::Stream| {
        stream.pages() > 0 && stream.behind() == 0 && stream.entries() == stream.applied() + stream.quarantined()
    };
    eventually("the stream at its end", async || {
        let sent = stream(provider, id).await.filter(over)?;
        let received = stream(consumer, id).await.filter(over)?;
        ((sent.pages(), sent.entries()) == (received.pages(), received.entries())).then_some(sent)
    })
    .await
}
