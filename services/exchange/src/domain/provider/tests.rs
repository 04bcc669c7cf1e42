use std::{collections::BTreeMap, sync::Arc};

use prost::Message as _;
use qianshou_kernel::{error::Reason, id::Name, identity::NodeKeys, ledger::End};
use qianshou_proto::{
    common::v1::{EndReason, Version as WireVersion},
    exchange::v1::{Cursor, Idle, PageEntry, Quarantined, ReceiptBody, page_entry},
    registry::v1::Agency,
};
use tempfile::TempDir;

use super::{build::wire_version, *};
use crate::{
    domain::page::{Head, key_of, receipt},
    tests::testing::{accord, in_force, limits},
};

/// A provider over a ledger and tables in memory; whatever it commits is done at once.
struct World {
    _folder: TempDir,
    ours: Arc<NodeKeys>,
    theirs: Arc<NodeKeys>,
    provider: Provider,
    ledger: BTreeMap<String, Source>,
    head: LedgerHead,
    pages: BTreeMap<(u64, u64), Page>,
    shown: BTreeMap<String, Shown>,
    said: Vec<Message>,
    commits: usize,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = |node: &str| Arc::new(NodeKeys::create(&folder.path().join(node), node, &[]).unwrap());
        let (ours, theirs) = (keys("64"), keys("00"));
        let card = qianshou_kernel::identity::card(&theirs, "", "");
        let row = Outbound::new(&accord().id);
        let provider = Provider::new(Arc::new(accord()), key_of(&card).unwrap(), ours.clone(), limits(), row);
        let head = LedgerHead { epoch: 1, position: 0 };
        let (ledger, pages, shown) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { _folder: folder, ours, theirs, provider, ledger, head, pages, shown, said: vec![], commits: 0 }
    }

    fn write(&mut self, home: &str, id: &str, content: SourceContent) {
        self.head.position += 1;
        let name = Name::of(home, "agencies", id);
        let revision = self.ledger.get(name.as_str()).map_or(1, |source| source.version.revision + 1);
        let version = Version { epoch: self.head.epoch, revision };
        let source =
            Source { position: self.head.position, name: name.clone(), version, content, salt: [3; 16], trace: None };
        self.ledger.insert(name.to_string(), source);
    }

    fn put(&mut self, id: &str, division: &str, name: &str) {
        let agency = Agency { display_name: Some(name.into()), division: Some(division.into()), ..Agency::default() };
        self.write("64", id, SourceContent::Put { payload: agency.encode_to_vec().into(), pseudonym: None });
    }

    fn end(&mut self, id: &str) {
        self.write("64", id, SourceContent::End(End { reason: EndReason::Ended.into(), on: "2023-11-14".into() }));
    }

    fn give(&mut self, now: Moment, input: Input) {
        let mut outputs = self.provider.handle(now, input);
        outputs.reverse();
        while let Some(output) = outputs.pop() {
            let Some(answer) = self.carry_out(output) else { continue };
            outputs.extend(self.provider.handle(now, answer).into_iter().rev());
        }
    }

    fn look(&mut self) {
        self.give(in_force(), Input::Ledger(self.head));
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Send(message) => {
                self.said.push(message);
                None
            }
            Output::Close => None,
            Output::Read { after, limit } => {
                let mut sources: Vec<Source> = self.ledger.values().filter(|s| s.position > after).cloned().collect();
                sources.sort_by_key(|s| s.position);
                sources.truncate(limit as usize);
                Some(Input::Entries { sources, shown: self.shown.clone() })
            }
            Output::Load { epoch, number } => Some(Input::Loaded(self.pages.get(&(epoch, number)).cloned())),
            Output::Commit(commit) => {
                self.commits += 1;
                self.keep(commit);
                Some(Input::Committed)
            }
        }
    }

    fn keep(&mut self, commit: Commit) {
        let Commit::Advance(advance) = commit else { return };
        assert_eq!(advance.from, self.provider.row().at());
        if let Some(made) = advance.page {
            assert_eq!(self.pages.insert((made.epoch, made.number), made.page), None, "page n never changes");
        }
        self.shown.extend(advance.shown);
        self.shown.retain(|name, _| !advance.dropped.contains(name));
        if advance.forget_older {
            self.shown.retain(|_, shown| shown.epoch >= advance.row.epoch);
        }
    }

    fn hello(&mut self, epoch: u64, number: u64) {
        let digest =
            self.pages.get(&(epoch, number)).map(|page| page::digest(page.header.as_deref().unwrap()).to_vec().into());
        let cursor = Cursor { epoch: Some(epoch), number: Some(number), digest };
        self.give(in_force(), Input::Hello(Hello { cursor: Some(cursor), ..Hello::default() }));
    }

    fn acknowledge(&mut self, epoch: u64, number: u64) {
        let receipt = self.receipt(epoch, number, |_| ());
        self.give(in_force(), Input::Receipt(receipt));
    }

    fn receipt(&self, epoch: u64, number: u64, change: impl FnOnce(&mut ReceiptBody)) -> Receipt {
        let page = &self.pages[&(epoch, number)];
        let mut body = ReceiptBody {
            stream: Some(accord().id),
            epoch: Some(epoch),
            number: Some(number),
            page_digest: Some(page::digest(page.header.as_deref().unwrap()).to_vec().into()),
            applied: Some(page.entries.len() as u32),
            quarantined: vec![],
            refusal: None,
            skipped: None,
        };
        change(&mut body);
        receipt(&body, &*self.theirs)
    }

    fn entries(&self, epoch: u64) -> Vec<PageEntry> {
        self.pages.range((epoch, 0)..(epoch + 1, 0)).flat_map(|(_, page)| page.entries.clone()).collect()
    }

    fn numbers(&mut self) -> Vec<u64> {
        let said = std::mem::take(&mut self.said);
        said.iter()
            .filter_map(|m| match m {
                Message::Page(p) => Head::read(p).map(|h| h.number),
                _ => None,
            })
            .collect()
    }

    fn stopped(&mut self) -> Option<Reason> {
        std::mem::take(&mut self.said).into_iter().find_map(|m| match m {
            Message::Stop(stop) => Some(stop.reason()),
            _ => None,
        })
    }
}

fn revision(entry: &PageEntry) -> (u64, u64) {
    let version = entry.version.unwrap();
    (version.epoch(), version.revision())
}

#[test]
fn a_page_hints_at_traces_outside_its_signature() {
    let page = |trace: Option<Trace>| {
        let mut world = World::new();
        world.put("a", "640104", "x");
        world.put("b", "350102", "out of scope");
        world.put("c", "640104", "y");
        world.ledger.values_mut().for_each(|source| source.trace = trace.filter(|_| source.position > 1));
        world.look();
        world.pages[&(1, 1)].clone()
    };
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (hinted, plain) = (page(Trace::hint(text)), page(None));
    assert_eq!((hinted.entries.len(), &hinted.traces), (2, &vec![String::new(), text.to_owned()]));
    assert_eq!(plain.traces, [""; 0]);
    assert_eq!(hinted.header, plain.header, "what is signed says nothing of traces");
}

#[test]
fn a_stream_opens_loads_and_goes_on() {
    let mut world = World::new();
    for i in 0..4 {
        world.put(&format!("a{i}"), "640104", "x");
    }
    world.look();
    assert_eq!(
        (world.pages.len(), world.provider.row().last()),
        (2, 2),
        "two pages fill the window though nobody calls"
    );
    let heads: Vec<Head> = world.pages.values().map(|page| Head::read(page).unwrap()).collect();
    assert!(matches!(heads[0].event, Some(control::Control::Opened(_))) && heads[0].previous == NO_PAGE);
    assert!(
        matches!(heads[1].event, Some(control::Control::SnapshotComplete(_))) && heads[1].previous == heads[0].digest
    );
    assert_eq!((heads[0].count, heads[1].count), (3, 1));

    world.hello(0, 0);
    assert_eq!(world.numbers(), [1, 2]);
    world.acknowledge(1, 1);
    world.acknowledge(1, 2);
    assert!(matches!(world.said[..], [Message::Idle(Idle { position: Some(4) })]));
    let row = world.provider.row();
    assert_eq!((row.acked, row.entries, row.applied, row.snapshot), (2, 4, 4, None));

    world.said.clear();
    world.put("b", "640104", "x");
    world.look();
    assert_eq!(world.numbers(), [3]);
}

#[test]
fn the_consumer_gets_what_it_does_not_have_and_ends_of_what_it_has() {
    let mut world = World::new();
    world.put("in", "640104", "x");
    world.put("out", "350100", "x");
    world.put("ends", "640104", "x");
    world.end("never-shown");
    world.write("35", "foreign", world.ledger["nodes/64/agencies/in"].content.clone());
    world.look();
    let names = |world: &World| world.entries(1).iter().map(|e| e.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&world), ["nodes/64/agencies/in", "nodes/64/agencies/ends"]);
    world.hello(0, 0);
    (1..=world.provider.row().last()).for_each(|number| world.acknowledge(1, number));
    let before = world.pages.len();

    world.put("in", "640104", "x");
    world.look();
    assert_eq!(world.pages.len(), before, "unchanged under the mask");
    world.put("in", "350100", "x");
    world.end("ends");
    world.look();
    let ends: Vec<(String, i32)> = world.entries(1)[2..]
        .iter()
        .map(|e| match &e.content {
            Some(page_entry::Content::End(end)) => (e.name().to_owned(), end.reason.unwrap()),
            other => panic!("{other:?}"),
        })
        .collect();
    let left = EndReason::LeftScope as i32;
    assert_eq!(
        ends,
        [("nodes/64/agencies/in".into(), left), ("nodes/64/agencies/ends".into(), EndReason::Ended as i32)]
    );
    assert!(world.shown.is_empty());
}

#[test]
fn a_position_without_a_page_is_kept_at_the_heartbeat() {
    let mut world = World::new();
    world.look();
    world.hello(0, 0);
    (1..=2).for_each(|number| world.acknowledge(1, number));
    let commits = world.commits;
    for i in 0..9 {
        world.put(&format!("o{i}"), "350100", "x");
    }
    world.look();
    assert_eq!((world.commits, world.provider.row().position), (commits, 0));
    assert!(matches!(world.said.last(), Some(Message::Idle(Idle { position: Some(9) }))));
    world.give(in_force(), Input::Tick);
    assert_eq!((world.commits, world.provider.row().position), (commits + 1, 9));
}

#[test]
fn what_was_not_acknowledged_is_sent_again_and_never_changes() {
    let mut world = World::new();
    for i in 0..4 {
        world.put(&format!("a{i}"), "640104", "x");
    }
    world.look();
    world.hello(0, 0);
    assert_eq!(world.numbers(), [1, 2]);
    world.acknowledge(1, 1);
    // The call is cut; the consumer had applied 2, but its receipt is lost.
    world.give(in_force(), Input::Gone);
    world.said.clear();
    world.hello(1, 2);
    assert_eq!(world.numbers(), [2]);
    world.acknowledge(1, 2);
    assert_eq!(world.provider.row().applied, 4);
    // The consumer was restored: it gets everything after its cursor again, counted once.
    world.give(in_force(), Input::Gone);
    world.said.clear();
    world.hello(1, 1);
    assert_eq!(world.numbers(), [2]);
    world.acknowledge(1, 2);
    assert_eq!((world.provider.row().applied, world.provider.row().acked), (4, 2));
}

#[test]
fn a_consumer_that_is_ahead_stops_the_stream_until_a_new_epoch() {
    let mut world = World::new();
    world.put("a", "640104", "x");
    world.look();
    for (epoch, number, digest) in [(1, 9, vec![1; 32]), (2, 1, vec![1; 32]), (1, 1, vec![1; 32]), (1, 2, vec![1; 32])]
    {
        let cursor = Cursor { epoch: Some(epoch), number: Some(number), digest: Some(digest.into()) };
        world.give(in_force(), Input::Hello(Hello { cursor: Some(cursor), ..Hello::default() }));
        assert_eq!(world.stopped(), Some(Reason::OutOfOrder), "{epoch} {number}");
        assert_eq!(world.provider.row().state, StreamState::Stopped);
    }
    world.put("b", "640104", "x");
    let pages = world.pages.len();
    world.look();
    assert_eq!(world.pages.len(), pages, "nothing more is made in the epoch that forked");
    world.head.epoch = 2;
    world.look();
    assert_eq!(world.provider.row().state, StreamState::Running);
    let again = world.entries(2);
    assert_eq!(again.iter().map(revision).collect::<Vec<_>>(), [(2, 0), (2, 0)]);
    let old = page::digest(&[1]).to_vec();
    let cursor = Cursor { epoch: Some(1), number: Some(9), digest: Some(old.into()) };
    world.give(in_force(), Input::Hello(Hello { cursor: Some(cursor), ..Hello::default() }));
    assert_eq!(world.numbers(), [1, 2]);
}

#[test]
fn what_is_written_in_a_new_epoch_waits_for_its_pages() {
    let mut world = World::new();
    world.put("a", "640104", "x");
    world.look();
    world.hello(0, 0);
    world.acknowledge(1, 1);
    world.acknowledge(1, 2);
    // The head is looked at; then an epoch is declared and a record ends; only then are the records read.
    let seen = LedgerHead { position: 2, ..world.head };
    world.head.epoch = 2;
    world.end("a");
    world.give(in_force(), Input::Ledger(seen));
    assert_eq!(world.entries(1).len(), 1, "at revision 0 of the old epoch the consumer would skip the end");
    world.look();
    let [end] = &world.entries(2)[..] else { panic!("the end is told in the new epoch") };
    assert_eq!(end.version, Some(WireVersion { epoch: Some(2), revision: Some(2) }));
}

#[test]
fn an_end_after_a_restore_is_still_told_with_its_reason() {
    let mut world = World::new();
    world.put("a", "640104", "x");
    world.look();
    world.end("a");
    world.head.epoch = 2;
    world.look();
    let told = world.entries(2);
    assert_eq!(world.provider.row().entries, told.len() as u64, "what was never acknowledged is counted once");
    assert!(
        matches!(&told[0].content, Some(page_entry::Content::End(end)) if end.reason() == EndReason::Ended),
        "{told:?}"
    );
}

#[test]
fn receipts_are_checked() {
    let stray = |change: fn(&mut ReceiptBody)| {
        let mut world = World::new();
        world.put("a", "640104", "x");
        world.look();
        world.hello(0, 0);
        world.said.clear();
        let receipt = world.receipt(1, 1, change);
        world.give(in_force(), Input::Receipt(receipt));
        (world.stopped(), world.provider.row().acked)
    };
    assert_eq!(stray(|_| ()), (None, 1));
    assert_eq!(stray(|b| (b.applied, b.quarantined) = (Some(0), vec![Quarantined::default()])), (None, 1));
    assert_eq!(stray(|b| b.number = Some(2)), (Some(Reason::OutOfOrder), 0));
    assert_eq!(stray(|b| b.page_digest = Some(vec![1; 32].into())), (Some(Reason::OutOfOrder), 0));
    assert_eq!(stray(|b| b.applied = Some(0)), (Some(Reason::OutOfOrder), 0));
    assert_eq!(stray(|b| b.stream = None), (Some(Reason::OutOfOrder), 0));
    let mut world = World::new();
    world.look();
    world.hello(0, 0);
    let forged = receipt(&ReceiptBody::default(), &*world.ours);
    world.give(in_force(), Input::Receipt(forged));
    assert_eq!(world.stopped(), Some(Reason::SignatureInvalid));
}

#[test]
fn a_refusal_is_kept_until_a_good_receipt() {
    let mut world = World::new();
    world.put("a", "640104", "x");
    world.look();
    world.hello(0, 0);
    let refusal = world
        .receipt(1, 1, |body| (body.applied, body.refusal) = (Some(0), Some(RefusalReason::AgreementUnknown.into())));
    world.give(in_force(), Input::Receipt(refusal));
    let row = world.provider.row();
    assert_eq!((row.state, row.refusal, row.acked), (StreamState::Refused, Some(RefusalReason::AgreementUnknown), 0));
    world.hello(0, 0);
    world.acknowledge(1, 1);
    assert_eq!((world.provider.row().state, world.provider.row().refusal), (StreamState::Running, None));
}

#[test]
fn after_the_term_only_the_farewell_leaves() {
    let expired = Moment { state: AgreementState::Expired, ..in_force() };
    let mut world = World::new();
    world.put("a", "640104", "x");
    world.look();
    let before = world.pages.len();
    world.give(expired, Input::Ledger(world.head));
    assert_eq!(world.pages.len(), before, "what was not acknowledged stands before the farewell");
    world.give(expired, Input::Hello(Hello::default()));
    assert_eq!(world.stopped(), Some(Reason::NotYet), "and no longer leaves");

    let mut world = World::new();
    world.put("a", "640104", "x");
    world.look();
    world.hello(0, 0);
    (1..=2).for_each(|number| world.acknowledge(1, number));
    world.said.clear();
    world.put("b", "640104", "x");
    world.give(expired, Input::Ledger(world.head));
    let last = Head::read(&world.pages[&(1, 3)]).unwrap();
    assert!(matches!(last.event, Some(control::Control::Ended(_))) && last.count == 0);
    assert_eq!((world.numbers(), world.provider.row().state), (vec![3], StreamState::Ended));
}

#[test]
fn nothing_leaves_before_both_have_signed() {
    for state in [AgreementState::Draft, AgreementState::Offered, AgreementState::Proposed, AgreementState::NotYet] {
        let mut world = World::new();
        world.put("a", "640104", "x");
        let now = Moment { state, ..in_force() };
        world.give(now, Input::Ledger(world.head));
        world.give(now, Input::Hello(Hello::default()));
        assert!(world.pages.is_empty() && world.stopped() == Some(Reason::NotYet), "{state:?}");
    }
}

#[test]
fn a_stream_that_another_process_moved_is_read_again() {
    let mut world = World::new();
    world.put("a", "640104", "x");
    let outputs = world.provider.handle(in_force(), Input::Ledger(world.head));
    assert!(matches!(outputs[..], [Output::Read { after: 0, limit: 3 }]), "{outputs:?}");
    let sources = world.ledger.values().cloned().collect();
    let outputs = world.provider.handle(in_force(), Input::Entries { sources, shown: BTreeMap::new() });
    assert!(matches!(outputs[..], [Output::Commit(Commit::Advance(_))]), "{outputs:?}");
    let moved = Outbound { epoch: 1, next: 3, position: 1, ..Outbound::new(&accord().id) };
    let outputs = world.provider.handle(in_force(), Input::Row(moved.clone()));
    assert!(outputs.is_empty(), "{outputs:?}");
    assert_eq!(world.provider.row(), &moved);
}

#[test]
fn versions_of_an_older_life_stand_below_all_of_the_new() {
    let version = |epoch, revision| Version { epoch, revision };
    assert_eq!(wire_version(1, version(1, 7)), version(1, 7));
    assert_eq!(wire_version(2, version(1, 7)), version(2, 0));
    assert!(wire_version(2, version(1, 7)) > version(1, 9));
}
