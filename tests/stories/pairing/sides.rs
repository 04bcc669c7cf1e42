//! A pairing between two provinces and the nation, from its proposal to its end; whoever is cut off catches up.

use qianshou_proto::{
    exchange::v1::KindClause,
    pairing::v1::{Commitment, GetPairingRequest, Pairing, PairingStage, ReviewLevel, StatementKind, Terms},
    registry::v1::Agency,
    reporting::v1::{Cell, CellStatus, ReadTableRequest, cell::Value},
};
use qianshou_tests::{
    Caller, Node, World, eventually,
    halves::{approval, commitment, dispatch, evaluation, outcome, payment, receipt, review, statement},
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
                    evaluations closed_on division pairing cohort";
const DECISION: &str = "programme batch sending_uscc receiving_uscc division terms_digest decision on pairing cohort";

fn shares(province: &str) -> Vec<KindClause> {
    let of = |kind, fields: &str| share(kind, &fields.split_whitespace().collect::<Vec<_>>().join(" "), province);
    vec![
        of("commitments", HALF),
        of("outcomes", "programme batch receiving_uscc measure value reported_on receiving_division division outcome"),
    ]
}

/// Two provinces and the nation, each told by the others; the agreements by provider and consumer.
struct Town {
    nodes: Vec<Node>,
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
                    vec![KindClause { scope: None, ..share("approvals", DECISION, to) }]
                } else {
                    shares(from).into_iter().chain(more(from)).collect()
                };
                let id = agree(&nodes[i].admin, &nodes[j].admin, terms(from, to, clauses)).await;
                streams.push((i, j, id));
            }
        }
        Self { nodes, streams }
    }

    fn at(&self, i: usize) -> &Caller {
        &self.nodes[i].admin
    }

    /// Cuts a node off and lets it come back.
    async fn cut(&mut self, i: usize) {
        let node = self.nodes.remove(i);
        self.nodes.insert(i, node.restart().await);
    }

    async fn settle(&self) {
        for (i, j, id) in &self.streams {
            let said = async || (self.nodes[*i].position().await > 0).then_some(());
            eventually("a ledger", said).await;
            settled_or_silent(self.at(*i), self.at(*j), id).await;
        }
    }

    /// The pairing, which all nodes tell alike.
    async fn joint(&self, key: &str) -> Pairing {
        self.settle().await;
        let mut told = vec![];
        for node in &self.nodes {
            let asked = GetPairingRequest { pairing: Some(key.to_owned()), min_position: None };
            told.push(node.admin.pairing().get_pairing(asked).await.unwrap().into_inner().pairing.unwrap());
        }
        assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:#?}");
        told.remove(0)
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

async fn a_pairing_from_proposal_to_close(world: World) {
    const FUJIAN: usize = 0;
    const NINGXIA: usize = 1;
    const NATION: usize = 2;
    let mut town = Town::new(&world, &["35", "64", "00"], |_| vec![]).await;
    let sender = Agency { division: Some("350203".into()), ..agency(1) };
    town.at(FUJIAN).create(sender).await.unwrap();
    town.at(NINGXIA).create(Agency { division: Some("640104".into()), ..agency(2) }).await.unwrap();

    let mut ours = town.at(FUJIAN).create(commitment(1, 2)).await.unwrap().noun;
    let key = ours.pairing().to_owned();
    assert_eq!(ours.division(), "350203");
    town.cut(NINGXIA).await;
    assert_eq!(town.joint(&key).await.stage(), PairingStage::OneSided);

    let mut theirs = town.at(NINGXIA).create(commitment(1, 2)).await.unwrap().noun;
    town.cut(FUJIAN).await;
    assert_eq!(town.joint(&key).await.stage(), PairingStage::Proposed);

    change(town.at(NINGXIA), &mut theirs, &["reviews"], |h| {
        h.reviews = vec![review(ReviewLevel::County, "2023-02-01")]
    })
    .await;
    town.cut(NATION).await;
    assert_eq!(town.joint(&key).await.stage(), PairingStage::InReview);
    change(town.at(NINGXIA), &mut theirs, &["reviews"], |h| {
        h.reviews.push(review(ReviewLevel::Province, "2023-02-02"))
    })
    .await;
    change(town.at(FUJIAN), &mut ours, &["reviews"], |h| h.reviews = vec![review(ReviewLevel::Province, "2023-02-03")])
        .await;
    town.cut(NINGXIA).await;
    assert_eq!(town.joint(&key).await.missing.len(), 1, "the ministry alone");
    town.at(NATION).create(approval(&ours, "2023-03-01")).await.unwrap();
    town.cut(NATION).await;
    let active = town.joint(&key).await;
    assert_eq!((active.stage(), active.active_from()), (PairingStage::Active, "2023-03-01"));
    assert_eq!(active.sending.clone().unwrap_or_default().etag, ours.etag);

    town.at(NINGXIA).create(outcome(1, 2)).await.unwrap();
    town.at(FUJIAN).create(outcome(1, 2)).await.unwrap();
    change(town.at(NINGXIA), &mut theirs, &["statements"], |h| {
        h.statements = vec![statement(StatementKind::Disputed, "2023-06-01")];
    })
    .await;
    town.cut(FUJIAN).await;
    assert_eq!(town.joint(&key).await.stage(), PairingStage::Disputed);

    let amended = || Terms { since: Some("2023-07-01".into()), people_trained: Some(2), ..Terms::default() };
    change(town.at(FUJIAN), &mut ours, &["terms"], |h| h.terms.push(amended())).await;
    change(town.at(NINGXIA), &mut theirs, &["terms", "statements"], |h| {
        h.terms.push(amended());
        h.statements.push(statement(StatementKind::Settled, "2023-07-01"));
    })
    .await;
    town.cut(NINGXIA).await;
    assert_eq!(town.joint(&key).await.stage(), PairingStage::InReview, "other terms, another approval");
    town.at(NATION).create(approval(&ours, "2023-07-10")).await.unwrap();
    let again = town.joint(&key).await;
    assert_eq!((again.stage(), again.active_from()), (PairingStage::Active, "2023-03-01"), "it was active before");

    change(town.at(FUJIAN), &mut ours, &["evaluations"], |h| h.evaluations = vec![evaluation("2024-04-01")]).await;
    change(town.at(NINGXIA), &mut theirs, &["evaluations"], |h| h.evaluations = vec![evaluation("2024-04-02")]).await;
    town.cut(NATION).await;
    assert_eq!(town.joint(&key).await.stage(), PairingStage::Evaluated);
    change(town.at(NINGXIA), &mut theirs, &["closed_on"], |h| h.closed_on = Some("2024-05-01".into())).await;
    let closed = town.joint(&key).await;
    assert_eq!((closed.stage(), closed.closed_on()), (PairingStage::Closed, "2024-05-01"));

    for node in &town.nodes {
        for (day, expected) in [
            ("2023-02-28", vec![]),
            ("2023-05-31", vec!["ACTIVE 1"]),
            ("2023-06-15", vec!["DISPUTED 1"]),
            ("2023-07-15", vec!["ACTIVE 1"]),
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

/// Two provinces name one receiving agency in one batch, at the same moment: its own half decides, and no node ever sees two active.
async fn an_agency_that_two_provinces_name(world: World) {
    let town = Town::new(&world, &["35", "64", "3501"], |_| vec![]).await;
    let (fujian, ningxia, other) = (town.at(0), town.at(1), town.at(2));
    fujian.create(Agency { division: Some("350203".into()), ..agency(1) }).await.unwrap();
    other.create(Agency { division: Some("350102".into()), ..agency(3) }).await.unwrap();
    ningxia.create(agency(2)).await.unwrap();
    let reviewed = |sending: u32| Commitment {
        reviews: vec![review(ReviewLevel::County, "2023-02-01"), review(ReviewLevel::Province, "2023-02-01")],
        ..commitment(sending, 2)
    };
    let (one, two) = futures::join!(fujian.create(reviewed(1)), other.create(reviewed(3)));
    let (one, two) = (one.unwrap().noun, two.unwrap().noun);
    let (first, second) = futures::join!(ningxia.create(reviewed(1)), ningxia.create(reviewed(3)));
    assert!(first.is_ok() != second.is_ok(), "one half a batch");
    let named = if first.is_ok() { &one } else { &two };
    for half in [&one, &two] {
        let stage = town.joint(half.pairing()).await.stage();
        assert_eq!(stage, if half == named { PairingStage::InReview } else { PairingStage::OneSided });
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
    let from_fujian = |n: u32| qianshou_proto::pairing::v1::Dispatch { division: Some("350203".into()), ..dispatch(n) };
    fujian.put((1..=8).map(from_fujian).collect::<Vec<_>>()).await.unwrap();
    // Ningxia says of one of them that it sent them as well.
    ningxia.put((8..=10).map(dispatch).collect::<Vec<_>>()).await.unwrap();
    ningxia.put((1..=3).map(payment).collect::<Vec<_>>()).await.unwrap();
    let of_fujian = |n: u32| qianshou_proto::pairing::v1::Receipt { division: Some("350203".into()), ..receipt(n) };
    fujian.put((2..=4).map(of_fujian).collect::<Vec<_>>()).await.unwrap();
    town.settle().await;
    assert_eq!(figures(nation, "dispatch_persons", "00", "2023-12-31", "year").await, ["2023 10"]);
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
    for node in &town.nodes {
        node.counts_right().await;
    }
}
