//! The vocabulary that all git hosts share: what a ref is, what a push did to it, and whether a change comes from a fork.

use serde_json::Value;

/// Splits `refs/heads/main` into its kind and its name. The kind is told for branches and tags only; a name without
/// `refs/` is a name of no known kind.
pub fn split_ref(reference: &str) -> (Option<&'static str>, &str) {
    if let Some(name) = reference.strip_prefix("refs/heads/") {
        (Some("branch"), name)
    } else if let Some(name) = reference.strip_prefix("refs/tags/") {
        (Some("tag"), name)
    } else {
        (None, reference.strip_prefix("refs/").unwrap_or(reference))
    }
}

/// The full ref of a branch or a tag.
pub fn full_ref(kind: &str, name: &str) -> Option<String> {
    match kind {
        "branch" => Some(format!("refs/heads/{name}")),
        "tag" => Some(format!("refs/tags/{name}")),
        _ => None,
    }
}

/// What a push did to a ref: hosts write a commit that is not there as zeroes. Unknown where one of the two is missing.
pub fn change(before: &Value, after: &Value) -> Option<&'static str> {
    match (before.as_str()?, after.as_str()?) {
        (_, after) if is_zero(after) => Some("deleted"),
        (before, _) if is_zero(before) => Some("created"),
        _ => Some("updated"),
    }
}

fn is_zero(commit: &str) -> bool {
    !commit.is_empty() && commit.bytes().all(|byte| byte == b'0')
}

/// Whether the head lies in another repository than the base; unknown where one is missing (a deleted fork).
pub fn from_fork(head_repo: &Value, base_repo: &Value) -> Option<bool> {
    Some(head_repo.as_str()? != base_repo.as_str()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ref_is_split_into_kind_and_name() {
        assert_eq!(split_ref("refs/heads/feature/x"), (Some("branch"), "feature/x"));
        assert_eq!(split_ref("refs/tags/v1"), (Some("tag"), "v1"));
        assert_eq!(split_ref("refs/notes/commits"), (None, "notes/commits"));
        assert_eq!(split_ref("main"), (None, "main"));
    }

    #[test]
    fn zeroes_tell_what_a_push_did() {
        let (zero, commit) = (json!("0".repeat(40)), json!("6113728f27ae82c7b1a177c8d03f9e96e0adf246"));
        assert_eq!(change(&zero, &commit), Some("created"));
        assert_eq!(change(&commit, &zero), Some("deleted"));
        assert_eq!(change(&commit, &commit), Some("updated"));
        assert_eq!(change(&json!("0".repeat(64)), &commit), Some("created"));
        assert_eq!(change(&json!(null), &commit), None);
    }

    #[test]
    fn a_fork_is_told_only_when_both_repositories_are() {
        assert_eq!(from_fork(&json!("eve/app"), &json!("acme/app")), Some(true));
        assert_eq!(from_fork(&json!("acme/app"), &json!("acme/app")), Some(false));
        assert_eq!(from_fork(&json!(null), &json!("acme/app")), None);
    }
}
