//! The project file read whole: what passes, and every problem of what does not.

mod function;
mod planned;
mod project;
mod secret;
mod trigger;

use expect_test::{Expect, expect};

use super::*;
use crate::deployment::Order;

const STOREFRONT: &str = include_str!("../../../tests/fixtures/storefront/tidegate.toml");
const POLICY: &[u8] = include_bytes!("../../../tests/fixtures/storefront/policy.toml");

const PLAN: &str = include_str!("../../../examples/path/plan.toml");
const GATE: &str = include_str!("../../../examples/path/gate-staging.toml");
const VERIFY: &str = include_str!("../../../examples/path/verify.toml");

/// A small project of five lines; a case adds to its function from line 6 on.
const FUNCTION: &str =
    "name = \"shop\"\n[[function]]\nname = \"gate\"\ncomponent = \"builtin:gate\"\non = [\"gate.passed\"]\n";

/// A folder with a policy, plans, files that are not what their names say, a component that imports what its bytes say, and one that is no component.
struct Folder;

impl Sources for Folder {
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "policy.toml" => Ok(POLICY.to_vec()),
            "broken.toml" => Ok(b"require = [\n\"image\"\nblock = 1\n".to_vec()),
            "broken.json" => Ok(b"{\n  \"a\": }".to_vec()),
            "good.toml" => Ok(b"any = \"keys\"".to_vec()),
            "moon.toml" => Ok(PLAN.replace("in.staging", "in.moon").into()),
            "misspelt.toml" => Ok(PLAN.replace("profile", "profil").into()),
            "plan.toml" => Ok(PLAN.into()),
            "gate.toml" => Ok(GATE.into()),
            "soon.toml" => Ok(GATE.replace("30d", "soon").replace("\"staging\"", "\"moon\"").into()),
            "requires.toml" => Ok(GATE.replace("[require]", "[requires]").into()),
            "verify.toml" => Ok(VERIFY.replace("looks_max = 30", "looks_max = 0").into()),
            "greedy.wasm" => Ok(b"wasi:keyvalue/store@0.2.0-draft acme:db/sql@1.0.0".to_vec()),
            "text.wasm" => Ok(b"no component".to_vec()),
            "binary.dat" => Ok(vec![0xff]),
            _ => Err("no such file".to_owned()),
        }
    }

    fn builtin(&self, name: &str) -> Option<&'static [u8]> {
        ["gate", "verify"].contains(&name).then_some(b"wasi:cli/environment@0.2.6")
    }

    fn imports(&self, component: &[u8]) -> Result<Vec<String>, String> {
        match std::str::from_utf8(component) {
            Ok("no component") | Err(_) => Err("it does not begin with \\0asm".to_owned()),
            Ok(imports) => Ok(imports.split(' ').map(str::to_owned).collect()),
        }
    }

    fn env(&self, name: &str) -> Option<String> {
        match name {
            "UNSET" => None,
            "EMPTY" => Some(String::new()),
            _ => Some("value".to_owned()),
        }
    }
}

#[track_caller]
fn sound(text: &str) -> Manifest {
    let (manifest, problems) = Manifest::parse(text, &Folder);
    manifest.unwrap_or_else(|| panic!("{problems:#?}"))
}

#[track_caller]
fn check(text: &str, expected: Expect) {
    let (manifest, problems) = Manifest::parse(text, &Folder);
    let errors = problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(manifest.is_none(), errors, "there is a manifest exactly where there is no error");
    let lines: Vec<_> = problems.iter().map(|problem| format!("{problem}\n")).collect();
    expected.assert_eq(&lines.concat());
}

#[track_caller]
fn check_function(more: &str, expected: Expect) {
    check(&format!("{FUNCTION}{more}"), expected);
}

#[track_caller]
fn check_project(more: &str, expected: Expect) {
    check(&format!("name = \"shop\"\n{more}"), expected);
}

#[test]
fn the_design_s_project_file_passes() {
    let (manifest, problems) = Manifest::parse(STOREFRONT, &Folder);
    assert_eq!(problems, []);
    let manifest = manifest.unwrap();
    assert_eq!(manifest.environments, ["staging", "production"]);
    assert_eq!(manifest.triggers.len(), 3);
    let (gate, was) = &manifest.functions[0];
    assert_eq!(*was, None);
    assert_eq!(gate.config["policy"].text.as_bytes(), POLICY);
    assert_eq!(gate.grants.emits, ["dev.cdeventsx.tidegate-gate.passed.*", "dev.cdeventsx.tidegate-gate.blocked.*"]);
    assert_eq!(gate.limits.memory_bytes_max, 64 << 20);
    assert!(matches!(gate.order, Order::Key(_)));
}

#[test]
fn every_problem_of_a_file_is_told_at_once() {
    let text = STOREFRONT
        .replace("api = \"127.0.0.1", "api = \"0.0.0.0")
        .replace("url = ", "ulr = ")
        .replace("*/5", "*/x")
        .replace("\"15s\"", "15")
        .replace("builtin:gate", "builtin:gates")
        .replace("\"scan.completed\"", "\"scan.complete\"")
        .replace("startsWith(", "startsWith((")
        .replace("factor = 2.0", "factor = \"2\"")
        .replace("concurrency", "concurency");
    check(
        &text,
        expect![[r#"
            tidegate.toml:7: error: listen.api: 0.0.0.0:7117 can be reached from outside, so it wants a [[listen.token]]
            tidegate.toml:12: error: connections.github.url: is missing
            tidegate.toml:13: error: connections.github.ulr: unknown key `ulr`; did you mean `url`?
            tidegate.toml:22: error: trigger.schedule[0].cron: "*/x" is no minute; write 0 to 59, *, or lists, ranges and steps of them
            tidegate.toml:30: error: trigger.bucket[0].poll: is a whole number; write text in quotes
            tidegate.toml:34: error: function[0].component: no function "gates" is shipped with this version
            tidegate.toml:35: error: function[0].on[0]: "scan.complete" is no short name of the catalogue (did you mean "scan.completed"?); `tidegate types` lists them, and a type of your own has three parts or more, like com.example.order.paid
            tidegate.toml:36: error: function[0].when: column 38: Syntax error: missing ')' at '<EOF>'
            tidegate.toml:40: error: function[0].retry.factor: is text; write a number from 1 to 100
            tidegate.toml:41: error: function[0].concurency: unknown key `concurency`; did you mean `concurrency`?
        "#]],
    );
}

#[test]
fn a_syntax_error_has_line_and_column() {
    check(
        "name = \"shop\"\n[listen\n",
        expect![[r#"
        tidegate.toml:2: error: column 8: unclosed table, expected `]`
    "#]],
    );
    check(
        "name = shop\n",
        expect![[r#"
        tidegate.toml:1: error: column 8: string values must be quoted, expected literal string
    "#]],
    );
    check(
        "name = \"a\"\nname = \"b\"\n",
        expect![[r#"
        tidegate.toml:2: error: column 1: duplicate key
    "#]],
    );
    check(
        "name = \"é\" x\n",
        expect![[r#"
        tidegate.toml:1: error: column 12: unexpected key or value, expected newline, `#`
    "#]],
    );
}

#[test]
fn a_problem_is_json_with_stable_keys() {
    let (_, problems) = Manifest::parse("name = 1", &Folder);
    expect![[r#"[{"severity":"error","key":"name","line":1,"message":"is a whole number; write text in quotes"}]"#]]
        .assert_eq(&serde_json::to_string(&problems).unwrap());
}

#[test]
fn the_reference_has_every_key_that_is_known_and_no_other() {
    let reference = include_str!("../../../docs/project-file.md");
    let told: BTreeSet<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    // A key that is like none is answered with the keys that are known beside it.
    let tables = "[trigger]\n[listen]\n[[listen.token]]\n[bus]\n[limits]\n[retention]\n[retention.events]\n[retention.recordings]\n[retention.dead_letters]\n[recording]\n[recording.redact]\n[deploy]\n[connections.NAME]\n[registries.NAME]\n[[trigger.webhook]]\n\
                  [[trigger.schedule]]\n[trigger.schedule.emit]\n[[trigger.bucket]]\n[[trigger.queue]]\n[[function]]\n\
                  [function.grants]\n[function.grants.keyvalue]\n[function.limits]\n[function.retry]\n[function.order]\n\
                  [function.rate]\n[function.limit]\n[function.limit.rate]\n[function.supersede]\n";
    let probe = "0123456789012345 = 0\n";
    let tables: String = tables.lines().map(|table| format!("{table}\n{probe}")).collect();
    let text = format!("{probe}{tables}[blob]\nkind = \"s3\"\n{probe}");
    let (_, problems) = Manifest::parse(&text, &Folder);
    let mut known = BTreeSet::new();
    for problem in problems {
        let Some((_, beside)) = problem.message.split_once("known here: ") else { continue };
        let table = problem.key.rsplit_once('.').map(|(table, _)| format!("{}.", table.replace("[0]", "")));
        known.extend(beside.split(", ").map(|key| format!("{}{key}", table.as_deref().unwrap_or_default())));
    }
    // Those that hold nothing but others need no line of their own.
    for table in [
        "listen",
        "bus",
        "blob",
        "limits",
        "retention",
        "recording",
        "deploy",
        "connections",
        "registries",
        "trigger",
        "function",
    ] {
        assert!(known.remove(table), "{table}");
    }
    for kind in ["webhook", "schedule", "bucket", "queue"] {
        assert!(known.remove(&format!("trigger.{kind}")), "{kind}");
    }
    assert_eq!(known.iter().map(String::as_str).collect::<BTreeSet<_>>(), told);
}
