//! The reader: one thread that follows the tail of the log and offers each event to the functions that it is for.
//!
//! A function that has no room lags: it reads on by type from where it stopped, page by page, without holding up the
//! others, until it has caught up. Each range of positions is judged by the function as it was deployed then. An event
//! whose data cannot be read holds nobody up either: its functions read it again by themselves (`unread`).
//!
//! Invariant: whatever comes into a queue, this thread alone puts there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::backlog::Backlogs;
use super::feed::{Feed, Page, wanted};
use super::function_queue::FunctionQueue;
use super::intake::Promote;
use super::item::Item;
use super::log::Log;
use super::operate::Cursors;
use super::queue::Queue;
use super::rows::{self, Stored};
use super::shared::Shared;
use super::subscription::Guard;
use super::superseded::Supersede;
use super::unread::{Patience, Read, Told, without_data};
use super::writer::Fault;
use crate::bus::{ACTIVATED, BusError};
use crate::deployment::{Deployment, Function, FunctionId, Routes};
use crate::event::{Accepted, OriginKind, Position};
use crate::filter::Subject;
use crate::telemetry::Causes;

/// Events that are read from disk in one transaction.
pub(super) const PAGE_EVENTS_MAX: usize = 256;
/// How often cursors are written that go with no settlement.
pub(super) const CURSORS_EVERY: Duration = Duration::from_secs(3);
/// Reads of the log that fail in a row, one poll apart, before the bus does: nobody would get anything any more.
const FAILURES_MAX: u32 = 30;

pub(super) struct Reader {
    shared: Arc<Shared>,
    feeds: HashMap<FunctionId, Feed>,
    /// Queues of functions that left the deployments while something was out.
    left: HashMap<FunctionId, Arc<FunctionQueue>>,
    /// Of the active deployment.
    routes: Option<Routes>,
    /// Functions that lag and may have room. One without room is left alone until its queue tells of some, so that an
    /// event costs the same however many functions there are.
    reading_on: HashSet<FunctionId>,
    /// Dead letters that were put back and are in no queue yet.
    redriven: VecDeque<(FunctionId, Position)>,
    patience: Patience,
    /// The longest sleep.
    poll: Duration,
    cursors_written: Instant,
}

impl Reader {
    /// Takes up where the log stands: every function of the active deployment reads on from its cursor.
    pub fn open(shared: Arc<Shared>, poll: Duration) -> Result<Self, BusError> {
        let (tail, number) = shared.log.read("read the log", |db| Ok((rows::tail(db)?, rows::last_deployment(db)?)))?;
        let deployment = shared.log.deployment(number)?;
        shared.tail.store(tail, Ordering::Release);
        shared.read.store(tail, Ordering::Release);
        let mut reader = Reader {
            shared,
            feeds: HashMap::new(),
            left: HashMap::new(),
            routes: None,
            reading_on: HashSet::new(),
            redriven: VecDeque::new(),
            patience: Patience::default(),
            poll,
            cursors_written: Instant::now(),
        };
        if let Some(deployment) = deployment {
            reader.switch(deployment, tail)?;
        }
        Ok(reader)
    }

    /// Runs until it is told to stop, or the log cannot be read any more.
    pub fn run(mut self) {
        let mut more = true;
        let mut failures = 0;
        loop {
            let work = self.shared.reader.wait(&self.shared.clock, if more { Duration::ZERO } else { self.poll });
            if work.stop {
                return;
            }
            if work.delayed_due {
                // A closed bus promotes nothing; the next start does.
                let _ = self.shared.inbox.submit(Promote::new());
            }
            for function in work.due {
                if let Some(feed) = self.feeds.get(&function) {
                    feed.queue.release(&self.shared);
                }
            }
            for function in work.superseded {
                self.settle_superseded(function);
            }
            self.reading_on.extend(work.room);
            self.redriven.extend(work.redriven);
            match self.advance() {
                Ok(more_to_do) => (more, failures) = (more_to_do, 0),
                Err(error) => {
                    failures += 1;
                    self.shared.metrics.log_unreadable(&error, failures, FAILURES_MAX);
                    if failures == FAILURES_MAX {
                        return self.shared.fail(format!("it cannot be read: {}", Causes(&error)));
                    }
                    std::thread::sleep(self.poll);
                }
            }
            self.write_cursors();
        }
    }

    /// Offers what is new and what was put back, and reads one page for each function that lags. Answers whether there is
    /// more to do.
    fn advance(&mut self) -> Result<bool, BusError> {
        let shared = self.shared.clone();
        loop {
            let read = shared.read.load(Ordering::Acquire);
            if read >= shared.tail.load(Ordering::Acquire) {
                break;
            }
            let fresh = shared.take_fresh(read);
            for event in &fresh {
                self.offer_whole(event)?;
            }
            if fresh.is_empty() {
                self.offer_page(read)?;
            }
        }
        while let Some((function, position)) = self.redriven.front().copied() {
            self.take_up(function, position)?;
            self.redriven.pop_front();
        }
        for function in self.reading_on.clone() {
            if !self.catch_up(function)? {
                self.reading_on.remove(&function);
            }
        }
        Ok(!self.reading_on.is_empty())
    }

    /// Offers a page of what is no longer in memory.
    fn offer_page(&mut self, after: Position) -> Result<(), BusError> {
        let shared = self.shared.clone();
        let scan = |db: &Connection| super::feed::scan(db, after, Position::MAX, PAGE_EVENTS_MAX);
        for stored in shared.log.read("read the log", scan)? {
            match self.with_data_if_asked_for(&shared.log, stored) {
                Read::Whole(event) => self.offer_whole(&event)?,
                Read::WithoutData(event) => {
                    self.offer(&event, |function| without_data(&event, function).into_item())?
                }
            }
        }
        Ok(())
    }

    /// Large data is read here only for those who cannot be told without it whether and in which order they get the event.
    fn with_data_if_asked_for(&mut self, log: &Log, stored: Stored) -> Read {
        if stored.data.is_none() {
            return Read::Whole(stored.accepted);
        }
        let event = &stored.accepted;
        let mut asking = self.routes.iter().flat_map(|routes| routes.asking_for(&event.event.ty));
        let is_asked_for = asking.any(|function| matches!(without_data(event, function), Told::Perhaps(_)));
        drop(asking);
        match is_asked_for {
            true => self.patience.read(log, stored),
            false => Read::WithoutData(stored.accepted),
        }
    }

    fn offer_whole(&mut self, event: &Accepted) -> Result<(), BusError> {
        let shared = self.shared.clone();
        // A subject reads nothing until it is asked, so an event that no function wants costs one look-up.
        let subject = Subject::new(event);
        self.offer(event, |function| wanted(function, event.position, &subject, &shared.metrics))
    }

    /// Offers an event to every function that wants it and that does not lag.
    fn offer(&mut self, event: &Accepted, wanted: impl Fn(&Function) -> Option<Item>) -> Result<(), BusError> {
        for function in self.routes.iter().flat_map(|routes| routes.asking_for(&event.event.ty)) {
            let Some(feed) = self.feeds.get_mut(&function.id) else { continue };
            feed.touched = true;
            if !feed.lags
                && let Some(item) = wanted(function)
                && !feed.offer_fresh(&self.shared, function, item)
            {
                feed.lags = true;
                self.reading_on.insert(function.id);
            }
            if feed.lags {
                feed.queue.falls_behind();
            }
        }
        let activates = event.origin.kind == OriginKind::Runtime && event.event.ty == ACTIVATED;
        if activates && let Some(deployment) = self.activated(event.position)? {
            self.switch(deployment, event.position)?;
        }
        self.shared.read.store(event.position, Ordering::Release);
        Ok(())
    }

    /// The deployment that the record at a position made active.
    fn activated(&self, record: Position) -> Result<Option<Arc<Deployment>>, BusError> {
        let number = self.shared.log.read("read a deployment", |db| rows::deployment_of_record(db, record))?;
        number.map_or(Ok(None), |number| self.shared.log.deployment(number))
    }

    /// From `record` on, `deployment` is the active one.
    fn switch(&mut self, deployment: Arc<Deployment>, record: Position) -> Result<(), BusError> {
        let gone: Vec<FunctionId> =
            self.feeds.keys().copied().filter(|id| deployment.function_by_id(*id).is_none()).collect();
        let mut cursors = Vec::new();
        for function in gone {
            // As long as its deployment is known here; else they would be out for ever.
            self.settle_superseded(function);
            if let Some(feed) = self.feeds.remove(&function) {
                cursors.push((function, feed.queue.cursor(&self.shared)));
                self.shared.remove_queue(function);
                self.left.insert(function, feed.queue);
            }
        }
        self.left.retain(|_, queue| queue.look(Queue::is_out));
        for function in &deployment.functions {
            match self.feeds.get_mut(&function.id) {
                Some(feed) => feed.change(&self.shared, function, record)?,
                None => {
                    let feed = Feed::open(&self.shared, function, record, self.left.get(&function.id).cloned())?;
                    self.left.remove(&function.id);
                    self.shared.add_queue(function.id, feed.queue.clone());
                    self.feeds.insert(function.id, feed);
                    self.reading_on.insert(function.id);
                }
            }
        }
        if !cursors.is_empty() {
            // A bus that closes writes them itself.
            let _ = self.shared.inbox.submit(Box::new(Cursors(cursors)));
        }
        self.shared.set_backlogs(Backlogs::new(&deployment, |function| self.shared.queue(function)));
        self.routes = Some(Routes::new(deployment.clone()));
        self.shared.active.send_replace(Some(deployment));
        Ok(())
    }

    /// Takes in what was put back for a function; one that is not deployed finds it when it is again.
    fn take_up(&self, function: FunctionId, position: Position) -> Result<(), BusError> {
        let deployed = self.routes.as_ref().and_then(|routes| routes.deployment().function_by_id(function));
        match (self.feeds.get(&function), deployed) {
            (Some(feed), Some(function)) => feed.take_up_redriven(&self.shared, function, position),
            _ => Ok(()),
        }
    }

    /// Reads one page for a function that lags. Answers whether it should read on at once.
    fn catch_up(&mut self, function: FunctionId) -> Result<bool, BusError> {
        let Some(feed) = self.feeds.get_mut(&function) else { return Ok(false) };
        let Some(after) = feed.queue.frontier() else { return Ok(false) };
        let read = self.shared.read.load(Ordering::Acquire);
        if after >= read {
            feed.queue.set_frontier(None);
            feed.queue.set_behind(0);
            feed.lags = false;
            feed.left = HashSet::new();
            return Ok(false);
        }
        if !feed.queue.has_much_room() {
            return Ok(false);
        }
        let (judging, end) = feed.judging(after + 1);
        let until = end.min(read);
        let Some(judging) = judging else {
            feed.queue.set_frontier(Some(until));
            return Ok(true);
        };
        let log = &self.shared.log;
        let Page { events, settled, read_to } = log.read("read the log", |db| feed.page(db, &judging, after, until))?;
        for stored in events {
            let position = stored.accepted.position;
            feed.touched = true;
            let is_settled = settled.contains(&position) || feed.left.contains(&position);
            if !is_settled && !feed.queue.has_room() {
                feed.queue.set_frontier(Some(position - 1));
                return Ok(false);
            }
            if !is_settled
                && let Some(item) = taken_in(&judging, stored, &self.shared, &mut self.patience)
                && let Err(error) = feed.queue.offer(&self.shared, item)
            {
                feed.queue.set_frontier(Some(position - 1));
                return Err(error);
            }
            // Counted twice for a moment, and not left out: a bound holds while the function catches up.
            feed.queue.comes_up();
        }
        feed.queue.set_frontier(Some(read_to));
        Ok(true)
    }

    /// Settles what a function's queue has and is not to be run.
    fn settle_superseded(&self, function: FunctionId) {
        let Some(Feed { queue, .. }) = self.feeds.get(&function) else { return };
        let Some(deployment) = self.routes.as_ref().map(Routes::deployment) else { return };
        let Some(function) = deployment.function_by_id(function) else { return };
        for (item, token) in queue.take_superseded() {
            let Some(by) = item.superseded_by else { continue };
            let guard = Guard::of(&self.shared, queue, &item, token);
            let (name, round, deployment) = (function.name.clone(), item.round, deployment.number);
            let supersede = Supersede { guard, function: function.id, name, deployment, round, by, is_first: true };
            if let Err(supersede) = self.shared.inbox.submit(Box::new(supersede)) {
                supersede.failed(&self.shared, Fault::Closed);
            }
        }
    }

    /// Writes the cursors of functions that judged something since.
    fn write_cursors(&mut self) {
        if self.cursors_written.elapsed() < CURSORS_EVERY {
            return;
        }
        self.cursors_written = Instant::now();
        let cursors: Vec<_> =
            self.feeds.iter_mut().filter_map(|(id, feed)| Some((*id, feed.moved(&self.shared)?))).collect();
        if !cursors.is_empty() {
            let _ = self.shared.inbox.submit(Box::new(Cursors(cursors)));
        }
    }
}

/// What a function's queue takes in of an event that the function reads by itself.
fn taken_in(function: &Function, stored: Stored, shared: &Shared, patience: &mut Patience) -> Option<Item> {
    let whole = |event: Accepted| {
        let event = Arc::new(event);
        let item = wanted(function, event.position, &Subject::new(&event), &shared.metrics);
        item.inspect(|_| shared.log.remember(&event))
    };
    if stored.data.is_none() {
        return whole(stored.accepted);
    }
    match without_data(&stored.accepted, function) {
        Told::Surely(item) => item,
        Told::Perhaps(item) => match patience.read(&shared.log, stored) {
            Read::Whole(event) => whole(event),
            Read::WithoutData(_) => Some(item),
        },
    }
}
