//! Putting many records, each for itself, in chunks: while one is written, the next is decided.

use super::{
    Noun, Staff, Verbs,
    decide::{Decided, Proposal, Wish},
    limit,
    verbs::{ATTEMPTS, field_numbers, turn},
};
use crate::{
    error::{Error, Reason, Refusal, Result},
    id::Name,
    identity::Caller,
    ledger::{Command, Rejection, Request, Version},
};

/// What became of one record of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// New.
    Created(Name, Version),
    /// Changed.
    Updated(Name, Version),
    /// It stood so already.
    Unchanged(Name, Version),
    /// Not written.
    Refused(Refusal),
}

/// Records of a batch that are decided together.
const CHUNK: usize = 2_000;

/// A batch on its way.
struct Put<'a, N: Noun> {
    verbs: &'a Verbs,
    caller: &'a Caller,
    nouns: Vec<N::Record>,
    fields: Option<Vec<u32>>,
    request: Option<Request>,
    dry: bool,
}

/// Places in the batch, and what was decided for each.
type Chunk<N> = Vec<(usize, Decided<N>)>;

impl<N: Noun> Put<'_, N> {
    async fn decide(&self, places: Option<&[usize]>) -> Result<Option<Chunk<N>>> {
        let Some(places) = places else { return Ok(None) };
        let put = |i: &usize| Proposal { noun: self.nouns[*i].clone(), wish: Wish::Put(self.fields.clone()) };
        let decided = self.verbs.decide(self.caller, places.iter().map(put).collect()).await?;
        Ok(Some(places.iter().copied().zip(decided).collect()))
    }

    /// Writes what was decided; what it relied on and has changed is decided again. Answers the position that holds it all.
    async fn save(&self, mut decided: Option<Chunk<N>>, outcomes: &mut [Option<Outcome>]) -> Result<u64> {
        let (mut position, mut queued) = (0, None);
        for _ in 0..ATTEMPTS {
            let Some(chunk) = decided.take() else { break };
            let mut commands = vec![];
            let mut asked = vec![];
            for (i, decided) in chunk {
                match decided {
                    Decided::Refused(refusal) => outcomes[i] = Some(Outcome::Refused(refusal)),
                    Decided::Stands { stored, .. } => {
                        outcomes[i] = Some(Outcome::Unchanged(stored.name, stored.version));
                    }
                    Decided::Write { mut command, name, new, .. } => {
                        let request = self.request.as_ref().filter(|_| !self.dry);
                        command.request = request.map(|r| Request { id: part_of(r, i), digest: r.digest });
                        commands.push(*command);
                        asked.push((i, name, if new { Outcome::Created } else { Outcome::Updated }));
                    }
                }
            }
            let answers = match self.dry {
                true => self.verbs.ledger.would(commands).await?,
                false => self.verbs.ledger.submit_all(commands).await,
            };
            let mut again = vec![];
            for ((i, name, outcome), answer) in asked.into_iter().zip(answers) {
                match answer {
                    // What was not written cannot be found by asking again.
                    Err(Rejection::Changed(_)) if self.dry => outcomes[i] = Some(outcome(name, Version::default())),
                    // Also the second of two records of this batch with one natural key: asked again, it finds the first.
                    Err(Rejection::Changed(_)) => again.push((i, name)),
                    Err(rejection) => match self.verbs.told::<N>(self.caller, rejection).await? {
                        Error::Refused(refusal) => outcomes[i] = Some(Outcome::Refused(refusal)),
                        broken @ Error::Broken(_) => return Err(broken),
                    },
                    Ok(_) if self.dry => outcomes[i] = Some(outcome(name, Version::default())),
                    Ok(done) => {
                        position = position.max(done.position);
                        if let Some((name, version, _)) = done.written.into_iter().next() {
                            outcomes[i] = Some(outcome(name, version));
                        }
                    }
                }
            }
            if let (Some((_, name)), None) = (again.first(), &queued) {
                queued = Some(turn(name.as_str()).await);
            }
            let again: Vec<usize> = again.into_iter().map(|(i, _)| i).collect();
            decided = self.decide((!again.is_empty()).then_some(&again[..])).await?;
        }
        drop(queued);
        Ok(position)
    }
}

impl Verbs {
    /// Saves many records, each for itself: by name, else by natural key, else as new; of one that exists only the fields that
    /// `paths` names. The same batch again changes nothing.
    pub async fn put_all<N: Noun>(
        &self,
        caller: &Caller,
        nouns: Vec<N::Record>,
        paths: Option<Vec<String>>,
        request: Option<Request>,
        dry: bool,
    ) -> Result<(Vec<Outcome>, u64)> {
        limit::may_write::<N>(caller, Staff::Changes)?;
        let fields = paths.map(|paths| field_numbers::<N>(&paths)).transpose()?;
        if nouns.len() > self.batch_max_records {
            return Err(Error::refused(N::COLLECTION, Reason::TooMany, self.batch_max_records));
        }
        let mut outcomes = self.first_outcomes(request.as_ref(), nouns.len()).await?;
        let open: Vec<usize> = (0..nouns.len()).filter(|i| outcomes[*i].is_none()).collect();
        if let Some(request) = request.clone().filter(|_| !dry) {
            // The batch's own id, so that another body under it is refused whole.
            let command = Command { actor: caller.actor.clone(), request: Some(request), ..Command::default() };
            self.ledger.submit(command).await?;
        }
        let put = Put::<N> { verbs: self, caller, nouns, fields, request, dry };
        let (mut position, mut decided) = (0, None);
        for chunk in open.chunks(CHUNK).map(Some).chain([None]) {
            // While one chunk is written, the next is decided; what this finds changed is decided again.
            let (done, following) = futures::try_join!(put.save(decided, &mut outcomes), put.decide(chunk))?;
            position = position.max(done);
            decided = following;
        }
        if position == 0 {
            position = self.ledger.head().await?.position;
        }
        let busy = || Outcome::Refused(Refusal::one("", Reason::Busy, ""));
        Ok((outcomes.into_iter().map(|o| o.unwrap_or_else(busy)).collect(), position))
    }

    /// What a repeated batch was answered the first time, record by record; a record it did not write is asked again.
    async fn first_outcomes(&self, request: Option<&Request>, count: usize) -> Result<Vec<Option<Outcome>>> {
        let mut outcomes = vec![None; count];
        let Some(request) = request else { return Ok(outcomes) };
        let Some(first) = self.ledger.answered(request).await? else { return Ok(outcomes) };
        first?;
        let ids: Vec<String> = (0..count).map(|i| part_of(request, i)).collect();
        let written = self.ledger.first_written(&ids).await?;
        for (outcome, id) in outcomes.iter_mut().zip(&ids) {
            *outcome = written.get(id).map(|stored| {
                // It was erased since, and its id stays used.
                if stored.payload().is_none() {
                    return Outcome::Refused(Refusal::one("request_id", Reason::RequestIdReused, ""));
                }
                let outcome = if stored.previous.is_none() { Outcome::Created } else { Outcome::Updated };
                outcome(stored.name.clone(), stored.version)
            });
        }
        Ok(outcomes)
    }
}

/// The id under which one record of a batch is remembered; a caller cannot write the space in it.
fn part_of(batch: &Request, row: usize) -> String {
    format!("{} {row}", batch.id)
}
