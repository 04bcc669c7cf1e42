//! What the database holds of everything a group touches, with the group's own changes laid over it: commands are decided here, in
//! order, without asking the database again; then everything is written in blocks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use qianshou_proto::common::v1::EndReason;

use super::{
    Answer, Command, Committed, Content, Read, Rejection, Request, Version, Write, chain, claim_key, writer::Prepared,
};
use crate::{
    binds,
    db::{Statement, Tx, Value, as_i64},
    error::{Error, Result},
    id::{Name, Salts},
    kind::{Index, Kind, shared_text},
    telemetry::Trace,
};

#[derive(Clone, Copy)]
struct Record {
    position: u64,
    version: Version,
    ended: bool,
}

pub(super) struct Overlay<'a> {
    node: &'a str,
    now_ms: i64,
    pub(super) contract: i64,
    epoch: u64,
    pub(super) position: u64,
    digest: chain::Hash,
    salts: Salts,
    records: HashMap<String, Record>,
    claims: HashMap<String, String>,
    held: HashMap<String, BTreeSet<String>>,
    /// Who refers to the records that a command wants unreferred to; other targets are not followed.
    linked: HashMap<String, HashSet<String>>,
    requests: HashMap<String, (Vec<u8>, u64, u64)>,
    repeated: HashMap<u64, (Name, Version)>,
    // What has to be written.
    entries: Vec<Vec<Value>>,
    dirty: BTreeMap<String, (Name, Kind, Option<Index>)>,
    /// The texts that records share by what they said last; an end other than a deletion leaves them.
    shared: BTreeMap<String, Vec<(&'static str, String)>>,
    /// What existed before the group, and where.
    existed: HashMap<String, u64>,
    freed: BTreeSet<String>,
    taken: BTreeSet<String>,
    answered: Vec<Vec<Value>>,
}

impl<'a> Overlay<'a> {
    /// Takes the head row and reads everything the group will be checked against, in a few statements.
    pub(super) async fn load(tx: &mut Tx, node: &'a str, now_ms: i64, commands: &[&Prepared]) -> Result<Self> {
        // An UPDATE that changes nothing locks the row on both databases, with one text.
        let lock = "UPDATE head SET position = position WHERE id = 1 RETURNING epoch, position, digest, contract";
        let rows = tx.fetch(lock, vec![]).await?;
        let head = rows.first().ok_or_else(|| Error::broken("the ledger has no head"))?;
        let digest = head.bytes(2)?.try_into().map_err(|_| Error::broken("the ledger's digest has not 32 bytes"))?;
        let mut overlay = Self {
            node,
            now_ms,
            contract: head.int(3)?,
            epoch: head.count(0)?,
            position: head.count(1)?,
            digest,
            salts: Salts::new()?,
            records: HashMap::new(),
            claims: HashMap::new(),
            held: HashMap::new(),
            linked: HashMap::new(),
            requests: HashMap::new(),
            repeated: HashMap::new(),
            entries: vec![],
            dirty: BTreeMap::new(),
            shared: BTreeMap::new(),
            existed: HashMap::new(),
            freed: BTreeSet::new(),
            taken: BTreeSet::new(),
            answered: vec![],
        };
        let mut names = BTreeSet::new();
        let mut keys = BTreeSet::new();
        let mut targets = BTreeSet::new();
        let mut requests = BTreeSet::new();
        for Prepared { command, indexes, .. } in commands {
            requests.extend(command.request.iter().map(|r| r.id.clone()));
            for read in &command.reads {
                match read {
                    Read::Version(name, _) | Read::Live(name) => drop(names.insert(name.to_string())),
                    Read::Claim(key, _) => drop(keys.insert(key.clone())),
                    Read::Unlinked(name) => drop(targets.insert(name.to_string())),
                }
            }
            for (write, index) in command.writes.iter().zip(indexes) {
                names.insert(write.name().to_string());
                keys.extend(keys_of(write.name(), index.as_ref().map(|(_, i)| i)));
            }
        }
        let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
        let (names, keys, targets, requests) = (list(names), list(keys), list(targets), list(requests));

        let held = "SELECT name, position, epoch, revision, ended FROM records WHERE name IN ({1})";
        for row in tx.fetch(held, binds![&names]).await? {
            let version = Version { epoch: row.count(2)?, revision: row.count(3)? };
            overlay.existed.insert(row.text(0)?, row.count(1)?);
            overlay.records.insert(row.text(0)?, Record { position: row.count(1)?, version, ended: row.bool(4)? });
        }
        for row in tx.fetch("SELECT claim, name FROM claims WHERE claim IN ({1})", binds![&keys]).await? {
            overlay.claims.insert(row.text(0)?, row.text(1)?);
        }
        let existing: Vec<String> = names.into_iter().filter(|n| overlay.existed.contains_key(n)).collect();
        for row in tx.fetch("SELECT claim, name FROM claims WHERE name IN ({1})", binds![&existing]).await? {
            overlay.claims.insert(row.text(0)?, row.text(1)?);
            overlay.held.entry(row.text(1)?).or_default().insert(row.text(0)?);
        }
        overlay.linked = targets.iter().map(|target| (target.clone(), HashSet::new())).collect();
        let linked = "SELECT target, source FROM links WHERE target IN ({1}) LIMIT 100000";
        for row in tx.fetch(linked, binds![&targets]).await? {
            overlay.linked.entry(row.text(0)?).or_default().insert(row.text(1)?);
        }
        let answered = "SELECT id, digest, first, last FROM requests WHERE id IN ({1})";
        for row in tx.fetch(answered, binds![&requests]).await? {
            let (first, last) = (row.count(2)?, row.count(3)?);
            overlay.requests.insert(row.text(0)?, (row.bytes(1)?, first, last));
            let again = "SELECT position, name, epoch, revision FROM entries WHERE position BETWEEN $1 AND $2";
            for row in tx.fetch(again, binds![first, last]).await? {
                let version = Version { epoch: row.count(2)?, revision: row.count(3)? };
                overlay.repeated.insert(row.count(0)?, (name_of(&row.text(1)?)?, version));
            }
        }
        Ok(overlay)
    }

    /// Decides one command: all of it is laid over, or nothing.
    pub(super) fn decide(&mut self, prepared: &Prepared) -> Answer {
        let Prepared { command, indexes, .. } = prepared;
        if let Some(request) = &command.request
            && let Some(first) = self.first_answer(request)
        {
            return first;
        }
        for read in &command.reads {
            if !self.holds(read, command) {
                return Err(Rejection::Changed(self.as_it_is(read)));
            }
        }
        let mut brought = HashMap::new();
        for (write, index) in command.writes.iter().zip(indexes).filter(|_| !command.erasing) {
            self.may_write(write, index.as_ref().map(|(_, i)| i), &mut brought)?;
        }
        let first = self.position + 1;
        let mut written = vec![];
        for (place, (write, index)) in command.writes.iter().zip(indexes).enumerate() {
            if let (Some(version), Some((kind, index))) = (self.next_version(write), index) {
                self.lay(write, version, kind, index, (&command.actor, prepared.trace(place)));
                written.push((write.name().clone(), version, self.position));
            }
        }
        if let Some(Request { id, digest }) = &command.request {
            self.requests.insert(id.clone(), (digest.to_vec(), first, self.position));
            for (name, version, position) in &written {
                self.repeated.insert(*position, (name.clone(), *version));
            }
            self.answered.push(binds![id, &digest[..], first, self.position, self.now_ms]);
        }
        Ok(Committed { position: self.position, written, repeated: false })
    }

    fn first_answer(&self, request: &Request) -> Option<Answer> {
        let (digest, first, last) = self.requests.get(&request.id)?;
        if digest[..] != request.digest[..] {
            return Some(Err(Rejection::RequestReused));
        }
        let written = (*first..=*last).filter_map(|p| self.repeated.get(&p).map(|(n, v)| (n.clone(), *v, p))).collect();
        Some(Ok(Committed { position: *last, written, repeated: true }))
    }

    fn live(&self, name: &str) -> Option<&Record> {
        self.records.get(name).filter(|record| !record.ended)
    }

    fn holds(&self, read: &Read, command: &Command) -> bool {
        match read {
            Read::Version(name, version) => self.live(name.as_str()).map(|r| r.version) == *version,
            Read::Live(name) => self.live(name.as_str()).is_some(),
            Read::Claim(key, holder) => self.claims.get(key).map(String::as_str) == holder.as_ref().map(Name::as_str),
            Read::Unlinked(name) => self.linked.get(name.as_str()).is_none_or(|sources| {
                sources.iter().all(|source| {
                    command.writes.iter().any(|w| w.name().as_str() == source && matches!(w.content(), Content::End(_)))
                })
            }),
        }
    }

    /// The read as it would be true now, for the refusal.
    fn as_it_is(&self, read: &Read) -> Read {
        match read {
            Read::Version(name, _) => Read::Version(name.clone(), self.live(name.as_str()).map(|r| r.version)),
            Read::Claim(key, _) => Read::Claim(key.clone(), self.claims.get(key).and_then(|n| n.parse().ok())),
            other => other.clone(),
        }
    }

    /// `brought`: the keys that earlier writes of the command bring, and whose they will be.
    fn may_write(
        &self,
        write: &Write,
        index: Option<&Index>,
        brought: &mut HashMap<String, Name>,
    ) -> Result<(), Rejection> {
        let name = write.name();
        let Write::Own(_, content) = write else { return Ok(()) };
        if name.home() != self.node {
            return Err(Rejection::NotHome(name.clone()));
        }
        if self.records.get(name.as_str()).map_or(matches!(content, Content::End(_)), |r| r.ended) {
            return Err(Rejection::Ended(name.clone()));
        }
        for (key, claim) in keys_of(name, index).zip(index.into_iter().flat_map(|i| &i.claims)) {
            let holder =
                self.claims.get(&key).and_then(|holder| holder.parse().ok()).or_else(|| brought.get(&key).cloned());
            if let Some(holder) = holder.filter(|holder| holder != name) {
                return Err(Rejection::Taken { field: claim.field, holder });
            }
            brought.insert(key, name.clone());
        }
        Ok(())
    }

    /// The version a write gets; `None`: we hold that one or a later.
    fn next_version(&self, write: &Write) -> Option<Version> {
        let held = self.records.get(write.name().as_str()).map(|r| r.version);
        match write {
            Write::Own(..) => {
                Some(Version { epoch: self.epoch, revision: held.map_or(0, |v| v.revision).saturating_add(1) })
            }
            Write::Received(_, version, _) => held.is_none_or(|held| *version > held).then_some(*version),
        }
    }

    fn lay(&mut self, write: &Write, version: Version, kind: &Kind, index: &Index, by: (&str, Option<Trace>)) {
        let name = write.name();
        let key = name.to_string();
        let (actor, trace) = by;
        self.position += 1;
        let previous = self.records.get(&key).map(|r| as_i64(r.position));
        let (ended, ended_on, payload, sealed) = match write.content() {
            Content::Put { payload, sealed } => {
                (None, None, Some(payload.to_vec()), sealed.as_ref().map(|s| s.to_vec()))
            }
            Content::End(end) => (Some(i64::from(end.reason)), Some(end.on.clone()), None, None),
        };
        let place = chain::Place {
            position: self.position,
            name: name.as_str(),
            version,
            previous: previous.and_then(|position| u64::try_from(position).ok()).unwrap_or(0),
            actor,
            written_at_ms: self.now_ms,
        };
        let salt = self.salts.fresh();
        self.digest = chain::link(&self.digest, &place, &chain::content_digest(&salt, write.content()));
        self.entries.push(binds![
            self.position,
            name.as_str(),
            name.kind(),
            name.home(),
            version.epoch,
            version.revision,
            ended,
            ended_on,
            previous,
            payload,
            sealed,
            &self.digest[..],
            actor,
            self.now_ms,
            trace.map(|trace| trace.to_string()),
            &salt[..],
        ]);
        self.records.insert(key.clone(), Record { position: self.position, version, ended: ended.is_some() });

        let keys: BTreeSet<String> = keys_of(name, Some(index)).collect();
        for old in self.held.insert(key.clone(), keys.clone()).unwrap_or_default() {
            if !keys.contains(&old) && self.claims.get(&old) == Some(&key) {
                self.claims.remove(&old);
                self.taken.remove(&old);
                self.freed.insert(old);
            }
        }
        for new in keys {
            self.freed.remove(&new);
            if self.claims.insert(new.clone(), key.clone()).as_ref() != Some(&key) {
                self.taken.insert(new);
            }
        }
        for (target, sources) in &mut self.linked {
            if index.links.iter().any(|link| link.target == *target) {
                sources.insert(key.clone());
            } else {
                sources.remove(&key);
            }
        }
        if ended.is_none() || ended == Some(EndReason::Deleted as i64) {
            self.shared.insert(key.clone(), index.shared.clone());
        }
        let index = ended.is_none().then(|| index.clone());
        self.dirty.insert(key, (name.clone(), *kind, index));
    }

    /// Writes what the group changed, in blocks.
    pub(super) async fn save(self, tx: &mut Tx) -> Result<()> {
        const ENTRIES: &str = "entries (position, name, kind, home, epoch, revision, ended, ended_on, previous, payload, \
                               sealed, digest, actor, written_at, trace, salt)";
        if self.entries.is_empty() && self.answered.is_empty() {
            return Ok(());
        }
        let mut statements = vec![Statement::insert(ENTRIES, "", self.entries)];

        let rewritten = self.dirty.keys().filter_map(|key| Some((key.clone(), *self.existed.get(key)?)));
        let (rewritten, replaced): (Vec<String>, Vec<u64>) = rewritten.unzip();
        let mut records = vec![];
        let mut links = vec![];
        let mut tables: BTreeMap<&str, TableRows> = BTreeMap::new();
        for (key, (name, kind, index)) in self.dirty {
            let Record { position, version, ended } = self.records[&key];
            records.push(binds![&key, name.kind(), name.home(), position, version.epoch, version.revision, ended]);
            let table = tables.entry(kind.table).or_insert_with(|| TableRows::of(kind));
            let Some(index) = index else {
                table.gone.push(key);
                continue;
            };
            links.extend(index.links.iter().map(|link| binds![&link.target, &key, link.field]));
            table.put(key, position, index);
        }
        let unshared: Vec<String> = self.shared.keys().filter(|key| self.existed.contains_key(*key)).cloned().collect();
        let shared = self.shared.iter().flat_map(|(key, shared)| {
            let kind = kind_of(key);
            shared.iter().map(move |(field, text)| binds![kind, *field, shared_text(text), key])
        });
        let shared: Vec<_> = shared.collect();
        let upsert = "ON CONFLICT (name) DO UPDATE SET position = excluded.position, epoch = excluded.epoch, \
                      revision = excluded.revision, ended = excluded.ended";
        let freed: Vec<String> = self.freed.into_iter().collect();
        let taken =
            self.taken.into_iter().filter_map(|key| self.claims.get(&key).map(|name| binds![&key, name])).collect();
        let (once, newer) = (
            "ON CONFLICT (target, source, field) DO NOTHING",
            "ON CONFLICT (claim) DO UPDATE SET name = excluded.name",
        );
        statements.extend([
            Statement::insert("records (name, kind, home, position, epoch, revision, ended)", upsert, records),
            Statement::new("DELETE FROM links WHERE source IN ({1})", binds![&rewritten]),
            Statement::insert("links (target, source, field)", once, links),
            Statement::new("DELETE FROM claims WHERE claim IN ({1})", binds![&freed]),
            Statement::insert("claims (claim, name)", newer, taken),
            Statement::new("DELETE FROM shared WHERE name IN ({1})", binds![&unshared]),
            Statement::insert(
                "shared (kind, field, text, name)",
                "ON CONFLICT (kind, field, text, name) DO NOTHING",
                shared,
            ),
        ]);
        statements.push(TableRows::forget_words(&replaced));
        statements.extend(tables.into_values().flat_map(TableRows::statements));
        let head = "UPDATE head SET position = $1, digest = $2 WHERE id = 1";
        statements.extend([
            Statement::insert("requests (id, digest, first, last, answered_at)", "", self.answered),
            Statement::new(head, binds![self.position, &self.digest[..]]),
        ]);
        tx.run_all(statements).await
    }
}

/// What changes in one house's index table, and in the words that its records are found by.
pub(super) struct TableRows {
    kind: Kind,
    rows: Vec<Vec<Value>>,
    words: Vec<(u64, String)>,
    gone: Vec<String>,
}

impl TableRows {
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, rows: vec![], words: vec![], gone: vec![] }
    }

    pub(super) fn put(&mut self, name: String, position: u64, index: Index) {
        let Index { area, state, r#type, title, found, words, columns, .. } = index;
        // What rows are ordered by is never NULL, for a key that is cannot be compared with.
        let [area, state, title] = [area, state, title].map(Option::unwrap_or_default);
        let mut row = binds![name, position, area, state, r#type, title, found];
        row.extend(columns);
        self.rows.push(row);
        if !words.is_empty() {
            self.words.push((position, words));
        }
    }

    /// The words of versions that are no longer the newest go.
    pub(super) fn forget_words(positions: &Vec<u64>) -> Statement {
        Statement::new("DELETE FROM words WHERE rowid IN ({1})", binds![positions])
    }

    pub(super) fn statements(self) -> [Statement; 3] {
        let Kind { table, columns, .. } = self.kind;
        let columns: Vec<&str> =
            ["name", "position", "area", "state", "type", "title", "found"].iter().chain(columns).copied().collect();
        let sets: Vec<String> = columns[1..].iter().map(|c| format!("{c} = excluded.{c}")).collect();
        let upsert = format!("ON CONFLICT (name) DO UPDATE SET {}", sets.join(", "));
        [
            Statement::insert(format!("{table} ({})", columns.join(", ")), upsert, self.rows),
            Statement::words(self.words),
            Statement::new(format!("DELETE FROM {table} WHERE name IN ({{1}})"), binds![&self.gone]),
        ]
    }
}

fn keys_of<'n>(name: &'n Name, index: Option<&'n Index>) -> impl Iterator<Item = String> + 'n {
    let claims = index.into_iter().flat_map(|i| &i.claims);
    claims.map(|claim| claim_key(name.home(), name.kind(), claim.field, &claim.value))
}

/// The kind in a name that the ledger holds.
fn kind_of(name: &str) -> &str {
    name.split('/').nth(2).unwrap_or_default()
}

fn name_of(text: &str) -> Result<Name> {
    text.parse().map_err(|_| Error::broken("the ledger holds a name that is none"))
}
