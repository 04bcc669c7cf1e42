//! The registry's heartbeat: a move to another province whose two halves are here is done. The record ends on the day it moved, and the move
//! names its successor, in one commit. It takes no input and may be cut off anywhere: it looks again, and what is done stays done.
//!
//! Until then the record stands: whoever counts both knows one person by one pseudonym and one agency by its code, and nobody is
//! missing.

use std::time::Duration;

use prost::Message;
use qianshou_kernel::{
    binds,
    error::{Error, Result},
    id::Name,
    kind::Noun as _,
    ledger::{Command, Content, End, Ledger, Read, Rejection, Stored, Write},
};
use qianshou_proto::{
    common::v1::EndReason,
    registry::v1::{Agency, Move, Worker},
};
use tokio_util::sync::CancellationToken;

use crate::domain::{Agencies, moving::moved};

/// The bell is a hint; looking again now and then is the truth.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at least, however often the bell rings.
const GATHER: Duration = Duration::from_millis(100);

/// Looks for moves that can be done until cancelled.
pub(crate) async fn moves(ledger: Ledger, cancel: CancellationToken) {
    let mut bell = ledger.bell();
    loop {
        if let Err(error) = moves_done(&ledger).await {
            tracing::error!(%error, "moves are not done; it is tried again");
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = tokio::time::timeout(LOOK_EVERY, bell.changed()) => {}
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Does every move of ours whose successor is here.
async fn moves_done(ledger: &Ledger) -> Result<()> {
    const OFFERED: &str = "SELECT name FROM registry_moves WHERE state = $1 ORDER BY name";
    let rows = ledger.db().fetch(OFFERED, binds!["OFFERED"]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
    for stored in ledger.find(&names).await?.into_values().filter(|stored| stored.name.home() == ledger.node()) {
        move_done(ledger, &stored).await?;
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
