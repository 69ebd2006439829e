//! Where something stands in an environment, and the one thing in its way. Pure.
//!
//! The last word of the path counts. Where it says that something is missing, what should have brought it is looked at: a
//! refusal, a run that failed, a task that nobody has finished, a function that hangs on an event or gave it up.

use std::collections::BTreeMap;

use super::word::Word;
use crate::api::model::{TraceRun, VerdictView, WhyCause, WhyState, WhyView};
use crate::event::Position;

/// All that is known of a commit, a digest or a release.
pub struct Known<'a> {
    pub of: &'a str,
    pub environment: &'a str,
    /// By position.
    pub words: Vec<Word>,
    /// What functions made of each.
    pub runs: BTreeMap<Position, Vec<TraceRun>>,
    /// The last change of each service, by service and environment.
    pub running: BTreeMap<(String, String), Word>,
}

/// Words that say how far a release has come, in an environment or in all.
const STANDING: [&str; 13] = [
    "gate.passed",
    "gate.blocked",
    "placement.decided",
    "release.refused",
    "deployment.requested",
    "deployment.activated",
    "deployment.refused",
    "service.deployed",
    "service.upgraded",
    "service.rolledback",
    "release.verified",
    "release.failed",
    "release.insufficient",
];

pub fn decide(known: &Known<'_>) -> WhyView {
    let about = About::of(known);
    let (state, cause) = known.standing(&about);
    WhyView {
        of: known.of.to_owned(),
        environment: known.environment.to_owned(),
        state,
        cause,
        chain: known.chain(&about),
        commit: about.commit,
        digest: about.digest,
        release: about.release,
    }
}

/// What is judged: the newest artifact and release of what was asked for.
#[derive(Default)]
struct About {
    commit: Option<String>,
    digest: Option<String>,
    release: Option<String>,
}

impl About {
    fn of(known: &Known<'_>) -> Self {
        let newest = |pick: &dyn Fn(&Word) -> Option<String>| known.words.iter().rev().find_map(pick);
        let is_asked = |name: &Option<String>| name.as_deref() == Some(known.of);
        let asked_digest = known.words.iter().any(|word| is_asked(&word.content.digest));
        let asked_commit = known.words.iter().any(|word| is_asked(&word.content.commit));
        let asked_release = known.words.iter().any(|word| is_asked(&word.content.release));
        let own = |asked: bool| asked.then(|| known.of.to_owned());
        let digest = own(asked_digest).or_else(|| newest(&|word| word.content.digest.clone()));
        let release = own(asked_release).or_else(|| {
            newest(&|word| word.content.release.clone().filter(|_| digest.is_none() || word.content.digest == digest))
        });
        let commit = own(asked_commit).or_else(|| {
            newest(&|word| word.content.commit.clone().filter(|_| digest.is_none() || word.content.digest == digest))
        });
        About { commit, digest, release }
    }

    /// Whether a word is about this, as far as it says.
    fn concerns(&self, word: &Word) -> bool {
        let content = &word.content;
        let same = |own: &Option<String>, said: &Option<String>| match (own, said) {
            (Some(own), Some(said)) => own == said,
            (None, _) | (_, None) => true,
        };
        same(&self.digest, &content.digest) && same(&self.release, &content.release)
    }
}

impl Known<'_> {
    /// Words of this environment and this artifact, the oldest first.
    fn own<'a>(&'a self, about: &'a About) -> impl DoubleEndedIterator<Item = &'a Word> {
        self.words.iter().filter(|word| word.concerns(self.environment) && about.concerns(word))
    }

    fn chain(&self, about: &About) -> Vec<crate::api::model::WhyStep> {
        self.own(about).map(Word::step).collect()
    }

    fn standing(&self, about: &About) -> (WhyState, Option<WhyCause>) {
        let lifted = self.own(about).rev().find(|word| word.name.contains("quarantine"));
        let quarantined = lifted.filter(|word| word.name == "digest.quarantined");
        if let Some(word) = quarantined {
            let clear = "find what failed; lift it by publishing quarantine.lifted with who and why";
            return (WhyState::Held, Some(word.cause("quarantined", "the digest is in quarantine", clear)));
        }
        let last =
            self.own(about).rfind(|word| STANDING.contains(&word.name.as_str()) && word.name != "quarantine.lifted");
        match last {
            None => self.before_gates(about),
            Some(word) => self.at(word, about),
        }
    }

    fn at(&self, word: &Word, about: &About) -> (WhyState, Option<WhyCause>) {
        match word.name.as_str() {
            "service.deployed"
            | "service.upgraded"
            | "service.rolledback"
            | "release.verified"
            | "release.insufficient" => self.released(word),
            "release.failed" => {
                let clear = "mend what failed and release again";
                (WhyState::Failed, Some(word.cause("failed-verification", "the release failed", clear)))
            }
            "release.refused" => {
                (WhyState::Held, Some(word.cause("refused", "the release was refused", "see the event")))
            }
            "deployment.refused" => {
                let problems = word.content.problems.join("; ");
                let clear = "mend what the reason names and ask for the release again with `tidegate redeploy`";
                (WhyState::Held, Some(word.cause("deployment-refused", &problems, clear)))
            }
            "gate.blocked" => self.blocked(word, about),
            // On its way: what hangs, or is about to run.
            _ => self.hanging(about).unwrap_or_else(|| {
                let reason = format!("{} is the last that is known", word.name);
                let clear = "wait; if it stays so, `tidegate explain` on that event says which function takes it";
                (WhyState::Waiting, Some(word.cause("on-its-way", &reason, clear)))
            }),
        }
    }

    fn released(&self, word: &Word) -> (WhyState, Option<WhyCause>) {
        let place = word.content.service.clone().map(|service| (service, self.environment.to_owned()));
        let now = place.and_then(|place| self.running.get(&place));
        match now {
            Some(now) if now.position > word.position && now.content.release != word.content.release => {
                let release = now.content.release.as_deref().unwrap_or("another release");
                let reason = format!("{release} runs in {} now", self.environment);
                let cause = WhyCause { missing: Vec::new(), ..now.cause("replaced", &reason, "nothing is in the way") };
                (WhyState::Replaced, Some(cause))
            }
            Some(_) | None => (WhyState::Released, None),
        }
    }

    /// What is missing may be missing for a reason of its own.
    fn blocked(&self, word: &Word, about: &About) -> (WhyState, Option<WhyCause>) {
        let own = || (WhyState::Held, Some(word.cause("blocked", "the gate blocked it", "see the event")));
        let missing = &word.content.missing;
        if missing.is_empty() {
            return own();
        }
        if missing.iter().any(|name| name == "change")
            && let Some(refused) = self.refused_change()
        {
            return refused;
        }
        if missing.iter().any(|name| name == "pipeline")
            && let Some(run) = self.unfinished_run()
        {
            return run;
        }
        self.hanging(about).unwrap_or_else(own)
    }

    fn before_gates(&self, about: &About) -> (WhyState, Option<WhyCause>) {
        if let Some(found) = self.refused_change().or_else(|| self.unfinished_run()).or_else(|| self.hanging(about)) {
            return found;
        }
        let accepted = self.words.iter().rev().find(|word| word.name == "tidegate-change.accepted");
        let (word, rule, reason, clear) = match (accepted, self.words.last()) {
            (Some(word), _) if matches!(word.content.way.as_deref(), Some("proposal" | "queue")) => {
                (word, "not-merged", "the change was accepted and is not merged", "merge it")
            }
            (Some(word), _) => (
                word,
                "no-artifact",
                "no artifact of it has reached a gate",
                "push one to the service's repository, and see that its pipeline names the digest",
            ),
            (None, Some(word)) => (
                word,
                "not-judged",
                "no change of it was judged: it is on no protected branch, or nothing listens",
                "bring it to a protected branch; `tidegate explain` on the event says who took it",
            ),
            (None, None) => return (WhyState::Waiting, None),
        };
        (WhyState::Held, Some(word.cause(rule, reason, clear)))
    }

    /// The last word on the change, where it is a refusal that no acceptance of the same commit followed.
    fn refused_change(&self) -> Option<(WhyState, Option<WhyCause>)> {
        let accepted = self.words.iter().any(|word| {
            word.name == "tidegate-change.accepted" && matches!(word.content.way.as_deref(), Some("merge" | "push"))
        });
        let refused = self.words.iter().rfind(|word| word.name == "tidegate-change.refused").filter(|_| !accepted)?;
        Some((WhyState::Held, Some(refused.cause("change-refused", "the change was refused", "see the event"))))
    }

    /// A run that did not succeed, or has a task that nobody has finished.
    fn unfinished_run(&self) -> Option<(WhyState, Option<WhyCause>)> {
        let last = |name: &str| self.words.iter().rfind(|word| word.name == name);
        if let Some(run) = last("pipelinerun.finished") {
            if run.content.outcome.as_deref() == Some("success") {
                return None;
            }
            let task = run.content.failed.as_ref().and_then(serde_json::Value::as_str).unwrap_or("a task");
            let output =
                run.content.output.as_deref().map_or_else(String::new, |output| format!("read its output {output}, "));
            let clear = format!("{output}mend it and push again");
            let cause = run.cause("pipeline-failed", &format!("{task} failed"), &clear);
            return Some((WhyState::Failed, Some(cause)));
        }
        let finished = |task: &Word| {
            let same = |word: &&Word| word.name == "taskrun.finished" && word.event.subject == task.event.subject;
            self.words.iter().any(|word| same(&word))
        };
        let waiting = self.words.iter().find(|word| word.name == "task.requested" && !finished(word))?;
        if let Some(found) = self.hanging_at(waiting) {
            return Some(found);
        }
        let task = waiting.event.subject.as_deref().unwrap_or("a task");
        let clear = "see that its executor runs; the run ends by itself at its time limit";
        let cause = waiting.cause("task-waiting", &format!("{task} was asked for and has not finished"), clear);
        Some((WhyState::Waiting, Some(cause)))
    }

    /// The last event that a function gave up, tries again or is at.
    fn hanging(&self, about: &About) -> Option<(WhyState, Option<WhyCause>)> {
        self.own(about).rev().find_map(|word| self.hanging_at(word))
    }

    fn hanging_at(&self, word: &Word) -> Option<(WhyState, Option<WhyCause>)> {
        let runs = self.runs.get(&word.position)?;
        let (run, state, rule, clear) = runs.iter().find_map(|run| {
            let (state, rule, clear) = hangs(run, word.position)?;
            Some((run, state, rule, clear))
        })?;
        let said = run.failure.as_ref().map(|failure| format!(": {}", failure.reason)).unwrap_or_default();
        let reason = format!("{} is {} on #{}{said}", run.function, run.verdict, word.position);
        let cause = WhyCause {
            rule: rule.to_owned(),
            reason,
            clear,
            since: run.settledat.unwrap_or(word.at),
            event: word.event.clone(),
            function: Some(run.function.clone()),
            missing: Vec::new(),
            input: None,
            evidence: None,
            again: match &run.verdict {
                VerdictView::Retrying { at, .. } | VerdictView::WaitingUnreadable { at } => Some(at.to_string()),
                _ => None,
            },
        };
        Some((state, Some(cause)))
    }
}

/// How a function hangs on an event, if it does, and what to do.
fn hangs(run: &TraceRun, position: Position) -> Option<(WhyState, &'static str, String)> {
    let function = &run.function;
    let wait = || "wait".to_owned();
    match run.verdict {
        VerdictView::DeadLettered => {
            let clear = format!("mend what the reason names, then `tidegate dlq redrive {position}.{function}`");
            Some((WhyState::Failed, "dead-letter", clear))
        }
        VerdictView::FilterFailed { .. } => {
            Some((WhyState::Failed, "filter-failed", format!("mend the filter of {function} and send the event again")))
        }
        VerdictView::Dropped { .. } => {
            Some((WhyState::Failed, "dropped", "send the event again: a person gave it up".to_owned()))
        }
        VerdictView::Retrying { .. } => {
            Some((WhyState::Waiting, "retrying", "wait, or mend what the reason names".to_owned()))
        }
        VerdictView::Redriven { .. } => Some((WhyState::Waiting, "redriven", wait())),
        VerdictView::Running { .. } => Some((WhyState::Waiting, "running", wait())),
        VerdictView::WaitingBacklog { .. } | VerdictView::WaitingReady | VerdictView::WaitingBehind { .. } => {
            Some((WhyState::Waiting, "waiting", wait()))
        }
        VerdictView::WaitingUnreadable { .. } => {
            let clear = "bring its data back into the blob store; the log names the blob".to_owned();
            Some((WhyState::Waiting, "unreadable", clear))
        }
        VerdictView::NotDeployed | VerdictView::BeforeStart | VerdictView::Filtered { .. } | VerdictView::Delivered => {
            None
        }
    }
}
