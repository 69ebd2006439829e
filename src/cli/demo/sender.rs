//! What the world sends in the demo: a git host's deliveries, signed as GitHub signs them, and a bucket's notifications.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::event::derive_uuid;

/// The commit that the story is about.
pub const COMMIT: &str = "9fceb02d0ae598e95dc970b74767f19372d61af8";
/// What stood on the branch before.
const BEFORE: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";

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

/// An object store says that a report was written: `<commit>/sast.sarif` below `scans/`.
pub fn report(token: &str, key: &str) -> Request {
    let record = json!({
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-11-23T09:01:00.000Z",
        "eventName": "s3:ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": "reports", "arn": "arn:aws:s3:::reports" },
            "object": {
                "key": key.replace('/', "%2F"),
                "size": 5120,
                "eTag": "430f89010c77aa34fc8760696da62d08",
                "sequencer": "187A2F5B0C9D4E10"
            }
        }
    });
    let payload = json!({ "EventName": "s3:ObjectCreated:Put", "Key": format!("reports/{key}"), "Records": [record] });
    let headers = vec![("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))];
    Request { path: "/hooks/s3", headers, body: bytes(&payload) }
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
