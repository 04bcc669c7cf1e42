//! The stories: what Qianshou promises, told on both databases. `tests/README.md` says how to run one.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod architecture;
mod closed;
mod contract;
mod exchange;
mod keeping;
mod ledger;
mod pairing;
mod python;
mod registry;
mod reporting;
mod roles;
mod sheets;
mod sql;
mod telemetry;
