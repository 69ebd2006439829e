//! Buckets that are watched by listing them, and whose new objects may be read as scanners' reports.
//!
//! Each pass lists the whole prefix. An object that was not there as it is now is one event: `com.s3.ObjectCreated.Poll`, with
//! data in the form of S3's notifications; or, where the trigger reads, what its content is (`report`), and
//! `com.s3.ObjectUnread` with the reason where it is no report. The id is derived from bucket, key, entity tag and time of change,
//! so that each state of an object is in the log once; what is remembered here only spares asking the log.
//!
//! A notice of an object (`notices`) makes the trigger look at its key at once, and the notification is then the cause of the
//! object's event. A notice that is missed costs the wait for the next pass, and the cause.
//!
//! Deletions are not seen. `partitionkey` is bucket and key (of a report, its target), `sequence` the time of change.

mod fetch;
mod object;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::Object;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, sleep_until};
use tracing::warn;
use uuid::Uuid;

use self::fetch::{FetchError, Fetched, fetch};
use super::intake::{Intake, Taken, TriggerError, backoff};
use super::notices::Notice;
use super::{check_size, report};
use crate::bus::{BusError, History};
use crate::deployment::{BucketTrigger, ReportFormat};
use crate::event::{Event, Position, follow};
use crate::s3::{self, client};

/// Objects whose state is remembered from one pass to the next: 16 B each.
const REMEMBERED_MAX: usize = 1_000_000;
/// Keys that wait to be looked at; of more, the next pass finds the objects.
const NOTIFIED_MAX: usize = 10_000;

/// Lists the bucket every `poll` and publishes what is new, until it is told to stop.
pub async fn run(trigger: BucketTrigger, intake: Intake, history: Arc<dyn History>) -> Result<(), TriggerError> {
    let stop = intake.stop.clone();
    let mut bucket = Bucket::connect(trigger, intake, history)?;
    loop {
        let Some(next) = bucket.next().await else { return Ok(()) };
        let prefix = match &next {
            Next::Poll => bucket.trigger.store.prefix.clone(),
            Next::Key(key) => key.clone(),
        };
        // Dropping a pass that was told to stop loses nothing: its events are handed in again by the next one.
        let Some(passed) = stop.run_until_cancelled(bucket.pass(&prefix)).await else { return Ok(()) };
        match (passed, next) {
            (Ok(_), Next::Key(key)) => drop(bucket.notified.remove(&key)),
            (Ok(listed), Next::Poll) => {
                bucket.known.retain(|id| listed.contains(id));
                bucket.failures = 0;
                bucket.poll_at = Instant::now() + bucket.trigger.poll;
            }
            (Err(Ended::Stopped), _) => return Ok(()),
            (Err(Ended::Fatal(error)), _) => return Err(error),
            (Err(Ended::Failed(error)), _) => {
                warn!(trigger = bucket.name, error, "cannot take in the bucket's objects; trying again");
                bucket.poll_at = Instant::now() + backoff(bucket.failures);
                bucket.failures += 1;
            }
        }
    }
}

/// What to look at next.
enum Next {
    /// The whole prefix.
    Poll,
    /// What a notice named.
    Key(String),
}

/// Why a pass did not come to its end.
enum Ended {
    Stopped,
    /// It is made again.
    Failed(String),
    Fatal(TriggerError),
}

impl From<TriggerError> for Ended {
    fn from(error: TriggerError) -> Self {
        Ended::Fatal(error)
    }
}

struct Bucket {
    name: String,
    trigger: BucketTrigger,
    client: Client,
    intake: Intake,
    history: Arc<dyn History>,
    /// States of objects that are in the log.
    known: HashSet<Uuid>,
    notices: broadcast::Receiver<Notice>,
    /// Keys that are still to be looked at, and where in the log the notification of each is.
    notified: HashMap<String, Position>,
    poll_at: Instant,
    /// In a row; while there are any, only the time of the next pass counts.
    failures: u32,
}

impl Bucket {
    fn connect(trigger: BucketTrigger, intake: Intake, history: Arc<dyn History>) -> Result<Self, TriggerError> {
        let name = trigger.name();
        let client = client(&trigger.store, intake.env.as_ref())
            .map_err(|source| TriggerError::Secret { trigger: name.clone(), source })?;
        let notices = intake.notices.listen();
        let (known, notified) = (HashSet::new(), HashMap::new());
        let poll_at = Instant::now();
        Ok(Bucket { name, trigger, client, intake, history, known, notices, notified, poll_at, failures: 0 })
    }

    /// Waits for the time of the next pass, or a notice of an object here. None: it is time to stop.
    async fn next(&mut self) -> Option<Next> {
        loop {
            // However many notices come, what was missed is found.
            if self.poll_at <= Instant::now() {
                return Some(Next::Poll);
            }
            if self.failures == 0
                && let Some(key) = self.notified.keys().next()
            {
                return Some(Next::Key(key.clone()));
            }
            // All are cancel-safe: two wait for a time or a state, one takes a notice or nothing.
            let notice = tokio::select! {
                () = self.intake.stop.cancelled() => return None,
                () = sleep_until(self.poll_at) => return Some(Next::Poll),
                notice = self.notices.recv() => notice,
            };
            match notice {
                Ok(notice) => self.hear(notice),
                Err(RecvError::Lagged(_)) if self.failures == 0 => return Some(Next::Poll),
                Err(RecvError::Lagged(_)) => {}
                // The intake holds a sender.
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn hear(&mut self, notice: Notice) {
        let store = &self.trigger.store;
        let ours = notice.bucket == store.bucket && notice.key.starts_with(&store.prefix);
        if ours && self.notified.len() < NOTIFIED_MAX {
            self.notified.insert(notice.key, notice.position);
        }
    }

    /// Takes in what is new under a prefix. Answers the states that are there, at most `REMEMBERED_MAX` of them.
    async fn pass(&mut self, prefix: &str) -> Result<HashSet<Uuid>, Ended> {
        let mut listed = HashSet::new();
        let listing = self.client.list_objects_v2().bucket(&self.trigger.store.bucket).prefix(prefix);
        let mut pages = listing.into_paginator().send();
        // What is refused for one object is told once the others were looked at.
        let mut refused = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Ended::Failed(s3::reason(&error)))?;
            let state = |object| object::state(&self.trigger.store, self.trigger.read, object);
            let states = page.contents().iter().filter_map(|object| Some((state(object)?, object)));
            let states: Vec<(Uuid, &Object)> = states.collect();
            let room = REMEMBERED_MAX - listed.len();
            listed.extend(states.iter().map(|(id, _)| *id).take(room));
            let new = self.unknown(states).await?;
            match self.trigger.read {
                None => self.tell(&new).await?,
                Some(format) => refused = self.read(format, &new).await?.or(refused),
            }
        }
        refused.map_or(Ok(listed), |error| Err(Ended::Failed(error)))
    }

    /// Those that are not in the log.
    async fn unknown<'a>(&mut self, states: Vec<(Uuid, &'a Object)>) -> Result<Vec<(Uuid, &'a Object)>, Ended> {
        let mut new = Vec::new();
        let source = object::source(&self.trigger.store);
        for (id, object) in states {
            if self.known.contains(&id) {
                continue;
            }
            match self.history.has(&id.to_string(), &source).await.map_err(|error| self.failed(error))? {
                true => self.remember(id),
                false => new.push((id, object)),
            }
        }
        Ok(new)
    }

    /// Publishes that objects are there.
    async fn tell(&mut self, new: &[(Uuid, &Object)]) -> Result<(), Ended> {
        let mut events = Vec::with_capacity(new.len());
        for (id, object) in new {
            events.push(self.caused(object::created(&self.trigger.store, *id, object), object).await?);
        }
        self.publish(events).await?;
        new.iter().for_each(|(id, _)| self.remember(*id));
        Ok(())
    }

    /// Publishes what objects say. Answers what the store refused; that is asked for again.
    async fn read(&mut self, format: ReportFormat, new: &[(Uuid, &Object)]) -> Result<Option<String>, Ended> {
        let mut refused = None;
        for (id, object) in new {
            let content = match fetch(&self.client, &self.trigger.store.bucket, object).await {
                Ok(Fetched::Content(content)) => Ok(content),
                Ok(Fetched::Unreadable(reason)) => Err(reason),
                // Its new state is an object of its own, which the next listing has.
                Ok(Fetched::Changed) => continue,
                Err(FetchError::Refused(error)) => {
                    refused = Some(error);
                    continue;
                }
                Err(FetchError::Away(error)) => return Err(Ended::Failed(error)),
            };
            let event = match content {
                Ok(content) => self.report(format, *id, object, content).await,
                Err(reason) => Err(reason),
            };
            let event = event.unwrap_or_else(|reason| object::unread(&self.trigger.store, *id, object, &reason));
            let event = self.caused(event, object).await?;
            self.publish(vec![event]).await?;
            self.remember(*id);
        }
        Ok(refused)
    }

    /// The event of a report, or why the object is none.
    async fn report(&self, format: ReportFormat, id: Uuid, object: &Object, content: Vec<u8>) -> Result<Event, String> {
        let (store, key) = (&self.trigger.store, object.key().unwrap_or_default().to_owned());
        let (source, facts) = (object::source(store), object::facts(store, object));
        // A large report takes a while to be parsed.
        let parsing = tokio::task::spawn_blocking(move || {
            let place = report::Place { id: id.to_string(), source, object: Some(&facts) };
            let event = report::of_object(format, place, &key, &content)?;
            check_size(&event).map(|()| event)
        });
        parsing.await.expect("parsing does not panic")
    }

    /// The event, caused by the notification of its object, if there was one.
    async fn caused(&mut self, mut event: Event, object: &Object) -> Result<Event, Ended> {
        // It may have come while this pass went on.
        while let Ok(notice) = self.notices.try_recv() {
            self.hear(notice);
        }
        let notified = object.key().and_then(|key| self.notified.get(key));
        if let Some(position) = notified
            && let Some(cause) = self.history.event_at(*position).await.map_err(|error| self.failed(error))?
        {
            follow(&mut event, &cause.event);
        }
        Ok(event)
    }

    async fn publish(&self, events: Vec<Event>) -> Result<(), Ended> {
        match self.intake.publish(&self.name, events).await? {
            Taken::Durable { .. } => Ok(()),
            Taken::Stopped => Err(Ended::Stopped),
        }
    }

    fn remember(&mut self, id: Uuid) {
        if self.known.len() < REMEMBERED_MAX {
            self.known.insert(id);
        }
    }

    fn failed(&self, error: BusError) -> Ended {
        match error {
            BusError::Closed if self.intake.stop.is_cancelled() => Ended::Stopped,
            source @ (BusError::Closed | BusError::Failed { .. }) => {
                Ended::Fatal(TriggerError::Bus { trigger: self.name.clone(), source })
            }
            error @ (BusError::Full | BusError::AtMax | BusError::Store { .. }) => {
                self.intake.metrics.fault(&error);
                Ended::Failed(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests;
