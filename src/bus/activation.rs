//! What an activation says of a deployment: in its record, and whenever it is asked again.

use serde::Serialize;
use serde_json::{Value, json};

use super::Cause;
use crate::deployment::{ComponentRef, Deployment, Digest, Function};
use crate::event::Position;

/// The type of the record that makes a deployment active.
pub const ACTIVATED: &str = "dev.cdeventsx.tidegate-deployment.activated.0.1.0";

/// What runs of a function.
#[derive(Serialize)]
struct Running<'a> {
    name: &'a str,
    /// Digest of the bytes that run.
    component: Digest,
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
}

impl<'a> Running<'a> {
    fn of(function: &'a Function) -> Self {
        let reference = match &function.component.reference {
            // As a release names it.
            ComponentRef::Oci(reference) => reference.to_string(),
            reference @ (ComponentRef::Builtin(_) | ComponentRef::Native(_) | ComponentRef::Path(_)) => {
                reference.to_string()
            }
        };
        let release = function.pin.as_ref().and_then(|pin| pin.release.as_deref());
        Running { name: function.name.as_str(), component: function.component.digest, reference, release }
    }
}

/// The content of a CDEvent that says what runs under a deployment and what made it so; with the request that it answers, and
/// the place of its record where that is known.
pub fn what_runs(deployment: &Deployment, cause: &Cause, request: Option<Value>, record: Option<Position>) -> Value {
    let functions: Vec<_> = deployment.functions.iter().map(Running::of).collect();
    let mut content = json!({
        "number": deployment.number,
        "digest": deployment.digest,
        "cause": cause.kind(),
        "verified": cause.is_verified(),
        "functions": functions,
    });
    let by = cause.by().map(Value::from);
    for (name, value) in [("by", by), ("request", request), ("position", record.map(Value::from))] {
        if let Some(value) = value {
            content[name] = value;
        }
    }
    content
}

impl Cause {
    /// In one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::ProjectFile => "project-file",
            Cause::Operator(_) => "operator",
            Cause::Rollback { .. } => "rollback",
            Cause::Event(_) => "event",
        }
    }

    /// Whether it came by the project's own ways. A folder that a person deployed came from anywhere.
    pub fn is_verified(&self) -> bool {
        match self {
            Cause::ProjectFile | Cause::Event(_) => true,
            Cause::Rollback { verified, .. } => *verified,
            Cause::Operator(_) => false,
        }
    }

    /// The person, by the name of their token.
    pub fn by(&self) -> Option<&str> {
        match self {
            Cause::Operator(by) | Cause::Rollback { by, .. } => Some(by),
            Cause::ProjectFile | Cause::Event(_) => None,
        }
    }
}
