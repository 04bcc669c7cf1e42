//! Wrong tokens, by the address they come from: the more, the longer the answer waits. Who brings a right one never waits.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::config::{Limits, ms};

/// How fast wrong tokens are forgotten: one of an address in each of these.
const FORGET: Duration = Duration::from_secs(1);
/// The first wait beyond what is free; each further doubles it.
const FIRST: Duration = Duration::from_millis(100);
/// Answers that wait at once; beyond them callers hear `BUSY`.
const WAITING_MAX: usize = 1_024;

/// How many wrong tokens came from where lately.
pub(super) struct Guesses {
    free: u32,
    most: Duration,
    addresses_max: usize,
    /// How many, and when the last of them was counted.
    held: Mutex<HashMap<IpAddr, (u32, Instant)>>,
    waiting: Semaphore,
}

impl Guesses {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            free: limits.wrong_tokens_free,
            most: ms(limits.wrong_token_delay_max_ms),
            addresses_max: limits.wrong_token_addresses_max,
            held: Mutex::default(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// A place to wait in; `None`: too many wait.
    pub(super) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.waiting.try_acquire().ok()
    }

    /// Counts one more wrong token of an address; answers how long its answer waits.
    pub(super) fn wrong(&self, address: IpAddr, now: Instant) -> Duration {
        let address = network(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= self.addresses_max && !held.contains_key(&address) {
            held.retain(|_, (count, at)| left(*count, *at, now) > 0);
            // All of them guess: whoever did so longest ago makes room.
            let oldest = held.iter().min_by_key(|(_, (_, at))| *at).map(|(address, _)| *address);
            if let Some(oldest) = oldest.filter(|_| held.len() >= self.addresses_max) {
                held.remove(&oldest);
            }
        }
        let (count, at) = held.entry(address).or_insert((0, now));
        *count = left(*count, *at, now).saturating_add(1);
        *at = now;
        let beyond = count.saturating_sub(self.free);
        if beyond == 0 { Duration::ZERO } else { FIRST.saturating_mul(1 << (beyond - 1).min(20)).min(self.most) }
    }
}

/// What is left of a count after a while.
fn left(count: u32, at: Instant, now: Instant) -> u32 {
    let forgotten = now.saturating_duration_since(at).as_millis() / FORGET.as_millis();
    count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
}

/// Whoever has an address of version 6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() >> 64 << 64).into()),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn guesses(addresses_max: usize) -> Guesses {
        let limits = Config::defaults().unwrap().limits;
        Guesses::new(&Limits {
            wrong_tokens_free: 3,
            wrong_token_delay_max_ms: 1_000,
            wrong_token_addresses_max: addresses_max,
            ..limits
        })
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_more_the_longer_and_after_a_while_not() {
        let (guesses, now) = (guesses(10), Instant::now());
        let waits: Vec<u128> = (0..9).map(|_| guesses.wrong(at("10.0.0.1"), now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(guesses.wrong(at("10.0.0.2"), now), Duration::ZERO, "another address");
        assert_eq!(guesses.wrong(at("10.0.0.1"), now + Duration::from_secs(4)), ms(400), "some are forgotten");
        assert_eq!(guesses.wrong(at("10.0.0.1"), now + Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn addresses_are_bounded_and_networks_are_one() {
        let (guesses, now) = (guesses(4), Instant::now());
        for n in 0..200_u8 {
            guesses.wrong(at(&format!("10.0.1.{n}")), now + Duration::from_millis(n.into()));
            assert!(guesses.held.lock().unwrap().len() <= 4);
        }
        let six: Vec<Duration> = (1..=4).map(|n| guesses.wrong(at(&format!("2001:db8::{n}")), now)).collect();
        assert_eq!(six.last(), Some(&ms(100)), "one network");
        assert_eq!(network(at("::ffff:10.0.0.1")), at("10.0.0.1"));
    }
}
