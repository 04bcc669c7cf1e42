//! Who takes part and what they write: three nodes with keys, agreements between them, agencies and workers as the register has
//! them, and what a consumer must see of each, written down here a second time and by hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use prost::Message as _;
use qianshou_exchange::domain::{
    agreement::{Accord, complete},
    page::Signer,
};
use qianshou_kernel::{
    id::Name,
    identity::{SUITE, key_id},
    kind::Kinds,
    wire::put_text,
};
use qianshou_proto::{
    common::v1::{Condition, FieldPath, Filter, condition},
    exchange::v1::{AfterEnd, KindClause, Sensitivity, SharingClass, Signature, Terms},
    registry::v1::{Agency, Worker},
};
use qianshou_registry::domain::KINDS;
use rand::{Rng as _, rngs::StdRng};

use crate::sample;

/// The nodes; the last writes nothing.
pub const NODES: [&str; 3] = ["64", "35", "00"];
/// Who sends to whom; a history has one of these.
pub const PLAYS: [&[(usize, usize)]; 5] =
    [&[(0, 2)], &[(0, 2), (0, 1)], &[(0, 2), (1, 2)], &[(0, 1), (1, 0)], &[(0, 2), (0, 1), (1, 2)]];
/// What every agreement's scope asks of a division.
const SCOPE: &str = "6401";
/// Divisions inside the scope and outside.
pub const DIVISIONS: [&str; 3] = ["640104", "640122", "350100"];
const PERSON: u32 = 14;
/// A field that no contract knows.
const UNKNOWN: u32 = 900;

/// A node's signing key.
pub struct Key(SigningKey, String);

impl Key {
    fn of(node: &str) -> Self {
        let key = SigningKey::from_bytes(&[node.as_bytes()[0] ^ node.as_bytes()[1]; 32]);
        let id = key_id(key.verifying_key().as_bytes());
        Self(key, id)
    }

    /// What others check its signatures with.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
}

impl Signer for Key {
    fn sign(&self, context: &str, bytes: &[u8]) -> Signature {
        let value = self.0.sign(&[context.as_bytes(), &[0], bytes].concat()).to_bytes();
        Signature { suite: Some(SUITE.into()), key_id: Some(self.1.clone()), value: Some(value.to_vec().into()) }
    }
}

static KEYS: LazyLock<BTreeMap<&str, Arc<Key>>> =
    LazyLock::new(|| NODES.into_iter().map(|node| (node, Arc::new(Key::of(node)))).collect());
static ACCORDS: LazyLock<BTreeMap<(usize, usize), Arc<Accord>>> = LazyLock::new(|| {
    let pairs = PLAYS.concat();
    pairs.into_iter().map(|pair| (pair, Arc::new(accord(pair)))).collect()
});

/// A node's key.
pub fn key(node: &str) -> Arc<Key> {
    KEYS[node].clone()
}

/// What the first of a pair sends to the second.
pub fn agreed(pair: (usize, usize)) -> Arc<Accord> {
    ACCORDS[&pair].clone()
}

fn accord((from, to): (usize, usize)) -> Accord {
    let path = |number: u32| FieldPath { numbers: vec![number] };
    let under = |number| Condition { path: Some(path(number)), test: Some(condition::Test::Under(SCOPE.into())) };
    let clause = |kind: &str, fields: &[u32], division, pseudonym| KindClause {
        kind: Some(kind.to_owned()),
        fields: fields.iter().copied().map(path).collect(),
        scope: Some(Filter { all: vec![under(division)] }),
        pseudonym,
        ..KindClause::default()
    };
    let mut terms = Terms {
        provider: Some(NODES[from].into()),
        consumer: Some(NODES[to].into()),
        clauses: vec![clause("agencies", &[3, 4, 6], 6, None), clause("workers", &[5], 5, Some(true))],
        purpose: Some("统计".into()),
        legal_basis: Some("民发〔2017〕180号".into()),
        sharing_class: Some(SharingClass::Conditional.into()),
        sensitivity_cap: Some(Sensitivity::L3.into()),
        pseudonym_domain: Some("minning".into()),
        begins_on: Some("2023-01-01".into()),
        after_end: Some(AfterEnd::Keep.into()),
        ..Terms::default()
    };
    let kinds = Kinds::new(KINDS);
    complete(&mut terms, format!("0190aaaa-bbbb-7ccc-8ddd-eeeeffff0{from}0{to}"), &kinds);
    Accord::read(&terms.encode_to_vec(), &kinds).unwrap()
}

/// A record of this name as its home keeps it, with what must not leave and what nobody knows.
pub fn record(rng: &mut StdRng, name: &Name) -> Bytes {
    let division = Some(DIVISIONS[rng.random_range(0..DIVISIONS.len())].to_owned());
    let text = format!("{} {}", name.id(), rng.random_range(0..4));
    let mut payload = if name.kind() == "agencies" {
        // Few codes, so that one passes from agency to agency.
        let uscc = Some(sample::uscc(rng.random_range(0..40)));
        Agency { display_name: Some(text), uscc, division, founded_on: Some("2018-03-01".into()), ..Agency::default() }
            .encode_to_vec()
    } else {
        Worker { full_name: Some(text), division, since: Some("2019-07-01".into()), ..Worker::default() }
            .encode_to_vec()
    };
    put_text(&mut payload, UNKNOWN, "unknown");
    payload.into()
}

/// The pseudonym that stands for a worker.
pub fn pseudonym(name: &Name) -> Option<String> {
    (name.kind() == "workers").then(|| format!("pseudonym-{}", name.id()))
}

/// What a consumer must see of a record; `None`: nothing.
pub fn seen(name: &Name, payload: &[u8]) -> Option<Bytes> {
    let inside = |division: &Option<String>| division.as_deref().is_some_and(|code| code.starts_with(SCOPE));
    if name.kind() == "agencies" {
        let Agency { display_name, uscc, division, .. } = Agency::decode(payload).unwrap();
        inside(&division).then(|| Agency { display_name, uscc, division, ..Agency::default() }.encode_to_vec().into())
    } else {
        let division = Worker::decode(payload).unwrap().division;
        inside(&division).then(|| {
            let mut shown = Worker { division, ..Worker::default() }.encode_to_vec();
            put_text(&mut shown, PERSON, &pseudonym(name).unwrap_or_default());
            shown.into()
        })
    }
}
