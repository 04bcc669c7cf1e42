//! What the tests of this house share: two kinds of records, keys, and terms that hold.

use std::sync::Arc;

use prost::Message as _;
use qianshou_kernel::{
    clock::{Clock, parse_day},
    config::Config,
    db::{Db, Migration},
    error::Violation,
    id::Name,
    identity::NodeKeys,
    kind::{Field, Index, Kind, Kinds, Noun},
    ledger::{self, Command, Content, Ledger, Write},
    person::Secrets,
};
use qianshou_proto::{
    common::v1::{Condition, FieldPath, Filter, condition},
    exchange::v1::{AfterEnd, AgreementState, KindClause, Sensitivity, SharingClass, Terms},
    registry::v1::{Agency, Worker},
};
use tempfile::TempDir;

use crate::domain::{
    Limits, Moment,
    agreement::{self, Accord},
};

/// Agencies with no rules.
pub struct Agencies;
/// Workers with no rules.
pub struct Workers;

macro_rules! noun {
    ($noun:ty, $record:ty, $collection:literal, $table:literal, $person:expr, $title:ident) => {
        impl Noun for $noun {
            type Record = $record;
            const COLLECTION: &'static str = $collection;
            const TABLE: &'static str = $table;
            const PERSON: Option<u32> = $person;

            const FIELDS: &'static [Field<$record>] = &[];
            fn index(record: &$record, _: Option<&str>) -> Index {
                Index::new(&record.division, "", &record.$title)
            }
        }
    };
}
noun!(Agencies, Agency, "agencies", "test_agencies", None, display_name);
noun!(Workers, Worker, "workers", "test_workers", Some(14), full_name);

pub fn kinds() -> Kinds {
    Kinds::new([Kind::of::<Agencies>(), Kind::of::<Workers>()])
}

const TABLES: Migration = Migration {
    house: "test",
    version: 1,
    sql: "CREATE TABLE test_agencies (name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, type TEXT, title TEXT, found TEXT);
          CREATE TABLE test_workers (name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, type TEXT, title TEXT, found TEXT);",
};

/// A node on a database of its own.
pub struct TestNode {
    pub folder: TempDir,
    pub keys: Arc<NodeKeys>,
    pub secrets: Arc<Secrets>,
    pub ledger: Ledger,
    pub clock: Clock,
}

pub const DAY_MS: i64 = 86_400_000;

impl TestNode {
    pub async fn new(code: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(1_700_000_000_000);
        let mut keys = NodeKeys::create_on(&folder.path().join("keys"), code, &[], &clock).unwrap();
        keys.add_domain("minning", Some([9; 32])).unwrap();
        let ledger = Self::ledger(folder.path(), code, &clock).await;
        let secrets = Arc::new(Secrets::new(&keys.seal, &keys.blind).unwrap());
        Self { folder, keys: Arc::new(keys), secrets, ledger, clock }
    }

    pub async fn ledger(folder: &std::path::Path, code: &str, clock: &Clock) -> Ledger {
        let db = Db::create("sqlite:node.db", folder, 2, 2).await.unwrap();
        let migrations = [ledger::MIGRATIONS, crate::MIGRATIONS, &[TABLES]].concat();
        db.migrate(&migrations).await.unwrap();
        Ledger::open(db, code, Arc::new(kinds()), clock.clone(), ledger::Limits::default()).await.unwrap()
    }

    pub async fn agency(&self, id: &str, display_name: &str, division: &str) {
        let agency =
            Agency { display_name: Some(display_name.into()), division: Some(division.into()), ..Agency::default() };
        let name = Name::of(self.ledger.node(), "agencies", id);
        self.save(name, Content::Put { payload: agency.encode_to_vec().into(), sealed: None }).await;
    }

    pub async fn worker(&self, id: &str, id_number: &str, division: &str) {
        let worker = Worker { full_name: Some("某某".into()), division: Some(division.into()), ..Worker::default() };
        let name = Name::of(self.ledger.node(), "workers", id);
        let blind = self.secrets.blind.index("workers", id_number);
        let sealed = Some(self.secrets.seal(id_number, &blind, name.as_str()).unwrap());
        self.save(name, Content::Put { payload: worker.encode_to_vec().into(), sealed }).await;
    }

    pub async fn end(&self, name: &str, reason: i32) {
        let end = ledger::End { reason, on: "2023-11-15".into() };
        self.save(name.parse().unwrap(), Content::End(end)).await;
    }

    async fn save(&self, name: Name, content: Content) {
        let command = Command { actor: "test".into(), writes: vec![Write::Own(name, content)], ..Command::default() };
        self.ledger.submit(command).await.unwrap();
    }
}

pub fn limits() -> Limits {
    let Config { exchange, limits, .. } = Config::defaults().unwrap();
    Limits {
        page_max_entries: 3,
        page_max_bytes: exchange.page_max_bytes,
        window_pages: 2,
        text_max_chars: limits.text_max_chars,
        record_max_bytes: limits.record_max_bytes,
    }
}

pub fn in_force() -> Moment {
    Moment { today: parse_day("2023-11-15").unwrap(), state: AgreementState::InForce }
}

pub fn path(numbers: &[u32]) -> FieldPath {
    FieldPath { numbers: numbers.to_vec() }
}

pub fn under(numbers: &[u32], prefix: &str) -> Filter {
    Filter { all: vec![Condition { path: Some(path(numbers)), test: Some(condition::Test::Under(prefix.into())) }] }
}

/// Terms that hold: agencies and workers of Ningxia for the nation.
pub fn terms() -> Terms {
    let agencies = KindClause {
        kind: Some("agencies".into()),
        fields: vec![path(&[3]), path(&[6])],
        scope: Some(under(&[6], "64")),
        ..KindClause::default()
    };
    let workers = KindClause {
        kind: Some("workers".into()),
        fields: vec![path(&[5])],
        pseudonym: Some(true),
        ..KindClause::default()
    };
    let mut terms = Terms {
        provider: Some("64".into()),
        consumer: Some("00".into()),
        clauses: vec![agencies, workers],
        purpose: Some("统计".into()),
        legal_basis: Some("民发〔2017〕180号".into()),
        sharing_class: Some(SharingClass::Conditional.into()),
        sensitivity_cap: Some(Sensitivity::L3.into()),
        pseudonym_domain: Some("minning".into()),
        begins_on: Some("2023-01-01".into()),
        ends_on: Some("2023-12-31".into()),
        after_end: Some(AfterEnd::Keep.into()),
        ..Terms::default()
    };
    agreement::complete(&mut terms, "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001".into(), &kinds());
    terms
}

pub fn accord() -> Accord {
    Accord::read(&terms().encode_to_vec(), &kinds()).unwrap()
}

pub fn wrong(terms: &Terms) -> Vec<Violation> {
    agreement::check(terms, &kinds())
}
