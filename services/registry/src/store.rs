//! The registry's own questions to its tables: which divisions exist, what became of them, and the bootstrap of their list.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
    sync::Arc,
};

use flate2::read::GzDecoder;
use futures::future::BoxFuture;
use prost::Message;
use qianshou_kernel::{
    binds,
    db::Db,
    error::{Error, Reason, Result},
    id::{Area, Name},
    kind::{Areas, Noun},
    ledger::{self, Command, Content, Ledger, Version, Write},
    succession::{self, History, Succession, ranges},
};
use qianshou_proto::registry::v1::{Change, ChangeKind, Division, TagLabel};

use crate::domain::{Changes, Divisions, change::SAME_PLACE, division::complete, history::Event};

/// Which divisions the list knows, at any date: facts keep the code they were reported under; and what became of them.
#[derive(Clone)]
pub struct List {
    ledger: Ledger,
    history: History,
}

const TOWNSHIP_DIGITS: usize = 9;

impl Areas for List {
    fn unknown<'a>(&'a self, codes: &'a [String]) -> BoxFuture<'a, Result<BTreeSet<String>>> {
        Box::pin(async move {
            let mut unknown: BTreeSet<String> = codes.iter().cloned().collect();
            for code in self.listed(codes).await? {
                unknown.remove(&code);
            }
            // Where the list ends at the townships, their villages are taken on their township's word.
            let township =
                |code: &String| code.get(..TOWNSHIP_DIGITS).filter(|_| code.len() > TOWNSHIP_DIGITS).map(str::to_owned);
            let townships: BTreeSet<String> = unknown.iter().filter_map(township).collect();
            let known = self.listed(&townships.into_iter().collect::<Vec<_>>()).await?;
            for parent in known {
                if !self.has_villages(&parent).await? {
                    unknown.retain(|code| township(code).as_deref() != Some(&parent));
                }
            }
            Ok(unknown)
        })
    }

    fn within<'a>(&'a self, area: &'a Area, day: &'a str) -> BoxFuture<'a, Result<Vec<(String, String)>>> {
        Box::pin(async move {
            self.succession().await?;
            Ok(ranges(area, &self.history.moved(day)))
        })
    }

    fn tagged<'a>(&'a self, tag: &'a str, day: &'a str) -> BoxFuture<'a, Result<Vec<String>>> {
        const TAGGED: &str = "SELECT DISTINCT area FROM registry_tags WHERE type = $1 AND area IS NOT NULL \
                              AND (since IS NULL OR since <= $2) AND (until IS NULL OR until > $2)";
        Box::pin(async move {
            if TagLabel::from_str_name(&format!("TAG_LABEL_{tag}")).is_none_or(|label| label == TagLabel::Unspecified) {
                return Err(Error::refused("tag", Reason::NotInList, "KEY_COUNTY, RELOCATION, OTHER"));
            }
            let rows = self.db().fetch(TAGGED, binds![tag, day]).await?;
            rows.iter().map(|row| row.text(0)).collect()
        })
    }
}

impl List {
    /// The list that this ledger holds.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, history: History::default() }
    }

    fn db(&self) -> &Db {
        self.ledger.db()
    }

    /// What became of divisions, as far as it is told.
    pub(crate) async fn succession(&self) -> Result<Arc<Succession>> {
        self.history.newest(self.history_state().await?, self.changes()).await
    }

    async fn listed(&self, codes: &[String]) -> Result<Vec<String>> {
        let rows =
            self.db().fetch("SELECT DISTINCT area FROM registry_divisions WHERE area IN ({1})", binds![codes]).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Whether the list of a day has a code.
    pub(crate) async fn is_listed(&self, code: &str, on: &str) -> Result<bool> {
        Ok(self.names_on(&[code.to_owned()], on).await?.contains_key(code))
    }

    /// The names that codes have on a day.
    pub(crate) async fn names_on(&self, codes: &[String], on: &str) -> Result<BTreeMap<String, String>> {
        let sql = "SELECT area, COALESCE(title, '') FROM registry_divisions WHERE area IN ({1}) \
                   AND (valid_from IS NULL OR valid_from <= $2) AND (valid_to IS NULL OR valid_to > $2)";
        let rows = self.db().fetch(sql, binds![codes, on]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// How many changes there are and the position of the newest: which state of the history this is.
    async fn history_state(&self) -> Result<(i64, i64)> {
        let sql = "SELECT CAST(COUNT(*) AS BIGINT), CAST(COALESCE(MAX(position), 0) AS BIGINT) FROM registry_changes";
        let row = self.db().fetch_one(sql, vec![]).await?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
    }

    /// All changes.
    async fn changes(&self) -> Result<Vec<succession::Change>> {
        let rows = self.db().fetch("SELECT name FROM registry_changes", vec![]).await?;
        let names: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
        let found = self.ledger.find(&names).await?;
        let told =
            |change: Change| succession::Change::told(change.effective_on(), &change.from, &change.to, &change.parts);
        let changes = found.values().filter_map(|stored| Change::decode(stored.payload()?.clone()).ok());
        Ok(changes.map(told).collect())
    }

    async fn has_villages(&self, township: &str) -> Result<bool> {
        let sql = "SELECT area FROM registry_divisions WHERE area > $1 AND area <= $2 LIMIT 1";
        Ok(self.db().fetch_one(sql, binds![township, format!("{township}999")]).await?.is_some())
    }
}

/// Eight national snapshots (2016–2023) down to the townships, as validity intervals.
const EMBEDDED: &[u8] = include_bytes!("../data/divisions.csv.gz");
/// What became of them, by the rule of [`history`] from the lists with all their villages.
const EMBEDDED_CHANGES: &[u8] = include_bytes!("../data/changes.csv.gz");
/// With places; what an older program had put there is superseded.
const BOOTSTRAP: &str = "registry.places";
const BOOTSTRAP_CHANGES: &str = "registry.changes.whole";
/// Below every epoch that a node lives in, so that the nation's own word always supersedes the list.
const BOOTSTRAP_VERSION: Version = Version { epoch: 0, revision: 2 };
const BLOCK: usize = 4_000;

/// Puts the embedded list into the ledger, once: the same records under the same names on every node, home `00`.
/// `areas` limits it to some provinces; empty: all. Answers how many there are.
pub async fn bootstrap(ledger: &Ledger, areas: &[String], mut progress: impl FnMut(usize)) -> Result<usize> {
    let within = |code: &str| areas.is_empty() || areas.iter().any(|area| code.starts_with(area.as_str()));
    let divisions = || {
        let divisions = embedded()?.into_iter().filter(|division| within(division.code()));
        Ok(divisions.map(|d| (Name::of(Area::NATION, Divisions::COLLECTION, &id_of(&d)), d.encode_to_vec())).collect())
    };
    let changes = || {
        let of = |change: &Change| change.from.iter().chain(&change.to).any(|code| within(code));
        let changes = embedded_changes()?.into_iter().filter(of);
        Ok(changes
            .map(|c| (Name::of(Area::NATION, Changes::COLLECTION, &id_of_change(&c)), c.encode_to_vec()))
            .collect())
    };
    let listed = put_once(ledger, BOOTSTRAP, divisions, &mut progress).await?;
    put_once(ledger, BOOTSTRAP_CHANGES, changes, |_| {}).await?;
    Ok(listed)
}

/// Puts records of the nation's into the ledger unless the cursor says that they are there; answers how many.
async fn put_once(
    ledger: &Ledger,
    cursor: &str,
    records: impl FnOnce() -> Result<Vec<(Name, Vec<u8>)>>,
    mut progress: impl FnMut(usize),
) -> Result<usize> {
    let done = ledger.cursor(cursor).await?;
    if done > 0 {
        return Ok(usize::try_from(done).unwrap_or(usize::MAX));
    }
    let mut records = records()?.into_iter();
    let mut count = 0;
    while records.len() > 0 {
        let put = |(name, payload): (Name, Vec<u8>)| {
            Write::Received(name, BOOTSTRAP_VERSION, Content::Put { payload: payload.into(), sealed: None })
        };
        let writes: Vec<Write> = records.by_ref().take(BLOCK).map(put).collect();
        count += writes.len();
        ledger.submit(Command { actor: "bootstrap".into(), writes, ..Command::default() }).await?;
        progress(count);
    }
    ledger::run(ledger.db(), &[Ledger::move_cursor(cursor, 0, count as u64)]).await?;
    Ok(count)
}

/// The embedded changes, as records without names.
pub fn embedded_changes() -> Result<Vec<Change>> {
    let rows = csv::Reader::from_reader(GzDecoder::new(EMBEDDED_CHANGES)).into_records();
    rows.map(|row| {
        let row = row.map_err(|cause| Error::Broken(Box::new(cause)))?;
        let cell = |i: usize| row.get(i).unwrap_or_default();
        let several = |i: usize| cell(i).split(';').filter(|text| !text.is_empty()).map(str::to_owned).collect();
        let kind = ChangeKind::from_str_name(&format!("CHANGE_KIND_{}", cell(1)));
        Ok(Change {
            effective_on: Some(cell(0).to_owned()),
            kind: Some(kind.ok_or_else(|| Error::broken("an embedded change of no kind"))?.into()),
            from: several(2),
            to: several(3),
            parts: cell(4).split(';').filter_map(|part| part.parse().ok()).collect(),
            ..Change::default()
        })
    })
    .collect()
}

/// Events as the embedded file has them, down to the townships.
#[must_use]
pub fn written_changes(events: &[Event]) -> String {
    let mut text = "effective_on,kind,from,to,parts\n".to_owned();
    let embedded =
        |event: &&Event| event.from.iter().chain(event.to.iter().map(|(code, _)| code)).all(|c| c.len() <= 9);
    for Event { on, kind, from, to } in events.iter().filter(embedded) {
        let kind = kind.as_str_name().trim_start_matches("CHANGE_KIND_");
        let codes: Vec<&str> = to.iter().map(|(code, _)| code.as_str()).collect();
        let parts: Vec<String> = to.iter().filter(|_| to.len() > 1).map(|(_, part)| part.to_string()).collect();
        text += &format!("{on},{kind},{},{},{}\n", from.join(";"), codes.join(";"), parts.join(";"));
    }
    text
}

/// The same id on every node: the day and the first code.
fn id_of_change(change: &Change) -> String {
    let first = change.from.first().or(change.to.first());
    format!("{}-{}", change.effective_on(), first.map(String::as_str).unwrap_or_default())
}

/// The embedded list, as records without names.
pub fn embedded() -> Result<Vec<Division>> {
    let mut divisions = intervals(EMBEDDED).collect::<Result<Vec<_>>>()?;
    same_places(&mut divisions, &embedded_changes()?);
    Ok(divisions)
}

/// Fills in what follows from the codes; a division that was only renamed, re-coded or moved is the place it was.
fn same_places(divisions: &mut [Division], changes: &[Change]) {
    let before = |change: &Change| {
        Some(((change.to.first()?.clone(), change.effective_on.clone()?), change.from.first()?.clone()))
    };
    let before: BTreeMap<(String, String), String> =
        changes.iter().filter(|change| SAME_PLACE.contains(&change.kind())).filter_map(before).collect();
    divisions.sort_by(|a, b| (a.valid_from(), a.code()).cmp(&(b.valid_from(), b.code())));
    let mut ended: HashMap<(String, String), String> = HashMap::new();
    for division in divisions {
        let key = (division.code().to_owned(), division.valid_from().to_owned());
        division.place = before.get(&key).and_then(|from| ended.get(&(from.clone(), key.1)).cloned());
        complete(division);
        if let (Some(valid_to), Some(place)) = (&division.valid_to, &division.place) {
            ended.insert((division.code().to_owned(), valid_to.clone()), place.clone());
        }
    }
}

/// Divisions of a packed list of intervals: code, name, first day, first day no longer; read one after the other.
pub fn intervals(packed: impl Read) -> impl Iterator<Item = Result<Division>> {
    csv::Reader::from_reader(GzDecoder::new(packed)).into_records().map(|row| {
        let row = row.map_err(|cause| Error::Broken(Box::new(cause)))?;
        let cell = |i: usize| row.get(i).filter(|v| !v.is_empty()).map(str::to_owned);
        Ok(Division {
            code: cell(0),
            display_name: cell(1),
            valid_from: cell(2),
            valid_to: cell(3),
            ..Division::default()
        })
    })
}

/// The same id on every node: the code and the day it began.
fn id_of(division: &Division) -> String {
    format!("{}-{}", division.code(), division.valid_from())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_list_counts_ningxia() {
        let official = |day: &str| {
            let valid = |d: &&Division| d.valid_from() <= day && d.valid_to.as_deref().is_none_or(|to| to > day);
            let list = embedded().unwrap();
            list.iter()
                .filter(valid)
                .filter(|d| {
                    d.code().starts_with("64")
                        && d.code().len() == 9
                        && (1..=399).contains(&d.code()[6..].parse().unwrap_or(0))
                })
                .count()
        };
        assert_eq!((official("2021-10-31"), official("2022-10-31")), (242, 243));
    }
}
