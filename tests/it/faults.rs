//! Promises 1 and 2 where things fail: a process that is killed, a power cut, a disk that is full, one that fails.
//!
//! Each test prints its seed; `TIDEGATE_SEED` repeats what it chose.

mod disk;
mod errors;
mod kill;
mod load;
mod power;

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that depend on a seed alone (SplitMix64).
struct Random(u64);

impl Random {
    /// Starts from the seed that is given, or else from the time, and prints it.
    fn seeded() -> Self {
        let given = std::env::var("TIDEGATE_SEED").ok().map(|text| text.parse().expect("TIDEGATE_SEED is a number"));
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_micros() as u64;
        let seed = given.unwrap_or_else(now);
        println!("TIDEGATE_SEED={seed}");
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Numbers of its own, however many of them are taken: what is chosen here after that stays the same.
    fn apart(&mut self) -> Self {
        Random(self.next())
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True in so many of eight cases.
    fn chance(&mut self, of_eight: u64) -> bool {
        self.below(8) < of_eight
    }
}
