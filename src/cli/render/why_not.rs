//! Where a chain stopped short of an event of a type, and why.

use super::text::wrap;
use super::time::ago;
use super::{Look, brief_type, clean, explanation, verdict};
use crate::api::model::{EmitterView, EventRef, MissingView, SaidBy, StopView, VerdictView, WhyNotAnswer, WhyNotView};
use crate::deployment::catalogue;
use crate::host::LogLevel;

/// Columns before what is said of a place.
const MARGIN: usize = 4;

/// The answer, where it stopped, and what did not come.
pub fn why_not(view: &WhyNotView, look: &Look) -> String {
    let wanted = brief_pattern(&view.wanted);
    let after = explanation::reference(&view.after);
    let said = match &view.answer {
        WhyNotAnswer::Happened { path } => return look.good(&format!("{wanted} followed from {after}")) + &steps(path),
        WhyNotAnswer::Waits { path, until } => {
            let due = ago(*until, look.now);
            return look.waiting(&format!("{wanted} followed from {after} and waits, due {due}")) + &steps(path);
        }
        WhyNotAnswer::Stopped { stops } => {
            let leads = std::iter::once("it stopped at").chain(std::iter::repeat("also at"));
            stops.iter().zip(leads).map(|(stop, lead)| one(stop, lead, look)).collect()
        }
        WhyNotAnswer::Unheard => {
            "no function from which there is a way to it hears any of the events that followed\n".to_owned()
        }
        WhyNotAnswer::Nobody { said_by } => format!("no function may emit it{}\n", who_says(*said_by)),
    };
    let mut text = format!("{}\n{said}", look.bad(&format!("no {wanted} followed from {after}")));
    text += &lacking(&view.emitters, look);
    if !view.elsewhere.is_empty() {
        let others: Vec<String> = view.elsewhere.iter().map(explanation::reference).collect();
        let said = format!("since then, not following from it: {}", others.join(", "));
        text += &format!("\n{}\n", wrap(&clean(&said), look.width).join("\n  "));
    }
    text += match (view.settled, view.truncated) {
        (_, true) => "\nthe chain has more events than were looked at\n",
        (true, false) => "\nall that followed is settled: it does not come by itself\n",
        (false, false) => "\nnot all that followed is settled yet: it may still come\n",
    };
    text
}

fn who_says(said_by: Option<SaidBy>) -> &'static str {
    match said_by {
        Some(SaidBy::Triggers) => ": a trigger brings it in, so its sender has to send it",
        Some(SaidBy::Runtime) => ": the runtime says it of itself",
        None => "; grant it by `grants.emits` of the one that should",
    }
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
    if !stop.path.is_empty() {
        let path: Vec<String> = stop.path.iter().map(explanation::reference).collect();
        line(format!("by way of {}", path.join(", ")));
    }
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

/// What functions that may emit the type hear, and did not get. What they alone may emit they remind themselves with.
fn lacking(emitters: &[EmitterView], look: &Look) -> String {
    let is_reminder = |missing: &MissingView| {
        let is_own = |name: &String| emitters.iter().any(|emitter| emitter.function == *name);
        !missing.emitters.is_empty() && missing.emitters.iter().all(is_own)
    };
    let mut told: Vec<(Vec<&str>, Vec<&MissingView>)> = Vec::new();
    for emitter in emitters {
        let missing: Vec<&MissingView> = emitter.missing.iter().filter(|missing| !is_reminder(missing)).collect();
        match told.iter_mut().find(|(_, other)| *other == missing) {
            _ if missing.is_empty() => {}
            Some((names, _)) => names.push(&emitter.function),
            None => told.push((vec![&emitter.function], missing)),
        }
    }
    let mut text = String::new();
    for (names, missing) in told {
        text += &format!("\n{} did not get:", clean(&names.join(", ")));
        for MissingView { ty, emitters } in missing {
            let by = match emitters.as_slice() {
                [] => "which comes from outside".to_owned(),
                emitters => format!("which {} may emit", emitters.join(", ")),
            };
            let line = wrap(&clean(&format!("{}, {by}", brief_pattern(ty))), look.width.saturating_sub(MARGIN));
            text += &format!("\n  {}", line.join("\n    "));
        }
        text.push('\n');
    }
    text
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

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: 100, now: Timestamp::EPOCH };

    fn event(position: u64, ty: &str) -> Value {
        json!({ "id": format!("e{position}"), "type": ty, "subject": "order/7", "position": position })
    }

    fn view(answer: Value) -> WhyNotView {
        let missing = |ty: &str, emitters: &[&str]| json!({ "type": ty, "emitters": emitters });
        let missing = [
            missing("dev.cdeventsx.tidegate-scan.completed.*", &["scan"]),
            missing("com.a.b", &[]),
            missing("com.own.due", &["gate-b"]),
        ];
        let emitters = ["gate-a", "gate-b"].map(|function| json!({ "function": function, "missing": missing }));
        let mut view = json!({
            "wanted": "dev.cdeventsx.tidegate-gate.passed.*", "after": event(1, "com.shop.sold"), "settled": true,
            "emitters": emitters, "elsewhere": [event(9, "dev.cdeventsx.tidegate-gate.passed.0.1.0")],
        });
        view.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn every_place_where_it_stopped_says_why() {
        let stops = json!([
            {
                "event": event(5, "com.shop.paid"), "path": [event(3, "com.shop.seen")], "function": "gate-a", "before": 0,
                "verdict": { "kind": "delivered" }, "deployment": 2, "emitted": [event(6, "com.shop.blocked")],
                "logged": [{ "level": "warn", "message": "not\u{1b}yet" }],
            },
            {
                "event": event(4, "com.shop.paid"), "function": "scan", "before": 1, "deployment": 2,
                "verdict": { "kind": "filtered", "clause": "data.total > 10", "value": "data.total = 3" },
            },
            { "event": event(2, "com.shop.sold"), "function": "made", "before": 2, "verdict": { "kind": "delivered" } },
        ]);
        expect![[r"
            no gate.passed followed from #1 com.shop.sold order/7

            it stopped at gate-a, which may emit it, with #5 com.shop.paid order/7: delivered
              by way of #3 com.shop.seen order/7
              judged by deployment 2
              logged warn: not\u{1b}yet
              emitted #6 com.shop.blocked order/7 instead

            also at scan, 1 function before one that may emit it, with #4 com.shop.paid order/7: filtered
              by data.total > 10, which saw data.total = 3
              judged by deployment 2

            also at made, 2 functions before one that may emit it, with #2 com.shop.sold order/7: delivered
              it ran and emitted nothing

            gate-a, gate-b did not get:
              scan.completed, which scan may emit
              com.a.b, which comes from outside

            since then, not following from it: #9 gate.passed order/7

            all that followed is settled: it does not come by itself
        "]]
        .assert_eq(&why_not(&view(json!({ "state": "stopped", "stops": stops })), &LOOK));
    }

    #[test]
    fn what_happened_is_told_with_its_way() {
        let path = json!([event(2, "com.shop.seen"), event(3, "dev.cdeventsx.tidegate-gate.passed.0.1.0")]);
        expect![[r"
            gate.passed followed from #1 com.shop.sold order/7
              #2 com.shop.seen order/7
              #3 gate.passed order/7
        "]]
        .assert_eq(&why_not(&view(json!({ "state": "happened", "path": path })), &LOOK));
        let waits = json!({ "state": "waits", "path": path, "until": "1970-01-01T01:00:00Z" });
        let text = why_not(&view(waits), &LOOK);
        assert!(
            text.starts_with("gate.passed followed from #1 com.shop.sold order/7 and waits, due in 1 h\n"),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_follow_says_who_would_say_it() {
        let said = |answer: Value| why_not(&view(answer), &LOOK).lines().nth(1).unwrap().to_owned();
        assert!(said(json!({ "state": "nobody" })).contains("grant it by `grants.emits`"));
        assert!(said(json!({ "state": "nobody", "said_by": "triggers" })).contains("its sender has to send it"));
        assert!(said(json!({ "state": "nobody", "said_by": "runtime" })).contains("the runtime says it"));
        assert!(said(json!({ "state": "unheard" })).starts_with("no function from which there is a way to it"));
    }
}
