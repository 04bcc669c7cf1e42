//! What somebody is told whose write would count in, or touch a record of, an area that is not the caller's.

use super::Noun;
use crate::{
    error::{Reason, Violation},
    id::Area,
    identity::Caller,
};

/// Refuses what counts, as it was or will be, in an area of this node that is not the caller's.
pub(super) fn others_counts<N: Noun>(caller: &Caller, records: [Option<&N::Record>; 2], node: &str) -> Vec<Violation> {
    let lies_here = |area: &str| Area::parse(node).is_some_and(|node| node.covers(area));
    let mut places = records.into_iter().flatten().filter_map(N::counts_at);
    let outside = places.find(|(_, area)| lies_here(area) && !caller.may_touch(area));
    outside.into_iter().map(|(field, _)| counted_elsewhere(caller, field)).collect()
}

fn counted_elsewhere(caller: &Caller, field: &str) -> Violation {
    let area = &caller.area;
    Violation {
        field: field.to_owned(),
        reason: Reason::AreaForbidden,
        zh: format!("{field}：将计入您辖区（{area}）以外的地区；请由双方共同的上级地区办理"),
        en: format!(
            "{field}: it would count outside the area of your token ({area}); let the area above both write it"
        ),
    }
}

/// What somebody is told whose write touches another area's record: the area, and what to do.
pub(super) fn of_another_area(caller: &Caller, field: &str) -> Violation {
    if caller.agreed.is_some() {
        return Violation::new(field, Reason::AreaForbidden, &caller.area);
    }
    Violation {
        field: field.to_owned(),
        reason: Reason::AreaForbidden,
        zh: format!(
            "{field}：指向您辖区（{}）以外的记录；请以提案（CreateProposal）征得该地区同意，或由上级地区办理",
            caller.area
        ),
        en: format!(
            "{field}: leads to a record outside the area of your token ({}); propose it to that area (CreateProposal), or let the \
             area above write it",
            caller.area
        ),
    }
}
