//! A provider who forges: the peer's real keys, card and TLS, and pages that it makes as it likes.
//!
//! The page format stands here a second time, written from the comments of the contract alone, so that what is signed and kept
//! for years can be read by somebody who has never seen our code.

use std::{net::SocketAddr, sync::Arc};

use prost::Message as _;
use qianshou_kernel::{
    config::Config,
    identity::{NodeKeys, card, verify},
    server::{Listener, PeerSet, serve},
};
use qianshou_proto::{
    common::v1::Version,
    exchange::v1::{
        Card, Control, Hello, IntroduceRequest, IntroduceResponse, OfferStatementRequest, OfferStatementResponse,
        Opened, Page, PageEntry, PageHeader, PullRequest, PullResponse, ReceiptBody, ShowHeadRequest, ShowHeadResponse,
        Statement, StatementBody, Terms, Verdict, Welcome, control,
        exchange_service_server::{ExchangeService, ExchangeServiceServer},
        page_entry::Content,
        pull_request, pull_response,
    },
};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, codec::CompressionEncoding, service::Routes};

use crate::{Node, World, eventually, treaty};

type Hash = [u8; 32];

/// The forger, at the node whose provider it poses as.
pub struct Forger {
    /// The keys it has got hold of.
    pub keys: Arc<NodeKeys>,
    consumer_key: Hash,
    calls: Mutex<mpsc::Receiver<Call>>,
}

/// A consumer's call.
pub struct Call {
    /// Where the consumer is.
    pub hello: Hello,
    answers: mpsc::Sender<Result<PullResponse, Status>>,
    requests: Streaming<PullRequest>,
}

impl Forger {
    /// Opens the door of `code` with real keys, and has its card added at the consumer.
    pub async fn open(world: &World, code: &str, consumer: &Node) -> Self {
        let keys = NodeKeys::create(&world.folder("forger").join("keys"), code, &[]).unwrap();
        let (forger, card) = Self::stand(keys, "127.0.0.1:0".parse().unwrap(), &consumer.keys()).await;
        treaty::add_peer(&consumer.admin, &card).await;
        forger
    }

    /// Opens a door with a node's own keys; answers the card that leads there.
    pub async fn stand(keys: NodeKeys, listen: SocketAddr, consumer: &NodeKeys) -> (Self, Card) {
        let keys = Arc::new(keys);
        let peers = PeerSet::default();
        peers.add(&consumer.node, consumer.peer.leaf());
        let listener = Listener::peers(listen, &keys, peers).await.unwrap();
        let card = card(&keys, "一个省", &format!("https://{}", listener.address()));
        let (called, calls) = mpsc::channel(8);
        let house = ExchangeServiceServer::new(House { keys: keys.clone(), card: card.clone(), called });
        let house = house.accept_compressed(CompressionEncoding::Zstd).send_compressed(CompressionEncoding::Zstd);
        let limits = Config::defaults().unwrap().limits;
        tokio::spawn(async move { serve(listener, Routes::new(house), &limits, CancellationToken::new()).await });
        let consumer_key = consumer.signing.verifying_key().to_bytes();
        (Self { keys, consumer_key, calls: Mutex::new(calls) }, card)
    }

    /// Has the consumer draft and sign; the forger's half comes with the first answer.
    pub async fn agree(&self, consumer: &Node, terms: Terms) -> Log {
        let drafted = treaty::draft(&consumer.admin, terms).await;
        treaty::sign(&consumer.admin, &drafted).await;
        let agreement = Sha256::digest(drafted.terms_bytes()).into();
        eventually("the consumer's first call", async || treaty::stream(&consumer.admin, drafted.id()).await).await;
        Log {
            keys: self.keys.clone(),
            stream: drafted.id().to_owned(),
            agreement,
            epoch: 1,
            number: 0,
            digest: [0; 32],
        }
    }

    /// Waits for the consumer's next call and welcomes it.
    pub async fn called(&self) -> Call {
        let call = self.calls.lock().await.recv().await.unwrap();
        let welcome = Welcome {
            epoch: Some(call.hello.cursor.as_ref().map_or(1, |cursor| cursor.epoch().max(1))),
            node: Some(self.keys.node.clone()),
        };
        call.say(pull_response::Message::Welcome(welcome)).await;
        call
    }

    /// Sends a page, and answers what the consumer signed of it.
    ///
    /// # Panics
    /// If it is no receipt, or not signed by the consumer.
    pub async fn page(&self, call: &mut Call, page: &Page) -> ReceiptBody {
        call.say(pull_response::Message::Page(page.clone())).await;
        let answer = call.requests.message().await.unwrap().and_then(|request| request.message);
        let Some(pull_request::Message::Receipt(receipt)) = answer else { panic!("not a receipt but {answer:?}") };
        let (body, signature) = (receipt.body.unwrap(), receipt.signature.unwrap());
        assert!(verify(&self.consumer_key, "qianshou.receipt.v1", &body, &signature), "a receipt is signed");
        ReceiptBody::decode(body).unwrap()
    }
}

impl Call {
    async fn say(&self, message: pull_response::Message) {
        // A consumer that has closed the call does not hear it.
        drop(self.answers.send(Ok(PullResponse { message: Some(message) })).await);
    }
}

/// Where a log of pages stands, and who signs it.
#[derive(Clone)]
pub struct Log {
    /// Who signs.
    pub keys: Arc<NodeKeys>,
    /// Which stream.
    pub stream: String,
    /// Digest of its terms.
    pub agreement: Hash,
    /// The epoch.
    pub epoch: u64,
    /// Number of the last page.
    pub number: u64,
    /// Its digest; zeros before the first.
    pub digest: Hash,
}

impl Log {
    /// The header of the next page with these entries.
    #[must_use]
    pub fn header(&self, entries: &[PageEntry]) -> PageHeader {
        let opened = Control { control: Some(control::Control::Opened(Opened {})) };
        PageHeader {
            stream: Some(self.stream.clone()),
            epoch: Some(self.epoch),
            number: Some(self.number + 1),
            previous_digest: Some(self.digest.to_vec().into()),
            agreement_digest: Some(self.agreement.to_vec().into()),
            entries_root: Some(root(&entries.iter().map(leaf).collect::<Vec<_>>()).to_vec().into()),
            count: u32::try_from(entries.len()).ok(),
            produced_on: Some("2024-06-01".to_owned()),
            control: (self.number == 0).then_some(opened),
        }
    }

    /// A page of this header, whatever it says.
    #[must_use]
    pub fn seal(&self, header: &PageHeader, entries: Vec<PageEntry>) -> Page {
        let header = header.encode_to_vec();
        let signature = Some(self.keys.sign("qianshou.page.v1", &header));
        Page { signature, header: Some(header.into()), entries, traces: vec![] }
    }

    /// The sound next page.
    #[must_use]
    pub fn next(&self, entries: Vec<PageEntry>) -> Page {
        self.seal(&self.header(&entries), entries)
    }

    /// Goes on behind a page.
    pub fn after(&mut self, page: &Page) {
        self.number += 1;
        self.digest = Sha256::digest(page.header()).into();
    }
}

/// An entry about a record, at a version of epoch 1.
#[must_use]
pub fn entry(home: &str, kind: &str, id: &str, revision: u64, payload: Vec<u8>) -> PageEntry {
    PageEntry {
        salt: Some(vec![1; 16].into()),
        name: Some(format!("nodes/{home}/{kind}/{id}")),
        kind: Some(kind.to_owned()),
        home: Some(home.to_owned()),
        version: Some(Version { epoch: Some(1), revision: Some(revision) }),
        content: Some(Content::Put(payload.into())),
        leaf: None,
    }
}

/// SHA-256(0x00 ‖ salt ‖ name ‖ kind ‖ home ‖ epoch ‖ revision ‖ content), each part framed by its length in four bytes.
fn leaf(entry: &PageEntry) -> Hash {
    let version = entry.version.unwrap();
    let content = match entry.content.clone().unwrap() {
        Content::Put(payload) => [&[1], &payload[..]].concat(),
        Content::End(end) => [&[2], &i32::from(end.reason()).to_be_bytes()[..], end.on().as_bytes()].concat(),
    };
    let (epoch, revision) = (version.epoch().to_be_bytes(), version.revision().to_be_bytes());
    let parts = [
        entry.salt(),
        entry.name().as_bytes(),
        entry.kind().as_bytes(),
        entry.home().as_bytes(),
        &epoch,
        &revision,
        &content,
    ];
    let framed = parts.iter().flat_map(|part| [&u32::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat());
    Sha256::digest([0].into_iter().chain(framed).collect::<Vec<u8>>()).into()
}

/// RFC 6962, section 2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Sha256::digest([&[1][..], &root(left), &root(right)].concat()).into()
        }
    }
}

struct House {
    keys: Arc<NodeKeys>,
    card: Card,
    called: mpsc::Sender<Call>,
}

#[tonic::async_trait]
impl ExchangeService for House {
    type PullStream = ReceiverStream<Result<PullResponse, Status>>;

    async fn introduce(&self, _: Request<IntroduceRequest>) -> Result<Response<IntroduceResponse>, Status> {
        Ok(Response::new(IntroduceResponse { card: Some(self.card.clone()), contract: None }))
    }

    async fn show_head(&self, _: Request<ShowHeadRequest>) -> Result<Response<ShowHeadResponse>, Status> {
        Ok(Response::new(ShowHeadResponse::default()))
    }

    async fn offer_statement(
        &self,
        request: Request<OfferStatementRequest>,
    ) -> Result<Response<OfferStatementResponse>, Status> {
        let body = StatementBody {
            node: Some(self.keys.node.clone()),
            terms_digest: Some(Sha256::digest(request.get_ref().terms()).to_vec().into()),
            verdict: Some(Verdict::Signed.into()),
            signed_at_ms: Some(0),
        };
        let body = body.encode_to_vec();
        let signature = Some(self.keys.sign("qianshou.statement.v1", &body));
        Ok(Response::new(OfferStatementResponse { statement: Some(Statement { body: Some(body.into()), signature }) }))
    }

    async fn pull(&self, request: Request<Streaming<PullRequest>>) -> Result<Response<Self::PullStream>, Status> {
        let mut requests = request.into_inner();
        let Some(PullRequest { message: Some(pull_request::Message::Hello(hello)) }) = requests.message().await? else {
            return Err(Status::invalid_argument("a hello first"));
        };
        let (answers, receiver) = mpsc::channel(8);
        self.called
            .send(Call { hello, answers, requests })
            .await
            .map_err(|_| Status::unavailable("the story is over"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
