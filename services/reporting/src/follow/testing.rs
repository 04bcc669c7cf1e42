//! A house over a real ledger, whose records are all received, so that tests say which version comes when.

use std::{sync::Arc, time::Duration};

use prost::Message;
use qianshou_kernel::{
    clock::Clock,
    db::{Db, Migration},
    follow::step,
    id::Name,
    kind::{Field, Index, Kind, Kinds, Noun},
    ledger::{self, Command, Content, End, Ledger, Limits, Version, Write},
};
use qianshou_proto::{
    common::v1::EndReason,
    registry::v1::{Agency, Assessment, Certificate, Division, Employment, Post, Recognition, Station, Worker},
};
use tempfile::TempDir;

use crate::{MIGRATIONS, Reporting};

macro_rules! nouns {
    ($($noun:ident: $record:ty = $collection:literal;)*) => {
        $(
            struct $noun;

            impl Noun for $noun {
                type Record = $record;

                const COLLECTION: &'static str = $collection;
                const TABLE: &'static str = "reporting_test_index";

                const FIELDS: &'static [Field<$record>] = &[];

                fn index(_: &$record, _: Option<&str>) -> Index {
                    Index::default()
                }
            }
        )*

        fn kinds() -> Kinds {
            Kinds::new([$(Kind::of::<$noun>()),*])
        }
    };
}
nouns! {
    Agencies: Agency = "agencies";
    Assessments: Assessment = "assessments";
    Certificates: Certificate = "certificates";
    Divisions: Division = "divisions";
    Employments: Employment = "employments";
    Posts: Post = "posts";
    Recognitions: Recognition = "recognitions";
    Stations: Station = "stations";
    Workers: Worker = "workers";
}

const INDEX: Migration = Migration {
    house: "test",
    version: 1,
    sql: "CREATE TABLE reporting_test_index (name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, type TEXT, title TEXT, found TEXT)",
};

/// 2023-06-30 08:00 in China.
const NOW_MS: i64 = 1_688_083_200_000;

pub(crate) struct House {
    pub ledger: Ledger,
    pub reporting: Reporting,
    _directory: TempDir,
}

impl House {
    /// The nation's.
    pub async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::create("sqlite:test.db", directory.path(), 2, 4).await.unwrap();
        db.migrate(&[ledger::MIGRATIONS, MIGRATIONS, &[INDEX]].concat()).await.unwrap();
        let ledger = Ledger::open(db, "00", Arc::new(kinds()), Clock::fixed(NOW_MS), Limits::default()).await.unwrap();
        let reporting = Reporting::new(ledger.clone(), Duration::from_secs(20)).unwrap();
        Self { ledger, reporting, _directory: directory }
    }

    /// A version of a record, whole. Answers the ledger's position.
    pub async fn put(&self, name: &str, revision: u64, message: &impl Message) -> u64 {
        self.receive(name, revision, Content::Put { payload: message.encode_to_vec().into(), sealed: None }).await
    }

    /// A record's end.
    pub async fn end(&self, name: &str, revision: u64, reason: EndReason, on: &str) -> u64 {
        self.receive(name, revision, Content::End(End { reason: reason.into(), on: on.to_owned() })).await
    }

    pub async fn receive(&self, name: &str, revision: u64, content: Content) -> u64 {
        let name: Name = name.parse().unwrap();
        let writes = vec![Write::Received(name, Version { epoch: 1, revision }, content)];
        self.ledger.submit(Command { writes, ..Command::default() }).await.unwrap().position
    }

    /// Follows to the end of the ledger.
    pub async fn follow(&self) {
        while step(&self.ledger, &self.reporting.follow()).await.unwrap().is_some() {}
    }

    /// Follows, and counts everything again to see that it is right.
    pub async fn settle(&self) {
        self.follow().await;
        assert_eq!(self.reporting.recount().await.unwrap().differences, []);
    }
}
