//! From an accepted change to a finished run, on a real runtime: the definition comes over a connection, one task is a process,
//! the next a workflow of the git host, and artifacts count once all have succeeded.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post as on_post};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::http;
use crate::http::{Header, github_signature, post};
use crate::stage::log;
use crate::support::{Project, Server, eventually};

const SECRET: &str = "what the git host signs with";
const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const RUN: &str = "acme/shop/runs/6113728f27ae";
const DIGEST: &str = "sha256:9d1c8a5b0f3e7c2d4a6b8e1f0c3d5a7b9e2f4c6d8a0b1c3e5f7a9b2d4c6e8f01";
const WORKFLOW_RUN: u64 = 71;

const DEFINITION: &str = r#"
name = "release"

[[task]]
name = "image"
executor = "process"
argv = ["sh", "-c", "echo digest=$1 >> $TIDEGATE_RESULTS; echo artifact=registry.example.com/acme/shop >> $TIDEGATE_RESULTS", "sh", "DIGEST"]
results = ["digest", "artifact"]

[[task]]
name = "smoke"
needs = ["image"]
executor = "workflow-dispatch"
workflow = "smoke.yml"
parameters = { image = "${image.artifact}@${image.digest}" }
"#;

const MANIFEST: &str = r#"
[connections.github]
url = "GIT_HOST"
private = true

[[trigger.webhook]]
path = "/hooks/github"
sender = "github"
secret = "${env:GITHUB_SECRET}"

[[function]]
name = "accept"
component = "builtin:relay"
on = ["com.example.accept"]
config = { to = "dev.cdeventsx.tidegate-change.accepted.0.1.0" }
grants = { emits = ["tidegate-change.accepted"] }

[[function]]
name = "pipeline"
component = "builtin:pipeline"
on = ["tidegate-change.accepted", "taskrun.finished", "run.due"]
config = { executors = ["function:runner", "function:workflow"] }
order = "partitionkey"
[function.grants]
http = ["github"]
keyvalue = { write = ["pipelines"] }
emits = ["pipelinerun.queued", "pipelinerun.finished", "task.requested", "run.due", "artifact.packaged"]

[[function]]
name = "runner"
component = "native:process"
on = ["task.requested"]
config = { programs = { sh = "/bin/sh" } }
grants = { emits = ["taskrun.finished"] }

[[function]]
name = "workflow"
component = "builtin:workflow"
on = ["task.requested", "task.due", "com.github.workflow_run.*"]
config = { senders = ["trigger:/hooks/github"] }
order = { key = "has(data.git) ? data.git.head_sha : event.partitionkey" }
[function.grants]
http = ["github"]
keyvalue = { write = ["workflows"] }
emits = ["taskrun.finished", "task.due"]
"#;

/// A git host's API: it has the definition, and takes dispatches.
#[derive(Clone)]
struct GitHost {
    definition: String,
    dispatched: Arc<Mutex<Vec<Value>>>,
}

impl GitHost {
    fn new(definition: &str) -> Self {
        GitHost { definition: definition.to_owned(), dispatched: Arc::default() }
    }

    /// Serves until the runtime ends. Answers its address.
    fn serve(&self, runtime: &Runtime) -> String {
        let router = Router::new()
            .route("/repos/acme/shop/contents/.tidegate/pipeline.toml", get(Self::contents))
            .route("/repos/acme/shop/actions/workflows/{file}/dispatches", on_post(Self::dispatch))
            .with_state(self.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }

    async fn contents(
        State(host): State<GitHost>,
        Query(query): Query<Vec<(String, String)>>,
        headers: HeaderMap,
    ) -> (StatusCode, String) {
        let raw = headers.get("accept").is_some_and(|accept| accept == "application/vnd.github.raw+json");
        let there = query == [("ref".to_owned(), COMMIT.to_owned())] && raw;
        if there { (StatusCode::OK, host.definition) } else { (StatusCode::NOT_FOUND, String::new()) }
    }

    async fn dispatch(State(host): State<GitHost>, Path(file): Path<String>, body: String) -> (StatusCode, String) {
        let body: Value = serde_json::from_str(&body).unwrap();
        host.dispatched.lock().unwrap().push(json!({ "file": file, "body": body }));
        let details = json!({
            "workflow_run_id": WORKFLOW_RUN, "run_url": "https://api.git.example/runs/71",
            "html_url": "https://git.example/acme/shop/actions/runs/71",
        });
        (StatusCode::OK, details.to_string())
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn project(host: &GitHost, runtime: &Runtime) -> Project {
    Project::new(&MANIFEST.replace("GIT_HOST", &host.serve(runtime))).env("GITHUB_SECRET", SECRET)
}

fn accept(server: &Server<'_>) {
    let content =
        json!({ "commit": COMMIT, "repository": "acme/shop", "branch": "main", "way": "merge", "change": 12 });
    let event = json!({
        "specversion": "1.0", "id": "accept", "source": "/tests", "type": "com.example.accept",
        "subject": "acme/shop/pull/12", "partitionkey": COMMIT,
        "data": { "context": {"specversion": "0.5.0", "type": "x"}, "subject": { "id": "acme/shop/pull/12", "content": content } },
    });
    let answer = http::post(
        &server.api,
        "/events",
        &[("content-type", "application/cloudevents+json")],
        event.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 202);
}

/// The events of a type, without its version.
fn said(server: &Server<'_>, ty: &str) -> Vec<Value> {
    let events = log(server).into_iter().map(|mut event| event["event"].take());
    events.filter(|event| event["type"].as_str().unwrap().starts_with(&format!("{ty}."))).collect()
}

#[track_caller]
fn ended(server: &Server<'_>) -> Value {
    eventually("the end of the run", || said(server, "dev.cdevents.pipelinerun.finished").pop())
}

/// The git host tells that the workflow run has completed.
fn completed(server: &Server<'_>, conclusion: &str) {
    let run = json!({
        "id": WORKFLOW_RUN, "event": "workflow_dispatch", "path": ".github/workflows/smoke.yml", "head_sha": COMMIT,
        "status": "completed", "conclusion": conclusion, "display_title": "smoke",
        "html_url": "https://git.example/acme/shop/actions/runs/71",
    });
    let repository = json!({ "full_name": "acme/shop", "html_url": "https://git.example/acme/shop" });
    let body = json!({ "action": "completed", "workflow_run": run, "repository": repository }).to_string();
    let signature = github_signature(SECRET, body.as_bytes());
    let headers: [Header<'_>; 4] = [
        ("content-type", "application/json"),
        ("x-github-event", "workflow_run"),
        ("x-github-delivery", "completed-71"),
        ("x-hub-signature-256", &signature),
    ];
    post(&server.hooks, "/hooks/github", &headers, body.as_bytes()).id();
}

/// Runs up to the dispatch of the workflow.
fn until_dispatched<'a>(project: &'a Project, host: &GitHost) -> Server<'a> {
    let server = project.up();
    accept(&server);
    let dispatched = eventually("the dispatch", || host.dispatched.lock().unwrap().pop());
    let inputs = &dispatched["body"]["inputs"];
    assert_eq!((&dispatched["file"], &dispatched["body"]["ref"]), (&json!("smoke.yml"), &json!("main")));
    assert_eq!(inputs["image"], format!("registry.example.com/acme/shop@{DIGEST}"));
    server
}

#[test]
fn a_change_runs_through_both_executors_and_its_artifact_is_told() {
    let (runtime, host) = (runtime(), GitHost::new(&DEFINITION.replace("DIGEST", DIGEST)));
    let project = project(&host, &runtime);
    let server = until_dispatched(&project, &host);
    assert_eq!(said(&server, "dev.cdevents.artifact.packaged"), Vec::<Value>::new());
    completed(&server, "success");
    let end = ended(&server);
    assert_eq!((&end["subject"], &end["data"]["subject"]["content"]["outcome"]), (&json!(RUN), &json!("success")));
    let packaged = said(&server, "dev.cdevents.artifact.packaged");
    assert_eq!(packaged.len(), 1);
    assert_eq!(packaged[0]["data"]["customData"]["digest"], DIGEST);
    assert_eq!(packaged[0]["data"]["subject"]["content"]["change"]["id"], "acme/shop/pull/12");
}

#[test]
fn a_workflow_that_was_skipped_ends_the_run_without_an_artifact() {
    let (runtime, host) = (runtime(), GitHost::new(&DEFINITION.replace("DIGEST", DIGEST)));
    let project = project(&host, &runtime);
    let server = until_dispatched(&project, &host);
    completed(&server, "skipped");
    let end = ended(&server)["data"]["customData"].take();
    assert_eq!((&end["outcome"], &end["failed"]), (&json!("failure"), &json!("smoke")));
    assert_eq!(end["output"], "https://git.example/acme/shop/actions/runs/71");
    assert_eq!(said(&server, "dev.cdevents.artifact.packaged"), Vec::<Value>::new());
}

#[test]
fn a_definition_that_cannot_be_read_is_told_as_the_end_of_the_run() {
    let (runtime, host) = (runtime(), GitHost::new("[[task]]\nname = \"build\"\n"));
    let project = project(&host, &runtime);
    let server = project.up();
    accept(&server);
    let end = ended(&server)["data"]["customData"].take();
    assert_eq!(end["outcome"], "error");
    assert!(end["reason"].as_str().unwrap().contains("missing field `executor`"), "{end}");
    assert_eq!(said(&server, "dev.cdeventsx.tidegate-task.requested"), Vec::<Value>::new());
}
