//! Divisions that carry a tag, counted apart and listed apart, as the tags stood on the day.

use qianshou_kernel::{error::Reason, identity::Role, kind::ListQuery};
use qianshou_proto::{
    pairing::v1::Need,
    registry::v1::{Station, StationType, Tag, TagLabel, Worker},
    reporting::v1::ReadTableRequest,
};
use qianshou_tests::{
    Caller, Node, World, halves,
    refusal::refused,
    sample::{TOWNSHIP, station, tag, worker},
    stories,
    treaty::{agree, introduce, settled, share, terms},
    verbs::Noun,
};

use super::{asked, read, shown, whole};

stories! {
    settlements_and_key_counties_are_counted_apart
    what_carries_a_tag_is_listed
    a_tag_is_asked_for_by_its_name
}

/// A county of Guyuan, and two of its towns.
const COUNTY: &str = "640422";
const TOWNS: [&str; 2] = ["640422100", "640422101"];

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn marked(label: TagLabel, division: &str, since: &str, until: &str) -> Tag {
    Tag {
        label: Some(label.into()),
        division: text(division),
        text: text(division),
        since: text(since),
        until: text(until).filter(|day| !day.is_empty()),
        ..tag(0)
    }
}

/// A settlement in the capital until 2023, one in a town of a county that is helped since August 2021; a station in each, and in
/// another town of that county; somebody who works for that county, and somebody of the capital.
async fn fill(by: &Caller) -> Vec<String> {
    use TagLabel::{KeyCounty, Relocation};
    let tags = vec![
        marked(Relocation, TOWNSHIP, "2021-01-01", "2023-01-01"),
        marked(Relocation, TOWNS[0], "2022-01-01", ""),
        marked(KeyCounty, COUNTY, "2021-08-27", ""),
        // Within what is marked already: nothing counts twice.
        marked(KeyCounty, TOWNS[1], "2021-08-27", ""),
    ];
    let of = |n, division: &str| Station { division: text(division), ..station(n) };
    by.put(vec![of(1, TOWNSHIP), of(2, TOWNS[0]), of(3, TOWNS[1])]).await.unwrap();
    let at = |n, division: &str| Worker { division: text(division), ..worker(n) };
    by.put(vec![at(1, COUNTY), at(2, "640104")]).await.unwrap();
    by.put(tags).await.unwrap().into_iter().map(|outcome| outcome.name.unwrap()).collect()
}

/// Figures of what carries a tag.
async fn tagged(at: &Caller, tag: &str, area: &str, day: &str, indicators: &[&str]) -> Vec<String> {
    let cells = whole(at, ReadTableRequest { tag: text(tag), ..asked(area, day, indicators) }).await;
    cells.iter().map(shown).collect()
}

async fn settlements_and_key_counties_are_counted_apart(world: World) {
    let [ningxia, nation] = [world.node("64").await, world.node("00").await];
    introduce(&[&ningxia.admin, &nation.admin]).await;
    let clauses = vec![
        share("tags", "division label since until", "64"),
        share("stations", "type division status opened_on closed_on", "64"),
        share("workers", "division sector since until", "64"),
    ];
    let id = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    let names = fill(&ningxia.admin).await;
    settled(&ningxia.admin, &nation.admin, &id).await;
    let both = ["station_township", "talent_total", "township_coverage"];
    for at in [&ningxia.admin, &nation.admin] {
        for (tag, day, expected) in [
            ("RELOCATION", "2020-12-31", ["0", "0", "CELL_STATUS_MISSING"]),
            ("RELOCATION", "2021-12-31", ["1", "0", "1/1"]),
            ("RELOCATION", "2022-12-31", ["2", "0", "2/2"]),
            ("RELOCATION", "2023-01-01", ["1", "0", "1/1"]),
            ("KEY_COUNTY", "2021-08-26", ["0", "0", "CELL_STATUS_MISSING"]),
            ("KEY_COUNTY", "2021-12-31", ["2", "1", "2/19"]),
            ("OTHER", "2021-12-31", ["0", "0", "CELL_STATUS_MISSING"]),
        ] {
            assert_eq!(tagged(at, tag, "64", day, &both).await, expected, "{tag} {day}");
        }
        let two = &both[..2];
        assert_eq!(tagged(at, "KEY_COUNTY", "6401", "2021-12-31", two).await, ["0", "0"]);
        assert_eq!(tagged(at, "KEY_COUNTY", TOWNS[0], "2021-12-31", two).await, ["1", "0"], "the county is marked");
        assert_eq!(tagged(at, "RELOCATION", COUNTY, "2022-12-31", two).await, ["1", "0"]);
        let labels = ["tag_total[label=RELOCATION]", "tag_total[label=KEY_COUNTY]"];
        assert_eq!(super::figures(at, "64", "2022-12-31", &labels).await, ["2", "2"]);
        let note = whole(at, ReadTableRequest { tag: text("RELOCATION"), ..asked("64", "2022-12-31", two) }).await;
        assert!(note[0].note().contains("RELOCATION") && note[0].note().contains("2022-12-31"), "{note:?}");
        let period =
            ReadTableRequest { tag: text("RELOCATION"), at: None, period: text("2022H2"), ..asked("64", "", two) };
        assert_eq!(shown(&whole(at, period).await[0]), "2", "as the tags stood on the last day");
    }
    // A tag that is taken back was never there; one that ends is not any more.
    ningxia.admin.delete::<Tag>(&names[0]).await.unwrap();
    let ended = Tag { name: Some(names[1].clone()), until: text("2022-06-01"), ..Tag::default() };
    ningxia.admin.update(ended, &["until"]).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &id).await;
    for at in [&ningxia.admin, &nation.admin] {
        for (day, expected) in [("2021-12-31", "0"), ("2022-05-31", "1"), ("2022-06-01", "0")] {
            assert_eq!(tagged(at, "RELOCATION", "64", day, &both[..1]).await, [expected], "{day}");
        }
    }
    ningxia.counts_right().await;
    nation.counts_right().await;
}

async fn listed<N: Noun>(node: &Node, tag: &str, at: &str) -> usize {
    let at = text(at).filter(|day| !day.is_empty());
    let asked = ListQuery { tag: text(tag), at, page_size: Some(1), ..ListQuery::default() };
    node.admin.list_all::<N>(asked).await.len()
}

async fn what_carries_a_tag_is_listed(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    fill(admin).await;
    admin.put(vec![halves::need(1), Need { division: text(COUNTY), ..halves::need(2) }]).await.unwrap();
    for (at, settlements, counties) in [("2021-12-31", 1, 2), ("2022-12-31", 2, 2), ("", 1, 2)] {
        let found =
            (listed::<Station>(&ningxia, "RELOCATION", at).await, listed::<Station>(&ningxia, "KEY_COUNTY", at).await);
        assert_eq!(found, (settlements, counties), "{at}");
    }
    assert_eq!(
        (
            listed::<Worker>(&ningxia, "KEY_COUNTY", "2021-12-31").await,
            listed::<Need>(&ningxia, "KEY_COUNTY", "").await
        ),
        (1, 1)
    );
    let within = ListQuery { tag: text("KEY_COUNTY"), area: text(TOWNS[1]), ..ListQuery::default() };
    assert_eq!(admin.list_all::<Station>(within).await.len(), 1);
    // More places than are sought one by one.
    let villages = (1..=150).map(|n| marked(TagLabel::Other, &format!("{TOWNSHIP}{n:03}"), "2021-01-01", ""));
    let towns = [marked(TagLabel::Other, TOWNS[1], "2021-01-01", "")];
    admin.put(villages.chain(towns).collect::<Vec<_>>()).await.unwrap();
    let room = Station {
        r#type: Some(StationType::VillageRoom.into()),
        division: Some(format!("{TOWNSHIP}007")),
        ..station(9)
    };
    admin.create(room).await.unwrap();
    assert_eq!(listed::<Station>(&ningxia, "OTHER", "").await, 2);
}

async fn a_tag_is_asked_for_by_its_name(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    fill(admin).await;
    let sound = || asked("64", "2022-12-31", &["station_township"]);
    for wrong in ["RICH", "UNSPECIFIED", "relocation"] {
        refused(read(admin, ReadTableRequest { tag: text(wrong), ..sound() }).await, Reason::NotInList, "tag");
        let asked = ListQuery { tag: text(wrong), ..ListQuery::default() };
        refused(admin.list::<Station>(asked).await, Reason::NotInList, "tag");
    }
    let both = ReadTableRequest { tag: text("RELOCATION"), divisions_at: text("2023-12-31"), ..sound() };
    refused(read(admin, both).await, Reason::Malformed, "divisions_at");
    let desk = world.desk(&ningxia, Role::Reader, "64").await;
    let table = ["table", "station_township", "--area", "64", "--at", "2022-12-31", "--tag", "RELOCATION", "--json"];
    assert_eq!(desk.run(&table).await.json()[0]["value"], 2);
    let said = desk.run(&["export", "stations", "--tag", "KEY_COUNTY", "-o", "stations.csv", "--json"]).await;
    assert_eq!(said.json()["rows"], 2, "{said:?}");
}
