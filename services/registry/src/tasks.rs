//! The registry's heartbeat: a move to another province whose two halves are here is done. The record ends on the day it moved, and the move
//! names its successor, in one commit. At the nation a division that an operator's change names as another's successor goes on as the
//! same place. It takes no input and may be cut off anywhere: it looks again, and what is done stays done.
//!
//! Until then the record stands: whoever counts both knows one person by one pseudonym and one agency by its code, and nobody is
//! missing.

use std::{collections::BTreeSet, time::Duration};

use prost::Message;
use qianshou_kernel::{
    binds,
    error::{Error, Result},
    id::{Area, Name},
    kind::Noun as _,
    ledger::{self, Command, Content, End, Ledger, Read, Rejection, Stored, Write},
};
use qianshou_proto::{
    common::v1::EndReason,
    registry::v1::{Agency, Change, Division, Move, Worker},
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{Agencies, change::SAME_PLACE, moving::moved},
    rpc::proposals,
};

/// The bell is a hint; looking again now and then is the truth.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at least, however often the bell rings.
const GATHER: Duration = Duration::from_millis(100);

/// How far changes have been looked at.
const PLACES: &str = "registry.changes.places";
/// How far erasures have been looked at.
const ERASED: &str = "registry.proposals.erased";
/// Changes that are looked at together.
const BLOCK: u64 = 500;

/// Looks for moves that can be done, and for places that go on, until cancelled.
pub(crate) async fn run(ledger: Ledger, cancel: CancellationToken) {
    let mut bell = ledger.bell();
    let mut failing = BTreeSet::new();
    loop {
        if let Err(error) = moves_done(&ledger, &mut failing).await {
            tracing::error!(%error, "moves are not done; it is tried again");
        }
        if let Err(error) = places_go_on(&ledger).await {
            tracing::error!(%error, "places do not go on; it is tried again");
        }
        if let Err(error) = erased_not_proposed(&ledger).await {
            tracing::error!(%error, "proposals still name who was erased; it is tried again");
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = tokio::time::timeout(LOOK_EVERY, bell.changed()) => {}
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Does every move of ours whose successor is here. One that fails is told once and tried again with the others; `failing`: those
/// that were told.
async fn moves_done(ledger: &Ledger, failing: &mut BTreeSet<String>) -> Result<()> {
    const OFFERED: &str = "SELECT name FROM registry_moves WHERE state = $1 ORDER BY name";
    let rows = ledger.db().fetch(OFFERED, binds!["OFFERED"]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
    failing.retain(|name| names.contains(name));
    for stored in ledger.find(&names).await?.into_values().filter(|stored| stored.name.home() == ledger.node()) {
        match move_done(ledger, &stored).await {
            Ok(()) => drop(failing.remove(stored.name.as_str())),
            Err(error) => {
                if failing.insert(stored.name.to_string()) {
                    tracing::error!(%error, name = %stored.name, "a move is not done; it is tried again");
                }
            }
        }
    }
    Ok(())
}

async fn move_done(ledger: &Ledger, stored: &Stored) -> Result<()> {
    let Some(mut moving) = stored.payload().map(|payload| Move::decode(payload.clone())).transpose()? else {
        return Ok(());
    };
    let Some(record) = moved(&moving).and_then(|(_, name)| name.parse::<Name>().ok()) else { return Ok(()) };
    let Some((successor, first_day)) = successor(ledger, &record, moving.to()).await? else { return Ok(()) };
    let mut command = Command { actor: "registry.moves".into(), ..Command::default() };
    if let Some(ending) = ledger.find_one(&record).await?.filter(|ending| ending.payload().is_some()) {
        let end = End { reason: EndReason::Ended.into(), on: first_day.unwrap_or_else(|| moving.on().to_owned()) };
        command.reads.push(Read::Version(record.clone(), Some(ending.version)));
        command.writes.push(Write::Own(record, Content::End(end)));
    }
    moving.successor = Some(successor.to_string());
    let payload = moving.encode_to_vec().into();
    command.reads.push(Read::Version(stored.name.clone(), Some(stored.version)));
    command.writes.push(Write::Own(stored.name.clone(), Content::Put { payload, sealed: None }));
    match ledger.submit(command).await {
        // Somebody else was quicker, here or in another process: it is looked at again.
        Ok(_) | Err(Rejection::Changed(_)) => Ok(()),
        Err(rejection) => Err(Error::from(rejection)),
    }
}

/// The record of the other node that says that it succeeds this one, and its first day there: the day on which this one ends, so that
/// nothing is counted twice or not at all.
async fn successor(ledger: &Ledger, record: &Name, to: &str) -> Result<Option<(Name, Option<String>)>> {
    let referring = ledger.referring(&[record.to_string()]).await?;
    let of_kind = |source: &String| source.parse::<Name>().is_ok_and(|s| s.home() == to && s.kind() == record.kind());
    let sources: Vec<String> = referring.into_iter().map(|(_, source)| source).filter(of_kind).collect();
    let found = ledger.find(&sources).await?;
    let succeeds = |stored: &Stored| {
        let payload = stored.payload()?.clone();
        let (predecessor, first_day) = if stored.name.kind() == Agencies::COLLECTION {
            Agency::decode(payload).map(|agency| (agency.predecessor, agency.arrived_on)).ok()?
        } else {
            Worker::decode(payload).map(|worker| (worker.predecessor, worker.since)).ok()?
        };
        (predecessor.as_deref() == Some(record.as_str())).then(|| (stored.name.clone(), first_day))
    };
    Ok(found.values().find_map(succeeds))
}

/// Takes what was proposed out of every proposal that names a record which was erased since the last look. One that was not decided is
/// withdrawn by that.
async fn erased_not_proposed(ledger: &Ledger) -> Result<()> {
    let from = ledger.cursor(ERASED).await?;
    let erased = ledger.erased_after(from).await?;
    let Some((_, to)) = erased.last() else { return Ok(()) };
    let names: Vec<&str> = erased.iter().map(|(name, _)| name.as_str()).collect();
    let statements = proposals::without(ledger, &names).await?;
    ledger::run(ledger.db(), &statements).await?;
    // A file that a long read holds is scrubbed at the next look.
    if statements.is_empty() || ledger.db().scrub().await? {
        ledger::run(ledger.db(), &[Ledger::move_cursor(ERASED, from, *to)]).await?;
    }
    Ok(())
}

/// Looks at the changes that were told since the last look.
async fn places_go_on(ledger: &Ledger) -> Result<()> {
    const TOLD: &str = "SELECT name, position FROM registry_changes WHERE position > $1 ORDER BY position LIMIT $2";
    if ledger.node() != Area::NATION {
        return Ok(());
    }
    loop {
        let from = ledger.cursor(PLACES).await?;
        let rows = ledger.db().fetch(TOLD, binds![from, BLOCK]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        let to = last.count(1)?;
        let names: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
        // What the embedded changes say stands in the embedded list.
        let told = ledger.find(&names).await?.into_values().filter(|stored| stored.version.epoch > 0);
        let mut told: Vec<Change> = told.filter_map(|stored| Change::decode(stored.payload()?.clone()).ok()).collect();
        while let Some(change) = told.pop() {
            if let Some(division) = place_goes_on(ledger, &change).await? {
                told.extend(changes_of(ledger, division.code(), division.valid_to()).await?);
            }
        }
        if !ledger::run(ledger.db(), &[Ledger::move_cursor(PLACES, from, to)]).await? {
            return Ok(());
        }
    }
}

/// Gives the successor the place of what it succeeds; answers it, if that was another.
async fn place_goes_on(ledger: &Ledger, change: &Change) -> Result<Option<Division>> {
    const ENDED: &str = "SELECT name FROM registry_divisions WHERE area = $1 AND valid_to = $2";
    const BEGUN: &str = "SELECT name FROM registry_divisions WHERE area = $1 AND valid_from = $2";
    let (Some(from), Some(to)) = (change.from.first(), change.to.first()) else { return Ok(None) };
    if !SAME_PLACE.contains(&change.kind()) {
        return Ok(None);
    }
    let before = interval(ledger, ENDED, from, change.effective_on()).await?;
    let after = interval(ledger, BEGUN, to, change.effective_on()).await?;
    let (Some((_, before)), Some((stored, mut after))) = (before, after) else { return Ok(None) };
    if before.place.is_none() || before.place == after.place || stored.name.home() != ledger.node() {
        return Ok(None);
    }
    after.place = before.place;
    let content = Content::Put { payload: after.encode_to_vec().into(), sealed: None };
    let command = Command {
        actor: "registry.places".into(),
        reads: vec![Read::Version(stored.name.clone(), Some(stored.version))],
        writes: vec![Write::Own(stored.name, content)],
        ..Command::default()
    };
    ledger.submit(command).await.map_err(Error::from)?;
    Ok(Some(after))
}

async fn interval(ledger: &Ledger, sql: &'static str, code: &str, day: &str) -> Result<Option<(Stored, Division)>> {
    let Some(row) = ledger.db().fetch_one(sql, binds![code, day]).await? else { return Ok(None) };
    let stored = ledger.find(&[row.text(0)?]).await?.into_values().next();
    let read = |stored: Stored| Some((stored.clone(), Division::decode(stored.payload()?.clone()).ok()?));
    Ok(stored.and_then(read))
}

/// What became of a code on a day.
async fn changes_of(ledger: &Ledger, code: &str, day: &str) -> Result<Vec<Change>> {
    const OF: &str = "SELECT name FROM registry_changes WHERE area = $1 AND effective_on = $2";
    let rows = ledger.db().fetch(OF, binds![code, day]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
    let found = ledger.find(&names).await?.into_values();
    Ok(found.filter_map(|stored| Change::decode(stored.payload()?.clone()).ok()).collect())
}
