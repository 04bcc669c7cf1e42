//! How streams do, in figures: how far behind they are, what was applied, set aside and refused. Without a reader of metrics
//! nothing here runs.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use qianshou_kernel::{
    config::ms,
    error::Result,
    identity::valid_until_ms,
    telemetry::metrics::{Counter, Gauge, KeyValue, Meter, meter},
};
use qianshou_proto::exchange::v1::{AgreementState, StreamState};

use crate::{
    House,
    domain::{agreement::Held, consumer, provider, provider::Outbound},
};

const OUTBOUND: &str = "outbound";
const INBOUND: &str = "inbound";

struct Instruments {
    lag: Gauge<f64>,
    behind: Gauge<u64>,
    entries: Counter<u64>,
    refusals: Counter<u64>,
    certificates: Gauge<f64>,
}

static INSTRUMENTS: LazyLock<Option<Instruments>> = LazyLock::new(|| meter().map(Instruments::of));

impl Instruments {
    fn of(meter: &Meter) -> Self {
        Self {
            lag: meter
                .f64_gauge("qianshou.exchange.lag")
                .with_unit("s")
                .with_description(
                    "Outbound: age of the oldest entry without a receipt. Inbound: since when not everything may be here.",
                )
                .build(),
            behind: meter
                .u64_gauge("qianshou.exchange.behind")
                .with_unit("{entry}")
                .with_description("Entries not yet paged or without a receipt; outbound streams only.")
                .build(),
            entries: meter
                .u64_counter("qianshou.exchange.entries")
                .with_unit("{entry}")
                .with_description("Entries that a receipt says were applied or set aside (quarantined).")
                .build(),
            refusals: meter
                .u64_counter("qianshou.exchange.refusals")
                .with_unit("{page}")
                .with_description("Pages that were refused, by us (inbound) or by the peer (outbound).")
                .build(),
            certificates: meter
                .f64_gauge("qianshou.certificate.remaining")
                .with_unit("s")
                .with_description("Until a certificate ends: this node's own (server, peer) and each peer's; negative: it has ended.")
                .build(),
        }
    }

    fn apply(&self, direction: &'static str, peer: &str, applied: u32, quarantined: u32) {
        for (outcome, count) in [("applied", applied), ("quarantined", quarantined)] {
            let [direction, peer] = whose(direction, peer);
            self.entries.add(u64::from(count), &[direction, peer, KeyValue::new("qianshou.outcome", outcome)]);
        }
    }

    fn refuse(&self, direction: &'static str, peer: &str, reason: &'static str) {
        let [direction, peer] = whose(direction, peer);
        let reason = reason.strip_prefix("REFUSAL_REASON_").unwrap_or(reason);
        self.refusals.add(1, &[direction, peer, KeyValue::new("error.type", reason)]);
    }
}

fn whose(direction: &'static str, peer: &str) -> [KeyValue; 2] {
    [KeyValue::new("qianshou.direction", direction), KeyValue::new("qianshou.peer", peer.to_owned())]
}

/// Counts what a consumer has made last.
pub(super) fn consumed(provider: &str, commit: &consumer::Commit) {
    let Some(instruments) = &*INSTRUMENTS else { return };
    if let Some(advance) = &commit.advance {
        let quarantined = u32::try_from(advance.quarantine.len()).unwrap_or(u32::MAX);
        instruments.apply(INBOUND, provider, advance.applied, quarantined);
    }
    if let Some(refused) = &commit.refused {
        instruments.refuse(INBOUND, provider, refused.reason.as_str_name());
    }
}

/// Counts what a provider has made last.
pub(super) fn provided(consumer: &str, commit: &provider::Commit) {
    let Some(instruments) = &*INSTRUMENTS else { return };
    match commit {
        provider::Commit::Acknowledge { applied, quarantined, .. } => {
            instruments.apply(OUTBOUND, consumer, *applied, *quarantined);
        }
        provider::Commit::Mark { refusal: Some((reason, _)), .. } => {
            instruments.refuse(OUTBOUND, consumer, reason.as_str_name());
        }
        provider::Commit::Mark { .. } | provider::Commit::Advance(_) => {}
    }
}

/// Looks at every stream's lag until the house's token is cancelled.
pub(super) async fn run(house: Arc<House>) {
    let Some(instruments) = &*INSTRUMENTS else { return };
    let mut current = HashMap::new();
    let mut beat = tokio::time::interval(ms(house.ground.config.heartbeat_ms));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while house.ground.cancel.run_until_cancelled(beat.tick()).await.is_some() {
        if let Err(error) = look(&house, instruments, &mut current).await {
            tracing::warn!(%error, "the lag of streams could not be measured");
        }
        if let Err(error) = look_at_certificates(&house, instruments).await {
            tracing::warn!(%error, "the certificates' ends could not be measured");
        }
    }
}

async fn look_at_certificates(house: &House, instruments: &Instruments) -> Result<()> {
    let (node, keys, now) = (house.node(), &house.ground.keys, house.clock().now_ms());
    let tell = |certificate: &'static str, of: &str, der: &[u8]| {
        let Some(ends) = valid_until_ms(der) else { return };
        let whose = [KeyValue::new("qianshou.certificate", certificate), KeyValue::new("qianshou.node", of.to_owned())];
        instruments.certificates.record((ends - now) as f64 / 1_000.0, &whose);
    };
    tell("server", node, keys.server.leaf());
    tell("peer", node, keys.peer.leaf());
    for peer in house.store.peer_list().await? {
        tell("peer", peer.card.node(), peer.card.certificate.as_deref().unwrap_or_default());
    }
    Ok(())
}

async fn look(house: &House, instruments: &Instruments, current: &mut HashMap<String, i64>) -> Result<()> {
    let now = house.clock().now_ms();
    let held: HashMap<String, Held> =
        house.store.agreement_list().await?.into_iter().map(|held| (held.accord.id.clone(), held)).collect();
    let tell = |direction, peer: &str, id: &str, since: Option<i64>| {
        let [direction, peer] = whose(direction, peer);
        let seconds = since.map_or(0.0, |since| (now - since).max(0) as f64 / 1_000.0);
        instruments.lag.record(seconds, &[direction, peer, KeyValue::new("qianshou.stream", id.to_owned())]);
    };
    for (row, _) in house.store.outbound_list().await? {
        let Some(held) = held.get(&row.stream) else { continue };
        let (peer, id) = (&held.accord.consumer, &row.stream);
        let (behind, since) = if runs(house, held, row.state) { waiting(house, &row).await? } else { (0, None) };
        tell(OUTBOUND, peer, id, since);
        let [direction, peer] = whose(OUTBOUND, peer);
        instruments.behind.record(behind, &[direction, peer, KeyValue::new("qianshou.stream", id.clone())]);
    }
    for listed in house.store.inbound_list().await? {
        let row = listed.stream;
        let Some(held) = held.get(&row.stream) else { continue };
        let pulling = house.hub.pulling(&row.stream);
        // Another process of this node pulls it, and measures it.
        if pulling.is_none() && listed.leased_until_ms > now {
            continue;
        }
        let whole = pulling.is_some_and(|pulling| pulling.connected && pulling.up_to_date);
        if whole || !runs(house, held, row.state) {
            current.insert(row.stream.clone(), now);
        }
        let since = *current.entry(row.stream.clone()).or_insert(listed.moved_at_ms);
        tell(INBOUND, &held.accord.provider, &row.stream, Some(since));
    }
    Ok(())
}

fn runs(house: &House, held: &Held, state: StreamState) -> bool {
    state != StreamState::Ended && held.state(house.clock().today()) == AgreementState::InForce
}

/// How many entries wait for their receipt, and since when the oldest does. What is not paged yet may turn out to be none
/// of the consumer's business.
async fn waiting(house: &House, row: &Outbound) -> Result<(u64, Option<i64>)> {
    let ledger = &house.ground.ledger;
    let head = ledger.head().await?;
    let paged = if head.epoch > row.epoch { 0 } else { row.position };
    let sent = house.store.page_made_at(&row.stream, row.epoch, row.acked + 1).await?;
    let entry = ledger.entries_between(paged + 1, paged + 1).await?.first().map(|entry| entry.written_at_ms);
    let behind = house.store.outbound_waiting(row).await? + head.position.saturating_sub(paged);
    Ok((behind, sent.into_iter().chain(entry).min()))
}
