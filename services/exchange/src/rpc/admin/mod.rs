//! What operators do: peers by their cards, agreements by their terms, and looking at what flows.

mod second;
mod streams;

use std::{sync::Arc, time::Instant};

use prost::Message as _;
use qianshou_kernel::{
    audit,
    config::ms,
    error::{Error, Reason, Refusal, Result},
    identity::{Caller, Role, check_card, check_days, fingerprint, valid_until_ms},
    server::caller,
};
use qianshou_proto::exchange::v1::{
    self as api, Card, Peer, Signature, Terms, Verdict, exchange_admin_service_server::ExchangeAdminService,
};
use tonic::{Request, Response, Status};

use super::{required, required_text};
use crate::{
    House, client,
    domain::{
        agreement::{self, Accord, Held, verdict},
        page,
        peer::{Change, same_certificate_key},
    },
    store::{Half, PeerRow},
    tasks::heads,
};

/// How long a peer may take to answer a test.
const TEST_TIMEOUT_MS: u64 = 15_000;

pub(crate) struct Admin(pub(crate) Arc<House>);

/// A card as operators see it.
fn peer_message(house: &House, card: Card, added_at_ms: Option<i64>) -> Peer {
    let heard = house.hub.heard(card.node());
    let print = |bytes: Option<&[u8]>| Some(fingerprint(bytes.unwrap_or_default()));
    let certificate_ends_ms = valid_until_ms(card.certificate.as_deref().unwrap_or_default());
    Peer {
        certificate_ends_ms,
        fingerprint: print(card.certificate.as_deref()),
        key_fingerprint: print(card.signing_key.as_deref()),
        added_at_ms,
        connected: Some(heard.open > 0),
        last_seen_ms: heard.last_ms,
        card: Some(card),
    }
}

impl Admin {
    fn may_look<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let caller = caller(request)?;
        caller.need(Role::Reader)?;
        caller.need_area("", self.0.node())?;
        Ok(caller)
    }

    fn may_change<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let caller = self.may_look(request)?;
        caller.need(Role::Administrator)?;
        Ok(caller)
    }

    async fn peer_find(&self, node: &str) -> Result<PeerRow> {
        self.0.store.peer_find(node).await?.ok_or_else(|| Error::refused("node", Reason::PeerUnknown, node))
    }

    async fn peer_add(&self, request: api::AddPeerRequest, actor: &str) -> Result<Peer> {
        let card = required("card", request.card)?;
        check_card(&card)?;
        check_days(&card, self.0.clock().now_ms())?;
        if card.node() == self.0.node() {
            return Err(Error::refused("card", Reason::Duplicate, self.0.node()));
        }
        self.keys_are_free(&card).await?;
        let (known, change) = self.peer_change(&card, request.replace.as_deref().unwrap_or_default()).await?;
        let same = known.filter(|peer| peer.card == card);
        if !request.confirmed.unwrap_or(false) {
            return Ok(peer_message(&self.0, card, same.map(|peer| peer.added_at_ms)));
        }
        let peer = match same {
            Some(peer) => peer,
            None => self.0.store.peer_save(&card, change == Change::Replacement).await?,
        };
        self.0.ground.peers.add(card.node(), card.certificate.as_deref().unwrap_or_default());
        self.0.changed().await;
        audit::about(format_args!("peers/{} key {} {change:?}", card.node(), card.key_id()));
        tracing::info!(actor, peer = card.node(), key = card.key_id(), ?change, "a peer was added");
        Ok(peer_message(&self.0, card, Some(peer.added_at_ms)))
    }

    /// A key stands for one node only.
    async fn keys_are_free(&self, card: &Card) -> Result<()> {
        let own = &self.0.ground.card;
        let peers = self.0.store.peer_list().await?;
        let mut others = peers.iter().map(|peer| &peer.card).chain([own]).filter(|other| other.node() != card.node());
        let taken = others.find(|other| other.signing_key == card.signing_key || same_certificate_key(other, card));
        taken.map_or(Ok(()), |other| Err(Error::refused("card", Reason::Duplicate, other.node())))
    }

    /// What is known of a card's node, and what the card changes of it, if that may be.
    async fn peer_change(&self, card: &Card, replace: &str) -> Result<(Option<PeerRow>, Change)> {
        let known = self.0.store.peer_find(card.node()).await?;
        let former = self.0.store.former_cards(card.node()).await?;
        let before = known.as_ref().map(|peer| &peer.card);
        let change = Change::of(before, &former, card);
        match before.or(former.first()) {
            Some(before) if change.is_replacement() && !change.is_named(card, replace) => {
                tracing::warn!(peer = card.node(), ?change, "a card with other keys was not taken");
                Err(change.refusal(before, card))
            }
            _ => Ok((known, change)),
        }
    }

    async fn peer_test(&self, node: &str) -> Result<(Peer, u64)> {
        let peer = self.peer_find(node).await?;
        let mut client = client(&self.0, &peer.card)?;
        let away = |_| Error::refused("", Reason::Unavailable, node);
        // The first call connects; the second is the round trip.
        let limit = ms(TEST_TIMEOUT_MS);
        let answer = tokio::time::timeout(limit, client.introduce(api::IntroduceRequest {}))
            .await
            .map_err(|_| away(Status::cancelled("")))?;
        let answer = answer.map_err(away)?.into_inner();
        let card = answer.card.unwrap_or_default();
        let same =
            card.node() == node && card.signing_key == peer.card.signing_key && same_certificate_key(&card, &peer.card);
        if !same || check_card(&card).is_err() {
            return Err(Error::refused("card", Reason::CardInvalid, node));
        }
        heads::learn(&self.0, &peer.card, &card).await?;
        let begun = Instant::now();
        let again = tokio::time::timeout(limit, client.introduce(api::IntroduceRequest {}))
            .await
            .map_err(|_| away(Status::cancelled("")))?;
        again.map_err(away)?;
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.hub.hear(node, self.0.clock().now_ms());
        Ok((peer_message(&self.0, peer.card, Some(peer.added_at_ms)), took))
    }

    async fn peer_remove(&self, node: &str, actor: &str) -> Result<()> {
        if !self.0.store.peer_remove(node).await? {
            return Err(Error::refused("node", Reason::PeerUnknown, node));
        }
        self.0.ground.peers.remove(node);
        self.0.changed().await;
        tracing::info!(actor, peer = node, "a peer was removed");
        Ok(())
    }

    async fn agreement_find(&self, id: &str) -> Result<Held> {
        self.0.store.agreement_find(id).await?.ok_or_else(|| Error::refused("id", Reason::AgreementUnknown, id))
    }

    async fn agreement_draft(&self, terms: Option<Terms>, actor: &str) -> Result<Held> {
        let mut terms = required("terms", terms)?;
        if terms.agreement.is_some() {
            return Err(Error::refused("agreement", Reason::ReadOnly, ""));
        }
        let kinds = self.0.ground.ledger.kinds();
        agreement::complete(&mut terms, self.0.ground.ids.fresh(), kinds);
        let bytes = terms.encode_to_vec();
        let accord = Accord::read(&bytes, kinds)?;
        agreement::check_new(&terms, kinds, self.0.ground.ledger.clock().today())?;
        self.agreement_check(&accord, None).await?;
        let held = Held { accord, terms: bytes, ours: None, theirs: None, voided_at_ms: None };
        self.0.store.agreement_insert(&held).await?;
        tracing::info!(actor, agreement = %held.accord.id, "an agreement was drafted");
        audit::about(format_args!("agreements/{}", held.accord.id));
        Ok(held)
    }

    /// What must hold of terms beyond their own form before this node drafts or signs them.
    /// Answers the peer's card.
    async fn agreement_check(&self, accord: &Accord, signing: Option<&Held>) -> Result<Card> {
        let node = self.0.node();
        let other = accord.other(node).ok_or_else(|| Refusal(vec![agreement::not_a_party(node)]))?;
        let peer = self.0.store.peer_find(other).await?;
        let card = peer.ok_or_else(|| Error::refused("", Reason::PeerUnknown, other))?.card;
        let wants = accord.clauses.values().any(agreement::Clause::wants_pseudonym);
        let domain = accord.domain.as_deref().filter(|_| wants && accord.provider == node);
        if domain.is_some_and(|name| !self.0.ground.keys.domains.contains_key(name)) {
            return Err(Refusal(vec![agreement::no_domain_key()]).into());
        }
        if let Some(kind) = signing.and_then(|held| held.accord.misread()) {
            return Err(Refusal(vec![agreement::other_descriptor(kind)]).into());
        }
        for other in self.0.store.agreement_list().await? {
            let halves = [verdict(other.ours.as_ref()), verdict(other.theirs.as_ref())];
            let binds = halves[0] == Some(Verdict::Signed) && halves[1] != Some(Verdict::Withdrawn);
            if let Some(kind) = other.accord.conflict(accord).filter(|_| binds) {
                return Err(Error::refused(format!("clauses.{kind}"), Reason::AgreementConflict, &other.accord.id));
            }
        }
        Ok(card)
    }

    async fn agreement_sign(&self, id: &str, digest: &str, actor: &str) -> Result<Held> {
        let held = self.agreement_find(id).await?;
        if !digest.eq_ignore_ascii_case(&hex::encode(held.accord.digest)) {
            return Err(Error::refused("digest", Reason::AgreementConflict, hex::encode(held.accord.digest)));
        }
        // A half by a key that this node no longer has is signed again.
        let key_id = held.ours.as_ref().and_then(|half| half.signature.as_ref()).map(Signature::key_id);
        let stands = |says| says != Verdict::Signed || key_id == Some(self.0.ground.keys.key_id.as_str());
        if verdict(held.ours.as_ref()).is_some_and(stands) {
            return Ok(held);
        }
        let card = self.agreement_check(&held.accord, Some(&held)).await?;
        let keys = &*self.0.ground.keys;
        let ours = page::statement(self.0.node(), &held.accord.digest, Verdict::Signed, self.0.clock().now_ms(), keys);
        if !self.0.store.agreement_half(&held.accord, Half::Ours, &ours, &card).await? {
            return Err(Error::refused("", Reason::Busy, card.node()));
        }
        self.0.changed().await;
        tracing::info!(actor, agreement = id, peer = card.node(), "an agreement was signed here");
        self.agreement_find(id).await
    }
}

#[tonic::async_trait]
impl ExchangeAdminService for Admin {
    async fn get_card(&self, request: Request<api::GetCardRequest>) -> Result<Response<api::GetCardResponse>, Status> {
        self.may_look(&request)?;
        Ok(Response::new(api::GetCardResponse { card: Some(self.0.ground.card.clone()) }))
    }

    async fn add_peer(&self, request: Request<api::AddPeerRequest>) -> Result<Response<api::AddPeerResponse>, Status> {
        let caller = self.may_change(&request)?;
        self.second_look_at_peer(&caller, request.get_ref()).await?;
        let peer = self.peer_add(request.into_inner(), &caller.actor).await?;
        Ok(Response::new(api::AddPeerResponse { peer: Some(peer) }))
    }

    async fn list_peers(
        &self,
        request: Request<api::ListPeersRequest>,
    ) -> Result<Response<api::ListPeersResponse>, Status> {
        self.may_look(&request)?;
        let peers = self.0.store.peer_list().await?;
        let peers = peers.into_iter().map(|peer| peer_message(&self.0, peer.card, Some(peer.added_at_ms))).collect();
        Ok(Response::new(api::ListPeersResponse { peers }))
    }

    async fn test_peer(
        &self,
        request: Request<api::TestPeerRequest>,
    ) -> Result<Response<api::TestPeerResponse>, Status> {
        self.may_change(&request)?;
        let node = required_text("node", request.into_inner().node)?;
        let (peer, round_trip_us) = self.peer_test(&node).await?;
        Ok(Response::new(api::TestPeerResponse { peer: Some(peer), round_trip_us: Some(round_trip_us) }))
    }

    async fn remove_peer(
        &self,
        request: Request<api::RemovePeerRequest>,
    ) -> Result<Response<api::RemovePeerResponse>, Status> {
        let caller = self.may_change(&request)?;
        self.peer_remove(&required_text("node", request.into_inner().node)?, &caller.actor).await?;
        Ok(Response::new(api::RemovePeerResponse {}))
    }

    async fn draft_agreement(
        &self,
        request: Request<api::DraftAgreementRequest>,
    ) -> Result<Response<api::DraftAgreementResponse>, Status> {
        let caller = self.may_change(&request)?;
        let held = self.agreement_draft(request.into_inner().terms, &caller.actor).await?;
        Ok(Response::new(api::DraftAgreementResponse { agreement: Some(held.message(self.0.clock().today())) }))
    }

    async fn sign_agreement(
        &self,
        request: Request<api::SignAgreementRequest>,
    ) -> Result<Response<api::SignAgreementResponse>, Status> {
        let caller = self.may_change(&request)?;
        self.second_look_at_agreement(&caller, request.get_ref()).await?;
        let asked = request.into_inner();
        let (id, digest) = (required_text("id", asked.id)?, required_text("digest", asked.digest)?);
        let held = self.agreement_sign(&id, &digest, &caller.actor).await?;
        Ok(Response::new(api::SignAgreementResponse { agreement: Some(held.message(self.0.clock().today())) }))
    }

    async fn get_agreement(
        &self,
        request: Request<api::GetAgreementRequest>,
    ) -> Result<Response<api::GetAgreementResponse>, Status> {
        self.may_look(&request)?;
        let held = self.agreement_find(&required_text("id", request.into_inner().id)?).await?;
        Ok(Response::new(api::GetAgreementResponse { agreement: Some(held.message(self.0.clock().today())) }))
    }

    async fn list_agreements(
        &self,
        request: Request<api::ListAgreementsRequest>,
    ) -> Result<Response<api::ListAgreementsResponse>, Status> {
        self.may_look(&request)?;
        let today = self.0.clock().today();
        let agreements = self.0.store.agreement_list().await?.iter().map(|held| held.message(today)).collect();
        Ok(Response::new(api::ListAgreementsResponse { agreements }))
    }

    async fn list_streams(
        &self,
        request: Request<api::ListStreamsRequest>,
    ) -> Result<Response<api::ListStreamsResponse>, Status> {
        self.may_look(&request)?;
        Ok(Response::new(api::ListStreamsResponse { streams: streams::list(&self.0).await? }))
    }

    async fn list_quarantine(
        &self,
        request: Request<api::ListQuarantineRequest>,
    ) -> Result<Response<api::ListQuarantineResponse>, Status> {
        self.may_look(&request)?;
        Ok(Response::new(streams::quarantine(&self.0, request.into_inner()).await?))
    }
}
