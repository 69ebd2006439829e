//! Running a recorded attempt again: same stamps, answers from the recording.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::redacted::Redacting;
use super::{Recorded, Recording, stamp};
use crate::bus::InvocationId;
use crate::clock::Timestamp;
use crate::deployment::{ConfigValue, DeployedFunction, Deployment, NativeKind};
use crate::event::{Accepted, Event, EventKey};
use crate::host::{Call, Ended, Host, HostFault, Journal, Missing, Script, Unanswered};
use crate::invoke::{Compiled, Engine, Used};
use crate::outcome::{Failure, FailureKind};

/// Instructions that an exact replay may take beyond what was recorded: an attempt ends by itself or differs long before.
const INSTRUCTIONS_SPARE: u64 = 1_000_000;

/// A recorded attempt, with all but its component that it takes to run it again.
#[derive(Debug, Clone)]
pub struct Case {
    pub id: InvocationId,
    pub event: Accepted,
    /// As the deployment that ran it has it.
    pub function: DeployedFunction,
    pub recording: Recording,
    /// Of the recorded event, whatever stands in its place: chance and `Idempotency-Key`s follow from it.
    event_key: EventKey,
}

/// Why a recorded attempt cannot be run again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    #[error("{0} is part of the runtime and asks no host, so there is nothing to answer again")]
    Native(NativeKind),
    #[error("its recording was too large and is cut off ([recording] bytes_max)")]
    Truncated,
    #[error("the process ended while it ran, so nothing was recorded of it")]
    HostLost,
    #[error("deployment {deployment} has no function {function}")]
    NoFunction { deployment: u64, function: String },
    #[error("its recording is of another attempt: {0} differs")]
    Other(&'static str),
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Its events, stamped as the recorded ones were.
    Completed(Vec<Event>),
    Failed(Failure),
    /// At an effect that the recording has no answer to.
    Unanswered(Box<Unanswered>),
}

/// One attempt, run again.
#[derive(Debug, Clone)]
pub struct Replayed {
    pub ending: Ending,
    pub journal: Journal,
    pub used: Used,
}

impl Case {
    /// Errors: what can never be run again.
    pub fn new(
        id: InvocationId,
        event: Accepted,
        deployment: Arc<Deployment>,
        recording: Recording,
    ) -> Result<Self, NotReplayable> {
        let number = deployment.number;
        let missing = || NotReplayable::NoFunction { deployment: number, function: id.function.to_string() };
        let function = DeployedFunction::find(deployment, id.function).ok_or_else(missing)?;
        if let Some(native) = function.component.native() {
            return Err(NotReplayable::Native(native));
        }
        let named = [
            ("the deployment", recording.deployment == number),
            ("the function", recording.function == id.function),
            ("the round", recording.round == id.round),
            ("the attempt", recording.attempt == id.attempt),
        ];
        if let Some((what, _)) = named.iter().find(|(_, same)| !same) {
            return Err(NotReplayable::Other(what));
        }
        if recording.truncated {
            return Err(NotReplayable::Truncated);
        }
        if let Recorded::Failed(Failure { kind: FailureKind::HostLost, .. }) = recording.outcome {
            return Err(NotReplayable::HostLost);
        }
        let event_key = event.event.key();
        Ok(Case { id, event, function, recording, event_key })
    }

    /// The same with other values of its function's configuration.
    pub fn with_config(mut self, values: &BTreeMap<String, String>) -> Self {
        let mut deployment = Deployment::clone(self.function.deployment());
        let mut functions: Vec<_> = deployment.functions.to_vec();
        for function in functions.iter_mut().filter(|function| function.id == self.id.function) {
            let values = values.iter().map(|(key, text)| (key.clone(), ConfigValue { text: text.clone(), file: None }));
            function.config.extend(values);
        }
        deployment.functions = functions.into();
        self.function =
            DeployedFunction::find(Arc::new(deployment), self.id.function).expect("the function was there before");
        self
    }

    /// Answers for the code and the input that were recorded.
    pub fn exact(&self) -> Script {
        let recording = &self.recording;
        let spare = if self.timed_out() { 0 } else { INSTRUCTIONS_SPARE };
        Script::Exact {
            journal: Arc::new(recording.journal.clone()),
            instructions_max: recording.instructions.map(|instructions| instructions.saturating_add(spare)),
        }
    }

    /// Answers for other code or another input.
    pub fn matched(&self, missing: Option<Arc<dyn Missing>>) -> Script {
        Script::Matched { journal: Arc::new(self.recording.journal.clone()), missing }
    }

    /// Whether the time limit ended the recorded run after so many effects: nobody knows what it would have asked next.
    fn was_cut_off_at(&self, effects: usize) -> bool {
        self.timed_out() && effects == self.recording.journal.entries().len()
    }

    fn timed_out(&self) -> bool {
        matches!(&self.recording.outcome, Recorded::Failed(failure) if failure.kind == FailureKind::TimedOut)
    }

    /// Recordings of version 1 tell it by their events alone.
    fn stamped_at(&self) -> Timestamp {
        let of_event = || {
            let emitted = self.recording.outcome.emitted().ok()?;
            emitted.first()?.time.as_deref()?.parse().ok()
        };
        self.recording.stamped_at.or_else(of_event).unwrap_or(self.recording.wall_start)
    }

    /// What a host answers it with.
    pub fn call(&self) -> Call {
        Call { function: self.function.clone(), event_key: self.event_key, wall_start: self.recording.wall_start }
    }
}

/// Runs a case again with a component, answered by `script`. It commits nothing, and reaches nothing that `script` does not.
/// What it did is redacted as the recorded run was.
pub async fn replay(engine: &Engine, compiled: &Compiled, case: &Case, script: Script) -> Result<Replayed, HostFault> {
    let mut redacting = Redacting::new(&case.function.deployment().recording.redact);
    let host = Host::replay(script, case.call());
    let invoked = engine.invoke(compiled, &case.event, host.clone()).await;
    let Some(ended) = host.ended() else {
        let mut invoked = invoked?;
        let returned = redacting.returned(invoked.result);
        redacting.journal(&mut invoked.trail.journal);
        let ending = match stamp(&case.event, &case.function, returned, case.stamped_at()) {
            Ok(emitted) => Ending::Completed(emitted),
            Err(failure) => Ending::Failed(failure),
        };
        return Ok(Replayed { ending, journal: invoked.trail.journal, used: invoked.used });
    };
    let ending = match ended {
        Ended::Unanswered(mut unanswered) if !case.was_cut_off_at(unanswered.after) => {
            redacting.effect(&mut unanswered.asked);
            Ending::Unanswered(unanswered)
        }
        Ended::Unanswered(_) | Ended::Waited => Ending::Failed(Failure::timed_out(case.function.limits.time_max)),
    };
    // A guest may not hear of it, as of a line that it prints, and run on to its end.
    let (mut journal, used) = match invoked {
        Ok(invoked) => (invoked.trail.journal, invoked.used),
        Err(_) => (host.into_trail().journal, Used::default()),
    };
    redacting.journal(&mut journal);
    Ok(Replayed { ending, journal, used })
}
