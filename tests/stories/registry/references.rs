//! References by what is known outside: an agency by its code, a worker by their number, a station by its name and place.

use qianshou_kernel::error::Reason;
use qianshou_proto::{
    common::v1::PutState,
    registry::v1::{Certificate, SixHave, Station, Worker},
};
use qianshou_tests::{
    World,
    refusal::{refused, refused_in_batch},
    sample::{TOWNSHIP, agency, certificate, citizen, station, uscc, worker},
    stories,
};

stories! {
    a_record_refers_by_natural_key
    a_key_that_nobody_holds_is_refused_and_not_repeated
    equal_stations_are_told_apart_by_their_number
}

async fn a_record_refers_by_natural_key(world: World) {
    let admin = &world.node("64").await.admin;
    let employer = admin.create(agency(1)).await.unwrap().noun;
    let placed = admin.create(station(1)).await.unwrap().noun;
    let by_key = Worker {
        employer: Some(format!("agencies/{}", uscc(1).to_lowercase())),
        station: Some(format!("stations/640104/{}", placed.display_name())),
        ..worker(1)
    };
    let done = admin.create(by_key.clone()).await.unwrap().noun;
    assert_eq!((&done.employer, &done.station), (&employer.name, &placed.name), "the names take the place of the keys");
    let outcomes = admin.put::<Worker>(vec![by_key]).await.unwrap();
    assert_eq!(outcomes[0].state(), PutState::Unchanged, "written again it is the same record");

    let held = Certificate { worker: Some(format!("workers/{}", citizen(1))), ..certificate(1, "") };
    let outcomes = admin.put::<Certificate>(vec![held]).await.unwrap();
    let held: Certificate = admin.get(outcomes[0].name()).await.unwrap();
    assert_eq!(held.worker, done.name);
    let moved = Worker { name: done.name.clone(), employer: Some("agencies/".into()), ..Worker::default() };
    refused(admin.update(moved, &["employer"]).await, Reason::Malformed, "employer");
}

async fn a_key_that_nobody_holds_is_refused_and_not_repeated(world: World) {
    let admin = &world.node("64").await.admin;
    admin.create(agency(1)).await.unwrap();
    let unknown = Certificate { worker: Some(format!("workers/{}", citizen(9))), ..certificate(1, "") };
    let answer = admin.create(unknown.clone()).await;
    assert!(!format!("{answer:?}").contains(&citizen(9)), "a citizen number is never repeated");
    refused(answer, Reason::ReferenceNotFound, "worker");
    let outcomes = admin.put::<Certificate>(vec![unknown]).await.unwrap();
    refused_in_batch(&outcomes[0], Reason::ReferenceNotFound, "worker");
    let wrong_kind = Worker { employer: Some(format!("stations/{TOWNSHIP}/x")), ..worker(1) };
    refused(admin.create(wrong_kind).await, Reason::Malformed, "employer");
}

async fn equal_stations_are_told_apart_by_their_number(world: World) {
    let admin = &world.node("64").await.admin;
    let numbered = |number: &str| Station {
        r#ref: Some(number.to_owned()),
        six_haves: vec![SixHave::Rules.into(), SixHave::Place.into(), SixHave::Rules.into()],
        ..station(1)
    };
    let outcomes = admin.put(vec![station(1), numbered("甲"), numbered("乙"), numbered("甲")]).await.unwrap();
    let states: Vec<PutState> = outcomes.iter().map(|o| o.state()).collect();
    assert_eq!(states, [PutState::Created, PutState::Created, PutState::Created, PutState::Unchanged]);
    let kept: Station = admin.get(outcomes[1].name()).await.unwrap();
    assert_eq!(kept.six_haves, [i32::from(SixHave::Place), SixHave::Rules.into()], "in order, each once");
    let unclear = Worker { station: Some(format!("stations/{TOWNSHIP}/{}", kept.display_name())), ..worker(1) };
    refused(admin.create(unclear).await, Reason::ReferenceNotFound, "station");
    let strange = Station { six_haves: vec![99], ..station(2) };
    refused(admin.create(strange).await, Reason::NotInList, "six_haves");
}
