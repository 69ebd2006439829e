//! The guest's clocks. Both start when the guest first looks at one, so that every attempt begins at the same instant.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::Answer;
use crate::clock::Timestamp;

/// Time since the guest first looked at a clock.
#[derive(Default)]
pub(super) struct Elapsed(OnceLock<Instant>);

impl Elapsed {
    fn get(&self) -> Duration {
        let now = Instant::now();
        now.saturating_duration_since(*self.0.get_or_init(|| now))
    }

    /// The first attempt's time, and what has passed in this one.
    pub(super) fn wall_clock(&self, start: Timestamp) -> Answer {
        let start = Duration::from_micros(u64::try_from(start.as_micros()).unwrap_or(0));
        nanoseconds(start + self.get())
    }

    pub(super) fn monotonic_clock(&self) -> Answer {
        nanoseconds(self.get())
    }
}

fn nanoseconds(duration: Duration) -> Answer {
    Answer::Nanoseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
