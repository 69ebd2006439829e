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
/// A trace context tells of the transport, so it does not count. Nor does what `accept` added to `stored`; so `given` must
/// be as it came, before `accept`: a time that the host gave it would differ.
pub fn same_content(stored: &Event, given: &Event) -> bool {
    let core = |event: &Event| {
        (event.id.clone(), event.source.clone(), event.ty.clone(), event.subject.clone(), event.dataschema.clone())
    };
    core(stored) == core(given)
        && stored.datacontenttype == given.datacontenttype
        && (given.time.is_none() || stored.time == given.time)
        && correlation(stored) == correlation(given)
        && said_extensions(stored).eq(said_extensions(given))
        && stored.data == given.data
}

/// The sender's own correlation: the id that `accept` sets says no more than none.
fn correlation(event: &Event) -> Option<&str> {
    event.correlation().filter(|correlation| *correlation != event.id)
}

fn said_extensions(event: &Event) -> impl Iterator<Item = (&String, &Extension)> {
    const NOT_SAID: [&str; 3] = [attribute::CORRELATION, attribute::TRACEPARENT, attribute::TRACESTATE];
    event.extensions.iter().filter(|(name, _)| !NOT_SAID.contains(&name.as_str()))
}
