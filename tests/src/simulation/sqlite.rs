//! The real ledger and the exchange's store on a SQLite file, in memory where the system has such a folder. A crash leaves the
//! file and its log as they are; whoever comes next opens a copy of them.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, LazyLock},
};

use qianshou_exchange::{
    domain::{
        consumer::{self, Inbound},
        provider::{self, LedgerHead, Outbound, Shown},
        tree::Hash,
    },
    store::{QuarantineKey, Store},
};
use qianshou_kernel::{
    binds,
    clock::Clock,
    db::Db,
    id::Name,
    kind::Kinds,
    ledger::{self, Command, Content, Ledger, Limits, Rejection, Write},
};
use qianshou_proto::exchange::v1::{Page, Receipt};
use qianshou_registry::domain::KINDS;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::disk::{Disk, Entry};

/// Where files cost nothing, if the system has such a place.
const MEMORY: &str = "/dev/shm";
const FILES: [&str; 2] = ["node.db", "node.db-wal"];
const URL: &str = "sqlite:node.db";
/// More than a history ever has.
const ALL: u32 = 100_000;

/// Empty tables, made once.
static TEMPLATE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = folder();
    runtime().block_on(async {
        let db = Db::create(URL, folder.path(), 1, 1).await.unwrap();
        let migrations = [ledger::MIGRATIONS, qianshou_registry::MIGRATIONS, qianshou_exchange::MIGRATIONS];
        db.migrate(&migrations.concat()).await.unwrap();
        db.close().await;
    });
    folder
});

fn folder() -> TempDir {
    let memory = Path::new(MEMORY);
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn copied(from: &Path) -> TempDir {
    let to = folder();
    for file in FILES.iter().filter(|file| from.join(file).exists()) {
        std::fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    to
}

/// A node's database, opened when it is first asked.
pub struct Sqlite {
    node: &'static str,
    clock: Clock,
    opened: OnceCell<(Ledger, Store)>,
    runtime: Runtime,
    folder: TempDir,
}

impl Sqlite {
    pub fn new(node: &'static str, clock: Clock) -> Self {
        Self { node, clock, opened: OnceCell::new(), runtime: runtime(), folder: copied(TEMPLATE.path()) }
    }

    fn opened(&self) -> &(Ledger, Store) {
        self.opened.get_or_init(|| {
            self.wait(async {
                let db = Db::open(URL, self.folder.path(), 1, 1).await.unwrap();
                let kinds = Arc::new(Kinds::new(KINDS));
                let ledger = Ledger::open(db, self.node, kinds, self.clock.clone(), Limits::default()).await.unwrap();
                (ledger.clone(), Store::new(ledger))
            })
        })
    }

    fn ledger(&self) -> &Ledger {
        &self.opened().0
    }

    fn store(&self) -> &Store {
        &self.opened().1
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl Disk for Sqlite {
    fn copy(&self) -> Box<dyn Disk> {
        let folder = copied(self.folder.path());
        Box::new(Self {
            node: self.node,
            clock: self.clock.clone(),
            opened: OnceCell::new(),
            runtime: runtime(),
            folder,
        })
    }

    fn head(&self) -> LedgerHead {
        let head = self.wait(self.ledger().head()).unwrap();
        LedgerHead { epoch: head.epoch, position: head.position }
    }

    fn save(&mut self, name: &Name, content: Content) -> bool {
        let command = Command {
            actor: "simulation".into(),
            writes: vec![Write::Own(name.clone(), content)],
            ..Command::default()
        };
        match self.wait(self.ledger().submit(command)) {
            Ok(_) => true,
            Err(Rejection::Ended(_) | Rejection::Taken { .. }) => false,
            Err(other) => panic!("the ledger cannot save: {other:?}"),
        }
    }

    fn declare_epoch(&mut self) {
        self.wait(self.ledger().new_epoch()).unwrap();
    }

    fn after(&self, position: u64, kinds: &[&str], limit: u32) -> Vec<Entry> {
        let stored = self.wait(self.ledger().after(position, kinds, limit.min(ALL))).unwrap();
        stored
            .into_iter()
            .map(|s| Entry { position: s.position, name: s.name, version: s.version, content: s.content })
            .collect()
    }

    fn outbound(&self, stream: &str) -> Outbound {
        self.wait(self.store().outbound_open(stream)).unwrap()
    }

    fn outbound_commit(&mut self, commit: &provider::Commit) -> bool {
        self.wait(self.store().outbound_commit(commit)).unwrap()
    }

    fn page(&self, stream: &str, epoch: u64, number: u64) -> Option<Page> {
        self.wait(self.store().page_load(stream, epoch, number)).unwrap()
    }

    fn held(&self, stream: &str, names: &[String]) -> BTreeMap<String, Shown> {
        self.wait(self.store().held(stream, names)).unwrap()
    }

    fn inbound(&self, stream: &str) -> Inbound {
        self.wait(self.store().inbound_open(stream)).unwrap()
    }

    fn inbound_commit(&mut self, provider: &str, commit: &consumer::Commit) -> bool {
        self.wait(self.store().inbound_commit(provider, commit)).unwrap()
    }

    fn recall(&self, stream: &str, epoch: u64, number: u64) -> Option<(Hash, Receipt)> {
        self.wait(self.store().inbound_recall(stream, epoch, number)).unwrap()
    }

    fn claims(&self, stream: &str) -> BTreeSet<(u64, String)> {
        const CLAIMS: &str = "SELECT epoch, name FROM exchange_recovery WHERE stream = $1";
        let rows = self.wait(self.ledger().db().fetch(CLAIMS, binds![stream])).unwrap();
        rows.iter().map(|row| (row.count(0).unwrap(), row.text(1).unwrap())).collect()
    }

    fn set_aside(&self, stream: &str) -> u64 {
        let first = QuarantineKey { place: -1, ..QuarantineKey::default() };
        self.wait(self.store().quarantine_list(stream, &first, ALL)).unwrap().len() as u64
    }
}
