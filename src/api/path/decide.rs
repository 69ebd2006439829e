//! Where something stands in an environment, and the one thing in its way. Pure.
//!
//! The last decision of the path counts, of those who may make one. Where it says that something is missing, what should have
//! brought it is looked at (`lacking`); where nothing was decided yet, how far it came; and where nothing follows, the function
//! that hangs on an event or gave it up (`hanging`).

use std::collections::{BTreeMap, BTreeSet};

use super::about::About;
use super::chain::chain;
use super::drift::Drifts;
use super::word::Word;
use crate::api::model::{TraceRun, WhyCause, WhyState, WhyView};
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
    pub drifts: Drifts,
    /// Functions that say words of the path; what others hang on holds nothing back.
    pub path: BTreeSet<String>,
    /// The environment that a function works for, where it works for one alone.
    pub places: BTreeMap<String, String>,
}

/// A state, and what is in the way, if anything is.
pub type Stand = (WhyState, Option<WhyCause>);

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
pub const DEPLOYED: [&str; 3] = ["service.deployed", "service.upgraded", "service.rolledback"];
/// Where a word says no more itself.
pub const SEE_EVENT: &str = "`tidegate explain` on that event says more";
/// What becomes of asking for a release that runs already: it goes on running meanwhile, and if it is refused.
const ASKED_AGAIN: [&str; 3] = ["deployment.requested", "deployment.refused", "release.refused"];

pub fn decide(known: &Known<'_>) -> WhyView {
    let about = About::of(&known.words, known.of);
    let case = Case { known, about: &about, environment: known.environment };
    let (state, cause) = match case.standing() {
        (WhyState::Released, None) => (WhyState::Released, case.unproven()),
        stand => stand,
    };
    // Where another environment is in the way, its words belong to it.
    let elsewhere = cause.as_ref().map(|cause| cause.because.as_deref().unwrap_or(cause));
    let place = elsewhere.and_then(|cause| cause.environment.as_deref());
    let told =
        |word: &&Word| case.about.concerns(word) && (word.concerns(known.environment) || word.environment() == place);
    let words: Vec<&Word> = known.words.iter().filter(told).collect();
    WhyView {
        of: known.of.to_owned(),
        environment: known.environment.to_owned(),
        state,
        verified: case.verified().filter(|_| state == WhyState::Released).map(|word| word.at),
        cause,
        chain: chain(&words),
        commit: about.commit,
        digest: about.digest,
        release: about.release,
    }
}

/// What is judged, and in which environment.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub known: &'a Known<'a>,
    pub about: &'a About,
    pub environment: &'a str,
}

impl<'a> Case<'a> {
    /// Words of this environment and this artifact, the oldest first.
    pub fn own(self) -> impl DoubleEndedIterator<Item = &'a Word> {
        self.known.words.iter().filter(move |word| word.concerns(self.environment) && self.about.concerns(word))
    }

    /// The last of some words by those who may say them.
    pub fn last(self, names: &[&str]) -> Option<&'a Word> {
        self.own().rfind(|word| word.counts && word.is(names))
    }

    pub fn standing(self) -> Stand {
        let runs = self.runs();
        let is_to_run = runs || self.drift().is_some_and(|drift| drift.content.release == self.about.release);
        let here = |word: &&Word| !is_to_run || word.environment() == Some(self.environment);
        if let Some(word) = self.quarantine().filter(here) {
            return self.quarantined(word);
        }
        let decided = |word: &&Word| {
            let leaves = (runs && word.is(&ASKED_AGAIN)) || self.refuses_a_request(word);
            word.counts && word.is(&STANDING) && !leaves
        };
        match self.own().rfind(decided) {
            None => self.before_gates(),
            Some(word) => self.at(word),
        }
    }

    fn at(self, word: &Word) -> Stand {
        match word.name.as_str() {
            "service.deployed"
            | "service.upgraded"
            | "service.rolledback"
            | "release.verified"
            | "release.insufficient" => self.released(word),
            "release.failed" => {
                let clear = match &self.about.release {
                    Some(release) => format!(
                        "mend what failed and release another build; or, if the fault was elsewhere, \
                         `tidegate redeploy {release} --in {}`",
                        self.environment
                    ),
                    None => "mend what failed and release another build".to_owned(),
                };
                (WhyState::Failed, Some(word.cause("failed-verification", "the release failed", &clear)))
            }
            "release.refused" => (WhyState::Held, Some(word.cause("refused", "the release was refused", SEE_EVENT))),
            "deployment.refused" => {
                let problems = word.content.problems.join("; ");
                let release = word.content.release.as_deref().unwrap_or_default();
                let environment = self.environment;
                let clear = format!("put right what it names, then `tidegate redeploy {release} --in {environment}`");
                (WhyState::Held, Some(word.cause("deployment-refused", &problems, &clear)))
            }
            "gate.blocked" => self.blocked(word),
            // On its way: what hangs, or is about to run.
            _ => self.hanging(|one| one.counts && one.position >= word.position).unwrap_or_else(|| {
                let reason = format!("{} was said, and nothing followed yet", word.name);
                let clear =
                    format!("wait; if it stays so, `tidegate explain {}` says who takes that event", word.event.id);
                (WhyState::Waiting, Some(word.cause("on-its-way", &reason, &clear)))
            }),
        }
    }

    /// The last word that it does what it should here, unless it failed since.
    pub fn verified(self) -> Option<&'a Word> {
        self.last(&["release.verified", "release.failed"]).filter(|word| word.name == "release.verified")
    }

    /// What was deployed: whether it still runs.
    fn released(self, word: &Word) -> Stand {
        match (self.deployed_since(word), self.drift()) {
            (Some(now), Some(drift)) if now.content.release != word.content.release => {
                (WhyState::Replaced, Some(self.replaced_and_drifted(drift)))
            }
            (_, Some(drift)) => (WhyState::Failed, Some(self.drifted(drift))),
            (Some(now), None) if now.content.release != word.content.release => {
                let release = now.content.release.as_deref().unwrap_or("another release");
                let environment = self.environment;
                let reason = format!("{release} runs in {environment} now");
                let own = word.content.release.as_deref().unwrap_or_default();
                let clear =
                    format!("nothing is in the way; `tidegate redeploy {own} --in {environment}` asks for it again");
                let cause = WhyCause { missing: Vec::new(), ..now.cause("replaced", &reason, &clear) };
                (WhyState::Replaced, Some(cause))
            }
            (Some(_) | None, None) => (WhyState::Released, None),
        }
    }

    /// The last change of a word's service here, if it is a later one.
    fn deployed_since(self, word: &Word) -> Option<&'a Word> {
        let now = self.known.running.get(&(word.content.service.clone()?, self.environment.to_owned()))?;
        (now.position > word.position).then_some(now)
    }

    /// Whether it runs here: it was deployed last, and nothing was put in its place behind its back.
    fn runs(self) -> bool {
        let Some(deployed) = self.last(&DEPLOYED) else { return false };
        let now = self.deployed_since(deployed).unwrap_or(deployed);
        now.content.release == deployed.content.release && self.drift().is_none()
    }

    /// A refusal of what a person asked for leaves the release where it is.
    fn refuses_a_request(self, word: &Word) -> bool {
        let is_request = |cause: &&String| {
            let mut words = self.known.words.iter();
            words.any(|other| other.name == "release.requested" && other.event.id == **cause)
        };
        word.name == "release.refused" && word.causation.as_ref().is_some_and(|cause| is_request(&cause))
    }
}
