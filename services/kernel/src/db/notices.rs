//! Short words between the processes of a node, on PostgreSQL: a hint that there is something to look at. A word may be lost,
//! with its connection or because nobody listened; whoever hears one looks, and whoever hears none looks now and then.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgNotification};

use super::{Db, Pools};
use crate::error::Result;

/// What the processes of a node listen on; each node has a database of its own, and a channel is a database's.
const CHANNEL: &str = "qianshou";
/// How long to wait before the next attempt to listen.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

impl Db {
    /// Says a word to the node's other processes and to this one; on SQLite there is nobody. A statement of its own, never
    /// inside a transaction: there it would take a lock of the whole server until the commit.
    pub async fn notify(&self, word: &str) -> Result<()> {
        if self.is_shared() {
            self.fetch("SELECT pg_notify($1, $2)", crate::binds![CHANNEL, word]).await?;
        }
        Ok(())
    }

    /// Hears words for as long as it is awaited; on SQLite for ever none. `None`: it begins to hear, and what was said before is
    /// lost. Holds one connection.
    pub async fn listen(&self, mut hear: impl FnMut(Option<&str>)) {
        let Pools::Postgres(pool) = &self.pools else { return std::future::pending().await };
        loop {
            let heard: Result<(), sqlx::Error> = async {
                let mut listener = PgListener::connect_with(pool).await?;
                listener.listen(CHANNEL).await?;
                hear(None);
                loop {
                    hear(listener.try_recv().await?.as_ref().map(PgNotification::payload));
                }
            }
            .await;
            if pool.is_closed() {
                return;
            }
            tracing::warn!(cause = ?heard.err(), "other processes are not heard; it is tried again");
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }
}
