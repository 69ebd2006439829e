//! What the project does, as it does it: its log is followed, over restarts too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::super::CliError;
use super::super::client::{Client, ServerArgs};
use crate::api::model::EventView;
use crate::clock::Timestamp;
use crate::deployment::event_type;
use crate::event::Position;
use crate::tasks::Tasks;

/// How long a project that does not answer is left alone before it is followed again.
const PAUSE: Duration = Duration::from_millis(50);

/// One event of the log, as the story reads it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub position: Position,
    pub at: Timestamp,
    pub id: String,
    /// The catalogue's name of its type, else the type.
    pub name: String,
    pub subject: String,
    /// Who said it: a function, a trigger, the runtime.
    pub by: String,
    content: Value,
    custom: Value,
}

impl Seen {
    fn of(view: &EventView) -> Result<Self, CliError> {
        let event = view.parse().map_err(|error| CliError::Failed {
            what: format!("cannot read event #{}", view.position),
            source: Box::new(error),
        })?;
        let data: Value = event.data.as_deref().and_then(|data| serde_json::from_slice(data).ok()).unwrap_or_default();
        Ok(Seen {
            position: view.position,
            at: view.acceptedat,
            name: event_type(&event.ty).map_or_else(|| event.ty.clone(), |entry| entry.name.to_owned()),
            id: event.id,
            subject: event.subject.unwrap_or_default(),
            by: view.origin.name.clone(),
            content: data.pointer("/subject/content").unwrap_or(&data).clone(),
            custom: data.get("customData").cloned().unwrap_or_default(),
        })
    }

    /// A member of what it says that is text.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.custom.get(member).or_else(|| self.content.get(member)).and_then(Value::as_str)
    }

    pub fn is(&self, member: &str, text: &str) -> bool {
        self.text(member) == Some(text)
    }

    /// Whether it is about the delivery of the service, and not what customers do with it.
    pub fn is_of_the_path(&self) -> bool {
        !self.name.starts_with("com.example.")
    }

    pub fn environment(&self) -> Option<&str> {
        self.text("environment")
    }

    /// The names of what a member of it holds.
    pub fn members(&self, member: &str) -> Vec<&str> {
        let members = self.custom.get(member).or_else(|| self.content.get(member)).and_then(Value::as_object);
        members.into_iter().flat_map(|members| members.keys().map(String::as_str)).collect()
    }
}

/// What an event has to be.
pub struct Wanted {
    names: Vec<&'static str>,
    members: Vec<(&'static str, String)>,
}

/// An event by the catalogue's name of its type.
pub fn event(name: &'static str) -> Wanted {
    Wanted { names: vec![name], members: Vec::new() }
}

impl Wanted {
    /// Or one of this name.
    pub fn or(mut self, name: &'static str) -> Self {
        self.names.push(name);
        self
    }

    /// With a member that has this text.
    pub fn with(mut self, member: &'static str, text: &str) -> Self {
        self.members.push((member, text.to_owned()));
        self
    }

    pub fn is_it(&self, seen: &Seen) -> bool {
        self.names.contains(&seen.name.as_str()) && self.members.iter().all(|(member, text)| seen.is(member, text))
    }
}

/// The log of a running project, in its order. Dropped, it follows no more.
pub struct Log {
    seen: Arc<Mutex<Vec<Seen>>>,
    changed: watch::Receiver<usize>,
    tasks: Tasks,
}

impl Drop for Log {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Log {
    pub fn follow(api: &str) -> Result<Self, CliError> {
        let client = Client::to_write(&ServerArgs { url: Some(api.to_owned()), token_file: None })?;
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (told, changed) = watch::channel(0);
        let (tasks, follower) = (Tasks::new(), follow(client, seen.clone(), told));
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            stopping.run_until_cancelled(follower).await;
        });
        Ok(Log { seen, changed, tasks })
    }

    /// Events from `start` on, counted from 0.
    pub fn since(&self, start: usize) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(start..).map(<[Seen]>::to_vec).unwrap_or_default()
    }

    /// The place of the last event that was seen; 0: there is none.
    pub fn position(&self) -> Position {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).last().map_or(0, |seen| seen.position)
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until there are more than `count` events. Cancel-safe.
    pub async fn more_than(&self, count: usize) {
        let mut changed = self.changed.clone();
        // The follower lives as long as this.
        let _ = changed.wait_for(|len| *len > count).await;
    }
}

async fn follow(client: Client, seen: Arc<Mutex<Vec<Seen>>>, told: watch::Sender<usize>) {
    loop {
        let after = seen.lock().unwrap_or_else(PoisonError::into_inner).last().map_or(0, |seen| seen.position);
        let query = [("follow", "true".to_owned()), ("after", after.to_string())];
        if let Ok(mut messages) = client.follow(&["events"], &query).await {
            while let Ok(view) = messages.next::<EventView>().await {
                let Ok(event) = Seen::of(&view) else { continue };
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(event);
                told.send_replace(seen.len());
            }
        }
        // Stopped, or starting again.
        tokio::time::sleep(PAUSE).await;
    }
}
