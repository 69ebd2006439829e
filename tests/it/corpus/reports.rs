//! Events of registries and scanners in the words of the corpus.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A registry's event: what was read of it, and what is kept beside.
pub fn of_registry(event: &Value) -> Value {
    let (data, payload) = (&event["data"], &event["data"]["payload"]);
    let named = data.get("artifact").unwrap_or(&data["blob"]);
    let word = event["type"].as_str().expect("a type").split('.').find_map(|word| match word {
        "published" | "push" => Some("push"),
        "downloaded" | "pull" => Some("pull"),
        "deleted" | "delete" => Some("delete"),
        _ => None,
    });
    let repository = named["repository"].as_str().and_then(|text| Some(text.split_once('/')?.1));
    json!({
        "action": word, "actor": payload["actor"]["name"], "digest": payload["target"]["digest"],
        "digest_valid": !named["digest"].is_null() && named["digest"] == payload["target"]["digest"],
        "host": payload["request"]["host"], "id": payload["id"], "media_type": named["media_type"],
        "repository": repository, "size": payload["target"]["size"], "tag": named["tag"], "time": event["time"],
        "url": payload["target"]["url"],
    })
}

/// The findings of all reports of an event.
fn findings(event: &Value) -> Vec<&Value> {
    let report = &event["data"]["report"];
    let reports = report.as_array().map_or(std::slice::from_ref(report), Vec::as_slice);
    reports.iter().flat_map(|report| report["findings"].as_array().expect("a report has findings")).collect()
}

/// How many have each word under a name.
fn counts<'a>(findings: impl Iterator<Item = &'a Value>, name: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding[name].as_str().expect("a word").to_owned()).or_default() += 1;
    }
    counts
}

fn ids(findings: &[&Value]) -> BTreeSet<String> {
    let ids = findings.iter().filter_map(|finding| finding["id"].as_str());
    ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

fn without_id(findings: &[&Value]) -> usize {
    findings.iter().filter(|finding| finding["id"] == "").count()
}

fn is_active(finding: &Value) -> bool {
    finding["suppressed"].is_null()
}

pub fn of_trivy(event: &Value) -> Value {
    let (active, suppressed): (Vec<&Value>, Vec<&Value>) = findings(event).into_iter().partition(|one| is_active(one));
    let report = &event["data"]["report"];
    json!({
        "by_severity": counts(active.iter().copied(), "severity"), "suppressed": suppressed.len(),
        "fixable": active.iter().filter(|finding| !finding["fixed"].is_null()).count(),
        "without_id": without_id(&active), "ids": ids(&active), "name": report["subject"]["name"],
        "digest": report["subject"]["digest"], "succeeded": report["succeeded"],
    })
}

/// All that was found, whatever it is called: a severity that nobody gave is unknown.
pub fn expected_of_trivy(facts: &Value) -> Value {
    let mut by_severity: BTreeMap<String, u64> = BTreeMap::new();
    for class in ["vulnerabilities", "misconfigurations_fail", "secrets", "licenses"] {
        for (severity, count) in facts[class].as_object().expect("counts") {
            let word = if severity == "null" { "unknown".to_owned() } else { severity.to_lowercase() };
            *by_severity.entry(word).or_default() += count.as_u64().expect("a count");
        }
    }
    let digests = facts["repo_digests"].as_array();
    let digest = digests.and_then(|all| all.first()?.as_str()).and_then(|text| text.split('@').nth(1));
    let mut expected = json!({
        "by_severity": by_severity, "suppressed": facts["suppressed"], "fixable": facts["fixable"],
        "without_id": facts["without_id"], "digest": digest, "succeeded": true,
    });
    if let Some(name) = facts.get("artifact_name") {
        expected["name"] = name.clone();
    }
    if facts["total_vulnerabilities"].as_u64() == Some(by_severity.values().sum()) {
        expected["ids"] = facts["vulnerability_ids"].clone();
    }
    expected
}

pub fn of_sarif(event: &Value) -> Value {
    let report = &event["data"]["report"];
    let reports = report.as_array().map_or(std::slice::from_ref(report), Vec::as_slice);
    let runs: Vec<Value> = reports
        .iter()
        .map(|report| json!({ "results": report["findings_total"], "tool": report["tool"]["name"] }))
        .collect();
    let findings = findings(event);
    let active = findings.iter().copied().filter(|finding| is_active(finding));
    json!({
        "active_fail_by_level": counts(active.clone(), "level"), "suppressed": findings.len() - active.count(),
        "by_effective_level": counts(findings.iter().copied(), "level"), "rule_ids": ids(&findings),
        "results_without_rule": without_id(&findings), "runs": runs,
        "succeeded": reports.iter().all(|report| report["succeeded"] == true),
        "version": event["data"]["payload"]["version"],
    })
}

/// Results of other kinds than `fail` are no findings, so the counts of all results are compared where there are none such.
pub fn expected_of_sarif(facts: &Value) -> Value {
    let told = ["active_fail_by_level", "suppressed", "version"];
    let of_all = ["by_effective_level", "rule_ids", "results_without_rule", "runs"];
    let all_failed = facts["by_kind"].as_object().expect("counts").keys().all(|kind| kind == "fail");
    let names = told.iter().chain(if all_failed { &of_all[..] } else { &[] });
    let mut expected: Value = names.map(|name| ((*name).to_owned(), facts[name].clone())).collect();
    expected["succeeded"] = true.into();
    expected
}
