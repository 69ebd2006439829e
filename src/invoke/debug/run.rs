//! One run of an invocation that can be held at a point, and the program that is run.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use wasmtime::component::Component;
use wasmtime::{DebugEvent, DebugHandler, Module, ModulePC, Store, StoreContextMut, Trap, UpdateDeadline};

use super::super::bindings::{FunctionPre, tidegate::handler::types as wit};
use super::super::guest::Guest;
use super::super::link::{GrantSet, Linkers};
use super::super::ticker::{Beating, Ticker};
use super::super::{EngineError, settings};
use super::code::Code;
use super::points::Points;
use super::snapshot::{Snapshot, frames, place};
use super::trace::Trace;
use crate::deployment::{Digest, Function};
use crate::event::Event;
use crate::host::{Ended, Host, HostFault};
use crate::outcome::{Failure, FailureKind};

/// The longest that a guest runs at a stretch: what it does in a second takes it several here. Held, it takes no time.
const STRETCH_MAX: Duration = Duration::from_secs(30);
/// Points of an invocation that are kept, of eight bytes each.
const POINTS_MAX: usize = 10_000_000;
/// Runs to where the guest traps, if it does.
const TO_THE_END: usize = usize::MAX;

/// A component, compiled so that it can be held.
pub(super) struct Program {
    linked: FunctionPre<Guest>,
    component: Component,
    pub modules: Vec<Module>,
    /// Module and pc.
    stops: Vec<(usize, u32)>,
    ticker: Ticker,
    /// A run that passes more is cut off.
    pub points_max: usize,
}

type Returned = Result<Vec<Event>, Failure>;

impl Program {
    /// `codes`: the modules in the component, whose order is that of the program's.
    pub fn compile(bytes: &[u8], codes: &[Code<'_>], function: &Function) -> Result<Self, EngineError> {
        let setup = |error: wasmtime::Error| EngineError::Setup(error.into());
        let wasm = settings::debugging().map_err(setup)?;
        let (digest, linkers) = (Digest::of(bytes), Linkers::default());
        let compiled = super::super::compile(&wasm, None, &linkers, digest, bytes)?;
        let linked = compiled.link(&wasm, &linkers, GrantSet::of(function))?.clone();
        let component = compiled.code.component.clone();
        let mut scratch = Store::new(&wasm, ());
        scratch.debug_register_component(&component).map_err(setup)?;
        let known = scratch.debug_all_modules();
        let same = |code: &Code<'_>| known.iter().find(|module| module.debug_bytecode() == Some(code.bytes)).cloned();
        let modules: Option<Vec<Module>> = codes.iter().map(same).collect();
        let modules = modules.expect("an engine for debugging keeps the bytes that it compiled");
        let ticker = Ticker::start(wasm).map_err(|error| EngineError::Setup(error.into()))?;
        Ok(Program { linked, component, modules, stops: Vec::new(), ticker, points_max: POINTS_MAX })
    }

    /// The modules' names.
    pub fn names(&self) -> Vec<String> {
        self.modules.iter().map(|module| module.name().unwrap_or_default().to_owned()).collect()
    }

    /// Has every run pass these places, and answers where the engine put them.
    pub fn stop_at(&mut self, wanted: &[(usize, u32)]) -> wasmtime::Result<Vec<(usize, u32)>> {
        let mut scratch = Store::new(self.linked.engine(), ());
        scratch.debug_register_component(&self.component)?;
        self.stops = wanted.to_vec();
        arm(&mut scratch, &self.modules, &self.stops)?;
        let numbers: HashMap<u64, usize> =
            self.modules.iter().enumerate().map(|(index, module)| (module.debug_index_in_engine(), index)).collect();
        let stops = scratch.breakpoints().into_iter().flatten();
        self.stops = stops.map(|stop| (numbers[&stop.module.debug_index_in_engine()], stop.pc.raw())).collect();
        Ok(self.stops.clone())
    }
}

fn arm<T: 'static>(store: &mut Store<T>, modules: &[Module], stops: &[(usize, u32)]) -> wasmtime::Result<()> {
    let mut edit = store.edit_breakpoints().expect("the engine is one for debugging");
    stops.iter().try_for_each(|(module, pc)| edit.add_breakpoint(&modules[*module], ModulePC::new(*pc)))
}

/// A run, held or ended. Dropping it ends the guest.
pub(super) struct Run {
    guest: Pin<Box<dyn Future<Output = Result<Returned, HostFault>> + Send>>,
    watch: Arc<Watch>,
    held: mpsc::Receiver<Snapshot>,
    is_held: bool,
    _beating: Beating,
}

/// Where a run stands.
pub(super) enum Stood {
    Held(Snapshot),
    Ended,
}

impl Run {
    pub fn start(program: &Program, event: wit::Event, host: Host) -> wasmtime::Result<Self> {
        Run::watched(program, event, host, None)
    }

    /// Runs the whole invocation and notes what it passes.
    pub async fn survey(
        program: &Program,
        points: Arc<Points>,
        event: wit::Event,
        host: Host,
    ) -> Result<(Trace, Returned), HostFault> {
        let survey = Survey { points, trace: Trace::default() };
        let run = Run::watched(program, event, host.clone(), Some(survey))
            .map_err(|error| HostFault::Engine(error.into()))?;
        let returned = run.guest.await?;
        let mut survey = lock(&run.watch.survey).take().expect("it was there when the run began");
        survey.trace.performed(host.performed());
        Ok((survey.trace, returned))
    }

    fn watched(program: &Program, event: wit::Event, host: Host, survey: Option<Survey>) -> wasmtime::Result<Self> {
        let (limits, replayed) = (host.call().function.limits.clone(), host.clone());
        let fuel = host.instructions_max().unwrap_or(u64::MAX);
        let mut store = super::super::store(program.linked.engine(), host, fuel);
        store.debug_register_component(&program.component)?;
        arm(&mut store, &program.modules, &program.stops)?;
        let (send, held) = mpsc::channel(1);
        let watch = Arc::new(Watch {
            modules: program.modules.clone(),
            points_max: program.points_max,
            survey: Mutex::new(survey),
            passed: AtomicUsize::new(0),
            // A survey is held nowhere.
            goal: AtomicUsize::new(0),
            deadline: Mutex::new(Instant::now() + STRETCH_MAX),
            held: send,
            go: Notify::new(),
        });
        store.set_debug_handler(Watcher(watch.clone()));
        let over = watch.clone();
        store.epoch_deadline_callback(move |context| match over.is_over() || context.data().is_stopped() {
            true => Ok(UpdateDeadline::Interrupt),
            false => Ok(UpdateDeadline::Yield(1)),
        });
        let linked = program.linked.clone();
        let guest = Box::pin(async move {
            let call = async {
                let instance = linked.instantiate_async(&mut store).await?;
                instance.call_handle(&mut store, &event).await
            };
            let returned = call.await;
            let guest = store.data_mut();
            guest.stdio.finish();
            match super::super::result(guest, &limits, Some(returned)) {
                Err(HostFault::ReplayEnded) => Ok(Err(ended(&replayed))),
                returned => returned,
            }
        });
        Ok(Run { guest, watch, held, is_held: false, _beating: program.ticker.beating() })
    }

    /// Points that were passed: one less than the number of the next, from which a run can go on.
    pub fn place(&self) -> usize {
        self.watch.passed.load(Ordering::Relaxed)
    }

    /// Runs on to the point with this number, from 0.
    pub async fn run_to(&mut self, place: usize) -> Result<Stood, HostFault> {
        self.run(place + 1).await
    }

    /// Runs on to where it traps, or to its end.
    pub async fn run_to_end(&mut self) -> Result<Stood, HostFault> {
        self.run(TO_THE_END).await
    }

    async fn run(&mut self, goal: usize) -> Result<Stood, HostFault> {
        self.watch.goal.store(goal, Ordering::Relaxed);
        *lock(&self.watch.deadline) = Instant::now() + STRETCH_MAX;
        if std::mem::take(&mut self.is_held) {
            self.watch.go.notify_one();
        }
        // Both are cancel-safe: the guest is polled where it stands, a snapshot that was not taken stays in its channel.
        tokio::select! {
            biased;
            Some(snapshot) = self.held.recv() => {
                self.is_held = true;
                Ok(Stood::Held(snapshot))
            }
            returned = &mut self.guest => returned.map(|_| Stood::Ended),
        }
    }
}

struct Survey {
    points: Arc<Points>,
    trace: Trace,
}

struct Watch {
    modules: Vec<Module>,
    points_max: usize,
    survey: Mutex<Option<Survey>>,
    passed: AtomicUsize,
    /// Hold when so many were passed.
    goal: AtomicUsize,
    deadline: Mutex<Instant>,
    held: mpsc::Sender<Snapshot>,
    go: Notify,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.passed.load(Ordering::Relaxed) >= self.points_max || Instant::now() >= *lock(&self.deadline)
    }

    fn note(&self, store: &mut StoreContextMut<'_, Guest>) {
        let mut survey = lock(&self.survey);
        let Some(Survey { points, trace }) = &mut *survey else { return };
        let innermost = store.debug_exit_frames().next();
        let place = innermost.and_then(|frame| place(store, &frame).ok().flatten());
        let point = place.and_then(|(module, pc)| {
            let module = self.modules.iter().position(|known| known.debug_index_in_engine() == module)?;
            points.find(module, pc)
        });
        let point = point.expect("a guest is held only where it was asked for");
        trace.performed(store.data().host.performed());
        let depth = if points.all[point as usize].own { frames(store).len() } else { 0 };
        trace.push(points, point, depth);
    }

    async fn hold(&self, store: &mut StoreContextMut<'_, Guest>, unready: usize) {
        let snapshot =
            Snapshot::take(store, &self.modules, unready).expect("the frames of a guest that is held can be read");
        if self.held.send(snapshot).await.is_ok() {
            self.go.notified().await;
        }
    }
}

#[derive(Clone)]
struct Watcher(Arc<Watch>);

impl DebugHandler for Watcher {
    type Data = Guest;

    async fn handle(&self, mut store: StoreContextMut<'_, Guest>, event: DebugEvent<'_>) {
        let watch = &*self.0;
        match event {
            DebugEvent::Breakpoint => {
                let passed = watch.passed.fetch_add(1, Ordering::Relaxed) + 1;
                watch.note(&mut store);
                if passed == watch.goal.load(Ordering::Relaxed) {
                    watch.hold(&mut store, 0).await;
                }
            }
            DebugEvent::Trap(_) | DebugEvent::HostcallError(_) if watch.goal.load(Ordering::Relaxed) != TO_THE_END => {}
            // The frame for which there was no room on the stack has nothing in it yet, and reading it ends the process.
            DebugEvent::Trap(Trap::StackOverflow) => watch.hold(&mut store, 1).await,
            DebugEvent::Trap(_) | DebugEvent::HostcallError(_) => watch.hold(&mut store, 0).await,
            DebugEvent::Exception(_) | DebugEvent::EpochYield => {}
        }
    }
}

/// What ended a run whose recording goes no further.
fn ended(host: &Host) -> Failure {
    match host.ended() {
        Some(Ended::Unanswered(unanswered)) => {
            let (number, asked) = (unanswered.after + 1, unanswered.asked.name());
            Failure::new(FailureKind::Trapped, format!("the recording has no answer to effect {number}, {asked}"))
        }
        Some(Ended::Waited) | None => Failure::timed_out(host.call().function.limits.time_max),
    }
}

/// A panic elsewhere leaves these values whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
