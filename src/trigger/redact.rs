//! What every door does with its events before it publishes them: it takes out what the active deployment says.

use crate::bus::Bus;
use crate::event::Event;

/// So much data takes a while to be looked through.
const LOOKED_AT_ONCE_BYTES_MAX: usize = 256 * 1024;

/// The events as they may be written: nobody sees them otherwise from then on.
pub async fn redact(bus: &dyn Bus, mut events: Vec<Event>) -> Vec<Event> {
    let active = bus.active().borrow().clone();
    let Some(deployment) = active.filter(|active| !active.recording.redact.is_empty()) else { return events };
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
