//! A crowd that writes into one ledger at once: new records, changes, refusals, guards that fail, statements that the
//! database refuses, and commands that stall while they hold the head.

use std::time::Duration;

use prost::Message as _;
use qianshou_kernel::{
    db::Statement,
    id::Name,
    ledger::{Command, Content, Ledger, Rejection, Write},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{task::JoinSet, time::sleep};

use crate::sample;

/// A crowd.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many write at once.
    pub writers: u32,
    /// How many commands each of them submits.
    pub commands: u32,
    /// Whose numbers they take: no two crowds on one ledger have the same.
    pub number: u32,
}

/// What was committed: where, and whose record.
pub type Committed = (u64, Name);

impl Crowd {
    /// Writes, and answers everything that was committed.
    ///
    /// # Panics
    /// If a command is not answered as it has to be.
    pub async fn write(self, ledger: &Ledger) -> Vec<Committed> {
        let mut writers = JoinSet::new();
        for writer in 0..self.writers {
            writers.spawn(write(ledger.clone(), self, writer));
        }
        writers.join_all().await.concat()
    }
}

/// Puts a record of node 64.
#[must_use]
pub fn save(name: &Name, n: u32) -> Write {
    Write::Own(name.clone(), Content::Put { payload: sample::agency(n).encode_to_vec().into(), sealed: None })
}

/// The name of an agency of node 64.
#[must_use]
pub fn name(n: u32) -> Name {
    Name::of("64", "agencies", &format!("{n:08}"))
}

/// A command that only writes.
#[must_use]
pub fn command(writes: Vec<Write>) -> Command {
    Command { actor: "crowd".into(), writes, ..Command::default() }
}

/// Keeps the database busy for some milliseconds, on either of them.
pub const STALL: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT COUNT(*) FROM n";
/// What no database takes.
pub const POISON: &str = "UPDATE no_such_table SET position = 1";
/// What touches no row.
const NOBODY: &str = "UPDATE cursors SET position = 0 WHERE name = 'nobody'";

async fn write(ledger: Ledger, crowd: Crowd, writer: u32) -> Vec<Committed> {
    let mut chance = StdRng::seed_from_u64(u64::from(crowd.number * 1_000 + writer));
    let first = (crowd.number * crowd.writers + writer) * (crowd.commands + 1) * 2;
    let mut committed = vec![];
    for fresh in (first..).step_by(2).take(crowd.commands as usize + 1) {
        let mut command = command(vec![save(&name(fresh), fresh)]);
        if chance.random_bool(0.3) {
            command.writes.push(save(&name(fresh + 1), fresh + 1));
        }
        let fate = if fresh == first { 100 } else { chance.random_range(0..100) };
        match fate {
            0..8 => command.statements.push(Statement::new(POISON, vec![])),
            8..16 => command.statements.push(Statement::expecting(NOBODY, vec![], 1)),
            16..24 => command.writes.push(save(&Name::of("64", "agencies", &format!("twin-{fresh}")), first)),
            24..30 => command.statements.push(Statement::new(STALL, vec![])),
            30..50 => sleep(Duration::from_millis(chance.random_range(0..5))).await,
            _ => {}
        }
        match (fate, ledger.submit(command).await) {
            (0..8, Err(Rejection::Broken))
            | (8..16, Err(Rejection::Guard(0)))
            | (16..24, Err(Rejection::Taken { field: "uscc", .. })) => {}
            (24.., Ok(done)) => committed.extend(done.written.into_iter().map(|(name, _, position)| (position, name))),
            (fate, answer) => panic!("fate {fate} was answered {answer:?}"),
        }
    }
    committed
}
