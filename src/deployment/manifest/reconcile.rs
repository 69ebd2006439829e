//! The reconciler, which no project file names: it is there as soon as a function may ask for deployments.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::deployment::catalogue::event_type;
use crate::deployment::{
    Component, ComponentRef, Function, FunctionId, FunctionName, Grants, Limits, NativeKind, Order,
};
use crate::event::derive_uuid;
use crate::filter::{Filter, KeyExpression, TypePattern};
use crate::outcome::RetryPolicy;

/// Its name, which is no other function's.
const NAME: &str = "reconcile";
/// More than it takes for a request, so that every one is answered.
const TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// A registry may be away for some minutes.
const RETRY: RetryPolicy = RetryPolicy {
    attempts: 10,
    initial: Duration::from_secs(1),
    factor: 2.0,
    max: Duration::from_secs(2 * 60),
    jitter: true,
};

pub(super) fn is_reserved(name: &FunctionName) -> bool {
    name.as_str() == NAME
}

/// The reconciler of a project whose functions these are, if it needs one.
pub(super) fn function_of<'f>(project: &str, mut functions: impl Iterator<Item = &'f Function>) -> Option<Function> {
    functions.any(|function| !function.grants.deploy.is_empty()).then(|| function(project))
}

fn function(project: &str) -> Function {
    let pattern = |name: &str| format!("{}*", event_type(name).expect("a name of the catalogue").stem());
    let on = ["deployment.requested", "drift.checked"].map(|name| pattern(name).parse());
    let on: Result<Vec<TypePattern>, _> = on.into_iter().collect();
    let emits = ["deployment.refused", "deployment.reported"].map(pattern);
    // An older request that is tried again does not come after a newer one for the same function.
    let key = KeyExpression::new("data.subject.content.function");
    let kind = NativeKind::Reconcile;
    let component = Component { reference: ComponentRef::Native(kind), digest: kind.digest() };
    let filter = Filter::new(on.expect("patterns of the catalogue"), BTreeMap::new(), None).expect("types alone");
    Function {
        // The same whenever the project has it, so that it goes on where it stopped.
        id: FunctionId::from_uuid(derive_uuid(&[b"reconcile", project.as_bytes()])),
        grants: Grants { emits: emits.to_vec(), ..Grants::default() },
        limits: Limits { time_max: TIME_MAX, ..Limits::default() },
        retry: RETRY,
        // Each expects to follow what the one before left.
        concurrency: 1,
        order: Order::Key(key.expect("an expression over data")),
        ..Function::new(NAME.parse().expect("a name of letters"), component, filter)
    }
}
