//! From a push to a registry to where a release goes: `image`, `scan`, `gate` and `placement` on a running project, beside a
//! registry that serves manifests by the distribution protocol.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::http::post;
use crate::support::{Project, Server, eventually};

const TOKEN: &str = "what registry and scanner send";
const COMMIT: &str = "9fceb02d0ae598e95dc970b74767f19372d61af8";

const MANIFEST: &str = r#"
[connections.registry]
url = "${REGISTRY}"
headers = { authorization = "Bearer ${env:TOKEN}" }
private = true

[[trigger.webhook]]
path = "/hooks/registry"
sender = "distribution"
token = "${env:TOKEN}"

[[trigger.webhook]]
path = "/hooks/trivy"
sender = "trivy"
token = "${env:TOKEN}"

[[function]]
name = "image"
component = "builtin:image"
on = ["artifact.published", "com.distribution.push"]
config = { plan = { file = "plan.toml" } }
grants = { http = ["registry"], keyvalue = { write = ["images"] }, emits = ["artifact.identified", "scan.requested"] }

[[function]]
name = "scan"
component = "builtin:scan"
on = ["com.trivy.report", "artifact.identified"]
config = { max_age = "7d" }
grants = { keyvalue = { write = ["scans"] }, emits = ["scan.completed"] }

[[function]]
name = "gate"
component = "builtin:gate"
on = ["artifact.identified", "scan.completed", "gate.asked"]
config = { policy = { file = "gate.toml" }, plan = { file = "plan.toml" } }
grants = { keyvalue = { write = ["evidence-staging"], read = ["quarantine", "releases"] }, emits = ["gate.passed", "gate.blocked", "gate.asked", "incident.detected"] }

[[function]]
name = "placement"
component = "builtin:placement"
on = ["gate.passed"]
config = { plan = { file = "plan.toml" } }
grants = { emits = ["placement.decided", "release.refused"] }
"#;

const GATE: &str = r#"
environment = "staging"
[require]
provenance = ["function:image"]
image = ["function:scan"]
"#;

const PLAN: &str = r#"
environments = ["staging"]
[service.shop]
repository = "acme/shop"
artifact = "registry.example.com/acme/shop"
profile = "event-driven"
scans = ["image"]
[service.shop.in.staging]
function = "shop-staging"
"#;

/// Manifests by reference.
type Manifests = Arc<BTreeMap<String, Vec<u8>>>;

async fn answer(State(manifests): State<Manifests>, uri: Uri, headers: HeaderMap) -> Response {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(header::AUTHORIZATION) != format!("Bearer {TOKEN}") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let reference = uri.path().strip_prefix("/v2/acme/shop/manifests/");
    let ty = "application/vnd.oci.image.manifest.v1+json";
    match reference.and_then(|reference| manifests.get(reference)) {
        Some(bytes) if text(header::ACCEPT).contains(ty) => {
            let headers = [(header::CONTENT_TYPE, ty.to_owned()), (header::ETAG, digest(bytes))];
            let mut response = (headers, bytes.clone()).into_response();
            response.headers_mut().insert("docker-content-digest", digest(bytes).parse().expect("a header's value"));
            response
        }
        // As Docker's registry says of a type that is not asked for.
        _ => (StatusCode::NOT_FOUND, json!({ "errors": [{ "code": "MANIFEST_UNKNOWN" }] }).to_string()).into_response(),
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn manifest(name: &str) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2 },
        "annotations": { "org.opencontainers.image.revision": COMMIT, "org.opencontainers.image.title": name },
    });
    manifest.to_string().into_bytes()
}

fn project(runtime: &Runtime, manifests: BTreeMap<String, Vec<u8>>) -> Project {
    let router = Router::new().fallback(answer).with_state(Arc::new(manifests));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    runtime.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    let project = Project::new(&MANIFEST.replace("${REGISTRY}", &format!("http://{address}")));
    project.write("gate.toml", GATE);
    project.write("plan.toml", PLAN);
    project.env("TOKEN", TOKEN)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime can be built")
}

fn deliver(server: &Server<'_>, path: &str, body: &Value) {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    post(&server.hooks, path, &headers, body.to_string().as_bytes()).id();
}

/// What Docker's registry sends for a push.
fn pushed(server: &Server<'_>, digest: &str, tag: &str) {
    let target = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 100, "repository": "acme/shop", "tag": tag,
        "url": format!("https://registry.example.com/v2/acme/shop/manifests/{digest}"),
    });
    let request =
        json!({ "id": "r", "addr": "10.0.0.1", "host": "registry.example.com", "method": "PUT", "useragent": "oras" });
    let event = json!({ "id": tag, "timestamp": "2026-11-24T10:00:00Z", "action": "push", "target": target, "request": request });
    deliver(server, "/hooks/registry", &json!({ "events": [event] }));
}

fn scanned(server: &Server<'_>, digest: &str) {
    let created = chrono::Utc::now().to_rfc3339();
    let report = json!({
        "SchemaVersion": 2, "CreatedAt": created, "ArtifactName": "registry.example.com/acme/shop:1", "ArtifactType": "container_image",
        "Metadata": { "OS": { "Family": "debian", "Name": "13" }, "RepoDigests": [format!("registry.example.com/acme/shop@{digest}")] },
        "Results": [{ "Target": "shop", "Class": "os-pkgs", "Type": "debian" }],
    });
    deliver(server, "/hooks/trivy", &report);
}

#[track_caller]
fn said(server: &Server<'_>, name: &str) -> Value {
    let ty = format!("dev.cdeventsx.tidegate-{name}.0.1.0");
    eventually(name, || {
        let events = server.json(&["events", "--type", &ty]);
        events.first().map(|event| event["event"]["data"]["subject"]["content"].clone())
    })
}

#[test]
fn a_pushed_artifact_goes_to_its_place_once_its_scan_is_clean_whichever_comes_first() {
    let runtime = runtime();
    for scan_first in [false, true] {
        let bytes = manifest("shop");
        let of = digest(&bytes);
        let project = project(&runtime, [(of.clone(), bytes)].into());
        let server = project.up();
        if scan_first {
            scanned(&server, &of);
            said(&server, "scan.completed");
        }
        pushed(&server, &of, "1");
        assert_eq!(said(&server, "artifact.identified")["commit"], COMMIT);
        assert_eq!(said(&server, "scan.requested"), json!({ "service": "shop", "digest": of, "kind": "image" }));
        if !scan_first {
            assert_eq!(said(&server, "gate.blocked")["missing"], json!(["image"]));
            scanned(&server, &of);
        }
        let placed = said(&server, "placement.decided");
        assert_eq!(
            (&placed["digest"], &placed["commit"], &placed["function"]),
            (&json!(of), &json!(COMMIT), &json!("shop-staging"))
        );
        assert_eq!((&placed["target"], &placed["pool"]), (&json!("tidegate"), &json!("functions")));
    }
}

#[test]
fn a_registry_that_serves_other_bytes_is_not_believed() {
    let runtime = runtime();
    let of = digest(&manifest("shop"));
    let project = project(&runtime, [(of.clone(), manifest("another"))].into());
    let server = project.up();
    pushed(&server, &of, "1");
    let letter = eventually("a dead letter", || server.json(&["dlq", "list"]).into_iter().next());
    assert!(letter.to_string().contains("somebody changed what it has"), "{letter}");
    assert!(server.json(&["events", "--type", "dev.cdeventsx.tidegate-artifact.identified.0.1.0"]).is_empty());
}
