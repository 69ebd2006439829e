//! A disk that is full, or fails: every kind of write that the runtime makes.
//!
//! A full disk refuses what is new and forgets nothing, and all goes on by itself once there is room. A disk that failed
//! ends the process, for nobody knows what it kept; the next start has all that was accepted.

use std::time::Instant;

use super::Random;
use super::disk::{Cut, Disk, Error, Fault};
use super::load::{self, Load};
use crate::support::{PATIENCE, Server, eventually};

const FULL: u16 = 507;
const UNAVAILABLE: u16 = 503;

/// How many calls succeed before the first that fails. There are many writes in what one sync makes durable.
fn before(calls: &str, random: &mut Random) -> u64 {
    random.below(if calls == "s" { 2 } else { 6 })
}

/// Data in the log, so that it is soon moved into its file; data in the blob store; and data whose recording goes there too.
fn event(index: usize) -> serde_json::Value {
    match index % 16 {
        1 | 3 | 5 | 7 | 9 | 11 => load::large(index, 60_000),
        2 | 6 | 10 => load::large(index, 70_000),
        14 => load::large(index, 600_000),
        _ => load::small(index),
    }
}

/// Writes for which there may be no room, and whether something new is refused then.
const NO_ROOM: [(&str, &str, bool); 7] = [
    ("w", "log.db-wal", true),
    ("w", "log.db", false),
    ("w", "starts", false),
    ("c", "blobs/unfinished/*", true),
    ("w", "blobs/unfinished/*", true),
    ("d", "blobs/??", true),
    ("r", "blobs/??/*", true),
];

#[test]
fn a_full_disk_refuses_what_is_new_and_all_goes_on_by_itself_once_there_is_room() {
    let mut random = Random::seeded();
    let ((mut disk, project), load) = (Disk::of(load::project()), Load::new(event));
    let server = project.up();
    for (calls, path, refuses) in NO_ROOM {
        let fault = Fault { calls, path, after: before(calls, &mut random), error: Error::Full };
        disk.spoil(&fault);
        let refused = send_until_met(&mut disk, &load, &server, &fault, refuses);
        println!("no room for {calls} of {path}: {refused} refused");
        disk.mend();
        wait_until_accepted(&load, &server);
    }
    the_reserve_is_set_aside_before_anything_new_is_accepted(&mut disk, &load, &server);
    load.finish(&server);
    assert_eq!(server.stop().code(), Some(0));
}

/// Sends until a call has failed and, if it should be, something was refused. Answers how often something was.
#[track_caller]
fn send_until_met(disk: &mut Disk, load: &Load, server: &Server<'_>, fault: &Fault<'_>, refuses: bool) -> usize {
    let (started, mut refused) = (Instant::now(), 0);
    while disk.faults() == 0 || (refuses && refused == 0) {
        let answer = load.send(0, &server.api).expect("the server lives and answers");
        match answer.status {
            202 => {}
            FULL if refuses => refused += 1,
            other => panic!("{} of {}: {other} {}", fault.calls, fault.path, answer.body),
        }
        assert!(started.elapsed() < PATIENCE, "{} of {} is not met, or not told", fault.calls, fault.path);
    }
    refused
}

/// Nothing is told to the server, and it is not started anew.
#[track_caller]
fn wait_until_accepted(load: &Load, server: &Server<'_>) {
    eventually("what is new is accepted again", || {
        let answer = load.send(0, &server.api).expect("the server lives and answers");
        (answer.status == 202).then_some(())
    });
}

#[track_caller]
fn the_reserve_is_set_aside_before_anything_new_is_accepted(disk: &mut Disk, load: &Load, server: &Server<'_>) {
    // The log and the reserve: `l` and `r`.
    let fault = Fault { calls: "cw", path: "[lr]*", after: 0, error: Error::Full };
    disk.spoil(&fault);
    send_until_met(disk, load, server, &fault, true);
    // Now there is room for the log, and none for the reserve that it took the place of.
    disk.spoil(&Fault { calls: "c", path: "reserve", after: 0, error: Error::Full });
    eventually("the reserve is tried", || (disk.faults() > 0).then_some(()));
    assert_eq!(load.send(0, &server.api).expect("the server lives and answers").status, FULL);
    disk.mend();
    wait_until_accepted(load, server);
}

/// Writes that fail, of which the process must end.
const FAILS: [(&str, &str); 10] = [
    ("w", "log.db-wal"),
    ("s", "log.db-wal"),
    ("w", "log.db"),
    ("c", "blobs/unfinished/*"),
    ("w", "blobs/unfinished/*"),
    ("s", "blobs/unfinished/*"),
    ("d", "blobs/??"),
    ("r", "blobs/??/*"),
    ("s", "blobs/??"),
    ("s", "blobs"),
];

#[test]
fn a_disk_that_fails_ends_the_process_and_the_next_start_has_all_that_was_accepted() {
    let mut random = Random::seeded();
    let ((mut disk, project), load) = (Disk::of(load::project()), Load::new(event));
    for (calls, path) in FAILS {
        // A sync that says there is no room has failed as any other: what it was to write may be nowhere.
        for error in if calls == "s" { &[Error::Broken, Error::Full][..] } else { &[Error::Broken] } {
            let server = project.up();
            disk.spoil(&Fault { calls, path, after: before(calls, &mut random), error: *error });
            let unavailable = send_until_cut_off(&load, &server, path);
            assert_eq!(server.ended().code(), Some(1), "{calls} of {path}");
            println!("{calls} of {path}, {error:?}: {unavailable} unavailable");
            disk.mend();
            // A disk that fails is often gone a moment later.
            disk.cut(Cut::Any, &mut random);
        }
    }
    load.finish(&project.up());
}

/// Answers how often it was told that nothing can be accepted.
#[track_caller]
fn send_until_cut_off(load: &Load, server: &Server<'_>, path: &str) -> usize {
    let (started, mut unavailable) = (Instant::now(), 0);
    while let Ok(answer) = load.send(0, &server.api) {
        match answer.status {
            202 => {}
            UNAVAILABLE => unavailable += 1,
            other => panic!("{path}: {other} {}", answer.body),
        }
        assert!(started.elapsed() < PATIENCE, "{path}: the process does not end");
    }
    unavailable
}

/// Writes of what only saves time, or tells more: deliveries that are out, compiled components.
const HELPS: [(&str, &str); 3] = [("w", "starts"), ("c", "cache/tidegate/*"), ("w", "cache/tidegate/*")];

#[test]
fn what_is_only_a_help_may_fail() {
    for (calls, path) in HELPS {
        let project = load::project();
        let cache = project.folder().canonicalize().expect("it is there").join(".tidegate/cache");
        let project = project.env("XDG_CACHE_HOME", cache.to_str().expect("a temporary folder's name is text"));
        let ((mut disk, project), load) = (Disk::of(project), Load::new(event));
        let fault = Fault { calls, path, after: 0, error: Error::Broken };
        disk.spoil(&fault);
        let server = project.up();
        wait_until_accepted(&load, &server);
        assert_eq!(send_until_met(&mut disk, &load, &server, &fault, false), 0);
        load.finish(&server);
        disk.mend();
        assert_eq!(server.stop().code(), Some(0), "{calls} of {path}");
    }
}

/// Writes of a start, which then is none.
const STARTS: [(&str, &str); 10] = [
    ("s", ".."),
    ("s", "."),
    ("s", "log.db-wal"),
    ("w", "log.db"),
    ("s", "log.db"),
    ("t", "log.db-wal"),
    ("t", "log.db-shm"),
    ("t", "starts"),
    ("d", "blobs/unfinished"),
    ("s", "blobs"),
];

#[test]
fn a_disk_that_fails_or_is_full_at_a_start_ends_it_and_costs_nothing() {
    let ((mut disk, project), load) = (Disk::of(load::project()), Load::new(event));
    for (calls, path) in STARTS {
        for error in [Error::Broken, Error::Full] {
            // What a start has to do depends on what a death left.
            let server = project.up();
            wait_until_accepted(&load, &server);
            server.kill();
            disk.keep();
            disk.spoil(&Fault { calls, path, after: 0, error });
            assert_eq!(project.start().ended().code(), Some(1), "{calls} of {path}, {error:?}");
            assert!(disk.faults() > 0, "{calls} of {path} is not met");
            disk.mend();
            disk.keep();
        }
    }
    load.finish(&project.up());
}

const FIRST_STARTS: usize = 12;
/// About as many calls that change something are made by a first start.
const FIRST_CALLS_MAX: u64 = 150;

#[test]
fn a_first_start_that_fails_anywhere_is_made_up_for_by_the_next() {
    let (mut random, mut faults) = (Random::seeded(), 0);
    for _ in 0..FIRST_STARTS {
        let ((mut disk, project), load) = (Disk::of(load::project()), Load::new(event));
        let error = if random.chance(4) { Error::Broken } else { Error::Full };
        disk.spoil(&Fault { calls: "cdrstuw", path: "*", after: random.below(FIRST_CALLS_MAX), error });
        match project.start().try_listening() {
            Ok(server) => drop(server),
            Err(status) => assert_eq!(status.code(), Some(1)),
        }
        faults += disk.faults();
        disk.mend();
        disk.cut(Cut::Any, &mut random);
        let server = project.up();
        wait_until_accepted(&load, &server);
        load.finish(&server);
    }
    assert!(faults > 0, "no start made so many calls");
}

/// Writes of a stop, after which nothing is left to accept.
const STOPS: [(&str, &str); 6] =
    [("s", "log.db-wal"), ("w", "log.db"), ("s", "log.db"), ("t", "log.db-wal"), ("u", "log.db-wal"), ("t", "starts")];

#[test]
fn a_disk_that_fails_at_a_stop_costs_nothing() {
    let mut random = Random::seeded();
    let ((mut disk, project), load) = (Disk::of(load::project()), Load::new(event));
    for (calls, path) in STOPS {
        let server = project.up();
        wait_until_accepted(&load, &server);
        disk.spoil(&Fault { calls, path, after: 0, error: Error::Broken });
        let status = server.stop();
        // Not by a panic.
        assert!(matches!(status.code(), Some(0 | 1)), "{calls} of {path}: {status}");
        assert!(disk.faults() > 0, "{calls} of {path} is not met");
        disk.mend();
        disk.cut(Cut::Any, &mut random);
    }
    load.finish(&project.up());
}
