//! What the world sends in the demo: a git host's deliveries, signed as GitHub signs them, scanners' reports, a bucket's
//! notifications, and orders of customers.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::githost::{Change, REPOSITORY};
use crate::deployment::Digest;
use crate::event::derive_uuid;

/// One HTTP request to a webhook.
#[derive(Clone)]
pub struct Request {
    pub path: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A commit's id, of a name: always the same.
pub fn commit(name: &str) -> String {
    Digest::of(format!("commit {name}").as_bytes()).hex().chars().take(40).collect()
}

/// What stood on the branch before the story.
pub fn base() -> String {
    commit("base")
}

/// A push of one commit to the protected branch.
pub fn push(commit: &str, pushed_at: &str) -> Request {
    let payload = json!({
        "ref": "refs/heads/main",
        "before": base(),
        "after": commit,
        "created": false,
        "deleted": false,
        "forced": false,
        "head_commit": { "id": commit, "message": "Quick fix", "timestamp": pushed_at },
        "commits": [{ "id": commit, "message": "Quick fix" }],
        "pusher": { "name": "mallory" },
        "repository": repository(pushed_at),
        "sender": { "login": "mallory" },
    });
    github("push", &format!("push {commit}"), &payload)
}

/// A pull request was opened.
pub fn opened(change: &Change, at: &str) -> Request {
    github("pull_request", &format!("opened {}", change.number), &pull_request("opened", change, at))
}

/// A pull request was merged.
pub fn merged(change: &Change) -> Request {
    let (_, at) = change.merged.clone().expect("the story merges it first");
    github("pull_request", &format!("merged {}", change.number), &pull_request("closed", change, &at))
}

fn pull_request(action: &str, change: &Change, at: &str) -> Value {
    let (merge, merged_at) = change.merged.clone().unzip();
    json!({
        "action": action,
        "number": change.number,
        "pull_request": {
            "number": change.number,
            "html_url": format!("https://git.example/{REPOSITORY}/pull/{}", change.number),
            "state": if merge.is_some() { "closed" } else { "open" },
            "title": format!("Change {}", change.number),
            "user": { "login": "ada" },
            "draft": false,
            "merged": merge.is_some(),
            "merge_commit_sha": merge,
            "merged_at": merged_at,
            "created_at": at,
            "updated_at": at,
            "closed_at": merged_at,
            "head": { "ref": "change", "sha": change.head, "repo": repository(at) },
            "base": { "ref": "main", "sha": base(), "repo": repository(at) },
        },
        "repository": repository(at),
        "sender": { "login": "ada" },
    })
}

fn repository(pushed_at: &str) -> Value {
    json!({
        "full_name": REPOSITORY,
        "html_url": format!("https://git.example/{REPOSITORY}"),
        "default_branch": "main",
        "pushed_at": pushed_at,
    })
}

/// Any delivery of the git host; `name` tells it from others.
pub fn github(kind: &str, name: &str, payload: &Value) -> Request {
    let delivery = derive_uuid(&[b"demo", name.as_bytes()]).to_string();
    let headers = vec![
        ("content-type", "application/json".to_owned()),
        ("x-github-event", kind.to_owned()),
        ("x-github-delivery", delivery),
    ];
    Request { path: "/hooks/github", headers, body: bytes(payload) }
}

/// An image scanner's report on an artifact, with findings as (id, severity).
pub fn image_report(token: &str, artifact: &str, digest: &str, findings: &[(&str, &str)], at: &str) -> Request {
    let report =
        trivy("container_image", artifact, findings, at, json!({ "RepoDigests": [format!("{artifact}@{digest}")] }));
    Request { path: "/hooks/scans", headers: bearer(token), body: bytes(&report) }
}

/// A scanner's report on what the source tree of a commit depends on. It names the tree, not the commit: its key does.
pub fn dependency_report(at: &str) -> Vec<u8> {
    bytes(&trivy("repository", ".", &[("CVE-2026-0007", "LOW")], at, json!({})))
}

/// Trivy's JSON (schema version 2).
fn trivy(kind: &str, name: &str, findings: &[(&str, &str)], at: &str, metadata: Value) -> Value {
    let vulnerability = |(id, severity): &(&str, &str)| {
        json!({
            "VulnerabilityID": id, "PkgName": "libwidget", "InstalledVersion": "1.2.0", "FixedVersion": "1.2.1",
            "Severity": severity, "Title": format!("A flaw in libwidget ({id})"), "PublishedDate": "2026-10-01T00:00:00Z",
        })
    };
    let vulnerabilities: Vec<Value> = findings.iter().map(vulnerability).collect();
    json!({
        "SchemaVersion": 2,
        "CreatedAt": at,
        "Trivy": { "Version": "0.67.2" },
        "ArtifactName": name,
        "ArtifactType": kind,
        "Metadata": metadata,
        "Results": [{ "Target": name, "Class": "lang-pkgs", "Type": "rust-binary", "Vulnerabilities": vulnerabilities }],
    })
}

/// A static analyser's report on a commit, with nothing found (SARIF 2.1.0).
pub fn static_report(token: &str, commit: &str, at: &str) -> Request {
    let report = json!({
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "lint", "semanticVersion": "4.2.0" } },
            "invocations": [{ "executionSuccessful": true, "endTimeUtc": at }],
            "versionControlProvenance": [{ "repositoryUri": format!("https://git.example/{REPOSITORY}"), "revisionId": commit }],
            "results": [],
        }],
    });
    Request { path: "/hooks/scans", headers: bearer(token), body: bytes(&report) }
}

/// An object store says that an object was written.
pub fn notification(token: &str, bucket: &str, key: &str, size: usize, at: &str) -> Request {
    let record = json!({
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": at,
        "eventName": "s3:ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": bucket, "arn": format!("arn:aws:s3:::{bucket}") },
            "object": { "key": key.replace('/', "%2F"), "size": size, "sequencer": "187A2F5B0C9D4E10" },
        },
    });
    let payload = json!({ "EventName": "s3:ObjectCreated:Put", "Key": format!("{bucket}/{key}"), "Records": [record] });
    Request { path: "/hooks/s3", headers: bearer(token), body: bytes(&payload) }
}

/// Customers place orders, all in one batch, each in its currency.
pub fn orders(token: &str, environment: &str, batch: &str, currencies: impl Iterator<Item = &'static str>) -> Request {
    let order = |(number, currency): (usize, &str)| {
        let id = format!("{environment}-{batch}-{number}");
        json!({
            "specversion": "1.0", "id": id, "source": "https://shop.example", "type": format!("com.example.order.placed.{environment}"),
            "subject": id, "data": { "order": id, "currency": currency },
        })
    };
    let orders: Vec<Value> = currencies.enumerate().map(order).collect();
    let mut headers = bearer(token);
    headers[0].1 = "application/cloudevents-batch+json".to_owned();
    Request { path: "/hooks/orders", headers, body: bytes(&Value::from(orders)) }
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    vec![("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))]
}

impl Request {
    pub fn signed(mut self, secret: &str) -> Self {
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
