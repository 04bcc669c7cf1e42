//! The stories: what Qianshou promises, told on both databases. `tests/README.md` says how to run one.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod architecture;
mod contract;
mod exchange;
mod ledger;
mod registry;
mod reporting;
mod sheets;
mod sql;
