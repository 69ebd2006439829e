//! Where output goes: text or JSON lines to standard output, progress to standard error when someone watches.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::CliError;
use super::render::Look;
use crate::clock::Timestamp;

/// The form of what a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON value on each line, with keys that stay as they are
    Json,
}

/// Standard output and error, and how to use them.
#[derive(Debug, Clone)]
pub struct Terminal {
    pub format: Format,
    pub look: Look,
    watched: bool,
}

impl Terminal {
    /// Colours only on a terminal, and not where NO_COLOR is set to anything (no-color.org).
    pub fn open(format: Format, now: Timestamp) -> Self {
        let stdout = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width =
            if stdout { terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into()) } else { usize::MAX };
        Terminal {
            format,
            look: Look { colour: stdout && !plain && !dumb, width, now },
            watched: std::io::stderr().is_terminal() && !dumb,
        }
    }

    /// Prints text as it is.
    pub fn print(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(CliError::Output)
    }

    /// Prints one value: as a line of JSON, or as the text that `render` makes of it.
    pub fn show<T: Serialize>(&self, value: &T, render: impl FnOnce(&T, &Look) -> String) -> Result<(), CliError> {
        match self.format {
            Format::Text => self.print(&render(value, &self.look)),
            Format::Json => self.print(&json_line(value)?),
        }
    }

    /// Prints a listing: a line of JSON for each value, or the text that `render` makes of them all.
    pub fn list<T: Serialize>(&self, values: &[T], render: impl FnOnce(&[T], &Look) -> String) -> Result<(), CliError> {
        match self.format {
            Format::Text => self.print(&render(values, &self.look)),
            Format::Json => self.print(&values.iter().map(json_line).collect::<Result<String, _>>()?),
        }
    }

    /// Tells of something beside the answer, on standard error.
    pub fn warn(&self, text: &str) {
        self.note(&format!("warning: {text}"));
    }

    /// The same of a text that says itself what it is.
    pub fn note(&self, text: &str) {
        eprintln!("{text}");
    }

    /// Shows a line of what goes on, on standard error, if someone watches. Whether someone does.
    pub fn detail(&self, line: &str) -> bool {
        if self.watched {
            eprintln!("{line}");
        }
        self.watched
    }

    /// Shows how far a long command is: one line on standard error that the next one replaces. Nothing where nobody
    /// watches.
    pub fn progress(&self, text: &str) {
        if self.watched {
            // A lost progress line is no reason to fail.
            let _ = write!(std::io::stderr(), "\r\u{1b}[2K{text}");
        }
    }

    /// Asks whoever sits there, on standard error. None: nobody does.
    pub fn confirm(&self, question: &str) -> Option<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let mut stderr = std::io::stderr();
        let mut line = String::new();
        let asked = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
        let answered = asked.and_then(|()| std::io::stdin().read_line(&mut line));
        // No answer is a no.
        Some(answered.is_ok() && matches!(line.trim(), "y" | "Y" | "yes"))
    }

    /// Takes the progress line away.
    pub fn progress_done(&self) {
        self.progress("");
    }
}

fn json_line<T: Serialize>(value: &T) -> Result<String, CliError> {
    let mut line = serde_json::to_string(value).map_err(|error| CliError::Output(error.into()))?;
    line.push('\n');
    Ok(line)
}
