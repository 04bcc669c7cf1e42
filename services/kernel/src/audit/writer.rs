//! The writer of the audit: one task a process turns what waits into one commit. What is only counted waits for the next beat.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{Line, Log, OK, append};
use crate::{
    clock::Clock,
    config::{self, ms},
    db::Db,
    error::{Error, Reason, Refusal, Result},
    identity::NodeKeys,
    telemetry,
};

/// Submissions that wait at most; beyond it an act hears that the audit is away.
const QUEUE_MAX: usize = 1_024;
/// Submissions in one commit at most.
const GROUP_MAX: usize = 256;
/// Different things that are counted between two beats; what comes beyond is counted together.
const COUNTED_MAX: usize = 4_096;
/// And of those that came without a token, who may be anybody.
const STRANGERS_MAX: usize = 64;
/// Refused attempts at one door by one caller between two beats; beyond it the door is not even tried.
const DOOR_REFUSALS_MAX: u64 = 100;

/// Who came without a token.
pub(super) const ANONYMOUS: &str = "anonymous";
/// Who and where, where there are too many.
const MANY: &str = "*";

/// The door to the audit; cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    db: Db,
    keys: Arc<NodeKeys>,
    clock: Clock,
    config: config::Audit,
    queue: mpsc::Sender<Submission>,
    counted: Mutex<Counted>,
}

struct Submission {
    lines: Vec<(Log, Line)>,
    /// Whether what was counted so far goes along.
    flush: bool,
    /// `Err`: why it was not written, where the database gave a reason that a caller is told.
    done: oneshot::Sender<Result<(), Option<Refusal>>>,
}

/// What was counted since the last beat: the line without time and count, when it was counted first, and how often.
#[derive(Default)]
struct Counted(HashMap<(Log, Line), (i64, u64)>);

impl Counted {
    fn add(&mut self, log: Log, line: Line, at_ms: i64, count: u64) {
        let mut key = (log, Line { at_ms: 0, count: 0, ..line }.bounded());
        if !self.0.contains_key(&key) {
            let strange = |(_, line): &&(Log, Line)| line.actor == ANONYMOUS;
            if key.1.actor == ANONYMOUS && self.0.keys().filter(strange).count() >= STRANGERS_MAX {
                key.1.address = MANY.to_owned();
            }
            if self.0.len() >= COUNTED_MAX {
                let Line { act, outcome, .. } = key.1;
                key.1 = Line { actor: MANY.into(), address: MANY.into(), act, outcome, ..Line::default() };
            }
        }
        let counted = self.0.entry(key).or_insert((at_ms, 0));
        counted.1 = counted.1.saturating_add(count);
    }

    fn lines(&self) -> Vec<(Log, Line)> {
        let line = |((log, line), (at_ms, count)): (&(Log, Line), &(i64, u64))| {
            (*log, Line { at_ms: *at_ms, count: *count, ..line.clone() })
        };
        let mut lines: Vec<_> = self.0.iter().map(line).collect();
        lines.sort_by(|(a, b), (c, d)| (a, b.at_ms, &b.actor, &b.act).cmp(&(c, d.at_ms, &d.actor, &d.act)));
        lines
    }
}

impl Audit {
    /// Opens the audit of the node whose keys these are, on a database whose tables stand, and starts this process's writer.
    #[must_use]
    pub fn open(db: Db, keys: Arc<NodeKeys>, clock: Clock, config: config::Audit) -> Self {
        let (queue, submissions) = mpsc::channel(QUEUE_MAX);
        let every = ms(config.batch_ms);
        let inner = Arc::new(Inner { db, keys, clock, config, queue, counted: Mutex::default() });
        tokio::spawn(run(inner.db.clone(), inner.keys.clone(), Arc::downgrade(&inner), every, submissions));
        Self(inner)
    }

    /// Writes a line and waits until it is committed.
    ///
    /// # Errors
    /// UNAVAILABLE: it could not be written.
    pub async fn write(&self, log: Log, line: Line) -> Result<()> {
        self.submit(vec![(log, line)], false).await
    }

    /// Writes down what was counted so far, without waiting for the next beat.
    ///
    /// # Errors
    /// UNAVAILABLE: it could not be written, and is counted on.
    pub async fn flush(&self) -> Result<()> {
        self.submit(vec![], true).await
    }

    async fn submit(&self, lines: Vec<(Log, Line)>, flush: bool) -> Result<()> {
        let (done, written) = oneshot::channel();
        let sent = self.0.queue.try_send(Submission { lines, flush, done });
        let away = || Refusal::one("", Reason::Unavailable, "the audit | 审计日志");
        let written = match sent {
            Ok(()) => written.await.unwrap_or(Err(None)),
            Err(_) => Err(None),
        };
        written.map_err(|refusal| refusal.unwrap_or_else(away).into())
    }

    /// Counts something; it becomes one line at the next beat.
    pub fn count(&self, log: Log, line: Line, count: u64) {
        let now_ms = self.0.clock.now_ms();
        self.counted().add(log, line, now_ms, count);
    }

    /// Whether a caller has been refused at this door so often that it is not tried again before the next beat.
    pub(super) fn is_knocking(&self, actor: &str, act: &str) -> bool {
        let counted = self.counted();
        let refused = counted.0.iter().filter(|((log, line), _)| {
            *log == Log::Acts && line.actor == actor && line.act == act && line.outcome != OK
        });
        refused.map(|(_, (_, count))| *count).sum::<u64>() >= DOOR_REFUSALS_MAX
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Purges both logs as configured.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn purge(&self) -> Result<u64> {
        let Inner { db, keys, clock, config, .. } = &*self.0;
        let before = |days: u32| clock.now_ms() - i64::from(days) * 86_400_000;
        let acts = super::purge(db, keys, Log::Acts, before(config.keep_days)).await?;
        Ok(acts + super::purge(db, keys, Log::Usage, before(config.usage_keep_days)).await?)
    }

    /// The clock that dates the lines.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The database it stands in.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The keys that sign it.
    #[must_use]
    pub fn keys(&self) -> &Arc<NodeKeys> {
        &self.0.keys
    }
}

async fn run(
    db: Db,
    keys: Arc<NodeKeys>,
    inner: Weak<Inner>,
    every: Duration,
    mut submissions: mpsc::Receiver<Submission>,
) {
    let mut beat = interval(every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = vec![];
    let mut failing = false;
    loop {
        let beats = tokio::select! {
            received = submissions.recv_many(&mut waiting, GROUP_MAX) => {
                if received == 0 {
                    return;
                }
                false
            }
            _ = beat.tick() => true,
        };
        let flush = beats || waiting.iter().any(|submission| submission.flush);
        let inner = inner.upgrade();
        let take =
            |inner: &Arc<Inner>| std::mem::take(&mut *inner.counted.lock().unwrap_or_else(PoisonError::into_inner));
        let counted = inner.as_ref().filter(|_| flush).map(take).unwrap_or_default();
        let mut lines: Vec<(Log, Line)> = waiting.iter_mut().flat_map(|s| std::mem::take(&mut s.lines)).collect();
        lines.extend(counted.lines());
        let written = if lines.is_empty() { Ok(vec![]) } else { append(&db, &keys, lines).await };
        let done = match &written {
            Ok(_) => Ok(()),
            Err(Error::Refused(refusal)) => Err(Some(refusal.clone())),
            Err(Error::Broken(_)) => Err(None),
        };
        match written {
            Ok(lines) => lines.iter().for_each(tell),
            Err(cause) => {
                if !failing {
                    tracing::error!(%cause, "the audit cannot be written; what opens a door is refused until it can");
                }
                if let Some(inner) = &inner {
                    let mut held = inner.counted.lock().unwrap_or_else(PoisonError::into_inner);
                    for ((log, line), (at_ms, count)) in counted.0 {
                        held.add(log, line, at_ms, count);
                    }
                }
            }
        }
        failing = done.is_err();
        for submission in waiting.drain(..) {
            // Whoever stopped waiting is not told.
            submission.done.send(done.clone()).ok();
        }
    }
}

/// Every line is an event too, for whoever collects the log: a chain that somebody writes anew is not the one that was told.
fn tell((log, number, line): &(Log, u64, Line)) {
    let Line { at_ms, actor, role, area, address, act, target, outcome, detail, count } = line;
    tracing::info!(
        target: telemetry::AUDIT,
        log = log.as_str(),
        number,
        at_ms,
        actor,
        role,
        area,
        address,
        act,
        target,
        outcome,
        detail,
        count,
        "audited"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_few_lines() {
        let mut counted = Counted::default();
        let line = |actor: &str, address: String| Line {
            actor: actor.to_owned(),
            address,
            act: "IdentityService/ListTokens".into(),
            outcome: "UNAUTHENTICATED".into(),
            ..Line::default()
        };
        for n in 0..10_000_u32 {
            counted.add(Log::Acts, line(ANONYMOUS, format!("10.0.{}.{}", n / 256, n % 256)), i64::from(n), 1);
            counted.add(Log::Acts, line("tokens/1", "10.0.0.1".into()), i64::from(n), 1);
        }
        let lines = counted.lines();
        assert_eq!(lines.len(), STRANGERS_MAX + 2);
        assert_eq!(lines.iter().map(|(_, line)| line.count).sum::<u64>(), 20_000);
        for n in 0..10_000_u32 {
            counted.add(Log::Usage, line(&format!("tokens/{n}"), String::new()), 0, 1);
        }
        assert!(counted.0.len() <= COUNTED_MAX + 2, "{}", counted.0.len());
    }
}
