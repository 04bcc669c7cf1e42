//! The end of a history: the weather turns fine, operators say what they have to say, and everything must add up.

use std::collections::BTreeMap;

use bytes::Bytes;
use qianshou_exchange::domain::provider;
use qianshou_kernel::{id::Name, ledger::Content};
use qianshou_proto::exchange::v1::StreamState;

use super::{
    Lawful, cast, must,
    world::{Stream, World},
};

/// Steps in which a history must come to rest, and rounds of heartbeats.
const STEPS_MAX: u64 = 50_000;
const ROUNDS_MAX: u32 = 400;
/// Rounds that change nothing before it is called rest: a call that was closed is made again in the next one.
const QUIET_ROUNDS: u32 = 3;
/// Declarations that may be needed: a node restored to before an epoch has to declare it again, and the next.
const DECLARATIONS_MAX: u32 = 30;

impl World {
    /// Everything comes to rest, divergence is declared, and then all must be there.
    pub fn finish(&mut self, steps: &mut u64) -> Lawful {
        for stream in &mut self.streams {
            stream.hang_up();
        }
        self.settle(steps)?;
        let mut declared = 0;
        while self.declare_divergence()? {
            declared += 1;
            must(declared < DECLARATIONS_MAX, "no-fork", || "a declared epoch does not help".to_owned())?;
            self.settle(steps)?;
        }
        (0..self.streams.len()).try_for_each(|stream| {
            self.check_inbound(stream)?;
            self.check_rest(stream)?;
            self.check_equal(stream)?;
            self.check_counts(stream)
        })
    }

    /// Heartbeats, calls and a faithful network, until rounds change nothing that is kept.
    fn settle(&mut self, steps: &mut u64) -> Lawful {
        let last = *steps + STEPS_MAX;
        let mut kept = self.kept();
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            for stream in 0..self.streams.len() {
                if self.streams[stream].inbound.is_none() {
                    self.call(stream);
                }
                self.beat(stream);
            }
            let mut moving = true;
            while moving {
                moving = false;
                for stream in 0..self.streams.len() {
                    moving |= self.proceed(stream, false)?;
                    *steps += 1;
                }
                must(*steps < last, "quiescence", || format!("still moving after {STEPS_MAX} steps"))?;
            }
            let now = self.kept();
            quiet = if now == kept { quiet + 1 } else { 0 };
            if quiet == QUIET_ROUNDS {
                return Ok(());
            }
            kept = now;
        }
        must(false, "quiescence", || format!("still changing after {ROUNDS_MAX} rounds"))
    }

    fn kept(&self) -> Vec<(provider::Outbound, u64, u64)> {
        let row = |Stream { accord, from, to, .. }: &Stream| {
            let (sent, got) = (self.nodes[*from].disk.outbound(&accord.id), self.nodes[*to].disk.inbound(&accord.id));
            (sent, got.cursor.epoch, got.cursor.number)
        };
        self.streams.iter().map(row).collect()
    }

    /// Law of the restored provider: a stream whose sides hold different pages stands still, and says so, until a new epoch is
    /// declared. Answers whether one was.
    fn declare_divergence(&mut self) -> Lawful<bool> {
        let mut diverged = vec![];
        for (at, Stream { accord, from, to, .. }) in self.streams.iter().enumerate() {
            let (sent, got) =
                (self.nodes[*from].disk.outbound(&accord.id), self.nodes[*to].disk.inbound(&accord.id).cursor);
            let made = self.nodes[*from].memory.made.get(&(at, got.epoch, got.number));
            let forked = got.epoch > sent.epoch
                || (got.epoch == sent.epoch && got.number > 0 && made.is_none_or(|made| got.digest != *made));
            let due = if forked { StreamState::Stopped } else { StreamState::Running };
            must(sent.state == due, "no-fork", || format!("{} is {:?}, not {due:?}", accord.id, sent.state))?;
            diverged.extend(forked.then_some(*from));
        }
        diverged.sort_unstable();
        diverged.dedup();
        for node in &diverged {
            self.nodes[*node].disk.declare_epoch();
        }
        Ok(!diverged.is_empty())
    }

    fn check_rest(&self, stream: usize) -> Lawful {
        let Stream { accord, from, to, inbound, .. } = &self.streams[stream];
        let (sent, got) = (self.nodes[*from].disk.outbound(&accord.id), self.nodes[*to].disk.inbound(&accord.id));
        let head = self.nodes[*from].disk.head();
        let paged = (sent.epoch, sent.position, sent.snapshot) == (head.epoch, head.position, None);
        let arrived = sent.acked == sent.last() && (got.cursor.epoch, got.cursor.number) == (sent.epoch, sent.last());
        let told = inbound.as_ref().is_some_and(|inbound| inbound.machine.up_to_date());
        must(paged && arrived && told, "quiescence", || {
            format!("paged {paged}, arrived {arrived}, told {told}: {sent:?} {got:?}")
        })
    }

    /// The consumer has what is live and in scope at home, byte for byte as it may be seen, and nothing else of that home. A change
    /// that cannot be seen is not sent, so a version may stay behind.
    fn check_equal(&self, stream: usize) -> Lawful {
        let Stream { accord, from, to, .. } = &self.streams[stream];
        let live = |node: usize| {
            let entries = self.nodes[node]
                .disk
                .after(0, &[], u32::MAX)
                .into_iter()
                .filter(|entry| entry.name.home() == accord.provider);
            entries.filter_map(|entry| match entry.content {
                Content::Put { payload, .. } => Some((entry.name, payload)),
                Content::End(_) => None,
            })
        };
        let due: BTreeMap<Name, Bytes> =
            live(*from).filter_map(|(name, payload)| cast::seen(&name, &payload).map(|seen| (name, seen))).collect();
        let held: BTreeMap<Name, Bytes> = live(*to).collect();
        must(due == held, "consumer-equals-provider", || format!("{held:?} is held, {due:?} is due"))
    }

    fn check_counts(&self, stream: usize) -> Lawful {
        let Stream { accord, to, .. } = &self.streams[stream];
        let node = &self.nodes[*to];
        let oracle = node.memory.oracles.get(&stream).cloned().unwrap_or_default();
        let row = node.disk.inbound(&accord.id);
        let counted = (row.pages, row.entries, row.applied, row.quarantined, node.disk.set_aside(&accord.id));
        let due =
            (oracle.pages, oracle.applied + oracle.quarantined, oracle.applied, oracle.quarantined, oracle.quarantined);
        must(counted == due, "counts", || format!("{counted:?}, not {due:?}"))?;
        let claims = node.disk.claims(&accord.id);
        must(claims == oracle.swept, "no-fork", || format!("claims {claims:?}, not {:?}", oracle.swept))
    }
}
