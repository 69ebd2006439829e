//! Every function's verdict on one event, and why.

use super::time::absolute;
use super::{Look, clean, event, micros, place, short_digest, verdict};
use crate::api::model::{EventRef, ExplanationView, FunctionExplanation, InvocationView, VerdictView};

pub fn explanation(view: &ExplanationView, look: &Look) -> String {
    let mut text = event::heading(&view.event, look);
    if view.functions.is_empty() {
        text += "\nno deployment had a function yet\n";
        return text;
    }
    let width = view.functions.iter().map(|function| function.function.chars().count()).max().unwrap_or(0);
    for function in &view.functions {
        text.push('\n');
        text += &one(function, width, look);
    }
    let state = if view.settled { look.good("settled") } else { look.waiting("not settled yet") };
    text + &format!("\n{state}\n")
}

fn one(function: &FunctionExplanation, width: usize, look: &Look) -> String {
    let state = look.paint(verdict::colour(&function.verdict), &clean(&verdict::words(&function.verdict, look)));
    let name = clean(&function.function);
    let mut text = format!("{name}{}  {state}\n", " ".repeat(width - name.chars().count().min(width)));
    let mut line = |content: String| text += &format!("  {}\n", clean(&content));
    match &function.verdict {
        VerdictView::Filtered { clause, value } => line(format!("by {clause}, which saw {value}")),
        VerdictView::FilterFailed { clause, reason } => line(format!("at {clause}: {reason}")),
        VerdictView::NotDeployed
        | VerdictView::BeforeStart
        | VerdictView::WaitingBacklog { .. }
        | VerdictView::WaitingReady
        | VerdictView::WaitingBehind { .. }
        | VerdictView::WaitingRate { .. }
        | VerdictView::WaitingLimit { .. }
        | VerdictView::WaitingUnreadable { .. }
        | VerdictView::Running { .. }
        | VerdictView::Retrying { .. }
        | VerdictView::Delivered
        | VerdictView::DeadLettered
        | VerdictView::Redriven { .. }
        | VerdictView::Superseded { .. }
        | VerdictView::Dropped { .. } => {}
    }
    if let Some(deployment) = function.deployment {
        let language = function.filter_language.map_or_else(String::new, |version| {
            format!(" (filter language {version}, not this binary's: the filter may have said something else then)")
        });
        line(format!("judged by deployment {deployment}{language}"));
    }
    for invocation in &function.attempts {
        line(attempt(invocation, look));
    }
    for event in &function.emitted {
        line(format!("emitted {}", reference(event)));
    }
    text
}

fn attempt(view: &InvocationView, look: &Look) -> String {
    let round = if view.round == 0 { String::new() } else { format!(" of round {}", view.round) };
    let (_, outcome) = verdict::outcome(&view.outcome, look);
    let failure = view.failure.as_ref().map_or_else(String::new, |failure| format!("; {}", verdict::failure(failure)));
    format!(
        "attempt {}{round}: {outcome} in {} at {}, {}{failure}",
        view.attempt,
        micros(view.duration_micros),
        absolute(view.settledat),
        short_digest(&view.component),
    )
}

/// `#3 shop.order.paid order/7`.
pub fn reference(event: &EventRef) -> String {
    let subject = event.subject.as_deref().map_or_else(String::new, |subject| format!(" {subject}"));
    format!("{} {}{subject}", place(event.position), event.ty)
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
              "emitted":[{{"id":"b","type":"shop.greeted","subject":"x","position":13}}]}},
            {{"function":"z","function_id":"{id}","verdict":{{"kind":"filtered","clause":"data.total > 10","value":"3"}},
              "deployment":1,"filter_language":7,"attempts":[],"emitted":[]}}]}}"#,
            attempts(failure)
        );
        let view: ExplanationView = serde_json::from_str(&json).unwrap();
        let look = Look { colour: false, width: 100, now: Timestamp::EPOCH };
        expect![[r#"
            #12 shop.order.paid  order/7
              a, from api anyone, unverified, accepted 1970-01-01 00:00:00Z (now)

            gate   dead-lettered
              judged by deployment 2
              attempt 1: dead-lettered in 3.4 ms at 1970-01-01 00:00:00Z, sha256:abababababab; rejected: no policy

            greet  delivered
              judged by deployment 2
              emitted #13 shop.greeted x

            z      filtered
              by data.total > 10, which saw 3
              judged by deployment 1 (filter language 7, not this binary's: the filter may have said something else then)

            settled
        "#]].assert_eq(&explanation(&view, &look));
    }
}
