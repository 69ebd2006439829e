use delivery::{ScanResult, Severity};
use serde_json::{Value, json};
use tidegate_sdk::Origin;
use tidegate_sdk::testing::Host;

use super::*;

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const NOW: &str = "2026-11-25T12:00:00Z";
const BEFORE: &str = "2026-11-25T10:00:00Z";

fn digest(name: &str) -> String {
    delivery::sha256(name.as_bytes())
}

/// A report as a trigger brings it, with some members changed.
fn report(changes: Value) -> Value {
    let mut report = json!({
        "kind": "image", "tool": { "name": "trivy", "version": "0.67.2", "database": "2026-11-25T00:00:00Z" },
        "subject": { "digest": digest("image") }, "succeeded": true, "time": BEFORE, "findings": [],
    });
    report.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    report
}

fn finding(severity: &str, id: &str) -> Value {
    json!({ "id": id, "severity": severity, "package": "openssl" })
}

fn event(id: &str, report: Value) -> Event {
    let origin = Some(Origin { kind: "trigger".into(), name: "/hooks/trivy".into(), verified: true });
    let event = Event::new("com.trivy.report").json(&json!({ "report": report, "payload": {} })).unwrap();
    Event { id: id.into(), origin, time: Some(NOW.into()), ..event }
}

fn host() -> Host {
    Host::new().key_space("scans").at(delivery::instant(NOW).unwrap().into())
}

fn scans(events: &[Event]) -> Vec<ScanCompleted> {
    events.iter().map(|event| delivery::content(event).unwrap()).collect()
}

fn completed(host: Host, report: Value) -> Result<Vec<ScanCompleted>, Failure> {
    let said = handle(event("e-1", report));
    drop(host);
    said.map(|said| scans(&said))
}

/// `clean`, `findings` or the problem.
#[track_caller]
fn check(host: Host, changes: Value, expected: &str) {
    let scan = completed(host, report(changes)).unwrap().remove(0);
    let word = match scan.result {
        ScanResult::Clean => "clean".to_owned(),
        ScanResult::Findings => "findings".to_owned(),
        ScanResult::Failed => scan.problem.unwrap(),
    };
    assert!(word.contains(expected), "{word}, not {expected}");
}

#[test]
fn a_report_is_bound_to_what_it_names() {
    let host = host();
    let said = handle(event("e-1", report(json!({})))).unwrap();
    assert_eq!(
        (said[0].subject.as_deref(), said[0].text("partitionkey")),
        (Some(&*digest("image")), Some(&*digest("image")))
    );
    let scan = &scans(&said)[0];
    assert_eq!((scan.digest.as_deref(), scan.report.as_str()), (Some(&*digest("image")), "e-1"));
    assert_eq!((scan.scanned_at.as_deref(), scan.tool.version.as_deref()), (Some(BEFORE), Some("0.67.2")));
    let of_commit = report(json!({ "kind": "static", "subject": { "commit": COMMIT }, "time": null }));
    let said = handle(event("e-2", of_commit)).unwrap();
    assert_eq!((said[0].subject.as_deref(), scans(&said)[0].commit.as_deref()), (Some(COMMIT), Some(COMMIT)));
    assert_eq!(scans(&said)[0].scanned_at.as_deref(), Some(NOW));
    drop(host);
}

#[track_caller]
fn check_unbound(changes: Value, expected: &str) {
    let failure = completed(host(), report(changes)).unwrap_err();
    assert!(matches!(failure, Failure::Reject { .. }) && failure.reason().contains(expected), "{failure}");
}

#[test]
fn a_report_that_names_nothing_is_a_dead_letter_that_says_how() {
    check_unbound(json!({ "subject": {} }), "names neither digest nor commit");
    check_unbound(json!({ "subject": { "name": "shop:latest" } }), "by trivy of \"shop:latest\" names neither");
    check_unbound(json!({ "subject": { "name": "shop:latest" } }), "scan the image by digest");
    check_unbound(
        json!({ "subject": { "digest": "sha256:ABC" } }),
        "names \"sha256:ABC\" by the report, which is no digest",
    );
    check_unbound(json!({ "subject": { "commit": COMMIT } }), "is of an image and names commit");
    check_unbound(
        json!({ "kind": "static", "subject": { "commit": "main" } }),
        "names \"main\" by the report, which is no commit",
    );
}

#[test]
fn a_report_of_nobody_and_an_event_without_one_are_dead_letters() {
    let _host = host();
    let unproved = event("e-1", report(json!({})));
    let origin = unproved.origin.clone().map(|origin| Origin { verified: false, ..origin });
    assert!(handle(Event { origin, ..unproved }).unwrap_err().reason().contains("nobody proved"));
    assert!(handle(Event::new("com.trivy.report").json(&json!({})).unwrap()).unwrap_err().reason().contains("report"));
}

#[test]
fn a_scan_that_failed_is_never_clean() {
    check(host(), json!({}), "clean");
    check(host(), json!({ "succeeded": false }), "did not run to its end");
    check(host(), json!({ "succeeded": false, "problem": "the database is gone" }), "the database is gone");
    check(host(), json!({ "succeeded": false, "findings": [finding("high", "CVE-1")] }), "did not run to its end");
    check(host(), json!({ "findings": [finding("low", "CVE-1")] }), "findings");
}

#[test]
fn what_is_too_old_or_tells_no_age_counts_for_nothing_where_an_age_is_asked_for() {
    let aged = || host().config("max_age", "2d").config("database_max_age", "3d");
    check(aged(), json!({}), "clean");
    check(
        aged(),
        json!({ "time": "2026-11-23T11:59:59Z" }),
        "the scan is of 2026-11-23T11:59:59.000Z, older than 48 h",
    );
    check(aged(), json!({ "time": null }), "the scan tells no date");
    check(
        aged(),
        json!({ "tool": { "name": "trivy", "database": "2026-11-20T00:00:00Z" } }),
        "the database is of 2026-11-20",
    );
    check(aged(), json!({ "tool": { "name": "trivy" } }), "the database tells no date");
    let source = json!({ "kind": "static", "subject": { "commit": COMMIT }, "tool": { "name": "semgrep" } });
    check(aged(), source, "clean");
    check(host(), json!({ "time": "2019-01-01T00:00:00Z", "tool": { "name": "trivy" } }), "clean");
    check(host(), json!({ "time": "2026-11-26T00:00:00Z" }), "which is yet to come");
    check(host(), json!({ "time": "2026-11-25T12:59:00Z" }), "clean");
    let failure = completed(host().config("max_age", "2 days"), report(json!({}))).unwrap_err();
    assert_eq!(failure.reason(), "config max_age is \"2 days\"; write a length of time like \"7d\"");
}

#[test]
fn suppressed_findings_do_not_count_and_the_worst_come_first() {
    let mut suppressed = finding("critical", "CVE-0");
    suppressed["suppressed"] = json!("not affected");
    let findings =
        [finding("low", "CVE-3"), suppressed.clone(), finding("critical", "CVE-2"), finding("critical", "CVE-1")];
    let scan = completed(host(), report(json!({ "findings": findings }))).unwrap().remove(0);
    let ids: Vec<&str> = scan.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!(ids, ["CVE-1", "CVE-2", "CVE-3"]);
    assert_eq!((scan.counts.critical, scan.counts.low, scan.counts.high), (2, 1, 0));
    check(host(), json!({ "findings": [suppressed] }), "clean");
}

#[test]
fn all_are_counted_and_as_many_listed_as_fit() {
    let many: Vec<Value> =
        (0..700).map(|number| finding(if number < 2 { "low" } else { "high" }, &format!("CVE-{number}"))).collect();
    let scan = completed(host(), report(json!({ "findings": many }))).unwrap().remove(0);
    assert_eq!((scan.findings.len(), scan.counts.high, scan.counts.low), (500, 698, 2));
    assert!(scan.findings.iter().all(|finding| finding.severity == Severity::High));
    let long: Vec<Value> = (0..400)
        .map(|number| json!({ "id": format!("CVE-{number}"), "severity": "high", "title": "x".repeat(5_000), "place": "y".repeat(5_000),
            "package": "z".repeat(5_000) }))
        .collect();
    let scan = completed(host(), report(json!({ "findings": long }))).unwrap().remove(0);
    assert_eq!(scan.counts.high, 400);
    assert!((100..400).contains(&scan.findings.len()), "{}", scan.findings.len());
}

#[test]
fn findings_that_a_report_has_no_place_for_are_counted_as_the_least_that_it_lists() {
    let findings = [finding("high", "CVE-1"), finding("medium", "CVE-2")];
    let scan = completed(host(), report(json!({ "findings": findings, "findings_total": 12_000 }))).unwrap().remove(0);
    assert_eq!((scan.counts.high, scan.counts.medium, scan.findings.len()), (1, 11_999, 2));
    let none = completed(host(), report(json!({ "findings_total": 3 }))).unwrap().remove(0);
    assert_eq!((none.result, none.counts.unknown), (ScanResult::Findings, 3));
}

#[test]
fn runs_of_one_file_are_one_scan_by_tool_and_part() {
    let run = |tool: &str, changes: Value| {
        let mut run = report(json!({ "kind": "static", "subject": { "commit": COMMIT }, "tool": { "name": tool } }));
        run.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        run
    };
    let runs = json!([
        run("codeql", json!({ "findings": [finding("low", "a")] })),
        run("semgrep", json!({})),
        run("codeql", json!({ "findings": [finding("high", "b")], "time": "2026-11-25T09:00:00Z" })),
        run("codeql", json!({ "part": "java", "succeeded": false, "problem": "out of memory" })),
    ]);
    let said = completed(host(), runs).unwrap();
    let words: Vec<_> = said
        .iter()
        .map(|scan| (scan.tool.name.as_str(), scan.part.as_deref(), scan.result, scan.findings.len()))
        .collect();
    assert_eq!(
        words,
        [
            ("codeql", None, ScanResult::Findings, 2),
            ("semgrep", None, ScanResult::Clean, 0),
            ("codeql", Some("java"), ScanResult::Failed, 0),
        ]
    );
    assert_eq!(said[0].scanned_at.as_deref(), Some("2026-11-25T09:00:00Z"));
    let one_failed = json!([run("codeql", json!({})), run("codeql", json!({ "succeeded": false }))]);
    assert_eq!(completed(host(), one_failed).unwrap()[0].result, ScanResult::Failed);
}

fn index(parts: &[&str]) -> Event {
    let content = json!({
        "service": "shop", "digest": digest("index"), "artifact": "registry.example.com/acme/shop",
        "parts": parts.iter().map(|part| digest(part)).collect::<Vec<_>>(),
    });
    let origin = Some(Origin { kind: "function".into(), name: "image".into(), verified: true });
    Event { origin, ..delivery::say(types::ARTIFACT_IDENTIFIED, "purl", &digest("index"), &content).unwrap() }
}

fn of_part(part: &str, changes: Value) -> Event {
    let mut changes = changes;
    changes["subject"] = json!({ "digest": digest(part) });
    event(part, report(changes))
}

/// Scans of the index, among all that is said.
fn of_index(events: &[Event]) -> Vec<(ScanResult, u64, Option<String>)> {
    let _host = host();
    let said: Vec<Event> = events.iter().flat_map(|event| handle(event.clone()).unwrap()).collect();
    let scans = scans(&said).into_iter().filter(|scan| scan.digest.as_deref() == Some(&*digest("index")));
    scans
        .map(|scan| {
            assert_eq!((scan.part.as_deref(), scan.tool.name.as_str()), (Some("platforms"), "trivy"));
            (scan.result, scan.counts.critical, scan.problem)
        })
        .collect()
}

#[test]
fn an_index_has_a_scan_once_every_image_of_it_has_in_any_order() {
    let index = index(&["amd64", "arm64"]);
    let amd64 = of_part("amd64", json!({}));
    let arm64 = of_part("arm64", json!({ "findings": [finding("critical", "CVE-1")] }));
    let all = [index.clone(), amd64.clone(), arm64.clone()];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let events = order.map(|place: usize| all[place].clone());
        assert_eq!(of_index(&events), [(ScanResult::Findings, 1, None)], "{order:?}");
    }
    assert!(of_index(&[index.clone(), amd64.clone()]).is_empty());
    let failed = of_part("arm64", json!({ "succeeded": false, "problem": "no such platform" }));
    let problem = format!("{}: no such platform", digest("arm64"));
    assert_eq!(of_index(&[index.clone(), amd64.clone(), failed]), [(ScanResult::Failed, 0, Some(problem))]);
    // A later report of one image is one of the index; an older one is none.
    let mended = of_part("arm64", json!({ "time": NOW }));
    let old = of_part("arm64", json!({ "time": "2026-11-20T00:00:00Z", "findings": [finding("critical", "CVE-1")] }));
    let said = of_index(&[index, amd64, arm64, mended, old]);
    assert_eq!(said, [(ScanResult::Findings, 1, None), (ScanResult::Clean, 0, None)]);
}

#[test]
fn only_a_function_says_what_an_index_is_made_of() {
    let forged =
        Event { origin: Some(Origin { kind: "api".into(), name: "ci".into(), verified: true }), ..index(&["amd64"]) };
    assert!(of_index(&[forged, of_part("amd64", json!({}))]).is_empty());
}
