//! What peers ask: who is there, here is our half, send us the stream. The caller is the node whose pinned certificate the
//! connection showed; what it may have stands in its agreements.

use std::sync::Arc;

use futures::{StreamExt as _, stream::BoxStream};
use prost::Message as _;
use qianshou_kernel::{
    config::ms,
    error::{Error, Reason, Result},
    server::caller,
};
use qianshou_proto::exchange::v1::{
    AgreementState, Card, Hello, IntroduceRequest, IntroduceResponse, OfferStatementRequest, OfferStatementResponse,
    PullRequest, PullResponse, ShowHeadRequest, ShowHeadResponse, Statement, Terms,
    exchange_service_server::ExchangeService, pull_request::Message,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::required;
use crate::{
    House,
    domain::{
        agreement::{self, Accord, Held, TERMS_MAX_BYTES},
        page,
    },
    tasks::{
        heads,
        hub::{Call, Caller},
        outbound_answers, take_theirs,
    },
};

/// How long a call may be open without its hello.
const HELLO_TIMEOUT_MS: u64 = 15_000;
/// Agreements that nobody here has signed at most, so that a peer cannot fill the table.
const PROPOSALS_MAX: usize = 1_000;

pub(crate) struct Peers(pub(crate) Arc<House>);

#[tonic::async_trait]
impl ExchangeService for Peers {
    async fn introduce(&self, request: Request<IntroduceRequest>) -> Result<Response<IntroduceResponse>, Status> {
        caller(&request)?;
        let contract = hex::encode(page::digest(qianshou_proto::DESCRIPTOR_SET));
        Ok(Response::new(IntroduceResponse { card: Some(self.0.ground.card.clone()), contract: Some(contract) }))
    }

    async fn show_head(&self, request: Request<ShowHeadRequest>) -> Result<Response<ShowHeadResponse>, Status> {
        let node = peer(&request)?;
        if let (Some(head), Some(known)) = (&request.get_ref().head, self.0.store.peer_find(&node).await?)
            && !heads::keep(&self.0, &known.card, head).await?
        {
            return Err(Error::refused("head", Reason::Malformed, node).into());
        }
        let head = qianshou_kernel::ledger::heads::newest(self.0.ground.ledger.db()).await?;
        Ok(Response::new(ShowHeadResponse { head, kept: self.0.store.heads_kept(&node).await? }))
    }

    async fn offer_statement(
        &self,
        request: Request<OfferStatementRequest>,
    ) -> Result<Response<OfferStatementResponse>, Status> {
        let peer = peer(&request)?;
        let held = self.offer(&peer, request.into_inner()).await?;
        Ok(Response::new(OfferStatementResponse { statement: held.ours }))
    }

    type PullStream = BoxStream<'static, Result<PullResponse, Status>>;

    async fn pull(&self, request: Request<Streaming<PullRequest>>) -> Result<Response<Self::PullStream>, Status> {
        let peer = peer(&request)?;
        let mut requests = request.into_inner();
        let hello = first(&mut requests).await?;
        let stream = self.stream(&peer, &hello).await?;
        let away = || Error::refused("", Reason::Unavailable, &stream);
        let calls = self.0.hub.outbound(&stream).ok_or_else(|| {
            self.0.hub.ring();
            away()
        })?;
        let (answers, receiver) = mpsc::channel(outbound_answers(self.0.limits()));
        let (id, closed) = (self.0.hub.next_call(), CancellationToken::new());
        let call = Call::Open(Caller { id, answers, closed: closed.clone() }, hello);
        calls.send(call).await.map_err(|_| away())?;
        tokio::spawn(hear(id, requests, calls, closed));
        Ok(Response::new(ReceiverStream::new(receiver).boxed()))
    }
}

impl Peers {
    /// Takes a peer's half, and the terms if they are new here.
    async fn offer(&self, peer: &str, request: OfferStatementRequest) -> Result<Held> {
        let house = &self.0;
        let terms = required("terms", request.terms)?;
        let statement = required("statement", request.statement)?;
        if terms.len() > TERMS_MAX_BYTES {
            return Err(Error::refused("terms", Reason::TooLong, TERMS_MAX_BYTES));
        }
        let accord = Accord::read(&terms, house.ground.ledger.kinds())?;
        if accord.other(house.node()) != Some(peer) {
            return Err(Error::refused("", Reason::Forbidden, "provider or consumer | 提供方或接收方"));
        }
        let card = self.card(peer).await?;
        let held = match house.store.agreement_find(&accord.id).await? {
            Some(held) if held.terms != terms => {
                return Err(Error::refused("terms", Reason::AgreementConflict, hex::encode(held.accord.digest)));
            }
            Some(held) => held,
            None => self.propose(accord, &terms, &card, &statement).await?,
        };
        take_theirs(house, &held, &card, &statement).await?;
        Ok(held)
    }

    /// Keeps terms that a peer has signed and nobody here has seen.
    async fn propose(&self, accord: Accord, terms: &[u8], card: &Card, statement: &Statement) -> Result<Held> {
        agreement::check_half(&accord, card, statement)?;
        let ledger = &self.0.ground.ledger;
        agreement::check_new(&Terms::decode(terms).unwrap_or_default(), ledger.kinds(), ledger.clock().today())?;
        let open = self.0.store.agreement_list().await?.iter().filter(|held| held.ours.is_none()).count();
        if open >= PROPOSALS_MAX {
            return Err(Error::refused("", Reason::Busy, PROPOSALS_MAX));
        }
        let held = Held { accord, terms: terms.to_vec(), ours: None, theirs: None, voided_at_ms: None };
        self.0.store.agreement_insert(&held).await?;
        tracing::info!(agreement = %held.accord.id, peer = card.node(), "an agreement was proposed");
        Ok(held)
    }

    async fn card(&self, peer: &str) -> Result<Card> {
        let found = self.0.store.peer_find(peer).await?;
        found.map(|peer| peer.card).ok_or_else(|| Error::refused("", Reason::PeerUnknown, peer))
    }

    /// The stream that a hello asks for, if the peer is its consumer and both sides have signed.
    async fn stream(&self, peer: &str, hello: &Hello) -> Result<String> {
        let id = hello.agreement().to_owned();
        let unknown = || Error::refused("agreement", Reason::AgreementUnknown, &id);
        let held = self.0.store.agreement_find(&id).await?.ok_or_else(unknown)?;
        if held.accord.provider != self.0.node() || held.accord.consumer != peer {
            return Err(unknown());
        }
        match held.state(self.0.clock().today()) {
            AgreementState::InForce | AgreementState::Expired | AgreementState::Withdrawn => Ok(id),
            // The consumer believes that both have signed: its half was lost here, and is offered again on this answer.
            AgreementState::Draft | AgreementState::Offered => Err(unknown()),
            _ => Err(Error::refused("agreement", Reason::NotYet, &id)),
        }
    }
}

fn peer<T>(request: &Request<T>) -> Result<String> {
    let caller = caller(request).map_err(|_| Error::refused("", Reason::Unauthenticated, ""))?;
    caller.peer.ok_or_else(|| Error::refused("", Reason::Forbidden, "peer"))
}

async fn first(requests: &mut Streaming<PullRequest>) -> Result<Hello, Status> {
    let first = tokio::time::timeout(ms(HELLO_TIMEOUT_MS), requests.message()).await;
    let first = first.map_err(|_| Error::refused("hello", Reason::Required, ""))??;
    match first.and_then(|request| request.message) {
        Some(Message::Hello(hello)) => Ok(hello),
        _ => Err(Error::refused("hello", Reason::Required, "").into()),
    }
}

/// Passes a consumer's receipts on to the stream's task, until either has no more to say.
async fn hear(id: u64, mut requests: Streaming<PullRequest>, calls: mpsc::Sender<Call>, closed: CancellationToken) {
    loop {
        let heard = tokio::select! {
            biased;
            () = closed.cancelled() => return,
            heard = requests.message() => heard,
        };
        let call = match heard {
            Ok(Some(PullRequest { message: Some(Message::Receipt(receipt)) })) => Call::Receipt(id, receipt),
            _ => Call::Gone(id),
        };
        let over = matches!(call, Call::Gone(_));
        if calls.send(call).await.is_err() || over {
            return;
        }
    }
}
