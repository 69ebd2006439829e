//! How the story is told: chapter by chapter, with a line for each event of the path, and what it came to.

use std::time::Duration;

use serde::Serialize;

use super::super::render::{self, Look, brief, clean};
use super::super::terminal::{Format, Terminal};
use super::super::{CliError, render::duration};
use super::follow::Seen;
use crate::api::model::TraceView;
use crate::clock::Timestamp;
use crate::event::Position;

/// What happened, and what had to.
#[derive(Debug, Serialize)]
pub struct Chapter {
    pub title: &'static str,
    pub events: Vec<Line>,
    pub expectations: Vec<Expectation>,
    /// Of each kill of the project, the last event that was seen before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kills: Vec<Position>,
    /// The first event that counts for it.
    #[serde(skip)]
    pub from: usize,
}

#[derive(Debug, Serialize)]
pub struct Expectation {
    pub what: String,
    pub held: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// One event, as the timeline shows it.
#[derive(Debug, Serialize)]
pub struct Line {
    pub position: Position,
    pub at: Timestamp,
    pub event: String,
    pub subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The rule, the outcome or what else it comes to, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub by: String,
}

impl Line {
    pub fn of(seen: &Seen) -> Self {
        let detail = ["rule", "outcome", "result", "action"].iter().find_map(|member| seen.text(member));
        Line {
            position: seen.position,
            at: seen.at,
            event: seen.name.clone(),
            subject: seen.subject.clone(),
            environment: seen.environment().map(str::to_owned),
            detail: detail.map(str::to_owned),
            by: seen.by.clone(),
        }
    }
}

impl Chapter {
    pub fn new(title: &'static str, from: usize) -> Self {
        Chapter { title, events: Vec::new(), expectations: Vec::new(), kills: Vec::new(), from }
    }

    pub fn is_as_it_should(&self) -> bool {
        self.expectations.iter().all(|expectation| expectation.held)
    }
}

pub fn title(title: &str, terminal: &Terminal) -> Result<(), CliError> {
    match terminal.format {
        Format::Text => terminal.print(&format!("\n{}\n", terminal.look.strong(title))),
        Format::Json => Ok(()),
    }
}

pub fn line(line: &Line, terminal: &Terminal) -> Result<(), CliError> {
    if terminal.format == Format::Json {
        return Ok(());
    }
    let look = &terminal.look;
    let text = |text: &Option<String>| clean(text.as_deref().unwrap_or_default()).into_owned();
    let since = format!("{:.2} s", line.at.since(look.now).as_secs_f64());
    let place = look.faint(&format!("{since:>8}  #{:<4}", line.position));
    let name = format!("{:<24}", clean(&line.event));
    let environment = format!("{:<10}", text(&line.environment));
    let detail = look.waiting(&format!("{:<16}", text(&line.detail)));
    let about = look.faint(&format!("{}  by {}", brief(&line.subject), clean(&line.by)));
    terminal.print(&format!("{place}  {name}  {environment}  {detail}  {about}\n"))
}

/// Before all chapters.
pub fn preface(terminal: &Terminal) -> Result<(), CliError> {
    let words =
        "a line is an event: when, its number, its words; customers' orders are left out, so numbers are skipped";
    match terminal.format {
        Format::Text => terminal.print(&format!("{}\n", terminal.look.faint(words))),
        Format::Json => Ok(()),
    }
}

pub fn kill(after: Position, terminal: &Terminal) -> Result<(), CliError> {
    match terminal.format {
        Format::Text => {
            let killed = terminal.look.waiting(&format!("killed after #{after}, and started again"));
            terminal.print(&format!("{:>8}  {killed}\n", ""))
        }
        Format::Json => Ok(()),
    }
}

pub fn verdict(chapter: &Chapter, terminal: &Terminal) -> Result<(), CliError> {
    let look = &terminal.look;
    if terminal.format == Format::Json {
        return terminal.show(chapter, |_, _| String::new());
    }
    let lines = chapter.expectations.iter().map(|Expectation { what, otherwise, .. }| match otherwise {
        None => format!("  {}  {what}\n", look.good("ok")),
        Some(otherwise) => format!("  {}  {what}: {otherwise}\n", look.bad("not as it should be")),
    });
    terminal.print(&lines.collect::<String>())
}

/// The whole, in the end.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub as_it_should: bool,
    pub took_micros: u64,
    /// How often the project was killed on the way.
    pub crashes: u32,
    pub decisions: Vec<Decision>,
    pub rollback: Option<Latency>,
    /// What the merge of the released change led to.
    pub tree: Option<TraceView>,
    pub folder: String,
    pub commands: Vec<String>,
}

/// One line of what was promoted, refused, blocked and rolled back.
#[derive(Debug, Serialize, PartialEq)]
pub struct Decision {
    pub verdict: &'static str,
    pub what: String,
    pub environment: String,
    pub rule: String,
    pub reason: String,
}

/// From the first failed order to the release before in its place.
#[derive(Debug, Serialize)]
pub struct Latency {
    pub onset: Timestamp,
    pub detected: Timestamp,
    pub decided: Timestamp,
    pub confirmed: Timestamp,
}

pub fn summary(summary: &Summary, look: &Look) -> String {
    let mut text = format!("\n{}\n", look.strong("what was decided"));
    text += &render::decisions(
        summary.decisions.iter().map(|decision| {
            let good = matches!(decision.verdict, "passed" | "promoted" | "healed");
            let cells = [decision.verdict, &decision.environment, &decision.what, &decision.rule, &decision.reason];
            (good, cells)
        }),
        look,
    );
    if let Some(latency) = &summary.rollback {
        let between = |from: Timestamp, to: Timestamp| duration(to.since(from));
        text += &format!(
            "\n{}\n  found {} after the first failed order, decided {} later, the release before back {} after that\n",
            look.strong("the rollback"),
            between(latency.onset, latency.detected),
            between(latency.detected, latency.decided),
            between(latency.decided, latency.confirmed),
        );
    }
    let verdict = match summary.as_it_should {
        true => look.good("every step ended as it should"),
        false => look.bad("a step ended otherwise"),
    };
    let took = duration(Duration::from_micros(summary.took_micros));
    let crashes = match summary.crashes {
        0 => String::new(),
        times => format!("; the project was killed {times} times on the way"),
    };
    text += &format!("\n{verdict} in {took}{crashes}; the project is kept in {}\n\nlook further:\n", summary.folder);
    text + &summary.commands.iter().map(|command| format!("  {command}\n")).collect::<String>()
}
