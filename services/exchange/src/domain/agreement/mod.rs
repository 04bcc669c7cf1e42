//! What may cross, and whether it may today. An agreement is the verbatim bytes of its terms and two halves, one signed by
//! each side; how it stands is a pure function of these and of today. It is also the filter: what no clause names, does not
//! leave.

mod clause;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use qianshou_kernel::{
    clock::parse_day,
    error::{Reason, Refusal, Violation, is_hidden},
    id::is_node,
    joint::Joint,
    kind::{Kinds, has_open_number},
};
use qianshou_proto::exchange::v1::{
    AfterEnd, Agreement, AgreementState, Card, KindClause, Sensitivity, SharingClass, Statement, Terms, Verdict,
};
use time::Date;

use super::{page, tree::Hash, violation};
pub use clause::{Clause, descriptor_digest};

/// Kinds in one agreement at most.
pub const CLAUSES_MAX: usize = 50;
/// Fields in one clause at most.
pub const FIELDS_MAX: usize = 200;
/// Characters of a text in the terms at most.
pub const TEXT_MAX_CHARS: usize = 2_000;
/// Bytes of encoded terms at most.
pub const TERMS_MAX_BYTES: usize = 256 * 1024;
/// Bytes of a statement at most.
pub const STATEMENT_MAX_BYTES: usize = 4 * 1024;

/// Terms that were checked once and are ready to be applied.
#[derive(Clone, Debug)]
pub struct Accord {
    /// The agreement's id, which is also its stream's.
    pub id: String,
    /// Who sends.
    pub provider: String,
    /// Who receives.
    pub consumer: String,
    /// SHA-256 of the verbatim terms.
    pub digest: Hash,
    /// What is sent of each kind.
    pub clauses: BTreeMap<String, Clause>,
    /// The pseudonym domain, if a clause uses one.
    pub domain: Option<String>,
    /// Whether personal data (L3) may be among what is sent.
    pub names_personal: bool,
    begins_on: Option<Date>,
    ends_on: Option<Date>,
}

impl Accord {
    /// The last day of its term, if it has one.
    #[must_use]
    pub fn ends_on(&self) -> Option<Date> {
        self.ends_on
    }

    /// Reads verbatim terms and prepares their clauses.
    ///
    /// # Errors
    /// A refusal that names every field that does not hold.
    pub fn read(terms: &[u8], kinds: &Kinds) -> Result<Self, Refusal> {
        if terms.len() > TERMS_MAX_BYTES {
            return Err(Refusal::one("terms", Reason::TooLong, format!("{TERMS_MAX_BYTES} bytes")));
        }
        let decoded = Terms::decode(terms).map_err(|_| Refusal::one("terms", Reason::Malformed, "Terms"))?;
        let violations = check(&decoded, kinds);
        if !violations.is_empty() {
            return Err(Refusal(violations));
        }
        // Data that is not shared has terms that say so, and no clause that could let it out.
        let shared = decoded.clauses.iter().filter(|_| decoded.sharing_class() != SharingClass::NotShared);
        let clauses = shared.filter_map(|c| Some((c.kind.clone()?, Clause::of(c, kinds)?)));
        Ok(Self {
            clauses: clauses.collect(),
            names_personal: decoded.sensitivity_cap() as i32 >= Sensitivity::L3 as i32,
            id: decoded.agreement.unwrap_or_default(),
            provider: decoded.provider.unwrap_or_default(),
            consumer: decoded.consumer.unwrap_or_default(),
            digest: page::digest(terms),
            domain: decoded.pseudonym_domain,
            begins_on: decoded.begins_on.as_deref().and_then(parse_day),
            ends_on: decoded.ends_on.as_deref().and_then(parse_day),
        })
    }

    /// The kinds it names.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        self.clauses.keys().map(String::as_str).collect()
    }

    /// The party that is not `node`; `None`: `node` is no party.
    #[must_use]
    pub fn other(&self, node: &str) -> Option<&str> {
        match (self.provider == node, self.consumer == node) {
            (true, false) => Some(&self.consumer),
            (false, true) => Some(&self.provider),
            _ => None,
        }
    }

    /// How it stands: the same wherever the same halves have arrived.
    #[must_use]
    pub fn state(&self, halves: Joint<Verdict>, today: Date) -> AgreementState {
        if halves.any(|verdict| *verdict == Verdict::Withdrawn) {
            return AgreementState::Withdrawn;
        }
        match halves {
            Joint::Neither => AgreementState::Draft,
            Joint::Ours(_) => AgreementState::Offered,
            Joint::Theirs(_) => AgreementState::Proposed,
            Joint::Both { .. } if self.begins_on.is_none_or(|begins| today < begins) => AgreementState::NotYet,
            Joint::Both { .. } if self.ends_on.is_some_and(|ends| ends < today) => AgreementState::Expired,
            Joint::Both { .. } => AgreementState::InForce,
        }
    }

    /// The kind that both agreements send the same way at the same time, if there is one.
    #[must_use]
    pub fn conflict(&self, other: &Self) -> Option<&str> {
        let same_way = self.id != other.id && self.provider == other.provider && self.consumer == other.consumer;
        let before =
            |one: &Self, two: &Self| one.ends_on.zip(two.begins_on).is_some_and(|(ends, begins)| ends < begins);
        if !same_way || before(self, other) || before(other, self) {
            return None;
        }
        self.clauses.keys().find(|kind| other.clauses.contains_key(*kind)).map(String::as_str)
    }

    /// The kind whose fields did not mean at signing what they mean here, if there is one.
    #[must_use]
    pub fn misread(&self) -> Option<&str> {
        self.clauses.iter().find(|(_, clause)| !clause.reads_as_signed()).map(|(kind, _)| kind.as_str())
    }
}

/// What a half says; a half without a known verdict says nothing.
#[must_use]
pub fn verdict(half: Option<&Statement>) -> Option<Verdict> {
    let body = page::read_statement(half?)?;
    body.verdict.and_then(|number| Verdict::try_from(number).ok()).filter(|v| *v != Verdict::Unspecified)
}

/// What the other side's half says, if it is one: of that node, over these terms, signed by the key on its card.
///
/// # Errors
/// A refusal that says what does not hold.
pub fn check_half(accord: &Accord, card: &Card, half: &Statement) -> Result<Verdict, Refusal> {
    let refused = |reason, detail: &str| Refusal::one("statement", reason, detail);
    if half.encoded_len() > STATEMENT_MAX_BYTES {
        return Err(refused(Reason::TooLong, "statement"));
    }
    let body = page::read_statement(half).ok_or_else(|| refused(Reason::Malformed, "StatementBody"))?;
    let about = body.node() == card.node() && body.terms_digest.as_deref() == Some(&accord.digest[..]);
    let says = verdict(Some(half)).filter(|_| about);
    let says = says.ok_or_else(|| refused(Reason::Malformed, "node, terms_digest, verdict"))?;
    let signed = page::key_of(card).is_some_and(|key| page::statement_holds(half, &key));
    if signed { Ok(says) } else { Err(refused(Reason::SignatureInvalid, card.node())) }
}

/// An agreement as this node has it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The terms, ready to be applied.
    pub accord: Accord,
    /// Their bytes.
    pub terms: Vec<u8>,
    /// Our half.
    pub ours: Option<Statement>,
    /// The other side's.
    pub theirs: Option<Statement>,
    /// When a replaced key last made both halves void.
    pub voided_at_ms: Option<i64>,
}

impl Held {
    /// How it stands today.
    #[must_use]
    pub fn state(&self, today: Date) -> AgreementState {
        self.accord.state(Joint::of(verdict(self.ours.as_ref()), verdict(self.theirs.as_ref())), today)
    }

    /// Since when it waits for both sides to sign again, because a key was replaced; `None`: it does not.
    #[must_use]
    pub fn waits_since_ms(&self, today: Date) -> Option<i64> {
        let over = self.accord.ends_on.is_some_and(|ends| ends < today);
        let unsigned =
            matches!(self.state(today), AgreementState::Draft | AgreementState::Offered | AgreementState::Proposed);
        self.voided_at_ms.filter(|_| unsigned && !over)
    }

    /// The message that operators see.
    #[must_use]
    pub fn message(&self, today: Date) -> Agreement {
        Agreement {
            id: Some(self.accord.id.clone()),
            terms: Terms::decode(&self.terms[..]).ok(),
            terms_bytes: Some(self.terms.clone().into()),
            digest: Some(hex::encode(self.accord.digest)),
            ours: self.ours.clone(),
            theirs: self.theirs.clone(),
            state: Some(self.state(today).into()),
            key_replaced_at_ms: self.waits_since_ms(today),
        }
    }
}

/// Fills in what the drafting server knows: the id and what each kind's numbers mean.
pub fn complete(terms: &mut Terms, id: String, kinds: &Kinds) {
    terms.agreement = Some(id);
    for clause in &mut terms.clauses {
        let kind = clause.kind.as_deref().and_then(|kind| kinds.get(kind));
        clause.descriptor_digest = kind.and_then(descriptor_digest).map(|digest| digest.to_vec().into());
    }
}

/// Everything that is wrong with terms.
#[must_use]
pub fn check(terms: &Terms, kinds: &Kinds) -> Vec<Violation> {
    let mut found = vec![];
    check_parties(terms, &mut found);
    check_texts(terms, &mut found);
    check_basis(terms, &mut found);
    check_term(terms, &mut found);
    if terms.clauses.is_empty() {
        found.push(Violation::new("clauses", Reason::Required, ""));
    }
    if terms.clauses.len() > CLAUSES_MAX {
        found.push(Violation::new("clauses", Reason::TooMany, CLAUSES_MAX));
        return found;
    }
    let cap = terms.sensitivity_cap();
    let mut seen = BTreeSet::new();
    for (at, clause) in terms.clauses.iter().enumerate() {
        if !seen.insert(clause.kind()) {
            found.push(invalid(format!("clauses[{at}].kind"), "同一类记录只能有一条", "a kind has one clause only"));
        }
        clause::check(clause, &format!("clauses[{at}]"), kinds, cap, &mut found);
        check_pseudonym(clause, at, terms, &mut found);
    }
    found
}

fn check_parties(terms: &Terms, found: &mut Vec<Violation>) {
    let id = terms.agreement();
    if id.len() != 36 || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-')) {
        found.push(Violation::new("agreement", Reason::Malformed, "UUID"));
    }
    for (field, node) in [("provider", terms.provider()), ("consumer", terms.consumer())] {
        if node.is_empty() {
            found.push(Violation::new(field, Reason::Required, ""));
        } else if !is_node(node) {
            found.push(Violation::new(field, Reason::Malformed, "64"));
        }
    }
    if terms.provider() == terms.consumer() {
        found.push(invalid("consumer", "提供方与接收方不能相同", "provider and consumer must differ"));
    }
    if terms.supersedes.is_some() {
        found.push(invalid(
            "supersedes",
            "本版本尚不支持修订；请终止原协议后重新起草",
            "amendments are not supported yet; end the agreement and draft another",
        ));
    }
}

fn texts_of(terms: &Terms) -> [(&'static str, &str); 3] {
    [("purpose", terms.purpose()), ("legal_basis", terms.legal_basis()), ("pseudonym_domain", terms.pseudonym_domain())]
}

/// What must hold of terms that are new here: no characters that are not seen but change what is, no citizen number, and personal data
/// crosses by area and to a last day. Terms that both sides have signed are not judged again.
///
/// # Errors
/// A refusal that names the fields.
pub fn check_new(terms: &Terms, kinds: &Kinds, today: Date) -> Result<(), Refusal> {
    let mut found = vec![];
    for (field, text) in texts_of(terms) {
        if text.chars().any(|c| is_hidden(c) && c != '\n') {
            found.push(Violation::new(field, Reason::ControlCharacter, ""));
        }
        if has_open_number(text, today) {
            let detail = "a text without a citizen number | 不含公民身份号码的文字";
            found.push(Violation::new(field, Reason::Malformed, detail));
        }
    }
    let mut personal = false;
    for (at, clause) in terms.clauses.iter().enumerate() {
        personal |= clause::check_personal(clause, &format!("clauses[{at}]"), kinds, &mut found);
    }
    if personal && terms.ends_on.is_none() {
        found.push(invalid("ends_on", "个人数据（L3）须写明截止日", "personal data (L3) needs a last day"));
    }
    if found.is_empty() { Ok(()) } else { Err(Refusal(found)) }
}

fn check_texts(terms: &Terms, found: &mut Vec<Violation>) {
    for (field, text) in texts_of(terms) {
        if text.chars().count() > TEXT_MAX_CHARS {
            found.push(Violation::new(field, Reason::TooLong, TEXT_MAX_CHARS));
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            found.push(Violation::new(field, Reason::ControlCharacter, ""));
        }
    }
}

fn check_basis(terms: &Terms, found: &mut Vec<Violation>) {
    let (purpose, basis) = (terms.purpose().trim(), terms.legal_basis().trim());
    let personal = terms.sensitivity_cap() == Sensitivity::L3;
    if purpose.is_empty() && (personal || terms.sharing_class() == SharingClass::Conditional) {
        found.push(invalid(
            "purpose",
            "有条件共享或个人数据（L3）须写明用途",
            "conditional sharing and personal data (L3) need a purpose",
        ));
    }
    match terms.sharing_class() {
        SharingClass::Unspecified => found.push(Violation::new("sharing_class", Reason::Required, "")),
        SharingClass::NotShared if basis.is_empty() => {
            found.push(invalid(
                "legal_basis",
                "不予共享须注明法律依据",
                "data that is not shared needs the statute named",
            ));
        }
        SharingClass::NotShared | SharingClass::Unconditional | SharingClass::Conditional => {}
    }
    match terms.sensitivity_cap() {
        Sensitivity::Unspecified => found.push(Violation::new("sensitivity_cap", Reason::Required, "")),
        Sensitivity::L4 => found.push(invalid("sensitivity_cap", "L4 数据不得跨节点", "L4 never crosses")),
        Sensitivity::L3 if basis.is_empty() => {
            found.push(invalid(
                "legal_basis",
                "个人数据（L3）须注明法律依据",
                "personal data (L3) needs a legal basis",
            ));
        }
        _ => {}
    }
    if terms.after_end() == AfterEnd::Unspecified {
        found.push(Violation::new("after_end", Reason::Required, ""));
    }
}

fn check_term(terms: &Terms, found: &mut Vec<Violation>) {
    let mut day = |field: &str, text: Option<&str>| {
        let day = text.and_then(parse_day);
        if text.is_some() && day.is_none() {
            found.push(Violation::new(field, Reason::Malformed, "2024-01-01"));
        }
        day
    };
    let (begins, ends) = (day("begins_on", terms.begins_on.as_deref()), day("ends_on", terms.ends_on.as_deref()));
    if terms.begins_on.is_none() {
        found.push(Violation::new("begins_on", Reason::Required, ""));
    }
    if begins.zip(ends).is_some_and(|(begins, ends)| ends < begins) {
        found.push(Violation::new("ends_on", Reason::OutOfOrder, "begins_on"));
    }
}

fn check_pseudonym(clause: &KindClause, at: usize, terms: &Terms, found: &mut Vec<Violation>) {
    if clause.pseudonym() && terms.pseudonym_domain().is_empty() {
        found.push(invalid(
            "pseudonym_domain",
            "使用假名的条款须指定假名域",
            "a clause with a pseudonym needs its domain",
        ));
    }
    if clause.pseudonym() && Sensitivity::L3 as i32 > terms.sensitivity_cap() as i32 {
        let field = format!("clauses[{at}].pseudonym");
        found.push(invalid(field, "假名属于 L3，超过敏感级别上限", "a pseudonym is L3, above the cap"));
    }
}

/// This node is neither side.
#[must_use]
pub fn not_a_party(node: &str) -> Violation {
    let (zh, en) =
        (format!("本节点（{node}）不是协议的一方"), format!("this node ({node}) is neither provider nor consumer"));
    invalid("provider", &zh, &en)
}

/// The provider cannot make the pseudonyms it promises.
#[must_use]
pub fn no_domain_key() -> Violation {
    invalid(
        "pseudonym_domain",
        "本节点没有此假名域的密钥；请先加入该域",
        "this node does not hold the domain's key; join the domain first",
    )
}

/// The two sides read a kind's fields differently.
#[must_use]
pub fn other_descriptor(kind: &str) -> Violation {
    invalid(
        format!("clauses.{kind}.descriptor_digest"),
        "双方对字段的定义不同；请先升级到同一版本后重新起草",
        "the two sides' contracts differ for this kind; upgrade to one version and draft again",
    )
}

pub(crate) fn invalid(field: impl Into<String>, zh: &str, en: &str) -> Violation {
    violation(field, Reason::AgreementInvalid, zh, en)
}

#[cfg(test)]
mod tests;
