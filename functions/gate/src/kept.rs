//! What is kept of what was said.

use std::collections::{BTreeMap, BTreeSet};

use delivery::policy::gate::SeverityRules;
use delivery::{Blocked, Counts, Finding, ScanCompleted, ScanResult, Severity, Verdict, sha256};
use serde::{Deserialize, Serialize};

use crate::evidence::Witness;

/// Characters of a text that is kept of a finding.
const TEXT_MAX: usize = 200;

/// A digest that lies in a service's repository.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Known {
    /// By OCI repository and commit: what ties it to the commit.
    pub artifacts: BTreeMap<String, BTreeMap<String, Links>>,
    /// What was said, by release.
    pub told: BTreeMap<String, Told>,
    /// RFC 3339: when the gate looks again by itself.
    pub again: Option<String>,
    /// How often it looked for what is missing.
    pub asks: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Links {
    pub pipeline: Option<Witness>,
    pub provenance: Option<Witness>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Told {
    pub passed: bool,
    pub blocked: Option<Blocked>,
    /// Rule and input of each incident that was opened.
    pub spoiled: BTreeSet<String>,
}

/// How a commit came to a branch, or did not.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Changed {
    pub accepted: Option<Accepted>,
    pub refused: Option<Refused>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub order: Option<String>,
    pub witness: Witness,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub witness: Witness,
    pub verdict: Verdict,
}

/// The newest report of one tool on one part of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scan {
    pub witness: Witness,
    pub tool: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    pub result: ScanResult,
    pub problem: Option<String>,
    pub counts: Counts,
    pub findings: Vec<Found>,
}

/// A finding, as far as it is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub id: String,
    pub severity: Severity,
    /// The package, or the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<String>,
    /// Its version, or the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

impl Found {
    /// Whether it has grace that counts from when it was seen.
    pub fn waits_from_sight(&self, rules: &SeverityRules) -> bool {
        self.published.is_none() && rules.grace(self.severity).is_some()
    }
}

impl Scan {
    /// The tool, and the part that it looked at.
    pub fn name(&self) -> String {
        match &self.part {
            Some(part) => format!("{}/{part}", self.tool),
            None => self.tool.clone(),
        }
    }

    pub fn of(said: &ScanCompleted, witness: Witness) -> Self {
        Scan {
            witness,
            tool: short(&said.tool.name),
            part: said.part.as_deref().map(short),
            result: said.result,
            problem: said.problem.as_deref().map(short),
            counts: said.counts,
            findings: said.findings.iter().map(Found::of).collect(),
        }
    }

    /// The later look counts; of two at the same time, the one that found more.
    pub fn replaces(&self, before: &Scan) -> bool {
        let rank = |scan: &Scan| {
            let Counts { critical, high, medium, unknown, low, negligible } = scan.counts;
            let failed = scan.result == ScanResult::Failed;
            (
                scan.witness.at.clone(),
                failed,
                [critical, high, medium, unknown, low, negligible],
                scan.witness.event.clone(),
            )
        };
        rank(self) > rank(before)
    }
}

impl Known {
    /// Whether a release was said to pass.
    pub fn passed(&self, release: &str) -> bool {
        self.told.get(release).is_some_and(|told| told.passed)
    }
}

impl Found {
    /// A hash by which it is known again in another version of the package, on another line of the file.
    pub fn name(&self) -> String {
        sha256(format!("{}\n{}", self.id, self.thing.as_deref().unwrap_or_default()).as_bytes())
    }

    fn of(finding: &Finding) -> Self {
        let place = finding.place.as_deref().map(|place| place.rsplit_once(':').unwrap_or((place, "")));
        let package =
            finding.package.as_deref().map(|package| (package, finding.installed.as_deref().unwrap_or_default()));
        let (thing, detail) = package.or(place).unzip();
        Found {
            id: short(&finding.id),
            severity: finding.severity,
            thing: thing.map(short),
            detail: detail.filter(|detail| !detail.is_empty()).map(short),
            fixed: finding.fixed.as_deref().filter(|fixed| !fixed.is_empty()).map(short),
            published: finding.published.clone().filter(|time| delivery::instant(time).is_some()),
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}
