//! Where inputs come from: numbers that a seed decides, and what breaks bytes.

use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};

use super::script::put_length;

/// Bytes of an input at most.
pub const INPUT_MAX_BYTES: usize = 64 << 10;

/// Numbers at which programs go wrong.
const EDGES: [u64; 18] = [
    0,
    1,
    2,
    7,
    63,
    127,
    128,
    255,
    256,
    16_383,
    16_384,
    65_535,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Bytes at which programs go wrong.
const ODD_BYTES: [u8; 16] = [0, 1, 2, 3, 7, 10, 11, 0x12, 0x22, 0x7f, 0x80, 0x81, 0xc3, 0xe4, 0xf0, 0xff];

/// Ends that are not ASCII, or not even text.
const TAILS: [&[u8]; 10] = [
    "年".as_bytes(),
    "０".as_bytes(),
    "é".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{130}".as_bytes(),
    "\u{3000}".as_bytes(),
    &[0xe5, 0xb9],
    &[0xff],
    &[0],
];

/// Chance, the same for the same seed, target and execution.
pub struct Chance(StdRng);

impl Chance {
    /// The chance of one execution.
    #[must_use]
    pub fn of(seed: u64, target: &str, execution: u64) -> Self {
        let name = target
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(StdRng::seed_from_u64(mixed(mixed(seed ^ name).wrapping_add(execution))))
    }

    /// A number below `most`; 0 if there is none.
    pub fn below(&mut self, most: usize) -> usize {
        if most == 0 { 0 } else { self.0.random_range(0..most) }
    }

    /// Whether it happens, so many times of a hundred.
    pub fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A number, often one at which programs go wrong.
    pub fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => *self.one(&EDGES),
            1 => self.0.next_u64(),
            2 => self.one(&EDGES).wrapping_add(self.below(5) as u64).wrapping_sub(2),
            _ => self.below(1000) as u64,
        }
    }

    /// Bytes of which nothing is known.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.below(most + 1)];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Breaks bytes in a few places; `others` are inputs of the same sort.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let times = 1 << self.below(4);
        for _ in 0..=self.below(times) {
            self.mutate_once(bytes, others);
        }
        bytes.truncate(INPUT_MAX_BYTES);
    }

    fn mutate_once(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let (from, to) = self.range(bytes.len());
        match self.below(13) {
            0 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.below(8);
            }
            1 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] = *self.one(&ODD_BYTES);
            }
            // A length that lies by a little.
            2 if !bytes.is_empty() => {
                let (at, by) = (self.below(bytes.len()), self.below(9) as u8);
                bytes[at] = bytes[at].wrapping_add(by).wrapping_sub(4);
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(from..to)),
            5 => {
                let again = bytes[from..to].to_vec();
                bytes.splice(at..at, again);
            }
            6 => {
                let more = self.bytes(8);
                bytes.splice(at..at, more);
            }
            7 => {
                let tail = *self.one(&TAILS);
                let at = if self.percent(50) { bytes.len() } else { at };
                bytes.splice(at..at, tail.iter().copied());
            }
            8 => {
                let mut length = vec![];
                put_length(&mut length, self.number());
                bytes.splice(at..at, length);
            }
            // A message within a message within a message.
            9 => {
                for _ in 0..1 << self.below(8) {
                    let mut outer = vec![(8 * (1 + self.below(15) as u8)) | 2];
                    put_length(&mut outer, bytes.len() as u64);
                    if outer.len() + bytes.len() > INPUT_MAX_BYTES {
                        break;
                    }
                    bytes.splice(0..0, outer);
                }
            }
            10 if !others.is_empty() => {
                let other = self.one(others);
                let (first, last) = self.range(other.len());
                bytes.splice(from..to, other[first..last].iter().copied());
            }
            11 => bytes[from..to].reverse(),
            _ => {
                let part = bytes[from..to].to_vec();
                for _ in 0..self.below(40) {
                    if bytes.len() + part.len() > INPUT_MAX_BYTES {
                        break;
                    }
                    bytes.splice(from..from, part.iter().copied());
                }
            }
        }
    }

    fn range(&mut self, length: usize) -> (usize, usize) {
        let (one, other) = (self.below(length + 1), self.below(length + 1));
        let (from, to) = (one.min(other), one.max(other));
        if self.percent(70) { (from, to.min(from + 16)) } else { (from, to) }
    }
}

/// `SplitMix64`. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators".
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_the_same_again_and_another_is_not() {
        let drawn = |seed, target: &str, execution| {
            let mut chance = Chance::of(seed, target, execution);
            let mut bytes = b"\x0a\x03abc\x12\x02de".to_vec();
            chance.mutate(&mut bytes, &[b"other".to_vec()]);
            (chance.0.next_u64(), bytes)
        };
        assert_eq!(drawn(1, "mask", 7), drawn(1, "mask", 7));
        for other in [drawn(2, "mask", 7), drawn(1, "page", 7), drawn(1, "mask", 8)] {
            assert_ne!(drawn(1, "mask", 7).0, other.0);
        }
    }
}
