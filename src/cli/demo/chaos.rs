//! Kills the project at random moments of the story, where that is asked for: the story must end the same.
//!
//! A moment is counted in events of the path, so that the kills are spread over the story however fast the machine is, and lies
//! a little after the event that it counts, so that what is under way is cut anywhere. What was under way at three kills is a
//! dead letter, as it should be, and would be another story: what two have cut off already is let end first.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::super::CliError;
use super::follow::Log;
use super::server::Server;
use crate::api::model::InvocationView;
use crate::event::Position;
use crate::outcome::FailureKind;

/// From one kill to the next at most.
const EVENTS_MAX: u32 = 4;
const AFTER_MICROS_MAX: u32 = 20_000;

/// When to strike next, by a seed.
pub struct Chaos {
    chance: ChaCha8Rng,
    /// The number of events that the next kill waits for.
    next: usize,
    left: u32,
    /// How often the project was killed.
    pub struck: u32,
}

impl Chaos {
    /// `crashes` of them, at moments that follow from the seed.
    pub fn seeded(seed: u64, crashes: u32) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let next = below(EVENTS_MAX, &mut chance) as usize;
        Chaos { chance, next, left: crashes, struck: 0 }
    }

    /// Kills and starts the project again if its log has reached the moment; answers the last event that was seen before.
    pub async fn strike(&mut self, events: usize, server: &Server, log: &Log) -> Result<Option<Position>, CliError> {
        if self.left == 0 || events < self.next || is_twice_lost(&server.invocations().await?) {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_micros(below(AFTER_MICROS_MAX, &mut self.chance).into())).await;
        let last = log.position();
        server.crash().await?;
        self.left -= 1;
        self.struck += 1;
        // Moments that went by meanwhile are made up for, one with each event.
        self.next = (self.next + 1 + below(EVENTS_MAX, &mut self.chance) as usize).max(events + 1);
        Ok(Some(last))
    }
}

/// Whether something was cut off twice and has not ended since.
fn is_twice_lost(attempts: &[InvocationView]) -> bool {
    let lost = |one: &&InvocationView| {
        one.attempt >= 2 && one.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::HostLost)
    };
    let followed = |one: &InvocationView| {
        let same = |other: &InvocationView| other.position == one.position && other.function_id == one.function_id;
        attempts.iter().any(|other| same(other) && other.attempt > one.attempt)
    };
    attempts.iter().filter(lost).any(|one| !followed(one))
}

fn below(limit: u32, chance: &mut ChaCha8Rng) -> u32 {
    chance.next_u32() % limit
}
