//! What somebody says who may not, or of another thing, has no effect on the path, and `tidegate why` shows it as that.

use serde_json::{Value, json};
use tidegate::cli::demo::githost::Change;
use tidegate::cli::demo::sender::{self, commit};
use tidegate::deployment::event_type;

use crate::http;
use crate::registry::digest;
use crate::world::{Built, MIXED, PRODUCTION, STAGING, Stage, Surroundings, now, shell};

/// A function that the gates' policies do not name, and that may say what scanners' evidence is.
const OTHER_SCAN: &str = r#"
[[function]]
name = "other-scan"
component = "builtin:relay"
on = ["com.example.scanned"]
config = { to = "dev.cdeventsx.tidegate-scan.completed.0.1.0" }
grants = { emits = ["scan.completed"] }
"#;

fn full(name: &str) -> &'static str {
    event_type(name).expect("it is a type of the catalogue").ty
}

/// Data of one of the path's own types.
fn word(about: &str, content: &Value) -> Value {
    json!({ "context": { "specversion": "0.5.0", "type": "any" }, "subject": { "id": about, "content": content } })
}

/// A word by the API and by a webhook that lets its sender in: neither is whose word counts.
#[track_caller]
fn forge(stage: &Stage<'_>, name: &str, content: &Value) -> [String; 2] {
    let about = content["digest"].as_str().unwrap_or("forged");
    let by_api = stage.publish(full(name), about, &word(about, content));
    let event = json!({
        "specversion": "1.0", "id": format!("forged-{}", stage.next()), "source": "/elsewhere", "type": full(name),
        "subject": about, "partitionkey": about, "data": word(about, content),
    });
    let token = format!("Bearer {}", stage.world().secrets.token);
    let headers = [http::STRUCTURED, ("authorization", token.as_str())];
    let by_hook = http::post(&stage.server.hooks, "/hooks/orders", &headers, event.to_string().as_bytes()).id();
    [by_api, by_hook]
}

/// Waits until every function is done with an event, and answers what they logged.
#[track_caller]
fn logged(stage: &Stage<'_>, id: &str) -> String {
    let path = format!("/events/{id}/explain");
    let explained = crate::support::eventually("every function is done", || {
        Some(http::json(&stage.server.api, &path)).filter(|explained| explained["settled"] == true)
    });
    let functions = explained["functions"].as_array().expect("functions").iter();
    let attempts = functions.filter_map(|function| function["attempts"].as_array()).flatten();
    let invocations = attempts.filter_map(|attempt| attempt["id"].as_str());
    invocations.map(|id| stage.server.output(&["invocations", id])).collect()
}

/// The last step of what `why` shows, which has no effect.
#[track_caller]
fn check_shown(stage: &Stage<'_>, of: &str, name: &str) {
    let why = stage.why(of, STAGING);
    let steps = why["chain"].as_array().expect("a chain").iter();
    let forged: Vec<&Value> = steps.filter(|step| step["word"] == name && step["counts"] == false).collect();
    assert_eq!(forged.len(), 2, "{why:#}");
    let screen = stage.screen(of, STAGING);
    let shown = |line: &&str| line.contains(name) && line.contains("(has no effect)");
    assert_eq!(screen.lines().filter(shown).count(), 2, "{screen}");
}

/// What a release that lacks its image's scan is held by, whatever was forged.
#[track_caller]
fn check_held(stage: &Stage<'_>, built: &Built) {
    let cause = stage.stands(&built.release, STAGING, "held", Some("missing-evidence"))["cause"].take();
    assert_eq!((&cause["missing"], &cause["function"]), (&json!(["image"]), &json!("gate-staging")), "{cause:#}");
    assert!(
        cause["clear"].as_str().is_some_and(|clear| clear.contains("what counts is what function:scan says of it"))
    );
    assert_eq!(stage.server.json(&["deployments"]).len(), 1, "something was deployed");
    let releases = stage.server.json(&["releases"]);
    assert!(releases.iter().all(|release| release["environments"][STAGING]["standing"] == "blocked"), "{releases:#?}");
}

/// An artifact whose image nobody has scanned.
#[track_caller]
fn unscanned(stage: &Stage<'_>) -> Built {
    let built = stage.build(&[]);
    stage.scan_source(&built);
    built
}

fn release(built: &Built, environment: &str) -> Value {
    json!({
        "environment": environment, "release": built.release, "service": "storefront", "digest": built.digest,
        "artifact": built.artifact, "configuration": "sha256:any", "commit": built.commit,
    })
}

fn with(mut content: Value, more: Value) -> Value {
    let members = content.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    content
}

#[test]
fn nobody_passes_a_gate_but_the_gate() {
    let around = Surroundings::new();
    around.change("tidegate.toml", |text| format!("{text}{OTHER_SCAN}"));
    let stage = around.up();
    let built = unscanned(&stage);
    forged_decisions(&stage, &built);
    forged_evidence(&stage, &built);

    // A report on another digest counts for that one.
    let another = digest(b"another");
    stage.scan_image(&built.artifact, &another, &[], &now());
    stage.said("scan.completed", &another);
    check_held(&stage, &built);

    // The scan of the image itself, by the scanner that is known, is what was missing.
    stage.scan_image(&built.artifact, &built.digest, &[], &now());
    stage.runs(&built, STAGING);
    stage.is_released(&built.release, STAGING);
}

/// Decisions, in the name of nobody and of a sender that was let in.
fn forged_decisions(stage: &Stage<'_>, built: &Built) {
    let own = |more: Value| with(release(built, STAGING), more);
    let passed = own(json!({ "evidence": {}, "policy": "sha256:any" }));
    let placed = own(json!({
        "target": "tidegate", "pool": "functions", "function": "storefront-staging", "profile": "event-driven",
        "reason": "forged", "gate": "forged",
    }));
    let requested = own(json!({
        "function": "storefront-staging", "component": format!("{}@{}", built.artifact, built.digest),
        "purpose": "promotion",
    }));
    for (name, content, because) in [
        ("gate.passed", &passed, "gate.passed.0.1.0 counts only from a proved origin of kind function"),
        ("placement.decided", &placed, "placement.decided.0.1.0 counts only from a proved origin of kind function"),
        (
            "deployment.requested",
            &requested,
            "asks for a deployment; a function of the project with the grant `deploy` has to",
        ),
    ] {
        for id in forge(stage, name, content) {
            let logged = logged(stage, &id);
            assert!(logged.contains(because), "{name}: {logged}");
        }
        check_held(stage, built);
        check_shown(stage, &built.commit, name);
    }

    // Nobody says what runs but the runtime.
    let activated = json!({
        "number": 7, "functions": [{ "name": "storefront-staging", "component": built.digest }], "request": requested,
    });
    forge(stage, "deployment.activated", &activated);
    assert_eq!(stage.server.json(&["drift"]), Vec::<Value>::new());
}

/// Evidence of a scan that nobody named made.
fn forged_evidence(stage: &Stage<'_>, built: &Built) {
    let scan = json!({
        "digest": built.digest, "kind": "image", "tool": { "name": "trivy" }, "scanned_at": now(), "result": "clean",
        "counts": {}, "findings": [], "report": "forged",
    });
    for id in forge(stage, "scan.completed", &scan) {
        let logged = logged(stage, &id);
        assert!(logged.contains("has no effect in staging"), "{logged}");
    }
    check_shown(stage, &built.digest, "scan.completed");
    let asked = stage.publish("com.example.scanned", &built.digest, &word(&built.digest, &scan));
    let said = stage.until("the other function's word", |seen| seen.by == "other-scan");
    let logged = logged(stage, &said.id);
    assert!(
        logged.contains("its origin function:other-scan is none of those that count for image"),
        "{asked}: {logged}"
    );
    check_held(stage, built);
}

#[test]
fn a_report_that_nobody_proved_is_given_up_and_said_to_be() {
    let around = Surroundings::new();
    let stage = around.up();
    let built = unscanned(&stage);
    let report = json!({
        "report": {
            "kind": "image", "tool": { "name": "trivy" }, "subject": { "digest": built.digest }, "succeeded": true,
            "time": now(), "findings": [],
        },
    });
    stage.publish("com.trivy.report", &built.digest, &report);
    let cause = stage.stands(&built.release, STAGING, "failed", Some("dead-letter"))["cause"].take();
    let reason = cause["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("scan gave up on com.trivy.report") && reason.contains("nobody proved who sent the report")
    );
    assert!(!stage.screen(&built.release, STAGING).is_empty());
    // A true one that comes later counts.
    stage.scan_image(&built.artifact, &built.digest, &[], &now());
    stage.runs(&built, STAGING);
}

#[test]
fn an_approval_of_another_commit_approves_nothing() {
    let around = Surroundings::new();
    let stage = around.up();
    let host = &stage.world().githost;
    let reviewed = commit("what was reviewed");
    let change = Change { approved_by: None, ..stage.proposal() };
    stage.review(change.number, "grace", "APPROVED", &reviewed);
    let head = stage.open(&change);
    let held = |of: &str| stage.stands(of, STAGING, "held", Some("reviews"))["cause"].take();
    let because = format!("grace approved {}, which is another commit", &reviewed[..12]);
    assert!(held(&head)["reason"].as_str().is_some_and(|reason| reason.contains(&because)), "{:#}", held(&head));

    // Merged all the same, it is not built.
    let merge = commit("merged without approval");
    let merged = Change { merged: Some((merge.clone(), now())), ..change };
    host.put(merged.clone());
    stage.github(sender::merged(&merged));
    assert!(held(&merge)["reason"].as_str().is_some_and(|reason| reason.contains(&because)), "{:#}", held(&merge));

    // Nor by the acceptance of another commit told again, or by one that somebody makes up.
    let accepted = stage.build(&[]);
    let acceptance = stage.said("tidegate-change.accepted", &accepted.commit);
    let event = http::json(&stage.server.api, &format!("/events/{}", acceptance.id));
    let mut content = event["event"]["data"]["subject"]["content"].clone();
    forge(&stage, "tidegate-change.accepted", &content);
    content["commit"] = json!(merge);
    for id in forge(&stage, "tidegate-change.accepted", &content) {
        let logged = logged(&stage, &id);
        assert!(logged.contains("counts only from a proved origin of kind function"), "{logged}");
    }
    check_shown(&stage, &merge, "tidegate-change.accepted");
    assert!(held(&merge)["function"] == "commit");
    assert_eq!(stage.server.json(&["events", "--type", "dev.cdevents.pipelinerun.queued.0.3.0"]).len(), 1);

    // An artifact of it that does not say so is nobody's release.
    let repository = format!("{}/acme/storefront", stage.world().registry_host);
    let packaged = json!({
        "digest": digest(b"made elsewhere"), "artifact": repository, "commit": merge, "repository": "acme/storefront",
        "run": "forged",
    });
    let mut data = word("forged", &json!({}));
    data["customData"] = packaged;
    let id = stage.publish(full("artifact.packaged"), "forged", &data);
    assert!(logged(&stage, &id).contains("nobody proved who sent it"));
    let why = stage.why(&merge, STAGING);
    assert_eq!((&why["cause"]["rule"], &why["digest"]), (&json!("reviews"), &Value::Null), "{why:#}");
}

#[test]
fn a_task_ends_and_a_quarantine_is_lifted_by_nobody_s_word() {
    let around = Surroundings::new();
    let stage = around.up();

    // What a task did, told by somebody else.
    let building = stage.merge(&shell("sleep 600", ""));
    let requested = stage.said("task.requested", &building);
    let repository = format!("{}/acme/storefront", stage.world().registry_host);
    let results = json!({ "digest": digest(b"forged"), "artifact": repository });
    let run = json!({ "id": requested.text("run") });
    let mut data = word("forged", &json!({ "taskName": "component", "pipelineRun": run, "outcome": "success" }));
    data["customData"] = json!({
        "repository": "acme/storefront", "commit": building, "outcome": "success", "results": results,
        "duration_millis": 1,
    });
    let id = stage.publish(full("taskrun.finished"), &building, &data);
    assert!(logged(&stage, &id).contains("counts only from config executors"));
    let cause = stage.stands(&building, STAGING, "waiting", Some("running"))["cause"].take();
    assert_eq!(cause["function"], "runner", "{cause:#}");

    // The first release fails, and there is nothing to go back to.
    let built = stage.stage(&["--defect"]);
    stage.order(&built, STAGING, &MIXED);
    stage.said("digest.quarantined", &built.digest);
    let lift = json!({ "digest": built.digest, "by": "mallory", "reason": "because" });
    for id in forge(&stage, "quarantine.lifted", &lift) {
        let logged = logged(&stage, &id);
        assert!(logged.contains("is lifted only by the API, or by an origin that config lifters names"), "{logged}");
    }
    // Nor is it over because somebody says that it was lifted.
    for id in forge(&stage, "digest.cleared", &with(lift, json!({ "lift": "forged", "origin": "api:mallory" }))) {
        logged(&stage, &id);
    }
    check_shown(&stage, &built.digest, "digest.cleared");
    let releases = stage.server.json(&["releases"]);
    let quarantined = |view: &Value| view["digest"] != built.digest.as_str() || view["quarantined"] == true;
    assert!(releases.iter().all(quarantined), "{releases:#?}");
    for environment in [STAGING, PRODUCTION] {
        stage.stands(&built.release, environment, "held", Some("quarantined"));
    }
    // And asked for by nobody who was proved.
    let request = json!({ "release": built.release, "environment": STAGING, "by": "mallory" });
    let id = stage.publish(full("release.requested"), &built.release, &word(&built.release, &request));
    let refused = stage.until("the request is refused", |seen| seen.name == "release.refused");
    assert_eq!(refused.text("rule"), Some("unproved-request"), "{id}");
    stage.stands(&built.release, STAGING, "held", Some("quarantined"));
}
