//! Deciding: proposals become commands or refusals, and the database is asked once for all of them. A noun's rules are pure; what
//! they rely on is declared in the command and checked again under the ledger's lock.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use qianshou_proto::{Resource as _, common::v1::EndReason};

use super::{
    Bond, Index, Limit, Noun, Staff, Verbs,
    check::{self, Around, Check, Lookup, Neighbour, Place},
    others::{of_another_area, others_counts},
    read_etag, shared_text,
    verbs::ELSEWHERE,
};
use crate::{
    error::{Error, Reason, Refusal, Result, Violation},
    id::{Area, Name},
    identity::Caller,
    ledger::{Command, Content, Read, Stored, Version, Write, claim_key},
    mask, person,
};

/// What is asked for one record.
#[derive(Clone)]
pub(super) enum Wish {
    /// A new one.
    Create,
    /// This one as given, or only the fields of these numbers.
    Update(Name, Option<Vec<u32>>),
    /// By its name or its natural key, whether it exists or not; of one that exists only the fields of these numbers.
    Put(Option<Vec<u32>>),
}

pub(super) struct Proposal<N: Noun> {
    pub(super) noun: N::Record,
    pub(super) wish: Wish,
}

/// A proposal on its way to a command.
struct Draft<N: Noun> {
    noun: N::Record,
    wish: Wish,
    expected: Option<Version>,
    secret: Option<String>,
    blind: Option<String>,
    current: Option<Stored>,
    violations: Vec<Violation>,
    index: Index,
    /// What its rules looked at beside what it refers to.
    looked: BTreeMap<Name, Version>,
    /// The field that changes only while no other record refers to it.
    frozen: Option<&'static str>,
    /// Records it refers to anew that are not there for a limited caller.
    hidden: BTreeSet<String>,
}

impl<N: Noun> Draft<N> {
    /// The index of the record as it stands.
    fn stood(&self) -> Option<Index> {
        let payload = self.current.as_ref()?.payload()?.clone();
        N::Record::decode(payload).ok().map(|noun| N::index(&noun, None))
    }

    /// Whether the record as it stands refers to another: to one that was erased since it may go on to.
    fn referred_to(&self, target: &str) -> bool {
        self.stood().unwrap_or_default().links.iter().any(|link| link.target == target)
    }

    /// The record as it stands, for rules to look at.
    fn standing(&self) -> Option<Neighbour> {
        let stored = self.current.as_ref()?;
        Some(Neighbour { saved: Some((stored.name.clone(), stored.version)), payload: stored.payload()?.clone() })
    }

    /// Who comes later in the batch finds it as it will be.
    fn join(&self, around: &mut Around) {
        let saved = self.standing().and_then(|standing| standing.saved);
        around.values_mut().for_each(|found| found.retain(|n| n.saved.is_none() || n.saved != saved));
        let Index { area, title, .. } = &self.index;
        for (column, value) in [("area", area), ("title", title)] {
            let place = value.clone().map(|value| (N::COLLECTION.to_owned(), column, value));
            if let Some(found) = place.and_then(|place| around.get_mut(&place)) {
                found.push(Neighbour { saved: saved.clone(), payload: self.noun.encode_to_vec().into() });
            }
        }
    }
}

pub(super) enum Decided<N: Noun> {
    Write { command: Box<Command>, name: Name, noun: N::Record, new: bool },
    Stands { stored: Box<Stored>, noun: N::Record },
    Refused(Refusal),
}

impl Verbs {
    /// Turns proposals into commands or refusals, asking the database once for all of them.
    pub(super) async fn decide<N: Noun>(
        &self,
        caller: &Caller,
        proposals: Vec<Proposal<N>>,
    ) -> Result<Vec<Decided<N>>> {
        let limit = self.limit(caller).await?;
        let limit = limit.as_ref();
        let mut drafts = proposals.into_iter().map(|p| self.draft(p)).collect::<Vec<_>>();
        self.find_named(limit, &mut drafts).await?;
        self.check(caller, limit, &mut drafts).await?;
        self.find_by_key(limit, &mut drafts).await?;
        let referred = self.settle(limit, &mut drafts).await?;
        self.freeze(caller, &mut drafts).await?;
        let touched = self.touched(&drafts, &referred).await?;
        // What is for the whole of a node's area needs no list of its parts; the nation's code is in none.
        let listed = |area: &String| area != self.ledger.node();
        let places: BTreeSet<String> = drafts.iter().filter_map(|d| d.index.area.clone().filter(listed)).collect();
        let unknown = if N::HOME.is_some() {
            BTreeSet::new()
        } else {
            self.areas.unknown(&places.into_iter().collect::<Vec<_>>()).await?
        };
        drafts.into_iter().map(|draft| self.conclude(caller, limit, draft, &referred, &touched, &unknown)).collect()
    }

    fn draft<N: Noun>(&self, proposal: Proposal<N>) -> Draft<N> {
        let Proposal { mut noun, mut wish } = proposal;
        let mut violations = vec![];
        let mut refuse = |error: Error| {
            if let Error::Refused(refusal) = error {
                violations.extend(refusal.0);
            }
        };
        let name = noun.name_mut().take();
        let etag = noun.etag_mut().take();
        let expected = etag.filter(|e| !e.is_empty()).and_then(|etag| read_etag(&etag).map_err(&mut refuse).ok());
        if let (Wish::Put(fields), Some(name)) = (&wish, name.as_deref().filter(|n| !n.is_empty())) {
            match self.own_name::<N>(Some(name)) {
                Ok(name) => wish = Wish::Update(name, fields.clone()),
                Err(error) => refuse(error),
            }
        }
        if N::HOME.is_some_and(|home| home != self.ledger.node()) {
            refuse(Error::refused("name", Reason::NotHome, N::HOME.unwrap_or_default()));
        }
        Draft {
            noun,
            wish,
            expected,
            secret: None,
            blind: None,
            current: None,
            violations,
            index: Index::default(),
            looked: BTreeMap::new(),
            frozen: None,
            hidden: BTreeSet::new(),
        }
    }

    /// Finds the records that are named, and lays the named fields over them.
    async fn find_named<N: Noun>(&self, limit: Option<&Limit>, drafts: &mut [Draft<N>]) -> Result<()> {
        let names: Vec<String> = drafts
            .iter()
            .filter_map(|d| if let Wish::Update(name, _) = &d.wish { Some(name.to_string()) } else { None })
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let found = self.ledger.find(&names).await?;
        for draft in drafts {
            let Wish::Update(name, fields) = &draft.wish else { continue };
            let found = found.get(name.as_str()).filter(|stored| self.sees(limit, stored));
            let Some((stored, payload)) = found.and_then(|s| Some((s, s.payload()?))) else {
                draft.violations.push(Violation::new("name", Reason::NotFound, name));
                continue;
            };
            if draft.expected.is_some_and(|expected| expected != stored.version) {
                draft.violations.push(Violation::new("etag", Reason::StaleVersion, stored.version.etag()));
            }
            if let Some(fields) = fields {
                draft.noun = laid::<N>(payload, &draft.noun, fields)?;
            }
            draft.current = Some(stored.clone());
        }
        Ok(())
    }

    pub(super) fn fresh_check(&self) -> Check {
        Check::new(self.ledger.clock().today(), self.ledger.node(), self.text_max_chars)
    }

    /// Brings every noun into its one form; those that refer to others by key are checked again once these are known.
    async fn check<N: Noun>(&self, caller: &Caller, limit: Option<&Limit>, drafts: &mut [Draft<N>]) -> Result<()> {
        let mut checks = vec![];
        for draft in drafts.iter_mut() {
            let mut check = self.fresh_check();
            in_form::<N>(&mut draft.noun, &mut check);
            checks.push(check);
        }
        let lookups: BTreeSet<String> = checks.iter().flat_map(|check| check.lookups.iter().cloned()).collect();
        let mut known = self.look_up(&lookups).await?;
        let mut in_counties = self.look_up_in_counties(caller, &lookups).await?;
        if let Some(limit) = limit {
            let counted = in_counties.values().flatten().map(|(name, _)| name);
            let names: BTreeSet<String> = known.values().chain(counted).map(Name::to_string).collect();
            let seen = self.nameable(limit, names).await?;
            known.retain(|_, name| seen.contains(name.as_str()));
            in_counties.values_mut().for_each(|found| found.retain(|(name, _)| seen.contains(name.as_str())));
            in_counties.retain(|_, found| !found.is_empty());
        }
        let numbers = lookups.iter().filter(|text| self.is_number(text));
        let missed = numbers.filter(|text| !in_counties.contains_key(*text)).count();
        self.misses.count(&caller.actor, missed, self.ledger.clock().now_ms())?;
        for (draft, mut check) in drafts.iter_mut().zip(checks) {
            if !check.lookups.is_empty() {
                let county =
                    N::index(&draft.noun, None).area.as_deref().and_then(Area::parse).map(|area| area.county());
                let (here, several) = led(&check.lookups, county.as_ref(), &known, &in_counties);
                check = self.fresh_check().knowing(here, several);
                in_form::<N>(&mut draft.noun, &mut check);
            }
            self.checked(draft, check.violations);
        }
        Ok(())
    }

    /// The records that are referred to by a key of the whole node, as far as this node has them, one for each key.
    pub(super) async fn look_up(&self, lookups: &BTreeSet<String>) -> Result<BTreeMap<String, Name>> {
        let mut keys = BTreeMap::new();
        let mut names = BTreeMap::new();
        for text in lookups {
            if let Some(claim) = text.strip_prefix(check::CLAIM) {
                keys.insert(text.clone(), claim.to_owned());
                continue;
            }
            if let Some(shared) = text.strip_prefix(check::SHARED) {
                names.extend(self.sharing(shared).await?.map(|name| (text.clone(), name)));
                continue;
            }
            let Some(lookup) = Lookup::parse(text) else { continue };
            let Some(kind) = self.ledger.kinds().get(lookup.kind).filter(|kind| kind.county_key.is_none()) else {
                continue;
            };
            match (&lookup.place, kind.key) {
                (Some(place), _) => {
                    if let Some(name) = self.titled(kind.table, place, lookup.key).await? {
                        names.insert(text.clone(), name);
                    }
                }
                (None, Some(field)) => {
                    let value = lookup.key.to_ascii_uppercase();
                    keys.insert(text.clone(), claim_key(self.ledger.node(), kind.collection, field, &value));
                }
                (None, None) => {}
            }
        }
        let holders = self.ledger.claimed(&keys.values().cloned().collect::<Vec<_>>()).await?;
        names.extend(keys.into_iter().filter_map(|(text, key)| Some((text, holders.get(&key)?.clone()))));
        Ok(names)
    }

    /// The records inside the caller's area that are referred to by a key of their county, with these counties. What lies elsewhere is
    /// not found, whether it exists or not.
    pub(super) async fn look_up_in_counties(
        &self,
        caller: &Caller,
        lookups: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<(Name, Area)>>> {
        let mut sought: BTreeMap<(&str, &str), BTreeMap<String, Vec<&String>>> = BTreeMap::new();
        for text in lookups {
            let Some(lookup) = Lookup::parse(text).filter(|lookup| lookup.place.is_none()) else { continue };
            let Some(kind) = self.ledger.kinds().get(lookup.kind) else { continue };
            let Some(column) = kind.county_key else { continue };
            let code = lookup.key.to_ascii_uppercase();
            if kind.person.is_some() {
                crate::audit::count_lookups(1);
            }
            let key = if kind.person.is_some() { self.secrets.blind.index(kind.collection, &code) } else { code };
            sought.entry((kind.table, column)).or_default().entry(key).or_default().push(text);
        }
        let mut found: BTreeMap<String, Vec<(Name, Area)>> = BTreeMap::new();
        for ((table, column), keys) in sought {
            let sql = format!("SELECT {column}, name, area FROM {table} WHERE {column} IN ({{1}}) ORDER BY name");
            let all: Vec<&str> = keys.keys().map(String::as_str).collect();
            for row in self.ledger.db().fetch(sql, crate::binds![&all[..]]).await? {
                let name = row.text(1)?.parse().map_err(|_| Error::broken("an index holds what is no name"))?;
                let Some(area) = Area::parse(&row.text(2)?).filter(|area| caller.covers(area.as_str())) else {
                    continue;
                };
                for text in keys.get(&row.text(0)?).into_iter().flatten() {
                    found.entry((*text).clone()).or_default().push((Name::clone(&name), area.county()));
                }
            }
        }
        Ok(found)
    }

    /// Where the records lie whose figures the drafts change, by their names.
    async fn touched<N: Noun>(
        &self,
        drafts: &[Draft<N>],
        referred: &BTreeMap<String, Stored>,
    ) -> Result<BTreeMap<String, String>> {
        if N::TOUCHES.is_empty() {
            return Ok(BTreeMap::new());
        }
        let targets = |draft: &Draft<N>| {
            let both = [Some(draft.index.clone()), draft.stood()];
            both.into_iter().flatten().flat_map(|index| touching::<N>(&index)).collect::<Vec<_>>()
        };
        let targets: BTreeSet<String> = drafts.iter().flat_map(targets).map(|(_, target)| target).collect();
        let others: Vec<String> = targets.iter().filter(|name| !referred.contains_key(*name)).cloned().collect();
        let others = self.ledger.find(&others).await?;
        let area = |name: &String| self.area_of(referred.get(name).or_else(|| others.get(name))?);
        Ok(targets.iter().filter_map(|name| Some((name.clone(), area(name)?))).collect())
    }

    /// The area of a record as it stands.
    pub(super) fn area_of(&self, stored: &Stored) -> Option<String> {
        let kind = self.ledger.kinds().get(stored.name.kind())?;
        kind.index(stored.payload()?, None).ok()?.area
    }

    /// Whether a record is referred to by the number of a person.
    pub(super) fn is_number(&self, text: &str) -> bool {
        let kind = Lookup::parse(text).filter(|lookup| lookup.place.is_none());
        kind.and_then(|lookup| self.ledger.kinds().get(lookup.kind)).is_some_and(|kind| kind.person.is_some())
    }

    /// Those of the records that lie in the caller's area. It asks the database the same for one that is not there.
    pub(super) async fn in_area(&self, caller: &Caller, found: &[Option<Name>]) -> Result<BTreeSet<String>> {
        let limit = self.limit(caller).await?;
        let asked = |name: &Option<Name>| name.as_ref().map_or_else(|| "-".to_owned(), Name::to_string);
        let stored = self.ledger.find(&found.iter().map(asked).collect::<Vec<_>>()).await?;
        let mut seen = BTreeSet::new();
        for (name, stored) in stored {
            let Some(payload) = stored.payload() else { continue };
            let area = self.ledger.kinds().known(stored.name.kind())?.index(payload, None)?.area;
            let inside = caller.covers_all() || caller.covers(area.as_deref().unwrap_or_default());
            if inside && self.sees(limit.as_ref(), &stored) {
                seen.insert(name);
            }
        }
        Ok(seen)
    }

    /// The first live record of this node that shares a text, as `KIND/FIELD/TEXT`.
    async fn sharing(&self, shared: &str) -> Result<Option<Name>> {
        let parts: Vec<&str> = shared.splitn(3, '/').collect();
        let [kind, field, text] = parts[..] else { return Ok(None) };
        let found = self.ledger.newest_sharing(kind, field, &[shared_text(text)]).await?;
        let own = found.into_iter().filter(|stored| stored.payload().is_some()).map(|stored| stored.name);
        Ok(own.filter(|name| name.home() == self.ledger.node()).min())
    }

    /// The one record with this title at or below a place; `None` where there are several.
    async fn titled(&self, table: &str, place: &Area, title: &str) -> Result<Option<Name>> {
        let sql =
            format!("SELECT name FROM {table} WHERE title = $1 AND area >= $2 AND area < $3 ORDER BY name LIMIT 2");
        let after = place.after().unwrap_or_else(|| ":".to_owned());
        let rows = self.ledger.db().fetch(sql, crate::binds![title, place.as_str(), after]).await?;
        let [row] = &rows[..] else { return Ok(None) };
        row.text(0)?.parse().map(Some).map_err(|_| Error::broken("an index holds what is no name"))
    }

    fn checked<N: Noun>(&self, draft: &mut Draft<N>, mut found: Vec<Violation>) {
        let known = draft.current.as_ref().and_then(Stored::sealed);
        draft.secret = N::take_secret(&mut draft.noun);
        match (&draft.secret, known) {
            (Some(secret), _) => draft.blind = Some(self.secrets.blind.index(N::COLLECTION, secret)),
            // A record that is known keeps its number; the number is asked for only when there is none.
            (None, Some(sealed)) => {
                draft.blind = person::blind_of(sealed);
                found.retain(|v| !(v.field == "id_number" && v.reason == Reason::Required));
            }
            (None, None) => {}
        }
        draft.violations.extend(found);
        draft.index = N::index(&draft.noun, draft.blind.as_deref());
    }

    /// Finds the records that are put by their natural key.
    async fn find_by_key<N: Noun>(&self, limit: Option<&Limit>, drafts: &mut [Draft<N>]) -> Result<()> {
        let key = |draft: &Draft<N>| match (&draft.wish, draft.index.claims.first()) {
            (Wish::Put(_), Some(claim)) if draft.violations.is_empty() => {
                Some(claim_key(self.ledger.node(), N::COLLECTION, claim.field, &claim.value))
            }
            _ => None,
        };
        let keys: Vec<String> = drafts.iter().filter_map(key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let holders = self.ledger.claimed(&keys).await?;
        let names: Vec<String> = holders.values().map(Name::to_string).collect();
        let found = self.ledger.find(&names).await?;
        for draft in drafts {
            let holder = key(draft).and_then(|key| holders.get(&key).cloned());
            let holder = holder.and_then(|holder| found.get(holder.as_str()));
            if holder.is_some_and(|holder| !self.sees(limit, holder)) {
                // Where new records are refused anyway, not even that.
                let field = draft.index.claims.first().map(|claim| claim.field).filter(|_| N::STAFF == Staff::Keeps);
                let taken = field.map(|field| Violation::new(field, Reason::Duplicate, ELSEWHERE));
                draft.violations.extend(taken);
                continue;
            }
            draft.current = draft.current.take().or_else(|| holder.cloned());
            if let (Wish::Put(Some(fields)), Some(payload)) =
                (&draft.wish, draft.current.as_ref().and_then(Stored::payload))
            {
                // What the fields say has to go with what stands there.
                draft.noun = laid::<N>(payload, &draft.noun, fields)?;
                let mut check = self.fresh_check();
                in_form::<N>(&mut draft.noun, &mut check);
                self.checked(draft, check.violations);
            }
        }
        Ok(())
    }

    /// Finds what the records refer to and fills what follows from it; those whose rules look at records beside them are settled
    /// again once these are known.
    async fn settle<N: Noun>(
        &self,
        limit: Option<&Limit>,
        drafts: &mut [Draft<N>],
    ) -> Result<BTreeMap<String, Stored>> {
        let targets: BTreeSet<String> =
            drafts.iter().flat_map(|d| d.index.links.iter().map(|l| l.target.clone())).collect();
        let mut referred = self.ledger.find(&targets.into_iter().collect::<Vec<_>>()).await?;
        self.as_they_were(drafts, &mut referred).await?;
        for draft in drafts.iter_mut().filter(|_| limit.is_some()) {
            let stood = draft.stood().unwrap_or_default().links;
            let anew = draft.index.links.iter().filter(|link| stood.iter().all(|old| old.target != link.target));
            let not_there = |target: &&String| {
                limit.zip(referred.get(*target)).is_some_and(|(limit, stored)| !self.may_name(limit, stored))
            };
            draft.hidden = anew.map(|link| &link.target).filter(not_there).cloned().collect();
        }
        let mut around = Around::new();
        let mut open: Vec<usize> = (0..drafts.len()).filter(|i| drafts[*i].violations.is_empty()).collect();
        loop {
            let mut unknown = BTreeSet::new();
            open.retain(|i| {
                let missing = self.settle_one(&mut drafts[*i], &referred, &mut around);
                let again = !missing.is_empty();
                unknown.extend(missing);
                again
            });
            if open.is_empty() {
                break;
            }
            around.extend(self.look_around(unknown).await?);
        }
        Ok(referred)
    }

    /// Settles one record; answers the places that its rules look at and nobody has looked up.
    fn settle_one<N: Noun>(
        &self,
        draft: &mut Draft<N>,
        referred: &BTreeMap<String, Stored>,
        around: &mut Around,
    ) -> BTreeSet<Place> {
        let mut check = self.fresh_check();
        check.stood = draft.standing();
        check.around = std::mem::take(around);
        let hidden = &draft.hidden;
        let there = |name: &str| referred.get(name).filter(|_| !hidden.contains(name));
        let payload = |name: &str| -> Option<Bytes> { there(name)?.payload().cloned() };
        N::settle(&mut draft.noun, &payload, &mut check);
        *around = std::mem::take(&mut check.around);
        if !check.unknown.is_empty() {
            return check.unknown;
        }
        draft.looked = check.looked.into_iter().collect();
        draft.frozen = check.frozen;
        draft.violations = check.violations;
        draft.index = N::index(&draft.noun, draft.blind.as_deref());
        let ours = (N::COLLECTION.to_owned(), "", String::new());
        let is_sought = around.range(ours..).next().is_some_and(|((kind, ..), _)| kind == N::COLLECTION);
        if draft.violations.is_empty() && is_sought {
            draft.join(around);
        }
        BTreeSet::new()
    }

    /// The records at these places, own and received.
    async fn look_around(&self, places: BTreeSet<Place>) -> Result<Around> {
        let mut around: Around = places.into_iter().map(|place| (place, vec![])).collect();
        let mut sought: BTreeMap<(String, &'static str), Vec<String>> = BTreeMap::new();
        for (kind, column, value) in around.keys() {
            sought.entry((kind.clone(), column)).or_default().push(value.clone());
        }
        for ((kind, column), values) in sought {
            let table = self.ledger.kinds().known(&kind)?.table;
            let sql = match column {
                "title" => format!("SELECT title, position FROM {table} WHERE title IN ({{1}}) ORDER BY name"),
                _ => format!("SELECT area, position FROM {table} WHERE area IN ({{1}}) ORDER BY name"),
            };
            let rows = self.ledger.db().fetch(sql, crate::binds![&values]).await?;
            let rows = rows.iter().map(|row| Ok((row.text(0)?, row.count(1)?))).collect::<Result<Vec<_>>>()?;
            let positions: Vec<u64> = rows.iter().map(|(_, position)| *position).collect();
            let entries = self.ledger.entries_at(&positions).await?;
            let entries: BTreeMap<u64, Stored> = entries.into_iter().map(|entry| (entry.position, entry)).collect();
            for (value, position) in rows {
                let found = entries.get(&position).and_then(|entry| Some((entry, entry.payload()?.clone())));
                let neighbour = found
                    .map(|(entry, payload)| Neighbour { saved: Some((entry.name.clone(), entry.version)), payload });
                around.entry((kind.clone(), column, value)).or_default().extend(neighbour);
            }
        }
        Ok(around)
    }

    /// Refuses a change of what others rest on.
    async fn freeze<N: Noun>(&self, caller: &Caller, drafts: &mut [Draft<N>]) -> Result<()> {
        let name = |draft: &Draft<N>| draft.frozen.and(draft.current.as_ref()).map(|current| current.name.to_string());
        let names: Vec<String> = drafts.iter().filter_map(name).collect();
        let used: BTreeSet<String> = self.ledger.referred_to(&names).await?;
        for draft in drafts {
            let Some(current) = &draft.current else { continue };
            if let Some(field) = draft.frozen.filter(|_| used.contains(current.name.as_str())) {
                let referring = self.referring(caller, &current.name).await?;
                draft.violations.push(Violation::new(field, Reason::StillReferenced, referring));
            }
        }
        Ok(())
    }

    /// A record that refers to one that has ended, but was no mistake, still does: it is found as it was last.
    async fn as_they_were<N: Noun>(&self, drafts: &[Draft<N>], referred: &mut BTreeMap<String, Stored>) -> Result<()> {
        if referred.values().all(|stored| stored.payload().is_some()) {
            return Ok(());
        }
        let before = |draft: &Draft<N>| draft.stood().unwrap_or_default().links.into_iter().map(|link| link.target);
        let stood: BTreeSet<String> = drafts.iter().filter(|d| d.current.is_some()).flat_map(before).collect();
        let ended = |stored: &Stored| match &stored.content {
            Content::End(end) if end.reason != i32::from(EndReason::Deleted) => stored.previous,
            _ => None,
        };
        let previous: Vec<u64> = stood.iter().filter_map(|name| ended(referred.get(name)?)).collect();
        for last in self.ledger.entries_at(&previous).await? {
            referred.insert(last.name.to_string(), last);
        }
        Ok(())
    }

    fn conclude<N: Noun>(
        &self,
        caller: &Caller,
        limit: Option<&Limit>,
        mut draft: Draft<N>,
        referred: &BTreeMap<String, Stored>,
        touched: &BTreeMap<String, String>,
        unknown: &BTreeSet<String>,
    ) -> Result<Decided<N>> {
        // A key that was not found, or is none, has been told already, and is not repeated.
        for link in &draft.index.links {
            let Ok(target) = link.target.parse::<Name>() else { continue };
            let node = self.ledger.node();
            if draft.current.as_ref().is_some_and(|current| current.name == target) {
                let detail = "another record | 另一条记录";
                draft.violations.push(Violation::new(link.field, Reason::Malformed, detail));
            } else if link.bond == Bond::Elsewhere && target.home() == node {
                draft.violations.push(Violation::new(link.field, Reason::Malformed, "nodes/OTHER_NODE/…"));
            } else if link.is_firm(node)
                && (draft.hidden.contains(&link.target)
                    || (referred.get(&link.target).and_then(Stored::payload).is_none()
                        && !(referred.get(&link.target).is_some_and(Stored::is_erased)
                            && draft.referred_to(&link.target))))
            {
                draft.violations.push(Violation::new(link.field, Reason::ReferenceNotFound, &link.target));
            }
        }
        let area = draft.index.area.as_deref().unwrap_or_default();
        if unknown.contains(area) {
            draft.violations.push(Violation::new("division", Reason::NotInList, area));
        }
        if draft.violations.is_empty() {
            // Who may write it must hold both where the record was and where it goes.
            let before =
                draft.current.as_ref().and_then(Stored::payload).map(|p| N::Record::decode(p.clone())).transpose()?;
            let mut check = self.fresh_check();
            N::admit(&draft.noun, before.as_ref(), caller, &mut check);
            draft.violations.extend(check.violations);
            if limit.is_some() {
                draft.violations.extend(super::limit::judged::<N>(before.as_ref(), &draft.noun));
            }
            draft.violations.extend(limit.and_then(|limit| limit_of(limit, &draft)));
            let both = [Some(&draft.noun), before.as_ref()];
            draft.violations.extend(others_counts::<N>(caller, both, self.ledger.node()));
            let before = before.and_then(|noun| N::index(&noun, None).area);
            for area in [Some(area), before.as_deref()].into_iter().flatten() {
                // Told once, so that it is not heard whether there was a record before.
                if let Err(refusal) = caller.may_write("division", area, self.ledger.node()) {
                    draft.violations.extend(
                        refusal.0.into_iter().filter(|new| !draft.violations.contains(new)).collect::<Vec<_>>(),
                    );
                }
            }
            let stood = draft.stood().unwrap_or_default();
            draft.violations.extend(others_figures::<N>(caller, [&draft.index, &stood], touched));
        }
        if !draft.violations.is_empty() {
            return Ok(Decided::Refused(Refusal(draft.violations)));
        }
        let payload = Bytes::from(draft.noun.encode_to_vec());
        if payload.len() > self.record_max_bytes {
            let most = self.record_max_bytes;
            let detail = format!("{most} bytes | {most} 字节");
            return Ok(Decided::Refused(Refusal::one(N::COLLECTION, Reason::TooLong, detail)));
        }
        let sealed = draft.current.as_ref().and_then(Stored::sealed);
        if let Some(current) = &draft.current
            && current.payload() == Some(&payload)
            && sealed.and_then(|s| person::blind_of(s)) == draft.blind
        {
            return Ok(Decided::Stands { stored: Box::new(current.clone()), noun: draft.noun });
        }
        let name = match &draft.current {
            Some(current) => current.name.clone(),
            None => Name::of(self.ledger.node(), N::COLLECTION, &self.ids.fresh()),
        };
        let sealed = match (&draft.secret, &draft.blind) {
            (Some(secret), Some(blind)) => Some(self.secrets.seal(secret, blind, name.as_str())?),
            _ => sealed.cloned(),
        };
        let mut reads = vec![Read::Version(name.clone(), draft.current.as_ref().map(|c| c.version))];
        let firm = |index: &Index| firm_names(index, self.ledger.node());
        let stood: BTreeSet<Name> = draft.stood().iter().flat_map(firm).collect();
        reads.extend(firm(&draft.index).into_iter().filter(|name| !stood.contains(name)).map(Read::Live));
        reads.extend(draft.looked.into_iter().map(|(name, version)| Read::Version(name, Some(version))));
        reads.extend(draft.frozen.and(draft.current.as_ref()).map(|current| Read::Unlinked(current.name.clone())));
        if let (Wish::Put(_), None, Some(claim)) = (&draft.wish, &draft.current, draft.index.claims.first()) {
            reads.push(Read::Claim(claim_key(self.ledger.node(), N::COLLECTION, claim.field, &claim.value), None));
        }
        let command = Command {
            actor: caller.actor.clone(),
            reads,
            writes: vec![Write::Own(name.clone(), Content::Put { payload, sealed })],
            ..Command::default()
        };
        Ok(Decided::Write { command: Box::new(command), name, noun: draft.noun, new: draft.current.is_none() })
    }
}

/// What the keys of one record lead to: each to one record, or to several in the caller's area.
pub(super) fn led(
    lookups: &BTreeSet<String>,
    county: Option<&Area>,
    known: &BTreeMap<String, Name>,
    in_counties: &BTreeMap<String, Vec<(Name, Area)>>,
) -> (BTreeMap<String, Name>, BTreeMap<String, Vec<Name>>) {
    let of = |text: &String| Some((text.clone(), known.get(text)?.clone()));
    let mut here: BTreeMap<String, Name> = lookups.iter().filter_map(of).collect();
    let mut several = BTreeMap::new();
    for (text, found) in lookups.iter().filter_map(|text| Some((text, in_counties.get(text)?))) {
        match meant(found, county) {
            Some(name) => drop(here.insert(text.clone(), name.clone())),
            None => drop(several.insert(text.clone(), found.iter().map(|(name, _)| name.clone()).collect())),
        }
    }
    (here, several)
}

/// What speaks against a draft of a limited caller. Whose number a person has is not tried by changing it.
fn limit_of<N: Noun>(limit: &Limit, draft: &Draft<N>) -> Option<Violation> {
    let stood = draft.current.as_ref();
    let number = |current: &Stored| current.sealed().and_then(|sealed| person::blind_of(sealed));
    if stood.is_some_and(|current| N::PERSON.is_some() && number(current) != draft.blind) {
        return Some(Violation::new("id_number", Reason::ReadOnly, ""));
    }
    limit.violation::<N>(stood.map(|current| current.name.as_str()), &draft.index, stood.is_none())
}

/// Which of the records with one key is meant: the only one, or that of this county.
fn meant<'a>(found: &'a [(Name, Area)], county: Option<&Area>) -> Option<&'a Name> {
    if let [(only, _)] = found {
        return Some(only);
    }
    let mut there = found.iter().filter(|(_, at)| Some(at) == county);
    there.next().filter(|_| there.next().is_none()).map(|(name, _)| name)
}

/// The references by which a record changes what is counted of another: field and target.
pub(super) fn touching<N: Noun>(index: &Index) -> Vec<(&'static str, String)> {
    let touches = index.links.iter().filter(|link| N::TOUCHES.contains(&link.field));
    touches.map(|link| (link.field, link.target.clone())).collect()
}

/// Refuses what would change another area's figures: a reference, as it was or will be, to a record outside the caller's area.
pub(super) fn others_figures<N: Noun>(
    caller: &Caller,
    indexes: [&Index; 2],
    touched: &BTreeMap<String, String>,
) -> Vec<Violation> {
    let mut fields: Vec<&str> = vec![];
    for (field, target) in indexes.into_iter().flat_map(touching::<N>) {
        let outside = touched.get(&target).is_some_and(|area| !caller.may_touch(area));
        if outside && !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields.into_iter().map(|field| of_another_area(caller, field)).collect()
}

/// Brings a record into its one form and says what is wrong with it.
pub(super) fn in_form<N: Noun>(noun: &mut N::Record, check: &mut Check) {
    N::FIELDS.iter().for_each(|field| field.check(noun, check));
    N::check(noun, check);
}

/// A stored record with the named fields of another laid over it.
fn laid<N: Noun>(payload: &[u8], over: &N::Record, fields: &[u32]) -> Result<N::Record> {
    let laid = mask::replace(payload, &over.encode_to_vec(), fields);
    Ok(N::Record::decode(&laid.map_err(|_| Error::broken("a stored payload cannot be read"))?[..])?)
}

/// The records that an index refers to and that a node has to have.
fn firm_names(index: &Index, node: &str) -> Vec<Name> {
    index.links.iter().filter(|link| link.is_firm(node)).filter_map(|link| link.target.parse().ok()).collect()
}
