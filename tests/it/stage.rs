//! Projects whose functions are the guests for tests, the events that these take, and what became of them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Project, Server, eventually};
use crate::{guests, http};

/// A project's file in the making. Every guest may call the connection `peer`.
pub struct Stage {
    manifest: String,
}

impl Stage {
    /// `head` is what stands before the functions; nobody listens behind `peer`.
    pub fn new(head: &str) -> Self {
        Self::beside(head, "http://127.0.0.1:9")
    }

    /// With somebody behind `peer`.
    pub fn beside(head: &str, peer: &str) -> Self {
        let peer = format!("[connections.peer]\nurl = \"{peer}\"\nprivate = true\n");
        Stage { manifest: format!("{head}\n{peer}") }
    }

    /// A function of the guest `hostile`, with more keys of its table in `more`. One of them may write `counts`, in which
    /// `test.count` counts, and one `done`, in which what others emitted is counted.
    /// Types of two parts would be short names, which the guest's are not: `on` gets patterns.
    pub fn hostile(self, name: &str, on: &[&str], keyvalue: &str, more: &str) -> Self {
        let on: Value = on.iter().map(|ty| format!("{ty}*")).collect();
        self.function(
            name,
            &format!("component = \"hostile.wasm\"\non = {on}\n{more}"),
            keyvalue,
            "http = [\"peer\"], ",
        )
    }

    fn function(mut self, name: &str, table: &str, keyvalue: &str, grants: &str) -> Self {
        let grants = format!("{{ keyvalue = {{ {keyvalue} }}, {grants}logging = true, emits = [\"test.done*\"] }}");
        let config = "{ greeting = \"hello\" }";
        let function = format!("[[function]]\nname = \"{name}\"\n{table}\nconfig = {config}\ngrants = {grants}\n");
        self.manifest.write_str(&function).expect("text can be written to a string");
        self
    }

    pub fn project(self) -> Project {
        let project = Project::new(&self.manifest);
        project.write("hostile.wasm", guests::hostile());
        project
    }
}

/// Data that a guest of tests reads as text.
pub fn event(id: &str, ty: &str, data: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/tests", "type": ty, "datacontenttype": "text/plain", "data": data,
    })
}

/// Publishes events in one commit.
#[track_caller]
pub fn publish(server: &Server<'_>, events: &[Value]) {
    let body = json!(events).to_string();
    let answer = http::post(&server.api, "/events", &[http::BATCH], body.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.body);
}

/// A function as `GET /functions/NAME` tells it.
#[track_caller]
pub fn function(server: &Server<'_>, name: &str) -> Value {
    http::json(&server.api, &format!("/functions/{name}"))
}

/// Waits until no function has anything left to do.
#[track_caller]
pub fn wait_until_settled(server: &Server<'_>) {
    // Functions are looked at one after the other: one that settles meanwhile may give work to one that was seen to rest. So
    // all must be seen to rest twice, with nothing new in between.
    let mut rested_at = None;
    eventually("every function is at the end of the log", || {
        let functions = http::json(&server.api, "/functions");
        let rests = |function: &Value| ["lag", "pending", "running"].iter().all(|name| function[name] == 0);
        let all_rest = functions["items"].as_array().expect("a listing").iter().all(rests);
        let rests_at = all_rest.then(|| functions["position"].as_u64().expect("a position"));
        let before = std::mem::replace(&mut rested_at, rests_at);
        (all_rest && before == rested_at).then_some(())
    });
}

/// The whole log, in its order.
#[track_caller]
pub fn log(server: &Server<'_>) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event["position"].as_u64().expect("a position"));
        let page = http::json(&server.api, &format!("/events?after={after}&limit=1000"));
        match page["items"].as_array().expect("a listing").as_slice() {
            [] => return events,
            items => events.extend_from_slice(items),
        }
    }
}

/// The text of what a function emitted.
pub fn emitted_by<'a>(log: &'a [Value], function: &str) -> Vec<&'a str> {
    let own = log.iter().filter(|event| event["origin"]["kind"] == "function" && event["origin"]["name"] == function);
    own.map(|event| event["event"]["data"].as_str().expect("the guests of tests emit text")).collect()
}
