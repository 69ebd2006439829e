//! What filters would gain and lose.

use super::{Look, brief_type, clean, count, place};
use crate::cli::against::{AgainstView, ChangedVerdict, FilterChange};

/// Each function whose filter takes other events, with some of them.
pub fn against(view: &AgainstView, look: &Look) -> String {
    let mut text = format!("{} against deployment {}\n", count(view.events, "event"), view.deployment);
    for change in &view.functions {
        text += &function(change, "gains", look);
    }
    for change in &view.new {
        text += &function(change, "is new and takes", look);
    }
    if view.functions.is_empty() && view.new.is_empty() {
        text += "every filter takes the same\n";
    }
    text
}

fn function(change: &FilterChange, gains: &str, look: &Look) -> String {
    let name = clean(&change.function).into_owned();
    let mut text = String::new();
    if change.gained > 0 {
        text += &format!("{} {gains} {}\n", look.strong(&name), count(change.gained, "event"));
        text += &lines("+", &change.gains, change.gained);
    }
    if change.lost > 0 {
        text += &format!("{} loses {}\n", look.strong(&name), count(change.lost, "event"));
        text += &lines("-", &change.losses, change.lost);
    }
    text
}

fn lines(sign: &str, named: &[ChangedVerdict], all: u64) -> String {
    let line = |one: &ChangedVerdict| {
        format!("  {sign} {}  {}  {}\n", place(Some(one.position)), brief_type(&one.ty), clean(&one.because))
    };
    let mut text: String = named.iter().map(line).collect();
    if let more @ 1.. = all - named.len() as u64 {
        text += &format!("  and {more} more\n");
    }
    text
}
