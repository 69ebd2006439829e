//! The samples are what the shipped functions read: each is read by the type that `delivery` has for it, and says nothing more.

use std::collections::BTreeMap;

use delivery::{
    Activated, Artifact, Blocked, Change, Cleared, DriftDetected, GateAsked, GateVerdict, Identified, Incident,
    IncidentContent, Packaged, Placed, QuarantineLifted, Quarantined, Refused, Release, ReleaseRefused,
    ReleaseRequested, Requested, RunDue, RunFinished, RunQueued, ScanCompleted, ScanRequested, ServiceChanged,
    ServiceContent, TaskDue, TaskFinished, TaskRequested, TaskRunFinished, Verdict, Verification,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

/// What the runtime says beside what the functions read of it.
const OF_THE_RUNTIME: [&str; 2] = ["digest", "verified"];

/// Reads a part of a sample's data, and finds everything of it again in what was read.
fn read<T: DeserializeOwned + Serialize>(part: &Value) -> Result<(), String> {
    let read: T = serde_json::from_value(part.clone()).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(read).expect("it has a JSON form");
    if again == *part { Ok(()) } else { Err(format!("of {part} is read {again}")) }
}

fn content<T: DeserializeOwned + Serialize>(data: &Value) -> Result<(), String> {
    read::<T>(&data["subject"]["content"])
}

/// Of a type of CDEvents, with what we add.
fn custom<C: DeserializeOwned + Serialize, A: DeserializeOwned + Serialize>(data: &Value) -> Result<(), String> {
    content::<C>(data).and(read::<A>(&data["customData"]))
}

fn what_runs(data: &Value) -> Result<(), String> {
    let mut content = data["subject"]["content"].clone();
    let members = content.as_object_mut().ok_or("there is no content")?;
    OF_THE_RUNTIME.iter().try_for_each(|name| members.remove(*name).map(drop).ok_or(format!("{name} is missing")))?;
    read::<Activated>(&content)
}

/// What `commit` needs, whatever else a git host says.
fn git(facts: &[&str], data: &Value) -> Result<(), String> {
    match facts.iter().find(|fact| data["git"][**fact].is_null()) {
        None => Ok(()),
        Some(fact) => Err(format!("data.git.{fact} is missing")),
    }
}

type Read = fn(&Value) -> Result<(), String>;

/// How each is read.
fn readers() -> BTreeMap<&'static str, Read> {
    let proposal: Read = |data| git(&["repo", "number", "base_ref", "base_sha", "head_sha", "state"], data);
    let verification: Read = content::<Verification>;
    let service: Read = custom::<ServiceContent, ServiceChanged>;
    let incident: Read = custom::<IncidentContent, Incident>;
    BTreeMap::from([
        ("change.created", proposal),
        ("change.updated", proposal),
        ("change.reviewed", proposal),
        ("change.merged", |data| git(&["repo", "number", "base_ref", "base_sha", "merge_commit", "merged"], data)),
        ("testsuiterun.finished", |data| git(&["repo", "name", "head_sha", "head_branch"], data)),
        ("tidegate-change.accepted", content::<Change>),
        ("tidegate-change.refused", |data| content::<Change>(data).and(holds::<Verdict>(data))),
        ("pipelinerun.queued", custom::<Value, RunQueued>),
        ("pipelinerun.finished", custom::<Value, RunFinished>),
        ("task.requested", content::<TaskRequested>),
        ("task.due", content::<TaskDue>),
        ("run.due", content::<RunDue>),
        ("taskrun.finished", custom::<TaskRunFinished, TaskFinished>),
        ("artifact.packaged", custom::<Value, Packaged>),
        ("artifact.published", |data| read::<Artifact>(&data["artifact"])),
        ("artifact.identified", content::<Identified>),
        ("scan.requested", content::<ScanRequested>),
        ("scan.completed", content::<ScanCompleted>),
        ("gate.passed", content::<GateVerdict>),
        ("gate.blocked", |data| content::<GateVerdict>(data).and(holds::<Blocked>(data))),
        ("gate.asked", content::<GateAsked>),
        ("placement.decided", content::<Placed>),
        ("release.refused", content::<ReleaseRefused>),
        ("release.requested", content::<ReleaseRequested>),
        ("release.verified", verification),
        ("release.failed", verification),
        ("release.insufficient", verification),
        ("verification.due", verification),
        ("deployment.requested", content::<Requested>),
        ("deployment.activated", what_runs),
        ("deployment.reported", what_runs),
        ("deployment.refused", content::<Refused>),
        ("service.deployed", service),
        ("service.upgraded", service),
        ("service.rolledback", service),
        ("digest.quarantined", content::<Quarantined>),
        ("digest.cleared", content::<Cleared>),
        ("quarantine.lifted", content::<QuarantineLifted>),
        ("incident.detected", incident),
        ("incident.resolved", incident),
        ("drift.detected", content::<DriftDetected>),
        ("drift.resolved", content::<DriftDetected>),
        // It is heard as it is, with nothing in it.
        ("drift.checked", content::<Value>),
    ])
}

/// That a part which may be left out is there.
fn holds<T: DeserializeOwned>(data: &Value) -> Result<(), String> {
    serde_json::from_value::<T>(data["subject"]["content"].clone()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_sample_of_the_path_is_read_by_the_functions_that_hear_it() {
    let problems: Vec<String> = readers()
        .into_iter()
        .filter_map(|(name, read)| {
            let sample = event_type(name).unwrap_or_else(|| panic!("{name} is no type of the catalogue")).sample();
            read(&sample["data"]).err().map(|problem| format!("{name}: {problem}"))
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn no_type_of_the_path_is_without_its_reader() {
    let readers = readers();
    let path: toml::Table = toml::from_str(include_str!("../../../examples/path/tidegate.toml")).unwrap();
    let functions = path["function"].as_array().unwrap().iter();
    let heard = functions.flat_map(|function| function["on"].as_array().unwrap()).map(|name| name.as_str().unwrap());
    let heard = heard.filter_map(event_type).map(|entry| entry.name);
    let ours = catalogue().iter().filter(|entry| entry.ty.starts_with("dev.cdeventsx.")).map(|entry| entry.name);
    let without: Vec<&str> = heard.chain(ours).filter(|name| !readers.contains_key(name)).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn the_release_of_the_samples_is_named_by_what_it_is_made_of() {
    let sample = event_type("gate.passed").unwrap().sample();
    let said: Release = serde_json::from_value(sample["data"]["subject"]["content"].clone()).unwrap();
    let Release { service, artifact, digest, configuration, commit, .. } = &said;
    assert_eq!(Release::new(service, artifact, digest, configuration, commit.as_deref(), None), said);
}
