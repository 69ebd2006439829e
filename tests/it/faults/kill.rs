//! SIGKILL under load: what was accepted is settled once for each function, nothing lost and nothing twice.

use std::time::{Duration, Instant};

use super::Random;
use super::load::{self, Load};

const KILLS: usize = 500;
/// How long a process lives after it listens, at most.
const LIFE_MICROS_MAX: u64 = 150_000;
/// A start takes about as long; one in four is killed within it.
const START_MICROS_MAX: u64 = 100_000;

/// One in 64 has data for the blob store.
fn event(index: usize) -> serde_json::Value {
    if index % 64 == 63 { load::large(index, 70_000) } else { load::small(index) }
}

#[test]
fn what_was_accepted_is_settled_once_for_each_function_whenever_the_process_is_killed() {
    let (mut random, started) = (Random::seeded(), Instant::now());
    let (project, load) = (load::project(), Load::new(event));
    let mut in_starts = 0;
    for _ in 0..KILLS {
        let starting = project.start();
        if random.chance(2) {
            in_starts += 1;
            // No wait for something: the instant is what is random here.
            std::thread::sleep(Duration::from_micros(random.below(START_MICROS_MAX)));
            starting.kill();
        } else {
            let life = Duration::from_micros(random.below(LIFE_MICROS_MAX));
            load.send_until_killed(starting.listening(), life);
        }
    }
    println!("{KILLS} kills, {in_starts} of them at a start, {:?}", started.elapsed());
    load.finish(&project.up());
    println!("checked after {:?}", started.elapsed());
}
