//! Where a story takes place: a folder, databases, a clock that stands, and nodes that are made when they are asked for.

use std::{
    future::Future,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use qianshou_kernel::{
    clock::Clock,
    config::{Config, Loaded},
    db::Db,
    id::Area,
    identity::NodeKeys,
    kind::Kinds,
    ledger::{self, Ledger},
};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::{
    Database, Node,
    database::Scratch,
    treaty::{DOMAIN, DOMAIN_KEY},
};

/// Noon of 2024-06-01 in China: the day it is in every story.
pub const TODAY_MS: i64 = 1_717_214_400_000;
/// One day.
pub const DAY_MS: i64 = 86_400_000;
/// How long a story may last.
const DEADLINE: Duration = Duration::from_secs(240);

/// A story's world.
#[derive(Clone)]
pub struct World {
    /// Which database its nodes have.
    pub database: Database,
    /// The clock of all its nodes; a story moves it.
    pub clock: Clock,
    hands: Hands,
    folder: Arc<TempDir>,
    scratch: Arc<Scratch>,
}

/// How its nodes are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hands {
    /// Few divisions, small pages, short waits: for stories.
    Quick,
    /// As an authority has it: the defaults, for figures.
    Usual,
}

/// Tells one story on one database, and clears everything away, however it ends.
///
/// # Panics
/// As the story does, or if it takes too long.
pub fn run<T, F: Future<Output = T>>(database: Database, story: impl FnOnce(World) -> F) -> T {
    tell(database, Hands::Quick, Clock::fixed(TODAY_MS), DEADLINE, story)
}

/// The same with the default configuration, the system's clock, and an hour: what is measured.
///
/// # Panics
/// As [`run`].
pub fn measure<T, F: Future<Output = T>>(database: Database, story: impl FnOnce(World) -> F) -> T {
    tell(database, Hands::Usual, Clock::system(), Duration::from_secs(3_600), story)
}

fn tell<T, F: Future<Output = T>>(
    database: Database,
    hands: Hands,
    clock: Clock,
    deadline: Duration,
    story: impl FnOnce(World) -> F,
) -> T {
    // Fails only where a provider stands already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let scratch = Arc::new(Scratch::new(database));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let world = World { database, clock, hands, folder: folder.clone(), scratch: scratch.clone() };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let told = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { tokio::time::timeout(deadline, story(world)).await })
    }));
    runtime.shutdown_timeout(Duration::from_secs(10));
    scratch.clear();
    match told {
        Ok(told) => told.unwrap_or_else(|_| panic!("the story is not over after {} s", deadline.as_secs())),
        Err(panic) => resume_unwind(panic),
    }
}

impl World {
    /// A folder for whatever the story needs.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// An empty database with every house's tables, and its address for other processes.
    pub async fn database(&self, name: &str) -> (Db, String) {
        let url = self.scratch.url(&self.folder(name)).await;
        let db = open(&url).await;
        (db, url)
    }

    /// The address of a database without tables; on SQLite of a file that is not there yet.
    pub async fn empty_database(&self, name: &str) -> String {
        self.scratch.url(&self.folder(name)).await
    }

    /// Runs a file that makes database roles; answers each one's address for this database. They go with the story.
    pub async fn database_roles(&self, url: &str, file: &str) -> Vec<String> {
        self.scratch.roles(url, file).await
    }

    /// The ledger of node 64 on an empty database.
    pub async fn ledger(&self) -> Ledger {
        let (db, _) = self.database("ledger").await;
        self.ledger_on(db).await
    }

    /// The ledger of node 64 on this database; a second one on the same is what another process would have.
    pub async fn ledger_on(&self, db: Db) -> Ledger {
        let limits = ledger::Limits { poll_ms: 20, ..ledger::Limits::default() };
        Ledger::open(db, "64", Arc::new(Kinds::new(qianshou::node::kinds())), self.clock.clone(), limits).await.unwrap()
    }

    /// A new node that serves.
    pub async fn node(&self, code: &str) -> Node {
        let seed = code.parse::<u64>().unwrap() * 1_000;
        Node::serve(self.settle(code).await, self.clock.clone(), seed).await
    }

    /// The folder of a node, as `qianshou init` would make it, with few divisions and quick hands.
    pub async fn settle(&self, code: &str) -> Loaded {
        let folder = self.folder(code);
        let file = folder.join("node.toml");
        if !file.exists() {
            let url = self.scratch.url(&folder).await;
            std::fs::write(&file, settings(self.hands, code, &url)).unwrap();
            let loaded = Config::load(&file).unwrap();
            let mut keys = NodeKeys::create_on(&loaded.keys_directory(), code, &[], &self.clock).unwrap();
            if code != Area::NATION {
                keys.add_domain(DOMAIN, Some(DOMAIN_KEY)).unwrap();
            }
        }
        Config::load(&file).unwrap()
    }
}

fn settings(hands: Hands, code: &str, url: &str) -> String {
    let quick = r#"
postgres_connections = 8
[ledger]
poll_ms = 50
wait_max_ms = 1000
verify_every_ms = 1000
[limits]
drain_timeout_ms = 500
token_cache_ms = 1
[tokens]
life_days = 20000
life_max_days = 20000
[exchange]
page_max_entries = 50
backoff_max_ms = 500
heartbeat_ms = 100
[divisions]
bootstrap_areas = ["64", "350102", "350103", "350203", "350402", "350403", "350404", "350405", "350427", "620121112", "620171104"]"#;
    format!(
        r#"[node]
code = "{code}"
name = "{code} 社会工作部"
[log]
filter = "warn"
[api]
listen = "127.0.0.1:{}"
[peers]
listen = "127.0.0.1:{}"
[database]
url = "{url}"{}
"#,
        free_port(),
        free_port(),
        if hands == Hands::Quick { quick } else { "" }
    )
}

/// Opens a database at the level of this binary.
pub async fn open(url: &str) -> Db {
    let db = Db::create(url, Path::new("/"), 4, 8).await.unwrap();
    let migrations = [
        ledger::MIGRATIONS,
        qianshou_registry::MIGRATIONS,
        qianshou_pairing::MIGRATIONS,
        qianshou_exchange::MIGRATIONS,
        qianshou_reporting::MIGRATIONS,
    ];
    db.migrate(&migrations.concat()).await.unwrap();
    db
}

/// A port that stays the same over restarts, below those that the system gives away.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 100 * 100).unwrap();
    let mut ports = std::iter::repeat_with(|| 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
