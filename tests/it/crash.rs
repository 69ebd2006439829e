//! Promises 1 and 2 under SIGKILL: what was accepted is settled once for each function, nothing lost and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::http;
use crate::stage::{Stage, emitted_by, event, log, wait_until_settled};
use crate::support::{Project, Server};

const CRASHES: usize = 50;
const EVENTS: usize = 2_000;
const SENDERS: usize = 3;
/// How long a process lives after it listens, at most.
const LIFE_MILLIS_MAX: u64 = 120;

/// Senders that send an event until it is accepted, as those of webhooks do, over as many processes as that takes.
#[derive(Default)]
struct Senders {
    next: AtomicUsize,
    accepted: AtomicUsize,
    /// What each has in hand: its request was cut off, so that it was not accepted, and is there or not.
    held: [Mutex<Option<usize>>; SENDERS],
}

impl Senders {
    /// Starts a process, and sends to it until it is killed after `life`.
    fn send_until_killed(&self, project: &Project, life: Duration) {
        let server = project.up();
        let api = server.api.clone();
        std::thread::scope(|scope| {
            for held in &self.held {
                // Whatever cuts a request off, it is the process's death: `kill` sees that it did not die by itself.
                scope.spawn(|| self.send(&api, held));
            }
            // No wait for something: the length of a life is what is random here.
            std::thread::sleep(life);
            server.kill();
        });
    }

    /// Sends all there is to a process that lives: it cuts nothing off.
    fn send_all(&self, server: &Server<'_>) {
        std::thread::scope(|scope| {
            for held in &self.held {
                scope.spawn(|| self.send(&server.api, held).expect("the server lives and answers"));
            }
        });
    }

    /// Sends until a request is cut off or everything was accepted.
    fn send(&self, api: &str, held: &Mutex<Option<usize>>) -> io::Result<()> {
        let mut held = held.lock().expect("no sender panicked");
        loop {
            let index = held.take().unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
            if index >= EVENTS {
                return Ok(());
            }
            *held = Some(index);
            let body = event(&format!("e-{index}"), "test.count", &format!("key-{}", index % 3)).to_string();
            let answer = http::try_post(api, "/events", &[http::STRUCTURED], body.as_bytes())?;
            assert_eq!(answer.status, 202, "e-{index}: {}", answer.body);
            *held = None;
            self.accepted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn seed() -> u64 {
    let given = std::env::var("TIDEGATE_SEED").ok().map(|text| text.parse().expect("TIDEGATE_SEED is a number"));
    given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_micros() as u64)
}

/// Numbers that depend on the seed alone (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn what_was_accepted_is_settled_once_for_each_function_whenever_the_process_is_killed() {
    let (seed, started) = (seed(), Instant::now());
    println!("TIDEGATE_SEED={seed}");
    let project = Stage::new("")
        .hostile("first", &["test.count"], "write = [\"counts\"]", "concurrency = 4")
        .hostile("second", &["test.done"], "write = [\"done\"]", "when = 'origin.name == \"first\"'\nconcurrency = 4")
        .project();
    let (senders, mut random) = (Senders::default(), seed);
    for _ in 0..CRASHES {
        let life = Duration::from_micros(next(&mut random) % (LIFE_MILLIS_MAX * 1_000));
        senders.send_until_killed(&project, life);
    }
    let before = senders.accepted.load(Ordering::Relaxed);
    let server = project.up();
    senders.send_all(&server);
    wait_until_settled(&server);
    assert_eq!(senders.accepted.load(Ordering::Relaxed), EVENTS);

    let log = log(&server);
    let sent: Vec<&Value> = log.iter().filter(|event| event["event"]["type"] == "test.count").collect();
    let ids: BTreeSet<&str> = sent.iter().map(|event| id(event)).collect();
    assert_eq!((sent.len(), ids.len()), (EVENTS, EVENTS), "each accepted event is in the log once");
    let letters = dead_letters(&server);
    let done: Vec<&Value> = log.iter().filter(|event| event["origin"]["name"] == "first").collect();
    check_settled(&log, "first", &sent, &letters);
    check_settled(&log, "second", &done, &letters);
    check_counters(&sent, &log);
    check_invocations(&server, &[("first", &sent), ("second", &done)]);
    println!(
        "{CRASHES} crashes, {before} of {EVENTS} events accepted between them, {} dead letters, {:?}",
        letters.len(),
        started.elapsed()
    );
}

fn id(event: &Value) -> &str {
    event["event"]["id"].as_str().expect("an event has an id")
}

/// Function and event of every dead letter. What was in flight at three deaths of its process is one, by design.
#[track_caller]
fn dead_letters(server: &Server<'_>) -> BTreeSet<(String, String)> {
    let letters = server.json(&["dlq", "list", "--limit", "1000"]);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let pair = |letter: &Value| {
        assert_eq!(letter["invocation"]["failure"]["kind"], "host-lost", "{letter}");
        (text(&letter["function"]), text(&letter["event"]["id"]))
    };
    letters.iter().map(pair).collect()
}

/// For each input, the function emitted one event, or the input is a dead letter and it emitted none.
#[track_caller]
fn check_settled(log: &[Value], function: &str, inputs: &[&Value], letters: &BTreeSet<(String, String)>) {
    let mut emitted: BTreeMap<&str, usize> = BTreeMap::new();
    for event in log.iter().filter(|event| event["origin"]["name"] == function) {
        *emitted.entry(event["event"]["causationid"].as_str().expect("it has a cause")).or_default() += 1;
    }
    for input in inputs {
        let is_dead = letters.contains(&(function.to_owned(), id(input).to_owned()));
        let count = emitted.remove(id(input)).unwrap_or(0);
        assert_eq!(count, usize::from(!is_dead), "{function} on {}: dead letter {is_dead}", id(input));
    }
    assert!(emitted.is_empty(), "{function} took what it was not to take: {emitted:?}");
}

/// Each delivery counted its key up by one: what was emitted is 1, 2, 3 and so on for each key.
#[track_caller]
fn check_counters(sent: &[&Value], log: &[Value]) {
    let keys: BTreeMap<&str, &Value> = sent.iter().map(|event| (id(event), &event["event"]["data"])).collect();
    let mut counts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for event in log.iter().filter(|event| event["origin"]["name"] == "first") {
        let key = keys[event["event"]["causationid"].as_str().expect("it has a cause")].as_str().expect("text");
        let count = event["event"]["data"].as_str().expect("text").parse().expect("a count");
        counts.entry(key).or_default().push(count);
    }
    let second = emitted_by(log, "second").into_iter();
    counts.insert("second", second.map(|text| text.parse().expect("a count")).collect());
    for (key, mut counts) in counts {
        counts.sort_unstable();
        assert!(counts.iter().copied().eq(1..=counts.len()), "{key}: {counts:?}");
    }
}

/// Every input has one invocation that settled it for good.
#[track_caller]
fn check_invocations(server: &Server<'_>, inputs: &[(&str, &[&Value])]) {
    let mut settled: BTreeMap<(String, u64), usize> = BTreeMap::new();
    let mut before = String::new();
    loop {
        let page = http::json(&server.api, &format!("/invocations?limit=1000{before}"));
        let items = page["items"].as_array().expect("a listing");
        let Some(last) = items.last() else { break };
        before = format!("&before={}", last["sequence"]);
        for invocation in items.iter().filter(|one| one["outcome"]["kind"] != "retried") {
            let function = invocation["function"].as_str().expect("text").to_owned();
            *settled.entry((function, invocation["position"].as_u64().expect("a position"))).or_default() += 1;
        }
    }
    for (function, inputs) in inputs {
        for input in *inputs {
            let position = input["position"].as_u64().expect("a position");
            assert_eq!(settled.remove(&((*function).to_owned(), position)), Some(1), "{function} on #{position}");
        }
    }
    assert!(settled.is_empty(), "settled without an event: {settled:?}");
}
