//! What an event is known by beside its id: commits, digests, objects. The log is searched by them.

use serde::Deserialize;
use serde_json::Value;

use super::Event;

/// Texts that one event is known by.
pub const ALIASES_MAX: usize = 8;
const ALIAS_BYTES_MAX: usize = 512;

/// Where senders' files and functions put what names a thing, the most telling first.
const IN_GIT: [&str; 10] = [
    "after",
    "head_sha",
    "merge_commit",
    "commit",
    "sha",
    "head_commit",
    "reviewed_commit",
    "version",
    "tag_digest",
    "tag",
];
const IN_OBJECT: [&str; 3] = ["key", "etag", "version_id"];

/// In what CDEvents of the path carry.
const IN_CONTENT: [&str; 3] = ["commit", "digest", "release"];

/// The members of the data that are looked at.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    git: Value,
    object: Value,
    commit: Value,
    sha: Value,
    digest: Value,
    release: Value,
    subject: Value,
    /// A scanner's report, in the form that all have.
    report: Value,
    /// An artifact, as a registry's events name it.
    artifact: Value,
    #[serde(rename = "customData")]
    custom_data: Value,
}

/// What `event` is known by: commits and digests in its data, the digest in its subject, an object's key. Each once, at
/// most `ALIASES_MAX`, in order of telling; none of it is the event's id.
pub fn aliases(event: &Event) -> Vec<String> {
    let mut known = Vec::new();
    if let Some(digest) = event.subject.as_deref().and_then(digest_in) {
        add(&mut known, &digest);
    }
    let data: Data = event.data.as_deref().and_then(|data| serde_json::from_slice(data).ok()).unwrap_or_default();
    let texts = [&data.commit, &data.sha, &data.digest, &data.release]
        .into_iter()
        .chain(IN_CONTENT.iter().filter_map(|name| data.subject.get("content")?.get(name)))
        .chain(IN_CONTENT.iter().filter_map(|name| data.subject.get("content")?.get("request")?.get(name)))
        .chain(IN_CONTENT.iter().filter_map(|name| data.report.get("subject")?.get(name)))
        .chain(data.artifact.get("digest"))
        .chain(IN_CONTENT.iter().filter_map(|name| data.custom_data.get(name)))
        .chain(IN_GIT.iter().filter_map(|name| data.git.get(name)))
        .chain(IN_OBJECT.iter().filter_map(|name| data.object.get(name)));
    for text in texts.filter_map(Value::as_str) {
        add(&mut known, text);
    }
    known
}

/// A commit of zeroes is how git hosts write that there is none.
fn add(known: &mut Vec<String>, text: &str) {
    let telling = !text.is_empty() && text.len() <= ALIAS_BYTES_MAX && text.bytes().any(|byte| byte != b'0');
    if telling && known.len() < ALIASES_MAX && !known.iter().any(|one| one == text) {
        known.push(text.to_owned());
    }
}

/// `sha256:` and 64 hex digits within a text; a package URL writes the colon as `%3A`.
fn digest_in(text: &str) -> Option<String> {
    let text = text.replace("%3A", ":").replace("%3a", ":");
    let hex = text.split("sha256:").nth(1)?.get(..64)?;
    hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| format!("sha256:{hex}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(subject: &str, data: Value, expected: &[&str]) {
        let data = Some(data.to_string().into());
        assert_eq!(aliases(&Event { subject: Some(subject.to_owned()), data, ..Event::default() }), expected);
    }

    #[test]
    fn an_event_is_known_by_its_commits() {
        let commit = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
        check("refs/heads/main", json!({ "git": { "after": commit, "head_commit": commit } }), &[commit]);
        check("refs/heads/main", json!({ "git": { "after": "0".repeat(40), "head_commit": null } }), &[]);
        check(
            "pull/2",
            json!({ "git": { "head_sha": "abc", "merge_commit": "def" }, "commit": "123" }),
            &["123", "abc", "def"],
        );
    }

    #[test]
    fn an_event_is_known_by_the_digest_in_its_subject() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        check(&format!("pkg:oci/app@{}?tag=1", digest.replace(':', "%3A")), json!({}), &[&digest]);
        check(&digest, json!({ "digest": digest }), &[&digest]);
        check("sha256:short", json!(null), &[]);
    }

    #[test]
    fn an_event_of_the_path_is_known_by_what_it_is_about() {
        let content = json!({ "release": "shop-3f2a9c1b7d40", "commit": "abc" });
        check("shop", json!({ "subject": { "content": content } }), &["abc", "shop-3f2a9c1b7d40"]);
        check("shop", json!({ "subject": { "content": {} }, "customData": content }), &["abc", "shop-3f2a9c1b7d40"]);
    }

    #[test]
    fn a_report_is_known_by_what_it_is_about() {
        check("", json!({ "report": { "subject": { "commit": "abc" } } }), &["abc"]);
        check("", json!({ "artifact": { "digest": "sha256:1" } }), &["sha256:1"]);
        check("", json!({ "subject": { "content": { "request": { "release": "shop-1" } } } }), &["shop-1"]);
    }

    #[test]
    fn an_object_is_known_by_its_key() {
        check("", json!({ "object": { "key": "scans/a.json", "etag": "e1" } }), &["scans/a.json", "e1"]);
    }

    #[test]
    fn data_that_is_no_json_is_no_obstacle() {
        let event = Event { data: Some(b"\xff".as_slice().into()), ..Event::default() };
        assert_eq!(aliases(&event), Vec::<String>::new());
    }
}
