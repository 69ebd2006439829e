//! `cargo bench --bench scale`: what grows with what, on the disk of the current folder. It takes several minutes.
//!
//! An event's cost as the log grows to a million, and with ten and a thousand functions that it is not for, by turns; how late
//! delayed events come while a million others wait; how long a start takes on that log, after an end in good order and after a
//! kill; and what a server of two hundred functions takes when nothing happens.

mod load;

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use load::{Log, by_turns, event, incoming};
use tidegate::bench::Figures;
use tidegate::bus::embedded::{Embedded, Settings};
use tidegate::bus::{Bus, History};
use tidegate::clock::{Clock, Timestamp};
use tidegate::event::{Event, Extension, attribute};

type Failed = Box<dyn Error>;

const AT_ONCE: usize = 16;
const PERIOD: Duration = Duration::from_secs(2);
const RUNS: usize = 3;
/// Events in the log, when an event's cost is measured.
const LOG_EVENTS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Functions that no event is for.
const OTHERS: [usize; 2] = [10, 1_000];
/// Events that wait for their time while some are due.
const WAITING: u64 = 1_000_000;
const DUE: u64 = 100;
const DUE_EVERY: Duration = Duration::from_millis(50);
/// Where the runtime keeps a project's log.
const STATE: &str = ".tidegate";
const IDLE_FUNCTIONS: usize = 200;
const IDLE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let folder = tempfile::tempdir_in(".")?;
    measure_functions(folder.path()).await?;
    measure_growth(&folder.path().join("grown")).await?;
    measure_lateness(&folder.path().join("late")).await?;
    measure_idle(&folder.path().join("idle"))
}

async fn measure_functions(folder: &Path) -> Result<(), Failed> {
    let open = async |others: usize| Log::open(&folder.join(others.to_string()), Settings::default(), others).await;
    let (few, many) = (open(OTHERS[0]).await?, open(OTHERS[1]).await?);
    let figures = by_turns([&few, &many], AT_ONCE, PERIOD, RUNS).await?;
    for (others, figures) in OTHERS.iter().zip(&figures) {
        println!("{others:>9} functions of other types: {}", shown(figures));
    }
    println!("          {:.2} times the processor time, at most 1.3 is meant", of(&figures[1], &figures[0]));
    Ok(())
}

async fn measure_growth(project: &Path) -> Result<(), Failed> {
    let path = project.join(STATE);
    let log = Log::open(&path, Settings::default(), 0).await?;
    let mut first = None;
    for events in LOG_EVENTS {
        fill(&log, events).await?;
        let [figures] = by_turns([&log], AT_ONCE, PERIOD, RUNS).await?;
        println!("{events:>9} events in the log: {}", shown(&figures));
        let first = first.get_or_insert(figures);
        if events == LOG_EVENTS[LOG_EVENTS.len() - 1] {
            println!("          {:.2} times the processor time of the first", of(&figures, first));
        }
    }
    log.bus.close().await?;
    drop(log);
    fs::write(project.join("tidegate.toml"), manifest(""))?;
    for ended in ["in good order", "by a kill", "by a kill"] {
        let (server, took) = start(project)?;
        println!("          start on it, ended before {ended}: {} ms until it listens", took.as_millis());
        kill(server)?;
    }
    Ok(())
}

/// Publishes until the log has as many events, all settled.
async fn fill(log: &Log, events: u64) -> Result<(), Failed> {
    loop {
        let tail = log.bus.tail().await?;
        if tail >= events {
            return Ok(());
        }
        log.run(256, Duration::from_millis(if events - tail > 20_000 { 1_000 } else { 50 })).await?;
    }
}

async fn measure_lateness(path: &Path) -> Result<(), Failed> {
    let log = Log::open(path, Settings::default(), 0).await?;
    wait_for_later(&log.bus).await?;
    let now = Clock::system().now();
    let due = |index: u64| now.plus(Duration::from_secs(2) + DUE_EVERY * u32::try_from(index).expect("they are few"));
    let events = (0..DUE).map(|index| incoming(delayed(due(index)))).collect();
    let first = log.bus.tail().await? + 1;
    log.bus.publish(events).await?;
    let mut commits = log.bus.commits();
    while log.bus.tail().await? < first + DUE - 1 {
        commits.changed().await?;
    }
    let mut late = Vec::new();
    for index in 0..DUE {
        let accepted = log.bus.event_at(first + index).await?.ok_or("an event that was due is in the log")?;
        late.push(accepted.accepted_at.since(due(index)));
    }
    late.sort_unstable();
    println!(
        "{WAITING:>9} events wait for their time: those that are due come p50 {} us, at most {} us late; at most 50 ms is meant",
        late[late.len() / 2].as_micros(),
        late[late.len() - 1].as_micros()
    );
    log.bus.close().await?;
    Ok(())
}

/// Publishes events that are due within the next year, none of them today.
async fn wait_for_later(bus: &Arc<Embedded>) -> Result<(), Failed> {
    const BATCH: u64 = 500;
    const DAY: u64 = 24 * 60 * 60;
    let now = Clock::system().now();
    for batch in 0..WAITING / BATCH {
        let due = |index: u64| now.plus(Duration::from_secs(DAY + (batch * BATCH + index) * 7919 % (364 * DAY)));
        bus.publish((0..BATCH).map(|index| incoming(delayed(due(index)))).collect()).await?;
    }
    Ok(())
}

fn delayed(due: Timestamp) -> Event {
    let mut event = event();
    event.extensions.insert(attribute::DELIVER_AT.to_owned(), Extension::Text(due.to_string()));
    event
}

fn measure_idle(project: &Path) -> Result<(), Failed> {
    let function = |index: usize| {
        let (on, to) = (format!("com.example.in.{index}"), format!("com.example.out.{index}"));
        format!(
            "[[function]]\nname = \"idle-{index}\"\ncomponent = \"builtin:relay\"\non = [\"{on}\"]\n\
             config = {{ to = \"{to}\" }}\ngrants = {{ emits = [\"{to}\"] }}\n"
        )
    };
    fs::create_dir_all(project)?;
    fs::write(project.join("tidegate.toml"), manifest(&(0..IDLE_FUNCTIONS).map(function).collect::<String>()))?;
    let (server, _) = start(project)?;
    // What a start leaves to do is done.
    std::thread::sleep(Duration::from_secs(3));
    let before = processor_time(server.id())?;
    std::thread::sleep(IDLE);
    let used = processor_time(server.id())? - before;
    let resident = resident_kib(server.id())?;
    println!(
        "{IDLE_FUNCTIONS:>9} functions and nothing to do: {} MiB resident, at most 80 MB is meant; {} ms of processor time in {} s",
        resident / 1024,
        used.as_millis(),
        IDLE.as_secs()
    );
    kill(server)
}

fn manifest(functions: &str) -> String {
    format!("name = \"bench\"\n[listen]\nhooks = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n{functions}")
}

/// Starts the runtime on a project. Answers how long it took until it listened.
fn start(project: &Path) -> Result<(Child, Duration), Failed> {
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let mut server = command.args(["up", "-o", "json"]).current_dir(project).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take().ok_or("its output is piped")?).read_line(&mut line)?;
    let took = begun.elapsed();
    if line.is_empty() {
        return Err(format!("`tidegate up` ended: {}", server.wait()?).into());
    }
    Ok((server, took))
}

fn kill(mut server: Child) -> Result<(), Failed> {
    server.kill()?;
    server.wait()?;
    Ok(())
}

/// What a process has used since it started, to 10 ms: fields 14 and 15 of its stat, in ticks (proc(5)).
fn processor_time(process: u32) -> Result<Duration, Failed> {
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // A name may have spaces in it, and ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(") ").ok_or("stat has a name")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}

fn resident_kib(process: u32) -> Result<u64, Failed> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("a process has memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn shown(figures: &Figures) -> String {
    let (p50, p99, cpu) = (figures.p50.as_micros(), figures.p99.as_micros(), figures.cpu.as_micros());
    format!(
        "{:>6.0} published and settled/s, p50 {p50:>5} us, p99 {p99:>6} us, {cpu:>4} us of processor time each",
        figures.per_second
    )
}

/// How many times the processor time of `other`: it tells of what is done, whatever the disk does meanwhile.
fn of(one: &Figures, other: &Figures) -> f64 {
    one.cpu.as_secs_f64() / other.cpu.as_secs_f64()
}
