//! From what the log holds to the JSON of `model`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use serde_json::value::RawValue;

use super::model::{
    CauseView, ComponentView, DeadLetterView, DeploymentView, EventRef, EventView, FirstView, FunctionView, HeldByView,
    HeldView, InvocationView, OutcomeView, PinView, RefusalView, StorageView, TypeView,
};
use super::refused::next_step;
use crate::bus::{
    Cause, DeadLetter, FunctionStatus, HeldBack, HeldBy, Invocation, Refusal, Storage, StoredDeployment, StoredVerdict,
};
use crate::deployment::{Component, Deployment, EventType, Function, FunctionId, Order, Pin, Trigger};
use crate::event::{Accepted, Event, Position, to_json};
use crate::outcome::Failure;

/// Names of functions, of all deployments there ever were: an id keeps the last name that it had.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    by_id: HashMap<FunctionId, String>,
    by_name: HashMap<String, FunctionId>,
}

impl Names {
    /// `deployments` in the order of their numbers.
    pub fn of(deployments: &[StoredDeployment]) -> Self {
        let mut names = Names::default();
        for function in deployments.iter().flat_map(|stored| &stored.deployment.functions) {
            names.by_id.insert(function.id, function.name.to_string());
            names.by_name.insert(function.name.to_string(), function.id);
        }
        names
    }

    /// The last name of a function; its id if no deployment had it.
    pub fn name(&self, id: FunctionId) -> String {
        self.by_id.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// By any name that it had, or its id.
    pub fn id(&self, text: &str) -> Option<FunctionId> {
        let by_id = || self.by_id.keys().find(|id| id.to_string() == text).copied();
        self.by_name.get(text).copied().or_else(by_id)
    }
}

pub(super) fn event_view(accepted: &Accepted) -> EventView {
    let text = String::from_utf8(to_json(&accepted.event)).expect("JSON is UTF-8");
    EventView {
        position: accepted.position,
        acceptedat: accepted.accepted_at,
        origin: accepted.origin.clone(),
        hops: accepted.hops,
        event: RawValue::from_string(text).expect("an event is written as one JSON value"),
    }
}

pub(super) fn event_ref(accepted: &Accepted) -> EventRef {
    EventRef { position: Some(accepted.position), ..waiting_ref(&accepted.event) }
}

/// An event that waits for its `deliverat`.
pub(super) fn waiting_ref(event: &Event) -> EventRef {
    EventRef { id: event.id.clone(), ty: event.ty.clone(), subject: event.subject.clone(), position: None }
}

pub(super) fn refusal_view(refusal: Refusal) -> RefusalView {
    RefusalView { next: next_step(&refusal), refusal }
}

/// Without its effects.
pub(super) fn invocation_view(invocation: &Invocation, names: &Names) -> InvocationView {
    let id = invocation.id;
    let function = names.name(id.function);
    InvocationView {
        id: format!("{}.{function}.{}.{}", id.position, id.round, id.attempt),
        sequence: invocation.sequence,
        position: id.position,
        function,
        function_id: id.function,
        round: id.round,
        attempt: id.attempt,
        outcome: match invocation.verdict {
            StoredVerdict::Delivered => OutcomeView::Delivered,
            StoredVerdict::Retried(at) => OutcomeView::Retried { at },
            StoredVerdict::DeadLettered => OutcomeView::DeadLettered,
        },
        failure: invocation.failure.clone(),
        settledat: invocation.settled_at,
        duration_micros: u64::try_from(invocation.duration.as_micros()).unwrap_or(u64::MAX),
        deployment: invocation.deployment,
        component: invocation.component,
        emitted: invocation.emitted,
        effects: None,
        effects_missing: None,
    }
}

pub(super) fn letter_view(letter: &DeadLetter, names: &Names) -> DeadLetterView {
    let function = names.name(letter.invocation.id.function);
    DeadLetterView {
        id: format!("{}.{function}", letter.event.position),
        state: letter.state.clone(),
        function,
        error: letter.invocation.failure.as_ref().map(Failure::fingerprint),
        invocation: invocation_view(&letter.invocation, names),
        event: event_ref(&letter.event),
    }
}

pub(super) fn component_view(component: &Component) -> ComponentView {
    ComponentView { reference: component.reference.to_string(), digest: component.digest }
}

/// One of all deployments, oldest first: the last is the active one.
pub(super) fn deployment_view(all: &[StoredDeployment], index: usize) -> DeploymentView {
    let stored = &all[index];
    let before = index.checked_sub(1).map(|before| &all[before].deployment);
    let deployment = &stored.deployment;
    let functions = deployment.functions.iter();
    DeploymentView {
        number: deployment.number,
        active: index + 1 == all.len(),
        at: stored.at,
        position: stored.position,
        cause: cause_view(&stored.cause),
        verified: stored.cause.is_verified(),
        digest: deployment.digest,
        functions: functions.map(|one| (one.name.to_string(), component_view(&one.component))).collect(),
        changed: changed(deployment, before),
        triggers: deployment.triggers.iter().map(trigger_line).collect(),
    }
}

pub(super) fn cause_view(cause: &Cause) -> CauseView {
    match cause {
        Cause::ProjectFile => CauseView::ProjectFile,
        Cause::Operator(name) => CauseView::Operator { name: name.clone() },
        Cause::Rollback { to, by, .. } => CauseView::Rollback { to: *to, by: by.clone() },
        Cause::Event(position) => CauseView::Event { position: *position },
    }
}

/// Names of functions that are not the same in both.
fn changed(deployment: &Deployment, before: Option<&Deployment>) -> Vec<String> {
    let names = |one: &Deployment| one.functions.iter().map(|function| function.name.to_string()).collect::<Vec<_>>();
    let all: BTreeSet<String> = names(deployment).into_iter().chain(before.into_iter().flat_map(names)).collect();
    let differs = |name: &String| deployment.function(name) != before.and_then(|before| before.function(name));
    all.into_iter().filter(differs).collect()
}

fn trigger_line(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Webhook(webhook) => format!("webhook {}", webhook.path),
        Trigger::Schedule(schedule) => {
            format!("schedule {} {}", schedule.schedule.cron(), schedule.schedule.timezone())
        }
        Trigger::Bucket(bucket) => format!("bucket {}/{}", bucket.store.bucket, bucket.store.prefix),
        Trigger::Queue(queue) => format!("queue {} {}", queue.stream, queue.subject),
    }
}

fn pin_view(pin: &Pin) -> PinView {
    PinView {
        request: pin.request,
        release: pin.release.clone(),
        config: pin.config.keys().cloned().collect(),
        file: component_view(&pin.file.component),
    }
}

/// A function as `deployment` has it, and what it has done; `status` is none if it never read the log.
pub(super) fn function_view(
    function: &Function,
    deployment: u64,
    active: u64,
    status: Option<&FunctionStatus>,
    running: u64,
) -> FunctionView {
    FunctionView {
        name: function.name.to_string(),
        id: function.id,
        deployed: deployment == active,
        deployment,
        component: component_view(&function.component),
        pin: function.pin.as_ref().map(pin_view),
        on: function.filter.types().iter().map(|pattern| String::from(pattern.clone())).collect(),
        attributes: function.filter.attributes().clone(),
        when: function.filter.when().map(str::to_owned),
        grants: function.grants.clone(),
        concurrency: function.concurrency,
        rate: function.rate,
        limit: function.limit.clone(),
        order: match &function.order {
            Order::None => None,
            Order::Key(key) => Some(key.source().to_owned()),
        },
        retry: function.retry.clone(),
        backlog_max: function.backlog_max,
        supersede: function.supersede.clone(),
        cursor: status.map_or(0, |status| status.position),
        lag: status.map_or(0, |status| status.lag),
        pending: status.map_or(0, |status| status.pending),
        running,
        oldest_waiting: status.and_then(|status| status.oldest_waiting),
        delivered: status.map_or(0, |status| status.delivered),
        failed_attempts: status.map_or(0, |status| status.failed_attempts),
        dead_letters: status.map_or(0, |status| status.dead_letters_open),
    }
}

pub(super) fn storage_view(storage: &Storage, position: Position, names: &Names) -> StorageView {
    let held = |held: &HeldBack| HeldView {
        by: match held.by {
            HeldBy::Lag(function) => HeldByView::Lag { function: names.name(function) },
            HeldBy::Retry(function) => HeldByView::Retry { function: names.name(function) },
            HeldBy::DeadLetter(function) => HeldByView::DeadLetter { function: names.name(function) },
            HeldBy::Dedupe { until } => HeldByView::Dedupe { until },
            HeldBy::NoRule => HeldByView::NoRule,
        },
        position: held.position,
        since: held.since,
        events: held.events,
    };
    StorageView {
        position,
        events_bytes: storage.event_bytes,
        recordings_bytes: storage.recording_bytes,
        dead_letters_bytes: storage.letter_bytes,
        used_bytes: storage.used_bytes,
        free_bytes: storage.free_bytes,
        write_ahead_bytes: storage.write_ahead_bytes,
        max_bytes: storage.disk_bytes_max,
        full: storage.is_at_max(),
        removed_to: storage.removed_to,
        events_held: storage.events_held,
        first: storage.first.map(|(position, acceptedat)| FirstView { position, acceptedat }),
        held: storage.held.iter().map(held).collect(),
    }
}

impl From<&EventType> for TypeView {
    fn from(known: &EventType) -> Self {
        let sample = known.sample();
        let mut paths = BTreeMap::new();
        for (name, value) in sample.as_object().into_iter().flatten() {
            let root = if name == "data" { name.clone() } else { format!("event.{name}") };
            collect_paths(&root, value, &mut paths);
        }
        TypeView {
            name: known.name.to_owned(),
            ty: known.ty.to_owned(),
            about: known.meaning.to_owned(),
            sample,
            paths,
        }
    }
}

/// Every path to a value that is no object, as a filter writes it.
fn collect_paths(path: &str, value: &Value, paths: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let member = if plain { format!("{path}.{name}") } else { format!("{path}[{name:?}]") };
                collect_paths(&member, inner, paths);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            paths.insert(path.to_owned(), value.clone());
        }
    }
}
