//! Judges what reaches a protected branch: `com.github.push` and `dev.cdevents.change.merged` become
//! `tidegate-change.accepted` or `.refused`, about one commit.
//!
//! Config `policy` (TOML or JSON), read with the deployment; every key has a default:
//!
//! ```toml
//! protected = ["main", "release/*"]   # branches; default: the repository's default branch
//! direct_push = false                 # whether commits may come without a change that was merged
//! force_push = false                  # whether history may be rewritten
//! ```
//!
//! - It reads `data.git`, the facts that every git host's events have. Nothing is said of other branches, of tags and of
//!   deletions: no commit reaches a protected branch by them.
//! - A host sends both a push and a merge for a change that was merged. Without `direct_push` the push is refused and the
//!   merge accepted; who reads verdicts counts an acceptance of a commit over refusals of other ways to the same commit.
//! - An event whose sender proved nothing is refused, since what this function emits is trusted by its origin.
//!
//! The verdict's subject is `<repository>/pull/<number>` or `<repository>/commit/<commit>`, its partition key the commit,
//! and its content `{commit, repository, branch, change, actor}`, with `{rule, reason, clear}` where it was refused.

use serde::{Deserialize, Serialize};
use tidegate_sdk::cdevents::CdEvent;
use tidegate_sdk::{Event, Failure, config};

const ACCEPTED: &str = "dev.cdeventsx.tidegate-change.accepted.0.1.0";
const REFUSED: &str = "dev.cdeventsx.tidegate-change.refused.0.1.0";

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let policy: Policy = config::get("policy")?;
    let git = event.data::<Data>()?.git;
    let Some(arrival) = Arrival::of(&event.ty, git)? else { return Ok(Vec::new()) };
    if !policy.protects(&arrival) {
        return Ok(Vec::new());
    }
    let verified = event.origin.is_some_and(|origin| origin.verified);
    Ok(vec![arrival.verdict(policy.broken(&arrival, verified))?])
}

tidegate_sdk::export!(handle);

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Policy {
    protected: Vec<String>,
    direct_push: bool,
    force_push: bool,
}

/// A rule that does not hold, and what to do about it.
#[derive(Debug, PartialEq, Serialize)]
struct Broken {
    rule: &'static str,
    reason: &'static str,
    clear: &'static str,
}

impl Policy {
    fn protects(&self, arrival: &Arrival) -> bool {
        let branch = arrival.branch.as_str();
        match self.protected.as_slice() {
            [] => arrival.default_branch.as_deref() == Some(branch),
            patterns => patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => branch.starts_with(start),
                None => branch == pattern,
            }),
        }
    }

    fn broken(&self, arrival: &Arrival, verified: bool) -> Option<Broken> {
        if !verified {
            return Some(Broken {
                rule: "verified-sender",
                reason: "nobody proved who sent the event",
                clear: "give the webhook a secret and send the event again",
            });
        }
        match arrival.way {
            Way::Push { forced: true } if !self.force_push => Some(Broken {
                rule: "no-force-push",
                reason: "the push rewrote the branch's history",
                clear: "restore the branch and merge a change",
            }),
            Way::Push { .. } if !self.direct_push => Some(Broken {
                rule: "no-direct-push",
                reason: "the commit was pushed and no change brought it",
                clear: "bring the commit by a change that is merged",
            }),
            Way::Push { .. } | Way::Merge { .. } => None,
        }
    }
}

/// How a commit came to a branch.
#[derive(Debug, PartialEq)]
enum Way {
    Push { forced: bool },
    Merge { number: u64 },
}

/// A commit that came to a branch.
#[derive(Debug, PartialEq)]
struct Arrival {
    repository: String,
    branch: String,
    default_branch: Option<String>,
    commit: String,
    actor: Option<String>,
    way: Way,
}

#[derive(Deserialize)]
struct Data {
    git: Git,
}

/// What git hosts' events say, as far as it is judged. A fact that an event does not have is null or missing.
#[derive(Deserialize)]
struct Git {
    repo: Option<String>,
    actor: Option<String>,
    default_branch: Option<String>,
    // Of a push.
    ref_kind: Option<String>,
    ref_name: Option<String>,
    change: Option<String>,
    head_commit: Option<String>,
    after: Option<String>,
    forced: Option<bool>,
    // Of a change.
    number: Option<u64>,
    base_ref: Option<String>,
    merged: Option<bool>,
    merge_commit: Option<String>,
}

impl Arrival {
    /// None where no commit came to a branch.
    fn of(ty: &str, git: Git) -> Result<Option<Self>, Failure> {
        let merge = ty.starts_with("dev.cdevents.change.merged.");
        let (branch, commit, way) = if merge {
            if git.merged != Some(true) {
                return Err(Failure::reject(
                    "data.git.merged is not true, though the event says that a change was merged",
                ));
            }
            (git.base_ref, git.merge_commit, Way::Merge { number: fact(git.number, "number")? })
        } else if ty == "com.github.push" {
            let deleted = git.change.as_deref() == Some("deleted");
            if deleted || git.ref_kind.as_deref() != Some("branch") {
                return Ok(None);
            }
            (git.ref_name, git.head_commit.or(git.after), Way::Push { forced: git.forced == Some(true) })
        } else {
            return Err(Failure::reject(format!(
                "events of type {ty} bring no commit; take them out of the function's on"
            )));
        };
        let commit = fact(commit, if merge { "merge_commit" } else { "head_commit" })?;
        if !is_commit(&commit) {
            return Err(Failure::reject(format!("{commit:?} is no commit; it is 40 or 64 lower-case hex digits")));
        }
        Ok(Some(Arrival {
            repository: fact(git.repo, "repo")?,
            branch: fact(branch, if merge { "base_ref" } else { "ref_name" })?,
            default_branch: git.default_branch,
            commit,
            actor: git.actor,
            way,
        }))
    }

    fn verdict(&self, broken: Option<Broken>) -> Result<Event, Failure> {
        let change = match self.way {
            Way::Merge { number } => Some(number),
            Way::Push { .. } => None,
        };
        let subject = match change {
            Some(number) => format!("{}/pull/{number}", self.repository),
            None => format!("{}/commit/{}", self.repository, self.commit),
        };
        let content = Content {
            commit: &self.commit,
            repository: &self.repository,
            branch: &self.branch,
            change,
            actor: self.actor.as_deref(),
            broken: broken.as_ref(),
        };
        let ty = if broken.is_some() { REFUSED } else { ACCEPTED };
        Ok(CdEvent::new(ty, subject, content).into_event()?.partition_key(&self.commit))
    }
}

#[derive(Serialize)]
struct Content<'a> {
    commit: &'a str,
    repository: &'a str,
    branch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(flatten)]
    broken: Option<&'a Broken>,
}

fn fact<T>(value: Option<T>, name: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::reject(format!("data.git.{name} is missing")))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
