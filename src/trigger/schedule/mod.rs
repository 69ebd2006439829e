//! Schedules: ticks of the clock as events.
//!
//! A tick is `{type, subject, data}` of the project file; `time` is the planned instant, the id is derived from trigger and
//! planned instant, so a tick that is published twice is one event. The log is the only state: the last tick in it says
//! what was missed. A trigger that is new, or whose cron, zone or event was changed, starts now.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::intake::{Intake, Taken, TriggerError, backoff};
use crate::bus::{BusError, EventQuery, History};
use crate::clock::Timestamp;
use crate::deployment::ScheduleTrigger;
use crate::event::{Event, derive_uuid};
use crate::filter::TypePattern;

/// The clock is looked at this often at least, since it can be set and a machine can sleep.
const LOOK_AFTER_MAX: Duration = Duration::from_secs(20);

/// Publishes the ticks of `trigger` until it is told to stop.
pub async fn run(trigger: ScheduleTrigger, intake: Intake, history: Arc<dyn History>) -> Result<(), TriggerError> {
    let name = name(&trigger);
    let mut failures = 0;
    let mut told = loop {
        match last_tick(&trigger, history.as_ref()).await {
            Ok(last) => break last.unwrap_or_else(|| intake.clock.now()),
            Err(source @ (BusError::Closed | BusError::Failed { .. })) => {
                return Err(TriggerError::Bus { trigger: name, source });
            }
            Err(error @ (BusError::Full | BusError::AtMax | BusError::Store { .. })) => intake.metrics.fault(&error),
        }
        if intake.stopped_within(backoff(failures)).await {
            return Ok(());
        }
        failures += 1;
    };
    loop {
        let now = intake.clock.now();
        let ticks = trigger.schedule.due(told, now, trigger.missed).into_iter().map(|planned| tick(&trigger, planned));
        if intake.publish(&name, ticks.collect()).await? == Taken::Stopped {
            return Ok(());
        }
        told = told.max(now);
        let next = trigger.schedule.next_after(told).map(|next| next.since(intake.clock.now()));
        if intake.stopped_within(next.unwrap_or(LOOK_AFTER_MAX).min(LOOK_AFTER_MAX)).await {
            return Ok(());
        }
    }
}

fn name(trigger: &ScheduleTrigger) -> String {
    format!("schedule/{}", trigger.ty)
}

fn tick(trigger: &ScheduleTrigger, planned: Timestamp) -> Event {
    let data = trigger.data.as_ref().map(|data| Bytes::copy_from_slice(data.as_bytes()));
    Event {
        id: tick_id(trigger, planned),
        source: format!("/triggers/{}", name(trigger)),
        ty: trigger.ty.clone(),
        subject: trigger.subject.clone(),
        time: Some(planned.to_string()),
        datacontenttype: data.as_ref().map(|_| "application/json".to_owned()),
        data,
        ..Event::default()
    }
}

fn tick_id(trigger: &ScheduleTrigger, planned: Timestamp) -> String {
    let subject = trigger.subject.as_deref().unwrap_or_default();
    let data = trigger.data.as_deref().unwrap_or_default();
    let schedule = &trigger.schedule;
    let parts = ["schedule", schedule.cron(), schedule.timezone(), &trigger.ty, subject, data].map(str::as_bytes);
    derive_uuid(&[&parts[..], &[&planned.as_micros().to_be_bytes()]].concat()).to_string()
}

/// When the log's last tick of this trigger was planned. Events of the type that others made are passed over: their ids are not
/// derived from this trigger and their time.
async fn last_tick(trigger: &ScheduleTrigger, history: &dyn History) -> Result<Option<Timestamp>, BusError> {
    let query = EventQuery {
        ty: TypePattern::from_str(&trigger.ty).ok(),
        newest_first: true,
        max: ScheduleTrigger::LOOKED_BACK_MAX,
        ..EventQuery::default()
    };
    let planned_of = |event: &Event| {
        let planned = event.time.as_deref()?.parse().ok()?;
        (event.id == tick_id(trigger, planned)).then_some(planned)
    };
    Ok(history.events(query).await?.events.iter().filter_map(|accepted| planned_of(&accepted.event)).max())
}

#[cfg(test)]
mod tests;
