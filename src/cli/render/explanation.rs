//! Every function's verdict on one event, and why.

use super::text::wrap;
use super::time::{absolute, ago};
use super::{Look, brief, brief_type, clean, event, place, refusal, short_digest, verdict};
use crate::api::model::{
    EmittedView, EventRef, ExplanationView, FunctionExplanation, InvocationView, OutcomeView, TakenView,
};
use crate::event::attribute;

/// Columns before a line and before what goes on with it.
const MARGIN: usize = 4;

/// With those that hear other types in one line, where there are several.
pub fn explanation(view: &ExplanationView, look: &Look) -> String {
    let (others, told): (Vec<_>, Vec<_>) = view.functions.iter().partition(|function| function.hears_other_types);
    if others.len() < 2 {
        return explanation_whole(view, look);
    }
    let names: Vec<&str> = others.iter().map(|function| function.function.as_str()).collect();
    let state = format!("{} functions hear other types (--all tells which): {}", names.len(), names.join(", "));
    let state = wrap(&clean(&state), look.width).join("\n  ");
    explained(view, &told, &format!("{}\n\n", look.faint(&state)), look)
}

/// With the verdict of each function.
pub fn explanation_whole(view: &ExplanationView, look: &Look) -> String {
    explained(view, &view.functions.iter().collect::<Vec<_>>(), "", look)
}

/// `beside`: what is said of functions that are not told of one by one.
fn explained(view: &ExplanationView, told: &[&FunctionExplanation], beside: &str, look: &Look) -> String {
    let mut text = event::heading(&view.event, look);
    text += &replay(view, look);
    for refused in &view.refused {
        text += &format!("  {}\n", clean(&refusal::sentence(refused, look)));
    }
    if view.functions.is_empty() {
        text += "\nno deployment had a function yet\n";
        return text;
    }
    let width = told.iter().map(|function| function.function.chars().count()).max().unwrap_or(0);
    for function in told {
        text.push('\n');
        text += &one(function, width, look);
    }
    let state = if view.settled { look.good("settled") } else { look.waiting("not settled yet") };
    text + &format!("\n{beside}{state}\n")
}

/// What the event says again, and what says it again.
fn replay(view: &ExplanationView, look: &Look) -> String {
    let event = view.event.parse().unwrap_or_default();
    let to = event.text(attribute::REPLAY_TO).map(|to| {
        let named = view.functions.iter().find(|function| function.function_id.to_string() == to);
        format!(", for {} alone", named.map_or(to, |function| function.function.as_str()))
    });
    let of = event.replay_of().map(|of| format!("live replay of {of}{}", to.unwrap_or_default()));
    let again = view.replays.iter().map(|replay| format!("said again by a live replay: {}", place(replay.position)));
    of.into_iter().chain(again).map(|line| format!("  {}\n", look.strong(&clean(&line)))).collect()
}

fn one(function: &FunctionExplanation, width: usize, look: &Look) -> String {
    let state = look.paint(verdict::colour(&function.verdict), &clean(&verdict::words(&function.verdict, look)));
    let name = clean(&function.function);
    let mut text = format!("{name}{}  {state}\n", " ".repeat(width - name.chars().count().min(width)));
    let mut line = |content: String| match look.width.saturating_sub(MARGIN) {
        room if content.chars().count() <= room => text += &format!("  {}\n", clean(&content)),
        room => text += &format!("  {}\n", wrap(&clean(&content), room).join("\n    ")),
    };
    if let Some(clause) = verdict::clause(&function.verdict) {
        line(clause);
    }
    if let Some(deployment) = function.deployment {
        let language = function.filter_language.map_or_else(String::new, |version| {
            format!(" (filter language {version}, not this binary's: the filter may have said something else then)")
        });
        line(format!("judged by deployment {deployment}{language}"));
    }
    for invocation in &function.attempts {
        line(attempt(invocation));
    }
    for emitted in &function.emitted {
        line(format!("emitted {}{}", reference(&emitted.event), went(emitted, look)));
    }
    text
}

/// ` -> audit delivered, mailer retrying`: the functions that hear it, and what became of it there.
fn went(emitted: &EmittedView, look: &Look) -> String {
    let taken = match (&emitted.went, emitted.deliverat) {
        (_, Some(at)) => return format!(", which waits, due {}", ago(at, look.now)),
        (None, None) => return String::new(),
        (Some(taken), None) => taken,
    };
    let one = |taken: &TakenView| {
        let clause = verdict::clause(&taken.verdict).map_or_else(String::new, |clause| format!(" {clause}"));
        format!("{} {}{clause}", taken.function, verdict::words(&taken.verdict, look))
    };
    match taken.as_slice() {
        [] => ", which no function hears".to_owned(),
        taken => format!(" -> {}", taken.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

pub fn attempt(view: &InvocationView) -> String {
    let round = if view.round == 0 { String::new() } else { format!(" of round {}", view.round) };
    let ended = match view.outcome {
        OutcomeView::Delivered => "delivered",
        OutcomeView::Retried { .. } => "failed",
        OutcomeView::DeadLettered => "dead-lettered",
    };
    let again = match view.outcome {
        OutcomeView::Retried { at } => format!(", tried again at {}", absolute(at)),
        OutcomeView::Delivered | OutcomeView::DeadLettered => String::new(),
    };
    let failure = view.failure.as_ref().map_or_else(String::new, |failure| format!("; {}", verdict::failure(failure)));
    format!(
        "attempt {}{round}: {ended} after {} at {}{again}, {}{failure}",
        view.attempt,
        verdict::ran(view.duration_micros, view.failure.as_ref()),
        absolute(view.settledat),
        short_digest(&view.component),
    )
}

/// `#3 shop.order.paid order/7`.
pub fn reference(event: &EventRef) -> String {
    let subject = event.subject.as_deref().map_or_else(String::new, |subject| format!(" {}", brief(subject)));
    format!("{} {}{subject}", place(event.position), brief_type(&event.ty))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn every_function_has_its_verdict_and_the_reason() {
        let id = "01932a00-0000-7000-8000-000000000001";
        let digest = format!("sha256:{}", "ab".repeat(32));
        let attempts = |failure: &str| {
            format!(
                r#"{{"id":"12.gate.0.1","position":12,"function":"gate","function_id":"{id}","round":0,"attempt":1,
                "outcome":{{"kind":"dead-lettered"}},"failure":{failure},"settledat":"1970-01-01T00:00:00Z",
                "duration_micros":3400,"deployment":2,"component":"{digest}","emitted":0}}"#
            )
        };
        let failure = r#"{"kind":"rejected","reason":"no policy"}"#;
        let json = format!(
            r#"{{"settled":true,"event":{{"position":12,"acceptedat":"1970-01-01T00:00:00Z","hops":0,
            "origin":{{"kind":"api","name":"anyone","verified":false}},
            "event":{{"specversion":"1.0","id":"a","source":"/s","type":"shop.order.paid","subject":"order/7"}}}},
            "functions":[
            {{"function":"gate","function_id":"{id}","verdict":{{"kind":"dead-lettered"}},"deployment":2,
              "attempts":[{}],"emitted":[]}},
            {{"function":"greet","function_id":"{id}","verdict":{{"kind":"delivered"}},"deployment":2,"attempts":[],
              "emitted":[{{"id":"b","type":"shop.greeted","subject":"x","position":13,"went":[
                {{"function":"audit","verdict":{{"kind":"delivered"}}}},
                {{"function":"mail","verdict":{{"kind":"filtered","clause":"data.to != null","value":"null"}}}}]}},
                {{"id":"c","type":"shop.noted","position":14,"went":[]}},
                {{"id":"d","type":"shop.due","deliverat":"1970-01-01T01:00:00Z"}}]}},
            {{"function":"z","function_id":"{id}","verdict":{{"kind":"filtered","clause":"data.total > 10","value":"3"}},
              "deployment":1,"filter_language":7,"attempts":[],"emitted":[]}}]}}"#,
            attempts(failure)
        );
        let view: ExplanationView = serde_json::from_str(&json).unwrap();
        let look = Look { colour: false, width: 120, now: Timestamp::EPOCH };
        expect![[r#"
            #12 shop.order.paid  order/7
              a, from api anyone, unverified, accepted 1970-01-01 00:00:00Z (now)

            gate   dead-lettered
              judged by deployment 2
              attempt 1: dead-lettered after 3.4 ms at 1970-01-01 00:00:00Z, sha256:abababababab; rejected: no policy

            greet  delivered
              judged by deployment 2
              emitted #13 shop.greeted x -> audit delivered, mail filtered by data.to != null, which saw null
              emitted #14 shop.noted, which no function hears
              emitted - shop.due, which waits, due in 1 h

            z      filtered
              by data.total > 10, which saw 3
              judged by deployment 1 (filter language 7, not this binary's: the filter may have said something else then)

            settled
        "#]].assert_eq(&explanation(&view, &look));
    }

    #[test]
    fn an_attempt_says_how_long_it_ran_and_when_it_was_tried_again() {
        let view = |failure: &str| -> InvocationView {
            serde_json::from_value(serde_json::json!({
                "id": "12.gate.0.1", "position": 12, "function": "gate", "function_id": "01932a00-0000-7000-8000-000000000001",
                "round": 0, "attempt": 1, "outcome": { "kind": "retried", "at": "1970-01-01T00:00:11Z" },
                "failure": { "kind": failure, "reason": "it ended" }, "settledat": "1970-01-01T00:00:10Z",
                "duration_micros": if failure == "host-lost" { 0 } else { 10_000_000 }, "deployment": 2,
                "component": format!("sha256:{}", "ab".repeat(32)), "emitted": 0,
            }))
            .unwrap()
        };
        expect![
            "attempt 1: failed after 10.0 s at 1970-01-01 00:00:10Z, tried again at 1970-01-01 00:00:11Z, \
             sha256:abababababab; timed-out: it ended"
        ]
        .assert_eq(&attempt(&view("timed-out")));
        expect![
            "attempt 1: failed after unknown time at 1970-01-01 00:00:10Z, tried again at 1970-01-01 00:00:11Z, \
             sha256:abababababab; host-lost: it ended"
        ]
        .assert_eq(&attempt(&view("host-lost")));
    }

    #[test]
    fn functions_that_hear_other_types_are_counted() {
        let id = "01932a00-0000-7000-8000-000000000001";
        let function = |name: &str, value: &str| {
            serde_json::json!({
                "function": name, "function_id": id, "deployment": 1, "attempts": [], "emitted": [],
                "hears_other_types": value.starts_with("type"),
                "verdict": { "kind": "filtered", "clause": "type is shop.order.paid.* or shop.order.sent.*", "value": value },
            })
        };
        let later = serde_json::json!({
            "function": "late", "function_id": id, "hears_other_types": true, "attempts": [], "emitted": [],
            "verdict": { "kind": "before-start" },
        });
        let other = r#"type = "shop.refund""#;
        let json = serde_json::json!({
            "settled": true,
            "event": {
                "position": 12, "acceptedat": "1970-01-01T00:00:00Z", "hops": 0,
                "origin": { "kind": "api", "name": "anyone", "verified": false },
                "event": { "specversion": "1.0", "id": "a", "source": "/s", "type": "shop.refund" },
            },
            "functions": [function("gate", other), function("sums", "data.total = 3"), function("greet", other), later],
        });
        let view: ExplanationView = serde_json::from_value(json).unwrap();
        let look = Look { colour: false, width: 60, now: Timestamp::EPOCH };
        expect![[r#"
            #12 shop.refund
              a, from api anyone, unverified, accepted 1970-01-01 00:00:00Z (now)

            sums  filtered
              by type is shop.order.paid.* or shop.order.sent.*, which
                saw data.total = 3
              judged by deployment 1

            3 functions hear other types (--all tells which): gate,
              greet, late

            settled
        "#]]
        .assert_eq(&explanation(&view, &look));
        let whole = explanation_whole(&view, &look);
        assert!(
            ["gate ", "sums ", "greet ", "late "].iter().all(|name| whole.contains(&format!("\n{name}"))),
            "{whole}"
        );
    }
}
