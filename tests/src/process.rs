//! A node as it is in life: a process of its own, which can be killed and started again.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
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

use crate::{Caller, World, world::free_port};

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
    /// Its place among the processes of a node: what it is asked for, and where it says what goes wrong.
    place: Place,
    environment: Vec<(String, String)>,
    child: Child,
}

/// A node whose houses are processes of their own, which share its folder and its database.
pub struct Town {
    loaded: Loaded,
    ca: Vec<u8>,
    token: String,
    processes: AtomicU32,
}

#[derive(Clone)]
struct Place {
    folder: PathBuf,
    log: PathBuf,
    /// Empty: all in one process.
    roles: String,
}

impl Place {
    fn has_peers(&self) -> bool {
        self.roles.is_empty() || self.roles.split(',').any(|role| role == "exchange")
    }
}

impl World {
    /// A node in a process of its own, with these variables in its environment. It lives by the system's clock.
    pub async fn process(&self, code: &str, environment: &[(&str, &str)]) -> Process {
        let loaded = self.settle(code).await;
        let (ca, token) = administrator(&loaded).await;
        let folder = loaded.directory;
        let place = Place { log: folder.join("log"), folder, roles: String::new() };
        Process::serve(place, owned(environment), &ca, token).await
    }

    /// A node for [`Town::serve`]; its tables stand.
    pub async fn town(&self, code: &str) -> Town {
        let loaded = self.settle(code).await;
        let (ca, token) = administrator(&loaded).await;
        Town { loaded, ca, token, processes: AtomicU32::default() }
    }
}

impl Town {
    /// One more process of the node, with these houses (`registry,exchange`) and on ports of its own.
    pub async fn serve(&self, roles: &str, environment: &[(&str, &str)]) -> Process {
        let number = self.processes.fetch_add(1, Ordering::Relaxed);
        let folder = self.loaded.directory.clone();
        let log = folder.join(format!("log.{number}.{roles}"));
        let mut environment = owned(environment);
        for door in ["API", "PEERS"] {
            environment.push((format!("QIANSHOU__{door}__LISTEN"), format!("127.0.0.1:{}", free_port())));
        }
        let place = Place { folder, log, roles: roles.to_owned() };
        Process::serve(place, environment, &self.ca, self.token.clone()).await
    }

    /// Its configuration.
    #[must_use]
    pub fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// Somebody with a token, at one of its processes.
    #[must_use]
    pub fn caller(&self, at: &Process, token: &str) -> Caller {
        Caller::new(&at.address, &self.ca, Some(token.to_owned()))
    }
}

/// What `serve` says on standard error where it refuses to serve.
///
/// # Panics
/// If it does not.
pub async fn refused_to_serve(town: &Town, arguments: &[&str]) -> String {
    let serve = Command::new(binary())
        .args(["serve", "--config"])
        .arg(town.loaded.directory.join("node.toml"))
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let ended = timeout(READY, serve).await.expect("it does not serve").unwrap();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0), "{ended:?}");
    String::from_utf8(ended.stderr).unwrap()
}

fn owned(environment: &[(&str, &str)]) -> Vec<(String, String)> {
    environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

impl Process {
    async fn serve(place: Place, environment: Vec<(String, String)>, ca: &[u8], token: String) -> Self {
        let (child, address, peers) = start(&place, &environment).await;
        let admin = Caller::new(&address, ca, Some(token));
        Self { folder: place.folder.clone(), address, peers, admin, place, environment, child }
    }

    /// What it has said on standard error.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.place.log).unwrap()
    }
}

/// What a command of the program answered.
#[derive(Debug)]
pub struct Told {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Told {
    /// Its one JSON object.
    ///
    /// # Panics
    /// If it failed or said something else.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Runs a command of the program to its end, without the environment's own `QIANSHOU_` variables.
pub async fn qianshou(args: &[&str], environment: &[(&str, &str)]) -> Told {
    told(Command::new(binary()), args, environment).await
}

/// The same, where a new file would be open to everybody.
pub async fn qianshou_unmasked(args: &[&str], environment: &[(&str, &str)]) -> Told {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0000 && exec \"$0\" \"$@\""]).arg(binary());
    told(shell, args, environment).await
}

async fn told(mut command: Command, args: &[&str], environment: &[(&str, &str)]) -> Told {
    for name in ["QIANSHOU_NODE", "QIANSHOU_TOKEN", "QIANSHOU_CA"] {
        command.env_remove(name);
    }
    let ran = command.args(args).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true).output();
    let ran = timeout(READY, ran).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Told { code: ran.status.code(), out: text(ran.stdout), err: text(ran.stderr) }
}

impl Process {
    /// Another folder with the same node, a restored one: the same addresses, a new administrator.
    pub async fn moved_to(mut self, folder: &Path, token: &str) -> Self {
        self.folder = folder.to_owned();
        self.place = Place { log: folder.join("log"), folder: folder.to_owned(), ..self.place };
        self.start().await;
        let ca = std::fs::read(folder.join("keys/ca.pem")).unwrap();
        self.admin = Caller::new(&self.address, &ca, Some(token.to_owned()));
        self
    }

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
        (self.child, self.address, self.peers) = start(&self.place, &self.environment).await;
    }

    /// Starts it again in another environment.
    pub async fn start_in(&mut self, environment: &[(&str, &str)]) {
        self.environment = owned(environment);
        self.start().await;
    }
}

/// The certificate authority and a token of a node that does not serve yet.
async fn administrator(loaded: &Loaded) -> (Vec<u8>, String) {
    let node = qianshou::node::Node::open_or_make(loaded.clone(), Clock::system(), None).await.unwrap();
    let token = node.administrator("story").await.unwrap();
    node.ledger().db().close().await;
    let ca = std::fs::read(NodeKeys::open(&loaded.keys_directory()).unwrap().ca_path).unwrap();
    (ca, token)
}

async fn start(place: &Place, environment: &[(String, String)]) -> (Child, String, String) {
    let Place { folder, log, roles } = place;
    let mut child = Command::new(binary())
        .args(["serve", "--config"])
        .arg(folder.join("node.toml"))
        .args((!roles.is_empty()).then(|| format!("--role={roles}")))
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(append(log))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = async |what: &str| {
        let line = timeout(READY, lines.next_line()).await.ok().and_then(Result::ok).flatten();
        let address = line.as_deref().and_then(|line| line.strip_prefix(what));
        address
            .unwrap_or_else(|| panic!("no {what:?} but {line:?}; {}", std::fs::read_to_string(log).unwrap()))
            .to_owned()
    };
    let address = said("ready ").await;
    let peers = if place.has_peers() { said("peers ").await } else { String::new() };
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
