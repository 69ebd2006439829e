//! Attempts that were run again: what differs, in lines; and what came of many.

use serde_json::Value;

use super::{Align, Look, Table, clean, count, duration, painted, plain, verdict};
use crate::cli::render::text::Colour;
use crate::cli::replay::{
    BacktestView, BundleView, ChangeView, EffectView, KindView, OutcomeView, ReplayView, UsedView,
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
    text + &used(&view.before, &view.after)
}

fn colour(class: &str) -> Colour {
    match class {
        "same" => Colour::Good,
        "newly-passing" | "changed" | "unanswered" => Colour::Waiting,
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

fn changes(changes: &[ChangeView], look: &Look) -> String {
    changes.iter().map(|change| lines(change, look)).collect()
}

fn lines(change: &ChangeView, look: &Look) -> String {
    let arrow = |what: &str, before: &str, after: &str| {
        format!("  {what}  {} -> {}\n", look.bad(&clean(before)), look.good(&clean(after)))
    };
    let with = |sign: &str, what: &str, rest: &str| format!("  {sign} {what}  {}\n", clean(rest));
    match change {
        ChangeView::Outcome { before, after } => arrow("outcome", &ended(before.as_ref()), &ended(after.as_ref())),
        ChangeView::Unanswered { effects_before, asked, recorded } => {
            unanswered(*effects_before, asked, recorded.as_ref(), look)
        }
        ChangeView::EventAdded { index, event } => with("+", &format!("event {index}"), &event.to_string()),
        ChangeView::EventRemoved { index, event } => with("-", &format!("event {index}"), &event.to_string()),
        ChangeView::EventValue { index, path, before, after } => {
            arrow(&format!("event {index}  {}", clean(path)), &value(before.as_ref()), &value(after.as_ref()))
        }
        ChangeView::Write { space, key, before, after } => {
            let what = format!("write  {}", clean(&format!("{space}/{key}")));
            arrow(&what, &value(before.as_ref()), &value(after.as_ref()))
        }
        ChangeView::EffectMade { effect } => with("+", "effect", &call(effect)),
        ChangeView::EffectNotMade { effect } => with("-", "effect", &call(effect)),
        ChangeView::EffectAnswer { effect, before, after } => {
            arrow(&format!("answer  {}", clean(&call(effect))), &before.to_string(), &after.to_string())
        }
        ChangeView::EffectOrder { from } => {
            format!("  the same effects in another order, from effect {} on\n", from + 1)
        }
    }
}

fn unanswered(before: usize, asked: &EffectView, recorded: Option<&EffectView>, look: &Look) -> String {
    let at = before + 1;
    let mut text = format!("  stopped at effect {at}, to which the recording has no answer\n");
    text += &format!("    asks      {}\n", look.bad(&clean(&call(asked))));
    match recorded {
        Some(recorded) => text += &format!("    recorded  {}\n", clean(&call(recorded))),
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
    let mut text = format!("{of}{} run again in {took}\n", count(view.cases, "attempt"));
    let mut table = Table::new([("COUNT", Align::Right), ("CLASS", Align::Left)]);
    for (class, cases) in [
        ("same", view.same),
        ("changed", view.changed),
        ("newly-failing", view.newly_failing),
        ("newly-passing", view.newly_passing),
        ("unanswered", view.unanswered),
        ("determinism-fault", view.determinism_faults),
    ] {
        if cases > 0 || class == "same" {
            table.row([plain(cases), painted(colour(class), class)]);
        }
    }
    text += &table.render(look);
    for kind in &view.kinds {
        text += &kind_lines(kind, look);
    }
    for not in &view.not_replayed {
        text += &format!("{} not run again: {}\n", not.cases, clean(&not.reason));
    }
    text + &used(&view.before, &view.after)
}

fn kind_lines(kind: &KindView, look: &Look) -> String {
    let head = format!("{} {}: {}", kind.cases, kind.class, clean(&kind.kind));
    let example = format!("  like tidegate replay {}\n", clean(&kind.example));
    format!("{}\n{example}{}", look.strong(&head), changes(&kind.changes, look))
}

/// Where a bundle was written.
pub fn bundle(view: &BundleView, _look: &Look) -> String {
    let file = clean(&view.file.display().to_string()).into_owned();
    format!(
        "wrote {file}: {}, {} bytes\nrun it again anywhere with `tidegate replay {file}`\n",
        view.invocation, view.bytes
    )
}
