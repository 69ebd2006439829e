//! What the README and `docs/` show, for the tests that do it.

use regex::Regex;

pub const README: &str = include_str!("../../README.md");
pub const EXPLAIN: &str = include_str!("../../docs/explain.md");
pub const DEBUGGING: &str = include_str!("../../docs/debugging.md");
pub const PATH: &str = include_str!("../../docs/path.md");

/// What stands under a heading of a page, up to the next one of its level.
#[track_caller]
pub fn section(page: &'static str, heading: &str) -> &'static str {
    let start = format!("\n## {heading}\n");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("there is no heading {heading:?}"));
    rest.split("\n## ").next().unwrap_or_default()
}

/// The command lines that a text shows, split into words, without the prompt and the binary's name.
#[track_caller]
pub fn commands(text: &'static str) -> Vec<Vec<&'static str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ tidegate "));
    let commands: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert!(!commands.is_empty(), "no command is shown in {text}");
    commands
}

/// The blocks of a language, in order.
pub fn blocks(text: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// What is shown without what differs from run to run.
pub fn lasting(shown: &str) -> String {
    let differs = [
        (r"\d{4}-\d\d-\d\d[ T][\d:.]+Z", "TIME"),
        (r"(in )?\d+(\.\d+)? (µs|ms|s|min)( ago)?\b|\bnow\b", "LONG"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[57][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
        (r"sha256:[0-9a-f]{12}", "DIGEST"),
        (r"\b[0-9a-f]{12}\b", "FINGERPRINT"),
        (r"  LONG (waited first|between attempts)|  \+LONG|<br/>#43;LONG", ""),
        (r"instructions [\d?]+ -> \d+ +memory \d+ KiB -> \d+ KiB", "USED"),
        (r"(at|place) \d+ of \d+", "PLACE"),
        (r"\d+ bytes\b", "BYTES"),
        (r" +", " "),
    ];
    differs.iter().fold(shown.trim().to_owned(), |text, (pattern, name)| {
        Regex::new(pattern).expect("it is a pattern").replace_all(&text, *name).into_owned()
    })
}
