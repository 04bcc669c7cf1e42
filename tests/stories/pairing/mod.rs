//! Pairing as its callers see it: each side its own half, and the same joint state wherever the halves have arrived.

mod input;
mod linkage;
mod money;
mod sides;

use qianshou_kernel::{error::Reason, identity::Role};
use qianshou_proto::{
    common::v1::PutState,
    pairing::v1::{
        Activity, Allocation, Arrival, Commitment, Dispatch, FindingKind, GetPairingRequest, ListFindingsRequest,
        ListMatchesRequest, ListPairingsRequest, Offer, Outcome, PairingStage, Payment, Programme, Project, Receipt,
        ReviewLevel, Side,
    },
    registry::v1::{Agency, AgencyType, Tag},
};
use qianshou_tests::{
    World,
    halves::{
        HAND_IN_HAND, activity, allocation, arrival, commitment, dispatch, need, offer, outcome, payment, programme,
        project, receipt, review,
    },
    refusal::refused,
    sample::{agency, tag, uscc},
    stories,
};

use crate::registry::{
    a_life, end_of_life,
    input::{Fault, refuse_all},
};

stories! {
    every_noun_of_pairing_lives
    an_agency_has_one_half_a_batch
    both_halves_may_be_at_one_node
    a_review_is_written_by_its_level
    a_finding_names_the_record_and_the_next_step
    a_half_keeps_to_its_programme
    an_offer_meets_a_need
}

async fn every_noun_of_pairing_lives(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let own = admin.create(agency(2)).await.unwrap().noun;

    let half =
        a_life(&ningxia, commitment(1, 2), |c: &mut Commitment| c.close_reason = Some("期满".into()), "close_reason")
            .await;
    assert_eq!(
        (half.side(), half.agency.as_deref(), half.division()),
        (Side::Receiving, own.name.as_deref(), own.division())
    );
    refused(admin.delete::<Agency>(own.name()).await, Reason::StillReferenced, "name");
    let mut trained = outcome(1, 2);
    trained.receiving_division = None;
    let trained = admin.create(trained).await.unwrap().noun;
    assert_eq!(trained.receiving_division, own.division, "it counts where the agency is");
    let sent =
        a_life(&ningxia, dispatch(1), |d: &mut Dispatch| d.returned_on = Some("2023-12-01".into()), "returned_on")
            .await;
    assert_eq!((sent.id_number.as_deref(), sent.division(), sent.participations.len()), (None, "64", 1));
    let served = a_life(&ningxia, arrival(1), |a: &mut Arrival| a.until = Some("2024-03-31".into()), "until").await;
    let planned = a_life(&ningxia, project(1), |p: &mut Project| p.notice = Some("GG-1".into()), "notice").await;
    let given =
        a_life(&ningxia, allocation(1), |a: &mut Allocation| a.match_thousandths = Some(799), "match_thousandths")
            .await;
    assert_eq!(given.counted_on(), "2023-01-01");
    let paid = admin.create(payment(1)).await.unwrap().noun;
    let came = admin.create(receipt(1)).await.unwrap().noun;
    assert_eq!((paid.flow.as_ref(), paid.year()), (came.flow.as_ref(), "2023"));

    refused(admin.delete::<Commitment>(half.name()).await, Reason::StillReferenced, "name");
    end_of_life::<Outcome>(admin, trained.name.clone().unwrap(), trained).await;
    end_of_life(admin, half.name.clone().unwrap(), half).await;
    end_of_life(admin, sent.name.clone().unwrap(), sent).await;
    end_of_life(admin, served.name.clone().unwrap(), served).await;
    end_of_life(admin, planned.name.clone().unwrap(), planned).await;
    end_of_life(admin, given.name.clone().unwrap(), given).await;
    end_of_life::<Payment>(admin, paid.name.clone().unwrap(), paid).await;
    end_of_life::<Receipt>(admin, came.name.clone().unwrap(), came).await;

    // The same batch twice changes nothing, persons among it.
    for state in [PutState::Created, PutState::Unchanged] {
        let outcomes = admin.put((10..20).map(dispatch).collect()).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.state() == state), "{outcomes:?}");
        let outcomes = admin.put(vec![commitment(1, 2)]).await.unwrap();
        assert_eq!(outcomes[0].state(), state, "{outcomes:?}");
    }
}

async fn an_agency_has_one_half_a_batch(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    for n in [2, 3] {
        admin.create(agency(n)).await.unwrap();
    }
    let first = admin.create(commitment(1, 2)).await.unwrap().noun;
    refused(admin.create(commitment(1, 2)).await, Reason::Duplicate, "receiving_uscc");
    refused(admin.create(commitment(9, 2)).await, Reason::Duplicate, "batch");
    admin.create(commitment(1, 3)).await.unwrap();
    let later = Commitment { batch: Some("第二批".into()), ..commitment(9, 2) };
    admin.create(later).await.unwrap();
    // What has closed makes room.
    let closed = Commitment { closed_on: Some("2024-05-01".into()), ..first };
    admin.update(closed, &["closed_on"]).await.unwrap();
    admin.create(commitment(9, 2)).await.unwrap();
    refused(admin.create(commitment(1, 2)).await, Reason::Duplicate, "receiving_uscc");
    refused(admin.create(commitment(8, 2)).await, Reason::Duplicate, "batch");
}

/// A county reviews as a county; what the province has said already it may leave as it is.
async fn a_review_is_written_by_its_level(world: World) {
    let ningxia = world.node("64").await;
    let own = ningxia.admin.create(agency(2)).await.unwrap().noun;
    let county = ningxia.caller(Role::Editor, &own.division()[..6]).await;
    let half = county.create(commitment(1, 2)).await.unwrap().noun;
    let of = |reviews: &[ReviewLevel]| Commitment {
        reviews: reviews.iter().map(|level| review(*level, "2023-02-01")).collect(),
        ..half.clone()
    };
    use ReviewLevel::{County, Ministry, Province};
    let put = async |by: &qianshou_tests::Caller, reviews: &[ReviewLevel]| {
        by.update(Commitment { etag: None, ..of(reviews) }, &["reviews"]).await
    };
    refused(put(&county, &[County, Province]).await, Reason::AreaForbidden, "reviews[1].level");
    refused(put(&ningxia.admin, &[Ministry]).await, Reason::NotInList, "reviews[0].level");
    put(&county, &[County]).await.unwrap();
    put(&ningxia.admin, &[County, Province]).await.unwrap();
    put(&county, &[County, Province, County]).await.unwrap();
}

async fn both_halves_may_be_at_one_node(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    for n in [1, 2] {
        admin.create(agency(n)).await.unwrap();
    }
    let asked = |pairing, min_position| GetPairingRequest { pairing, min_position, at: None };
    // Whoever has both agencies may say it at once, as a sheet of pairs does.
    let both = admin.create(commitment(1, 2)).await.unwrap();
    assert_eq!((both.noun.side(), both.noun.sending_agency.is_some()), (Side::Both, true));
    let got = admin.pairing().get_pairing(asked(both.noun.pairing.clone(), None)).await.unwrap().into_inner();
    let pairing = got.pairing.unwrap();
    assert_eq!(
        (pairing.stage(), pairing.sending == pairing.receiving),
        (PairingStage::Active, true),
        "nobody has to review it"
    );
    refused(
        admin.create(Commitment { side: Some(Side::Sending.into()), ..commitment(1, 2) }).await,
        Reason::Duplicate,
        "receiving_uscc",
    );
    admin.delete::<Commitment>(both.noun.name()).await.unwrap();

    let reviewed = vec![ReviewLevel::Province.into()];
    let half = |side: Side| Commitment { side: Some(side.into()), review_levels: reviewed.clone(), ..commitment(1, 2) };
    let sending = admin.create(half(Side::Sending)).await.unwrap();
    let one_sided = admin.pairing().list_pairings(ListPairingsRequest::default()).await.unwrap().into_inner().pairings;
    assert_eq!(one_sided[0].stage(), PairingStage::OneSided);
    let receiving = admin.create(half(Side::Receiving)).await.unwrap();
    let got =
        admin.pairing().get_pairing(asked(receiving.noun.pairing.clone(), Some(receiving.position))).await.unwrap();
    let pairing = got.into_inner().pairing.unwrap();
    assert_eq!(pairing.stage(), PairingStage::Proposed);
    assert_eq!(pairing.sending.unwrap().name, sending.noun.name);
    refused(admin.pairing().get_pairing(asked(None, None)).await, Reason::Required, "pairing");
    refused(admin.pairing().get_pairing(asked(Some("nobody".into()), None)).await, Reason::NotFound, "pairing");
    refused(
        admin.pairing().get_pairing(asked(Some("a".into()), Some(1_000_000))).await,
        Reason::NotYet,
        "min_position",
    );
    let county = ningxia.caller(Role::Reader, "640303").await;
    refused(county.pairing().get_pairing(asked(receiving.noun.pairing, None)).await, Reason::AreaForbidden, "pairing");
}

async fn a_finding_names_the_record_and_the_next_step(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(Allocation { purpose: Some("选派补助0".into()), ..allocation(0) }).await.unwrap();
    admin.put((1..=5).map(payment).collect::<Vec<_>>()).await.unwrap();
    admin.put((1..=4).map(receipt).collect::<Vec<_>>()).await.unwrap();
    let late = admin.create(Payment { paid_on: Some("2024-01-08".into()), ..payment(6) }).await.unwrap().noun;
    admin.create(receipt(6)).await.unwrap();
    admin.put((1..=3).map(arrival).collect::<Vec<_>>()).await.unwrap();
    admin.put((1..=2).map(dispatch).collect::<Vec<_>>()).await.unwrap();
    let asked = |area: &str, at: &str| ListFindingsRequest {
        area: Some(area.into()),
        at: Some(at.into()),
        ..ListFindingsRequest::default()
    };
    let list = async |area: &str, at: &str| {
        admin.pairing().list_findings(asked(area, at)).await.map(|a| a.into_inner().findings)
    };
    let found = list("64", "2024-05-01").await.unwrap();
    let kinds: Vec<FindingKind> = found.iter().map(|finding| finding.kind()).collect();
    use FindingKind::{DaysWithoutDispatch, MissingReceipt, OutsideTerm};
    assert_eq!(kinds, [OutsideTerm, MissingReceipt, DaysWithoutDispatch]);
    assert_eq!(found[0].record, late.name);
    assert!(
        found.iter().all(|f| !f.message_zh().is_empty() && !f.message_en().is_empty() && f.area().starts_with("64"))
    );
    assert_eq!(list("35", "").await.unwrap(), []);
    refused(list("64", "someday").await, Reason::Malformed, "at");
    refused(list("6", "").await, Reason::Malformed, "area");
    let for_profit = Agency { r#type: Some(AgencyType::Enterprise.into()), ..agency(7) };
    admin.create(for_profit).await.unwrap();
    refused(admin.create(commitment(1, 7)).await, Reason::NotInList, "receiving_uscc");
    assert_eq!(uscc(7).len(), 18);
}

async fn a_half_keeps_to_its_programme(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    admin.create(agency(2)).await.unwrap();
    let rules = Programme { display_name: Some(HAND_IN_HAND.into()), ..programme(1) };
    let rules = a_life(&ningxia, rules, |p: &mut Programme| p.until = Some("2025-01-01".into()), "until").await;
    admin.update(Programme { until: None, ..rules.clone() }, &["until"]).await.unwrap();
    let faults: [Fault<Commitment>; 3] = [
        (|c| c.terms[0].people_trained = Some(2), Reason::Malformed, "terms[0].people_trained"),
        (|c| c.batch = Some("第九批".into()), Reason::NotInList, "batch"),
        (|c| c.until = Some("2023-11-30".into()), Reason::Malformed, "until"),
    ];
    refuse_all(admin, &commitment(1, 2), &faults).await;
    let half = admin.create(commitment(1, 2)).await.unwrap().noun;
    assert_eq!(half.rules, rules.name);
    refused(admin.delete::<Programme>(rules.name()).await, Reason::StillReferenced, "name");
    let list =
        async || admin.pairing().list_findings(ListFindingsRequest::default()).await.unwrap().into_inner().findings;
    let found = list().await;
    assert_eq!((found[0].kind(), found[0].record(), found.len()), (FindingKind::Untagged, half.name(), 1));
    admin.create(Tag { division: Some("640104".into()), since: Some("2021-08-27".into()), ..tag(1) }).await.unwrap();
    assert_eq!(list().await, []);
}

async fn an_offer_meets_a_need(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let wanted = admin.create(need(1)).await.unwrap().noun;
    let near = admin.create(offer(9)).await.unwrap().noun;
    let far = admin.create(Offer { division: Some("640104".into()), ..offer(3) }).await.unwrap().noun;
    admin.create(Offer { kind: Some("儿童福利".into()), ..offer(4) }).await.unwrap();
    let asked = |need: Option<String>, size| ListMatchesRequest { need, page_size: Some(size), min_position: None };
    let list = async |need: Option<String>, size| {
        admin.pairing().list_matches(asked(need, size)).await.map(|a| a.into_inner().matches)
    };
    let matches = list(wanted.name.clone(), 0).await.unwrap();
    let told: Vec<(&str, u32)> = matches.iter().map(|m| (m.offer(), m.score())).collect();
    assert_eq!(told, [(near.name(), 100), (far.name(), 68)]);
    assert_eq!(list(wanted.name.clone(), 1).await.unwrap().len(), 1);
    refused(list(None, 0).await, Reason::Required, "need");
    refused(list(wanted.name.clone(), -1).await, Reason::Malformed, "page_size");
    let done = a_life(&ningxia, activity(1), |a: &mut Activity| a.until = Some("2023-12-31".into()), "until").await;
    end_of_life(admin, done.name.clone().unwrap(), done).await;
    let programmes: [Fault<Programme>; 4] = [
        (|p| p.tag = Some("RICH".into()), Reason::NotInList, "tag"),
        (|p| p.months_most = Some(6), Reason::OutOfOrder, "months_most"),
        (|p| p.batches.push(p.batches[0].clone()), Reason::Duplicate, "batches[1].title"),
        (|p| p.authorities.reverse(), Reason::OutOfOrder, "authorities[1].since"),
    ];
    refuse_all(admin, &programme(2), &programmes).await;
}
