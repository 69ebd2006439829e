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
const HOST_EXTENSIONS: [&str; 7] = [
    attribute::CAUSATION,
    attribute::CORRELATION,
    attribute::TRACEPARENT,
    attribute::TRACESTATE,
    attribute::REPLAY_OF,
    attribute::REPLAY_TO,
    attribute::AFTER_REPLAY,
];

/// What sources of the runtime and its functions begin with.
const RUNTIME: &str = "tidegate/";
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
    returned.iter().try_for_each(|event| check_hops(parent, event.due(now)))?;
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

/// Hops of what follows `parent` and gets its place in the log at `due`: a hop that took a second or more is not counted.
pub fn hops_after(parent: &Accepted, due: Timestamp) -> u32 {
    let waited = due.since(parent.accepted_at) >= HOP_WAIT;
    if waited { parent.hops } else { parent.hops.saturating_add(1) }
}

/// The source of what a project's runtime itself says: `tidegate/<project>`, a URI-reference.
pub fn runtime_source(project: &str) -> String {
    format!("{RUNTIME}{}", utf8_percent_encode(project, ESCAPED))
}

/// `tidegate/<project>/<function>`.
fn source_of(project: &str, function: &Function) -> String {
    format!("{}/{}", runtime_source(project), function.name)
}

/// Whether `source` is that of the project's runtime or of one of its functions, whatever functions it has.
pub fn is_source_of(project: &str, source: &str) -> bool {
    let Some(rest) = source.strip_prefix(RUNTIME) else { return false };
    let rest = utf8_percent_encode(project, ESCAPED).try_fold(rest, |rest, part| rest.strip_prefix(part));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether something may follow from `parent` at `due`: a chain that has too many hops ends.
pub fn check_hops(parent: &Accepted, due: Timestamp) -> Result<(), Failure> {
    let hops = hops_after(parent, due);
    if hops <= HOPS_MAX {
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

/// Makes an event, which has its id, the next of a chain: `cause`, an event in the log, led to it.
pub fn follow(event: &mut Event, cause: &Event) {
    // Every event in the log has a trace; one that lost its own starts the same one on every attempt.
    let trace = cause.traceparent().and_then(trace::Parent::parse);
    let trace = trace.unwrap_or_else(|| trace::Parent::new(cause.key().uuid().as_u128()));
    let span = trace.child(event.id.as_bytes()).to_string();
    let mut set = |name: &str, text: &str| event.extensions.insert(name.to_owned(), Extension::Text(text.to_owned()));
    set(attribute::CAUSATION, &cause.id);
    set(attribute::CORRELATION, cause.correlation().unwrap_or(&cause.id));
    set(attribute::TRACEPARENT, &span);
    if let Some(state) = cause.text(attribute::TRACESTATE) {
        set(attribute::TRACESTATE, state);
    }
    let replay = cause.replay_of().map(|_| cause.id.as_str()).or_else(|| cause.text(attribute::AFTER_REPLAY));
    if let Some(replay) = replay {
        set(attribute::AFTER_REPLAY, replay);
    }
}

fn stamp(parent: &Accepted, function: &Function, index: u32, mut event: Event, source: &str, now: Timestamp) -> Event {
    let cause = &parent.event;
    event.id = derived_id(cause.key(), function.id, index).to_string();
    event.source = source.to_owned();
    event.time = Some(now.to_string());
    follow(&mut event, cause);
    if let Some(key) = cause.partition_key() {
        event.extensions.entry(attribute::PARTITION_KEY.to_owned()).or_insert_with(|| Extension::Text(key.to_owned()));
    }
    event
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::super::{ATTRIBUTES_BYTES_MAX, Origin, OriginKind};
    use super::*;
    use crate::deployment::{Component, ComponentRef, Digest, FunctionId, Grants};
    use crate::filter::Filter;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn function(emits: &[&str]) -> Function {
        let component = Component { reference: ComponentRef::Builtin("gate".to_owned()), digest: Digest::of(b"gate") };
        let filter = Filter::new(Vec::new(), BTreeMap::new(), None).unwrap();
        Function {
            id: FunctionId::from_uuid(Uuid::from_u128(1)),
            grants: Grants { emits: emits.iter().map(|ty| (*ty).to_owned()).collect(), ..Grants::default() },
            ..Function::new("gate".parse().unwrap(), component, filter)
        }
    }

    fn parent(hops: u32) -> Accepted {
        let mut event = Event { id: "p".into(), source: "/s".into(), ty: "t".into(), ..Event::default() };
        for (name, value) in [
            (attribute::CORRELATION, "chain"),
            (attribute::TRACEPARENT, TRACEPARENT),
            (attribute::TRACESTATE, "vendor=1"),
            (attribute::PARTITION_KEY, "repo"),
        ] {
            event.extensions.insert(name.to_owned(), Extension::Text(value.to_owned()));
        }
        let origin = Origin { kind: OriginKind::Api, name: "test".into(), verified: true };
        Accepted { position: 1, accepted_at: now(), origin, hops, event }
    }

    fn now() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().unwrap()
    }

    fn returned(ty: &str) -> Event {
        Event { ty: ty.to_owned(), ..Event::default() }
    }

    fn emit(events: Vec<Event>) -> Result<Vec<Event>, Failure> {
        derive(&parent(0), "my shop", &function(&["a.*"]), events, now())
    }

    #[track_caller]
    fn check_failed(events: Vec<Event>, kind: FailureKind, expected: &str) {
        let failure = emit(events).unwrap_err();
        assert_eq!(failure.kind, kind, "{}", failure.reason);
        assert!(failure.reason.contains(expected), "{:?} lacks {expected:?}", failure.reason);
    }

    #[test]
    fn the_host_sets_who_when_and_why() {
        let event = emit(vec![returned("a.b")]).unwrap().remove(0);
        assert_eq!(event.id, derived_id(parent(0).event.key(), function(&[]).id, 0).to_string());
        assert_eq!(event.source, "tidegate/my%20shop/gate");
        assert_eq!(event.time.as_deref(), Some("2026-11-23T05:00:00.000000Z"));
        assert_eq!(event.causation(), Some("p"));
        assert_eq!(event.correlation(), Some("chain"));
        assert_eq!(event.partition_key(), Some("repo"));
        assert_eq!(event.text(attribute::TRACESTATE), Some("vendor=1"));
        let traceparent = event.traceparent().unwrap();
        assert!(traceparent.starts_with(&TRACEPARENT[..36]) && traceparent != TRACEPARENT, "{traceparent}");
    }

    #[test]
    fn a_project_knows_its_own_sources_from_those_of_another() {
        let emitted = emit(vec![returned("a.b")]).unwrap().remove(0).source;
        for (source, expected) in [
            (emitted.as_str(), true),
            (&runtime_source("my shop"), true),
            ("tidegate/my%20shop/a-function-that-is-gone", true),
            ("tidegate/my%20shop-2/gate", false),
            ("tidegate/other/gate", false),
            ("tidegate", false),
            ("/my%20shop", false),
        ] {
            assert_eq!(is_source_of("my shop", source), expected, "{source}");
        }
    }

    #[test]
    fn a_second_attempt_emits_the_same_events_and_each_has_its_own_id_and_span() {
        let events = || emit(vec![returned("a.b"), returned("a.b")]).unwrap();
        assert_eq!(events(), events());
        let events = events();
        assert_ne!(events[0].id, events[1].id);
        assert_ne!(events[0].traceparent(), events[1].traceparent());
    }

    #[test]
    fn a_partition_key_and_a_time_to_deliver_are_the_functions_own() {
        let mut event = returned("a.b");
        for (name, value) in [(attribute::PARTITION_KEY, "own"), (attribute::DELIVER_AT, "2026-11-24T05:00:00Z")] {
            event.extensions.insert(name.to_owned(), Extension::Text(value.to_owned()));
        }
        let event = emit(vec![event]).unwrap().remove(0);
        assert_eq!(event.partition_key(), Some("own"));
        assert_eq!(event.deliver_at(), Some("2026-11-24T05:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_the_hosts_is_refused_from_a_guest() {
        let attributes: [fn(&mut Event); 3] = [
            |event| event.id = "x".into(),
            |event| event.source = "x".into(),
            |event| event.time = Some("2026-11-23T05:00:00Z".into()),
        ];
        for set in attributes {
            let mut event = returned("a.b");
            set(&mut event);
            check_failed(vec![event], FailureKind::BadOutput, "is set by the host");
        }
        for name in HOST_EXTENSIONS {
            let mut event = returned("a.b");
            event.extensions.insert(name.to_owned(), Extension::Text(TRACEPARENT.to_owned()));
            check_failed(vec![event], FailureKind::BadOutput, &format!("attribute {name} is set by the host"));
        }
    }

    #[test]
    fn a_type_that_was_not_granted_fails_the_whole_output_and_names_the_grant() {
        let expected = r#"emitted type "b.c", which it was not granted; add it to grants.emits of function gate"#;
        check_failed(vec![returned("a.b"), returned("b.c")], FailureKind::NotPermitted, expected);
    }

    #[test]
    fn an_output_past_a_limit_or_invalid_fails() {
        check_failed(vec![returned("")], FailureKind::BadOutput, "attribute type: is required");
        check_failed(vec![returned("a.b"); EMITTED_MAX + 1], FailureKind::BadOutput, "emitted 257 events");
        assert!(emit(vec![returned("a.b"); EMITTED_MAX]).is_ok());
        let mut large = returned("a.b");
        large.subject = Some("x".repeat(ATTRIBUTES_BYTES_MAX));
        check_failed(vec![large], FailureKind::BadOutput, "attributes have");
        let mut large = returned("a.b");
        large.data = Some(vec![b' '; EMITTED_BYTES_MAX].into());
        check_failed(vec![large], FailureKind::BadOutput, "B of events, at most");
        let mut late = returned("a.b");
        late.extensions.insert(attribute::DELIVER_AT.into(), Extension::Text("2099-01-01T00:00:00Z".into()));
        check_failed(vec![late], FailureKind::BadOutput, "days ahead");
    }

    #[test]
    fn a_chain_ends_after_too_many_hops_unless_it_waited_or_emits_nothing() {
        let emit = |hops: u32, events: Vec<Event>, at: Timestamp| {
            derive(&parent(hops), "p", &function(&["*"]), events, at).map_err(|failure| failure.kind)
        };
        assert!(emit(HOPS_MAX - 1, vec![returned("a")], now()).is_ok());
        assert_eq!(emit(HOPS_MAX, vec![returned("a")], now()), Err(FailureKind::ChainTooLong));
        assert!(emit(HOPS_MAX, vec![], now()).is_ok());
        assert!(emit(HOPS_MAX, vec![returned("a")], now().plus(HOP_WAIT)).is_ok());
        let later = |at: Timestamp| {
            let at = Extension::Text(at.to_string());
            Event { extensions: [(attribute::DELIVER_AT.to_owned(), at)].into(), ..returned("a") }
        };
        assert!(emit(HOPS_MAX, vec![later(now().plus(HOP_WAIT))], now()).is_ok());
        let mixed = vec![later(now().plus(HOP_WAIT)), later(now())];
        assert_eq!(emit(HOPS_MAX, mixed, now()), Err(FailureKind::ChainTooLong));
        assert_eq!(hops_after(&parent(3), now()), 4);
        assert_eq!(hops_after(&parent(3), now().plus(HOP_WAIT)), 3);
    }
}
