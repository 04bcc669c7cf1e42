//! A token that is limited to one agency or one pairing: its staff see and write what is theirs, and everything else answers as if it did
//! not exist.

use qianshou_kernel::{
    error::Reason,
    id::Name,
    identity::Role,
    kind::{ListQuery, page_token},
    ledger::{Command, Content, Version, Write},
};
use qianshou_proto::{
    common::v1::PutState,
    identity::v1 as identity,
    pairing::v1::{
        Activity, Approval, Commitment, GetPairingRequest, ListPairingsRequest, Outcome, Project, ReviewLevel,
    },
    registry::v1::{
        Agency, Certificate, Employment, ListDuplicatesRequest, Post, Recognition, Station, Task, TraceDivisionRequest,
        Worker,
    },
    reporting::v1::ReadTableRequest,
};
use qianshou_tests::{
    Caller, Node, World,
    halves::{activity, approval, commitment, outcome, project, review},
    refusal::{refused, refused_in_batch},
    sample::{agency, citizen, employment, post, recognition, station, uscc, worker},
    stories,
};
use tonic::{Code, Status};

stories! {
    staff_of_an_agency_see_and_write_its_own
    staff_of_a_pairing_see_both_halves_and_write_one
    an_approval_is_read_in_its_area
    a_key_held_elsewhere_names_nobody
}

const HERE: &str = "640104";
const THERE: &str = "640202";

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn all() -> ListQuery {
    ListQuery { page_size: Some(1), ..ListQuery::default() }
}

/// What a refusal says, without the name that was asked for.
fn said(answer: Result<impl std::fmt::Debug, Status>, name: &str) -> (Code, String) {
    let status = answer.expect_err("refused");
    (status.code(), status.message().replace(name, "…"))
}

/// A name that no record has.
fn nobodys(kind: &str) -> String {
    Name::of("64", kind, "nobody").to_string()
}

async fn agency_of(node: &Node, n: u32) -> String {
    let made = node.admin.create(Agency { division: text(HERE), ..agency(n) }).await.unwrap().noun;
    made.name.unwrap()
}

async fn staff_of_an_agency_see_and_write_its_own(world: World) {
    let ningxia = world.node("64").await;
    let admin = &ningxia.admin;
    let (own, other) = (agency_of(&ningxia, 1).await, agency_of(&ningxia, 2).await);
    let of = |n: u32| Some(if n == 2 { other.clone() } else { own.clone() });
    let mut workers = vec![];
    for n in 1..=3 {
        let hired = Worker { division: text(HERE), employer: of(n), ..worker(n) };
        workers.push(admin.create(hired).await.unwrap().noun.name.unwrap());
        admin.create(Station { operator: of(n), ..station(n) }).await.unwrap();
        let done_by = Some(uscc(if n == 2 { 2 } else { 1 }));
        admin.create(Project { division: text(HERE), agency_uscc: done_by, ..project(n) }).await.unwrap();
    }
    admin.create(Recognition { station: None, agency: of(1), ..recognition(1, "") }).await.unwrap();
    let half = admin.create(commitment(50, 1)).await.unwrap().noun;
    let others_half = admin.create(commitment(51, 2)).await.unwrap().noun;
    admin.create(Activity { division: text(HERE), ..activity(1) }).await.unwrap();
    admin.create(Activity { division: text(HERE), ..activity(3) }).await.unwrap();

    for role in [Role::Reader, Role::Editor] {
        let staff = ningxia.limited(role, "6401", &own).await;
        assert_eq!(names(staff.list_all::<Agency>(all()).await, |a| a.name), std::slice::from_ref(&own));
        let mut hired = names(staff.list_all::<Worker>(all()).await, |w| w.name);
        hired.sort_by_key(|name| workers.iter().position(|worker| worker == name));
        assert_eq!(hired, [workers[0].clone(), workers[2].clone()]);
        let sorted = ListQuery { area: text(HERE), order_by: text("title desc"), query: text("欧阳"), ..all() };
        assert_eq!(staff.list_all::<Worker>(sorted).await.len(), 2);
        assert_eq!(staff.list_all::<Station>(all()).await.len(), 2);
        assert_eq!(staff.list_all::<Project>(all()).await.len(), 2);
        assert_eq!(staff.list_all::<Recognition>(all()).await.len(), 1);
        assert_eq!(staff.list_all::<Commitment>(all()).await, std::slice::from_ref(&half));
        assert_eq!(staff.list_all::<Activity>(all()).await.len(), 1);
        staff.get::<Worker>(&workers[0]).await.unwrap();
        let nobody = nobodys("workers");
        let hidden = staff.get::<Worker>(&workers[1]).await;
        assert_eq!(said(hidden, &workers[1]), said(staff.get::<Worker>(&nobody).await, &nobody));
        // What belongs to nobody in particular, and what answers for more than single records, is refused.
        refused(staff.list::<Task>(ListQuery::default()).await, Reason::Forbidden, "");
        refused(staff.list::<Certificate>(ListQuery::default()).await, Reason::Forbidden, "");
        refused(staff.reporting().read_table(ReadTableRequest::default()).await, Reason::Forbidden, "");
        refused(staff.pairing().list_pairings(ListPairingsRequest::default()).await, Reason::Forbidden, "");
        refused(staff.registry().trace_division(TraceDivisionRequest::default()).await, Reason::Forbidden, "");
        refused(staff.registry().list_duplicates(ListDuplicatesRequest::default()).await, Reason::Forbidden, "");
        assert_eq!(joint(&staff, half.pairing()).await.unwrap(), half.pairing());
        let hidden = joint(&staff, others_half.pairing()).await;
        assert_eq!(said(hidden, ""), said(joint(&staff, "nobody's").await, ""));
    }
    // The limit does not widen the area.
    let elsewhere = ningxia.limited(Role::Editor, "6402", &own).await;
    assert!(elsewhere.list_all::<Worker>(all()).await.is_empty());
    refused(elsewhere.get::<Agency>(&own).await, Reason::AreaForbidden, "name");
    refused(
        ningxia.limited(Role::Reader, "6401", &own).await.delete::<Post>(&nobodys("posts")).await,
        Reason::Forbidden,
        "",
    );

    let staff = ningxia.limited(Role::Editor, "6401", &own).await;
    workers_are_theirs_alone(&staff, &workers, &own, &other).await;
    let posted = |employer: String| Post { division: text(HERE), employer: Some(employer), ..post(1) };
    let at_others = staff.create(posted(format!("agencies/{}", uscc(2)))).await;
    let at_nobodys = staff.create(posted(format!("agencies/{}", uscc(9)))).await;
    assert_eq!(said(at_others, ""), said(at_nobodys, ""));
    refused(staff.create(posted(other.clone())).await, Reason::ReferenceNotFound, "employer");
    refused(staff.create(Post { division: text(HERE), ..post(1) }).await, Reason::AreaForbidden, "employer");
    let made = staff.create(posted(format!("agencies/{}", uscc(1)))).await.unwrap().noun;
    staff.update(Post { count: Some(9), ..made.clone() }, &["count"]).await.unwrap();
    staff.delete::<Post>(made.name()).await.unwrap();

    refused(staff.replace(Agency { division: text(HERE), ..agency(1) }).await, Reason::Forbidden, "");
    refused(staff.create(Agency { division: text(HERE), ..agency(7) }).await, Reason::Forbidden, "");
    let project_of = |n: u32| Project { division: text(HERE), agency_uscc: Some(uscc(n)), ..project(20 + n) };
    let granted = Project { grant_fen: Some(1), ..project_of(1) };
    refused(staff.create(granted.clone()).await, Reason::AreaForbidden, "grant_fen");
    let made = staff.create(project_of(1)).await.unwrap().noun;
    let granted = Project { name: made.name.clone(), ..granted };
    refused(staff.update(granted.clone(), &["grant_fen"]).await, Reason::AreaForbidden, "grant_fen");
    admin.update(granted, &["grant_fen"]).await.unwrap();
    refused(staff.create(project_of(2)).await, Reason::AreaForbidden, "agency_uscc");
    // Its own half, but neither the authority's part of it nor a half of another's.
    let longer = Commitment { until: text("2025-06-30"), name: half.name.clone(), ..Commitment::default() };
    staff.update(longer, &["until"]).await.unwrap();
    let reviews = vec![review(ReviewLevel::County, "2023-01-01")];
    let praised = Commitment { reviews, name: half.name.clone(), ..Commitment::default() };
    refused(staff.update(praised, &["reviews"]).await, Reason::AreaForbidden, "reviews");
    let levels = vec![ReviewLevel::County.into()];
    let eased = Commitment { review_levels: levels, name: half.name.clone(), ..Commitment::default() };
    refused(staff.update(eased.clone(), &["review_levels"]).await, Reason::AreaForbidden, "review_levels");
    admin.update(eased, &["review_levels"]).await.unwrap();
    let of_others = staff.only_asking().create(commitment(52, 2)).await;
    assert_eq!(said(of_others, ""), said(staff.only_asking().create(commitment(52, 9)).await, ""));
    staff.create(outcome(3, 1)).await.unwrap();
    let of_others = staff.only_asking().create(Outcome { receiving_division: None, ..outcome(3, 2) }).await;
    let of_nobody = staff.only_asking().create(Outcome { receiving_division: None, ..outcome(3, 9) }).await;
    assert_eq!(said(of_others, ""), said(of_nobody, ""));
    ningxia.counts_right().await;
}

/// Workers are registered by the county; the staff keep them up.
async fn workers_are_theirs_alone(staff: &Caller, workers: &[String], own: &str, other: &str) {
    let of = |n: usize| Worker { name: Some(workers[n].clone()), ..Worker::default() };
    staff.update(Worker { until: text("2024-05-01"), ..of(0) }, &["until"]).await.unwrap();
    let hidden = staff.update(Worker { until: text("2024-05-01"), ..of(1) }, &["until"]).await;
    let nobody = nobodys("workers");
    let absent = Worker { name: Some(nobody.clone()), until: text("2024-05-01"), ..Worker::default() };
    assert_eq!(said(hidden, &workers[1]), said(staff.update(absent, &["until"]).await, &nobody));
    let given_away = Worker { employer: Some(other.to_owned()), ..of(0) };
    refused(staff.update(given_away, &["employer"]).await, Reason::ReferenceNotFound, "employer");
    refused(staff.update(of(0), &["employer"]).await, Reason::AreaForbidden, "employer");
    // Whether somebody's number is known is not heard by any way to write one.
    let numbered = Worker { id_number: Some(citizen(2)), ..of(0) };
    refused(staff.update(numbered, &["id_number"]).await, Reason::ReadOnly, "id_number");
    let hired = |n: u32| Worker { division: text(HERE), employer: Some(own.to_owned()), ..worker(n) };
    refused(staff.create(hired(2)).await, Reason::Forbidden, "");
    let put = staff.put(vec![hired(2), hired(9), hired(3)]).await.unwrap();
    assert_eq!(
        put[0],
        qianshou_proto::common::v1::PutOutcome { violations: put[0].violations.clone(), ..put[1].clone() }
    );
    let told = |n: usize| put[n].violations.iter().map(|v| v.message_en().to_owned()).collect::<Vec<_>>();
    assert_eq!(told(0), told(1));
    refused_in_batch(&put[0], Reason::Forbidden, "");
    assert_eq!((put[2].state(), put[2].name()), (PutState::Unchanged, workers[2].as_str()));
    let employed = |n: u32| Employment {
        employer: Some(own.to_owned()),
        division: text(HERE),
        ..employment(n, &format!("workers/{}", citizen(n)))
    };
    let of_others = staff.create(employed(2)).await;
    assert_eq!(said(of_others, ""), said(staff.create(employed(9)).await, ""));
    let by_name = Employment { worker: Some(workers[1].clone()), ..employed(2) };
    refused(staff.create(by_name).await, Reason::ReferenceNotFound, "worker");
    let kept = staff.create(employed(3)).await.unwrap().noun;
    staff.delete::<Employment>(kept.name()).await.unwrap();
    refused(staff.delete::<Worker>(&workers[0]).await, Reason::Forbidden, "");
}

fn names<R>(records: Vec<R>, name: impl Fn(R) -> Option<String>) -> Vec<String> {
    records.into_iter().filter_map(name).collect()
}

async fn joint(by: &Caller, pairing: &str) -> Result<String, Status> {
    let asked = GetPairingRequest { pairing: text(pairing), ..GetPairingRequest::default() };
    let pairing = by.pairing().get_pairing(asked).await?.into_inner().pairing.unwrap();
    Ok(pairing.pairing.unwrap())
}

/// Saves what another node sent.
async fn received(at: &Node, from: &str, kind: &str, id: &str, payload: Vec<u8>) -> String {
    let name = Name::of(from, kind, id);
    let content = Content::Put { payload: payload.into(), sealed: None };
    let write = Write::Received(name.clone(), Version { epoch: 1, revision: 1 }, content);
    at.ledger
        .submit(Command { actor: format!("nodes/{from}"), writes: vec![write], ..Command::default() })
        .await
        .unwrap();
    name.to_string()
}

async fn staff_of_a_pairing_see_both_halves_and_write_one(world: World) {
    use prost::Message as _;
    let ningxia = world.node("64").await;
    let own = agency_of(&ningxia, 1).await;
    agency_of(&ningxia, 2).await;
    let half = ningxia.admin.create(commitment(50, 1)).await.unwrap().noun;
    let others_half = ningxia.admin.create(commitment(51, 2)).await.unwrap().noun;
    let their_side = Commitment { name: None, etag: None, agency: None, division: text("350203"), ..half.clone() };
    let theirs = received(&ningxia, "35", "commitments", "1", their_side.encode_to_vec()).await;
    let approved = Approval { pairing: half.pairing.clone(), ..approval(&half, "2023-02-01") };
    received(&ningxia, "00", "approvals", "1", approved.encode_to_vec()).await;

    let staff = ningxia.limited(Role::Editor, "64", half.pairing()).await;
    let mut both = names(staff.list_all::<Commitment>(all()).await, |c| c.name);
    both.sort();
    assert_eq!(both, [theirs.clone(), half.name().to_owned()]);
    assert_eq!(staff.list_all::<Approval>(all()).await.len(), 1);
    staff.get::<Commitment>(&theirs).await.unwrap();
    refused(staff.get::<Commitment>(others_half.name()).await, Reason::NotFound, "name");
    assert_eq!(joint(&staff, half.pairing()).await.unwrap(), half.pairing());
    refused(joint(&staff, others_half.pairing()).await, Reason::NotFound, "pairing");
    assert!(staff.list_all::<Worker>(all()).await.is_empty() && staff.list_all::<Agency>(all()).await.is_empty());
    refused(staff.get::<Agency>(&own).await, Reason::NotFound, "name");
    let until = Commitment { until: text("2025-06-30"), ..Commitment::default() };
    staff.update(Commitment { name: half.name.clone(), ..until.clone() }, &["until"]).await.unwrap();
    let of_theirs = Commitment { name: Some(theirs), ..until };
    refused(staff.update(of_theirs, &["until"]).await, Reason::NotHome, "name");
    refused(staff.create(commitment(52, 2)).await, Reason::ReferenceNotFound, "sending_uscc");
    let visited = |n: u32| Activity {
        sending_uscc: Some(uscc(50)),
        receiving_uscc: Some(uscc(n)),
        division: text(HERE),
        ..activity(1)
    };
    let held = staff.create(visited(1)).await.unwrap().noun;
    refused(staff.create(visited(2)).await, Reason::AreaForbidden, "pairing");
    assert_eq!(staff.list_all::<Activity>(all()).await, [held]);
    staff.create(outcome(3, 1)).await.unwrap();
    assert_eq!(staff.list_all::<Outcome>(all()).await.len(), 1);
    // In one side's area only that side's half is there; so the other side's is not read through a narrower token.
    let county = ningxia.limited(Role::Reader, HERE, half.pairing()).await;
    assert_eq!(names(county.list_all::<Commitment>(all()).await, |c| c.name), [half.name().to_owned()]);
    let asked = identity::CreateTokenRequest {
        display_name: text("to a worker"),
        role: Some(identity::Role::Reader.into()),
        area: text("64"),
        limited_to: Some(nobodys("workers")),
        ..Default::default()
    };
    refused(ningxia.admin.identity().create_token(asked.clone()).await, Reason::Malformed, "limited_to");
    // An empty text is no limit that was left out.
    let empty = identity::CreateTokenRequest { limited_to: Some(String::new()), ..asked };
    refused(ningxia.admin.identity().create_token(empty).await, Reason::Malformed, "limited_to");
}

/// The nation's approvals name agencies and decisions of one place; other places do not read them.
async fn an_approval_is_read_in_its_area(world: World) {
    let nation = world.node("00").await;
    let made = nation.admin.create(approval(&commitment(1, 2), "2023-02-01")).await.unwrap().noun;
    let of = async |area: &str| nation.caller(Role::Reader, area).await;
    for area in [HERE, "64", "00"] {
        assert_eq!(of(area).await.list_all::<Approval>(all()).await, std::slice::from_ref(&made), "{area}");
        of(area).await.get::<Approval>(made.name()).await.unwrap();
    }
    for area in [THERE, "350203"] {
        assert!(of(area).await.list_all::<Approval>(all()).await.is_empty(), "{area}");
        refused(of(area).await.get::<Approval>(made.name()).await, Reason::AreaForbidden, "name");
    }
}

/// Who holds a key, a number among them, is named inside the caller's area alone; and no page token leads out of it.
async fn a_key_held_elsewhere_names_nobody(world: World) {
    let ningxia = world.node("64").await;
    let (mine, theirs) = ("640104101", "640104100");
    let township = ningxia.caller(Role::Editor, mine).await;
    let registered = |n: u32, division: &str| Worker { division: text(division), ..worker(n) };
    let held = ningxia.admin.create(registered(1, theirs)).await.unwrap().noun;
    let taken = ningxia.admin.create(Agency { division: text(THERE), ..agency(1) }).await.unwrap().noun;
    for (answer, field, holder) in [
        (township.create(registered(1, mine)).await.map(drop), "id_number", held.name()),
        (township.only_asking().create(registered(1, mine)).await.map(drop), "id_number", held.name()),
        (township.create(Agency { division: text(mine), ..agency(1) }).await.map(drop), "uscc", taken.name()),
    ] {
        assert!(!answer.as_ref().unwrap_err().message().contains(holder), "{answer:?}");
        refused(answer, Reason::Duplicate, field);
    }
    let put = township.put(vec![registered(1, mine)]).await.unwrap();
    assert!(!format!("{put:?}").contains(held.name()), "{put:?}");

    // Namesakes of one county, one of them here: a page that is asked for by a token made up leads nowhere else.
    let namesakes = |n: u32, division: &str| Worker { full_name: text("王小明"), ..registered(n, division) };
    for n in 2..4 {
        ningxia.admin.create(namesakes(n, theirs)).await.unwrap();
    }
    let own = ningxia.admin.create(namesakes(4, mine)).await.unwrap().noun;
    let asked = |area: &str, page_token: Option<String>| ListDuplicatesRequest {
        kind: text("workers"),
        area: text(area),
        page_token,
        ..ListDuplicatesRequest::default()
    };
    let mut registry = township.registry();
    refused(registry.list_duplicates(asked("640104", None)).await, Reason::AreaForbidden, "area");
    assert!(registry.list_duplicates(asked(mine, None)).await.unwrap().into_inner().duplicates.is_empty());
    for place in ["6", "640104", theirs, "64010410"] {
        let made_up = page_token(&format!("duplicates workers {mine}"), &(place, own.name(), None::<String>)).unwrap();
        let answer = registry.list_duplicates(asked(mine, Some(made_up))).await;
        refused(answer, Reason::BadPageToken, "page_token");
    }
}
