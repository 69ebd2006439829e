//! A backtest as a JUnit report, which every CI shows: a test case for each kind of difference, and one for what is the same.

use std::fmt::Write as _;

use super::report::{BacktestView, KindView};

pub fn report(view: &BacktestView) -> String {
    let suite = escape(view.function.as_deref().unwrap_or("all functions"));
    let failures = if view.passed { 0 } else { view.kinds.len() };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = view.kinds.len() + 1;
    let skipped = view.not_replayed.len();
    let _ = writeln!(
        text,
        "<testsuites>\n  <testsuite name=\"tidegate replay: {suite}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" \
         time=\"{:.3}\">",
        tests + skipped,
        view.seconds
    );
    let _ = writeln!(text, "    <testcase classname=\"{suite}\" name=\"{} of {} the same\"/>", view.same, view.cases);
    for kind in &view.kinds {
        write_kind(&mut text, &suite, kind, view.passed);
    }
    for not in &view.not_replayed {
        let (name, reason) = (format!("{} not run again", not.cases), escape(&not.reason));
        let _ = writeln!(
            text,
            "    <testcase classname=\"{suite}\" name=\"{name}\"><skipped message=\"{reason}\"/></testcase>"
        );
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn write_kind(text: &mut String, suite: &str, kind: &KindView, passed: bool) {
    let name = escape(&format!("{}: {} ({} cases)", kind.class, kind.kind, kind.cases));
    let changes = serde_json::to_string(&kind.changes).unwrap_or_default();
    let detail = escape(&format!("tidegate replay {}\n{changes}", kind.example()));
    let told = match passed {
        true => format!("<system-out>{detail}</system-out>"),
        false => format!("<failure message=\"{name}\" type=\"{}\">{detail}</failure>", kind.class),
    };
    let _ = writeln!(text, "    <testcase classname=\"{suite}\" name=\"{name}\">{told}</testcase>");
}

/// What stands in XML text and attributes; characters that XML has no form for are left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            _ if character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}') => {}
            _ => escaped.push(character),
        }
    }
    escaped
}
