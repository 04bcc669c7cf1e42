//! What is put in wrong: a clear refusal that names the field, nothing written, neighbours unharmed.

use qianshou_kernel::error::Reason;
use qianshou_proto::{
    common::v1::PutState,
    registry::v1::{Agency, Certificate, Station, Worker},
};
use qianshou_tests::{
    Caller, World,
    refusal::{refused, refused_in_batch},
    sample::{self, agency, certificate, citizen, station, worker},
    stories,
    verbs::Noun,
};

stories! {
    a_bad_record_leaves_its_neighbours_alone
    bad_input_is_refused_and_nothing_is_written
    everything_that_is_wrong_is_told_at_once
    asking_first_writes_nothing
}

async fn a_bad_record_leaves_its_neighbours_alone(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(agency(0)).await.unwrap();
    let before = ningxia.position().await;
    let mut batch: Vec<Agency> = (1..=9).map(agency).collect();
    batch[1].uscc = Some(wrong_check_digit(&sample::uscc(2)));
    batch[3].division = Some("649999".into());
    batch[5].display_name = Some("空\0字".into());
    batch[7].founded_on = Some("2024-06-02".into());
    let outcomes = admin.put(batch).await.unwrap();
    refused_in_batch(&outcomes[1], Reason::CheckDigit, "uscc");
    refused_in_batch(&outcomes[3], Reason::NotInList, "division");
    refused_in_batch(&outcomes[5], Reason::ControlCharacter, "display_name");
    refused_in_batch(&outcomes[7], Reason::InFuture, "founded_on");
    assert_eq!(outcomes[7].violations[0].row(), 7);
    for good in [0, 2, 4, 6, 8] {
        assert_eq!(outcomes[good].state(), PutState::Created, "{:?}", outcomes[good]);
        assert!(admin.get::<Agency>(outcomes[good].name()).await.is_ok());
    }
    assert_eq!(ningxia.position().await, before + 5);
}

/// One kind of fault in one field.
pub(crate) type Fault<N> = (fn(&mut N), Reason, &'static str);

async fn bad_input_is_refused_and_nothing_is_written(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let taken = admin.create(agency(1)).await.unwrap().noun;
    let employed = admin.create(worker(1)).await.unwrap().noun;
    admin.create(station(1)).await.unwrap();
    admin.create(certificate(1, employed.name())).await.unwrap();

    let agencies: [Fault<Agency>; 17] = [
        (|a| a.uscc = None, Reason::Required, "uscc"),
        (|a| a.uscc = Some("9164".into()), Reason::Malformed, "uscc"),
        (|a| a.uscc = Some(wrong_check_digit(&sample::uscc(7))), Reason::CheckDigit, "uscc"),
        (|a| a.uscc = Some(sample::uscc(1)), Reason::Duplicate, "uscc"),
        (|a| a.display_name = None, Reason::Required, "display_name"),
        (|a| a.display_name = Some("  ".into()), Reason::Required, "display_name"),
        (|a| a.display_name = Some("长".repeat(4_001)), Reason::TooLong, "display_name"),
        (|a| a.display_name = Some("空\0字".into()), Reason::ControlCharacter, "display_name"),
        (|a| a.display_name = Some("两\n行".into()), Reason::ControlCharacter, "display_name"),
        (|a| a.division = None, Reason::Required, "division"),
        (|a| a.division = Some("64010".into()), Reason::Malformed, "division"),
        (|a| a.division = Some("649999".into()), Reason::NotInList, "division"),
        (|a| a.founded_on = Some("2023-02-30".into()), Reason::Malformed, "founded_on"),
        (|a| a.founded_on = Some("2024-06-02".into()), Reason::InFuture, "founded_on"),
        (|a| a.closed_on = Some("2018-02-28".into()), Reason::OutOfOrder, "closed_on"),
        (|a| a.r#type = Some(99), Reason::NotInList, "type"),
        (|a| a.fields = (0..51).map(|n| n.to_string()).collect(), Reason::TooMany, "fields"),
    ];
    let stations: [Fault<Station>; 6] = [
        (|s| s.display_name = Some("掌政镇社工站1".into()), Reason::Duplicate, "display_name"),
        (|s| s.r#type = None, Reason::Required, "type"),
        (|s| s.division = Some("6401".into()), Reason::Malformed, "division"),
        (|s| s.opened_on = Some("2024-06-02".into()), Reason::InFuture, "opened_on"),
        (|s| s.operator = Some("nodes/64/agencies/nobody".into()), Reason::ReferenceNotFound, "operator"),
        (|s| s.operator = Some("nodes/64/workers/1".into()), Reason::Malformed, "operator"),
    ];
    let workers: [Fault<Worker>; 6] = [
        (|w| w.id_number = None, Reason::Required, "id_number"),
        (|w| w.id_number = Some(wrong_check_digit(&citizen(7))), Reason::CheckDigit, "id_number"),
        (|w| (w.id_number, w.division) = (Some(citizen(1)), worker(1).division), Reason::Duplicate, "id_number"),
        (|w| w.full_name = Some("姓\u{7f}名".into()), Reason::ControlCharacter, "full_name"),
        (|w| w.until = Some("2019-06-30".into()), Reason::OutOfOrder, "until"),
        (|w| w.station = Some("nodes/64/stations/nobody".into()), Reason::ReferenceNotFound, "station"),
    ];
    let certificates: [Fault<Certificate>; 5] = [
        (|c| c.worker = Some("nodes/64/workers/nobody".into()), Reason::ReferenceNotFound, "worker"),
        (|c| c.number = Some("2019-00000001".into()), Reason::Duplicate, "number"),
        (|c| c.issued_on = None, Reason::Required, "issued_on"),
        (|c| c.issued_on = Some("2024-06-02".into()), Reason::InFuture, "issued_on"),
        (|c| c.revoked_on = Some("2019-09-09".into()), Reason::OutOfOrder, "revoked_on"),
    ];
    let before = ningxia.ledger.head().await.unwrap();
    refuse_all(admin, &agency(2), &agencies).await;
    refuse_all(admin, &station(2), &stations).await;
    refuse_all(admin, &worker(2), &workers).await;
    refuse_all(admin, &certificate(2, employed.name()), &certificates).await;
    refused(admin.update(taken.clone(), &["colour"]).await, Reason::UnknownField, "update_mask");
    refused(admin.update(taken.clone(), &["etag"]).await, Reason::ReadOnly, "etag");
    refused(admin.replace(Agency { division: Some("649999".into()), ..taken }).await, Reason::NotInList, "division");
    refused(admin.replace(agency(3)).await, Reason::Required, "name");
    assert_eq!(ningxia.ledger.head().await.unwrap(), before, "nothing was written");
}

/// Each fault is refused the same way alone, in a batch, and when only asked.
pub(crate) async fn refuse_all<N: Noun>(admin: &Caller, sound: &N, faults: &[Fault<N>]) {
    for (spoil, reason, field) in faults {
        let mut noun = sound.clone();
        spoil(&mut noun);
        refused(admin.create(noun.clone()).await, *reason, field);
        if *reason != Reason::Duplicate {
            refused(admin.only_asking().create(noun.clone()).await, *reason, field);
            refused_in_batch(&admin.put(vec![noun]).await.unwrap()[0], *reason, field);
        }
    }
}

async fn everything_that_is_wrong_is_told_at_once(world: World) {
    let ningxia = world.node("64").await;
    let wrong = Agency {
        display_name: None,
        uscc: Some("1".into()),
        division: Some("6".into()),
        founded_on: Some("?".into()),
        ..agency(1)
    };
    for (reason, field) in [
        (Reason::Required, "display_name"),
        (Reason::Malformed, "uscc"),
        (Reason::Malformed, "division"),
        (Reason::Malformed, "founded_on"),
    ] {
        refused_in_batch(&ningxia.admin.put(vec![wrong.clone()]).await.unwrap()[0], reason, field);
    }
    refused(ningxia.admin.create(wrong).await, Reason::Required, "founded_on");
}

async fn asking_first_writes_nothing(world: World) {
    let ningxia = world.node("64").await;
    let standing = ningxia.admin.create(agency(1)).await.unwrap();
    let before = ningxia.ledger.head().await.unwrap();
    let asking = ningxia.admin.only_asking();
    asking.create(agency(2)).await.unwrap();
    asking.update(standing.noun.clone(), &["closed_on"]).await.unwrap();
    asking.delete::<Agency>(standing.noun.name()).await.unwrap();
    let outcomes = asking.put(vec![agency(1), agency(2), agency(2)]).await.unwrap();
    let states: Vec<PutState> = outcomes.iter().map(|outcome| outcome.state()).collect();
    assert_eq!(states, [PutState::Unchanged, PutState::Created, PutState::Created]);
    refused(asking.create(agency(1)).await, Reason::Duplicate, "uscc");
    assert_eq!(ningxia.ledger.head().await.unwrap(), before);
}

fn wrong_check_digit(sound: &str) -> String {
    let (body, check) = sound.split_at(sound.len() - 1);
    format!("{body}{}", if check == "1" { "2" } else { "1" })
}
