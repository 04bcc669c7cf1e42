//! What a record may say because of others beside it: the service system of an area, what was assessed by an edition, the campaign that a
//! figure is of; and where a record belongs once those it refers to have moved.

use qianshou_kernel::error::Reason;
use qianshou_proto::{
    common::v1::PutState,
    registry::v1::{
        Assessment, Campaign, Criterion, Employment, Figure, Quota, QuotaPart, Recognition, RecognitionKind, Station,
        StationType, System, Template, Worker,
    },
};
use qianshou_tests::{
    World,
    refusal::{refused, refused_in_batch},
    sample::{
        TOWNSHIP, assessment, campaign, employment, figure, quota, recognition, station, system, template, worker,
    },
    stories,
};

stories! {
    what_began_somewhere_stays_there
    a_station_is_of_a_type_that_its_area_has
    an_area_has_one_system_at_a_time
    an_edition_that_was_used_is_not_changed
    a_figure_is_one_of_its_campaign
    shares_are_all_of_it
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn what_began_somewhere_stays_there(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let who = admin.create(Worker { division: text("640104"), ..worker(1) }).await.unwrap().noun;
    let place = admin.create(station(1)).await.unwrap().noun.name;
    let first = admin.create(employment(1, who.name())).await.unwrap().noun;
    let posted = Employment { station: place.clone(), division: text("640202"), ..employment(2, who.name()) };
    let posted = admin.create(posted).await.unwrap().noun;
    let given = Employment { division: text("640202"), ..employment(3, who.name()) };
    let given = admin.create(given).await.unwrap().noun;
    assert_eq!((first.division(), posted.division(), given.division()), ("640104", TOWNSHIP, "640202"));
    let award = RecognitionKind::Award;
    let praised =
        Recognition { worker: who.name.clone(), station: None, kind: Some(award.into()), ..recognition(1, "") };
    let praised = admin.create(praised).await.unwrap().noun;

    let moved = Worker { division: text("640122"), ..Worker::default() };
    admin.update(Worker { name: who.name.clone(), ..moved }, &["division"]).await.unwrap();
    let ended = Employment { name: first.name.clone(), until: text("2024-03-01"), ..Employment::default() };
    assert_eq!(admin.update(ended, &["until"]).await.unwrap().noun.division(), "640104", "history stays");
    let withdrawn =
        Recognition { name: praised.name.clone(), withdrawn_on: text("2024-03-01"), ..Recognition::default() };
    assert_eq!(admin.update(withdrawn, &["withdrawn_on"]).await.unwrap().noun.division(), "640104");
    // Told again by its natural key, with another division or none, it is the same.
    let again = Employment { until: text("2024-03-01"), ..employment(1, who.name()) };
    let elsewhere = Employment { division: text("640202"), ..again.clone() };
    for outcome in admin.put(vec![again, elsewhere]).await.unwrap() {
        assert_eq!(outcome.state(), PutState::Unchanged, "{outcome:?}");
    }
    assert_eq!(admin.create(employment(4, who.name())).await.unwrap().noun.division(), "640122");
    // At another station it is another employment.
    let there = Employment { name: given.name.clone(), station: place, ..Employment::default() };
    assert_eq!(admin.update(there, &["station"]).await.unwrap().noun.division(), TOWNSHIP);
}

async fn a_station_is_of_a_type_that_its_area_has(world: World) {
    use StationType::{CountyCentre, CountyMain, TownshipStation};
    let node = world.node("64").await;
    let admin = &node.admin;
    let of = |n, kind: StationType, division: &str, opened_on: &str| Station {
        r#type: Some(kind.into()),
        division: text(division),
        opened_on: text(opened_on),
        ..station(n)
    };
    // Where no system is recorded, every type is taken.
    let before = admin.create(of(1, CountyMain, "640104", "2021-06-01")).await.unwrap().noun;
    let four = System { since: text("2021-01-01"), until: None, ..system(1) };
    admin.create(four.clone()).await.unwrap();
    refused(admin.create(of(2, CountyMain, "640122", "2021-06-01")).await, Reason::NotInList, "type");
    admin.create(of(2, CountyMain, "640122", "2020-12-31")).await.unwrap();
    admin.create(of(3, CountyCentre, "640122", "2021-06-01")).await.unwrap();
    admin.create(of(4, CountyMain, "640202", "2021-06-01")).await.unwrap();
    // The nearest decides, on the day; what is planned, by today.
    let own = System {
        division: text("640122"),
        types: vec![CountyMain.into(), TownshipStation.into()],
        since: text("2022-01-01"),
        until: text("2024-01-01"),
        ..System::default()
    };
    admin.create(own).await.unwrap();
    let batch = vec![
        of(5, CountyMain, "640122", "2022-01-01"),
        of(6, CountyCentre, "640122", "2023-12-31"),
        of(7, CountyCentre, "640122", "2024-01-01"),
        Station { status: Some(1), opened_on: None, ..of(8, CountyMain, "640122", "") },
        of(9, TownshipStation, TOWNSHIP, "2022-05-01"),
    ];
    let outcomes = admin.put(batch.clone()).await.unwrap();
    for (n, outcome) in outcomes.iter().enumerate() {
        match n {
            1 | 3 => refused_in_batch(outcome, Reason::NotInList, "type"),
            _ => assert_eq!(outcome.state(), PutState::Created, "{outcome:?}"),
        }
    }
    refused(admin.only_asking().create(batch[1].clone()).await, Reason::NotInList, "type");
    // What stood before the system stands, and is kept up; it may not become what the system has not.
    let named = |station: Station| Station { name: before.name.clone(), ..station };
    admin.update(named(Station { brand: text("石榴籽"), ..Station::default() }), &["brand"]).await.unwrap();
    let later = named(Station { opened_on: text("2021-07-01"), ..Station::default() });
    refused(admin.update(later, &["opened_on"]).await, Reason::NotInList, "type");
}

async fn an_area_has_one_system_at_a_time(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let during = |since: &str, until: &str| System {
        since: text(since),
        until: text(until).filter(|day| !day.is_empty()),
        ..system(1)
    };
    let first = admin.create(during("2018-01-01", "")).await.unwrap().noun;
    refused(admin.create(during("2022-01-01", "")).await, Reason::Duplicate, "division");
    refused(admin.create(during("2016-01-01", "2018-01-02")).await, Reason::Duplicate, "division");
    admin.create(during("2016-01-01", "2018-01-01")).await.unwrap();
    admin.create(System { division: text("640104"), ..during("2022-01-01", "") }).await.unwrap();
    // One file may end a system and begin the next; it may not begin two.
    let next = vec![during("2018-01-01", "2022-01-01"), during("2022-01-01", "2024-01-01"), during("2023-01-01", "")];
    let outcomes = admin.put(next).await.unwrap();
    assert_eq!((outcomes[0].state(), outcomes[1].state()), (PutState::Updated, PutState::Created), "{outcomes:?}");
    refused_in_batch(&outcomes[2], Reason::Duplicate, "division");
    let longer = System { name: first.name, until: text("2022-01-02"), ..System::default() };
    refused(admin.update(longer, &["until"]).await, Reason::Duplicate, "division");
    // Of two at the same moment one goes on.
    let at = |since: &str| System { division: text("6402"), ..during(since, "") };
    let (one, other) = tokio::join!(admin.create(at("2022-01-01")), admin.create(at("2023-01-01")));
    assert!(one.is_ok() != other.is_ok());
    refused(if one.is_ok() { other } else { one }, Reason::Duplicate, "division");
}

async fn an_edition_that_was_used_is_not_changed(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let by = admin.create(template(1)).await.unwrap().noun;
    let asks = |titles: &[&str]| Template {
        name: by.name.clone(),
        criteria: titles
            .iter()
            .enumerate()
            .map(|(n, title)| Criterion {
                code: Some(format!("A{}", n + 1)),
                title: text(title),
                required: Some(n == 0),
                weight: Some(1),
                least: (n == 0).then_some(80),
            })
            .collect(),
        ..Template::default()
    };
    let kept = admin.update(asks(&["有固定场地", "有办公设备"]), &["criteria"]).await.unwrap().noun;
    assert_eq!(kept.criteria[0].least(), 80);
    let here = admin.create(station(1)).await.unwrap().noun;
    let found = admin.create(assessment(1, here.name(), by.name())).await.unwrap().noun;
    assert_eq!(found.passed, Some(true), "90 of 80");
    let enough = |points| {
        let mut results = found.results.clone();
        results[0].score = Some(points);
        Assessment { name: found.name.clone(), results, ..Assessment::default() }
    };
    assert_eq!(admin.update(enough(79), &["results"]).await.unwrap().noun.passed, Some(false));

    let other = asks(&["有场地", "有办公设备"]);
    refused(admin.update(other.clone(), &["criteria"]).await, Reason::StillReferenced, "criteria");
    refused(admin.only_asking().update(other.clone(), &["criteria"]).await, Reason::StillReferenced, "criteria");
    let anew = Template { criteria: other.criteria.clone(), ..template(1) };
    refused_in_batch(&admin.put(vec![anew.clone()]).await.unwrap()[0], Reason::StillReferenced, "criteria");
    let over = Template { name: by.name.clone(), valid_to: text("2025-01-01"), ..Template::default() };
    admin.update(over, &["valid_to"]).await.unwrap();
    // The next edition asks what it likes; and what nobody was assessed by any more may be mended.
    admin.create(Template { edition: text("2024"), ..anew }).await.unwrap();
    admin.delete::<Assessment>(found.name()).await.unwrap();
    assert_eq!(admin.update(other, &["criteria"]).await.unwrap().noun.criteria[0].title(), "有场地");
}

async fn a_figure_is_one_of_its_campaign(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    // Another node's campaign, of which nothing is known here.
    admin.create(Figure { measure: text("ANYTHING"), ..figure(1) }).await.unwrap();
    let flood = Campaign { ends_on: text("2023-09-30"), ..campaign(1) };
    admin.create(flood.clone()).await.unwrap();
    let on = |day: &str, measure: &str| Figure { on: text(day), measure: text(measure), ..figure(1) };
    for (day, measure, field) in [
        ("2023-06-30", "VISITS", "on"),
        ("2023-10-01", "VISITS", "on"),
        ("2023-07-01", "MEALS", "measure"),
        ("2023-09-30", "MEALS", "measure"),
    ] {
        refused(admin.create(on(day, measure)).await, Reason::NotInList, field);
    }
    admin.put(vec![on("2023-07-01", "visits"), on("2023-09-30", "HOTLINE")]).await.unwrap();
    // The year after, it counts something else.
    let mut next = Campaign { starts_on: text("2024-05-01"), ends_on: None, ..flood };
    next.measures[1].code = text("MEALS");
    admin.create(next).await.unwrap();
    admin.create(on("2024-05-01", "MEALS")).await.unwrap();
    refused(admin.create(on("2024-05-02", "HOTLINE")).await, Reason::NotInList, "measure");
    refused(admin.create(on("2024-04-30", "MEALS")).await, Reason::NotInList, "on");
}

async fn shares_are_all_of_it(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let mut short = quota(1);
    short.parts[2].share = Some(3_400);
    let told = admin.create(short).await.unwrap_err();
    assert!(told.message().contains("9900") && told.message().contains("10000"), "{told:?}");
    refused::<()>(Err(told), Reason::Malformed, "parts");
    // Offices write what they call it; numbers alone need no shares.
    let part = |value: &str, planned| QuotaPart { value: text(value), share: None, planned: Some(planned) };
    let planned = Quota { parts: vec![part("社工机构", 10), part("城乡社区", 0)], ..quota(2) };
    let kept = admin.create(planned).await.unwrap().noun;
    assert_eq!(kept.parts.iter().map(QuotaPart::value).collect::<Vec<_>>(), ["AGENCY", "COMMUNITY"]);
    let own = Quota { basis: Some(2), parts: vec![part("管理岗位", 3), part("管理岗位", 4)], ..quota(3) };
    refused(admin.create(own).await, Reason::Duplicate, "parts[1].value");
}
