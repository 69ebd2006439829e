//! Power cuts under load: what was answered 202 is there, whatever the disk made of what was not synced.

use std::time::{Duration, Instant};

use super::Random;
use super::disk::{Cut, Disk, Error, Fault};
use super::load::{self, Load};

const LIVES: usize = 40;
/// How long a process lives after it listens, at most; one in eight is killed while it starts.
const LIFE_MILLIS_MAX: u64 = 700;
const START_MILLIS_MAX: u64 = 150;

/// Some have data for the blob store, and some so much that the log is soon moved into its file.
fn event(index: usize) -> serde_json::Value {
    match index % 16 {
        3 => load::large(index, 40_000),
        7 | 11 => load::large(index, 70_000),
        _ => load::small(index),
    }
}

#[test]
fn what_was_accepted_is_there_and_settled_once_after_power_cuts() {
    let (mut random, started) = (Random::seeded(), Instant::now());
    let ((mut disk, project), load) = (Disk::of(load::project()), Load::new(event));
    let mut cuts = 0;
    for _ in 0..LIVES {
        let starting = project.start();
        if random.chance(1) {
            // No wait for something: the instant is what is random here.
            std::thread::sleep(Duration::from_millis(random.below(START_MILLIS_MAX)));
            starting.kill();
        } else {
            let life = Duration::from_millis(random.below(LIFE_MILLIS_MAX));
            load.send_until_killed(starting.listening(), life);
        }
        if random.chance(6) {
            cuts += 1;
            disk.cut(Cut::Any, &mut random);
        } else {
            // What the process did not sync is on its way still, and may be lost at the next cut.
            disk.keep();
        }
    }
    println!("{cuts} power cuts in {LIVES} lives, {:?}", started.elapsed());
    load.finish(&project.up());
    println!("checked after {:?}", started.elapsed());
}

/// Syncs that the runtime makes, and whether it is the first start that makes them. Where one of them does nothing, a cut
/// takes something that was accepted: so each is needed, and the disk above does lose what was not synced.
const SYNCS: [(&str, bool); 7] = [
    ("..", true),
    (".", true),
    ("log.db", false),
    ("log.db-wal", false),
    ("blobs", false),
    ("blobs/??", false),
    ("blobs/unfinished/*", false),
];

#[test]
fn what_was_accepted_is_lost_where_a_sync_does_nothing_and_only_there() {
    let mut random = Random::seeded();
    assert_eq!(lost(None, &mut random), 0, "nothing lied");
    for (path, at_first) in SYNCS {
        let lost = lost(Some((path, at_first)), &mut random);
        println!("{lost} events lost where the sync of {path} lies");
        assert!(lost > 0, "the sync of {path}");
    }
}

/// How many events are lost that two processes accepted, one after the other.
fn lost(lies: Option<(&str, bool)>, random: &mut Random) -> usize {
    let ((mut disk, project), load) = (Disk::of(load::project()), Load::new(event));
    if let Some((path, at_first)) = lies {
        if !at_first {
            project.up().kill();
            disk.keep();
        }
        disk.spoil(&Fault { calls: "s", path, after: 0, error: Error::Lie });
    }
    for events in [16, 32] {
        let server = project.up();
        while load.sent() < events {
            let answer = load.send(0, &server.api).expect("the server lives and answers");
            assert_eq!(answer.status, 202, "{}", answer.body);
        }
        server.kill();
        disk.keep();
    }
    disk.cut(Cut::Nothing, random);
    // A log that cannot be opened has lost all there was.
    project.start().try_listening().map_or(load.sent(), |server| load.lost(&server))
}
