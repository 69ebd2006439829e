//! The function `commit` on a running project, against a git host's API: what comes to a protected branch is held against the
//! rules that lie on it, and the host is told.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::forge::{Forge, TOKEN};
use crate::http::{github_signature, post};
use crate::support::{Project, Server, eventually};

const SECRET: &str = "what the git host signs with";
const BASE: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
const HEAD: &str = "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c";
const MERGED: &str = "9fceb02d0ae598e95dc970b74767f19372d61af8";
const PUSHED: &str = "b1b3f9723831141a31a1a7252a213e216ea76e56";
const RULES: &str = "reviews = 2\nchecks = [\"build\"]\n";
const ACCEPTED: &str = "dev.cdeventsx.tidegate-change.accepted.0.1.0";
const REFUSED: &str = "dev.cdeventsx.tidegate-change.refused.0.1.0";

const MANIFEST: &str = r#"
[connections.github]
url = "${FORGE}"
headers = { authorization = "Bearer ${env:GITHUB_TOKEN}" }
private = true

[[trigger.webhook]]
path = "/hooks/github"
sender = "github"
secret = "${env:GITHUB_SECRET}"

[[function]]
name = "commit"
component = "builtin:commit"
on = ["com.github.push", "change.created", "change.reviewed", "change.merged", "testsuiterun.finished", "com.github.status", "com.github.merge_group.checks_requested"]
config = { policy = { file = "admission.toml" } }
grants = { http = ["github"], emits = ["tidegate-change.accepted", "tidegate-change.refused"] }
retry = { attempts = 5, initial = "10ms", max = "10ms", jitter = false }
"#;

/// A project beside a git host that has the rules on its branch.
fn project(runtime: &Runtime) -> (Project, Forge) {
    let forge = Forge::default();
    let api = forge.serve(runtime);
    forge.with(|world| drop(world.rules.insert(BASE.to_owned(), RULES.to_owned())));
    let project = Project::new(&MANIFEST.replace("${FORGE}", &api));
    project.write("admission.toml", "");
    (project.env("GITHUB_SECRET", SECRET).env("GITHUB_TOKEN", TOKEN), forge)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime can be built")
}

fn deliver(server: &Server<'_>, event: &str, delivery: &str, mut payload: Value) {
    payload["repository"] = json!({
        "full_name": "shop/storefront", "html_url": "https://git.example/shop/storefront", "default_branch": "main",
        "pushed_at": 1_795_510_800,
    });
    payload["sender"] = json!({ "login": "ada" });
    let body = payload.to_string();
    let signature = github_signature(SECRET, body.as_bytes());
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", event),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", &signature),
    ];
    post(&server.hooks, "/hooks/github", &headers, body.as_bytes()).id();
}

fn pull_request(state: &str, merged: bool) -> Value {
    json!({
        "number": 7, "state": state, "title": "Show prices with tax", "user": { "login": "ada" }, "draft": false, "merged": merged,
        "merge_commit_sha": if merged { json!(MERGED) } else { json!(null) },
        "merged_at": if merged { json!("2026-11-24T09:00:00Z") } else { json!(null) },
        "created_at": "2026-11-24T08:00:00Z", "updated_at": "2026-11-24T09:00:00Z", "closed_at": "2026-11-24T09:00:00Z",
        "head": { "ref": "prices", "sha": HEAD, "repo": { "full_name": "shop/storefront" } },
        "base": { "ref": "main", "sha": BASE, "repo": { "full_name": "shop/storefront" } },
    })
}

fn opened(server: &Server<'_>) {
    deliver(
        server,
        "pull_request",
        "opened",
        json!({ "action": "opened", "number": 7, "pull_request": pull_request("open", false) }),
    );
}

fn review(who: &str, state: &str) -> Value {
    json!({ "id": 1, "user": { "login": who }, "state": state, "commit_id": HEAD, "author_association": "COLLABORATOR" })
}

fn build(conclusion: &str) -> Value {
    json!([{ "id": 3, "name": "build", "head_sha": HEAD, "status": "completed", "conclusion": conclusion, "app": { "slug": "ci" } }])
}

/// Content of the `count`th event of a type, once it is there.
#[track_caller]
fn said(server: &Server<'_>, ty: &str, count: usize) -> Value {
    let content = |event: &Value| event["event"]["data"]["subject"]["content"].clone();
    eventually(&format!("{count} of {ty}"), || {
        let events = server.json(&["events", "--type", ty]);
        events.get(count - 1).map(content)
    })
}

#[test]
fn a_change_is_held_against_the_rules_of_its_base_until_it_is_merged() {
    let runtime = runtime();
    let (project, forge) = project(&runtime);
    let server = project.up();

    opened(&server);
    assert_eq!(said(&server, REFUSED, 1)["rule"], "reviews");
    assert_eq!(forge.status(HEAD).expect("a status").0, "pending");

    forge.with(|world| {
        world.reviews = vec![review("bo", "APPROVED"), review("cy", "COMMENTED"), review("di", "approved")];
        world.runs.insert(HEAD.to_owned(), build("success"));
        world.pulls.insert(HEAD.to_owned(), json!([pull_request("open", false)]));
    });
    let check = json!({ "id": 3, "name": "build", "head_sha": HEAD, "status": "completed", "conclusion": "success",
        "completed_at": "2026-11-24T08:30:00Z", "app": { "slug": "ci" }, "check_suite": { "head_branch": "prices" } });
    deliver(&server, "check_run", "built", json!({ "action": "completed", "check_run": check }));
    let accepted = said(&server, ACCEPTED, 1);
    assert_eq!((&accepted["way"], &accepted["commit"]), (&json!("proposal"), &json!(HEAD)));
    assert_eq!(forge.status(HEAD).expect("a status").0, "success");

    // The host tells of the push that a merge makes, and of the merge.
    forge.with(|world| drop(world.pulls.insert(MERGED.to_owned(), json!([pull_request("closed", true)]))));
    let push = |after: &str| json!({ "ref": "refs/heads/main", "before": BASE, "after": after, "forced": false, "head_commit": { "id": after }, "commits": [] });
    deliver(&server, "push", "merging", push(MERGED));
    deliver(
        &server,
        "pull_request",
        "merged",
        json!({ "action": "closed", "number": 7, "pull_request": pull_request("closed", true) }),
    );
    let accepted = said(&server, ACCEPTED, 2);
    assert_eq!((&accepted["way"], &accepted["commit"]), (&json!("merge"), &json!(MERGED)));
    assert_eq!((&accepted["order"], &accepted["policy"]["commit"]), (&json!("2026-11-24T09:00:00Z"), &json!(BASE)));

    // What nobody proposed is refused, and the host shows it.
    deliver(&server, "push", "direct", push(PUSHED));
    assert_eq!(said(&server, REFUSED, 2)["rule"], "no-direct-push");
    let (state, description) = forge.status(PUSHED).expect("a status");
    assert_eq!(
        (state.as_str(), description.as_str()),
        ("failure", "no-direct-push: the commit was pushed to main and no change (pull request) brought it")
    );

    let asked = forge.with(|world| std::mem::take(&mut world.requests));
    let files: Vec<&String> = asked.iter().filter(|request| request.contains("/contents/")).collect();
    assert!(!files.is_empty() && files.iter().all(|request| request.ends_with(&format!("?ref={BASE}"))), "{files:?}");
    assert_eq!(server.json(&["events", "--type", ACCEPTED]).len(), 2);
    assert!(server.output(&["dlq", "list", "-o", "json"]).is_empty());
}

#[test]
fn a_merge_queue_s_head_has_a_status_of_its_own() {
    let runtime = runtime();
    let (project, forge) = project(&runtime);
    forge.with(|world| {
        world.reviews = vec![review("bo", "APPROVED"), review("di", "APPROVED")];
        world.pulls.insert(HEAD.to_owned(), json!([pull_request("open", false)]));
    });
    let server = project.up();
    let group = json!({
        "head_sha": PUSHED, "head_ref": format!("refs/heads/gh-readonly-queue/main/pr-7-{BASE}"), "base_sha": BASE,
        "base_ref": "refs/heads/main",
    });
    deliver(&server, "merge_group", "queued", json!({ "action": "checks_requested", "merge_group": group }));
    let refused = said(&server, REFUSED, 1);
    assert_eq!(
        (&refused["way"], &refused["rule"], &refused["commit"]),
        (&json!("queue"), &json!("checks"), &json!(PUSHED))
    );
    assert_eq!(forge.status(PUSHED).expect("a status").0, "pending");
}

#[test]
fn a_host_that_is_away_or_says_that_it_was_asked_too_often_is_asked_again() {
    let runtime = runtime();
    let (project, forge) = project(&runtime);
    forge.with(|world| {
        let limit = json!({ "message": "You have exceeded a secondary rate limit.", "status": "403" });
        world.troubles.push_back((StatusCode::FORBIDDEN, vec![("retry-after", "1".to_owned())], limit));
        world.troubles.push_back((StatusCode::BAD_GATEWAY, Vec::new(), json!({ "message": "Server Error" })));
    });
    let server = project.up();
    opened(&server);
    assert_eq!(said(&server, REFUSED, 1)["rule"], "reviews");
    assert!(forge.with(|world| world.troubles.is_empty()));
}

#[test]
fn a_token_that_may_nothing_makes_a_dead_letter_that_says_so() {
    let runtime = runtime();
    let (project, _forge) = project(&runtime);
    let project = project.env("GITHUB_TOKEN", "another token");
    let server = project.up();
    opened(&server);
    let letter = eventually("a dead letter", || server.json(&["dlq", "list"]).into_iter().next());
    assert!(letter.to_string().contains("Bad credentials; give the connection a token that is valid"), "{letter}");
}
