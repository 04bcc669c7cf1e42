//! This house's own tables, `exchange_*`, and all SQL on them. What a state machine decides comes in as data and becomes one
//! command of the ledger, so a page, the cursor and the records of a page are one commit.
//!
//! Never writes a record by itself, and names no table of another house.

mod agreement;
mod erase;
mod heads;
mod inbound;
mod outbound;
mod peer;
mod verify;

pub use inbound::consumer_command;
pub use outbound::provider_command;
use qianshou_kernel::{
    db::{Db, Migration, Statement, Value},
    error::{Error, Result},
    ledger::{Command, Ledger, Read, Rejection},
};
use qianshou_proto::exchange::v1::{RefusalReason, StreamState};

pub use self::{
    agreement::Half,
    inbound::QuarantineKey,
    peer::PeerRow,
    verify::{Pages, Way},
};

/// The exchange's tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { house: "exchange", version: 1, sql: include_str!("../migrations/1_exchange.sql") },
    Migration { house: "exchange", version: 2, sql: include_str!("../migrations/2_heads.sql") },
];

/// This house's tables, beside the ledger.
#[derive(Clone)]
pub struct Store {
    ledger: Ledger,
}

impl Store {
    /// The tables in the ledger's database.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    fn db(&self) -> &Db {
        self.ledger.db()
    }

    fn now_ms(&self) -> i64 {
        self.ledger.clock().now_ms()
    }

    /// Commits; `false`: what it relied on is no longer so, and nothing was done.
    async fn submit(&self, command: Command) -> Result<bool> {
        match self.ledger.submit(command).await {
            Ok(_) => Ok(true),
            Err(Rejection::Guard(_) | Rejection::Changed(Read::Live(_))) => Ok(false),
            Err(rejection) => Err(rejection.into()),
        }
    }

    /// Commits rows of this house alone.
    async fn run(&self, statements: Vec<Statement>) -> Result<bool> {
        self.submit(Command { actor: format!("nodes/{}", self.ledger.node()), statements, ..Command::default() }).await
    }
}

fn number(value: i32) -> Value {
    Value::from(value)
}

fn state_of(number: i64) -> StreamState {
    i32::try_from(number).ok().and_then(|n| StreamState::try_from(n).ok()).unwrap_or(StreamState::Running)
}

fn refusal_of(number: Option<i64>) -> Option<RefusalReason> {
    number.and_then(|n| i32::try_from(n).ok()).and_then(|n| RefusalReason::try_from(n).ok())
}

fn hash_of(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| Error::broken("a stored digest is not 32 bytes"))
}

#[cfg(test)]
mod tests;
