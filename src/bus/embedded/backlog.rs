//! Functions that let only so many events wait for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::function_queue::FunctionQueue;
use super::intake::Entering;
use crate::bus::PublishError;
use crate::deployment::{Deployment, FunctionId, FunctionName};
use crate::event::attribute;
use crate::filter::TypeIndex;

/// When a sender who was refused may try again.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The functions of a deployment that have a bound, by the types that they ask for.
#[derive(Default)]
pub(super) struct Backlogs(TypeIndex<Bounded>);

struct Bounded {
    function: FunctionId,
    name: FunctionName,
    queue: Arc<FunctionQueue>,
    events_max: u64,
}

impl Backlogs {
    pub fn new(deployment: &Deployment, queue: impl Fn(FunctionId) -> Option<Arc<FunctionQueue>>) -> Self {
        let bounded = deployment.functions.iter().filter_map(|function| {
            let (queue, events_max) = (queue(function.id)?, function.backlog_max?);
            Some((
                function.filter.types(),
                Bounded { function: function.id, name: function.name.clone(), queue, events_max },
            ))
        });
        Backlogs(TypeIndex::new(bounded))
    }

    /// Refuses a batch for which a function has no room. What is on its way into a queue is not counted yet.
    pub fn admit(&self, batch: &[Entering]) -> Result<(), PublishError> {
        let full = bounds(batch)
            .into_iter()
            .flat_map(|(ty, to)| self.0.lookup(ty).filter(move |bounded| is_for(bounded.function, to)))
            .map(|bounded| (bounded, bounded.queue.backlog()))
            .find(|(bounded, events)| *events >= bounded.events_max);
        match full {
            None => Ok(()),
            Some((Bounded { name, events_max, .. }, events)) => Err(PublishError::Backlog {
                function: name.to_string(),
                events,
                events_max: *events_max,
                retry_after_seconds: RETRY_AFTER_SECONDS,
            }),
        }
    }
}

/// The types of a batch, each with the one function that it is for where a live replay is.
fn bounds(batch: &[Entering]) -> BTreeSet<(&str, Option<&str>)> {
    batch.iter().map(|Entering { event, .. }| (event.ty.as_str(), event.text(attribute::REPLAY_TO))).collect()
}

fn is_for(function: FunctionId, to: Option<&str>) -> bool {
    to.is_none_or(|to| to == function.to_string())
}
