//! What does not go together: money against receipts, purposes and terms; days of service against dispatches; supervision against what was
//! promised. A pure function of the records that are here, so both sides find the same in the same records. Absent is not wrong: what was
//! withheld, or never filled in, is not found.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{
    clock::{format_day, parse_day},
    id::Area,
    joint::{Said, money::matches, newest},
};
use qianshou_proto::{
    pairing::v1::{
        Allocation, Arrival, Commitment, Dispatch, Finding, FindingKind, FundSource, Outcome, OutcomeMeasure, Payment,
        Programme, Progress, Project, ProjectStageKind, Receipt, Side, Terms,
    },
    registry::v1::Tag,
};
use time::{Date, Duration};

use super::{commitment::received, number_key, payment::thing, unnumbered_key};

/// What is looked at: some records, and whatever shares a text with them.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// What was set aside from the sources, and to match them.
    pub allocations: Vec<Said<Allocation>>,
    /// Programmes of which any allocation is here.
    pub funded: BTreeSet<String>,
    /// What was paid.
    pub payments: Vec<Said<Payment>>,
    /// What came in.
    pub receipts: Vec<Said<Receipt>>,
    /// Who was sent.
    pub dispatches: Vec<Said<Dispatch>>,
    /// Who served.
    pub arrivals: Vec<Said<Arrival>>,
    /// What was to be supervised.
    pub projects: Vec<Said<Project>>,
    /// Who is paired.
    pub commitments: Vec<Said<Commitment>>,
    /// What the pairs have reached.
    pub outcomes: Vec<Said<Outcome>>,
    /// By which rules.
    pub programmes: Vec<Said<Programme>>,
    /// What counties are marked as.
    pub tags: Vec<Said<Tag>>,
}

/// Everything that is wrong on a day, in the order of record and kind. A payment may be on its way for so many days.
#[must_use]
pub fn findings(books: &Books, at: Date, on_its_way_days: u32) -> Vec<Finding> {
    let mut found = Found::default();
    let repeated = repeated(books);
    let late = at.checked_sub(Duration::days(on_its_way_days.into())).unwrap_or(Date::MIN);
    found.halves(books, &repeated, late);
    found.twice(&repeated);
    found.purposes(books);
    found.matching(books);
    found.days_of_service(books, at);
    found.service_behind(books, late);
    found.supervision(books, at);
    found.tags(books);
    found.outcomes(books, at);
    found.0.into_values().collect()
}

#[derive(Default)]
struct Found(BTreeMap<(String, i32, String), Finding>);

/// A payment that was made before, with the earlier one.
type Repeated<'a> = (&'a Said<Payment>, &'a Said<Payment>);

fn day(text: &Option<String>) -> Option<Date> {
    text.as_deref().and_then(parse_day)
}

impl Found {
    fn add<T>(&mut self, kind: FindingKind, record: &Said<T>, area: &Option<String>, shown: impl Into<Shown>) {
        let (zh, en) = texts(kind);
        let Shown { other, detail } = shown.into();
        let finding = Finding {
            kind: Some(kind.into()),
            record: Some(record.name.to_string()),
            other,
            area: area.clone(),
            message_zh: Some(zh.to_owned()),
            message_en: Some(en.to_owned()),
            detail: detail.clone(),
        };
        self.0.insert((record.name.to_string(), kind.into(), detail.unwrap_or_default()), finding);
    }

    /// Payments without receipts and receipts without payments; where both are there and only the amount differs, that.
    fn halves(&mut self, books: &Books, repeated: &[Repeated<'_>], late: Date) {
        let matched = matches(&books.payments, &books.receipts);
        let done: BTreeSet<&str> = matched.iter().flat_map(|(p, r)| [p.name.as_str(), r.name.as_str()]).collect();
        let mut open: BTreeMap<&str, Vec<(&Said<Receipt>, &Receipt)>> = BTreeMap::new();
        for (said, receipt) in
            newest(&books.receipts).into_iter().filter(|(said, _)| !done.contains(said.name.as_str()))
        {
            open.entry(receipt.flow.as_deref().unwrap_or_default()).or_default().push((said, receipt));
        }
        let payments = newest(&books.payments);
        let flows: BTreeSet<&str> = payments.iter().filter_map(|(_, payment)| payment.flow.as_deref()).collect();
        let again: BTreeSet<&str> = repeated.iter().map(|(said, _)| said.name.as_str()).collect();
        for (said, payment) in payments.into_iter().filter(|(said, _)| !done.contains(said.name.as_str())) {
            let flow = payment.flow.as_deref().unwrap_or_default();
            match open.get_mut(flow).and_then(Vec::pop) {
                Some((receipt, _)) => self.add(FindingKind::AmountDiffers, said, &payment.division, receipt),
                // What was paid twice comes in once, and is told as that.
                None if again.contains(said.name.as_str()) => {}
                None if day(&payment.paid_on).is_some_and(|paid| paid < late) => {
                    self.add(FindingKind::MissingReceipt, said, &payment.division, ());
                }
                None => {}
            }
        }
        for (said, receipt) in open.iter().filter(|(flow, _)| !flows.contains(*flow)).flat_map(|(_, open)| open) {
            self.add(FindingKind::MissingPayment, said, &receipt.division, ());
        }
    }

    fn twice(&mut self, repeated: &[Repeated<'_>]) {
        for (said, before) in repeated {
            let area = said.said.as_ref().and_then(|payment| payment.division.clone());
            self.add(FindingKind::DoublePayment, said, &area, *before);
        }
    }

    /// Payments of a programme and source against what was set aside for these where the payer is.
    fn purposes(&mut self, books: &Books) {
        let allocations = newest(&books.allocations);
        for (said, payment) in newest(&books.payments) {
            // Where nothing at all is known of a programme's allocations, they are not shared, and nothing can be said.
            let Some(programme) = payment.programme.as_deref().filter(|programme| books.funded.contains(*programme))
            else {
                continue;
            };
            if payment.source() == FundSource::Unspecified {
                continue;
            }
            let set_aside = |(_, a): &&(&Said<Allocation>, &Allocation)| {
                a.programme.as_deref() == Some(programme)
                    && a.source == payment.source
                    && may_spend(a.division(), payment.division())
            };
            let mut fitting: Vec<_> = allocations.iter().filter(set_aside).collect();
            let Some((first, _)) = fitting.first().copied() else {
                self.add(FindingKind::Unallocated, said, &payment.division, ());
                continue;
            };
            fitting.retain(|(_, a)| a.purpose.is_none() || payment.purpose.is_none() || a.purpose == payment.purpose);
            let Some((meant, _)) = fitting.first() else {
                self.add(FindingKind::DivertedEarmark, said, &payment.division, *first);
                continue;
            };
            let Some(paid) = day(&payment.paid_on) else { continue };
            let within = |a: &Allocation| {
                day(&a.from).is_none_or(|from| from <= paid) && day(&a.until).is_none_or(|until| paid <= until)
            };
            if !fitting.iter().any(|(_, a)| within(a)) {
                self.add(FindingKind::OutsideTerm, said, &payment.division, *meant);
            }
        }
    }

    /// Money that was to match a source, yuan for so many thousandths of a yuan, against what came from that source.
    fn matching(&mut self, books: &Books) {
        let allocations = newest(&books.allocations);
        for (said, allocation) in &allocations {
            let (Some(promised), Some(matches)) = (allocation.match_thousandths, allocation.matches) else { continue };
            let sum = |source: Option<i32>| -> i128 {
                let same = allocations.iter().filter(|(_, a)| {
                    a.source == source
                        && (&a.programme, &a.year, &a.division)
                            == (&allocation.programme, &allocation.year, &allocation.division)
                });
                same.map(|(_, a)| i128::from(a.amount_fen())).sum()
            };
            let (source, own) = (sum(Some(matches)), sum(allocation.source));
            // As ratios are told: to the nearest thousandth.
            if source > 0 && (own * 1_000 + source / 2) / source < i128::from(promised) {
                self.add(FindingKind::MatchShortfall, said, &allocation.division, ());
            }
        }
    }

    fn days_of_service(&mut self, books: &Books, at: Date) {
        let numbered: BTreeSet<_> = newest(&books.dispatches)
            .into_iter()
            .filter_map(|(_, d)| number_key(d.programme.as_deref(), d.year.as_deref(), d.number.as_deref()))
            .collect();
        // A dispatch without a number may be whose arrival it is, at the same host.
        let unnumbered: BTreeSet<_> = newest(&books.dispatches)
            .into_iter()
            .filter(|(_, d)| d.number.is_none())
            .filter_map(|(_, d)| unnumbered_key(d.programme.as_deref(), d.year.as_deref(), d.host_division.as_deref()))
            .collect();
        for (said, arrival) in newest(&books.arrivals).into_iter().filter(|(_, a)| a.service_days() > 0) {
            let (programme, year) = (arrival.programme.as_deref(), arrival.year.as_deref());
            let number = number_key(programme, year, arrival.number.as_deref());
            let host = unnumbered_key(programme, year, arrival.division.as_deref());
            if number.is_some_and(|key| !numbered.contains(&key)) && !host.is_some_and(|key| unnumbered.contains(&key))
            {
                self.add(FindingKind::DaysWithoutDispatch, said, &arrival.division, ());
            }
            let last = day(&arrival.until).unwrap_or(at);
            let days = day(&arrival.from).map(|from| (last - from).whole_days() + 1);
            if days.is_some_and(|days| i64::from(arrival.service_days()) > days.max(0)) {
                self.add(FindingKind::TooManyDays, said, &arrival.division, ());
            }
        }
    }

    /// Payments for a dispatch, long after they were made, of which no arrival confirms a day of service.
    fn service_behind(&mut self, books: &Books, late: Date) {
        let arrivals = newest(&books.arrivals);
        let key = |a: &Arrival| number_key(a.programme.as_deref(), a.year.as_deref(), a.number.as_deref());
        let confirmed = arrivals.iter().filter(|(_, a)| a.service_days() > 0 && a.confirmed != Some(false));
        let served: BTreeSet<String> = confirmed.filter_map(|(_, a)| key(a)).collect();
        for (said, payment) in newest(&books.payments) {
            let Some(number) = super::payment::served(payment) else { continue };
            if day(&payment.paid_on).is_some_and(|paid| paid < late) && !served.contains(&number) {
                self.add(FindingKind::PaidWithoutService, said, &payment.division, ());
            }
        }
    }

    /// Halves whose receiving county does not carry, on the first day of the term, the tag that the programme asks for.
    fn tags(&mut self, books: &Books) {
        let programmes = newest(&books.programmes);
        let tags = newest(&books.tags);
        for (said, half) in newest(&books.commitments) {
            let rules = programmes.iter().find(|(rules, _)| half.rules.as_deref() == Some(rules.name.as_str()));
            let Some((rules, label)) = rules.and_then(|(said, rules)| Some((*said, rules.tag.as_deref()?))) else {
                continue;
            };
            let (Some(county), Some(from)) = (half.receiving_division.as_deref(), day(&half.from)) else { continue };
            let carried = |(_, tag): &(&Said<Tag>, &Tag)| {
                tag.label().as_str_name().trim_start_matches("TAG_LABEL_") == label
                    && tag.division.as_deref().is_some_and(|division| county.starts_with(division))
                    && day(&tag.since).is_none_or(|since| since <= from)
                    && day(&tag.until).is_none_or(|until| from < until)
            };
            if !tags.iter().any(carried) {
                self.add(FindingKind::Untagged, said, &half.division, rules);
            }
        }
    }

    /// Pairs whose term is over and that have reached less than the receiving side's last terms say.
    fn outcomes(&mut self, books: &Books, at: Date) {
        for (said, half) in newest(&books.commitments) {
            let Some(terms) = half.terms.last().filter(|_| half.side() != Side::Sending) else { continue };
            let over = |until: &Option<String>| day(until).is_some_and(|until| until < at);
            if !over(if terms.until.is_some() { &terms.until } else { &half.until }) {
                continue;
            }
            for Progress { measure, agreed, reached } in progress(terms, received(half), &books.outcomes, at) {
                let (agreed, reached) = (agreed.unwrap_or(0), reached.unwrap_or(0));
                if reached < u64::from(agreed) {
                    let measure = OutcomeMeasure::try_from(measure.unwrap_or(0)).unwrap_or_default().as_str_name();
                    let detail = format!("{} {reached}/{agreed}", measure.trim_start_matches("OUTCOME_MEASURE_"));
                    self.add(FindingKind::OutcomeShortfall, said, &half.division, detail);
                }
            }
        }
    }

    /// Whole months between approval and end, each with fewer supervisions than were promised: by the project, else by its programme for
    /// its group.
    fn supervision(&mut self, books: &Books, at: Date) {
        let programmes = newest(&books.programmes);
        for (said, project) in newest(&books.projects) {
            let least = project.supervisions_least.or_else(|| least_of_group(said, project, &programmes));
            let (Some(least), Some(approved)) = (least.filter(|least| *least > 0), day(&project.approved_on)) else {
                continue;
            };
            let evaluated = project.stages.iter().find(|step| step.stage() == ProjectStageKind::Evaluated);
            let ends =
                [day(&project.until), evaluated.and_then(|step| day(&step.on))].into_iter().flatten().chain([at]).min();
            let times: BTreeMap<&str, u32> = project
                .supervisions
                .iter()
                .filter_map(|month| Some((month.month.as_deref()?, month.times())))
                .collect();
            let mut months = 0;
            let mut month = next_month(approved);
            while let Some((first, next)) = month.and_then(|first| Some((first, next_month(first)?)))
                && ends.is_some_and(|end| next <= end)
                && months < MONTHS_MOST
            {
                let text = format_day(first);
                if times.get(text.as_str()).is_none_or(|times| *times < least) {
                    self.add(FindingKind::SupervisionShortfall, said, &project.division, text[..7].to_owned());
                }
                months += 1;
                month = Some(next);
            }
        }
    }
}

/// Months of one project that are looked at: ten years.
const MONTHS_MOST: u32 = 120;

/// What shows that something is wrong: another record, or which of several things of the record it is.
#[derive(Default)]
struct Shown {
    other: Option<String>,
    detail: Option<String>,
}

impl From<()> for Shown {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl<T> From<&Said<T>> for Shown {
    fn from(other: &Said<T>) -> Self {
        Self { other: Some(other.name.to_string()), detail: None }
    }
}

impl From<String> for Shown {
    fn from(detail: String) -> Self {
        Self { other: None, detail: Some(detail) }
    }
}

/// Whether a payer may spend what was set aside for a division: one lies in the other, or it is the nation's.
fn may_spend(set_aside: &str, payer: &str) -> bool {
    set_aside == Area::NATION || payer.is_empty() || set_aside.starts_with(payer) || payer.starts_with(set_aside)
}

/// How often a project's programme wants its group supervised in a month; the rules of the project's own home before the nation's.
fn least_of_group(
    said: &Said<Project>,
    project: &Project,
    programmes: &[(&Said<Programme>, &Programme)],
) -> Option<u32> {
    let named = |home: &str| {
        let mut named = programmes.iter().filter(|(rules, programme)| {
            rules.name.home() == home && programme.display_name.is_some() && programme.display_name == project.programme
        });
        named.find_map(|(_, programme)| programme.supervisions.iter().find(|rule| rule.group == project.group)?.least)
    };
    project.group?;
    named(said.name.home()).or_else(|| named(Area::NATION))
}

/// The first day of the month after a day's; `None`: there is none.
fn next_month(day: Date) -> Option<Date> {
    day.replace_day(1).ok()?.checked_add(Duration::days(31))?.replace_day(1).ok()
}

/// Payments that were made before, each with the earliest that it repeats: by one voucher on another day, or the same for the same thing on
/// one day by another voucher. Of two on one day that which came in was the first.
fn repeated(books: &Books) -> Vec<Repeated<'_>> {
    let matched = matches(&books.payments, &books.receipts);
    let came_in: BTreeSet<&str> = matched.iter().map(|(payment, _)| payment.name.as_str()).collect();
    let mut paid = newest(&books.payments);
    paid.sort_by_key(|(said, payment)| {
        (payment.paid_on.clone(), !came_in.contains(said.name.as_str()), said.name.clone())
    });
    let mut first: BTreeMap<(bool, String), &Said<Payment>> = BTreeMap::new();
    let mut again = vec![];
    for (said, payment) in paid {
        let texts = [payment.flow.clone(), thing(payment)];
        let keys = texts.into_iter().enumerate().filter_map(|(i, text)| Some((i == 0, text?)));
        let mut before = None;
        for key in keys {
            let standing = *first.entry(key).or_insert(said);
            before = before.or(Some(standing).filter(|standing| standing.name != said.name));
        }
        again.extend(before.map(|before| (said, before)));
    }
    again
}

/// How far a pair has come by the outcomes reported up to a day, measure by measure. What both sides tell alike counts once.
#[must_use]
pub fn progress(terms: &Terms, received: Option<String>, outcomes: &[Said<Outcome>], at: Date) -> Vec<Progress> {
    let Terms { agencies_built, people_trained, projects, .. } = terms;
    let mut told: BTreeMap<(i32, Option<&str>), u32> = BTreeMap::new();
    for (said, outcome) in newest(outcomes) {
        let on = day(&outcome.reported_on).filter(|on| *on <= at && said.cut.is_none_or(|cut| *on < cut));
        if on.is_some() && super::outcome::received(outcome) == received {
            told.entry((outcome.measure.unwrap_or(0), outcome.outcome.as_deref())).or_insert(outcome.value());
        }
    }
    let of = |(measure, agreed): (OutcomeMeasure, &Option<u32>)| {
        let reached =
            told.iter().filter(|((of, _), _)| *of == i32::from(measure)).map(|(_, value)| u64::from(*value)).sum();
        let progress = Progress { measure: Some(measure.into()), agreed: *agreed, reached: Some(reached) };
        (agreed.is_some() || reached > 0).then_some(progress)
    };
    let measures = [
        (OutcomeMeasure::AgenciesBuilt, agencies_built),
        (OutcomeMeasure::PeopleTrained, people_trained),
        (OutcomeMeasure::Projects, projects),
    ];
    measures.into_iter().filter_map(of).collect()
}

/// What is wrong and what to do next: Chinese and English.
fn texts(kind: FindingKind) -> (&'static str, &'static str) {
    use FindingKind as Kind;
    match kind {
        Kind::Unspecified => ("", ""),
        Kind::MissingReceipt => (
            "付款逾期无到账记录；请收款方核实并登记到账，或由付款方更正",
            "paid long ago and nobody says to have received it; have the payee check and save a receipt, or correct the payment",
        ),
        Kind::MissingPayment => (
            "有到账无付款记录；请核对付款单位名称与凭证号，或请付款方登记付款",
            "received, but nobody says to have paid it; compare payer and voucher, or have the payer save the payment",
        ),
        Kind::AmountDiffers => (
            "付款与到账金额不一致；请双方核对凭证后由有误一方更正",
            "payment and receipt say different amounts; compare the voucher and correct the wrong half",
        ),
        Kind::DoublePayment => (
            "疑似重复付款；请核对凭证，重复的应收回或删除该记录",
            "it seems to be paid twice; compare the vouchers, recover the money or delete the record",
        ),
        Kind::DivertedEarmark => (
            "付款用途与资金安排的专项用途不符；请更正用途，或按规定调整资金安排",
            "spent on what it was not set aside for; correct the purpose, or have the allocation changed",
        ),
        Kind::OutsideTerm => (
            "付款日期不在资金可用期限内；请更正日期，或按规定办理结转",
            "paid outside the term of the allocation; correct the day, or have the term extended",
        ),
        Kind::Unallocated => (
            "该计划没有此来源的资金安排；请登记资金安排，或更正付款的资金来源",
            "nothing was set aside from this source for the programme; save the allocation, or correct the source",
        ),
        Kind::DaysWithoutDispatch => (
            "有服务天数但没有对应的选派记录；请核对派遣编号，或请派出方登记选派",
            "days of service without a dispatch; compare the number, or have the home save the dispatch",
        ),
        Kind::SupervisionShortfall => (
            "有月份的督导次数低于最低要求；请补登督导记录，或安排督导",
            "in some month it was supervised less often than promised; save what is missing, or supervise it",
        ),
        Kind::OutcomeShortfall => (
            "协议期满，成效未达到约定；请补报成效，或由双方修订协议、说明原因",
            "the term is over and less was reached than agreed; report what is missing, or amend the terms on both sides",
        ),
        Kind::MatchShortfall => (
            "配套资金低于承诺比例；请补足配套安排，或更正比例",
            "less was set aside than the match that was promised; add what is missing, or correct the ratio",
        ),
        Kind::TooManyDays => (
            "服务天数多于在岗天数；请更正服务天数或到岗、离岗日期",
            "more days of service than days between arrival and leaving; correct the days or the dates",
        ),
        Kind::PaidWithoutService => (
            "付款对应的选派没有经确认的服务天数；请接收方登记服务天数，或更正派遣编号",
            "paid for a dispatch of which the host confirms no day of service; have the host save the days, or correct the number",
        ),
        Kind::Untagged => (
            "受援地区在开始日期没有计划要求的标签；请登记地区标签，或更换受援地区",
            "the receiving county does not carry the tag that the programme asks for; save the tag, or choose another county",
        ),
    }
}

#[cfg(test)]
mod tests;
