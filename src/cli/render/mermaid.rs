//! A chain as a Mermaid flow chart: events are boxes, and an arrow says which function led from one to the next.
//!
//! Whatever senders wrote stands in labels alone, and there only as what cannot be read as Mermaid, Markdown or HTML.

use std::time::Duration;

use super::time::duration;
use super::{Colour, brief, brief_type, place, verdict};
use crate::api::model::{TraceNode, TraceRun, TraceView};

/// Of a label's line: a chart of long ones cannot be read.
const LABEL_CHARACTERS_MAX: usize = 80;

/// The chart. Functions from which nothing went on are boxes of their own.
pub fn mermaid(trace: &TraceView) -> String {
    let mut chart = Chart { text: "flowchart TB\n".to_owned(), boxes: 0 };
    for root in &trace.roots {
        chart.event(root, root);
    }
    chart.text + "    classDef bad stroke:#c00,stroke-width:2px\n    classDef waiting stroke-dasharray:4\n"
}

struct Chart {
    text: String,
    boxes: usize,
}

impl Chart {
    /// Draws an event and all that it led to; answers its box.
    fn event(&mut self, node: &TraceNode, root: &TraceNode) -> String {
        let after = node.acceptedat.zip(root.acceptedat).map(|(accepted, began)| accepted.since(began));
        let time = match (after, node.deliverat) {
            (Some(after), _) if !after.is_zero() => Some(format!("+{}", duration(after))),
            (None, Some(at)) => Some(format!("waits until {at}")),
            (Some(_) | None, _) => None,
        };
        let name = match node.position {
            Some(_) => format!("{} {}", place(node.position), brief_type(&node.ty)),
            // Not by its type alone, which might read as the beginning of a list.
            None => format!("later: {}", brief_type(&node.ty)),
        };
        let replay = node.replayof.as_ref().map(|_| "live replay".to_owned());
        let lines = [Some(name), node.subject.as_deref().map(brief), replay, time];
        let own = self.draw(["[", "]"], lines.into_iter().flatten(), node.position.is_none().then_some("waiting"));
        for run in &node.functions {
            let led_to = node.children.iter().filter(|child| child.is_by(run));
            let led_to: Vec<String> = led_to.map(|child| self.event(child, root)).collect();
            if led_to.is_empty() {
                let end = self.draw(["([", "])"], [run.function.clone(), state(run)].into_iter(), class(run));
                self.text += &format!("    {own} --> {end}\n");
            }
            for child in led_to {
                self.text +=
                    &format!("    {own} -->|\"{}\"| {child}\n", label([run.function.clone(), state(run)].into_iter()));
            }
        }
        let others = node.children.iter().filter(|child| !node.functions.iter().any(|run| child.is_by(run)));
        for child in others {
            let child = self.event(child, root);
            self.text += &format!("    {own} -.-> {child}\n");
        }
        own
    }

    fn draw(&mut self, [open, close]: [&str; 2], lines: impl Iterator<Item = String>, class: Option<&str>) -> String {
        let own = format!("n{}", self.boxes);
        self.boxes += 1;
        let class = class.map_or_else(String::new, |class| format!(":::{class}"));
        self.text += &format!("    {own}{open}\"{}\"{close}{class}\n", label(lines));
        own
    }
}

/// What became of it, and what it took.
fn state(run: &TraceRun) -> String {
    let ran = (run.attempts > 0).then(|| format!(", {}", duration(Duration::from_micros(run.duration_micros))));
    let attempts = (run.attempts > 1).then(|| format!(" in {} attempts", run.attempts));
    format!("{}{}{}", run.verdict, ran.unwrap_or_default(), attempts.unwrap_or_default())
}

fn class(run: &TraceRun) -> Option<&'static str> {
    match verdict::colour(&run.verdict) {
        Colour::Bad => Some("bad"),
        Colour::Waiting => Some("waiting"),
        Colour::Good | Colour::Strong | Colour::Faint => None,
    }
}

/// Lines of a label between quotes.
fn label(lines: impl Iterator<Item = String>) -> String {
    let escaped: Vec<String> =
        lines.map(|line| line.chars().take(LABEL_CHARACTERS_MAX).map(escaped).collect()).collect();
    escaped.join("<br/>")
}

/// A character as it is, if it means nothing to Mermaid and no Markdown list or emphasis begins with it; else by its number.
fn escaped(c: char) -> String {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '.' | ',' | '/' | ':' | '@' | '-' => c.to_string(),
        c if c.is_alphanumeric() => c.to_string(),
        c if c.is_control() => " ".to_owned(),
        c => format!("#{};", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use regex::Regex;
    use serde_json::json;

    use super::*;

    fn chain(subject: &str) -> TraceView {
        let origin = json!({ "kind": "function", "name": "gate", "verified": true });
        let child = json!({
            "id": "b", "type": "shop.blocked", "source": "/f", "position": 2, "acceptedat": "1970-01-01T00:00:01.5Z",
            "origin": origin, "children": [], "functions": [
                { "function": "mail", "verdict": { "kind": "dead-lettered" }, "attempts": 3, "duration_micros": 4_000 },
            ],
        });
        let waiting = json!({
            "id": "c", "type": "shop.due", "source": "/f", "deliverat": "1970-01-01T01:00:00Z", "functions": [],
            "children": [],
        });
        let root = json!({
            "id": "a", "type": "shop.sold", "source": "/s", "subject": subject, "position": 1,
            "acceptedat": "1970-01-01T00:00:00Z", "children": [child, waiting], "functions": [
                { "function": "gate", "verdict": { "kind": "delivered" }, "attempts": 1, "duration_micros": 900 },
                { "function": "log", "verdict": { "kind": "waiting-ready" }, "attempts": 0, "duration_micros": 0 },
            ],
        });
        serde_json::from_value(json!({ "correlation": "a", "settled": false, "truncated": false, "roots": [root] }))
            .unwrap()
    }

    #[test]
    fn a_chain_is_a_flow_chart() {
        expect![[r##"
            flowchart TB
                n0["#35;1 shop.sold<br/>order/7"]
                n1["#35;2 shop.blocked<br/>#43;1.5 s"]
                n2(["mail<br/>dead-lettered, 4.0 ms in 3 attempts"]):::bad
                n1 --> n2
                n0 -->|"gate<br/>delivered, 900 µs"| n1
                n3(["log<br/>waiting for a free place"]):::waiting
                n0 --> n3
                n4["later: shop.due<br/>waits until 1970-01-01T01:00:00.000000Z"]:::waiting
                n0 -.-> n4
                classDef bad stroke:#c00,stroke-width:2px
                classDef waiting stroke-dasharray:4
        "##]]
        .assert_eq(&mermaid(&chain("order/7")));
    }

    #[test]
    fn what_a_sender_wrote_stays_in_its_label() {
        let line = Regex::new(concat!(
            r#"^(flowchart TB|    n\d+(\["[^"\[\](){}<>|`;#]*"\]|\(\["[^"\[\](){}<>|`;#]*"\]\))(:::\w+)?"#,
            r#"|    n\d+ (-->|-\.->)(\|"[^"\[\](){}<>|`;#]*"\|)? n\d+|    classDef \w+ [\w:#,-]+)$"#,
        ))
        .unwrap();
        let number = Regex::new(r"#\d+;|<br/>").unwrap();
        for subject in [
            "\"] --> n9[\"x",
            "a\nb\r\n    click n0 href \"javascript:alert(1)\"",
            "<script>alert(1)</script>",
            "`**bold**` _it_ 1. one",
            "#quot; &quot; %%{init: {}}%% \\ | {x} (y) ; end subgraph",
            "日本 grün \u{202e} \u{0}",
        ] {
            let chart = mermaid(&chain(subject));
            for text in chart.lines() {
                assert!(line.is_match(&number.replace_all(text, "")), "{subject:?}: {text}");
            }
            assert_eq!(chart.lines().count(), mermaid(&chain("order/7")).lines().count(), "{chart}");
        }
    }
}
