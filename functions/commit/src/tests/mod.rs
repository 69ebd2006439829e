mod asking;
mod offline;
mod reviews_and_checks;
mod rules_of_the_branch;

use delivery::{Change, types};
use serde_json::{Value, json};
use tidegate_sdk::http::{Request, Response};
use tidegate_sdk::testing::Host;
use tidegate_sdk::{Event, Failure, Origin};

use super::handle;

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const HEAD: &str = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c";
const BASE: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
const TIME: &str = "2026-11-23T09:00:00Z";
const API: &str = "http://github/repos/acme/shop";

fn with(mut git: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        git[*name] = value.clone();
    }
    git
}

fn event(ty: &str, git: Value) -> Event {
    let origin = Origin { kind: "trigger".into(), name: "/hooks/github".into(), verified: true };
    let event = Event::new(ty).json(&json!({ "git": git, "payload": {} })).unwrap();
    Event { id: "e-1".into(), origin: Some(origin), time: Some(TIME.into()), ..event }
}

fn push(changes: &[(&str, Value)]) -> Event {
    let git = json!({
        "event": "push", "repo": "acme/shop", "actor": "ana", "default_branch": "main", "ref": "refs/heads/main",
        "ref_kind": "branch", "ref_name": "main", "change": "updated", "before": BASE, "after": COMMIT,
        "head_commit": COMMIT, "forced": false,
    });
    event("com.github.push", with(git, changes))
}

fn change(changes: &[(&str, Value)]) -> Value {
    let git = json!({
        "event": "pull_request", "repo": "acme/shop", "actor": "ana", "default_branch": "main", "number": 12, "author": "ana",
        "state": "open", "base_ref": "main", "base_sha": BASE, "head_sha": HEAD, "merged": false, "merge_commit": null,
    });
    with(git, changes)
}

fn proposal() -> Event {
    event(types::CHANGE_UPDATED, change(&[]))
}

fn merge(changes: &[(&str, Value)]) -> Event {
    let merged = [("merged", json!(true)), ("merge_commit", json!(COMMIT)), ("state", json!("closed"))];
    event(types::CHANGE_MERGED, with(change(&merged), changes))
}

fn check_run(name: &str, head_branch: Option<&str>) -> Event {
    let git = json!({
        "event": "check_run", "repo": "acme/shop", "default_branch": "main", "head_sha": HEAD, "head_branch": head_branch,
        "name": name, "status": "completed", "conclusion": "success", "app": "github-actions",
    });
    event(types::TESTSUITERUN_FINISHED, git)
}

/// GitHub as it answers: each request once, and the same again for as long as the test asks.
struct Hub {
    host: Option<Host>,
}

impl Hub {
    /// Every rule of `rules` lies on the branch at `BASE`; config asks for nothing more.
    fn new(rules: &str) -> Self {
        Hub { host: Some(Host::new().config("policy", "")) }.file(BASE, 200, rules)
    }

    fn config(self, key: &str, text: &str) -> Self {
        self.with(|host| host.config(key, text))
    }

    fn file(self, commit: &str, status: u16, text: &str) -> Self {
        self.answer("GET", &format!("/contents/.tidegate/admission.toml?ref={commit}"), status, text.as_bytes())
    }

    fn reviews(self, reviews: Value) -> Self {
        self.json("/pulls/12/reviews?per_page=100&page=1", &reviews)
    }

    fn checks(self, commit: &str, runs: Value, statuses: Value) -> Self {
        let total = runs.as_array().unwrap().len();
        let combined = json!({ "state": "pending", "sha": commit, "total_count": 0, "statuses": statuses });
        self.json(
            &format!("/commits/{commit}/check-runs?filter=latest&per_page=100&page=1"),
            &json!({ "total_count": total, "check_runs": runs }),
        )
        .json(&format!("/commits/{commit}/status?per_page=100&page=1"), &combined)
    }

    fn pulls_of(self, commit: &str, pulls: Value) -> Self {
        self.json(&format!("/commits/{commit}/pulls?per_page=100&page=1"), &pulls)
    }

    fn takes_status(self, commit: &str) -> Self {
        self.answer("POST", &format!("/statuses/{commit}"), 201, b"{}")
    }

    fn json(self, path: &str, body: &Value) -> Self {
        self.answer("GET", path, 200, body.to_string().as_bytes())
    }

    fn answer(self, method: &str, path: &str, status: u16, body: &[u8]) -> Self {
        self.with(|host| host.answer(method, &format!("{API}{path}"), status, body))
    }

    fn with(mut self, change: impl FnOnce(Host) -> Host) -> Self {
        self.host = self.host.take().map(change);
        self
    }

    fn hear(&self, event: &Event) -> Result<Vec<Event>, Failure> {
        handle(event.clone())
    }

    fn requests(&self) -> Vec<Request> {
        self.host.as_ref().unwrap().requests()
    }

    /// State and description of each status that was posted, with its commit.
    fn posted(&self) -> Vec<(String, String, String)> {
        let posts = self.requests().into_iter().filter(|request| request.method == "POST");
        posts
            .map(|request| {
                let body: Value = serde_json::from_slice(&request.body).unwrap();
                assert_eq!(body["context"], "tidegate/admission");
                let text = |name: &str| body[name].as_str().unwrap().to_owned();
                (request.url.rsplit('/').next().unwrap().to_owned(), text("state"), text("description"))
            })
            .collect()
    }
}

fn content(event: &Event) -> Change {
    delivery::content(event).unwrap()
}

/// `accepted`, the broken rule, or `nothing`.
fn word(said: &[Event]) -> String {
    match said {
        [] => "nothing".to_owned(),
        [event] if event.ty == types::CHANGE_ACCEPTED => "accepted".to_owned(),
        [event] => content(event).refused.unwrap().rule,
        more => panic!("{more:?}"),
    }
}
