//! A store of objects beside the runtime: it keeps what is large, and brings reports.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::{Value, json};

use crate::http::{STRUCTURED, post};
use crate::support::{Project, Server, eventually, text};

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const SARIF: &str = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"results":[]}]}"#;
const TOKEN: &str = "what the store and the door share";

/// A server that speaks S3 over the folders of `root`, each a bucket, as long as this process lives.
fn serve(root: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a listener can be shared");
    let address = listener.local_addr().expect("an address");
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).expect("a folder of buckets"));
    builder.set_auth(SimpleAuth::from_single("access", "hidden"));
    let failed =
        |error: s3s::HttpError| async move { (axum::http::StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")) };
    let service = axum::error_handling::HandleError::new(builder.build(), failed);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let routes = axum::Router::new().fallback_service(service);
            axum::serve(listener, routes).await.expect("the server runs for ever");
        });
    });
    address
}

/// A project with the keys of the server.
fn project(manifest: &str) -> Project {
    Project::new(manifest).env("ACCESS", "access").env("HIDDEN", "hidden").env("TOKEN", TOKEN)
}

fn store(address: SocketAddr, bucket: &str, prefix: &str) -> String {
    format!(
        "endpoint = \"http://{address}\"\nbucket = \"{bucket}\"\nprefix = \"{prefix}\"\n\
         access_key = \"${{env:ACCESS}}\"\nsecret_key = \"${{env:HIDDEN}}\"\n"
    )
}

fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a bucket")).expect("a folder can be made");
    std::fs::write(path, content).expect("a file can be written");
}

/// The content of every file below a folder.
fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(
            |path| {
                if path.is_dir() { contents(&path) } else { vec![std::fs::read(&path).expect("a file can be read")] }
            },
        )
        .collect()
}

#[test]
fn components_and_large_data_lie_in_the_store_that_the_project_names() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let relay = "[[function]]\nname = \"relay\"\ncomponent = \"builtin:relay\"\non = [\"test.asked.for\"]\n\
                 config = { to = \"test.answered.all\" }\ngrants = { emits = [\"test.answered.all\"] }\n";
    let blob = format!("[blob]\nkind = \"s3\"\n{}", store(serve(root.path()), "blobs", "shop/"));
    std::fs::create_dir(root.path().join("blobs")).expect("a bucket");
    let project = project(&format!("{blob}{relay}"));
    let data = json!({ "text": "x".repeat(100_000) });
    let event =
        json!({ "specversion": "1.0", "id": "large", "source": "till", "type": "test.asked.for", "data": data });
    let answered = |server: &Server<'_>| {
        let find = || server.json(&["events", "--type", "test.answered.all"]).pop();
        eventually("the function's event", find)["event"]["data"].clone()
    };

    let server = project.up();
    assert_eq!(post(&server.api, "/events", &[STRUCTURED], event.to_string().as_bytes()).id(), "large");
    assert_eq!(answered(&server), data);
    server.kill();
    let stored = contents(&root.path().join("blobs/shop"));
    assert!(stored.iter().any(|blob| *blob == data.to_string().as_bytes()), "the event's data is not in the store");
    assert!(stored.iter().any(|blob| blob.starts_with(b"\0asm")), "the component is not in the store");
    assert!(!project.folder().join(".tidegate/blobs").exists(), "a folder was made for blobs too");

    let server = project.up();
    assert_eq!(answered(&server), data);
    assert!(server.stop().success());
    let offline = project.tidegate(&["events", "large", "--dir", ".", "-o", "json"]);
    let shown: Value =
        serde_json::from_slice(&offline.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&offline)));
    assert_eq!(shown["event"]["data"], data);
}

#[test]
fn a_project_whose_store_cannot_be_reached_does_not_start_and_says_why() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let project = project(&format!("[blob]\nkind = \"s3\"\n{}", store(nobody, "blobs", "")));
    let refused = project.tidegate(&["up"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    let told = text(&refused);
    assert!(
        told.contains("the blob store cannot be used") && told.contains(&format!("s3://blobs/ at http://{nobody}")),
        "{told}"
    );
}

#[test]
fn a_notification_brings_the_report_at_once_and_the_chain_shows_it() {
    let root = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(root.path().join("reports")).expect("a bucket");
    let bucket = store(serve(root.path()), "reports", "scans/");
    let project = project(&format!(
        "[[trigger.webhook]]\npath = \"/hooks/s3\"\nsender = \"s3\"\ntoken = \"${{env:TOKEN}}\"\n\
         [[trigger.bucket]]\npoll = \"1d\"\nread = \"report\"\n{bucket}"
    ));
    let server = project.up();
    // Once this is told, the bucket was looked at; it is looked at again tomorrow, or when something is said of it.
    put(root.path(), "reports/scans/first.json", "no report");
    let notify = |key: &str| {
        let object = json!({ "bucket": { "name": "reports" }, "object": { "key": key, "sequencer": "01" } });
        let body = json!({ "Records": [{ "eventName": "s3:ObjectCreated:Put", "s3": object }] }).to_string();
        let authorization = format!("Bearer {TOKEN}");
        post(&server.hooks, "/hooks/s3", &[("authorization", &authorization)], body.as_bytes()).id()
    };
    notify("scans/first.json");
    eventually("the unread object", || server.json(&["events", "--type", "com.s3.ObjectUnread"]).pop());

    let key = format!("scans/{COMMIT}/lint.sarif");
    put(root.path(), &format!("reports/{key}"), SARIF);
    let notification = notify(&key);
    let report = eventually("the report", || server.json(&["events", "--type", "com.sarif.report"]).pop());
    assert_eq!(report["event"]["causationid"], notification, "{report}");
    assert_eq!(report["event"]["data"]["report"]["subject"]["commit"], COMMIT, "{report}");
    let traced = server.output(&["trace", &notification]);
    assert!(traced.contains("com.sarif.report"), "{traced}");
}
