//! Following the ledger: a house that wants to know what was saved reads on from its cursor, and commits what it did
//! together with the cursor. It gets each record once, at its newest version, so a first load is the same code as the tail.
//!
//! Never looks back, never skips: commit order is position order. Also serves the change feed to integrators.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;
use qianshou_proto::{
    common::v1 as common,
    ledger::v1::{self as api, ledger_service_server::LedgerService},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    error::{Error, Reason, Result},
    id::Area,
    identity::Role,
    kind::{ANSWER_MAX_BYTES, READ_AHEAD},
    ledger::{Content, Ledger, Stored},
    server::caller,
};

/// A house's way of following.
pub trait Follower: Send + Sync {
    /// The cursor's name.
    const NAME: &'static str;
    /// Records at a time.
    const BATCH: u32 = 1_000;

    /// Which kinds; empty: all.
    fn kinds(&self) -> &[&'static str];
    /// Does what the entries mean and moves the cursor from `from` to `to`, in one commit
    /// ([`Ledger::move_cursor`]). May be asked again for the same entries.
    fn apply(&self, entries: Vec<Stored>, from: u64, to: u64) -> impl Future<Output = Result<()>> + Send;
}

/// How long entries gather after a batch that was not full: a commit for each of a crowd's single writes would cost more
/// than the writes, and keep SQLite's one lock from them.
const GATHER: Duration = Duration::from_millis(20);

/// Follows one batch; answers the cursor's new position and whether more waits, or `None` where there was nothing new.
pub async fn step<F: Follower>(ledger: &Ledger, follower: &F) -> Result<Option<(u64, bool)>> {
    let from = ledger.cursor(F::NAME).await?;
    // The head first: what is read afterwards holds everything up to it.
    let head = ledger.head().await?.position;
    if head <= from {
        return Ok(None);
    }
    let entries = ledger.after(from, follower.kinds(), F::BATCH).await?;
    let last = entries.last().map_or(head, |e| e.position);
    let more = entries.len() == F::BATCH as usize;
    let to = if more { last } else { head.max(last) };
    follower.apply(entries, from, to).await?;
    Ok(Some((to, more)))
}

/// Follows until cancelled; `progress` hears every new position.
pub async fn run<F: Follower>(ledger: Ledger, follower: F, cancel: CancellationToken, progress: impl Fn(u64) + Send) {
    let mut bell = ledger.bell();
    let mut pause = Duration::from_millis(50);
    loop {
        let wait = match step(&ledger, &follower).await {
            Ok(Some((position, more))) => {
                pause = Duration::from_millis(50);
                progress(position);
                if !more {
                    tokio::time::sleep(GATHER).await;
                }
                continue;
            }
            // The bell is a hint; looking again now and then is the truth.
            Ok(None) => Duration::from_secs(5),
            Err(error) => {
                tracing::error!(%error, follower = F::NAME, "following failed; it is tried again");
                pause = (pause * 2).min(Duration::from_secs(10));
                pause
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            rung = bell.changed() => if rung.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The change feed.
#[derive(Clone)]
pub struct Feed {
    /// What is read.
    pub ledger: Ledger,
    /// Ends endless reads when the node drains.
    pub cancel: CancellationToken,
}

/// Entries in one message of the feed at most.
const FEED_BATCH: u32 = 200;

#[tonic::async_trait]
impl LedgerService for Feed {
    type ReadEntriesStream = BoxStream<'static, Result<api::ReadEntriesResponse, Status>>;

    async fn read_entries(
        &self,
        request: Request<api::ReadEntriesRequest>,
    ) -> Result<Response<Self::ReadEntriesStream>, Status> {
        let caller = caller(&request)?;
        caller.need(Role::Reader).map_err(Error::from)?;
        caller
            .need_area("area", Area::NATION)
            .or_else(|_| caller.need_area("area", self.ledger.node()))
            .map_err(Error::from)?;
        let asked = request.into_inner();
        if let Some(kind) = asked.kinds.iter().find(|kind| self.ledger.kinds().get(kind).is_none()) {
            return Err(Error::refused("kinds", Reason::NotInList, kind).into());
        }
        let feed = self.clone();
        let stream = futures::stream::try_unfold(asked.after_position.unwrap_or(0), move |after| {
            let (feed, asked) = (feed.clone(), asked.clone());
            async move { Ok(feed.next(&asked, after).await?) }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn get_head(&self, request: Request<api::GetHeadRequest>) -> Result<Response<api::GetHeadResponse>, Status> {
        caller(&request)?.need(Role::Reader).map_err(Error::from)?;
        let head = self.ledger.head().await?;
        Ok(Response::new(api::GetHeadResponse {
            node: Some(head.node),
            epoch: Some(head.epoch),
            position: Some(head.position),
            digest: Some(head.digest.into()),
        }))
    }
}

impl Feed {
    /// The entries after a position, and how far they reach.
    async fn next(
        &self,
        asked: &api::ReadEntriesRequest,
        after: u64,
    ) -> Result<Option<(api::ReadEntriesResponse, u64)>> {
        let limit = asked.limit.filter(|limit| *limit > 0).map_or(FEED_BATCH, |limit| limit.min(FEED_BATCH));
        let kinds: Vec<&str> = asked.kinds.iter().map(String::as_str).collect();
        let mut bell = self.ledger.bell();
        loop {
            let mut entries = self.as_one_message_holds(asked, after, &kinds, limit).await?;
            if let Some(reached) = entries.last().map(|entry| entry.position) {
                // What was read is passed over even if nothing of it was asked for.
                entries.retain(|entry| kinds.is_empty() || kinds.contains(&entry.name.kind()));
                let entries = entries.into_iter().map(message).collect();
                return Ok(Some((api::ReadEntriesResponse { entries, position: Some(reached) }, reached)));
            }
            if !asked.follow.unwrap_or(false) {
                return Ok(None);
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Ok(None),
                rung = bell.changed() => if rung.is_err() { return Ok(None) },
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        }
    }
}

impl Feed {
    /// What is read after a position, as much as one message holds.
    async fn as_one_message_holds(
        &self,
        asked: &api::ReadEntriesRequest,
        mut after: u64,
        kinds: &[&str],
        limit: u32,
    ) -> Result<Vec<Stored>> {
        let (mut entries, mut bytes): (Vec<Stored>, usize) = (vec![], 0);
        while let Some(left) = (limit as usize).checked_sub(entries.len()).filter(|left| *left > 0) {
            let count = u32::try_from(left.min(READ_AHEAD)).unwrap_or(1);
            let read = match asked.history.unwrap_or(false) {
                true => self.ledger.history(after, count).await?,
                false => self.ledger.after(after, kinds, count).await?,
            };
            let is_last = read.len() < count as usize;
            for entry in read {
                bytes += entry.payload().map_or(0, Bytes::len) + ENTRY_BYTES + entry.actor.len();
                if bytes > ANSWER_MAX_BYTES && !entries.is_empty() {
                    return Ok(entries);
                }
                after = entry.position;
                entries.push(entry);
            }
            if is_last {
                break;
            }
        }
        Ok(entries)
    }
}

/// What an entry weighs beside its payload and its writer: two names, a digest and numbers.
const ENTRY_BYTES: usize = 400;

/// An entry as integrators see it; the sealed part never leaves.
fn message(stored: Stored) -> api::Entry {
    let content = match stored.content {
        Content::Put { payload, .. } => api::entry::Content::Put(payload),
        Content::End(end) => api::entry::Content::End(common::End { reason: Some(end.reason), on: Some(end.on) }),
    };
    api::Entry {
        position: Some(stored.position),
        name: Some(stored.name.to_string()),
        kind: Some(stored.name.kind().to_owned()),
        home: Some(stored.name.home().to_owned()),
        version: Some(common::Version { epoch: Some(stored.version.epoch), revision: Some(stored.version.revision) }),
        content: Some(content),
        digest: Some(stored.digest.into()),
        actor: Some(stored.actor),
        written_at_ms: Some(stored.written_at_ms),
    }
}
