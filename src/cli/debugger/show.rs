//! What the debugger prints, as text that stays the same for the same invocation.

use std::fmt::Write as _;

use super::source::Sources;
use crate::api;
use crate::cli::render::clean;
use crate::host::Entry;
use crate::invoke::debug::{Breakpoint, Frame, Session};

const NO_DEBUG_INFO: &str = "no lines and no variables: the component has no debug information; `tidegate build --debug-info` makes one that has\n";

/// What is said once, when a session begins.
pub fn opening(session: &Session<'_>) -> String {
    let mut text = String::new();
    if !session.has_debug_info() {
        text += NO_DEBUG_INFO;
    }
    text += &format!(
        "the invocation {}; effects: {}; `help` lists the commands\n",
        ending(session),
        session.effects().0.len()
    );
    text
}

/// The place that is held at, with the source of a frame.
pub fn place(session: &Session<'_>, frame: Option<&Frame>, sources: &mut Sources) -> String {
    let at = format!("at {} of {}", session.place(), session.end());
    let mut text = match frame {
        Some(frame) if session.place() == session.end() => {
            format!("{at}, where it {}\n{}\n", ending(session), function(frame, sources))
        }
        Some(frame) => format!("{at}  {}\n", function(frame, sources)),
        None => format!("{at}, where it {}\n", ending(session)),
    };
    if let Some(place) = frame.and_then(|frame| frame.place.as_ref()) {
        text += &sources.around(place).map_or_else(
            || format!("  {} is not found; name the folder of the sources with --source\n", clean(&place.file)),
            |source| source.lines().fold(String::new(), |text, line| text + &clean(line) + "\n"),
        );
    }
    let (effects, done) = session.effects();
    let next = effects.get(done).map_or_else(|| "no more come".to_owned(), |next| format!("next is {}", asked(next)));
    let _ = writeln!(text, "  effects: {done} of {}, {next}", effects.len());
    text
}

fn ending(session: &Session<'_>) -> String {
    match session.ending() {
        Ok(events) => format!("completes; emitted: {}", events.len()),
        Err(failure) => format!("fails: {} {}", failure.kind.as_str(), clean(&failure.reason)),
    }
}

fn function(frame: &Frame, sources: &Sources) -> String {
    let place = match &frame.place {
        Some(place) => sources.name(place),
        None => format!("{:#x}", frame.pc),
    };
    clean(&format!("{}  {place}", frame.function)).into_owned()
}

/// The frames, numbered; the one that is looked at is marked.
pub fn stack(frames: &[Frame], looked_at: usize, sources: &Sources) -> String {
    let line = |(index, frame): (usize, &Frame)| {
        let mark = if index == looked_at { "->" } else { "  " };
        format!("{mark} {index:>3}  {}\n", function(frame, sources))
    };
    frames.iter().enumerate().map(line).collect()
}

/// A frame's variables; without debug information, what WebAssembly has.
pub fn locals(session: &Session<'_>, frame: &Frame) -> String {
    let Some(variables) = session.variables(frame) else {
        let registers = session.registers(frame).iter().enumerate();
        let text: String =
            registers.map(|(index, value)| format!("  local {index} = {value} ({value:#x})\n")).collect();
        return text;
    };
    if variables.is_empty() {
        return "  no variables here\n".to_owned();
    }
    variables
        .iter()
        .map(|variable| format!("  {}\n", clean(&format!("{} = {}", variable.name, variable.value))))
        .collect()
}

/// Sixteen bytes a line, as digits and as text.
pub fn memory(address: u32, bytes: &[u8]) -> String {
    let line = |(index, bytes): (usize, &[u8])| {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String =
            bytes.iter().map(|byte| if (32..127).contains(byte) { char::from(*byte) } else { '.' }).collect();
        format!("  {:#010x}  {:<47}  {text}\n", address as usize + 16 * index, digits.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

/// What was asked and answered before this place, and what comes next.
pub fn effects(entries: &[Entry], done: usize) -> String {
    let mut text = String::new();
    for (index, entry) in entries[..done].iter().enumerate() {
        let answer = api::effect_view(entry).answer;
        let _ = writeln!(text, "  {:>3}  {} -> {}", index + 1, asked(entry), clean(&answer.to_string()));
    }
    match entries.get(done) {
        Some(next) => text += &format!("next {:>2}  {}\n", done + 1, asked(next)),
        None => text += "no more effects come\n",
    }
    text
}

fn asked(entry: &Entry) -> String {
    let view = api::effect_view(entry);
    if view.arguments.is_null() {
        view.effect
    } else {
        clean(&format!("{} {}", view.effect, view.arguments)).into_owned()
    }
}

pub fn breakpoints(breakpoints: &[Breakpoint], sources: &Sources) -> String {
    if breakpoints.is_empty() {
        return "no breakpoints; `break` sets one\n".to_owned();
    }
    breakpoints.iter().zip(1..).map(|(breakpoint, number)| self::breakpoint(number, breakpoint, sources)).collect()
}

pub fn breakpoint(number: usize, breakpoint: &Breakpoint, sources: &Sources) -> String {
    let places: Vec<String> = breakpoint.places.iter().map(|place| sources.name(place)).collect();
    let at = if places.is_empty() { String::new() } else { format!(" at {}", places.join(", ")) };
    format!("breakpoint {number}: {}\n", clean(&format!("{}{at}", breakpoint.name)))
}
