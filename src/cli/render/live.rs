//! Live replays: what would be published again, and what was.

use super::time::when;
use super::{Align, Look, Table, brief_type, clean, count, place, plain};
use crate::cli::replay::{LiveView, RefusedView};

/// `12 events`.
pub fn count_of_events(events: u64) -> String {
    count(events, "event")
}

/// What was chosen, by type and function, and what was left out and why.
pub fn live_count(view: &LiveView, look: &Look) -> String {
    let to = match &view.function {
        Some(function) => format!("to function {function} alone"),
        None => "to all functions that take them".to_owned(),
    };
    let mut text = look.strong(&clean(&format!("{} to publish again, {to}", count(view.events, "event")))) + "\n";
    if let (Some(first), Some(last)) = (view.first, view.last) {
        text += &format!("  accepted from {} to {}\n", when(first, look), when(last, look));
    }
    for (heading, shares) in [("TYPE", &view.types), ("FUNCTION", &view.functions)] {
        if shares.is_empty() {
            continue;
        }
        let mut table = Table::new([(heading, Align::Left), ("EVENTS", Align::Right)]);
        for (name, events) in shares {
            table.row([plain(brief_type(name)), plain(events)]);
        }
        text += &table.render(look).lines().map(|line| format!("  {line}\n")).collect::<String>();
    }
    text + &left_out(view, look)
}

fn left_out(view: &LiveView, look: &Look) -> String {
    let mut lines = Vec::new();
    if view.replayed > 0 {
        let label = if view.label.is_empty() { String::new() } else { format!(" {:?}", view.label) };
        lines.push(format!(
            "{} published again before under this label{label}; another --label publishes them once more",
            were(view.replayed)
        ));
    }
    if view.of_replays > 0 {
        lines.push(format!("left out: {} of live replays, or followed from one", are(view.of_replays)));
    }
    lines.extend(view.refused.iter().map(refused));
    if let Some(first) = view.log_starts {
        lines.push(format!("the log starts at {}: what came before was removed by retention", place(Some(first))));
    }
    lines.iter().map(|line| format!("  {}\n", look.waiting(&clean(line)))).collect()
}

fn were(events: u64) -> String {
    format!("{} {}", events, if events == 1 { "was" } else { "were" })
}

fn are(events: u64) -> String {
    format!("{} {}", events, if events == 1 { "is" } else { "are" })
}

fn refused(refused: &RefusedView) -> String {
    let RefusedView { reason, events, example, saw } = refused;
    let saw = saw.as_ref().map_or_else(String::new, |saw| format!(" saw {saw}"));
    format!("left out: {events}: {reason} ({}{saw})", place(Some(*example)))
}

/// What was published.
pub fn live(view: &LiveView, look: &Look) -> String {
    let text = look.good(&format!("{} published", count(view.published, "event"))) + "\n";
    let late: u64 = view.events.saturating_sub(view.published);
    if late == 0 || view.state != "done" {
        return text;
    }
    text + &left_out(view, look)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: 100, now: Timestamp::EPOCH };

    #[test]
    fn a_count_tells_what_and_what_not_and_why() {
        let refused = RefusedView {
            reason: "function gate does not take it: data.total > 10".to_owned(),
            events: 4,
            example: 7,
            saw: Some("data.total = 3".to_owned()),
        };
        let view = LiveView {
            state: "counted",
            function: Some("gate".to_owned()),
            label: "fixed".to_owned(),
            events: 3,
            replayed: 1,
            types: [("com.shop.order.placed".to_owned(), 2), ("dev.cdevents.artifact.published.0.3.0".to_owned(), 1)]
                .into(),
            functions: [("gate".to_owned(), 3)].into(),
            first: Some(Timestamp::EPOCH),
            last: Some(Timestamp::from_micros(60_000_000)),
            of_replays: 2,
            refused: vec![refused],
            log_starts: Some(4),
            ..LiveView::default()
        };
        expect![[r#"
            3 events to publish again, to function gate alone
              accepted from 1970-01-01 00:00:00Z (now) to 1970-01-01 00:01:00Z (in 1 min)
              TYPE                   EVENTS
              com.shop.order.placed       2
              artifact.published          1
              FUNCTION  EVENTS
              gate           3
              1 was published again before under this label "fixed"; another --label publishes them once more
              left out: 2 are of live replays, or followed from one
              left out: 4: function gate does not take it: data.total > 10 (#7 saw data.total = 3)
              the log starts at #4: what came before was removed by retention
        "#]]
        .assert_eq(&live_count(&view, &LOOK));
        expect![[r#"
            0 events to publish again, to all functions that take them
        "#]]
        .assert_eq(&live_count(&LiveView::default(), &LOOK));
    }

    #[test]
    fn what_was_published_is_told_with_what_was_not() {
        let view = LiveView { state: "done", events: 3, published: 2, replayed: 1, ..LiveView::default() };
        expect![[r#"
            2 events published
              1 was published again before under this label; another --label publishes them once more
        "#]]
        .assert_eq(&live(&view, &LOOK));
        expect![[r#"
            3 events published
        "#]]
        .assert_eq(&live(&LiveView { published: 3, replayed: 0, ..view }, &LOOK));
    }
}
