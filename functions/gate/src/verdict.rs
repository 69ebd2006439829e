//! What follows from a record, and how it is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_sdk::cdevents::CdEvent;
use tidegate_sdk::{Event, Failure};

use crate::evidence::Target;
use crate::{Record, Required};

const PASSED: &str = "dev.cdeventsx.tidegate-gate.passed.0.1.0";
const BLOCKED: &str = "dev.cdeventsx.tidegate-gate.blocked.0.1.0";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Passed,
    Blocked(Block),
}

/// Why something may not go on, and how to clear it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    rule: String,
    missing: Vec<String>,
    /// Rules by which the change was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
    clear: String,
}

#[derive(Serialize)]
struct Content<'a> {
    environment: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    evidence: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    block: Option<&'a Block>,
}

impl Record {
    pub fn judge(&self, required: &Required) -> Verdict {
        if required.is_empty() {
            return Verdict::Blocked(Block {
                rule: "no-requirement".to_owned(),
                missing: Vec::new(),
                refused: Vec::new(),
                clear: "name in the policy what is required of a commit or a digest".to_owned(),
            });
        }
        // Whose word counted is asked again: the policy may have changed since.
        let holds = |name: &String, origins: &Vec<String>| {
            self.evidence.get(name).is_some_and(|witness| origins.contains(&witness.origin))
        };
        let missing: Vec<String> =
            required.iter().filter(|(name, origins)| !holds(name, origins)).map(|(name, _)| name.clone()).collect();
        if missing.is_empty() {
            return Verdict::Passed;
        }
        let refused = missing.iter().any(|name| name == "change") && !self.refused.is_empty();
        let refused: Vec<String> = if refused { self.refused.keys().cloned().collect() } else { Vec::new() };
        let (rule, clear) = match refused.as_slice() {
            [] => ("missing-evidence", format!("bring what is missing: {}", missing.join(", "))),
            rules => {
                ("change-refused", format!("bring the commit in a way that these rules accept: {}", rules.join(", ")))
            }
        };
        Verdict::Blocked(Block { rule: rule.to_owned(), missing, refused, clear })
    }

    /// The event of a verdict on this record.
    pub fn tell(&self, verdict: &Verdict, environment: &str, target: &Target) -> Result<Event, Failure> {
        let (ty, block) = match verdict {
            Verdict::Blocked(block) => (BLOCKED, Some(block)),
            Verdict::Passed => (PASSED, None),
        };
        let (commit, digest) = match target {
            Target::Commit(commit) => (Some(commit.as_str()), None),
            Target::Digest(digest) => (None, Some(digest.as_str())),
        };
        let evidence = self.evidence.iter().map(|(name, witness)| (name.as_str(), witness.event.as_str())).collect();
        let content = Content { environment, commit, digest, evidence, block };
        Ok(CdEvent::new(ty, target.key(), content).into_event()?.partition_key(target.key()))
    }
}
