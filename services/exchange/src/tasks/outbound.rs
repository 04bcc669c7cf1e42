//! One outbound stream: the provider's machine with the ledger, this house's tables and at most one consumer's call. It
//! makes pages whether or not anybody calls, as far as the window goes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use qianshou_kernel::{
    config::ms,
    error::{Error, Result},
    ledger::{Content, Stored},
    person::{Domain, Secret},
    telemetry::{Trace, Work},
};
use qianshou_proto::exchange::v1::{Card, PullResponse, pull_response::Message};
use rand::{TryRngCore as _, rngs::OsRng};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    hub::{Call, Caller},
    measure,
};
use crate::{
    House,
    domain::{
        Moment,
        agreement::Held,
        page::key_of,
        provider::{Commit, Input, LedgerHead, Output, Provider, Source, SourceContent},
    },
};

/// Calls and receipts that wait for the task.
const CALLS_MAX: usize = 64;
/// Answers on the way to a consumer beyond a window of pages.
pub(super) const ANSWERS_MARGIN: usize = 8;

struct Stream {
    house: Arc<House>,
    held: Held,
    consumer: String,
    domain: Option<Domain>,
    machine: Provider,
    caller: Option<Caller>,
}

/// Serves one stream until cancelled; answers nothing, for all it does is kept.
pub(super) async fn run(house: Arc<House>, held: Held, card: Card, cancel: CancellationToken) {
    let (calls, mut inbox) = mpsc::channel(CALLS_MAX);
    let id = held.accord.id.clone();
    let mut stream = match Stream::open(house.clone(), held, &card).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::error!(%error, stream = %id, "an outbound stream could not be opened; it is tried again");
            tokio::time::sleep(ms(house.ground.config.backoff_min_ms)).await;
            return;
        }
    };
    house.hub.set_outbound(&id, calls);
    let work = async {
        let mut bell = house.ground.ledger.bell();
        let mut beat = tokio::time::interval(ms(house.ground.config.heartbeat_ms));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                biased;
                call = inbox.recv() => match call {
                    Some(call) => stream.call(call).await,
                    None => return,
                },
                rung = bell.changed() => match rung {
                    Ok(()) => stream.look().await.map(drop),
                    Err(_) => return,
                },
                _ = beat.tick() => stream.beat().await,
            };
            if let Err(error) = done {
                tracing::error!(%error, stream = %id, "an outbound stream failed; it is tried again");
                tokio::time::sleep(ms(house.ground.config.backoff_min_ms)).await;
                return;
            }
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = work => {}
    }
    stream.close();
}

impl Stream {
    async fn open(house: Arc<House>, held: Held, card: &Card) -> Result<Self> {
        let key = key_of(card).ok_or_else(|| Error::broken("a stored card has no key"))?;
        let row = house.store.outbound_open(&held.accord.id).await?;
        let domain = held.accord.domain.as_deref().and_then(|name| {
            let key = house.ground.keys.domains.get(name)?;
            Some(Domain::new(name, &Secret::from_bytes(key).ok()?))
        });
        let accord = Arc::new(held.accord.clone());
        let machine = Provider::new(accord, key, house.ground.keys.clone(), house.limits(), row);
        let consumer = card.node().to_owned();
        Ok(Self { house, held, consumer, domain, machine, caller: None })
    }

    fn now(&self) -> Moment {
        let today = self.house.clock().today();
        Moment { today, state: self.held.state(today) }
    }

    async fn call(&mut self, call: Call) -> Result<()> {
        self.house.hub.hear(&self.consumer, self.house.clock().now_ms());
        match call {
            Call::Open(caller, hello) => {
                self.close();
                self.refresh().await?;
                if !self.look().await? {
                    return self.hold_back(caller);
                }
                self.house.hub.set_serving(&self.held.accord.id, true);
                self.house.hub.count_call(&self.consumer, true);
                self.caller = Some(caller);
                self.feed(Input::Hello(hello)).await
            }
            Call::Receipt(id, receipt) if self.is_open(id) => self.feed(Input::Receipt(receipt)).await,
            Call::Gone(id) if self.is_open(id) => {
                self.close();
                self.feed(Input::Gone).await
            }
            // Of a call that was replaced or closed.
            Call::Receipt(..) | Call::Gone(_) => Ok(()),
        }
    }

    fn is_open(&self, id: u64) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.id == id)
    }

    /// The bell is a hint: the ledger's head is asked of the database. `false`: its epoch is not declared, so nothing is made
    /// and nothing is sent.
    async fn look(&mut self) -> Result<bool> {
        let head = self.house.ground.ledger.head().await?;
        if head.declared {
            self.feed(Input::Ledger(LedgerHead { epoch: head.epoch, position: head.position })).await?;
        }
        Ok(head.declared)
    }

    fn hold_back(&mut self, caller: Caller) -> Result<()> {
        for output in Provider::undeclared() {
            if let Output::Send(message) = output {
                // A caller that has gone already will hear it when it calls again.
                drop(caller.answers.try_send(Ok(PullResponse { message: Some(message) })));
            }
        }
        caller.closed.cancel();
        Ok(())
    }

    /// Now and then what is kept is looked at again, for another process may have changed it.
    async fn beat(&mut self) -> Result<()> {
        self.refresh().await?;
        if self.look().await? { self.feed(Input::Tick).await } else { Ok(()) }
    }

    async fn refresh(&mut self) -> Result<()> {
        let id = self.held.accord.id.clone();
        if let Some(held) = self.house.store.agreement_find(&id).await? {
            self.held = held;
        }
        let row = self.house.store.outbound_open(&id).await?;
        if row == *self.machine.row() { Ok(()) } else { self.feed(Input::Row(row)).await }
    }

    /// Hands an input to the machine and carries out what it wants, in order.
    async fn feed(&mut self, input: Input) -> Result<()> {
        let mut outputs = VecDeque::from(self.machine.handle(self.now(), input));
        while let Some(output) = outputs.pop_front() {
            let answer = match output {
                Output::Send(message) => self.send(message),
                Output::Close => {
                    self.close();
                    None
                }
                Output::Read { after, limit } => Some(self.read(after, limit).await?),
                Output::Load { epoch, number } => {
                    Some(Input::Loaded(self.house.store.page_load(&self.held.accord.id, epoch, number).await?))
                }
                Output::Commit(commit) => Some(if self.commit(&commit).await? {
                    measure::provided(&self.consumer, &commit);
                    Input::Committed
                } else {
                    Input::Row(self.house.store.outbound_open(&self.held.accord.id).await?)
                }),
            };
            if let Some(answer) = answer {
                let more = self.machine.handle(self.now(), answer);
                more.into_iter().rev().for_each(|output| outputs.push_front(output));
            }
        }
        Ok(())
    }

    /// Makes a step last; a page, in the traces of its entries.
    async fn commit(&self, commit: &Commit) -> Result<bool> {
        let page = match commit {
            Commit::Advance(advance) => advance.page.as_ref(),
            Commit::Acknowledge { .. } | Commit::Mark { .. } => None,
        };
        let causes = page.into_iter().flat_map(|made| &made.page.traces).filter_map(|text| Trace::hint(text));
        let paged = || tracing::info_span!("exchange.page", qianshou.peer = self.consumer);
        Work::begin(causes, paged).run(self.house.store.outbound_commit(commit)).await
    }

    /// Puts a message on its way. A call that does not take what the window allows is closed: it will come again.
    fn send(&mut self, message: Message) -> Option<Input> {
        let caller = self.caller.as_ref()?;
        let spare = caller.answers.capacity();
        if matches!(message, Message::Idle(_)) && spare < ANSWERS_MARGIN / 2 {
            return None;
        }
        if caller.answers.try_send(Ok(PullResponse { message: Some(message) })).is_ok() {
            return None;
        }
        self.close();
        Some(Input::Gone)
    }

    fn close(&mut self) {
        if let Some(caller) = self.caller.take() {
            caller.closed.cancel();
            self.house.hub.set_serving(&self.held.accord.id, false);
            self.house.hub.count_call(&self.consumer, false);
        }
    }

    async fn read(&self, after: u64, limit: u32) -> Result<Input> {
        let kinds = self.held.accord.kinds();
        if kinds.is_empty() {
            return Ok(Input::Entries { sources: vec![], shown: BTreeMap::new() });
        }
        let stored = self.house.ground.ledger.after(after, &kinds, limit).await?;
        let own = stored.iter().filter(|stored| stored.name.home() == self.house.node());
        let names: Vec<String> = own.map(|stored| stored.name.to_string()).collect();
        let shown = self.house.store.held(&self.held.accord.id, &names).await?;
        let mut salts = vec![[0; 16]; stored.len()];
        let randomness = |cause| Error::broken(format!("no randomness: {cause}"));
        OsRng.try_fill_bytes(salts.as_flattened_mut()).map_err(randomness)?;
        let sources = stored.into_iter().zip(salts).map(|(stored, salt)| self.source(stored, salt)).collect();
        Ok(Input::Entries { sources, shown })
    }

    fn source(&self, stored: Stored, salt: [u8; 16]) -> Source {
        let pseudonym = self.pseudonym(&stored);
        let Stored { position, name, version, content, trace, .. } = stored;
        let content = match content {
            Content::Put { payload, .. } => SourceContent::Put { payload, pseudonym },
            Content::End(end) => SourceContent::End(end),
        };
        Source { position, name, version, content, salt, trace }
    }

    /// A pseudonym that cannot be made is withheld: one record never stops the others.
    fn pseudonym(&self, stored: &Stored) -> Option<String> {
        let clause = self.held.accord.clauses.get(stored.name.kind()).filter(|clause| clause.wants_pseudonym());
        let (Some(_), Some(domain), Some(sealed)) = (clause, &self.domain, stored.sealed()) else {
            return None;
        };
        match self.house.ground.secrets.open(sealed, stored.name.as_str()) {
            Ok(number) => Some(domain.pseudonym(&number)),
            Err(cause) => {
                tracing::error!(%cause, position = stored.position, "a sealed part does not open; no pseudonym is sent");
                None
            }
        }
    }
}
