//! A pairing between two provinces and the nation, from its proposal to its end; whoever is cut off catches up.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use qianshou_proto::{
    exchange::v1::KindClause,
    pairing::v1::{
        Commitment, Dispatch, GetPairingRequest, ListPairingsRequest, Outcome, Pairing, PairingStage, ReviewLevel,
        StatementKind, Terms,
    },
    registry::v1::Agency,
    reporting::v1::{Cell, CellStatus, ReadTableRequest, cell::Value},
};
use qianshou_tests::{
    Caller, Node, Resting, World, eventually,
    halves::{approval, commitment, dispatch, evaluation, hand_in_hand, outcome, payment, receipt, review, statement},
    sample::agency,
    stories,
    treaty::{agree, introduce, settled, share, terms},
};

stories! {
    a_pairing_from_proposal_to_close
    an_agency_that_two_provinces_name
    people_and_money_of_two_provinces_count_once
}

const HALF: &str = "programme batch sending_uscc receiving_uscc receiving_division from until side terms proposed_on reviews statements \
                    evaluations closed_on division pairing cohort review_levels several sending_division";
const DECISION: &str = "programme batch sending_uscc receiving_uscc division terms_digest decision on pairing cohort";
const RULES: &str = "display_name division since until batches review_levels one_a_batch";

fn shares(province: &str) -> Vec<KindClause> {
    let of = |kind, fields: &str| share(kind, &fields.split_whitespace().collect::<Vec<_>>().join(" "), province);
    vec![
        of("commitments", HALF),
        of("outcomes", "programme batch receiving_uscc measure value reported_on receiving_division division outcome"),
    ]
}

enum Place {
    Up(Box<Node>),
    Down(Box<Resting>),
}

/// Provinces and maybe the nation, each told by the others; the agreements by provider and consumer.
struct Town {
    places: Vec<Place>,
    streams: Vec<(usize, usize, String)>,
}

impl Town {
    async fn new(world: &World, codes: &[&str], more: impl Fn(&str) -> Vec<KindClause>) -> Self {
        let mut nodes = vec![];
        for code in codes {
            nodes.push(world.node(code).await);
        }
        introduce(&nodes.iter().map(|node| &node.admin).collect::<Vec<_>>()).await;
        let mut streams = vec![];
        for (i, from) in codes.iter().enumerate() {
            for (j, to) in codes.iter().enumerate().filter(|(j, _)| *j != i) {
                let clauses = if *from == "00" {
                    // Both sides have to know of it, wherever the receiving agency is.
                    [("programmes", RULES), ("approvals", DECISION)]
                        .map(|(kind, fields)| KindClause { scope: None, ..share(kind, fields, to) })
                        .to_vec()
                } else {
                    shares(from).into_iter().chain(more(from)).collect()
                };
                let id = agree(&nodes[i].admin, &nodes[j].admin, terms(from, to, clauses)).await;
                streams.push((i, j, id));
            }
        }
        Self { places: nodes.into_iter().map(|node| Place::Up(Box::new(node))).collect(), streams }
    }

    fn node(&self, i: usize) -> &Node {
        match &self.places[i] {
            Place::Up(node) => node,
            Place::Down(_) => panic!("it is down"),
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.places.iter().filter_map(|place| if let Place::Up(node) = place { Some(&**node) } else { None })
    }

    fn at(&self, i: usize) -> &Caller {
        &self.node(i).admin
    }

    /// Cuts a node off: what the others say from now on does not reach it.
    async fn down(&mut self, i: usize) {
        let place = match self.places.remove(i) {
            Place::Up(node) => Place::Down(Box::new(node.rest().await)),
            down => down,
        };
        self.places.insert(i, place);
    }

    /// Lets it come back.
    async fn up(&mut self, i: usize) {
        let place = match self.places.remove(i) {
            Place::Down(resting) => Place::Up(Box::new(resting.open().await)),
            up => up,
        };
        self.places.insert(i, place);
    }

    async fn settle(&self) {
        for (i, j, id) in &self.streams {
            let said = async || (self.node(*i).position().await > 0).then_some(());
            eventually("a ledger", said).await;
            settled_or_silent(self.at(*i), self.at(*j), id).await;
        }
    }

    /// The pairing, which all nodes tell alike.
    async fn joint(&self, key: &str) -> Pairing {
        self.settle().await;
        let mut told = vec![];
        for node in self.nodes() {
            let asked = GetPairingRequest { pairing: Some(key.to_owned()), ..GetPairingRequest::default() };
            told.push(node.admin.pairing().get_pairing(asked).await.unwrap().into_inner().pairing.unwrap());
        }
        assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:#?}");
        told.remove(0)
    }

    /// Asserts that no node that serves sees an agency in two active pairings of a batch.
    async fn one_to_one(&self) {
        for node in self.nodes() {
            let mut taken = BTreeSet::new();
            let mut page_token = None;
            loop {
                let asked = ListPairingsRequest {
                    state: Some("ACTIVE".into()),
                    page_size: Some(1),
                    page_token,
                    ..ListPairingsRequest::default()
                };
                let page = node.admin.pairing().list_pairings(asked).await.unwrap().into_inner();
                for pairing in page.pairings {
                    for agency in [pairing.sending_uscc(), pairing.receiving_uscc()] {
                        let once = taken.insert((pairing.batch().to_owned(), agency.to_owned()));
                        assert!(once, "{agency} twice at {}", node.code);
                    }
                }
                page_token = page.next_page_token;
                if page_token.is_none() {
                    break;
                }
            }
        }
    }
}

/// A stream that never had anything to send has no pages.
async fn settled_or_silent(provider: &Caller, consumer: &Caller, id: &str) {
    let stream = qianshou_tests::treaty::stream(provider, id).await;
    if stream.as_ref().is_some_and(|stream| stream.pages() > 0 || stream.behind() > 0) {
        settled(provider, consumer, id).await;
    }
}

/// Changes some fields of a half.
async fn change(by: &Caller, half: &mut Commitment, fields: &[&str], change: impl FnOnce(&mut Commitment)) {
    change(half);
    half.etag = None;
    *half = by.update(half.clone(), fields).await.unwrap().noun;
}

/// At every step somebody else is cut off while it is taken, and the one who takes it is drained right after.
async fn a_pairing_from_proposal_to_close(world: World) {
    const FUJIAN: usize = 0;
    const NINGXIA: usize = 1;
    const NATION: usize = 2;
    let mut town = Town::new(&world, &["35", "64", "00"], |_| vec![]).await;
    town.at(NATION).create(hand_in_hand()).await.unwrap();
    let sender = Agency { division: Some("350203".into()), ..agency(1) };
    town.at(FUJIAN).create(sender).await.unwrap();
    town.at(NINGXIA).create(Agency { division: Some("640104".into()), ..agency(2) }).await.unwrap();
    town.settle().await;

    // Who takes the step, who is cut off meanwhile.
    macro_rules! step {
        ($who:ident without $other:ident: |$at:ident| $act:expr) => {{
            town.down($other).boxed().await;
            let told = {
                let $at = town.at($who);
                $act.boxed().await
            };
            town.down($who).boxed().await;
            town.up($who).boxed().await;
            town.up($other).boxed().await;
            told
        }};
    }

    let mut ours = step!(FUJIAN without NINGXIA: |at| at.create(commitment(1, 2))).unwrap().noun;
    let key = ours.pairing().to_owned();
    assert_eq!((ours.division(), ours.review_levels.len()), ("350203", 3));
    assert_eq!(town.joint(&key).boxed().await.stage(), PairingStage::OneSided);

    let mut theirs = step!(NINGXIA without FUJIAN: |at| at.create(commitment(1, 2))).unwrap().noun;
    assert_eq!(town.joint(&key).boxed().await.stage(), PairingStage::Proposed);

    step!(NINGXIA without NATION: |at| change(at, &mut theirs, &["reviews"], |h| {
        h.reviews = vec![review(ReviewLevel::County, "2023-02-01")];
    }));
    assert_eq!(town.joint(&key).boxed().await.stage(), PairingStage::InReview);
    step!(NINGXIA without FUJIAN: |at| change(at, &mut theirs, &["reviews"], |h| {
        h.reviews.push(review(ReviewLevel::Province, "2023-02-02"));
    }));
    step!(FUJIAN without NATION: |at| change(at, &mut ours, &["reviews"], |h| {
        h.reviews = vec![review(ReviewLevel::Province, "2023-02-03")];
    }));
    assert_eq!(town.joint(&key).boxed().await.missing.len(), 1, "the ministry alone");
    step!(NATION without FUJIAN: |at| at.create(approval(&ours, "2023-03-01"))).unwrap();
    let active = town.joint(&key).boxed().await;
    assert_eq!((active.stage(), active.active_from()), (PairingStage::Active, "2023-03-01"));
    assert_eq!(active.sending.clone().unwrap_or_default().etag, ours.etag);

    step!(NINGXIA without NATION: |at| at.create(outcome(1, 2))).unwrap();
    let reported =
        step!(FUJIAN without NINGXIA: |at| at.create(Outcome { receiving_division: None, ..outcome(1, 2) })).unwrap();
    assert_eq!(reported.noun.receiving_division(), "640104", "as its own half says");
    let progress: Vec<_> = town.joint(&key).boxed().await.progress.iter().map(|p| (p.agreed, p.reached)).collect();
    assert_eq!(progress, [(Some(3), Some(30))], "what both sides tell counts once");
    step!(NINGXIA without FUJIAN: |at| change(at, &mut theirs, &["statements"], |h| {
        h.statements = vec![statement(StatementKind::Disputed, "2023-06-01")];
    }));
    assert_eq!(town.joint(&key).boxed().await.stage(), PairingStage::Disputed);

    let amended = || Terms { since: Some("2023-07-01".into()), people_trained: Some(2), ..Terms::default() };
    step!(FUJIAN without NINGXIA: |at| change(at, &mut ours, &["terms"], |h| h.terms.push(amended())));
    assert_eq!(town.joint(&key).boxed().await.stage(), PairingStage::Disputed, "the terms differ");
    step!(NINGXIA without NATION: |at| change(at, &mut theirs, &["terms", "statements"], |h| {
        h.terms.push(amended());
        h.statements.push(statement(StatementKind::Settled, "2023-07-01"));
    }));
    assert_eq!(town.joint(&key).boxed().await.stage(), PairingStage::InReview, "other terms, another approval");
    step!(NATION without NINGXIA: |at| at.create(approval(&ours, "2023-07-10"))).unwrap();
    let again = town.joint(&key).boxed().await;
    assert_eq!((again.stage(), again.active_from()), (PairingStage::Active, "2023-03-01"), "it was active before");

    step!(FUJIAN without NATION: |at| change(at, &mut ours, &["evaluations"], |h| {
        h.evaluations = vec![evaluation("2024-04-01")];
    }));
    step!(NINGXIA without FUJIAN: |at| change(at, &mut theirs, &["evaluations"], |h| {
        h.evaluations = vec![evaluation("2024-04-02")];
    }));
    let evaluated = town.joint(&key).boxed().await;
    assert_eq!((evaluated.stage(), evaluated.evaluations.len()), (PairingStage::Evaluated, 2));
    step!(NINGXIA without NATION: |at| change(at, &mut theirs, &["closed_on"], |h| h.closed_on = Some("2024-05-01".into())));
    let closed = town.joint(&key).boxed().await;
    assert_eq!((closed.stage(), closed.closed_on()), (PairingStage::Closed, "2024-05-01"));

    for node in town.nodes() {
        for (day, expected) in [
            ("2023-02-28", vec![]),
            ("2023-05-31", vec!["ACTIVE 1"]),
            ("2023-06-15", vec![]),
            ("2023-07-15", vec!["ACTIVE 1"]),
            ("2024-04-15", vec!["EVALUATED 1"]),
            ("2024-05-31", vec!["CLOSED 1"]),
        ] {
            assert_eq!(
                figures(&node.admin, "pairing_total", "00", day, "stage").await,
                expected,
                "{day} at {}",
                node.code
            );
        }
        assert_eq!(figures(&node.admin, "pairing_trained", "6401", "2023-12-31", "programme").await, ["牵手计划 30"]);
        node.counts_right().await;
    }
}

/// Cells of one indicator by one dimension, `VALUE FIGURE`.
async fn figures(at: &Caller, indicator: &str, area: &str, day: &str, by: &str) -> Vec<String> {
    let request = ReadTableRequest {
        indicators: vec![indicator.to_owned()],
        area: Some(area.to_owned()),
        at: Some(day.to_owned()),
        by: vec![by.to_owned()],
        ..ReadTableRequest::default()
    };
    let whole = async || {
        let cells = at.reporting().read_table(request.clone()).await.unwrap().into_inner().cells;
        let counted = |cell: &Cell| cell.status() != CellStatus::Provisional;
        cells.iter().all(counted).then_some(cells)
    };
    let cells = eventually("a table with everything counted", whole).await;
    let shown = |cell: &Cell| {
        let figure = match cell.value {
            Some(Value::Count(figure) | Value::Fen(figure)) => figure,
            _ => return None,
        };
        Some(format!("{} {figure}", cell.by.first()?.value()))
    };
    cells.iter().filter_map(shown).collect()
}

/// Two provinces name one receiving agency in one batch, at the same moment, and everybody approves of both: its own half decides, and on
/// no node, whoever is cut off meanwhile, two are active.
async fn an_agency_that_two_provinces_name(world: World) {
    const NATION: usize = 3;
    let mut town = Town::new(&world, &["35", "36", "64", "00"], |_| vec![]).await;
    town.at(NATION).create(hand_in_hand()).await.unwrap();
    town.at(0).create(Agency { division: Some("350203".into()), ..agency(1) }).await.unwrap();
    town.at(1).create(Agency { division: Some("36".into()), ..agency(3) }).await.unwrap();
    town.at(2).create(agency(2)).await.unwrap();
    town.settle().await;
    for (batch, cut) in [("第一批", None), ("第二批", Some(NATION)), ("第三批", Some(2))] {
        let reviewed = |sending: u32| Commitment {
            batch: Some(batch.into()),
            reviews: vec![review(ReviewLevel::County, "2023-02-01"), review(ReviewLevel::Province, "2023-02-01")],
            ..commitment(sending, 2)
        };
        if let Some(cut) = cut {
            town.down(cut).await;
        }
        let (one, two) = futures::join!(town.at(0).create(reviewed(1)), town.at(1).create(reviewed(3)));
        let (one, two) = (one.unwrap().noun, two.unwrap().noun);
        town.one_to_one().await;
        if cut == Some(2) {
            town.up(2).await;
            town.down(0).await;
        }
        let (first, second) = futures::join!(town.at(2).create(reviewed(1)), town.at(2).create(reviewed(3)));
        assert!(first.is_ok() != second.is_ok(), "one half a batch");
        town.one_to_one().await;
        for i in [0, NATION] {
            town.up(i).await;
        }
        for half in [&one, &two] {
            town.at(NATION).create(approval(half, "2023-03-01")).await.unwrap();
            town.one_to_one().await;
        }
        let named = if first.is_ok() { &one } else { &two };
        for half in [&one, &two] {
            let stage = town.joint(half.pairing()).await.stage();
            assert_eq!(stage, if half == named { PairingStage::Active } else { PairingStage::OneSided });
        }
        town.one_to_one().await;
    }
}

/// A person whom two provinces say to have sent is one; money counts when both say so.
async fn people_and_money_of_two_provinces_count_once(world: World) {
    let more = |province: &str| {
        let mut people =
            share("dispatches", "programme year host_division from until number division participations", province);
        people.pseudonym = Some(true);
        vec![
            people,
            share("payments", "programme source amount_fen paid_on division year flow", province),
            share("receipts", "amount_fen received_on division flow", province),
        ]
    };
    let town = Town::new(&world, &["35", "64", "00"], more).await;
    let (fujian, ningxia, nation) = (town.at(0), town.at(1), town.at(2));
    let from_fujian = |n: u32| Dispatch { division: Some("350203".into()), ..dispatch(n) };
    fujian.put((1..=8).map(from_fujian).collect::<Vec<_>>()).await.unwrap();
    // Ningxia says of one of them that it sent them as well.
    ningxia.put((8..=10).map(dispatch).collect::<Vec<_>>()).await.unwrap();
    // Whom it sent twice in the year is one, at home too.
    let again = Dispatch {
        host_division: Some("640303".into()),
        from: Some("2023-11-01".into()),
        number: Some("2023-9-2".into()),
        ..dispatch(9)
    };
    ningxia.create(again).await.unwrap();
    ningxia.put((1..=3).map(payment).collect::<Vec<_>>()).await.unwrap();
    let of_fujian = |n: u32| qianshou_proto::pairing::v1::Receipt { division: Some("350203".into()), ..receipt(n) };
    fujian.put((2..=4).map(of_fujian).collect::<Vec<_>>()).await.unwrap();
    town.settle().await;
    assert_eq!(figures(nation, "dispatch_persons", "00", "2023-12-31", "year").await, ["2023 10"]);
    assert_eq!(figures(ningxia, "dispatch_sent", "64", "2023-12-31", "year").await, ["2023 3"]);
    assert_eq!(figures(nation, "dispatch_persons", "6402", "2023-12-31", "programme").await, ["三区计划 10"]);
    let projects = figures(nation, "dispatch_projects", "00", "2023-12-31", "programme").await;
    assert_eq!(projects, ["三区计划 3"]);
    for node in [fujian, ningxia, nation] {
        assert_eq!(figures(node, "funds_paid", "00", "2023-12-31", "source").await, ["CENTRAL 4000100"]);
    }
    let found = |at: &Caller| at.pairing();
    let asked = || qianshou_proto::pairing::v1::ListFindingsRequest::default();
    let mut lists = vec![];
    for node in [fujian, ningxia, nation] {
        lists.push(found(node).list_findings(asked()).await.unwrap().into_inner().findings);
    }
    assert_eq!((lists[0].len(), &lists[0], &lists[0]), (2, &lists[1], &lists[2]), "the same to everybody");
    for node in town.nodes() {
        node.counts_right().await;
    }
}
