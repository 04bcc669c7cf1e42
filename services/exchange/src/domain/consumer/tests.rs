use std::sync::Arc;

use prost::Message as _;
use qianshou_kernel::{clock::parse_day, identity::NodeKeys, ledger::Content};
use qianshou_proto::{
    common::v1::{End, EndReason, Version as WireVersion},
    exchange::v1::{Ended, Opened, PageEntry, PageHeader, SnapshotComplete, page_entry},
    registry::v1::Agency,
};
use tempfile::TempDir;

use super::*;
use crate::{
    domain::page::{Made, Place, make, read_receipt},
    tests::testing::{accord, in_force, limits},
};

struct World {
    _folder: TempDir,
    theirs: Arc<NodeKeys>,
    ours: Arc<NodeKeys>,
    other: Arc<NodeKeys>,
    consumer: Consumer,
}

fn world(mutation: Option<Mutation>) -> World {
    let folder = tempfile::tempdir().unwrap();
    let keys = |node: &str, at: &str| Arc::new(NodeKeys::create(&folder.path().join(at), node, &[]).unwrap());
    let (theirs, ours, other) = (keys("64", "64"), keys("00", "00"), keys("64", "other"));
    let key = theirs.signing.verifying_key().to_bytes();
    let row = Inbound::new(&accord().id);
    let consumer = Consumer::new(Arc::new(accord()), key, ours.clone(), limits(), mutation, row);
    World { _folder: folder, theirs, ours, other, consumer }
}

fn put(id: &str, division: &str, revision: u64) -> PageEntry {
    let agency = Agency { division: Some(division.into()), ..Agency::default() };
    PageEntry {
        salt: Some(vec![7; 16].into()),
        name: Some(format!("nodes/64/agencies/{id}")),
        kind: Some("agencies".into()),
        home: Some("64".into()),
        version: Some(WireVersion { epoch: Some(1), revision: Some(revision) }),
        content: Some(page_entry::Content::Put(agency.encode_to_vec().into())),
        leaf: None,
    }
}

fn end(id: &str, revision: u64) -> PageEntry {
    let end = End { reason: Some(EndReason::Ended.into()), on: Some("2023-11-15".into()) };
    PageEntry { content: Some(page_entry::Content::End(end)), ..put(id, "64", revision) }
}

impl World {
    fn page(&self, epoch: u64, number: u64, previous: Hash, entries: Vec<PageEntry>) -> Made {
        let event = (number == 1).then_some(control::Control::Opened(Opened {}));
        self.page_with(epoch, number, previous, entries, event)
    }

    fn page_with(
        &self,
        epoch: u64,
        number: u64,
        previous: Hash,
        entries: Vec<PageEntry>,
        event: Option<control::Control>,
    ) -> Made {
        let (id, agreement) = (accord().id, accord().digest);
        let place = Place { stream: &id, epoch, number, previous, agreement };
        make(&place, entries, event, parse_day("2023-11-15").unwrap(), &*self.theirs)
    }

    fn give(&mut self, page: Page) -> Vec<Output> {
        self.consumer.handle(in_force(), Input::Page(page))
    }

    /// Gives a page and lets everything that it leads to succeed.
    fn apply(&mut self, page: Page) -> ReceiptBody {
        let mut outputs = self.give(page);
        loop {
            match outputs.pop() {
                Some(Output::Commit(_)) => outputs = self.consumer.handle(in_force(), Input::Committed),
                Some(Output::Recall { .. }) => outputs = self.consumer.handle(in_force(), Input::Recalled(None)),
                Some(Output::Send(Message::Receipt(receipt))) => return self.read(&receipt),
                Some(_) => {}
                None => panic!("no receipt"),
            }
        }
    }

    fn read(&self, receipt: &Receipt) -> ReceiptBody {
        read_receipt(receipt, &self.ours.signing.verifying_key().to_bytes()).unwrap()
    }

    fn refusal(&mut self, page: Page) -> RefusalReason {
        let before = self.consumer.row().cursor.clone();
        let receipt = self.apply(page);
        assert_eq!((receipt.applied(), &before), (0, &self.consumer.row().cursor));
        receipt.refusal()
    }
}

/// Signs a changed header.
fn resigned(keys: &NodeKeys, made: &Made, change: impl FnOnce(&mut PageHeader)) -> Page {
    let mut header = PageHeader::decode(made.page.header.clone().unwrap()).unwrap();
    change(&mut header);
    let header = header.encode_to_vec();
    Page {
        signature: Some(Signer::sign(keys, PAGE_CONTEXT, &header)),
        header: Some(header.into()),
        ..made.page.clone()
    }
}

#[test]
fn hints_at_traces_go_with_their_records_and_decide_nothing() {
    let texts = ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "张三", ""].map(str::to_owned);
    let trace = Trace::hint(&texts[0]);
    let committed = |texts: Vec<String>| {
        let mut world = world(None);
        let entries = vec![put("a", "640104", 1), put("b", "350102", 1), put("c", "640104", 1)];
        let made = world.page(1, 1, NO_PAGE, entries);
        let outputs = world.give(Page { traces: texts, ..made.page.clone() });
        let [Output::Commit(commit)] = &outputs[..] else { panic!("{outputs:?}") };
        let advance = commit.advance.as_ref().unwrap();
        assert_eq!((commit.writes.len(), advance.applied, advance.quarantine.len()), (2, 2, 1));
        assert_eq!((&advance.page, &advance.to.digest[..]), (&made.page, &made.digest[..]), "kept as it was signed");
        commit.traces.clone()
    };
    assert_eq!(committed(vec![]), []);
    assert_eq!(committed(texts.to_vec()), [trace, None]);
    assert_eq!(committed(vec![texts[1].clone(), texts[0].clone(), texts[0].clone()]), [None, trace]);
    assert_eq!(committed(texts[..2].to_vec()), [], "not one for each entry");
    assert_eq!(committed(vec![texts[0].clone(); 4]), [], "not one for each entry");
}

#[test]
fn data_cursor_and_receipt_come_in_this_order() {
    let mut world = world(None);
    let hello = world.consumer.handle(in_force(), Input::Open);
    assert!(matches!(&hello[..], [Output::Send(Message::Hello(hello))] if hello.cursor.is_none()));
    let one = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1), end("b", 2)]);
    let outputs = world.give(one.page.clone());
    let [Output::Commit(commit)] = &outputs[..] else { panic!("{outputs:?}") };
    let advance = commit.advance.as_ref().unwrap();
    assert_eq!((commit.writes.len(), advance.applied, advance.to.number), (2, 2, 1));
    assert_eq!(advance.to.digest, one.digest.to_vec());
    assert_eq!(world.consumer.row().cursor, Cursor::default(), "a crash before the commit leaves nothing");
    let outputs = world.consumer.handle(in_force(), Input::Committed);
    let [Output::Send(Message::Receipt(receipt))] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(world.read(receipt).page_digest.as_deref(), Some(&one.digest[..]));
    assert_eq!(world.consumer.row().cursor.number, 1);

    world.consumer.handle(in_force(), Input::Idle);
    assert!(world.consumer.up_to_date());
    let two = world.page(1, 2, one.digest, vec![put("c", "640104", 1)]);
    assert_eq!(world.apply(two.page).refusal, None);
    assert!(!world.consumer.up_to_date());
}

#[test]
fn each_check_of_a_page_has_its_reason() {
    let mut world = world(None);
    let one = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1)]);
    let (theirs, other) = (world.theirs.clone(), world.other.clone());
    let of = |change: fn(&mut PageHeader)| resigned(&theirs, &one, change);
    use RefusalReason as Why;

    assert_eq!(world.refusal(Page { header: Some(vec![0xff].into()), ..one.page.clone() }), Why::Unreadable);
    assert_eq!(
        world.refusal(of(|h| h.control = Some(qianshou_proto::exchange::v1::Control { control: None }))),
        Why::Unreadable
    );
    let mut bare = one.page.clone();
    bare.entries[0].content = None;
    assert_eq!(world.refusal(bare), Why::Unreadable);
    let many = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1); 7]);
    assert_eq!(world.refusal(many.page), Why::TooLarge);
    assert_eq!(world.refusal(of(|h| h.stream = Some("another".into()))), Why::Stream);
    assert_eq!(world.refusal(resigned(&other, &one, |_| ())), Why::Key);
    let mut touched = one.page.clone();
    touched.signature.as_mut().unwrap().value = Some(vec![1; 64].into());
    assert_eq!(world.refusal(touched), Why::Signature);
    assert_eq!(world.refusal(of(|h| h.agreement_digest = Some(vec![1; 32].into()))), Why::AgreementUnknown);
    assert_eq!(world.refusal(of(|h| h.control = None)), Why::Epoch);
    assert_eq!(world.refusal(of(|h| (h.number, h.control) = (Some(2), None))), Why::Epoch);
    assert_eq!(world.refusal(of(|h| h.previous_digest = Some(vec![1; 32].into()))), Why::Chain);
    assert_eq!(world.refusal(of(|h| h.count = Some(2))), Why::Count);
    assert_eq!(world.refusal(of(|h| h.entries_root = Some(vec![1; 32].into()))), Why::Root);
    let mut purged = one.page.clone();
    purged.entries[0].salt = Some(vec![8; 16].into());
    assert_eq!(world.refusal(purged), Why::Root);
    assert_eq!(world.consumer.row().state, StreamState::Refused);

    let mut expired = in_force();
    expired.state = AgreementState::Expired;
    let outputs = world.consumer.handle(expired, Input::Page(one.page.clone()));
    let [Output::Commit(commit)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(commit.refused.as_ref().unwrap().reason, Why::AgreementNotInForce);
    assert!(commit.writes.is_empty() && commit.advance.is_none());
    world.consumer.handle(in_force(), Input::Committed);

    assert_eq!(world.apply(one.page.clone()).refusal, None);
    assert_eq!(world.consumer.row().state, StreamState::Running, "a good page clears a refusal");
    assert_eq!(world.refusal(of(|h| h.produced_on = None)), Why::Repeated);
    let three = world.page(1, 3, one.digest, vec![]);
    assert_eq!(world.refusal(three.page), Why::Number);
    let new = world.page(2, 1, NO_PAGE, vec![]);
    world.apply(new.page.clone());
    assert_eq!(world.refusal(resigned(&theirs, &new, |h| h.epoch = Some(1))), Why::Epoch);
    assert_eq!(
        world.refusal(resigned(&theirs, &new, |h| (h.epoch, h.number, h.control) = (Some(3), Some(2), None))),
        Why::Epoch
    );
}

#[test]
fn a_page_twice_is_acknowledged_twice_and_applied_once() {
    let mut world = world(None);
    let one = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1)]);
    world.apply(one.page.clone());
    let outputs = world.give(one.page.clone());
    assert!(matches!(outputs[..], [Output::Recall { epoch: 1, number: 1 }]), "{outputs:?}");
    let kept = page::receipt(&ReceiptBody::default(), &*world.ours);
    let outputs = world.consumer.handle(in_force(), Input::Recalled(Some((one.digest, kept.clone()))));
    assert!(matches!(&outputs[..], [Output::Send(Message::Receipt(receipt))] if *receipt == kept), "{outputs:?}");
    assert_eq!(world.consumer.row().pages, 1);
}

#[test]
fn a_bad_entry_is_set_aside_alone() {
    use QuarantineReason as Why;
    let mut world = world(None);
    let changed = |change: fn(&mut PageEntry)| {
        let mut entry = put("x", "640104", 1);
        change(&mut entry);
        entry
    };
    let with = |payload: Vec<u8>| PageEntry {
        content: Some(page_entry::Content::Put(payload.into())),
        ..put("x", "640104", 1)
    };
    let cases: Vec<(PageEntry, Why)> = vec![
        (changed(|e| e.name = Some("nodes/64/agencies/x/y\0".into())), Why::Name),
        (changed(|e| e.kind = Some("workers".into())), Why::Name),
        (changed(|e| e.home = Some("35".into())), Why::Name),
        (changed(|e| (e.home, e.name) = (Some("35".into()), Some("nodes/35/agencies/x".into()))), Why::ForeignHome),
        (
            changed(|e| (e.kind, e.name) = (Some("stations".into()), Some("nodes/64/stations/x".into()))),
            Why::UnknownKind,
        ),
        (changed(|e| e.version = Some(WireVersion { epoch: Some(2), revision: Some(1) })), Why::Stale),
        (changed(|e| e.version = Some(WireVersion { epoch: Some(1), revision: Some(u64::MAX) })), Why::Version),
        (
            changed(|e| {
                e.content = Some(page_entry::Content::End(End { reason: Some(9), on: Some("2023-11-15".into()) }))
            }),
            Why::Unreadable,
        ),
        (
            changed(|e| e.content = Some(page_entry::Content::End(End { reason: Some(1), on: Some("once".into()) }))),
            Why::Unreadable,
        ),
        (
            with(Agency { uscc: Some("x".into()), division: Some("64".into()), ..Agency::default() }.encode_to_vec()),
            Why::FieldNotAllowed,
        ),
        (with(Agency { division: Some("35".into()), ..Agency::default() }.encode_to_vec()), Why::OutOfScope),
        (with(vec![0x0b]), Why::Unreadable),
    ];
    let mut previous = NO_PAGE;
    for (number, (entry, reason)) in (1..).zip(cases) {
        let made = world.page(1, number, previous, vec![entry, put("good", "640104", number)]);
        previous = made.digest;
        let outputs = world.give(made.page);
        let [Output::Commit(commit)] = &outputs[..] else { panic!("{outputs:?}") };
        let advance = commit.advance.as_ref().unwrap();
        assert_eq!(advance.quarantine.iter().map(|a| (a.place, a.reason)).collect::<Vec<_>>(), [(0, reason)]);
        assert!(!advance.quarantine[0].name.contains('\0'));
        assert_eq!((commit.writes.len(), advance.applied), (1, 1));
        world.consumer.handle(in_force(), Input::Committed);
    }
    assert_eq!(world.consumer.row().quarantined, 12);
}

#[test]
fn a_new_epoch_sweeps_what_it_did_not_send_again() {
    let complete = || Some(control::Control::SnapshotComplete(SnapshotComplete {}));
    let sweeps = |mutation| {
        let mut world = world(mutation);
        let one = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1)]);
        world.apply(one.page);
        let two = world.page_with(1, 2, one.digest, vec![], complete());
        let outputs = world.give(two.page);
        assert!(matches!(&outputs[..], [Output::Commit(commit)] if commit.sweep.is_none()), "not in the first epoch");
        world.consumer.handle(in_force(), Input::Committed);
        let first = world.page(2, 1, NO_PAGE, vec![]);
        world.apply(first.page);
        let last = world.page_with(2, 2, first.digest, vec![], complete());
        match &world.give(last.page)[..] {
            [Output::Commit(commit)] => commit.sweep.clone(),
            other => panic!("{other:?}"),
        }
    };
    let sweep = Sweep {
        home: "64".into(),
        kinds: vec!["agencies".into(), "workers".into()],
        epoch: 2,
        on: "2023-11-15".into(),
    };
    assert_eq!((sweeps(None), sweeps(Some(Mutation::IgnoreEpoch))), (Some(sweep), None));
}

#[test]
fn the_last_page_is_taken_after_the_term() {
    let mut world = world(None);
    let one = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1)]);
    world.apply(one.page);
    let farewell = Some(control::Control::Ended(Ended { reason: Some("EXPIRED".into()) }));
    let last = world.page_with(1, 2, one.digest, vec![], farewell);
    let mut expired = in_force();
    expired.state = AgreementState::Expired;
    world.consumer.handle(expired, Input::Page(last.page));
    world.consumer.handle(expired, Input::Committed);
    assert_eq!(world.consumer.row().state, StreamState::Ended);
}

#[test]
fn nothing_follows_an_end() {
    let farewell = || Some(control::Control::Ended(Ended { reason: Some("EXPIRED".into()) }));
    let mut world = world(None);
    let one = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1)]);
    world.apply(one.page);
    let beside = world.page_with(1, 2, one.digest, vec![put("b", "640104", 1)], farewell());
    assert_eq!(world.refusal(beside.page), RefusalReason::Ended);
    let last = world.page_with(1, 2, one.digest, vec![], farewell());
    assert_eq!(world.apply(last.page.clone()).refusal, None);
    let after = world.page(1, 3, last.digest, vec![put("b", "640104", 1)]);
    let reopened = world.page(2, 1, NO_PAGE, vec![put("b", "640104", 1)]);
    for page in [after.page, reopened.page] {
        assert_eq!(world.refusal(page), RefusalReason::Ended);
        assert_eq!(world.consumer.row().state, StreamState::Ended);
    }
}

#[test]
fn a_version_does_not_run_away_and_a_receipt_tells_what_changed_nothing() {
    let mut world = world(None);
    let entries = vec![put("a", "640104", 1 << 40), put("b", "640104", (1 << 40) + 1), put("c", "640104", u64::MAX)];
    let one = world.page(1, 1, NO_PAGE, entries);
    let receipt = world.apply(one.page);
    assert_eq!((receipt.applied(), receipt.skipped()), (1, 0));
    assert!(receipt.quarantined.iter().all(|aside| aside.reason() == QuarantineReason::Version));
    let held = [("nodes/64/agencies/a", 7), ("nodes/64/agencies/d", 7)];
    let version = |revision| Version { epoch: 1, revision };
    let held = held.map(|(name, revision)| (name.to_owned(), version(revision))).into();
    world.consumer.handle(in_force(), Input::Held(held));
    let entries = vec![put("a", "640104", 8), put("d", "640104", 7), put("e", "640104", 1)];
    let two = world.page(1, 2, one.digest, entries);
    let receipt = world.apply(two.page.clone());
    assert_eq!((receipt.applied(), receipt.skipped()), (3, 1));
    // What was erased at its home after the page was signed changes nothing here.
    let entries = vec![put("f", "640104", 1), put("g", "640104", 1)];
    let mut three = world.page(1, 3, two.digest, entries).page;
    three.entries[1] = page::erased(&three.entries[1]).unwrap();
    let receipt = world.apply(three);
    assert_eq!((receipt.applied(), receipt.skipped(), receipt.quarantined.len()), (2, 1, 0));
}

#[test]
fn each_mutation_breaks_its_rule() {
    let entries = || vec![put("a", "640104", 1), end("b", 1)];
    let outputs = |mutation, entries| {
        let mut world = world(Some(mutation));
        let page = world.page(1, 1, NO_PAGE, entries).page;
        let first = world.give(page);
        let second = world.consumer.handle(in_force(), Input::Committed);
        (first, second)
    };
    let (first, second) = outputs(Mutation::CursorFirst, entries());
    assert!(matches!(&first[..], [Output::Commit(c)] if c.writes.is_empty() && c.advance.is_some()));
    assert!(matches!(&second[..], [Output::Commit(c)] if c.writes.len() == 2 && c.advance.is_none()));
    let (first, second) = outputs(Mutation::EarlyReceipt, entries());
    assert!(matches!(&first[..], [Output::Send(_), Output::Commit(_)]) && second.is_empty());
    let (first, _) = outputs(Mutation::DropEnd, entries());
    let whole = |c: &Commit| c.writes.iter().all(|w| matches!(w, Write::Received(_, _, Content::Put { .. })));
    assert!(matches!(&first[..], [Output::Commit(c)] if c.writes.len() == 1 && whole(c)));
    let mut foreign = put("a", "640104", 1);
    (foreign.name, foreign.home) = (Some("nodes/35/agencies/a".into()), Some("35".into()));
    let (first, _) = outputs(Mutation::TrustSender, vec![foreign]);
    assert!(matches!(&first[..], [Output::Commit(c)] if c.writes.len() == 1));
}

#[test]
fn a_cursor_that_another_process_moved_ends_the_call() {
    let mut world = world(None);
    let one = world.page(1, 1, NO_PAGE, vec![put("a", "640104", 1)]);
    world.give(one.page);
    let mut moved = Inbound::new(&accord().id);
    moved.cursor = Cursor { epoch: 1, number: 5, digest: vec![5; 32] };
    let outputs = world.consumer.handle(in_force(), Input::Row(moved));
    assert!(matches!(outputs[..], [Output::Close]));
    let hello = world.consumer.handle(in_force(), Input::Open);
    assert!(matches!(&hello[..], [Output::Send(Message::Hello(h))] if h.cursor.as_ref().unwrap().number() == 5));
}
