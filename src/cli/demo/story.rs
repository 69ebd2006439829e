//! The story: what the world does, and what must come of it.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::CliError;
use super::super::client::{Client, ServerArgs};
use super::super::terminal::Terminal;
use super::follow::{Log, Seen, Wanted};
use super::sender::Request;
use super::server::Server;
use super::tell::{Chapter, Expectation, Line};
use super::{chaos::Chaos, tell};
use crate::api::model::{EventView, FunctionView, Listing};
use crate::event::Position;

/// Far beyond what any step takes on a busy machine.
const STEP_SECONDS_MAX: u64 = 60;

/// Why a story does not go on.
#[derive(Debug)]
pub enum Halt {
    /// Something is otherwise than it should be; its chapter tells what.
    Otherwise,
    Failed(CliError),
}

impl From<CliError> for Halt {
    fn from(error: CliError) -> Self {
        Halt::Failed(error)
    }
}

/// Between two requests to a project that is not there.
const AGAIN: Duration = Duration::from_millis(50);

/// Tells the story chapter by chapter, and shows what the project does meanwhile.
pub struct Story<'a> {
    pub server: Server,
    pub log: Log,
    chaos: Chaos,
    terminal: &'a Terminal,
    started: Instant,
    /// What the registry could not tell the project.
    unheard: watch::Receiver<Option<String>>,
    /// Events that were shown, counted from the first.
    shown: usize,
    /// Those of them that are the path's own.
    path_events: usize,
    pub chapters: Vec<Chapter>,
}

impl<'a> Story<'a> {
    pub fn begin(
        server: Server,
        log: Log,
        chaos: Chaos,
        unheard: watch::Receiver<Option<String>>,
        terminal: &'a Terminal,
        started: Instant,
    ) -> Self {
        Story { server, log, chaos, terminal, started, unheard, shown: 0, path_events: 0, chapters: Vec::new() }
    }

    /// Begins a chapter; the one before comes to its end and is told. The first one has all that was before it.
    pub async fn chapter(&mut self, title: &'static str) -> Result<(), Halt> {
        let mut from = 0;
        if !self.chapters.is_empty() {
            self.settle().await?;
            self.end_chapter()?;
            from = self.log.count();
        }
        tell::title(title, self.terminal)?;
        self.chapters.push(Chapter::new(title, from));
        Ok(())
    }

    /// Waits until all that the chapter set off has come to its end, so that nothing of it stands in the next one.
    pub async fn settle(&mut self) -> Result<(), Halt> {
        let deadline = Instant::now() + Duration::from_secs(STEP_SECONDS_MAX);
        while !self.is_settled().await? {
            if Instant::now() >= deadline {
                let otherwise = format!("it did not within {STEP_SECONDS_MAX} s");
                self.expect("all that it set off comes to its end".to_owned(), Some(otherwise))?;
            }
            tokio::time::sleep(AGAIN).await;
            self.show_new()?;
            self.strike().await?;
        }
        Ok(self.show_new()?)
    }

    /// Whether every function has done with the log, and all of it was seen here. What is due later does not count.
    async fn is_settled(&self) -> Result<bool, CliError> {
        let client = Client::to_write(&ServerArgs { url: Some(self.server.api().to_owned()), token_file: None })?;
        let functions: Listing<FunctionView> = match client.get(&["functions"], &[]).await {
            // It was killed, and starts again.
            Err(CliError::Unreachable { .. } | CliError::BrokenOff { .. }) => return Ok(false),
            functions => functions?,
        };
        let rests = |one: &FunctionView| one.lag == 0 && one.pending == 0 && one.running == 0;
        if !functions.items.iter().filter(|function| function.deployed).all(rests) {
            return Ok(false);
        }
        let newest: Listing<EventView> = match client.get(&["events"], &[("limit", "1".to_owned())]).await {
            Err(CliError::Unreachable { .. } | CliError::BrokenOff { .. }) => return Ok(false),
            newest => newest?,
        };
        Ok(newest.items.iter().all(|newest| newest.position == self.log.position()))
    }

    /// Ends the last chapter.
    pub fn end_chapter(&mut self) -> Result<(), CliError> {
        self.show_new()?;
        tell::verdict(self.chapters.last().expect("a chapter was begun"), self.terminal)
    }

    /// Sends what somebody has to say, a request that must be answered with `status`.
    pub async fn send(&mut self, what: &str, request: Request, status: u16) -> Result<(), Halt> {
        let door = request.path;
        // Both at once, so that the project may be killed while it answers.
        let (struck, answer) =
            tokio::join!(self.chaos.strike(self.path_events, &self.server, &self.log), self.server.send(request));
        self.tell_strike(struck?)?;
        let answered = answer?;
        let otherwise = (answered != status).then(|| format!("it answers {answered}"));
        self.expect(format!("{what}: {door} answers {status}"), otherwise)
    }

    /// Waits for an event of this chapter.
    pub async fn until(&mut self, what: &str, wanted: Wanted) -> Result<Seen, Halt> {
        let deadline = Instant::now() + Duration::from_secs(STEP_SECONDS_MAX);
        let from = self.chapters.last().map_or(0, |chapter| chapter.from);
        loop {
            let count = self.log.count();
            let found = self.log.since(from).into_iter().find(|seen| wanted.is_it(seen));
            self.show_new()?;
            if let Some(found) = found {
                self.expect(what.to_owned(), None)?;
                return Ok(found);
            }
            let unheard = self.unheard.borrow().clone();
            if unheard.is_some() {
                self.expect(what.to_owned(), unheard)?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.expect(what.to_owned(), Some(format!("it did not come within {STEP_SECONDS_MAX} s")))?;
            }
            let mut unheard = self.unheard.clone();
            // All are cancel-safe: two wait for a state, one for a time, which is told by the loop.
            tokio::select! {
                () = self.log.more_than(count) => {}
                Ok(_) = unheard.wait_for(Option::is_some) => {}
                () = tokio::time::sleep(left) => {}
            }
            self.strike().await?;
        }
    }

    /// Does what an operator does: asks the project's API, again while it is not there.
    pub async fn operate(&mut self, path: &[&str]) -> Result<(), CliError> {
        let client = Client::to_write(&ServerArgs { url: Some(self.server.api().to_owned()), token_file: None })?;
        let deadline = Instant::now() + Duration::from_secs(STEP_SECONDS_MAX);
        loop {
            self.strike().await?;
            match client.post::<serde_json::Value>(path, &serde_json::json!({})).await {
                Ok(_) => return Ok(()),
                Err(CliError::Unreachable { .. } | CliError::BrokenOff { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes what must be so, or how it is otherwise, which ends the story.
    pub fn expect(&mut self, what: String, otherwise: Option<String>) -> Result<(), Halt> {
        let held = otherwise.is_none();
        let chapter = self.chapters.last_mut().expect("a chapter was begun");
        chapter.expectations.push(Expectation { what, held, otherwise });
        if held { Ok(()) } else { Err(Halt::Otherwise) }
    }

    pub fn is_as_it_should(&self) -> bool {
        self.chapters.iter().all(Chapter::is_as_it_should)
    }

    pub fn took(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn crashes(&self) -> u32 {
        self.chaos.struck
    }

    /// Kills the project and starts it again where it is time to.
    async fn strike(&mut self) -> Result<(), CliError> {
        let struck = self.chaos.strike(self.path_events, &self.server, &self.log).await?;
        self.tell_strike(struck)
    }

    fn tell_strike(&mut self, after: Option<Position>) -> Result<(), CliError> {
        let Some(after) = after else { return Ok(()) };
        self.show_new()?;
        self.chapters.last_mut().expect("a chapter was begun").kills.push(after);
        tell::kill(after, self.terminal)
    }

    fn show_new(&mut self) -> Result<(), CliError> {
        let new = self.log.since(self.shown);
        self.shown += new.len();
        for seen in new.iter().filter(|seen| seen.is_of_the_path()) {
            self.path_events += 1;
            let line = Line::of(seen);
            tell::line(&line, self.terminal)?;
            self.chapters.last_mut().expect("a chapter was begun").events.push(line);
        }
        Ok(())
    }
}
