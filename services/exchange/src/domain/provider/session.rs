//! A consumer's call: where it goes on, what is on its way, and what its receipts say. A page without a receipt is sent again,
//! so every page ends up with the consumer's word for it.

use std::collections::BTreeMap;

use qianshou_kernel::error::Reason;
use qianshou_proto::exchange::v1::{
    AgreementState, Hello, Idle, Page, Receipt, ReceiptBody, Stop, StreamState, Welcome, pull_response::Message,
};

use super::{Commit, Output, Pending, Provider};
use crate::domain::{
    Moment,
    page::{self, Head, read_receipt, sign_again},
    tree::Hash,
    violation,
};

/// A consumer's call.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) next: u64,
    pub(super) confirmed: u64,
    window: u64,
    sent: BTreeMap<u64, (Hash, u32)>,
    pub(super) told_idle: Option<u64>,
}

impl Provider {
    pub(super) fn hello(&mut self, now: Moment, hello: Hello) -> Vec<Output> {
        self.session = None;
        match now.state {
            AgreementState::InForce => {}
            AgreementState::Expired | AgreementState::Withdrawn if self.row.epoch > 0 => {}
            _ => return refuse(Reason::NotYet, NOT_IN_FORCE),
        }
        let cursor = hello.cursor.clone().unwrap_or_default();
        let (epoch, number) = (cursor.epoch(), cursor.number());
        if epoch > self.row.epoch || (epoch == self.row.epoch && number > self.row.last()) {
            return self.diverged();
        }
        if epoch < self.row.epoch || number == 0 {
            return self.welcome(&hello, 1);
        }
        if number == self.row.last() {
            let same = cursor.digest.as_deref() == Some(&self.row.digest[..]);
            return if same { self.welcome(&hello, number + 1) } else { self.diverged() };
        }
        self.ask(Pending::Compare(hello), Output::Load { epoch, number })
    }

    /// This node was restored and has not declared its new epoch: the consumer is told so, and nothing else.
    #[must_use]
    pub fn undeclared() -> Vec<Output> {
        refuse(Reason::OutOfOrder, UNDECLARED)
    }

    /// What the consumer has is not what we made: this node was restored, and must say so.
    fn diverged(&mut self) -> Vec<Output> {
        let mut outputs = refuse(Reason::OutOfOrder, DIVERGED);
        if self.row.state != StreamState::Stopped {
            let commit = Commit::Mark { stream: self.row.stream.clone(), state: StreamState::Stopped, refusal: None };
            outputs.extend(self.ask(Pending::Mark(StreamState::Stopped, None), Output::Commit(commit)));
        }
        outputs
    }

    /// Goes on after the cursor, or after the last receipt if that is further back: a page without a receipt is sent again.
    fn welcome(&mut self, hello: &Hello, next: u64) -> Vec<Output> {
        let next = next.min(self.row.acked + 1);
        let most = u64::from(self.limits.window_pages.max(1));
        let window = match hello.window() {
            0 => most,
            asked => u64::from(asked).min(most),
        };
        self.session = Some(Session { next, confirmed: next - 1, window, sent: BTreeMap::new(), told_idle: None });
        let welcome = Welcome { epoch: Some(self.row.epoch), node: Some(self.node.clone()) };
        let mut outputs = vec![Output::Send(Message::Welcome(welcome))];
        if self.row.state == StreamState::Stopped {
            let commit = Commit::Mark { stream: self.row.stream.clone(), state: StreamState::Running, refusal: None };
            outputs.extend(self.ask(Pending::Mark(StreamState::Running, None), Output::Commit(commit)));
        }
        outputs
    }

    pub(super) fn loaded(&mut self, now: Moment, page: Option<Page>) -> Vec<Output> {
        match self.pending.take() {
            Some(Pending::Compare(hello)) => {
                let cursor = hello.cursor.clone().unwrap_or_default();
                let made = page.as_ref().and_then(|page| page.header.as_deref()).map(page::digest);
                let same = made.is_some_and(|made| cursor.digest.as_deref() == Some(&made[..]));
                if same { self.welcome(&hello, cursor.number() + 1) } else { self.diverged() }
            }
            Some(Pending::Resend(number)) => match (page, &self.session) {
                (Some(page), Some(session)) if session.next == number => self.send(now, page),
                (None, Some(_)) => self.stop(Reason::Internal, PAGE_LOST),
                _ => vec![],
            },
            other => {
                self.pending = other;
                vec![]
            }
        }
    }

    /// Law 7: an entry that was paged in time does not leave once the agreement is over.
    pub(super) fn send(&mut self, now: Moment, mut page: Page) -> Vec<Output> {
        if now.state != AgreementState::InForce && !page.entries.is_empty() {
            return self.stop(Reason::NotYet, NOT_IN_FORCE);
        }
        let (Some(session), Some(head)) = (&mut self.session, Head::read(&page)) else {
            return vec![];
        };
        session.sent.insert(session.next, (head.digest, head.count));
        session.next += 1;
        sign_again(&mut page, &*self.signer);
        vec![Output::Send(Message::Page(page))]
    }

    pub(super) fn receipt(&mut self, receipt: &Receipt) -> Vec<Output> {
        let Some(session) = &self.session else { return vec![] };
        let Some(body) = read_receipt(receipt, &self.consumer_key) else {
            return self.stop(Reason::SignatureInvalid, RECEIPT_UNSIGNED);
        };
        let number = body.number();
        if body.stream() != self.row.stream || (body.refusal.is_none() && body.epoch() != self.row.epoch) {
            return self.stop(Reason::OutOfOrder, RECEIPT_STRAY);
        }
        if body.refusal.is_some() {
            return self.refused(&body, receipt);
        }
        let sent = session.sent.get(&number);
        let counted = body.applied() as usize + body.quarantined.len();
        let known = sent.is_some_and(|(digest, count)| {
            body.page_digest.as_deref() == Some(&digest[..]) && counted == *count as usize
        });
        if number <= session.confirmed && sent.is_none() {
            return vec![];
        }
        if !known || number != session.confirmed + 1 {
            return self.stop(Reason::OutOfOrder, RECEIPT_STRAY);
        }
        self.confirm(number, &body, receipt)
    }

    fn confirm(&mut self, number: u64, body: &ReceiptBody, receipt: &Receipt) -> Vec<Output> {
        if let Some(session) = &mut self.session {
            session.confirmed = number;
            session.sent.remove(&number);
        }
        if number != self.row.acked + 1 {
            return vec![];
        }
        let (applied, quarantined) = (body.applied(), u32::try_from(body.quarantined.len()).unwrap_or(u32::MAX));
        let (stream, epoch) = (self.row.stream.clone(), self.row.epoch);
        let skipped = body.skipped().min(applied);
        let receipt = receipt.clone();
        let commit = Commit::Acknowledge { stream, epoch, number, applied, quarantined, skipped, receipt };
        self.ask(Pending::Acknowledge { number, applied, quarantined, skipped }, Output::Commit(commit))
    }

    fn refused(&mut self, body: &ReceiptBody, receipt: &Receipt) -> Vec<Output> {
        self.session = None;
        let reason = body.refusal();
        let refusal = Some((reason, receipt.clone()));
        let mut outputs = vec![Output::Close];
        if self.row.state != StreamState::Refused || self.row.refusal != Some(reason) {
            let commit = Commit::Mark { stream: self.row.stream.clone(), state: StreamState::Refused, refusal };
            outputs.extend(self.ask(Pending::Mark(StreamState::Refused, Some(reason)), Output::Commit(commit)));
        }
        outputs
    }

    fn stop(&mut self, reason: Reason, texts: (&str, &str)) -> Vec<Output> {
        self.session = None;
        refuse(reason, texts)
    }

    pub(super) fn idle(&mut self, now: Moment) -> Vec<Output> {
        let Some(head) = self.ledger else { return vec![] };
        let last = self.row.last();
        let (scanned, open) = (self.scanned, now.state == AgreementState::InForce && self.row.epoch == head.epoch);
        let Some(session) = &mut self.session else {
            return vec![];
        };
        let quiet = open && session.next > last && session.confirmed == last && scanned >= head.position;
        if !quiet || session.told_idle == Some(scanned) {
            return vec![];
        }
        session.told_idle = Some(scanned);
        vec![Output::Send(Message::Idle(Idle { position: Some(scanned) }))]
    }
}

impl Session {
    pub(super) fn has_room(&self) -> bool {
        self.next - 1 - self.confirmed < self.window
    }
}

type Texts = (&'static str, &'static str);

const NOT_IN_FORCE: Texts = ("协议未生效或已结束", "the agreement is not in force");
const DIVERGED: Texts = (
    "接收方持有的数据页与本方不一致，提供方可能由备份恢复；请在提供方声明新的纪元",
    "the consumer holds pages that differ from ours, as after a restored backup; declare a new epoch at the provider",
);
/// Why the streams of a restored node stand still.
pub(crate) const UNDECLARED: Texts = (
    "提供方由备份恢复，尚未声明新的纪元；请在提供方执行 qianshou epoch declare",
    "the provider was restored from a backup and has not declared its new epoch; run `qianshou epoch declare` there",
);
const PAGE_LOST: Texts =
    ("数据页遗失；请在提供方声明新的纪元", "a page is missing; declare a new epoch at the provider");
const RECEIPT_UNSIGNED: Texts = ("回执签名不成立", "the receipt's signature does not hold");
const RECEIPT_STRAY: Texts =
    ("回执不是针对下一数据页；请重新连接", "the receipt is not for the next page; connect again");

fn refuse(reason: Reason, (zh, en): (&str, &str)) -> Vec<Output> {
    let said = violation("", reason, zh, en);
    let stop = Stop { reason_zh: Some(said.zh), reason_en: Some(said.en), reason: Some(reason.into()) };
    vec![Output::Send(Message::Stop(stop)), Output::Close]
}
