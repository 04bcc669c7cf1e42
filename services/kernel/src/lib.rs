//! The kernel: the ground every house stands on. A closed list of rooms and no domain noun.
//!
//! The path of one write: [`server`] names the caller ([`identity`]) → a house's rpc calls a verb of [`kind`] → the noun's
//! rules → [`ledger`] (check, number, write, one commit, bell) → the answer, or a refusal of [`error`].
//!
//! Invariants: only the ledger writes records; only `db` speaks to a database; only `person` touches identity numbers;
//! time and chance enter by [`clock`] and [`id`]; the environment by [`config`].

pub mod audit;
pub mod clock;
pub mod config;
pub mod db;
pub mod erasure;
pub mod error;
pub mod files;
pub mod filter;
pub mod follow;
pub mod id;
pub mod identifier;
pub mod identity;
pub mod joint;
pub mod kind;
pub mod ledger;
pub mod line;
pub mod mask;
pub mod person;
pub mod server;
pub mod sheet;
pub mod succession;
pub mod telemetry;
pub mod wire;

pub use paste;
