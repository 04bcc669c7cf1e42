//! The bell: who waits for the ledger hears of new positions, of this process at once, of the node's other processes by a
//! notice after their commit. Notices are hints that may be lost; the poll is the truth.
//!
//! Notices also carry words between houses of the same kind, such as that a token was revoked.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{db::Db, error::Result};

/// In the place of words that may have been said while nobody listened.
pub const MISSED: &str = "";
/// What a notice of a position begins with.
const POSITION: &str = "at ";
/// Words that a slow listener may miss; it hears that it missed some.
const WORDS_MAX: usize = 16;

#[derive(Clone)]
pub(super) struct Bell {
    db: Db,
    position: watch::Sender<u64>,
    written: watch::Sender<u64>,
    words: broadcast::Sender<String>,
    look: Arc<Notify>,
}

impl Bell {
    pub(super) fn new(db: Db) -> Self {
        let (position, written) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { db, position, written, words: broadcast::Sender::new(WORDS_MAX), look: Arc::default() }
    }

    /// Starts hearing and telling the node's other processes, until cancelled.
    pub(super) fn start(&self, poll: Duration, cancel: &CancellationToken) {
        if !self.db.is_shared() {
            return;
        }
        let spawn = |task: futures::future::BoxFuture<'static, ()>| {
            tokio::spawn(cancel.clone().run_until_cancelled_owned(task));
        };
        let bell = self.clone();
        spawn(Box::pin(async move { bell.db.listen(|word| bell.hear(word)).await }));
        let bell = self.clone();
        spawn(Box::pin(async move { bell.cry().await }));
        let bell = self.clone();
        spawn(Box::pin(async move { bell.poll(poll).await }));
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    pub(super) fn words(&self) -> broadcast::Receiver<String> {
        self.words.subscribe()
    }

    /// Rings in this process.
    pub(super) fn ring(&self, position: u64) {
        raise(&self.position, position);
    }

    /// Rings for what this process has committed, here now and elsewhere soon.
    pub(super) fn ring_everywhere(&self, position: u64) {
        self.ring(position);
        raise(&self.written, position);
    }

    pub(super) async fn tell(&self, word: &str) -> Result<()> {
        self.db.notify(word).await
    }

    fn hear(&self, word: Option<&str>) {
        if word.is_none() {
            self.look.notify_one();
        }
        let word = word.unwrap_or(MISSED);
        match word.strip_prefix(POSITION).map(str::parse) {
            Some(Ok(position)) => self.ring(position),
            Some(Err(_)) => {}
            // Nobody has to listen.
            None => drop(self.words.send(word.to_owned())),
        }
    }

    /// Tells the others where we are: of positions that follow quickly, the newest.
    async fn cry(&self) {
        let mut written = self.written.subscribe();
        while written.changed().await.is_ok() {
            let position = *written.borrow_and_update();
            if let Err(error) = self.tell(&format!("{POSITION}{position}")).await {
                tracing::debug!(%error, "the other processes were not told; they will look");
            }
        }
    }

    async fn poll(&self, every: Duration) {
        let mut beat = tokio::time::interval(every.max(Duration::from_millis(10)));
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                () = self.look.notified() => {}
            }
            let head = self.db.fetch_one("SELECT position FROM head WHERE id = 1", vec![]).await;
            if let Ok(Some(Ok(position))) = head.map(|row| row.map(|row| row.count(0))) {
                self.ring(position);
            }
        }
    }
}

fn raise(to: &watch::Sender<u64>, position: u64) {
    to.send_if_modified(|held| {
        let newer = position > *held;
        *held = position.max(*held);
        newer
    });
}
