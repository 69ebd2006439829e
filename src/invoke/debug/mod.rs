//! Debugging an invocation by running it again: hold it anywhere, look, and go forward or back.
//!
//! An invocation that gets the same answers does the same. So it is run once to its end, and what it passes on the way is
//! kept (`Trace`): where a step goes, forward or back, is looked up there. To be at a place, the guest is run to it, from
//! where it is held or from its start, on an engine of its own whose code can be held (`Run`). What is shown is worked out
//! from a copy of the held guest (`Snapshot`) with the component's debug information (`Symbols`).
//!
//! It knows neither commands nor text for people, nor where the answers come from: `make_host` gives a fresh host for each
//! run. A guest that does otherwise in the next run ends the session with `DebugError::Diverged`.

mod breakpoints;
mod code;
mod coredump;
mod points;
mod profile;
mod run;
mod snapshot;
mod stack;
mod symbols;
mod trace;

use std::sync::Arc;

pub use breakpoints::Breakpoint;
pub use coredump::coredump;
pub use profile::profile;
pub use stack::Frame;
pub use symbols::{Place, Variable};
pub use trace::{Direction, Motion};

use super::bindings::tidegate::handler::types as wit;
use super::{EngineError, convert};
use crate::event::{Accepted, Event};
use crate::host::{Entry, Host, HostFault};
use crate::outcome::{Failure, FailureKind};
use breakpoints::Breakpoints;
use code::Code;
use points::Points;
use run::{Program, Run, Stood};
use snapshot::Snapshot;
use symbols::Symbols;
use trace::Trace;

/// What a component exports, and what the SDK's authors call their function.
const EXPORT: &str = "handle";

#[derive(Debug, thiserror::Error)]
pub enum DebugError {
    #[error("the component cannot be debugged")]
    Engine(#[from] EngineError),
    #[error("the invocation cannot be run again")]
    Fault(#[from] HostFault),
    #[error("the debugger cannot be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the code of the component cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "at step {place} the function did something else than before: what it does depends on more than its event and the answers of its host"
    )]
    Diverged { place: usize },
    #[error("no function is named {name:?}{nearest}")]
    NoFunction { name: String, nearest: String },
    #[error("no source is named {file:?}; there are {files}")]
    NoFile { file: String, files: String },
    #[error("{file} has no code at line {line} or after it")]
    NoLine { file: String, line: u32 },
    #[error("the component has no lines; build it with `tidegate build --debug-info`, or name a function")]
    NoLines,
}

/// An invocation under the debugger, held at a place or at its end.
pub struct Session<'a> {
    codes: Vec<Code<'a>>,
    symbols: Vec<Option<Symbols<'a>>>,
    points: Arc<Points>,
    program: Program,
    event: wit::Event,
    make_host: Box<dyn Fn() -> Host + Send + 'a>,
    trace: Trace,
    effects: Vec<Entry>,
    ending: Result<Vec<Event>, Failure>,
    breakpoints: Breakpoints,
    place: usize,
    run: Option<Run>,
    /// None at the end of an invocation that returned.
    snapshot: Option<Snapshot>,
}

impl<'a> Session<'a> {
    /// Compiles the component anew, runs the invocation to its end, and holds it at its start. Each run has a host
    /// that `make_host` makes; its grants and limits hold.
    pub async fn open(
        component: &'a [u8],
        event: &Accepted,
        make_host: impl Fn() -> Host + Send + 'a,
    ) -> Result<Self, DebugError> {
        Self::open_with(component, event, make_host, |_| {}).await
    }

    async fn open_with(
        component: &'a [u8],
        event: &Accepted,
        make_host: impl Fn() -> Host + Send + 'a,
        set_up: impl FnOnce(&mut Program),
    ) -> Result<Self, DebugError> {
        let codes = code::modules(component).map_err(|error| DebugError::Unreadable(error.into()))?;
        let symbols: Vec<_> = codes.iter().map(Symbols::read).collect();
        let host = make_host();
        let mut program = Program::compile(component, &codes, &host.call().function)?;
        set_up(&mut program);
        let setup = |error: wasmtime::Error| DebugError::Setup(error.into());
        let places = program.stop_at(&points::wanted(&codes, &symbols)).map_err(setup)?;
        let points = Arc::new(Points::new(places, &codes, &symbols, &program.names()));
        let event = convert::to_guest(event);
        let (trace, ending) = Run::survey(&program, points.clone(), event.clone(), host.clone()).await?;
        let effects = host.into_trail().journal.entries().to_vec();
        let (make_host, breakpoints) = (Box::new(make_host), Breakpoints::default());
        let mut session = Session {
            codes,
            symbols,
            points,
            program,
            event,
            make_host,
            trace,
            effects,
            ending,
            breakpoints,
            place: 0,
            run: None,
            snapshot: None,
        };
        session.go_to_start().await?;
        Ok(session)
    }

    /// Holds where the function begins to handle its event; where that cannot be told, at the first line.
    pub async fn go_to_start(&mut self) -> Result<(), DebugError> {
        let handle = self.function(EXPORT).ok().and_then(|points| self.trace.first_at(&points));
        self.go(handle.unwrap_or(self.trace.beginning())).await
    }

    /// Holds at a place: a number of points passed, the same in every session with this component and invocation.
    pub async fn go(&mut self, place: usize) -> Result<(), DebugError> {
        let place = place.min(self.end());
        if place == self.place && self.snapshot.is_some() {
            return Ok(());
        }
        self.snapshot = None;
        let mut run = match self.run.take().filter(|run| run.place() <= place) {
            Some(run) => run,
            None => Run::start(&self.program, self.event.clone(), (self.make_host)())
                .map_err(|error| DebugError::Setup(error.into()))?,
        };
        let stood = match place == self.trace.end() {
            true => run.run_to_end().await?,
            false => run.run_to(place).await?,
        };
        match stood {
            Stood::Held(snapshot) if self.is_at(&snapshot, place) => {
                (self.snapshot, self.run) = (Some(snapshot), Some(run));
            }
            Stood::Ended if place == self.trace.end() => {}
            Stood::Held(_) | Stood::Ended => return Err(DebugError::Diverged { place }),
        }
        self.place = place;
        Ok(())
    }

    /// Whether the guest is where it was when it was at this place before.
    fn is_at(&self, snapshot: &Snapshot, place: usize) -> bool {
        let Some(passed) = self.trace.passed.get(place) else { return self.ending.is_err() };
        let frame = snapshot.frames.first();
        frame.and_then(|frame| self.points.find(frame.module, frame.pc)) == Some(passed.point)
    }

    /// Takes a step and holds where it leads.
    pub async fn step(&mut self, motion: Motion, direction: Direction) -> Result<(), DebugError> {
        let to = self.trace.target(self.place, motion, direction, self.breakpoints.stops());
        self.go(to).await
    }

    /// Holds right before effect `number`, from 1. Answers false where there is none.
    pub async fn go_to_effect(&mut self, number: usize) -> Result<bool, DebugError> {
        let Some(place) = self.trace.before_effect(number) else { return Ok(false) };
        self.go(place).await?;
        Ok(true)
    }

    pub fn place(&self) -> usize {
        self.place
    }

    /// The last place: where it returned or trapped. One that was cut off went on for longer in one run than in another,
    /// so that its last place is the last one that was seen.
    pub fn end(&self) -> usize {
        let is_cut_off = self.ending.as_ref().is_err_and(|failure| failure.kind == FailureKind::TimedOut);
        self.trace.end().saturating_sub(usize::from(is_cut_off))
    }

    /// What the invocation comes to.
    pub fn ending(&self) -> &Result<Vec<Event>, Failure> {
        &self.ending
    }

    /// Every effect of the invocation, and how many of them were made before this place.
    pub fn effects(&self) -> (&[Entry], usize) {
        (&self.effects, self.trace.effects_before(self.place).min(self.effects.len()))
    }

    /// Whether lines and variables are known.
    pub fn has_debug_info(&self) -> bool {
        self.symbols.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests;
