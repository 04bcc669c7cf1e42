//! Erasing a person: which records of the person's this node has, the journal, the commit, and the copies that other houses keep.
//!
//! ```text
//! asked (administrator of the record's area) → reach: what refers to the person, and the same number elsewhere in the caller's area
//!   → journal, on the disk → one commit of the ledger → journal: done → copies → the database's file
//! ```
//!
//! Whatever is interrupted is finished: before the commit by the journal, at the next start; after it by the copies' own cursor. Never
//! says whether the person has records outside of the caller's area; those stay, and what was counted stays counted with them.

pub mod journal;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use self::journal::{Begun, Journal, Outcome};
use crate::{
    error::{Error, Reason, Refusal, Result, Violation, is_hidden},
    id::{Ids, Name},
    identity::{Caller, Role},
    kind::has_open_number,
    ledger::{Cause, Kept, Ledger, Request, Stored},
    person::{self, Secrets},
};

/// Characters of a reason or a clause at most.
const TEXT_MAX_CHARS: usize = 500;
/// How often an erasure is begun anew when a record of the person's changed under it.
const ATTEMPTS: usize = 4;
/// Pauses between tries to tidy the database's file up.
const TIDY_PAUSE: Duration = Duration::from_secs(10);

/// What a house answers when it has done what it was asked.
pub type Answered<'a, T> = BoxFuture<'a, Result<T>>;

/// A house that keeps something of what records said, outside of the ledger.
pub trait Copies: Send + Sync {
    /// How many contents of these records stand in pages of this house; `None`: it has no pages.
    fn count<'a>(&'a self, names: &'a [String]) -> Answered<'a, Option<u64>>;
    /// Takes out of its tables what has been erased so far; doing so again changes nothing.
    fn clear(&self) -> Answered<'_, ()>;
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// A record of the person's.
    pub name: String,
    /// Why, in words.
    pub reason: String,
    /// The clause of the law or agreement that it follows from.
    pub clause: String,
}

/// What was erased, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The records.
    pub records: Vec<String>,
    /// The ledger's position that holds it; `None`: nothing was written.
    pub position: Option<u64>,
    /// Of what would be erased: contents in the ledger, all versions counted.
    pub versions: Option<u64>,
    /// Of what would be erased: contents in pages that were sent; `None`: another process knows.
    pub pages: Option<u64>,
}

/// Erases persons; clones take turns with each other.
#[derive(Clone)]
pub struct Eraser {
    ledger: Ledger,
    ids: Ids,
    secrets: Option<Arc<Secrets>>,
    kept: Arc<BTreeMap<String, Kept>>,
    journal: Journal,
    copies: Vec<Arc<dyn Copies>>,
    turn: Arc<Mutex<()>>,
    untidy: Arc<Notify>,
}

impl Eraser {
    /// Erases from this ledger. `secrets`: by which the number of one kind of record is found in another; `kept`: what is counted, by
    /// kind; `copies`: those that this process may clear.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        ids: Ids,
        secrets: Option<Arc<Secrets>>,
        kept: BTreeMap<String, Kept>,
        journal: Journal,
        copies: Vec<Arc<dyn Copies>>,
    ) -> Self {
        let (turn, untidy) = (Arc::default(), Arc::default());
        Self { ledger, ids, secrets, kept: Arc::new(kept), journal, copies, turn, untidy }
    }

    /// Erases a person's records, those in the caller's area with all that refers to them. `dry`: only says what would be.
    ///
    /// # Errors
    /// FORBIDDEN, REQUIRED, MALFORMED, TOO_LONG, CONTROL_CHARACTER, NOT_HOME, NOT_IN_LIST: not a kind of record that is of one person;
    /// NOT_FOUND: there is none in the caller's area; BUSY: its records were changed all the time.
    pub async fn erase(&self, caller: &Caller, asked: &Asked, request: Option<Request>, dry: bool) -> Result<Answer> {
        caller.need(Role::Administrator)?;
        let name = self.checked(asked)?;
        if let Some(request) = request.as_ref().filter(|_| !dry)
            && let Some(first) = self.ledger.answered(request).await?
        {
            let first = first?;
            let written: Vec<String> = first.written.iter().map(|(name, ..)| name.to_string()).collect();
            let records = self.ledger.erased_among(&written).await?;
            return Ok(Answer { records, position: Some(first.position), versions: None, pages: None });
        }
        let _turn = self.turn.lock().await;
        for _ in 0..ATTEMPTS {
            let reach = self.reach(caller, &name).await?;
            self.names_nobody(asked, &reach).await?;
            if dry {
                return self.would(reach).await;
            }
            match self.begin(caller, asked, &reach, request.clone()).await {
                Err(error) if error.reason() == Reason::StaleVersion => {}
                answer => return answer,
            }
        }
        Err(Error::refused("", Reason::Busy, ""))
    }

    async fn begin(
        &self,
        caller: &Caller,
        asked: &Asked,
        reach: &BTreeMap<String, Stored>,
        request: Option<Request>,
    ) -> Result<Answer> {
        let begun = Begun {
            id: self.ids.fresh(),
            erase: reach.keys().cloned().collect(),
            at_ms: self.ledger.clock().now_ms(),
            by: caller.actor.clone(),
            reason: asked.reason.trim().to_owned(),
            clause: asked.clause.trim().to_owned(),
        };
        self.journal.begin(&begun)?;
        let done = self.commit(&begun, request).await;
        // What the database did not answer may have been done: it is left open, and finished at the next start.
        match &done {
            Ok(_) => self.told(&begun.id, Outcome::Done),
            Err(Error::Broken(_)) => {}
            Err(error) if error.reason() == Reason::Unavailable => {}
            Err(_) => self.told(&begun.id, Outcome::Void),
        }
        let position = done?;
        self.tidy().await?;
        Ok(Answer { records: begun.erase, position, versions: None, pages: None })
    }

    async fn commit(&self, begun: &Begun, request: Option<Request>) -> Result<Option<u64>> {
        let names = begun.erase.iter().filter_map(|name| name.parse().ok()).collect::<Vec<Name>>();
        let Begun { reason, clause, by, .. } = begun.clone();
        self.ledger.erase(&self.ids, &names, &self.kept, &Cause { reason, clause, by }, request).await
    }

    /// A journal that cannot say so now is looked at again at the next start, and nothing is done twice.
    fn told(&self, id: &str, outcome: Outcome) {
        if let Err(error) = self.journal.end(id, outcome) {
            tracing::warn!(%error, "the journal does not say what came of an erasure");
        }
    }

    /// Clears the copies that this process may clear, and the database's file; what cannot be done now is tried again.
    async fn tidy(&self) -> Result<()> {
        for copies in &self.copies {
            copies.clear().await?;
        }
        if !self.ledger.db().scrub().await? {
            self.untidy.notify_one();
        }
        Ok(())
    }

    /// Until cancelled, tries again to empty the log beside the database's file where a long read had held it.
    pub async fn keep_tidy(self, cancel: CancellationToken) {
        while cancel.run_until_cancelled(self.untidy.notified()).await.is_some() {
            loop {
                match self.ledger.db().scrub().await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "what was erased may still stand in the database's log"),
                }
                if cancel.run_until_cancelled(tokio::time::sleep(TIDY_PAUSE)).await.is_none() {
                    return;
                }
            }
        }
    }

    /// Finishes what was begun and has no outcome; answers how many records were erased.
    pub async fn finish(&self) -> Result<usize> {
        self.again(|is_known| !is_known).await
    }

    /// Erases again all that the journal says, in a database that was restored from before it; answers how many records were erased.
    pub async fn replay(&self) -> Result<usize> {
        self.again(|_| true).await
    }

    async fn again(&self, which: impl Fn(bool) -> bool) -> Result<usize> {
        let _turn = self.turn.lock().await;
        let mut count = 0;
        for (begun, is_known) in self.journal.read()?.into_iter().filter(|(_, is_known)| which(*is_known)) {
            let before = self.ledger.erased_among(&begun.erase).await?.len();
            self.commit(&begun, None).await?;
            count += self.ledger.erased_among(&begun.erase).await?.len() - before;
            if !is_known {
                self.told(&begun.id, Outcome::Done);
            }
        }
        if count > 0 {
            self.tidy().await?;
        }
        Ok(count)
    }

    async fn would(&self, reach: BTreeMap<String, Stored>) -> Result<Answer> {
        let records: Vec<String> = reach.keys().cloned().collect();
        let mut versions = 0;
        for stored in reach.into_values() {
            let all = self.ledger.all_versions(stored).await?;
            versions += all.iter().filter(|version| version.payload().is_some()).count() as u64;
        }
        let mut pages = None;
        for copies in &self.copies {
            pages = copies.count(&records).await?.or(pages);
        }
        Ok(Answer { records, position: None, versions: Some(versions), pages })
    }

    fn checked(&self, asked: &Asked) -> Result<Name> {
        let mut violations = vec![];
        for (field, text) in [("reason", asked.reason.trim()), ("clause", asked.clause.trim())] {
            let mut refuse = |reason, detail: &str| violations.push(Violation::new(field, reason, detail));
            if text.is_empty() {
                refuse(Reason::Required, "");
            } else if text.chars().count() > TEXT_MAX_CHARS {
                refuse(Reason::TooLong, &TEXT_MAX_CHARS.to_string());
            } else if text.chars().any(is_hidden) {
                refuse(Reason::ControlCharacter, "");
            } else if has_open_number(text, self.ledger.clock().today()) {
                refuse(Reason::Malformed, "a text without a citizen number | 不含公民身份号码的文字");
            }
        }
        if !violations.is_empty() {
            return Err(Refusal(violations).into());
        }
        let malformed = |_| Error::refused("name", Reason::Malformed, "nodes/NODE/workers/ID");
        let name: Name = asked.name.parse().map_err(malformed)?;
        if name.home() != self.ledger.node() {
            return Err(Error::refused("name", Reason::NotHome, name.home()));
        }
        if !self.is_of_a_person(&name) {
            let of = self.ledger.kinds().iter().filter(|kind| kind.person.is_some()).map(|kind| kind.collection);
            return Err(Error::refused("name", Reason::NotInList, of.collect::<Vec<_>>().join(", ")));
        }
        Ok(name)
    }

    /// Reason and clause stay, so they must not name whom the erasure is about.
    async fn names_nobody(&self, asked: &Asked, reach: &BTreeMap<String, Stored>) -> Result<()> {
        let mut versions = vec![];
        for stored in reach.values().filter(|stored| self.is_of_a_person(&stored.name)) {
            versions.extend(self.ledger.all_versions(stored.clone()).await?);
        }
        for stored in versions.iter().filter(|version| version.payload().is_some()) {
            let title = self.index_of(stored)?.title.unwrap_or_default();
            let told = |text: &str| title.chars().count() > 1 && text.contains(&title);
            let field = [("reason", &asked.reason), ("clause", &asked.clause)].into_iter().find(|(_, t)| told(t));
            if let Some((field, _)) = field {
                let detail = "a text without the person's name | 不含本人姓名的文字";
                return Err(Error::refused(field, Reason::Malformed, detail));
            }
        }
        Ok(())
    }

    fn is_of_a_person(&self, name: &Name) -> bool {
        self.ledger.kinds().get(name.kind()).is_some_and(|kind| kind.person.is_some())
    }

    fn index_of(&self, stored: &Stored) -> Result<crate::kind::Index> {
        let payload = stored.payload().cloned().unwrap_or_default();
        Ok(self.ledger.kinds().known(stored.name.kind())?.index(&payload, None)?)
    }

    /// What the person's records said last, by their names. A merge goes with one of its two records; another number's stays.
    async fn reach(&self, caller: &Caller, name: &Name) -> Result<BTreeMap<String, Stored>> {
        let mut reach = BTreeMap::new();
        let mut new = self.in_area(caller, BTreeSet::from([name.to_string()])).await?;
        if new.is_empty() {
            return Err(Error::refused("name", Reason::NotFound, name));
        }
        while let Some(stored) = new.pop() {
            if reach.contains_key(stored.name.as_str()) {
                continue;
            }
            if self.is_of_a_person(&stored.name) {
                new.extend(self.of_one_number(caller, &stored).await?);
                new.extend(self.referring(stored.name.as_str()).await?);
            }
            reach.insert(stored.name.to_string(), stored);
        }
        Ok(reach)
    }

    /// What this node's records said last that were not erased.
    async fn said(&self, names: BTreeSet<String>) -> Result<Vec<Stored>> {
        let newest = self.ledger.find(&names.into_iter().collect::<Vec<_>>()).await?;
        let own = newest.into_values().filter(|stored| stored.name.home() == self.ledger.node());
        let own = own.filter(|stored| !stored.is_erased()).collect();
        self.ledger.last_puts(own).await
    }

    /// The same, of those in the caller's area.
    async fn in_area(&self, caller: &Caller, names: BTreeSet<String>) -> Result<Vec<Stored>> {
        let mut within = vec![];
        for stored in self.said(names).await? {
            if caller.covers(&self.index_of(&stored)?.area.unwrap_or_default()) {
                within.push(stored);
            }
        }
        Ok(within)
    }

    /// The records in the caller's area that have the number of this one, of whatever kind.
    async fn of_one_number(&self, caller: &Caller, stored: &Stored) -> Result<Vec<Stored>> {
        let Some(sealed) = stored.sealed() else { return Ok(vec![]) };
        let mut blinds: BTreeSet<String> = person::blind_of(sealed).into_iter().collect();
        if let Some(secrets) = &self.secrets
            && let Ok(number) = secrets.open(sealed, stored.name.as_str())
        {
            let kinds = self.ledger.kinds().iter().filter(|kind| kind.person.is_some());
            blinds.extend(kinds.map(|kind| secrets.blind.index(kind.collection, &number)));
        }
        let found = self.ledger.with_number(&blinds.iter().cloned().collect::<Vec<_>>()).await?;
        let mut same = self.in_area(caller, found).await?;
        // A number that a record had once, by mistake, is another person's.
        let has = |stored: &Stored| stored.sealed().and_then(|sealed| person::blind_of(sealed));
        same.retain(|stored| has(stored).is_some_and(|blind| blinds.contains(&blind)));
        Ok(same)
    }

    /// The records that refer to one of a person's, or did so until they ended, and are not a person's themselves.
    async fn referring(&self, name: &str) -> Result<Vec<Stored>> {
        let kinds = self.ledger.kinds().iter().filter(|kind| kind.person.is_none() && kind.home.is_none());
        let kinds: Vec<String> = kinds.map(|kind| kind.collection.to_owned()).collect();
        let links: Vec<String> =
            self.kept.iter().filter(|(_, kept)| kept.links).map(|(kind, _)| kind.clone()).collect();
        let mut names = self.ledger.ended_naming(name, &kinds, &links).await?;
        names.extend(self.ledger.referring(&[name.to_owned()]).await?.into_iter().map(|(_, source)| source));
        let mut said = self.said(names).await?;
        said.retain(|stored| !self.is_of_a_person(&stored.name));
        Ok(said)
    }
}
