//! What is there to be read: lists, pages, and the feed of everything that was saved.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use prost::Message as _;
use qianshou_kernel::{error::Reason, kind::ListQuery};
use qianshou_proto::{
    ledger::v1 as ledger,
    registry::v1::{Agency, AgencyType, Division, Station},
};
use qianshou_tests::{
    Database, World,
    refusal::refused,
    sample::{agency, station},
    stories,
};

stories! {
    lists_filter_and_order
    lists_are_paged_without_gaps
    a_page_token_is_of_one_list
    the_feed_tells_what_was_saved
}

async fn lists_filter_and_order(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let mut batch: Vec<Agency> = (0..30).map(agency).collect();
    batch[3].closed_on = Some("2024-01-01".into());
    batch[4].display_name = Some("百分之百%社".into());
    batch[5].r#type = Some(AgencyType::Foundation.into());
    admin.put(batch).await.unwrap();
    let names = async |asked: ListQuery| {
        admin.list_all::<Agency>(asked).await.iter().map(|a| a.display_name().to_owned()).collect::<Vec<_>>()
    };
    let count = async |asked: ListQuery| names(asked).await.len();
    let text = |text: &str| Some(text.to_owned());

    assert_eq!(count(ListQuery::default()).await, 30);
    for (area, found) in [
        ("64", 30),
        ("640000", 30),
        ("00", 30),
        ("6401", 20),
        ("640100000000", 20),
        ("640104", 10),
        ("640104100", 0),
        ("35", 0),
    ] {
        assert_eq!(count(ListQuery { area: text(area), ..ListQuery::default() }).await, found, "{area}");
    }
    assert_eq!(count(ListQuery { state: text("CLOSED"), ..ListQuery::default() }).await, 1);
    assert_eq!(count(ListQuery { state: text("OPEN"), area: text("6401"), ..ListQuery::default() }).await, 19);
    for (query, found) in [("塞上", 29), ("中心1", 11), ("%社", 1), ("百%百", 0), ("_", 0), ("没有", 0)] {
        assert_eq!(count(ListQuery { query: text(query), ..ListQuery::default() }).await, found, "{query}");
    }
    let ordered = |order_by: &str| ListQuery { order_by: text(order_by), page_size: Some(7), ..ListQuery::default() };
    for order_by in ["title", "name", "area", "state"] {
        let (mut up, down) = (names(ordered(order_by)).await, names(ordered(&format!("{order_by} desc"))).await);
        up.reverse();
        assert_eq!(up, down, "{order_by}");
    }
    let titles = names(ordered("title")).await;
    assert!(
        titles.is_sorted_by_key(|title| title.as_bytes().to_vec()) || world.database == Database::Postgres,
        "{titles:?}"
    );
    refused(admin.list::<Agency>(ordered("colour")).await, Reason::UnknownField, "order_by");
    let on = |at: &str| ListQuery { at: text(at), ..ListQuery::default() };
    refused(admin.list::<Agency>(on("2023-06-30")).await, Reason::UnknownField, "at");
    refused(admin.list::<Division>(on("2023-06-31")).await, Reason::Malformed, "at");
    for (at, found) in [("2016-10-31", 22), ("2021-10-31", 22)] {
        let counties =
            admin.list_all::<Division>(ListQuery { area: text("64"), page_size: Some(1000), ..on(at) }).await;
        assert_eq!(
            counties.iter().filter(|d| d.code().len() == 6 && d.display_name() != "市辖区").count(),
            found,
            "{at}"
        );
    }
    // The children of a county are an area and a level.
    let towns = ListQuery { area: text("640104"), r#type: text("TOWNSHIP"), ..on("2022-10-31") };
    let towns = admin.list_all::<Division>(towns).await;
    assert!(towns.len() > 10 && towns.iter().all(|town| town.parent() == "640104"), "{}", towns.len());
    let county = ListQuery { r#type: text("COUNTY"), query: text("xingqing"), ..on("2022-10-31") };
    assert_eq!(admin.list_all::<Division>(county).await.len(), 1);
    refused(
        admin.list::<Agency>(ListQuery { area: text("6x"), ..ListQuery::default() }).await,
        Reason::Malformed,
        "area",
    );
    refused(
        admin.list::<Agency>(ListQuery { page_size: Some(-1), ..ListQuery::default() }).await,
        Reason::Malformed,
        "page_size",
    );
}

/// What stood before the first page and still stands after the last is on exactly one of them, whatever happens meanwhile.
async fn lists_are_paged_without_gaps(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let outcomes = admin.put((0..100).map(agency).collect()).await.unwrap();
    let gone: BTreeSet<&str> = outcomes.iter().step_by(10).map(|o| o.name()).collect();
    let mut seen: Vec<String> = vec![];
    let mut asked = ListQuery { page_size: Some(9), order_by: Some("title".into()), ..ListQuery::default() };
    for meanwhile in 0.. {
        let page = admin.list::<Agency>(asked.clone()).await.unwrap();
        assert!(page.nouns.len() <= 9 && page.position > 0);
        seen.extend(page.nouns.iter().map(|a| a.name().to_owned()));
        if page.next_page_token.is_empty() {
            break;
        }
        asked.page_token = Some(page.next_page_token);
        admin.create(agency(1_000 + meanwhile)).await.unwrap();
        if let Some(name) = gone.iter().nth(meanwhile as usize) {
            admin.delete::<Agency>(name).await.unwrap();
        }
    }
    let once: BTreeSet<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(once.len(), seen.len(), "none twice");
    for outcome in outcomes.iter().filter(|o| !gone.contains(o.name())) {
        assert!(once.contains(outcome.name()), "none missed");
    }
    let large = admin.list::<Agency>(ListQuery { page_size: Some(100_000), ..ListQuery::default() }).await.unwrap();
    assert!(large.nouns.len() <= 1_000);
}

async fn a_page_token_is_of_one_list(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.put((0..10).map(agency).collect()).await.unwrap();
    admin.put((0..10).map(station).collect()).await.unwrap();
    let asked = ListQuery { page_size: Some(2), area: Some("6401".into()), ..ListQuery::default() };
    let token = admin.list::<Agency>(asked.clone()).await.unwrap().next_page_token;
    let with = |token: &str| ListQuery { page_token: Some(token.to_owned()), ..asked.clone() };
    admin.list::<Agency>(ListQuery { page_size: Some(5), ..with(&token) }).await.unwrap();
    refused(
        admin.list::<Agency>(ListQuery { area: Some("6402".into()), ..with(&token) }).await,
        Reason::BadPageToken,
        "page_token",
    );
    refused(
        admin.list::<Agency>(ListQuery { order_by: Some("title".into()), ..with(&token) }).await,
        Reason::BadPageToken,
        "page_token",
    );
    refused(admin.list::<Station>(with(&token)).await, Reason::BadPageToken, "page_token");
    for wrong in ["x", "AAAA", &token[1..], &format!("{token}AAAA")] {
        refused(admin.list::<Agency>(with(wrong)).await, Reason::BadPageToken, "page_token");
    }
}

async fn the_feed_tells_what_was_saved(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let before = ningxia.position().await;
    let first = admin.create(agency(1)).await.unwrap().noun;
    admin.update(Agency { closed_on: Some("2024-01-01".into()), ..first.clone() }, &["closed_on"]).await.unwrap();
    let second = admin.create(station(1)).await.unwrap().noun;
    admin.delete::<Station>(second.name()).await.unwrap();
    let read = async |asked: ledger::ReadEntriesRequest| {
        let answers = admin
            .feed()
            .read_entries(ledger::ReadEntriesRequest { after_position: Some(before), ..asked })
            .await
            .unwrap();
        answers
            .into_inner()
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .into_iter()
            .flat_map(|answer| answer.entries)
            .collect::<Vec<_>>()
    };
    let all = read(ledger::ReadEntriesRequest { history: Some(true), ..Default::default() }).await;
    assert_eq!(
        all.iter().map(ledger::Entry::position).collect::<Vec<_>>(),
        (before + 1..before + 5).collect::<Vec<_>>()
    );
    let newest = read(ledger::ReadEntriesRequest::default()).await;
    assert_eq!(
        newest.iter().map(ledger::Entry::position).collect::<Vec<_>>(),
        [before + 2, before + 4],
        "each record once, at its newest"
    );
    let stations =
        read(ledger::ReadEntriesRequest { kinds: vec!["stations".into()], history: Some(true), ..Default::default() })
            .await;
    assert_eq!(stations.iter().map(ledger::Entry::name).collect::<Vec<_>>(), [second.name(), second.name()]);
    let strange = ledger::ReadEntriesRequest { kinds: vec!["stars".into()], ..Default::default() };
    refused(admin.feed().read_entries(strange).await.map(|_| ()), Reason::NotInList, "kinds");
    let limited = read(ledger::ReadEntriesRequest { history: Some(true), limit: Some(3), ..Default::default() }).await;
    assert_eq!(limited.len(), 4, "a limit is of one answer, not of the stream");

    let Some(ledger::entry::Content::Put(payload)) = &newest[0].content else { panic!("{newest:?}") };
    let closed = Agency { name: None, etag: None, closed_on: Some("2024-01-01".into()), ..first };
    assert_eq!(Agency::decode(payload.clone()).unwrap(), closed);
    let head = admin.feed().get_head(ledger::GetHeadRequest {}).await.unwrap().into_inner();
    assert_eq!((head.node(), head.position(), head.digest()), ("64", before + 4, all[3].digest()));

    // Of the whole history, from the first of some thousand divisions on, the one kind that was asked for.
    let asked = ledger::ReadEntriesRequest {
        after_position: Some(0),
        kinds: vec!["agencies".into()],
        history: Some(true),
        ..Default::default()
    };
    let answers = admin.feed().read_entries(asked).await.unwrap().into_inner().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(answers.iter().flat_map(|answer| &answer.entries).count(), 2);
    // Who follows hears of what comes.
    let asked =
        ledger::ReadEntriesRequest { after_position: Some(before + 4), follow: Some(true), ..Default::default() };
    let mut following = admin.feed().read_entries(asked).await.unwrap().into_inner();
    let (heard, _) = tokio::join!(following.message(), admin.create(agency(2)));
    assert_eq!(heard.unwrap().unwrap().position(), before + 5);
}
