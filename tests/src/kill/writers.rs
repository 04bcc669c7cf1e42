//! Those who write at the province through its RPC API. Each repeats a request, under the same request id, until it is
//! answered, and remembers every answer.

use std::future::Future;

use qianshou_kernel::kind::Written;
use qianshou_proto::{
    common::v1::PutState,
    registry::v1::{Agency, Certificate, Worker},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use super::{Lawful, answered, must};
use crate::{
    Caller,
    sample::{self, COUNTIES},
    verbs::{Answer, Noun},
};

/// How many write at once.
const WRITERS: u32 = 4;
/// Numbers that each of them may use.
const NUMBERS: u32 = 10_000;

/// A write that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Acknowledged {
    /// The record.
    pub(super) name: String,
    /// The version it got; `None`: its end.
    pub(super) etag: Option<String>,
    /// Where the ledger stood, unless it was one of a batch.
    pub(super) position: Option<u64>,
}

/// All of them.
#[derive(Clone)]
pub(super) struct Writers(Vec<Writer>);

#[derive(Clone)]
struct Writer {
    by: Caller,
    chance: StdRng,
    number: u32,
    next: u32,
    requests: u32,
    live: Vec<Own>,
    acknowledged: Vec<Acknowledged>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Agency,
    Worker,
    Certificate,
}

/// A record that has not ended.
#[derive(Clone)]
struct Own {
    kind: Kind,
    n: u32,
    name: String,
    /// The worker it belongs to, if it is a certificate.
    worker: Option<String>,
}

impl Writers {
    pub(super) fn new(by: &Caller, seed: u64) -> Self {
        let writer = |number| Writer {
            by: by.clone(),
            chance: StdRng::seed_from_u64(seed * 100 + u64::from(number)),
            number,
            next: 0,
            requests: 0,
            live: vec![],
            acknowledged: vec![],
        };
        Self((0..WRITERS).map(writer).collect())
    }

    /// Puts what the first load will carry.
    pub(super) async fn fill(&mut self) -> Lawful {
        for writer in &mut self.0 {
            writer.put(60, 0).await?;
            for _ in 0..15 {
                writer.add(Kind::Worker).await?;
                writer.add(Kind::Certificate).await?;
            }
        }
        Ok(())
    }

    /// Writes until it is over and everything is answered.
    pub(super) async fn write(&mut self, over: &CancellationToken) -> Lawful {
        let each = self.0.iter_mut().map(async |writer| {
            while !over.is_cancelled() {
                writer.step().await?;
            }
            Ok(())
        });
        futures::future::join_all(each).await.into_iter().collect()
    }

    pub(super) fn acknowledged(&self) -> impl Iterator<Item = &Acknowledged> {
        self.0.iter().flat_map(|writer| &writer.acknowledged)
    }

    /// The citizen number of every worker that has not ended.
    pub(super) fn citizens(&self) -> impl Iterator<Item = (&str, String)> {
        let workers = self.0.iter().flat_map(|writer| &writer.live).filter(|own| own.kind == Kind::Worker);
        workers.map(|own| (own.name.as_str(), sample::citizen(own.n)))
    }
}

impl Writer {
    async fn step(&mut self) -> Lawful {
        match self.chance.random_range(0..100) {
            0..15 => self.add(Kind::Agency).await,
            15..25 => self.add(Kind::Worker).await,
            25..38 => self.add(Kind::Certificate).await,
            38..75 => self.change().await,
            75..92 => self.end().await,
            _ => {
                let (new, old) = (self.chance.random_range(1..25), self.chance.random_range(0..10));
                self.put(new, old).await
            }
        }
    }

    async fn add(&mut self, kind: Kind) -> Lawful {
        let worker = self.pick(Kind::Worker).map(|worker| worker.name.clone());
        let (kind, worker) = match (kind, worker) {
            (Kind::Certificate, None) => (Kind::Worker, None),
            (Kind::Certificate, worker) => (kind, worker),
            _ => (kind, None),
        };
        let mut own = Own { kind, n: self.fresh(), name: String::new(), worker };
        own.name = self.save(&own).await?;
        self.live.push(own);
        Ok(())
    }

    async fn change(&mut self) -> Lawful {
        let kind = [Kind::Agency, Kind::Worker, Kind::Certificate][self.chance.random_range(0..3)];
        match self.pick(kind).cloned() {
            Some(own) => self.save(&own).await.map(drop),
            None => Ok(()),
        }
    }

    async fn end(&mut self) -> Lawful {
        let place = self.chance.random_range(0..self.live.len());
        let Own { kind, name, .. } = self.live[place].clone();
        // A worker who has a certificate stays.
        if self.live.iter().any(|own| own.worker.as_ref() == Some(&name)) {
            return Ok(());
        }
        self.live.remove(place);
        let ended = self.ask(async |by| match kind {
            Kind::Agency => by.delete::<Agency>(&name).await,
            Kind::Worker => by.delete::<Worker>(&name).await,
            Kind::Certificate => by.delete::<Certificate>(&name).await,
        });
        let position = Some(ended.await?);
        self.acknowledged.push(Acknowledged { name, etag: None, position });
        Ok(())
    }

    /// A batch of new agencies and of some that stand, told by their codes.
    async fn put(&mut self, new: u32, old: usize) -> Lawful {
        let known =
            self.live.iter().filter(|own| own.kind == Kind::Agency).take(old).map(|own| own.n).collect::<Vec<_>>();
        let fresh = (0..new).map(|_| self.fresh()).collect::<Vec<_>>();
        let batch: Vec<Agency> = known.iter().chain(&fresh).map(|n| agency(*n, self.requests)).collect();
        let outcomes = self.ask(async |by| by.put(batch.clone()).await).await?;
        let numbers = known.iter().map(|_| None).chain(fresh.into_iter().map(Some));
        for (outcome, new) in outcomes.into_iter().zip(numbers) {
            let state = if new.is_some() { PutState::Created } else { PutState::Updated };
            must(outcome.state() == state, "answers", || format!("{outcome:?}"))?;
            let name = outcome.name.unwrap_or_default();
            self.live.extend(new.map(|n| Own { kind: Kind::Agency, n, name: name.clone(), worker: None }));
            self.acknowledged.push(Acknowledged { name, etag: outcome.etag, position: None });
        }
        Ok(())
    }

    /// Saves a record with something new in it; answers its name.
    async fn save(&mut self, own: &Own) -> Lawful<String> {
        let (n, change) = (own.n, self.requests);
        match own.kind {
            Kind::Agency => self.save_noun(&own.name, agency(n, change)).await,
            Kind::Worker => self.save_noun(&own.name, worker(n, change)).await,
            Kind::Certificate => {
                self.save_noun(&own.name, certificate(n, change, own.worker.as_deref().unwrap_or_default())).await
            }
        }
    }

    async fn save_noun<N: Noun>(&mut self, name: &str, mut noun: N) -> Lawful<String> {
        let new = name.is_empty();
        *noun.name_mut() = (!new).then(|| name.to_owned());
        let save = async |by: Caller| if new { by.create(noun.clone()).await } else { by.replace(noun.clone()).await };
        let Written { noun: mut saved, position } = self.ask(save).await?;
        let (name, etag) = (saved.name_mut().take().unwrap_or_default(), saved.etag_mut().take());
        self.acknowledged.push(Acknowledged { name: name.clone(), etag, position: Some(position) });
        Ok(name)
    }

    async fn ask<T, F: Future<Output = Answer<T>>>(&mut self, call: impl Fn(Caller) -> F) -> Lawful<T> {
        self.requests += 1;
        let by = self.by.under(&format!("{}-{}", self.number, self.requests));
        answered(|| call(by.clone())).await
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.number * NUMBERS + self.next
    }

    fn pick(&mut self, kind: Kind) -> Option<&Own> {
        let of_kind: Vec<&Own> = self.live.iter().filter(|own| own.kind == kind).collect();
        (!of_kind.is_empty()).then(|| of_kind[self.chance.random_range(0..of_kind.len())])
    }
}

fn county(change: u32) -> Option<String> {
    Some(COUNTIES[change as usize % 3].to_owned())
}

fn agency(n: u32, change: u32) -> Agency {
    Agency {
        display_name: Some(format!("第{change}次改名的机构")), division: county(change), ..sample::agency(n)
    }
}

/// What the agreement does not share changes too.
fn worker(n: u32, change: u32) -> Worker {
    Worker { post_category: Some(format!("岗位{change}")), division: county(change / 2), ..sample::worker(n) }
}

fn certificate(n: u32, change: u32, worker: &str) -> Certificate {
    let until = format!("20{}-{:02}-{:02}", 30 + change / 336 % 60, 1 + change / 28 % 12, 1 + change % 28);
    Certificate { registered_until: Some(until), ..sample::certificate(n, worker) }
}
