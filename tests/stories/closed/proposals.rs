//! Proposals: what touches another area's record is asked of that area, counts nothing until it is accepted, and is then written by the
//! ordinary verb. Whom it does not concern does not see it, and making one answers nothing about what lies elsewhere.

use std::collections::BTreeMap;

use prost_types::FieldMask;
use qianshou::{
    backup::{self, Asked},
    node::kinds,
};
use qianshou_kernel::{clock::Clock, config::Config, db::Db, error::Reason, identity::Role, kind::ListQuery};
use qianshou_proto::registry::v1::{
    self as api, Certificate, Employment, Merge, Move, Proposal, ProposalAct as Act, ProposalDecision as Decision,
    ProposalState as State, Recognition, Station, Worker, proposal::Record,
};
use qianshou_tests::{
    Caller, Database, Node, World,
    refusal::refused,
    sample::{assessment, certificate, citizen, employment, recognition, station, template},
    stories,
    world::DAY_MS,
};
use tonic::Status;

use super::county::{HERE, THERE, editors, registered, whole_table};

stories! {
    each_kind_is_accepted_refused_or_withdrawn
    a_change_and_an_end_are_proposed_too
    strangers_see_nothing
    a_proposal_answers_nothing_about_what_lies_elsewhere
    silence_and_dispute_go_to_the_area_above
    what_changed_meanwhile_is_looked_at_when_it_is_accepted
    a_proposal_stays_at_home
    a_clerk_decides_at_the_command_line
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn asking(to: &str, act: Act, record: Record) -> Proposal {
    Proposal {
        to_area: text(to),
        act: Some(act.into()),
        record: Some(record),
        reason: text("两地商定"),
        ..Proposal::default()
    }
}

async fn ask(by: &Caller, proposal: Proposal) -> Result<Proposal, Status> {
    let asked = api::CreateProposalRequest { proposal: Some(proposal), ..Default::default() };
    Ok(by.registry().create_proposal(asked).await?.into_inner().proposal.unwrap())
}

/// Asks the county over there for a new record.
async fn asked(by: &Caller, record: Record) -> Proposal {
    ask(by, asking(THERE, Act::Create, record)).await.unwrap()
}

async fn decide(by: &Caller, name: &str, decision: Decision) -> Result<Proposal, Status> {
    let asked = api::DecideProposalRequest {
        name: text(name),
        decision: Some(decision.into()),
        reason: text("已核对").filter(|_| decision != Decision::Accept),
    };
    Ok(by.registry().decide_proposal(asked).await?.into_inner().proposal.unwrap())
}

async fn read(by: &Caller, name: &str) -> Result<Proposal, Status> {
    let asked = api::GetProposalRequest { name: text(name) };
    Ok(by.registry().get_proposal(asked).await?.into_inner().proposal.unwrap())
}

/// The names of the proposals that somebody sees, page by page.
async fn listed(by: &Caller, state: Option<State>, to_decide: bool) -> Vec<String> {
    let (mut names, mut page_token) = (vec![], None);
    loop {
        let state = state.map(i32::from);
        let asked = api::ListProposalsRequest { page_size: Some(2), page_token, state, to_decide: Some(to_decide) };
        let page = by.registry().list_proposals(asked).await.unwrap().into_inner();
        names.extend(page.proposals.iter().map(|proposal| proposal.name().to_owned()));
        page_token = page.next_page_token;
        if page_token.is_none() {
            return names;
        }
    }
}

/// What both counties count.
async fn tables(node: &Node) -> [BTreeMap<String, String>; 2] {
    [whole_table(&node.admin, HERE).await, whole_table(&node.admin, THERE).await]
}

/// People and stations of both counties.
struct Scene {
    node: Node,
    here: Caller,
    there: Caller,
    city: Caller,
    own: String,
    theirs: String,
    their_station: String,
    template: String,
}

impl Scene {
    async fn of(world: &World) -> Self {
        let node = world.node("64").await;
        let [here, there, city] = editors(&node).await;
        let own = here.create(registered(1, HERE)).await.unwrap().noun.name.unwrap();
        let theirs = there.create(registered(2, THERE)).await.unwrap().noun.name.unwrap();
        let place = Station { division: text("640122100"), ..station(1) };
        let their_station = there.create(place).await.unwrap().noun.name.unwrap();
        let template = node.admin.create(template(1)).await.unwrap().noun.name.unwrap();
        Self { node, here, there, city, own, theirs, their_station, template }
    }

    /// A new record of each kind that touches the other county.
    fn records(&self) -> Vec<Record> {
        let division = text(HERE);
        vec![
            Record::Employment(Employment { division: division.clone(), ..employment(1, &self.theirs) }),
            Record::Certificate(Certificate { division: division.clone(), ..certificate(1, &self.theirs) }),
            Record::Recognition(Recognition { division, ..recognition(1, &self.their_station) }),
            Record::Assessment(assessment(1, &self.their_station, &self.template)),
            Record::Merge(Merge { worker: text(&self.theirs), surviving_worker: text(&self.own), ..Merge::default() }),
            Record::Move(Move {
                worker: text(&self.theirs),
                to: text("35"),
                on: text("2024-01-01"),
                ..Move::default()
            }),
        ]
    }

    /// What the record's ordinary verb answers to the other county's editor.
    async fn directly(&self, record: &Record) -> Result<(), Status> {
        match record.clone() {
            Record::Employment(noun) => self.here.create(noun).await.map(drop),
            Record::Certificate(noun) => self.here.create(noun).await.map(drop),
            Record::Recognition(noun) => self.here.create(noun).await.map(drop),
            Record::Assessment(noun) => self.here.create(noun).await.map(drop),
            Record::Merge(noun) => self.here.create(noun).await.map(drop),
            Record::Move(noun) => self.here.create(noun).await.map(drop),
            Record::Worker(noun) => self.here.create(noun).await.map(drop),
        }
    }
}

async fn each_kind_is_accepted_refused_or_withdrawn(world: World) {
    let scene = Scene::of(&world).await;
    let (before, position) = (tables(&scene.node).await, scene.node.position().await);
    let mut open = vec![];
    for record in scene.records() {
        let told = scene.directly(&record).await.expect_err("it touches the other county");
        assert!(told.message().contains("CreateProposal"), "{told:?}");
        let [taken, refused_, withdrawn] = [
            asked(&scene.here, record.clone()).await,
            asked(&scene.here, record.clone()).await,
            asked(&scene.here, record).await,
        ];
        assert_eq!((taken.from_area(), taken.to_area(), taken.state()), (HERE, THERE, State::Proposed));
        assert_eq!((taken.proposed_on(), taken.due_on()), ("2024-06-01", "2024-06-17"), "over Dragon Boat");
        assert!(!taken.due_provisional() && !taken.escalated());
        let said = decide(&scene.there, refused_.name(), Decision::Refuse).await.unwrap();
        assert_eq!((said.state(), said.decided_by(), said.decision_reason()), (State::Refused, THERE, "已核对"));
        let back = decide(&scene.here, withdrawn.name(), Decision::Withdraw).await.unwrap();
        assert_eq!(back.state(), State::Withdrawn);
        refused(decide(&scene.there, withdrawn.name(), Decision::Accept).await, Reason::StaleVersion, "name");
        // Nobody answers for the other side.
        refused(decide(&scene.here, taken.name(), Decision::Accept).await, Reason::AreaForbidden, "name");
        refused(decide(&scene.there, taken.name(), Decision::Withdraw).await, Reason::AreaForbidden, "name");
        open.push(taken);
    }
    assert_eq!(scene.node.position().await, position, "nothing is in the ledger");
    assert_eq!(tables(&scene.node).await, before, "and nothing counts");
    // Ids sort by the time they were made; here the clock stands.
    let mut names: Vec<String> = open.iter().map(|proposal| proposal.name().to_owned()).collect();
    names.sort();
    assert_eq!(listed(&scene.there, None, true).await, names, "six to decide, three a kind in all");
    assert_eq!(listed(&scene.here, None, true).await.len(), 0);
    assert_eq!(listed(&scene.here, Some(State::Proposed), false).await, names);
    assert_eq!(listed(&scene.there, None, false).await.len(), 18);

    for proposal in &open {
        let name = proposal.name();
        let taken = decide(&scene.there, name, Decision::Accept).await.unwrap();
        assert_eq!((taken.state(), taken.decided_by()), (State::Accepted, THERE));
        assert!(taken.written().starts_with("nodes/64/"), "{taken:?}");
        assert_eq!(read(&scene.here, name).await.unwrap(), taken);
        refused(decide(&scene.there, name, Decision::Accept).await, Reason::StaleVersion, "name");
    }
    assert_eq!(scene.node.position().await, position + 6, "each is one entry, by the ordinary verb");
    let served = scene.city.list_all::<Employment>(ListQuery::default()).await;
    assert_eq!((served.len(), served[0].worker.as_deref()), (1, Some(scene.theirs.as_str())));
    assert_ne!(tables(&scene.node).await, before);
    scene.node.counts_right().await;
}

/// A worker who serves at the other county's station, and goes there; and what both agreed on is taken back by both.
async fn a_change_and_an_end_are_proposed_too(world: World) {
    let scene = Scene::of(&world).await;
    let change = |paths: &[&str], to: &str, worker: Worker| Proposal {
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..asking(to, Act::Update, Record::Worker(worker))
    };
    let own = Worker { name: text(&scene.own), ..Worker::default() };
    let at_station = Worker { station: text(&scene.their_station), division: text("640106"), ..own.clone() };
    let serving = ask(&scene.here, change(&["station"], THERE, at_station)).await.unwrap();
    let Some(Record::Worker(said)) = &serving.record else { panic!("{serving:?}") };
    assert_eq!(said.division, None, "what the mask does not name is not said");
    decide(&scene.there, serving.name(), Decision::Accept).await.unwrap();
    assert_eq!(scene.here.get::<Worker>(&scene.own).await.unwrap().station.as_deref(), Some(&*scene.their_station));

    let gone = change(&["division"], THERE, Worker { division: text("640122100"), ..own.clone() });
    let gone = ask(&scene.here, gone).await.unwrap();
    decide(&scene.there, gone.name(), Decision::Accept).await.unwrap();
    let there = scene.there.get::<Worker>(&scene.own).await.unwrap();
    assert_eq!(there.division(), "640122100");
    assert!(there.full_name.is_some(), "the number and all else stay");
    refused(scene.here.get::<Worker>(&scene.own).await, Reason::AreaForbidden, "name");

    let served = Employment { division: text(HERE), ..employment(1, &scene.theirs) };
    let served = asked(&scene.here, Record::Employment(served)).await;
    let served = decide(&scene.there, served.name(), Decision::Accept).await.unwrap();
    refused(scene.here.delete::<Employment>(served.written()).await, Reason::AreaForbidden, "worker");
    let named = Employment { name: served.written.clone(), ..Employment::default() };
    let end = ask(&scene.here, asking(THERE, Act::Delete, Record::Employment(named))).await.unwrap();
    decide(&scene.there, end.name(), Decision::Accept).await.unwrap();
    refused(scene.city.get::<Employment>(served.written()).await, Reason::NotFound, "name");

    // What is no proposal.
    let own_only = Record::Employment(employment(2, &scene.own));
    refused(ask(&scene.here, asking(HERE, Act::Create, own_only.clone())).await, Reason::Malformed, "to_area");
    refused(ask(&scene.here, asking("35", Act::Create, own_only.clone())).await, Reason::NotInList, "to_area");
    refused(ask(&scene.here, asking("640199", Act::Create, own_only.clone())).await, Reason::NotInList, "to_area");
    refused(ask(&scene.here, asking(THERE, Act::Unspecified, own_only)).await, Reason::Required, "act");
    let new = Record::Worker(Worker { id_number: None, ..registered(3, THERE) });
    refused(ask(&scene.here, asking(THERE, Act::Create, new)).await, Reason::NotInList, "act");
    let numbered = change(&["station"], THERE, Worker { id_number: text(&citizen(1)), ..own.clone() });
    refused(ask(&scene.here, numbered).await, Reason::Malformed, "id_number");
    let told = Proposal { reason: text(&format!("即{}", citizen(1))), ..change(&["until"], THERE, own.clone()) };
    refused(ask(&scene.here, told).await, Reason::Malformed, "reason");
    refused(ask(&scene.here, asking(THERE, Act::Update, Record::Worker(own))).await, Reason::Required, "update_mask");
    let undated = Employment { since: None, ..employment(3, &scene.theirs) };
    let undated = ask(&scene.here, asking(THERE, Act::Create, Record::Employment(undated))).await;
    refused(undated, Reason::Required, "since");
    scene.node.counts_right().await;
}

async fn strangers_see_nothing(world: World) {
    let scene = Scene::of(&world).await;
    let made = asked(&scene.here, scene.records().remove(0)).await;
    let nowhere = "nodes/64/proposals/0190a3c1-0000-7000-8000-000000000000";
    for area in ["640106", "6402", "640122100", "640104100"] {
        let stranger = scene.node.caller(Role::Editor, area).await;
        assert!(listed(&stranger, None, false).await.is_empty(), "{area}");
        for name in [made.name(), nowhere] {
            refused(read(&stranger, name).await, Reason::NotFound, "name");
            for decision in [Decision::Accept, Decision::Refuse, Decision::Withdraw, Decision::Dispute] {
                refused(decide(&stranger, name, decision).await, Reason::NotFound, "name");
            }
        }
        let [told, said] = [read(&stranger, made.name()).await, read(&stranger, nowhere).await];
        assert_eq!(told.unwrap_err().message(), said.unwrap_err().message(), "as if there were none");
    }
    let reader = scene.node.caller(Role::Reader, THERE).await;
    assert_eq!(read(&reader, made.name()).await.unwrap(), made);
    refused(decide(&reader, made.name(), Decision::Accept).await, Reason::Forbidden, "");
    for above in ["6401", "64"] {
        let above = scene.node.caller(Role::Reader, above).await;
        assert_eq!(listed(&above, None, false).await, [made.name()]);
    }
}

/// Somebody who is there, somebody who is elsewhere, and nobody at all are answered alike.
async fn a_proposal_answers_nothing_about_what_lies_elsewhere(world: World) {
    let scene = Scene::of(&world).await;
    scene.there.delete::<Worker>(&scene.theirs).await.unwrap();
    let theirs = scene.there.create(registered(2, THERE)).await.unwrap().noun.name.unwrap();
    let elsewhere = scene.city.create(registered(3, "640106")).await.unwrap().noun.name.unwrap();
    let nobody = "nodes/64/workers/0190a3c1-0000-7000-8000-000000000000";
    let plain = |proposal: Proposal| Proposal { name: None, record: None, ..proposal };
    let mut answers = vec![];
    for worker in [theirs.as_str(), &elsewhere, &scene.theirs, nobody] {
        let served = Record::Employment(Employment { division: text(HERE), ..employment(1, worker) });
        let merged = Merge { worker: text(worker), surviving_worker: text(&scene.own), ..Merge::default() };
        let changed = Worker { name: text(worker), until: text("2024-01-01"), ..Worker::default() };
        let change = Proposal {
            update_mask: Some(FieldMask { paths: vec!["until".to_owned()] }),
            ..asking(THERE, Act::Update, Record::Worker(changed))
        };
        answers.push([
            plain(asked(&scene.here, served).await),
            plain(asked(&scene.here, Record::Merge(merged)).await),
            plain(ask(&scene.here, change).await.unwrap()),
        ]);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // By number only one's own are found; the others are refused in one way, and counted.
    let by_number = async |n: u32| {
        let served = Employment { division: text(HERE), ..employment(1, &format!("workers/{}", citizen(n))) };
        ask(&scene.here, asking(THERE, Act::Create, Record::Employment(served))).await
    };
    let own = by_number(1).await.unwrap();
    let Some(Record::Employment(own)) = own.record else { panic!("{own:?}") };
    assert_eq!(own.worker.as_deref(), Some(&*scene.own), "the number is not kept");
    for n in [2, 3, 99] {
        let told = by_number(n).await;
        assert!(!told.as_ref().unwrap_err().message().contains(&citizen(n)));
        assert_eq!(told.as_ref().unwrap_err().message(), by_number(98).await.unwrap_err().message());
        refused(told, Reason::ReferenceNotFound, "worker");
    }

    // A station by its title stays as it is written, whether it is there or not, and is looked up by who accepts.
    let by_title = |title: &str| {
        let at = format!("stations/640122/{title}");
        Record::Recognition(recognition(1, &at))
    };
    let [there, not] = [asked(&scene.here, by_title("掌政镇社工站1")).await, asked(&scene.here, by_title("无")).await];
    assert_eq!(plain(there.clone()), plain(not.clone()));
    refused(decide(&scene.there, not.name(), Decision::Accept).await, Reason::ReferenceNotFound, "station");
    let taken = decide(&scene.there, there.name(), Decision::Accept).await.unwrap();
    let praised = scene.there.get::<Recognition>(taken.written()).await.unwrap();
    assert_eq!(praised.station.as_deref(), Some(&*scene.their_station));
    // Only asking answers the same and leaves nothing.
    let count = listed(&scene.here, None, false).await.len();
    let dry = api::CreateProposalRequest {
        proposal: Some(asking(THERE, Act::Create, by_title("无"))),
        validate_only: Some(true),
        ..Default::default()
    };
    let dry = scene.here.registry().create_proposal(dry).await.unwrap().into_inner().proposal.unwrap();
    assert_eq!((dry.name.clone(), plain(dry)), (None, plain(not)));
    let repeated = api::CreateProposalRequest {
        proposal: Some(asking(THERE, Act::Create, by_title("无"))),
        request_id: text("once"),
        validate_only: None,
    };
    let [first, again] = [repeated.clone(), repeated.clone()];
    let first = scene.here.registry().create_proposal(first).await.unwrap().into_inner();
    assert_eq!(scene.here.registry().create_proposal(again).await.unwrap().into_inner(), first);
    let other = api::CreateProposalRequest { validate_only: Some(true), ..repeated };
    refused(scene.here.registry().create_proposal(other).await, Reason::RequestIdReused, "request_id");
    assert_eq!(listed(&scene.here, None, false).await.len(), count + 1);
}

async fn silence_and_dispute_go_to_the_area_above(world: World) {
    let scene = Scene::of(&world).await;
    let mut records = scene.records();
    let silent = asked(&scene.here, records.remove(0)).await;
    let contested = asked(&scene.here, records.remove(0)).await;
    refused(decide(&scene.city, silent.name(), Decision::Accept).await, Reason::AreaForbidden, "name");
    assert!(listed(&scene.city, None, true).await.is_empty());

    // A refusal that is disputed goes up at once; the one that refused has had its say.
    refused(decide(&scene.here, contested.name(), Decision::Dispute).await, Reason::StaleVersion, "name");
    decide(&scene.there, contested.name(), Decision::Refuse).await.unwrap();
    let disputed = decide(&scene.here, contested.name(), Decision::Dispute).await.unwrap();
    assert!(disputed.disputed() && disputed.escalated(), "{disputed:?}");
    assert_eq!(listed(&scene.city, None, true).await, [contested.name()]);
    assert_eq!(listed(&scene.there, None, true).await, [silent.name()]);
    refused(decide(&scene.there, contested.name(), Decision::Accept).await, Reason::AreaForbidden, "name");
    let said = decide(&scene.city, contested.name(), Decision::Refuse).await.unwrap();
    assert_eq!((said.state(), said.decided_by()), (State::Refused, "6401"));
    refused(decide(&scene.here, contested.name(), Decision::Dispute).await, Reason::StaleVersion, "name");

    // 2024-06-17 is the last day; it is noon in China.
    world.clock.advance(16 * DAY_MS);
    assert!(!read(&scene.here, silent.name()).await.unwrap().escalated());
    world.clock.advance(DAY_MS);
    let late = read(&scene.there, silent.name()).await.unwrap();
    assert!(late.escalated() && late.state() == State::Proposed, "{late:?}");
    assert_eq!(listed(&scene.city, None, true).await, [silent.name()]);
    assert_eq!(listed(&scene.there, None, true).await, [silent.name()], "the area itself still may");
    let taken = decide(&scene.city, silent.name(), Decision::Accept).await.unwrap();
    assert_eq!((taken.state(), taken.decided_by(), taken.escalated()), (State::Accepted, "6401", false));
    scene.node.counts_right().await;
}

async fn what_changed_meanwhile_is_looked_at_when_it_is_accepted(world: World) {
    let scene = Scene::of(&world).await;
    let before = tables(&scene.node).await;
    let serving =
        |n: u32, worker: &str| Record::Employment(Employment { division: text(HERE), ..employment(n, worker) });
    let held = asked(&scene.here, serving(1, &scene.theirs)).await;
    // In another county by now: neither side answers for it, the area above does when it is its turn.
    let away = Worker { name: text(&scene.theirs), division: text("640106"), ..Worker::default() };
    scene.city.update(away.clone(), &["division"]).await.unwrap();
    refused(decide(&scene.there, held.name(), Decision::Accept).await, Reason::AreaForbidden, "worker");
    scene.city.update(Worker { division: text(THERE), ..away }, &["division"]).await.unwrap();
    let gone = scene.there.create(registered(5, THERE)).await.unwrap().noun.name.unwrap();
    let lost = asked(&scene.here, serving(2, &gone)).await;
    scene.there.delete::<Worker>(&gone).await.unwrap();
    refused(decide(&scene.there, lost.name(), Decision::Accept).await, Reason::ReferenceNotFound, "worker");
    let read_then = scene.here.get::<Worker>(&scene.own).await.unwrap();
    let station = Worker { station: text(&scene.their_station), name: text(&scene.own), ..Worker::default() };
    let stale = ask(
        &scene.here,
        Proposal {
            update_mask: Some(FieldMask { paths: vec!["station".to_owned()] }),
            ..asking(THERE, Act::Update, Record::Worker(Worker { etag: read_then.etag, ..station }))
        },
    )
    .await
    .unwrap();
    let until = Worker { name: text(&scene.own), until: text("2024-05-01"), ..Worker::default() };
    scene.here.update(until, &["until"]).await.unwrap();
    refused(decide(&scene.there, stale.name(), Decision::Accept).await, Reason::StaleVersion, "etag");
    // Refused, each stands as before; and what holds again is accepted.
    for name in [held.name(), lost.name(), stale.name()] {
        let proposal = read(&scene.there, name).await.unwrap();
        assert_eq!((proposal.state(), proposal.decided_on.as_deref()), (State::Proposed, None));
    }
    assert_eq!(tables(&scene.node).await[1], before[1]);
    decide(&scene.there, held.name(), Decision::Accept).await.unwrap();
    let twice = asked(&scene.here, serving(3, &scene.theirs)).await;
    let Record::Employment(same) = serving(3, &scene.theirs) else { unreachable!() };
    scene.city.create(same).await.unwrap();
    refused(decide(&scene.there, twice.name(), Decision::Accept).await, Reason::Duplicate, "worker");

    // Two who decide at once: one does.
    let one = asked(&scene.here, serving(4, &scene.theirs)).await;
    let (taken, back) = tokio::join!(
        decide(&scene.there, one.name(), Decision::Accept),
        decide(&scene.here, one.name(), Decision::Withdraw)
    );
    assert!(taken.is_ok() != back.is_ok(), "{taken:?} {back:?}");
    let written = scene.city.list_all::<Employment>(ListQuery::default()).await.len();
    assert_eq!(written, 2 + usize::from(taken.is_ok()), "what was withdrawn was not written");
    scene.node.counts_right().await;
}

/// No kind of the ledger, so nothing that is fed, sent or exported; in the database and its backups.
async fn a_proposal_stays_at_home(world: World) {
    assert!(kinds().iter().all(|kind| kind.collection != "proposals" && !kind.message.ends_with(".Proposal")));
    let scene = Scene::of(&world).await;
    let position = scene.node.position().await;
    let mut names = vec![];
    for record in scene.records() {
        names.push(asked(&scene.here, record).await.name.unwrap());
    }
    names.sort();
    decide(&scene.there, &names[0], Decision::Refuse).await.unwrap();
    assert_eq!(scene.node.position().await, position);

    let folder = scene.node.folder.clone();
    let resting = scene.node.rest().await;
    let safe = world.folder("safe").join("backup");
    backup::take(&folder.join("node.toml"), &safe, &[], &Clock::system()).await.unwrap();
    let (to, url) = (world.folder("restored").join("64"), world.empty_database("restored").await);
    let database = (world.database == Database::Postgres).then_some(url.as_str());
    backup::restore(Asked {
        directory: &safe,
        to: &to,
        database,
        identity: None,
        may_be_unsigned: false,
        erasures: None,
    })
    .await
    .unwrap();
    let restored = Config::load(&to.join("node.toml")).unwrap();
    let db = Db::open(&restored.database_url().unwrap(), &to, 1, 2).await.unwrap();
    let rows = db.fetch("SELECT name, state FROM registry_proposals ORDER BY name", vec![]).await.unwrap();
    let kept: Vec<String> = rows.iter().map(|row| row.text(0).unwrap()).collect();
    assert_eq!((kept, rows[0].text(1).unwrap().as_str()), (names.clone(), "REFUSED"));
    db.close().await;

    let node = resting.open().await;
    assert_eq!(listed(&node.caller(Role::Editor, THERE).await, None, true).await, names[1..]);
}

async fn a_clerk_decides_at_the_command_line(world: World) {
    let scene = Scene::of(&world).await;
    let mut records = scene.records().into_iter();
    let mut next = async || asked(&scene.here, records.next().unwrap()).await.name.unwrap();
    let [one, two, three] = [next().await, next().await, next().await];
    let mut all = [&*one, &*two, &*three];
    all.sort_unstable();
    let there = world.desk(&scene.node, Role::Editor, THERE).await;
    let here = world.desk(&scene.node, Role::Editor, HERE).await;
    let list = there.run(&["proposal", "list", "--to-decide", "--json"]).await.json();
    assert_eq!(list.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect::<Vec<_>>(), all);
    let shown = there.run(&["proposal", "show", &one]).await;
    assert!(
        shown.code == 0 && shown.out.contains("create employment") && shown.out.contains(&scene.theirs),
        "{shown:?}"
    );
    assert_eq!(there.run(&["proposal", "accept", &one, "--json"]).await.json()["state"], "PROPOSAL_STATE_ACCEPTED");
    let said = there.run(&["proposal", "refuse", &two, "--reason", "人员未到岗", "--json"]).await.json();
    assert_eq!((&said["state"], &said["decision_reason"]), (&"PROPOSAL_STATE_REFUSED".into(), &"人员未到岗".into()));
    let said = here.run(&["proposal", "dispute", &two, "--reason", "有签到", "--json"]).await.json();
    assert_eq!(said["escalated"], true);
    let again = here.run(&["proposal", "accept", &three]).await;
    assert!(again.code == 1 && again.err.contains("2024-06-17"), "{again:?}");
    assert_eq!(
        here.run(&["proposal", "withdraw", &three, "--reason", "误报", "--json"]).await.json()["state"],
        "PROPOSAL_STATE_WITHDRAWN"
    );
    let text = here.run(&["proposal", "list", "--state", "proposed"]).await;
    assert!(text.code == 0 && text.out.contains("proposed, disputed") && text.out.contains(&two), "{text:?}");
    assert_eq!(here.run(&["proposal", "list", "--state", "lost"]).await.code, 1);
}
