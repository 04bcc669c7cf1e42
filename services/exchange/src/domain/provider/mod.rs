//! The provider's half of a stream: turns the ledger into pages, and a consumer's calls into answers. A page is committed,
//! with what the consumer then holds and the ledger position it reaches, before it is sent; page *n* never changes.
//!
//! A state machine without I/O. It asks for one thing at a time ([`Output::Read`], [`Output::Load`], [`Output::Commit`])
//! and goes on when it is answered ([`Input::Entries`], [`Input::Loaded`], [`Input::Committed`] or [`Input::Row`]).

mod build;
mod session;

pub(crate) use session::UNDECLARED;

use std::{collections::BTreeMap, sync::Arc};

use qianshou_kernel::{ledger::Version, telemetry::Trace};
use qianshou_proto::exchange::v1::{
    AgreementState, Ended, Hello, Page, Receipt, RefusalReason, StreamState, control, pull_response::Message,
};
use session::Session;

use super::{
    Limits, Moment,
    agreement::Accord,
    page::{self, Made, NO_PAGE, Place, Signer},
    tree::Hash,
};

/// An outbound stream as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbound {
    /// The stream, which is the agreement's id.
    pub stream: String,
    /// Its epoch; 0: never opened.
    pub epoch: u64,
    /// Number of the next page.
    pub next: u64,
    /// Digest of the last page of the epoch.
    pub digest: Hash,
    /// Ledger position up to which everything is paged.
    pub position: u64,
    /// While the epoch's first load runs: the position that completes it.
    pub snapshot: Option<u64>,
    /// The last page that the consumer has acknowledged.
    pub acked: u64,
    /// Pages made in all epochs.
    pub pages: u64,
    /// Entries in them, without those of pages that an epoch's end made void.
    pub entries: u64,
    /// Entries the consumer has committed.
    pub applied: u64,
    /// Entries the consumer has set aside.
    pub quarantined: u64,
    /// Entries among the committed that changed nothing there.
    pub skipped: u64,
    /// What was decided about it: RUNNING, REFUSED, STOPPED or ENDED.
    pub state: StreamState,
    /// Why the consumer refused, while it is REFUSED.
    pub refusal: Option<RefusalReason>,
}

impl Outbound {
    /// A stream of which nothing was ever sent.
    #[must_use]
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            epoch: 0,
            next: 1,
            digest: NO_PAGE,
            position: 0,
            snapshot: None,
            acked: 0,
            pages: 0,
            entries: 0,
            applied: 0,
            quarantined: 0,
            skipped: 0,
            state: StreamState::Running,
            refusal: None,
        }
    }

    /// The place that a commit of production starts from.
    #[must_use]
    pub fn at(&self) -> At {
        At { epoch: self.epoch, next: self.next, position: self.position }
    }

    /// The last page that was made.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    fn unacknowledged(&self) -> u64 {
        self.last().saturating_sub(self.acked)
    }

    /// The same stream at the beginning of a new life of the ledger.
    fn reopened(&self, ledger: LedgerHead) -> Self {
        Self {
            epoch: ledger.epoch,
            next: 1,
            digest: NO_PAGE,
            position: 0,
            snapshot: Some(ledger.position),
            acked: 0,
            entries: self.applied + self.quarantined,
            state: StreamState::Running,
            refusal: None,
            ..self.clone()
        }
    }
}

/// Where production stands; a commit is refused if another process has moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The stream's epoch.
    pub epoch: u64,
    /// Number of the next page.
    pub next: u64,
    /// Ledger position reached.
    pub position: u64,
}

/// Where the ledger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerHead {
    /// Which life of its history.
    pub epoch: u64,
    /// Its newest position.
    pub position: u64,
}

/// A record of the ledger on its way into a page.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its position.
    pub position: u64,
    /// Its name.
    pub name: qianshou_kernel::id::Name,
    /// Its version at home.
    pub version: Version,
    /// What it says.
    pub content: SourceContent,
    /// Fresh random bytes for its leaf.
    pub salt: [u8; 16],
    /// In whose trace it was saved.
    pub trace: Option<Trace>,
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum SourceContent {
    /// All of it, and the person's pseudonym in the agreement's domain where the clause wants one.
    Put {
        /// The payload at home.
        payload: bytes::Bytes,
        /// The pseudonym.
        pseudonym: Option<String>,
    },
    /// Its end.
    End(qianshou_kernel::ledger::End),
}

/// What the consumer holds of a record, as far as was paged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// In which epoch it was last sent.
    pub epoch: u64,
    /// SHA-256 of the masked content.
    pub digest: Hash,
}

/// What happens to a provider.
#[derive(Clone, Debug)]
pub enum Input {
    /// The ledger stands here (the bell, or a look at it).
    Ledger(LedgerHead),
    /// The stream as it is kept: at first, and whenever another process may have moved it.
    Row(Outbound),
    /// A consumer calls.
    Hello(Hello),
    /// The consumer's call is over.
    Gone,
    /// The consumer says what became of a page.
    Receipt(Receipt),
    /// Answer to [`Output::Read`]: the records, in order, and what the consumer holds of them, by name.
    Entries {
        /// At most as many as were asked for.
        sources: Vec<Source>,
        /// Of these records only.
        shown: BTreeMap<String, Shown>,
    },
    /// Answer to [`Output::Load`].
    Loaded(Option<Page>),
    /// Answer to [`Output::Commit`]: it is done. If it was not, the answer is [`Input::Row`].
    Committed,
    /// The heartbeat.
    Tick,
}

/// What a provider wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Say this to the consumer.
    Send(Message),
    /// End the consumer's call.
    Close,
    /// Read the records of the agreement's kinds after a position.
    Read {
        /// After it.
        after: u64,
        /// So many at most.
        limit: u32,
    },
    /// Load a page that was made.
    Load {
        /// Its epoch.
        epoch: u64,
        /// Its number.
        number: u64,
    },
    /// Make this last.
    Commit(Commit),
}

/// What a provider makes last, each in one commit.
#[derive(Clone, Debug)]
pub enum Commit {
    /// A page, or only a position.
    Advance(Box<Advance>),
    /// A receipt, for the page after the last acknowledged.
    Acknowledge {
        /// The stream.
        stream: String,
        /// The stream's epoch.
        epoch: u64,
        /// The page's number.
        number: u64,
        /// How many entries were applied.
        applied: u32,
        /// How many were set aside.
        quarantined: u32,
        /// How many of those applied changed nothing.
        skipped: u32,
        /// The receipt, verbatim.
        receipt: Receipt,
    },
    /// A decision about the stream.
    Mark {
        /// The stream.
        stream: String,
        /// How it stands now.
        state: StreamState,
        /// Why the consumer refused a page, with its receipt.
        refusal: Option<(RefusalReason, Receipt)>,
    },
}

/// One step of production.
#[derive(Clone, Debug)]
pub struct Advance {
    /// It must still stand here.
    pub from: At,
    /// The stream afterwards; `acked`, `applied` and `quarantined` count only when the epoch is new.
    pub row: Outbound,
    /// The page, if there is one.
    pub page: Option<Made>,
    /// What the consumer holds once it has the page.
    pub shown: BTreeMap<String, Shown>,
    /// What it no longer holds.
    pub dropped: Vec<String>,
    /// The first load is complete: what was shown in older epochs is forgotten.
    pub forget_older: bool,
}

/// What was asked and not yet answered.
#[derive(Clone, Debug)]
enum Pending {
    Read { base: Outbound, head: LedgerHead },
    Compare(Hello),
    Resend(u64),
    Advance(Box<Advance>),
    Acknowledge { number: u64, applied: u32, quarantined: u32, skipped: u32 },
    Mark(StreamState, Option<RefusalReason>),
}

/// The machine.
pub struct Provider {
    node: String,
    accord: Arc<Accord>,
    consumer_key: [u8; 32],
    signer: Arc<dyn Signer>,
    limits: Limits,
    row: Outbound,
    scanned: u64,
    ledger: Option<LedgerHead>,
    session: Option<Session>,
    pending: Option<Pending>,
}

impl Provider {
    /// A provider of `accord` whose stream stands at `row`.
    #[must_use]
    pub fn new(
        accord: Arc<Accord>,
        consumer_key: [u8; 32],
        signer: Arc<dyn Signer>,
        limits: Limits,
        row: Outbound,
    ) -> Self {
        let node = accord.provider.clone();
        let scanned = row.position;
        Self { node, accord, consumer_key, signer, limits, row, scanned, ledger: None, session: None, pending: None }
    }

    /// The stream as far as this machine knows.
    #[must_use]
    pub fn row(&self) -> &Outbound {
        &self.row
    }

    /// Takes one input; answers what is to be done, in this order.
    pub fn handle(&mut self, now: Moment, input: Input) -> Vec<Output> {
        let mut outputs = match input {
            Input::Ledger(head) => {
                self.ledger = Some(head);
                vec![]
            }
            Input::Row(row) => self.resume(row),
            Input::Hello(hello) => self.hello(now, hello),
            Input::Gone => {
                self.session = None;
                vec![]
            }
            Input::Receipt(receipt) => self.receipt(&receipt),
            Input::Entries { sources, shown } => self.entries(now, sources, &shown),
            Input::Loaded(page) => self.loaded(now, page),
            Input::Committed => self.committed(now),
            Input::Tick => {
                if let Some(session) = &mut self.session {
                    session.told_idle = None;
                }
                self.flush()
            }
        };
        outputs.extend(self.proceed(now));
        outputs
    }

    /// What can be done next, one question at a time.
    fn proceed(&mut self, now: Moment) -> Vec<Output> {
        if self.pending.is_some() {
            return vec![];
        }
        if let Some(number) =
            self.session.as_ref().filter(|s| s.has_room()).map(|s| s.next).filter(|n| *n <= self.row.last())
        {
            return self.ask(Pending::Resend(number), Output::Load { epoch: self.row.epoch, number });
        }
        let produced = self.produce(now);
        if produced.is_empty() { self.idle(now) } else { produced }
    }

    fn ask(&mut self, pending: Pending, output: Output) -> Vec<Output> {
        self.pending = Some(pending);
        vec![output]
    }

    fn produce(&mut self, now: Moment) -> Vec<Output> {
        let Some(head) = self.ledger else { return vec![] };
        match now.state {
            AgreementState::InForce => {}
            AgreementState::Expired | AgreementState::Withdrawn => return self.end(now),
            _ => return vec![],
        }
        let base = if head.epoch > self.row.epoch {
            self.row.reopened(head)
        } else if matches!(self.row.state, StreamState::Stopped | StreamState::Ended) {
            return vec![];
        } else {
            self.row.clone()
        };
        let after = if base.epoch == self.row.epoch { self.scanned } else { 0 };
        let unopened = base.next == 1;
        let more = after < head.position || base.snapshot.is_some() || unopened;
        if !more || base.unacknowledged() >= u64::from(self.limits.window_pages.max(1)) {
            return vec![];
        }
        let limit = u32::try_from(self.limits.page_max_entries).unwrap_or(u32::MAX);
        self.ask(Pending::Read { base, head }, Output::Read { after, limit })
    }

    /// After the agreement nothing is said but that it is over, and only when all before it has arrived.
    fn end(&mut self, now: Moment) -> Vec<Output> {
        if self.row.state == StreamState::Ended || self.row.epoch == 0 || self.row.unacknowledged() > 0 {
            return vec![];
        }
        let reason = if now.state == AgreementState::Expired { "EXPIRED" } else { "WITHDRAWN" };
        let event = control::Control::Ended(Ended { reason: Some(reason.into()) });
        let made = page::make(&self.place(&self.row), vec![], Some(event), now.today, &*self.signer);
        let mut row = self.row.clone();
        row.take(&made);
        row.state = StreamState::Ended;
        self.advance(Advance {
            from: self.row.at(),
            row,
            page: Some(made),
            shown: BTreeMap::new(),
            dropped: vec![],
            forget_older: false,
        })
    }

    fn place<'a>(&'a self, row: &'a Outbound) -> Place<'a> {
        let (stream, agreement) = (row.stream.as_str(), self.accord.digest);
        Place { stream, epoch: row.epoch, number: row.next, previous: row.digest, agreement }
    }

    fn entries(&mut self, now: Moment, sources: Vec<Source>, shown: &BTreeMap<String, Shown>) -> Vec<Output> {
        let Some(Pending::Read { base, head }) = self.pending.take() else {
            return vec![];
        };
        let newer = |source: &Source| source.name.home() == self.node && source.version.epoch > base.epoch;
        if sources.iter().any(newer) {
            // An epoch was declared since the head was looked at. Its records belong into its pages, so the head is asked again.
            self.ledger = None;
            return vec![];
        }
        let advance = self.build(now, &base, head, sources, shown);
        if advance.page.is_none() && advance.from.epoch == base.epoch {
            // Nothing in scope: the position is remembered, and kept with the next page or at the next heartbeat.
            self.scanned = advance.row.position;
            return vec![];
        }
        self.advance(advance)
    }

    fn advance(&mut self, advance: Advance) -> Vec<Output> {
        self.ask(Pending::Advance(Box::new(advance.clone())), Output::Commit(Commit::Advance(Box::new(advance))))
    }

    fn flush(&mut self) -> Vec<Output> {
        if self.pending.is_some() || self.scanned <= self.row.position || self.row.state == StreamState::Ended {
            return vec![];
        }
        let row = Outbound { position: self.scanned, ..self.row.clone() };
        self.advance(Advance {
            from: self.row.at(),
            row,
            page: None,
            shown: BTreeMap::new(),
            dropped: vec![],
            forget_older: false,
        })
    }

    fn committed(&mut self, now: Moment) -> Vec<Output> {
        match self.pending.take() {
            Some(Pending::Advance(advance)) => self.advanced(now, *advance),
            Some(Pending::Acknowledge { number, applied, quarantined, skipped }) => {
                self.row.acked = number;
                self.row.applied += u64::from(applied);
                self.row.skipped += u64::from(skipped);
                self.row.quarantined += u64::from(quarantined);
                if self.row.state == StreamState::Refused {
                    (self.row.state, self.row.refusal) = (StreamState::Running, None);
                }
                vec![]
            }
            Some(Pending::Mark(state, refusal)) => {
                (self.row.state, self.row.refusal) = (state, refusal);
                vec![]
            }
            other => {
                self.pending = other;
                vec![]
            }
        }
    }

    fn advanced(&mut self, now: Moment, advance: Advance) -> Vec<Output> {
        let reopened = advance.row.epoch != self.row.epoch;
        let (acked, applied, quarantined) = (self.row.acked, self.row.applied, self.row.quarantined);
        self.row = advance.row;
        self.scanned = self.row.position;
        if reopened {
            // The consumer learns of the new epoch by calling again.
            return if self.session.take().is_some() { vec![Output::Close] } else { vec![] };
        }
        (self.row.acked, self.row.applied, self.row.quarantined) = (acked, applied, quarantined);
        match (advance.page, &self.session) {
            (Some(made), Some(session)) if session.next == made.number && session.has_room() => {
                self.send(now, made.page)
            }
            _ => vec![],
        }
    }

    fn resume(&mut self, row: Outbound) -> Vec<Output> {
        self.pending = None;
        let reopened = row.epoch != self.row.epoch;
        // A receipt that was taken and could not be kept is asked for again by a new call.
        let moved = reopened || self.session.as_ref().is_some_and(|session| row.acked < session.confirmed);
        self.scanned = if reopened { row.position } else { self.scanned.max(row.position) };
        self.row = row;
        if moved && self.session.take().is_some() { vec![Output::Close] } else { vec![] }
    }
}

#[cfg(test)]
mod tests;
