//! From a manifest to a deployment: functions keep the ids that they were given at first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Connection, Deployment, Digest, Function, FunctionId, FunctionName, Manifest, RecordingSettings, Registry, Trigger,
    Unverified,
};
use crate::filter::LANGUAGE_VERSION;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("function {name} says it was {was}, which no deployment had; correct `was`, or leave it out")]
    UnknownFormerName { name: FunctionName, was: FunctionName },
    #[error("functions {name} and {other} go back to one function that was renamed; give one of them a new name")]
    SharedPast { name: FunctionName, other: FunctionName },
}

/// Makes a deployment of a checked manifest. `known`: every name that a deployment of this project ever had.
///
/// A function whose name is known keeps that name's id, whatever its `was` says: after the first deployment a `was` that
/// was left in the file means nothing.
pub fn plan(known: &BTreeMap<FunctionName, FunctionId>, manifest: &Manifest) -> Result<Deployment, PlanError> {
    let mut owners: BTreeMap<FunctionId, &FunctionName> = BTreeMap::new();
    let mut functions = Vec::with_capacity(manifest.functions.len());
    for (function, was) in &manifest.functions {
        let id = match (known.get(&function.name), was) {
            (Some(id), _) => *id,
            (None, Some(was)) => *known
                .get(was)
                .ok_or_else(|| PlanError::UnknownFormerName { name: function.name.clone(), was: was.clone() })?,
            (None, None) => function.id,
        };
        if let Some(other) = owners.insert(id, &function.name) {
            return Err(PlanError::SharedPast { name: function.name.clone(), other: other.clone() });
        }
        functions.push(Function { id, ..function.clone() });
    }
    let mut deployment = Deployment {
        environments: manifest.environments.clone(),
        triggers: manifest.triggers.clone(),
        connections: manifest.connections.clone(),
        registries: manifest.registries.clone(),
        unverified: manifest.unverified,
        recording: manifest.recording.clone(),
        ..Deployment::new(manifest.project.clone(), functions)
    };
    deployment.digest = deployment.compute_digest();
    Ok(deployment)
}

/// What a deployment's digest is taken of: all that it does, in one fixed order.
#[derive(Serialize)]
struct Digested<'a> {
    project: &'a str,
    environments: &'a [String],
    functions: &'a [Function],
    triggers: &'a [Trigger],
    connections: &'a BTreeMap<String, Connection>,
    registries: &'a BTreeMap<String, Registry>,
    #[serde(skip_serializing_if = "Unverified::is_accepted")]
    unverified: Unverified,
    #[serde(skip_serializing_if = "RecordingSettings::is_default")]
    recording: &'a RecordingSettings,
    filter_language: u32,
}

impl Deployment {
    /// One that is not appended yet, of functions alone.
    pub fn new(project: String, functions: Vec<Function>) -> Self {
        let mut deployment = Deployment {
            number: 0,
            project,
            environments: Vec::new(),
            functions: functions.into(),
            triggers: Vec::new(),
            connections: BTreeMap::new(),
            registries: BTreeMap::new(),
            unverified: Unverified::Accept,
            recording: RecordingSettings::default(),
            filter_language: LANGUAGE_VERSION,
            digest: Digest::of(b""),
        };
        deployment.digest = deployment.compute_digest();
        deployment
    }

    /// Digest of all but the number: component digests, configuration, filters and the names of secrets are in it.
    pub fn compute_digest(&self) -> Digest {
        let digested = Digested {
            project: &self.project,
            environments: &self.environments,
            functions: &self.functions,
            triggers: &self.triggers,
            connections: &self.connections,
            registries: &self.registries,
            unverified: self.unverified,
            recording: &self.recording,
            filter_language: self.filter_language,
        };
        Digest::of(&serde_json::to_vec(&digested).expect("a deployment has text keys and finite numbers only"))
    }
}
