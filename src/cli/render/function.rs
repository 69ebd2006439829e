//! Functions: in a table, and whole.

use super::time::when;
use super::{Align, Colour, Look, Table, clean, duration, facts, painted, plain, short_digest};
use crate::api::model::{FunctionView, PinView};
use crate::deployment::{FunctionPattern, KeyLimit, Rate, Supersede};
use crate::filter::KeyExpression;
use crate::outcome::RetryPolicy;

/// One line for each function, or that there is none.
pub fn functions(functions: &[FunctionView], look: &Look) -> String {
    if functions.is_empty() {
        return "no functions\n".to_owned();
    }
    let right = Align::Right;
    let mut table = Table::new([
        ("FUNCTION", Align::Left),
        ("DEPLOYED", Align::Left),
        ("COMPONENT", Align::Left),
        ("FILE", Align::Left),
        ("CURSOR", right),
        ("LAG", right),
        ("PENDING", right),
        ("RUNNING", right),
        ("DELIVERED", right),
        ("FAILED", right),
        ("DEAD", right),
    ]);
    for view in functions {
        let deployed = if view.deployed { plain(view.deployment) } else { painted(Colour::Faint, "no more") };
        let dead_colour = if view.dead_letters > 0 { Colour::Bad } else { Colour::Faint };
        table.row([
            plain(&view.name),
            deployed,
            plain(format!("{} {}", runs(view), short_digest(&view.component.digest))),
            plain(view.pin.as_ref().map_or("-", |pin| &pin.file.reference)),
            plain(view.cursor),
            plain(view.lag),
            plain(view.pending),
            plain(view.running),
            plain(view.delivered),
            plain(view.failed_attempts),
            painted(dead_colour, view.dead_letters),
        ]);
    }
    table.render(look)
}

/// What runs: the release, or what the project file names.
fn runs(view: &FunctionView) -> &str {
    let release = view.pin.as_ref().and_then(|pin| pin.release.as_deref());
    release.unwrap_or(&view.component.reference)
}

/// What was released, by which event, and what configuration came with it.
fn pinned(pin: &PinView) -> String {
    let release = pin.release.as_deref().unwrap_or("a component");
    let config = if pin.config.is_empty() { String::new() } else { format!(", with {}", pin.config.join(", ")) };
    format!("{release}, asked for by #{}{config}", pin.request)
}

/// One function with what it reads, what it may do, and how far it has come.
pub fn function(view: &FunctionView, look: &Look) -> String {
    let state = if view.deployed {
        look.good(&format!("in deployment {}", view.deployment))
    } else {
        look.waiting(&format!("no more deployed; last in deployment {}", view.deployment))
    };
    let grants = &view.grants;
    let list = |names: &[String]| (!names.is_empty()).then(|| names.join(", "));
    let patterns = |patterns: &[FunctionPattern]| -> Vec<String> {
        patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
    };
    let facts = facts(
        look,
        &[
            ("id", Some(view.id.to_string())),
            ("component", Some(view.component.reference.clone())),
            ("digest", Some(view.component.digest.to_string())),
            ("release", view.pin.as_ref().map(pinned)),
            ("file", view.pin.as_ref().map(|pin| format!("{} {}", pin.file.reference, pin.file.digest))),
            ("on", list(&view.on)),
            ("when", view.when.clone()),
            ("emits", list(&grants.emits)),
            ("writes keys of", list(&grants.keyvalue_write)),
            ("reads keys of", list(&grants.keyvalue_read)),
            ("connections", list(&grants.http)),
            ("logging", grants.logging.then(|| "granted".to_owned())),
            ("statistics of", list(&patterns(&grants.statistics))),
            ("may deploy", list(&patterns(&grants.deploy))),
            ("concurrency", Some(view.concurrency.to_string())),
            ("rate", view.rate.as_ref().map(rate)),
            ("limit", view.limit.as_ref().map(limit)),
            ("order", view.order.as_ref().map(|key| format!("one at a time for each {key}"))),
            ("retry", Some(retry(&view.retry))),
            ("backlog", view.backlog_max.map(|events| format!("at most {events} events"))),
            ("supersedes", view.supersede.as_ref().map(supersedes)),
            ("cursor", Some(format!("#{}, {} behind", view.cursor, super::count(view.lag, "event")))),
            ("pending", Some(format!("{}, {} running", view.pending, view.running))),
            ("oldest waiting", view.oldest_waiting.map(|time| when(time, look))),
            ("delivered", Some(view.delivered.to_string())),
            ("failed attempts", Some(view.failed_attempts.to_string())),
            ("dead letters", Some(view.dead_letters.to_string())),
        ],
    );
    format!("{}  {state}\n{facts}", look.strong(&clean(&view.name)))
}

fn rate(rate: &Rate) -> String {
    format!("{} a second, {} at once", rate.per_second(), rate.burst())
}

fn limit(limit: &KeyLimit) -> String {
    let concurrency = limit.concurrency.map(|concurrency| format!("{concurrency} in flight"));
    let held: Vec<String> = concurrency.into_iter().chain(limit.rate.as_ref().map(rate)).collect();
    format!("{} for each {}", held.join(", "), limit.key.source())
}

fn retry(policy: &RetryPolicy) -> String {
    let RetryPolicy { attempts, initial, factor, max, jitter } = policy;
    let spread = if *jitter { ", spread" } else { "" };
    format!(
        "{}, after {} and {factor} times as long each time, at most {}{spread}",
        super::count(u64::from(*attempts), "attempt"),
        duration(*initial),
        duration(*max)
    )
}

fn supersedes(supersede: &Supersede) -> String {
    let by = supersede.by.as_ref().map_or("event.sequence", KeyExpression::source);
    format!("older events of the same {}, by {by}", supersede.key.source())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::api::model::ComponentView;
    use crate::clock::Timestamp;

    const LOOK: Look = Look { colour: false, width: usize::MAX, now: Timestamp::EPOCH };

    fn view() -> FunctionView {
        let json = json!({
            "name": "gate", "id": "01932a00-0000-7000-8000-000000000001", "deployed": true, "deployment": 2,
            "component": {"reference": "builtin:gate", "digest": format!("sha256:{}", "ab".repeat(32))},
            "on": ["dev.cdevents.artifact.published.*"], "when": "event.subject != \"\"",
            "grants": {"keyvalue_write": ["evidence"], "keyvalue_read": [], "emits": ["gate.passed"], "http": [], "logging": false, "statistics": ["shop-*"]},
            "concurrency": 8, "rate": {"per_second": 2.5, "burst": 10},
            "limit": {"key": "event.source", "concurrency": 1, "rate": {"per_second": 1.0, "burst": 1}},
            "order": "event.subject", "retry": {"attempts": 5, "initial": {"secs": 1, "nanos": 0}, "factor": 2.0, "max": {"secs": 300, "nanos": 0}, "jitter": true}, "backlog_max": 1000, "supersede": {"key": "event.subject"}, "cursor": 40, "lag": 1, "pending": 2, "running": 1,
            "oldest_waiting": "1970-01-01T00:00:00Z", "delivered": 37, "failed_attempts": 3, "dead_letters": 1,
        });
        serde_json::from_value(json).unwrap()
    }

    fn released() -> FunctionView {
        let component = |reference: &str| ComponentView { reference: reference.to_owned(), ..view().component };
        let (file, config) = (component("builtin:unreleased"), vec!["greeting".to_owned()]);
        let pin = Some(PinView { request: 12, release: Some("shop-1".to_owned()), config, file });
        FunctionView {
            name: "shop".into(),
            component: component("oci:registry.example.com/acme/shop@sha256:.."),
            pin,
            ..view()
        }
    }

    #[test]
    fn functions_are_listed_with_where_they_stand() {
        let gone = FunctionView { deployed: false, name: "old".into(), dead_letters: 0, ..view() };
        expect![[r#"
            FUNCTION  DEPLOYED  COMPONENT                         FILE                CURSOR  LAG  PENDING  RUNNING  DELIVERED  FAILED  DEAD
            gate      2         builtin:gate sha256:abababababab  -                       40    1        2        1         37       3     1
            shop      2         shop-1 sha256:abababababab        builtin:unreleased      40    1        2        1         37       3     1
            old       no more   builtin:gate sha256:abababababab  -                       40    1        2        1         37       3     0
        "#]]
        .assert_eq(&functions(&[view(), released(), gone], &LOOK));
    }

    #[test]
    fn a_function_is_shown_with_its_grants() {
        expect![[r#"
            gate  in deployment 2
              id               01932a00-0000-7000-8000-000000000001
              component        builtin:gate
              digest           sha256:abababababababababababababababababababababababababababababababab
              on               dev.cdevents.artifact.published.*
              when             event.subject != ""
              emits            gate.passed
              writes keys of   evidence
              statistics of    shop-*
              concurrency      8
              rate             2.5 a second, 10 at once
              limit            1 in flight, 1 a second, 1 at once for each event.source
              order            one at a time for each event.subject
              retry            5 attempts, after 1.0 s and 2 times as long each time, at most 5 min, spread
              backlog          at most 1000 events
              supersedes       older events of the same event.subject, by event.sequence
              cursor           #40, 1 event behind
              pending          2, 1 running
              oldest waiting   1970-01-01 00:00:00Z (now)
              delivered        37
              failed attempts  3
              dead letters     1
        "#]]
        .assert_eq(&function(&view(), &LOOK));
    }

    #[test]
    fn a_released_function_is_shown_with_what_its_file_says() {
        let shown = function(&released(), &LOOK);
        let lines = shown.lines().map(str::trim);
        let lines: Vec<&str> = lines.filter(|line| line.starts_with("release ") || line.starts_with("file ")).collect();
        expect![[r#"
            release          shop-1, asked for by #12, with greeting
            file             builtin:unreleased sha256:abababababababababababababababababababababababababababababababab
        "#]]
        .assert_eq(&(lines.join("\n") + "\n"));
    }
}
