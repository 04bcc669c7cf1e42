//! What the stories stand on: databases that come and go, nodes that serve over real sockets, callers, records that are
//! valid, and a scanner that finds what should not be there.
//!
//! A story is an `async fn(World)`. [`stories!`] makes two tests of it, one on SQLite and one on PostgreSQL, each with its
//! own databases, its own folder and a clock that stands. Nothing of our own is mocked, nothing sleeps and hopes:
//! [`eventually`] looks again until it is so, or says what it was that never came.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod bench;
pub mod collector;
pub mod contract;
pub mod crowd;
pub mod database;
pub mod desk;
pub mod forger;
pub mod halves;
pub mod kill;
pub mod node;
pub mod outage;
pub mod process;
pub mod refusal;
pub mod sample;
pub mod scan;
pub mod simulation;
pub mod snapshots;
pub mod source;
pub mod treaty;
pub mod verbs;
pub mod world;

pub use database::Database;
pub use node::{Caller, Node, Resting};
pub use qianshou_kernel::paste;
pub use world::{World, run};

use std::{future::Future, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

/// How long [`eventually`] waits before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Each story twice: `stories! { no_gap; at_least }` makes `no_gap_sqlite`, `no_gap_postgres` and so on.
#[macro_export]
macro_rules! stories {
    ($($story:ident)+) => { $crate::paste::paste! {$(
        #[test]
        fn [<$story _sqlite>]() {
            $crate::run($crate::Database::Sqlite, $story);
        }

        $crate::on_postgres! { $story }
    )+}};
}

/// Stories of what only PostgreSQL has: `on_postgres! { two_followers }` makes `two_followers_postgres`.
#[macro_export]
macro_rules! on_postgres {
    ($($story:ident)+) => { $crate::paste::paste! {$(
        #[test]
        fn [<$story _postgres>]() {
            $crate::run($crate::Database::Postgres, $story);
        }
    )+}};
}

/// Looks again until there is something to see.
///
/// # Panics
/// If there never is; `what` says what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "never came, in {} s: {what}", PATIENCE.as_secs());
        sleep(Duration::from_millis(20)).await;
    }
}

/// The buf that lints the contract, if `QIANSHOU_BUF` names one.
#[must_use]
pub fn buf() -> Option<PathBuf> {
    environment("QIANSHOU_BUF").map(PathBuf::from)
}

/// A number of the environment, or the usual one.
#[must_use]
pub fn number(name: &str, usual: u32) -> u32 {
    environment(name).and_then(|number| number.parse().ok()).unwrap_or(usual)
}

/// The Python with what `tests/python/requirements.txt` names, if `QIANSHOU_TEST_PYTHON` names one.
#[must_use]
pub fn python() -> Option<PathBuf> {
    environment("QIANSHOU_TEST_PYTHON").map(PathBuf::from)
}

/// Whether what a program writes into the repository is written anew, not only compared.
#[must_use]
pub fn writes() -> bool {
    environment("QIANSHOU_WRITE").is_some()
}

/// The one place where the stories look at the environment; `tests/run` sets it.
pub(crate) fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "what tests/run has set up is told by the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
