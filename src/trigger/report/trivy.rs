//! Trivy's JSON reports on images, file systems and repositories, and the list that it wrote before there was a schema version.
//!
//! - `subject.digest`: the digest of `RepoDigests`; of several, that of the repository that was asked for. An image that was
//!   scanned from a file has none. `subject.commit`: that of the repository that was scanned. `subject.name`: what was asked for.
//! - `kind`: of an image `image`; of files `static` where only configuration, secrets or licences were looked at, else
//!   `dependency`.
//! - Findings: vulnerabilities, failed checks of configuration, secrets, licences. Those that a user or a VEX document took out
//!   (`ExperimentalModifiedFindings`) are suppressed.
//! - It succeeded if it has results, or says by its date or by what it found out of the artifact that it ran: Trivy leaves
//!   `Results` out where there is nothing to tell.
//!
//! Source of the format: Trivy's documentation of reporting, and the types that it writes.

use serde_json::Value;

use super::form::{Finding, Kind, Report, Severity, Subject, Tool, place, title};
use super::{list, only, text};
use crate::trigger::artifact::{is_commit, is_digest};
use crate::trigger::payload::time_text;

const SCHEMA_VERSION: u64 = 2;
/// Members of `Metadata` that are there only after Trivy looked at something.
const FOUND_OUT: [&str; 5] = ["ImageID", "OS", "DiffIDs", "Commit", "RepoURL"];
/// Types of results of operating systems, which the old list does not tell from those of languages.
const SYSTEMS: [&str; 16] = [
    "alma",
    "alpine",
    "amazon",
    "azurelinux",
    "bottlerocket",
    "centos",
    "chainguard",
    "debian",
    "fedora",
    "oracle",
    "photon",
    "redhat",
    "rocky",
    "ubuntu",
    "wolfi",
    "cbl-mariner",
];

/// Whether a document looks like one of Trivy's.
pub fn recognises(document: &Value) -> bool {
    match document {
        Value::Array(results) => results.iter().all(|result| result.get("Target").is_some()) && !results.is_empty(),
        Value::Object(members) => members.contains_key("SchemaVersion") && members.contains_key("ArtifactName"),
        _ => false,
    }
}

/// The report that a document is; one that failed where it is none that is known.
pub fn read(document: &Value) -> Report {
    match document {
        Value::Array(results) => old_list(results),
        Value::Object(_) => report(document),
        _ => Report { problem: Some(format!("the document is {document}, and no report")), ..failed(Kind::Image) },
    }
}

fn failed(kind: Kind) -> Report {
    Report {
        kind,
        tool: Tool { name: "trivy".to_owned(), version: None },
        subject: Subject::default(),
        part: None,
        succeeded: false,
        problem: None,
        time: None,
        findings: Vec::new(),
        findings_total: 0,
    }
}

fn report(document: &Value) -> Report {
    let (results, metadata) = (list(document, "Results"), &document["Metadata"]);
    let problem = problem(document, results);
    Report {
        tool: Tool { name: "trivy".to_owned(), version: text(&document["Trivy"], "Version").map(str::to_owned) },
        subject: Subject {
            digest: digest(document),
            commit: text(metadata, "Commit").filter(|commit| is_commit(commit)).map(str::to_owned),
            name: text(document, "ArtifactName").map(str::to_owned),
        },
        succeeded: problem.is_none(),
        problem,
        time: time_text(&document["CreatedAt"]),
        findings: results.iter().flat_map(findings).collect(),
        ..failed(kind(text(document, "ArtifactType"), results))
    }
}

fn old_list(results: &[Value]) -> Report {
    let name = results.iter().find_map(|result| text(result, "Target"));
    let system = |result: &Value| text(result, "Type").is_none_or(|ty| SYSTEMS.contains(&ty));
    let kind = if results.iter().any(system) { Kind::Image } else { kind(None, results) };
    let problem = name.is_none().then(|| "it has no results, and nothing in it says that the scan ran".to_owned());
    Report {
        subject: Subject { name: name.map(str::to_owned), ..Subject::default() },
        succeeded: problem.is_none(),
        problem,
        findings: results.iter().flat_map(findings).collect(),
        ..failed(kind)
    }
}

/// Why a report does not say that the scan ran.
fn problem(document: &Value, results: &[Value]) -> Option<String> {
    let known = |name: &str| document.get(name).is_some();
    let version = &document["SchemaVersion"];
    let filled = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    let found_out = || FOUND_OUT.iter().any(|name| filled(&document["Metadata"][name]));
    if known("ClusterName") || known("Resources") || text(document, "kind").is_some() {
        Some("it is about a cluster; reports on images, file systems and repositories are read".to_owned())
    } else if known("runs") {
        Some("it is SARIF; give the trigger sender = \"sarif\" or \"report\"".to_owned())
    } else if !version.is_null() && version.as_u64() != Some(SCHEMA_VERSION) {
        Some(format!("schema version {version} is not known; {SCHEMA_VERSION} is"))
    } else if !results.is_empty()
        || (known("SchemaVersion") && (time_text(&document["CreatedAt"]).is_some() || found_out()))
    {
        None
    } else {
        Some("it has no results, and nothing in it says that the scan ran".to_owned())
    }
}

fn kind(artifact_type: Option<&str>, results: &[Value]) -> Kind {
    let of_packages = |result: &Value| match text(result, "Class") {
        Some(class) => matches!(class, "os-pkgs" | "lang-pkgs"),
        None => true,
    };
    match artifact_type {
        Some("container_image" | "vm") => Kind::Image,
        _ if !results.is_empty() && !results.iter().any(of_packages) => Kind::Static,
        _ => Kind::Dependency,
    }
}

/// An image lies in several repositories by digests that may differ.
fn digest(document: &Value) -> Option<String> {
    let named = list(&document["Metadata"], "RepoDigests").iter().filter_map(|text| text.as_str()?.split_once('@'));
    let named: Vec<(&str, &str)> = named.filter(|(_, digest)| is_digest(digest)).collect();
    only(named.iter().map(|(_, digest)| *digest)).or_else(|| {
        let asked = repository(text(document, "ArtifactName")?);
        only(named.iter().filter(|(repository, _)| *repository == asked).map(|(_, digest)| *digest))
    })
}

/// An image's name without its tag and digest; a colon before a slash is a port's.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(repository, _)| repository)
}

fn findings(result: &Value) -> Vec<Finding> {
    let target = text(result, "Target");
    let of = |name: &str, read: fn(&Value, Option<&str>) -> Option<Finding>| {
        list(result, name).iter().filter_map(move |finding| read(finding, target))
    };
    of("Vulnerabilities", vulnerability)
        .chain(of("Misconfigurations", misconfiguration))
        .chain(of("Secrets", secret))
        .chain(of("Licenses", license))
        .chain(of("ExperimentalModifiedFindings", modified))
        .collect()
}

fn vulnerability(finding: &Value, target: Option<&str>) -> Option<Finding> {
    let owned = |name: &str| text(finding, name).map(str::to_owned);
    finding.is_object().then(|| Finding {
        package: owned("PkgName"),
        installed: owned("InstalledVersion"),
        fixed: owned("FixedVersion"),
        title: text(finding, "Title").and_then(title),
        place: text(finding, "PkgPath").or(target).map(str::to_owned),
        published: time_text(&finding["PublishedDate"]),
        ..Finding::new(text(finding, "VulnerabilityID"), severity(finding))
    })
}

/// A check that passed is no finding.
fn misconfiguration(finding: &Value, target: Option<&str>) -> Option<Finding> {
    (text(finding, "Status") == Some("FAIL")).then(|| Finding {
        title: text(finding, "Message").or(text(finding, "Title")).and_then(title),
        place: target.map(|target| place(target, finding["CauseMetadata"]["StartLine"].as_u64())),
        ..Finding::new(text(finding, "ID").or(text(finding, "AVDID")), severity(finding))
    })
}

fn secret(finding: &Value, target: Option<&str>) -> Option<Finding> {
    finding.is_object().then(|| Finding {
        title: text(finding, "Title").and_then(title),
        place: target.map(|target| place(target, finding["StartLine"].as_u64())),
        ..Finding::new(text(finding, "RuleID"), severity(finding))
    })
}

fn license(finding: &Value, target: Option<&str>) -> Option<Finding> {
    finding.is_object().then(|| Finding {
        package: text(finding, "PkgName").map(str::to_owned),
        title: text(finding, "Category").and_then(title),
        place: text(finding, "FilePath").or(target).map(str::to_owned),
        ..Finding::new(text(finding, "Name"), severity(finding))
    })
}

/// What was taken out of the results, by whom and why.
fn modified(entry: &Value, target: Option<&str>) -> Option<Finding> {
    let finding = &entry["Finding"];
    let read = match text(entry, "Type")? {
        "vulnerability" => vulnerability(finding, target),
        "misconfiguration" => Some(Finding {
            title: text(finding, "Message").or(text(finding, "Title")).and_then(title),
            ..Finding::new(text(finding, "ID"), severity(finding))
        }),
        "secret" => secret(finding, target),
        "license" => license(finding, target),
        _ => None,
    }?;
    let words = ["Status", "Statement", "Source"].map(|name| text(entry, name));
    let reason = words.into_iter().flatten().collect::<Vec<_>>().join(": ");
    Some(Finding { suppressed: Some(if reason.is_empty() { "taken out".to_owned() } else { reason }), ..read })
}

fn severity(finding: &Value) -> Severity {
    match text(finding, "Severity").map(str::to_ascii_uppercase).as_deref() {
        Some("CRITICAL") => Severity::Critical,
        Some("HIGH") => Severity::High,
        Some("MEDIUM") => Severity::Medium,
        Some("LOW") => Severity::Low,
        _ => Severity::Unknown,
    }
}
