//! What a peer sends is bounded like what a clerk types, and nobody's number crosses in an open text.

use prost::Message as _;
use qianshou_kernel::{
    error::Reason,
    ledger::{Command, Content, Write},
};
use qianshou_proto::{
    common::v1::Version,
    exchange::v1::{self as api, Ended, PageEntry, QuarantineReason, RefusalReason, StreamState, control},
    pairing::v1::Allocation,
    registry::v1::{Agency, Post, Worker},
};
use qianshou_tests::{
    World,
    forger::{Forger, entry},
    refusal::refused,
    sample, stories,
    treaty::{agree, introduce, settled, share, share_all, stream, terms},
};

stories! {
    what_peers_send_is_bounded_like_what_people_send
    nothing_follows_the_end_of_a_stream
    nobodys_number_crosses_in_an_open_text
}

fn agency() -> Agency {
    Agency { display_name: Some("机构".into()), division: Some("350102".into()), ..Agency::default() }
}

/// A provider with the real keys sends what no clerk could type: it is set aside by its reason, the page goes through, statistics move
/// on, and no later version of the record is shut out.
async fn what_peers_send_is_bounded_like_what_people_send(world: World) {
    let nation = world.node("00").await;
    let forger = Forger::open(&world, "35", &nation).await;
    let clauses = vec![
        share("agencies", "display_name aliases type division founded_on closed_on predecessor", "35"),
        share("workers", "full_name division station languages", "35"),
        share_all("allocations", "programme year division amount_fen match_thousandths"),
    ];
    let mut log = forger.agree(&nation, terms("35", "00", clauses)).await;
    let mut call = forger.called().await;

    let named = |name: &str| Agency { display_name: Some(name.to_owned()), ..agency() }.encode_to_vec();
    let money = |amount_fen: i64| Allocation { amount_fen: Some(amount_fen), ..Allocation::default() }.encode_to_vec();
    let share_of = |match_thousandths| Allocation { match_thousandths, ..Allocation::default() }.encode_to_vec();
    let number = sample::citizen(7);
    let bad: Vec<(&str, Vec<u8>, QuarantineReason)> = vec![
        ("agencies", named("警\u{1b}[31m报"), QuarantineReason::Shape),
        ("agencies", named("零\0"), QuarantineReason::Shape),
        ("agencies", named("反\u{202e}向"), QuarantineReason::Shape),
        ("agencies", named("分\u{2028}行"), QuarantineReason::Shape),
        ("agencies", named(&"长".repeat(4_001)), QuarantineReason::Shape),
        ("agencies", named(&"长".repeat(200_000)), QuarantineReason::Shape),
        ("agencies", Agency { r#type: Some(999), ..agency() }.encode_to_vec(), QuarantineReason::Shape),
        ("agencies", Agency { founded_on: Some("1e309".into()), ..agency() }.encode_to_vec(), QuarantineReason::Shape),
        (
            "agencies",
            Agency { founded_on: Some("2023-02-30".into()), ..agency() }.encode_to_vec(),
            QuarantineReason::Shape,
        ),
        ("agencies", Agency { predecessor: Some("x".into()), ..agency() }.encode_to_vec(), QuarantineReason::Shape),
        ("agencies", Agency { aliases: vec!["又名".into(); 51], ..agency() }.encode_to_vec(), QuarantineReason::Shape),
        ("agencies", Agency { aliases: vec!["\u{7}".into()], ..agency() }.encode_to_vec(), QuarantineReason::Shape),
        ("agencies", [agency().encode_to_vec(), named("两次")].concat(), QuarantineReason::Unreadable),
        ("agencies", Agency { division: Some("35x".into()), ..agency() }.encode_to_vec(), QuarantineReason::Shape),
        ("agencies", named(&format!("张三{number}")), QuarantineReason::IdentityNumber),
        ("allocations", money(-1), QuarantineReason::Shape),
        ("allocations", money(i64::MAX), QuarantineReason::Shape),
        ("allocations", share_of(Some(u32::MAX)), QuarantineReason::Shape),
        (
            "workers",
            Worker { division: Some("350102".into()), station: Some("stations/1".into()), ..Worker::default() }
                .encode_to_vec(),
            QuarantineReason::Shape,
        ),
    ];
    let mut entries: Vec<PageEntry> = (0..)
        .zip(&bad)
        .map(|(n, (kind, payload, _))| entry("35", kind, &format!("bad-{n}"), 1, payload.clone()))
        .collect();
    let far = |revision| PageEntry {
        version: Some(Version { epoch: Some(1), revision: Some(revision) }),
        ..entry("35", "agencies", "good", 1, named("远"))
    };
    entries.extend([far(i64::MAX as u64), far((1 << 40) + 1)]);
    // What is as long as may be is taken.
    entries.push(entry("35", "agencies", "good", 1, named(&"长".repeat(4_000))));
    let page = log.next(entries);
    let receipt = forger.page(&mut call, &page).await;
    log.after(&page);
    let mut expected: Vec<QuarantineReason> = bad.iter().map(|(_, _, reason)| *reason).collect();
    expected.extend([QuarantineReason::Version; 2]);
    let told: Vec<_> = receipt.quarantined.iter().map(api::Quarantined::reason).collect();
    assert_eq!(told, expected);
    assert_eq!((receipt.applied(), receipt.skipped(), receipt.refusal), (1, 0, None));

    // The record can still be changed; a version that is not newer changes nothing, and the receipt says so.
    let page = log
        .next(vec![entry("35", "agencies", "good", 2, named("改名")), entry("35", "agencies", "new", 1, named("新"))]);
    let receipt = forger.page(&mut call, &page).await;
    assert_eq!((receipt.applied(), receipt.skipped()), (2, 0));
    log.after(&page);
    let page = log
        .next(vec![entry("35", "agencies", "good", 1, named("旧名")), entry("35", "agencies", "new", 1, named("新"))]);
    let receipt = forger.page(&mut call, &page).await;
    assert_eq!((receipt.applied(), receipt.skipped()), (2, 2));
    assert_eq!(stream(&nation.admin, &log.stream).await.unwrap().skipped(), 2, "the operator sees it");
    assert_eq!(nation.admin.get::<Agency>("nodes/35/agencies/good").await.unwrap().display_name(), "改名");
    nation.counts_right().await;
}

async fn nothing_follows_the_end_of_a_stream(world: World) {
    let nation = world.node("00").await;
    let forger = Forger::open(&world, "35", &nation).await;
    let mut log =
        forger.agree(&nation, terms("35", "00", vec![share("agencies", "display_name division", "35")])).await;
    let mut call = forger.called().await;
    let one = |id: &str| vec![entry("35", "agencies", id, 1, agency().encode_to_vec())];
    let first = log.next(one("a"));
    assert_eq!(forger.page(&mut call, &first).await.applied(), 1);
    log.after(&first);
    let end = |entries: &[PageEntry]| {
        let ended = Ended { reason: Some("EXPIRED".into()) };
        api::PageHeader {
            control: Some(api::Control { control: Some(control::Control::Ended(ended)) }),
            ..log.header(entries)
        }
    };
    let beside = log.seal(&end(&one("b")), one("b"));
    assert_eq!(forger.page(&mut call, &beside).await.refusal(), RefusalReason::Ended);
    drop(call);
    let mut call = forger.called().await;
    let last = log.seal(&end(&[]), vec![]);
    assert_eq!(forger.page(&mut call, &last).await.refusal, None);
    log.after(&last);
    let after = log.next(one("b"));
    assert_eq!(forger.page(&mut call, &after).await.refusal(), RefusalReason::Ended);
    assert_eq!(stream(&nation.admin, &log.stream).await.unwrap().state(), StreamState::Ended);
    refused(nation.admin.get::<Agency>("nodes/35/agencies/b").await, Reason::NotFound, "name");
}

/// A citizen number in a name, an alias, a post or a code is refused where it is typed, and not repeated; one that stands there from
/// before does not leave.
async fn nobodys_number_crosses_in_an_open_text(world: World) {
    let (ningxia, nation) = (world.node("64").await, world.node("00").await);
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let number = sample::citizen(9);
    let wide: String = number.chars().map(|c| char::from_u32(c as u32 + 0xfee0).unwrap()).collect();
    let spaced = format!("{} {} {}", &number[..6], &number[6..14], &number[14..]);
    let place = |n: u32| Agency { division: Some("640104".into()), ..sample::agency(n) };
    for text in [&number, &format!("张三{number}"), &wide, &spaced] {
        let agency = Agency { display_name: Some(text.clone()), ..place(1) };
        let answer = ningxia.admin.create(agency).await;
        let told = answer.as_ref().unwrap_err().message().to_owned();
        assert!(!told.contains(&number) && !told.contains(&number[6..14]), "{told}");
        refused(answer, Reason::Malformed, "display_name");
        let agency = Agency { aliases: vec![text.clone()], ..place(1) };
        refused(ningxia.admin.create(agency).await, Reason::Malformed, "aliases");
        let post = Post { display_name: Some(text.clone()), ..sample::post(1) };
        refused(ningxia.admin.create(post).await, Reason::Malformed, "display_name");
        let worker = Worker { post_category: Some(text.clone()), ..sample::worker(1) };
        refused(ningxia.admin.create(worker).await, Reason::Malformed, "post_category");
    }
    let worker = ningxia.admin.create(sample::worker(9)).await.unwrap().noun;
    let certificate = |number: &str| qianshou_proto::registry::v1::Certificate {
        number: Some(number.to_owned()),
        ..sample::certificate(1, worker.name())
    };
    refused(ningxia.admin.create(certificate(&number)).await, Reason::Malformed, "number");

    // A number that is typed where a name, a field or a repetition's id belongs is not said back.
    let name = format!("nodes/64/workers/{}", number.to_lowercase());
    let unsaid = |answer: Result<Worker, tonic::Status>| {
        let status = answer.unwrap_err();
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert!(!status.message().contains(&number[..17]) && !details.contains(&number[..17]), "{status:?}");
    };
    unsaid(ningxia.admin.get::<Worker>(&name).await);
    unsaid(
        ningxia
            .admin
            .update(Worker { name: Some(worker.name().to_owned()), ..Worker::default() }, &[&number])
            .await
            .map(|w| w.noun),
    );
    unsaid(
        ningxia
            .admin
            .create(Worker { employer: Some(format!("agencies/{number}")), ..sample::worker(2) })
            .await
            .map(|w| w.noun),
    );

    // From before: the ledger takes what the rules no longer do.
    let before = Agency { name: None, etag: None, ..place(5) };
    let telling =
        Agency { display_name: Some(format!("张三{number}")), aliases: vec![spaced, "旧称".into()], ..before };
    let old = "nodes/64/agencies/old";
    let content = Content::Put { payload: telling.encode_to_vec().into(), sealed: None };
    let writes = vec![Write::Own(old.parse().unwrap(), content)];
    ningxia.ledger.submit(Command { actor: "before".into(), writes, ..Command::default() }).await.unwrap();
    let clauses = vec![share("agencies", "display_name aliases uscc division", "64")];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    assert_eq!(settled(&ningxia.admin, &nation.admin, &id).await.applied(), 1);
    let there = nation.admin.get::<Agency>(old).await.unwrap();
    assert_eq!((there.display_name, there.aliases, there.uscc), (None, vec!["旧称".to_owned()], telling.uscc));
}
