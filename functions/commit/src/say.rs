//! A judgement as an event, and as a commit status.

use delivery::{Change, Policy, Verdict, say, types};
use tidegate_sdk::{Event, Failure};

use crate::heard::Arrival;
use crate::judge::Judgement;

/// Characters of a status's description that GitHub takes.
const DESCRIPTION_MAX: usize = 140;

pub fn verdict(arrival: &Arrival, policy: Option<Policy>, judgement: &Judgement) -> Result<Event, Failure> {
    let number = arrival.change.as_ref().map(|change| change.number);
    let subject = match number {
        Some(number) => format!("{}/pull/{number}", arrival.repository),
        None => format!("{}/commit/{}", arrival.repository, arrival.commit),
    };
    let refused: Option<Verdict> = judgement.verdict().cloned();
    let ty = if refused.is_some() { types::CHANGE_REFUSED } else { types::CHANGE_ACCEPTED };
    let content = Change {
        commit: arrival.commit.clone(),
        repository: arrival.repository.clone(),
        branch: arrival.branch.clone(),
        way: arrival.way,
        change: number,
        actor: arrival.actor.clone(),
        order: arrival.order.clone(),
        policy,
        refused,
    };
    say(ty, &subject, &arrival.commit, &content)
}

/// State and description.
pub fn status(judgement: &Judgement) -> (&'static str, String) {
    let (state, text) = match judgement {
        Judgement::Accepted => ("success", "accepted: every rule holds".to_owned()),
        Judgement::Pending(verdict) => ("pending", format!("{}: {}", verdict.rule, verdict.reason)),
        Judgement::Refused(verdict) => ("failure", format!("{}: {}", verdict.rule, verdict.reason)),
    };
    if text.chars().count() <= DESCRIPTION_MAX {
        return (state, text);
    }
    let kept: String = text.chars().take(DESCRIPTION_MAX - 1).collect();
    (state, kept + "…")
}
