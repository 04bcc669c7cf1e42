//! Whether the database takes what it is given. Every commit says so; where nobody commits, and while commits fail, a probe writes
//! a row of its own and commits it.
//!
//! "The database is away" and "the database refused" are two things: what it refuses is the fault of a statement, and another
//! statement may do; while it is away, nothing will, and the same may be asked again later.

use std::{
    fmt,
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Db, Pools, Tx};
use crate::{
    binds,
    error::{Error, Reason, Refusal, Result, Violation},
    identity::fresh_secret,
};

/// What a probe writes while commits fail: as much as a group of commands, so that room for one row is not taken for room.
const BALLAST_BYTES: usize = 1 << 20;
/// The room that a disk has to have again after it was full. What a failed transaction wrote stays in SQLite's log and is written over,
/// so less than it asked for would fit even on a full disk.
const ROOM_BYTES: u64 = 16 << 20;
/// How much more often it is tried while commits fail.
const WHILE_AWAY: u32 = 10;
/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an idle connection to a server that was away may take to close.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the database does not take anything at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// No room is left on its disk.
    Full,
    /// It does not answer: the server is stopped, restarting, or refuses connections; or another process holds the file.
    Silent,
    /// Its disk or its file fails.
    Failing,
    /// It is not the database any more that this process opened: the file was deleted or replaced, or another state was put back.
    Replaced,
}

impl Away {
    /// What a failure means; `None`: the database is there and refused a statement.
    #[must_use]
    pub fn of(cause: &sqlx::Error) -> Option<Self> {
        match cause {
            sqlx::Error::Database(told) => {
                let code = told.code()?;
                // PostgreSQL's codes have five characters, SQLite's are numbers.
                if code.len() == 5 { of_postgres(&code) } else { of_sqlite(code.parse().ok()?) }
            }
            sqlx::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => Some(Self::Full),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Some(Self::Silent),
            _ => None,
        }
    }

    /// In words, Chinese and English.
    #[must_use]
    pub fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Full => (
                "数据库所在磁盘已满（disk full），暂时无法写入；腾出空间后自动恢复，请稍后以同一请求编号重试",
                "the database's disk is full; nothing can be written until there is room, then it goes on by itself: repeat with the \
                 same request id a little later",
            ),
            Self::Silent => (
                "数据库暂时没有应答，请稍后以同一请求编号重试",
                "the database does not answer at the moment; repeat with the same request id a little later",
            ),
            Self::Failing => (
                "数据库的磁盘或文件出错（qianshou doctor），暂时无法写入，请稍后以同一请求编号重试",
                "the database's disk or file fails (see `qianshou doctor`); repeat with the same request id a little later",
            ),
            Self::Replaced => (
                "数据库在运行中被删除或替换，已停止读写；请恢复原文件，或停止本进程并从备份恢复（qianshou restore）",
                "the database was deleted or replaced while the node serves, so it is neither read nor written; put the file back, or \
                 stop this process and restore a backup (`qianshou restore`)",
            ),
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        let (zh, en) = self.told();
        Refusal(vec![Violation { field: String::new(), reason: Reason::Unavailable, zh: zh.into(), en: en.into() }])
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (zh, en) = self.told();
        write!(f, "{zh} | {en}")
    }
}

impl std::error::Error for Away {}

impl From<Away> for Error {
    fn from(away: Away) -> Self {
        Self::Broken(Box::new(away))
    }
}

/// The low byte of SQLite's extended codes.
fn of_sqlite(code: u32) -> Option<Away> {
    match code & 0xff {
        13 => Some(Away::Full),
        // BUSY, LOCKED, INTERRUPT, PROTOCOL
        5 | 6 | 9 | 15 => Some(Away::Silent),
        // PERM, NOMEM, READONLY, IOERR, CORRUPT, CANTOPEN, NOTADB
        3 | 7 | 8 | 10 | 11 | 14 | 26 => Some(Away::Failing),
        _ => None,
    }
}

fn of_postgres(code: &str) -> Option<Away> {
    match (&code[..2], code) {
        // A statement that was cancelled or ran into its timeout says nothing of the server.
        (_, "57014") => None,
        (_, "53100") => Some(Away::Full),
        // Connections, authorization, no such database, no connections to it, resources, the operator.
        ("08" | "28" | "3D" | "53" | "57", _) | (_, "55000") => Some(Away::Silent),
        // The system's own errors, and a server that only reads.
        ("58", _) | (_, "25006" | "XX001" | "XX002") => Some(Away::Failing),
        _ => None,
    }
}

/// What is known of a database; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Standing(Arc<Known>);

#[derive(Debug)]
struct Known {
    away: watch::Sender<Option<Away>>,
    /// Somebody doubts it.
    doubted: Notify,
    commits: AtomicU64,
    place: Option<Place>,
}

/// A file as it was when it was opened.
#[derive(Debug)]
struct Place {
    file: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    fn of(file: &Path) -> Result<Self> {
        let found = std::fs::metadata(file)?;
        Ok(Self { file: file.to_owned(), device: found.dev(), inode: found.ino() })
    }

    fn has_room(&self) -> bool {
        let folder = self.file.parent().unwrap_or(&self.file);
        rustix::fs::statvfs(folder).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= ROOM_BYTES)
    }

    fn holds(&self) -> bool {
        let same = |found: Metadata| found.dev() == self.device && found.ino() == self.inode;
        std::fs::metadata(&self.file).is_ok_and(same)
    }
}

impl Standing {
    /// Of a database whose file, if it is one, was opened just now.
    pub(super) fn new(file: Option<&Path>) -> Result<Self> {
        let place = file.map(Place::of).transpose()?;
        let known =
            Known { away: watch::Sender::new(None), doubted: Notify::new(), commits: AtomicU64::default(), place };
        Ok(Self(Arc::new(known)))
    }

    /// Makes sure, before anything is asked, that it may be.
    pub(super) fn must_be_here(&self, shared: bool) -> Result<()> {
        if self.0.place.as_ref().is_some_and(|place| !place.holds()) {
            self.set(Some(Away::Replaced));
        }
        match *self.0.away.borrow() {
            // Each further call would wait for a connection that nobody takes.
            Some(Away::Silent) if shared => Err(Away::Silent.into()),
            Some(Away::Replaced) => Err(Away::Replaced.into()),
            _ => Ok(()),
        }
    }

    fn must_have_room(&self) -> Result<()> {
        match &self.0.place {
            Some(place) if !place.has_room() => Err(Away::Full.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn committed(&self) {
        self.0.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// A transaction failed: if the database is away, that is known from now on.
    pub(super) fn failed(&self, cause: &sqlx::Error) {
        if let Some(away) = Away::of(cause) {
            self.set(Some(away));
            self.0.doubted.notify_one();
        }
    }

    /// A reader failed, which may be its connection's fault alone.
    pub(super) fn doubt(&self, cause: &sqlx::Error) {
        if Away::of(cause).is_some() {
            self.0.doubted.notify_one();
        }
    }

    fn set(&self, away: Option<Away>) {
        let before = self.0.away.send_replace(away);
        match (before, away) {
            (None, Some(away)) => tracing::error!(%away, "the database is away"),
            (Some(_), None) => tracing::warn!("the database takes commits again | 数据库已恢复写入"),
            _ => {}
        }
    }
}

impl Db {
    /// Whether the database takes what it is given, as far as is known; changes are seen by whoever waits for them.
    #[must_use]
    pub fn away(&self) -> watch::Receiver<Option<Away>> {
        self.standing.0.away.subscribe()
    }

    /// Tries a commit every `every` where nobody else commits, and ten times as often while commits fail, so that [`Db::away`] is true
    /// at any time. Ends when it is cancelled.
    pub async fn watch_over(&self, every: Duration, cancel: CancellationToken) {
        let known = &self.standing.0;
        let (mut identity, mut seen, mut doubted) = (None, 0, true);
        loop {
            let away = known.away.borrow().is_some();
            let here = self.standing.must_be_here(false).is_ok();
            if doubted || away || !here || known.commits.load(Ordering::Relaxed) == seen {
                let probed = timeout(PATIENCE, self.probe(&mut identity, away)).await;
                self.standing.set(match probed {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a commit was tried");
                        Some(error.away().unwrap_or(Away::Failing))
                    }
                    Err(_) => Some(Away::Silent),
                });
            }
            seen = known.commits.load(Ordering::Relaxed);
            let away = known.away.borrow().is_some();
            doubted = tokio::select! {
                () = cancel.cancelled() => return,
                () = sleep(if away { every / WHILE_AWAY } else { every }) => false,
                // While it is away everybody doubts it, and the pace stays.
                () = known.doubted.notified(), if !away => true,
            };
        }
    }

    /// Commits a row, if the database is still the one that was opened.
    async fn probe(&self, identity: &mut Option<Identity>, with_ballast: bool) -> Result<()> {
        if self.standing.0.place.as_ref().is_some_and(|place| !place.holds()) {
            return Err(Away::Replaced.into());
        }
        if with_ballast {
            self.connect_anew().await?;
            if *self.standing.0.away.borrow() == Some(Away::Full) {
                self.standing.must_have_room()?;
            }
        }
        let mut tx = self.begin_now().await?;
        let now = tx.identity().await?;
        if identity.as_ref().is_some_and(|before| !before.may_become(&now)) {
            tx.rollback().await?;
            return Err(Away::Replaced.into());
        }
        tx.beat(with_ballast.then(ballast)).await?;
        tx.commit().await?;
        *identity = Some(now);
        Ok(())
    }

    /// Tries whether a commit lasts, for whoever examines the database.
    ///
    /// # Errors
    /// [`Away`], or what the database says.
    pub async fn try_commit(&self) -> Result<()> {
        self.standing.must_have_room()?;
        let mut tx = self.begin_now().await?;
        tx.beat(Some(ballast())).await?;
        tx.commit().await
    }

    /// Asks a server that was away for a connection, without the pool's patience, and closes the idle ones: those lead nowhere, and
    /// each would fail one more call.
    async fn connect_anew(&self) -> Result<()> {
        let Pools::Postgres(pool) = &self.pools else { return Ok(()) };
        while let Some(idle) = pool.try_acquire() {
            drop(timeout(FAREWELL, idle.close()).await);
        }
        Ok(pool.connect_options().connect().await?.close().await?)
    }
}

/// Which database this is, and how far its ledger was.
struct Identity {
    instance: String,
    node: Option<String>,
    epoch: i64,
    position: i64,
}

impl Identity {
    fn may_become(&self, later: &Self) -> bool {
        let further = (later.epoch, later.position) >= (self.epoch, self.position);
        self.instance == later.instance && (self.node.is_none() || self.node == later.node) && further
    }
}

impl Tx {
    async fn identity(&mut self) -> Result<Identity> {
        let first = "INSERT INTO probes (id, instance, beat) VALUES (1, $1, 0) ON CONFLICT (id) DO NOTHING";
        self.execute(first, binds![hex::encode(&fresh_secret()?[..16])]).await?;
        let rows = self.fetch("SELECT instance FROM probes WHERE id = 1", vec![]).await?;
        let instance = rows.first().ok_or(Away::Replaced)?.text(0)?;
        let rows = self.fetch("SELECT node, epoch, position FROM head WHERE id = 1", vec![]).await?;
        let Some(head) = rows.first() else { return Ok(Identity { instance, node: None, epoch: 0, position: 0 }) };
        Ok(Identity { instance, node: Some(head.text(0)?), epoch: head.int(1)?, position: head.int(2)? })
    }

    async fn beat(&mut self, ballast: Option<Vec<u8>>) -> Result<()> {
        self.execute("UPDATE probes SET beat = beat + 1, ballast = $1 WHERE id = 1", binds![ballast]).await.map(drop)
    }
}

/// Bytes that do not compress.
fn ballast() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..BALLAST_BYTES / 8).flat_map(|_| step()).collect()
}
