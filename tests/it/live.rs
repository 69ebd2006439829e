//! `tidegate replay --live`: events for real again, to one function or to all, once each whatever ends the command or the
//! server, in their order; and nobody else can claim that an event is one.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::http::{self, BATCH, Header, STRUCTURED, post};
use crate::stage::{log, publish, wait_until_settled};
use crate::support::{Project, Server, eventually, text};

const PLACED: &str = "com.example.order.placed";
const WEBHOOK: &str = "[[trigger.webhook]]\npath = \"/hooks/events\"\nsender = \"cloudevents\"\nunsigned = true\n";

/// A function that relays orders, with `more` lines of its table.
fn relay(name: &str, on: &str, to: &str, more: &str) -> String {
    format!(
        "[[function]]\nname = \"{name}\"\ncomponent = \"builtin:relay\"\non = [\"{on}\"]\nconfig = {{ to = \"{to}\" }}\n\
         grants = {{ emits = [\"{to}\"] }}\n{more}\n"
    )
}

/// Orders are paid and counted, those that are paid are shipped, large ones are looked at.
fn orders() -> Project {
    let paid = "com.example.order.paid";
    let functions = [
        relay("pay", PLACED, paid, ""),
        relay("count", PLACED, "com.example.order.counted", ""),
        relay("ship", paid, "com.example.order.shipped", ""),
        relay("look", PLACED, "com.example.order.seen", "when = \"data.total > 10\""),
    ];
    Project::new(&format!("{WEBHOOK}{}", functions.concat()))
}

fn order(number: u64, total: u64) -> Value {
    json!({
        "specversion": "1.0", "id": format!("order-{number:05}"), "source": "/shop", "type": PLACED,
        "partitionkey": format!("customer-{}", number % 7), "data": { "total": total, "number": number },
    })
}

/// What `replay --live --yes` tells in JSON.
#[track_caller]
fn live(server: &Server<'_>, arguments: &[&str]) -> Value {
    server.json(&[&["replay", "--live", "--yes"], arguments].concat()).remove(0)
}

/// How often each function ran on live replays of an event.
fn runs(server: &Server<'_>, of: &str) -> BTreeMap<String, usize> {
    wait_until_settled(server);
    let mut runs = BTreeMap::new();
    for replay in log(server).iter().filter(|event| event["event"]["replayof"] == of) {
        let explained = &server.json(&["explain", &format!("#{}", replay["position"])])[0];
        for function in explained["functions"].as_array().expect("a list") {
            let ran = function["attempts"].as_array().map_or(0, Vec::len);
            if ran > 0 {
                *runs.entry(function["function"].as_str().expect("a name").to_owned()).or_default() += ran;
            }
        }
    }
    runs
}

fn names(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, runs)| ((*name).to_owned(), *runs)).collect()
}

#[test]
fn to_one_function_it_runs_that_one_and_to_all_it_runs_all_and_once_for_a_label() {
    let project = orders();
    let server = project.up();
    publish(&server, &[order(1, 12)]);
    wait_until_settled(&server);
    let dry = server.json(&["replay", "--live", "--dry-run", "order-00001"]).remove(0);
    assert_eq!((&dry["state"], &dry["events"]), (&json!("counted"), &json!(1)), "{dry}");
    assert_eq!(dry["functions"], json!({ "count": 1, "look": 1, "pay": 1 }));
    assert_eq!(runs(&server, "order-00001"), names(&[]), "a count publishes nothing");

    let one = live(&server, &["order-00001", "--function", "pay"]);
    assert_eq!((&one["state"], &one["published"]), (&json!("done"), &json!(1)), "{one}");
    assert_eq!(runs(&server, "order-00001"), names(&[("pay", 1)]));
    let attempt = live(&server, &["2.pay.0.1"]);
    assert_eq!(
        (&attempt["published"], &attempt["replayed"]),
        (&json!(0), &json!(1)),
        "the same by its attempt: {attempt}"
    );
    assert_eq!(runs(&server, "order-00001"), names(&[("pay", 1)]), "repeated, it does nothing");
    live(&server, &["order-00001", "--function", "pay", "--label", "second"]);
    assert_eq!(runs(&server, "order-00001"), names(&[("pay", 2)]));
    live(&server, &["order-00001"]);
    assert_eq!(runs(&server, "order-00001"), names(&[("count", 1), ("look", 1), ("pay", 3)]));

    let log = log(&server);
    let replay = log.iter().find(|event| event["event"]["replayof"] == "order-00001").expect("it is in the log");
    let original = log.iter().find(|event| event["event"]["id"] == "order-00001").expect("it is in the log");
    assert_eq!(replay["origin"], original["origin"]);
    for name in ["source", "type", "partitionkey", "data", "correlationid"] {
        assert_eq!(replay["event"][name], original["event"][name], "{name}");
    }
    assert_eq!(replay["event"]["causationid"], "order-00001");
    let told = server.output(&["explain", &format!("#{}", replay["position"])]);
    for words in ["live replay of order-00001, for pay alone", "by replayto is "] {
        assert!(told.contains(words), "{told}");
    }
    let told = server.output(&["explain", "order-00001"]);
    assert!(told.contains(&format!("said again by a live replay: #{}", replay["position"])), "{told}");
    let told = server.output(&["trace", "order-00001"]);
    assert!(told.contains("order.placed  live replay"), "{told}");
    let told = server.output(&["events", "--limit", "1000"]);
    assert_eq!(told.matches("api local, unverified, live replay").count(), 3, "{told}");
}

#[test]
fn a_range_is_said_again_without_what_live_replays_led_to() {
    let project = orders();
    let server = project.up();
    publish(&server, &[order(1, 12), order(2, 3), order(3, 30)]);
    wait_until_settled(&server);
    let first = live(&server, &["--since", "1h"]);
    assert_eq!(first["published"], 6, "three that were placed and three that were paid: {first}");
    assert_eq!(first["functions"], json!({ "count": 3, "look": 2, "pay": 3, "ship": 3 }));
    let reasons: BTreeSet<&str> =
        first["refused"].as_array().expect("a list").iter().filter_map(|one| one["reason"].as_str()).collect();
    assert!(reasons.contains("no function takes it"), "{first}");
    wait_until_settled(&server);
    let events = log(&server).len();
    let second = live(&server, &["--since", "1h"]);
    assert_eq!((&second["published"], &second["replayed"]), (&json!(0), &json!(6)), "{second}");
    assert!(second["of_replays"].as_u64().expect("a number") >= 12, "{second}");
    assert_eq!(log(&server).len(), events);
    let large = live(&server, &["--type", PLACED, "--function", "look"]);
    assert_eq!(large["published"], 2, "{large}");
    let left = &large["refused"][0];
    assert_eq!(
        (&left["reason"], &left["events"]),
        (&json!("function look does not take it: data.total > 10"), &json!(1))
    );
    assert_eq!(left["saw"], "data.total = 3");
    assert_eq!(live(&server, &["--since", "1h", "--failed"])["events"], 0, "nothing failed");
    let sampled = live(&server, &["--type", PLACED, "--sample", "2", "--label", "sampled"]);
    assert_eq!(sampled["published"], 2);
    assert_eq!(
        live(&server, &["--type", PLACED, "--sample", "2", "--label", "sampled"])["published"],
        0,
        "the same two"
    );
}

const EVENTS: u64 = 3_000;

fn spawn(server: &Server<'_>, project: &Project) -> Child {
    let arguments = ["replay", "--live", "--yes", "--type", PLACED, "--function", "pay"];
    let mut command = project.command(&arguments);
    command.env("TIDEGATE_URL", &server.api).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("tidegate runs")
}

/// The id of the original, the key and the number of each live replay, in log order.
fn said(log: &[Value]) -> Vec<(&str, &str, u64)> {
    let replays = log.iter().filter_map(|event| {
        let event = &event["event"];
        Some((event["replayof"].as_str()?, event["partitionkey"].as_str()?, event["data"]["number"].as_u64()?))
    });
    replays.collect()
}

/// The position of the last order in the log, which is a live replay if there is one.
fn last_order(server: &Server<'_>) -> u64 {
    let newest = http::json(&server.api, &format!("/events?type={PLACED}&limit=1"));
    newest["items"][0]["position"].as_u64().expect("there are orders")
}

/// Starts the command, and waits until it has published something.
#[track_caller]
fn start(server: &Server<'_>, project: &Project) -> Child {
    let before = last_order(server);
    let child = spawn(server, project);
    eventually("it has published more", || (last_order(server) > before).then_some(()));
    child
}

fn signal(child: &Child, signal: &str) {
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success(), "the command ended by itself");
}

#[test]
fn whatever_ends_it_the_same_command_goes_on_and_each_event_comes_once_and_in_order() {
    // Nobody hears the orders when they come: what runs later runs on live replays.
    let project = Project::new("");
    let server = project.up();
    for page in (0..EVENTS).collect::<Vec<_>>().chunks(1_000) {
        publish(&server, &page.iter().map(|number| order(*number, 1)).collect::<Vec<_>>());
    }
    server.stop();
    let file = std::fs::read_to_string(project.folder().join("tidegate.toml")).expect("the project's file");
    let pay = relay("pay", PLACED, "com.example.order.paid", "order = \"partitionkey\"\nconcurrency = 4");
    project.write("tidegate.toml", format!("{file}{pay}"));
    let server = project.up();

    let child = start(&server, &project);
    server.kill();
    let ended = child.wait_with_output().expect("the command ends");
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended));
    assert!(text(&ended).contains("the same command goes on from there"), "{}", text(&ended));

    let server = project.up();
    let after_server = said(&log(&server)).len();
    assert!(after_server > 0 && after_server < EVENTS as usize, "the server was killed in the middle: {after_server}");
    let child = start(&server, &project);
    signal(&child, "-KILL");
    child.wait_with_output().expect("the command ends");
    let after_command = said(&log(&server)).len();
    assert!(after_command < EVENTS as usize, "the command was killed in the middle: {after_command}");

    let child = start(&server, &project);
    signal(&child, "-INT");
    let ended = child.wait_with_output().expect("the command ends");
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended));
    assert!(text(&ended).contains("the same command goes on from there"), "{}", text(&ended));
    let before = said(&log(&server)).len() as u64;
    assert!(before < EVENTS, "it stopped in the middle: {before}");

    let rest = live(&server, &["--type", PLACED, "--function", "pay"]);
    assert_eq!((&rest["published"], &rest["replayed"]), (&json!(EVENTS - before), &json!(before)), "{rest}");
    wait_until_settled(&server);
    let log = log(&server);
    let numbers: Vec<u64> = said(&log).iter().map(|(_, _, number)| *number).collect();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "each once, in the order in which they came first");
    // What the function emitted is in the order in which it ran.
    let mut ran: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in log.iter().map(|event| &event["event"]).filter(|event| event["type"] == "com.example.order.paid") {
        let key = event["partitionkey"].as_str().expect("a key");
        ran.entry(key).or_default().push(event["data"]["number"].as_u64().expect("a number"));
    }
    assert_eq!(ran.values().map(Vec::len).sum::<usize>() as u64, EVENTS);
    assert!(ran.values().all(|numbers| numbers.is_sorted()), "{ran:?}");
}

#[test]
fn nobody_outside_says_that_an_event_is_of_a_live_replay() {
    let project = orders();
    let server = project.up();
    publish(&server, &[order(1, 12)]);
    wait_until_settled(&server);
    let events = log(&server).len();
    for name in ["replayof", "replayto", "afterreplay"] {
        let mut forged = order(2, 12);
        forged[name] = json!("order-00001");
        let (one, batch) = (forged.to_string(), json!([order(3, 1), forged]).to_string());
        let header = format!("ce-{name}");
        let binary: [Header<'_>; 6] = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "order-00002"),
            ("ce-source", "/shop"),
            ("ce-type", PLACED),
            (&header, "order-00001"),
        ];
        for (door, path) in [(&server.api, "/events"), (&server.hooks, "/hooks/events")] {
            for (headers, body) in [(&[STRUCTURED][..], one.as_str()), (&[BATCH], &batch), (&binary, "{}")] {
                let answer = post(door, path, headers, body.as_bytes());
                assert_eq!(answer.status, 400, "{path} {name}: {}", answer.body);
                assert!(answer.body.contains(name) && answer.body.contains("replay --live"), "{}", answer.body);
            }
        }
        let emitted = server.tidegate(&["emit", "--type", PLACED, "--ext", &format!("{name}=order-00001")]);
        assert_eq!(emitted.status.code(), Some(1), "{}", text(&emitted));
        assert!(text(&emitted).contains("is set by Tidegate alone"), "{}", text(&emitted));
    }
    assert_eq!(log(&server).len(), events, "nothing of it came in");
    let refused = eventually("refusals are kept", || {
        let output = server.tidegate(&["explain", "order-00002"]);
        text(&output).contains("is set by Tidegate alone").then_some(output)
    });
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
}

#[test]
fn what_cannot_be_published_again_says_why() {
    let project = orders();
    let server = project.up();
    publish(&server, &[order(1, 3)]);
    wait_until_settled(&server);
    #[track_caller]
    fn check(output: &Output, code: i32, names: &str) {
        let told = text(output);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(names), "{told:?} does not name {names:?}");
    }
    let ask = |arguments: &[&str]| {
        let mut command = project.command(&[&["replay", "--live"], arguments].concat());
        command.env("TIDEGATE_URL", &server.api).stdin(Stdio::null()).output().expect("tidegate runs")
    };
    check(&ask(&["order-00001"]), 2, "add --yes to do it, or --dry-run to only count");
    check(&ask(&["--yes"]), 2, "--since, --until, --function or --type");
    check(&ask(&["order-00001", "--since", "1h"]), 2, "--since chooses among many");
    check(&ask(&["order-00001", "--with", "x.wasm"]), 2, "--with");
    check(&ask(&["case.tgz"]), 2, "is a bundle");
    check(&ask(&["2.pay.0.1", "--function", "ship"]), 2, "an attempt of pay, not of ship");
    check(&ask(&["order-00001", "--dir", "."]), 2, "start it with `tidegate up`");
    check(&ask(&["nothing-like-it", "--yes"]), 1, "nothing-like-it");
    check(&ask(&["order-00001", "--function", "nobody", "--yes"]), 1, "no deployment has a function \"nobody\"");
    check(&ask(&["order-00001", "--function", "look", "--yes"]), 1, "data.total > 10 (#2 saw data.total = 3)");
    check(&ask(&["#1", "--yes"]), 1, "what Tidegate itself recorded is no event to say again");
    check(&ask(&["last", "--function", "pay", "--label", &"x".repeat(200), "--yes"]), 1, "`label` has 200 B");
    let dropped = server.tidegate(&["replay", "order-00001", "--yes"]);
    check(&dropped, 2, "--live");
    assert!(log(&server).iter().all(|event| event["event"]["replayof"].is_null()), "nothing of it was published");
}

#[test]
fn at_a_terminal_it_asks_first_and_no_answer_is_a_no() {
    let project = orders();
    let server = project.up();
    publish(&server, &[order(1, 12)]);
    wait_until_settled(&server);
    // A terminal of its own: what is asked there is answered there.
    let script = "import os, pty, sys\n\
                  pid, terminal = pty.fork()\n\
                  if pid == 0: os.execv(sys.argv[2], sys.argv[2:])\n\
                  told, answered = b'', False\n\
                  while True:\n\
                  \x20   try: part = os.read(terminal, 4096)\n\
                  \x20   except OSError: break\n\
                  \x20   if not part: break\n\
                  \x20   told += part\n\
                  \x20   if not answered and b'[y/N]' in told: os.write(terminal, sys.argv[1].encode() + b'\\n'); answered = True\n\
                  sys.stdout.buffer.write(told)\n\
                  sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let answer = |answer: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", script, answer, env!("CARGO_BIN_EXE_tidegate"), "replay", "--live", "order-00001"]);
        python.env("TIDEGATE_URL", &server.api).output().expect("python3 runs")
    };
    for no in ["", "n", "what"] {
        let asked = answer(no);
        assert_eq!(asked.status.code(), Some(1), "{}", text(&asked));
        assert!(text(&asked).contains("publish 1 event for real? [y/N]"), "{}", text(&asked));
    }
    assert_eq!(runs(&server, "order-00001"), names(&[]));
    let asked = answer("y");
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked));
    assert_eq!(runs(&server, "order-00001"), names(&[("count", 1), ("look", 1), ("pay", 1)]));
}
