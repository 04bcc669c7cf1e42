//! Agreements as somebody drafts them, and records under them: terms are refused or hold; what a provider shows under a clause, the
//! consumer admits, and it has no field that the clause does not name.

use prost::Message as _;
use prost_reflect::MessageDescriptor;
use qianshou_exchange::domain::agreement::{self, Accord};
use qianshou_kernel::{
    kind::{Bounds, Kind, Kinds, descriptors},
    wire::fields,
};
use qianshou_proto::{
    common::v1::{Condition, FieldPath, Filter, condition},
    exchange::v1::{AfterEnd, KindClause, QuarantineReason, Sensitivity, SharingClass, Terms},
};

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    matter, must, oracle,
    script::{Script, put_part},
};

/// An input is terms, the place of a kind, and its record.
struct Clauses {
    kinds: Kinds,
    all: Vec<(Kind, MessageDescriptor)>,
    terms: MessageDescriptor,
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    let message = |name: &str| descriptors().get_message_by_name(name).expect("the contract has it");
    let all = qianshou::node::kinds().into_iter().map(|kind| (kind, message(kind.message))).collect();
    let (kinds, terms) = (Kinds::new(qianshou::node::kinds()), message("qianshou.exchange.v1.Terms"));
    Box::new(Clauses { kinds, all, terms, mutation })
}

impl Target for Clauses {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let at = chance.below(self.all.len());
        let (kind, message) = &self.all[at];
        let mut terms =
            if chance.percent(85) { self.sound(chance, kind, message) } else { matter::message(chance, &self.terms) };
        if chance.percent(25) {
            let other = matter::message(chance, &self.terms);
            chance.mutate(&mut terms, &[other]);
        }
        let mut record = matter::message(chance, message);
        if chance.percent(25) {
            let other = matter::message(chance, message);
            chance.mutate(&mut record, &[other]);
        }
        let mut input = vec![at as u8];
        put_part(&mut input, &terms);
        put_part(&mut input, &record);
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let mut script = Script::new(input);
        let (kind, _) = self.all[script.below(self.all.len())];
        let (terms, record) = (script.part(), script.part());
        let accord = match Accord::read(terms, &self.kinds) {
            Ok(accord) => accord,
            Err(refusal) => return must(!refusal.0.is_empty(), "a-refusal-says-why", String::new),
        };
        let decoded = Terms::decode(terms).unwrap_or_default();
        let parties =
            accord.provider != accord.consumer && accord.other(&accord.provider) == Some(accord.consumer.as_str());
        must(parties, "two-parties", || format!("{accord:?}"))?;
        let Some(clause) = accord.clauses.get(kind.collection) else { return Ok(()) };
        let named = decoded.clauses.iter().find(|clause| clause.kind() == kind.collection);
        let mut allowed: Vec<u32> =
            named.iter().flat_map(|c| &c.fields).filter_map(|p| p.numbers.first().copied()).collect();
        allowed.extend(kind.person.filter(|_| clause.wants_pseudonym()));
        let Ok(Some(mut shown)) = clause.show(record, clause.wants_pseudonym().then_some("pseudonym")) else {
            return Ok(());
        };
        if self.mutation == Some(Mutation::ShowMore) {
            qianshou_kernel::wire::put_text(&mut shown, 900, "more than was agreed");
        }
        let seen = || format!("{} of {}", hex::encode(&shown), hex::encode(record));
        let numbers: Option<Vec<u32>> = oracle::walk(&shown).map(|all| all.iter().map(|field| field.number).collect());
        let only = numbers.as_ref().is_some_and(|numbers| numbers.iter().all(|number| allowed.contains(number)));
        must(only, "only-agreed-fields", seen)?;
        must(!allowed.contains(&1) && !allowed.contains(&2), "names-travel-with-the-entry", seen)?;
        // What an encoder writes has each singular field once; other bytes may be refused, but not as too much.
        let bounds =
            Bounds { text_max_chars: 4_000, record_max_bytes: 524_288, today: time::macros::date!(2026 - 11 - 30) };
        if let Err(reason) = clause.admit(&shown, &bounds) {
            let canonical = self.canonical(kind, record) && fields(record).all(|field| field.is_ok());
            // What the record holds is not the clause's: a consumer may set it aside for its shape.
            let may = match reason {
                QuarantineReason::Shape | QuarantineReason::IdentityNumber => true,
                QuarantineReason::Unreadable => !canonical,
                _ => false,
            };
            must(may, "what-is-shown-is-admitted", || format!("{reason:?}: {}", seen()))?;
        }
        Ok(())
    }
}

impl Clauses {
    /// Whether the record is as an encoder writes it, every field once.
    fn canonical(&self, kind: Kind, record: &[u8]) -> bool {
        let message =
            self.all.iter().find(|(one, _)| one.collection == kind.collection).map(|(_, message)| message.clone());
        let decoded = message.and_then(|message| prost_reflect::DynamicMessage::decode(message, record).ok());
        decoded.is_some_and(|decoded| decoded.encoded_len() == record.len())
    }

    /// Terms that mostly hold: one clause, with fields of the kind and a scope over them.
    fn sound(&self, chance: &mut Chance, kind: &Kind, message: &MessageDescriptor) -> Vec<u8> {
        let path = |number| FieldPath { numbers: vec![number] };
        let fit = |field: &prost_reflect::FieldDescriptor| field.number() > 2 && kind.person != Some(field.number());
        let numbers: Vec<u32> = message.fields().filter(fit).map(|field| field.number()).collect();
        let named: Vec<u32> = numbers.iter().copied().filter(|_| chance.percent(40)).collect();
        let mut all = vec![];
        for number in &named {
            if chance.percent(25) {
                let test = match chance.below(3) {
                    0 => condition::Test::Under("64".into()),
                    1 => condition::Test::Present(true),
                    _ => condition::Test::AtLeast(1),
                };
                all.push(Condition { path: Some(path(*number)), test: Some(test) });
            }
        }
        let clause = KindClause {
            kind: Some(kind.collection.to_owned()),
            fields: named.into_iter().map(path).collect(),
            scope: Some(Filter { all }),
            pseudonym: (kind.person.is_some() && chance.percent(50)).then_some(true),
            ..KindClause::default()
        };
        let pseudonym = clause.pseudonym();
        let mut terms = Terms {
            provider: Some("64".into()),
            consumer: Some("00".into()),
            clauses: vec![clause],
            purpose: Some("统计".into()),
            legal_basis: Some("民发〔2017〕180号".into()),
            sharing_class: Some(SharingClass::Conditional.into()),
            sensitivity_cap: Some(Sensitivity::L3.into()),
            pseudonym_domain: pseudonym.then(|| "minning".into()),
            begins_on: Some("2023-01-01".into()),
            ends_on: Some("2023-12-31".into()),
            after_end: Some(AfterEnd::Keep.into()),
            ..Terms::default()
        };
        agreement::complete(&mut terms, "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001".into(), &self.kinds);
        terms.encode_to_vec()
    }
}
