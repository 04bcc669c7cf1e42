use std::collections::BTreeMap;

use prost::Message as _;
use qianshou_kernel::{
    id::Name,
    ledger::{Content, Version, Write},
};
use qianshou_proto::{
    exchange::v1::{Page, QuarantineReason, Receipt},
    registry::v1::Agency,
};

use super::*;
use crate::{
    domain::{
        consumer::{self, Cursor, SetAside, Sweep},
        page::{Made, NO_PAGE},
        provider::{self, Outbound, Shown},
    },
    tests::testing::TestNode,
};

const STREAM: &str = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001";

fn received(id: &str, epoch: u64) -> Write {
    let agency = Agency { division: Some("64".into()), ..Agency::default() };
    let content = Content::Put { payload: agency.encode_to_vec().into(), sealed: None };
    Write::Received(Name::of("64", "agencies", id), Version { epoch, revision: 1 }, content)
}

fn page(from: (u64, u64), to: (u64, u64), writes: Vec<Write>) -> consumer::Commit {
    let cursor = |(epoch, number): (u64, u64)| {
        let digest = if epoch == 0 { vec![] } else { vec![number as u8; 32] };
        Cursor { epoch, number, digest }
    };
    let aside = |place| SetAside { place, reason: QuarantineReason::Name, name: "?".into(), entry: vec![1] };
    let advance = consumer::Advance {
        from: cursor(from),
        to: cursor(to),
        first_epoch: 1,
        page: Page::default(),
        receipt: Receipt::default(),
        count: 4,
        applied: 2,
        skipped: 1,
        quarantine: vec![aside(0), aside(3)],
        ended: false,
    };
    consumer::Commit { stream: STREAM.into(), writes, advance: Some(advance), ..consumer::Commit::default() }
}

#[tokio::test]
async fn records_and_cursor_are_one_commit() {
    let node = TestNode::new("00").await;
    let store = Store::new(node.ledger.clone());
    store.inbound_open(STREAM).await.unwrap();
    let first = page((0, 0), (1, 1), vec![received("a", 1), received("b", 1)]);
    assert!(store.inbound_commit("64", &first).await.unwrap());
    let again = page((0, 0), (1, 1), vec![received("c", 1)]);
    assert!(!store.inbound_commit("64", &again).await.unwrap(), "the cursor has moved");
    assert_eq!(node.ledger.find_one(&Name::of("64", "agencies", "c")).await.unwrap(), None);
    let row = store.inbound_find(STREAM).await.unwrap().unwrap();
    assert_eq!((row.cursor.number, row.entries, row.applied, row.quarantined), (1, 4, 2, 2));
    assert!(store.inbound_recall(STREAM, 1, 1).await.unwrap().is_some());

    let mut last = page((1, 1), (2, 1), vec![received("a", 2)]);
    last.sweep = Some(Sweep { home: "64".into(), kinds: vec!["agencies".into()], epoch: 2, on: "2023-11-15".into() });
    assert!(store.inbound_commit("64", &last).await.unwrap());
    let live = |id: &str| {
        let (ledger, name) = (node.ledger.clone(), Name::of("64", "agencies", id));
        async move { ledger.find_one(&name).await.unwrap().unwrap().payload().is_some() }
    };
    assert_eq!((live("a").await, live("b").await), (true, false));

    let (key, _) = store.quarantine_list("", &QuarantineKey::default(), 3).await.unwrap().pop().unwrap();
    assert_eq!((key.epoch, key.number, key.place), (2, 1, 0));
    let rest = store.quarantine_list(STREAM, &key, 3).await.unwrap();
    assert_eq!((rest.len(), rest[0].1.index), (1, Some(3)));
    assert!(store.quarantine_list("another", &QuarantineKey::default(), 3).await.unwrap().is_empty());

    assert!(store.inbound_lease(STREAM, "one", 1_000).await.unwrap());
    assert!(!store.inbound_lease(STREAM, "two", 1_000).await.unwrap());
    node.clock.advance(2_000);
    assert!(store.inbound_lease(STREAM, "two", 1_000).await.unwrap());
}

#[tokio::test]
async fn a_page_and_what_is_held_are_one_commit() {
    let node = TestNode::new("64").await;
    let store = Store::new(node.ledger.clone());
    let before = store.outbound_open(STREAM).await.unwrap();
    let made = Made { epoch: 1, number: 1, digest: [1; 32], count: 2, page: Page::default() };
    let row = Outbound {
        epoch: 1,
        next: 2,
        digest: [1; 32],
        position: 9,
        snapshot: Some(9),
        pages: 1,
        entries: 2,
        ..before.clone()
    };
    let shown = |epoch| Shown { epoch, digest: NO_PAGE };
    let advance = provider::Advance {
        from: before.at(),
        row: row.clone(),
        page: Some(made),
        shown: BTreeMap::from([("a".into(), shown(1)), ("b".into(), shown(1))]),
        dropped: vec![],
        forget_older: false,
    };
    let commit = provider::Commit::Advance(Box::new(advance.clone()));
    assert!(store.outbound_commit(&commit).await.unwrap());
    assert!(!store.outbound_commit(&commit).await.unwrap(), "another process has moved the stream");
    assert_eq!(store.outbound_find(STREAM).await.unwrap().unwrap(), row);
    assert_eq!(
        (store.outbound_waiting(&row).await.unwrap(), store.page_load(STREAM, 1, 1).await.unwrap()),
        (2, Some(Page::default()))
    );

    let mut next = advance;
    (next.from, next.page, next.dropped) = (row.at(), None, vec!["b".into()]);
    (next.row.epoch, next.row.next, next.forget_older) = (2, 1, true);
    next.shown = BTreeMap::from([("c".into(), shown(2))]);
    assert!(store.outbound_commit(&provider::Commit::Advance(Box::new(next))).await.unwrap());
    let held = store.held(STREAM, &["a".into(), "b".into(), "c".into()]).await.unwrap();
    assert_eq!(held.into_keys().collect::<Vec<_>>(), ["c"]);
}
