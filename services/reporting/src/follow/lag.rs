//! How far the tallies are behind the ledger, for whoever reads metrics.

use std::time::Duration;

use qianshou_kernel::{error::Result, follow::Follower as _, ledger::Ledger, telemetry::metrics::meter};
use tokio_util::sync::CancellationToken;

use super::Follow;

/// How often it is looked at.
const LOOK_EVERY_MS: u64 = 1_000;

/// Measures until cancelled; not at all if nobody reads metrics.
pub async fn measure(ledger: Ledger, cancel: CancellationToken) {
    let Some(meter) = meter() else { return };
    let lag = meter.f64_gauge("qianshou.reporting.lag").with_unit("s");
    let lag = lag.with_description("Age of the oldest entry that no table shows yet.").build();
    let behind = meter.u64_gauge("qianshou.reporting.behind").with_unit("{entry}");
    let behind = behind.with_description("Entries that no table shows yet.").build();
    let mut beat = tokio::time::interval(Duration::from_millis(LOOK_EVERY_MS));
    while cancel.run_until_cancelled(beat.tick()).await.is_some() {
        match look(&ledger).await {
            Ok((entries, seconds)) => {
                behind.record(entries, &[]);
                lag.record(seconds, &[]);
            }
            Err(error) => tracing::warn!(%error, "the lag of the tallies could not be measured"),
        }
    }
}

/// How many entries are not counted yet, and the age of the oldest in seconds.
pub async fn look(ledger: &Ledger) -> Result<(u64, f64)> {
    let counted = ledger.cursor(Follow::NAME).await?;
    let head = ledger.head().await?.position;
    let oldest = ledger.entries_between(counted + 1, counted + 1).await?;
    let age_ms = oldest.first().map_or(0, |entry| (ledger.clock().now_ms() - entry.written_at_ms).max(0));
    Ok((head.saturating_sub(counted), age_ms as f64 / 1_000.0))
}
