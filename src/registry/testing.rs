//! The small registry of this process, served over a real connection, and what pushes to it.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{MANIFESTS, WASM};
use crate::cli::demo::registry::Registry as Server;
use crate::deployment::{Digest, OciReference};
use crate::tasks::Tasks;

/// The repository that is pushed to.
pub const NAME: &str = "acme/shop";

pub struct Served {
    server: Server,
    pub host: String,
    http: reqwest::Client,
    serving: JoinSet<()>,
}

impl Served {
    pub async fn new() -> Self {
        // An `Err` means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = Server::new("http://127.0.0.1:9/nobody".to_owned(), "Bearer none".to_owned(), &Tasks::new());
        let router = server.router();
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Served { server, host, http, serving }
    }

    /// Nobody answers any more.
    pub async fn stop(&mut self) {
        self.serving.shutdown().await;
    }

    /// Changes a stored blob, so that what is pulled is not what was pushed.
    pub fn corrupt(&self, digest: Digest) {
        let key = (NAME.to_owned(), digest.to_string());
        self.server.with(|stored| {
            let bytes = stored.blobs.get_mut(&key).unwrap();
            *bytes = bytes.iter().map(|byte| !byte).collect();
        });
    }

    pub async fn push_blob(&self, bytes: &[u8]) -> Value {
        let url = format!("http://{}/v2/{NAME}/blobs/uploads/?digest={}", self.host, Digest::of(bytes));
        assert_eq!(self.http.post(url).body(bytes.to_vec()).send().await.unwrap().status(), 201);
        json!({ "mediaType": WASM, "digest": Digest::of(bytes), "size": bytes.len() })
    }

    /// Pushes a manifest with these layers; the reference by which it is pulled.
    pub async fn push_manifest(&self, layers: &[Value]) -> OciReference {
        let config =
            json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": Digest::of(b"{}"), "size": 2 });
        self.push_blob(b"{}").await;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFESTS[0], "artifactType": WASM, "config": config, "layers": layers,
        });
        let manifest = Bytes::from(manifest.to_string());
        let url = format!("http://{}/v2/{NAME}/manifests/main", self.host);
        let request = self.http.put(url).header("content-type", MANIFESTS[0]).body(manifest.clone());
        assert_eq!(request.send().await.unwrap().status(), 201);
        OciReference { host: self.host.clone(), name: NAME.to_owned(), digest: Digest::of(&manifest) }
    }

    pub async fn push(&self, component: &[u8]) -> OciReference {
        let layer = self.push_blob(component).await;
        self.push_manifest(&[layer]).await
    }
}
