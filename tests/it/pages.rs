//! What the README and `docs/` show, for the tests that do it.

pub const README: &str = include_str!("../../README.md");
pub const EXPLAIN: &str = include_str!("../../docs/explain.md");
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
