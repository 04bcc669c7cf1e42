//! A provider with the real keys that serves what it should not.

use std::collections::BTreeSet;

use prost::Message as _;
use qianshou_kernel::identity::NodeKeys;
use qianshou_proto::{
    common::v1::Version,
    exchange::v1::{self as api, Page, PageEntry, PageHeader, QuarantineReason, RefusalReason, StreamState},
    registry::v1::Agency,
};
use qianshou_tests::{
    World,
    forger::{Forger, Log, entry},
    sample, stories,
    treaty::{share, stream, terms},
    world::DAY_MS,
};
use sha2::{Digest as _, Sha256};

use super::records;

stories! {
    nothing_can_be_forged
    a_bad_entry_is_set_aside_alone
}

/// One way to forge a page, given the log and the sound next page's entries.
type Forgery = (&'static str, fn(&Log, Vec<PageEntry>) -> Page, RefusalReason);

/// A provider with the real keys serves pages that do not hold: each is refused with its own reason, the receipt is signed,
/// nothing is written, and the stream goes on behind the last good page.
async fn nothing_can_be_forged(world: World) {
    let nation = world.node("00").await;
    let forger = Forger::open(&world, "35", &nation).await;
    let clauses = vec![share("agencies", "display_name division", "35")];
    let terms = api::Terms { ends_on: Some("2024-06-30".into()), ..terms("35", "00", clauses) };
    let mut log = forger.agree(&nation, terms).await;
    let mut call = forger.called().await;
    let first = log.next(agencies(0..3));
    let receipt = forger.page(&mut call, &first).await;
    assert_eq!((receipt.applied(), receipt.refusal), (3, None));
    log.after(&first);
    // The same page again, as after a cut: the same receipt, and nothing happens.
    assert_eq!(forger.page(&mut call, &first).await, receipt);
    let before = nation.position().await;

    for (what, forge, reason) in forgeries() {
        let page = forge(&log, agencies(3..6));
        let refusal = forger.page(&mut call, &page).await;
        assert_eq!((refusal.refusal(), refusal.applied()), (reason, 0), "{what}");
        assert_eq!(refusal.page_digest(), &Sha256::digest(page.header())[..], "the receipt names the page: {what}");
        assert_eq!(nation.position().await, before, "{what}");
        let stopped = stream(&nation.admin, &log.stream).await.unwrap();
        assert_eq!(stopped.state(), StreamState::Refused, "{what}");
        assert!(!stopped.reason_zh().is_empty() && !stopped.reason_en().is_empty(), "{what}");
        drop(call);
        call = forger.called().await;
        let cursor = call.hello.cursor.clone().unwrap();
        assert_eq!((cursor.epoch(), cursor.number(), cursor.digest()), (1, 1, &log.digest[..]), "{what}");
    }
    let sound = log.next(agencies(3..6));
    assert_eq!(forger.page(&mut call, &sound).await.applied(), 3);
    assert_eq!(stream(&nation.admin, &log.stream).await.unwrap().state(), StreamState::Running);
    assert_eq!(nation.position().await, before + 3);
    // The next epoch is opened in all form; from then on a page of the old one is of another epoch.
    let old = Log { number: 2, digest: Sha256::digest(sound.header()).into(), ..log.clone() }.next(agencies(6..7));
    let next = Log { epoch: 2, number: 0, digest: [0; 32], ..log };
    let opened = next.next(vec![]);
    assert_eq!(forger.page(&mut call, &opened).await.refusal, None);
    assert_eq!(forger.page(&mut call, &old).await.refusal(), RefusalReason::Epoch);
    // And a sound page is refused once the agreement is over.
    world.clock.advance(60 * DAY_MS);
    drop(call);
    let mut call = forger.called().await;
    let late = Log { number: 1, digest: Sha256::digest(opened.header()).into(), ..next }.next(agencies(6..7));
    assert_eq!(forger.page(&mut call, &late).await.refusal(), RefusalReason::AgreementNotInForce);

    let mut tried: BTreeSet<RefusalReason> = forgeries().into_iter().map(|(_, _, reason)| reason).collect();
    tried.extend([RefusalReason::Unspecified, RefusalReason::AgreementNotInForce]);
    assert!((0..14).all(|n| tried.contains(&RefusalReason::try_from(n).unwrap())), "every reason was given: {tried:?}");
}

fn forgeries() -> Vec<Forgery> {
    vec![
        (
            "an altered entry",
            |log, entries| {
                let mut page = log.next(entries);
                page.entries[1].content = agencies(9..10)[0].content.clone();
                page
            },
            RefusalReason::Root,
        ),
        (
            "an altered version",
            |log, entries| {
                let mut page = log.next(entries);
                page.entries[0].version.as_mut().unwrap().revision = Some(99);
                page
            },
            RefusalReason::Root,
        ),
        (
            "reordered entries",
            |log, entries| {
                let mut page = log.next(entries);
                page.entries.swap(0, 2);
                page
            },
            RefusalReason::Root,
        ),
        (
            "cut entries",
            |log, entries| {
                let mut page = log.next(entries);
                page.entries.truncate(2);
                page
            },
            RefusalReason::Count,
        ),
        (
            "one entry more",
            |log, entries| {
                let mut page = log.next(entries);
                page.entries.extend(agencies(8..9));
                page
            },
            RefusalReason::Count,
        ),
        (
            "a cut header",
            |log, entries| {
                let mut page = log.next(entries);
                let header = page.header.take().unwrap();
                page.header = Some(header.slice(..header.len() - 3));
                page
            },
            RefusalReason::Unreadable,
        ),
        (
            "an altered header",
            |log, entries| {
                let mut header = log.header(&entries);
                let mut page = log.seal(&header, entries);
                header.produced_on = Some("2024-06-02".into());
                page.header = Some(header.encode_to_vec().into());
                page
            },
            RefusalReason::Signature,
        ),
        (
            "another key",
            |log, entries| {
                let folder = tempfile::tempdir().unwrap();
                let keys = NodeKeys::create(&folder.path().join("keys"), "35", &[]).unwrap();
                Log { keys: keys.into(), ..log.clone() }.next(entries)
            },
            RefusalReason::Key,
        ),
        (
            "another key under the real one's name",
            |log, entries| {
                let folder = tempfile::tempdir().unwrap();
                let keys = NodeKeys::create(&folder.path().join("keys"), "35", &[]).unwrap();
                let mut page = Log { keys: keys.into(), ..log.clone() }.next(entries);
                page.signature.as_mut().unwrap().key_id = Some(log.keys.key_id.clone());
                page
            },
            RefusalReason::Signature,
        ),
        ("no signature", |log, entries| Page { signature: None, ..log.next(entries) }, RefusalReason::Key),
        (
            "a statement's signature",
            |log, entries| {
                let page = log.next(entries);
                Page { signature: Some(log.keys.sign("qianshou.statement.v1", page.header())), ..page }
            },
            RefusalReason::Signature,
        ),
        (
            "another stream",
            |log, entries| Log { stream: "01234567-89ab-7def-8123-456789abcdef".into(), ..log.clone() }.next(entries),
            RefusalReason::Stream,
        ),
        (
            "another agreement",
            |log, entries| Log { agreement: [9; 32], ..log.clone() }.next(entries),
            RefusalReason::AgreementUnknown,
        ),
        (
            "an older epoch",
            |log, entries| {
                let header = PageHeader { epoch: Some(0), ..log.header(&entries) };
                log.seal(&header, entries)
            },
            RefusalReason::Unreadable,
        ),
        (
            "a newer epoch that was not opened",
            |log, entries| Log { epoch: 2, ..log.clone() }.next(entries),
            RefusalReason::Epoch,
        ),
        (
            "an epoch that is opened in the middle",
            |log, entries| {
                let control = Log { number: 0, ..log.clone() }.header(&entries).control;
                log.seal(&PageHeader { control, ..log.header(&entries) }, entries)
            },
            RefusalReason::Epoch,
        ),
        ("a page too early", |log, entries| Log { number: 2, ..log.clone() }.next(entries), RefusalReason::Number),
        (
            "another page under an applied number",
            |log, entries| Log { number: 0, digest: [0; 32], ..log.clone() }.next(entries),
            RefusalReason::Repeated,
        ),
        (
            "a page that does not follow",
            |log, entries| Log { digest: [9; 32], ..log.clone() }.next(entries),
            RefusalReason::Chain,
        ),
        (
            "a control that nobody knows",
            |log, entries| {
                let control = Some(api::Control { control: None });
                log.seal(&PageHeader { control, ..log.header(&entries) }, entries)
            },
            RefusalReason::Unreadable,
        ),
        ("far too many entries", |log, _| log.next(agencies(10..200)), RefusalReason::TooLarge),
    ]
}

/// Agencies of the forger's.
fn agencies(numbers: std::ops::Range<u32>) -> Vec<PageEntry> {
    numbers.map(|n| entry("35", "agencies", &format!("forged-{n}"), 1, payload(&masked(n)))).collect()
}

fn masked(n: u32) -> Agency {
    Agency { display_name: Some(format!("机构{n}")), division: Some("350102".into()), ..Agency::default() }
}

fn payload(agency: &Agency) -> Vec<u8> {
    agency.encode_to_vec()
}

/// Not theirs to send, outside the agreement, or unreadable: each is set aside with its reason, and its page goes through.
async fn a_bad_entry_is_set_aside_alone(world: World) {
    let nation = world.node("00").await;
    let forger = Forger::open(&world, "35", &nation).await;
    let mut log =
        forger.agree(&nation, terms("35", "00", vec![share("agencies", "display_name division", "35")])).await;
    let mut call = forger.called().await;
    let [good, last] = [agencies(0..1), agencies(1..2)];
    let agencies_ = |home: &str, id: &str, agency: &Agency| entry(home, "agencies", id, 1, payload(agency));
    let bad = [
        (agencies_("64", "theirs", &masked(2)), QuarantineReason::ForeignHome),
        (agencies_("00", "ours", &masked(2)), QuarantineReason::ForeignHome),
        (entry("35", "workers", "w", 1, vec![]), QuarantineReason::UnknownKind),
        (entry("35", "stars", "s", 1, vec![]), QuarantineReason::UnknownKind),
        (
            agencies_("35", "out", &Agency { division: Some("640104".into()), ..masked(3) }),
            QuarantineReason::OutOfScope,
        ),
        (agencies_("35", "nowhere", &Agency { division: None, ..masked(3) }), QuarantineReason::OutOfScope),
        (
            agencies_("35", "more", &Agency { uscc: Some(sample::uscc(3)), ..masked(3) }),
            QuarantineReason::FieldNotAllowed,
        ),
        (entry("35", "agencies", "junk", 1, vec![0xff; 9]), QuarantineReason::Unreadable),
        (
            PageEntry { name: Some("nodes/35/agencies/Ü".into()), ..agencies_("35", "x", &masked(4)) },
            QuarantineReason::Name,
        ),
        (
            PageEntry { name: Some("nodes/35/stations/x".into()), ..agencies_("35", "x", &masked(4)) },
            QuarantineReason::Name,
        ),
        (PageEntry { home: Some("64".into()), ..agencies_("35", "x", &masked(4)) }, QuarantineReason::Name),
        (
            PageEntry {
                version: Some(Version { epoch: Some(2), revision: Some(1) }),
                ..agencies_("35", "x", &masked(4))
            },
            QuarantineReason::Stale,
        ),
    ];
    let entries: Vec<PageEntry> =
        good.into_iter().chain(bad.iter().map(|(entry, _)| entry.clone())).chain(last).collect();
    let page = log.next(entries);
    let receipt = forger.page(&mut call, &page).await;
    assert_eq!((receipt.applied(), receipt.refusal), (2, None));
    let aside: Vec<_> = receipt.quarantined.iter().map(|q| (q.index(), q.reason())).collect();
    let expected: Vec<_> = (1..).zip(bad.iter().map(|(_, reason)| *reason)).collect();
    assert_eq!(aside, expected);
    log.after(&page);

    let listed = nation
        .admin
        .exchange()
        .list_quarantine(api::ListQuarantineRequest::default())
        .await
        .unwrap()
        .into_inner()
        .items;
    assert_eq!(listed.iter().map(|item| (item.index(), item.reason())).collect::<Vec<_>>(), expected);
    assert_eq!(
        (listed[0].name(), listed[0].page(), listed[0].stream()),
        ("nodes/64/agencies/theirs", 1, log.stream.as_str())
    );
    assert_eq!(
        records(&nation).await.keys().collect::<Vec<_>>(),
        ["nodes/35/agencies/forged-0", "nodes/35/agencies/forged-1"]
    );
    let next = log.next(agencies(5..6));
    assert_eq!(forger.page(&mut call, &next).await.applied(), 1, "the stream goes on");
    let stream = stream(&nation.admin, &log.stream).await.unwrap();
    assert_eq!((stream.applied(), stream.quarantined(), stream.state()), (3, 12, StreamState::Running));
}
