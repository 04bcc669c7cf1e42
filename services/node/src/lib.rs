//! The only binary. `main` is trace → command line → configuration → node → run → drain; everything else lives in the
//! houses. `demo` opens three nodes in one process and lets them exchange over real sockets.

pub mod backup;
mod beside;
pub mod cli;
pub mod demo;
pub mod doctor;
mod erase;
pub mod node;
mod roles;
mod sheet;
mod verify;

pub use sheet::probe::{Examined, examine, examine_rows};
