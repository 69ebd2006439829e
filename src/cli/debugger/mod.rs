//! The debugger in a terminal, and from a script: one command a line, text back.
//!
//! `invoke::debug` holds the guest; this reads commands and prints. In a terminal a wrong command is told and forgotten; in
//! a script it ends the session, with its line.

mod command;
mod show;
mod source;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

pub use source::Sources;

use super::CliError;
use crate::invoke::debug::{DebugError, Frame, Session};
use command::Command;

const PROMPT: &str = "(debug) ";

/// Where commands come from.
pub struct Commands {
    name: String,
    lines: Box<dyn BufRead>,
    /// Whether somebody types them.
    typed: bool,
}

/// A command that cannot be carried out.
enum Refused {
    /// It is wrong here; the session goes on.
    Command(String),
    Broken(DebugError),
}

impl From<DebugError> for Refused {
    fn from(error: DebugError) -> Self {
        match error {
            DebugError::NoFunction { .. }
            | DebugError::NoFile { .. }
            | DebugError::NoLine { .. }
            | DebugError::NoLines => Refused::Command(error.to_string()),
            DebugError::Engine(_)
            | DebugError::Fault(_)
            | DebugError::Setup(_)
            | DebugError::Unreadable(_)
            | DebugError::Diverged { .. } => Refused::Broken(error),
        }
    }
}

impl Commands {
    /// From a file, else from standard input.
    pub fn open(file: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = file else {
            let typed = io::stdin().is_terminal();
            return Ok(Commands {
                name: "standard input".to_owned(),
                lines: Box::new(BufReader::new(io::stdin())),
                typed,
            });
        };
        let lines = File::open(path).map_err(|source| CliError::Input { path: path.to_owned(), source })?;
        Ok(Commands { name: path.display().to_string(), lines: Box::new(BufReader::new(lines)), typed: false })
    }

    fn next(&mut self, output: &mut dyn Write) -> Result<Option<String>, CliError> {
        if self.typed {
            write(output, PROMPT)?;
        }
        let mut line = String::new();
        let read = self.lines.read_line(&mut line);
        let read = read.map_err(|source| CliError::Input { path: PathBuf::from(&self.name), source })?;
        Ok((read > 0).then(|| line.trim().to_owned()))
    }
}

/// Carries out commands until they end or one ends the session. What is printed of a script has its commands in it.
pub async fn debug(
    session: &mut Session<'_>,
    mut commands: Commands,
    sources: Sources,
    output: &mut dyn Write,
) -> Result<(), CliError> {
    let mut debugger = Debugger { looked_at: 0, sources };
    debugger.look(session);
    write(output, &show::opening(session))?;
    write(output, &debugger.place(session))?;
    let mut last = String::new();
    for number in 1.. {
        let Some(line) = commands.next(output)? else { break };
        if line.starts_with('#') {
            continue;
        }
        if !commands.typed && !line.is_empty() {
            write(output, &format!("{PROMPT}{line}\n"))?;
        }
        if !line.is_empty() {
            last = line;
        } else if last.is_empty() {
            continue;
        }
        let done = match command::parse(&last) {
            Ok(Command::Quit) => break,
            Ok(command) => debugger.execute(session, command).await,
            Err(reason) => Err(Refused::Command(reason)),
        };
        match done {
            Ok(text) => write(output, &text)?,
            Err(Refused::Command(reason)) if commands.typed => write(output, &format!("{reason}\n"))?,
            Err(Refused::Command(reason)) => {
                return Err(CliError::Malformed { path: format!("{}:{number}", commands.name), reason });
            }
            Err(Refused::Broken(error)) => {
                return Err(CliError::Failed { what: "the debugger broke off".to_owned(), source: error.into() });
            }
        }
    }
    Ok(())
}

/// What was printed is seen before the next command is read.
fn write(output: &mut dyn Write, text: &str) -> Result<(), CliError> {
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(CliError::Output)
}

struct Debugger {
    /// A frame of the stack, by its number.
    looked_at: usize,
    sources: Sources,
}

impl Debugger {
    async fn execute(&mut self, session: &mut Session<'_>, command: Command) -> Result<String, Refused> {
        match command {
            Command::Step(motion, direction, times) => {
                for _ in 0..times {
                    session.step(motion, direction).await?;
                }
            }
            Command::Effect(number) => {
                if !session.go_to_effect(number).await? {
                    let reason = format!("there is no effect {number}; there are {}", session.effects().0.len());
                    return Err(Refused::Command(reason));
                }
            }
            Command::Go(place) => session.go(place).await?,
            Command::Start => session.go_to_start().await?,
            Command::End => session.go(session.end()).await?,
            still => return self.look_at(session, still),
        }
        self.look(session);
        Ok(self.place(session))
    }

    /// Commands that move nothing.
    fn look_at(&mut self, session: &mut Session<'_>, command: Command) -> Result<String, Refused> {
        let wrong = |reason: String| Refused::Command(reason);
        Ok(match command {
            Command::Break(at) => {
                let set = session.set_breakpoint(&at)?.clone();
                show::breakpoint(session.breakpoints().len(), &set, &self.sources)
            }
            Command::Breakpoints => show::breakpoints(session.breakpoints(), &self.sources),
            Command::Delete(number) if session.clear_breakpoint(number) => format!("breakpoint {number} is gone\n"),
            Command::Delete(number) => return Err(wrong(format!("there is no breakpoint {number}"))),
            Command::Where => self.place(session),
            Command::Stack => show::stack(&session.frames(), self.looked_at, &self.sources),
            Command::Frame(number) => self.turn_to(session, Some(number))?,
            Command::Up => self.turn_to(session, Some(self.looked_at + 1))?,
            Command::Down => self.turn_to(session, self.looked_at.checked_sub(1))?,
            Command::Locals => show::locals(session, &self.frame(session)?),
            Command::Print(name) => {
                let frame = self.frame(session)?;
                let variables = session.variables(&frame).unwrap_or_default();
                let found = variables.iter().find(|variable| variable.name == name);
                let found =
                    found.ok_or_else(|| wrong(format!("no variable is named {name:?} here; `locals` lists them")))?;
                format!("{name} = {}\n", super::render::clean(&found.value))
            }
            Command::Memory(address, length) => {
                let frame = self.frame(session)?;
                let bytes = session.memory(&frame, address, length);
                show::memory(
                    address,
                    bytes.ok_or_else(|| wrong(format!("{address:#x} is outside of the guest's memory")))?,
                )
            }
            Command::Effects => {
                let (entries, done) = session.effects();
                show::effects(entries, done)
            }
            Command::Help => command::help(),
            Command::Step(..) | Command::Effect(_) | Command::Go(_) | Command::Start | Command::End | Command::Quit => {
                unreachable!("it moves, and was carried out")
            }
        })
    }

    /// Looks at the innermost function that is the author's.
    fn look(&mut self, session: &Session<'_>) {
        self.looked_at = session.frames().iter().position(|frame| frame.is_own).unwrap_or(0);
    }

    fn turn_to(&mut self, session: &Session<'_>, number: Option<usize>) -> Result<String, Refused> {
        match number.filter(|number| *number < session.frames().len()) {
            Some(number) => self.looked_at = number,
            None => return Err(Refused::Command("the stack ends there; `stack` prints it".to_owned())),
        }
        Ok(self.place(session))
    }

    fn frame(&self, session: &Session<'_>) -> Result<Frame, Refused> {
        let frame = session.frames().into_iter().nth(self.looked_at);
        frame.ok_or_else(|| Refused::Command("the invocation has ended, and nothing runs; go `back`".to_owned()))
    }

    fn place(&mut self, session: &Session<'_>) -> String {
        show::place(session, self.frame(session).ok().as_ref(), &mut self.sources)
    }
}

#[cfg(test)]
mod tests;
