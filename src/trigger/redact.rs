//! What every door does with its events before it publishes them: it takes out what the active deployment says.

use std::sync::Arc;

use crate::bus::Bus;
use crate::deployment::Deployment;
use crate::event::Event;

/// So much data takes a while to be looked through.
const LOOKED_AT_ONCE_BYTES_MAX: usize = 256 * 1024;

/// The events as they may be written: nobody sees them otherwise from then on.
pub async fn redact(bus: &dyn Bus, mut events: Vec<Event>) -> Vec<Event> {
    let Some(deployment) = redacting(bus) else { return events };
    let bytes: usize = events.iter().map(Event::data_bytes).sum();
    let look = move || {
        events.iter_mut().for_each(|event| drop(deployment.recording.redact.event(event)));
        events
    };
    if bytes <= LOOKED_AT_ONCE_BYTES_MAX {
        return look();
    }
    tokio::task::spawn_blocking(look).await.expect("redacting does not panic")
}

/// Whether anything is redacted.
pub fn redacts(bus: &dyn Bus) -> bool {
    redacting(bus).is_some()
}

/// The active deployment, if it redacts anything.
fn redacting(bus: &dyn Bus) -> Option<Arc<Deployment>> {
    let active = bus.active().borrow().clone();
    active.filter(|active| !active.recording.redact.is_empty())
}
