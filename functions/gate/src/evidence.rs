//! What an event says, and about what.

use serde::Deserialize;
use tidegate_sdk::cdevents::CdEvent;
use tidegate_sdk::{Event, Failure};

use crate::{Require, Required};

/// One thing that an event says of one commit or digest.
#[derive(Debug, PartialEq)]
pub struct Evidence {
    pub target: Target,
    pub claim: Claim,
}

#[derive(Debug, PartialEq)]
pub enum Target {
    Commit(String),
    /// `sha256:` and 64 hex digits.
    Digest(String),
}

#[derive(Debug, PartialEq)]
pub enum Claim {
    /// Evidence by its name.
    For { name: String },
    /// A change was refused by this rule.
    Refusal { rule: String },
}

#[derive(Deserialize)]
struct Change {
    commit: String,
    #[serde(default)]
    rule: String,
}

#[derive(Deserialize)]
struct Scan {
    commit: Option<String>,
    digest: Option<String>,
    tool: String,
    result: String,
}

impl Evidence {
    /// Reads an event; an error where it is none of those that a gate joins, or names nothing to join by.
    pub fn of(event: &Event) -> Result<Self, Failure> {
        let ty = event.ty.as_str();
        if ty.starts_with("dev.cdeventsx.tidegate-change.accepted.") {
            let change = CdEvent::<Change>::read(event)?.subject.content;
            Ok(Evidence { target: Target::Commit(change.commit), claim: Claim::named("change") })
        } else if ty.starts_with("dev.cdeventsx.tidegate-change.refused.") {
            let change = CdEvent::<Change>::read(event)?.subject.content;
            Ok(Evidence { target: Target::Commit(change.commit), claim: Claim::Refusal { rule: change.rule } })
        } else if ty.starts_with("dev.cdeventsx.tidegate-scan.completed.") {
            Evidence::of_scan(CdEvent::<Scan>::read(event)?.subject.content)
        } else if ty.starts_with("dev.cdevents.artifact.published.") {
            let purl = event.subject.as_deref().unwrap_or_default();
            let digest = digest_of(purl).ok_or_else(|| {
                Failure::reject(format!("subject {purl:?} names no digest; a package URL with @sha256%3A<digits> does"))
            })?;
            Ok(Evidence { target: Target::Digest(digest), claim: Claim::named("artifact") })
        } else {
            Err(Failure::reject(format!("events of type {ty} are no evidence; take them out of the function's on")))
        }
    }

    fn of_scan(scan: Scan) -> Result<Self, Failure> {
        let target = match (scan.commit, scan.digest) {
            (Some(commit), None) => Target::Commit(commit),
            (None, Some(digest)) => Target::Digest(digest),
            _ => return Err(Failure::reject("a scan is of one commit or of one digest, and this one is not")),
        };
        let tool = scan.tool;
        // A name that no policy can require where a scan failed or found something: it is no evidence.
        let name = match scan.result.as_str() {
            "unread" => format!("report:{tool}"),
            "clean" => format!("scan:{tool}"),
            other => format!("scan:{tool} with result {other}"),
        };
        Ok(Evidence { target, claim: Claim::For { name } })
    }
}

impl Target {
    pub fn key(&self) -> &str {
        match self {
            Target::Commit(key) | Target::Digest(key) => key,
        }
    }
}

impl Claim {
    fn named(name: &str) -> Self {
        Claim::For { name: name.to_owned() }
    }

    /// The evidence that it is for or against.
    pub fn evidence(&self) -> &str {
        match self {
            Claim::For { name } => name,
            Claim::Refusal { .. } => "change",
        }
    }
}

impl Require {
    pub fn of(&self, target: &Target) -> &Required {
        match target {
            Target::Commit(_) => &self.commit,
            Target::Digest(_) => &self.digest,
        }
    }
}

/// The digest that is the version of a package URL; its colon may be escaped.
fn digest_of(purl: &str) -> Option<String> {
    let (_, rest) = purl.split_once("@sha256")?;
    let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix("%3A")).or_else(|| rest.strip_prefix("%3a"))?;
    let hex = rest.split(['?', '#']).next().unwrap_or_default();
    let digits = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (hex.len() == 64 && digits).then(|| format!("sha256:{hex}"))
}
