//! What an event says, about what, and whether its word counts.

use delivery::policy::gate::{Need, Policy};
use delivery::{
    Change, GateAsked, Identified, Instant, Packaged, Plan, Release, ScanCompleted, Way, instant, is, is_commit,
    is_digest, is_from, proved_origin, types,
};
use serde::{Deserialize, Serialize};
use tidegate_sdk::{Event, Failure};

/// What the gate hears.
pub enum Heard {
    Evidence(Box<Evidence>),
    /// A reason to look at a digest again. It says nothing by itself: what is known is looked at.
    Look {
        environment: Option<String>,
        digest: String,
    },
}

pub enum Evidence {
    Accepted(Change),
    Refused(Change),
    Packaged(Packaged),
    Identified(Identified),
    Scanned(ScanCompleted),
    Verified(Verified),
}

/// What is read of a quarantine and of its end.
#[derive(Deserialize)]
struct Named {
    digest: String,
}

/// What is read of `release.verified`.
#[derive(Deserialize)]
pub struct Verified {
    pub environment: String,
    #[serde(flatten)]
    pub release: Release,
}

/// Who said something that counts, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// RFC 3339: since when it is so; of a scan, when it looked.
    pub at: String,
    pub event: String,
    pub origin: String,
}

impl Heard {
    pub fn of(event: &Event) -> Result<Self, Failure> {
        let evidence = if is(event, types::CHANGE_ACCEPTED) {
            Evidence::Accepted(delivery::content(event)?)
        } else if is(event, types::CHANGE_REFUSED) {
            Evidence::Refused(delivery::content(event)?)
        } else if is(event, types::ARTIFACT_PACKAGED) {
            Evidence::Packaged(delivery::custom(event)?)
        } else if is(event, types::ARTIFACT_IDENTIFIED) {
            Evidence::Identified(delivery::content(event)?)
        } else if is(event, types::SCAN_COMPLETED) {
            Evidence::Scanned(delivery::content(event)?)
        } else if is(event, types::RELEASE_VERIFIED) {
            Evidence::Verified(delivery::content(event)?)
        } else {
            return Heard::look(event);
        };
        Ok(Heard::Evidence(Box::new(evidence)))
    }

    fn look(event: &Event) -> Result<Self, Failure> {
        let (environment, digest) = if is(event, types::GATE_ASKED) {
            let asked: GateAsked = delivery::content(event)?;
            (Some(asked.environment), asked.digest)
        } else if [types::DIGEST_QUARANTINED, types::DIGEST_CLEARED].iter().any(|ty| is(event, ty)) {
            (None, delivery::content::<Named>(event)?.digest)
        } else {
            return Err(Failure::reject(format!(
                "events of type {} say nothing to a gate; take them out of its on",
                event.ty
            )));
        };
        Ok(Heard::Look { environment, digest })
    }
}

impl Evidence {
    /// What it is evidence for, by the policy's name.
    pub fn need(&self) -> Need {
        match self {
            Evidence::Accepted(_) | Evidence::Refused(_) => Need::Change,
            Evidence::Packaged(_) => Need::Pipeline,
            Evidence::Identified(_) => Need::Provenance,
            Evidence::Scanned(scan) => Need::Scan(scan.kind),
            Evidence::Verified(verified) => Need::Verified(verified.environment.clone()),
        }
    }

    /// Who vouches for it; an error says why it has no effect.
    pub fn witness(&self, event: &Event, policy: &Policy, plan: &Plan) -> Result<Witness, String> {
        let need = self.need();
        let origin = proved_origin(event).ok_or("nobody proved who sent it")?;
        match policy.require.get(&need) {
            // It tells that the artifact is there, whether or not its commit counts.
            _ if matches!(self, Evidence::Identified(_)) => {
                if !is_from(event, "function") {
                    return Err(format!("its origin {origin} is no function"));
                }
            }
            None => return Err(format!("{need} is not required in {}", policy.environment)),
            Some(origins) if !origins.contains(&origin) => {
                let trusted: Vec<&str> = origins.iter().map(String::as_str).collect();
                return Err(format!(
                    "its origin {origin} is none of those that count for {need}: {}",
                    trusted.join(", ")
                ));
            }
            Some(_) => {}
        }
        self.check(plan)?;
        let said = match self {
            Evidence::Scanned(scan) => scan.scanned_at.as_deref().or(event.time.as_deref()),
            _ => event.time.as_deref(),
        };
        // Old enough for every age that a policy sets.
        let at = said.and_then(instant).unwrap_or(Instant::UNIX_EPOCH);
        Ok(Witness { at: delivery::rfc3339(at), event: event.id.clone(), origin })
    }

    fn check(&self, plan: &Plan) -> Result<(), String> {
        match self {
            Evidence::Accepted(change) | Evidence::Refused(change) => match change.way {
                Way::Merge | Way::Push => check_commit(&change.commit),
                Way::Proposal | Way::Queue => Err("nothing is built of a change that has not been merged".to_owned()),
            },
            Evidence::Packaged(packaged) => {
                check_digest(&packaged.digest)?;
                check_commit(&packaged.commit)?;
                let (name, service) = service_of(plan, &packaged.artifact)?;
                match service.repository == packaged.repository {
                    true => Ok(()),
                    false => {
                        Err(format!("{name} is built from {}, and it from {}", service.repository, packaged.repository))
                    }
                }
            }
            Evidence::Identified(identified) => {
                check_digest(&identified.digest)?;
                service_of(plan, &identified.artifact).map(drop)
            }
            Evidence::Scanned(scan) => match (&scan.digest, &scan.commit) {
                (Some(digest), _) => check_digest(digest),
                (None, Some(_)) if scan.kind == delivery::Kind::Image => {
                    Err("an image's scan names the image's digest".to_owned())
                }
                (None, Some(commit)) => check_commit(commit),
                (None, None) => Err("it names neither digest nor commit".to_owned()),
            },
            Evidence::Verified(verified) => check_release(&verified.release),
        }
    }
}

fn check_commit(text: &str) -> Result<(), String> {
    if is_commit(text) { Ok(()) } else { Err(format!("{text:?} is no commit")) }
}

fn check_digest(text: &str) -> Result<(), String> {
    if is_digest(text) { Ok(()) } else { Err(format!("{text:?} is no digest")) }
}

/// A release is named by what it is made of: one that names another's digest names no release.
fn check_release(said: &Release) -> Result<(), String> {
    let Release { service, artifact, digest, configuration, commit, .. } = said;
    let named = Release::new(service, artifact, digest, configuration, commit.as_deref(), None);
    if named.release == said.release { Ok(()) } else { Err(format!("{} is not what it is made of", said.release)) }
}

fn service_of<'a>(plan: &'a Plan, artifact: &str) -> Result<(&'a str, &'a delivery::Service), String> {
    plan.service_of_artifact(artifact).ok_or_else(|| format!("{artifact} belongs to no service of the plan"))
}
