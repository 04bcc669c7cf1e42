//! Lines of the audit for what is done at the machine, beside the node's own doors.

use std::{fmt::Display, path::Path};

use qianshou_kernel::{
    audit::{BEGUN, Line, Log, OK, append},
    clock::Clock,
    config::Config,
    error::Result,
    identity::NodeKeys,
};

use crate::node;

/// Writes down that an operator begins something, before it is done: what cannot be written down is not done. A database whose
/// tables are at an older level has no audit; the command itself says what to do about that.
pub(super) async fn begun(config: &Path, act: &str, target: impl Display) -> Result<()> {
    write(config, act, target, BEGUN).await
}

/// Writes down that it was done.
pub(super) async fn done(config: &Path, act: &str, target: impl Display) -> Result<()> {
    write(config, act, target, OK).await
}

async fn write(config: &Path, act: &str, target: impl Display, outcome: &str) -> Result<()> {
    let loaded = Config::load(config)?;
    let db = node::database(&loaded).await?;
    if node::pending(&db.levels().await?).is_empty() {
        let keys = NodeKeys::of(&loaded)?;
        let line = Line::at_machine(Clock::system().now_ms(), act, target, outcome);
        append(&db, &keys, vec![(Log::Acts, line)]).await?;
    }
    db.close().await;
    Ok(())
}
