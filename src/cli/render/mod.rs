//! What people read: pure functions from values to text, each line ended. They know colours and widths, and nothing of
//! where values come from.

mod against;
mod bench;
mod deployment;
mod event;
mod explanation;
mod filter;
mod function;
mod invocation;
mod listening;
mod live;
mod mermaid;
mod otlp;
mod path;
mod problem;
mod refusal;
mod replay;
mod storage;
mod table;
mod text;
mod time;
mod trace;
mod verdict;
mod why_not;

pub use against::against;
pub use bench::{bench, bench_outside};
pub use deployment::{deployed, deployment, deployments, rolled_back};
pub use event::{event, event_line, events, receipts};
pub use explanation::{explanation, explanation_whole};
pub use filter::{event_type, event_types, filter_report};
pub use function::{function, functions};
pub use invocation::{dead_letter, dead_letters, invocation, invocations};
pub use listening::{Listening, listening};
pub use live::{count_of_events, live, live_count};
pub use mermaid::mermaid;
pub use otlp::otlp;
pub use path::{decisions, drift, releases, why};
pub use problem::problems;
pub use refusal::{near as near_refusal, refusals};
pub use replay::{backtest, bundle, replays, written};
pub use storage::storage;
pub use text::{Look, brief, clean, shell_word};
pub use time::duration;
pub use trace::{has_dead_letter, settled_runs, trace};
pub use why_not::why_not;

use table::{Align, Table, painted, plain};
use text::{Colour, brief_type};

/// Lines of `name  value`, names aligned, values cleaned; absent values are left out.
fn facts(look: &Look, facts: &[(&str, Option<String>)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, Option<String>)| {
        let value = value.as_ref()?;
        Some(format!("  {}  {}\n", look.faint(&format!("{name:width$}")), clean(value)))
    };
    facts.iter().filter_map(line).collect()
}

/// `1 event`, `2 events`.
fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A digest by its first twelve digits: enough to tell, short enough to read.
fn short_digest(digest: &crate::deployment::Digest) -> String {
    digest.to_string().chars().take("sha256:".len() + 12).collect()
}

/// `#12`, or a dash for what has no place in the log yet.
fn place(position: Option<crate::event::Position>) -> String {
    position.map_or_else(|| "-".to_owned(), |position| format!("#{position}"))
}
