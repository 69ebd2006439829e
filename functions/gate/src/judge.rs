//! Whether a release has what the policy asks for. Pure: what is known, the policy and the time decide.

use std::collections::BTreeMap;

use delivery::policy::gate::{Need, Policy};
use delivery::{Blocked, Instant, Kind, Quarantined, instant};

use crate::evidence::Witness;
use crate::kept::{Changed, Links, Scan};
use crate::scanned::Worth;

const CHANGE_REFUSED: &str = "change-refused";
/// Nothing says of which commit the artifact was made, and what would: a run, or the artifact itself.
const NOT_BUILT: [&str; 2] =
    ["no pipeline run says that it made this digest", "let the commit's pipeline make the artifact and push it"];
const NOT_NAMED: [&str; 2] = [
    "the artifact does not name the commit that it was made of",
    "build it with the annotation org.opencontainers.image.revision",
];

/// All that is known of a release.
pub struct Case<'a> {
    pub policy: &'a Policy,
    pub now: Instant,
    pub release: &'a str,
    /// None: nothing that counts ties the digest to one.
    pub commit: Option<&'a str>,
    pub quarantined: Option<Quarantined>,
    pub changed: Changed,
    pub links: Links,
    pub scans: BTreeMap<Kind, Vec<Scan>>,
    /// By environment and release.
    pub verified: BTreeMap<String, BTreeMap<String, Witness>>,
    /// When findings whose grace counts from then were seen first, by `Found::name`.
    pub seen: BTreeMap<String, Instant>,
}

/// What follows.
#[derive(Debug, Default)]
pub struct Judged {
    /// What counts, by name: the event that brought it.
    pub evidence: BTreeMap<String, String>,
    pub blocked: Option<Blocked>,
    /// Whether what blocks is a finding, which may turn up after the release has passed.
    pub found: bool,
    /// When time alone may make a finding of it that blocks.
    pub until: Option<Instant>,
}

/// What there is of one thing that is asked for.
enum Held {
    Counts { events: Vec<(String, String)>, until: Option<Instant> },
    Missing { reason: String, clear: String },
    Bad { blocked: Blocked, found: bool },
}

impl Case<'_> {
    pub fn judge(&self) -> Judged {
        let mut judged = Judged::default();
        let mut bad: Option<(Blocked, bool)> = None;
        let (mut missing, mut reasons, mut clears) = (Vec::new(), Vec::new(), Vec::new());
        for need in self.policy.require.keys() {
            match self.held(need) {
                Held::Counts { events, until } => {
                    judged.evidence.extend(events);
                    judged.until = judged.until.into_iter().chain(until).min();
                }
                Held::Missing { reason, clear } => {
                    missing.push(need.to_string());
                    reasons.push(reason);
                    clears.push(clear);
                }
                Held::Bad { blocked, found } => {
                    // A refused change is a change that is not there.
                    if blocked.rule == CHANGE_REFUSED {
                        missing.push(need.to_string());
                    }
                    bad = bad.or(Some((blocked, found)));
                }
            }
        }
        let quarantined = self.quarantined.as_ref().map(|quarantined| (quarantine(quarantined), false));
        let lacking = || (Blocked { reason: each(&reasons), clear: each(&clears), ..block("missing-evidence") }, false);
        let first = quarantined.or(bad).or_else(|| (!missing.is_empty()).then(lacking));
        if let Some((blocked, found)) = first {
            judged.blocked = Some(Blocked { missing, ..blocked });
            judged.found = found;
        }
        judged
    }

    fn held(&self, need: &Need) -> Held {
        match need {
            Need::Change => self.change(),
            Need::Pipeline => {
                let (reason, clear) = NOT_BUILT.map(str::to_owned).into();
                self.witnessed(need, self.links.pipeline.as_ref(), reason, clear)
            }
            Need::Provenance => {
                let (reason, clear) = NOT_NAMED.map(str::to_owned).into();
                self.witnessed(need, self.links.provenance.as_ref(), reason, clear)
            }
            Need::Scan(kind) => self.scanned(need, *kind),
            Need::Verified(environment) => {
                let witness = self.verified.get(environment).and_then(|releases| releases.get(self.release));
                let reason = format!("the release is not verified in {environment}");
                let clear = format!("let it pass {environment} first");
                self.witnessed(need, witness, reason, clear)
            }
        }
    }

    /// What one event says, if its word counts and it is not too old.
    fn witnessed(&self, need: &Need, witness: Option<&Witness>, reason: String, clear: String) -> Held {
        let Some(witness) = witness.filter(|witness| self.policy.trusts(need, &witness.origin)) else {
            return Held::Missing { reason, clear };
        };
        match self.stale(witness) {
            None => Held::Counts { events: vec![(need.to_string(), witness.event.clone())], until: None },
            Some(stale) => Held::Bad { blocked: Blocked { clear, ..stale }, found: false },
        }
    }

    fn change(&self) -> Held {
        let Some(commit) = self.commit else {
            let by_run = self.policy.require.contains_key(&Need::Pipeline);
            let untied = if by_run { NOT_BUILT } else { NOT_NAMED };
            let (reason, clear) = untied.map(str::to_owned).into();
            return Held::Missing { reason, clear };
        };
        let accepted = self.changed.accepted.as_ref().map(|accepted| &accepted.witness);
        let reason = format!("no accepted change brought {commit} to a protected branch");
        let clear = "merge the commit by a change that the admission rules accept".to_owned();
        let trusted = |witness: &&Witness| self.policy.trusts(&Need::Change, &witness.origin);
        let refused = self.changed.refused.as_ref().filter(|refused| trusted(&&refused.witness));
        match (accepted.filter(trusted), refused) {
            (None, Some(refused)) => {
                let verdict = &refused.verdict;
                let blocked = Blocked {
                    reason: format!("{commit} was refused: {}", verdict.reason),
                    input: Some(verdict.rule.clone()),
                    evidence_id: Some(refused.witness.event.clone()),
                    clear: verdict.clear.clone(),
                    ..block(CHANGE_REFUSED)
                };
                Held::Bad { blocked, found: false }
            }
            (witness, _) => self.witnessed(&Need::Change, witness, reason, clear),
        }
    }

    fn scanned(&self, need: &Need, kind: Kind) -> Held {
        let scans = self.scans.get(&kind).into_iter().flatten();
        let scans: Vec<&Scan> = scans.filter(|scan| self.policy.trusts(need, &scan.witness.origin)).collect();
        if scans.is_empty() {
            let of = if kind == Kind::Image || self.commit.is_none() { "this digest" } else { "its commit" };
            let trusted: Vec<&str> = self.policy.require[need].iter().map(String::as_str).collect();
            let clear = format!("scan it and send the report; what counts is what {} says of it", trusted.join(" or "));
            return Held::Missing { reason: format!("there is no {need} scan of {of}"), clear };
        }
        let (mut events, mut until) = (Vec::new(), None);
        for scan in &scans {
            match self.worth(kind, scan) {
                Worth::Counts { until: end } => until = until.into_iter().chain(end).min(),
                Worth::Nothing(blocked) => return Held::Bad { blocked, found: false },
                Worth::Found(blocked) => return Held::Bad { blocked, found: true },
            }
            let name = if scans.len() == 1 { need.to_string() } else { format!("{need}:{}", scan.name()) };
            events.push((name, scan.witness.event.clone()));
        }
        Held::Counts { events, until }
    }

    /// Why evidence is too old to count, if it is.
    pub fn stale(&self, witness: &Witness) -> Option<Blocked> {
        let max_age = self.policy.max_age?;
        let since = instant(&witness.at).unwrap_or(Instant::UNIX_EPOCH);
        if self.now < since + max_age {
            return None;
        }
        let reason = format!("evidence of {} is older than {} h", witness.at, max_age.num_hours());
        let (input, evidence_id) = (Some(witness.at.clone()), Some(witness.event.clone()));
        Some(Blocked { reason, input, evidence_id, ..block("stale-evidence") })
    }
}

/// Each text once.
fn each(texts: &[String]) -> String {
    let mut said: Vec<&str> = Vec::new();
    for text in texts {
        if !said.contains(&text.as_str()) {
            said.push(text);
        }
    }
    said.join("; ")
}

fn quarantine(quarantined: &Quarantined) -> Blocked {
    let Quarantined { digest, reason, by, environment, .. } = quarantined;
    Blocked {
        reason: format!("{by} put {digest} in quarantine after {environment}: {reason}"),
        input: Some(digest.clone()),
        clear: format!(
            "release another build; or, if this one was not at fault, `tidegate lift {digest} --reason TEXT`"
        ),
        ..block("quarantined")
    }
}

pub fn block(rule: &str) -> Blocked {
    let (reason, clear) = Default::default();
    Blocked { rule: rule.to_owned(), reason, input: None, evidence_id: None, missing: Vec::new(), clear, again: None }
}
