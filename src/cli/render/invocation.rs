//! Attempts and dead letters: in tables, and whole.

use super::time::{ago, when};
use super::{Align, Look, Table, clean, explanation, facts, painted, plain, verdict};
use crate::api::model::{DeadLetterView, InvocationView};
use crate::bus::DeadLetterState;
use crate::outcome::Failure;

const LEFT: Align = Align::Left;

/// One line for each attempt, or that there is none.
pub fn invocations(invocations: &[InvocationView], look: &Look) -> String {
    if invocations.is_empty() {
        return "no invocations\n".to_owned();
    }
    let mut table = Table::new([
        ("ID", LEFT),
        ("SETTLED", LEFT),
        ("FUNCTION", LEFT),
        ("OUTCOME", LEFT),
        ("DURATION", Align::Right),
        ("EMITTED", Align::Right),
        ("FAILURE", LEFT),
    ]);
    for view in invocations {
        let (colour, outcome) = verdict::outcome(&view.outcome, look);
        table.row([
            plain(&view.id),
            plain(ago(view.settledat, look.now)),
            plain(&view.function),
            painted(colour, outcome),
            plain(ran(view)),
            plain(view.emitted),
            plain(view.failure.as_ref().map_or_else(|| "-".to_owned(), verdict::failure)),
        ]);
    }
    table.render(look)
}

/// One attempt with its failure and all that it asked of the host.
pub fn invocation(view: &InvocationView, look: &Look) -> String {
    let (colour, outcome) = verdict::outcome(&view.outcome, look);
    let mut text = format!("{}  {}\n", look.strong(&clean(&view.id)), look.paint(colour, &outcome));
    text += &facts(
        look,
        &[
            ("function", Some(view.function.clone())),
            ("event", Some(format!("#{}", view.position))),
            ("attempt", Some(attempt(view))),
            ("settled", Some(when(view.settledat, look))),
            ("duration", Some(ran(view))),
            ("deployment", Some(view.deployment.to_string())),
            ("component", Some(view.component.to_string())),
            ("emitted", Some(super::count(view.emitted.into(), "event"))),
        ],
    );
    text += &view.failure.as_ref().map_or_else(String::new, |found| failure(found, look));
    if view.effects.is_none() && view.effects_missing.is_none() {
        return text;
    }
    text += "effects\n";
    let effects = view.effects.as_deref().unwrap_or_default();
    for (index, effect) in effects.iter().enumerate() {
        let line = format!("{}  {} -> {}", effect.effect, effect.arguments, effect.answer);
        text += &format!("  {}  {}\n", look.faint(&format!("{:>3}", index + 1)), clean(&line));
    }
    match &view.effects_missing {
        Some(why) => text += &format!("  {}\n", clean(why)),
        None if effects.is_empty() => text += "  none\n",
        None => {}
    }
    text
}

fn ran(view: &InvocationView) -> String {
    verdict::ran(view.duration_micros, view.failure.as_ref())
}

fn attempt(view: &InvocationView) -> String {
    if view.round == 0 { view.attempt.to_string() } else { format!("{} of round {}", view.attempt, view.round) }
}

fn failure(failure: &Failure, look: &Look) -> String {
    let mut text = format!("failure\n  {}\n", look.bad(&clean(&verdict::failure(failure))));
    for frame in &failure.backtrace {
        text += &format!("    at {}\n", clean(frame));
    }
    text
}

/// One line for each dead letter, or that there is none.
pub fn dead_letters(letters: &[DeadLetterView], look: &Look) -> String {
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut table = Table::new([
        ("ID", LEFT),
        ("SINCE", LEFT),
        ("STATE", LEFT),
        ("TYPE", LEFT),
        ("ATTEMPTS", Align::Right),
        ("ERROR", LEFT),
        ("FAILURE", LEFT),
    ]);
    for letter in letters {
        table.row([
            plain(&letter.id),
            plain(ago(letter.invocation.settledat, look.now)),
            plain(state(&letter.state, look)),
            plain(&letter.event.ty),
            plain(letter.invocation.attempt),
            plain(letter.error.as_deref().unwrap_or("-")),
            plain(letter.invocation.failure.as_ref().map_or_else(|| "-".to_owned(), verdict::failure)),
        ]);
    }
    table.render(look)
}

/// One dead letter whole, and what can be done about it.
pub fn dead_letter(letter: &DeadLetterView, look: &Look) -> String {
    let mut text = format!("{}  {}\n", look.strong(&clean(&letter.id)), clean(&state(&letter.state, look)));
    text += &facts(
        look,
        &[
            ("event", Some(explanation::reference(&letter.event))),
            ("event id", Some(letter.event.id.clone())),
            ("error", letter.error.clone()),
        ],
    );
    text += &invocation(&letter.invocation, look);
    if letter.state == DeadLetterState::Open {
        let id = clean(&letter.id);
        text +=
            &format!("run it again with `tidegate dlq redrive {id}`, or give it up with `tidegate dlq drop {id}`\n");
    }
    text
}

fn state(state: &DeadLetterState, look: &Look) -> String {
    match state {
        DeadLetterState::Open => "open".to_owned(),
        DeadLetterState::Redriven { at } => format!("redriven {}", ago(*at, look.now)),
        DeadLetterState::Dropped { at, by } => format!("dropped by {by} {}", ago(*at, look.now)),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: usize::MAX, now: Timestamp::EPOCH };

    fn attempt() -> serde_json::Value {
        json!({
            "id": "12.gate.1.2", "position": 12, "function": "gate", "function_id": "01932a00-0000-7000-8000-000000000001",
            "round": 1, "attempt": 2, "outcome": {"kind": "dead-lettered"}, "settledat": "1970-01-01T00:00:00Z",
            "failure": {"kind": "trapped", "reason": "unreachable", "backtrace": ["gate!handle", "gate!export"]},
            "duration_micros": 3400, "deployment": 2, "component": format!("sha256:{}", "ab".repeat(32)), "emitted": 0,
            "effects": [{"effect": "key-get", "arguments": {"key": "a"}, "answer": "1"}],
        })
    }

    fn view() -> InvocationView {
        serde_json::from_value(attempt()).unwrap()
    }

    fn letter() -> DeadLetterView {
        let json = json!({
            "id": "12.gate", "state": "open", "function": "gate", "error": "3f2a9c017be4", "invocation": attempt(),
            "event": {"id": "a", "type": "shop.order.paid", "position": 12},
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_attempt_is_shown_with_its_backtrace_and_effects() {
        expect![[r#"
            12.gate.1.2  dead-lettered
              function    gate
              event       #12
              attempt     2 of round 1
              settled     1970-01-01 00:00:00Z (now)
              duration    3.4 ms
              deployment  2
              component   sha256:abababababababababababababababababababababababababababababababab
              emitted     0 events
            failure
              trapped: unreachable
                at gate!handle
                at gate!export
            effects
                1  key-get  {"key":"a"} -> "1"
        "#]]
        .assert_eq(&invocation(&view(), &LOOK));
        let missing = InvocationView { effects: None, effects_missing: Some("it was not kept".to_owned()), ..view() };
        assert!(invocation(&missing, &LOOK).ends_with("effects\n  it was not kept\n"));
    }

    #[test]
    fn attempts_are_listed() {
        expect![[r#"
            ID           SETTLED  FUNCTION  OUTCOME        DURATION  EMITTED  FAILURE
            12.gate.1.2  now      gate      dead-lettered    3.4 ms        0  trapped: unreachable
        "#]]
        .assert_eq(&invocations(&[view()], &LOOK));
        assert_eq!(invocations(&[], &LOOK), "no invocations\n");
        let lost = Failure::new(crate::outcome::FailureKind::HostLost, "the process ended while this ran");
        let lost = InvocationView { failure: Some(lost), duration_micros: 0, ..view() };
        assert!(invocations(std::slice::from_ref(&lost), &LOOK).contains("  unknown time  "));
        assert!(invocation(&lost, &LOOK).contains("duration    unknown time\n"));
    }

    #[test]
    fn a_dead_letter_says_what_can_be_done() {
        expect![[r#"
            ID       SINCE  STATE  TYPE             ATTEMPTS  ERROR         FAILURE
            12.gate  now    open   shop.order.paid         2  3f2a9c017be4  trapped: unreachable
        "#]]
        .assert_eq(&dead_letters(&[letter()], &LOOK));
        expect!["run it again with `tidegate dlq redrive 12.gate`, or give it up with `tidegate dlq drop 12.gate`"]
            .assert_eq(dead_letter(&letter(), &LOOK).lines().last().unwrap());
    }
}
