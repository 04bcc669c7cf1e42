//! Databases that go away and come back: a small disk that fills up, a way to a server that is cut.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use crate::{Database, World, world::free_port};

/// The size of a small disk.
const DISK_MIB: u64 = 96;

/// What makes a node's database go away.
pub enum Outage {
    /// Its folder is on a small disk.
    Disk(SmallDisk),
    /// Its server is behind a gate.
    Server(Gate),
}

impl World {
    /// Prepares an outage of the node with this code, before that is asked for. Answers also the environment that the node needs.
    pub async fn outage(&self, code: &str) -> (Outage, Vec<(String, String)>) {
        let mut environment = vec![("QIANSHOU__DATABASE__PROBE_MS".to_owned(), "200".to_owned())];
        if self.database == Database::Sqlite {
            return (Outage::Disk(SmallDisk::mount(&self.folder(code))), environment);
        }
        let url = self.settle(code).await.config.database.url;
        let gate = Gate::before(&url).await;
        environment.push(("QIANSHOU__DATABASE__URL".to_owned(), gate.url.clone()));
        (Outage::Server(gate), environment)
    }
}

impl Outage {
    /// Takes the room that is left but `bytes`, or lets nobody through.
    pub fn begin(&self, bytes: u64) {
        match self {
            Self::Disk(disk) => disk.fill(bytes),
            Self::Server(gate) => drop(gate.open.send_replace(false)),
        }
    }

    /// Makes room, or lets everybody through.
    pub fn end(&self) {
        match self {
            Self::Disk(disk) => std::fs::remove_file(disk.ballast()).unwrap(),
            Self::Server(gate) => drop(gate.open.send_replace(true)),
        }
    }
}

/// A file system of its own, gone with this value.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it at an empty folder. Only who may mount can do that, as the root of a container of the gate.
    ///
    /// # Panics
    /// If nothing can be mounted here.
    #[must_use]
    pub fn mount(at: &Path) -> Self {
        let size = format!("size={DISK_MIB}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at).output().unwrap();
        assert!(mounted.status.success(), "a file system has to be mounted for this story: {mounted:?}");
        Self(at.to_owned())
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves this many bytes.
    fn fill(&self, bytes: u64) {
        let mut file = File::create(self.ballast()).unwrap();
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        let take = (stat.f_bavail * stat.f_frsize).saturating_sub(bytes);
        file.write_all(&vec![0; usize::try_from(take).unwrap()]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

/// A way to a server that can be cut, as if the server were stopped: open connections end, new ones are refused.
pub struct Gate {
    /// The database's address by this way.
    pub url: String,
    open: Arc<watch::Sender<bool>>,
}

impl Gate {
    async fn before(url: &str) -> Self {
        let (head, name) = url.rsplit_once('/').unwrap();
        let (head, server) = head.rsplit_once(['@', '/']).unwrap();
        let (server, port) = (server.to_owned(), free_port());
        let url = format!("{head}@127.0.0.1:{port}/{name}");
        let open = Arc::new(watch::Sender::new(true));
        let mut asked = open.subscribe();
        tokio::spawn(async move {
            while asked.wait_for(|open| *open).await.is_ok() {
                let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                let closed = asked.wait_for(|open| !*open);
                tokio::select! {
                    () = pass(listener, &server) => {}
                    closed = closed => drop(closed),
                }
            }
        });
        Self { url, open }
    }
}

async fn pass(listener: TcpListener, server: &str) {
    let mut passing = JoinSet::new();
    loop {
        let Ok((mut here, _)) = listener.accept().await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(mut there) = TcpStream::connect(server).await else { continue };
        passing.spawn(async move { copy_bidirectional(&mut here, &mut there).await });
    }
}
