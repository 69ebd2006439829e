//! What can be said to the debugger, one command a line.

use crate::invoke::debug::{Direction, Motion};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// So many times.
    Step(Motion, Direction, usize),
    /// Right before this effect, from 1.
    Effect(usize),
    Go(usize),
    Start,
    End,
    Break(String),
    Breakpoints,
    Delete(usize),
    Where,
    Stack,
    Frame(usize),
    Up,
    Down,
    Locals,
    Print(String),
    Memory(u32, usize),
    Effects,
    Help,
    Quit,
}

/// A command as it is written: its name, its short form, its argument, and what it does.
struct Form(&'static str, &'static str, &'static str, &'static str);

const FORMS: [Form; 21] = [
    Form("step", "s", "[TIMES]", "to the next line, into functions"),
    Form("next", "n", "[TIMES]", "to the next line of this function"),
    Form("out", "o", "", "to what called this function"),
    Form("effect", "e", "[NUMBER]", "to right before the next effect, or the one with this number"),
    Form("continue", "c", "", "to the next breakpoint, or the end"),
    Form("back", "b", "[step|next|out|effect|continue]", "the same the other way; without a word, one line back"),
    Form("go", "g", "PLACE", "to a place by its number, as `where` prints it"),
    Form("start", "st", "", "to where the function begins"),
    Form("end", "en", "", "to the end, or the trap"),
    Form("break", "br", "FUNCTION|FILE:LINE", "stop there; a function by its name, or by the end of it"),
    Form("breakpoints", "bs", "", "every breakpoint, with its number"),
    Form("delete", "d", "NUMBER", "take a breakpoint away"),
    Form("where", "w", "", "this place, with its source"),
    Form("stack", "k", "", "the functions that run, innermost first"),
    Form("frame", "f", "NUMBER", "look at another function of the stack"),
    Form("up", "u", "", "look at what called this function"),
    Form("down", "dn", "", "look at what this function called"),
    Form("locals", "l", "", "the variables of the function that is looked at"),
    Form("print", "p", "NAME", "one of them"),
    Form("memory", "m", "ADDRESS [BYTES]", "memory of the guest"),
    Form("effects", "ef", "", "what was asked of the host so far, and what comes next"),
];
const LAST: [Form; 2] = [Form("help", "h", "", "this list"), Form("quit", "q", "", "the end of the session")];
const MEMORY_BYTES: usize = 64;
const MEMORY_BYTES_MAX: usize = 4096;

fn forms() -> impl Iterator<Item = &'static Form> {
    FORMS.iter().chain(&LAST)
}

/// Every command with what it does.
pub fn help() -> String {
    let width =
        forms().map(|Form(name, short, argument, _)| name.len() + short.len() + argument.len()).max().unwrap_or(0);
    let line = |Form(name, short, argument, does): &Form| {
        let written = format!("{name}, {short} {argument}");
        format!("  {written:width$}  {does}\n", width = width + 3)
    };
    let mut text: String = forms().map(line).collect();
    text += "An empty line does the last command again.\n";
    text
}

/// Reads one line that is not empty.
pub fn parse(line: &str) -> Result<Command, String> {
    let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    let rest = rest.trim();
    let Some(Form(name, _, argument, _)) = forms().find(|form| form.0 == word || form.1 == word) else {
        return Err(unknown(word));
    };
    let usage = || format!("{name} is written `{} {argument}`", name).trim_end_matches(" `").to_owned();
    let number = |text: &str| text.parse::<usize>().map_err(|_| usage());
    let times = || if rest.is_empty() { Ok(1) } else { number(rest) };
    if argument.is_empty() && !rest.is_empty() {
        return Err(format!("{name} takes no argument"));
    }
    if !argument.is_empty() && !argument.starts_with('[') && rest.is_empty() {
        return Err(usage());
    }
    let forward = Direction::Forward;
    Ok(match *name {
        "step" => Command::Step(Motion::Into, forward, times()?),
        "next" => Command::Step(Motion::Over, forward, times()?),
        "out" => Command::Step(Motion::Out, forward, 1),
        "effect" if rest.is_empty() => Command::Step(Motion::Effect, forward, 1),
        "effect" => Command::Effect(number(rest)?),
        "continue" => Command::Step(Motion::Continue, forward, 1),
        "back" => Command::Step(motion(rest).ok_or_else(usage)?, Direction::Back, 1),
        "go" => Command::Go(number(rest)?),
        "start" => Command::Start,
        "end" => Command::End,
        "break" => Command::Break(rest.to_owned()),
        "breakpoints" => Command::Breakpoints,
        "delete" => Command::Delete(number(rest)?),
        "where" => Command::Where,
        "stack" => Command::Stack,
        "frame" => Command::Frame(number(rest)?),
        "up" => Command::Up,
        "down" => Command::Down,
        "locals" => Command::Locals,
        "print" => Command::Print(rest.to_owned()),
        "memory" => memory(rest).ok_or_else(usage)?,
        "effects" => Command::Effects,
        "help" => Command::Help,
        _ => Command::Quit,
    })
}

fn motion(word: &str) -> Option<Motion> {
    match word {
        "" | "step" | "s" => Some(Motion::Into),
        "next" | "n" => Some(Motion::Over),
        "out" | "o" => Some(Motion::Out),
        "effect" | "e" => Some(Motion::Effect),
        "continue" | "c" => Some(Motion::Continue),
        _ => None,
    }
}

fn memory(text: &str) -> Option<Command> {
    let (address, length) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let address = match address.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => address.parse().ok()?,
    };
    let length = if length.is_empty() { MEMORY_BYTES } else { length.trim().parse().ok()? };
    Some(Command::Memory(address, length.min(MEMORY_BYTES_MAX)))
}

fn unknown(word: &str) -> String {
    let nearest = forms().map(|form| form.0).min_by_key(|name| strsim::levenshtein(word, name));
    let nearest = nearest.expect("there are commands");
    format!("no command is named {word:?}; the nearest is {nearest}, and `help` lists them all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &Command) {
        assert_eq!(parse(line).as_ref(), Ok(expected), "{line}");
    }

    #[test]
    fn commands_have_a_long_and_a_short_form() {
        check("next", &Command::Step(Motion::Over, Direction::Forward, 1));
        check("  n 12 ", &Command::Step(Motion::Over, Direction::Forward, 12));
        check("back", &Command::Step(Motion::Into, Direction::Back, 1));
        check("b continue", &Command::Step(Motion::Continue, Direction::Back, 1));
        check("break src/lib.rs:12", &Command::Break("src/lib.rs:12".to_owned()));
        check("effect 3", &Command::Effect(3));
        check("m 0x10 4", &Command::Memory(16, 4));
        check("q", &Command::Quit);
    }

    #[test]
    fn what_is_none_says_what_would_be_one() {
        assert!(parse("contniue").unwrap_err().contains("nearest is continue"));
        assert_eq!(parse("break").unwrap_err(), "break is written `break FUNCTION|FILE:LINE`");
        assert_eq!(parse("next x").unwrap_err(), "next is written `next [TIMES]`");
        assert_eq!(parse("where now").unwrap_err(), "where takes no argument");
    }

    #[test]
    fn every_form_is_read_and_no_two_are_the_same() {
        let mut seen = std::collections::BTreeSet::new();
        for Form(name, short, argument, _) in forms() {
            assert!(seen.insert(*name) && seen.insert(*short), "{name} or {short} is there twice");
            let argument = if argument.is_empty() || argument.starts_with('[') { "" } else { "1" };
            assert_eq!(parse(&format!("{name} {argument}")), parse(&format!("{short} {argument}")), "{name}");
            assert!(parse(&format!("{name} {argument}")).is_ok(), "{name}");
        }
    }
}
