//! Emitted events: what the host sets on them, and the limits of a chain.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Accepted, Event, Extension, attribute, derived_id, trace};
use crate::clock::Timestamp;
use crate::deployment::Function;
use crate::filter::TypePattern;
use crate::outcome::{Failure, FailureKind};

/// Hops of a chain that follow each other within a second.
pub const HOPS_MAX: u32 = 32;
/// Events of one chain.
pub const CHAIN_EVENTS_MAX: u64 = 100_000;
/// Events that one invocation emits.
pub const EMITTED_MAX: usize = 256;
/// Attributes and data of all that one invocation emits.
pub const EMITTED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A hop that waited this long is no part of a loop that runs away.
const HOP_WAIT: Duration = Duration::from_secs(1);

/// What the host alone sets, beside `id`, `source` and `time`.
const HOST_EXTENSIONS: [&str; 4] =
    [attribute::CAUSATION, attribute::CORRELATION, attribute::TRACEPARENT, attribute::TRACESTATE];

/// What stands unescaped in a segment of a URI (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Stamps what `function` returned for `parent`: id, source, time, chain attributes, and the parent's partition key where
/// the event sets none. Fails the whole output, naming the event and the rule, if one event breaks a limit, sets what
/// is the host's, or has a type that was not granted.
pub fn derive(
    parent: &Accepted,
    project: &str,
    function: &Function,
    returned: Vec<Event>,
    now: Timestamp,
) -> Result<Vec<Event>, Failure> {
    check_chain(parent, &returned, now)?;
    check_amount(&returned)?;
    let granted = granted_types(function)?;
    let source = source_of(project, function);
    let mut emitted = Vec::with_capacity(returned.len());
    for (index, event) in (0u32..).zip(returned) {
        refuse_host_attributes(index, &event)?;
        let event = stamp(parent, function, index, event, &source, now);
        if let Err(error) = event.validate(now) {
            return Err(bad_output(index, &event.ty, error));
        }
        if !granted.iter().any(|pattern| pattern.matches(&event.ty)) {
            return Err(not_granted(function, &event.ty));
        }
        emitted.push(event);
    }
    check_bytes(&emitted)?;
    Ok(emitted)
}

/// Hops of what is emitted for `parent`: a hop that waited a second or more is not counted.
pub fn hops_after(parent: &Accepted, now: Timestamp) -> u32 {
    let waited = now.since(parent.accepted_at) >= HOP_WAIT;
    if waited { parent.hops } else { parent.hops.saturating_add(1) }
}

/// `tidegate/<project>/<function>`, a URI-reference.
fn source_of(project: &str, function: &Function) -> String {
    format!("tidegate/{}/{}", utf8_percent_encode(project, ESCAPED), function.name)
}

fn check_chain(parent: &Accepted, returned: &[Event], now: Timestamp) -> Result<(), Failure> {
    let hops = hops_after(parent, now);
    if returned.is_empty() || hops <= HOPS_MAX {
        return Ok(());
    }
    let chain = parent.event.correlation().unwrap_or(&parent.event.id);
    let reason = format!(
        "chain {chain} would have {hops} hops, at most {HOPS_MAX} are allowed; look for functions that answer each other"
    );
    Err(Failure::new(FailureKind::ChainTooLong, reason))
}

fn check_amount(returned: &[Event]) -> Result<(), Failure> {
    if returned.len() <= EMITTED_MAX {
        return Ok(());
    }
    let reason = format!("emitted {} events, at most {EMITTED_MAX} are allowed", returned.len());
    Err(Failure::new(FailureKind::BadOutput, reason))
}

fn check_bytes(emitted: &[Event]) -> Result<(), Failure> {
    let bytes: usize = emitted.iter().map(|event| event.attributes_bytes() + event.data_bytes()).sum();
    if bytes <= EMITTED_BYTES_MAX {
        return Ok(());
    }
    let reason = format!("emitted {bytes} B of events, at most {EMITTED_BYTES_MAX} B are allowed");
    Err(Failure::new(FailureKind::BadOutput, reason))
}

fn granted_types(function: &Function) -> Result<Vec<TypePattern>, Failure> {
    let patterns = function.grants.emits.iter().map(|pattern| pattern.parse());
    patterns.collect::<Result<_, _>>().map_err(|error: crate::filter::PatternError| {
        Failure::new(FailureKind::NotPermitted, format!("grant emits of function {}: {error}", function.name))
    })
}

fn not_granted(function: &Function, ty: &str) -> Failure {
    let name = &function.name;
    let reason = format!("emitted type {ty:?}, which it was not granted; add it to grants.emits of function {name}");
    Failure::new(FailureKind::NotPermitted, reason)
}

fn refuse_host_attributes(index: u32, event: &Event) -> Result<(), Failure> {
    let core = [("id", !event.id.is_empty()), ("source", !event.source.is_empty()), ("time", event.time.is_some())];
    let extensions = HOST_EXTENSIONS.map(|name| (name, event.extensions.contains_key(name)));
    match core.iter().chain(&extensions).find(|(_, is_set)| *is_set) {
        Some((name, _)) => {
            Err(bad_output(index, &event.ty, format_args!("attribute {name} is set by the host; leave it out")))
        }
        None => Ok(()),
    }
}

fn bad_output(index: u32, ty: &str, reason: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::BadOutput, format!("emitted event {index} of type {ty:?}: {reason}"))
}

fn stamp(parent: &Accepted, function: &Function, index: u32, mut event: Event, source: &str, now: Timestamp) -> Event {
    let cause = &parent.event;
    let id = derived_id(cause.key(), function.id, index);
    event.id = id.to_string();
    event.source = source.to_owned();
    event.time = Some(now.to_string());
    let correlation = cause.correlation().unwrap_or(&cause.id);
    // Every event in the log has a trace; one that lost its own starts the same one on every attempt.
    let trace = cause.traceparent().and_then(trace::Parent::parse);
    let trace = trace.unwrap_or_else(|| trace::Parent::new(cause.key().uuid().as_u128()));
    let mut set = |name: &str, text: &str| event.extensions.insert(name.to_owned(), Extension::Text(text.to_owned()));
    set(attribute::CAUSATION, &cause.id);
    set(attribute::CORRELATION, correlation);
    set(attribute::TRACEPARENT, &trace.child(id.as_bytes()).to_string());
    if let Some(state) = cause.text(attribute::TRACESTATE) {
        set(attribute::TRACESTATE, state);
    }
    if let Some(key) = cause.partition_key() {
        event.extensions.entry(attribute::PARTITION_KEY.to_owned()).or_insert_with(|| Extension::Text(key.to_owned()));
    }
    event
}
