//! Walks the chains of the audit, piece by piece: every line follows from the one before it, and the node signed where a chain begins
//! and where it ends.

use futures::future::BoxFuture;

use super::{
    Log,
    chain::{self, Head, Signer},
    read::line_of,
};
use crate::{
    binds,
    db::Db,
    error::Result,
    id::Salts,
    ledger::verify::{Fault, Part, Piece},
};

/// Lines in one piece of a whole walk.
const CHUNK: u32 = 1_000;
/// Lines in one place of a sample.
const PLACE: u32 = 20;

/// The first line that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub log: Log,
    pub number: u64,
    pub zh: &'static str,
    pub en: &'static str,
}

/// What walking the chains found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lines that were walked.
    pub lines: u64,
    /// `None`: both chains hold.
    pub wrong: Option<Wrong>,
}

const CHANGED: (&str, &str) = ("此行被改动", "this line was changed");
const MISSING: (&str, &str) = ("此行缺失", "this line is missing");
const FRONT: (&str, &str) = ("链首的签名不成立", "where the chain begins is not signed by this node");
const END: (&str, &str) = ("链尾的签名不成立", "where the chain ends is not signed by this node");

/// One chain, as a part of what a node verifies.
pub struct Chain {
    pub db: Db,
    pub signer: Signer,
    pub log: Log,
}

impl Part for Chain {
    fn name(&self) -> &'static str {
        match self.log {
            Log::Acts => "audit-acts",
            Log::Usage => "audit-usage",
        }
    }

    fn total(&self) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async { Ok(chain::head(&self.db, self.log).await?.map_or(0, |head| head.number - head.purged)) })
    }

    fn look<'a>(&'a self, after: &'a str, limit: u32) -> BoxFuture<'a, Result<Piece>> {
        Box::pin(async move {
            let step = step(&self.db, &self.signer, self.log, after.parse().ok(), limit).await?;
            let next = (!step.ended).then(|| step.reached.to_string());
            Ok(Piece { next, count: step.count, fault: step.wrong.map(Fault::from) })
        })
    }

    fn sample(&self, count: u32) -> BoxFuture<'_, Result<Piece>> {
        Box::pin(async move {
            let Some(head) = chain::head(&self.db, self.log).await? else { return self.look("", 1).await };
            let tail = head.number.saturating_sub(u64::from(count)).max(head.purged);
            let mut places = vec![tail];
            let mut chance = Salts::new()?;
            let before = tail - head.purged;
            places
                .extend((0..count.div_ceil(PLACE)).filter(|_| before > 0).map(|_| head.purged + chance.below(before)));
            let mut looked = 0;
            for (at, from) in places.into_iter().enumerate() {
                // What is written meanwhile makes the tail longer than it was.
                let limit = if at == 0 { count } else { PLACE };
                let step = step(&self.db, &self.signer, self.log, Some(from), limit).await?;
                looked += step.count;
                if let Some(wrong) = step.wrong {
                    return Ok(Piece { next: None, count: looked, fault: Some(wrong.into()) });
                }
            }
            Ok(Piece { next: None, count: looked, fault: None })
        })
    }
}

impl From<Wrong> for Fault {
    fn from(Wrong { log, number, zh, en }: Wrong) -> Self {
        Self { at: format!("audit {} {number}", log.as_str()), zh: zh.to_owned(), en: en.to_owned() }
    }
}

/// Walks both chains; `progress` hears how many lines were walked, and of how many. Lines that are written meanwhile are not walked.
///
/// # Errors
/// The database cannot be read.
pub async fn verify(db: &Db, signer: &Signer, mut progress: impl FnMut(u64, u64) + Send) -> Result<Verified> {
    let mut total = 0;
    for log in Log::ALL {
        total += chain::head(db, log).await?.map_or(0, |head| head.number - head.purged);
    }
    let mut lines = 0;
    for log in Log::ALL {
        let mut after = None;
        loop {
            let step = step(db, signer, log, after, CHUNK).await?;
            lines += step.count;
            progress(lines, total.max(lines));
            if step.wrong.is_some() {
                return Ok(Verified { lines, wrong: step.wrong });
            }
            if step.ended {
                break;
            }
            after = Some(step.reached);
        }
    }
    Ok(Verified { lines, wrong: None })
}

/// What looking at a piece of one chain found.
struct Step {
    /// The last line that holds.
    reached: u64,
    count: u64,
    /// Whether that is the end of the chain.
    ended: bool,
    wrong: Option<Wrong>,
}

/// Looks at most at so many lines behind a line, or from the front. What the task purges meanwhile moves the front, and the look is taken again.
async fn step(db: &Db, signer: &Signer, log: Log, after: Option<u64>, limit: u32) -> Result<Step> {
    loop {
        let head = chain::head(db, log).await?;
        let step = look(db, signer, log, head.as_ref(), after, limit).await?;
        if step.wrong.is_none() {
            return Ok(step);
        }
        let purged = |head: &Option<Head>| head.as_ref().map(|head| head.purged);
        if purged(&chain::head(db, log).await?) == purged(&head) {
            return Ok(step);
        }
    }
}

async fn look(db: &Db, signer: &Signer, log: Log, head: Option<&Head>, after: Option<u64>, limit: u32) -> Result<Step> {
    const BEFORE: &str = "SELECT digest FROM audit WHERE log = $1 AND number = $2";
    const FIRST: &str = "SELECT number FROM audit WHERE log = $1 ORDER BY number LIMIT 1";
    let wrong = |reached: u64, count: u64, number: u64, (zh, en): (&'static str, &'static str)| {
        Ok(Step { reached, count, ended: false, wrong: Some(Wrong { log, number, zh, en }) })
    };
    let Some(head) = head else {
        return match db.fetch_one(FIRST, binds![log.as_str()]).await? {
            Some(row) => wrong(0, 0, row.count(0)?, END),
            None => Ok(Step { reached: 0, count: 0, ended: true, wrong: None }),
        };
    };
    let from = after.filter(|after| *after > head.purged).unwrap_or(head.purged).min(head.number);
    let mut digest = if from == head.purged {
        if !head.begins(signer, log) {
            return wrong(from, 0, from, FRONT);
        }
        head.purged_digest.clone()
    } else {
        match db.fetch_one(BEFORE, binds![log.as_str(), from]).await? {
            Some(row) => row.bytes(0)?,
            None => return wrong(from - 1, 0, from, MISSING),
        }
    };
    let mut reached = from;
    for row in &rows(db, log, from, head.number, limit).await? {
        let (_, here, line, held) = line_of(row)?;
        if here != reached + 1 {
            return wrong(reached, reached - from, reached + 1, MISSING);
        }
        digest = line.digest(&digest, log, here).to_vec();
        if digest != held {
            return wrong(reached, reached - from, here, CHANGED);
        }
        reached = here;
    }
    let count = reached - from;
    if count == u64::from(limit) && reached < head.number {
        return Ok(Step { reached, count, ended: false, wrong: None });
    }
    if reached < head.number {
        return wrong(reached, count, reached + 1, MISSING);
    }
    let ends = digest == head.digest && head.ends(signer, log);
    if ends { Ok(Step { reached, count, ended: true, wrong: None }) } else { wrong(reached, count, reached, END) }
}

async fn rows(db: &Db, log: Log, after: u64, until: u64, limit: u32) -> Result<Vec<crate::db::Row>> {
    const SQL: &str = "SELECT log, number, at_ms, actor, role, area, address, act, target, outcome, detail, count, digest FROM audit \
                       WHERE log = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT $4";
    db.fetch(SQL, binds![log.as_str(), after, until, limit]).await
}
