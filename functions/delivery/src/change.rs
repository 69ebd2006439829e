//! What `commit` says of a change: subject `<repository>/pull/<number>` or `<repository>/commit/<commit>`, key the commit.

use serde::{Deserialize, Serialize};

/// Content of `CHANGE_ACCEPTED` and `CHANGE_REFUSED`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What was judged: the head of a proposal or of a queue, what a merge or a push made.
    pub commit: String,
    pub repository: String,
    /// The branch that it is on, or is to come to.
    pub branch: String,
    pub way: Way,
    /// The change's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// RFC 3339: where the commit stands in the branch's own order (when it was merged or pushed, as the host says).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The rules that it was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Where it was refused.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Verdict>,
}

/// How a commit comes to a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A change that is open: nothing is built of it.
    Proposal,
    /// The head of a merge queue: nothing is built of it.
    Queue,
    Merge,
    Push,
}

/// A text of rules, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub digest: String,
    /// The commit of the repository that it was read at; none where it is the function's own configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// A rule that does not hold, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub rule: String,
    pub reason: String,
    pub clear: String,
}
