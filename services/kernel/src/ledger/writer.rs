//! The writer: concurrent commands become groups, a group becomes one transaction. The head row is taken first (the lock
//! that makes several processes right); every command is checked against the database and an overlay of the commands
//! before it in the group; rows are inserted in blocks; one commit.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::{mpsc, watch};

use super::{Answer, CONTRACT_LEVEL, Command, Content, Limits, Rejection, Submission, bell::Bell, overlay::Overlay};
use crate::{
    clock::Clock,
    db::{Away, Db},
    error::{Error, Result},
    kind::{Index, Kind, Kinds},
    person,
    telemetry::{Trace, Work, metrics},
};

/// A command with the indexes of what it writes, computed before the lock is taken.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(super) command: Command,
    pub(super) indexes: Vec<Option<(Kind, Index)>>,
    /// Who submitted it, if somebody traces that.
    cause: Option<Trace>,
}

impl Prepared {
    /// In whose trace a write was made, by its place.
    pub(super) fn trace(&self, write: usize) -> Option<Trace> {
        if self.command.traces.is_empty() { self.cause } else { self.command.traces.get(write).copied().flatten() }
    }
}

/// Computes the indexes of a command's records.
pub(crate) fn prepare(kinds: &Kinds, command: Command) -> Result<Prepared> {
    let indexes = command.writes.iter().map(|write| {
        let kind = kinds.known(write.name().kind())?;
        match write.content() {
            _ if command.erasing => Ok(Some((*kind, Index::default()))),
            Content::End(_) => Ok(Some((*kind, Index::default()))),
            Content::Put { payload, sealed } => {
                let blind = sealed.as_deref().and_then(person::blind_of);
                let index = kind.whole_index(payload, blind.as_deref());
                Ok(Some((*kind, index.map_err(|_| Error::broken("a record's payload cannot be read"))?)))
            }
        }
    });
    let indexes = indexes.collect::<Result<_>>()?;
    Ok(Prepared { command, indexes, cause: Trace::current_sampled() })
}

pub(crate) async fn run(
    db: Db,
    node: Arc<str>,
    clock: Clock,
    bell: Bell,
    (limits, groups_written): (Limits, watch::Sender<u64>),
    mut submissions: mpsc::Receiver<Submission>,
) {
    let writer = Writer { away: db.away(), db, node, clock, bell };
    let mut waiting = vec![];
    while submissions.recv_many(&mut waiting, limits.group_max_commands).await > 0 {
        let mut owners = VecDeque::new();
        let mut commands = vec![];
        for Submission { commands: submitted, answer } in waiting.drain(..) {
            owners.push_back((submitted.len(), answer));
            commands.extend(submitted);
        }
        let mut ready = vec![];
        for group in groups(commands, limits) {
            ready.extend(writer.write(group).await);
            groups_written.send_modify(|count| *count += 1);
            while owners.front().is_some_and(|(count, _)| *count <= ready.len()) {
                if let Some((count, owner)) = owners.pop_front() {
                    let rest = ready.split_off(count);
                    // A caller that has gone away does not undo what was committed.
                    drop(owner.send(std::mem::replace(&mut ready, rest)));
                }
            }
        }
    }
}

/// Decides commands as the writer would, one after the other, and writes nothing.
pub(crate) async fn would(db: &Db, node: &str, now_ms: i64, commands: &[&Prepared]) -> Result<Vec<Answer>> {
    let mut tx = db.begin().await?;
    let mut overlay = Overlay::load(&mut tx, node, now_ms, commands).await?;
    let level = overlay.contract;
    let decide = |command: &&Prepared| {
        if level == CONTRACT_LEVEL { overlay.decide(command) } else { Err(Rejection::ContractLevel(level)) }
    };
    let answers = commands.iter().map(decide).collect();
    tx.rollback().await?;
    Ok(answers)
}

/// Cuts what waits into transactions of bounded size.
fn groups(commands: Vec<Prepared>, limits: Limits) -> Vec<Vec<Prepared>> {
    let mut groups: Vec<Vec<Prepared>> = vec![];
    let mut writes = 0;
    for command in commands {
        let more = command.command.writes.len();
        match groups.last_mut() {
            Some(group) if group.len() < limits.group_max_commands && writes + more <= limits.group_max_writes => {
                group.push(command);
                writes += more;
            }
            _ => {
                groups.push(vec![command]);
                writes = more;
            }
        }
    }
    groups
}

struct Writer {
    db: Db,
    node: Arc<str>,
    clock: Clock,
    bell: Bell,
    away: watch::Receiver<Option<Away>>,
}

/// Why a group did not commit.
enum Failed {
    /// One command's statement met other rows; the others may go on without it.
    Guard { command: usize, statement: usize },
    /// The database is away: no part of the group would fare better.
    Away(Away),
    /// The database refused.
    Broken(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        error.away().map_or(Self::Broken(error), Self::Away)
    }
}

impl Writer {
    /// Writes a group, in the traces of those who submitted it.
    async fn write(&self, group: Vec<Prepared>) -> Vec<Answer> {
        let causes: Vec<Trace> = group.iter().filter_map(|prepared| prepared.cause).collect();
        let span = || tracing::info_span!("ledger.commit", qianshou.ledger.group.size = group.len());
        let work = Work::begin(causes, span);
        metrics::commit(group.len(), work.run(self.write_parts(&group))).await
    }

    /// Writes a group. If the database refuses it, it is halved until the command at fault stands alone. While the database is away
    /// nothing is tried: a probe finds out when it is back.
    async fn write_parts(&self, group: &[Prepared]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; group.len()];
        let mut parts: Vec<Vec<usize>> = vec![(0..group.len()).collect()];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            if let Some(away) = *self.away.borrow() {
                part.into_iter().for_each(|i| answers[i] = Some(Err(Rejection::Away(away))));
                continue;
            }
            let commands: Vec<&Prepared> = part.iter().map(|i| &group[*i]).collect();
            match self.attempt(&commands).await {
                Ok((given, position)) => {
                    self.bell.ring_everywhere(position);
                    for (i, answer) in part.into_iter().zip(given) {
                        answers[i] = Some(answer);
                    }
                }
                Err(Failed::Guard { command, statement }) => {
                    answers[part[command]] = Some(Err(Rejection::Guard(statement)));
                    parts.push(part.into_iter().enumerate().filter(|(i, _)| *i != command).map(|(_, c)| c).collect());
                }
                Err(Failed::Away(away)) => part.into_iter().for_each(|i| answers[i] = Some(Err(Rejection::Away(away)))),
                Err(Failed::Broken(error)) if part.len() == 1 => {
                    tracing::error!(%error, actor = %commands[0].command.actor, "the database refused a command");
                    answers[part[0]] = Some(Err(Rejection::Broken));
                }
                Err(Failed::Broken(error)) => {
                    tracing::warn!(%error, commands = part.len(), "the database refused a group; it is halved");
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second.to_vec());
                    parts.push(first.to_vec());
                }
            }
        }
        answers.into_iter().map(|a| a.unwrap_or(Err(Rejection::Broken))).collect()
    }

    async fn attempt(&self, commands: &[&Prepared]) -> Result<(Vec<Answer>, u64), Failed> {
        let mut tx = self.db.begin().await?;
        let mut overlay = Overlay::load(&mut tx, &self.node, self.clock.now_ms(), commands).await?;
        if overlay.contract != CONTRACT_LEVEL {
            tx.rollback().await?;
            return Ok((vec![Err(Rejection::ContractLevel(overlay.contract)); commands.len()], overlay.position));
        }
        let mut answers = Vec::with_capacity(commands.len());
        for (i, prepared) in commands.iter().enumerate() {
            let answer = overlay.decide(prepared);
            if matches!(&answer, Ok(done) if !done.repeated) {
                for (statement, text) in prepared.command.statements.iter().enumerate() {
                    if !tx.run(text).await? {
                        tx.rollback().await?;
                        return Err(Failed::Guard { command: i, statement });
                    }
                }
            }
            answers.push(answer);
        }
        let position = overlay.position;
        overlay.save(&mut tx).await?;
        tx.commit().await?;
        Ok((answers, position))
    }
}
