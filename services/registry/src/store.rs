//! The registry's own questions to its tables: which divisions exist, and the bootstrap of their list.

use std::{collections::BTreeSet, io::Read};

use flate2::read::GzDecoder;
use futures::future::BoxFuture;
use prost::Message;
use qianshou_kernel::{
    binds,
    db::Db,
    error::{Error, Result},
    id::{Area, Name},
    kind::{Areas, Noun},
    ledger::{self, Command, Content, Ledger, Version, Write},
};
use qianshou_proto::registry::v1::Division;

use crate::domain::Divisions;

/// Which divisions the list knows, at any date: facts keep the code they were reported under.
#[derive(Clone)]
pub struct List(pub Db);

const TOWNSHIP_DIGITS: usize = 9;

impl Areas for List {
    fn unknown<'a>(&'a self, codes: &'a [String]) -> BoxFuture<'a, Result<BTreeSet<String>>> {
        Box::pin(async move {
            // The nation is in no list of its parts.
            let mut unknown: BTreeSet<String> = codes.iter().filter(|code| *code != Area::NATION).cloned().collect();
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
}

impl List {
    async fn listed(&self, codes: &[String]) -> Result<Vec<String>> {
        let rows =
            self.0.fetch("SELECT DISTINCT area FROM registry_divisions WHERE area IN ({1})", binds![codes]).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    async fn has_villages(&self, township: &str) -> Result<bool> {
        let sql = "SELECT area FROM registry_divisions WHERE area > $1 AND area <= $2 LIMIT 1";
        Ok(self.0.fetch_one(sql, binds![township, format!("{township}999")]).await?.is_some())
    }
}

/// Eight national snapshots (2016–2023) down to the townships, as validity intervals.
const EMBEDDED: &[u8] = include_bytes!("../data/divisions.csv.gz");
const BOOTSTRAP: &str = "registry.divisions";
/// Below every epoch that a node lives in, so that the nation's own word always supersedes the list.
const BOOTSTRAP_VERSION: Version = Version { epoch: 0, revision: 1 };
const BLOCK: usize = 4_000;

/// Puts the embedded list into the ledger, once: the same records under the same names on every node, home `00`.
/// `areas` limits it to some provinces; empty: all. Answers how many there are.
pub async fn bootstrap(ledger: &Ledger, areas: &[String], mut progress: impl FnMut(usize)) -> Result<usize> {
    let done = ledger.cursor(BOOTSTRAP).await?;
    if done > 0 {
        return Ok(usize::try_from(done).unwrap_or(usize::MAX));
    }
    let divisions: Vec<Division> = embedded()?
        .into_iter()
        .filter(|d| areas.is_empty() || areas.iter().any(|a| d.code().starts_with(a.as_str())))
        .collect();
    for (block, part) in divisions.chunks(BLOCK).enumerate() {
        let writes = part.iter().map(|division| {
            let name = Name::of(Area::NATION, Divisions::COLLECTION, &id_of(division));
            Write::Received(
                name,
                BOOTSTRAP_VERSION,
                Content::Put { payload: division.encode_to_vec().into(), sealed: None },
            )
        });
        let command = Command { actor: "bootstrap".into(), writes: writes.collect(), ..Command::default() };
        ledger.submit(command).await?;
        progress(block * BLOCK + part.len());
    }
    let count = divisions.len();
    ledger::run(ledger.db(), &[Ledger::move_cursor(BOOTSTRAP, 0, count as u64)]).await?;
    Ok(count)
}

/// The embedded list, as records without names.
pub fn embedded() -> Result<Vec<Division>> {
    intervals(EMBEDDED).collect()
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
