//! What the story came to: the causal tree of what was released, decisions, latencies, and where to look further.

use super::super::CliError;
use super::super::client::{Client, ServerArgs};
use super::super::render::{self, Look, brief, shell_word};
use super::super::terminal::{Format, Terminal};
use super::follow::Seen;
use super::story::Story;
use super::tell::{self, Decision, Latency, Summary};
use crate::api::model::TraceView;
use crate::clock::Clock;

/// The change that was released first.
const RELEASED: &str = "/pull/2";

/// Stops the project and tells. Whether everything ended as it should.
pub async fn tell(story: Story<'_>, terminal: &Terminal) -> Result<bool, CliError> {
    let seen = story.log.since(0);
    let tree = tree(&seen, story.server.api()).await?;
    let (as_it_should, took, crashes) = (story.is_as_it_should(), story.took(), story.crashes());
    let dir = story.server.folder().display().to_string();
    story.server.stop().await?;
    if let (Some(tree), Format::Text) = (&tree, terminal.format) {
        // The command runs on: what is shown as past is past now.
        let look = Look { now: Clock::system().now(), ..terminal.look };
        let title = look.strong("what the merge of the released change led to");
        terminal.print(&format!("\n{title}\n{}", render::trace(tree, &look)))?;
    }
    let summary = Summary {
        as_it_should,
        took_micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        crashes,
        decisions: decisions(&seen),
        rollback: latency(&seen),
        commands: commands(&seen, &dir),
        tree,
        folder: dir,
    };
    terminal.show(&summary, tell::summary)?;
    Ok(as_it_should)
}

async fn tree(seen: &[Seen], api: &str) -> Result<Option<TraceView>, CliError> {
    let Some(merged) = seen.iter().find(|seen| seen.name == "change.merged" && seen.subject.ends_with(RELEASED)) else {
        return Ok(None);
    };
    let client = Client::to_write(&ServerArgs { url: Some(api.to_owned()), token_file: None })?;
    client.get(&["events", &merged.id, "trace"], &[]).await.map(Some)
}

/// What was decided, in the order in which it was; of a gate's words on one release the last.
fn decisions(seen: &[Seen]) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for (index, word) in seen.iter().enumerate() {
        let verdict = match word.name.as_str() {
            "tidegate-change.refused" | "release.refused" => "refused",
            "gate.blocked" if is_last_word(word, &seen[index + 1..]) => "blocked",
            "gate.passed" if ran(word, &seen[index + 1..]) => "promoted",
            "gate.passed" => "passed",
            "service.rolledback" => "rolled back",
            "drift.resolved" => "healed",
            "drift.detected" if !is_over(word, &seen[index + 1..]) => "left drifted",
            _ => continue,
        };
        let text = |member: &str| word.text(member).unwrap_or("-").to_owned();
        let before = &seen[..index];
        // What `why` is asked of; of a rollback that is the release which failed, and not the one that is back.
        let about = match verdict {
            "rolled back" => last("release.failed", word, before).unwrap_or(word),
            _ => word,
        };
        let what = brief(about.text("release").or_else(|| about.text("commit")).unwrap_or(&about.subject));
        let reason = reason(verdict, word, before);
        decisions.push(Decision { verdict, what, environment: text("environment"), rule: text("rule"), reason });
    }
    decisions
}

/// Why, in the words of the event, or of the one before it that it answers.
fn reason(verdict: &str, word: &Seen, before: &[Seen]) -> String {
    let said = match verdict {
        "promoted" => Some(evidence(word)),
        "passed" => Some(format!("{}; it never ran here", evidence(word))),
        "rolled back" => last("release.failed", word, before)
            .and_then(|failed| Some(format!("{}; {} is back", failed.text("reason")?, brief(word.text("release")?)))),
        "healed" => last("drift.detected", word, before).and_then(|found| other_bytes(found, "ran")),
        "left drifted" => other_bytes(word, "runs")
            .and_then(|other| Some(format!("{other}; not healed: {}", brief(word.text("reason")?)))),
        _ => word.text("reason").map(brief),
    };
    said.unwrap_or_else(|| "-".to_owned())
}

fn evidence(passed: &Seen) -> String {
    format!("on its {}", passed.members("evidence").join(", "))
}

/// What runs in the place of a release, and who put it there.
fn other_bytes(drift: &Seen, run: &str) -> Option<String> {
    let (component, cause) = (brief(drift.text("runs")?), drift.text("cause")?);
    let by = match cause.split_once(' ') {
        Some(("rollback", who)) => format!("a rollback that {who} asked for"),
        Some(_) | None => cause.to_owned(),
    };
    Some(format!("component {component} {run} in its place, put there by {by}"))
}

/// Whether what a gate passed came to run there.
fn ran(passed: &Seen, after: &[Seen]) -> bool {
    let is_it = |other: &Seen| {
        matches!(other.name.as_str(), "service.deployed" | "service.upgraded")
            && other.text("release") == passed.text("release")
            && other.environment() == passed.environment()
    };
    after.iter().any(is_it)
}

/// Whether a drift was resolved in the end.
fn is_over(drift: &Seen, after: &[Seen]) -> bool {
    after.iter().any(|other| other.name == "drift.resolved" && other.environment() == drift.environment())
}

/// The last event of a name in the environment of a word.
fn last<'a>(name: &str, word: &Seen, before: &'a [Seen]) -> Option<&'a Seen> {
    before.iter().rfind(|seen| seen.name == name && seen.environment() == word.environment())
}

fn is_last_word(word: &Seen, after: &[Seen]) -> bool {
    let same = |other: &Seen| {
        other.name.starts_with("gate.")
            && other.text("digest") == word.text("digest")
            && other.environment() == word.environment()
    };
    !after.iter().any(same)
}

/// Of the last rollback.
fn latency(seen: &[Seen]) -> Option<Latency> {
    let back = seen.iter().rposition(|seen| seen.name == "service.rolledback")?;
    let detected = seen[..back].iter().rposition(|seen| seen.name == "release.failed")?;
    let environment = seen[detected].environment()?;
    let decided = seen[detected..back].iter().find(|seen| seen.is("purpose", "rollback"))?;
    let deployed = seen[..detected].iter().rposition(|seen| {
        matches!(seen.name.as_str(), "service.deployed" | "service.upgraded") && seen.is("environment", environment)
    })?;
    let order = format!("com.example.order.placed.{environment}");
    let failed = |seen: &&Seen| seen.name == order && !seen.is("currency", "EUR");
    let onset = seen[deployed..detected].iter().find(failed)?;
    Some(Latency { onset: onset.at, detected: seen[detected].at, decided: decided.at, confirmed: seen[back].at })
}

/// Three to paste: why one is held, what there is, and one verdict whole.
fn commands(seen: &[Seen], dir: &str) -> Vec<String> {
    let blocked = seen.iter().find(|seen| seen.name == "gate.blocked" && seen.text("input").is_some());
    let why = blocked.and_then(|blocked| blocked.text("digest"));
    let failed = seen.iter().rfind(|seen| seen.name == "release.failed");
    let failed = failed.map_or("last", |failed| failed.id.as_str());
    let why = why.map(|digest| format!("why {digest} --in staging"));
    let commands = why.into_iter().chain(["releases".to_owned(), format!("explain {failed}")]);
    let binary = binary();
    commands.map(|command| format!("{} {command} --dir {}", shell_word(&binary), shell_word(dir))).collect()
}

/// What runs this binary where the reader is: its name if that is on the path, else where it lies.
fn binary() -> String {
    const NAME: &str = "tidegate";
    let Ok(own) = std::env::current_exe() else { return NAME.to_owned() };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&folders).map(|folder| folder.join(NAME)).find(|path| path.is_file());
    if first.is_some_and(|first| first.canonicalize().is_ok_and(|first| first == own)) {
        return NAME.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    own.strip_prefix(here).unwrap_or(&own).display().to_string()
}
