//! Binds a scanner's report in a bucket to what it is about: `com.s3.ObjectCreated.*` becomes `tidegate-scan.completed`.
//!
//! The object's key says what was scanned and by what: its last two parts are `<target>/<tool>.<extension>`, whatever the
//! prefix (which bucket and prefix are heard is the project file's).
//!
//! | target | is | the event's subject |
//! | --- | --- | --- |
//! | 40 hex digits | a commit | the commit |
//! | `sha256:` and 64 hex digits, or the digits alone | an artifact's digest | `sha256:<digits>` |
//! | `<name>@sha256:<digits>` | the digest of an image | `pkg:oci/<name>@sha256%3A<digits>` |
//!
//! The content is `{commit or digest, tool, result: "unread", report: {bucket, key, version, etag, size}}`: the report is
//! there, and nobody has read yet whether it is clean. The partition key is the commit or the digest, so that all evidence
//! about one thing is in order.
//!
//! A key that names no target is rejected, and so is a notification whose sender proved nothing.

use serde::{Deserialize, Serialize};
use tidegate_sdk::cdevents::CdEvent;
use tidegate_sdk::{Event, Failure};

const COMPLETED: &str = "dev.cdeventsx.tidegate-scan.completed.0.1.0";

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let Data { object } = event.data()?;
    if !event.origin.is_some_and(|origin| origin.verified) {
        let reason = "nobody proved who sent the notification; give its webhook a token and send it again";
        return Err(Failure::reject(reason));
    }
    let (target, tool) = Target::of_key(&object.key).map_err(|problem| {
        Failure::reject(format!(
            "object {:?} {problem}; a report's key ends in <commit or digest>/<tool>.json",
            object.key
        ))
    })?;
    let (commit, digest) = match &target {
        Target::Commit(commit) => (Some(commit.as_str()), None),
        Target::Digest { digest, .. } => (None, Some(digest.as_str())),
    };
    let content = Content { commit, digest, tool, result: "unread", report: &object };
    let completed = CdEvent::new(COMPLETED, target.subject(), content).into_event()?;
    Ok(vec![completed.partition_key(target.key())])
}

tidegate_sdk::export!(handle);

#[derive(Deserialize)]
struct Data {
    object: Object,
}

/// The object of a notification, as the sender's file reads it: `key` is decoded.
#[derive(Deserialize, Serialize)]
struct Object {
    bucket: String,
    key: String,
    #[serde(rename(deserialize = "version_id"), skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    tool: &'a str,
    result: &'a str,
    report: &'a Object,
}

/// What was scanned.
#[derive(Debug, PartialEq)]
enum Target {
    Commit(String),
    Digest {
        /// `sha256:` and 64 hex digits.
        digest: String,
        /// The image's name, where the key tells it.
        name: Option<String>,
    },
}

impl Target {
    /// The target and the tool that an object's key names, or what is wrong with it.
    fn of_key(key: &str) -> Result<(Self, &str), &'static str> {
        let mut parts = key.rsplit('/');
        let file = parts.next().unwrap_or_default();
        let target = parts.next().and_then(Target::parse).ok_or("names no commit or digest")?;
        let (tool, _) = file.split_once('.').unwrap_or((file, ""));
        if is_word(tool) { Ok((target, tool)) } else { Err("names no tool of a-z, 0-9 and -") }
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, text) = match text.split_once('@') {
            Some((name, digest)) if is_word(name) && digest.starts_with("sha256:") => (Some(name.to_owned()), digest),
            Some(_) => return None,
            None => (None, text),
        };
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let digits = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match hex.len() {
            64 if digits => Some(Target::Digest { digest: format!("sha256:{hex}"), name }),
            40 if digits && hex.len() == text.len() => Some(Target::Commit(hex.to_owned())),
            _ => None,
        }
    }

    fn key(&self) -> &str {
        match self {
            Target::Commit(commit) => commit,
            Target::Digest { digest, .. } => digest,
        }
    }

    fn subject(&self) -> String {
        match self {
            Target::Digest { digest, name: Some(name) } => format!("pkg:oci/{name}@{}", digest.replace(':', "%3A")),
            Target::Digest { name: None, .. } | Target::Commit(_) => self.key().to_owned(),
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_sdk::Origin;

    use super::*;

    const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
    const HEX: &str = "9d1c8a5b0f3e7c2d4a6b8e1f0c3d5a7b9e2f4c6d8a0b1c3e5f7a9b2d4c6e8f01";

    fn notified(key: &str, verified: bool) -> Result<Vec<Event>, Failure> {
        let object = json!({
            "event_name": "s3:ObjectCreated:Put", "kind": "created", "bucket": "reports", "key": key, "key_raw": key,
            "size": 1204, "etag": "d41d8cd9", "version_id": null, "sequencer": "17",
        });
        let event = Event::new("com.s3.ObjectCreated.Put").json(&json!({ "object": object, "payload": {} })).unwrap();
        handle(Event { origin: Some(Origin { kind: "trigger".into(), name: "/hooks/s3".into(), verified }), ..event })
    }

    /// Subject, join key and tool, or the reason of a rejection.
    #[track_caller]
    fn check(key: &str, expected: Result<(&str, &str, &str), &str>) {
        match (notified(key, true), expected) {
            (Ok(events), Ok((subject, joined, tool))) => {
                let event = &events[0];
                assert_eq!(
                    (event.subject.as_deref(), event.text("partitionkey")),
                    (Some(subject), Some(joined)),
                    "{key}"
                );
                assert_eq!(event.data::<Value>().unwrap()["subject"]["content"]["tool"], tool, "{key}");
            }
            (Err(failure), Err(reason)) => assert!(failure.reason().contains(reason), "{key}: {failure}"),
            (result, expected) => panic!("{key}: {result:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_key_names_what_was_scanned_and_by_what() {
        let digest = format!("sha256:{HEX}");
        let purl = format!("pkg:oci/shop@sha256%3A{HEX}");
        check(&format!("scans/{COMMIT}/sast.sarif"), Ok((COMMIT, COMMIT, "sast")));
        check(&format!("{COMMIT}/sast"), Ok((COMMIT, COMMIT, "sast")));
        check(&format!("scans/{HEX}/trivy.json"), Ok((&digest, &digest, "trivy")));
        check(&format!("a/b/{digest}/trivy.json.gz"), Ok((&digest, &digest, "trivy")));
        check(&format!("scans/shop@{digest}/trivy.json"), Ok((&purl, &digest, "trivy")));
    }

    #[test]
    fn a_key_that_names_no_target_is_rejected() {
        check("scans/latest/trivy.json", Err("names no commit or digest"));
        check("trivy.json", Err("names no commit or digest"));
        check("", Err("names no commit or digest"));
        check(&format!("scans/{}/trivy.json", HEX.to_uppercase()), Err("names no commit or digest"));
        check(&format!("scans/sha256:{COMMIT}/trivy.json"), Err("names no commit or digest"));
        check(&format!("scans/shop:1.2@{HEX}/trivy.json"), Err("names no commit or digest"));
        check(&format!("scans/{COMMIT}/"), Err("names no tool"));
        check(&format!("scans/{COMMIT}/My Tool.json"), Err("names no tool"));
    }

    #[test]
    fn a_report_is_named_by_its_object_and_not_read() {
        let events = notified(&format!("scans/{COMMIT}/sast.sarif"), true).unwrap();
        assert_eq!(events[0].ty, COMPLETED);
        let report = json!({ "bucket": "reports", "key": format!("scans/{COMMIT}/sast.sarif"), "etag": "d41d8cd9", "size": 1204 });
        assert_eq!(
            events[0].data::<Value>().unwrap()["subject"]["content"],
            json!({ "commit": COMMIT, "tool": "sast", "result": "unread", "report": report })
        );
    }

    #[test]
    fn an_unproved_sender_is_rejected() {
        let failure = notified(&format!("scans/{COMMIT}/sast.sarif"), false).unwrap_err();
        assert!(failure.reason().contains("nobody proved"));
    }
}
