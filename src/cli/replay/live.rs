//! `tidegate replay --live`: events for real again. It counts first, then asks, then says them again batch by batch.
//!
//! The server says them under derived ids, so that whatever ends this command, the same one again does what is left.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::backtest::Sample;
use super::{ReplayArgs, bundle_file, one};
use crate::api::model::{RefusedReplay, ReplayCandidate, ReplayListing, ReplaysRequest, ReplaysView};
use crate::cli::client::Client;
use crate::cli::invocations::is_invocation;
use crate::cli::terminal::{Format, Terminal};
use crate::cli::up::Signals;
use crate::cli::{CliError, Status, render};
use crate::clock::{Clock, Timestamp};
use crate::event::Position;

/// Events that are said again in one request: between two of them the command can be stopped.
const BATCH: usize = 200;
/// After a server that is busy, or a function with no room, it is tried again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default, Args)]
pub struct LiveArgs {
    /// For real: publish the events again on the running project, each as a new one that is marked `replayof`
    #[arg(long, conflicts_with_all = ["with", "edit", "input", "config", "missing", "max_changed", "junit", "debug", "commands", "source", "profile", "coredump"])]
    pub live: bool,
    /// With --live: only count what would be published
    #[arg(long, requires = "live")]
    pub dry_run: bool,
    /// With --live: do not ask first
    #[arg(long, requires = "live", conflicts_with = "dry_run")]
    pub yes: bool,
    /// With --live: what tells this replay of the same events from another one; under one label each is published once
    #[arg(long, value_name = "TEXT", requires = "live", default_value = "", hide_default_value = true)]
    pub label: String,
}

/// What is to be said again, and what was.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LiveView {
    /// `counted`, `done`, or `stopped` before its end.
    pub state: &'static str,
    /// The one function that gets them; absent: all that take them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    pub label: String,
    /// To be said again: those that were not before.
    pub events: u64,
    /// Said again by this command.
    pub published: u64,
    /// Said again under this label before.
    pub replayed: u64,
    /// Of those to be said again.
    pub types: BTreeMap<String, u64>,
    /// Deliveries, by the functions that take them.
    pub functions: BTreeMap<String, u64>,
    /// When the first and the last of them were accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// Passed over: live replays, and what followed from them.
    pub of_replays: u64,
    pub refused: Vec<RefusedView>,
    /// The first event that the log still has, if earlier ones were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_starts: Option<Position>,
}

/// Events that cannot be said again, by why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedView {
    pub reason: String,
    pub events: u64,
    /// The first of them.
    pub example: Position,
    /// What decided there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
}

pub async fn replay(args: &ReplayArgs, terminal: &Terminal, clock: &Clock) -> Result<Status, CliError> {
    let chosen = Chosen::of(args, clock.now())?;
    let client = Client::to_write(&args.read.server)?;
    let (mut view, positions) = chosen.count(&client, terminal).await?;
    // The answer in JSON is one line: of what is done, it comes at the end.
    if args.live.dry_run || positions.is_empty() || terminal.format == Format::Text {
        terminal.show(&view, render::live_count)?;
    }
    if args.live.dry_run || positions.is_empty() {
        // Of many, none is an answer; of one, that it cannot be said again is the failure that was asked for.
        let failed = chosen.is_one && !view.refused.is_empty();
        return Ok(if failed { Status::Failed } else { Status::Done });
    }
    if !args.live.yes && !confirmed(&view, terminal).await? {
        return Ok(Status::Failed);
    }
    let publishing = chosen.publish(&client, &positions, &mut view, terminal).await;
    terminal.progress_done();
    if let Err(error) = publishing {
        terminal.note(&chosen.to_go_on(&view));
        return Err(error);
    }
    terminal.show(&view, render::live)?;
    if view.state == STOPPED {
        terminal.note(&chosen.to_go_on(&view));
        return Ok(Status::Failed);
    }
    Ok(Status::Done)
}

const COUNTED: &str = "counted";
const DONE: &str = "done";
const STOPPED: &str = "stopped";

async fn confirmed(view: &LiveView, terminal: &Terminal) -> Result<bool, CliError> {
    let question = format!("publish {} for real? [y/N] ", render::count_of_events(view.events));
    let asked = terminal.clone();
    let answer = tokio::task::spawn_blocking(move || asked.confirm(&question));
    answer.await.expect("reading a line does not panic").ok_or_else(|| {
        let events = render::count_of_events(view.events);
        CliError::Usage(format!(
            "{events} would be published for real, and there is no terminal to ask at; add --yes to do it, or --dry-run to only count"
        ))
    })
}

/// Which events, for whom.
struct Chosen {
    query: Vec<(&'static str, String)>,
    /// Whether one is named.
    is_one: bool,
    function: Option<String>,
    label: String,
    sample: Option<u64>,
    /// What relative times mean in this run.
    times: Vec<String>,
}

impl Chosen {
    fn of(args: &ReplayArgs, now: Timestamp) -> Result<Self, CliError> {
        if args.read.dir.is_some() {
            let reason = "--live publishes on a running project; start it with `tidegate up`, and leave --dir out";
            return Err(CliError::Usage(reason.to_owned()));
        }
        let (label, sample) = (args.live.label.clone(), args.range.sample);
        let (mut query, mut times) = (Vec::new(), Vec::new());
        let mut function = args.range.function.clone();
        match &args.id {
            Some(id) => {
                one::refuse_many(args)?;
                if bundle_file(id).is_some() {
                    let reason = format!("{id} is a bundle; --live is of the events that the running project has");
                    return Err(CliError::Usage(reason));
                }
                let (event, of) = event_and_function(id);
                if let (Some(of), Some(named)) = (&of, &function)
                    && of != named
                {
                    return Err(CliError::Usage(format!(
                        "{id} is an attempt of {of}, not of {named}; name one of them"
                    )));
                }
                function = of.or(function);
                query.push(("id", event));
            }
            None => {
                super::backtest::check_range(&args.range)?;
                for (name, time) in [("since", args.range.since), ("until", args.range.until)] {
                    let Some(time) = time.map(|time| time.time(now).to_string()) else { continue };
                    times.push(format!("--{name} {time}"));
                    query.push((name, time));
                }
                query.extend(args.range.r#type.iter().map(|pattern| ("type", pattern.clone())));
                query.extend(args.range.failed.then(|| ("failed", "true".to_owned())));
            }
        }
        query.extend(function.iter().map(|name| ("function", name.clone())));
        query.push(("label", label.clone()));
        Ok(Chosen { query, is_one: args.id.is_some(), function, label, sample, times })
    }

    /// Looks at all that were there when it began: what comes meanwhile is not chosen, least of all what is said again.
    async fn count(&self, client: &Client, terminal: &Terminal) -> Result<(LiveView, Vec<Position>), CliError> {
        let (function, label) = (self.function.clone(), self.label.clone());
        let mut view = LiveView { state: COUNTED, function, label, ..LiveView::default() };
        let mut positions = Vec::new();
        let mut sample = self.sample.map(Sample::new);
        let mut bounds = Vec::new();
        loop {
            let query = [&self.query[..], &bounds].concat();
            let page: ReplayListing = client.get(&["replays"], &query).await?;
            view.of_replays += page.of_replays;
            view.log_starts = view.log_starts.or(page.log_starts);
            for candidate in page.items {
                match (&mut sample, &candidate.refused) {
                    (_, Some(refused)) => view.refuse(candidate.position, refused.clone()),
                    (Some(sample), None) => sample.offer(candidate.id.clone(), candidate),
                    (None, None) => view.take(candidate, &mut positions),
                }
            }
            let Some(next) = page.next else { break };
            terminal.progress(&format!("looked at #{next} of #{}", page.position));
            let before = bounds.pop().unwrap_or_else(|| ("before", (page.position + 1).to_string()));
            bounds = vec![("after", next.to_string()), before];
        }
        terminal.progress_done();
        let mut sampled = sample.map(Sample::chosen).unwrap_or_default();
        sampled.sort_by_key(|candidate| candidate.position);
        sampled.into_iter().for_each(|candidate| view.take(candidate, &mut positions));
        Ok((view, positions))
    }

    async fn publish(
        &self,
        client: &Client,
        positions: &[Position],
        view: &mut LiveView,
        terminal: &Terminal,
    ) -> Result<(), CliError> {
        let mut signals = Signals::listen().map_err(|source| CliError::Failed {
            what: "cannot listen for signals".to_owned(),
            source: source.into(),
        })?;
        let stopped = signals.next();
        tokio::pin!(stopped);
        view.state = DONE;
        for batch in positions.chunks(BATCH) {
            let (function, label) = (self.function.clone(), self.label.clone());
            let request = ReplaysRequest { positions: batch.to_vec(), function, label };
            let said: ReplaysView = loop {
                let pause = match client.post(&["replays"], &request).await {
                    Ok(said) => break said,
                    Err(CliError::Refused(refusal)) if refusal.code == "busy" => {
                        terminal
                            .progress(&format!("{} of {} published; {}", view.published, view.events, refusal.message));
                        BUSY_PAUSE
                    }
                    Err(error) => return Err(error),
                };
                // Both are cancel-safe: they look at a state.
                tokio::select! {
                    () = &mut stopped => {
                        view.state = STOPPED;
                        return Ok(());
                    }
                    () = tokio::time::sleep(pause) => {}
                }
            };
            view.said(said);
            terminal.progress(&format!("{} of {} published", view.published, view.events));
            // A request is not broken off: what became of it would be unknown.
            tokio::select! {
                biased;
                () = &mut stopped => {
                    view.state = STOPPED;
                    return Ok(());
                }
                () = std::future::ready(()) => {}
            }
        }
        Ok(())
    }

    /// What to do after it ended before its end.
    fn to_go_on(&self, view: &LiveView) -> String {
        let times = match self.times.as_slice() {
            [] => String::new(),
            times => format!(", with {}", times.join(" ")),
        };
        format!("{} of {} published; the same command{times} goes on from there", view.published, view.events)
    }
}

impl LiveView {
    fn take(&mut self, candidate: ReplayCandidate, positions: &mut Vec<Position>) {
        if candidate.replayed {
            self.replayed += 1;
            return;
        }
        self.events += 1;
        *self.types.entry(candidate.ty).or_default() += 1;
        for function in candidate.functions {
            *self.functions.entry(function).or_default() += 1;
        }
        self.first.get_or_insert(candidate.acceptedat);
        self.last = Some(candidate.acceptedat);
        positions.push(candidate.position);
    }

    fn refuse(&mut self, position: Position, RefusedReplay { reason, saw }: RefusedReplay) {
        match self.refused.iter_mut().find(|refused| refused.reason == reason) {
            Some(refused) => refused.events += 1,
            None => self.refused.push(RefusedView { reason, events: 1, example: position, saw }),
        }
    }

    fn said(&mut self, said: ReplaysView) {
        for item in said.items {
            match item.refused {
                Some(refused) => self.refuse(item.position, refused),
                None if item.replayed => self.replayed += 1,
                None => self.published += 1,
            }
        }
    }
}

/// The event that an argument names; of an attempt, its event and its function.
fn event_and_function(id: &str) -> (String, Option<String>) {
    if !is_invocation(id) {
        return (id.to_owned(), None);
    }
    let mut parts = id.split('.').map(str::to_owned);
    let position = parts.next().unwrap_or_default();
    (format!("#{position}"), parts.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_names_its_event_and_its_function() {
        let check = |id: &str, event: &str, function: Option<&str>| {
            assert_eq!(event_and_function(id), (event.to_owned(), function.map(str::to_owned)), "{id}");
        };
        check("12.gate.0.1", "#12", Some("gate"));
        check("#12", "#12", None);
        check("delivery.of.a.sender", "delivery.of.a.sender", None);
    }

    #[test]
    fn events_are_counted_by_what_becomes_of_them() {
        let candidate = |position, ty: &str, functions: &[&str], replayed| ReplayCandidate {
            position,
            id: position.to_string(),
            ty: ty.to_owned(),
            acceptedat: Timestamp::from_micros(position as i64),
            functions: functions.iter().map(|name| (*name).to_owned()).collect(),
            replayed,
            refused: None,
        };
        let (mut view, mut positions) = (LiveView::default(), Vec::new());
        view.take(candidate(1, "a", &["f", "g"], false), &mut positions);
        view.take(candidate(2, "a", &["f"], true), &mut positions);
        view.take(candidate(3, "b", &["f"], false), &mut positions);
        let refused = |saw: &str| RefusedReplay { reason: "no".to_owned(), saw: Some(saw.to_owned()) };
        view.refuse(4, refused("x"));
        view.refuse(5, refused("y"));
        assert_eq!((positions, view.events, view.replayed), (vec![1, 3], 2, 1));
        assert_eq!(view.types, [("a".to_owned(), 1), ("b".to_owned(), 1)].into());
        assert_eq!(view.functions, [("f".to_owned(), 2), ("g".to_owned(), 1)].into());
        assert_eq!((view.first, view.last), (Some(Timestamp::from_micros(1)), Some(Timestamp::from_micros(3))));
        let expected = RefusedView { reason: "no".to_owned(), events: 2, example: 4, saw: Some("x".to_owned()) };
        assert_eq!(view.refused, [expected]);
    }
}
