//! What an event asks for, and whether it may: values only.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::deployment::{Deployment, Function, FunctionName, OciReference};
use crate::event::{Event, Origin, OriginKind, cdevent_content};

/// What is read of the content of a `deployment.requested`. Whatever else stands there is the path's own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Content {
    function: FunctionName,
    component: String,
    config: Option<BTreeMap<String, String>>,
    release: Option<String>,
}

/// A request that can be understood: one function, other bytes, other configuration, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub function: FunctionName,
    pub component: OciReference,
    /// None: as it is.
    pub config: Option<BTreeMap<String, String>>,
    pub release: Option<String>,
}

impl Request {
    pub fn read(event: &Event) -> Result<Self, String> {
        let content = cdevent_content(event).unwrap_or(Value::Null);
        let content: Content = serde_json::from_value(content).map_err(|error| {
            format!("the request cannot be read: {error}; its content wants function and component")
        })?;
        let Content { function, component, config, release } = content;
        let component = component.parse().map_err(|error: crate::deployment::OciReferenceError| error.to_string())?;
        Ok(Request { function, component, config, release })
    }

    /// The function that is to change, or every reason why the asker may not ask for it.
    pub fn judge<'d>(&self, asker: &Origin, running: &'d Deployment) -> Result<&'d Function, Vec<String>> {
        let mut problems = Vec::new();
        let name = &self.function;
        if let Err(problem) = check_asker(asker, name, running) {
            problems.push(problem);
        }
        let function = running.function(name.as_str());
        match function {
            None => problems.push(format!("there is no function {name} in deployment {}", running.number)),
            Some(function) => {
                if let Some(kind) = function.component.native() {
                    problems
                        .push(format!("function {name} is {kind}, which is part of the runtime and has no component"));
                }
            }
        }
        match function {
            Some(function) if problems.is_empty() => Ok(function),
            Some(_) | None => Err(problems),
        }
    }
}

/// Only a function of the deployment asks, for others than itself, and for those that it was granted.
fn check_asker(asker: &Origin, name: &FunctionName, running: &Deployment) -> Result<(), String> {
    let by = &asker.name;
    let function = match asker.kind {
        OriginKind::Function => running.function(by),
        OriginKind::Trigger | OriginKind::Api | OriginKind::Runtime => {
            let kind = asker.kind.as_str();
            return Err(format!("{kind} {by} asks for it; a function with the grant `deploy` has to"));
        }
    };
    let Some(function) = function else {
        return Err(format!("function {by} asks for it, which is not in deployment {}", running.number));
    };
    if function.name == *name {
        return Err(format!("function {by} asks for a change of itself; another one has to"));
    }
    match function.grants.deploy.iter().any(|pattern| pattern.matches(name.as_str())) {
        true => Ok(()),
        false => Err(format!(
            "function {by} was not granted to change {name}; see grants.deploy of function {by}, like deploy = [\"{name}\"]"
        )),
    }
}
