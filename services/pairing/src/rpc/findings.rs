//! Findings, computed from the records that are here whenever somebody asks: a block of records at a time, with what shares a text with
//! them. What it costs depends on the page, not on what is stored.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{
    clock::format_day,
    error::Result,
    identity::Caller,
    joint::Said,
    kind::{Kind, Noun, page_key, page_token},
};
use qianshou_proto::{
    pairing::v1::{
        Allocation, Arrival, Commitment, Dispatch, Finding, FundSource, ListFindingsRequest, ListFindingsResponse,
        Outcome, Payment, Project, Receipt,
    },
    registry::v1::Tag,
};

use super::{View, within};
use crate::{
    Pairing,
    domain::{
        Allocations, Arrivals, Commitments, Dispatches, Outcomes, Payments, Programmes, Projects, Receipts, commitment,
        findings::{Books, findings},
        fund_key, number_key, payment, source_text, unnumbered_key,
    },
    store::Place,
};

/// Records looked at together, and for one page at most.
const BLOCK: usize = 500;
const PAGE_RECORDS: usize = 5_000;

/// Whose records something can be wrong with, in the order in which they are looked at.
static SUBJECTS: [Kind; 6] = [
    Kind::of::<Allocations>(),
    Kind::of::<Payments>(),
    Kind::of::<Receipts>(),
    Kind::of::<Arrivals>(),
    Kind::of::<Projects>(),
    Kind::of::<Commitments>(),
];

/// Where a page ended: the kind by its place among [`SUBJECTS`], and the record behind which the next begins; of that one findings were
/// told already up to `told`.
#[derive(Clone, Debug, Default)]
struct Reached {
    subject: usize,
    place: Place,
    told: usize,
}

type Key = (usize, String, String, usize);

impl Reached {
    fn read(key: Option<Key>) -> Self {
        let (subject, area, name, told) = key.unwrap_or_default();
        Self { subject, place: Place { area, name }, told }
    }

    fn key(&self) -> Key {
        (self.subject, self.place.area.clone(), self.place.name.clone(), self.told)
    }
}

impl Pairing {
    /// What is wrong in an area.
    pub(super) async fn finding_list(
        &self,
        caller: &Caller,
        asked: ListFindingsRequest,
    ) -> Result<ListFindingsResponse> {
        self.admit(caller, asked.min_position).await?;
        let area = within(caller, asked.area.as_deref())?;
        let at = self.day("at", asked.at.as_deref())?;
        let size = self.verbs.page_size(asked.page_size)?;
        let question = format!("findings {} {}", area.as_str(), format_day(at));
        let mut reached = Reached::read(page_key(&question, asked.page_token.as_deref())?);
        let view = View::new(self.verbs.ledger.node(), area);
        let (from, until) = view.range();

        let mut page: Vec<Finding> = vec![];
        let mut looked_at = 0;
        while let Some(subject) = SUBJECTS.get(reached.subject) {
            let rows = self.halves().walk(subject.table, &from, &until, &reached.place, BLOCK).await?;
            looked_at += rows.len();
            let names: Vec<String> = rows.iter().filter(|row| view.shows(row)).map(|row| row.name.clone()).collect();
            let books = self.books(subject.collection, &names).await?;
            let mut found: BTreeMap<String, Vec<Finding>> = names.into_iter().map(|name| (name, vec![])).collect();
            for finding in findings(&books, at, self.settings.payment_on_its_way_days) {
                // Of what only shares a text with these, others tell.
                found.entry(finding.record().to_owned()).and_modify(|of| of.push(finding));
            }
            for row in &rows {
                let of_row = found.remove(&row.name).unwrap_or_default();
                let fresh = of_row.len() - reached.told.min(of_row.len());
                let room = size - page.len();
                page.extend(of_row.into_iter().skip(reached.told).take(room));
                if fresh > room {
                    reached.told += room;
                    return answer(page, &question, &reached);
                }
                reached = Reached { place: row.clone(), told: 0, ..reached };
                if page.len() == size {
                    return answer(page, &question, &reached);
                }
            }
            if rows.len() < BLOCK {
                reached = Reached { subject: reached.subject + 1, ..Reached::default() };
            }
            if looked_at >= PAGE_RECORDS {
                return answer(page, &question, &reached);
            }
        }
        Ok(ListFindingsResponse { findings: page, next_page_token: None })
    }

    /// Some records of a kind, and everything that says whether something is wrong with them.
    async fn books(&self, kind: &str, names: &[String]) -> Result<Books> {
        let halves = self.halves();
        let names = names.iter().cloned();
        Ok(match kind {
            Allocations::COLLECTION => {
                let of: Vec<Said<Allocation>> = halves.named(names).await?;
                let matched = said(&of).filter(|a| a.matches.is_some());
                let sources = matched.flat_map(|a| {
                    let matched = FundSource::try_from(a.matches.unwrap_or(0)).unwrap_or_default();
                    [matched, a.source()].map(|source| fund_key(a.programme.as_deref(), Some(source_text(source))))
                });
                let sources: Vec<_> = sources.collect();
                Books {
                    allocations: halves.sharing(Allocations::COLLECTION, "fund", sources).await?,
                    ..Books::default()
                }
            }
            Payments::COLLECTION => self.payments(halves.named(names).await?).await?,
            Receipts::COLLECTION => {
                let receipts: Vec<Said<Receipt>> = halves.named(names).await?;
                let flows: Vec<_> = said(&receipts).map(|receipt| receipt.flow.clone()).collect();
                Books {
                    payments: halves.sharing(Payments::COLLECTION, "flow", flows.clone()).await?,
                    receipts: halves.sharing(Receipts::COLLECTION, "flow", flows).await?,
                    ..Books::default()
                }
            }
            Arrivals::COLLECTION => {
                let arrivals: Vec<Said<Arrival>> = halves.named(names).await?;
                let numbers =
                    said(&arrivals).map(|a| number_key(a.programme.as_deref(), a.year.as_deref(), a.number.as_deref()));
                let hosts = said(&arrivals)
                    .map(|a| unnumbered_key(a.programme.as_deref(), a.year.as_deref(), a.division.as_deref()));
                let mut dispatches: Vec<Said<Dispatch>> =
                    halves.sharing(Dispatches::COLLECTION, "number", numbers.collect::<Vec<_>>()).await?;
                dispatches
                    .extend(halves.sharing(Dispatches::COLLECTION, "unnumbered", hosts.collect::<Vec<_>>()).await?);
                Books { arrivals, dispatches, ..Books::default() }
            }
            Projects::COLLECTION => {
                let projects: Vec<Said<Project>> = halves.named(names).await?;
                let titles: Vec<_> = said(&projects).map(|project| project.programme.clone()).collect();
                let programmes = halves.sharing(Programmes::COLLECTION, "display_name", titles).await?;
                Books { projects, programmes, ..Books::default() }
            }
            _ => self.commitments(halves.named(names).await?).await?,
        })
    }

    /// Payments with those that may be the same, what came in of them all, and what was set aside for them.
    async fn payments(&self, of: Vec<Said<Payment>>) -> Result<Books> {
        let halves = self.halves();
        let things: Vec<_> = said(&of).map(payment::thing).collect();
        let alike: Vec<Said<Payment>> = halves.sharing(Payments::COLLECTION, "thing", things).await?;
        let flows: Vec<_> = said(&of).chain(said(&alike)).map(|payment| payment.flow.clone()).collect();
        let mut payments: Vec<Said<Payment>> = halves.sharing(Payments::COLLECTION, "flow", flows.clone()).await?;
        let receipts = halves.sharing(Receipts::COLLECTION, "flow", flows).await?;
        let funds: Vec<_> =
            said(&of).map(|p| fund_key(p.programme.as_deref(), Some(source_text(p.source())))).collect();
        let allocations = halves.sharing(Allocations::COLLECTION, "fund", funds).await?;
        let mut funded = BTreeSet::new();
        for programme in said(&of).filter_map(|payment| payment.programme.as_deref()).collect::<BTreeSet<_>>() {
            let known = self.verbs.ledger.is_shared(Allocations::COLLECTION, "programme", programme).await?;
            funded.extend(known.then(|| programme.to_owned()));
        }
        let numbers: Vec<_> = said(&of).map(payment::served).collect();
        let arrivals = halves.sharing(Arrivals::COLLECTION, "number", numbers).await?;
        payments.extend(alike);
        payments.extend(of);
        Ok(Books { payments, receipts, allocations, arrivals, funded, ..Books::default() })
    }

    /// Halves of pairings with their programmes' rules, what they have reached, and the tags of the receiving counties.
    async fn commitments(&self, commitments: Vec<Said<Commitment>>) -> Result<Books> {
        let halves = self.halves();
        let received: Vec<_> = said(&commitments).map(commitment::received).collect();
        let outcomes: Vec<Said<Outcome>> = halves.sharing(Outcomes::COLLECTION, "received", received).await?;
        let programmes = halves.named(said(&commitments).filter_map(|half| half.rules.clone())).await?;
        let places = said(&commitments)
            .filter(|half| half.rules.is_some())
            .filter_map(|half| half.receiving_division.as_deref());
        let places = places.flat_map(|code| [2, 4, 6, 9, 12].map(|digits| code.get(..digits).map(str::to_owned)));
        let tags: Vec<Said<Tag>> = halves.sharing("tags", "division", places.collect::<Vec<_>>()).await?;
        Ok(Books { commitments, outcomes, programmes, tags, ..Books::default() })
    }
}

fn said<T>(records: &[Said<T>]) -> impl Iterator<Item = &T> {
    records.iter().filter_map(|record| record.said.as_ref())
}

fn answer(findings: Vec<Finding>, question: &str, reached: &Reached) -> Result<ListFindingsResponse> {
    Ok(ListFindingsResponse { findings, next_page_token: Some(page_token(question, &reached.key())?) })
}
