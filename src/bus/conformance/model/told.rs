//! What a bus tells and keeps, in a form that is the same for every bus.

use std::fmt::Debug;

use super::steps::Outcome;
use super::*;
use crate::bus::{
    DeadLetter, FunctionStatus, Invocation, PendingState, Revision, Statistics, StatisticsQuery, Superseded,
};
use crate::deployment::FunctionName;
use crate::event::{Accepted, derive};

/// A delivery, and the revisions that an invocation would have read at its start: of two keys, and of their space.
pub(super) struct Held {
    pub delivery: Delivery,
    pub read: [Revision; 3],
}

/// What a function still has to get; and why it has not, if it is deployed.
pub(super) type Stands = (Position, FunctionName, Option<PendingState>);

const KEYS: [&str; 2] = ["a", "b"];

impl Bench {
    /// Reads what an invocation might.
    pub(super) async fn hold(&self, delivery: Delivery) -> Held {
        let mut read = [0; 3];
        for (key, revision) in KEYS.iter().zip(&mut read) {
            *revision = self.bus.read_key("space", key).await.unwrap().revision;
        }
        read[2] = self.bus.list_keys("space", None, 10).await.unwrap().0;
        Held { delivery, read }
    }

    pub(super) async fn settle(&self, Held { delivery, read: revisions }: Held, outcome: &Outcome) -> Settled {
        let settlement = match outcome {
            Outcome::Ack { emitted, reads, writes } => {
                let scopes = KEYS.map(|key| ReadScope::Key(key.to_owned())).into_iter().chain([ReadScope::Space]);
                let all = scopes.zip(revisions).zip(reads);
                let read = |(scope, revision)| KeyRead { space: "space".to_owned(), scope, revision };
                let returned = emitted.iter().map(|sent| sent.event(self.now())).collect();
                let write = |(second, value): &(bool, Option<u8>)| {
                    let value = value.map(|value| value.to_string().into());
                    KeyWrite { value, ..write(KEYS[usize::from(*second)], "") }
                };
                derive(&delivery.event, "test", &delivery.function, returned, self.now()).map(|emitted| Settlement {
                    emitted,
                    reads: all.filter(|(_, reads)| **reads).map(|(one, _)| read(one)).collect(),
                    writes: writes.iter().map(write).collect(),
                    ..ack()
                })
            }
            Outcome::Retry { after_seconds } => {
                Ok(failed(Decision::RetryAt(self.now().plus(Duration::from_secs(*after_seconds)))))
            }
            Outcome::DeadLetter => Ok(failed(Decision::DeadLetter)),
        };
        let settlement =
            settlement.unwrap_or_else(|failure| Settlement { failure: Some(failure), ..failed(Decision::DeadLetter) });
        self.bus.settle(delivery, settlement).await.unwrap()
    }

    /// What the functions still have to get of these positions, as far as the log goes, and why they have not.
    pub(super) async fn stands(&self, functions: &[Function], of: impl Iterator<Item = Position>) -> Vec<Stands> {
        let tail = self.history.tail().await.unwrap();
        let active = self.bus.active().borrow().clone().expect("one is active");
        let mut stands = Vec::new();
        for position in of.take_while(|position| *position <= tail) {
            for (id, state) in self.history.pending(position).await.unwrap() {
                let function = functions.iter().find(|function| function.id == id).expect("there is no other");
                // Nobody counts what stands before an event of a function that is not deployed.
                let state = Some(state).filter(|_| active.function_by_id(id).is_some());
                stands.push((position, function.name.clone(), state));
            }
        }
        stands.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        stands
    }

    /// All that the log has of one event. `all`: where no event is removed.
    pub(super) async fn kept_at(&self, position: Position, all: &dyn History) -> Vec<String> {
        let history = &self.history;
        let Some(accepted) = history.event_at(position).await.unwrap() else { return Vec::new() };
        let mut kept = vec![said(accepted)];
        kept.extend(history.attempts(position).await.unwrap().into_iter().map(attempted));
        for Superseded { function, by, at, deployment } in history.superseded(position).await.unwrap() {
            // Of events that are equally new any may be named.
            let by = all.event_at(by).await.unwrap().expect("it was accepted").event;
            kept.push(format!("{function} {deployment} {at} by {:?}", by.text("sequence")));
        }
        let letters = history.dead_letters(None, LETTERS_MAX).await.unwrap();
        let letters = letters.into_iter().filter(|letter| letter.invocation.id.position == position);
        let mut letters: Vec<String> = letters.map(letter).collect();
        letters.sort_unstable();
        kept.extend(letters);
        kept
    }

    /// Whether an event is old enough to be removed, and nothing holds it.
    pub(super) async fn needs_no_more(&self, position: Position) -> bool {
        let history = &self.history;
        let accepted = history.event_at(position).await.unwrap().expect("the reference keeps everything");
        let letters = history.open_letters(None, None, LETTERS_MAX).await.unwrap();
        self.now().since(accepted.accepted_at) >= KEPT
            && history.pending(position).await.unwrap().is_empty()
            && !letters.iter().any(|letter| letter.position == position)
            && accepted.origin.kind != OriginKind::Runtime
            && position < history.tail().await.unwrap()
    }

    /// All that a log has beside its events.
    pub(super) async fn kept(&self, functions: &[Function]) -> Vec<String> {
        let history = &self.history;
        let mut kept = Vec::new();
        for key in self.bus.list_keys("space", None, 10).await.unwrap().1 {
            kept.push(format!("{key} {:?}", self.value(&key).await));
        }
        for FunctionStatus { function, pending, delivered, failed_attempts, dead_letters_open, .. } in
            history.functions().await.unwrap()
        {
            kept.push(format!("{function} {pending} {delivered} {failed_attempts} {dead_letters_open}"));
        }
        for Function { id, .. } in functions {
            kept.push(format!("{:?}", history.judged(*id).await.unwrap()));
        }
        kept
    }

    pub(super) async fn counted(&self, functions: &[Function]) -> Vec<Statistics> {
        let mut counted = Vec::new();
        for Function { id, .. } in functions {
            let query = StatisticsQuery { function: *id, component: ack().component, from: 1, to: None };
            counted.push(self.history.statistics(query).await.unwrap());
        }
        counted
    }
}

pub(super) fn delivered(delivery: &Delivery) -> impl PartialEq + Debug + use<> {
    let Delivery { event, function, attempt, round, first_attempt_at, lost, guard: _ } = delivery;
    let said = said(Accepted::clone(event));
    (said, function.name.clone(), function.deployment().number, (*attempt, *round, *lost), *first_attempt_at)
}

/// An event without what chance gives it.
fn said(mut accepted: Accepted) -> String {
    accepted.event.extensions.remove("traceparent");
    if accepted.origin.kind == OriginKind::Runtime {
        accepted.event.id.clear();
        accepted.event.extensions.remove("correlationid");
    }
    format!("{accepted:?}")
}

fn attempted(invocation: Invocation) -> String {
    // In which order what was lost is counted is nobody's to say.
    format!("{:?}", Invocation { sequence: 0, ..invocation })
}

fn letter(letter: DeadLetter) -> String {
    format!("{} {:?} {}", said(Accepted::clone(&letter.event)), letter.state, attempted(letter.invocation))
}

pub(super) fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}")),
    }
}
