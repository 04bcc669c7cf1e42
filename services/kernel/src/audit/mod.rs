//! The audit: who did what, when, from where, and what came of it. An append-only log of its own, chained and signed, apart from
//! the ledger: the ledger says who wrote a record, the audit says who did or tried anything else.
//!
//! ```text
//! request → watch (the method's class) → admit (who calls) → a door? its line is committed first → the house
//!         → answer: refused, read or counted → counted by the minute; done → its line is committed, then the answer leaves
//! ```
//!
//! Two chains, for they are kept for different times: [`Log::Acts`] (what was done and refused) and [`Log::Usage`] (what was looked
//! at). Never a name or a number of a person in a line, never a line for each record (the ledger has the actor); never slows a
//! read; a flood of refusals becomes counts, so it cannot fill the disk. What opens a door is refused while no line can be written.

mod call;
mod chain;
mod class;
mod line;
mod read;
mod rpc;
mod verify;
mod writer;

pub(crate) use call::{FORWARDED, admitted, watch};
pub use call::{Watch, about, count_lookups, count_rows};
pub use chain::{Log, Signer, append, purge};
pub use class::{Class, class};
pub use line::{Line, operator, plain};
pub use rpc::AuditDesk;
pub use verify::{Chain, Verified, Wrong, verify};
pub use writer::Audit;

/// What an outcome says of an act that was done.
pub const OK: &str = "OK";
/// What it says of an act that is about to be carried out.
pub const BEGUN: &str = "BEGUN";
