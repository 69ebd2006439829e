//! The reader: one thread that follows the tail of the log and offers each event to the functions that it is for.
//!
//! A function that has no room lags: it reads on by type from where it stopped, page by page, without holding up the
//! others, until it has caught up. Each range of positions is judged by the function as it was deployed then.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::feed::{Feed, Page, order_key, passes};
use super::intake::Promote;
use super::operate::{ACTIVATED, Cursors};
use super::queue::Item;
use super::rows;
use super::shared::Shared;
use crate::bus::BusError;
use crate::deployment::{Deployment, FunctionId, Judgement, Routes};
use crate::event::{Accepted, OriginKind, Position};
use crate::filter::Subject;
use crate::telemetry::Metrics;

/// Events that are read from disk in one transaction.
pub(super) const PAGE_EVENTS_MAX: usize = 256;
/// How often cursors are written that go with no settlement.
const CURSORS_EVERY: Duration = Duration::from_secs(3);

pub(super) struct Reader {
    shared: Arc<Shared>,
    feeds: HashMap<FunctionId, Feed>,
    /// Of the active deployment.
    routes: Option<Routes>,
    /// Every type in the log.
    types: HashSet<String>,
    /// The longest sleep.
    poll: Duration,
    cursors_written: Instant,
    metrics: Metrics,
}

impl Reader {
    /// Takes up where the log stands: every function of the active deployment reads on from its cursor.
    pub fn open(shared: Arc<Shared>, poll: Duration, metrics: Metrics) -> Result<Self, BusError> {
        let (tail, types, number) = shared
            .log
            .read("read the log", |db| Ok((rows::tail(db)?, super::feed::types(db)?, rows::last_deployment(db)?)))?;
        let deployment = shared.log.deployment(number)?;
        shared.tail.store(tail, Ordering::Release);
        shared.read.store(tail, Ordering::Release);
        let mut reader = Reader {
            shared,
            feeds: HashMap::new(),
            routes: None,
            types,
            poll,
            cursors_written: Instant::now(),
            metrics,
        };
        if let Some(deployment) = deployment {
            reader.switch(deployment, tail)?;
        }
        Ok(reader)
    }

    /// Runs until it is told to stop.
    pub fn run(mut self) {
        let mut more = true;
        loop {
            let work = self.shared.reader.wait(&self.shared.clock, if more { Duration::ZERO } else { self.poll });
            if work.stop {
                return;
            }
            if work.delayed_due {
                // A closed bus promotes nothing; the next start does.
                let _ = self.shared.inbox.submit(Promote::new());
            }
            for function in work.retries {
                if let Some(queue) = self.shared.queue(function) {
                    queue.release(self.shared.clock.now());
                }
            }
            more = self.advance().unwrap_or_else(|error| {
                tracing::error!(%error, "the log cannot be read; trying again");
                std::thread::sleep(self.poll);
                false
            });
            self.write_cursors();
        }
    }

    /// Offers what is new, and reads one page for each function that lags. Answers whether there is more to do.
    fn advance(&mut self) -> Result<bool, BusError> {
        loop {
            let read = self.shared.read.load(Ordering::Acquire);
            if read >= self.shared.tail.load(Ordering::Acquire) {
                break;
            }
            let mut fresh = self.shared.take_fresh(read);
            if fresh.is_empty() {
                fresh = self.read_page(read)?;
            }
            for event in &fresh {
                self.offer(event)?;
            }
        }
        let lagging: Vec<FunctionId> =
            self.feeds.iter().filter(|(_, feed)| feed.queue.frontier().is_some()).map(|(id, _)| *id).collect();
        let mut more = false;
        for function in lagging {
            more |= self.catch_up(function)?;
        }
        Ok(more)
    }

    fn read_page(&self, after: Position) -> Result<Vec<Arc<Accepted>>, BusError> {
        let log = &self.shared.log;
        let page = log.read("read the log", |db| super::feed::scan(db, after, Position::MAX, PAGE_EVENTS_MAX))?;
        page.into_iter().map(|stored| log.with_data(stored).map(Arc::new)).collect()
    }

    /// Offers an event to every function that it is for and that does not lag.
    fn offer(&mut self, event: &Arc<Accepted>) -> Result<(), BusError> {
        if !self.types.contains(&event.event.ty) {
            self.types.insert(event.event.ty.clone());
        }
        let routes = self.routes.as_ref();
        for (index, judgement) in routes.map(|routes| routes.judge(event)).unwrap_or_default() {
            let function = routes.and_then(|routes| routes.deployment().functions.get(index));
            let Some(feed) = function.and_then(|function| self.feeds.get_mut(&function.id)) else { continue };
            feed.touched = true;
            match judgement {
                Judgement::Deliver { order_key } => {
                    feed.queue.offer_fresh(Item::first(event.position, order_key.map(Arc::from)));
                }
                // Verdicts of filters are pure: they are computed when someone asks.
                Judgement::Filtered { .. } => {}
                Judgement::FilterFailed { clause, reason } => {
                    let name = function.map_or("", |function| function.name.as_str());
                    self.metrics.filter_failed(name, event.position, &clause, &reason);
                }
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
            if let Some(feed) = self.feeds.remove(&function) {
                cursors.push((function, feed.queue.cursor(&self.shared)));
                self.shared.remove_queue(function);
            }
        }
        for function in &deployment.functions {
            match self.feeds.get_mut(&function.id) {
                Some(feed) => feed.change(function, record + 1),
                None => {
                    let feed = Feed::open(&self.shared, function, record)?;
                    self.shared.add_queue(function.id, feed.queue.clone());
                    self.feeds.insert(function.id, feed);
                }
            }
        }
        if !cursors.is_empty() {
            // A bus that closes writes them itself.
            let _ = self.shared.inbox.submit(Box::new(Cursors(cursors)));
        }
        self.routes = Some(Routes::new(deployment.clone()));
        self.shared.active.send_replace(Some(deployment));
        Ok(())
    }

    /// Reads one page for a function that lags. Answers whether it should read on at once.
    fn catch_up(&mut self, function: FunctionId) -> Result<bool, BusError> {
        let Some(feed) = self.feeds.get_mut(&function) else { return Ok(false) };
        let Some(after) = feed.queue.frontier() else { return Ok(false) };
        let read = self.shared.read.load(Ordering::Acquire);
        if after >= read {
            feed.queue.set_frontier(None);
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
        let Page { events, settled, read_to } =
            log.read("read the log", |db| feed.page(db, &judging, &self.types, after, until))?;
        for stored in events {
            let position = stored.accepted.position;
            feed.touched = true;
            if settled.contains(&position) {
                continue;
            }
            if !feed.queue.has_room() {
                feed.queue.set_frontier(Some(position - 1));
                return Ok(false);
            }
            let event = Arc::new(log.with_data(stored)?);
            let subject = Subject::new(&event);
            if passes(&judging, &subject) {
                feed.queue.offer(Item::first(position, order_key(&judging, &subject)));
                log.remember(&event);
            }
        }
        feed.queue.set_frontier(Some(read_to));
        Ok(true)
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
