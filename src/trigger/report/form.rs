//! The one form that all scanners' reports have: the same as the shipped functions read.

use serde::Serialize;

/// Findings of all reports of an event together; the worst are kept, and each report has a count of all of its own.
pub const FINDINGS_MAX: usize = 10_000;
/// A longer title is cut.
const TITLE_BYTES_MAX: usize = 256;

/// One scan by one tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub kind: Kind,
    pub tool: Tool,
    pub subject: Subject,
    /// Which part of the subject it is about, where the tool says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Whether the report says that the scan ran to its end.
    pub succeeded: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The worst first, and those that do not count last.
    pub findings: Vec<Finding>,
    /// Of all findings, those that were left out too.
    pub findings_total: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An image or another artifact.
    Image,
    /// What a source tree depends on.
    Dependency,
    /// The source itself.
    Static,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tool {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a report says that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// `CVE-2026-1234`, or a rule's id; empty where the tool gives none.
    pub id: String,
    pub severity: Severity,
    /// SARIF's word, from which `severity` was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `src/main.rs:12`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// When it became known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Why it does not count; none: it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// From the least to the most. Unknown stands above low: what nobody judged is not harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Negligible,
    Low,
    Unknown,
    Medium,
    High,
    Critical,
}

impl Finding {
    pub fn new(id: Option<&str>, severity: Severity) -> Self {
        Finding {
            id: id.unwrap_or_default().to_owned(),
            severity,
            level: None,
            package: None,
            installed: None,
            fixed: None,
            title: None,
            place: None,
            published: None,
            suppressed: None,
        }
    }

    /// What counts stands before what does not, then the worse before the less bad.
    fn rank(&self) -> (bool, Severity) {
        (self.suppressed.is_none(), self.severity)
    }
}

impl Report {
    /// What the report names, as other evidence is joined by it.
    pub fn target(&self) -> Option<&str> {
        self.subject.digest.as_deref().or(self.subject.commit.as_deref())
    }
}

/// The first line of a text, short enough to be listed.
pub fn title(text: &str) -> Option<String> {
    let line = text.lines().find(|line| !line.trim().is_empty())?.trim();
    let end = (0..=line.len().min(TITLE_BYTES_MAX)).rev().find(|end| line.is_char_boundary(*end))?;
    Some(line[..end].to_owned())
}

/// `file:line`, or the file.
pub fn place(file: &str, line: Option<u64>) -> String {
    match line {
        Some(line) if line > 0 => format!("{file}:{line}"),
        _ => file.to_owned(),
    }
}

/// Sorts the findings of each report and counts them, and keeps the worst `FINDINGS_MAX` of all reports together.
pub fn keep_worst(reports: &mut [Report]) {
    for report in reports.iter_mut() {
        report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.rank()));
        report.findings_total = report.findings.len();
    }
    let mut ranks: Vec<(bool, Severity)> =
        reports.iter().flat_map(|report| &report.findings).map(Finding::rank).collect();
    if ranks.len() <= FINDINGS_MAX {
        return;
    }
    ranks.sort_by_key(|rank| std::cmp::Reverse(*rank));
    // All that is worse than the first that does not fit has its place; of its equals, the first.
    let cut = ranks[FINDINGS_MAX];
    let mut equals = FINDINGS_MAX - ranks.iter().filter(|rank| **rank > cut).count();
    for report in reports {
        report.findings.retain(|finding| match finding.rank().cmp(&cut) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => {
                let fits = equals > 0;
                equals -= usize::from(fits);
                fits
            }
        });
    }
}
