//! The first minutes of an author: from an empty folder to an event that a function of their own handled.

use tempfile::TempDir;

use crate::pages::{README, commands, section};
use crate::support::{Server, text, tidegate};

#[test]
fn a_new_project_builds_runs_and_explains_its_first_event() {
    let folder = TempDir::new().expect("a temporary folder");
    let shop = folder.path().join("shop");
    let run = |folder: &std::path::Path, arguments: &[&str]| {
        let output = tidegate().args(arguments).current_dir(folder).output().expect("tidegate runs");
        assert!(output.status.success(), "tidegate {arguments:?}: {}", text(&output));
        text(&output)
    };
    let session = commands(section(README, "A first function"));
    let (new, rest) = session.split_first().expect("the README has a session");
    let up = rest.iter().position(|command| command == &["up"]).expect("the session runs the project");
    let made = run(folder.path(), new);
    assert!(README.contains(&made), "the README does not show what `new` says: {made}");
    for command in &rest[..up] {
        run(&shop, command);
    }
    run(&shop, &["check"]);
    listen_on_free_ports(&shop.join("tidegate.toml"));

    let server = Server::start(&shop, &[]);
    for command in &rest[up + 1..] {
        server.output(command);
    }
    let receipts_and_trace = server.json(&["emit", "sample-event.json", "--wait"]);
    let trace = receipts_and_trace.last().expect("emit --wait prints the trace");
    assert_eq!(trace["settled"], true, "{trace}");
    let emitted = &trace["roots"][0]["children"][0];
    assert_eq!(emitted["type"], "com.example.greeting.counted", "{trace}");

    let explained = &server.json(&["explain", "greeting-1"])[0];
    let function = &explained["functions"][0];
    assert_eq!(function["function"], "hello", "{explained}");
    assert_eq!(function["verdict"]["kind"], "delivered", "{explained}");
    let words = server.output(&["explain", "greeting-1"]);
    assert!(words.contains("hello") && words.contains("delivered"), "{words}");

    // `last` is what the function emitted: nothing listens for it, and that is said too.
    let last = &server.json(&["explain", "last"])[0];
    assert_eq!(last["event"]["event"]["type"], "com.example.greeting.counted", "{last}");
    assert_eq!(last["functions"][0]["verdict"]["kind"], "filtered", "{last}");

    assert!(server.stop().success(), "SIGTERM ends it cleanly");
    let stopped = run(folder.path(), &["explain", "greeting-1", "--dir", "shop"]);
    assert!(stopped.contains("delivered"), "{stopped}");
}

/// The template's own ports may be taken by another server on this machine.
fn listen_on_free_ports(manifest: &std::path::Path) {
    let text = std::fs::read_to_string(manifest).expect("there is a project file");
    let listen = "[listen]\nhooks = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n\n[[function]]";
    let changed = text.replacen("[[function]]", listen, 1);
    assert_ne!(changed, text, "the template has a function");
    std::fs::write(manifest, changed).expect("the project file can be written");
}
