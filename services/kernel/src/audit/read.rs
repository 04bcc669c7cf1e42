//! Reading lines: by time, actor, act and area.

use super::{Line, Log};
use crate::{
    binds,
    db::{Db, Row},
    error::{Error, Result},
    id::Area,
};

/// A line with its place: log, number, line, digest.
pub(super) type Placed = (Log, u64, Line, Vec<u8>);

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
    pub(super) actor: String,
    pub(super) act: String,
    /// Only of actors whose area lies in this one; `None`: of all.
    pub(super) area: Option<Area>,
    /// The time, log and number of the last line that was read.
    pub(super) after: (i64, String, u64),
}

pub(super) fn line_of(row: &Row) -> Result<Placed> {
    let log = row.text(0)?;
    let log = Log::ALL.into_iter().find(|known| known.as_str() == log);
    let line = Line {
        at_ms: row.int(2)?,
        actor: row.text(3)?,
        role: row.text(4)?,
        area: row.text(5)?,
        address: row.text(6)?,
        act: row.text(7)?,
        target: row.text(8)?,
        outcome: row.text(9)?,
        detail: row.text(10)?,
        count: row.count(11)?,
    };
    Ok((log.ok_or_else(|| Error::broken("there is no such log"))?, row.count(1)?, line, row.bytes(12)?))
}

/// Lines by time, then log and number.
pub(super) async fn page(db: &Db, wanted: &Wanted, limit: usize) -> Result<Vec<Placed>> {
    const SQL: &str = "SELECT log, number, at_ms, actor, role, area, address, act, target, outcome, detail, count, digest FROM audit \
                       WHERE at_ms >= $1 AND at_ms < $2 AND ($3 = '' OR actor = $3) AND ($4 = '' OR act = $4) \
                       AND ($5 = '' OR (area >= $5 AND area < $6)) AND (at_ms, log, number) > ($7, $8, $9) \
                       ORDER BY at_ms, log, number LIMIT $10";
    let (least, beyond) = match &wanted.area {
        // No code is greater than thirteen nines.
        Some(area) => (area.as_str().to_owned(), area.after().unwrap_or_else(|| "9".repeat(13))),
        None => (String::new(), String::new()),
    };
    let (at_ms, log, number) = &wanted.after;
    let from = wanted.from_ms.max(*at_ms);
    let binds =
        binds![from, wanted.until_ms, &wanted.actor, &wanted.act, least, beyond, *at_ms, log, *number, limit as u64];
    db.fetch(SQL, binds).await?.iter().map(line_of).collect()
}
