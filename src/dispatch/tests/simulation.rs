//! The path over a bus that fails, in virtual time and on one thread: all that happens follows from a seed, so that one that
//! fails can be repeated.
//!
//! Senders send until they are told that it was accepted; the bus loses, repeats, delays and reorders (`bus::faulty`);
//! invocations take their time, end as a script says, and meet faults of ours; and the process dies now and then. At the
//! end the log tells whether every promise was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use futures_util::FutureExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tokio::time::Instant;
use uuid::Uuid;

use super::*;
use crate::bus::faulty::Faulty;
use crate::bus::reference::{Memory, Reference};
use crate::bus::{Invocation, InvocationId, InvocationQuery, KeyRead, KeyWrite, ReadScope};
use crate::clock::Timestamp;
use crate::deployment::Deployment;
use crate::event::{Extension, attribute, derive, derived_id};
use crate::record::Ran;

/// Unless `TIDEGATE_CASES` says otherwise.
const SEEDS: u64 = 10_000;
/// Every so many, a seed is run twice.
const TWICE_EVERY: u64 = 100;
/// In virtual time: whatever takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(3_600);
const LATE_MAX: Duration = Duration::from_millis(1_500);
/// At the third death an event goes to the dead letters.
const DEATHS_MAX: u64 = 2;
const GUESTS_AT_ONCE_MAX: usize = 3;
const START: Timestamp = Timestamp::EPOCH;

const PROJECT: &str = r#"
    name = "sim"
    [[function]]
    name = "count"
    component = "builtin:count"
    on = ["org.shop.order"]
    grants = { keyvalue = { write = ["counts"] }, emits = ["org.shop.counted"] }
    retry = { attempts = 3, initial = "500ms" }
    concurrency = 8
    [[function]]
    name = "audit"
    component = "builtin:audit"
    on = ["org.shop.order"]
    grants = { keyvalue = { read = ["counts"] } }
    retry = { attempts = 2, initial = "500ms" }
    concurrency = 2
    [[function]]
    name = "ship"
    component = "builtin:ship"
    on = ["org.shop.order", "org.shop.counted"]
    grants = { emits = ["org.shop.shipped"] }
    retry = { attempts = 4, initial = "200ms", jitter = false }
    order = "partitionkey"
    [[function]]
    name = "bill"
    component = "native:process"
    on = ["org.shop.shipped"]
    grants = { emits = ["org.shop.billed"] }
    limits = { time = "2s" }
    retry = { attempts = 3, initial = "1s" }
    concurrency = 1
"#;

fn deployment() -> &'static Deployment {
    static DEPLOYMENT: OnceLock<Deployment> = OnceLock::new();
    let read = || {
        let (manifest, problems) = Manifest::parse(PROJECT, &Shipped);
        let deployment = plan(&BTreeMap::new(), &manifest.unwrap_or_else(|| panic!("{problems:?}"))).unwrap();
        let id = |number: u128| FunctionId::from_uuid(Uuid::from_u128(number));
        let functions = deployment.functions.iter().zip(1..);
        let functions: Vec<_> =
            functions.map(|(function, number)| Function { id: id(number), ..function.clone() }).collect();
        Deployment { functions: functions.into(), ..deployment }
    };
    DEPLOYMENT.get_or_init(read)
}

/// What an attempt does: the same whenever it is made.
struct Script {
    takes: Duration,
    /// Why it fails; none: it emits so many.
    ends: Result<usize, FailureKind>,
}

impl Script {
    fn of(seed: u64, function: &Function, event: &Event, attempt: u32) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, function.name.as_str(), &event.id, attempt).hash(&mut hasher);
        let bits = hasher.finish();
        let part = |shift: u32, of: u64| (bits >> shift) % of;
        let ends = match (function.name.as_str(), part(16, 20)) {
            (_, 0..3) => Err(FailureKind::Retry),
            (_, 3) => Err(FailureKind::Trapped),
            (_, 4) => Err(FailureKind::Rejected),
            ("bill", 5) => Err(FailureKind::TimedOut),
            ("count", _) => Ok(1),
            ("audit", _) => Ok(0),
            _ => Ok(part(32, 3) as usize),
        };
        Script { takes: Duration::from_millis(part(0, 1_200)), ends }
    }

    fn emitted(&self, ty: &str) -> Vec<Event> {
        let count = self.ends.unwrap_or(0);
        (0..count).map(|_| Event { ty: ty.to_owned(), ..Event::default() }).collect()
    }
}

/// All that outlives a process, and what was seen.
struct Scene {
    seed: u64,
    memory: Memory,
    clock: Clock,
    random: Mutex<ChaCha8Rng>,
    /// None: nobody asks for it.
    trace: Option<Mutex<Vec<String>>>,
    starts: Mutex<BTreeMap<InvocationId, Timestamp>>,
    broken: Mutex<Vec<String>>,
    tasks: Tasks,
}

impl Scene {
    fn note(&self, what: impl std::fmt::Display) {
        if let Some(trace) = &self.trace {
            trace.lock().unwrap().push(format!("{} {what}", self.clock.now()));
        }
    }

    fn breaks(&self, promise: impl std::fmt::Display) {
        self.note(&promise);
        self.broken.lock().unwrap().push(promise.to_string());
    }

    fn chance(&self, of: u64) -> u64 {
        self.random.lock().unwrap().next_u64() % of
    }
}

/// One life of the process.
struct Process {
    reference: Arc<Reference>,
    faulty: Arc<Faulty>,
    invoker: Arc<Invoker>,
}

impl Process {
    fn start(scene: &Arc<Scene>) -> Self {
        let reference = Arc::new(scene.memory.open(scene.clock.clone(), PATIENCE));
        let faulty = Arc::new(Faulty::late(reference.clone(), scene.chance(u64::MAX), LATE_MAX));
        let running = Mutex::new(Some(Running::default()));
        let invoker = Arc::new(Invoker { scene: scene.clone(), bus: faulty.clone(), running });
        let natives = Natives { process: invoker.clone(), reconcile: invoker.clone() };
        let path = Arc::new(Path {
            bus: faulty.clone(),
            guests: invoker.clone(),
            natives: Arc::new(natives),
            clock: scene.clock.clone(),
            metrics: metrics(),
            process: RwLock::default(),
        });
        for function in deployment().functions.iter() {
            let (path, subscription) = (path.clone(), faulty.subscribe(function.id));
            scene.tasks.spawn(serve(path, function.id, subscription, scene.tasks.clone()));
        }
        Process { reference, faulty, invoker }
    }

    /// Its tasks go on, for themselves: nobody hears of them.
    fn die(&self) {
        self.faulty.die();
        *self.invoker.running.lock().unwrap() = None;
    }
}

/// One for all: making them takes longer than a seed.
fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(Metrics::new).clone()
}

/// Runs functions as the script says, guests and natives.
struct Invoker {
    scene: Arc<Scene>,
    bus: Arc<Faulty>,
    /// How many of each function run, and whether one of them has to be alone; none: the process is dead.
    running: Mutex<Option<Running>>,
}

#[derive(Default)]
struct Running {
    each: BTreeMap<FunctionId, usize>,
    guests: usize,
    alone: bool,
}

/// An invocation in flight.
struct InFlight<'a> {
    invoker: &'a Invoker,
    delivery: &'a Delivery,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.invoker.left(self.delivery);
    }
}

fn id(delivery: &Delivery) -> InvocationId {
    let (position, function) = (delivery.event.position, delivery.function.id);
    InvocationId { position, function, round: delivery.round, attempt: delivery.attempt }
}

impl Invoker {
    fn enter<'a>(&'a self, delivery: &'a Delivery) -> InFlight<'a> {
        let (function, scene) = (&delivery.function, &self.scene);
        let mut running = self.running.lock().unwrap();
        let Some(running) = running.as_mut() else { return InFlight { invoker: self, delivery } };
        scene.note(format_args!("{} starts {} (lost {})", function.name, id(delivery), delivery.lost));
        scene.starts.lock().unwrap().entry(id(delivery)).or_insert(scene.clock.now());
        let is_guest = function.component.native().is_none();
        let most = if is_guest { GUESTS_AT_ONCE_MAX } else { usize::MAX }.min(function.concurrency as usize);
        let each = running.each.entry(function.id).or_default();
        *each += 1;
        if *each > most {
            scene.breaks(format_args!("{} runs {each} at once, and {most} at most", function.name));
        }
        if is_guest {
            let has_to_be_alone = delivery.lost >= LOST_BEFORE_ALONE;
            if running.guests > 0 && (running.alone || has_to_be_alone) {
                scene.breaks(format_args!("{} does not run alone", id(delivery)));
            }
            running.guests += 1;
            running.alone |= has_to_be_alone;
        }
        InFlight { invoker: self, delivery }
    }

    fn left(&self, delivery: &Delivery) {
        if let Some(running) = self.running.lock().unwrap().as_mut() {
            *running.each.get_mut(&delivery.function.id).expect("it was entered") -= 1;
            if delivery.function.component.native().is_none() {
                running.guests -= 1;
                running.alone = false;
            }
            self.scene.note(format_args!("{} ends {}", delivery.function.name, id(delivery)));
        }
    }

    /// Does what the script says, but for what it emits; or meets a fault of ours.
    async fn play(&self, delivery: &Delivery) -> Result<Script, Fault> {
        let script = Script::of(self.scene.seed, &delivery.function, &delivery.event.event, delivery.attempt);
        tokio::time::sleep(script.takes).await;
        if self.scene.chance(12) == 0 {
            return Err("a fault of ours".into());
        }
        Ok(script)
    }

    async fn read_count(&self) -> Result<(KeyRead, u64), Fault> {
        let found = self.bus.read_key("counts", "n").await?;
        let count = found.value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
        let scope = ReadScope::Key("n".to_owned());
        Ok((KeyRead { space: "counts".to_owned(), scope, revision: found.revision }, count))
    }
}

#[async_trait]
impl Invoke for Invoker {
    fn at_once_max(&self) -> Option<usize> {
        Some(GUESTS_AT_ONCE_MAX)
    }

    async fn invoke(&self, delivery: &Delivery, now: Timestamp) -> Result<Ran, Fault> {
        let _in_flight = self.enter(delivery);
        let function = &delivery.function;
        let (mut reads, mut writes, mut data) = (Vec::new(), Vec::new(), None);
        if !function.grants.keyvalue_read.is_empty() || !function.grants.keyvalue_write.is_empty() {
            let (read, count) = self.read_count().await?;
            reads.push(read);
            if !function.grants.keyvalue_write.is_empty() {
                let value = Bytes::from((count + 1).to_string());
                data = Some(value.clone());
                writes.push(KeyWrite { space: "counts".to_owned(), key: "n".to_owned(), value: Some(value) });
            }
        }
        let script = self.play(delivery).await?;
        let outcome = match script.ends {
            Err(kind) => Outcome::Failed(Failure::new(kind, "as the script says")),
            Ok(_) => {
                let ty = function.grants.emits.first().map_or("", String::as_str);
                let mut returned = script.emitted(ty);
                returned.iter_mut().for_each(|event| event.data.clone_from(&data));
                let emitted = derive(&delivery.event, "sim", function, returned, now);
                Outcome::Completed { emitted: emitted.unwrap() }
            }
        };
        if let Outcome::Failed(_) = outcome {
            (reads, writes) = Default::default();
        }
        Ok(Ran { outcome, reads, writes, recording: Bytes::new(), sampled: true, duration: script.takes, cold: false })
    }
}

#[async_trait]
impl Native for Invoker {
    async fn handle(&self, delivery: &Delivery) -> Result<Result<Vec<Event>, Failure>, Fault> {
        let _in_flight = self.enter(delivery);
        let script = self.play(delivery).await?;
        match script.ends {
            Err(FailureKind::TimedOut) => std::future::pending().await,
            Err(kind) => Ok(Err(Failure::new(kind, "as the script says"))),
            Ok(_) => Ok(Ok(script.emitted("org.shop.billed"))),
        }
    }
}

/// Sends an event until somebody says that it was accepted.
async fn send(process: &Mutex<Process>, event: Event) {
    let origin = Origin { kind: OriginKind::Api, name: "test".to_owned(), verified: true };
    let incoming = Incoming { event, origin };
    loop {
        let bus = process.lock().unwrap().faulty.clone();
        if let Ok(Ok(_)) = tokio::time::timeout(2 * LATE_MAX, bus.publish(vec![incoming.clone()])).await {
            return;
        }
    }
}

/// Whether all that happens is told.
#[derive(Clone, Copy, PartialEq)]
enum Telling {
    Nothing,
    Trace,
}

/// Runs one seed to its end. Answers the trace, or which promise was broken.
async fn simulate(seed: u64, telling: Telling) -> (Vec<String>, Result<(), String>) {
    let since = Instant::now();
    let scene = Arc::new(Scene {
        seed,
        memory: Memory::default(),
        clock: Clock::given(move || START.plus(since.elapsed())),
        random: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        trace: (telling == Telling::Trace).then(Mutex::default),
        starts: Mutex::default(),
        broken: Mutex::default(),
        tasks: Tasks::new(),
    });
    let process = Mutex::new(Process::start(&scene));
    let reference = process.lock().unwrap().reference.clone();
    reference.activate(deployment().clone(), 0, Cause::ProjectFile).await.unwrap();
    let sent: Vec<Event> = (0..1 + scene.chance(4)).map(|number| scene.order(number)).collect();
    let sending = async {
        for event in &sent {
            tokio::time::sleep(Duration::from_millis(scene.chance(1_000))).await;
            send(&process, event.clone()).await;
        }
    };
    let dying = async {
        for _ in 0..scene.chance(DEATHS_MAX + 1) {
            tokio::time::sleep(Duration::from_millis(scene.chance(6_000))).await;
            scene.note("the process dies");
            let mut process = process.lock().unwrap();
            process.die();
            *process = Process::start(&scene);
        }
    };
    let ended = async {
        tokio::join!(sending, dying);
        while !scene.memory.is_at_rest() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.map_err(|_| "it hangs".to_owned());
    let history = process.lock().unwrap().reference.clone();
    let mut result = match ended {
        Ok(()) => check(&scene, &history, &sent).await,
        Err(hangs) => Err(hangs),
    };
    if scene.tasks.panicked().now_or_never().is_some() {
        result = Err("a task panicked".to_owned());
    }
    if let Some(broken) = scene.broken.lock().unwrap().first() {
        result = Err(broken.clone());
    }
    let trace = scene.trace.as_ref().map(|trace| std::mem::take(&mut *trace.lock().unwrap()));
    (trace.unwrap_or_default(), result)
}

impl Scene {
    fn order(&self, number: u64) -> Event {
        let text = |text: String| Extension::Text(text);
        let mut extensions = BTreeMap::new();
        extensions.insert(attribute::PARTITION_KEY.to_owned(), text(format!("customer-{}", self.chance(2))));
        if self.chance(4) == 0 {
            let due = START.plus(Duration::from_millis(self.chance(8_000)));
            extensions.insert(attribute::DELIVER_AT.to_owned(), text(due.to_string()));
        }
        Event {
            id: format!("order-{number}"),
            source: "/test".to_owned(),
            ty: "org.shop.order".to_owned(),
            extensions,
            ..Event::default()
        }
    }
}

/// That the log holds what was promised.
async fn check(scene: &Scene, history: &Reference, sent: &[Event]) -> Result<(), String> {
    let page = history.events(EventQuery { max: usize::MAX, ..EventQuery::default() }).await.unwrap();
    let mut expected: BTreeSet<String> = sent.iter().map(|event| event.id.clone()).collect();
    let mut counted = BTreeSet::new();
    let deployment = deployment();
    for accepted in &page.events {
        let attempts = history.attempts(accepted.position).await.unwrap();
        scene.note(format_args!("{accepted:?}: {attempts:?}"));
        for function in deployment.functions.iter() {
            let mine: Vec<&Invocation> = attempts.iter().filter(|attempt| attempt.id.function == function.id).collect();
            if !function.filter.types().iter().any(|pattern| pattern.matches(&accepted.event.ty)) {
                promise(mine.is_empty(), || format!("{} is not for {}", accepted.position, function.name))?;
                continue;
            }
            let emitted = check_attempts(scene, function, accepted, &mine)?;
            let ids = (0..emitted).map(|index| derived_id(accepted.event.key(), function.id, index).to_string());
            expected.extend(ids);
            if function.name.as_str() == "count"
                && mine.last().is_some_and(|last| last.verdict == StoredVerdict::Delivered)
            {
                counted.insert(accepted.position);
            }
        }
    }
    let found: Vec<&Event> = page.events.iter().skip(1).map(|accepted| &accepted.event).collect();
    let ids: BTreeSet<String> = found.iter().map(|event| event.id.clone()).collect();
    promise(ids == expected && ids.len() == found.len(), || format!("events {ids:?}, expected {expected:?}"))?;
    let value = history.read_key("counts", "n").await.unwrap().value;
    let count = value.map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
    promise(count == counted.len(), || format!("{count} are counted of {counted:?}"))?;
    let values = found.iter().filter(|event| event.ty == "org.shop.counted").map(|event| event.data.clone());
    let values: BTreeSet<_> = values.collect();
    promise(values.len() == count, || format!("each count is told once: {values:?}"))?;
    check_order(history, deployment, &page.events).await
}

fn promise(kept: bool, promise: impl FnOnce() -> String) -> Result<(), String> {
    if kept { Ok(()) } else { Err(promise()) }
}

/// That the attempts on an event are those of the script, each decided as the policy says, up to one that is final. Answers
/// how many events it emits.
fn check_attempts(
    scene: &Scene,
    function: &Function,
    accepted: &Accepted,
    attempts: &[&Invocation],
) -> Result<u32, String> {
    let of = || format!("attempts on {} by {}: {attempts:?}", accepted.position, function.name);
    let numbers = attempts.iter().map(|attempt| attempt.id.attempt);
    promise(numbers.eq(1..=attempts.len() as u32) && !attempts.is_empty(), || {
        format!("one after the other, {}", of())
    })?;
    let (last, before) = attempts.split_last().expect("there is one");
    let is_final = |attempt: &Invocation| !matches!(attempt.verdict, StoredVerdict::Retried(_));
    promise(is_final(last) && !before.iter().any(|attempt| is_final(attempt)), || format!("one is final, {}", of()))?;
    for (index, attempt) in attempts.iter().enumerate() {
        let kind = attempt.failure.as_ref().map(|failure| failure.kind);
        if kind == Some(FailureKind::HostLost) {
            let is_retried = matches!(attempt.verdict, StoredVerdict::Retried(_));
            promise(is_retried, || format!("so few deaths end nothing, {}", of()))?;
            continue;
        }
        let script = Script::of(scene.seed, function, &accepted.event, attempt.id.attempt);
        promise(kind == script.ends.err(), || format!("as the script says, {}", of()))?;
        let outcome = match kind {
            Some(kind) => Outcome::Failed(Failure::new(kind, "")),
            None => Outcome::Completed { emitted: Vec::new() },
        };
        let key = accepted.event.key().uuid();
        let number = Attempt { number: attempt.id.attempt, seed: (key.as_bytes(), function.id.as_bytes()) };
        match (decide(&outcome, number, &function.retry, Timestamp::EPOCH), attempt.verdict) {
            (Decision::Ack, StoredVerdict::Delivered) | (Decision::DeadLetter, StoredVerdict::DeadLettered) => {}
            (Decision::RetryAt(after), StoredVerdict::Retried(at)) => {
                let ended = at.minus(after.since(Timestamp::EPOCH));
                let starts = scene.starts.lock().unwrap();
                let next = attempts.get(index + 1).and_then(|next| starts.get(&next.id));
                let in_time = starts[&attempt.id] <= ended && ended <= attempt.settled_at;
                promise(in_time && next.is_none_or(|next| *next >= at), || format!("not before its time, {}", of()))?;
            }
            (decision, _) => return Err(format!("{decision:?} is the policy, {}", of())),
        }
    }
    Ok(last.emitted)
}

/// That the events of a key are settled for good in log order, where a function asks for it.
async fn check_order(history: &Reference, deployment: &Deployment, events: &[Accepted]) -> Result<(), String> {
    let ship = deployment.function("ship").expect("it is deployed");
    let query = InvocationQuery { function: Some(ship.id), max: usize::MAX, ..InvocationQuery::default() };
    let mut settled = history.invocations(query).await.unwrap();
    settled.reverse();
    let mut last: BTreeMap<&str, Position> = BTreeMap::new();
    for attempt in settled {
        let position = attempt.id.position;
        let accepted = events.iter().find(|accepted| accepted.position == position).expect("it is there");
        let key = accepted.event.partition_key().expect("every one has a key");
        let before = last.insert(key, position);
        promise(before.is_none_or(|before| before <= position), || format!("{key}: {position} after {before:?}"))?;
    }
    Ok(())
}

fn run(seed: u64, telling: Telling) -> (Vec<String>, Result<(), String>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let run = AssertUnwindSafe(|| runtime.block_on(simulate(seed, telling)));
    catch_unwind(run).unwrap_or_else(|_| (Vec::new(), Err("it panicked".to_owned())))
}

/// Runs a seed, some of them twice. A failure tells all that led to it.
fn check_seed(seed: u64) {
    if run(seed, Telling::Nothing).1.is_err() || seed.is_multiple_of(TWICE_EVERY) {
        let (trace, result) = run(seed, Telling::Trace);
        assert_eq!(run(seed, Telling::Trace), (trace.clone(), result.clone()), "seed {seed} is the same each time");
        result.unwrap_or_else(|broken| panic!("{}\n{broken}\nTIDEGATE_SEED={seed} repeats it", trace.join("\n")));
    }
}

#[test]
fn whatever_the_bus_does_each_event_ends_once_for_each_function_and_as_it_should() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (seed, cases) = (number("TIDEGATE_SEED"), number("TIDEGATE_CASES"));
    let first = seed.unwrap_or(1);
    let end = first + cases.unwrap_or(if seed.is_some() { 1 } else { SEEDS });
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let check_some = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < end
        {
            check_seed(seed);
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(check_some))));
}
