//! Proposals: what an area asks another to let it write, because it touches a record of that area. What may be decided, by whom, and what
//! becomes of it. A proposal is no noun: it is kept in a table of this house, in no ledger and no feed.

use qianshou_kernel::{
    clock::{format_day, parse_day},
    error::{Reason, Refusal, Violation},
};
use qianshou_proto::registry::v1::{Proposal, ProposalDecision, ProposalState};
use time::Date;

/// Working days in which the other area answers; then an area above both may.
pub const ANSWER_WORKING_DAYS: u32 = 10;

/// Who decides: an area, and which of the two sides lie in it.
#[derive(Clone, Debug)]
pub struct By {
    pub area: String,
    pub holds_from: bool,
    pub holds_to: bool,
    /// Whether the area that decided before holds the side that proposed, too.
    pub decided_above: bool,
}

/// Whether an area above both may decide it.
#[must_use]
pub fn is_escalated(proposal: &Proposal, today: Date) -> bool {
    let is_late = parse_day(proposal.due_on()).is_some_and(|due| due < today);
    proposal.state() == ProposalState::Proposed && (proposal.disputed() || is_late)
}

/// The proposal with a decision, or why this area does not take it.
///
/// # Errors
/// STALE_VERSION: it does not stand so that this could be decided; AREA_FORBIDDEN: another area decides this; REQUIRED: a reason is missing.
pub fn decide(
    proposal: &Proposal,
    decision: ProposalDecision,
    reason: Option<String>,
    by: &By,
    today: Date,
) -> Result<Proposal, Refusal> {
    use ProposalDecision as D;
    use ProposalState as S;
    let (from, to) = match decision {
        D::Unspecified => return Err(Refusal::one("decision", Reason::Required, "")),
        D::Accept => (S::Proposed, S::Accepted),
        D::Refuse => (S::Proposed, S::Refused),
        D::Withdraw => (S::Proposed, S::Withdrawn),
        D::Dispute => (S::Refused, S::Proposed),
    };
    let is_final = decision == D::Dispute && (proposal.disputed() || by.decided_above);
    if proposal.state() != from || is_final {
        return Err(already(proposal));
    }
    let may = match decision {
        D::Withdraw | D::Dispute => by.holds_from,
        _ => may_answer(proposal, by, today),
    };
    if !may {
        return Err(anothers(proposal, decision));
    }
    if decision != D::Accept && reason.is_none() {
        return Err(Refusal::one("reason", Reason::Required, ""));
    }
    Ok(Proposal {
        state: Some(to.into()),
        disputed: Some(proposal.disputed() || decision == D::Dispute),
        decided_on: Some(format_day(today)),
        decided_by: Some(by.area.clone()),
        decision_reason: reason,
        ..proposal.clone()
    })
}

/// Whether this area accepts or refuses: the one that was asked; one that holds both sides when it is escalated, and of a dispute only such
/// a one.
fn may_answer(proposal: &Proposal, by: &By, today: Date) -> bool {
    let is_above = by.holds_from && by.holds_to;
    if proposal.disputed() { is_above } else { by.holds_to && (!is_above || is_escalated(proposal, today)) }
}

fn already(proposal: &Proposal) -> Refusal {
    let state = proposal.state().as_str_name().trim_start_matches("PROPOSAL_STATE_").to_lowercase();
    let on = proposal.decided_on.as_deref().or(proposal.proposed_on.as_deref()).unwrap_or_default();
    let zh = format!("name：该提案目前状态为 {state}（{on}），不能作此决定；请重新读取");
    let en = format!("name: the proposal is {state} since {on}, and this cannot be decided; read it again");
    Refusal(vec![Violation { field: "name".to_owned(), reason: Reason::StaleVersion, zh, en }])
}

fn anothers(proposal: &Proposal, decision: ProposalDecision) -> Refusal {
    let (from, to, due) = (proposal.from_area(), proposal.to_area(), proposal.due_on());
    let (zh, en) = match decision {
        ProposalDecision::Withdraw | ProposalDecision::Dispute => {
            (format!("由提案地区 {from} 决定"), format!("the area that proposed, {from}, decides this"))
        }
        _ if proposal.disputed() => (
            format!("双方有争议，由 {from} 与 {to} 的共同上级地区决定"),
            format!("the two areas dispute it: an area above both {from} and {to} decides"),
        ),
        _ => (
            format!("{due} 以前由 {to} 决定，此后其与 {from} 的共同上级地区也可决定"),
            format!("until {due} the area {to} decides, then an area above both it and {from} may, too"),
        ),
    };
    let (zh, en) = (format!("name：{zh}"), format!("name: {en}"));
    Refusal(vec![Violation { field: "name".to_owned(), reason: Reason::AreaForbidden, zh, en }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        parse_day(text).unwrap()
    }

    fn proposal() -> Proposal {
        Proposal {
            from_area: Some("640104".into()),
            to_area: Some("640122".into()),
            state: Some(ProposalState::Proposed.into()),
            due_on: Some("2024-06-17".into()),
            ..Proposal::default()
        }
    }

    fn by(area: &str) -> By {
        let holds = |code: &str| code.starts_with(area);
        By { area: area.into(), holds_from: holds("640104"), holds_to: holds("640122"), decided_above: false }
    }

    fn reason(decided: Result<Proposal, Refusal>) -> Reason {
        decided.unwrap_err().reason()
    }

    #[test]
    fn silence_and_dispute_go_to_the_area_above() {
        use ProposalDecision::{Accept, Dispute, Refuse, Withdraw};
        let why = || Some("why".to_owned());
        let (in_time, late) = (day("2024-06-17"), day("2024-06-18"));
        let open = proposal();
        let on = |decision, area: &str, today| decide(&open, decision, why(), &by(area), today);
        assert!(on(Accept, "640122", in_time).is_ok() && on(Accept, "640122", late).is_ok());
        assert_eq!(reason(on(Accept, "640104", late)), Reason::AreaForbidden, "a side does not accept for the other");
        assert_eq!(reason(on(Refuse, "6401", in_time)), Reason::AreaForbidden, "the area above waits");
        assert!(on(Refuse, "6401", late).is_ok() && on(Accept, "64", late).is_ok());
        assert_eq!(reason(on(Withdraw, "640122", in_time)), Reason::AreaForbidden);
        assert_eq!(reason(on(Dispute, "640104", in_time)), Reason::StaleVersion, "there is nothing to dispute");
        assert_eq!(reason(decide(&open, Refuse, None, &by("640122"), in_time)), Reason::Required);

        let refused = on(Refuse, "640122", in_time).unwrap();
        assert_eq!(reason(decide(&refused, Accept, why(), &by("640122"), in_time)), Reason::StaleVersion);
        let disputed = decide(&refused, Dispute, why(), &by("640104"), in_time).unwrap();
        assert!(is_escalated(&disputed, in_time) && !is_escalated(&refused, late));
        assert_eq!(reason(decide(&disputed, Accept, why(), &by("640122"), late)), Reason::AreaForbidden);
        let again = decide(&disputed, Refuse, why(), &by("6401"), in_time).unwrap();
        assert_eq!(reason(decide(&again, Dispute, why(), &by("640104"), late)), Reason::StaleVersion, "once");
        let above = By { decided_above: true, ..by("640104") };
        let refused_above = on(Refuse, "6401", late).unwrap();
        assert_eq!(reason(decide(&refused_above, Dispute, why(), &above, late)), Reason::StaleVersion);
    }
}
