//! From a manifest to a deployment: functions keep the ids that they were given at first.

use std::collections::BTreeMap;

use super::{Deployment, FunctionId, FunctionName, Manifest};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("function {name} says it was {was}, which no deployment had")]
    UnknownFormerName { name: FunctionName, was: FunctionName },
}

/// Makes a deployment of a checked manifest. `known`: every name that a deployment of this project ever had.
pub fn plan(_known: &BTreeMap<FunctionName, FunctionId>, _manifest: &Manifest) -> Result<Deployment, PlanError> {
    todo!()
}
