//! A gate's decisions under other code or another policy, beside what became of each release.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::report;
use crate::api::model::{Listing, ReleaseView, Standing};
use crate::bus::InvocationId;
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::deployment::event_type;
use crate::event::{Event, cdevent_content};
use crate::record::{Case, Class, Ending, Judged};

/// Releases that are told apart; of more, only the counts of attempts tell.
const RELEASES_MAX: usize = 100_000;

/// What gates said of each release, as recorded and now. Shared by all workers.
#[derive(Default)]
pub struct Decisions(Mutex<BTreeMap<Place, Said>>);

/// A release and an environment.
type Place = (String, String);

#[derive(Debug, Clone, Default)]
struct Said {
    passed_before: bool,
    passed_now: bool,
    /// Why it is blocked now, by the last attempt that says so: the rule and the reason.
    blocked_now: BTreeMap<InvocationId, (String, String)>,
    /// The first attempt that passed it on one side.
    example: Option<(InvocationId, String)>,
}

/// One release that would have fared otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionView {
    pub release: String,
    pub environment: String,
    /// Whether the gate would have passed it; as recorded, it was the other way.
    pub passes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it stands by now in that environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Whether it was taken back there: it failed, or its artifact is in quarantine.
    pub rolled_back: bool,
    pub example: Option<String>,
}

/// The members of a gate's word that are read here.
#[derive(Deserialize)]
struct Verdict {
    release: String,
    environment: String,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    reason: String,
}

impl Decisions {
    /// Notes what a case said as recorded and now.
    pub fn note(&self, case: &Case, judged: &Judged) {
        // Of what cannot be known, nothing is said.
        if matches!(judged.class, Class::Unanswered | Class::Redacted) {
            return;
        }
        let before = case.recording.outcome.emitted().unwrap_or_default();
        let now = match &judged.replayed.ending {
            Ending::Completed(emitted) => emitted.as_slice(),
            Ending::Failed(_) | Ending::Unanswered(_) => &[],
        };
        for (passed, verdict) in before.iter().filter_map(verdict) {
            self.change(case, verdict, |said, _| said.passed_before |= passed, passed);
        }
        if let Ending::Failed(failure) = &judged.replayed.ending {
            for (passed, verdict) in before.iter().filter_map(verdict) {
                let why = ("the gate fails".to_owned(), failure.reason.clone());
                self.change(case, verdict, |said, _| drop(said.blocked_now.insert(case.id, why)), passed);
            }
        }
        for (passed, verdict) in now.iter().filter_map(verdict) {
            let tell = |said: &mut Said, verdict: Verdict| {
                said.passed_now |= passed;
                if let Some(rule) = verdict.rule {
                    said.blocked_now.insert(case.id, (rule, verdict.reason));
                    while said.blocked_now.len() > 1 {
                        said.blocked_now.pop_first();
                    }
                }
            };
            self.change(case, verdict, tell, passed);
        }
    }

    fn change(&self, case: &Case, verdict: Verdict, tell: impl FnOnce(&mut Said, Verdict), passed: bool) {
        let mut decisions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (verdict.release.clone(), verdict.environment.clone());
        if decisions.len() >= RELEASES_MAX && !decisions.contains_key(&place) {
            return;
        }
        let said = decisions.entry(place).or_default();
        if passed {
            let example = (case.id, report::name(case));
            said.example = Some(said.example.take().map_or(example.clone(), |known| known.min(example)));
        }
        tell(said, verdict);
    }

    /// Those that differ, beside what the project knows of each release.
    pub async fn changed(&self, client: &Client) -> Result<Vec<DecisionView>, CliError> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let changed: Vec<_> = said.into_iter().filter(|(_, said)| said.passed_before != said.passed_now).collect();
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let releases: Listing<ReleaseView> = client.get(&["releases"], &[]).await?;
        Ok(changed.into_iter().map(|(place, said)| view(place, said, &releases.items)).collect())
    }
}

fn view((release, environment): Place, said: Said, releases: &[ReleaseView]) -> DecisionView {
    let known = releases.iter().find(|known| known.release == release);
    let standing = known.and_then(|known| known.environments.get(&environment)).map(|standing| standing.standing);
    let (rule, reason) = said.blocked_now.into_values().next().filter(|_| !said.passed_now).unzip();
    DecisionView {
        rolled_back: standing == Some(Standing::Failed) || known.is_some_and(|known| known.quarantined),
        release,
        environment,
        passes: said.passed_now,
        rule,
        reason,
        standing,
        example: said.example.map(|(_, name)| name),
    }
}

/// What an event says of a release, and whether it may go on; none: it is no word of a gate.
fn verdict(event: &Event) -> Option<(bool, Verdict)> {
    let passed = match event_type(&event.ty)?.name {
        "gate.passed" => true,
        "gate.blocked" => false,
        _ => return None,
    };
    let content = cdevent_content(event)?;
    Some((passed, serde_json::from_value(content).ok()?))
}
