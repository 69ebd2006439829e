//! Whether a commit holds against the rules. Pure.

use std::collections::{BTreeMap, BTreeSet};

use delivery::{Verdict, Way};

use crate::github::{CheckRun, Review, Status};
use crate::heard::{Arrival, Head};
use crate::rules::{Check, Rules};

/// Whose approval counts: those whom the repository's owners let in.
const ASSOCIATIONS: [&str; 3] = ["OWNER", "MEMBER", "COLLABORATOR"];

/// What is known beside the event.
pub struct Known<'a> {
    /// Of the change's head; none: nobody is asked.
    pub reviews: Option<(&'a Head, &'a [Review])>,
    pub runs: &'a [CheckRun],
    pub statuses: &'a [Status],
    /// The commit that they are of.
    pub checked: &'a str,
}

impl<'a> Known<'a> {
    pub fn nothing(checked: &'a str) -> Self {
        Known { reviews: None, runs: &[], statuses: &[], checked }
    }
}

#[derive(Debug, PartialEq)]
pub enum Judgement {
    Accepted,
    /// A rule does not hold, and may still come to.
    Pending(Verdict),
    Refused(Verdict),
}

impl Judgement {
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Judgement::Accepted => None,
            Judgement::Pending(verdict) | Judgement::Refused(verdict) => Some(verdict),
        }
    }
}

/// A push is held against the rules of pushes, and nothing else: what it lacks is a change.
pub fn judge(rules: &Rules, arrival: &Arrival, known: &Known<'_>) -> Judgement {
    if arrival.way == Way::Push {
        return push(rules, arrival);
    }
    let reviewed = known.reviews.map_or(Judgement::Accepted, |(head, reviews)| reviewed(rules.reviews, head, reviews));
    if let Judgement::Refused(_) = reviewed {
        return reviewed;
    }
    let checks = rules.checks.iter().map(|check| checked(check, known));
    let mut worst = reviewed;
    for judgement in checks {
        match (&worst, &judgement) {
            (_, Judgement::Refused(_)) => return judgement,
            (Judgement::Accepted, Judgement::Pending(_)) => worst = judgement,
            _ => {}
        }
    }
    worst
}

pub fn unverified() -> Judgement {
    refused(
        "verified-sender",
        "nobody proved who sent the event".to_owned(),
        "give the webhook a secret and send the event again".to_owned(),
    )
}

pub fn unreadable(file: &str, commit: &str, problem: &str) -> Judgement {
    refused(
        "policy-unreadable",
        format!("{file} at {commit} cannot be read: {problem}"),
        format!("mend {file} on the branch; what is merged after that is judged by it"),
    )
}

pub fn unnamed() -> Judgement {
    refused(
        "reviews",
        "the merge queue's branch names no change, so nobody can be asked who approved it".to_owned(),
        "merge the change without the queue, or see what names its branches".to_owned(),
    )
}

fn push(rules: &Rules, arrival: &Arrival) -> Judgement {
    if arrival.forced && !rules.force_push {
        return refused(
            "no-force-push",
            "the push rewrote the branch's history".to_owned(),
            "restore the branch, then open a change and merge it".to_owned(),
        );
    }
    if !rules.direct_push {
        return refused(
            "no-direct-push",
            format!("the commit was pushed to {} and no change (pull request) brought it", arrival.branch),
            "open a change with the commit and merge it".to_owned(),
        );
    }
    Judgement::Accepted
}

/// A person's last word counts, comments aside; an approval only if it is of the head, and not by the author.
fn reviewed(wanted: usize, head: &Head, reviews: &[Review]) -> Judgement {
    let mut last: BTreeMap<String, &Review> = BTreeMap::new();
    for review in
        reviews.iter().filter(|review| matches!(state(review).as_str(), "APPROVED" | "CHANGES_REQUESTED" | "DISMISSED"))
    {
        last.insert(login(review), review);
    }
    let against: Vec<&str> = last
        .iter()
        .filter(|(_, review)| state(review) == "CHANGES_REQUESTED")
        .map(|(login, _)| login.as_str())
        .collect();
    if !against.is_empty() {
        let who = against.join(", ");
        return refused(
            "changes-requested",
            format!("changes are asked for by {who}"),
            format!("let {who} approve, or dismiss the review"),
        );
    }
    let author = head.author.as_deref().map(str::to_ascii_lowercase);
    let counts = |(login, review): &(&String, &&Review)| {
        state(review) == "APPROVED"
            && review.commit_id.as_deref() == Some(head.commit.as_str())
            && review.user.is_some()
            && Some(login.as_str()) != author.as_deref()
            && review.author_association.as_deref().is_some_and(|association| ASSOCIATIONS.contains(&association))
    };
    let approved: BTreeSet<&str> = last.iter().filter(counts).map(|(login, _)| login.as_str()).collect();
    if approved.len() >= wanted {
        return Judgement::Accepted;
    }
    let by = approved.into_iter().collect::<Vec<_>>();
    let by_text = if by.is_empty() { "nobody".to_owned() } else { by.join(", ") };
    let lacking = wanted - by.len();
    let commit = &head.commit;
    let of_another = last.iter().filter_map(|(login, review)| {
        let other = review.commit_id.as_deref().filter(|other| *other != commit && state(review) == "APPROVED")?;
        Some(format!("; {login} approved {}, which is another commit", short(other)))
    });
    let of_another: String = of_another.collect();
    Judgement::Pending(Verdict {
        rule: "reviews".to_owned(),
        reason: format!("{} of {wanted} approvals of {}: {by_text}{of_another}", by.len(), short(commit)),
        clear: format!("have {lacking} more of the repository's people, not the author, approve {commit}"),
    })
}

fn state(review: &Review) -> String {
    review.state.to_ascii_uppercase()
}

/// Logins are the same in every case. Accounts that are gone are one nobody.
fn login(review: &Review) -> String {
    review.user.as_ref().map_or_else(|| "somebody who left".to_owned(), |user| user.login.to_ascii_lowercase())
}

/// Every newest report of that name must be a success: two that disagree are none.
fn checked(check: &Check, known: &Known<'_>) -> Judgement {
    let app = |run: &&CheckRun| {
        let slug = run.app.as_ref().and_then(|app| app.slug.as_deref());
        check.app.is_none() || check.app.as_deref() == slug
    };
    let runs = known.runs.iter().filter(|run| run.name == check.name).filter(app).map(|run| run_said(check, run));
    // A status does not say by which app it was set.
    let statuses = known.statuses.iter().filter(|status| check.app.is_none() && status.context == check.name);
    let said: Vec<Said> = runs.chain(statuses.map(status_said)).collect();
    let name = &check.name;
    let clear = format!("let {name} succeed on {}; the change is judged again when it ends", known.checked);
    let of = |outcome: &str| Verdict {
        rule: "checks".to_owned(),
        reason: format!("check {name} {outcome}"),
        clear: clear.clone(),
    };
    if let Some(failed) = said.iter().find_map(|said| if let Said::Failed(how) = said { Some(how) } else { None }) {
        return Judgement::Refused(of(&format!("ended with {failed}, which is not success")));
    }
    if said.is_empty() {
        return Judgement::Pending(of("has not reported"));
    }
    match said.contains(&Said::Running) {
        true => Judgement::Pending(of("has not ended")),
        false => Judgement::Accepted,
    }
}

#[derive(Debug, PartialEq)]
enum Said {
    Success,
    Running,
    Failed(String),
}

fn run_said(check: &Check, run: &CheckRun) -> Said {
    match (run.status.as_str(), run.conclusion.as_deref()) {
        ("completed", Some("success")) => Said::Success,
        ("completed", Some("skipped" | "neutral")) if check.skipped => Said::Success,
        ("completed", conclusion) => Said::Failed(conclusion.unwrap_or("no conclusion").to_owned()),
        _ => Said::Running,
    }
}

fn status_said(status: &Status) -> Said {
    match status.state.as_str() {
        "success" => Said::Success,
        "pending" => Said::Running,
        other => Said::Failed(other.to_owned()),
    }
}

fn refused(rule: &str, reason: String, clear: String) -> Judgement {
    Judgement::Refused(Verdict { rule: rule.to_owned(), reason, clear })
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
