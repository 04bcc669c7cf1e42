//! A pairing: where it stands, as the halves that are here say together. A half names exactly one counterpart, and an agency is spoken for
//! by one half that is not closed; where a day sees more than one, or halves of several homes, none of them makes a pairing active. So on
//! no day an agency has two active pairings in a batch, whichever of the statements have arrived.
//!
//! It depends on the set of halves only. Of several versions of one the newest counts, so a half that is put right restates its history; a
//! day on which nothing was said has no stage. Where both agencies are one node's, one record may be both halves.
//!
//! The stage on a day is that of the first line which holds. A half is `–` not here (not yet proposed, ended, or it names another agency),
//! `open` or `closed`; `any` is either of the last two, `*` all three. *Contested*: more than one open half speaks for an agency of the
//! pair in the batch, and its programme does not let it have several, or they are of more than one home. *Agreed*: both sides' terms of that
//! day have one digest. *Disputed*, *resting*: a half that is here says so. *Begun*: anybody reviewed it. *Reviewed*: whoever has to by
//! either half (the receiving county, both provinces, the ministry for these very terms) approves, and the term has begun; that is the
//! programme's rule, and one that asks for nobody has none. *Evaluated*: both sides finally.
//!
//! | sending | receiving | contested | agreed | disputed | resting | begun | reviewed | evaluated | stage |
//! |---|---|---|---|---|---|---|---|---|---|
//! | – | – | * | * | * | * | * | * | * | – |
//! | – | any | yes | * | * | * | * | * | * | ONE_SIDED |
//! | any | – | yes | * | * | * | * | * | * | ONE_SIDED |
//! | any | any | yes | * | * | * | * | * | * | DISPUTED |
//! | closed | * | no | * | * | * | * | * | * | CLOSED |
//! | * | closed | no | * | * | * | * | * | * | CLOSED |
//! | – | open | no | * | * | * | * | * | * | ONE_SIDED |
//! | open | – | no | * | * | * | * | * | * | ONE_SIDED |
//! | open | open | no | no | * | * | * | * | * | DISPUTED |
//! | open | open | no | yes | yes | * | * | * | * | DISPUTED |
//! | open | open | no | yes | no | yes | * | * | * | SUSPENDED |
//! | open | open | no | yes | no | no | no | no | * | PROPOSED |
//! | open | open | no | yes | no | no | yes | no | * | IN_REVIEW |
//! | open | open | no | yes | no | no | * | yes | yes | EVALUATED |
//! | open | open | no | yes | no | no | * | yes | no | ACTIVE |

use std::collections::{BTreeMap, BTreeSet};

use qianshou_proto::pairing::v1::{
    Approval, Cited, Commitment, Decision, EvaluationKind, Pairing, PairingInterval, PairingMissing, PairingStage,
    ReviewLevel, Side, SideEvaluation, StatementKind, Terms,
};
use sha2::{Digest, Sha256};
use time::Date;

use super::Said;
use crate::{
    clock::{format_day, parse_day},
    id::Area,
};

/// The text that the halves and approvals of one pairing share.
#[must_use]
pub fn pairing_key(
    programme: Option<&str>,
    batch: Option<&str>,
    sending: Option<&str>,
    receiving: Option<&str>,
) -> Option<String> {
    super::key(&[programme, batch, sending, receiving])
}

/// Of a pairing's text: the text that what is told of its receiving agency in the batch shares, and the codes of both agencies.
#[must_use]
pub fn parts_of(pairing: &str) -> Option<(String, [String; 2])> {
    let parts: Vec<&str> = pairing.split('/').collect();
    let [programme, batch, sending, receiving] = parts[..] else { return None };
    Some((format!("{programme}/{batch}/{receiving}"), [sending, receiving].map(str::to_owned)))
}

/// The text that all halves and approvals of one batch share.
#[must_use]
pub fn cohort_key(programme: Option<&str>, batch: Option<&str>) -> Option<String> {
    super::key(&[programme, batch])
}

/// The text under which the halves that speak for an agency in a batch are found.
#[must_use]
pub fn speaker_key(programme: Option<&str>, batch: Option<&str>, agency: Option<&str>) -> Option<String> {
    super::key(&[programme, batch, agency])
}

/// The digest of terms with the pair they are for, in hexadecimal: equal terms give equal digests on both sides. The day since which they
/// hold is not among them, for each side may take to an amendment on its own day.
#[must_use]
pub fn terms_digest(half: &Commitment, terms: &Terms) -> Option<String> {
    let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
    let parts = [
        pairing_key(
            half.programme.as_deref(),
            half.batch.as_deref(),
            half.sending_uscc.as_deref(),
            half.receiving_uscc.as_deref(),
        )?,
        half.from.clone()?,
        terms.until.clone().or_else(|| half.until.clone()).unwrap_or_default(),
        number(terms.agencies_built),
        number(terms.people_trained),
        number(terms.projects),
    ];
    let mut hash = Sha256::new_with_prefix("qianshou/pairing/terms/2\n");
    parts.iter().for_each(|part| hash.update(format!("{}:{part}\n", part.len())));
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Every pairing that these halves speak of, in the order of their texts, with its stage on the day `at`. Halves of several batches may be
/// among them.
#[must_use]
pub fn pairings(halves: &[Said<Commitment>], approvals: &[Said<Approval>], at: Date) -> Vec<Pairing> {
    let halves: Vec<Half<'_>> =
        super::newest(halves).into_iter().filter_map(|(said, half)| Half::of(said, half)).collect();
    let approvals = super::newest(approvals);
    let mut speakers: BTreeMap<(&str, &str), Vec<&Half<'_>>> = BTreeMap::new();
    let mut pairs: BTreeMap<&str, &Half<'_>> = BTreeMap::new();
    for half in &halves {
        pairs.entry(&half.key).or_insert(half);
        for agency in half.speaks_for() {
            speakers.entry((&half.cohort, agency)).or_default().push(half);
        }
    }
    let mut approved: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    // Only the nation's own word is the ministry's.
    for (said, approval) in approvals.iter().filter(|(said, _)| said.name.home() == Area::NATION) {
        approved.entry(approval.pairing.as_deref().unwrap_or_default()).or_default().push((*said, *approval));
    }
    let none = vec![];
    let pairing = |(key, one): (&str, &Half<'_>)| {
        let of = |agency| speakers.get(&(one.cohort.as_str(), agency)).unwrap_or(&none);
        let approvals = approved.get(key).cloned().unwrap_or_default();
        let pair =
            Pair { key, senders: of(one.half.sending_uscc()), receivers: of(one.half.receiving_uscc()), approvals };
        pair.told(at)
    };
    pairs.into_iter().filter_map(pairing).collect()
}

/// A half, with the days it begins and ends.
struct Half<'a> {
    said: &'a Said<Commitment>,
    half: &'a Commitment,
    key: String,
    cohort: String,
    begins: Date,
    closed: Option<Date>,
}

fn day(text: &Option<String>) -> Option<Date> {
    text.as_deref().and_then(parse_day)
}

impl<'a> Half<'a> {
    /// `None`: what it is about is withheld.
    fn of(said: &'a Said<Commitment>, half: &'a Commitment) -> Option<Self> {
        let Commitment { programme, batch, sending_uscc, receiving_uscc, .. } = half;
        if half.side() == Side::Unspecified {
            return None;
        }
        let (programme, batch) = (programme.as_deref(), batch.as_deref());
        Some(Self {
            key: pairing_key(programme, batch, sending_uscc.as_deref(), receiving_uscc.as_deref())?,
            cohort: cohort_key(programme, batch)?,
            begins: day(&half.proposed_on).or_else(|| day(&half.from)).unwrap_or(Date::MIN),
            closed: day(&half.closed_on),
            said,
            half,
        })
    }

    fn is_of(&self, side: Side) -> bool {
        [side, Side::Both].contains(&self.half.side())
    }

    /// The agencies whose half it is.
    fn speaks_for(&self) -> impl Iterator<Item = &'a str> {
        let of = |side, agency| self.is_of(side).then_some(agency);
        of(Side::Sending, self.half.sending_uscc()).into_iter().chain(of(Side::Receiving, self.half.receiving_uscc()))
    }

    /// Whether it is here on a day, closed or not.
    fn is_here(&self, on: Date) -> bool {
        self.begins <= on && self.said.cut.is_none_or(|cut| on < cut)
    }

    fn is_closed(&self, on: Date) -> bool {
        self.closed.is_some_and(|closed| closed <= on)
    }

    /// The terms that hold on a day, with their digest; `None`: they are withheld.
    fn terms(&self, on: Date) -> Option<(&'a Terms, String)> {
        let terms = &self.half.terms;
        let holding = terms.iter().rfind(|terms| day(&terms.since).is_none_or(|since| since <= on)).or(terms.first())?;
        Some((holding, holding.digest.clone().or_else(|| terms_digest(self.half, holding))?))
    }

    /// Whether the last of these statements up to a day is the first of the two kinds.
    fn states(&self, on: Date, kind: StatementKind, end: StatementKind) -> bool {
        let said = |statement: &&_| {
            let statement: &qianshou_proto::pairing::v1::Statement = statement;
            [kind, end].contains(&statement.kind()) && day(&statement.on).is_some_and(|said| said <= on)
        };
        self.half.statements.iter().rfind(said).is_some_and(|statement| statement.kind() == kind)
    }

    /// What was decided at a level up to a day, last.
    fn reviewed(&self, on: Date, level: ReviewLevel) -> Option<Decision> {
        let reviews = self.half.reviews.iter().filter(|review| review.level() == level);
        let reviews = reviews.filter_map(|review| Some((day(&review.on).filter(|day| *day <= on)?, review.decision())));
        reviews.max_by_key(|(day, _)| *day).map(|(_, decision)| decision)
    }

    fn finally(&self, on: Date) -> bool {
        let made = |kind: EvaluationKind, made: &Option<String>| {
            kind == EvaluationKind::Final && day(made).is_some_and(|made| made <= on)
        };
        self.half.evaluations.iter().any(|evaluation| made(evaluation.kind(), &evaluation.on))
    }

    /// Days on which something in it changes.
    fn days(&self) -> impl Iterator<Item = Date> + '_ {
        let Commitment { from, terms, reviews, statements, evaluations, .. } = self.half;
        let told = terms.iter().map(|terms| &terms.since).chain(reviews.iter().map(|review| &review.on));
        let told = told.chain(statements.iter().map(|statement| &statement.on));
        let told = told.chain(evaluations.iter().map(|evaluation| &evaluation.on)).chain([from]);
        told.filter_map(day).chain([self.begins]).chain(self.said.cut).chain(self.closed)
    }

    fn sending_division(&self) -> Option<String> {
        self.half.sending_division.clone().or_else(|| self.half.division.clone())
    }

    /// This side's evaluations up to a day.
    fn evaluations(&self, side: Side, at: Date) -> Vec<SideEvaluation> {
        let made = self.half.evaluations.iter().filter(|made| day(&made.on).is_some_and(|on| on <= at));
        let told = made.map(|made| SideEvaluation {
            side: Some(side.into()),
            kind: made.kind,
            score: made.score,
            on: made.on.clone(),
        });
        told.collect()
    }

    fn cited(&self) -> Cited {
        Cited { name: Some(self.said.name.to_string()), etag: Some(self.said.version.etag()) }
    }
}

/// Two agencies, with every half that speaks for either in the batch.
struct Pair<'a> {
    key: &'a str,
    senders: &'a [&'a Half<'a>],
    receivers: &'a [&'a Half<'a>],
    approvals: Vec<(&'a Said<Approval>, &'a Approval)>,
}

/// What holds of a pair on a day: a line of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    /// Absent, or whether it is closed.
    sending: Option<bool>,
    receiving: Option<bool>,
    contested: bool,
    agreed: bool,
    disputed: bool,
    resting: bool,
    begun: bool,
    reviewed: bool,
    evaluated: bool,
}

impl Line {
    /// The table at the door.
    fn stage(&self) -> Option<PairingStage> {
        use PairingStage as Stage;
        let both = self.sending.is_some() && self.receiving.is_some();
        let closed = [self.sending, self.receiving].contains(&Some(true));
        Some(match self {
            _ if self.sending.is_none() && self.receiving.is_none() => return None,
            Self { contested: true, .. } => {
                if both {
                    Stage::Disputed
                } else {
                    Stage::OneSided
                }
            }
            _ if closed => Stage::Closed,
            _ if !both => Stage::OneSided,
            Self { agreed: false, .. } | Self { disputed: true, .. } => Stage::Disputed,
            Self { resting: true, .. } => Stage::Suspended,
            Self { reviewed: false, begun: false, .. } => Stage::Proposed,
            Self { reviewed: false, .. } => Stage::InReview,
            Self { evaluated: true, .. } => Stage::Evaluated,
            _ => Stage::Active,
        })
    }
}

impl<'a> Pair<'a> {
    /// This pair's half among those that speak for an agency: an open one, else the newest of those that are here.
    fn half(&self, speakers: &[&'a Half<'a>], side: Side, on: Date) -> Option<&'a Half<'a>> {
        let fits = |half: &&&Half<'_>| half.key == self.key && half.is_of(side) && half.is_here(on);
        speakers.iter().filter(fits).max_by_key(|half| (!half.is_closed(on), &half.said.name)).copied()
    }

    fn sides(&self, on: Date) -> [Option<&'a Half<'a>>; 2] {
        [self.half(self.senders, Side::Sending, on), self.half(self.receivers, Side::Receiving, on)]
    }

    /// The approval of terms that counts on a day: the latest.
    fn approval(&self, on: Date, terms: &str) -> Option<(&'a Said<Approval>, &'a Approval)> {
        let fits = |(said, approval): &&(&Said<Approval>, &Approval)| {
            approval.terms_digest.as_deref() == Some(terms)
                && day(&approval.on).is_some_and(|day| day <= on)
                && said.cut.is_none_or(|cut| on < cut)
        };
        self.approvals.iter().filter(fits).max_by_key(|(said, approval)| (&approval.on, &said.name)).copied()
    }

    /// What the pair lacks on a day before it can be active.
    fn missing(&self, on: Date) -> Vec<PairingMissing> {
        use PairingMissing as Missing;
        let [sending, receiving] = self.sides(on);
        let mut missing = vec![];
        missing.extend(sending.is_none().then_some(Missing::SendingHalf));
        missing.extend(receiving.is_none().then_some(Missing::ReceivingHalf));
        let (Some(sending), Some(receiving)) = (sending, receiving) else { return missing };
        let asks = |level: ReviewLevel| {
            [sending, receiving].iter().any(|half| half.half.review_levels.contains(&level.into()))
        };
        let lacks = |half: &Half<'_>, level| asks(level) && half.reviewed(on, level) != Some(Decision::Approved);
        missing.extend(lacks(receiving, ReviewLevel::County).then_some(Missing::County));
        missing.extend(lacks(sending, ReviewLevel::Province).then_some(Missing::SendingProvince));
        missing.extend(lacks(receiving, ReviewLevel::Province).then_some(Missing::ReceivingProvince));
        let approval = agreed(sending, receiving, on).and_then(|(_, terms)| self.approval(on, &terms));
        let approved = approval.is_some_and(|(_, approval)| approval.decision() == Decision::Approved);
        missing.extend((asks(ReviewLevel::Ministry) && !approved).then_some(Missing::Ministry));
        let begun = [sending, receiving].iter().all(|half| day(&half.half.from).is_some_and(|from| from <= on));
        missing.extend((!begun).then_some(Missing::Term));
        missing
    }

    fn line(&self, on: Date) -> Line {
        let [sending, receiving] = self.sides(on);
        let here = || [sending, receiving].into_iter().flatten();
        let says = |kind, end| here().any(|half| half.states(on, kind, end));
        let decided = |(said, approval): &(&Said<Approval>, &Approval)| {
            day(&approval.on).is_some_and(|day| day <= on) && said.cut.is_none_or(|cut| on < cut)
        };
        let begun = |half: &Half<'_>| {
            [ReviewLevel::County, ReviewLevel::Province].iter().any(|level| half.reviewed(on, *level).is_some())
        };
        let closed = |half: Option<&Half<'_>>| half.map(|half| half.is_closed(on));
        let line = Line {
            sending: closed(sending),
            receiving: closed(receiving),
            contested: contested(self.senders, on) || contested(self.receivers, on),
            ..Line::default()
        };
        if line.contested || line.sending != Some(false) || line.receiving != Some(false) {
            // The table does not ask for the rest.
            return line;
        }
        Line {
            agreed: sending.zip(receiving).is_some_and(|(sending, receiving)| agreed(sending, receiving, on).is_some()),
            disputed: says(StatementKind::Disputed, StatementKind::Settled),
            resting: says(StatementKind::Suspended, StatementKind::Resumed),
            begun: here().any(begun) || self.approvals.iter().any(decided),
            reviewed: self.missing(on).is_empty(),
            evaluated: here().all(|half| half.finally(on)),
            ..line
        }
    }

    /// Its stages, each from the first day to the first no longer.
    fn history(&self) -> Vec<(PairingStage, Date, Option<Date>)> {
        let of_halves = self.senders.iter().chain(self.receivers).flat_map(|half| half.days());
        let decided = self.approvals.iter().flat_map(|(said, approval)| day(&approval.on).into_iter().chain(said.cut));
        let days: BTreeSet<Date> = of_halves.chain(decided).collect();
        let mut history: Vec<(PairingStage, Date, Option<Date>)> = vec![];
        for on in days {
            let stage = self.line(on).stage();
            let lasts = history.last_mut().filter(|(_, _, until)| until.is_none());
            if lasts.as_ref().map(|(stage, ..)| *stage) != stage {
                lasts.into_iter().for_each(|(_, _, until)| *until = Some(on));
                history.extend(stage.map(|stage| (stage, on, None)));
            }
        }
        history
    }

    fn told(&self, at: Date) -> Option<Pairing> {
        use PairingStage as Stage;
        let history = self.history();
        let day = |day: Date| (day > Date::MIN).then(|| format_day(day));
        let holds = |(_, since, _): &&(Stage, Date, Option<Date>)| *since <= at;
        let (stage, since, until) = *history.iter().rfind(holds).or(history.first())?;
        // What is not here yet, or no more, is told as it was when it was.
        let on = if since <= at && until.is_none_or(|until| at < until) { at } else { since };
        let [sending, receiving] = self.sides(on);
        let [former_sending, former_receiving] = [(self.senders, Side::Sending), (self.receivers, Side::Receiving)]
            .map(|(speakers, side)| speakers.iter().find(|half| half.key == self.key && half.is_of(side)).copied());
        let one = former_sending.or(former_receiving)?.half;
        let terms = sending.zip(receiving).and_then(|(sending, receiving)| agreed(sending, receiving, on));
        let active = |(stage, ..): &&(Stage, Date, Option<Date>)| matches!(stage, Stage::Active | Stage::Evaluated);
        let missing = match stage {
            Stage::OneSided | Stage::Proposed | Stage::InReview => self.missing(on),
            _ => vec![],
        };
        let interval = |(stage, since, until): &(Stage, Date, Option<Date>)| PairingInterval {
            stage: Some((*stage).into()),
            since: day(*since),
            until: until.and_then(day),
        };
        let approval = terms.as_ref().and_then(|(_, digest)| self.approval(on, digest));
        let mut evaluations = [(Side::Sending, sending), (Side::Receiving, receiving)]
            .into_iter()
            .flat_map(|(side, half)| half.map(|half| half.evaluations(side, at)).unwrap_or_default())
            .collect::<Vec<_>>();
        evaluations.sort_by(|one, other| one.on.cmp(&other.on));
        Some(Pairing {
            pairing: Some(self.key.to_owned()),
            programme: one.programme.clone(),
            batch: one.batch.clone(),
            sending_uscc: one.sending_uscc.clone(),
            receiving_uscc: one.receiving_uscc.clone(),
            // The receiving side knows best where its agency is.
            division: receiving
                .or(former_receiving)
                .and_then(|half| half.half.division.clone())
                .or_else(|| former_receiving.or(former_sending)?.half.receiving_division.clone()),
            sending_division: sending.or(former_sending).and_then(Half::sending_division),
            stage: Some(stage.into()),
            since: day(since),
            until: until.and_then(day),
            active_from: history.iter().find(active).and_then(|(_, since, _)| day(*since)),
            closed_on: history.iter().find(|(stage, ..)| *stage == Stage::Closed).and_then(|(_, since, _)| day(*since)),
            missing: missing.into_iter().map(Into::into).collect(),
            terms_digest: terms.as_ref().map(|(_, digest)| digest.clone()),
            sending: sending.map(Half::cited),
            receiving: receiving.map(Half::cited),
            approval: approval
                .map(|(said, _)| Cited { name: Some(said.name.to_string()), etag: Some(said.version.etag()) }),
            history: history.iter().map(interval).collect(),
            terms: terms.map(|(terms, _)| terms.clone()),
            evaluations,
            progress: vec![],
        })
    }
}

/// Whether more open halves speak for an agency on a day than may.
fn contested(speakers: &[&Half<'_>], on: Date) -> bool {
    let open = || speakers.iter().filter(|half| half.is_here(on) && !half.is_closed(on));
    let homes: BTreeSet<&str> = open().map(|half| half.said.name.home()).collect();
    homes.len() > 1 || (open().count() > 1 && !open().all(|half| half.half.several()))
}

/// The terms that both have on a day, with their digest, if they are the same.
fn agreed<'a>(sending: &Half<'a>, receiving: &Half<'a>, on: Date) -> Option<(&'a Terms, String)> {
    let (_, theirs) = receiving.terms(on)?;
    sending.terms(on).filter(|(_, ours)| *ours == theirs)
}

#[cfg(test)]
mod tests;
