//! What does not go together: money against receipts, purposes and terms; days of service against dispatches; supervision against what was
//! promised. A pure function of the records that are here, so both sides find the same in the same records. Absent is not wrong: what was
//! withheld, or never filled in, is not found.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_kernel::{
    clock::{format_day, parse_day},
    joint::{Said, money::matches, newest},
};
use qianshou_proto::{
    pairing::v1::{
        Allocation, Arrival, Commitment, Dispatch, Finding, FindingKind, FundSource, Payment, Programme, Project,
        ProjectStageKind, Receipt,
    },
    registry::v1::Tag,
};
use time::{Date, Duration};

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// What was set aside.
    pub allocations: Vec<Said<Allocation>>,
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
    /// By which rules.
    pub programmes: Vec<Said<Programme>>,
    /// What counties are marked as.
    pub tags: Vec<Said<Tag>>,
}

/// Days that money may be on its way.
const ON_ITS_WAY: Duration = Duration::days(30);

/// Everything that is wrong on a day, in the order of kind and record.
#[must_use]
pub fn findings(books: &Books, at: Date) -> Vec<Finding> {
    let mut found = Found::default();
    found.halves(books, at);
    found.twice(books);
    found.purposes(books);
    found.days_of_service(books);
    found.supervision(books, at);
    found.tags(books);
    found.0.into_values().collect()
}

#[derive(Default)]
struct Found(BTreeMap<(i32, String), Finding>);

fn day(text: &Option<String>) -> Option<Date> {
    text.as_deref().and_then(parse_day)
}

impl Found {
    fn add<T, U>(&mut self, kind: FindingKind, record: &Said<T>, other: Option<&Said<U>>, area: &Option<String>) {
        let (zh, en) = texts(kind);
        let finding = Finding {
            kind: Some(kind.into()),
            record: Some(record.name.to_string()),
            other: other.map(|other| other.name.to_string()),
            area: area.clone(),
            message_zh: Some(zh.to_owned()),
            message_en: Some(en.to_owned()),
        };
        self.0.insert((kind.into(), record.name.to_string()), finding);
    }

    /// Payments without receipts and receipts without payments; where both are there and only the amount differs, that.
    fn halves(&mut self, books: &Books, at: Date) {
        let matched = matches(&books.payments, &books.receipts);
        let done: BTreeSet<&str> = matched.iter().flat_map(|(p, r)| [p.name.as_str(), r.name.as_str()]).collect();
        let mut open: BTreeMap<&str, Vec<&Said<Receipt>>> = BTreeMap::new();
        for (said, receipt) in
            newest(&books.receipts).into_iter().filter(|(said, _)| !done.contains(said.name.as_str()))
        {
            open.entry(receipt.flow.as_deref().unwrap_or_default()).or_default().push(said);
        }
        let flows = |said: &&str| {
            books.payments.iter().any(|p| p.said.as_ref().is_some_and(|p| p.flow.as_deref() == Some(said)))
        };
        let again: BTreeSet<&str> = repeated(books).into_iter().map(|(said, _)| said.name.as_str()).collect();
        for (said, payment) in
            newest(&books.payments).into_iter().filter(|(said, _)| !done.contains(said.name.as_str()))
        {
            let flow = payment.flow.as_deref().unwrap_or_default();
            match open.get_mut(flow).and_then(Vec::pop) {
                Some(receipt) => self.add(FindingKind::AmountDiffers, said, Some(receipt), &payment.division),
                // What was paid twice comes in once, and is told as that.
                None if again.contains(said.name.as_str()) => {}
                None if day(&payment.paid_on).is_some_and(|paid| paid + ON_ITS_WAY < at) => {
                    self.add(FindingKind::MissingReceipt, said, None::<&Said<Receipt>>, &payment.division);
                }
                None => {}
            }
        }
        for said in open.iter().filter(|(flow, _)| !flows(flow)).flat_map(|(_, receipts)| receipts) {
            let area = said.said.as_ref().and_then(|receipt| receipt.division.clone());
            self.add(FindingKind::MissingPayment, said, None::<&Said<Payment>>, &area);
        }
    }

    fn twice(&mut self, books: &Books) {
        for (said, before) in repeated(books) {
            let area = said.said.as_ref().and_then(|payment| payment.division.clone());
            self.add(FindingKind::DoublePayment, said, Some(before), &area);
        }
    }

    /// Payments of a programme and source against what was set aside for these.
    fn purposes(&mut self, books: &Books) {
        let allocations = newest(&books.allocations);
        // Where nothing at all is known of a programme's allocations, they are not shared, and nothing can be said.
        let programmes: BTreeSet<&str> = allocations.iter().filter_map(|(_, a)| a.programme.as_deref()).collect();
        for (said, payment) in newest(&books.payments) {
            let Some(programme) = payment.programme.as_deref().filter(|programme| programmes.contains(programme))
            else {
                continue;
            };
            if payment.source() == FundSource::Unspecified {
                continue;
            }
            let fits = |(_, a): &&(&Said<Allocation>, &Allocation)| {
                a.programme.as_deref() == Some(programme) && a.source == payment.source
            };
            let fitting: Vec<_> = allocations.iter().filter(fits).collect();
            let Some((first, _)) = fitting.first() else {
                self.add(FindingKind::Unallocated, said, None::<&Said<Allocation>>, &payment.division);
                continue;
            };
            let meant =
                |a: &Allocation| a.purpose.is_none() || payment.purpose.is_none() || a.purpose == payment.purpose;
            if !fitting.iter().any(|(_, a)| meant(a)) {
                self.add(FindingKind::DivertedEarmark, said, Some(*first), &payment.division);
            }
            let Some(paid) = day(&payment.paid_on) else { continue };
            let within = |a: &Allocation| {
                day(&a.from).is_none_or(|from| from <= paid) && day(&a.until).is_none_or(|until| paid <= until)
            };
            if !fitting.iter().any(|(_, a)| within(a)) {
                self.add(FindingKind::OutsideTerm, said, Some(*first), &payment.division);
            }
        }
    }

    fn days_of_service(&mut self, books: &Books) {
        let of = |programme: &Option<String>, year: &Option<String>, number: &Option<String>| {
            Some((programme.clone()?, year.clone()?, number.clone()?))
        };
        let sent: BTreeSet<_> =
            newest(&books.dispatches).into_iter().filter_map(|(_, d)| of(&d.programme, &d.year, &d.number)).collect();
        for (said, arrival) in newest(&books.arrivals).into_iter().filter(|(_, a)| a.service_days() > 0) {
            if of(&arrival.programme, &arrival.year, &arrival.number).is_some_and(|key| !sent.contains(&key)) {
                self.add(FindingKind::DaysWithoutDispatch, said, None::<&Said<Dispatch>>, &arrival.division);
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
                self.add(FindingKind::Untagged, said, Some(rules), &half.division);
            }
        }
    }

    /// Whole months between approval and end, each with fewer supervisions than were promised.
    fn supervision(&mut self, books: &Books, at: Date) {
        for (said, project) in newest(&books.projects) {
            let (Some(least), Some(approved)) =
                (project.supervisions_least.filter(|least| *least > 0), day(&project.approved_on))
            else {
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
            let mut month = next_month(approved);
            while ends.is_some_and(|end| next_month(month) <= end) {
                if times.get(format_day(month).as_str()).is_none_or(|times| *times < least) {
                    self.add(FindingKind::SupervisionShortfall, said, None::<&Said<Project>>, &project.division);
                    break;
                }
                month = next_month(month);
            }
        }
    }
}

/// The first day of the month after a day's.
fn next_month(day: Date) -> Date {
    let first = day.replace_day(1).unwrap_or(day);
    (first + Duration::days(31)).replace_day(1).unwrap_or(first)
}

/// Payments that were made before, each with the earlier one: by one voucher on another day, or of one amount, to one payee, for one thing,
/// on one day by another voucher.
/// Of two on one day that which came in was the first.
fn repeated(books: &Books) -> Vec<(&Said<Payment>, &Said<Payment>)> {
    let matched = matches(&books.payments, &books.receipts);
    let came_in: BTreeSet<&str> = matched.iter().map(|(payment, _)| payment.name.as_str()).collect();
    let mut paid = newest(&books.payments);
    paid.sort_by_key(|(said, payment)| {
        (payment.paid_on.clone(), !came_in.contains(said.name.as_str()), said.name.clone())
    });
    let mut by_voucher: BTreeMap<&str, &Said<Payment>> = BTreeMap::new();
    let mut by_thing: BTreeMap<_, &Said<Payment>> = BTreeMap::new();
    let mut again = vec![];
    for (said, payment) in paid {
        let Payment { payer, payee_uscc, programme, source, project, purpose, amount_fen, paid_on, .. } = payment;
        let thing = (payer, payee_uscc, programme, source, project, purpose, amount_fen, paid_on);
        let before = payment.flow.as_deref().and_then(|flow| by_voucher.get(flow).copied());
        // Money for nothing in particular may well be the same twice.
        let before = before.or_else(|| project.as_ref().and_then(|_| by_thing.get(&thing).copied()));
        match before {
            Some(before) => again.push((said, before)),
            None => {
                by_voucher.extend(payment.flow.as_deref().map(|flow| (flow, said)));
                by_thing.insert(thing, said);
            }
        }
    }
    again
}

/// What is wrong and what to do next: Chinese and English.
fn texts(kind: FindingKind) -> (&'static str, &'static str) {
    use FindingKind as Kind;
    match kind {
        Kind::Unspecified => ("", ""),
        Kind::MissingReceipt => (
            "付款超过30天无到账记录；请收款方核实并登记到账，或由付款方更正",
            "paid more than 30 days ago and nobody says to have received it; have the payee check and save a receipt, or correct the payment",
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
        Kind::Untagged => (
            "受援地区在开始日期没有计划要求的标签；请登记地区标签，或更换受援地区",
            "the receiving county does not carry the tag that the programme asks for; save the tag, or choose another county",
        ),
    }
}

#[cfg(test)]
mod tests;
