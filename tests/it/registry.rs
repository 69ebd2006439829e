//! A registry that components are pushed to and pulled from: the small one of the demo, in this process, or Docker's.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tidegate::cli::demo::registry::Registry as Small;
use tidegate::tasks::Tasks;
use tokio::runtime::Runtime;

use crate::http::{Header, request};
use crate::support::PATIENCE;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const REPOSITORY: &str = "acme/shop";

/// Ends with the test.
pub struct Registry {
    /// `HOST:PORT`, as references name it.
    pub host: String,
    /// What a request says who it is.
    authorization: Option<String>,
    _serving: Serving,
}

enum Serving {
    InProcess { _runtime: Runtime, _registry: Small },
    Process { child: Child, _folder: TempDir },
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Serving::Process { child, .. } = self {
            // Ended already where it could not start.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Registry {
    pub fn small() -> Self {
        // Nobody listens for its pushes.
        let runtime = Runtime::new().expect("a runtime");
        let _inside = runtime.enter();
        let registry = Small::new("http://127.0.0.1:9/nobody".to_owned(), "Bearer none".to_owned(), &Tasks::new());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let host = listener.local_addr().expect("its address").to_string();
        let router = registry.router();
        runtime.spawn(async move { axum::serve(listener, router).await.expect("it serves until the test ends") });
        drop(_inside);
        Registry { host, authorization: None, _serving: Serving::InProcess { _runtime: runtime, _registry: registry } }
    }

    /// Docker's own, which lets `tester` in with the password `hunter2`.
    pub fn docker() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let at = folder.path().display();
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n\
             auth: {{htpasswd: {{realm: tests, path: {at}/users}}}}\n"
        );
        let users = "tester:$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";
        std::fs::write(folder.path().join("config.yml"), config).expect("a file can be written");
        std::fs::write(folder.path().join("users"), users).expect("a file can be written");
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/docker-registry");
        let mut child = Command::new(program)
            .args(["serve", "config.yml"])
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; run `make tools`"));
        let host = listening(child.stderr.take().expect("its log is piped")).to_string();
        let authorization = Some("Basic dGVzdGVyOmh1bnRlcjI=".to_owned());
        Registry { host, authorization, _serving: Serving::Process { child, _folder: folder } }
    }

    /// Pushes a component as an artifact; the reference by which it is pulled.
    pub fn push(&self, component: &[u8]) -> String {
        let repository =
            Repository { host: &self.host, name: REPOSITORY, authorization: self.authorization.as_deref() };
        format!("{}/{REPOSITORY}@{}", self.host, repository.push(component))
    }
}

/// A repository of a registry, spoken to over plain HTTP.
pub struct Repository<'a> {
    /// `HOST:PORT`
    pub host: &'a str,
    pub name: &'a str,
    pub authorization: Option<&'a str>,
}

impl Repository<'_> {
    /// Pushes a component as an artifact; its digest.
    pub fn push(&self, component: &[u8]) -> String {
        let layer = self.push_blob("application/wasm", component);
        let config = self.push_blob("application/vnd.wasm.config.v0+json", b"{}");
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let manifest = manifest.to_string();
        self.send("PUT", &format!("/v2/{}/manifests/main", self.name), MANIFEST, manifest.as_bytes());
        digest(manifest.as_bytes())
    }

    fn push_blob(&self, media_type: &str, bytes: &[u8]) -> serde_json::Value {
        let begun = self.send("POST", &format!("/v2/{}/blobs/uploads/", self.name), "application/octet-stream", b"");
        let location = begun.location.expect("an upload has a location");
        let path = location.strip_prefix(&format!("http://{}", self.host)).unwrap_or(&location).to_owned();
        let joined = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joined}digest={}", digest(bytes));
        self.send("PUT", &path, "application/octet-stream", bytes);
        json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> crate::http::Answer {
        let length = body.len().to_string();
        let mut headers: Vec<Header<'_>> = vec![("content-type", content_type), ("content-length", &length)];
        headers.extend(self.authorization.map(|text| ("authorization", text)));
        let answer = request(&format!("http://{}", self.host), method, path, &headers, body);
        assert!([201, 202].contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
        answer
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Reads a registry's log until it says where it listens, and goes on reading, so that it can write.
fn listening(log: std::process::ChildStderr) -> SocketAddr {
    let (found, address) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let address = line.split("listening on ").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
            if let Some(address) = address {
                // The test may have given up.
                let _ = found.send(address);
            }
        }
    });
    address.recv_timeout(PATIENCE).expect("the registry says where it listens")
}
