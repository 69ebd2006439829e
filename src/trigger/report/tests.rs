use serde_json::json;

use super::form::{FINDINGS_MAX, Severity};
use super::*;

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";

fn digest(byte: &str) -> String {
    format!("sha256:{}", byte.repeat(32))
}

fn brought(format: ReportFormat, document: &Value, said: Option<&str>) -> Event {
    let mut headers = HeaderMap::new();
    if let Some(said) = said {
        headers.insert("tidegate-subject", said.parse().unwrap());
    }
    let mut events = parse(format, &headers, &Bytes::from(document.to_string())).unwrap();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn data(event: &Event) -> Value {
    serde_json::from_slice(event.data.as_ref().unwrap()).unwrap()
}

fn trivy(document: &Value) -> Value {
    data(&brought(ReportFormat::Trivy, document, None))["report"].take()
}

fn sarif(document: &Value) -> Value {
    data(&brought(ReportFormat::Sarif, document, None))["report"].take()
}

/// A report on an image, with members changed or added.
fn image(members: Value) -> Value {
    let mut document = json!({
        "SchemaVersion": 2, "CreatedAt": "2026-11-02T07:10:04Z", "ArtifactName": "registry:5000/shop:v1",
        "ArtifactType": "container_image", "Results": [{ "Target": "shop (alpine 3.20)", "Class": "os-pkgs" }],
    });
    merge(&mut document, members);
    document
}

/// A SARIF file of one run, with members of the run changed or added.
fn run(members: Value) -> Value {
    let mut run = json!({ "tool": { "driver": { "name": "Linter", "version": "1.2" } }, "results": [] });
    merge(&mut run, members);
    json!({ "version": "2.1.0", "runs": [run] })
}

fn merge(document: &mut Value, members: Value) {
    for (name, value) in members.as_object().unwrap() {
        document[name] = value.clone();
    }
}

#[track_caller]
fn check_success(report: &Value, problem: Option<&str>) {
    assert_eq!(report["succeeded"], problem.is_none(), "{report}");
    let told = report["problem"].as_str();
    assert!(
        told.is_none() == problem.is_none() && told.unwrap_or_default().contains(problem.unwrap_or_default()),
        "{report}"
    );
}

#[test]
fn a_trivy_report_is_clean_only_where_it_says_that_the_scan_ran() {
    let nothing = Some("nothing in it says that the scan ran");
    check_success(&trivy(&image(json!({}))), None);
    check_success(&trivy(&image(json!({ "Results": null }))), None);
    check_success(&trivy(&image(json!({ "Results": null, "CreatedAt": "0001-01-01T00:00:00Z" }))), nothing);
    let found_out = json!({ "Results": [], "CreatedAt": null, "Metadata": { "OS": { "Family": "alpine" } } });
    check_success(&trivy(&image(found_out)), None);
    check_success(&trivy(&image(json!({ "Results": [], "CreatedAt": null, "Metadata": { "OS": {} } }))), nothing);
    check_success(&trivy(&image(json!({ "SchemaVersion": 3 }))), Some("schema version 3 is not known"));
    check_success(&trivy(&json!(null)), Some("the document is null"));
    check_success(&trivy(&json!({})), nothing);
    check_success(&trivy(&json!([])), nothing);
    check_success(&trivy(&json!([{ "Target": "shop (alpine 3.9)", "Type": "alpine", "Vulnerabilities": null }])), None);
    check_success(&trivy(&json!({ "ClusterName": "kind", "Resources": [] })), Some("it is about a cluster"));
    check_success(&trivy(&run(json!({}))), Some("it is SARIF"));
}

#[test]
fn a_sarif_run_is_clean_only_where_it_says_that_the_scan_ran() {
    let nothing = Some("nothing in it says that the scan ran");
    let invoked =
        |successful: bool| json!([{ "executionSuccessful": successful, "exitCodeDescription": "no licence" }]);
    check_success(&sarif(&run(json!({}))), None);
    check_success(&sarif(&run(json!({ "results": null }))), nothing);
    check_success(&sarif(&run(json!({ "results": null, "invocations": invoked(true) }))), None);
    check_success(&sarif(&run(json!({ "invocations": invoked(false) }))), Some("did not run to its end: no licence"));
    let some = json!({ "results": [{ "ruleId": "A" }], "invocations": invoked(false) });
    check_success(&sarif(&run(some)), Some("did not run to its end"));
    check_success(&sarif(&json!({ "version": "2.1.0", "runs": [] })), Some("it has no runs"));
    check_success(&sarif(&json!({ "version": "2.0.0", "runs": [{ "results": [] }] })), Some("SARIF 2.0.0 is not read"));
    check_success(&sarif(&json!({ "runs": [{ "results": [] }] })), Some("does not say that it is SARIF 2.1.0"));
    check_success(&sarif(&json!(7)), Some("does not say that it is SARIF 2.1.0"));
}

#[test]
fn an_image_is_named_by_the_digest_of_the_repository_that_was_asked_for() {
    let check = |digests: Value, expected: Option<String>| {
        let report = trivy(&image(json!({ "Metadata": { "RepoDigests": digests.clone() } })));
        assert_eq!(report["subject"]["digest"].as_str(), expected.as_deref(), "{digests}");
    };
    let at = |repository: &str, byte: &str| format!("{repository}@{}", digest(byte));
    check(json!(null), None);
    check(json!(["shop@sha256:short"]), None);
    check(json!([at("mirror/shop", "aa")]), Some(digest("aa")));
    check(json!([at("mirror/shop", "aa"), at("registry:5000/shop", "aa")]), Some(digest("aa")));
    check(json!([at("mirror/shop", "aa"), at("registry:5000/shop", "bb")]), Some(digest("bb")));
    check(json!([at("a/shop", "aa"), at("b/shop", "bb")]), None);
}

#[test]
fn a_commit_is_the_one_that_the_report_names() {
    let repository = json!({ "ArtifactType": "repository", "Metadata": { "Commit": COMMIT, "RepoURL": "https://git.example/shop" } });
    assert_eq!(trivy(&image(repository))["subject"]["commit"], COMMIT);
    assert_eq!(trivy(&image(json!({ "Metadata": { "Commit": "main" } })))["subject"]["commit"], json!(null));
    let provenance = |ids: &[&str]| {
        let entries: Vec<Value> =
            ids.iter().map(|id| json!({ "repositoryUri": "https://git.example/shop", "revisionId": id })).collect();
        sarif(&run(json!({ "versionControlProvenance": entries })))["subject"]["commit"].take()
    };
    assert_eq!(provenance(&[COMMIT, COMMIT]), COMMIT);
    assert_eq!(provenance(&[COMMIT, &"ab".repeat(20)]), json!(null));
    assert_eq!(provenance(&["r1234"]), json!(null));
}

#[test]
fn the_reports_own_word_counts_before_its_bringers() {
    let check = |document: &Value, said: Option<&str>, from: Option<&str>, target: Option<&str>| {
        let event = brought(ReportFormat::Any, document, said);
        assert_eq!(data(&event)["subject_from"].as_str(), from);
        assert_eq!(event.subject.as_deref(), target);
        assert_eq!(event.partition_key(), target);
    };
    let named = image(json!({ "Metadata": { "RepoDigests": [format!("shop@{}", digest("aa"))] } }));
    check(&named, Some(&digest("bb")), Some("report"), Some(&digest("aa")));
    check(&image(json!({})), Some(&digest("bb")), Some("header"), Some(&digest("bb")));
    check(&run(json!({})), Some(COMMIT), Some("header"), Some(COMMIT));
    check(&image(json!({})), None, None, None);
}

#[test]
fn an_object_may_name_the_target_by_its_key() {
    let object = json!({ "key": "k" });
    let place = || Place { id: "state".into(), source: "s3://reports".into(), object: Some(&object) };
    let of = |key: &str, content: &[u8]| of_object(ReportFormat::Any, place(), key, content);
    let event = of(&format!("scans/{COMMIT}/lint.sarif"), run(json!({})).to_string().as_bytes()).unwrap();
    assert_eq!(
        (event.id.as_str(), event.source.as_str(), event.subject.as_deref()),
        ("state", "s3://reports", Some(COMMIT))
    );
    let data = data(&event);
    assert_eq!(
        (&data["subject_from"], &data["object"], &data["report"]["subject"]["commit"]),
        (&json!("object"), &object, &json!(COMMIT))
    );
    assert_eq!(of("a", b"{}").unwrap_err(), NEITHER);
    assert_eq!(of("a", b"not json").unwrap_err(), "line 1, column 2: expected ident");
}

#[test]
fn the_kind_is_what_was_looked_at() {
    let of = |artifact: &str, class: &str| {
        trivy(&image(json!({ "ArtifactType": artifact, "Results": [{ "Target": "a", "Class": class }] })))["kind"]
            .take()
    };
    assert_eq!(of("container_image", "lang-pkgs"), "image");
    assert_eq!(of("filesystem", "lang-pkgs"), "dependency");
    assert_eq!(of("repository", "config"), "static");
    assert_eq!(of("filesystem", "secret"), "static");
    let old = |ty: &str| trivy(&json!([{ "Target": "a", "Type": ty }]))["kind"].take();
    assert_eq!((old("alpine"), old("npm")), (json!("image"), json!("dependency")));
    let tool = |name: &str, properties: Value| {
        sarif(&run(json!({ "tool": { "driver": { "name": name } }, "properties": properties })))["kind"].take()
    };
    assert_eq!(tool("CodeQL", json!(null)), "static");
    assert_eq!(tool("osv-scanner", json!(null)), "dependency");
    assert_eq!(tool("Trivy", json!({ "imageName": "shop" })), "image");
}

#[test]
fn trivys_findings_are_what_did_not_pass() {
    let report = trivy(&image(json!({ "Results": [
        { "Target": "go.mod", "Class": "lang-pkgs", "Vulnerabilities": [
            { "VulnerabilityID": "CVE-1", "PkgName": "a", "InstalledVersion": "1", "FixedVersion": "2", "Severity": "HIGH",
              "Title": "bad\nand more", "PublishedDate": "2026-01-02T03:04:05Z" },
            { "PkgName": "b", "Severity": null },
        ], "ExperimentalModifiedFindings": [
            { "Type": "vulnerability", "Status": "not_affected", "Statement": "not reached", "Source": "vex.json",
              "Finding": { "VulnerabilityID": "CVE-2", "Severity": "CRITICAL" } },
        ] },
        { "Target": "Dockerfile", "Class": "config", "Misconfigurations": [
            { "ID": "DS-1", "Status": "FAIL", "Severity": "LOW", "CauseMetadata": { "StartLine": 3 } },
            { "ID": "DS-2", "Status": "PASS", "Severity": "CRITICAL" },
        ] },
        { "Target": "key.pem", "Class": "secret", "Secrets": [{ "RuleID": "private-key", "Severity": "CRITICAL", "StartLine": 1 }] },
        null,
    ] })));
    let told: Vec<String> = report["findings"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            r#"{"id":"private-key","place":"key.pem:1","severity":"critical"}"#,
            r#"{"fixed":"2","id":"CVE-1","installed":"1","package":"a","place":"go.mod","published":"2026-01-02T03:04:05Z","severity":"high","title":"bad"}"#,
            r#"{"id":"","package":"b","place":"go.mod","severity":"unknown"}"#,
            r#"{"id":"DS-1","place":"Dockerfile:3","severity":"low"}"#,
            r#"{"id":"CVE-2","place":"go.mod","severity":"critical","suppressed":"not_affected: not reached: vex.json"}"#,
        ]
    );
}

/// The findings of SARIF results under two rules: level, severity and whether each counts.
#[track_caller]
fn check_result(result: Value, expected: Option<(&str, &str, bool)>) {
    let rules = json!([
        { "id": "A", "defaultConfiguration": { "level": "note" } },
        { "id": "B", "defaultConfiguration": { "level": "error" }, "properties": { "security-severity": "9.8" } },
    ]);
    let extensions = json!([{ "rules": [{ "id": "E", "defaultConfiguration": { "level": "error" } }] }]);
    let report = sarif(&run(
        json!({ "tool": { "driver": { "name": "x", "rules": rules }, "extensions": extensions }, "results": [result] }),
    ));
    let finding = report["findings"].get(0);
    let told = finding
        .map(|one| (one["level"].as_str().unwrap(), one["severity"].as_str().unwrap(), one["suppressed"].is_null()));
    assert_eq!(told, expected, "{result}");
}

#[test]
fn a_sarif_results_level_is_its_own_or_its_rules_or_warning() {
    check_result(json!({}), Some(("warning", "medium", true)));
    check_result(json!({ "ruleId": "unknown" }), Some(("warning", "medium", true)));
    check_result(json!({ "ruleId": "A" }), Some(("note", "low", true)));
    check_result(json!({ "ruleId": "A/part" }), Some(("note", "low", true)));
    check_result(json!({ "ruleId": "A", "level": "none" }), Some(("none", "negligible", true)));
    check_result(json!({ "ruleId": "A", "ruleIndex": 1 }), Some(("error", "critical", true)));
    check_result(json!({ "ruleId": "A", "ruleIndex": -1 }), Some(("note", "low", true)));
    check_result(json!({ "rule": { "id": "B" } }), Some(("error", "critical", true)));
    check_result(json!({ "rule": { "index": 0, "toolComponent": { "index": 0 } } }), Some(("error", "high", true)));
    check_result(json!({ "ruleId": "E" }), Some(("error", "high", true)));
}

#[test]
fn a_sarif_result_is_a_finding_where_it_failed_and_counts_where_nobody_accepted_it() {
    for kind in ["pass", "open", "informational", "notApplicable", "review"] {
        check_result(json!({ "ruleId": "B", "kind": kind }), None);
    }
    check_result(json!("no result"), None);
    let suppressed = |statuses: &[Option<&str>]| {
        let list: Vec<Value> = statuses.iter().map(|status| json!({ "kind": "external", "status": status })).collect();
        json!({ "kind": "fail", "level": "error", "suppressions": list })
    };
    check_result(suppressed(&[]), Some(("error", "high", true)));
    check_result(suppressed(&[None]), Some(("error", "high", false)));
    check_result(suppressed(&[Some("accepted"), None]), Some(("error", "high", false)));
    check_result(suppressed(&[Some("accepted"), Some("underReview")]), Some(("error", "high", true)));
    check_result(suppressed(&[Some("rejected")]), Some(("error", "high", true)));
}

#[test]
fn each_run_of_a_sarif_file_is_a_report_with_its_part() {
    let of =
        |id: &str| json!({ "tool": { "driver": { "name": "x" } }, "results": [], "automationDetails": { "id": id } });
    let document = json!({ "version": "2.1.0", "runs": [of("lint/go/2026-11-02"), of("lint/js/"), of("run-7")] });
    let report = sarif(&document);
    let parts: Vec<Option<&str>> = report.as_array().unwrap().iter().map(|one| one["part"].as_str()).collect();
    assert_eq!(parts, [Some("lint/go"), Some("lint/js"), None]);
    let event = brought(ReportFormat::Sarif, &document, Some(COMMIT));
    assert_eq!(event.subject.as_deref(), Some(COMMIT));
    assert_eq!(data(&event)["report"][2]["subject"]["commit"], COMMIT);
}

#[test]
fn the_worst_findings_are_kept_and_all_are_counted() {
    let many: Vec<Value> = (0..FINDINGS_MAX).map(|n| json!({ "ruleId": n.to_string(), "level": "note" })).collect();
    let of = |mut results: Vec<Value>, level: &str| {
        results.push(json!({ "ruleId": "worst", "level": level }));
        json!({ "tool": { "driver": { "name": "x" } }, "results": results })
    };
    let document = json!({ "version": "2.1.0", "runs": [of(many.clone(), "error"), of(many, "warning")] });
    let event = brought(ReportFormat::Any, &document, None);
    let data = data(&event);
    assert_eq!(data["payload"], document, "the payload is whole");
    let kept: Vec<usize> =
        data["report"].as_array().unwrap().iter().map(|one| one["findings"].as_array().unwrap().len()).collect();
    assert_eq!(kept, [FINDINGS_MAX - 1, 1]);
    for (report, severity) in data["report"].as_array().unwrap().iter().zip(["high", "medium"]) {
        assert_eq!(
            (&report["findings"][0]["severity"], &report["findings_total"]),
            (&json!(severity), &json!(FINDINGS_MAX + 1))
        );
    }
}

#[test]
fn what_does_not_count_gives_way_before_what_does() {
    let finding = |severity, suppressed: bool| form::Finding {
        suppressed: suppressed.then(|| "accepted".to_owned()),
        ..form::Finding::new(None, severity)
    };
    let mut report = sarif::read(&run(json!({}))).remove(0);
    report.findings = vec![finding(Severity::Critical, true); FINDINGS_MAX];
    report.findings.push(finding(Severity::Negligible, false));
    keep_worst(std::slice::from_mut(&mut report));
    assert_eq!((report.findings.len(), report.findings[0].severity), (FINDINGS_MAX, Severity::Negligible));
}

#[test]
fn the_same_report_is_one_event_at_either_door_and_about_another_thing_another() {
    let document = run(json!({}));
    let id = |format, said: Option<&str>| brought(format, &document, said).id;
    assert_eq!(id(ReportFormat::Sarif, Some(COMMIT)), id(ReportFormat::Any, Some(COMMIT)));
    // A clean report has no time in it, and is the same for every commit.
    assert_ne!(id(ReportFormat::Sarif, Some(COMMIT)), id(ReportFormat::Sarif, Some(&"ab".repeat(20))));
}

#[test]
fn json_that_is_no_report_is_kept_with_the_reason() {
    for document in [json!({}), json!(null), json!([]), json!({ "runs": 3 }), json!({ "bomFormat": "CycloneDX" })] {
        let event = brought(ReportFormat::Any, &document, None);
        assert_eq!(event.ty, "com.report.unknown", "{document}");
        assert_eq!(data(&event), json!({ "problem": NEITHER, "payload": document }));
    }
    assert_eq!(brought(ReportFormat::Any, &image(json!({})), None).ty, "com.trivy.report");
    assert_eq!(brought(ReportFormat::Any, &run(json!({})), None).ty, "com.sarif.report");
}
