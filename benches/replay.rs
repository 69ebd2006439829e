//! `cargo bench --bench replay [-- ATTEMPTS]`: what a recording costs and weighs, and how fast history is run again.
//!
//! It records attempts of the shipped relay on events of 1 KiB, then runs all of them again from the log, and beside that, by
//! turns, the engine alone on cases that are in memory already. The memory that it takes must not grow with the log.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate::blob::FolderBlobs;
use tidegate::builtin;
use tidegate::bus::embedded::{Embedded, Settings};
use tidegate::bus::{Bus, Cause, Delivery, History, Incoming, RecordedQuery, Settlement};
use tidegate::clock::Clock;
use tidegate::deployment::{
    Component, ComponentRef, ConfigValue, DeployedFunction, Deployment, Digest, Function, FunctionId, Grants,
    RECORDING_BYTES_MAX,
};
use tidegate::event::{Event, Origin, OriginKind};
use tidegate::filter::Filter;
use tidegate::host::{Host, World};
use tidegate::invoke::{Compiled, Engine, EngineSettings};
use tidegate::outcome::{Decision, Outcome};
use tidegate::record::{Case, Changes, Class, Feed, Ground, Recording, Stored, Summary, backtest, run};
use tokio::task::JoinSet;

type Failed = Box<dyn Error + Send + Sync>;

const IN: &str = "dev.tidegate.bench.in";
const OUT: &str = "dev.tidegate.bench.out";
const DATA_BYTES: usize = 1024;
const ATTEMPTS: u64 = 20_000;
/// Events that are published in one commit, and attempts that run at once, while history is made.
const BATCH: u64 = 500;
const RECORDING_AT_ONCE: usize = 64;
/// Cases that the engine alone is measured on.
const IN_MEMORY: usize = 10_000;
const PERIOD: Duration = Duration::from_secs(3);
const RUNS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let attempts = std::env::args().filter_map(|text| text.parse().ok()).next().unwrap_or(ATTEMPTS);
    let folder = tempfile::tempdir_in(".")?;
    let blobs = Arc::new(FolderBlobs::open(folder.path().join("blobs"))?);
    let bus = Arc::new(Embedded::open(folder.path(), blobs, Clock::system(), Settings::default())?);
    let engine = Arc::new(Engine::new(EngineSettings::of_machine(256, None))?);
    let bytes = Bytes::from_static(builtin::component("relay").ok_or("relay is shipped")?);
    let compiled = engine.compile(Digest::of(&bytes), bytes).await?;
    let stage = Stage { deployment: Arc::new(deployment(compiled.digest)), bus, engine, compiled };
    stage.bus.activate(Deployment::clone(&stage.deployment), 0, Cause::ProjectFile).await?;
    record_all(&stage, attempts).await?;
    tell_parts(&stage).await?;
    measure_cost(&stage).await?;
    let memory = resident_kib("VmRSS:")?;
    measure_speed(&stage, attempts).await?;
    let peak = resident_kib("VmHWM:")?;
    println!(
        "memory: {} MiB before, {} MiB at most while {attempts} attempts were run again",
        memory / 1024,
        peak / 1024
    );
    Ok(())
}

struct Stage {
    bus: Arc<Embedded>,
    engine: Arc<Engine>,
    compiled: Compiled,
    deployment: Arc<Deployment>,
}

fn deployment(digest: Digest) -> Deployment {
    let filter = Filter::new(vec![IN.parse().expect("it is a type")], BTreeMap::new(), None).expect("it is a filter");
    let component = Component { reference: ComponentRef::Builtin("relay".to_owned()), digest };
    let to = ConfigValue { text: OUT.to_owned(), file: None };
    let function = Function {
        config: [("to".to_owned(), to)].into(),
        grants: Grants { emits: vec![OUT.to_owned()], ..Grants::default() },
        concurrency: 256,
        ..Function::new("relay".parse().expect("it is a name"), component, filter)
    };
    Deployment { number: 1, ..Deployment::new("bench".to_owned(), vec![function]) }
}

fn incoming() -> Incoming {
    // Text as events have it: neither all the same nor all chance.
    let digits = uuid::Uuid::now_v7().simple().to_string();
    let data = format!("{{\"order\":\"{}\"}}", digits.repeat(DATA_BYTES / digits.len()));
    let event = Event {
        id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, digits.as_bytes()).to_string(),
        source: "/bench".to_owned(),
        ty: IN.to_owned(),
        subject: Some(format!("order/{digits}")),
        datacontenttype: Some("application/json".to_owned()),
        data: Some(Bytes::from(data)),
        ..Event::default()
    };
    Incoming { event, origin: Origin { kind: OriginKind::Api, name: "bench".to_owned(), verified: true } }
}

/// Makes history: each event is run and settled as the runtime does.
async fn record_all(stage: &Stage, attempts: u64) -> Result<(), Failed> {
    let function = stage.deployment.functions[0].id;
    let world = world(stage);
    let mut deliveries = stage.bus.subscribe(function);
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for first in (0..attempts).step_by(usize::try_from(BATCH)?) {
        let batch = BATCH.min(attempts - first);
        stage.bus.publish((0..batch).map(|_| incoming()).collect()).await?;
        for _ in 0..batch {
            let delivery = deliveries.next().await.ok_or("the bus delivers")?;
            running.spawn(settle(
                stage.bus.clone(),
                stage.engine.clone(),
                stage.compiled.clone(),
                world.clone(),
                delivery,
            ));
            if running.len() >= RECORDING_AT_ONCE {
                running.join_next().await.ok_or("some run")???;
            }
        }
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    println!("recorded {attempts} attempts in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn world(stage: &Stage) -> Arc<World> {
    let history = Arc::new(stage.bus.history());
    Arc::new(World::new(stage.bus.clone(), history, Clock::system(), Arc::new(|_: &str| None)))
}

async fn settle(
    bus: Arc<Embedded>,
    engine: Arc<Engine>,
    compiled: Compiled,
    world: Arc<World>,
    delivery: Delivery,
) -> Result<(), Failed> {
    let ran = run(&engine, &compiled, world, &delivery, Clock::system().now()).await?;
    let Outcome::Completed { emitted } = ran.outcome else { return Err("the relay passes every event on".into()) };
    let settlement = Settlement {
        decision: Decision::Ack,
        failure: None,
        emitted,
        reads: ran.reads,
        writes: ran.writes,
        recording: Some(ran.recording),
        component: compiled.digest,
        duration: ran.duration,
    };
    bus.settle(delivery, settlement).await?;
    Ok(())
}

async fn page(
    stage: &Stage,
    after: Option<tidegate::bus::InvocationId>,
) -> Result<tidegate::bus::RecordedPage, Failed> {
    let function: FunctionId = stage.deployment.functions[0].id;
    let query = RecordedQuery {
        function,
        since: None,
        until: None,
        ty: None,
        failed_only: false,
        after,
        max: 1_000,
        bytes_max: 8 * 1024 * 1024,
    };
    Ok(stage.bus.recorded(query).await?)
}

/// The sizes of a typical recording.
async fn tell_parts(stage: &Stage) -> Result<(), Failed> {
    let page = page(stage, None).await?;
    let (mut stored, mut plain, mut journal, mut emitted, mut events) = (0, 0, 0, 0, 0);
    for attempt in &page.attempts {
        let case = case(stage, attempt)?;
        stored += attempt.recording.len();
        plain += packed(&case.recording);
        journal += packed(&case.recording.journal);
        emitted += packed(&case.recording.outcome);
        events += case.event.event.encode().len();
    }
    let each = |bytes: usize| bytes / page.attempts.len().max(1);
    println!(
        "a recording: {} bytes stored, of {} ({} of effects, {} of events that it emitted, {} of the rest); its event has {}",
        each(stored),
        each(plain),
        each(journal),
        each(emitted),
        each(plain - journal - emitted),
        each(events)
    );
    Ok(())
}

/// Bytes of the stored form, before it is compressed.
fn packed(value: &impl serde::Serialize) -> usize {
    rmp_serde::to_vec_named(value).map_or(0, |bytes| bytes.len())
}

fn case(stage: &Stage, attempt: &tidegate::bus::RecordedAttempt) -> Result<Case, Failed> {
    let function =
        DeployedFunction::find(stage.deployment.clone(), attempt.invocation.id.function).ok_or("it is deployed")?;
    let recording = Recording::decode(&attempt.recording, &Ground::new(&attempt.event.event, &function))?;
    Ok(Case::new(attempt.invocation.id, attempt.event.clone(), stage.deployment.clone(), recording)?)
}

/// What making a recording takes, beside an invocation.
async fn measure_cost(stage: &Stage) -> Result<(), Failed> {
    let page = page(stage, None).await?;
    let cases = page.attempts.iter().map(|attempt| case(stage, attempt)).collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    for case in &cases {
        let ground = Ground::new(&case.event.event, &case.function);
        std::hint::black_box(case.recording.clone().encode(&ground, RECORDING_BYTES_MAX));
    }
    let each = begun.elapsed() / u32::try_from(cases.len())?;
    println!("making one takes {:.1} us of processor time", each.as_secs_f64() * 1e6);
    Ok(())
}

async fn measure_speed(stage: &Stage, attempts: u64) -> Result<(), Failed> {
    let mut cases = Vec::new();
    let mut after = None;
    while cases.len() < IN_MEMORY {
        let page = page(stage, after).await?;
        cases.extend(page.attempts.iter().map(|attempt| case(stage, attempt)).collect::<Result<Vec<_>, _>>()?);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let cases = Arc::new(cases);
    let (mut bare, mut again) = (Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let (bare_rate, again_rate) = (invoke_bare(stage, &cases).await?, run_again(stage).await?);
        if round > 0 {
            bare.push(bare_rate);
            again.push(again_rate);
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (bare, again) = (median(&mut bare), median(&mut again));
    println!(
        "{attempts} attempts run again from the log: {again:.0}/s; the engine alone, on cases in memory: {bare:.0}/s; {:.2} of it, \
         at least 0.60 is meant",
        again / bare
    );
    Ok(())
}

fn at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Invocations a second of the engine, answered as they were recorded, and nothing else.
async fn invoke_bare(stage: &Stage, cases: &Arc<Vec<Case>>) -> Result<f64, Failed> {
    let (next, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut workers = JoinSet::new();
    for _ in 0..at_once() {
        let (engine, compiled, cases, next) =
            (stage.engine.clone(), stage.compiled.clone(), cases.clone(), next.clone());
        workers.spawn(async move {
            while begun.elapsed() < PERIOD {
                let case = &cases[next.fetch_add(1, Ordering::Relaxed) % cases.len()];
                engine.invoke(&compiled, &case.event, Host::replay(case.exact(), case.call())).await?;
            }
            Ok::<_, Failed>(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(next.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// Attempts a second of a backtest over all of history, each of which must come out the same.
async fn run_again(stage: &Stage) -> Result<f64, Failed> {
    let begun = Instant::now();
    let (feed, cases) = Feed::new();
    let told = Arc::new(|_: &Case, _: &_| {});
    let running = backtest(stage.engine.clone(), cases, Arc::new(Changes::default()), told, at_once());
    let (summary, fed) = tokio::join!(running, read_all(stage, feed));
    fed?;
    let summary: Summary = summary?;
    if summary.count(Class::Same) != summary.cases {
        return Err(format!("{} of {} came out otherwise", summary.changed(), summary.cases).into());
    }
    Ok(summary.cases as f64 / begun.elapsed().as_secs_f64())
}

async fn read_all(stage: &Stage, mut feed: Feed) -> Result<(), Failed> {
    let mut after = None;
    loop {
        let page = page(stage, after).await?;
        for attempt in page.attempts {
            let stored = Stored {
                id: attempt.invocation.id,
                event: attempt.event,
                recording: attempt.recording,
                deployment: stage.deployment.clone(),
                compiled: Ok(stage.compiled.clone()),
            };
            if !feed.push(stored).await {
                return Ok(());
            }
        }
        after = page.next;
        if after.is_none() {
            feed.finish().await;
            return Ok(());
        }
    }
}

/// A line of this process's status (proc(5)).
fn resident_kib(name: &str) -> Result<u64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("a process has memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
