//! What the host adds to an event that comes in, and when two events say the same.

use super::{Event, Extension, attribute, trace};
use crate::clock::Timestamp;

/// Adds what every event in the log has, where its sender set none: `time`, `correlationid` (its own id) and
/// `traceparent` (a new trace out of `random`).
pub fn accept(mut event: Event, now: Timestamp, random: u128) -> Event {
    if event.time.is_none() {
        event.time = Some(now.to_string());
    }
    if event.correlation().is_none() {
        event.extensions.insert(attribute::CORRELATION.to_owned(), Extension::Text(event.id.clone()));
    }
    if event.traceparent().is_none() {
        let traceparent = trace::Parent::new(random).to_string();
        event.extensions.insert(attribute::TRACEPARENT.to_owned(), Extension::Text(traceparent));
    }
    event
}

/// Whether `given`, as a sender sent it again, says what `stored`, the accepted event with the same key, says.
///
/// A trace context tells of the transport, so it does not count. Nor does what `accept` added to `stored`: a time that
/// `given` lacks, and a `correlationid` that is the event's own id. A caller that has passed `given` through `accept` takes
/// the time away again if it was the host's.
pub fn same_content(stored: &Event, given: &Event) -> bool {
    core(stored) == core(given)
        && (given.time.is_none() || stored.time == given.time)
        && correlation(stored) == correlation(given)
        && said_extensions(stored).eq(said_extensions(given))
        && stored.data == given.data
}

fn core(event: &Event) -> [Option<&str>; 6] {
    [
        Some(&event.id),
        Some(&event.source),
        Some(&event.ty),
        event.subject.as_deref(),
        event.datacontenttype.as_deref(),
        event.dataschema.as_deref(),
    ]
}

/// The sender's own correlation: the id that `accept` sets says no more than none.
fn correlation(event: &Event) -> Option<&str> {
    event.correlation().filter(|correlation| *correlation != event.id)
}

fn said_extensions(event: &Event) -> impl Iterator<Item = (&String, &Extension)> {
    const NOT_SAID: [&str; 3] = [attribute::CORRELATION, attribute::TRACEPARENT, attribute::TRACESTATE];
    event.extensions.iter().filter(|(name, _)| !NOT_SAID.contains(&name.as_str()))
}
