//! One inbound stream: the consumer's machine with a call to the provider, the ledger and this house's tables. A call that
//! ends, for whatever reason, is made again from the cursor, after a pause that grows while nothing comes of it.

use std::{collections::VecDeque, sync::Arc};

use qianshou_kernel::{
    config::ms,
    error::{Error, Reason, Result, shown},
    telemetry::Work,
};
use qianshou_proto::exchange::v1::{
    AgreementState, Card, PullRequest, PullResponse, Stop, StreamState, pull_response::Message,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Backoff, REASON_MAX_CHARS, hub::Pulling, measure, outbound::ANSWERS_MARGIN, statements};
#[cfg(feature = "mutations")]
use crate::domain::Mutation;
use crate::{
    House, client,
    domain::{
        Moment,
        agreement::Held,
        consumer::{Commit, Consumer, Input, Output},
        page::key_of,
    },
};

/// How long an answer to the call may take to begin.
const ANSWER_TIMEOUT_MS: u64 = 30_000;
/// How long a provider may take to end a call that we have ended.
const PARTING_TIMEOUT_MS: u64 = 2_000;
/// How long this process promises to pull, in heartbeats.
const LEASE_BEATS: u64 = 10;
/// How long a mutated process waits between the halves of what should be one step.
#[cfg(feature = "mutations")]
const LINGER_MS: u64 = 200;

struct Pull {
    house: Arc<House>,
    held: Held,
    machine: Consumer,
    requests: mpsc::Sender<PullRequest>,
    pulling: Pulling,
    progress: bool,
}

/// What is wrong with a call, for the back-off and the operator.
enum Ended {
    /// It is over; another is made.
    Over,
    /// Another process of this node pulls the stream.
    Elsewhere,
    /// The provider or the way to it refuses.
    Refused(Status),
    /// Our own machinery.
    Broken(Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

/// Pulls one stream until cancelled or ended.
pub(super) async fn run(house: Arc<House>, held: Held, card: Card, cancel: CancellationToken) {
    let id = held.accord.id.clone();
    let work = async {
        let mut backoff = Backoff::of(&house);
        loop {
            if ended(&house, &id).await {
                // Nothing is left to come; the supervisor looks again after a while.
                house.hub.set_pulling(&id, None);
                return cancel.cancelled().await;
            }
            if call(&house, &held, &card).await {
                backoff.reset();
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = work => {}
    }
    house.hub.set_pulling(&id, None);
}

async fn ended(house: &House, id: &str) -> bool {
    matches!(house.store.inbound_find(id).await, Ok(Some(row)) if row.state == StreamState::Ended)
}

/// Makes one call and stays in it; answers whether anything came of it.
async fn call(house: &Arc<House>, held: &Held, card: &Card) -> bool {
    let id = &held.accord.id;
    let mut pulling = house.hub.pulling(id).unwrap_or_default();
    let (progress, ended) = match Pull::open(house, held, card).await {
        Ok((mut pull, requests)) => {
            let ended = pull.run(card, requests).await;
            pulling = pull.pulling;
            (pull.progress, ended)
        }
        Err(error) => (false, Ended::Broken(error)),
    };
    (pulling.connected, pulling.up_to_date) = (false, false);
    match ended {
        Ended::Over => {}
        Ended::Elsewhere => {
            // Nothing is wrong: it is looked at again with the next heartbeat, not ever more seldom.
            house.hub.set_pulling(id, None);
            tokio::time::sleep(ms(house.ground.config.heartbeat_ms)).await;
            return true;
        }
        Ended::Refused(status) => {
            tracing::debug!(stream = %id, provider = card.node(), code = ?status.code(), "a call to the provider has ended");
            if status.message().is_empty() {
                pulling.note = Some(away(card.node()));
            } else {
                let (zh, en) = status.message().split_once(" | ").unwrap_or((status.message(), status.message()));
                pulling.note = Some((shown(zh, REASON_MAX_CHARS), shown(en, REASON_MAX_CHARS)));
            }
            statements::offer_again(house, held, &status);
        }
        Ended::Broken(error) => {
            tracing::error!(%error, stream = %id, "an inbound stream failed; it is tried again");
            pulling.note = Some((
                "本节点内部错误，已记入日志，将自动重试".into(),
                "internal error, written to the log; it is tried again".into(),
            ));
        }
    }
    house.hub.set_pulling(id, Some(pulling));
    progress
}

fn away(node: &str) -> (String, String) {
    (
        format!("暂时无法连接节点 {node}，将自动重试"),
        format!("node {node} cannot be reached at the moment; it is tried again"),
    )
}

impl Pull {
    async fn open(house: &Arc<House>, held: &Held, card: &Card) -> Result<(Self, mpsc::Receiver<PullRequest>)> {
        let id = &held.accord.id;
        let key = key_of(card).ok_or_else(|| Error::broken("a stored card has no key"))?;
        let row = house.store.inbound_open(id).await?;
        let accord = Arc::new(held.accord.clone());
        let machine = Consumer::new(accord, key, house.ground.keys.clone(), house.limits(), house.mutation, row);
        let (requests, receiver) = mpsc::channel(house.limits().window_pages as usize + ANSWERS_MARGIN);
        let pulling = house.hub.pulling(id).unwrap_or_default();
        let pull = Self { house: house.clone(), held: held.clone(), machine, requests, pulling, progress: false };
        Ok((pull, receiver))
    }

    async fn run(&mut self, card: &Card, requests: mpsc::Receiver<PullRequest>) -> Ended {
        match self.lease().await {
            Ok(true) => {}
            Ok(false) => return Ended::Elsewhere,
            Err(error) => return Ended::Broken(error),
        }
        match self.pull(card, requests).await {
            Ok(()) => Ended::Over,
            Err(ended) => ended,
        }
    }

    async fn pull(&mut self, card: &Card, requests: mpsc::Receiver<PullRequest>) -> Result<(), Ended> {
        let mut client = client(&self.house, card)?;
        self.feed(Input::Open).await?;
        let answer = client.pull(ReceiverStream::new(requests));
        let answer = tokio::time::timeout(ms(ANSWER_TIMEOUT_MS), answer).await;
        let answer = answer.map_err(|_| Ended::Refused(Status::unavailable("")))?.map_err(Ended::Refused)?;
        let mut answers = answer.into_inner();
        self.pulling.connected = true;
        self.house.hub.count_call(card.node(), true);
        let ended = self.listen(card, &mut answers).await;
        if ended.is_ok() {
            self.part(&mut answers).await;
        }
        self.house.hub.count_call(card.node(), false);
        ended
    }

    /// What was said last, such as why a page is refused, has to arrive: the provider ends the call once it has heard that we
    /// have nothing more to say. A call that is dropped takes with it what is still on its way.
    async fn part(&mut self, answers: &mut tonic::Streaming<PullResponse>) {
        self.requests = mpsc::channel(1).0;
        let over = async { while let Ok(Some(_)) = answers.message().await {} };
        // A provider that does not end it is not waited for.
        drop(tokio::time::timeout(ms(PARTING_TIMEOUT_MS), over).await);
    }

    async fn listen(&mut self, card: &Card, answers: &mut tonic::Streaming<PullResponse>) -> Result<(), Ended> {
        let mut beat = tokio::time::interval(ms(self.house.ground.config.heartbeat_ms));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                answer = answers.message() => {
                    let Some(answer) = answer.map_err(Ended::Refused)? else { return Ok(()) };
                    self.house.hub.hear(card.node(), self.house.clock().now_ms());
                    if !self.hear(answer).await? {
                        return Ok(());
                    }
                }
                _ = beat.tick() => {
                    if !self.lease().await? {
                        return Ok(());
                    }
                    self.refresh().await?;
                }
            }
        }
    }

    /// One process of the node pulls a stream; on a database of its own there is no other.
    async fn lease(&self) -> Result<bool> {
        if !self.house.ground.ledger.db().is_shared() {
            return Ok(true);
        }
        let for_ms = i64::try_from(self.house.ground.config.heartbeat_ms * LEASE_BEATS).unwrap_or(i64::MAX / 2);
        self.house.store.inbound_lease(&self.held.accord.id, self.house.hub.holder(), for_ms).await
    }

    /// The halves may have changed: what was in force may have been withdrawn.
    async fn refresh(&mut self) -> Result<()> {
        if let Some(held) = self.house.store.agreement_find(&self.held.accord.id).await? {
            self.held = held;
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        let today = self.house.clock().today();
        Moment { today, state: self.held.state(today) }
    }

    /// Takes one message; `false`: the call is over.
    async fn hear(&mut self, answer: PullResponse) -> Result<bool> {
        let input = match answer.message {
            Some(Message::Welcome(welcome)) => Input::Welcome(welcome),
            Some(Message::Page(page)) => Input::Page(page),
            Some(Message::Idle(_)) => Input::Idle,
            Some(Message::Stop(stop)) => {
                self.stopped(&stop);
                Input::Stop(stop)
            }
            None => return Ok(true),
        };
        if let Input::Page(page) = &input {
            let names: Vec<String> = page.entries.iter().map(|entry| entry.name().to_owned()).collect();
            let held = self.house.ground.ledger.versions(&names).await?;
            self.feed(Input::Held(held)).await?;
        }
        let moves = matches!(input, Input::Page(_) | Input::Idle);
        let stops = matches!(input, Input::Stop(_));
        let open = self.feed(input).await?;
        if moves && open {
            self.progress = true;
            (self.pulling.note, self.pulling.stopped) = (None, false);
        }
        self.tell();
        Ok(open && !stops)
    }

    fn stopped(&mut self, stop: &Stop) {
        self.pulling.stopped = stop.reason() == Reason::OutOfOrder
            && self.held.state(self.house.clock().today()) == AgreementState::InForce;
        let [zh, en] = [stop.reason_zh(), stop.reason_en()].map(|text| shown(text, REASON_MAX_CHARS));
        self.pulling.note = Some((zh, en));
    }

    fn tell(&mut self) {
        self.pulling.up_to_date = self.machine.up_to_date();
        self.house.hub.set_pulling(&self.held.accord.id, Some(self.pulling.clone()));
    }

    /// Hands an input to the machine and carries out what it wants, in order; `false`: the call is over.
    async fn feed(&mut self, input: Input) -> Result<bool> {
        let (id, provider) = (self.held.accord.id.clone(), self.held.accord.provider.clone());
        let mut outputs = VecDeque::from(self.machine.handle(self.now(), input));
        while let Some(output) = outputs.pop_front() {
            let answer = match output {
                Output::Send(message) => {
                    if self.requests.send(PullRequest { message: Some(message) }).await.is_err() {
                        return Ok(false);
                    }
                    None
                }
                Output::Close => return Ok(false),
                Output::Recall { epoch, number } => {
                    Some(Input::Recalled(self.house.store.inbound_recall(&id, epoch, number).await?))
                }
                Output::Commit(commit) => {
                    #[cfg(feature = "mutations")]
                    self.linger(&commit).await;
                    Some(if self.commit(&provider, &commit).await? {
                        measure::consumed(&provider, &commit);
                        Input::Committed
                    } else {
                        Input::Row(self.house.store.inbound_open(&id).await?)
                    })
                }
            };
            if let Some(answer) = answer {
                let more = self.machine.handle(self.now(), answer);
                more.into_iter().rev().for_each(|output| outputs.push_front(output));
            }
        }
        Ok(true)
    }

    /// Makes a page last, in the traces of its entries.
    async fn commit(&self, provider: &str, commit: &Commit) -> Result<bool> {
        let applied = || tracing::info_span!("exchange.apply", qianshou.peer = provider);
        let causes = commit.traces.iter().copied().flatten();
        Work::begin(causes, applied).run(self.house.store.inbound_commit(provider, commit)).await
    }

    /// A process that breaks one step in two on purpose waits between the halves, so that a kill can find it there.
    #[cfg(feature = "mutations")]
    async fn linger(&self, commit: &Commit) {
        let second_half = match self.house.mutation {
            Some(Mutation::CursorFirst) => commit.advance.is_none(),
            Some(Mutation::EarlyReceipt) => commit.advance.is_some(),
            _ => false,
        };
        if second_half {
            tokio::time::sleep(ms(LINGER_MS)).await;
        }
    }
}
