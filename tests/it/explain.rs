//! `docs/explain.md`: its project answers as the page shows, and what it says of refusals, chains and traces is so.

use serde_json::{Value, json};

use crate::http::{self, BATCH, Header, STRUCTURED, github_signature, post};
use crate::pages::{EXPLAIN, blocks, commands, lasting};
use crate::stage::{Stage, event, publish, wait_until_settled};
use crate::support::{Project, Server, eventually, text};

const SECRET: &str = "what the sender and the door share";
/// A delivery of the page, which is refused.
const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

/// The project of the page.
fn page() -> Project {
    let file = blocks(EXPLAIN, "toml")[0].trim_start_matches("name = \"orders\"\n");
    let project = Project::new(file).env("GITHUB_WEBHOOK_SECRET", SECRET);
    project.write("order.json", r#"{"order": 7, "stock": 0}"#);
    project
}

/// A push as GitHub sends it, signed with `secret`.
fn deliver(server: &Server<'_>, delivery: &str, secret: &str, body: &str) -> u16 {
    let signature = github_signature(secret, body.as_bytes());
    let headers: [Header<'_>; 4] = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", &signature),
    ];
    post(&server.hooks, "/hooks/github", &headers, body.as_bytes()).status
}

/// The refusals of the log, once there are so many.
#[track_caller]
fn refusals(server: &Server<'_>, count: usize) -> Vec<Value> {
    eventually("refusals are kept", || {
        let refusals = server.json(&["events", "--refused"]);
        (refusals.len() >= count).then_some(refusals)
    })
}

/// A command that answers no.
#[track_caller]
fn says_no(server: &Server<'_>, arguments: &[&str]) -> String {
    let output = server.tidegate(arguments);
    assert_eq!(output.status.code(), Some(1), "tidegate {arguments:?}: {}", text(&output));
    text(&output)
}

#[track_caller]
fn why_not(server: &Server<'_>, wanted: &str, after: &str) -> Value {
    http::json(&server.api, &format!("/events/{after}/why-not?type={wanted}"))
}

#[test]
fn the_page_s_commands_answer_as_it_shows() {
    let project = page();
    let server = project.up();
    assert_eq!(deliver(&server, DELIVERY, "another secret", "{}"), 401);
    refusals(&server, 1);
    let shown: Vec<&str> =
        blocks(EXPLAIN, "console").iter().flat_map(|block| block.split("$ tidegate ").skip(1)).collect();
    let commands = commands(EXPLAIN);
    assert_eq!(commands.len(), shown.len());
    for (command, shown) in commands.iter().zip(shown) {
        let (_, shown) = shown.split_once('\n').expect("a command ends its line");
        let output = server.tidegate(command);
        let answers_no = command.contains(&"--why-not") || command.iter().any(|word| word.starts_with(&DELIVERY[..30]));
        assert_eq!(output.status.code(), Some(i32::from(answers_no)), "tidegate {command:?}: {}", text(&output));
        if std::env::var_os("TIDEGATE_SHOW").is_some() {
            println!("$ tidegate {}\n{}", command.join(" "), text(&output));
        } else if !command.contains(&"otlp") {
            assert_eq!(lasting(&text(&output)), lasting(shown), "tidegate {command:?}");
        }
    }
}

#[test]
fn what_was_refused_is_found_by_its_id_whatever_was_wrong_with_it() {
    let project = page();
    let server = project.up();
    assert_eq!(deliver(&server, "wrong-secret", "another", &json!({ "after": "a1" }).to_string()), 401);
    assert_eq!(deliver(&server, "no-json", SECRET, "{"), 400);
    let post_event = |id: &str, data: u32| {
        let event = json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "com.example.order.placed", "data": data });
        post(&server.api, "/events", &[STRUCTURED], event.to_string().as_bytes()).status
    };
    assert_eq!((post_event("order-seven", 1), post_event("order-seven", 1)), (202, 202), "a duplicate is no refusal");
    assert_eq!(post_event("order-seven", 2), 409);
    let batch = json!([{ "specversion": "1.0", "id": "order-eight", "source": "/shop", "type": "com.example.order.placed" },
        { "specversion": "1.0", "id": "order-nine", "source": "", "type": "com.example.order.placed" }]);
    assert_eq!(post(&server.api, "/events", &[BATCH], batch.to_string().as_bytes()).status, 400);
    let kept = refusals(&server, 4);
    let told = |refusal: &Value| {
        let ids = refusal["named"].as_array().expect("they told ids").iter().map(|one| one["id"].clone()).collect();
        json!([
            refusal["door"],
            refusal["status"],
            refusal["code"],
            refusal["sender"],
            refusal["proof"],
            Value::Array(ids)
        ])
    };
    assert_eq!(
        kept.iter().map(told).collect::<Vec<_>>(),
        [
            json!(["/hooks/github", 401, "unauthorized", "github", "unverified", ["wrong-secret"]]),
            json!(["/hooks/github", 400, "invalid", "github", "verified", ["no-json"]]),
            json!(["api", 409, "content-differs", "local", "nothing", ["order-seven"]]),
            json!(["api", 400, "invalid", "local", "nothing", ["order-eight", "order-nine"]]),
        ]
    );
    let kept = Value::Array(kept).to_string();
    assert!(!kept.contains("sha256=") && !kept.contains("a1"), "neither proofs nor bodies are kept: {kept}");

    for (id, reason) in [("wrong-secret", "401 unauthorized"), ("no-json", "400 invalid"), ("order-nine", "source")] {
        let said = says_no(&server, &["explain", id]);
        assert!(said.contains("it was received at ") && said.contains(reason), "{said}");
    }
    // An event of the log says what came under its id and was not taken in.
    let explained = &server.json(&["explain", "order-seven"])[0];
    assert_eq!(explained["refused"][0]["code"], "content-differs", "{explained}");
    let said = says_no(&server, &["explain", "never-came"]);
    assert!(said.contains("nothing with it was received since "), "{said}");

    // It outlives the process, and a stopped project says the same.
    server.kill();
    let stopped = project.tidegate(&["explain", "wrong-secret", "--dir", "."]);
    assert!(text(&stopped).contains("refused with 401 unauthorized"), "{}", text(&stopped));
    let listed = project.tidegate(&["events", "--refused", "--dir", ".", "-o", "json"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 4, "{}", text(&listed));
}

#[test]
fn what_only_asks_or_cannot_be_an_event_is_not_kept() {
    let project = page();
    let server = project.up();
    assert_eq!(http::get(&server.hooks, "/wp-login.php").status, 404);
    assert_eq!(http::get(&server.api, "/events/none").status, 404);
    assert_eq!(post(&server.api, "/dlq/drop", &[("content-type", "application/json")], b"{").status, 400);
    assert_eq!(post(&server.hooks, "/hooks/other", &[("x-github-delivery", "lost")], b"{}").status, 404);
    let kept = refusals(&server, 1);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((&kept[0]["door"], &kept[0]["code"]), (&json!("hooks"), &json!("not-found")), "{kept:?}");
    let said = says_no(&server, &["explain", "lost"]);
    assert!(said.contains("no trigger has the path /hooks/other") && said.contains("point the sender"), "{said}");
}

/// A chain of two hostile guests: `first` does what the type says, `second` hears what it says.
fn chain() -> Stage {
    let retry = "retry = { attempts = 2, initial = \"300ms\", jitter = false }";
    Stage::new("")
        .hostile("first", &["test.echo", "test.trap", "test.log", "test.retry"], "write = [\"counts\"]", retry)
        .hostile("second", &["test.done"], "write = [\"done\"]", "when = 'event.subject == \"on\"'")
}

/// An event that the first function says again.
fn echo(id: &str, subject: &str) -> Value {
    let mut event = event(id, "test.echo", "x");
    event["subject"] = subject.into();
    event
}

#[test]
fn a_chain_says_where_it_stopped_short_of_a_type_and_why() {
    let project = chain().project();
    let server = project.up();
    let events = [
        echo("echoed", "on"),
        echo("filtered-out", "off"),
        event("trapped", "test.trap", ""),
        event("logged", "test.log", "not today"),
        event("strange", "test.other-thing", ""),
    ];
    publish(&server, &events);
    wait_until_settled(&server);

    let happened = why_not(&server, "test.done*", "echoed");
    assert_eq!(
        (&happened["state"], &happened["path"][0]["type"]),
        (&json!("happened"), &json!("test.done")),
        "{happened}"
    );
    server.output(&["explain", "--why-not", "test.done*", "--after", "echoed"]);

    let stopped = |after: &str| why_not(&server, "test.done*", after)["stops"][0].take();
    let trapped = stopped("trapped");
    assert_eq!(
        (&trapped["function"], &trapped["verdict"]["kind"]),
        (&json!("first"), &json!("dead-lettered")),
        "{trapped}"
    );
    assert_eq!(trapped["attempt"]["failure"]["kind"], "trapped", "{trapped}");
    // There are some, which followed from something else.
    let elsewhere = why_not(&server, "test.done*", "trapped")["elsewhere"].take();
    assert_eq!(elsewhere[0]["type"], "test.done", "{elsewhere}");
    let logged = stopped("logged");
    assert_eq!(logged["verdict"]["kind"], "delivered", "{logged}");
    assert_eq!(logged["logged"], json!([{ "level": "error", "message": "not today" }]), "{logged}");
    let said = says_no(&server, &["explain", "--why-not", "test.done*", "--after", "logged"]);
    assert!(said.contains("it ran and emitted nothing") && said.contains("logged error: not today"), "{said}");

    // What follows from the second is what the first emitted: there, a filter let nothing through.
    let filtered = why_not(&server, "test.done*", &emitted(&server, "filtered-out"))["stops"][0].take();
    assert_eq!(
        (&filtered["function"], &filtered["verdict"]["kind"]),
        (&json!("second"), &json!("filtered")),
        "{filtered}"
    );
    assert_eq!(filtered["verdict"]["clause"], "event.subject == \"on\"", "{filtered}");
    assert_eq!(why_not(&server, "test.done*", "strange")["state"], "unheard");
    assert_eq!(why_not(&server, "org.test.unsaid", "echoed")["state"], "nobody");
    let triggers = why_not(&server, "change.merged", "echoed");
    assert_eq!((&triggers["state"], &triggers["said_by"]), (&json!("nobody"), &json!("triggers")), "{triggers}");
    let said = says_no(&server, &["explain", "--why-not", "nonsense", "--after", "echoed"]);
    assert!(said.contains("no short name of the catalogue"), "{said}");
}

/// The id of what the first function emitted for an event.
#[track_caller]
fn emitted(server: &Server<'_>, id: &str) -> String {
    let explained = &server.json(&["explain", id])[0];
    let functions = explained["functions"].as_array().expect("functions are explained");
    let emitted = functions.iter().find_map(|function| function["emitted"][0]["id"].as_str());
    emitted.unwrap_or_else(|| panic!("nothing was emitted: {explained}")).to_owned()
}

#[test]
fn an_explanation_says_where_each_emitted_event_went() {
    let project = chain().project();
    let server = project.up();
    publish(&server, &[echo("echoed", "off")]);
    wait_until_settled(&server);
    let explained = &server.json(&["explain", "echoed"])[0];
    let functions = explained["functions"].as_array().expect("functions are explained");
    let first = functions.iter().find(|function| function["function"] == "first").expect("it is explained");
    let went = &first["emitted"][0]["went"];
    assert_eq!(
        (&went[0]["function"], &went[0]["verdict"]["kind"]),
        (&json!("second"), &json!("filtered")),
        "{explained}"
    );
    let words = server.output(&["explain", "echoed"]);
    assert!(words.contains("emitted #3 test.done off -> second filtered by event.subject == \"on\""), "{words}");
}

#[test]
fn a_trace_shows_where_the_time_went_and_every_collector_reads_it() {
    let project = chain().project();
    let server = project.up();
    let mut push = event("tried-twice", "test.retry", "later");
    push["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
    publish(&server, &[push]);
    wait_until_settled(&server);

    let trace = &server.json(&["trace", "tried-twice"])[0];
    let run = &trace["roots"][0]["functions"][0];
    assert_eq!(run["ran"].as_array().map(Vec::len), Some(2), "{trace}");
    // The guest asks to be tried again after 1.5 s.
    let between = run["between_micros"].as_u64().expect("it waited between its attempts");
    assert!((1_000_000..60_000_000).contains(&between), "{trace}");
    let words = server.output(&["trace", "tried-twice"]);
    assert!(words.contains(" s between attempts"), "{words}");

    let otlp = server.output(&["trace", "tried-twice", "--as", "otlp"]);
    let otlp: Value = serde_json::from_str(&otlp).expect("it is JSON");
    let spans = otlp["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("it has spans");
    let ids: Vec<(&Value, &Value)> = spans.iter().map(|span| (&span["traceId"], &span["parentSpanId"])).collect();
    let (trace_id, span_id) = (json!("4bf92f3577b34da6a3ce929d0e0e4736"), json!("00f067aa0ba902b7"));
    assert_eq!(ids, [(&trace_id, &Value::Null), (&trace_id, &span_id), (&trace_id, &span_id)], "{otlp}");
    assert_eq!(spans[0]["spanId"], span_id);
    let nanoseconds = |span: &Value, name: &str| span[name].as_str().and_then(|text| text.parse::<u64>().ok());
    assert!(
        spans.iter().all(|span| nanoseconds(span, "startTimeUnixNano") <= nanoseconds(span, "endTimeUnixNano")),
        "{otlp}"
    );
    let bare = server.tidegate(&["trace", "tried-twice", "--as", "mermaid", "-o", "json"]);
    assert_eq!(bare.status.code(), Some(2), "{}", text(&bare));

    assert!(server.stop().success());
    let stopped = project.tidegate(&["trace", "tried-twice", "--as", "otlp", "--dir", "."]);
    assert_eq!(serde_json::from_slice::<Value>(&stopped.stdout).expect("it is JSON"), otlp, "the same spans each time");
}

#[test]
fn what_comes_without_a_token_that_allows_it_is_kept_and_the_token_is_not() {
    let token = |name: &str, scope: &str| {
        format!("[[listen.token]]\nname = \"{name}\"\nsecret = \"${{env:SECRET_OF_{name}}}\"\nscope = \"{scope}\"\n")
    };
    let project = Project::new(&[token("reader", "read"), token("sender", "emit")].concat())
        .env("SECRET_OF_reader", "secret-of-reader")
        .env("SECRET_OF_sender", "secret-of-sender")
        .env("TIDEGATE_TOKEN", "secret-of-reader");
    let server = project.up();
    let send = |id: &str, token: Option<&str>, ty: &str| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers: Vec<Header<'_>> = vec![
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/shop"),
            ("ce-type", ty),
        ];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        post(&server.api, "/events", &headers, b"{}").status
    };
    assert_eq!(send("nobody", None, "com.example.order.placed"), 401);
    assert_eq!(send("stranger", Some("secret-of-none"), "com.example.order.placed"), 401);
    assert_eq!(send("reads", Some("secret-of-reader"), "com.example.order.placed"), 403);
    let gate = "dev.cdeventsx.tidegate-gate.passed.0.1.0";
    assert_eq!(send("speaks-as-a-gate", Some("secret-of-sender"), gate), 403);
    assert_eq!(send("fine", Some("secret-of-sender"), "com.example.order.placed"), 202);
    let kept = refusals(&server, 4);
    let told = |refusal: &Value| {
        json!([refusal["named"][0]["id"], refusal["named"][0]["source"], refusal["sender"], refusal["proof"]])
    };
    assert_eq!(
        kept.iter().map(told).collect::<Vec<_>>(),
        [
            json!(["nobody", "/shop", null, "nothing"]),
            json!(["stranger", "/shop", null, "unverified"]),
            json!(["reads", "/shop", null, "unverified"]),
            json!(["speaks-as-a-gate", "/shop", "sender", "verified"]),
        ]
    );
    assert!(!Value::Array(kept).to_string().contains("secret-of"), "no token is kept");
    let said = says_no(&server, &["explain", "speaks-as-a-gate"]);
    assert!(said.contains("refused with 403 forbidden") && said.contains("add it to the token's `emits`"), "{said}");
}
