//! Which records may be the same.

use std::collections::BTreeSet;

use prost::Message;
use qianshou_kernel::{
    binds,
    error::{Error, Reason, Result},
    id::{Area, Name},
    identity::{Caller, Role},
    kind::Noun as _,
};
use qianshou_proto::registry::v1::{
    Agency, Duplicate, ListDuplicatesRequest, ListDuplicatesResponse, Merge, Move, Worker,
};

use crate::{
    Registry,
    domain::{
        Agencies, Merges, Moves, Workers,
        duplicate::{self, Compared, Pair},
    },
};

/// Records that are compared with each other at most.
const MOST: usize = 20_000;
/// Pairs of a page where none is asked for.
const PAGE: usize = 100;

impl Registry {
    /// Compares the records of an area.
    pub(super) async fn duplicates(
        &self,
        caller: &Caller,
        asked: ListDuplicatesRequest,
    ) -> Result<ListDuplicatesResponse> {
        caller.need(Role::Reader)?;
        let area = asked.area.as_deref().filter(|area| !area.is_empty());
        let area = area.ok_or_else(|| Error::refused("area", Reason::Required, ""))?;
        let area =
            Area::parse(area).ok_or_else(|| Error::refused("area", Reason::Malformed, "2, 4, 6, 9, 12 digits"))?;
        caller.need_area("area", area.as_str())?;
        let (all, pairs) = match asked.kind.as_deref().unwrap_or_default() {
            Agencies::COLLECTION => {
                let all = self.compared(Agencies::TABLE, &area, agency).await?;
                aside(all, duplicate::agencies).await?
            }
            Workers::COLLECTION => {
                let all = self.compared(Workers::TABLE, &area, worker).await?;
                aside(all, duplicate::workers).await?
            }
            "" => return Err(Error::refused("kind", Reason::Required, "")),
            _ => return Err(Error::refused("kind", Reason::NotInList, "agencies, workers")),
        };
        let of = |i: usize| all[i].record.to_string();
        let linked = self.linked(pairs.iter().flat_map(|(a, b, _)| [of(*a), of(*b)]).collect()).await?;
        let mut open = pairs
            .into_iter()
            .filter(|(a, b, _)| !linked.contains(&(of(*a), of(*b))) && !linked.contains(&(of(*b), of(*a))));
        let begin = match asked.page_token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => {
                let last = open.by_ref().position(|(a, b, _)| format!("{} {}", of(a), of(b)) == token);
                last.ok_or_else(|| Error::refused("page_token", Reason::BadPageToken, ""))?;
                open
            }
            None => open,
        };
        let size = match asked.page_size {
            Some(size) if size < 0 => return Err(Error::refused("page_size", Reason::Malformed, "0–1000")),
            Some(size) if size > 0 => self.verbs.list_page_max_records.min(usize::try_from(size).unwrap_or(usize::MAX)),
            _ => PAGE,
        };
        let mut rest = begin.peekable();
        let duplicates: Vec<Duplicate> = rest
            .by_ref()
            .take(size)
            .map(|(a, b, reason)| Duplicate {
                record: Some(of(a)),
                other: Some(of(b)),
                reason: Some(reason.into()),
                display_name: all[a].title.clone(),
                other_display_name: all[b].title.clone(),
            })
            .collect();
        let more = rest.peek().is_some();
        let next = duplicates.last().filter(|_| more).map(|last| format!("{} {}", last.record(), last.other()));
        Ok(ListDuplicatesResponse { duplicates, next_page_token: next })
    }

    /// What is compared of the records of an area.
    async fn compared(
        &self,
        table: &str,
        area: &Area,
        read: fn(Name, &[u8]) -> Result<Compared, prost::DecodeError>,
    ) -> Result<Vec<Compared>> {
        let sql = format!(
            "SELECT t.name FROM {table} t WHERE t.area >= $1 AND t.area < $2 \
             ORDER BY t.area, t.name LIMIT $3"
        );
        let (from, until) = match area.as_str() {
            Area::NATION => ("0".to_owned(), ":".to_owned()),
            code => (code.to_owned(), area.after().unwrap_or_else(|| ":".to_owned())),
        };
        let rows = self.verbs.ledger.db().fetch(sql, binds![from, until, (MOST + 1) as u64]).await?;
        if rows.len() > MOST {
            return Err(Error::refused("area", Reason::TooMany, MOST));
        }
        let names: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_>>()?;
        let mut all = Vec::with_capacity(names.len());
        for names in names.chunks(1_000) {
            for stored in self.verbs.ledger.find(names).await?.into_values() {
                if let Some(payload) = stored.payload() {
                    all.push(read(stored.name.clone(), payload)?);
                }
            }
        }
        Ok(all)
    }

    /// Pairs that are told already to be the same.
    async fn linked(&self, names: BTreeSet<String>) -> Result<BTreeSet<(String, String)>> {
        let names: Vec<String> = names.into_iter().collect();
        // A successor that names its predecessor tells it by itself.
        let mut linked: BTreeSet<(String, String)> = self.verbs.ledger.referring(&names).await?.into_iter().collect();
        let told = |source: &String| {
            source.parse::<Name>().is_ok_and(|name| [Merges::COLLECTION, Moves::COLLECTION].contains(&name.kind()))
        };
        let links: BTreeSet<String> = linked.iter().map(|(_, source)| source).filter(|s| told(s)).cloned().collect();
        for stored in self.verbs.ledger.find(&links.into_iter().collect::<Vec<_>>()).await?.into_values() {
            let Some(payload) = stored.payload().cloned() else { continue };
            let (one, other) = if stored.name.kind() == Merges::COLLECTION {
                let merge = Merge::decode(payload)?;
                (merge.agency.or(merge.worker), merge.surviving_agency.or(merge.surviving_worker))
            } else {
                let moving = Move::decode(payload)?;
                (moving.agency.or(moving.worker), moving.successor)
            };
            linked.extend(one.zip(other));
        }
        Ok(linked)
    }
}

/// Compares beside the threads that answer callers.
async fn aside(all: Vec<Compared>, compare: fn(&[Compared]) -> Vec<Pair>) -> Result<(Vec<Compared>, Vec<Pair>)> {
    let compared = tokio::task::spawn_blocking(move || {
        let pairs = compare(&all);
        (all, pairs)
    });
    compared.await.map_err(|cause| Error::Broken(Box::new(cause)))
}

fn agency(record: Name, payload: &[u8]) -> Result<Compared, prost::DecodeError> {
    let agency = Agency::decode(payload)?;
    Ok(Compared {
        record,
        title: agency.display_name,
        division: agency.division.unwrap_or_default(),
        code: agency.uscc,
        employer: None,
    })
}

fn worker(record: Name, payload: &[u8]) -> Result<Compared, prost::DecodeError> {
    let worker = Worker::decode(payload)?;
    Ok(Compared {
        record,
        title: worker.full_name,
        division: worker.division.unwrap_or_default(),
        code: worker.person,
        employer: worker.employer,
    })
}
