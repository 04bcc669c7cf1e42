//! What a caller sees and writes whose token is limited to one agency or one pairing beside its area: the records that belong there by a
//! link or a shared text. Every other record is answered as if it did not exist.

use std::collections::BTreeSet;

use super::{Index, Kind, Noun, Verbs};
use crate::{
    error::{Reason, Refusal, Result, Violation},
    id::Name,
    identity::{Caller, Role},
    joint::pairing,
    ledger::Stored,
};

/// What a limited caller does at most with the records of a kind that belong to what it is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Staff {
    /// It reads them.
    Reads,
    /// It changes those that are there. Of a kind whose key is a person's number: to make one would tell whether there is one.
    Changes,
    /// It makes, changes and deletes them.
    Keeps,
}

/// A field by which somebody else judges or decides about the agency, and whether it is the same in two records, before and after.
pub type Judged<R> = (&'static str, fn(&R, &R) -> bool);

/// What a limited caller changes of such fields, and may not.
pub(super) fn judged<N: Noun>(before: Option<&N::Record>, after: &N::Record) -> Vec<Violation> {
    let detail = "what the token is limited to | 令牌所限定的机构或结对";
    let nothing = N::Record::default();
    let before = before.unwrap_or(&nothing);
    let changed = N::JUDGED.iter().filter(|(_, same)| !same(before, after));
    changed.map(|(field, _)| Violation::new(*field, Reason::AreaForbidden, detail)).collect()
}

/// What a caller is limited to, as records speak of it.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The name or the texts by which records belong to it.
    texts: Vec<String>,
    /// The codes of the agencies that it is about; these may be named.
    codes: Vec<String>,
}

impl Limit {
    /// One pairing.
    fn of_pairing(key: &str) -> Self {
        let (received, codes) = pairing::parts_of(key).unzip();
        let texts = [Some(key.to_owned()), received].into_iter().flatten().collect();
        Self { texts, codes: codes.map(Vec::from).unwrap_or_default() }
    }

    /// Whether it is the pairing of this text, or an agency with one of these codes.
    #[must_use]
    pub fn is_about(&self, pairing: &str, codes: [Option<&str>; 2]) -> bool {
        [Some(pairing)].into_iter().chain(codes).flatten().any(|text| self.has(text))
    }

    fn has(&self, text: &str) -> bool {
        self.texts.iter().any(|own| own == text)
    }

    /// Whether a record belongs to it.
    pub(super) fn holds(&self, kind: &Kind, name: Option<&str>, index: &Index) -> bool {
        let is_owner = |field: &str| kind.owners.contains(&field);
        (kind.owns && name.is_some_and(|name| self.has(name)))
            || index.links.iter().any(|link| is_owner(link.field) && self.has(&link.target))
            || index.shared.iter().any(|(field, text)| is_owner(field) && self.has(text))
    }

    /// Whether a record may be referred to: one that belongs to it, one of its agencies, or one of a kind that belongs to nobody.
    fn may_name(&self, kind: &Kind, name: &str, index: &Index) -> bool {
        let code = || index.claims.first().is_some_and(|claim| self.codes.contains(&claim.value));
        !kind.is_owned() || self.holds(kind, Some(name), index) || (kind.owns && code())
    }

    /// The condition on the rows `t` of a list, sought by the indexes of links and shared texts; `bind` takes a value and answers its
    /// number. Fields' names are the program's own.
    pub(super) fn condition(&self, kind: &Kind, bind: impl FnMut(&String) -> usize) -> String {
        let binds: Vec<String> = self.texts.iter().map(bind).map(|n| format!("${n}")).collect();
        let texts = binds.join(", ");
        if kind.owners.is_empty() {
            return if kind.owns { format!("t.name IN ({texts})") } else { "1 = 0".to_owned() };
        }
        let fields = kind.owners.iter().map(|field| format!("'{field}'")).collect::<Vec<_>>().join(", ");
        format!(
            "t.name IN (SELECT l.source FROM links l WHERE l.target IN ({texts}) AND l.field IN ({fields}) UNION SELECT s.name \
             FROM shared s WHERE s.kind = '{}' AND s.field IN ({fields}) AND s.text IN ({texts}))",
            kind.collection
        )
    }

    /// What speaks against a record as it will stand; `is_new`: it was not there before.
    pub(super) fn violation<N: Noun>(&self, name: Option<&str>, index: &Index, is_new: bool) -> Option<Violation> {
        if is_new && N::STAFF < Staff::Keeps {
            return Some(unlimited(Role::Editor));
        }
        let detail = "what the token is limited to | 令牌所限定的机构或结对";
        let field = N::OWNERS.first().copied().unwrap_or_default();
        (!self.holds(&Kind::of::<N>(), name, index)).then(|| Violation::new(field, Reason::AreaForbidden, detail))
    }
}

/// What a limited caller hears of what is not for it.
fn unlimited(role: Role) -> Violation {
    Violation::new("", Reason::Forbidden, format!("{role} without a limit | 不受限的{role}"))
}

/// Refuses a caller that does not read this kind: also a limited one, where no record belongs to an agency or a pairing.
pub(super) fn may_read<N: Noun>(caller: &Caller) -> Result<(), Refusal> {
    if Kind::of::<N>().is_owned() { caller.need_role(Role::Reader) } else { caller.need(Role::Reader) }
}

/// Refuses a caller that does not do so much with this kind.
pub(super) fn may_write<N: Noun>(caller: &Caller, as_much: Staff) -> Result<(), Refusal> {
    let may = Kind::of::<N>().is_owned() && N::STAFF >= as_much;
    if may { caller.need_role(Role::Editor) } else { caller.need(Role::Editor) }
}

impl Verbs {
    /// What a caller is limited to beside its area; `None`: to nothing.
    pub async fn limit(&self, caller: &Caller) -> Result<Option<Limit>> {
        let Some(to) = &caller.limited_to else { return Ok(None) };
        let Ok(name) = to.parse::<Name>() else { return Ok(Some(Limit::of_pairing(to))) };
        let mut texts = vec![to.clone()];
        let stored = self.ledger.find_one(&name).await?;
        if let (Some(kind), Some(payload)) =
            (self.ledger.kinds().get(name.kind()), stored.as_ref().and_then(Stored::payload))
            && kind.owns
        {
            texts.extend(kind.index(payload, None)?.claims.into_iter().next().map(|claim| claim.value));
        }
        Ok(Some(Limit { texts, codes: vec![] }))
    }

    /// Whether a record is there for a caller, as far as it is limited.
    pub(super) fn sees(&self, limit: Option<&Limit>, stored: &Stored) -> bool {
        limit.is_none_or(|limit| self.judge(stored, |kind, name, index| limit.holds(kind, Some(name), index)))
    }

    /// Whether a record can be referred to by a limited caller.
    pub(super) fn may_name(&self, limit: &Limit, stored: &Stored) -> bool {
        self.judge(stored, |kind, name, index| limit.may_name(kind, name, index))
    }

    fn judge(&self, stored: &Stored, judge: impl Fn(&Kind, &str, &Index) -> bool) -> bool {
        let Some(kind) = self.ledger.kinds().get(stored.name.kind()) else { return false };
        let index = stored.payload().and_then(|payload| kind.index(payload, None).ok());
        index.is_some_and(|index| judge(kind, stored.name.as_str(), &index))
    }

    /// Those of the records to which a limited caller may refer.
    pub(super) async fn nameable(&self, limit: &Limit, names: BTreeSet<String>) -> Result<BTreeSet<String>> {
        let found = self.ledger.find(&names.into_iter().collect::<Vec<_>>()).await?;
        Ok(found.into_iter().filter(|(_, stored)| self.may_name(limit, stored)).map(|(name, _)| name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_by_its_texts() {
        let limit = Limit::of_pairing("牵手%2F1/第一批/S/R");
        assert_eq!(limit.texts, ["牵手%2F1/第一批/S/R", "牵手%2F1/第一批/R"]);
        assert_eq!(limit.codes, ["S", "R"]);
        assert!(limit.is_about("牵手%2F1/第一批/S/R", [None, None]) && !limit.is_about("牵手", [Some("S"), Some("R")]));
        assert_eq!(Limit::of_pairing("a/b").texts, ["a/b"]);
    }
}
