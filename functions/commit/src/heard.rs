//! What an event says of commits and branches.

use delivery::{Way, is, is_commit, is_repository, types};
use serde::Deserialize;
use tidegate_sdk::{Event, Failure};

use crate::rules::CONTEXT;

/// Where GitHub's merge queue keeps its branches: `gh-readonly-queue/<branch>/pr-<number>-<commit>`.
const QUEUE: &str = "gh-readonly-queue/";

/// A commit that comes to a branch, or is to.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    pub repository: String,
    pub branch: String,
    pub default_branch: Option<String>,
    /// What is judged.
    pub commit: String,
    pub way: Way,
    /// Whether history was rewritten.
    pub forced: bool,
    /// The commit of the branch whose rules hold; none: there was no branch.
    pub base: Option<String>,
    /// The change that brings it.
    pub change: Option<Change>,
    pub actor: Option<String>,
    /// Its place in the branch's own order.
    pub order: Option<String>,
}

/// What people review.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub number: u64,
    /// None: the event names the change alone.
    pub head: Option<Head>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub commit: String,
    pub author: Option<String>,
}

/// A check or a status of a commit ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    pub repository: String,
    pub default_branch: Option<String>,
    pub commit: String,
    /// The check's name.
    pub name: String,
    /// Branches of the repository that have the commit, as far as the host says; none: it comes from a fork.
    pub branches: Vec<String>,
}

/// The head of a merge queue, as its branch names it.
#[derive(Debug, PartialEq)]
pub struct Queued<'a> {
    pub branch: &'a str,
    pub number: u64,
}

#[derive(Debug, PartialEq)]
pub enum Heard {
    Arrival(Box<Arrival>),
    Checked(Checked),
    /// No commit came to a branch, and this is why.
    Nothing(&'static str),
}

#[derive(Deserialize)]
struct Data {
    git: Git,
}

/// What git hosts' events say, as far as it is judged. A fact that an event does not have is null or missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Git {
    repo: Option<String>,
    actor: Option<String>,
    default_branch: Option<String>,
    // Of a push.
    ref_kind: Option<String>,
    ref_name: Option<String>,
    change: Option<String>,
    before: Option<String>,
    head_commit: Option<String>,
    after: Option<String>,
    forced: Option<bool>,
    // Of a change, and of a merge queue.
    number: Option<u64>,
    state: Option<String>,
    author: Option<String>,
    head_sha: Option<String>,
    head_ref: Option<String>,
    base_sha: Option<String>,
    base_ref: Option<String>,
    merged: Option<bool>,
    merge_commit: Option<String>,
    // Of a check or a status.
    name: Option<String>,
    context: Option<String>,
    sha: Option<String>,
    head_branch: Option<String>,
    branches: Option<Vec<String>>,
}

impl Heard {
    pub fn of(event: &Event) -> Result<Self, Failure> {
        let ty = event.ty.as_str();
        let git = event.data::<Data>()?.git;
        if let Some(repository) = git.repo.as_deref().filter(|repository| !is_repository(repository)) {
            return Err(Failure::reject(format!("data.git.repo {repository:?} is no repository's name")));
        }
        if is(event, types::CHANGE_MERGED) {
            git.merge(event)
        } else if [types::CHANGE_CREATED, types::CHANGE_UPDATED, types::CHANGE_REVIEWED].iter().any(|ty| is(event, ty))
            || ty == "com.github.pull_request_review.dismissed"
        {
            git.proposal()
        } else if is(event, types::TESTSUITERUN_FINISHED) || ty == "com.github.status" {
            git.checked()
        } else {
            match ty {
                "com.github.push" => git.push(event),
                "com.github.merge_group.checks_requested" => git.queue(),
                _ => Err(Failure::reject(format!(
                    "events of type {ty} bring no commit; take them out of the function's on"
                ))),
            }
        }
    }
}

impl Git {
    fn proposal(self) -> Result<Heard, Failure> {
        if self.state.as_deref() == Some("closed") {
            return Ok(Heard::Nothing("the change is closed"));
        }
        let head = commit(self.head_sha, "head_sha")?;
        Ok(Heard::Arrival(Box::new(Arrival {
            repository: fact(self.repo, "repo")?,
            branch: fact(self.base_ref, "base_ref")?,
            default_branch: self.default_branch,
            commit: head.clone(),
            way: Way::Proposal,
            forced: false,
            base: self.base_sha.filter(|base| is_commit(base)),
            change: Some(Change {
                number: fact(self.number, "number")?,
                head: Some(Head { commit: head, author: self.author }),
            }),
            actor: self.actor,
            order: None,
        })))
    }

    fn merge(self, event: &Event) -> Result<Heard, Failure> {
        if self.merged != Some(true) {
            return Err(Failure::reject("data.git.merged is not true, though the event says that a change was merged"));
        }
        let author = self.author;
        let head = self.head_sha.filter(|head| is_commit(head)).map(|commit| Head { commit, author });
        Ok(Heard::Arrival(Box::new(Arrival {
            repository: fact(self.repo, "repo")?,
            branch: fact(self.base_ref, "base_ref")?,
            default_branch: self.default_branch,
            commit: commit(self.merge_commit, "merge_commit")?,
            way: Way::Merge,
            forced: false,
            base: self.base_sha.filter(|base| is_commit(base)),
            change: Some(Change { number: fact(self.number, "number")?, head }),
            actor: self.actor,
            // The instant of a change that is closed is that of its merge.
            order: event.time.clone(),
        })))
    }

    fn push(self, event: &Event) -> Result<Heard, Failure> {
        if self.change.as_deref() == Some("deleted") || self.ref_kind.as_deref() != Some("branch") {
            return Ok(Heard::Nothing("no commit comes to a branch by it"));
        }
        Ok(Heard::Arrival(Box::new(Arrival {
            repository: fact(self.repo, "repo")?,
            branch: fact(self.ref_name, "ref_name")?,
            default_branch: self.default_branch,
            commit: commit(self.head_commit.or(self.after), "head_commit")?,
            way: Way::Push,
            forced: self.forced == Some(true),
            base: self.before.filter(|before| is_commit(before)),
            change: None,
            actor: self.actor,
            order: event.time.clone(),
        })))
    }

    fn queue(self) -> Result<Heard, Failure> {
        let short = |name: String| name.strip_prefix("refs/heads/").map(str::to_owned).unwrap_or(name);
        let head_ref = self.head_ref.map(short);
        let queued = head_ref.as_deref().and_then(Queued::of);
        Ok(Heard::Arrival(Box::new(Arrival {
            repository: fact(self.repo, "repo")?,
            branch: fact(self.base_ref.map(short), "base_ref")?,
            default_branch: self.default_branch,
            commit: commit(self.head_sha, "head_sha")?,
            way: Way::Queue,
            forced: false,
            base: self.base_sha.filter(|base| is_commit(base)),
            change: queued.map(|queued| Change { number: queued.number, head: None }),
            actor: self.actor,
            order: None,
        })))
    }

    fn checked(self) -> Result<Heard, Failure> {
        let name = fact(self.name.or(self.context), "name")?;
        if name == CONTEXT {
            return Ok(Heard::Nothing("it is what this function said itself"));
        }
        Ok(Heard::Checked(Checked {
            repository: fact(self.repo, "repo")?,
            default_branch: self.default_branch,
            commit: commit(self.head_sha.or(self.sha), "head_sha")?,
            name,
            branches: self.branches.unwrap_or_default().into_iter().chain(self.head_branch).collect(),
        }))
    }
}

impl<'a> Queued<'a> {
    /// What a branch of the queue is for.
    pub fn of(name: &'a str) -> Option<Self> {
        let (branch, entry) = name.strip_prefix(QUEUE)?.rsplit_once("/pr-")?;
        let number = entry.split('-').next()?.parse().ok()?;
        Some(Queued { branch, number })
    }
}

fn commit(value: Option<String>, name: &str) -> Result<String, Failure> {
    let commit = fact(value, name)?;
    if is_commit(&commit) {
        return Ok(commit);
    }
    Err(Failure::reject(format!("{commit:?} is no commit; it is 40 or 64 lower-case hex digits")))
}

fn fact<T>(value: Option<T>, name: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::reject(format!("data.git.{name} is missing")))
}
