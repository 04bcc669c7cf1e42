//! Finding records by what people type: names and parts of them, pinyin, initials, codes, other names; by area, state and type.

use std::collections::BTreeSet;

use qianshou_kernel::{db::Statement, error::Reason, kind::ListQuery};
use qianshou_proto::{
    Resource,
    registry::v1::{
        Agency, AgencyType, Certificate, Document, DocumentKind, Station, StationStatus, StationType, Worker,
    },
};
use qianshou_tests::{
    Caller, Node, World,
    refusal::refused,
    sample::{NINGXIA, agency, certificate, citizen, document, fill, full_name, station, uscc, worker},
    stories,
    treaty::{agree, introduce, settled, share, terms},
    verbs::Noun,
};

stories! {
    a_record_is_found_by_what_people_type
    what_is_found_is_of_an_area_a_state_and_a_type
    an_old_name_no_longer_finds
    what_is_received_is_found
    a_page_of_what_is_found_goes_on_where_it_ended
    a_number_of_a_person_finds_nothing
    what_was_saved_before_is_indexed_again
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn asked(query: &str) -> ListQuery {
    ListQuery { query: text(query), ..ListQuery::default() }
}

/// What is listed, by name.
async fn listed<N: Noun>(by: &Caller, asked: ListQuery) -> BTreeSet<String> {
    by.list_all::<N>(asked).await.into_iter().filter_map(|mut noun| Resource::name_mut(&mut noun).clone()).collect()
}

fn named(display_name: &str, n: u32) -> Agency {
    Agency { display_name: text(display_name), ..agency(n) }
}

async fn a_record_is_found_by_what_people_type(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let names = ["兴庆区掌政社会工作服务中心", "重庆路街道社工站", "厦门路 ＡＢＣ 社工之家（二）", "西安巷服务社"];
    let mut batch: Vec<Agency> = (1..).zip(names).map(|(n, name)| named(name, n)).collect();
    batch[1].aliases = vec!["牵手之家".into(), "长安社".into()];
    let outcomes = admin.put(batch).await.unwrap();
    let name_of = |i: usize| outcomes[i].name().to_owned();

    for (query, found) in [
        // Parts of a name, one character, any case, full width or half.
        ("掌政", &[0][..]),
        ("社", &[0, 1, 2, 3]),
        ("社工", &[1, 2]),
        ("重庆路街道社工站", &[1]),
        ("庆区", &[0]),
        ("区庆", &[]),
        ("abc", &[2]),
        ("ＡＢＣ　社工", &[2]),
        ("(二)", &[2]),
        ("（二", &[2]),
        ("%", &[]),
        // Pinyin: whole, with spaces, its last syllable broken off, from any character on.
        ("xingqingqu", &[0]),
        ("Xing Qing Qu", &[0]),
        ("zhangzh", &[0]),
        ("fuwu", &[0, 3]),
        ("ingqing", &[]),
        // Each reading.
        ("chongqinglu", &[1]),
        ("zhongqing", &[1]),
        ("xiamen", &[2]),
        ("shamen", &[2]),
        ("xian", &[3]),
        ("xi an", &[3]),
        // Initials.
        ("xqq", &[0]),
        ("cqlj", &[1]),
        ("zqljd", &[1]),
        ("fwzx", &[0]),
        // Other names, and their pinyin.
        ("牵手", &[1]),
        ("qianshou", &[1]),
        ("changan", &[1]),
        ("cas", &[1]),
        // Not over the end of a name.
        ("家长安", &[]),
        ("jiachang", &[]),
    ] {
        let expected = found.iter().map(|i| name_of(*i)).collect();
        assert_eq!(listed::<Agency>(admin, asked(query)).await, expected, "{query}");
    }
    // What nobody can mean costs nothing, and what is longer than any name is not looked for.
    assert!(listed::<Agency>(admin, asked(&format!("{}vv", "xian".repeat(20)))).await.is_empty());
    assert!(listed::<Agency>(admin, asked(&"社".repeat(100))).await.is_empty());
    refused(admin.list::<Agency>(asked(&"社".repeat(101))).await, Reason::TooLong, "query");
    // Codes, and their beginnings.
    let code = uscc(2);
    for part in [&code, &code.to_lowercase(), &code[..17], &format!("{} {}", &code[..9], &code[9..])] {
        assert_eq!(listed::<Agency>(admin, asked(part)).await, BTreeSet::from([name_of(1)]), "{part}");
    }
    assert_eq!(listed::<Agency>(admin, asked(&code[..8])).await.len(), 4);
    assert!(listed::<Agency>(admin, asked(&code[4..])).await.is_empty(), "a code is found by its beginning");

    let policies: Vec<Document> = (1..4).map(document).collect();
    let policies = admin.put(policies).await.unwrap();
    for query in ["宁民发〔2021〕2号", "宁民发[2021", "2021〕2", "nmf", "意见2"] {
        let found = listed::<Document>(admin, asked(query)).await;
        assert_eq!(found.contains(policies[1].name()), !query.contains('['), "{query}");
    }
    let holder = admin.create(worker(1)).await.unwrap().noun;
    let held = admin.create(certificate(7, holder.name())).await.unwrap().noun;
    for query in ["2019-00000007", "2019-0", "0000007"] {
        assert_eq!(listed::<Certificate>(admin, asked(query)).await, BTreeSet::from([held.name().to_owned()]));
    }
}

async fn what_is_found_is_of_an_area_a_state_and_a_type(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let mut agencies: Vec<Agency> = (0..9).map(agency).collect();
    agencies[3].r#type = Some(AgencyType::Foundation.into());
    agencies[4].r#type = None;
    agencies[6].closed_on = text("2024-01-01");
    admin.put(agencies).await.unwrap();
    let mut stations: Vec<Station> = (0..6).map(station).collect();
    stations[0].r#type = Some(StationType::VillageRoom.into());
    stations[1].status = Some(StationStatus::Planned.into());
    admin.put(stations).await.unwrap();
    let mut documents: Vec<Document> = (0..5).map(document).collect();
    documents[2].kind = Some(DocumentKind::Notice.into());
    admin.put(documents).await.unwrap();

    let of_type = |r#type: &str| ListQuery { r#type: text(r#type), ..ListQuery::default() };
    for (asked, count) in [
        (of_type("SOCIAL_SERVICE"), 7),
        (of_type("FOUNDATION"), 1),
        (of_type("UNSPECIFIED"), 0),
        (of_type("foundation"), 0),
        (ListQuery { area: text("640104"), ..of_type("SOCIAL_SERVICE") }, 2),
        (ListQuery { state: text("CLOSED"), ..of_type("SOCIAL_SERVICE") }, 1),
        (ListQuery { query: text("sssh"), ..of_type("SOCIAL_SERVICE") }, 7),
        (ListQuery { query: text("sshs"), ..of_type("SOCIAL_SERVICE") }, 0),
        (ListQuery { query: text("saishang"), ..of_type("SOCIAL_SERVICE") }, 7),
        (ListQuery { query: text("塞上"), state: text("OPEN"), area: text("6401"), ..of_type("SOCIAL_SERVICE") }, 3),
    ] {
        for order_by in ["name", "title", "area desc", "state"] {
            let asked = ListQuery { order_by: text(order_by), page_size: Some(2), ..asked.clone() };
            assert_eq!(listed::<Agency>(admin, asked.clone()).await.len(), count, "{asked:?}");
        }
    }
    assert_eq!(listed::<Station>(admin, of_type("VILLAGE_ROOM")).await.len(), 1);
    let planned = ListQuery { state: text("PLANNED"), ..of_type("TOWNSHIP_STATION") };
    assert_eq!(listed::<Station>(admin, planned).await.len(), 1);
    assert_eq!(listed::<Document>(admin, of_type("POLICY")).await.len(), 4);
    assert_eq!(listed::<Document>(admin, of_type("NOTICE")).await.len(), 1);
    assert_eq!(listed::<Worker>(admin, of_type("OTHER")).await.len(), 0);
}

async fn an_old_name_no_longer_finds(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let found = async |query: &str| listed::<Agency>(admin, asked(query)).await.len();
    let first = admin.create(named("塞上社", 1)).await.unwrap().noun;
    let renamed = Agency { display_name: text("贺兰社"), ..first };
    let second = admin.update(renamed, &["display_name"]).await.unwrap().noun;
    assert_eq!((found("塞上").await, found("sais").await, found("贺兰").await, found("hls").await), (0, 0, 1, 1));
    // As an alias it finds again.
    let aliased = Agency { aliases: vec!["塞上社".into()], ..second };
    let third = admin.update(aliased, &["aliases"]).await.unwrap().noun;
    assert_eq!((found("塞上").await, found("sais").await, found("贺兰").await), (1, 1, 1));
    assert_eq!(words_held(&ningxia, "ag").await, 1, "the words of what it was are gone");
    admin.delete::<Agency>(third.name()).await.unwrap();
    assert_eq!((found("塞上").await, found("贺兰").await, found(&uscc(1)).await), (0, 0, 0));
    assert_eq!(words_held(&ningxia, "ag").await, 0);
}

/// How many records of a kind, by its two letters, have words that these names give.
async fn words_held(node: &Node, kind: &str) -> usize {
    let asked = ["sai", "he"].map(|begins| qianshou_kernel::db::Words::Begun(format!("{kind}p{begins}")));
    let asked = qianshou_kernel::db::Words::Any(asked.to_vec());
    node.ledger.db().with_words(&asked, 100).await.unwrap().len()
}

async fn what_is_received_is_found(world: World) {
    let (ningxia, nation) = (world.node("64").await, world.node("00").await);
    introduce(&[&ningxia.admin, &nation.admin]).await;
    fill(&ningxia.admin, NINGXIA, 0..20).await;
    let mut one = named("掌政社", 500);
    one.aliases = vec!["别称".into()];
    let one = ningxia.admin.create(one).await.unwrap().noun;
    let own = nation.admin.create(named("掌政之友", 501)).await.unwrap().noun;
    let clauses = vec![share("agencies", "display_name uscc division", "64")];
    let agreement = agree(&ningxia.admin, &nation.admin, terms("64", "00", clauses)).await;
    settled(&ningxia.admin, &nation.admin, &agreement).await;
    let both = BTreeSet::from([one.name().to_owned(), own.name().to_owned()]);
    for query in ["掌政", "zhangzheng", "zzs"] {
        let found = listed::<Agency>(&nation.admin, asked(query)).await;
        assert_eq!(
            found,
            if query == "zzs" { BTreeSet::from([one.name().to_owned()]) } else { both.clone() },
            "{query}"
        );
    }
    assert!(listed::<Agency>(&nation.admin, asked("别称")).await.is_empty(), "what was withheld does not find");

    ningxia.admin.delete::<Agency>(one.name()).await.unwrap();
    settled(&ningxia.admin, &nation.admin, &agreement).await;
    assert_eq!(listed::<Agency>(&nation.admin, asked("掌政")).await, BTreeSet::from([own.name().to_owned()]));
}

async fn a_page_of_what_is_found_goes_on_where_it_ended(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let of = |n: u32| if n.is_multiple_of(3) { named(&format!("红寺堡社{n}"), n) } else { agency(n) };
    let outcomes = admin.put((0..300).map(of).collect()).await.unwrap();
    let expected: BTreeSet<String> = outcomes.iter().step_by(3).map(|o| o.name().to_owned()).collect();
    for (query, order_by) in
        [("寺堡", "title"), ("hongsibao", "title desc"), ("hsb", "name"), ("寺", "area"), ("hong si pu", "state desc")]
    {
        let mut asked = ListQuery { page_size: Some(7), order_by: text(order_by), ..asked(query) };
        let mut seen = vec![];
        for meanwhile in 0.. {
            let page = admin.list::<Agency>(asked.clone()).await.unwrap();
            assert!(page.nouns.len() <= 7);
            seen.extend(page.nouns.iter().map(|noun| noun.name().to_owned()));
            if page.next_page_token.is_empty() {
                break;
            }
            asked.page_token = Some(page.next_page_token);
            let added = 1_000 + meanwhile;
            let name = admin.create(named(&format!("红寺堡社{added}"), added)).await.unwrap().noun.name().to_owned();
            admin.delete::<Agency>(&name).await.unwrap();
        }
        let once: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!((once.len(), once.is_superset(&expected)), (seen.len(), true), "{query} by {order_by}");
    }
}

async fn a_number_of_a_person_finds_nothing(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.put((1..5).map(worker).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(listed::<Worker>(admin, asked(&full_name(2))).await.len(), 1);
    assert_eq!(listed::<Worker>(admin, asked("ouyang")).await.len(), 4);
    let number = citizen(2);
    for part in [&number[..], &number[..6], &number[6..14], &number[12..]] {
        assert!(listed::<Worker>(admin, asked(part)).await.is_empty(), "{part}");
    }
    let digits = qianshou_kernel::db::Words::Begun("woc".into());
    assert!(ningxia.ledger.db().with_words(&digits, 1).await.unwrap().is_empty());
}

/// A database that another binary wrote is brought to this one's index at the start, and not again.
async fn what_was_saved_before_is_indexed_again(world: World) {
    let ningxia = world.node("64").await;
    let names = fill(&ningxia.admin, NINGXIA, 0..30).await;
    let found = async |node: &Node| {
        let by = &node.admin;
        let of_type = ListQuery { r#type: text("TOWNSHIP_STATION"), ..ListQuery::default() };
        (
            listed::<Agency>(by, asked("ssshgz")).await.len(),
            listed::<Station>(by, of_type).await.len(),
            listed::<Worker>(by, asked("欧阳")).await.len(),
        )
    };
    assert_eq!(found(&ningxia).await, (30, 30, 30));
    let spoil = [
        "DELETE FROM words WHERE rowid > 0",
        "UPDATE registry_agencies SET found = NULL, type = NULL",
        "UPDATE registry_stations SET found = NULL, type = NULL",
        "UPDATE registry_workers SET found = NULL",
        "DELETE FROM indexed",
    ];
    ningxia.ledger.db().run(&spoil.map(|sql| Statement::new(sql, vec![]))).await.unwrap();
    assert_eq!(found(&ningxia).await, (0, 0, 0));
    let position = ningxia.position().await;
    let ningxia = ningxia.restart().await;
    assert_eq!(found(&ningxia).await, (30, 30, 30));
    assert_eq!(ningxia.position().await, position, "nothing is written into the ledger");
    ningxia.admin.delete::<Certificate>(&names[3][0]).await.unwrap();
    assert_eq!(listed::<Agency>(&ningxia.admin, asked("塞上")).await.len(), 30);
    let levels = "SELECT CAST(COUNT(*) AS BIGINT) FROM indexed";
    let known = i64::try_from(qianshou::node::kinds().len()).unwrap();
    assert_eq!(ningxia.ledger.db().fetch(levels, vec![]).await.unwrap()[0].int(0).unwrap(), known);
    let ningxia = ningxia.restart().await;
    assert_eq!(found(&ningxia).await, (30, 30, 30));
}
