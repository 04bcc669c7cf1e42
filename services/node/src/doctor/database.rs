//! What the database says: that it answers, keeps what it commits, stands at our level, and tells the same time.

use qianshou_kernel::{
    audit::Signer,
    clock::Clock,
    config::Loaded,
    db::{Away, Db},
    error::{Error, Result},
    identity::NodeKeys,
    ledger::{self, CONTRACT_LEVEL, verify},
};

use super::{Seen, fail, ok, text, warn, worst};
use crate::{
    node,
    verify::{parts, sample},
};

/// How far the two clocks may be apart.
const APART_MS: i64 = 2_000;
/// How far back a clock may have been set before it is told.
const BACK_MS: i64 = 1_000;

pub(super) async fn reachable(loaded: &Loaded, opened: &Result<Db>) -> Seen {
    let db = match opened {
        Ok(db) => db,
        Err(error) => return unopened(loaded, error),
    };
    let name = if db.is_shared() { "PostgreSQL" } else { "SQLite" };
    // Where the tables are not at this program's level, another check says so.
    if !db.levels().await.is_ok_and(|levels| node::pending(&levels).is_empty()) {
        return ok(name);
    }
    match db.try_commit().await {
        Ok(()) => ok(format!("{name}, a commit lasts")),
        Err(error) => match error.away() {
            Some(away @ Away::Full) => {
                fail(format!("{name}: {away}"), "df; make room on the database's disk".to_owned())
            }
            Some(away) => fail(format!("{name}: {away} ({})", text(&error)), "see the database's own log, and dmesg"),
            None => fail(format!("{name}: {}", text(&error)), "see the database's own log"),
        },
    }
}

fn unopened(loaded: &Loaded, error: &Error) -> Seen {
    let sqlite = loaded.config.database.url.starts_with("sqlite:");
    match error.away() {
        Some(away @ Away::Full) => fail(away.to_string(), "df; make room on the database's disk"),
        _ if sqlite => fail(text(error), "qianshou init DIR --province CODE, or qianshou restore BACKUP --to DIR"),
        _ => fail(text(error), "start the server, or correct database.url (`qianshou config show`)"),
    }
}

/// Every setting without which a commit, or a text, would not last.
pub(super) async fn settings(db: &Db) -> Result<Seen> {
    let settings = db.settings().await?;
    let all: Vec<String> = settings.iter().map(|s| format!("{} {}", s.name, s.value)).collect();
    let seen = settings.iter().map(|s| {
        if s.holds {
            return ok("");
        }
        let mend = match s.name {
            "server_version_num" | "version" => "upgrade the database".to_owned(),
            "server_encoding" => "CREATE DATABASE … ENCODING 'UTF8', then backup and restore".to_owned(),
            "quick_check" => "qianshou restore BACKUP --to DIR".to_owned(),
            "journal_mode" | "encoding" => "qianshou backup DIR, then qianshou restore DIR --to NEW".to_owned(),
            name => format!("ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"),
        };
        fail(format!("{} is {}", s.name, s.value), mend)
    });
    Ok(worst(seen.collect(), all.join(", ")))
}

/// The tables stand at this program's level.
pub(super) async fn tables(db: &Db, config: &str) -> Result<Seen> {
    let levels = db.levels().await?;
    if let Some(house) = node::later(&levels) {
        return Ok(fail(format!("a later program upgraded {house}"), "install that program's version"));
    }
    let pending = node::pending(&levels);
    if pending.is_empty() {
        let version = env!("CARGO_PKG_VERSION");
        return Ok(ok(format!("qianshou {version}, contract level {CONTRACT_LEVEL}, {} houses", levels.len())));
    }
    let steps: Vec<String> = pending.iter().map(|(house, from, to)| format!("{house} {from} → {to}")).collect();
    Ok(fail(steps.join(", "), format!("qianshou migrate --config {config}")))
}

/// Our clock, the database's, and the newest entry's instant agree.
pub(super) async fn clock(db: &Db, clock: &Clock) -> Result<Seen> {
    let ours = clock.now_ms();
    let mut seen = vec![];
    if let Some(theirs) = db.clock_ms().await?.filter(|theirs| (theirs - ours).abs() > APART_MS) {
        let note = format!("the database's clock is {} ms from ours", theirs - ours);
        seen.push(warn(note, "timedatectl set-ntp true (on both machines)"));
    }
    if let Some(last) = ledger::last_written_ms(db).await?.filter(|last| *last > ours + BACK_MS) {
        let note = format!("the newest entry is {} ms in the future: this clock was set back", last - ours);
        seen.push(fail(note, "timedatectl set-ntp true"));
    }
    Ok(worst(seen, "in step | 一致".into()))
}

/// A restored node's peers wait for its epoch to be declared.
pub(super) async fn epoch(db: &Db, config: &str) -> Result<Seen> {
    let head = ledger::head(db).await?;
    if !head.declared {
        let note = format!("epoch {} is not declared: what this node sends stands still", head.epoch);
        return Ok(fail(note, format!("qianshou epoch declare --config {config}")));
    }
    Ok(ok(format!("epoch {}, position {}", head.epoch, head.position)))
}

/// The newest of what is stored and a sample of the rest is what was written, and the task that goes round found nothing else.
pub(super) async fn integrity(db: &Db, keys: &NodeKeys, config: &str) -> Result<Seen> {
    let mend = format!("qianshou verify --config {config} --full; then qianshou restore a backup from before");
    let looked = sample(&parts(db, &Signer::from(keys))).await?;
    let mut seen: Vec<Seen> =
        looked.iter().filter_map(|part| Some(fail(part.fault.as_ref()?.to_string(), &mend))).collect();
    let rounds = verify::rounds(db).await?;
    let found = rounds.iter().filter_map(|round| round.fault.as_ref());
    seen.extend(found.map(|(zh, en)| fail(format!("{en} | {zh}"), &mend)));
    let round = |round: &verify::Round| format!("{} {} rounds", round.part, round.rounds);
    let all: Vec<String> = looked.iter().map(|part| format!("{} {}", part.part, part.count)).collect();
    Ok(worst(seen, [all, rounds.iter().map(round).collect()].concat().join(", ")))
}
