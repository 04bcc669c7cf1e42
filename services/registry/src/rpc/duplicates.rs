//! Which records may be the same. An area is walked in the order of its divisions, some records at a time; each is compared with those that
//! have its code or its person, and with those of its county or its name. A page costs what it looks at, which has a limit: it may end
//! before it is full, and the next one goes on from there.

use std::collections::BTreeSet;

use prost::Message;
use qianshou_kernel::{
    binds,
    db::{Row, Value},
    error::{Error, Reason, Result},
    id::{Area, Name},
    identity::{Caller, Role},
    kind::{Noun as _, page_key, page_token},
};
use qianshou_proto::registry::v1::{
    Duplicate, DuplicateReason, ListDuplicatesRequest, ListDuplicatesResponse, Merge, Move,
};

use crate::{
    Registry,
    domain::{
        Agencies, Merges, Moves, Workers,
        duplicate::{Compared, Pair, Step, block_bounds},
    },
};

/// Records that are looked at together.
const STEP: usize = 200;
/// Records with which those of a step are compared at most, of one county or by one question.
const MOST: usize = 5_000;
/// Steps of one page at most.
const STEPS: usize = 20;

/// What is walked over.
#[derive(Clone, Copy)]
struct Walk {
    kind: &'static str,
    read: fn(&Row) -> Result<Compared>,
    along: &'static str,
    by_code: &'static str,
    by_block: &'static str,
    same: DuplicateReason,
}

const AGENCIES: Walk = Walk {
    kind: Agencies::COLLECTION,
    read: |row| Ok(Compared::agency(name(row)?, row.text(1)?, title(row)?, row.maybe_text(3)?)),
    along: "SELECT name, area, title, uscc FROM registry_agencies WHERE (area, name) >= ($1, $2) AND area < $3 \
            ORDER BY area, name LIMIT $4",
    by_code: "SELECT name, area, title, uscc FROM registry_agencies WHERE uscc IN ({1}) AND area >= $2 AND area < $3 LIMIT $4",
    by_block: "SELECT name, area, title, uscc FROM registry_agencies WHERE area >= $1 AND area < $2 \
               ORDER BY area, name LIMIT $3",
    same: DuplicateReason::SameCode,
};

const WORKERS: Walk = Walk {
    kind: Workers::COLLECTION,
    read: |row| Ok(Compared::worker(name(row)?, row.text(1)?, title(row)?, row.maybe_text(3)?, row.maybe_text(4)?)),
    along: "SELECT name, area, title, person, namesakes FROM registry_workers \
            WHERE (area, name) >= ($1, $2) AND area < $3 ORDER BY area, name LIMIT $4",
    by_code: "SELECT name, area, title, person, namesakes FROM registry_workers \
              WHERE person IN ({1}) AND area >= $2 AND area < $3 LIMIT $4",
    by_block: "SELECT name, area, title, person, namesakes FROM registry_workers \
               WHERE namesakes IN ({1}) AND area >= $2 AND area < $3 ORDER BY namesakes, name LIMIT $4",
    same: DuplicateReason::SamePerson,
};

fn name(row: &Row) -> Result<Name> {
    row.text(0)?.parse().map_err(|_| Error::broken("an index holds what is no name"))
}

fn title(row: &Row) -> Result<Option<String>> {
    Ok(row.maybe_text(2)?.filter(|title| !title.is_empty()))
}

/// Where a walk is: at a record, behind the other of this name, or behind all that it may be the same as.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    division: String,
    record: String,
    other: Option<String>,
}

type Key = (String, String, Option<String>);

fn is_name(text: &str) -> bool {
    text.parse::<Name>().is_ok()
}

impl Place {
    fn key(&self) -> Key {
        (self.division.clone(), self.record.clone(), self.other.clone())
    }

    /// A place inside the area that is walked: a page token is written by whoever sends it.
    fn of((division, record, other): Key, area: &Area) -> Result<Self> {
        let names = [Some(&*record), other.as_deref()];
        let lies_in = Area::parse(&division).is_some_and(|at| area.covers(at.as_str()));
        let sound = lies_in && names.into_iter().flatten().all(is_name);
        let place = sound.then_some(Self { division, record, other });
        place.ok_or_else(|| Error::refused("page_token", Reason::BadPageToken, ""))
    }

    fn at(pair: &Pair) -> Self {
        Self {
            division: pair.one.division.clone(),
            record: pair.one.record.to_string(),
            other: Some(pair.other.record.to_string()),
        }
    }
}

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
        let walk = match asked.kind.as_deref().unwrap_or_default() {
            Agencies::COLLECTION => AGENCIES,
            Workers::COLLECTION => WORKERS,
            "" => return Err(Error::refused("kind", Reason::Required, "")),
            _ => return Err(Error::refused("kind", Reason::NotInList, "agencies, workers")),
        };
        let size = self.verbs.page_size(asked.page_size)?;
        let question = format!("duplicates {} {}", walk.kind, area.as_str());
        let place = page_key(&question, asked.page_token.as_deref())?.map(|key| Place::of(key, &area)).transpose()?;
        let (pairs, place) = self.page(walk, &area, place, size).await?;
        let told = |pair: &Pair| {
            let [one, other] = pair.by_age();
            Duplicate {
                record: Some(one.record.to_string()),
                other: Some(other.record.to_string()),
                reason: Some(pair.reason.into()),
                display_name: one.title.clone(),
                other_display_name: other.title.clone(),
            }
        };
        let next_page_token = place.map(|place| page_token(&question, &place.key())).transpose()?;
        Ok(ListDuplicatesResponse { duplicates: pairs.iter().map(told).collect(), next_page_token })
    }

    /// A page's pairs, and where the walk goes on.
    async fn page(
        &self,
        walk: Walk,
        area: &Area,
        mut place: Option<Place>,
        size: usize,
    ) -> Result<(Vec<Pair>, Option<Place>)> {
        let mut page: Vec<Pair> = vec![];
        for _ in 0..STEPS {
            let (step, ended) = self.step(walk, area, place.as_ref()).await?;
            let at = step.ones.first().map(|one| one.record.to_string());
            let behind = place.take().filter(|place| Some(&place.record) == at.as_ref()).and_then(|place| place.other);
            // One more than fits tells that there is another page.
            let (step, pairs, reached) = aside(step, behind, size + 1).await?;
            let cut = pairs.last().filter(|_| reached < step.ones.len()).map(Place::at);
            let done = |last: &Compared| Place {
                division: last.division.clone(),
                record: last.record.to_string(),
                other: None,
            };
            let next = cut.or_else(|| step.ones.last().filter(|_| !ended).map(done));
            for pair in self.open(pairs).await? {
                if page.len() == size {
                    return Ok((page.clone(), page.last().map(Place::at)));
                }
                page.push(pair);
            }
            place = next;
            if place.is_none() {
                break;
            }
        }
        Ok((page, place))
    }

    /// The next records, with what they have to be compared with; and whether they are the last.
    async fn step(&self, walk: Walk, area: &Area, place: Option<&Place>) -> Result<(Step, bool)> {
        let (from, until) = match area.as_str() {
            Area::NATION => ("0".to_owned(), "a".to_owned()),
            code => (code.to_owned(), area.after().unwrap_or_else(|| "a".to_owned())),
        };
        let (division, record) = place.map_or((from.as_str(), ""), |place| (&place.division, &place.record));
        let mut ones = self.read(walk, walk.along, binds![division, record, &until, STEP as u64]).await?;
        let ended = ones.len() < STEP;
        if place.is_some_and(|place| place.other.is_none()) {
            ones.retain(|one| one.record.as_str() != record);
        }
        if walk.kind == Workers::COLLECTION {
            self.know_own(&mut ones).await?;
        }
        let codes: BTreeSet<&String> = ones.iter().flat_map(|one| &one.codes).collect();
        let codes: Vec<&str> = codes.into_iter().map(String::as_str).collect();
        let blocks: BTreeSet<&str> = ones.iter().filter_map(|one| one.block.as_deref()).collect();
        let mut others = self.read(walk, walk.by_code, binds![&codes[..], &from, &until, MOST as u64]).await?;
        if walk.kind == Workers::COLLECTION {
            let blocks: Vec<&str> = blocks.into_iter().collect();
            let namesakes = binds![&blocks[..], &from, &until, MOST as u64];
            others.extend(self.read(walk, walk.by_block, namesakes).await?);
        } else {
            for (first, after) in blocks.into_iter().map(block_bounds) {
                // Of a county no more than the area that was asked for.
                let within = binds![first.max(from.clone()), after.min(until.clone()), MOST as u64];
                others.extend(self.read(walk, walk.by_block, within).await?);
            }
        }
        let home = self.verbs.ledger.node().to_owned();
        Ok((Step { ones, others, same: walk.same, home }, ended))
    }

    async fn read(&self, walk: Walk, sql: &'static str, binds: Vec<Value>) -> Result<Vec<Compared>> {
        let rows = self.verbs.ledger.db().fetch(sql, binds).await?;
        rows.iter().map(walk.read).collect()
    }

    /// Under which pseudonyms our own people may be known here: computed from their numbers for the domains whose keys this node holds, and
    /// kept nowhere.
    async fn know_own(&self, workers: &mut [Compared]) -> Result<()> {
        let home = self.verbs.ledger.node();
        let own = workers.iter().filter(|worker| worker.record.home() == home).map(|worker| worker.record.to_string());
        let own: Vec<String> = own.filter(|_| !self.domains.is_empty()).collect();
        let found = self.verbs.ledger.find(&own).await?;
        for worker in workers {
            let sealed = found.get(worker.record.as_str()).and_then(|stored| stored.sealed());
            let number = sealed.and_then(|sealed| self.verbs.secrets.open(sealed, worker.record.as_str()).ok());
            if let Some(number) = number {
                worker.codes = self.domains.iter().map(|domain| domain.pseudonym(&number)).collect();
            }
        }
        Ok(())
    }

    /// Those of which nobody has said yet that they are the same.
    async fn open(&self, mut pairs: Vec<Pair>) -> Result<Vec<Pair>> {
        let names = |pair: &Pair| [pair.one.record.to_string(), pair.other.record.to_string()];
        let linked = self.linked(pairs.iter().flat_map(names).collect()).await?;
        pairs.retain(|pair| {
            let [one, other] = names(pair);
            !linked.contains(&(one.clone(), other.clone())) && !linked.contains(&(other, one))
        });
        Ok(pairs)
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
async fn aside(step: Step, behind: Option<String>, most: usize) -> Result<(Step, Vec<Pair>, usize)> {
    let compared = tokio::task::spawn_blocking(move || {
        let (pairs, reached) = step.pairs(behind.as_deref(), most);
        (step, pairs, reached)
    });
    compared.await.map_err(|cause| Error::Broken(Box::new(cause)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place {
            division: "640104".into(),
            record: "nodes/64/workers/1".into(),
            other: Some("nodes/35/workers/2".into()),
        };
        let done = Place { other: None, ..place.clone() };
        for place in [place, done] {
            let token = page_token("workers 64", &place.key()).unwrap();
            let of = |key, area| Place::of(key, &Area::parse(area).unwrap());
            let read = |question| page_key(question, Some(&token)).and_then(|key| of(key.unwrap(), "6401"));
            assert_eq!(read("workers 64").unwrap(), place);
            assert!(read("workers 6401").is_err());
            assert!(of((place.division.clone(), "nobody".to_owned(), None), "6401").is_err());
            assert!(of(place.key(), "640105").is_err() && of(place.key(), "640104001").is_err());
        }
    }
}
