//! Outcome statistics of functions that were granted, from what is committed.

use super::Answer;
use crate::bus::{BusError, History, StatisticsQuery};
use crate::deployment::{DeployedFunction, Digest};
use crate::event::Position;
use crate::host::EffectError;

/// What is counted of a function.
pub(super) struct Window {
    pub component: Digest,
    pub from: Position,
    pub to: Option<Position>,
}

/// `name`: a function of the deployment under which `asking` runs; what it did under an earlier name counts too.
pub(super) async fn answer(
    history: &dyn History,
    asking: &DeployedFunction,
    name: &str,
    window: Window,
) -> Result<Answer, BusError> {
    if !asking.grants.statistics.iter().any(|granted| granted.matches(name)) {
        let asks = &asking.name;
        return Ok(Answer::Failed(EffectError::NotPermitted(format!(
            "function {asks} may not count outcomes of function {name:?}; grant it with statistics = [{name:?}]"
        ))));
    }
    let deployment = asking.deployment();
    let Some(function) = deployment.function(name) else {
        let reason = format!("deployment {} has no function {name:?}", deployment.number);
        return Ok(Answer::Failed(EffectError::Refused(reason)));
    };
    let Window { component, from, to } = window;
    let query = StatisticsQuery { function: function.id, component, from, to };
    Ok(Answer::Statistics(history.statistics(query).await?))
}
