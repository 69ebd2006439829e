//! Pulls from the small registry in this process, over a real connection.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::cli::demo::registry::Registry as Server;

const NAME: &str = "acme/shop";

/// A registry with the parts of one wasm artifact.
struct Stage {
    server: Server,
    host: String,
    http: reqwest::Client,
    component: Bytes,
    serving: JoinSet<()>,
}

impl Stage {
    async fn new() -> Self {
        // An `Err` means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = Server::new("http://127.0.0.1:9/nobody".to_owned(), "Bearer none".to_owned());
        let router = server.router();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let stage = Stage { server, host, http, component: Bytes::from_static(b"\0asm component"), serving };
        stage.push_blob(&stage.component).await;
        stage.push_blob(b"{}").await;
        stage
    }

    async fn push_blob(&self, bytes: &[u8]) {
        let url = format!("http://{}/v2/{NAME}/blobs/uploads/?digest={}", self.host, Digest::of(bytes));
        assert_eq!(self.http.post(url).body(bytes.to_vec()).send().await.unwrap().status(), 201);
    }

    fn layer(&self) -> Value {
        json!({ "mediaType": WASM, "digest": Digest::of(&self.component), "size": self.component.len() })
    }

    /// Pushes a manifest with these layers; the reference by which it is pulled.
    async fn push(&self, layers: &[Value]) -> OciReference {
        let config =
            json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": Digest::of(b"{}"), "size": 2 });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFESTS[0], "artifactType": WASM, "config": config, "layers": layers,
        });
        let manifest = manifest.to_string();
        let url = format!("http://{}/v2/{NAME}/manifests/main", self.host);
        let request = self.http.put(url).header("content-type", MANIFESTS[0]).body(manifest.clone());
        assert_eq!(request.send().await.unwrap().status(), 201);
        OciReference { host: self.host.clone(), name: NAME.to_owned(), digest: Digest::of(manifest.as_bytes()) }
    }

    async fn pull(&self, reference: &OciReference) -> Result<Bytes, PullError> {
        let registry = Registry { insecure: true, ..Registry::default() };
        let known = connect(&registry, &|_| None).unwrap();
        Registries(BTreeMap::from([(self.host.clone(), known)])).pull(reference).await
    }
}

#[track_caller]
fn check(pulled: Result<Bytes, PullError>, reason: &str, passing: bool) {
    let error = pulled.unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
    assert_eq!(error.is_passing(), passing, "{error}");
}

#[tokio::test]
async fn a_component_is_pulled_by_digest_and_is_what_was_pushed() {
    let stage = Stage::new().await;
    let reference = stage.push(&[stage.layer()]).await;
    assert_eq!(stage.pull(&reference).await.unwrap(), stage.component);
}

#[tokio::test]
async fn what_was_changed_in_the_registry_is_refused() {
    let stage = Stage::new().await;
    let reference = stage.push(&[stage.layer()]).await;
    stage.server.corrupt(&Digest::of(&stage.component).to_string());
    check(stage.pull(&reference).await, "the component of", false);
}

#[tokio::test]
async fn what_is_not_there_or_no_component_says_so() {
    let stage = Stage::new().await;
    let reference = stage.push(&[stage.layer(), stage.layer()]).await;
    check(stage.pull(&reference).await, "it needs one layer of media type", false);
    let gone = OciReference { digest: Digest::of(b"nothing"), ..reference.clone() };
    check(stage.pull(&gone).await, "push it again", false);
    let elsewhere = OciReference { host: "registry.example.com".to_owned(), ..reference };
    check(stage.pull(&elsewhere).await, "is no registry of the project", false);
}

#[tokio::test]
async fn a_registry_that_is_down_may_be_asked_again() {
    let mut stage = Stage::new().await;
    let reference = stage.push(&[stage.layer()]).await;
    stage.serving.shutdown().await;
    check(stage.pull(&reference).await, "cannot be reached", true);
}
