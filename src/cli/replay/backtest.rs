//! Many attempts, on all cores: what would have come of them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::decisions::Decisions;
use super::report::BacktestView;
use super::source::Source;
use super::{RangeArgs, ReplayArgs, changes, engine, junit};
use crate::api::model::RecordedListing;
use crate::cli::client::Client;
use crate::cli::replay::missing::MissingPolicy;
use crate::cli::terminal::Terminal;
use crate::cli::{CliError, Status, render};
use crate::clock::{Clock, Timestamp};
use crate::record::{Feed, backtest as run_all};

/// Cases that run at once for each core: one waits while another computes.
const AT_ONCE_PER_CORE: usize = 2;
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

pub async fn backtest(args: &ReplayArgs, terminal: &Terminal, clock: &Clock) -> Result<Status, CliError> {
    check(args)?;
    let engine = engine(true)?;
    let mut source = Source::new(Client::to_read(&args.read)?, engine.clone());
    let changes = Arc::new(changes::read(&args.changes, &engine, Some(&mut source)).await?);
    let functions = match &args.range.function {
        Some(name) => vec![name.clone()],
        None => source.functions().await?,
    };
    let started = Instant::now();
    let (feed, cases) = Feed::new();
    let progress = Arc::new(Progress::default());
    let decisions = Arc::new(Decisions::default());
    let (counted, noted) = (progress.clone(), decisions.clone());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let running = run_all(
        engine,
        cases,
        changes,
        Arc::new(move |case, judged| {
            counted.done.fetch_add(1, Ordering::Relaxed);
            noted.note(case, judged);
        }),
        cores * AT_ONCE_PER_CORE,
    );
    let watch = Watch { progress: progress.clone(), terminal, started };
    // Either ends the other: a fault ends the feed, and the end of the feed ends the workers.
    let (summary, fed) = tokio::join!(running, read_all(&mut source, &functions, args, clock.now(), feed, watch));
    terminal.progress_done();
    fed?;
    let mut summary = summary
        .map_err(|source| CliError::Failed { what: "the replays broke off".to_owned(), source: source.into() })?;
    if let missing @ 1.. = progress.unrecorded.load(Ordering::Relaxed) {
        summary.add_not_replayed("no recording was kept ([recording] sample, or retention)".to_owned(), missing);
    }
    let took = started.elapsed().as_secs_f64();
    let decisions = decisions.changed(source.client()).await?;
    let view = BacktestView::of(&summary, decisions, args.range.function.as_deref(), took, args.max_changed);
    tell(&view, args, terminal)
}

/// All there ever was is named by nobody by accident.
pub(super) fn check_range(range: &RangeArgs) -> Result<(), CliError> {
    if range.since.is_none() && range.until.is_none() && range.function.is_none() && range.r#type.is_none() {
        let reason = "name an ID, or choose among all with --since, --until, --function or --type".to_owned();
        return Err(CliError::Usage(reason));
    }
    Ok(())
}

fn check(args: &ReplayArgs) -> Result<(), CliError> {
    let range = &args.range;
    check_range(range)?;
    if args.missing != MissingPolicy::Fail {
        let reason = "--missing is of one attempt; of many, what was not recorded is counted".to_owned();
        return Err(CliError::Usage(reason));
    }
    if !args.changes.config.is_empty() && range.function.is_none() {
        return Err(CliError::Usage("--config is of one function; name it with --function".to_owned()));
    }
    Ok(())
}

fn tell(view: &BacktestView, args: &ReplayArgs, terminal: &Terminal) -> Result<Status, CliError> {
    terminal.show(view, render::backtest)?;
    if let Some(path) = &args.junit {
        let report = junit::report(view);
        std::fs::write(path, report).map_err(|source| CliError::Failed {
            what: format!("cannot write {}", path.display()),
            source: source.into(),
        })?;
    }
    Ok(if view.passed { Status::Done } else { Status::Failed })
}

/// How far it is.
#[derive(Default)]
struct Progress {
    done: AtomicU64,
    /// Attempts of which no recording was kept.
    unrecorded: AtomicU64,
}

/// Who is told how far it is.
struct Watch<'a> {
    progress: Arc<Progress>,
    terminal: &'a Terminal,
    started: Instant,
}

async fn read_all(
    source: &mut Source,
    functions: &[String],
    args: &ReplayArgs,
    now: Timestamp,
    mut feed: Feed,
    watch: Watch<'_>,
) -> Result<(), CliError> {
    let mut sample = args.range.sample.map(Sample::new);
    for (index, function) in functions.iter().enumerate() {
        let mut after = None;
        loop {
            let page = source.page(function, &args.range, now, after.as_deref()).await?;
            watch.progress.unrecorded.fetch_add(page.unrecorded, Ordering::Relaxed);
            watch.tell(index, functions.len(), &page);
            match &mut sample {
                Some(sample) => page.items.into_iter().for_each(|view| sample.offer(view.id.clone(), view)),
                None if !source.hand_on(page.items, &mut feed).await? => return Ok(()),
                None => {}
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    if let Some(sample) = sample {
        source.hand_on(sample.chosen(), &mut feed).await?;
    }
    feed.finish().await;
    Ok(())
}

impl Watch<'_> {
    /// The last position that a page has shows how far it is in the log.
    fn tell(&self, index: usize, functions: usize, page: &RecordedListing) {
        let position = page.items.last().and_then(|view| view.id.split('.').next()?.parse::<u64>().ok());
        let within = position.map_or(1.0, |position| position as f64 / page.position.max(1) as f64);
        let share = (index as f64 + within) / functions.max(1) as f64;
        let (done, passed) = (self.progress.done.load(Ordering::Relaxed), self.started.elapsed());
        if passed < PROGRESS_EVERY {
            return;
        }
        let left = passed.mul_f64((1.0 - share).max(0.0) / share.max(0.001));
        let each = done as f64 / passed.as_secs_f64();
        let left = render::duration(left);
        self.terminal.progress(&format!("{done} run again, {each:.0}/s, {:.0} %, {left} left", share * 100.0));
    }
}

/// So many of all that are offered, the same ones each time: those with the lowest hashes.
pub(super) struct Sample<T> {
    max: usize,
    kept: BTreeMap<(u64, String), T>,
}

impl<T> Sample<T> {
    pub fn new(max: u64) -> Self {
        Sample { max: usize::try_from(max).unwrap_or(usize::MAX), kept: BTreeMap::new() }
    }

    pub fn offer(&mut self, id: String, offered: T) {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.kept.insert((hasher.finish(), id), offered);
        if self.kept.len() > self.max {
            self.kept.pop_last();
        }
    }

    pub fn chosen(self) -> Vec<T> {
        self.kept.into_values().collect()
    }
}
