//! What the tasks and the calls of this process know of each other. Nothing here lasts: after a restart it is learnt again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use qianshou_proto::exchange::v1::{Hello, PullResponse, Receipt};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// What a consumer's call says to the task of its stream.
pub(crate) enum Call {
    /// It begins.
    Open(Caller, Hello),
    /// It acknowledges or refuses.
    Receipt(u64, Receipt),
    /// It is over.
    Gone(u64),
}

/// A consumer's call.
pub(crate) struct Caller {
    /// Which call.
    pub(crate) id: u64,
    /// Its way back.
    pub(crate) answers: mpsc::Sender<Result<PullResponse, Status>>,
    /// Cancelled when the stream's task has no more use for the call.
    pub(crate) closed: CancellationToken,
}

/// How an inbound stream does in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulling {
    /// A call is open.
    pub(crate) connected: bool,
    /// The provider has said that there is nothing more.
    pub(crate) up_to_date: bool,
    /// The provider has stopped until an operator acts.
    pub(crate) stopped: bool,
    /// Why it does not run, Chinese and English.
    pub(crate) note: Option<(String, String)>,
}

/// When a peer was last heard of, and how many calls are open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) open: u32,
    pub(crate) last_ms: Option<i64>,
}

#[derive(Default)]
struct Known {
    next_call: u64,
    outbound: HashMap<String, mpsc::Sender<Call>>,
    serving: HashMap<String, bool>,
    pulling: HashMap<String, Pulling>,
    heard: HashMap<String, Heard>,
    lost: Vec<String>,
}

/// The door to all that.
pub(crate) struct Hub {
    known: Mutex<Known>,
    bell: watch::Sender<u64>,
    holder: String,
}

impl Default for Hub {
    fn default() -> Self {
        Self { known: Mutex::default(), bell: watch::channel(0).0, holder: format!("{:016x}", rand::random::<u64>()) }
    }
}

impl Hub {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings when peers or agreements have changed.
    pub(crate) fn ring(&self) {
        self.bell.send_modify(|times| *times += 1);
    }

    pub(crate) fn rung(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// This process's name among those that may pull the node's streams.
    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    /// Notes that the other side does not know an agreement.
    pub(crate) fn lost(&self, agreement: &str) {
        self.known().lost.push(agreement.to_owned());
        self.ring();
    }

    pub(crate) fn take_lost(&self) -> Vec<String> {
        std::mem::take(&mut self.known().lost)
    }

    /// A number for a new call.
    pub(crate) fn next_call(&self) -> u64 {
        let mut known = self.known();
        known.next_call += 1;
        known.next_call
    }

    /// The task of an outbound stream, if it runs in this process.
    pub(crate) fn outbound(&self, stream: &str) -> Option<mpsc::Sender<Call>> {
        self.known().outbound.get(stream).filter(|calls| !calls.is_closed()).cloned()
    }

    pub(crate) fn set_outbound(&self, stream: &str, calls: mpsc::Sender<Call>) {
        self.known().outbound.insert(stream.to_owned(), calls);
    }

    /// Whether a consumer's call is open.
    pub(crate) fn serving(&self, stream: &str) -> bool {
        self.known().serving.get(stream).copied().unwrap_or(false)
    }

    pub(crate) fn set_serving(&self, stream: &str, open: bool) {
        self.known().serving.insert(stream.to_owned(), open);
    }

    /// How an inbound stream does; `None`: this process does not pull it.
    pub(crate) fn pulling(&self, stream: &str) -> Option<Pulling> {
        self.known().pulling.get(stream).cloned()
    }

    pub(crate) fn set_pulling(&self, stream: &str, pulling: Option<Pulling>) {
        let mut known = self.known();
        match pulling {
            Some(pulling) => known.pulling.insert(stream.to_owned(), pulling),
            None => known.pulling.remove(stream),
        };
    }

    pub(crate) fn heard(&self, node: &str) -> Heard {
        self.known().heard.get(node).copied().unwrap_or_default()
    }

    /// Notes that a peer was heard of.
    pub(crate) fn hear(&self, node: &str, now_ms: i64) {
        self.known().heard.entry(node.to_owned()).or_default().last_ms = Some(now_ms);
    }

    /// Notes that a call with a peer has begun (`true`) or is over.
    pub(crate) fn count_call(&self, node: &str, begins: bool) {
        let mut known = self.known();
        let heard = known.heard.entry(node.to_owned()).or_default();
        heard.open = if begins { heard.open + 1 } else { heard.open.saturating_sub(1) };
    }
}
