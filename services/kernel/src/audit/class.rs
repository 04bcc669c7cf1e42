//! What of a method's calls is written down. Every method of the contract has its class here, by its name; a test walks the
//! contract, and another compares what is read with the levels of sensitivity that the contract gives.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::MethodDescriptor;

use crate::kind::methods;

/// What of a method's calls is written down, beside refusals, which always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It opens a door, or cannot be undone: a line is committed before it is carried out, and another with its outcome before the answer leaves.
    Door,
    /// An act: its line is committed before the answer leaves.
    Act,
    /// What a peer says: counted as an act.
    Said,
    /// It writes records, and the ledger says who.
    Change,
    /// It writes many: counted by its records.
    Batch,
    /// It reads personal data (L3): counted as usage.
    Read,
    /// It reads what is not personal.
    Look,
}

impl Class {
    /// Whether each call is written down by itself.
    #[must_use]
    pub const fn is_act(self) -> bool {
        matches!(self, Self::Door | Self::Act)
    }
}

/// Methods that are no verbs of a noun, by service and name.
const NAMED: [(&str, Class); 42] = [
    ("IdentityService/CreateToken", Class::Door),
    ("IdentityService/ListTokens", Class::Read),
    ("IdentityService/RevokeToken", Class::Act),
    ("IdentityService/ListPendingActs", Class::Read),
    ("IdentityService/GetPendingAct", Class::Read),
    ("IdentityService/ApprovePendingAct", Class::Door),
    ("IdentityService/RejectPendingAct", Class::Act),
    ("AuditService/ListAuditEntries", Class::Read),
    ("AuditService/ExportAuditEntries", Class::Act),
    ("AuditService/VerifyAudit", Class::Act),
    ("ExchangeService/Introduce", Class::Look),
    ("ExchangeService/OfferStatement", Class::Said),
    ("ExchangeService/Pull", Class::Read),
    ("ExchangeService/ShowHead", Class::Look),
    ("ExchangeAdminService/GetCard", Class::Look),
    ("ExchangeAdminService/AddPeer", Class::Door),
    ("ExchangeAdminService/ListPeers", Class::Look),
    ("ExchangeAdminService/TestPeer", Class::Act),
    ("ExchangeAdminService/RemovePeer", Class::Act),
    ("ExchangeAdminService/DraftAgreement", Class::Act),
    ("ExchangeAdminService/SignAgreement", Class::Door),
    ("ExchangeAdminService/GetAgreement", Class::Look),
    ("ExchangeAdminService/ListAgreements", Class::Look),
    ("ExchangeAdminService/ListStreams", Class::Look),
    ("ExchangeAdminService/ListQuarantine", Class::Look),
    ("LedgerService/ReadEntries", Class::Read),
    ("LedgerService/GetHead", Class::Look),
    ("ReportingService/ReadTable", Class::Look),
    ("ReportingService/ListIndicators", Class::Look),
    ("ReportingService/ListProblems", Class::Read),
    ("RegistryService/ErasePerson", Class::Door),
    ("RegistryService/TraceDivision", Class::Look),
    ("RegistryService/ListDuplicates", Class::Read),
    ("RegistryService/CreateProposal", Class::Act),
    ("RegistryService/GetProposal", Class::Read),
    ("RegistryService/ListProposals", Class::Read),
    ("RegistryService/DecideProposal", Class::Act),
    ("PairingService/GetPairing", Class::Look),
    ("PairingService/ListPairings", Class::Look),
    ("PairingService/ListFindings", Class::Look),
    ("PairingService/ListMatches", Class::Look),
    ("PairingService/ListOrderStates", Class::Look),
];

/// Services whose methods are verbs of nouns.
const OF_NOUNS: [&str; 2] = ["RegistryService", "PairingService"];

/// Nouns that say something of a person, as Get and as List call them.
const PERSONAL: [&str; 14] = [
    "Worker",
    "Workers",
    "Certificate",
    "Certificates",
    "Employment",
    "Employments",
    "Recognition",
    "Recognitions",
    "Move",
    "Moves",
    "Merge",
    "Merges",
    "Dispatch",
    "Dispatches",
];

/// Nouns that say nothing of a person, as Get and as List call them.
const PLAIN: &str = "Division Divisions Change Changes Agency Agencies Station Stations Post Posts System Systems Incubation \
    Incubations Template Templates Assessment Assessments Document Documents Task Tasks Campaign Campaigns Figure Figures Category \
    Categories Quota Quotas Tag Tags Commitment Commitments Approval Approvals Outcome Outcomes Arrival Arrivals Project Projects \
    Allocation Allocations Payment Payments Receipt Receipts Programme Programmes Activity Activities Offer Offers Need Needs Order \
    Orders Acceptance Acceptances";

/// The class of a method by its path, `/qianshou.registry.v1.RegistryService/GetWorker`; `None`: it is not classified.
#[must_use]
pub fn class(path: &str) -> Option<Class> {
    let (service, method) = short(path)?.split_once('/')?;
    let named = NAMED.iter().find(|(name, _)| name.split_once('/') == Some((service, method)));
    if let Some((_, class)) = named {
        return Some(*class);
    }
    if !OF_NOUNS.contains(&service) {
        return None;
    }
    let after = |verbs: &[&str]| verbs.iter().find_map(|verb| method.strip_prefix(verb));
    let personal = |noun: &str| PERSONAL.contains(&noun);
    let is_noun = |noun: &&str| personal(noun) || PLAIN.split_whitespace().any(|plain| plain == *noun);
    if after(&["BatchPut"]).filter(is_noun).is_some() {
        return Some(Class::Batch);
    }
    if after(&["Create", "Update", "Delete"]).filter(is_noun).is_some() {
        return Some(Class::Change);
    }
    let read = after(&["Get", "List"]).filter(is_noun)?;
    Some(if personal(read) { Class::Read } else { Class::Look })
}

/// `RegistryService/GetWorker` of `/qianshou.registry.v1.RegistryService/GetWorker`.
fn short(path: &str) -> Option<&str> {
    let (package, _) = path.strip_prefix('/')?.split_once('/')?;
    let service = package.rsplit('.').next()?;
    path.get(1 + package.len() - service.len()..)
}

/// A method of the contract.
pub(super) struct Method {
    pub(super) class: Class,
    /// How the audit calls it.
    pub(super) act: String,
    pub(super) descriptor: MethodDescriptor,
}

/// What every method of the contract is; one that nobody classified counts as an act, for too much is better than too little.
pub(super) static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    let method = |(path, descriptor): (String, MethodDescriptor)| {
        let class = class(&path).unwrap_or(if descriptor.is_client_streaming() { Class::Batch } else { Class::Act });
        let act = short(&path).unwrap_or_default().to_owned();
        (path, Method { class, act, descriptor })
    };
    methods().map(method).collect()
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message as _;
    use prost_reflect::prost_types::{DescriptorProto, FileDescriptorSet};

    use super::*;

    #[test]
    fn no_method_is_forgotten() {
        let forgotten: Vec<String> = methods().map(|(path, _)| path).filter(|path| class(path).is_none()).collect();
        assert!(forgotten.is_empty(), "not classified in audit/class.rs: {forgotten:?}");
        assert_eq!(class("/qianshou.registry.v1.RegistryService/GetWorker"), Some(Class::Read));
        assert_eq!(class("/qianshou.registry.v1.RegistryService/GetSecret"), None);
        assert_eq!(class("/somebody.else.v1.IdentityService"), None);
    }

    /// What an answer says of its sensitivity: messages by full name, with whether L3 is told of a field of theirs.
    fn personal() -> BTreeMap<String, bool> {
        let set = FileDescriptorSet::decode(qianshou_proto::DESCRIPTOR_SET).unwrap();
        let mut found = BTreeMap::new();
        let mut holds: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in set.file.iter().filter(|file| file.package().starts_with("qianshou.")) {
            let comments = &file.source_code_info.as_ref().unwrap().location;
            for (m, message) in file.message_type.iter().enumerate() {
                let name = format!(".{}.{}", file.package(), message.name());
                let told = comments.iter().any(|location| {
                    location.path.starts_with(&[4, i32::try_from(m).unwrap(), 2])
                        && location.leading_comments().contains("L3")
                });
                found.insert(name.clone(), told);
                holds.insert(name, types(message));
            }
        }
        loop {
            let reach = |name: &String| holds[name].iter().any(|held| found.get(held) == Some(&true));
            let more: Vec<String> =
                found.iter().filter(|(n, told)| !**told && reach(n)).map(|(n, _)| n.clone()).collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more.into_iter().map(|name| (name, true)));
        }
    }

    fn types(message: &DescriptorProto) -> Vec<String> {
        message.field.iter().map(|field| field.type_name().to_owned()).collect()
    }

    #[test]
    fn reading_what_is_personal_is_counted() {
        let personal = personal();
        let mut wrong = vec![];
        for (path, method) in methods() {
            let told = personal.get(&format!(".{}", method.output().full_name())).copied().unwrap_or(false);
            // The lists of operators hold what a token is called, and pages.
            if told && class(&path) == Some(Class::Look) {
                wrong.push(path);
            }
        }
        assert!(wrong.is_empty(), "L3 is read and not counted: {wrong:?}");
    }
}
