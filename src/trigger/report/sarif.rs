//! SARIF 2.1.0 of any tool. Each run is a report of its own.
//!
//! - `subject.commit`: the `revisionId` that all of `versionControlProvenance` name. `subject.digest`: that of `repoDigests`, which
//!   scanners of images write into the run's properties. `part`: the category of `automationDetails.id`, which ends at the last slash.
//! - `kind`: `image` where the run names one, `dependency` of tools that look at packages, else `static`.
//! - Findings: results of kind `fail`. The level is the result's, else that of the rule's default configuration, else `warning`;
//!   a rule's `security-severity` (a CVSS score) says it more finely. Suppressed: an accepted suppression, and none that was
//!   rejected or is under review. Results that a baseline had and this run did not find again count too, as their kind says.
//! - It succeeded if it has results, even none, or an invocation that says so; and no invocation says that it failed.
//!
//! Source of the format: OASIS, Static Analysis Results Interchange Format 2.1.0; GitHub's documentation of its properties.

use std::collections::HashMap;

use serde_json::Value;

use super::form::{Finding, Kind, Report, Severity, Subject, Tool, place, title};
use super::{list, only, text};
use crate::trigger::artifact::{is_commit, is_digest};
use crate::trigger::payload::time_text;

/// Tools that look at packages and not at the source, by their lower-case names.
const OF_PACKAGES: [&str; 9] = [
    "cargo-audit",
    "dependency-check",
    "docker scout",
    "govulncheck",
    "grype",
    "osv-scanner",
    "snyk container",
    "snyk open source",
    "trivy",
];

/// Whether a document looks like SARIF.
pub fn recognises(document: &Value) -> bool {
    document.get("runs").is_some() && (document.get("version").is_some() || document.get("$schema").is_some())
}

/// The reports that a document is: one for each run. A document without runs is one that failed.
pub fn read(document: &Value) -> Vec<Report> {
    let runs = list(document, "runs");
    let wrong = wrong_version(document);
    if runs.is_empty() {
        let problem = wrong.unwrap_or_else(|| "it has no runs".to_owned());
        return vec![Report { succeeded: false, problem: Some(problem), ..run(&Value::Null) }];
    }
    let told = runs.iter().map(run);
    told.map(|report| match &wrong {
        Some(wrong) => Report { succeeded: false, problem: Some(wrong.clone()), ..report },
        None => report,
    })
    .collect()
}

fn wrong_version(document: &Value) -> Option<String> {
    match text(document, "version") {
        Some(version) if version == "2.1.0" || version.starts_with("2.1.0-") => None,
        Some(version) => Some(format!("SARIF {version} is not read; 2.1.0 is")),
        None => Some("it does not say that it is SARIF 2.1.0".to_owned()),
    }
}

fn run(run: &Value) -> Report {
    let driver = &run["tool"]["driver"];
    let properties = &run["properties"];
    let provenance = list(run, "versionControlProvenance");
    let problem = problem(run);
    let rules = Rules::of(run);
    let name = text(driver, "name").unwrap_or("sarif");
    let digests = list(properties, "repoDigests").iter().filter_map(|text| Some(text.as_str()?.split_once('@')?.1));
    Report {
        kind: kind(name, properties),
        tool: Tool {
            name: name.to_owned(),
            version: text(driver, "semanticVersion").or(text(driver, "version")).map(str::to_owned),
        },
        subject: Subject {
            digest: only(digests.filter(|digest| is_digest(digest))),
            commit: only(provenance.iter().filter_map(|entry| text(entry, "revisionId").filter(|id| is_commit(id)))),
            name: text(properties, "imageName")
                .or_else(|| provenance.iter().find_map(|entry| text(entry, "repositoryUri")))
                .map(str::to_owned),
        },
        part: text(&run["automationDetails"], "id").and_then(category),
        succeeded: problem.is_none(),
        problem,
        time: time(run),
        findings: list(run, "results").iter().filter_map(|result| finding(result, &rules)).collect(),
        findings_total: 0,
    }
}

/// What follows the last slash names the one run.
fn category(id: &str) -> Option<String> {
    id.rsplit_once('/').map(|(category, _)| category.to_owned()).filter(|category| !category.is_empty())
}

fn kind(tool: &str, properties: &Value) -> Kind {
    if text(properties, "imageName").is_some() || !list(properties, "repoDigests").is_empty() {
        Kind::Image
    } else if OF_PACKAGES.contains(&tool.to_ascii_lowercase().as_str()) {
        Kind::Dependency
    } else {
        Kind::Static
    }
}

/// Why a run does not say that the scan ran to its end.
fn problem(run: &Value) -> Option<String> {
    let invocations = list(run, "invocations");
    let said = |invocation: &Value| invocation["executionSuccessful"].as_bool();
    if let Some(failed) = invocations.iter().find(|invocation| said(invocation) == Some(false)) {
        let notified = list(failed, "toolExecutionNotifications").iter();
        let why = text(failed, "exitCodeDescription").or_else(|| {
            notified.filter(|told| text(told, "level") == Some("error")).find_map(|told| text(&told["message"], "text"))
        });
        let told = "the tool says that it did not run to its end";
        return Some(why.and_then(title).map_or_else(|| told.to_owned(), |why| format!("{told}: {why}")));
    }
    let ran = run["results"].is_array() || invocations.iter().any(|invocation| said(invocation) == Some(true));
    (!ran).then(|| "it has no results, and nothing in it says that the scan ran".to_owned())
}

fn time(run: &Value) -> Option<String> {
    let told = |name: &str| list(run, "invocations").iter().filter_map(|one| time_text(&one[name])).next_back();
    told("endTimeUtc").or_else(|| told("startTimeUtc"))
}

/// Results that are no failures (passed, not applicable, for information) are no findings.
fn finding(result: &Value, rules: &Rules<'_>) -> Option<Finding> {
    if !result.is_object() || text(result, "kind").is_some_and(|kind| kind != "fail") {
        return None;
    }
    let rule = rules.of_result(result);
    let id = text(result, "ruleId").or(text(&result["rule"], "id")).or_else(|| text(rule?, "id"));
    let level = text(result, "level").or_else(|| text(&rule?["defaultConfiguration"], "level")).unwrap_or("warning");
    let location = &list(result, "locations").first().unwrap_or(&Value::Null)["physicalLocation"];
    let line = location["region"]["startLine"].as_u64();
    let told = text(&result["message"], "text").or_else(|| text(&rule?["shortDescription"], "text"));
    Some(Finding {
        level: Some(level.to_owned()),
        title: told.and_then(title),
        place: text(&location["artifactLocation"], "uri").map(|file| place(file, line)),
        suppressed: suppressed(result),
        ..Finding::new(id, rule.and_then(score).unwrap_or_else(|| severity(level)))
    })
}

fn severity(level: &str) -> Severity {
    match level {
        "error" => Severity::High,
        "warning" => Severity::Medium,
        "note" => Severity::Low,
        "none" => Severity::Negligible,
        _ => Severity::Unknown,
    }
}

/// The severity of a rule's CVSS score, by CVSS's own bounds.
fn score(rule: &Value) -> Option<Severity> {
    let score = match &rule["properties"]["security-severity"] {
        Value::String(text) => text.parse::<f64>().ok(),
        number => number.as_f64(),
    }?;
    match score {
        9.0..=10.0 => Some(Severity::Critical),
        7.0..9.0 => Some(Severity::High),
        4.0..7.0 => Some(Severity::Medium),
        0.1..4.0 => Some(Severity::Low),
        _ => None,
    }
}

/// Why a result does not count: somebody's word for it, and nobody's against.
fn suppressed(result: &Value) -> Option<String> {
    let suppressions = list(result, "suppressions");
    let accepted = |one: &&Value| matches!(text(one, "status"), None | Some("accepted"));
    if !suppressions.iter().all(|one| accepted(&one)) {
        return None;
    }
    let first = suppressions.first()?;
    Some(
        text(first, "justification").or(text(first, "kind")).and_then(title).unwrap_or_else(|| "suppressed".to_owned()),
    )
}

/// The rules of a run: of its driver, and of each of its extensions.
struct Rules<'a> {
    driver: &'a [Value],
    extensions: Vec<&'a [Value]>,
    by_id: HashMap<&'a str, &'a Value>,
}

impl<'a> Rules<'a> {
    fn of(run: &'a Value) -> Self {
        let driver = list(&run["tool"]["driver"], "rules");
        let extensions: Vec<&[Value]> = list(&run["tool"], "extensions").iter().map(|one| list(one, "rules")).collect();
        // The driver's come last, so that of two with one id its own is found.
        let all = extensions.iter().copied().chain([driver]).flatten();
        let by_id = all.filter_map(|rule| Some((text(rule, "id")?, rule))).collect();
        Rules { driver, extensions, by_id }
    }

    /// By its index, else by its id, else by the id that it is a part of.
    fn of_result(&self, result: &Value) -> Option<&'a Value> {
        let reference = &result["rule"];
        let index = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let component = match index(&reference["toolComponent"]["index"]) {
            Some(extension) => self.extensions.get(extension).copied().unwrap_or_default(),
            None => self.driver,
        };
        let by_index =
            index(&result["ruleIndex"]).or_else(|| index(&reference["index"])).and_then(|at| component.get(at));
        by_index.or_else(|| {
            let id = text(result, "ruleId").or(text(reference, "id"))?;
            let whole = id.rsplit_once('/').map_or(id, |(whole, _)| whole);
            self.by_id.get(id).or_else(|| self.by_id.get(whole)).copied()
        })
    }
}
