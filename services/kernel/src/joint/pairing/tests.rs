use qianshou_proto::pairing::v1::{Evaluation, Review, Statement};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use time::{Duration, macros::date};

use super::*;
use crate::{id::Name, ledger::Version};

const TODAY: Date = date!(2024 - 06 - 01);
const EVERYBODY: [ReviewLevel; 3] = [ReviewLevel::County, ReviewLevel::Province, ReviewLevel::Ministry];
const SENDER: &str = "523501000000000001";
const RECEIVER: &str = "526403000000000001";

fn said<T>(name: &str, revision: u64, said: Option<T>) -> Said<T> {
    let name: Name = name.parse().unwrap();
    Said { name, version: Version { epoch: 1, revision }, cut: None, said }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn half(side: Side, sending: &str, receiving: &str) -> Commitment {
    let division = if side == Side::Sending { "350203" } else { "640303" };
    let mut half = Commitment {
        programme: text("牵手计划"),
        batch: text("第一批"),
        sending_uscc: text(sending),
        receiving_uscc: text(receiving),
        receiving_division: text("640303"),
        from: text("2023-01-01"),
        proposed_on: text("2023-01-01"),
        side: Some(side.into()),
        division: text(division),
        terms: vec![Terms { since: text("2023-01-01"), people_trained: Some(3), ..Terms::default() }],
        review_levels: EVERYBODY.map(Into::into).to_vec(),
        ..Commitment::default()
    };
    half.terms[0].digest = terms_digest(&half, &half.terms[0]);
    half
}

fn review(level: ReviewLevel, on: &str) -> Review {
    Review { level: Some(level.into()), decision: Some(Decision::Approved.into()), on: text(on), ..Review::default() }
}

fn statement(kind: StatementKind, on: &str) -> Statement {
    Statement { kind: Some(kind.into()), on: text(on), ..Statement::default() }
}

fn approval(of: &Commitment, terms: usize, on: &str) -> Approval {
    Approval {
        pairing: pairing_key(
            of.programme.as_deref(),
            of.batch.as_deref(),
            of.sending_uscc.as_deref(),
            of.receiving_uscc.as_deref(),
        ),
        terms_digest: of.terms[terms].digest.clone(),
        decision: Some(Decision::Approved.into()),
        on: text(on),
        ..Approval::default()
    }
}

fn name_of(stage: Option<PairingStage>) -> String {
    stage.map_or("–".to_owned(), |stage| stage.as_str_name().trim_start_matches("PAIRING_STAGE_").to_owned())
}

/// The lines of the table at the door.
fn table() -> Vec<Vec<String>> {
    let lines = include_str!("../pairing.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = |line: &str| line.trim_end_matches(" |").split(" | ").map(|cell| cell.trim().to_owned()).collect();
    lines.skip(1).map(cells).collect()
}

fn every_line() -> Vec<Line> {
    let states = [None, Some(false), Some(true)];
    let mut lines = vec![];
    for sending in states {
        for receiving in states {
            for bits in 0..1_u32 << 7 {
                let bit = |n: u32| bits & (1 << n) != 0;
                lines.push(Line {
                    sending,
                    receiving,
                    contested: bit(0),
                    agreed: bit(1),
                    disputed: bit(2),
                    resting: bit(3),
                    begun: bit(4),
                    reviewed: bit(5),
                    evaluated: bit(6),
                });
            }
        }
    }
    lines
}

fn fits(line: &Line, row: &[String]) -> bool {
    let half = |half: Option<bool>, cell: &str| match cell {
        "*" => true,
        "any" => half.is_some(),
        "–" => half.is_none(),
        cell => half == Some(cell == "closed"),
    };
    let flag = |flag: bool, cell: &str| cell == "*" || (cell == "yes") == flag;
    let Line { sending, receiving, contested, agreed, disputed, resting, begun, reviewed, evaluated } = line;
    let flags = [contested, agreed, disputed, resting, begun, reviewed, evaluated];
    half(*sending, &row[0])
        && half(*receiving, &row[1])
        && flags.iter().zip(&row[2..9]).all(|(value, cell)| flag(**value, cell))
}

#[test]
fn the_table_is_what_the_function_says() {
    let table = table();
    assert!(table.len() == 15 && table.iter().all(|row| row.len() == 10), "{table:?}");
    let mut used = BTreeSet::new();
    for line in every_line() {
        let at = table
            .iter()
            .position(|row| fits(&line, row))
            .unwrap_or_else(|| panic!("no line of the table holds: {line:?}"));
        used.insert(at);
        assert_eq!(name_of(line.stage()), table[at][9], "{line:?}");
    }
    assert_eq!(used.len(), table.len(), "a line of the table never holds");
}

/// Every line of the table, made of real halves.
#[test]
fn halves_give_the_lines_of_the_table() {
    let mut told = 0;
    for line in every_line().into_iter().filter(|line| line.begun || !line.reviewed) {
        let both = line.sending.is_some() && line.receiving.is_some();
        // Nothing can be said by a half that is not here, and terms that were not agreed were not approved.
        let said_by_none = line.sending.is_none() && line.receiving.is_none();
        let impossible = (!both && (line.agreed || line.reviewed || line.evaluated))
            || (!line.agreed && line.reviewed)
            || (said_by_none && (line.disputed || line.resting || line.begun));
        if impossible {
            continue;
        }
        let (mut halves, approvals) = of_line(&line);
        if line.contested {
            for home in [15, 21] {
                let other = half(Side::Receiving, "523501000000000009", RECEIVER);
                halves.push(said(&format!("nodes/{home}/commitments/9"), 1, Some(other)));
            }
        }
        let all = pairings(&halves, &approvals, TODAY);
        let key = pairing_key(Some("牵手计划"), Some("第一批"), Some(SENDER), Some(RECEIVER));
        let found = all.iter().find(|pairing| pairing.pairing == key);
        assert_eq!(name_of(found.map(Pairing::stage)), name_of(line.stage()), "{line:?}");
        told += 1;
    }
    assert!(told > 300, "{told}");
}

fn of_line(line: &Line) -> (Vec<Said<Commitment>>, Vec<Said<Approval>>) {
    let mut halves = vec![];
    let mut approvals = vec![];
    for (side, state) in [(Side::Sending, line.sending), (Side::Receiving, line.receiving)] {
        let Some(closed) = state else { continue };
        let mut half = half(side, SENDER, RECEIVER);
        if side == Side::Receiving && !line.agreed {
            half.terms[0].people_trained = Some(5);
            half.terms[0].digest = terms_digest(&half, &half.terms[0]);
        }
        half.statements.extend(line.disputed.then(|| statement(StatementKind::Disputed, "2023-05-01")));
        half.statements.extend(line.resting.then(|| statement(StatementKind::Suspended, "2023-05-02")));
        half.reviews.extend(line.begun.then(|| review(ReviewLevel::Province, "2023-02-01")));
        if line.reviewed {
            half.reviews.push(review(ReviewLevel::County, "2023-02-01"));
            approvals = vec![said("nodes/00/approvals/1", 1, Some(approval(&half, 0, "2023-03-01")))];
        }
        if line.evaluated {
            let last = Evaluation {
                kind: Some(EvaluationKind::Final.into()),
                on: text("2024-03-01"),
                ..Evaluation::default()
            };
            half.evaluations.push(last);
        }
        half.closed_on = closed.then(|| "2024-05-01".to_owned());
        let home = if side == Side::Sending { 35 } else { 64 };
        halves.push(said(&format!("nodes/{home}/commitments/1"), 1, Some(half)));
    }
    (halves, approvals)
}

/// A pairing from its proposal to its end, with a dispute and an amendment; its history stays when it is amended.
#[test]
fn a_pairing_has_a_dated_history() {
    let mut sending = half(Side::Sending, SENDER, RECEIVER);
    let mut receiving = half(Side::Receiving, SENDER, RECEIVER);
    receiving.proposed_on = text("2023-01-10");
    sending.reviews = vec![review(ReviewLevel::Province, "2023-02-02")];
    receiving.reviews = vec![review(ReviewLevel::County, "2023-02-01"), review(ReviewLevel::Province, "2023-02-03")];
    let first = approval(&sending, 0, "2023-03-01");
    receiving.statements =
        vec![statement(StatementKind::Disputed, "2023-06-01"), statement(StatementKind::Settled, "2023-07-01")];
    for half in [&mut sending, &mut receiving] {
        let mut amended = Terms { since: text("2023-07-01"), people_trained: Some(4), ..Terms::default() };
        amended.digest = terms_digest(half, &amended);
        half.terms.push(amended);
        half.evaluations = vec![Evaluation {
            kind: Some(EvaluationKind::Final.into()),
            on: text("2024-01-15"),
            ..Evaluation::default()
        }];
    }
    let second = approval(&sending, 1, "2023-07-20");
    sending.closed_on = text("2024-02-01");
    let halves = [said("nodes/35/commitments/1", 7, Some(sending)), said("nodes/64/commitments/1", 9, Some(receiving))];
    let approvals = [said("nodes/00/approvals/1", 1, Some(first)), said("nodes/00/approvals/2", 1, Some(second))];
    let [pairing] = &pairings(&halves, &approvals, TODAY)[..] else { panic!("one") };
    let history: Vec<String> =
        pairing.history.iter().map(|i| format!("{} {}", i.since(), name_of(Some(i.stage())))).collect();
    assert_eq!(
        history,
        [
            "2023-01-01 ONE_SIDED",
            "2023-01-10 PROPOSED",
            "2023-02-01 IN_REVIEW",
            "2023-03-01 ACTIVE",
            "2023-06-01 DISPUTED",
            "2023-07-01 IN_REVIEW",
            "2023-07-20 ACTIVE",
            "2024-01-15 EVALUATED",
            "2024-02-01 CLOSED",
        ]
    );
    assert_eq!(
        (pairing.active_from(), pairing.closed_on(), pairing.division()),
        ("2023-03-01", "2024-02-01", "640303")
    );
    let cited =
        [&pairing.sending, &pairing.receiving].map(|cited| cited.clone().unwrap_or_default().etag.unwrap_or_default());
    assert_eq!(cited, ["1.7", "1.9"]);
    let before = &pairings(&halves, &approvals, date!(2023 - 02 - 10))[0];
    assert_eq!(
        (before.stage(), &before.missing[..]),
        (PairingStage::InReview, &[i32::from(PairingMissing::Ministry)][..])
    );
}

/// What one home can state next, keeping its own claims: an agency of its own has one half a batch that is not closed.
struct Home {
    code: u32,
    side: Side,
    own: Vec<&'static str>,
    others: Vec<&'static str>,
    halves: Vec<(String, u64, Option<Commitment>)>,
}

impl Home {
    fn act(&mut self, day: Date, chance: &mut StdRng) -> Option<Said<Commitment>> {
        let own = *self.own.choose(chance)?;
        let other = *self.others.choose(chance)?;
        let owner = |half: &Commitment| {
            if self.side == Side::Sending { half.sending_uscc() == own } else { half.receiving_uscc() == own }
        };
        let open = self
            .halves
            .iter()
            .position(|(_, _, half)| half.as_ref().is_some_and(|h| owner(h) && h.closed_on.is_none()));
        let on = format_day(day);
        match open {
            None => {
                let (sending, receiving) = if self.side == Side::Sending { (own, other) } else { (other, own) };
                // The natural key of a half that was closed is still taken.
                if self.halves.iter().any(|(_, _, half)| {
                    half.as_ref().is_some_and(|h| h.sending_uscc() == sending && h.receiving_uscc() == receiving)
                }) {
                    return None;
                }
                let mut new = half(self.side, sending, receiving);
                if chance.random_bool(0.6) {
                    new.reviews = vec![review(ReviewLevel::County, &on), review(ReviewLevel::Province, &on)];
                }
                new.proposed_on = Some(on);
                // Ids do not say which is newer.
                let name = format!("nodes/{}/commitments/{}", self.code, chance.random_range(0..u32::MAX));
                self.halves.push((name.clone(), 1, Some(new.clone())));
                Some(said(&name, 1, Some(new)))
            }
            Some(at) => {
                let (name, revision, half) = &mut self.halves[at];
                *revision += 1;
                let mut changed = half.clone()?;
                let mut cut = None;
                let keep = match chance.random_range(0..24) {
                    0..2 => false,
                    2 => {
                        // It ended otherwise than by deletion: what it said before still counts.
                        cut = Some(day);
                        false
                    }
                    act => {
                        state(&mut changed, act, &on, chance);
                        true
                    }
                };
                let last = half.take();
                *half = keep.then_some(changed);
                let told = if cut.is_some() { last } else { half.clone() };
                Some(Said { cut, ..said(name, *revision, told) })
            }
        }
    }
}

/// One more thing that a side states of its open half.
fn state(half: &mut Commitment, act: u32, on: &str, chance: &mut StdRng) {
    let of = |kind| statement(kind, on);
    match act {
        3 | 4 => half.closed_on = text(on),
        5 | 6 => half.statements.push(of(StatementKind::Suspended)),
        7 | 8 => half.statements.push(of(StatementKind::Resumed)),
        9 => half.statements.push(of(StatementKind::Disputed)),
        10 | 11 => half.statements.push(of(StatementKind::Settled)),
        12 => {
            let mut amended =
                Terms { since: text(on), people_trained: Some(chance.random_range(3..5)), ..Terms::default() };
            amended.digest = terms_digest(half, &amended);
            half.terms.push(amended);
        }
        13 => half.evaluations.push(Evaluation {
            kind: Some(EvaluationKind::Final.into()),
            on: text(on),
            ..Evaluation::default()
        }),
        _ => {
            let level = if chance.random_bool(0.5) { ReviewLevel::County } else { ReviewLevel::Province };
            let decision = if act == 14 { Decision::Returned } else { Decision::Approved };
            half.reviews.push(Review { decision: Some(decision.into()), ..review(level, on) });
        }
    }
}

/// Any interleaving, loss and repetition of the statements gives one joint state everywhere, and on no node, at no time, for no day two
/// active pairings of one agency in the batch.
#[test]
fn whatever_arrives_there_is_one_joint_state() {
    let mut active = 0;
    for seed in 0..10_000 {
        active += one_history(seed);
    }
    assert!(active > 1_000, "{active} pairings were active: the histories are too tame");
}

fn one_history(seed: u64) -> usize {
    let mut chance = StdRng::seed_from_u64(seed);
    let chance = &mut chance;
    let (senders, receivers) =
        (vec!["523501000000000001", "523601000000000002"], vec!["526403000000000001", "526403000000000002"]);
    let mut homes = [
        Home { code: 35, side: Side::Sending, own: senders[..1].to_vec(), others: receivers.clone(), halves: vec![] },
        Home { code: 36, side: Side::Sending, own: senders[1..].to_vec(), others: receivers.clone(), halves: vec![] },
        Home { code: 64, side: Side::Receiving, own: receivers.clone(), others: senders.clone(), halves: vec![] },
    ];
    let mut told: Vec<Said<Commitment>> = vec![];
    let mut day = date!(2023 - 01 - 01);
    for _ in 0..chance.random_range(6..24) {
        let home = chance.random_range(0..homes.len());
        told.extend(homes[home].act(day, chance));
        day += Duration::days(chance.random_range(0..20));
    }
    // The ministry approves every pair; what it says arrives like the rest.
    let approvals: Vec<Said<Approval>> = senders
        .iter()
        .flat_map(|sender| receivers.iter().map(move |receiver| (sender, receiver)))
        .enumerate()
        .map(|(n, (sender, receiver))| {
            said(
                &format!("nodes/00/approvals/{n}"),
                1,
                Some(approval(&half(Side::Sending, sender, receiver), 0, "2023-01-02")),
            )
        })
        .collect();
    let everything = pairings(&told, &approvals, day);
    for _ in 0..2 {
        let (mut here, mut approved) = (vec![], vec![]);
        // Some are lost, some come twice, all in disorder.
        for _ in 0..3 {
            for _ in 0..told.len() / 2 {
                here.push(told[chance.random_range(0..told.len())].clone());
                approved.extend(approvals.choose(chance).cloned());
            }
            one_to_one(&pairings(&here, &approved, day), seed);
        }
        // In the end what was lost is sent again.
        let mut rest: Vec<Said<Commitment>> = told.clone();
        rest.shuffle(chance);
        here.extend(rest);
        approved.extend(approvals.iter().rev().cloned());
        assert_eq!(pairings(&here, &approved, day), everything, "seed {seed}");
    }
    one_to_one(&everything, seed);
    everything.iter().filter(|pairing| pairing.active_from.is_some()).count()
}

/// No agency has two active pairings on one day.
fn one_to_one(all: &[Pairing], seed: u64) {
    let mut spans: Vec<(&str, String, String)> = vec![];
    for pairing in all {
        let active = |i: &&PairingInterval| matches!(i.stage(), PairingStage::Active | PairingStage::Evaluated);
        for interval in pairing.history.iter().filter(active) {
            let until = interval.until.clone().unwrap_or_else(|| "9999-12-31".to_owned());
            for agency in [pairing.sending_uscc(), pairing.receiving_uscc()] {
                spans.push((agency, interval.since().to_owned(), until.clone()));
            }
        }
    }
    spans.sort();
    for two in spans.windows(2) {
        assert!(two[0].0 != two[1].0 || two[0].2 <= two[1].1, "seed {seed}: {two:?}");
    }
}

/// Two provinces name one receiving agency in the same batch: its own half decides, and there is never more than one active.
#[test]
fn an_agency_that_two_name_is_paired_with_the_one_it_names() {
    let other = "523601000000000002";
    let reviewed = |side, sending: &str| {
        let mut half = half(side, sending, RECEIVER);
        half.reviews = vec![review(ReviewLevel::County, "2023-02-01"), review(ReviewLevel::Province, "2023-02-01")];
        half
    };
    let halves = [
        said("nodes/35/commitments/1", 1, Some(reviewed(Side::Sending, SENDER))),
        said("nodes/36/commitments/1", 1, Some(reviewed(Side::Sending, other))),
        said("nodes/64/commitments/1", 1, Some(reviewed(Side::Receiving, other))),
    ];
    let approvals = [
        said("nodes/00/approvals/1", 1, Some(approval(&half(Side::Sending, SENDER, RECEIVER), 0, "2023-03-01"))),
        said("nodes/00/approvals/2", 1, Some(approval(&half(Side::Sending, other, RECEIVER), 0, "2023-03-01"))),
    ];
    let stages: Vec<PairingStage> = pairings(&halves, &approvals, TODAY).iter().map(Pairing::stage).collect();
    assert_eq!(stages, [PairingStage::OneSided, PairingStage::Active]);
    // A programme may ask the province alone, and where one node has both agencies, one record is both halves.
    let mut both = reviewed(Side::Both, SENDER);
    (both.division, both.sending_division) = (text("640303"), text("640104"));
    both.review_levels = vec![ReviewLevel::County.into(), ReviewLevel::Province.into()];
    let inside = pairings(&[said("nodes/64/commitments/2", 1, Some(both))], &[], TODAY);
    assert_eq!((inside[0].stage(), inside[0].sending_division()), (PairingStage::Active, "640104"));
    assert_eq!(inside[0].sending, inside[0].receiving);
    // Somebody else's approval is none.
    let halves = [
        said("nodes/64/commitments/3", 1, Some(reviewed(Side::Receiving, SENDER))),
        said("nodes/35/commitments/1", 1, Some(reviewed(Side::Sending, SENDER))),
    ];
    let mut forged = approvals[0].clone();
    forged.name = "nodes/35/approvals/1".parse().unwrap();
    assert_eq!(pairings(&halves, &[forged], TODAY)[0].stage(), PairingStage::InReview);
}
