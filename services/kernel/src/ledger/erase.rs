//! Erasing records of one person: the contents, salts and sealed numbers of all their versions go, with index, words, keys and shared
//! texts. The request ids that wrote them stay used, without the digests of what was asked. A chained end with reason ERASED and a row in
//! `erasures` stay, and so does what was counted, as a residue: the record reduced to the fields that are counted by, under a fresh name,
//! ended in the same commit. So no list, feed or peer is told of it, and a recount reads it ([`Ledger::last_said`]).
//!
//! One commit. Records that are erased already are passed over, so an erasure can be replayed after a restore.

use std::collections::{BTreeMap, BTreeSet};

use qianshou_proto::common::v1::EndReason;
use time::Date;

use super::{Command, Content, End, Ledger, Read, Rejection, Request, Stored, Write, chain};
use crate::{
    binds,
    clock::format_day,
    db::Statement,
    error::{Error, Reason, Result},
    id::{Ids, Name, Salts},
    person,
    wire::{Wire, fields, put_bytes},
};

/// What is counted of the records of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Numbers of the fields that are counted by.
    pub fields: BTreeSet<u32>,
    /// Its records say of two others that they are one.
    pub links: bool,
}

/// Why, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// In words.
    pub reason: String,
    /// The clause of the law or agreement that it follows from.
    pub clause: String,
    /// Who ordered it.
    pub by: String,
}

const ERASED: i32 = EndReason::Erased as i32;

/// Whether an end is that of a residue that counts on: it has no day.
pub(super) fn is_residue(end: &End) -> bool {
    end.reason == ERASED && end.on.is_empty()
}

impl Ledger {
    /// Every version of a record, the newest first.
    pub(crate) async fn all_versions(&self, newest: Stored) -> Result<Vec<Stored>> {
        let mut versions = vec![newest];
        while let Some(previous) = versions.last().and_then(|version| version.previous) {
            let found = self.entries_at(&[previous]).await?.pop();
            versions.push(found.ok_or_else(|| Error::broken("a version before this one is missing"))?);
        }
        Ok(versions)
    }

    /// What records said last, also those that were deleted; what was erased says nothing.
    pub(crate) async fn last_puts(&self, mut entries: Vec<Stored>) -> Result<Vec<Stored>> {
        let mut said = vec![];
        while !entries.is_empty() {
            let (puts, ends): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.payload().is_some());
            said.extend(puts);
            entries = self.entries_at(&ends.iter().filter_map(|end| end.previous).collect::<Vec<_>>()).await?;
        }
        Ok(said)
    }

    /// This node's records of whose sealed numbers any was one of these, by their blind indexes.
    pub(crate) async fn with_number(&self, blinds: &[String]) -> Result<BTreeSet<String>> {
        const SQL: &str =
            "SELECT DISTINCT name FROM entries WHERE home = $1 AND sealed IS NOT NULL AND SUBSTR(sealed, 1, 32) = $2";
        let mut names = BTreeSet::new();
        for blind in blinds {
            let bytes = hex::decode(blind).map_err(|_| Error::broken("a blind index is no hex"))?;
            for row in self.db.fetch(SQL, binds![self.node(), bytes]).await? {
                names.insert(row.text(0)?);
            }
        }
        Ok(names)
    }

    /// This node's records of these kinds that have ended, or are of the kinds `also`, and said a name last.
    pub(crate) async fn ended_naming(&self, said: &str, kinds: &[String], also: &[String]) -> Result<BTreeSet<String>> {
        const LOOK: u32 = 1_000;
        const SQL: &str = "SELECT name FROM records WHERE home = $1 AND name > $2 AND kind IN ({3}) AND (ended = TRUE OR kind IN ({4})) \
                           ORDER BY name LIMIT $5";
        let (mut found, mut after) = (BTreeSet::new(), String::new());
        loop {
            let rows = self.db.fetch(SQL, binds![self.node(), &after, kinds, also, LOOK]).await?;
            let names = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>>>()?;
            let newest = self.find(&names).await?.into_values().collect();
            let says = |stored: &Stored| stored.payload().is_some_and(|payload| names_it(payload, said));
            found.extend(self.last_puts(newest).await?.iter().filter(|s| says(s)).map(|s| s.name.to_string()));
            match names.last() {
                Some(last) if names.len() == LOOK as usize => after.clone_from(last),
                _ => return Ok(found),
            }
        }
    }

    /// Whom the persons of erased records are, for those who still have records here: by blind index.
    pub async fn joined(&self, blinds: &[String]) -> Result<BTreeMap<String, String>> {
        let rows = self.db.fetch("SELECT blind, person FROM joined WHERE blind IN ({1})", binds![blinds]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// The blind indexes of records that join these persons.
    pub async fn joining(&self, persons: &[String]) -> Result<Vec<String>> {
        let rows = self.db.fetch("SELECT blind FROM joined WHERE person IN ({1})", binds![persons]).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Which of these records were erased here.
    pub async fn erased_among(&self, names: &[String]) -> Result<Vec<String>> {
        let sql = "SELECT name FROM erasures WHERE name IN ({1}) ORDER BY name";
        self.db.fetch(sql, binds![names]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// How many records were erased here.
    pub async fn erased_count(&self) -> Result<u64> {
        let row = self.db.fetch_one("SELECT CAST(COUNT(*) AS BIGINT) FROM erasures", vec![]).await?;
        row.map_or(Ok(0), |row| row.count(0))
    }

    /// The records that were erased after a position, with that of their ends.
    pub async fn erased_after(&self, position: u64) -> Result<Vec<(String, u64)>> {
        const SQL: &str = "SELECT x.name, r.position FROM erasures x JOIN records r ON r.name = x.name WHERE r.position > $1 \
                           ORDER BY r.position";
        self.db.fetch(SQL, binds![position]).await?.iter().map(|row| Ok((row.text(0)?, row.count(1)?))).collect()
    }

    /// Erases records of one person, all of them this node's. `None`: they were erased before.
    ///
    /// # Errors
    /// STALE_VERSION: one was changed, or came to refer to one, meanwhile.
    pub async fn erase(
        &self,
        ids: &Ids,
        names: &[Name],
        kept: &BTreeMap<String, Kept>,
        cause: &Cause,
        request: Option<Request>,
    ) -> Result<Option<u64>> {
        let texts: Vec<String> = names.iter().map(Name::to_string).collect();
        let open: Vec<Stored> = self.find(&texts).await?.into_values().filter(|stored| !stored.is_erased()).collect();
        if open.is_empty() {
            return Ok(None);
        }
        let today = format_day(self.clock().today());
        let mut command = Command { actor: cause.by.clone(), request, erasing: true, ..Command::default() };
        command.statements = self.purging(&open, cause, &today).await?;
        let (joins, person) = self.person_of(&open).await?;
        command.statements.extend(joins);
        self.leave(&mut command, ids, &open, kept, person).await?;
        let unreferred = self.unreferred(&open).await?;
        command.reads.extend(unreferred.into_iter().map(Read::Unlinked));
        for stored in &open {
            let live = stored.payload().map(|_| stored.version);
            command.reads.push(Read::Version(stored.name.clone(), live));
            let end = End { reason: ERASED, on: today.clone() };
            command.writes.push(Write::Own(stored.name.clone(), Content::End(end)));
        }
        // In nobody's trace: what is left of a person is not told apart by it.
        command.traces = vec![None; command.writes.len()];
        match self.submit(command).await {
            Ok(done) => Ok(Some(done.position)),
            Err(Rejection::Guard(_) | Rejection::Changed(_)) => Err(Error::refused("name", Reason::StaleVersion, "")),
            Err(rejection) => Err(rejection.into()),
        }
    }

    /// Those of the records that only records of the same erasure refer to: it stays so until the commit.
    async fn unreferred(&self, open: &[Stored]) -> Result<Vec<Name>> {
        let names: Vec<String> = open.iter().map(|stored| stored.name.to_string()).collect();
        let going: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let links = self.referring(&names).await?;
        let held: BTreeSet<&str> =
            links.iter().filter(|(_, source)| !going.contains(&**source)).map(|(target, _)| &**target).collect();
        Ok(open.iter().map(|stored| stored.name.clone()).filter(|name| !held.contains(name.as_str())).collect())
    }

    /// What takes the contents out of every version, and out of all that was made from them.
    async fn purging(&self, open: &[Stored], cause: &Cause, today: &str) -> Result<Vec<Statement>> {
        // No request has an empty digest: whatever comes under such an id is refused as another.
        const ANSWERS: &str = "UPDATE requests SET digest = $2 WHERE id IN (SELECT q.id FROM requests q JOIN entries e \
                               ON e.position >= q.first AND e.position <= q.last WHERE e.position IN ({1}))";
        const INTO: &str = "erasures (name, erased_at, erased_by, reason, clause, position)";
        let (now, gone): (i64, Vec<String>) =
            (self.clock().now_ms(), open.iter().map(|stored| stored.name.to_string()).collect());
        let mut statements = vec![];
        let mut purged: Vec<u64> = vec![];
        for stored in open {
            for version in self.all_versions(stored.clone()).await? {
                if version.payload().is_some() {
                    purged.push(version.position);
                    statements.push(self.purge(&version, today).await?);
                }
            }
        }
        let rows =
            open.iter().map(|s| binds![s.name.as_str(), now, &cause.by, &cause.reason, &cause.clause, s.position]);
        statements.extend([
            Statement::insert(INTO, "ON CONFLICT (name) DO NOTHING", rows.collect()),
            Statement::new(ANSWERS, binds![&purged, Vec::<u8>::new()]),
            Statement::new("DELETE FROM shared WHERE name IN ({1})", binds![&gone]),
        ]);
        Ok(statements)
    }

    /// Leaves of a version its place in the chain, and the digest of what it said under a salt that goes.
    async fn purge(&self, version: &Stored, on: &str) -> Result<Statement> {
        const PURGE: &str = "UPDATE entries SET payload = NULL, sealed = NULL, salt = NULL, trace = NULL, content = $2, ended = $3, \
                             ended_on = $4 WHERE position = $1 AND salt IS NOT NULL";
        let sql = "SELECT salt FROM entries WHERE position = $1";
        let row = self.db.fetch_one(sql, binds![version.position]).await?;
        let salt = row.ok_or_else(|| Error::broken("an entry is missing"))?.bytes(0)?;
        let content = chain::content_digest(&salt, &version.content);
        Ok(Statement::expecting(PURGE, binds![version.position, &content[..], ERASED, on], 1))
    }

    /// The fresh id that stands for the person from now on, and what lets those records of the same person join it that stay here: in
    /// another county, by their blind indexes. Where all are gone, no blind index is left.
    async fn person_of(&self, open: &[Stored]) -> Result<(Vec<Statement>, Vec<u8>)> {
        let going: BTreeSet<&str> = open.iter().map(|stored| stored.name.as_str()).collect();
        let said = self.last_puts(open.to_vec()).await?;
        let blinds: BTreeSet<String> =
            said.iter().filter_map(Stored::sealed).filter_map(|sealed| person::blind_of(sealed)).collect();
        let blinds: Vec<String> = blinds.into_iter().collect();
        let known = self.joined(&blinds).await?.into_values().next();
        let person = match known {
            Some(person) => hex::decode(person).map_err(|_| Error::broken("a person's id is no hex"))?,
            None => {
                let mut salts = Salts::new()?;
                [salts.fresh(), salts.fresh()].concat()
            }
        };
        let (mut stay, mut go) = (vec![], vec![]);
        for blind in blinds {
            let others = self.with_number(std::slice::from_ref(&blind)).await?;
            if others.iter().any(|name| !going.contains(name.as_str())) {
                stay.push(binds![blind, hex::encode(&person)]);
            } else {
                go.push(blind);
            }
        }
        let newer = "ON CONFLICT (blind) DO UPDATE SET person = excluded.person";
        let statements = vec![
            Statement::new("DELETE FROM joined WHERE blind IN ({1})", binds![&go]),
            Statement::insert("joined (blind, person)", newer, stay),
        ];
        Ok((statements, person))
    }

    /// Adds the residues of records that contribute to figures, in the order of the names, so that whichever of several counted still does.
    async fn leave(
        &self,
        command: &mut Command,
        ids: &Ids,
        open: &[Stored],
        kept: &BTreeMap<String, Kept>,
        person: Vec<u8>,
    ) -> Result<()> {
        let mut said = self.last_said(open.to_vec()).await?;
        said.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let mut fresh: Vec<String> = said.iter().map(|_| ids.fresh()).collect();
        fresh.sort();
        let residues = self.residues_of_links(open, kept).await?;
        let is_link = |stored: &Stored| kept.get(stored.name.kind()).is_some_and(|kept| kept.links);
        if !residues.is_empty() || said.iter().any(|(stored, _)| is_link(stored)) {
            // Of records that are one, which counts may go by the order of the names, also beside those that stay.
            for ((stored, _), id) in said.iter().zip(&mut fresh) {
                *id = beside(stored.name.id(), id);
            }
        }
        let names = said
            .iter()
            .zip(&fresh)
            .map(|((stored, _), id)| (stored.name.to_string(), Name::of(stored.name.home(), stored.name.kind(), id)));
        let names: BTreeMap<String, Name> = names.collect();
        let none = Kept::default();
        for (stored, cut) in said {
            let (Some(payload), Some(name)) = (stored.payload(), names.get(stored.name.as_str())) else { continue };
            let payload = reduced(payload, kept.get(stored.name.kind()).unwrap_or(&none), &names)?.into();
            let sealed = stored.sealed().map(|_| person.clone().into());
            // A residue is erased itself: nothing finds it, and without a day it counts on.
            let end = End { reason: ERASED, on: cut.map(format_day).unwrap_or_default() };
            command.writes.push(Write::Own(name.clone(), Content::Put { payload, sealed }));
            command.writes.push(Write::Own(name.clone(), Content::End(end)));
        }
        // What these say of the erased records they say of their residues from now on.
        for (stored, cut) in residues {
            let Some(payload) = stored.payload() else { continue };
            let payload = reduced(payload, kept.get(stored.name.kind()).unwrap_or(&none), &names)?.into();
            let end = End { reason: ERASED, on: cut.map(format_day).unwrap_or_default() };
            command.writes.push(Write::Own(stored.name.clone(), Content::Put { payload, sealed: None }));
            command.writes.push(Write::Own(stored.name.clone(), Content::End(end)));
        }
        Ok(())
    }

    /// The residues of merges of these records with others that were erased before, and what they say.
    async fn residues_of_links(
        &self,
        open: &[Stored],
        kept: &BTreeMap<String, Kept>,
    ) -> Result<Vec<(Stored, Option<Date>)>> {
        let links: Vec<String> = kept.iter().filter(|(_, kept)| kept.links).map(|(kind, _)| kind.clone()).collect();
        if links.is_empty() {
            return Ok(vec![]);
        }
        let mut naming = BTreeSet::new();
        for stored in open {
            if self.kinds().get(stored.name.kind()).is_some_and(|kind| kind.person.is_some()) {
                naming.extend(self.ended_naming(stored.name.as_str(), &links, &links).await?);
            }
        }
        let newest = self.find(&naming.into_iter().collect::<Vec<_>>()).await?.into_values();
        self.last_said(newest.filter(Stored::is_erased).collect()).await
    }
}

/// A fresh id that sorts as the old one does among all others.
fn beside(old: &str, fresh: &str) -> String {
    const LAST: usize = 24;
    match (old.get(..LAST), fresh.get(LAST..)) {
        (Some(first), Some(last)) if old.len() == fresh.len() => format!("{first}{last}"),
        _ => fresh.to_owned(),
    }
}

/// Whether a field of a record is this name.
fn names_it(payload: &[u8], name: &str) -> bool {
    fields(payload).map_while(std::result::Result::ok).any(|field| field.wire == Wire::Len(name.as_bytes()))
}

/// A payload with the fields that are counted by, byte for byte, and with what was erased beside it under its fresh name.
fn reduced(payload: &[u8], kept: &Kept, fresh: &BTreeMap<String, Name>) -> Result<Vec<u8>> {
    let mut out = vec![];
    for field in fields(payload) {
        let field = field.map_err(|_| Error::broken("a record's payload cannot be read"))?;
        if !kept.fields.contains(&field.number) {
            continue;
        }
        let renamed = match field.wire {
            Wire::Len(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| fresh.get(text)),
            _ => None,
        };
        match renamed {
            Some(name) => put_bytes(&mut out, field.number, name.as_str().as_bytes()),
            None => out.extend_from_slice(field.raw),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_text, put_varint};

    #[test]
    fn a_residue_has_what_is_counted_and_no_old_name() {
        let mut payload = vec![];
        put_text(&mut payload, 3, "张三");
        put_text(&mut payload, 4, "nodes/64/workers/old");
        put_varint(&mut payload, 5, 7);
        put_text(&mut payload, 6, "nodes/64/stations/1");
        let kept = Kept { fields: BTreeSet::from([4, 5, 6]), links: false };
        let fresh = BTreeMap::from([("nodes/64/workers/old".to_owned(), Name::of("64", "workers", "new"))]);
        let mut expected = vec![];
        put_text(&mut expected, 4, "nodes/64/workers/new");
        put_varint(&mut expected, 5, 7);
        put_text(&mut expected, 6, "nodes/64/stations/1");
        assert_eq!(reduced(&payload, &kept, &fresh).unwrap(), expected);
        assert!(names_it(&payload, "nodes/64/workers/old") && !names_it(&payload, "nodes/64/workers/new"));
        assert_eq!(reduced(&payload, &Kept::default(), &fresh).unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn a_residue_sorts_as_the_record_did() {
        let (old, fresh) = ("01890a5d-ac96-774b-bcce-b302099a8057", "02890a5d-ac96-774b-8000-123456789abc");
        assert_eq!(beside(old, fresh), "01890a5d-ac96-774b-bcce-123456789abc");
        assert_eq!(beside("old", fresh), fresh);
    }
}
