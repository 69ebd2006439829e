//! `tidegate bench` from outside: a server that runs the example, and one that is not ours.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use crate::http;
use crate::support::{Project, Server, text, tidegate};

/// Measures with runs that are short: what is tested is that a server is measured, not how fast it is.
fn bench(arguments: &[&str]) -> Command {
    let mut command = tidegate();
    command.args(["bench", "--seconds", "0.1", "--json"]).args(arguments);
    command
}

#[track_caller]
fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one object");
    for key in ["publish_p50_us", "publish_p99_us", "publish_per_second", "chain_p50_us", "chains_per_second"] {
        assert!(report[key].as_u64().is_some_and(|figure| figure > 0), "{key}: {report}");
    }
    report
}

#[test]
fn a_server_that_runs_the_example_is_measured_over_http() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/chain/tidegate.toml");
    let project = std::fs::read_to_string(example).expect("the example is there");
    let listen = "\n[listen]\nhooks = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n";
    std::fs::write(folder.path().join("tidegate.toml"), project + listen).expect("a file can be written");
    let server = Server::start(folder.path(), &[]);
    let report = report(&bench(&["--url", &server.api]).output().expect("tidegate runs"));
    assert_eq!(report["url"], server.api);
    // What was measured went through the functions.
    let last =
        server.json(&["functions"]).into_iter().find(|function| function["name"] == "step-5").expect("it is deployed");
    assert!(last["delivered"].as_u64().is_some_and(|delivered| delivered > 10), "{last}");
}

#[test]
fn any_server_is_measured_that_sends_what_became_of_an_event_to_the_sink() {
    let runtime = tokio::runtime::Runtime::new().expect("the system has room for a few threads");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let url = format!("http://{}/any/path?of=it", listener.local_addr().expect("it listens"));
    let mut bench = bench(&["--url", &url, "--sink", "127.0.0.1:0"]);
    let mut bench = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tidegate runs");
    let mut said = BufReader::new(bench.stderr.take().expect("it is piped")).lines();
    let line = said.next().expect("it says where it listens").expect("it is text");
    let sink = line.strip_prefix("the sink listens on ").unwrap_or_else(|| panic!("{line}"));
    let router = Router::new().fallback(pass_on).with_state(format!("http://{sink}"));
    runtime.spawn(async move { axum::serve(listener, router).await });
    report(&bench.wait_with_output().expect("it ends"));
}

/// A chain whose five handlers come to nothing.
async fn pass_on(State(sink): State<String>, body: String) -> StatusCode {
    let event: Value = serde_json::from_str(&body).expect("an event in structured mode");
    if event["type"] != "dev.tidegate.bench.unheard" {
        tokio::task::spawn_blocking(move || http::post(&sink, "/ends", &[http::STRUCTURED], body.as_bytes()));
    }
    StatusCode::ACCEPTED
}

#[test]
fn a_server_that_is_not_there_or_lacks_the_functions_is_said_to_be() {
    let refused = |arguments: &[&str], expected: &str| {
        let output = tidegate().arg("bench").args(arguments).output().expect("tidegate runs");
        assert!(!output.status.success() && text(&output).contains(expected), "{}", text(&output));
    };
    refused(&["--url", "http://127.0.0.1:9"], "tidegate up");
    let project = Project::new("");
    refused(&["--url", &project.up().api], "examples/chain");
    refused(&["--sink", "127.0.0.1:0"], "--url");
    refused(&["--url", "nowhere"], "no address");
}
