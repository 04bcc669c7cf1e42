//! What can be done with any noun: create, get, update, delete, put many. Each goes the same way: admit → parse → read →
//! decide → commit → answer. A lone write is a batch of one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, LazyLock, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use prost::Message as _;
use qianshou_proto::{Resource, common::v1::EndReason};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    Index, Noun, Staff,
    decide::{Decided, Proposal, Wish, others_figures, touching},
    limit,
    others::others_counts,
    read_etag,
};
use crate::{
    clock::format_day,
    db::Statement,
    error::{Error, Reason, Refusal, Result},
    id::{Area, Ids, Name},
    identity::Caller,
    ledger::{self, Command, Content, End, Ledger, Read, Rejection, Request, Stored, Version, Write},
    person::Secrets,
};

/// Who knows the areas that exist.
pub trait Areas: Send + Sync {
    /// Those of the codes that no list knows.
    fn unknown<'a>(&'a self, codes: &'a [String]) -> BoxFuture<'a, Result<BTreeSet<String>>>;
    /// The codes that are in an area on a day, as ranges from the first to before the second.
    fn within<'a>(&'a self, area: &'a Area, day: &'a str) -> BoxFuture<'a, Result<Vec<(String, String)>>>;
    /// The codes of the divisions that carry a tag on a day. Refused: there is no such tag.
    fn tagged<'a>(&'a self, tag: &'a str, day: &'a str) -> BoxFuture<'a, Result<Vec<String>>>;
}

/// How often a decision is taken again when what it relied on changed under it.
pub(super) const ATTEMPTS: usize = 4;

/// Whoever has to decide again about a record queues for it: among a hundred writers of one record each gets its turn, instead of all but
/// one losing every time. A process's own affair; between two processes there are the attempts.
static TURNS: LazyLock<Vec<Mutex<()>>> = LazyLock::new(|| (0..256).map(|_| Mutex::new(())).collect());

/// What holds a key where the caller is not told which record it is.
pub(super) const ELSEWHERE: &str = "another area or agency | 其他地区或机构";

/// Waits for one's turn with a record.
pub(super) async fn turn(name: &str) -> MutexGuard<'static, ()> {
    let mut hash = DefaultHasher::new();
    name.hash(&mut hash);
    TURNS[usize::try_from(hash.finish() % 256).unwrap_or(0)].lock().await
}

/// The verbs of a house.
#[derive(Clone)]
pub struct Verbs {
    /// Where records are saved.
    pub ledger: Ledger,
    /// Fresh names.
    pub ids: Ids,
    /// Which areas exist.
    pub areas: Arc<dyn Areas>,
    /// Keys for identity numbers.
    pub secrets: Arc<Secrets>,
    /// Records in one batch at most.
    pub batch_max_records: usize,
    /// Records on a list's page when none is asked for.
    pub list_page_records: usize,
    /// Records on one page of a list at most.
    pub list_page_max_records: usize,
    /// Characters of what is sought at most.
    pub query_max_chars: usize,
    /// Characters in one text field at most.
    pub text_max_chars: usize,
    /// Bytes of one record at most.
    pub record_max_bytes: usize,
    /// How long a read waits for the position it asks for.
    pub patience: Duration,
    /// How often each caller has asked for the number of somebody who is not in its area.
    pub misses: Misses,
}

/// Numbers of persons that callers asked for and that led nowhere in their area, this minute. Clones share the count.
#[derive(Clone, Debug)]
pub struct Misses {
    counted: Arc<std::sync::Mutex<(i64, HashMap<String, usize>)>>,
    per_minute: usize,
}

impl Misses {
    /// Lets each caller miss so many numbers in a minute.
    #[must_use]
    pub fn new(per_minute: usize) -> Self {
        Self { counted: Arc::default(), per_minute }
    }

    /// Counts what a caller asked for in vain.
    ///
    /// # Errors
    /// BUSY: it was too much for this minute.
    pub fn count(&self, actor: &str, missed: usize, now_ms: i64) -> Result<()> {
        if missed == 0 {
            return Ok(());
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_ms / 60_000;
        if counted.0 != minute {
            *counted = (minute, HashMap::new());
        }
        let count = counted.1.entry(actor.to_owned()).or_default();
        *count += missed;
        tracing::info!(actor, missed, this_minute = *count, "numbers were looked up that are not in the caller's area");
        if *count > self.per_minute {
            let seconds = 60 - now_ms / 1_000 % 60;
            return Err(Error::told(
                "",
                Reason::Busy,
                format!("查询证件号码过于频繁，请在{seconds}秒后重试"),
                format!("too many numbers were looked up; try again in {seconds} seconds"),
            ));
        }
        Ok(())
    }
}

/// A statement of the house that goes into the commit of a write, when the record's name is known.
pub type With<'a> = dyn Fn(&Name) -> Statement + Send + Sync + 'a;

/// A record as it was written, and where.
#[derive(Clone, Debug)]
pub struct Written<R> {
    /// The record as it is answered: with name and etag, without its secret.
    pub noun: R,
    /// The ledger's position that holds it.
    pub position: u64,
}

impl Verbs {
    /// Saves a new record.
    pub async fn create<N: Noun>(
        &self,
        caller: &Caller,
        noun: Option<N::Record>,
        request: Option<Request>,
        dry: bool,
    ) -> Result<Written<N::Record>> {
        limit::may_write::<N>(caller, Staff::Keeps)?;
        let noun = noun.ok_or_else(|| Error::refused(N::COLLECTION, Reason::Required, ""))?;
        self.one::<N>(caller, request, dry, None, || Proposal { noun: noun.clone(), wish: Wish::Create }).await
    }

    /// Changes a record: all of it, or the fields that `paths` names. An etag in it is compared.
    pub async fn update<N: Noun>(
        &self,
        caller: &Caller,
        noun: Option<N::Record>,
        paths: Option<Vec<String>>,
        request: Option<Request>,
        dry: bool,
    ) -> Result<Written<N::Record>> {
        limit::may_write::<N>(caller, Staff::Changes)?;
        let mut noun = noun.ok_or_else(|| Error::refused(N::COLLECTION, Reason::Required, ""))?;
        let name = self.own_name::<N>(noun.name_mut().as_deref())?;
        let fields = paths.map(|paths| field_numbers::<N>(&paths)).transpose()?;
        self.one::<N>(caller, request, dry, None, || Proposal {
            noun: noun.clone(),
            wish: Wish::Update(name.clone(), fields.clone()),
        })
        .await
    }

    /// Reads a record, once the ledger holds `min_position`.
    pub async fn get<N: Noun>(
        &self,
        caller: &Caller,
        name: Option<&str>,
        min_position: Option<u64>,
    ) -> Result<N::Record> {
        limit::may_read::<N>(caller)?;
        self.wait(min_position).await?;
        let name = parse_name::<N>(name)?;
        let limit = self.limit(caller).await?;
        let is_there = |stored: &Stored| stored.payload().is_some() && self.sees(limit.as_ref(), stored);
        let stored = self.ledger.find_one(&name).await?.filter(is_there);
        let stored = stored.ok_or_else(|| Error::refused("name", Reason::NotFound, &name))?;
        let noun: N::Record = answer_of(&stored)?;
        if !N::FOR_ALL {
            caller.need_area("name", N::index(&noun, None).area.as_deref().unwrap_or_default())?;
        }
        Ok(noun)
    }

    /// Ends a record that should not have been: everything it contributed is taken back.
    pub async fn delete<N: Noun>(
        &self,
        caller: &Caller,
        name: Option<&str>,
        etag: Option<&str>,
        request: Option<Request>,
        dry: bool,
    ) -> Result<u64> {
        limit::may_write::<N>(caller, Staff::Keeps)?;
        if let Some(request) = &request
            && let Some(first) = self.ledger.answered(request).await?
        {
            return Ok(first?.position);
        }
        let expected = etag.map(read_etag).transpose()?;
        self.end::<N>(caller, name, expected, request, dry, None).await
    }

    /// Ends a record, with statements of the house in the same commit.
    pub(super) async fn end<N: Noun>(
        &self,
        caller: &Caller,
        name: Option<&str>,
        expected: Option<Version>,
        request: Option<Request>,
        dry: bool,
        with: Option<&With<'_>>,
    ) -> Result<u64> {
        let name = self.own_name::<N>(name)?;
        let limit = self.limit(caller).await?;
        let mut queued = None;
        for attempt in 0..ATTEMPTS {
            if attempt == 1 {
                queued = Some(turn(name.as_str()).await);
            }
            let stored = self.ledger.find_one(&name).await?.filter(|stored| self.sees(limit.as_ref(), stored));
            let Some(payload) = stored.as_ref().and_then(Stored::payload) else {
                return Err(Error::refused("name", Reason::NotFound, &name));
            };
            let version = stored.as_ref().map(|s| s.version).unwrap_or_default();
            let noun = N::Record::decode(payload.clone())?;
            let index = N::index(&noun, None);
            caller.need_agreed("name", index.area.as_deref().unwrap_or_default())?;
            self.may_take_back::<N>(caller, &noun, &index).await?;
            if expected.is_some_and(|expected| expected != version) {
                return Err(Error::refused("etag", Reason::StaleVersion, version.etag()));
            }
            let end = End { reason: EndReason::Deleted.into(), on: format_day(self.ledger.clock().today()) };
            let command = Command {
                actor: caller.actor.clone(),
                request: request.clone(),
                reads: vec![Read::Version(name.clone(), Some(version)), Read::Unlinked(name.clone())],
                writes: vec![Write::Own(name.clone(), Content::End(end))],
                statements: with.map(|with| with(&name)).into_iter().collect(),
                ..Command::default()
            };
            let answer = if dry {
                let answers = self.ledger.would(vec![command]).await?;
                answers.into_iter().next().ok_or_else(|| Error::broken("a command was not answered"))?
            } else {
                self.ledger.submit(command).await
            };
            match answer {
                Err(Rejection::Changed(Read::Version(..))) if !dry => {}
                Err(Rejection::Guard(_)) => return Err(decided_meanwhile()),
                Err(Rejection::Changed(Read::Unlinked(name))) => {
                    let referring = self.referring(caller, &name).await?;
                    return Err(Error::refused("name", Reason::StillReferenced, referring));
                }
                answer => {
                    let position = answer?.position;
                    return Ok(if dry { self.ledger.head().await?.position } else { position });
                }
            }
        }
        drop(queued);
        Err(Error::refused("", Reason::Busy, ""))
    }

    /// What was counted of another area's record by this one is not taken back alone either.
    async fn may_take_back<N: Noun>(&self, caller: &Caller, noun: &N::Record, index: &Index) -> Result<()> {
        let targets: Vec<String> = touching::<N>(index).into_iter().map(|(_, target)| target).collect();
        let found = self.ledger.find(&targets).await?;
        let areas = found.iter().filter_map(|(name, stored)| Some((name.clone(), self.area_of(stored)?))).collect();
        let mut violations = others_figures::<N>(caller, [index, &Index::default()], &areas);
        violations.extend(others_counts::<N>(caller, [Some(noun), None], self.ledger.node()));
        if violations.is_empty() { Ok(()) } else { Err(Refusal(violations).into()) }
    }

    /// What refers to a record, as far as the caller may see it: names inside the caller's area, of the rest kinds and how many.
    pub(super) async fn referring(&self, caller: &Caller, name: &Name) -> Result<String> {
        const MOST: usize = 10;
        let sources = self.ledger.referring(&[name.to_string()]).await?.into_iter().map(|(_, source)| source);
        let sources: BTreeSet<String> = sources.collect();
        let found = self.ledger.find(&sources.into_iter().collect::<Vec<_>>()).await?;
        let limit = self.limit(caller).await?;
        let mut told: Vec<&str> = vec![];
        let mut rest: BTreeMap<&str, usize> = BTreeMap::new();
        for (source, stored) in &found {
            let in_area = self.area_of(stored).is_some_and(|area| caller.covers(&area));
            let seen = in_area && self.sees(limit.as_ref(), stored);
            if seen && told.len() < MOST {
                told.push(source);
            } else {
                *rest.entry(stored.name.kind()).or_default() += 1;
            }
        }
        if limit.is_some() && !rest.is_empty() {
            // Not even of which kind they are.
            rest = BTreeMap::from([("*", rest.len())]);
        }
        let rest = rest.into_iter().map(|(kind, count)| format!("{kind}: {count}"));
        Ok(told.into_iter().map(str::to_owned).chain(rest).collect::<Vec<_>>().join(", "))
    }

    pub(super) async fn wait(&self, min_position: Option<u64>) -> Result<()> {
        match min_position {
            Some(position) => self.ledger.at_least(position, self.patience).await,
            None => Ok(()),
        }
    }

    pub(super) fn own_name<N: Noun>(&self, name: Option<&str>) -> Result<Name> {
        let name = parse_name::<N>(name)?;
        if name.home() != self.ledger.node() {
            return Err(Error::refused("name", Reason::NotHome, name.home()));
        }
        Ok(name)
    }

    /// One record through decide and commit, decided again while what it relied on changes; statements of the house go into the same commit.
    pub(super) async fn one<N: Noun>(
        &self,
        caller: &Caller,
        request: Option<Request>,
        dry: bool,
        with: Option<&With<'_>>,
        propose: impl Fn() -> Proposal<N>,
    ) -> Result<Written<N::Record>> {
        if let Some(request) = &request
            && let Some(first) = self.ledger.answered(request).await?
        {
            return self.again::<N>(first?.written).await;
        }
        let mut queued = None;
        for _ in 0..ATTEMPTS {
            let Some(decided) = self.decide(caller, vec![propose()]).await?.pop() else { break };
            match decided {
                Decided::Refused(refusal) => return Err(refusal.into()),
                Decided::Stands { stored, noun } => {
                    let with = with.map(|with| with(&stored.name));
                    if with.is_some() && !ledger::run(self.ledger.db(), with.as_slice()).await? {
                        return Err(decided_meanwhile());
                    }
                    return Ok(Written {
                        noun: dressed(noun, &stored.name, stored.version),
                        position: stored.position,
                    });
                }
                Decided::Write { command, noun, .. } if dry => {
                    self.would::<N>(caller, *command).await?;
                    return Ok(Written { noun, position: self.ledger.head().await?.position });
                }
                Decided::Write { mut command, noun, name, .. } => {
                    command.request = request.clone();
                    command.statements.extend(with.map(|with| with(&name)));
                    match self.ledger.submit(*command).await {
                        Err(Rejection::Changed(_)) if queued.is_some() => {}
                        Err(Rejection::Changed(_)) => queued = Some(turn(name.as_str()).await),
                        Ok(done) if done.repeated => return self.again::<N>(done.written).await,
                        Err(rejection) => return Err(self.told::<N>(caller, rejection).await?),
                        Ok(done) => {
                            let (name, version, position) = done
                                .written
                                .into_iter()
                                .next()
                                .ok_or_else(|| Error::broken("a write wrote nothing"))?;
                            return Ok(Written { noun: dressed(noun, &name, version), position });
                        }
                    }
                }
            }
        }
        drop(queued);
        Err(Error::refused("", Reason::Busy, ""))
    }

    /// Asks the ledger without writing.
    async fn would<N: Noun>(&self, caller: &Caller, command: Command) -> Result<()> {
        for answer in self.ledger.would(vec![command]).await? {
            if let Err(rejection) = answer {
                return Err(self.told::<N>(caller, rejection).await?);
            }
        }
        Ok(())
    }

    /// What a caller is told of a rejection: the record that holds a key only if it lies in the caller's area, and within its limit.
    pub(super) async fn told<N: Noun>(&self, caller: &Caller, rejection: Rejection) -> Result<Error> {
        if let Rejection::Guard(_) = rejection {
            return Ok(decided_meanwhile());
        }
        if let Rejection::Taken { field, holder } = &rejection {
            let seen = !self.in_area(caller, &[Some(holder.clone())]).await?.is_empty();
            if N::PERSON.is_some() {
                self.misses.count(&caller.actor, usize::from(!seen), self.ledger.clock().now_ms())?;
            }
            if !seen {
                return Ok(Error::refused(*field, Reason::Duplicate, ELSEWHERE));
            }
        }
        Ok(rejection.into())
    }

    /// The first answer, given again.
    async fn again<N: Noun>(&self, written: Vec<(Name, Version, u64)>) -> Result<Written<N::Record>> {
        let (_, _, position) = written.first().ok_or_else(|| Error::broken("a request's first answer is empty"))?;
        let stored = self.ledger.entries_at(&[*position]).await?.pop();
        let stored = stored.ok_or_else(|| Error::broken("a request's first answer is gone"))?;
        Ok(Written { noun: answer_of(&stored)?, position: stored.position })
    }
}

/// What goes with a write was changed by somebody else.
fn decided_meanwhile() -> Error {
    let (zh, en) = ("已由他人处理，请重新读取", "was decided meanwhile; read it again");
    Error::told("name", Reason::StaleVersion, format!("name：{zh}"), format!("name: {en}"))
}

/// The request under which a call can be repeated: its id within its caller, and a digest of the whole body.
pub fn request_of(caller: &Caller, id: Option<&str>, rpc: &str, body: &impl prost::Message) -> Result<Option<Request>> {
    let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(None) };
    if id.len() > 128 || id.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err(Error::refused("request_id", Reason::Malformed, "1–128 visible ASCII characters"));
    }
    let digest = Sha256::new().chain_update(rpc).chain_update(body.encode_to_vec()).finalize().into();
    Ok(Some(Request { id: format!("{}/{id}", caller.actor), digest }))
}

fn parse_name<N: Noun>(name: Option<&str>) -> Result<Name> {
    let name = name.filter(|n| !n.is_empty()).ok_or_else(|| Error::refused("name", Reason::Required, ""))?;
    let parsed = name.parse::<Name>().ok().filter(|n| n.kind() == N::COLLECTION);
    parsed.ok_or_else(|| Error::refused("name", Reason::Malformed, format!("nodes/NODE/{}/ID", N::COLLECTION)))
}

/// The top-level field numbers that an update mask names.
pub(super) fn field_numbers<N: Noun>(paths: &[String]) -> Result<Vec<u32>> {
    let message = super::descriptors()
        .get_message_by_name(N::Record::MESSAGE)
        .ok_or_else(|| Error::broken(format!("{} is not in the descriptor set", N::Record::MESSAGE)))?;
    let number = |path: &String| match message.get_field_by_name(path) {
        Some(field) if field.number() > 2 => Ok(field.number()),
        Some(_) => Err(Error::refused(path, Reason::ReadOnly, "")),
        None => Err(Error::refused("update_mask", Reason::UnknownField, path)),
    };
    if paths.iter().any(|p| p == "*") {
        return Ok(message.fields().map(|f| f.number()).filter(|n| *n > 2).collect());
    }
    paths.iter().map(number).collect()
}

pub(super) fn answer_of<R: Resource>(stored: &Stored) -> Result<R> {
    let payload = stored.payload().cloned().unwrap_or_default();
    Ok(dressed(R::decode(payload)?, &stored.name, stored.version))
}

fn dressed<R: Resource>(mut noun: R, name: &Name, version: Version) -> R {
    *noun.name_mut() = Some(name.to_string());
    *noun.etag_mut() = Some(version.etag());
    noun
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_lead_nowhere_are_limited_per_caller_and_minute() {
        let misses = Misses::new(10);
        misses.count("a", 10, 0).unwrap();
        assert_eq!(misses.count("a", 1, 1_000).unwrap_err().reason(), Reason::Busy);
        misses.count("a", 0, 1_000).unwrap();
        misses.count("b", 1, 1_000).unwrap();
        misses.clone().count("a", 1, 60_000).unwrap();
    }
}
