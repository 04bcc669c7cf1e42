//! The register as its callers see it: over TLS, with tokens, noun by noun.

mod callers;
mod finding;
mod history;
pub(crate) mod input;
mod lists;
mod moving;
mod nouns;
mod references;
mod rules;

use std::collections::BTreeSet;

use qianshou_kernel::{error::Reason, identity::Role, kind::ListQuery};
use qianshou_proto::{
    common::v1::PutState,
    registry::v1::{Agency, Certificate, Division, Station, StationType, Worker},
};
use qianshou_tests::{
    Caller, Node, World,
    refusal::{refused, refused_in_batch},
    sample::{self, agency, certificate, division, station, worker},
    stories,
    verbs::Noun,
};

stories! {
    every_noun_lives_from_create_to_delete
    a_batch_is_put_by_natural_key
    a_batch_keeps_its_order
    a_batch_has_a_limit
    a_request_may_be_repeated
    a_repeated_batch_is_one_request
    a_change_rests_on_what_was_read
    what_is_referred_to_stays
    divisions_are_the_nations
}

async fn every_noun_lives_from_create_to_delete(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let agency_ =
        a_life(&ningxia, agency(1), |a: &mut Agency| a.closed_on = Some("2024-01-31".into()), "closed_on").await;
    let operated = Station { operator: agency_.name.clone(), ..station(1) };
    let station_ = a_life(&ningxia, operated, |s: &mut Station| s.brand = Some("石榴籽".into()), "brand").await;
    let assigned = Worker { employer: agency_.name.clone(), station: station_.name.clone(), ..worker(1) };
    let worker_ = a_life(&ningxia, assigned, |w: &mut Worker| w.until = Some("2024-05-31".into()), "until").await;
    let held = certificate(1, worker_.name());
    let certificate_ = a_life(
        &ningxia,
        held,
        |c: &mut Certificate| c.registered_until = Some("2025-09-10".into()),
        "registered_until",
    )
    .await;
    assert_eq!(certificate_.division, worker_.division, "a certificate counts where its worker is");

    end_of_life(admin, certificate_.name.clone().unwrap(), certificate_).await;
    end_of_life(admin, worker_.name.clone().unwrap(), worker_).await;
    end_of_life(admin, station_.name.clone().unwrap(), station_).await;
    end_of_life(admin, agency_.name.clone().unwrap(), agency_).await;

    let nation = world.node("00").await;
    let division_ =
        a_life(&nation, division(1), |d: &mut Division| d.valid_to = Some("2025-01-01".into()), "valid_to").await;
    end_of_life(&nation.admin, division_.name.clone().unwrap(), division_).await;
}

/// Creates, reads, lists and changes a record, with a mask and without; answers it as it then stands.
pub(crate) async fn a_life<N: Noun>(node: &Node, noun: N, change: impl Fn(&mut N), field: &str) -> N {
    let admin = &node.admin;
    let before = node.position().await;
    let mut created = admin.create(noun.clone()).await.unwrap();
    let name = created.noun.name_mut().clone().unwrap();
    assert!(name.starts_with(&format!("nodes/{}/{}/", node.code, N::COLLECTION)), "{name}");
    assert_eq!((created.noun.etag_mut().as_deref(), created.position), (Some("1.1"), before + 1));
    assert_eq!(admin.get::<N>(&name).await.unwrap(), created.noun);
    assert!(
        admin.list_all::<N>(ListQuery { page_size: Some(1_000), ..ListQuery::default() }).await.contains(&created.noun)
    );

    let mut changed = created.noun.clone();
    change(&mut changed);
    // What the mask does not name stays, whatever the message says; what it names and the message lacks becomes absent.
    let mut only_this = N::default();
    change(&mut only_this);
    *only_this.name_mut() = Some(name.clone());
    let mut updated = admin.update(only_this, &[field]).await.unwrap();
    assert_eq!((updated.noun.etag_mut().take().as_deref(), updated.position), (Some("1.2"), before + 2));
    *changed.etag_mut() = None;
    assert_eq!(updated.noun, changed);
    let mut absent = N::default();
    *absent.name_mut() = Some(name.clone());
    let mut emptied = admin.update(absent, &[field]).await.unwrap();
    *emptied.noun.etag_mut() = created.noun.etag_mut().clone();
    assert_eq!(emptied.noun, created.noun);

    let mut whole = admin.replace(changed.clone()).await.unwrap();
    assert_eq!(whole.noun.etag_mut().as_deref(), Some("1.4"));
    let again = admin.replace(changed).await.unwrap();
    assert_eq!((&again.noun, again.position), (&whole.noun, whole.position), "the same again changes nothing");
    assert_eq!(N::get(admin, &name, Some(whole.position)).await.unwrap(), whole.noun);
    refused(N::get(admin, &name, Some(whole.position + 1)).await, Reason::NotYet, "min_position");
    whole.noun
}

pub(crate) async fn end_of_life<N: Noun>(admin: &Caller, name: String, noun: N) {
    let position = admin.delete::<N>(&name).await.unwrap();
    assert!(position > 0);
    refused(admin.get::<N>(&name).await, Reason::NotFound, "name");
    refused(admin.delete::<N>(&name).await, Reason::NotFound, "name");
    refused(admin.replace(noun.clone()).await, Reason::NotFound, "name");
    assert!(!admin.list_all::<N>(ListQuery::default()).await.contains(&noun));
}

async fn a_batch_is_put_by_natural_key(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let states =
        |outcomes: &[qianshou_proto::common::v1::PutOutcome]| outcomes.iter().map(|o| o.state()).collect::<Vec<_>>();
    let batch: Vec<Agency> = (0..2_500).map(agency).collect();
    let first = admin.put(batch.clone()).await.unwrap();
    assert_eq!(states(&first), vec![PutState::Created; 2_500]);
    assert_eq!(first.iter().map(|o| o.name()).collect::<BTreeSet<_>>().len(), 2_500);

    let before = ningxia.position().await;
    let again = admin.put(batch.clone()).await.unwrap();
    assert_eq!(states(&again), vec![PutState::Unchanged; 2_500]);
    assert_eq!(
        (ningxia.position().await, &again[7].name),
        (before, &first[7].name),
        "the same batch twice changes nothing"
    );

    let mut changed = batch[..3].to_vec();
    changed[1].display_name = Some("塞上江南社会工作服务中心".into());
    let third = admin.put(changed).await.unwrap();
    assert_eq!(states(&third), [PutState::Unchanged, PutState::Updated, PutState::Unchanged]);
    assert_eq!((third[1].name(), third[1].etag()), (first[1].name(), "1.2"));

    // Of two records of one batch with one natural key, the second finds the first.
    let twice =
        [agency(9_000), Agency { display_name: Some("同码".into()), ..agency(9_000) }, agency(9_001), agency(9_001)];
    let twins = admin.put(twice.to_vec()).await.unwrap();
    assert_eq!(states(&twins), [PutState::Created, PutState::Updated, PutState::Created, PutState::Unchanged]);
    assert_eq!((twins[0].name(), twins[2].name()), (twins[1].name(), twins[3].name()));

    let people = admin.put(vec![worker(1), worker(2), worker(1)]).await.unwrap();
    assert_eq!(states(&people), [PutState::Created, PutState::Created, PutState::Unchanged]);
    let papers = vec![certificate(1, people[0].name()), certificate(2, people[1].name())];
    assert_eq!(states(&admin.put(papers.clone()).await.unwrap()), vec![PutState::Created; 2]);
    assert_eq!(states(&admin.put(papers).await.unwrap()), vec![PutState::Unchanged; 2]);
    assert_eq!(
        states(&admin.put(vec![station(1), station(1)]).await.unwrap()),
        [PutState::Created, PutState::Unchanged]
    );
}

async fn a_batch_keeps_its_order(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let same = |name: &str| Agency { display_name: Some(name.into()), ..agency(9_000) };
    for round in ["甲", "乙"] {
        // Far enough apart that they are not decided together.
        let mut batch: Vec<Agency> = (0..5_000).map(agency).collect();
        let names = ["一", "二", "三"].map(|name| format!("{round}{name}"));
        for (place, name) in [0, 2_500, 4_999].into_iter().zip(&names) {
            batch[place] = same(name);
        }
        let outcomes = admin.put(batch).await.unwrap();
        let first = if round == "甲" { PutState::Created } else { PutState::Updated };
        assert_eq!(
            [0, 2_500, 4_999].map(|place: usize| outcomes[place].state()),
            [first, PutState::Updated, PutState::Updated]
        );
        let stands: Agency = admin.get(outcomes[0].name()).await.unwrap();
        assert_eq!(stands.display_name(), names[2], "the last word stands");
        assert!(outcomes.iter().all(|outcome| outcome.state() != PutState::Refused));
    }
}

async fn a_batch_has_a_limit(world: World) {
    let ningxia = world.node("64").await;
    let before = ningxia.position().await;
    let too_many: Vec<Agency> = (0..10_001).map(agency).collect();
    refused(ningxia.admin.put(too_many).await, Reason::TooMany, "agencies");
    assert_eq!(ningxia.position().await, before, "refused whole");
    assert!(ningxia.admin.put::<Agency>(vec![]).await.unwrap().is_empty());
}

async fn a_request_may_be_repeated(world: World) {
    let ningxia = world.node("64").await;
    let editor = ningxia.caller(Role::Editor, "64").await;
    let once = editor.under("request-1");
    let first = once.create(agency(1)).await.unwrap();
    let again = once.create(agency(1)).await.unwrap();
    assert_eq!((&again.noun, again.position), (&first.noun, first.position), "the first answer, again");
    refused(once.create(agency(2)).await, Reason::RequestIdReused, "request_id");
    refused(once.delete::<Agency>(first.noun.name()).await, Reason::RequestIdReused, "request_id");

    let change = Agency { closed_on: Some("2024-01-01".into()), ..first.noun.clone() };
    let changed = editor.under("request-2").update(change.clone(), &["closed_on"]).await.unwrap();
    let repeated = editor.under("request-2").update(change, &["closed_on"]).await.unwrap();
    assert_eq!((repeated.noun, repeated.position), (changed.noun, changed.position));
    let gone = editor.under("request-3").delete::<Agency>(first.noun.name()).await.unwrap();
    assert_eq!(editor.under("request-3").delete::<Agency>(first.noun.name()).await.unwrap(), gone);
    assert_eq!(ningxia.position().await, gone, "three writes, however often they were asked");

    // A request id is its caller's own.
    ningxia.admin.under("request-1").create(agency(3)).await.unwrap();
    refused(editor.under("white space").create(agency(4)).await, Reason::Malformed, "request_id");
    // What was refused was not done, so it may be asked better under the same id.
    let second = editor.under("request-4");
    refused(second.create(Agency { uscc: None, ..agency(5) }).await, Reason::Required, "uscc");
    second.create(agency(5)).await.unwrap();
}

async fn a_repeated_batch_is_one_request(world: World) {
    let ningxia = world.node("64").await;
    let once = ningxia.admin.under("batch-1");
    let first = once.put(vec![agency(1), agency(2)]).await.unwrap();
    let before = ningxia.position().await;
    let again = once.put(vec![agency(1), agency(2)]).await.unwrap();
    assert_eq!(again.iter().map(|o| o.name()).collect::<Vec<_>>(), first.iter().map(|o| o.name()).collect::<Vec<_>>());
    refused(once.put(vec![agency(3), agency(4), agency(5)]).await, Reason::RequestIdReused, "request_id");
    assert_eq!(ningxia.position().await, before, "another body under the same id writes nothing");
}

async fn a_change_rests_on_what_was_read(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let read = admin.create(agency(1)).await.unwrap().noun;
    let newer = admin
        .update(Agency { display_name: Some("新名".into()), ..read.clone() }, &["display_name"])
        .await
        .unwrap()
        .noun;
    refused(
        admin.update(Agency { display_name: Some("旧人".into()), ..read.clone() }, &["display_name"]).await,
        Reason::StaleVersion,
        "etag",
    );
    refused(Agency::delete(admin, read.name(), read.etag.clone()).await, Reason::StaleVersion, "etag");
    refused_in_batch(&admin.put(vec![read.clone()]).await.unwrap()[0], Reason::StaleVersion, "etag");
    refused(admin.replace(Agency { etag: Some("yesterday".into()), ..read.clone() }).await, Reason::Malformed, "etag");
    assert_eq!(admin.get::<Agency>(read.name()).await.unwrap(), newer);
    // Who does not say what they read changes whichever version stands.
    admin.update(Agency { etag: None, closed_on: Some("2024-01-01".into()), ..read }, &["closed_on"]).await.unwrap();

    // Of many who change what they read at the same moment, one does.
    let read = admin.create(agency(2)).await.unwrap().noun;
    let changes =
        (0..8).map(|n| admin.update(Agency { display_name: Some(n.to_string()), ..read.clone() }, &["display_name"]));
    let answers = futures::future::join_all(changes).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for lost in answers.into_iter().filter(Result::is_err) {
        refused(lost, Reason::StaleVersion, "etag");
    }
    // And of many who create the same, one does.
    let answers = futures::future::join_all((0..8).map(|_| admin.create(agency(3)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for lost in answers.into_iter().filter(Result::is_err) {
        refused(lost, Reason::Duplicate, "uscc");
    }
}

async fn what_is_referred_to_stays(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let operator = admin.create(agency(1)).await.unwrap().noun;
    let operated = admin.create(Station { operator: operator.name.clone(), ..station(1) }).await.unwrap().noun;
    refused(admin.delete::<Agency>(operator.name()).await, Reason::StillReferenced, "name");
    admin.update(Station { operator: None, ..operated }, &["operator"]).await.unwrap();
    admin.delete::<Agency>(operator.name()).await.unwrap();
    refused(
        admin.create(Station { operator: operator.name, ..station(2) }).await,
        Reason::ReferenceNotFound,
        "operator",
    );

    let holder = admin.create(worker(1)).await.unwrap().noun;
    let held = admin.create(certificate(1, holder.name())).await.unwrap().noun;
    refused(admin.delete::<Worker>(holder.name()).await, Reason::StillReferenced, "name");
    admin.delete::<Certificate>(held.name()).await.unwrap();
    admin.delete::<Worker>(holder.name()).await.unwrap();
    // The key of what is gone is free again.
    admin.create(worker(1)).await.unwrap();
}

async fn divisions_are_the_nations(world: World) {
    let (nation, ningxia) = (world.node("00").await, world.node("64").await);
    refused(ningxia.admin.create(division(1)).await, Reason::NotHome, "name");
    let listed = ningxia
        .admin
        .list_all::<Division>(ListQuery { area: Some("640104".into()), page_size: Some(1_000), ..ListQuery::default() })
        .await;
    let county = listed.iter().find(|d| d.code() == "640104").unwrap();
    assert_eq!((county.display_name(), county.name()), ("兴庆区", "nodes/00/divisions/640104-2016-07-31"));
    refused(ningxia.admin.replace(county.clone()).await, Reason::NotHome, "name");
    refused(ningxia.admin.delete::<Division>(county.name()).await, Reason::NotHome, "name");

    // A new township is taken from the day the nation lists it on.
    let there = Station { division: Some(division(1).code().to_owned()), ..station(1) };
    refused(nation.admin.create(there.clone()).await, Reason::NotInList, "division");
    let listed = nation.admin.create(division(1)).await.unwrap().noun;
    nation.admin.create(there).await.unwrap();
    refused(nation.admin.create(division(1)).await, Reason::Duplicate, "code");
    refused(
        nation.admin.create(Division { valid_to: Some("2023-01-01".into()), ..division(2) }).await,
        Reason::OutOfOrder,
        "valid_to",
    );
    refused(
        nation.admin.create(Division { code: Some("64010".into()), ..division(2) }).await,
        Reason::Malformed,
        "code",
    );
    // One that was always there is known by its code alone.
    let always = Division { valid_from: None, ..division(3) };
    nation.admin.create(always.clone()).await.unwrap();
    refused(nation.admin.create(always).await, Reason::Duplicate, "code");
    // The same code may come again, for another time, once it has ended.
    let ended = Division { valid_to: Some("2029-01-01".into()), ..listed };
    nation.admin.update(ended, &["valid_to"]).await.unwrap();
    nation.admin.create(Division { valid_from: Some("2030-01-01".into()), ..division(1) }).await.unwrap();
    // A village of a township without listed villages is taken on its township's word.
    let room = Station {
        r#type: Some(StationType::VillageRoom.into()),
        division: Some(format!("{}001", sample::TOWNSHIP)),
        ..station(2)
    };
    nation.admin.create(room).await.unwrap();
}
