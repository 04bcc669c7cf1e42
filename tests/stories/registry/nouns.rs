//! What is said of agencies, stations, workers and divisions: posts, employments, service systems, incubations, templates, assessments,
//! recognitions, documents, tags. Each lives like any noun; here is also what follows from what it refers to.

use std::collections::BTreeSet;

use qianshou_kernel::{error::Reason, kind::ListQuery};
use qianshou_proto::{
    common::v1::PutState,
    registry::v1::{
        Agency, Assessment, AssessmentResult, Campaign, Category, Certificate, Criterion, Document, DocumentStatus,
        Employment, Escalation, Figure, Incubation, IncubationStage, IncubationStageKind, Merge, Move, Post, Quota,
        Recognition, RecognitionKind, Registration, Station, StationType, System, Tag, TagLabel, Task, Template,
        Worker,
    },
};
use qianshou_tests::{
    Caller, Node, World,
    refusal::refused,
    sample::{
        self, TOWNSHIP, agency, assessment, campaign, category, certificate, citizen, document, employment, figure,
        incubation, merge, moving, post, quota, recognition, station, system, tag, task, template, uscc, worker,
    },
    stories,
    verbs::Noun,
};

use super::{
    a_life, end_of_life,
    input::{Fault, refuse_all},
};

stories! {
    what_is_said_of_others_lives_from_create_to_delete
    what_is_said_twice_changes_nothing
    what_is_said_wrongly_is_refused
    what_follows_is_filled_in
    what_others_are_called_by_leads_to_them
    a_station_has_its_place_in_the_tree
    what_is_not_done_in_time_is_overdue
    what_holds_on_a_day_is_listed
    a_certificate_is_registered_due_and_lapses
    what_is_for_the_nation_is_the_nations
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Records that the others refer to, by name.
struct Ground {
    agency: String,
    station: String,
    base: String,
    worker: String,
    template: String,
}

async fn ground(by: &Caller) -> Ground {
    let base = Station { r#type: Some(StationType::CityBase.into()), division: text("6401"), ..station(9) };
    let [here, base] = [by.create(station(1)).await, by.create(base).await].map(|s| s.unwrap().noun.name.unwrap());
    Ground {
        agency: by.create(agency(1)).await.unwrap().noun.name.unwrap(),
        station: here,
        base,
        worker: by.create(worker(1)).await.unwrap().noun.name.unwrap(),
        template: by.create(template(1)).await.unwrap().noun.name.unwrap(),
    }
}

async fn what_is_said_of_others_lives_from_create_to_delete(world: World) {
    let node = world.node("64").await;
    let ground = ground(&node.admin).await;
    let post = Post { employer: Some(ground.agency.clone()), ..post(1) };
    lives(&node, post, |post| post.title_link = text("社会工作师"), "title_link").await;
    let employed = Employment {
        station: Some(ground.station.clone()),
        employer: Some(ground.agency.clone()),
        ..employment(1, &ground.worker)
    };
    lives(&node, employed, |employment| employment.until = text("2024-05-01"), "until").await;
    let system_ = System { until: None, ..system(1) };
    lives(&node, system_, |system| system.until = text("2025-01-01"), "until").await;
    let incubated = incubation(1, &ground.base, &ground.agency);
    lives(&node, incubated, |incubation| incubation.until = text("2024-06-01"), "until").await;
    lives(&node, template(2), |template| template.valid_to = text("2025-01-01"), "valid_to").await;
    let assessed = assessment(1, &ground.station, &ground.template);
    lives(&node, assessed, |assessment| assessment.expires_on = text("2026-01-01"), "expires_on").await;
    let recognised = recognition(1, &ground.station);
    lives(&node, recognised, |recognition| recognition.withdrawn_on = text("2024-01-01"), "withdrawn_on").await;
    lives(&node, document(1), |document| document.url = text("https://www.example.org/1"), "url").await;
    lives(&node, tag(1), |tag| tag.until = text("2025-01-01"), "until").await;
    lives(&node, task(1), |task| task.done_on = text("2021-11-30"), "done_on").await;
    lives(&node, campaign(1), |campaign| campaign.ends_on = text("2023-09-30"), "ends_on").await;
    lives(&node, quota(1), |quota| quota.until = text("2025-01-01"), "until").await;
    lives(&node, category(1), |category| category.includes = vec!["GROUP_2".to_owned()], "includes").await;
    lives(&node, moving(&ground.agency), |moving| moving.reason = text("改派"), "reason").await;
    let other = node.admin.create(agency(2)).await.unwrap().noun.name.unwrap();
    lives(&node, merge(&ground.agency, &other), |merge| merge.reason = text("来函说明"), "reason").await;
}

async fn lives<N: Noun>(node: &Node, noun: N, change: impl Fn(&mut N), field: &str) {
    let mut noun = a_life(node, noun, change, field).await;
    let name = noun.name_mut().clone().unwrap();
    end_of_life(&node.admin, name, noun).await;
}

async fn what_is_said_twice_changes_nothing(world: World) {
    let node = world.node("64").await;
    let Ground { agency, station, base, worker, template: by } = ground(&node.admin).await;
    let numbered = |post: Post, number: &str| Post { r#ref: text(number), ..post };
    let at = |employment: Employment| Employment { station: Some(station.clone()), ..employment };
    let of = |subject: Recognition| Recognition { station: None, ..subject };
    let of_measure = |code: &str| Figure { measure: text(code), ..figure(1) };
    twice(&node, vec![task(1), task(2), Task { issued_on: text("2021-04-01"), ..task(1) }]).await;
    twice(&node, vec![campaign(1), campaign(2), Campaign { starts_on: text("2022-07-01"), ..campaign(1) }]).await;
    twice(&node, vec![figure(1), figure(2), of_measure("HOTLINE"), Figure { division: text("640105"), ..figure(1) }])
        .await;
    twice(&node, vec![quota(1), quota(2), Quota { division: text("6401"), ..quota(1) }]).await;
    twice(&node, vec![category(1), category(2), Category { division: text("6401"), ..category(1) }]).await;
    let settlement = |name: &str| Tag { label: Some(TagLabel::Relocation.into()), text: text(name), ..tag(1) };
    twice(&node, vec![post(1), post(2), numbered(post(1), "甲"), Post { employer: Some(agency.clone()), ..post(1) }])
        .await;
    twice(&node, vec![employment(1, &worker), employment(2, &worker), at(employment(1, &worker))]).await;
    twice(&node, vec![system(1), system(2), System { division: text("640104"), ..system(1) }]).await;
    twice(&node, vec![incubation(1, &base, &agency), incubation(2, &base, &agency), incubation(1, &station, &agency)])
        .await;
    twice(&node, vec![template(2), Template { edition: text("2024"), ..template(2) }]).await;
    let by_none = Assessment { template: None, results: vec![], ..assessment(1, &station, "") };
    twice(&node, vec![assessment(1, &station, &by), assessment(2, &station, &by), by_none]).await;
    let recognitions = vec![
        recognition(1, &station),
        Recognition { level: text("国家级"), ..recognition(1, &station) },
        Recognition { kind: Some(RecognitionKind::Award.into()), level: None, ..recognition(1, &station) },
        of(Recognition { agency: Some(agency), ..recognition(1, "") }),
        of(Recognition { worker: Some(worker), ..recognition(1, "") }),
    ];
    twice(&node, recognitions).await;
    let unnumbered = |title: &str| Document { number: None, title: text(title), ..document(3) };
    let by_others = Document { issuers: vec!["自治区财政厅".into()], ..document(1) };
    twice(&node, vec![document(1), by_others, unnumbered("通知一"), unnumbered("通知二")]).await;
    twice(&node, vec![tag(1), tag(2), settlement("闽宁镇"), settlement("红寺堡")]).await;
}

/// Each is new, and the same again is unchanged and written nowhere.
async fn twice<N: Noun>(node: &Node, nouns: Vec<N>) {
    let count = nouns.len();
    let first = node.admin.put(nouns.clone()).await.unwrap();
    assert!(first.iter().all(|outcome| outcome.state() == PutState::Created), "{first:?}");
    let before = node.position().await;
    let again = node.admin.put(nouns).await.unwrap();
    assert!(again.iter().all(|outcome| outcome.state() == PutState::Unchanged), "{again:?}");
    let names = |outcomes: &[qianshou_proto::common::v1::PutOutcome]| {
        outcomes.iter().map(|o| o.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!((names(&again), node.position().await, again.len()), (names(&first), before, count));
}

async fn what_is_said_wrongly_is_refused(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let Ground { agency, station, base, worker, template: by } = ground(admin).await;
    admin.create(post(1)).await.unwrap();
    admin.create(employment(1, &worker)).await.unwrap();
    admin.create(system(1)).await.unwrap();
    admin.create(incubation(1, &base, &agency)).await.unwrap();
    admin.create(assessment(1, &station, &by)).await.unwrap();
    admin.create(recognition(1, &station)).await.unwrap();
    admin.create(document(1)).await.unwrap();
    admin.create(tag(1)).await.unwrap();
    let other = admin.create(sample::agency(2)).await.unwrap().noun.name.unwrap();
    let third = admin.create(sample::agency(3)).await.unwrap().noun.name.unwrap();
    admin.create(moving(&agency)).await.unwrap();
    admin.create(merge(&agency, &other)).await.unwrap();

    admin.create(task(1)).await.unwrap();
    admin.create(campaign(1)).await.unwrap();
    admin.create(figure(1)).await.unwrap();
    admin.create(category(1)).await.unwrap();
    admin.create(quota(1)).await.unwrap();
    let tasks: [Fault<Task>; 13] = [
        (|t| t.title = None, Reason::Required, "title"),
        (|t| t.division = text("649999"), Reason::NotInList, "division"),
        (|t| t.issued_on = text("2024-06-02"), Reason::InFuture, "issued_on"),
        (|t| t.due_on = text("2021-02-28"), Reason::OutOfOrder, "due_on"),
        (|t| t.done_on = text("2021-02-28"), Reason::OutOfOrder, "done_on"),
        (|t| t.duties[0].role = None, Reason::Required, "duties[0].role"),
        (|t| t.duties[1].division = text("x"), Reason::Malformed, "duties[1].division"),
        (|t| t.duties[1] = t.duties[0].clone(), Reason::Duplicate, "duties[1].division"),
        (|t| t.duties[2].due_on = text("2021-01-01"), Reason::OutOfOrder, "duties[2].due_on"),
        (|t| t.escalations = vec![up("6401", "640104", "2022-01-05")], Reason::OutOfOrder, "escalations[0].to"),
        (|t| t.escalations = vec![up("640104", "6401", "2021-01-05")], Reason::OutOfOrder, "escalations[0].on"),
        (|t| t.escalations = vec![Escalation::default(); 201], Reason::TooMany, "escalations"),
        (|t| *t = task(1), Reason::Duplicate, "title"),
    ];
    let campaigns: [Fault<Campaign>; 7] = [
        (|c| c.title = None, Reason::Required, "title"),
        (|c| c.starts_on = text("2023-02-30"), Reason::Malformed, "starts_on"),
        (|c| c.ends_on = text("2023-06-30"), Reason::OutOfOrder, "ends_on"),
        (|c| c.measures = vec![], Reason::Required, "measures"),
        (|c| c.measures[1].code = text("入户"), Reason::Malformed, "measures[1].code"),
        (|c| c.measures[1].code = text("visits"), Reason::Duplicate, "measures[1].code"),
        (|c| *c = campaign(1), Reason::Duplicate, "title"),
    ];
    let figures: [Fault<Figure>; 8] = [
        (|f| f.campaign = None, Reason::Required, "campaign"),
        (|f| f.measure = text("a b"), Reason::Malformed, "measure"),
        (|f| f.measure = text("MEALS"), Reason::NotInList, "measure"),
        (|f| f.on = text("2023-06-30"), Reason::NotInList, "on"),
        (|f| f.value = None, Reason::Required, "value"),
        (|f| f.on = text("2024-06-02"), Reason::InFuture, "on"),
        (|f| f.division = text("649999"), Reason::NotInList, "division"),
        (|f| *f = figure(1), Reason::Duplicate, "campaign"),
    ];
    let categories: [Fault<Category>; 6] = [
        (|c| c.code = None, Reason::Required, "code"),
        (|c| c.code = text("老年"), Reason::Malformed, "code"),
        (|c| c.title = None, Reason::Required, "title"),
        (|c| c.includes = vec!["group_2".into()], Reason::Malformed, "includes"),
        (|c| c.valid_to = text("2020-12-31"), Reason::OutOfOrder, "valid_to"),
        (|c| *c = category(1), Reason::Duplicate, "code"),
    ];
    let quotas: [Fault<Quota>; 12] = [
        (|q| q.title = None, Reason::Required, "title"),
        (|q| q.division = text("649999"), Reason::NotInList, "division"),
        (|q| q.basis = None, Reason::Required, "basis"),
        (|q| q.parts = vec![], Reason::Required, "parts"),
        (|q| q.parts[0].value = None, Reason::Required, "parts[0].value"),
        (|q| q.parts[1].value = text("军队"), Reason::NotInList, "parts[1].value"),
        (|q| q.parts[1].value = text("社工机构"), Reason::Duplicate, "parts[1].value"),
        (|q| q.parts[1].share = Some(2_449), Reason::Malformed, "parts"),
        (|q| q.parts[1].share = Some(10_001), Reason::Malformed, "parts[1].share"),
        (|q| q.since = text("2021-02-30"), Reason::Malformed, "since"),
        (|q| q.until = text("2009-12-31"), Reason::OutOfOrder, "until"),
        (|q| *q = quota(1), Reason::Duplicate, "title"),
    ];
    refuse_all(admin, &quota(2), &quotas).await;
    refuse_all(admin, &task(2), &tasks).await;
    refuse_all(admin, &campaign(2), &campaigns).await;
    refuse_all(admin, &figure(2), &figures).await;
    refuse_all(admin, &category(2), &categories).await;

    let moves: [Fault<Move>; 9] = [
        (|m| m.agency = None, Reason::Required, "agency"),
        (|m| m.worker = text("nodes/64/workers/nobody"), Reason::TooMany, "worker"),
        (|m| m.agency = text("nodes/64/agencies/nobody"), Reason::ReferenceNotFound, "agency"),
        (|m| m.to = None, Reason::Required, "to"),
        (|m| m.to = text("宁夏"), Reason::Malformed, "to"),
        (|m| m.to = text("64"), Reason::Malformed, "to"),
        (|m| m.on = text("2024-06-02"), Reason::InFuture, "on"),
        (|m| m.successor = text("nodes/35/agencies/1"), Reason::ReadOnly, "successor"),
        (
            |m| *m = Move { agency: text(&format!("agencies/{}", uscc(1))), ..moving("nodes/64/") },
            Reason::Duplicate,
            "agency",
        ),
    ];
    let merges: [Fault<Merge>; 6] = [
        (|m| m.agency = None, Reason::Required, "agency"),
        (|m| m.surviving_agency = None, Reason::Required, "surviving_agency"),
        (|m| m.surviving_agency = m.agency.clone(), Reason::Malformed, "surviving_agency"),
        (|m| m.surviving_worker = text("nodes/64/workers/1"), Reason::TooMany, "surviving_worker"),
        (|m| m.surviving_agency = text("nodes/64/agencies/nobody"), Reason::ReferenceNotFound, "surviving_agency"),
        (|m| m.agency = text(&format!("agencies/{}", uscc(1))), Reason::Duplicate, "agency"),
    ];
    refuse_all(admin, &moving(&other), &moves).await;
    refuse_all(admin, &merge(&other, &third), &merges).await;

    let posts: [Fault<Post>; 11] = [
        (|p| p.display_name = None, Reason::Required, "display_name"),
        (|p| p.category = None, Reason::Required, "category"),
        (|p| p.division = None, Reason::Required, "division"),
        (|p| p.division = text("649999"), Reason::NotInList, "division"),
        (|p| p.count = Some(0), Reason::Malformed, "count"),
        (|p| p.since = text("2024-06-02"), Reason::InFuture, "since"),
        (|p| p.ended_on = text("2020-12-31"), Reason::OutOfOrder, "ended_on"),
        (|p| p.sector = Some(99), Reason::NotInList, "sector"),
        (|p| p.employer = text("nodes/64/agencies/nobody"), Reason::ReferenceNotFound, "employer"),
        (|p| p.title_link = text("职\n称"), Reason::ControlCharacter, "title_link"),
        (|p| *p = post(1), Reason::Duplicate, "display_name"),
    ];
    let employments: [Fault<Employment>; 9] = [
        (|e| e.worker = None, Reason::Required, "worker"),
        (|e| e.worker = text("nodes/64/workers/nobody"), Reason::ReferenceNotFound, "worker"),
        (|e| e.worker = Some(format!("workers/{}", citizen(99))), Reason::ReferenceNotFound, "worker"),
        (|e| e.since = None, Reason::Required, "since"),
        (|e| e.since = text("2024-06-02"), Reason::InFuture, "since"),
        (|e| e.until = text("2009-12-31"), Reason::OutOfOrder, "until"),
        (|e| e.station = text("nodes/64/posts/1"), Reason::Malformed, "station"),
        (|e| e.post = text("posts/6401/没有的岗位"), Reason::ReferenceNotFound, "post"),
        (|e| e.since = employment(1, "").since, Reason::Duplicate, "worker"),
    ];
    let systems: [Fault<System>; 9] = [
        (|s| s.division = None, Reason::Required, "division"),
        (|s| s.division = text(TOWNSHIP), Reason::Malformed, "division"),
        (|s| s.division = text("649999"), Reason::NotInList, "division"),
        (|s| s.types = vec![0], Reason::Required, "types"),
        (|s| s.types = vec![1, 99], Reason::NotInList, "types"),
        (|s| s.since = None, Reason::Required, "since"),
        (|s| s.until = text("2009-12-31"), Reason::OutOfOrder, "until"),
        (|s| s.since = system(1).since, Reason::Duplicate, "division"),
        (|s| (s.since, s.until) = (text("2009-01-01"), None), Reason::Duplicate, "division"),
    ];
    let incubations: [Fault<Incubation>; 11] = [
        (|i| i.base = None, Reason::Required, "base"),
        (|i| i.agency = None, Reason::Required, "agency"),
        (|i| i.agency = Some(format!("agencies/{}", uscc(99))), Reason::ReferenceNotFound, "agency"),
        (|i| i.stage = None, Reason::Required, "stage"),
        (|i| i.stage = Some(99), Reason::NotInList, "stage"),
        (|i| i.since = text("2023-12-02"), Reason::OutOfOrder, "stages[0].on"),
        (|i| i.stages[1].on = text("2023-11-30"), Reason::OutOfOrder, "stages[1].on"),
        (|i| i.stages[1].on = None, Reason::Required, "stages[1].on"),
        (|i| i.stages[0].stage = Some(99), Reason::NotInList, "stages[0].stage"),
        (|i| i.stages = vec![IncubationStage::default(); 201], Reason::TooMany, "stages"),
        (|i| i.since = incubation(1, "", "").since, Reason::Duplicate, "agency"),
    ];
    let templates: [Fault<Template>; 12] = [
        (|t| t.edition = None, Reason::Required, "edition"),
        (|t| t.division = None, Reason::Required, "division"),
        (|t| t.valid_from = None, Reason::Required, "valid_from"),
        (|t| t.valid_to = text("2008-12-31"), Reason::OutOfOrder, "valid_to"),
        (|t| t.criteria[0].least = Some(101), Reason::Malformed, "criteria[0].least"),
        (|t| t.criteria[0].title = text(" "), Reason::Required, "criteria[0].title"),
        (|t| t.criteria[1].weight = Some(10_001), Reason::Malformed, "criteria[1].weight"),
        (|t| t.criteria[1].code = text(" A1 "), Reason::Duplicate, "criteria[1].code"),
        (|t| t.criteria[1].code = text("A\u{7f}"), Reason::ControlCharacter, "criteria[1].code"),
        // So much at once that not all of it is told.
        (|t| t.criteria = vec![Criterion::default(); 200], Reason::Required, "criteria[0].title"),
        (|t| t.criteria = (0..200).map(endless).collect(), Reason::TooLong, "templates"),
        (|t| *t = template(1), Reason::Duplicate, "display_name"),
    ];
    let assessments: [Fault<Assessment>; 13] = [
        (|a| a.station = None, Reason::Required, "station"),
        (|a| a.template = None, Reason::Required, "template"),
        (|a| a.template = text("templates/64/没有的标准"), Reason::ReferenceNotFound, "template"),
        (|a| a.assessed_on = None, Reason::Required, "assessed_on"),
        (|a| a.assessed_on = text("2024-06-02"), Reason::InFuture, "assessed_on"),
        (|a| a.expires_on = text("2009-12-31"), Reason::OutOfOrder, "expires_on"),
        (|a| a.results[0].score = Some(101), Reason::Malformed, "results[0].score"),
        (|a| a.results[1].criterion = text("A3"), Reason::NotInList, "results[1].criterion"),
        (|a| a.results[1].criterion = text("A1"), Reason::Duplicate, "results[1].criterion"),
        (|a| a.six_haves = vec![7], Reason::NotInList, "six_haves"),
        (|a| a.none_of_six = Some(true), Reason::TooMany, "none_of_six"),
        (|a| a.assessed_on = text("2008-12-31"), Reason::NotInList, "template"),
        (|a| a.assessed_on = assessment(1, "", "").assessed_on, Reason::Duplicate, "station"),
    ];
    let recognitions: [Fault<Recognition>; 8] = [
        (|r| r.station = None, Reason::Required, "station"),
        (|r| r.agency = Some(format!("agencies/{}", uscc(1))), Reason::TooMany, "agency"),
        (|r| r.station = text("nodes/64/stations/nobody"), Reason::ReferenceNotFound, "station"),
        (|r| r.kind = None, Reason::Required, "kind"),
        (|r| r.recognised_on = None, Reason::Required, "recognised_on"),
        (|r| r.valid_until = text("2009-12-31"), Reason::OutOfOrder, "valid_until"),
        (|r| r.withdrawn_on = text("2024-06-02"), Reason::InFuture, "withdrawn_on"),
        (|r| r.recognised_on = recognition(1, "").recognised_on, Reason::Duplicate, "station"),
    ];
    let documents: [Fault<Document>; 10] = [
        (|d| d.title = None, Reason::Required, "title"),
        (|d| d.kind = None, Reason::Required, "kind"),
        (|d| d.issuers = vec![" ".into()], Reason::Required, "issuers"),
        (|d| d.issuers = (0..51).map(|n| n.to_string()).collect(), Reason::TooMany, "issuers"),
        (|d| d.issued_on = None, Reason::Required, "issued_on"),
        (|d| d.repealed_on = text("2021-04-19"), Reason::OutOfOrder, "repealed_on"),
        (|d| d.status = Some(99), Reason::NotInList, "status"),
        (|d| d.url = text("javascript:alert(1)"), Reason::Malformed, "url"),
        (|d| d.title = Some("长".repeat(4_001)), Reason::TooLong, "title"),
        (|d| d.number = document(1).number, Reason::Duplicate, "number"),
    ];
    let tags: [Fault<Tag>; 7] = [
        (|t| t.division = None, Reason::Required, "division"),
        (|t| t.label = None, Reason::Required, "label"),
        (|t| t.label = Some(TagLabel::Other.into()), Reason::Required, "text"),
        (|t| t.since = None, Reason::Required, "since"),
        (|t| t.since = text("2024-02-30"), Reason::Malformed, "since"),
        (|t| t.until = text("2009-12-31"), Reason::OutOfOrder, "until"),
        (|t| t.since = tag(1).since, Reason::Duplicate, "division"),
    ];
    let held = Certificate { registrations: registrations(), ..certificate(1, &worker) };
    let certificates: [Fault<Certificate>; 4] = [
        (|c| c.registrations[0].until = None, Reason::Required, "registrations[0].until"),
        (|c| c.registrations[0].until = text("2019-09-30"), Reason::OutOfOrder, "registrations[0].until"),
        (|c| c.registrations.swap(0, 1), Reason::OutOfOrder, "registrations[1].registered_on"),
        (|c| c.registrations[1].hours = Some(10_001), Reason::Malformed, "registrations[1].hours"),
    ];
    let before = node.ledger.head().await.unwrap();
    refuse_all(admin, &post(2), &posts).await;
    refuse_all(admin, &employment(2, &worker), &employments).await;
    refuse_all(admin, &system(2), &systems).await;
    refuse_all(admin, &incubation(2, &base, &agency), &incubations).await;
    refuse_all(admin, &template(2), &templates).await;
    refuse_all(admin, &assessment(2, &station, &by), &assessments).await;
    refuse_all(admin, &recognition(2, &station), &recognitions).await;
    refuse_all(admin, &document(2), &documents).await;
    refuse_all(admin, &tag(2), &tags).await;
    refuse_all(admin, &held, &certificates).await;
    assert_eq!(node.ledger.head().await.unwrap(), before, "nothing was written");
    for name in [&agency, &station, &base, &worker, &by] {
        let told = match name.split('/').nth(2).unwrap() {
            "agencies" => admin.delete::<Agency>(name).await,
            "stations" => admin.delete::<Station>(name).await,
            "workers" => admin.delete::<Worker>(name).await,
            _ => admin.delete::<Template>(name).await,
        };
        refused(told, Reason::StillReferenced, "name");
    }
}

/// Each is short enough, all together are not.
fn endless(n: u32) -> Criterion {
    Criterion { code: Some(n.to_string()), title: Some("长".repeat(3_000)), ..Criterion::default() }
}

fn registrations() -> Vec<Registration> {
    let registration =
        |on: &str, until: &str| Registration { registered_on: text(on), until: text(until), hours: Some(72) };
    vec![registration("2019-10-01", "2022-09-30"), registration("2022-10-01", "2025-09-30")]
}

async fn what_follows_is_filled_in(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let Ground { agency, station, base, worker, template: by } = ground(admin).await;
    let county = admin.get::<Worker>(&worker).await.unwrap().division;
    let mut divisions = vec![];
    divisions.push(admin.create(employment(1, &worker)).await.unwrap().noun.division);
    divisions.push(admin.create(incubation(1, &base, &agency)).await.unwrap().noun.division);
    divisions.push(admin.create(recognition(1, &station)).await.unwrap().noun.division);
    let award = |n| Recognition { kind: Some(RecognitionKind::Award.into()), station: None, ..recognition(n, "") };
    divisions.push(admin.create(Recognition { agency: Some(agency.clone()), ..award(1) }).await.unwrap().noun.division);
    divisions.push(admin.create(Recognition { worker: Some(worker.clone()), ..award(1) }).await.unwrap().noun.division);
    let assessed = admin.create(assessment(1, &station, &by)).await.unwrap().noun;
    divisions.push(assessed.division.clone());
    let seat = admin.get::<Agency>(&agency).await.unwrap().division;
    let [here, city] = [TOWNSHIP, "6401"].map(text);
    assert_eq!(divisions, [county.clone(), city, here.clone(), seat, county, here]);

    // 60 × 90 + 40 × 0 of 100, in hundredths; a result that changes is weighed anew, and who gives a score is not heard.
    assert_eq!(assessed.score, Some(5_400));
    assert_eq!((assessed.passed, assessed.standard()), (Some(true), "社工站建设规范1 2023"));
    let met = AssessmentResult { met: Some(true), score: None, ..assessed.results[1].clone() };
    let better = Assessment { results: vec![assessed.results[0].clone(), met], score: Some(1), ..assessed.clone() };
    assert_eq!(admin.update(better, &["results", "score"]).await.unwrap().noun.score, Some(9_400));
    let none = Assessment { name: assessed.name.clone(), ..Assessment::default() };
    let none = admin.update(none, &["results", "template"]).await.unwrap().noun;
    assert_eq!((none.score, none.passed, none.standard), (None, None, None), "no results, no score");

    assert_eq!(admin.create(Post { count: None, ..post(1) }).await.unwrap().noun.count, Some(1));
    let repealed = Document { status: None, repealed_on: text("2023-01-01"), ..document(1) };
    assert_eq!(admin.create(repealed).await.unwrap().noun.status(), DocumentStatus::Repealed);
    assert_eq!(
        admin.create(Document { status: None, ..document(2) }).await.unwrap().noun.status(),
        DocumentStatus::InForce
    );
    let out = IncubationStage { stage: Some(IncubationStageKind::Graduated.into()), on: text("2024-05-01") };
    let mut graduated = incubation(2, &base, &agency);
    graduated.stages.push(out);
    assert_eq!(admin.create(graduated).await.unwrap().noun.stage(), IncubationStageKind::Graduated);
    let held = Certificate { registrations: registrations(), ..certificate(1, &worker) };
    assert_eq!(admin.create(held).await.unwrap().noun.registered_until(), "2025-09-30");
}

async fn what_others_are_called_by_leads_to_them(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let Ground { agency, station, worker, template: by, .. } = ground(admin).await;
    let held = admin.create(post(0)).await.unwrap().noun;
    let called = Employment {
        employer: Some(format!("agencies/{}", uscc(1))),
        station: text("stations/640104/掌政镇社工站1"),
        post: text("posts/6401/社会工作岗0"),
        ..employment(1, &format!("workers/{}", citizen(1)))
    };
    let kept = admin.create(called.clone()).await.unwrap().noun;
    assert_eq!(
        (kept.worker, kept.employer, kept.station, kept.post),
        (Some(worker.clone()), Some(agency), Some(station.clone()), held.name)
    );
    assert_eq!(admin.put(vec![called]).await.unwrap()[0].state(), PutState::Unchanged);
    let assessed = assessment(1, "stations/64/掌政镇社工站1", "templates/64/社工站建设规范1");
    let assessed = admin.create(assessed).await.unwrap().noun;
    assert_eq!((assessed.station, assessed.template), (Some(station), Some(by)));
    let praised = Recognition { worker: Some(format!("workers/{}", citizen(1))), station: None, ..recognition(1, "") };
    assert_eq!(admin.create(praised).await.unwrap().noun.worker, Some(worker));
    // Of two editions under one name the name alone does not say which.
    admin.create(Template { edition: text("2024"), ..template(1) }).await.unwrap();
    let unclear = assessment(2, "stations/64/掌政镇社工站1", "templates/64/社工站建设规范1");
    refused(admin.create(unclear).await, Reason::ReferenceNotFound, "template");
}

async fn a_station_has_its_place_in_the_tree(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let of = |n, kind: StationType, division: &str| Station {
        r#type: Some(kind.into()),
        division: text(division),
        ..station(n)
    };
    let base = admin.create(of(1, StationType::CityBase, "6401")).await.unwrap().noun;
    let centre = Station { parent: base.name.clone(), ..of(2, StationType::CountyCentre, "640104") };
    let centre = admin.create(centre).await.unwrap().noun;
    let below = Station {
        parent: text("stations/6401/掌政镇社工站2"),
        host: text("掌政镇人民政府"),
        planned_on: text("2020-10-01"),
        building_since: text("2021-01-01"),
        ..station(3)
    };
    let below = admin.create(below).await.unwrap().noun;
    assert_eq!(below.parent, centre.name);
    let faults: [Fault<Station>; 3] = [
        (|s| s.parent = text("stations/6401/掌政镇社工站3"), Reason::NotInList, "parent"),
        (|s| s.building_since = text("2020-09-30"), Reason::OutOfOrder, "building_since"),
        (|s| s.opened_on = text("2020-12-31"), Reason::OutOfOrder, "opened_on"),
    ];
    refuse_all(admin, &Station { name: None, etag: None, display_name: text("另一站"), ..below.clone() }, &faults)
        .await;
    let circle = Station { parent: below.name.clone(), ..centre.clone() };
    refused(admin.update(circle, &["parent"]).await, Reason::NotInList, "parent");
    let itself = Station { parent: base.name.clone(), ..base.clone() };
    refused(admin.update(itself, &["parent"]).await, Reason::NotInList, "parent");
    refused(admin.delete::<Station>(centre.name()).await, Reason::StillReferenced, "name");
    let renamed = Agency { aliases: vec!["塞上社工".into(), " ".into(), "塞上社工".into()], ..agency(1) };
    assert_eq!(admin.create(renamed).await.unwrap().noun.aliases, ["塞上社工"], "each once");
}

fn up(from: &str, to: &str, on: &str) -> Escalation {
    Escalation { from: text(from), to: text(to), on: text(on), reason: None }
}

async fn what_is_not_done_in_time_is_overdue(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let late = Task { due_on: text("2024-06-30"), escalations: vec![up(TOWNSHIP, "640104", "2024-05-01")], ..task(1) };
    admin.put(vec![late, Task { done_on: text("2021-11-30"), ..task(2) }]).await.unwrap();
    let over = Campaign { ends_on: text("2024-05-31"), ..campaign(1) };
    admin.put(vec![over, campaign(2)]).await.unwrap();
    let on = |state: &str, at: &str| ListQuery { state: text(state), at: text(at), ..ListQuery::default() };
    for (at, [open, overdue, done]) in [("2024-06-30", [1, 0, 1]), ("2024-07-01", [0, 1, 1])] {
        for (state, found) in [("OPEN", open), ("OVERDUE", overdue), ("DONE", done)] {
            assert_eq!(admin.list_all::<Task>(on(state, at)).await.len(), found, "{state} {at}");
        }
    }
    for (at, standing, over) in [("2024-05-31", 2, 0), ("2024-06-01", 1, 1)] {
        let count = async |state: &str| admin.list_all::<Campaign>(on(state, at)).await.len();
        assert_eq!((count("STANDING").await, count("OVER").await), (standing, over), "{at}");
    }
    // What a campaign counts is counted: from zero up, by its measures, at every level.
    let more = Figure { measure: text("HOTLINE"), on: text("2023-08-01"), ..figure(5) };
    let there = Figure { division: text("640202"), on: text("2023-07-15"), ..figure(7) };
    admin
        .put(vec![
            Figure { on: text("2023-07-01"), ..figure(0) },
            Figure { on: text("2023-07-02"), ..figure(3) },
            more,
            there,
        ])
        .await
        .unwrap();
    let told = ["campaign_figure", "campaign_figure[measure=VISITS]", "campaign_figure[measure=HOTLINE]"];
    assert_eq!(crate::reporting::figures(admin, "64", "2023-12-31", &told).await, ["CELL_STATUS_MISSING", "10", "5"]);
    let by_place = ["campaign_figure[campaign=汛期应急服务1]"];
    assert_eq!(crate::reporting::figures(admin, "64", "2023-12-31", &by_place).await, ["CELL_STATUS_MISSING"]);
    assert_eq!(crate::reporting::figures(admin, "640104", "2023-07-31", &told[..1]).await, ["3"]);
}

async fn what_holds_on_a_day_is_listed(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let during = |n, since: &str, until: &str| Tag {
        division: text(["640424", "640423", "640422"][n]),
        since: text(since),
        until: text(until).filter(|day| !day.is_empty()),
        ..tag(0)
    };
    let tags =
        [during(0, "2016-01-01", "2021-01-01"), during(0, "2021-08-27", ""), during(1, "2021-08-27", "2023-01-01")];
    admin.put(tags.to_vec()).await.unwrap();
    let count = async |asked: ListQuery| admin.list_all::<Tag>(asked).await.len();
    let on = |day: &str| ListQuery { at: text(day), ..ListQuery::default() };
    for (day, found) in [("2015-12-31", 0), ("2020-12-31", 1), ("2021-01-01", 0), ("2022-01-01", 2), ("2023-01-01", 1)]
    {
        assert_eq!(count(on(day)).await, found, "{day}");
    }
    assert_eq!(count(ListQuery { area: text("640424"), ..on("2022-01-01") }).await, 1);
    assert_eq!(count(ListQuery { state: text("GONE"), ..ListQuery::default() }).await, 2);
    let editions = [
        Template { valid_to: text("2024-01-01"), ..template(1) },
        Template { edition: text("2024"), valid_from: text("2024-01-01"), ..template(1) },
    ];
    admin.put(editions.to_vec()).await.unwrap();
    let listed = admin.list_all::<Template>(on("2023-12-31")).await;
    assert_eq!(listed.iter().map(Template::edition).collect::<Vec<_>>(), ["2023"]);
    refused(admin.list::<Post>(on("2023-12-31")).await, Reason::UnknownField, "at");
}

async fn a_certificate_is_registered_due_and_lapses(world: World) {
    let node = world.node("64").await;
    let admin = &node.admin;
    let holder = admin.create(worker(1)).await.unwrap().noun.name.unwrap();
    let registration =
        |from: &str, until: &str| Registration { registered_on: text(from), until: text(until), hours: Some(72) };
    let issued = |n: u32, registrations: Vec<Registration>| Certificate {
        issued_on: text("2023-09-10"),
        registered_until: None,
        registrations,
        ..certificate(n, &holder)
    };
    let first = registration("2023-10-01", "2024-07-30");
    let certificates = vec![
        issued(1, vec![]),
        issued(2, vec![first.clone()]),
        issued(3, vec![first, registration("2024-05-01", "2027-04-30")]),
        Certificate { revoked_on: text("2024-01-01"), ..issued(4, vec![]) },
    ];
    let numbers: Vec<String> = certificates.iter().map(|c| c.number().to_owned()).collect();
    admin.put(certificates).await.unwrap();
    let listed = async |state: &str, at: &str| {
        let at = text(at).filter(|at| !at.is_empty());
        let asked = ListQuery { state: text(state), at, ..ListQuery::default() };
        let found = admin.list_all::<Certificate>(asked).await;
        let of = |c: &Certificate| numbers.iter().position(|number| number == c.number()).unwrap() + 1;
        found.iter().map(|c| of(c).to_string()).collect::<BTreeSet<_>>().into_iter().collect::<String>()
    };
    for (at, [fresh, registered, again, due, lapsed, revoked]) in [
        ("2024-04-30", ["1", "2", "3", "", "", "4"]),
        // Today is the first of June.
        ("", ["1", "", "3", "2", "", "4"]),
        ("2024-07-30", ["1", "", "3", "2", "", "4"]),
        ("2024-07-31", ["1", "", "3", "", "2", "4"]),
        ("2024-09-09", ["", "", "3", "1", "2", "4"]),
        ("2027-05-01", ["", "", "", "1", "23", "4"]),
    ] {
        let states = ["ISSUED", "REGISTERED", "RE_REGISTERED", "DUE", "LAPSED", "REVOKED"];
        for (state, found) in states.into_iter().zip([fresh, registered, again, due, lapsed, revoked]) {
            assert_eq!(listed(state, at).await, found, "{state} {at}");
        }
    }
}

async fn what_is_for_the_nation_is_the_nations(world: World) {
    let [nation, ningxia] = [world.node("00").await, world.node("64").await];
    let policy = Document { division: text("00"), ..document(1) };
    nation.admin.create(policy.clone()).await.unwrap();
    nation.admin.create(Template { division: text("00"), ..template(1) }).await.unwrap();
    refused(ningxia.admin.create(policy).await, Reason::NotInList, "division");
    assert_eq!(
        nation.admin.list_all::<Document>(ListQuery { area: text("00"), ..ListQuery::default() }).await.len(),
        1
    );
}
