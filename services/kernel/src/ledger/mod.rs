//! The node's one ordered list of entries: positions 1, 2, 3 … without a gap. Saving is publishing: row, index, claims and
//! entry are one commit, by one function, for own and received records alike.
//!
//! A caller hands in a [`Command`] (what it read, what it writes); the writer checks it under the head row's lock, together
//! with its neighbours, and answers it by itself. Never merges two versions, never lets order depend on a clock.

mod bell;
pub mod chain;
mod epoch;
mod erase;
pub mod heads;
mod overlay;
mod read;
mod reindex;
mod salting;
mod shared;
pub mod verify;
mod writer;

use std::{sync::Arc, time::Duration};

pub use bell::MISSED;
pub use epoch::{declare_epoch, open_epoch};
pub use erase::{Cause, Kept};
pub use read::{Head, Stored, head, last_written_ms, snapshot};
pub use reindex::reindex;
pub use salting::salt;
use sha2::{Digest, Sha256};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::bell::Bell;

use crate::{
    binds,
    clock::Clock,
    db::{Away, Db, Migration, Statement, Tx},
    error::{Error, Reason, Result},
    id::Name,
    kind::Kinds,
    telemetry::{Trace, metrics},
};

/// The level of the tables this binary writes; a database at another level is read, not written. A migration that makes an
/// older program's writes wrong begins by raising it (`UPDATE head SET contract = …`): that takes the head row, so no writer is
/// between its check and its commit.
pub const CONTRACT_LEVEL: i64 = 4;

/// The kernel's own tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { house: "kernel", version: 1, sql: include_str!("../migrations/1_ledger.sql") },
    Migration { house: "kernel", version: 2, sql: include_str!("../migrations/2_declared.sql") },
    Migration { house: "kernel", version: 3, sql: include_str!("../migrations/3_trace.sql") },
    Migration { house: "kernel", version: 4, sql: include_str!("../migrations/4_words.sql") },
    Migration { house: "kernel", version: 5, sql: include_str!("../migrations/5_shared.sql") },
    Migration { house: "kernel", version: 6, sql: include_str!("../migrations/6_tokens.sql") },
    Migration { house: "kernel", version: 7, sql: include_str!("../migrations/7_audit.sql") },
    Migration { house: "kernel", version: 8, sql: include_str!("../migrations/8_chain.sql") },
    Migration { house: "kernel", version: 9, sql: include_str!("../migrations/9_probes.sql") },
    Migration { house: "kernel", version: 10, sql: include_str!("../migrations/10_erase.sql") },
    Migration { house: "kernel", version: 11, sql: include_str!("../migrations/11_doors.sql") },
];

/// A record's version, given by its home; compared in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Which life of the home's history.
    pub epoch: u64,
    /// Which writing of the record.
    pub revision: u64,
}

impl Version {
    /// `EPOCH.REVISION`
    #[must_use]
    pub fn etag(self) -> String {
        format!("{}.{}", self.epoch, self.revision)
    }
}

/// Why and since when a record is no more. The numbers are `qianshou.common.v1.EndReason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// `EndReason`
    pub reason: i32,
    /// The day, ISO-8601.
    pub on: String,
}

/// What an entry says of its record: all of it, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The record, whole.
    Put {
        /// The record's message, byte for byte as it was saved or received.
        payload: bytes::Bytes,
        /// The identity number, sealed; only at home.
        sealed: Option<bytes::Bytes>,
    },
    /// Its end.
    End(End),
}

/// What a command relied on; checked under the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The record's version was this; `None`: it did not exist.
    Version(Name, Option<Version>),
    /// The record existed and had not ended.
    Live(Name),
    /// The unique key belonged to this record; `None`: to nobody.
    Claim(String, Option<Name>),
    /// No record referred to this one.
    Unlinked(Name),
}

/// What a command writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A record of ours: it gets the next version.
    Own(Name, Content),
    /// A record of another home, at the version its home gave it; skipped if we hold that version or a later one.
    Received(Name, Version, Content),
}

impl Write {
    fn name(&self) -> &Name {
        match self {
            Self::Own(name, _) | Self::Received(name, _, _) => name,
        }
    }

    fn content(&self) -> &Content {
        match self {
            Self::Own(_, content) | Self::Received(_, _, content) => content,
        }
    }
}

/// A request id within its caller, and what was asked under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Caller and id.
    pub id: String,
    /// SHA-256 of the body.
    pub digest: [u8; 32],
}

/// One thing to be done, whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// Who.
    pub actor: String,
    /// For repetition: the first answer is given again.
    pub request: Option<Request>,
    /// What the decision relied on.
    pub reads: Vec<Read>,
    /// Records.
    pub writes: Vec<Write>,
    /// A house's own rows that belong into the same commit, such as a cursor.
    pub statements: Vec<Statement>,
    /// In whose trace each record was written where it came from, in the order of `writes`; empty: in that of whoever submits.
    pub traces: Vec<Option<Trace>>,
    /// It erases: what has ended may end again, and what it puts is indexed nowhere ([`Ledger::erase`]).
    pub erasing: bool,
}

/// Done, and lasting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The ledger's position that holds it.
    pub position: u64,
    /// What was written: name, version and position. What was skipped is not among it.
    pub written: Vec<(Name, Version, u64)>,
    /// This request had been answered before.
    pub repeated: bool,
}

/// Why a command was not done. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// What it had read is no longer so.
    Changed(Read),
    /// A unique key belongs to another record.
    Taken {
        /// Which field holds the key.
        field: &'static str,
        /// Whose it is.
        holder: Name,
    },
    /// The record is not ours to write.
    NotHome(Name),
    /// An ended record does not come back.
    Ended(Name),
    /// The request id was used for another body.
    RequestReused,
    /// A statement did not touch the rows it had to.
    Guard(usize),
    /// The queue is full.
    Busy,
    /// The database is at a level this binary does not write.
    ContractLevel(i64),
    /// The database is away, and the same may be asked again; whether it was done, a repeat with the same request id says.
    Away(Away),
    /// The database refused it, or the record's form failed; the cause is in the log.
    Broken,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Changed(Read::Version(name, _)) => Self::refused("etag", Reason::StaleVersion, name),
            Rejection::Changed(Read::Live(name)) => Self::refused("", Reason::ReferenceNotFound, name),
            Rejection::Changed(Read::Claim(_, holder)) => {
                Self::refused("", Reason::Duplicate, holder.map_or_else(|| "?".to_owned(), |h| h.to_string()))
            }
            Rejection::Changed(Read::Unlinked(name)) => Self::refused("name", Reason::StillReferenced, name),
            Rejection::Taken { field, holder } => Self::refused(field, Reason::Duplicate, holder),
            Rejection::NotHome(name) => Self::refused("name", Reason::NotHome, name.home()),
            Rejection::Ended(name) => Self::refused("name", Reason::NotFound, name),
            Rejection::RequestReused => Self::refused("request_id", Reason::RequestIdReused, ""),
            Rejection::Busy => Self::refused("", Reason::Busy, ""),
            Rejection::ContractLevel(level) => {
                let (zh, en) = (
                    format!("级别{level}，本程序为{CONTRACT_LEVEL}"),
                    format!("level {level}, this process writes {CONTRACT_LEVEL}"),
                );
                Self::refused("", Reason::ContractLevel, format!("{en} | {zh}"))
            }
            Rejection::Guard(_) => Self::broken("a guarded statement met other rows than it expected"),
            Rejection::Away(away) => away.into(),
            Rejection::Broken => Self::broken("the ledger could not write this command"),
        }
    }
}

/// One command's answer.
pub type Answer = Result<Committed, Rejection>;

/// Limits of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Commands in one transaction at most.
    pub group_max_commands: usize,
    /// Records in one transaction at most, unless one command alone has more.
    pub group_max_writes: usize,
    /// Submissions waiting at most; beyond it callers hear `BUSY`.
    pub queue_max: usize,
    /// How often another process's entries are looked for, in milliseconds.
    pub poll_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { group_max_commands: 1_000, group_max_writes: 4_000, queue_max: 4_096, poll_ms: 200 }
    }
}

/// The door to the ledger; cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    db: Db,
    node: Arc<str>,
    kinds: Arc<Kinds>,
    clock: Clock,
    queue: mpsc::Sender<Submission>,
    bell: Bell,
    groups: watch::Receiver<u64>,
    /// Ends the tasks that hear and tell other processes.
    _open: Arc<DropGuard>,
}

pub(crate) struct Submission {
    commands: Vec<writer::Prepared>,
    answer: oneshot::Sender<Vec<Answer>>,
}

impl Ledger {
    /// Opens the ledger of `node` on a database whose tables stand, and starts this process's writer.
    pub async fn open(db: Db, node: &str, kinds: Arc<Kinds>, clock: Clock, limits: Limits) -> Result<Self> {
        if db.fetch_one("SELECT id FROM head", vec![]).await?.is_none() {
            let first = "INSERT INTO head (id, node, epoch, position, digest, contract) VALUES (1, $1, 1, 0, $2, $3) \
                         ON CONFLICT (id) DO NOTHING";
            db.run(&[Statement::new(first, binds![node, vec![0_u8; 32], CONTRACT_LEVEL])]).await?;
        }
        let (queue, submissions) = mpsc::channel(limits.queue_max);
        let (bell, open) = (Bell::new(db.clone()), CancellationToken::new());
        let _open = Arc::new(open.clone().drop_guard());
        let (counted, groups) = watch::channel(0);
        let ledger = Self { db, node: node.into(), kinds, clock, queue, bell, groups, _open };
        let head = ledger.head().await?;
        if head.node != node {
            return Err(Error::broken(format!("this database belongs to node {}, not to {node}", head.node)));
        }
        if ledger.db.fetch_one("SELECT contract FROM head WHERE contract = $1", binds![CONTRACT_LEVEL]).await?.is_some()
        {
            let told = |position: u64| tracing::info!(position, "the chain is salted up to here");
            salt(&ledger.db, told).await?;
        }
        ledger.bell.ring(head.position);
        ledger.bell.start(Duration::from_millis(limits.poll_ms), &open);
        metrics::observe_ledger(ledger.queue.downgrade(), ledger.bell.subscribe());
        tokio::spawn(writer::run(
            ledger.db.clone(),
            ledger.node.clone(),
            ledger.clock.clone(),
            ledger.bell.clone(),
            (limits, counted),
            submissions,
        ));
        Ok(ledger)
    }

    /// Submits one command and waits for its answer. A caller that stops waiting does not undo it.
    pub async fn submit(&self, command: Command) -> Answer {
        self.submit_all(vec![command]).await.pop().unwrap_or(Err(Rejection::Broken))
    }

    /// Submits commands that stand for themselves: one's refusal leaves its neighbours alone.
    pub async fn submit_all(&self, commands: Vec<Command>) -> Vec<Answer> {
        let count = commands.len();
        let all = |rejection: Rejection| vec![Err(rejection); count];
        let mut prepared = Vec::with_capacity(count);
        for command in commands {
            match writer::prepare(&self.kinds, command) {
                Ok(command) => prepared.push(command),
                Err(error) => {
                    tracing::error!(%error, "a command could not be prepared");
                    return all(Rejection::Broken);
                }
            }
        }
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Submission { commands: prepared, answer }) {
            Err(mpsc::error::TrySendError::Full(_)) => all(Rejection::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => all(Rejection::Broken),
            Ok(()) => answered.await.unwrap_or_else(|_| all(Rejection::Broken)),
        }
    }

    /// What commands would be answered now, each after those before it; nothing is written.
    pub async fn would(&self, commands: Vec<Command>) -> Result<Vec<Answer>> {
        let prepared = commands.into_iter().map(|command| writer::prepare(&self.kinds, command));
        let prepared = prepared.collect::<Result<Vec<_>>>()?;
        writer::would(&self.db, &self.node, self.clock.now_ms(), &prepared.iter().collect::<Vec<_>>()).await
    }

    /// The node whose ledger this is.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The database it stands in.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The kinds this process knows.
    #[must_use]
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The clock entries are dated by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Rings with the newest position known to this process.
    #[must_use]
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// How many groups this process has written.
    #[must_use]
    pub fn groups(&self) -> watch::Receiver<u64> {
        self.groups.clone()
    }

    /// Says a word to the node's processes, this one too; on SQLite to nobody. A hint that may be lost.
    pub async fn tell(&self, word: &str) {
        if let Err(error) = self.bell.tell(word).await {
            tracing::debug!(%error, word, "the other processes were not told");
        }
    }

    /// Hears what processes of the node are told; [`MISSED`] where a word may have been lost.
    #[must_use]
    pub fn words(&self) -> broadcast::Receiver<String> {
        self.bell.words()
    }

    /// Begins a write transaction beside the writer's, for rows that are no records. See [`begin`].
    pub async fn begin(&self) -> Result<Tx> {
        begin(&self.db).await
    }

    /// Waits until the ledger holds `position`, at most `patience`.
    pub async fn at_least(&self, position: u64, patience: Duration) -> Result<()> {
        let mut bell = self.bell();
        let reached = tokio::time::timeout(patience, bell.wait_for(|held| *held >= position)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::refused("min_position", Reason::NotYet, position)),
        }
    }

    /// Forgets first answers older than this; a repeat after that is a new request.
    pub async fn forget_requests(&self, before_ms: i64) -> Result<()> {
        let old = "DELETE FROM requests WHERE answered_at < $1";
        run(&self.db, &[Statement::new(old, binds![before_ms])]).await.map(drop)
    }
}

/// Begins a write transaction beside the writer's, which does not wait for the head row. A migration waits until it is over.
///
/// # Errors
/// CONTRACT_LEVEL: the database is at a level this binary does not write.
pub async fn begin(db: &Db) -> Result<Tx> {
    let mut tx = db.begin().await?;
    if db.is_shared() {
        tx.fetch("SELECT CAST(pg_advisory_xact_lock_shared(727727) AS TEXT)", vec![]).await?;
    }
    let rows = tx.fetch("SELECT contract FROM head WHERE id = 1", vec![]).await?;
    let level = rows.first().ok_or_else(|| Error::broken("the ledger has no head"))?.int(0)?;
    if level != CONTRACT_LEVEL {
        tx.rollback().await?;
        return Err(Rejection::ContractLevel(level).into());
    }
    Ok(tx)
}

/// Runs statements in a transaction of their own that [`begin`]s so. `false`: one of them did not touch the rows it had to,
/// and nothing was done.
pub async fn run(db: &Db, statements: &[Statement]) -> Result<bool> {
    let mut tx = begin(db).await?;
    for statement in statements {
        if !tx.run(statement).await? {
            tx.rollback().await?;
            return Ok(false);
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// A unique key as it is stored: keys of one home and one kind are apart from all others.
#[must_use]
pub fn claim_key(home: &str, kind: &str, field: &str, value: &str) -> String {
    if value.len() <= 400 {
        return format!("{home}/{kind}/{field}/{value}");
    }
    let digest = Sha256::digest(value.as_bytes());
    format!("{home}/{kind}/{field}/#{}", hex::encode(digest))
}
