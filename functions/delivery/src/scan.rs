//! Scanners' reports in one form, as triggers make it (`data.report`), and what `scan` says of one.

use serde::{Deserialize, Serialize};

/// `data.report` of what a scanner's trigger says: one report, or a list where a file has several (the runs of SARIF).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub kind: Kind,
    pub tool: Tool,
    pub subject: Subject,
    /// Which part of the subject it is about, where a tool says so (SARIF's `automationDetails.id`): a later report replaces
    /// an earlier one of the same tool and part, and parts add up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Whether the scan itself ran to its end. A report that does not say so is none.
    pub succeeded: bool,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// RFC 3339: when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The worst first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Of all, those that are not listed too; none: all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings_total: Option<u64>,
}

/// What was looked at, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An image or another artifact, by its digest.
    Image,
    /// What a source tree depends on.
    Dependency,
    /// The source itself.
    Static,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// RFC 3339: the date of what it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

/// What a report says that it is about. A report that names neither is bound to nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// `CVE-2026-1234`, or a rule's id.
    pub id: String,
    pub severity: Severity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `src/main.rs:12`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// RFC 3339: when it became known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Why it does not count; none: it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// From the least to the most. Unknown stands above low: what nobody judged is not harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Negligible,
    Low,
    Unknown,
    Medium,
    High,
    Critical,
}

/// Content of `SCAN_COMPLETED`. The subject is the package URL, the digest or the commit; the key the digest or the commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanCompleted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub kind: Kind,
    pub tool: Tool,
    /// As in the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_at: Option<String>,
    pub result: ScanResult,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Of those that count.
    pub counts: Counts,
    /// Those that count, the worst first; at most 500, and `counts` has all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The event that brought the report.
    pub report: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanResult {
    /// It ran, and found nothing that counts.
    Clean,
    Findings,
    /// It did not run to its end: nothing is known.
    Failed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub unknown: u64,
    pub low: u64,
    pub negligible: u64,
}

impl Counts {
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        findings.into_iter().fold(Counts::default(), |counts, finding| counts.and(&Counts::some(finding.severity, 1)))
    }

    /// So many of one severity.
    pub fn some(severity: Severity, count: u64) -> Self {
        let mut counts = Counts::default();
        *match severity {
            Severity::Critical => &mut counts.critical,
            Severity::High => &mut counts.high,
            Severity::Medium => &mut counts.medium,
            Severity::Unknown => &mut counts.unknown,
            Severity::Low => &mut counts.low,
            Severity::Negligible => &mut counts.negligible,
        } = count;
        counts
    }

    /// Both together.
    pub fn and(self, other: &Self) -> Self {
        Counts {
            critical: self.critical + other.critical,
            high: self.high + other.high,
            medium: self.medium + other.medium,
            unknown: self.unknown + other.unknown,
            low: self.low + other.low,
            negligible: self.negligible + other.negligible,
        }
    }
}
