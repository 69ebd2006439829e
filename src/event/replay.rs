//! A live replay: an event of the log for real again, as a new event.
//!
//! Three attributes tell of it, and all are the runtime's own: no sender and no function can set them. `replayof` is the
//! id of the event that is said again, `replayto` the one function that is to get it, and `afterreplay`, on all that
//! follows from a live replay, the id of that replay.
//!
//! It is a hop of the original's chain like every other: what a sender said by `correlationid` is content, and a chain
//! grows no longer by replays than by functions. So the limits of a chain hold for it, and its causal tree shows it.

use super::chain::{check_hops, follow, hops_after};
use super::id::{EventKey, derive};
use super::{Accepted, Event, EventError, Extension, Origin, OriginKind, attribute};
use crate::clock::Timestamp;
use crate::deployment::FunctionId;

/// What tells of live replays.
pub const REPLAY_ATTRIBUTES: [&str; 3] = [attribute::REPLAY_OF, attribute::REPLAY_TO, attribute::AFTER_REPLAY];

/// An event that is said again.
///
/// Invariant: made of an event in the log, with its origin, so that whoever asks where it came from is told what was
/// told at first.
#[derive(Debug, Clone)]
pub struct Replay {
    event: Event,
    origin: Origin,
    hops: u32,
}

/// Why an event cannot be said again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A record of an activation activates: said again, it would bring back what ran then.
    #[error("what Tidegate itself recorded is no event to say again")]
    OfRuntime,
    #[error("{0}")]
    Chain(String),
    #[error(transparent)]
    Invalid(#[from] EventError),
}

impl Replay {
    /// Says `original` again at `now`, to one function or to all that ask for it. All that was said stays, but for a
    /// `deliverat`: its time has come.
    pub fn of(original: &Accepted, to: Option<FunctionId>, label: &str, now: Timestamp) -> Result<Replay, ReplayError> {
        if original.origin.kind == OriginKind::Runtime {
            return Err(ReplayError::OfRuntime);
        }
        check_hops(original, now).map_err(|failure| ReplayError::Chain(failure.reason))?;
        let mut event = original.event.clone();
        event.id = replay_id(original.event.key(), to, label);
        for name in [attribute::DELIVER_AT].iter().chain(&REPLAY_ATTRIBUTES) {
            event.extensions.remove(*name);
        }
        follow(&mut event, &original.event);
        // It is a replay itself: what follows from it names it.
        event.extensions.remove(attribute::AFTER_REPLAY);
        let to = to.map(|to| (attribute::REPLAY_TO, to.to_string()));
        for (name, text) in [(attribute::REPLAY_OF, original.event.id.clone())].into_iter().chain(to) {
            event.extensions.insert(name.to_owned(), Extension::Text(text));
        }
        event.validate(now)?;
        Ok(Replay { event, origin: original.origin.clone(), hops: hops_after(original, now) })
    }

    pub fn event(&self) -> &Event {
        &self.event
    }

    pub fn into_parts(self) -> (Event, Origin, u32) {
        (self.event, self.origin, self.hops)
    }
}

/// The id of an event that is said again to `to`, or to all: under the same label it is the same one each time. It differs
/// from every id that a function's emission gets, which is derived of other parts.
pub fn replay_id(original: EventKey, to: Option<FunctionId>, label: &str) -> String {
    let to = to.map(|to| to.to_string()).unwrap_or_default();
    derive(&[b"replay", original.uuid().as_bytes(), to.as_bytes(), label.as_bytes()]).to_string()
}

impl Event {
    /// The id of the event that this one says again.
    pub fn replay_of(&self) -> Option<&str> {
        self.text(attribute::REPLAY_OF)
    }

    /// Whether it says an event again, or follows from one that does.
    pub fn is_of_replay(&self) -> bool {
        self.extensions.contains_key(attribute::REPLAY_OF) || self.extensions.contains_key(attribute::AFTER_REPLAY)
    }

    /// Why nobody but the runtime may bring this event: it claims to be of a live replay.
    pub fn claims_replay(&self) -> Option<String> {
        let claimed = REPLAY_ATTRIBUTES.iter().find(|name| self.extensions.contains_key(**name))?;
        Some(format!("attribute {claimed}: is set by Tidegate alone, by `tidegate replay --live`; leave it out"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::event::{ATTRIBUTES_BYTES_MAX, HOPS_MAX, derived_id};

    fn now() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().unwrap()
    }

    fn original() -> Accepted {
        let mut event = Event { id: "o".into(), source: "/s".into(), ty: "t".into(), ..Event::default() };
        (event.subject, event.time) = (Some("order/7".into()), Some("2026-11-22T05:00:00+01:00".into()));
        event.data = Some("{}".into());
        for (name, text) in [
            (attribute::CORRELATION, "chain"),
            (attribute::CAUSATION, "before"),
            (attribute::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            (attribute::PARTITION_KEY, "order/7"),
            (attribute::SEQUENCE, "12"),
            (attribute::DELIVER_AT, "2026-11-22T06:00:00Z"),
            ("tenant", "acme"),
        ] {
            event.extensions.insert(name.to_owned(), Extension::Text(text.to_owned()));
        }
        let origin = Origin { kind: OriginKind::Trigger, name: "/hooks/shop".into(), verified: true };
        Accepted { position: 7, accepted_at: now().minus(Duration::from_secs(3_600)), origin, hops: 3, event }
    }

    fn function(number: u128) -> Option<FunctionId> {
        Some(FunctionId::from_uuid(Uuid::from_u128(number)))
    }

    fn replay(original: &Accepted, to: Option<FunctionId>) -> Event {
        Replay::of(original, to, "", now()).unwrap().event
    }

    #[test]
    fn a_replay_says_what_was_said_and_what_it_is() {
        let (event, origin, hops) = Replay::of(&original(), function(1), "", now()).unwrap().into_parts();
        assert_eq!((origin, hops), (original().origin, 3), "a replay that came an hour later is no hop");
        let first = original().event;
        assert_eq!((&event.source, &event.ty, &event.subject), (&first.source, &first.ty, &first.subject));
        assert_eq!((&event.time, &event.data), (&first.time, &first.data));
        for name in [attribute::CORRELATION, attribute::PARTITION_KEY, attribute::SEQUENCE, "tenant"] {
            assert_eq!(event.text(name), first.text(name), "{name}");
        }
        assert_eq!((event.causation(), event.replay_of()), (Some("o"), Some("o")));
        assert_eq!(event.text(attribute::REPLAY_TO), Some("00000000-0000-0000-0000-000000000001"));
        assert_eq!(event.deliver_at(), None);
        assert_eq!(replay(&original(), None).text(attribute::REPLAY_TO), None);
    }

    #[test]
    fn an_id_is_of_the_event_the_function_and_the_label() {
        let key = original().event.key();
        let other = Event { id: "p".into(), ..original().event }.key();
        let ids = [
            replay_id(key, None, ""),
            replay_id(key, None, "again"),
            replay_id(key, function(1), ""),
            replay_id(key, function(1), "again"),
            replay_id(key, function(2), ""),
            replay_id(other, None, ""),
            derived_id(key, function(1).unwrap(), 0).to_string(),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        assert_eq!(replay(&original(), None).id, ids[0]);
        let again = Replay::of(&original(), None, "", now().plus(Duration::from_secs(9))).unwrap();
        assert_eq!(again.event.id, ids[0], "whenever it is said");
    }

    #[test]
    fn a_replay_of_a_replay_is_of_that_one_and_for_whom_it_says() {
        let first = Accepted { event: replay(&original(), function(1)), ..original() };
        let second = replay(&first, None);
        assert_eq!(second.replay_of(), Some(first.event.id.as_str()));
        assert_eq!((second.text(attribute::REPLAY_TO), second.text(attribute::AFTER_REPLAY)), (None, None));
    }

    #[test]
    fn what_follows_from_a_replay_names_it() {
        let cause = replay(&original(), None);
        let mut child = Event { id: "c".into(), ..Event::default() };
        follow(&mut child, &cause);
        let mut grandchild = Event { id: "g".into(), ..Event::default() };
        follow(&mut grandchild, &child);
        assert_eq!(grandchild.text(attribute::AFTER_REPLAY), Some(cause.id.as_str()));
        assert!(grandchild.is_of_replay() && grandchild.replay_of().is_none());
        let mut other = Event { id: "x".into(), ..Event::default() };
        follow(&mut other, &original().event);
        assert!(!other.is_of_replay());
    }

    #[test]
    fn what_cannot_be_said_again_says_why() {
        let refused = |original: &Accepted, at: Timestamp| Replay::of(original, None, "", at).unwrap_err();
        let activation = Origin { kind: OriginKind::Runtime, ..original().origin };
        assert_eq!(refused(&Accepted { origin: activation, ..original() }, now()), ReplayError::OfRuntime);
        let long = Accepted { hops: HOPS_MAX, ..original() };
        let reason = refused(&long, long.accepted_at).to_string();
        assert!(reason.contains("chain chain would have 33 hops"), "{reason}");
        assert!(Replay::of(&long, None, "", now()).is_ok());
        let mut large = original();
        let room = ATTRIBUTES_BYTES_MAX - large.event.attributes_bytes() - "pad".len();
        large.event.extensions.insert("pad".into(), Extension::Text("x".repeat(room)));
        assert!(large.event.validate(now()).is_ok());
        assert!(matches!(refused(&large, now()), ReplayError::Invalid(EventError::AttributesTooLarge { .. })));
    }
}
