//! Senders that send each event until it is accepted, as those of webhooks do, over as many processes as that takes, and
//! what must have become of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::http::{self, Answer};
use crate::stage::{Stage, emitted_by, event, log, wait_until_settled};
use crate::support::{Project, Server};

const SENDERS: usize = 3;

/// A project whose functions count what is sent by its key, or send it on as it is, and count what that emits.
pub fn project() -> Project {
    Stage::new("")
        .hostile("first", &["test.count", "test.echo"], "write = [\"counts\"]", "concurrency = 4")
        .hostile("second", &["test.done"], "write = [\"done\"]", "when = 'origin.name == \"first\"'\nconcurrency = 4")
        .project()
}

/// An event that `first` counts.
pub fn small(index: usize) -> Value {
    event(&id(index), "test.count", &format!("key-{}", index % 3))
}

/// An event whose data, found nowhere else, `first` sends on.
pub fn large(index: usize, bytes: usize) -> Value {
    event(&id(index), "test.echo", &format!("{index} {}", "x".repeat(bytes)))
}

fn id(index: usize) -> String {
    format!("e-{index}")
}

/// What was sent so far.
pub struct Load {
    /// The event of a number: it is the same each time.
    make: fn(usize) -> Value,
    next: AtomicUsize,
    /// What each sender has in hand: it was not accepted, as far as anyone was told, and is there or not.
    held: [Mutex<Option<usize>>; SENDERS],
}

impl Load {
    pub fn new(make: fn(usize) -> Value) -> Self {
        Load { make, next: AtomicUsize::new(0), held: Default::default() }
    }

    /// Events that were sent.
    pub fn sent(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// Sends to a process until it is killed after `life`.
    pub fn send_until_killed(&self, server: Server<'_>, life: Duration) {
        let api = server.api.clone();
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                // Whatever cuts a request off, it is the process's death: `kill` sees that it did not die by itself.
                scope.spawn({
                    let api = &api;
                    move || {
                        while let Ok(answer) = self.send(sender, api) {
                            assert_eq!(answer.status, 202, "{}", answer.body);
                        }
                    }
                });
            }
            // No wait for something: the length of a life is what is random here.
            std::thread::sleep(life);
            server.kill();
        });
    }

    /// Sends what a sender has in hand, or the next event. What is answered 202 was accepted; the rest it keeps.
    pub fn send(&self, sender: usize, api: &str) -> io::Result<Answer> {
        let mut held = self.held[sender].lock().expect("no sender panicked");
        let index = *held.get_or_insert_with(|| self.next.fetch_add(1, Ordering::Relaxed));
        let body = (self.make)(index).to_string();
        let answer = http::try_post(api, "/events", &[http::STRUCTURED], body.as_bytes())?;
        if answer.status == 202 {
            *held = None;
        }
        Ok(answer)
    }

    /// Sends to a process that lives what is still in hand, and sees that everything sent became what it must.
    pub fn finish(&self, server: &Server<'_>) {
        for sender in 0..SENDERS {
            if self.held[sender].lock().expect("no sender panicked").is_some() {
                let answer = self.send(sender, &server.api).expect("the server lives and answers");
                assert_eq!(answer.status, 202, "{}", answer.body);
            }
        }
        wait_until_settled(server);
        let log = log(server);
        let sent = self.check_accepted(&log);
        let letters = dead_letters(server);
        let done: Vec<&Value> = log.iter().filter(|event| event["origin"]["name"] == "first").collect();
        check_settled(&log, "first", &sent, &letters);
        check_settled(&log, "second", &done, &letters);
        check_emitted(&sent, &log);
        check_invocations(server, &[("first", &sent), ("second", &done)]);
        println!("{} events, {} dead letters", sent.len(), letters.len());
    }

    /// Each event is in the log once, as it was sent.
    #[track_caller]
    fn check_accepted<'a>(&self, log: &'a [Value]) -> Vec<&'a Value> {
        let sent: Vec<&Value> = log.iter().filter(|event| event["event"]["source"] == "/tests").collect();
        let by_id: BTreeMap<&str, &Value> = sent.iter().map(|event| (event_id(event), &event["event"])).collect();
        assert_eq!((sent.len(), by_id.len()), (self.sent(), self.sent()), "each accepted event is in the log once");
        for index in 0..self.sent() {
            let (expected, found) = ((self.make)(index), by_id[id(index).as_str()]);
            assert!(found["type"] == expected["type"] && found["data"] == expected["data"], "{} changed", id(index));
        }
        sent
    }

    /// The events that are in the log no more, or not as they were sent, though they were accepted.
    pub fn lost(&self, server: &Server<'_>) -> usize {
        let held: Vec<usize> = self.held.iter().filter_map(|held| *held.lock().expect("no sender panicked")).collect();
        let page = http::get(&server.api, "/events?limit=1000");
        // Where the data of one cannot be had, none of the page is told.
        let log = if page.status == 200 { page.json() } else { Value::Null };
        let found: BTreeMap<&str, &Value> = log["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| (event_id(event), &event["event"]["data"]))
            .collect();
        let accepted = (0..self.sent()).filter(|index| !held.contains(index));
        accepted.filter(|index| found.get(id(*index).as_str()) != Some(&&(self.make)(*index)["data"])).count()
    }
}

fn event_id(event: &Value) -> &str {
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
        let is_dead = letters.contains(&(function.to_owned(), event_id(input).to_owned()));
        let count = emitted.remove(event_id(input)).unwrap_or(0);
        assert_eq!(count, usize::from(!is_dead), "{function} on {}: dead letter {is_dead}", event_id(input));
    }
    assert!(emitted.is_empty(), "{function} took what it was not to take: {emitted:?}");
}

/// Each delivery counted its key up by one, so that what was emitted is 1, 2, 3 and so on for each key, or sent on what it
/// was given.
#[track_caller]
fn check_emitted(sent: &[&Value], log: &[Value]) {
    let inputs: BTreeMap<&str, &Value> = sent.iter().map(|event| (event_id(event), &event["event"])).collect();
    let mut counts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for event in log.iter().filter(|event| event["origin"]["name"] == "first") {
        let input = inputs[event["event"]["causationid"].as_str().expect("it has a cause")];
        let (given, data) = (input["data"].as_str().expect("text"), event["event"]["data"].as_str().expect("text"));
        if input["type"] == "test.echo" {
            assert!(given == data, "{} was sent on as something else", input["id"]);
        } else {
            counts.entry(given).or_default().push(data.parse().expect("a count"));
        }
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
