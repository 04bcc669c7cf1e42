//! The consumer's half of a stream: checks a page from the outside in, sorts its entries, and commits the good ones with the
//! cursor that says so. Only then does it acknowledge: applied, not accepted.
//!
//! A state machine without I/O. It asks for one thing at a time ([`Output::Recall`], [`Output::Commit`]) and goes on when
//! it is answered ([`Input::Recalled`], [`Input::Committed`] or [`Input::Row`]).

mod sort;

use std::{collections::BTreeMap, sync::Arc};

use qianshou_kernel::{
    clock::format_day,
    identity::verify,
    ledger::{Version, Write},
    telemetry::Trace,
};
use qianshou_proto::exchange::v1::{
    AgreementState, Cursor as WireCursor, Hello, Page, QuarantineReason, Quarantined, Receipt, ReceiptBody,
    RefusalReason, Stop, StreamState, Welcome, control, pull_request::Message,
};

use sort::Sorted;

use super::{
    Limits, Moment, Mutation,
    agreement::Accord,
    page::{self, Head, NO_PAGE, PAGE_CONTEXT, RECEIPT_CONTEXT, Signer},
    tree::Hash,
};

/// How far a consumer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Epoch of the last applied page; 0: none.
    pub epoch: u64,
    /// Its number.
    pub number: u64,
    /// SHA-256 of its header; empty: none.
    pub digest: Vec<u8>,
}

/// An inbound stream as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbound {
    /// The stream, which is the agreement's id.
    pub stream: String,
    /// The last applied page.
    pub cursor: Cursor,
    /// The first epoch that was seen; 0: none yet.
    pub first_epoch: u64,
    /// Pages applied in all epochs.
    pub pages: u64,
    /// Entries in them.
    pub entries: u64,
    /// Entries committed.
    pub applied: u64,
    /// Entries set aside.
    pub quarantined: u64,
    /// Entries among the committed that changed nothing.
    pub skipped: u64,
    /// RUNNING, REFUSED or ENDED.
    pub state: StreamState,
    /// Why a page was refused, while it is REFUSED.
    pub refusal: Option<RefusalReason>,
}

impl Inbound {
    /// A stream of which nothing has come.
    #[must_use]
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            cursor: Cursor::default(),
            first_epoch: 0,
            pages: 0,
            entries: 0,
            applied: 0,
            quarantined: 0,
            skipped: 0,
            state: StreamState::Running,
            refusal: None,
        }
    }
}

/// What happens to a consumer.
#[derive(Clone, Debug)]
pub enum Input {
    /// A call to the provider is open.
    Open,
    /// The provider answers.
    Welcome(Welcome),
    /// What is held of the records that the next page names, by name.
    Held(BTreeMap<String, Version>),
    /// A page has come.
    Page(Page),
    /// The provider has nothing more.
    Idle,
    /// The provider stops.
    Stop(Stop),
    /// The call is over.
    Gone,
    /// Answer to [`Output::Recall`]: the digest of the page that was applied under that number, and its receipt.
    Recalled(Option<(Hash, Receipt)>),
    /// Answer to [`Output::Commit`]: it is done. If it was not, the answer is [`Input::Row`].
    Committed,
    /// The stream as it is kept, because another process may have moved it.
    Row(Inbound),
}

/// What a consumer wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Say this to the provider.
    Send(Message),
    /// Look up what was applied.
    Recall {
        /// In this epoch.
        epoch: u64,
        /// Under this number.
        number: u64,
    },
    /// Make this last.
    Commit(Box<Commit>),
    /// End the call, and call again later.
    Close,
}

/// What a consumer makes last, in one commit: records, and the cursor that says they are there.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The stream.
    pub stream: String,
    /// Records, each at the version its home gave it.
    pub writes: Vec<Write>,
    /// What the provider no longer has.
    pub sweep: Option<Sweep>,
    /// The page that was applied.
    pub advance: Option<Advance>,
    /// The page that was refused.
    pub refused: Option<Refused>,
    /// In whose traces the records were saved at home, in the order of `writes`; empty where nobody said.
    pub traces: Vec<Option<Trace>>,
}

/// After the first load of a new epoch: live records of the provider that it did not send again are ended (DELETED) at
/// `(epoch, 0)` and kept as recovery claims, for they may have been lost with the provider's last days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The provider.
    pub home: String,
    /// Kinds of the agreement.
    pub kinds: Vec<String>,
    /// Records whose version is of an epoch before this, and which are not among the commit's writes.
    pub epoch: u64,
    /// The day of their end.
    pub on: String,
}

/// A page that was applied.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The cursor must still be here.
    pub from: Cursor,
    /// The cursor afterwards.
    pub to: Cursor,
    /// The first epoch seen.
    pub first_epoch: u64,
    /// The page, kept verbatim.
    pub page: Page,
    /// What was answered.
    pub receipt: Receipt,
    /// Entries of the page.
    pub count: u32,
    /// Entries committed.
    pub applied: u32,
    /// Entries among them that changed nothing.
    pub skipped: u32,
    /// Entries set aside.
    pub quarantine: Vec<SetAside>,
    /// It was the last page.
    pub ended: bool,
}

/// An entry that was set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct SetAside {
    /// Its place in the page, from 0.
    pub place: u32,
    /// Why.
    pub reason: QuarantineReason,
    /// The name it came with, fit to be stored.
    pub name: String,
    /// The entry, encoded.
    pub entry: Vec<u8>,
}

/// A page that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why.
    pub reason: RefusalReason,
    /// What was answered.
    pub receipt: Receipt,
}

/// What is done once a commit is.
#[derive(Clone, Debug)]
struct Pending {
    commit: Box<Commit>,
    then: Vec<Output>,
}

/// The machine.
pub struct Consumer {
    accord: Arc<Accord>,
    provider_key: [u8; 32],
    provider_key_id: String,
    signer: Arc<dyn Signer>,
    limits: Limits,
    mutation: Option<Mutation>,
    row: Inbound,
    recalling: Option<(Head, Page)>,
    pending: Vec<Pending>,
    held: BTreeMap<String, Version>,
    up_to_date: bool,
}

impl Consumer {
    /// A consumer of `accord` whose stream stands at `row`.
    #[must_use]
    pub fn new(
        accord: Arc<Accord>,
        provider_key: [u8; 32],
        signer: Arc<dyn Signer>,
        limits: Limits,
        mutation: Option<Mutation>,
        row: Inbound,
    ) -> Self {
        let provider_key_id = qianshou_kernel::identity::key_id(&provider_key);
        let (recalling, pending, held) = (None, vec![], BTreeMap::new());
        Self {
            accord,
            provider_key,
            provider_key_id,
            signer,
            limits,
            mutation,
            row,
            recalling,
            pending,
            held,
            up_to_date: false,
        }
    }

    /// The stream as far as this machine knows.
    #[must_use]
    pub fn row(&self) -> &Inbound {
        &self.row
    }

    /// Whether the provider said that there is nothing more, and nothing has come since.
    #[must_use]
    pub fn up_to_date(&self) -> bool {
        self.up_to_date
    }

    /// Takes one input; answers what is to be done, in this order.
    pub fn handle(&mut self, now: Moment, input: Input) -> Vec<Output> {
        match input {
            Input::Open => self.hello(),
            Input::Welcome(_) => vec![],
            Input::Idle => {
                self.up_to_date = self.pending.is_empty();
                vec![]
            }
            Input::Stop(_) | Input::Gone => {
                self.up_to_date = false;
                (self.recalling, self.pending) = (None, vec![]);
                vec![]
            }
            Input::Row(row) => {
                (self.row, self.recalling, self.pending, self.up_to_date) = (row, None, vec![], false);
                vec![Output::Close]
            }
            Input::Held(held) => {
                self.held = held;
                vec![]
            }
            Input::Page(page) => {
                self.up_to_date = false;
                let outputs = self.page(now, page);
                self.held.clear();
                outputs
            }
            Input::Recalled(found) => self.recalled(found),
            Input::Committed => self.committed(),
        }
    }

    fn hello(&mut self) -> Vec<Output> {
        self.up_to_date = false;
        (self.recalling, self.pending) = (None, vec![]);
        let Cursor { epoch, number, digest } = self.row.cursor.clone();
        let cursor =
            (epoch > 0).then(|| WireCursor { epoch: Some(epoch), number: Some(number), digest: Some(digest.into()) });
        let hello = Hello { agreement: Some(self.accord.id.clone()), cursor, window: Some(self.limits.window_pages) };
        vec![Output::Send(Message::Hello(hello))]
    }

    fn page(&mut self, now: Moment, mut page: Page) -> Vec<Output> {
        // Not signed, so nobody's word: they are not weighed, kept or looked at before the page holds.
        let hints = page::take_hints(&mut page);
        match self.verify(now, &page) {
            Ok(Verified::Next(head)) => self.apply(now, &head, page, &hints),
            Ok(Verified::Again(head)) => {
                let (epoch, number) = (head.epoch, head.number);
                self.recalling = Some((head, page));
                vec![Output::Recall { epoch, number }]
            }
            Err(reason) => self.refuse(&page, reason),
        }
    }

    /// The checks of a page, in the order in which their reasons are given.
    fn verify(&self, now: Moment, page: &Page) -> Result<Verified, RefusalReason> {
        let root = page::root_of(&page.entries);
        let head = Head::read(page).ok_or(RefusalReason::Unreadable)?;
        let root = root.ok_or(RefusalReason::Unreadable)?;
        self.fits(page)?;
        self.is_theirs(now, page, &head)?;
        let verified = self.follows(&head)?;
        let follows_the_end = self.row.state == StreamState::Ended && verified(head.clone()).is_next();
        let ends = matches!(head.event, Some(control::Control::Ended(_)));
        if follows_the_end || (ends && !page.entries.is_empty()) {
            return Err(RefusalReason::Ended);
        }
        if head.count as usize != page.entries.len() {
            return Err(RefusalReason::Count);
        }
        if head.root != root {
            return Err(RefusalReason::Root);
        }
        Ok(verified(head))
    }

    /// A peer may be set up for pages twice as large as ours; more is refused.
    fn fits(&self, page: &Page) -> Result<(), RefusalReason> {
        let size = prost::Message::encoded_len(page);
        let fits = page.entries.len() <= 2 * self.limits.page_max_entries && size <= 2 * self.limits.page_max_bytes;
        if fits { Ok(()) } else { Err(RefusalReason::TooLarge) }
    }

    fn is_theirs(&self, now: Moment, page: &Page, head: &Head) -> Result<(), RefusalReason> {
        if head.stream != self.row.stream {
            return Err(RefusalReason::Stream);
        }
        let signature = page.signature.clone().unwrap_or_default();
        if signature.key_id() != self.provider_key_id {
            return Err(RefusalReason::Key);
        }
        if !verify(&self.provider_key, PAGE_CONTEXT, page.header.as_deref().unwrap_or_default(), &signature) {
            return Err(RefusalReason::Signature);
        }
        let amended = matches!(head.event, Some(control::Control::Amended(_)));
        if head.agreement != self.accord.digest || amended {
            return Err(RefusalReason::AgreementUnknown);
        }
        let farewell = matches!(head.event, Some(control::Control::Ended(_))) && page.entries.is_empty();
        match now.state {
            AgreementState::InForce => Ok(()),
            AgreementState::Expired | AgreementState::Withdrawn if farewell => Ok(()),
            _ => Err(RefusalReason::AgreementNotInForce),
        }
    }

    /// Where the page stands after the cursor.
    fn follows(&self, head: &Head) -> Result<fn(Head) -> Verified, RefusalReason> {
        let cursor = &self.row.cursor;
        let opened = matches!(head.event, Some(control::Control::Opened(_)));
        let first = head.number == 1;
        if head.epoch < cursor.epoch || (head.epoch > cursor.epoch && !first) || opened != first {
            return Err(RefusalReason::Epoch);
        }
        if head.epoch == cursor.epoch && head.number <= cursor.number {
            let other = head.number == cursor.number && head.digest[..] != cursor.digest[..];
            return if other { Err(RefusalReason::Repeated) } else { Ok(Verified::Again) };
        }
        if !first && head.number != cursor.number + 1 {
            return Err(RefusalReason::Number);
        }
        let before = if first { &NO_PAGE[..] } else { &cursor.digest[..] };
        if head.previous[..] == *before { Ok(Verified::Next) } else { Err(RefusalReason::Chain) }
    }

    fn apply(&mut self, now: Moment, head: &Head, page: Page, hints: &[Option<Trace>]) -> Vec<Output> {
        let Sorted { writes, traces, aside: quarantine, skipped } = self.sort(now, head, &page, hints);
        let applied = u32::try_from(page.entries.len() - quarantine.len()).unwrap_or(u32::MAX);
        let receipt = self.receipt(head, applied, skipped, &quarantine);
        let first_epoch = if self.row.first_epoch == 0 { head.epoch } else { self.row.first_epoch };
        let complete = matches!(head.event, Some(control::Control::SnapshotComplete(_)));
        let sweeps = complete && head.epoch > first_epoch && self.mutation != Some(Mutation::IgnoreEpoch);
        let sweep = sweeps.then(|| Sweep {
            home: self.accord.provider.clone(),
            kinds: self.accord.clauses.keys().cloned().collect(),
            epoch: head.epoch,
            on: format_day(now.today),
        });
        let advance = Advance {
            from: self.row.cursor.clone(),
            to: Cursor { epoch: head.epoch, number: head.number, digest: head.digest.to_vec() },
            first_epoch,
            page,
            receipt: receipt.clone(),
            count: head.count,
            applied,
            skipped,
            quarantine,
            ended: matches!(head.event, Some(control::Control::Ended(_))),
        };
        let whole =
            Commit { stream: self.row.stream.clone(), writes, sweep, advance: Some(advance), refused: None, traces };
        self.commit(whole, vec![Output::Send(Message::Receipt(receipt))])
    }

    /// The cursor travels with the data, in one commit, and the receipt comes after it; mutations break just that.
    fn commit(&mut self, whole: Commit, then: Vec<Output>) -> Vec<Output> {
        let (parts, then, first) = match self.mutation {
            Some(Mutation::CursorFirst) => {
                let cursor = Commit { writes: vec![], sweep: None, ..whole.clone() };
                (vec![cursor, Commit { advance: None, refused: None, ..whole }], then, vec![])
            }
            Some(Mutation::EarlyReceipt) => (vec![whole], vec![], then),
            _ => (vec![whole], then, vec![]),
        };
        self.pending = parts.into_iter().map(|commit| Pending { commit: Box::new(commit), then: vec![] }).collect();
        if let Some(last) = self.pending.last_mut() {
            last.then = then;
        }
        let commits = self.pending.first().map(|pending| Output::Commit(pending.commit.clone()));
        first.into_iter().chain(commits).collect()
    }

    fn committed(&mut self) -> Vec<Output> {
        if self.pending.is_empty() {
            return vec![];
        }
        let Pending { commit, then } = self.pending.remove(0);
        if let Some(advance) = commit.advance {
            self.row.cursor = advance.to;
            self.row.first_epoch = advance.first_epoch;
            self.row.pages += 1;
            self.row.entries += u64::from(advance.count);
            self.row.applied += u64::from(advance.applied);
            self.row.skipped += u64::from(advance.skipped);
            self.row.quarantined += advance.quarantine.len() as u64;
            self.row.state = if advance.ended { StreamState::Ended } else { StreamState::Running };
            self.row.refusal = None;
        }
        if let Some(refused) = commit.refused {
            (self.row.state, self.row.refusal) = (StreamState::Refused, Some(refused.reason));
        }
        let next = self.pending.first().map(|pending| Output::Commit(pending.commit.clone()));
        then.into_iter().chain(next).collect()
    }

    fn recalled(&mut self, found: Option<(Hash, Receipt)>) -> Vec<Output> {
        let Some((head, page)) = self.recalling.take() else {
            return vec![];
        };
        match found {
            // Signed by the key that this node has now, whenever it was made.
            Some((digest, receipt)) if digest == head.digest => {
                let signature = receipt.body.as_ref().map(|body| self.signer.sign(RECEIPT_CONTEXT, body));
                vec![Output::Send(Message::Receipt(Receipt { signature, ..receipt }))]
            }
            Some(_) => self.refuse(&page, RefusalReason::Repeated),
            None => self.refuse(&page, RefusalReason::Number),
        }
    }

    /// Nothing of the page is applied; the provider gets a signed refusal.
    fn refuse(&mut self, page: &Page, reason: RefusalReason) -> Vec<Output> {
        let head = Head::read(page);
        let body = ReceiptBody {
            stream: Some(self.row.stream.clone()),
            epoch: head.as_ref().map(|head| head.epoch),
            number: head.as_ref().map(|head| head.number),
            page_digest: Some(page::digest(page.header.as_deref().unwrap_or_default()).to_vec().into()),
            applied: Some(0),
            quarantined: vec![],
            refusal: Some(reason.into()),
            skipped: None,
        };
        let receipt = page::receipt(&body, &*self.signer);
        let then = vec![Output::Send(Message::Receipt(receipt.clone())), Output::Close];
        // What has ended stays so, whatever follows it.
        if self.row.state == StreamState::Ended
            || (self.row.state, self.row.refusal) == (StreamState::Refused, Some(reason))
        {
            return then;
        }
        let refused = Some(Refused { reason, receipt });
        let commit = Box::new(Commit { stream: self.row.stream.clone(), refused, ..Commit::default() });
        self.pending = vec![Pending { commit: commit.clone(), then }];
        vec![Output::Commit(commit)]
    }

    fn receipt(&self, head: &Head, applied: u32, skipped: u32, quarantine: &[SetAside]) -> Receipt {
        let quarantined =
            quarantine.iter().map(|aside| Quarantined { index: Some(aside.place), reason: Some(aside.reason.into()) });
        let body = ReceiptBody {
            stream: Some(self.row.stream.clone()),
            epoch: Some(head.epoch),
            number: Some(head.number),
            page_digest: Some(head.digest.to_vec().into()),
            applied: Some(applied),
            quarantined: quarantined.collect(),
            refusal: None,
            skipped: Some(skipped),
        };
        page::receipt(&body, &*self.signer)
    }
}

/// A page that holds.
enum Verified {
    /// The one after the cursor.
    Next(Head),
    /// One that may have been applied already.
    Again(Head),
}

impl Verified {
    fn is_next(&self) -> bool {
        matches!(self, Self::Next(_))
    }
}

#[cfg(test)]
mod tests;
