//! Judges releases for one environment: joins what is known of a digest and of the commit that it was made of, in any order of
//! arrival, and says `gate.passed` or `gate.blocked`.
//!
//! Config `policy` (TOML or JSON) is one environment's; a second environment is a second function. Config `plan` is the project's
//! plan. What is known is in key space `evidence-<environment>`.
//!
//! ```toml
//! environment = "production"
//! max_age = "30d"              # evidence that is older does not count; default: any age
//! ask_again = "1h"             # how often it looks again for what is missing
//! asks_max = 72                # and how often at most
//! incident_days = 7            # how long a release that runs may stay as it is, once its evidence turned bad
//!
//! [require]                    # evidence, and the origins whose word counts for it
//! change = ["function:commit"]
//! pipeline = ["function:pipeline"]
//! static = ["function:scan"]
//! dependency = ["function:scan"]
//! image = ["function:scan"]
//! "verified:staging" = ["function:verify"]
//!
//! [severity]
//! block = ["critical", "high"] # this is the default; `image`, `dependency` and `static` have lists of their own
//! fixed_only = false           # findings in packages block only once there is a version that mends them
//! grace_days = { high = 7 }    # known for so long before it blocks
//!
//! [[exception]]
//! id = "CVE-2026-1234"
//! owner = "payments"
//! reason = "the affected parser is not linked"
//! expires = "2027-01-31"       # the day's end in UTC, or an instant
//! ```
//!
//! | required | is brought by | about |
//! | --- | --- | --- |
//! | `change` | `tidegate-change.accepted` of a merge or a push, in the service's repository | the commit |
//! | `pipeline` | `artifact.packaged` that names digest and commit | the digest, and its commit |
//! | `provenance` | `artifact.identified`, where the artifact claims a commit | the digest, and its commit |
//! | `image` | `scan.completed` of kind `image` | the digest |
//! | `dependency`, `static` | `scan.completed` of that kind | the digest or the commit |
//! | `verified:ENVIRONMENT` | `release.verified` of the same release there | the release |
//!
//! - **Missing evidence blocks**, by name. So does evidence that is too old, a scan that failed, a finding that blocks, and a
//!   change that was refused and by no other way accepted.
//! - **Whose word counts** is the policy's: evidence of another origin, or that nobody proved, has no effect, and the log says
//!   why. It counts for the digest or the commit that it names and no other.
//! - **A commit's evidence reaches a digest** by `pipeline`; by `provenance` only where the policy asks for that, since
//!   whoever builds an image can claim what he likes.
//! - **Order of arrival is nothing**: of two that say the same the one that looked later counts, whichever came last; scans
//!   of several tools, or of several parts, must all hold.
//! - **A finding blocks** by its severity, where no exception holds and its grace is over. Grace counts from the day on which it was
//!   published, else from when this gate saw it first. An exception that has ended blocks again by itself.
//! - **A quarantined digest** (key space `quarantine`) blocks whatever else is known of it, until `rollback` says that it is
//!   cleared: what a person says is heard there.
//! - **`gate.passed` is said once** for each release, `gate.blocked` whenever its verdict changes, with the rule, the input, the
//!   event that brought it and how to clear it. It looks again, by `gate.asked`, when an exception ends or grace is over and,
//!   while something blocks, as often as the policy says.
//! - **What runs is never taken away**: a finding that turns up after a release passed opens one `incident.detected` with a
//!   deadline, unless `deploy` (key space `releases`) has put another release in its place.
//! - **A policy or a plan that cannot be read passes nothing**: events become dead letters that name the problem.
//!
//! A release is a service of the plan, the artifact's digest, the plan's configuration of the service, and the commit.

mod evidence;
mod finding;
mod judge;
mod kept;
mod ledger;
mod scanned;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use delivery::policy::gate::{Need, Policy};
use delivery::{Instant, Kind, Plan, QUARANTINE, Quarantined, Release, Service, instant};
use tidegate_sdk::{Event, Failure, kv, warn};

use crate::evidence::Heard;
use crate::judge::{Case, Judged};
use crate::kept::{Links, Scan};
use crate::ledger::Ledger;

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let plan = Plan::read()?;
    let policy = Policy::read(&plan)?;
    let ledger = Ledger::open(&policy.environment)?;
    let digests = match Heard::of(&event)? {
        Heard::Look { environment: Some(other), .. } if other != policy.environment => BTreeSet::new(),
        Heard::Look { digest, .. } => [digest].into(),
        Heard::Evidence(evidence) => match evidence.witness(&event, &policy, &plan) {
            Ok(witness) => ledger.add(&evidence, witness, &policy)?,
            Err(why) => {
                warn!("event {} of type {} has no effect in {}: {why}", event.id, event.ty, policy.environment);
                BTreeSet::new()
            }
        },
    };
    let gate = Gate { now: delivery::now(), plan, policy, ledger };
    let mut said = Vec::new();
    for digest in digests {
        said.extend(gate.look(&digest)?);
    }
    Ok(said)
}

tidegate_sdk::export!(handle);

struct Gate {
    plan: Plan,
    policy: Policy,
    ledger: Ledger,
    now: Instant,
}

impl Gate {
    /// Judges every release of a digest.
    fn look(&self, digest: &str) -> Result<Vec<Event>, Failure> {
        let Some(mut known) = self.ledger.known(digest)? else { return Ok(Vec::new()) };
        let quarantined: Option<Quarantined> = kv::open(QUARANTINE)?.get_json(digest)?;
        let mut verdicts = Vec::new();
        for (artifact, commits) in &known.artifacts {
            // A service that left the plan, or does not come here, is nobody's wish.
            let service = self.plan.service_of_artifact(artifact);
            let service = service.filter(|(_, service)| service.targets.contains_key(&self.policy.environment));
            let Some((name, service)) = service else { continue };
            for (commit, links) in self.candidates(commits) {
                verdicts.push(self.judge(name, service, digest, commit, links, quarantined.clone())?);
            }
        }
        let said = told::tell(&self.policy, self.now, digest, &mut known, verdicts)?;
        self.ledger.keep(digest, &known)?;
        Ok(said)
    }

    /// The commits that a digest may be made of, by what the policy takes for a tie.
    fn candidates<'a>(&self, commits: &'a BTreeMap<String, Links>) -> Vec<(Option<&'a str>, Links)> {
        let pipeline = self.policy.require.contains_key(&Need::Pipeline);
        let ties = |links: &Links| match (pipeline, &links.pipeline, &links.provenance) {
            (true, Some(witness), _) => self.policy.trusts(&Need::Pipeline, &witness.origin),
            (false, _, Some(witness)) => self.policy.trusts(&Need::Provenance, &witness.origin),
            (true, None, _) | (false, _, None) => false,
        };
        let tied = commits.iter().filter(|(_, links)| self.policy.links() && ties(links));
        let tied: Vec<_> = tied.map(|(commit, links)| (Some(commit.as_str()), links.clone())).collect();
        if tied.is_empty() { vec![(None, Links::default())] } else { tied }
    }

    fn judge(
        &self,
        name: &str,
        service: &Service,
        digest: &str,
        commit: Option<&str>,
        links: Links,
        quarantined: Option<Quarantined>,
    ) -> Result<(Release, Judged), Failure> {
        let changed = match commit {
            Some(commit) => self.ledger.changed(&service.repository, commit)?,
            None => Default::default(),
        };
        let order = changed.accepted.as_ref().and_then(|accepted| accepted.order.as_deref());
        let configuration = service.configuration();
        let release = Release::new(name, &service.artifact, digest, &configuration, commit, order);
        let (mut scans, mut verified) = (BTreeMap::new(), BTreeMap::new());
        for need in self.policy.require.keys() {
            match need {
                Need::Scan(kind) => {
                    let mut found = self.ledger.scans(digest, *kind)?;
                    // A scan of the source is of every image that was built of it; an image's is of that image.
                    if let (Some(commit), Kind::Dependency | Kind::Static) = (commit, kind) {
                        found.extend(self.ledger.scans(commit, *kind)?);
                    }
                    scans.insert(*kind, found);
                }
                Need::Verified(environment) => {
                    verified.insert(environment.clone(), self.ledger.verified(digest, environment)?);
                }
                Need::Change | Need::Pipeline | Need::Provenance => {}
            }
        }
        let seen = self.seen(&scans)?;
        let case = Case {
            policy: &self.policy,
            now: self.now,
            release: &release.release,
            commit,
            quarantined,
            changed,
            links,
            scans,
            verified,
            seen,
        };
        let judged = case.judge();
        Ok((release, judged))
    }

    /// When findings whose grace counts from then were seen first, by their names.
    fn seen(&self, scans: &BTreeMap<Kind, Vec<Scan>>) -> Result<BTreeMap<String, Instant>, Failure> {
        let mut seen = BTreeMap::new();
        let found = scans.values().flatten().flat_map(|scan| &scan.findings);
        for found in found.filter(|found| found.waits_from_sight(&self.policy.severity)) {
            let first = self.ledger.seen(found)?;
            seen.extend(first.as_deref().and_then(instant).map(|first| (found.name(), first)));
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests;
