//! The functions of a deployment, found by their ids, and one of them with the deployment that has it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::{Deployment, Function, FunctionId};

/// Functions in the order of the project file; stored as a plain list.
///
/// Invariant: `places` has the place of each in `list`, so neither changes once they are made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Vec<Function>")]
pub struct Functions {
    list: Vec<Function>,
    places: HashMap<FunctionId, usize>,
}

impl Functions {
    /// Every delivery asks, so it costs the same however many there are.
    pub fn by_id(&self, id: FunctionId) -> Option<&Function> {
        self.places.get(&id).map(|place| &self.list[*place])
    }
}

/// One function as a deployment has it. Cheap to clone.
///
/// Invariant: `place` is one of the deployment's functions.
#[derive(Debug, Clone)]
pub struct DeployedFunction {
    deployment: Arc<Deployment>,
    place: usize,
}

impl DeployedFunction {
    /// None if the deployment is without it.
    pub fn find(deployment: Arc<Deployment>, id: FunctionId) -> Option<Self> {
        let place = *deployment.functions.places.get(&id)?;
        Some(DeployedFunction { deployment, place })
    }

    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }
}

impl Deref for DeployedFunction {
    type Target = Function;

    fn deref(&self) -> &Function {
        &self.deployment.functions[self.place]
    }
}

impl From<Vec<Function>> for Functions {
    fn from(list: Vec<Function>) -> Self {
        let places = list.iter().zip(0..).map(|(function, place)| (function.id, place)).collect();
        Functions { list, places }
    }
}

impl Deref for Functions {
    type Target = [Function];

    fn deref(&self) -> &[Function] {
        &self.list
    }
}

impl<'a> IntoIterator for &'a Functions {
    type Item = &'a Function;
    type IntoIter = std::slice::Iter<'a, Function>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl PartialEq for Functions {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Serialize for Functions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}
