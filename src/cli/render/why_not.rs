//! Where a chain stopped short of an event of a type, and why.

use super::text::wrap;
use super::time::ago;
use super::{Look, brief_type, clean, explanation, verdict};
use crate::api::model::{EmitterView, EventRef, SaidBy, StopView, VerdictView, WhyNotAnswer, WhyNotView};
use crate::deployment::catalogue;
use crate::host::LogLevel;

/// Columns before what is said of a place.
const MARGIN: usize = 4;

/// The answer, where it stopped, and what did not come.
pub fn why_not(view: &WhyNotView, look: &Look) -> String {
    let wanted = brief_pattern(&view.wanted);
    let after = explanation::reference(&view.after);
    let mut text = match &view.answer {
        WhyNotAnswer::Happened { path } => return look.good(&format!("{wanted} followed from {after}")) + &steps(path),
        WhyNotAnswer::Waits { path, until } => {
            let due = ago(*until, look.now);
            return look.waiting(&format!("{wanted} followed from {after} and waits, due {due}")) + &steps(path);
        }
        WhyNotAnswer::Stopped { .. } | WhyNotAnswer::Unheard | WhyNotAnswer::Nobody { .. } => {
            format!("{}\n", look.bad(&clean(&format!("no {wanted} followed from {after}"))))
        }
    };
    match &view.answer {
        WhyNotAnswer::Happened { .. } | WhyNotAnswer::Waits { .. } => {}
        WhyNotAnswer::Stopped { stops } => {
            for (index, stop) in stops.iter().enumerate() {
                text += &one(stop, if index == 0 { "it stopped at" } else { "also at" }, look);
            }
        }
        WhyNotAnswer::Unheard => {
            text += "no function from which there is a way to it hears any of the events that followed\n";
        }
        WhyNotAnswer::Nobody { said_by } => {
            text += match said_by {
                Some(SaidBy::Triggers) => {
                    "no function may emit it: a trigger brings it in, so its sender has to send it\n"
                }
                Some(SaidBy::Runtime) => "no function may emit it: the runtime says it of itself\n",
                None => "no function may emit it; grant it by `grants.emits` of the one that should\n",
            };
        }
    }
    for emitter in &view.emitters {
        text += &lacking(emitter, look);
    }
    text += match (view.settled, view.truncated) {
        (_, true) => "\nthe chain has more events than were looked at\n",
        (true, false) => "\nall that followed is settled: it does not come by itself\n",
        (false, false) => "\nnot all that followed is settled yet: it may still come\n",
    };
    text
}

fn steps(path: &[EventRef]) -> String {
    let lines = path.iter().map(|event| format!("  {}\n", clean(&explanation::reference(event))));
    std::iter::once("\n".to_owned()).chain(lines).collect()
}

fn one(stop: &StopView, lead: &str, look: &Look) -> String {
    let state = look.paint(verdict::colour(&stop.verdict), &clean(&verdict::words(&stop.verdict, look)));
    let far = match stop.before {
        0 => "which may emit it".to_owned(),
        1 => "1 function before one that may emit it".to_owned(),
        many => format!("{many} functions before one that may emit it"),
    };
    let place = clean(&format!("{}, {far}, with {}", stop.function, explanation::reference(&stop.event))).into_owned();
    let mut text = format!("\n{lead} {place}: {state}\n");
    let mut line = |content: String| {
        let room = look.width.saturating_sub(MARGIN);
        text += &format!("  {}\n", wrap(&clean(&content), room).join("\n    "));
    };
    if let Some(clause) = verdict::clause(&stop.verdict) {
        line(clause);
    }
    if stop.verdict == VerdictView::Delivered && stop.emitted.is_empty() {
        line("it ran and emitted nothing".to_owned());
    }
    if let Some(deployment) = stop.deployment {
        line(format!("judged by deployment {deployment}"));
    }
    if let Some(attempt) = &stop.attempt {
        line(explanation::attempt(attempt));
    }
    for logged in &stop.logged {
        line(format!("logged {}: {}", level(logged.level), logged.message));
    }
    for emitted in &stop.emitted {
        line(format!("emitted {} instead", explanation::reference(emitted)));
    }
    text
}

/// What a function that may emit the type hears, and did not get.
fn lacking(emitter: &EmitterView, look: &Look) -> String {
    let mut text = String::new();
    for missing in &emitter.missing {
        let by = match missing.emitters.as_slice() {
            [] => "no function may emit it: it comes from outside".to_owned(),
            emitters => format!("which {} may emit", emitters.join(", ")),
        };
        let said = format!("{} hears {} too, which did not come; {by}", emitter.function, brief_pattern(&missing.ty));
        text += &format!("\n{}", wrap(&clean(&said), look.width).join("\n  "));
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// A pattern as the project file writes it: by its short name, if it stands for any version of one.
fn brief_pattern(pattern: &str) -> String {
    let entry = catalogue().iter().find(|entry| pattern.strip_suffix('*') == Some(entry.stem()));
    entry.map_or_else(|| brief_type(pattern), |entry| entry.name.to_owned())
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
        LogLevel::Critical => "critical",
    }
}
