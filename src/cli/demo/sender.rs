//! What the world sends in the demo: a git host's deliveries, signed as GitHub signs them, and a build system's CloudEvents.

use std::time::Duration;

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::event::derive_uuid;

/// The commit that the story is about.
const COMMIT: &str = "9fceb02d0ae598e95dc970b74767f19372d61af8";
const PACKAGED: &str = "dev.cdevents.artifact.packaged.0.3.0";
/// What stood on the branch before.
const BEFORE: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";

/// What is made of it, and where it lies.
const DIGEST: &str = "sha256:9d1c8a5b0f3e7c2d4a6b8e1f0c3d5a7b9e2f4c6d8a0b1c3e5f7a9b2d4c6e8f01";
const ARTIFACT: &str = "registry.example.com/shop/storefront";

/// What a scanner found.
#[derive(Clone, Copy)]
pub enum Scan {
    Critical,
    Clean,
    /// It does not say in what.
    Unbound,
}

/// One HTTP request to a webhook.
pub struct Request {
    pub path: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A push straight to the protected branch, without a signature.
pub fn unsigned_push() -> Request {
    github("push", "unsigned", push())
}

/// The same push, from the host.
pub fn direct_push(secret: &str) -> Request {
    github("push", "direct", push()).signed(secret)
}

/// A pull request that was merged: the way that the policy allows.
pub fn merge(secret: &str) -> Request {
    let payload = json!({
        "action": "closed",
        "number": 7,
        "pull_request": {
            "number": 7,
            "html_url": "https://git.example/shop/storefront/pull/7",
            "state": "closed",
            "title": "Show prices with tax",
            "merged": true,
            "merge_commit_sha": COMMIT,
            "merged_at": "2026-11-23T09:00:00Z",
            "updated_at": "2026-11-23T09:00:00Z",
            "head": { "ref": "prices", "sha": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c", "repo": repository() },
            "base": { "ref": "main", "sha": BEFORE, "repo": repository() }
        },
        "repository": repository(),
        "sender": { "login": "ada" }
    });
    github("pull_request", "merge", payload).signed(secret)
}

/// The build system says what it made of the commit.
pub fn packaged(token: &str) -> Request {
    let data = json!({
        "context": { "specversion": "0.5.0", "type": PACKAGED },
        "subject": { "id": purl(), "content": { "change": { "id": "shop/storefront/pull/7" } } },
        "customData": {
            "digest": DIGEST,
            "artifact": ARTIFACT,
            "commit": COMMIT,
            "repository": "shop/storefront",
            "run": "shop/storefront/runs/9fceb02d0ae5"
        }
    });
    let header = |name, text: &str| (name, text.to_owned());
    let headers = vec![
        header("content-type", "application/json"),
        header("authorization", &format!("Bearer {token}")),
        header("ce-specversion", "1.0"),
        header("ce-id", "build-1"),
        header("ce-source", "https://ci.example/shop/storefront"),
        header("ce-type", PACKAGED),
    ];
    Request { path: "/hooks/ci", headers, body: bytes(&data) }
}

/// What a scanner says of what was made, as Trivy writes it.
pub fn report(token: &str, scan: Scan, now: Timestamp) -> Request {
    let fault = json!({
        "VulnerabilityID": "CVE-2026-1234",
        "PkgName": "openssl",
        "InstalledVersion": "3.0.1",
        "FixedVersion": "3.0.2",
        "Severity": "CRITICAL",
        "Title": "Overflow in the parser of certificates"
    });
    let (digests, faults, age_seconds) = match scan {
        Scan::Critical => (json!([format!("{ARTIFACT}@{DIGEST}")]), json!([fault]), 60),
        Scan::Clean => (json!([format!("{ARTIFACT}@{DIGEST}")]), json!([]), 0),
        Scan::Unbound => (json!([]), json!([]), 0),
    };
    let report = json!({
        "SchemaVersion": 2,
        "CreatedAt": now.minus(Duration::from_secs(age_seconds)).to_string(),
        "ArtifactName": format!("{ARTIFACT}:1.4.0"),
        "ArtifactType": "container_image",
        "Metadata": { "OS": { "Family": "debian", "Name": "13" }, "RepoDigests": digests },
        "Results": [{
            "Target": format!("{ARTIFACT}:1.4.0 (debian 13)"),
            "Class": "os-pkgs",
            "Type": "debian",
            "Vulnerabilities": faults
        }]
    });
    let headers = vec![("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))];
    Request { path: "/hooks/trivy", headers, body: bytes(&report) }
}

fn purl() -> String {
    format!("pkg:oci/storefront@{}?repository_url={ARTIFACT}", DIGEST.replace(':', "%3A"))
}

fn push() -> Value {
    json!({
        "ref": "refs/heads/main",
        "before": BEFORE,
        "after": "b1b3f9723831141a31a1a7252a213e216ea76e56",
        "created": false,
        "deleted": false,
        "forced": false,
        "head_commit": {
            "id": "b1b3f9723831141a31a1a7252a213e216ea76e56",
            "message": "Quick fix",
            "timestamp": "2026-11-23T08:55:00Z"
        },
        "commits": [{ "id": "b1b3f9723831141a31a1a7252a213e216ea76e56", "message": "Quick fix" }],
        "pusher": { "name": "mallory" },
        "repository": repository(),
        "sender": { "login": "mallory" }
    })
}

fn repository() -> Value {
    json!({
        "full_name": "shop/storefront",
        "html_url": "https://git.example/shop/storefront",
        "default_branch": "main"
    })
}

fn github(kind: &str, name: &str, payload: Value) -> Request {
    let delivery = derive_uuid(&[b"demo", name.as_bytes()]).to_string();
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-github-event", kind.to_owned()),
        ("x-github-delivery", delivery),
    ];
    Request { path: "/hooks/github", headers, body: bytes(&payload) }
}

impl Request {
    fn signed(mut self, secret: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
        mac.update(&self.body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.headers.push(("x-hub-signature-256", format!("sha256={hex}")));
        self
    }
}

fn bytes(payload: &Value) -> Vec<u8> {
    serde_json::to_vec(payload).expect("a JSON value can be written")
}
