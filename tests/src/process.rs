//! A node as it is in life: a process of its own, which can be killed and started again.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use qianshou_kernel::{
    clock::Clock,
    config::{Config, Loaded},
    db::Db,
    identity::NodeKeys,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{Caller, World};

/// How long a process may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// A node that serves in a process of its own.
pub struct Process {
    /// Its folder; what it says on standard error stands there in `log`.
    pub folder: PathBuf,
    /// Its address for people; it stays over restarts.
    pub address: String,
    /// Its address for peers.
    pub peers: String,
    /// Its administrator.
    pub admin: Caller,
    environment: Vec<(String, String)>,
    child: Child,
}

impl World {
    /// A node in a process of its own, with these variables in its environment. It lives by the system's clock.
    pub async fn process(&self, code: &str, environment: &[(&str, &str)]) -> Process {
        let loaded = self.settle(code).await;
        let admin = administrator(&loaded).await;
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (child, address, peers) = start(&loaded.directory, &environment).await;
        Process { folder: loaded.directory, address, peers, admin, environment, child }
    }
}

impl Process {
    /// Its database, for whoever looks into it.
    pub async fn db(&self) -> Db {
        let config = Config::load(&self.folder.join("node.toml")).unwrap().config;
        Db::open(&config.database.url, &self.folder, 2, 2).await.unwrap()
    }

    /// Kills it: no signal that could be heard, no drain, no farewell.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end, as an operator does; answers its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        timeout(READY, self.child.wait()).await.expect("it drains").unwrap().code()
    }

    /// Starts it again on what it left behind. Whoever stops waiting for it has killed it.
    pub async fn start(&mut self) {
        (self.child, self.address, self.peers) = start(&self.folder, &self.environment).await;
    }

    /// Starts it again in another environment.
    pub async fn start_in(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.start().await;
    }
}

/// A token for a node that does not serve yet.
async fn administrator(loaded: &Loaded) -> Caller {
    let node = qianshou::node::Node::open(loaded.clone(), Clock::system(), None).await.unwrap();
    let token = node.administrator("story").await.unwrap();
    node.ledger().db().close().await;
    let ca = std::fs::read(NodeKeys::open(&loaded.keys_directory()).unwrap().ca_path).unwrap();
    Caller::new(&format!("https://{}", loaded.config.api.listen), &ca, Some(token))
}

async fn start(folder: &Path, environment: &[(String, String)]) -> (Child, String, String) {
    let log = folder.join("log");
    let mut child = Command::new(binary())
        .args(["serve", "--config"])
        .arg(folder.join("node.toml"))
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(append(&log))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = async |what: &str| {
        let line = timeout(READY, lines.next_line()).await.ok().and_then(Result::ok).flatten();
        let address = line.as_deref().and_then(|line| line.strip_prefix(what));
        address
            .unwrap_or_else(|| panic!("no {what:?} but {line:?}; {}", std::fs::read_to_string(&log).unwrap()))
            .to_owned()
    };
    let (address, peers) = (said("ready ").await, said("peers ").await);
    (child, address, peers)
}

fn append(log: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(log).unwrap()
}

/// The program that was built with this test.
pub(crate) fn binary() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join("qianshou")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no qianshou beside {}: build it with `cargo build --workspace`", here.display())
    })
}
