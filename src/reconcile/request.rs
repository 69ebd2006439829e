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
    pub fn judge<'d>(&self, asker: &Function, running: &'d Deployment) -> Result<&'d Function, Vec<String>> {
        let mut problems = Vec::new();
        let name = &self.function;
        if let Err(problem) = check_grant(asker, name) {
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

/// The function of the running deployment that asks; an error says that none does.
pub(super) fn asker<'d>(origin: &Origin, running: &'d Deployment) -> Result<&'d Function, String> {
    let asks = format!("{}:{} asks for a deployment", origin.kind.as_str(), origin.name);
    match origin.kind {
        OriginKind::Function => {
            let number = running.number;
            running.function(&origin.name).ok_or_else(|| format!("{asks}, and is not in deployment {number}"))
        }
        OriginKind::Trigger | OriginKind::Api | OriginKind::Runtime => {
            Err(format!("{asks}; a function of the project with the grant `deploy` has to"))
        }
    }
}

/// A function asks for others than itself, and for those that it was granted.
fn check_grant(asker: &Function, name: &FunctionName) -> Result<(), String> {
    let by = &asker.name;
    if asker.name == *name {
        return Err(format!("function {by} asks for a change of itself; another one has to"));
    }
    match asker.grants.deploy.iter().any(|pattern| pattern.matches(name.as_str())) {
        true => Ok(()),
        false => Err(format!(
            "function {by} was not granted to change {name}; see grants.deploy of function {by}, like deploy = [\"{name}\"]"
        )),
    }
}
