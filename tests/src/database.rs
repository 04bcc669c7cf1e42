//! The two databases a node may have, and fresh ones of either kind.

use std::{
    fmt,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use qianshou_kernel::db::Db;
use tokio::runtime::Builder;

use crate::environment;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    /// A file in the node's folder.
    Sqlite,
    /// On the server that `QIANSHOU_TEST_POSTGRES` names.
    Postgres,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// The databases of one story; they go with it.
pub(crate) struct Scratch {
    server: Option<String>,
    created: Mutex<Vec<String>>,
    roles: Mutex<Vec<String>>,
}

impl Scratch {
    pub(crate) fn new(database: Database) -> Self {
        let server = (database == Database::Postgres).then(|| {
            let server = environment("QIANSHOU_TEST_POSTGRES");
            server.expect("QIANSHOU_TEST_POSTGRES names no PostgreSQL: run tests/run, which brings one")
        });
        Self { server, created: Mutex::default(), roles: Mutex::default() }
    }

    /// The address of a fresh database; of a node, if `folder` is its folder.
    pub(crate) async fn url(&self, folder: &Path) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Some(server) = &self.server else {
            return format!("sqlite:{}", folder.join("qianshou.db").display());
        };
        let name = format!("story_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ask(server, format!("CREATE DATABASE {name}")).await;
        self.created.lock().unwrap().push(name.clone());
        let (server, _) = server.rsplit_once('/').unwrap();
        format!("{server}/{name}")
    }

    /// Runs a file that makes login roles `qianshou_…` and grants them something, under names of this story's own. Answers the
    /// address of the database for each of them, in the file's order.
    pub(crate) async fn roles(&self, url: &str, file: &str) -> Vec<String> {
        let (server, database) = url.rsplit_once('/').unwrap();
        let (scheme, host) = (server.split("://").next().unwrap(), server.rsplit(['@', '/']).next().unwrap());
        let code = file.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
        let code = code.replace("qianshou_", &format!("{database}_"));
        let mut addresses = vec![];
        for statement in code.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            let made = statement.strip_prefix("CREATE ROLE ").map(|rest| rest.split(' ').next().unwrap());
            let password = made.map(|_| " PASSWORD 'story'").unwrap_or_default();
            ask(url, format!("{statement}{password}")).await;
            if let Some(role) = made {
                self.roles.lock().unwrap().push(role.to_owned());
                addresses.push(format!("{scheme}://{role}:story@{host}/{database}"));
            }
        }
        addresses
    }

    pub(crate) fn clear(&self) {
        let Some(server) = &self.server else { return };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        for name in self.created.lock().unwrap().drain(..) {
            runtime.block_on(ask(server, format!("DROP DATABASE {name} WITH (FORCE)")));
        }
        for role in self.roles.lock().unwrap().drain(..) {
            runtime.block_on(ask(server, format!("DROP ROLE {role}")));
        }
    }
}

pub(crate) async fn ask(server: &str, sql: String) {
    let db = Db::open(server, Path::new("/"), 1, 2).await.unwrap();
    db.fetch(sql, vec![]).await.unwrap();
    db.close().await;
}
