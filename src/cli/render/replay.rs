//! Attempts that were run again: what differs, in lines; and what came of many.

use serde_json::Value;

use super::text::{brief_type, shorten};
use super::{Align, Look, Table, brief, clean, count, duration, painted, plain, verdict};
use crate::cli::render::text::Colour;
use crate::cli::replay::{
    BacktestView, BundleView, ChangeView, DecisionView, EffectView, KindView, OutcomeView, ReplayView, UsedView,
    ValueView, WrittenView,
};
use crate::outcome::Failure;

/// Each attempt with all its differences.
pub fn replays(views: &[ReplayView], look: &Look) -> String {
    views.iter().map(|view| replay(view, look)).collect()
}

fn replay(view: &ReplayView, look: &Look) -> String {
    let mut text =
        format!("{}  {}\n", look.strong(&clean(&view.invocation)), look.paint(colour(view.class), view.class));
    if view.changes.is_empty() {
        let (emitted, effects) = (count(view.emitted, "event"), count(view.effects, "effect"));
        text += &format!("  {}, {emitted} and {effects} as recorded\n", outcome(&view.outcome));
    }
    text += &changes(&view.changes, look);
    text += &redacted(view);
    match view.outcome {
        OutcomeView::Completed | OutcomeView::Failed { .. } => text + &used(&view.before, &view.after),
        OutcomeView::Stopped => text,
    }
}

/// Places of one recording that are shown.
const REDACTED_SHOWN_MAX: usize = 8;

fn redacted(view: &ReplayView) -> String {
    if view.redacted.is_empty() {
        return String::new();
    }
    let mut places =
        view.redacted.iter().take(REDACTED_SHOWN_MAX).map(|place| clean(place)).collect::<Vec<_>>().join(", ");
    if let more @ 1.. = view.redacted.len().saturating_sub(REDACTED_SHOWN_MAX) {
        places += &format!(" and {more} more");
    }
    let told = if view.class == "redacted" { ", so it was not told all that it was told then" } else { "" };
    format!("  the recording is redacted{told}: {places}\n")
}

fn colour(class: &str) -> Colour {
    match class {
        "same" => Colour::Good,
        "newly-passing" | "changed" | "unanswered" | "redacted" => Colour::Waiting,
        _ => Colour::Bad,
    }
}

fn outcome(outcome: &OutcomeView) -> String {
    match outcome {
        OutcomeView::Completed => "completed".to_owned(),
        OutcomeView::Failed { failure } => format!("failed ({})", clean(&verdict::failure(failure))),
        OutcomeView::Stopped => "stopped".to_owned(),
    }
}

/// Differences that are shown; `-o json` has them all.
const CHANGES_SHOWN_MAX: usize = 24;
/// Of the example of a kind: `tidegate replay` of it tells more.
const KIND_CHANGES_SHOWN_MAX: usize = 6;
/// Characters of one value that are shown.
const VALUE_SHOWN_MAX: usize = 120;

fn changes(changes: &[ChangeView], look: &Look) -> String {
    let mut text: String = changes.iter().take(CHANGES_SHOWN_MAX).map(|change| lines(change, look)).collect();
    if let more @ 1.. = changes.len().saturating_sub(CHANGES_SHOWN_MAX) {
        text += &format!("  and {more} more; `-o json` has them all\n");
    }
    text
}

fn shown(text: &str) -> String {
    clean(&shorten(text, VALUE_SHOWN_MAX)).into_owned()
}

fn lines(change: &ChangeView, look: &Look) -> String {
    let arrow = |what: &str, before: &str, after: &str| {
        format!("  {what}  {} -> {}\n", look.bad(&shown(before)), look.good(&shown(after)))
    };
    let with = |sign: &str, what: &str, rest: &str| format!("  {sign} {what}  {}\n", shown(rest));
    match change {
        ChangeView::Outcome { before, after } => arrow("outcome", &ended(before.as_ref()), &ended(after.as_ref())),
        ChangeView::Unanswered { effects_before, asked, recorded } => {
            unanswered(*effects_before, asked, recorded.as_ref(), look)
        }
        ChangeView::EventAdded { index, event } => with("+", &format!("event {index}"), &brief_event(event)),
        ChangeView::EventRemoved { index, event } => with("-", &format!("event {index}"), &brief_event(event)),
        ChangeView::EventValue { index, path, before, after } => {
            arrow(&format!("event {index}  {}", clean(path)), &value(before.as_ref()), &value(after.as_ref()))
        }
        ChangeView::Write { space, key, before, after, values } => {
            let what = format!("write  {}", clean(&format!("{space}/{key}")));
            match values.as_slice() {
                [] => arrow(&what, &value(before.as_ref()), &value(after.as_ref())),
                values => format!("  {what}\n{}", inside(values, look)),
            }
        }
        ChangeView::EffectMade { effect } => with("+", "effect", &call(effect)),
        ChangeView::EffectNotMade { effect } => with("-", "effect", &call(effect)),
        ChangeView::EffectOrder { from } => {
            format!("  the same effects in another order, from effect {} on\n", from + 1)
        }
    }
}

/// What differs inside of a value.
fn inside(values: &[ValueView], look: &Look) -> String {
    let line = |inner: &ValueView| {
        let (before, after) = (shown(&value(inner.before.as_ref())), shown(&value(inner.after.as_ref())));
        format!("    {}  {} -> {}\n", clean(&inner.path), look.bad(&before), look.good(&after))
    };
    let mut text: String = values.iter().take(CHANGES_SHOWN_MAX).map(line).collect();
    if let more @ 1.. = values.len().saturating_sub(CHANGES_SHOWN_MAX) {
        text += &format!("    and {more} more\n");
    }
    text
}

/// An event by its type and its subject, and its data as far as there is room.
fn brief_event(event: &Value) -> String {
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let data = event.get("data").map_or_else(String::new, Value::to_string);
    format!("{} {} {data}", brief_type(text("type")), brief(text("subject")))
}

fn unanswered(before: usize, asked: &EffectView, recorded: Option<&EffectView>, look: &Look) -> String {
    let at = before + 1;
    let mut text = format!("  stopped at effect {at}, to which the recording has no answer\n");
    text += &format!("    asks      {}\n", look.bad(&shown(&call(asked))));
    match recorded {
        Some(recorded) => text += &format!("    recorded  {}\n", shown(&call(recorded))),
        None => text += "    recorded  nothing like it\n",
    }
    text
}

fn call(effect: &EffectView) -> String {
    match &effect.arguments {
        Value::Null => effect.name.clone(),
        arguments => format!("{}  {arguments}", effect.name),
    }
}

fn ended(failure: Option<&Failure>) -> String {
    failure.map_or_else(|| "completed".to_owned(), verdict::failure)
}

fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

fn used(before: &UsedView, after: &UsedView) -> String {
    let time = |used: &UsedView| duration(std::time::Duration::from_micros(used.duration_micros));
    let instructions = |used: &UsedView| used.instructions.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let memory = |used: &UsedView| format!("{} KiB", used.memory_peak_bytes / 1024);
    format!(
        "  time {} -> {}   instructions {} -> {}   memory {} -> {}\n",
        time(before),
        time(after),
        instructions(before),
        instructions(after),
        memory(before),
        memory(after)
    )
}

/// What many came to, the kinds of difference with an example each.
pub fn backtest(view: &BacktestView, look: &Look) -> String {
    let took = duration(std::time::Duration::from_secs_f64(view.seconds));
    let of = view.function.as_deref().map_or_else(String::new, |name| format!("{}: ", clean(name)));
    let left_out: u64 = view.not_replayed.iter().map(|not| not.cases).sum();
    let mut text = format!("{of}{} run again in {took}\n", count(view.cases - left_out, "attempt"));
    let mut table = Table::new([("COUNT", Align::Right), ("CLASS", Align::Left)]);
    for (class, cases) in [
        ("same", view.same),
        ("changed", view.changed),
        ("newly-failing", view.newly_failing),
        ("newly-passing", view.newly_passing),
        ("unanswered", view.unanswered),
        ("determinism-fault", view.determinism_faults),
        ("redacted", view.redacted),
    ] {
        if cases > 0 || class == "same" {
            table.row([plain(cases), painted(colour(class), class)]);
        }
    }
    text += &table.render(look);
    text += &decisions(&view.decisions, look);
    for kind in &view.kinds {
        text += &kind_lines(kind, look);
    }
    for not in &view.not_replayed {
        text += &format!("{} not run again: {}\n", not.cases, clean(&not.reason));
    }
    text + &used(&view.before, &view.after)
}

/// What a gate would have done otherwise, and what became of those releases.
fn decisions(decisions: &[DecisionView], look: &Look) -> String {
    if decisions.is_empty() {
        return String::new();
    }
    let (passed, blocked): (Vec<_>, Vec<_>) = decisions.iter().partition(|decision| decision.passes);
    let of = |decisions: &[&DecisionView]| {
        let back = decisions.iter().filter(|decision| decision.rolled_back).count();
        let among = match (back, decisions.len()) {
            (0, _) => String::new(),
            (1, 1) => ", which was rolled back".to_owned(),
            (back, all) if back == all => format!(", all {back} of which were rolled back"),
            (1, _) => ", among them the one that was rolled back".to_owned(),
            (back, _) => format!(", among them the {back} that were rolled back"),
        };
        format!("{}{among}", count(decisions.len() as u64, "release"))
    };
    let head = format!("would have blocked {}; would have let {} pass", of(&blocked), of(&passed));
    let mut table = Table::new([
        ("NOW", Align::Left),
        ("RELEASE", Align::Left),
        ("ENVIRONMENT", Align::Left),
        ("STANDS", Align::Left),
        ("WHY", Align::Left),
    ]);
    for decision in decisions {
        let (colour, now) = if decision.passes { (Colour::Good, "passes") } else { (Colour::Bad, "blocked") };
        let standing =
            decision.standing.map_or_else(|| "-".to_owned(), |standing| format!("{standing:?}").to_lowercase());
        let why = match (&decision.rule, &decision.reason) {
            (Some(rule), Some(reason)) => format!("{rule}: {reason}"),
            _ => "-".to_owned(),
        };
        table.row([
            painted(colour, now),
            plain(&decision.release),
            plain(&decision.environment),
            plain(standing),
            plain(why),
        ]);
    }
    format!("{}\n{}", look.strong(&head), table.render(look))
}

/// Of a kind, one attempt with what shows outside of it; where nothing does, with what it asked otherwise.
fn kind_lines(kind: &KindView, look: &Look) -> String {
    let head = format!("{} {}: {}", kind.cases, kind.class, clean(&kind.kind));
    let example = format!("  like tidegate replay {}\n", clean(kind.example()));
    let outside: Vec<&ChangeView> = kind.changes.iter().filter(|change| !change.is_effect()).collect();
    let shown = if outside.is_empty() { kind.changes.iter().collect() } else { outside };
    let lines: String = shown.iter().take(KIND_CHANGES_SHOWN_MAX).map(|change| lines(change, look)).collect();
    format!("{}\n{example}{lines}", look.strong(&head))
}

/// Where a bundle was written.
pub fn bundle(view: &BundleView, _look: &Look) -> String {
    let file = clean(&view.file.display().to_string()).into_owned();
    format!(
        "wrote {file}: {}, {} bytes\nrun it again anywhere with `tidegate replay {file}`\n",
        view.invocation, view.bytes
    )
}

/// Where something was written, and what to do with it.
pub fn written(view: &WrittenView, _look: &Look) -> String {
    let file = clean(&view.file.display().to_string()).into_owned();
    format!("wrote {file}: {} bytes; {}\n", view.bytes, view.next)
}
