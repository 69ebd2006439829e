//! What did not come, and why: a refusal, a run that failed, a task that nobody has finished, an environment before this one.

use super::decide::{Case, DEPLOYED, SEE_EVENT, Stand};
use super::word::Word;
use crate::api::model::{TraceRun, WhyCause, WhyState};
use crate::deployment::Digest;

/// Rules of gates that say that something is not there.
const LACKING: [&str; 2] = ["missing-evidence", "change-refused"];
/// Names of evidence that a gate asks for, and how the events begin or end on the way to it.
const CHANGES: [&str; 4] = ["change.", "com.", "testsuiterun.", "tidegate-change."];
const RUNS: [&str; 5] = ["tidegate-change.accepted", "pipelinerun.", "task", "run.due", "artifact."];
const SCANS: [&str; 2] = ["scan.", "artifact.identified"];
const REPORT: &str = ".report";
/// The rule of what waits for a reminder of itself.
pub const VERIFYING: &str = "verifying";
const VERIFIED: &str = "verified:";
const VERDICTS: [&str; 4] = ["release.verified", "release.insufficient", "release.failed", "verification.due"];

impl<'a> Case<'a> {
    /// What a gate says that blocks, unless what is missing is missing for a reason of its own.
    pub fn blocked(self, word: &Word) -> Stand {
        let own = || (WhyState::Held, Some(word.cause("blocked", "the gate blocked it", SEE_EVENT)));
        // What came, and the gate did not judge.
        let gate = word.function.as_deref();
        let is_gate = |run: &TraceRun| gate == Some(run.function.as_str());
        if let Some(stand) = self.own().rev().find_map(|word| self.hanging_at(word, is_gate)) {
            return stand;
        }
        if !LACKING.contains(&word.content.rule.as_deref().unwrap_or_default()) {
            return own();
        }
        let missing = &word.content.missing;
        let (elsewhere, here): (Vec<&String>, Vec<&String>) =
            missing.iter().partition(|need| need.starts_with(VERIFIED));
        if let Some(stand) = here.iter().find_map(|need| self.lacking(need)) {
            return stand;
        }
        match here.is_empty() {
            true => match elsewhere.iter().find_map(|need| self.lacking(need)) {
                Some((state, Some(cause))) => {
                    let lead = word.cause("blocked", "the gate blocked it", SEE_EVENT);
                    (state, Some(WhyCause { because: Some(Box::new(cause)), ..lead }))
                }
                Some((_, None)) | None => own(),
            },
            false => own(),
        }
    }

    /// Why one thing that a gate asks for is not there, if that has a reason of its own.
    fn lacking(self, need: &str) -> Option<Stand> {
        let begins = |word: &Word, with: &[&str]| with.iter().any(|text| word.name.starts_with(text));
        match need {
            "change" => self.refused_change().or_else(|| self.hanging(|word| begins(word, &CHANGES))),
            "pipeline" | "provenance" => self.unfinished_run().or_else(|| self.hanging(|word| begins(word, &RUNS))),
            "image" | "dependency" | "static" => {
                self.hanging(|word| begins(word, &SCANS) || word.name.ends_with(REPORT))
            }
            need => {
                let other = need.strip_prefix(VERIFIED).filter(|other| *other != self.known.environment)?;
                // Of the words, so that it lives as long.
                let environment =
                    self.known.words.iter().find_map(|word| word.environment().filter(|name| *name == other))?;
                Case { environment, ..self }.unverified()
            }
        }
    }

    /// What keeps a release from being verified here, told to another environment.
    fn unverified(self) -> Option<Stand> {
        let environment = Some(self.environment.to_owned());
        let told = |(state, cause): Stand| {
            let cause = cause.map(|cause| WhyCause { environment: cause.environment.or(environment.clone()), ..cause });
            (state, cause)
        };
        match self.standing() {
            (WhyState::Released, _) => self.unjudged().map(told),
            (WhyState::Replaced, Some(cause)) => {
                let release = self.about.release.as_deref().unwrap_or_default();
                let reason =
                    format!("another release took its place in {} before it was verified there", self.environment);
                let clear = format!(
                    "nothing is to be done, the other one goes on; or `tidegate redeploy {release} --in {}`",
                    self.environment
                );
                Some(told((WhyState::Held, Some(WhyCause { reason, clear, ..cause }))))
            }
            (_, None) => None,
            stand => Some(told(stand)),
        }
    }

    /// What it lacks to be verified where it runs, if it was looked at there.
    pub fn unproven(self) -> Option<WhyCause> {
        let deployed = self.last(&DEPLOYED)?;
        self.last(&VERDICTS).filter(|word| word.position > deployed.position)?;
        self.unjudged().and_then(|(_, cause)| cause)
    }

    /// What runs and has no verdict yet.
    fn unjudged(self) -> Option<Stand> {
        let deployed = self.last(&DEPLOYED)?;
        if self.verified().is_some() {
            return None;
        }
        if let Some(stand) = self.hanging(|word| word.position > deployed.position && word.is(&VERDICTS)) {
            return Some(stand);
        }
        let since = |word: &&Word| word.position > deployed.position;
        let environment = self.environment;
        match self.last(&VERDICTS).filter(since) {
            Some(word) if word.name == "release.insufficient" => {
                let release = word.content.release.as_deref().unwrap_or_default();
                let clear = format!(
                    "it is not looked at again by itself: `tidegate redeploy {release} --in {environment}`, and use it in \
                     {environment} from then on"
                );
                let seen = word.content.reason.as_deref().unwrap_or("nobody says how often");
                let reason = format!("it was used too little in {environment} to say what it is worth: {seen}");
                Some((WhyState::Held, Some(WhyCause { reason, ..word.cause("insufficient", "", &clear) })))
            }
            Some(word) if word.name != "verification.due" => None,
            last => {
                let seen = last.and_then(|word| word.content.reason.clone());
                let seen = seen.unwrap_or_else(|| "nobody has looked yet".to_owned());
                let reason = format!("it runs in {environment} and is not verified yet: {seen}");
                let clear = format!("use it in {environment}; it is looked at again by itself");
                let cause = last.unwrap_or(deployed).cause(VERIFYING, &reason, &clear);
                Some((WhyState::Waiting, Some(WhyCause { reason, since: deployed.at, ..cause })))
            }
        }
    }

    /// How far it came where no gate has said anything.
    pub fn before_gates(self) -> Stand {
        if let Some(found) = self.refused_change().or_else(|| self.unfinished_run()).or_else(|| self.hanging(|_| true))
        {
            return found;
        }
        let environment = self.environment;
        let own = |word: &Word, rule: &str, reason: &str, clear: &str| {
            (WhyState::Held, Some(word.cause(rule, reason, clear)))
        };
        if let Some(word) = self.last(&["artifact.packaged", "artifact.identified"]) {
            let input = word.content.artifact.clone();
            let reason = format!("the gate of {environment} said nothing of {}", input.as_deref().unwrap_or("it"));
            let clear = "see that this is the artifact of a service in the plan, and that the service goes there";
            return (WhyState::Held, Some(WhyCause { input, ..word.cause("no-gate", &reason, clear) }));
        }
        if let Some(word) = self.last(&["pipelinerun.finished"]) {
            let clear = "let a task give the results digest and artifact, and bring a new commit";
            return own(word, "no-artifact", "its pipeline succeeded and made no artifact", clear);
        }
        match self.last(&["tidegate-change.accepted"]) {
            Some(word) if is_merged(word) => {
                let clear =
                    "put .tidegate/pipeline.toml beside the code and bring a new commit; or push an artifact of it";
                own(word, "no-run", "it was accepted, and no pipeline ran for it: there is none at that commit", clear)
            }
            Some(word) if word.content.way.as_deref() == Some("queue") => own(
                word,
                "not-merged",
                "the merge queue's head was accepted, and is not merged yet",
                "wait for the queue",
            ),
            Some(word) => own(word, "not-merged", "the change was accepted, and is not merged yet", "merge it"),
            None => self.unjudged_change(),
        }
    }

    fn unjudged_change(self) -> Stand {
        let Some(word) = self.own().next_back() else { return (WhyState::Waiting, None) };
        let branch = word.content.branch.as_deref().map_or_else(String::new, |branch| format!(" on {branch}"));
        let reason = format!("nobody judged what came{branch}: only what comes to a protected branch is judged");
        let clear = "open a change for a protected branch, and merge it";
        let (cause, input) = (word.cause("not-judged", &reason, clear), word.content.branch.clone());
        (WhyState::Held, Some(WhyCause { input, ..cause }))
    }

    /// The last word on the change, where it is a refusal. What was accepted by a merge or a push stays so.
    fn refused_change(self) -> Option<Stand> {
        let verdicts = || {
            let names = ["tidegate-change.accepted", "tidegate-change.refused"];
            self.known.words.iter().filter(move |word| word.counts && word.is(&names) && self.about.is_of_commit(word))
        };
        if verdicts().any(|word| word.name == "tidegate-change.accepted" && is_merged(word)) {
            return None;
        }
        let word = verdicts().next_back().filter(|word| word.name == "tidegate-change.refused")?;
        let cause = word.cause("change-refused", "the change was refused", SEE_EVENT);
        let (evidence, input) = (word.led_by(), word.content.branch.clone());
        Some((WhyState::Held, Some(WhyCause { evidence, input, ..cause })))
    }

    /// A run that did not succeed, or has a task that nobody has finished.
    fn unfinished_run(self) -> Option<Stand> {
        let words = || self.known.words.iter().filter(|word| word.counts && self.about.is_of_commit(word));
        if let Some(run) = words().rfind(|word| word.name == "pipelinerun.finished") {
            let success = run.content.outcome.as_deref() == Some("success");
            return (!success).then(|| (WhyState::Failed, Some(failed_run(run))));
        }
        let finished = |task: &Word| {
            let same = |word: &Word| word.name == "taskrun.finished" && word.event.subject == task.event.subject;
            words().any(same)
        };
        let waiting = words().find(|word| word.name == "task.requested" && !finished(word))?;
        let task = waiting.content.task.as_deref().unwrap_or("a task");
        if let Some((state, cause)) = self.hanging_at(waiting, |_| true) {
            let cause = cause.map(|cause| WhyCause { reason: format!("task {task}: {}", cause.reason), ..cause });
            return Some((state, cause));
        }
        let reason = format!("task {task} was asked for, and nobody has finished it");
        let clear = "see that a function takes tasks of its executor; the run ends by itself when its time is over";
        let input = waiting.content.executor.clone();
        Some((WhyState::Waiting, Some(WhyCause { input, ..waiting.cause("task-waiting", &reason, clear) })))
    }
}

fn is_merged(word: &Word) -> bool {
    matches!(word.content.way.as_deref(), Some("merge" | "push"))
}

fn failed_run(run: &Word) -> WhyCause {
    let content = &run.content;
    let task = content.failed.as_ref().and_then(serde_json::Value::as_str);
    let what = task.map_or_else(|| "the run".to_owned(), |task| format!("task {task}"));
    let why = content.reason.as_deref().unwrap_or("it says no more");
    // What printed nothing has nothing to be read.
    let output = content.output.as_deref().filter(|output| *output != Digest::of(b"").to_string());
    let output = output.map_or_else(String::new, |output| match output.starts_with("sha256:") {
        true => format!("read what it printed (GET /blobs/{output} of the API), "),
        false => format!("read what it printed at {output}, "),
    });
    let clear = format!("{output}mend it and bring a new commit: a commit is run once");
    let (reason, input) = (format!("{what} failed: {why}"), task.map(str::to_owned));
    WhyCause { reason, input, evidence: run.led_by(), ..run.cause("pipeline-failed", "", &clear) }
}
