//! Joins what is known of one commit or one digest, in any order of arrival, and says whether it may go on:
//! `tidegate-gate.passed` or `.blocked`.
//!
//! | event | evidence | about |
//! | --- | --- | --- |
//! | `tidegate-change.accepted` | `change` | the commit |
//! | `tidegate-change.refused` | none; the refusal is named where `change` is missing | the commit |
//! | `artifact.published` | `artifact` | the digest in its package URL |
//! | `tidegate-scan.completed`, result `unread` | `report:<tool>` | the commit or digest |
//! | `tidegate-scan.completed`, result `clean` | `scan:<tool>` | the commit or digest |
//!
//! Config `policy` (TOML or JSON) names what is required, and whose word counts, as `<kind>:<name>` of an origin:
//!
//! ```toml
//! environment = "staging"
//!
//! [require.commit]
//! change = ["function:commit"]
//! "report:sast" = ["function:scan"]
//! ```
//!
//! - Missing evidence blocks, and so does a policy that requires nothing. Evidence of another origin, or that nobody
//!   proved, does not count, and the log says so.
//! - Evidence adds up and is never taken back, so every order of arrival ends in the same verdict; a repeat changes nothing.
//!   A verdict is emitted when it changes; `passed` is the last.
//!
//! The verdict's subject is the commit or digest, which is also the key in the key space `evidence`. Its content is
//! `{environment, evidence: {name: event id}}`, and `{rule, missing, refused, clear}` where it blocks. One policy file is
//! one environment: a second environment is a second function with a key space of its own, named by config `space`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_sdk::{Event, Failure, config, info, kv};

use crate::evidence::{Claim, Evidence};
use crate::verdict::Verdict;

mod evidence;
mod verdict;

const SPACE: &str = "evidence";

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    let policy: Policy = config::get("policy")?;
    let evidence = Evidence::of(&event)?;
    let required = policy.require.of(&evidence.target);
    let space = kv::open(&config::text("space")?.unwrap_or_else(|| SPACE.to_owned()))?;
    let mut record: Record = space.get_json(evidence.target.key())?.unwrap_or_default();
    if record.told == Some(Verdict::Passed) || !record.add(&event, &evidence, required) {
        return Ok(Vec::new());
    }
    let verdict = record.judge(required);
    let news = match record.told.as_ref() {
        Some(told) if *told == verdict => Vec::new(),
        _ => vec![record.tell(&verdict, &policy.environment, &evidence.target)?],
    };
    record.told = Some(verdict);
    space.set_json(evidence.target.key(), &record)?;
    Ok(news)
}

tidegate_sdk::export!(handle);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    environment: String,
    require: Require,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Require {
    commit: Required,
    digest: Required,
}

/// Evidence by name, and the origins whose word counts for it.
type Required = BTreeMap<String, Vec<String>>;

/// What is known of one commit or digest: the value of its key.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    /// Evidence that counts, by name: the event that brought it first.
    evidence: BTreeMap<String, Witness>,
    /// Refusals by rule.
    refused: BTreeMap<String, Witness>,
    /// The verdict that was emitted last.
    told: Option<Verdict>,
}

#[derive(Serialize, Deserialize)]
struct Witness {
    event: String,
    origin: String,
}

impl Record {
    /// Adds what an event says; false where it does not count.
    fn add(&mut self, event: &Event, evidence: &Evidence, required: &Required) -> bool {
        // Nothing required: the verdict says so, whatever came.
        if required.is_empty() {
            return true;
        }
        let name = evidence.claim.evidence();
        let Some(origins) = required.get(name) else {
            info!("{name} is not required of {}", evidence.target.key());
            return false;
        };
        let origin = origin_of(event);
        let Some(origin) = origin.filter(|origin| origins.contains(origin)) else {
            info!("{name} of {} does not count: its origin is none of {}", evidence.target.key(), origins.join(", "));
            return false;
        };
        let witness = Witness { event: event.id.clone(), origin };
        match &evidence.claim {
            Claim::For { name } => self.evidence.entry(name.clone()).or_insert(witness),
            Claim::Refusal { rule } => self.refused.entry(rule.clone()).or_insert(witness),
        };
        true
    }
}

/// `<kind>:<name>` of an origin that was proved.
fn origin_of(event: &Event) -> Option<String> {
    let origin = event.origin.as_ref().filter(|origin| origin.verified)?;
    Some(format!("{}:{}", origin.kind, origin.name))
}

#[cfg(test)]
mod tests;
