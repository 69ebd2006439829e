//! Refusals at the doors: counted, logged and kept by one function, so that the three cannot disagree.
//!
//! What is kept is what could have brought an event; of a body, only the ids that it told, and nothing that a message quotes of
//! it where anything is redacted.

use axum::http::{HeaderMap, StatusCode};

use super::ApiState;
use super::error::Told;
use crate::bus::{Named, Refusal, Shown};
use crate::event::Event;
use crate::trigger::{named, redacts};

/// Proofs of who sent a request. They are dropped once they were checked, so that no event can hold one.
pub(super) const IDENTITY_HEADERS: [&str; 10] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "webhook-signature",
    "x-api-key",
    "x-gitea-signature",
    "x-gitlab-token",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-signature",
];

/// What is known of a request that could have brought an event, by the time that it is refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub sender: Option<String>,
    pub proof: Shown,
    pub named: Vec<Named>,
}

impl Asked {
    /// What the headers tell before anything was looked at.
    pub fn of(headers: &HeaderMap) -> Self {
        Asked { sender: None, proof: shown(headers), named: named(headers, b"") }
    }
}

/// Whether there is anything that could prove who sent it.
pub(super) fn shown(headers: &HeaderMap) -> Shown {
    match IDENTITY_HEADERS.iter().any(|name| headers.contains_key(*name)) {
        true => Shown::Unverified,
        false => Shown::Nothing,
    }
}

/// What a request's events are known by: as they were read, if they could be, with the deliveries that headers name.
pub(super) fn known(headers: &HeaderMap, body: &[u8], read: Option<Vec<Event>>) -> Vec<Named> {
    let told = named(headers, body);
    let Some(events) = read else { return told };
    let events: Vec<Named> = events.iter().map(Named::of).collect();
    let beside = told.into_iter().filter(|told| events.iter().all(|event| event.id != told.id));
    beside.chain(events.iter().cloned()).collect()
}

/// Counts and logs a refusal, and keeps it where it could have been an event.
pub(super) fn refused(state: &ApiState, door: &str, status: StatusCode, told: &Told, asked: Option<Asked>) {
    state.metrics.rejected(door, told.code, &told.reason);
    if let (Some(bus), Some(Asked { sender, proof, named })) = (&state.bus, asked) {
        let kept = if told.quotes && redacts(&**bus) { &told.reason } else { &told.message };
        bus.keep_refusal(Refusal {
            at: state.clock.now(),
            door: door.to_owned(),
            status: Some(status.as_u16()),
            code: told.code.to_owned(),
            reason: kept.clone(),
            sender,
            proof,
            named,
        });
    }
}

/// What to do so that it is taken in, after what the reason says of it.
pub(super) fn next_step(refusal: &Refusal) -> String {
    let mend = match refusal.code.as_str() {
        "not-found" => "point the sender at the path of a trigger, then ",
        "slow" | "busy" | "unavailable" | "store" | "fault" => "nothing was wrong with it: ",
        _ => "mend that, then ",
    };
    let again = match refusal.sender.as_deref() {
        Some("github") => "redeliver it in the webhook's settings at GitHub",
        Some(_) | None => "send it again",
    };
    format!("{mend}{again}")
}
