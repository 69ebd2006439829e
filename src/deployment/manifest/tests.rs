//! The project file read whole: what passes, and every problem of what does not.

use expect_test::{Expect, expect};

use super::*;
use crate::deployment::{NativeKind, Order, PlanError, Start, plan};

const STOREFRONT: &str = include_str!("../../../tests/fixtures/storefront/tidegate.toml");
const POLICY: &[u8] = include_bytes!("../../../tests/fixtures/storefront/policy.toml");

/// A small project of five lines; a case adds to its function from line 6 on.
const FUNCTION: &str =
    "name = \"shop\"\n[[function]]\nname = \"gate\"\ncomponent = \"builtin:gate\"\non = [\"gate.passed\"]\n";

/// A folder with a policy, a component that imports what its bytes say, and one that is no component.
struct Folder;

impl Sources for Folder {
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        match path {
            "policy.toml" => Ok(POLICY.to_vec()),
            "greedy.wasm" => Ok(b"wasi:keyvalue/store@0.2.0-draft acme:db/sql@1.0.0".to_vec()),
            "text.wasm" => Ok(b"no component".to_vec()),
            "binary.dat" => Ok(vec![0xff]),
            _ => Err("no such file".to_owned()),
        }
    }

    fn builtin(&self, name: &str) -> Option<&'static [u8]> {
        (name == "gate").then_some(b"wasi:cli/environment@0.2.6")
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
fn a_function_is_told_tables_and_arrays_as_json() {
    let manifest = sound(&format!(
        "{FUNCTION}[function.config]\nprograms = {{ cargo = \"/usr/bin/cargo\" }}\nexecutors = [\"a\", 2]\nday = 2026-11-23\n"
    ));
    let config = &manifest.functions[0].0.config;
    let told = ["programs", "executors", "day"].map(|key| config[key].text.as_str());
    assert_eq!(told, [r#"{"cargo":"/usr/bin/cargo"}"#, r#"["a",2]"#, "2026-11-23"]);
}

#[test]
fn a_project_of_one_name_has_defaults_that_face_no_network() {
    let manifest = sound("name = \"shop\"");
    assert_eq!(manifest.listen.hooks.to_string(), "127.0.0.1:7118");
    assert_eq!(manifest.listen.api.to_string(), "127.0.0.1:7117");
    assert_eq!(manifest.bus, BusSettings::Embedded);
    assert_eq!(manifest.limits, ProjectLimits::default());
}

#[test]
fn a_start_is_a_word_a_time_or_a_position() {
    let start = |from: &str| sound(&format!("{FUNCTION}from = {from}")).functions[0].0.start;
    assert_eq!(start("\"earliest\""), Start::Earliest);
    assert_eq!(start("12"), Start::Position(12));
    let at = Start::At("2026-11-23T04:45:00Z".parse().unwrap());
    assert_eq!(start("\"2026-11-23T04:45:00Z\""), at);
    assert_eq!(start("2026-11-23T05:45:00+01:00"), at);
}

#[test]
fn a_native_has_no_bytes_and_may_take_a_day() {
    let native =
        "name = \"shop\"\n[[function]]\nname = \"runner\"\ncomponent = \"native:process\"\non = [\"com.shop.task\"]\n";
    let manifest = sound(&format!("{native}limits = {{ time = \"24h\" }}\n"));
    let runner = &manifest.functions[0].0;
    assert_eq!(runner.component.native(), Some(NativeKind::Process));
    assert_eq!(runner.component.reference.to_string(), "native:process");
    assert_eq!(sound(native).functions[0].0.limits.time_max.as_secs(), 24 * 60 * 60);
    check(&format!("{native}config = {{ programs = {{ make = \"make\" }}, shell = true }}\n"), expect![[r#""#]]);
    check(
        &format!(
            "{native}grants = {{ http = [\"git\"], logging = true }}\nlimits = {{ memory = \"64MiB\", time = \"2d\" }}\n\
             [connections.git]\nurl = \"https://git.example.com\"\n"
        ),
        expect![[r#"
            tidegate.toml:2: error: function[0]: native:process is no component and uses no grant `http`; leave it out
            tidegate.toml:2: error: function[0]: native:process is no component and uses no grant `logging`; leave it out
            tidegate.toml:7: error: function[0].limits.memory: native:process has no instance whose memory could be limited; leave it out
            tidegate.toml:7: error: function[0].limits.time: is out of range; write 1ms to 1d
        "#]],
    );
    check_function(
        "limits = { time = \"16m\" }",
        expect![[r#"
        tidegate.toml:6: error: function[0].limits.time: is out of range; write 1ms to 15m
    "#]],
    );
    check(
        &native.replace("native:process", "native:shell"),
        expect![[r#"
        tidegate.toml:4: error: function[0].component: no native function "shell" is part of this version; there is native:process
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
fn a_project_is_checked_whole() {
    check(
        "",
        expect![[r#"
        tidegate.toml:1: error: name: is missing
    "#]],
    );
    check(
        "name = \"Shop\"\nenvironments = [\"a\", \"a\", 3]\n",
        expect![[r#"
        tidegate.toml:1: error: name: "Shop" is no name; use 1 to 63 of a-z, 0-9 and -, starting with a letter
        tidegate.toml:2: error: environments[1]: "a" stands twice
        tidegate.toml:2: error: environments[2]: is a whole number; write text in quotes
    "#]],
    );
    check_project(
        "environment = [\"a\"]\n",
        expect![[r#"
        tidegate.toml:2: error: environment: unknown key `environment`; did you mean `environments`?
    "#]],
    );
    check_project(
        "[listen]\napi = \"0.0.0.0:7117\"\n",
        expect![[r#"
        tidegate.toml:3: error: listen.api: 0.0.0.0:7117 can be reached from outside, so it wants a [[listen.token]]
    "#]],
    );
    check_project(
        "[listen]\nhooks = \"localhost\"\nnames = [\"a b\"]\n",
        expect![[r#"
        tidegate.toml:3: error: listen.hooks: "localhost" is no address; write IP:PORT, like 127.0.0.1:7117 or [::1]:7117
        tidegate.toml:4: error: listen.names[0]: "a b" is no host name; write one like tidegate.example.com, perhaps with a port
    "#]],
    );
    check_project(
        "[listen]\nhooks = \"127.0.0.1:1\"\napi = \"127.0.0.1:1\"\n",
        expect![[r#"
        tidegate.toml:4: error: listen.api: is the address of `hooks` too; give each its own port
    "#]],
    );
    check_project(
        "[[listen.token]]\nname = \"ci\"\nsecret = \"${env:UNSET}\"\nscope = \"write\"\n[[listen.token]]\nname = \"ci\"\nsecret = \"${CI}\"\nscope = \"read\"\nemits = [\"change.merge\"]\n",
        expect![[r#"
            tidegate.toml:4: warning: listen.token[0].secret: the environment variable UNSET is not set; `up` refuses to start without it
            tidegate.toml:5: error: listen.token[0].scope: "write" is not known; write "read" or "emit" or "operate"
            tidegate.toml:7: error: listen.token[1].name: "ci" stands twice
            tidegate.toml:8: error: listen.token[1].secret: `${` begins no variable; write ${env:NAME}
            tidegate.toml:10: error: listen.token[1].emits: a token of scope "read" emits nothing; give it scope "emit"
            tidegate.toml:10: error: listen.token[1].emits[0]: "change.merge" is no short name of the catalogue (did you mean "change.merged"?); `tidegate types` lists them, and a type of your own has three parts or more, like com.example.order.paid
        "#]],
    );
    check_project(
        "[bus]\nkind = \"nats\"\nurl = \"nats://127.0.0.1\"\n",
        expect![[r#"
        tidegate.toml:3: error: bus.kind: this version runs the embedded bus only; write kind = "embedded"
    "#]],
    );
    check_project(
        "[bus]\nkind = \"kafka\"\n",
        expect![[r#"
        tidegate.toml:3: error: bus.kind: "kafka" is not known; write "embedded" or "nats"
    "#]],
    );
    check_project(
        "[blob]\nkind = \"folder\"\nbucket = \"b\"\n",
        expect![[r#"
        tidegate.toml:4: error: blob.bucket: unknown key `bucket`; known here: kind
    "#]],
    );
    check_project(
        "[blob]\nkind = \"s3\"\nendpoint = \"minio:9000\"\nprefix = 3\naccess_key = \"${env:NEW}\"\n",
        expect![[r#"
            tidegate.toml:2: error: blob: `access_key` and `secret_key` go together; give both, or neither to use the AWS_* variables
            tidegate.toml:2: error: blob.bucket: is missing
            tidegate.toml:4: error: blob.endpoint: "minio:9000" is no base address; write one like https://api.example.com/v2, without user, query or fragment
            tidegate.toml:5: error: blob.prefix: is a whole number; write text in quotes
        "#]],
    );
    check_project(
        "[blob]\nkind = \"disk\"\n",
        expect![[r#"
        tidegate.toml:3: error: blob.kind: "disk" is not known; write "folder" or "s3"
    "#]],
    );
    check_project(
        "[limits]\ninvocations_max = 0\n",
        expect![[r#"
        tidegate.toml:3: error: limits.invocations_max: 0 is out of range; write a whole number from 1 to 100000
    "#]],
    );
    check_project(
        "[connections.git]\nurl = \"ftp://x\"\nheaders = { Host = \"a\", \"b c\" = \"d\" }\n[connections.Up]\nurl = \"http://${env:X}\"\nprivat = true\n",
        expect![[r#"
            tidegate.toml:3: error: connections.git.url: "ftp://x" is no base address; write one like https://api.example.com/v2, without user, query or fragment
            tidegate.toml:4: error: connections.git.headers.Host: "Host" is set by HTTP itself; leave it out
            tidegate.toml:4: error: connections.git.headers.b c: "b c" is no header name
            tidegate.toml:5: error: connections.Up: "Up" is no name; use 1 to 63 of a-z, 0-9 and -, starting with a letter
            tidegate.toml:6: error: connections.Up.url: `${env:}` may stand in headers of connections, secrets, tokens and bus settings only
            tidegate.toml:7: error: connections.Up.privat: unknown key `privat`; did you mean `private`?
        "#]],
    );
}

#[test]
fn a_trigger_is_checked_whole() {
    check_project(
        "[[trigger.webhook]]\npath = \"/a\"\nsender = \"github\"\n",
        expect![[r#"
        tidegate.toml:2: error: trigger.webhook[0]: has no `secret`; the sender signs with it, so anyone could send without
    "#]],
    );
    check_project(
        "[[trigger.webhook]]\npath = \"/a\"\nsender = \"github\"\nunsigned = true\n",
        expect![[r#"
        tidegate.toml:2: error: trigger.webhook[0]: proves itself by `secret` alone; leave out `token` and `unsigned`
    "#]],
    );
    check_project(
        "[[trigger.webhook]]\npath = \"/a\"\nsender = \"s3\"\n",
        expect![[r#"
        tidegate.toml:2: error: trigger.webhook[0]: has no `token`; give one, or write unsigned = true to leave its events unverified for ever
    "#]],
    );
    check_project(
        "[[trigger.webhook]]\npath = \"/a\"\nsender = \"s3\"\nsecret = \"x\"\n",
        expect![[r#"
        tidegate.toml:5: error: trigger.webhook[0].secret: this sender cannot sign; give `token`, which it sends as `Authorization: Bearer`
    "#]],
    );
    check_project(
        "[[trigger.webhook]]\npath = \"a\"\nsender = \"gitea\"\nsecret = []\n",
        expect![[r#"
            tidegate.toml:3: error: trigger.webhook[0].path: "a" is no path; write one like /hooks/github, of letters, digits and -._~
            tidegate.toml:4: error: trigger.webhook[0].sender: "gitea" is not known; write "github" or "s3" or "cloudevents" or "distribution" or "trivy" or "sarif" or "report"
        "#]],
    );
    check_project(
        "[[trigger.webhook]]\npath = \"/a\"\nsender = \"cloudevents\"\nunsigned = true\n[[trigger.webhook]]\npath = \"/a\"\nsender = \"github\"\nsecret = [\"${env:OLD}\", \"${env:EMPTY}\", \"\"]\n",
        expect![[r#"
            tidegate.toml:7: error: trigger.webhook[1].path: "/a" stands twice
            tidegate.toml:9: error: trigger.webhook[1].secret: write one, or two during a rotation
            tidegate.toml:9: warning: trigger.webhook[1].secret[1]: the environment variable EMPTY is not set; `up` refuses to start without it
            tidegate.toml:9: error: trigger.webhook[1].secret[2]: is empty, so anyone could give it
        "#]],
    );
    check_project(
        "[[trigger.schedule]]\ncron = \"61 * * * *\"\ntimezone = \"Berlin\"\nmissed = \"some\"\nemit = { type = \"gate.passed\" }\n",
        expect![[r#"
            tidegate.toml:3: error: trigger.schedule[0].cron: "61" is no minute; write 0 to 59, *, or lists, ranges and steps of them
            tidegate.toml:4: error: trigger.schedule[0].timezone: "Berlin" is no time zone; write an IANA name, like Europe/Berlin or UTC
            tidegate.toml:5: error: trigger.schedule[0].missed: "some" is not known; write "one" or "all" or "none"
            tidegate.toml:6: error: trigger.schedule[0].emit.type: "gate.passed" is a decision, which only a function may emit
        "#]],
    );
    check_project(
        "[[trigger.schedule]]\ncron = \"* * * 8\"\nemit = { type = \"com.acme.*\" }\n",
        expect![[r#"
            tidegate.toml:3: error: trigger.schedule[0].cron: "* * * 8" has 4 of 5 or 6 fields; write minute, hour, day, month and day of the week, seconds first if wanted
            tidegate.toml:4: error: trigger.schedule[0].emit.type: "com.acme.*" is a pattern; write one type
        "#]],
    );
    check_project(
        "[[trigger.schedule]]\ncron = \"0 0 * * 8\"\nemit = { subject = \"\" }\n",
        expect![[r#"
        tidegate.toml:3: error: trigger.schedule[0].cron: "8" is no day of the week; write 0 to 7 or sun to sat
        tidegate.toml:4: error: trigger.schedule[0].emit.subject: is empty
        tidegate.toml:4: error: trigger.schedule[0].emit.type: is missing
    "#]],
    );
    check_project(
        "[[trigger.schedule]]\ncron = \"0 0 31 2,4 *\"\nemit = { type = \"drift.checked\" }\n",
        expect![[r#"
            tidegate.toml:3: error: trigger.schedule[0].cron: "0 0 31 2,4 *" never comes due: no such month has a day 31
        "#]],
    );
    check_project(
        "[[trigger.schedule]]\ncron = \"0 0 31 2 1-5\"\nemit = { type = \"drift.checked\" }\n",
        expect![[""]],
    );
    check_project(
        "[[trigger.bucket]]\nendpoint = \"127.0.0.1\"\npoll = \"0s\"\naccess_key = \"${env:UNSET}\"\n",
        expect![[r#"
            tidegate.toml:2: error: trigger.bucket[0]: `access_key` and `secret_key` go together; give both, or neither to use the AWS_* variables
            tidegate.toml:2: error: trigger.bucket[0].bucket: is missing
            tidegate.toml:3: error: trigger.bucket[0].endpoint: "127.0.0.1" is no base address; write one like https://api.example.com/v2, without user, query or fragment
            tidegate.toml:4: error: trigger.bucket[0].poll: is out of range; write 100ms to 1d
            tidegate.toml:5: warning: trigger.bucket[0].access_key: the environment variable UNSET is not set; `up` refuses to start without it
        "#]],
    );
    check_project(
        "[[trigger.queue]]\nkind = \"sqs\"\nurl = \"nats://a\"\nstream = \"s\"\nsubject = \"t\"\n",
        expect![[r#"
        tidegate.toml:2: error: trigger.queue[0].type: is missing
        tidegate.toml:3: error: trigger.queue[0].kind: "sqs" is not known; write "nats"
    "#]],
    );
    check_project(
        "[[trigger.timer]]\n",
        expect![[r#"
        tidegate.toml:2: error: trigger.timer: unknown key `timer`; known here: webhook, schedule, bucket, queue
    "#]],
    );
}

#[test]
fn a_function_is_checked_whole() {
    check_project(
        "[[function]]\n",
        expect![[r#"
        tidegate.toml:2: error: function[0].component: is missing
        tidegate.toml:2: error: function[0].name: is missing
        tidegate.toml:2: error: function[0].on: is missing
    "#]],
    );
    check_project(
        "[function]\nname = \"a\"\n",
        expect![[r#"
            tidegate.toml:2: error: function: is a table; write [[function]], once for each
        "#]],
    );
    check_function(
        "concurency = 2\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].concurency: unknown key `concurency`; did you mean `concurrency`?
    "#]],
    );
    check_function(
        "concurrency = 0\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].concurrency: 0 is out of range; write a whole number from 1 to 10000
    "#]],
    );
    check_function(
        "when = \"data.x ==\"\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].when: column 10: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
        "#]],
    );
    check_function(
        "match = { subject = \"a*\", source = 3, type = \"a*b*\" }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].match.source: is a whole number; write text in quotes
        tidegate.toml:6: error: function[0].match.type: "a*b*" is no pattern; write a text, perhaps with one * at its end
    "#]],
    );
    check_function(
        "retry = { attempts = 0, initial = \"2m\", factor = 0.5, max = \"1m\" }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].retry: `initial` (2m) is longer than `max` (1m)
            tidegate.toml:6: error: function[0].retry.attempts: 0 is out of range; write a whole number from 1 to 1000
            tidegate.toml:6: error: function[0].retry.factor: 0.5 is out of range; write a number from 1 to 100
        "#]],
    );
    check_function(
        "limits = { memory = \"64kb\", time = \"1d\" }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].limits.memory: "64kb" is no size; write one like 64KiB, 64MiB or 2GiB
            tidegate.toml:6: error: function[0].limits.time: is out of range; write 1ms to 15m
        "#]],
    );
    check_function(
        "order = \"subject\"\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].order: "subject" is not known; write "none" or "partitionkey"
    "#]],
    );
    check_function(
        "order = { key = \"event.\" }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].order.key: column 7: Syntax error: no viable alternative at input '.'
        "#]],
    );
    check_function(
        "from = \"yesterday\"\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].from: "yesterday" is no start; write "latest", "earliest", a position or a time like 2026-11-23T04:45:00Z
    "#]],
    );
    check_function(
        "config = { a = { file = \"missing\" }, b = [1, [\"${env:X}\"]], c = \"${env:X}\", d = { file = \"binary.dat\" } }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].config.a.file: cannot read missing: no such file
        tidegate.toml:6: error: function[0].config.b[1][0]: `${env:}` may stand in headers of connections, secrets, tokens and bus settings only
        tidegate.toml:6: error: function[0].config.c: `${env:}` may stand in headers of connections, secrets, tokens and bus settings only
        tidegate.toml:6: error: function[0].config.d.file: cannot read binary.dat: is not UTF-8 text
    "#]],
    );
    check_function(
        "grants = { http = [\"github\"], emits = [\"gate.pass\"], logging = 1, keyvalue = { writes = [] } }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].grants.emits[0]: "gate.pass" is no short name of the catalogue (did you mean "gate.passed"?); `tidegate types` lists them, and a type of your own has three parts or more, like com.example.order.paid
            tidegate.toml:6: error: function[0].grants.http[0]: there is no connection "github"; declare [connections.github]
            tidegate.toml:6: error: function[0].grants.keyvalue.writes: unknown key `writes`; did you mean `write`?
            tidegate.toml:6: error: function[0].grants.logging: is a whole number; write true or false
        "#]],
    );
    check_function(
        "was = \"gate\"\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].was: function gate still stands in this file; a rename takes the name away
    "#]],
    );
}

#[test]
fn a_component_is_had_and_its_imports_are_granted() {
    let function = |component: &str| {
        format!("name = \"shop\"\n[[function]]\nname = \"a\"\non = [\"gate.passed\"]\ncomponent = \"{component}\"\n")
    };
    check(
        &function("builtin:gat"),
        expect![[r#"
        tidegate.toml:5: error: function[0].component: no function "gat" is shipped with this version
    "#]],
    );
    check(
        &function("target/wasm32-wasip2/release/a.wasm"),
        expect![[r#"
        tidegate.toml:5: error: function[0].component: cannot read the component target/wasm32-wasip2/release/a.wasm: no such file
    "#]],
    );
    check(
        &function("a.wasm"),
        expect![[r#"
        tidegate.toml:5: error: function[0].component: cannot read the component a.wasm: no such file
    "#]],
    );
    check(
        &function("text.wasm"),
        expect![[r#"
        tidegate.toml:5: error: function[0].component: text.wasm is no component: it does not begin with \0asm
    "#]],
    );
    check(
        &function("greedy.wasm"),
        expect![[r#"
        tidegate.toml:5: error: function[0].component: imports wasi:keyvalue/store@0.2.0-draft, which needs the grant `keyvalue`, like grants.keyvalue = { write = ["state"] }
        tidegate.toml:5: error: function[0].component: imports acme:db/sql@1.0.0, which this runtime does not have
    "#]],
    );
    check(
        &function("oci://registry.example.com/a@sha256:00"),
        expect![[r#"
        tidegate.toml:5: error: function[0].component: components from registries and buckets come with a later version; write a path or builtin:NAME
    "#]],
    );
}

#[test]
fn no_type_has_both_a_trigger_and_a_function_as_origin() {
    check_function(
        "grants = { emits = [\"deployment.activated\"] }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].grants.emits[0]: "deployment.activated" is said by tidegate alone; grant what this function decides
        "#]],
    );
    check_function(
        "grants = { emits = [\"com.github.push\"] }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].grants.emits[0]: "com.github.push" takes in com.github.*, which is said by triggers alone; grant what this function decides
        "#]],
    );
    check_function(
        "grants = { emits = [\"change.merged\", \"service.deployed\"] }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].grants.emits[0]: "change.merged" is said by triggers alone; grant what this function decides
        "#]],
    );
    check_function(
        "grants = { emits = [\"*\"] }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].grants.emits[0]: "*" takes in repository.created, which is said by triggers alone; grant what this function decides
        "#]],
    );
    check_function(
        "grants = { emits = [\"com.acme.*\"] }\n[[trigger.schedule]]\ncron = \"@daily\"\nemit = { type = \"com.acme.night\" }\n[[trigger.schedule]]\ncron = \"0 3 * * 7\"\nemit = { type = \"com.acme.night\" }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].grants.emits[0]: "com.acme.*" takes in com.acme.night, which a trigger of this file makes; no type has both origins
            tidegate.toml:8: error: trigger.schedule[0].cron: "@daily" has 1 of 5 or 6 fields; write minute, hour, day, month and day of the week, seconds first if wanted
        "#]],
    );
}

#[test]
fn functions_are_held_against_each_other() {
    let second = FUNCTION.trim_start_matches("name = \"shop\"\n");
    let text = format!(
        "{FUNCTION}grants = {{ keyvalue = {{ write = [\"evidence\"] }} }}\n{second}was = \"old\"\n\
         grants = {{ keyvalue = {{ write = [\"evidence\"], read = [\"evidence\"] }} }}\n\
         [[function]]\nname = \"b\"\nwas = \"old\"\ncomponent = \"builtin:gate\"\non = []\n"
    );
    check(
        &text,
        expect![[r#"
            tidegate.toml:8: error: function[1].name: "gate" stands twice
            tidegate.toml:12: error: function[1].grants.keyvalue.write[0]: function gate writes the key space evidence already; one writes it, others read
            tidegate.toml:15: error: function[2].was: another function was old too; one of them can go on where it stopped
            tidegate.toml:17: error: function[2].on: is empty, so nothing would ever run; name a type, or "*" for all
        "#]],
    );
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
fn a_problem_is_json_with_stable_keys() {
    let (_, problems) = Manifest::parse("name = 1", &Folder);
    expect![[r#"[{"severity":"error","key":"name","line":1,"message":"is a whole number; write text in quotes"}]"#]]
        .assert_eq(&serde_json::to_string(&problems).unwrap());
}

#[test]
fn a_secret_that_stands_in_clear_is_refused() {
    check_project(
        "[listen]\n[[listen.token]]\nname = \"ci\"\nsecret = \"hunter2\"\nscope = \"read\"\n\
         [[trigger.webhook]]\npath = \"/a\"\nsender = \"github\"\nsecret = [\"${env:NEW}\", \"old\"]\n\
         [[trigger.webhook]]\npath = \"/b\"\nsender = \"s3\"\ntoken = \"hunter2\"\n\
         [[trigger.bucket]]\nbucket = \"b\"\naccess_key = \"a\"\nsecret_key = \"b\"\n\
         [[trigger.queue]]\nkind = \"nats\"\nurl = \"nats://me:hunter2@a\"\nstream = \"s\"\nsubject = \"t\"\ntype = \"com.acme.a\"\n",
        expect![[r#"
            tidegate.toml:5: error: listen.token[0].secret: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:10: error: trigger.webhook[0].secret[1]: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:14: error: trigger.webhook[1].token: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:17: error: trigger.bucket[0].access_key: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:18: error: trigger.bucket[0].secret_key: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:21: error: trigger.queue[0].url: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
        "#]],
    );
    check_project(
        "[connections.a]\nurl = \"https://a\"\n[connections.a.headers]\nAuthorization = \"Bearer x\"\ncookie = \"x\"\n\
         X-Api-Key = \"x\"\nprivate-token = \"x\"\naccept = \"application/json\"\nx-access-key = \"${env:KEY}\"\n",
        expect![[r#"
            tidegate.toml:5: error: connections.a.headers.Authorization: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:6: error: connections.a.headers.cookie: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:7: error: connections.a.headers.X-Api-Key: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
            tidegate.toml:8: error: connections.a.headers.private-token: stands here in clear, and deployments would keep it; set a variable and write ${env:NAME}
        "#]],
    );
}

#[test]
fn the_reference_has_every_key_that_is_known_and_no_other() {
    let reference = include_str!("../../../docs/project-file.md");
    let told: BTreeSet<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    // A key that is like none is answered with the keys that are known beside it.
    let tables = "[trigger]\n[listen]\n[[listen.token]]\n[bus]\n[limits]\n[connections.NAME]\n[[trigger.webhook]]\n\
                  [[trigger.schedule]]\n[trigger.schedule.emit]\n[[trigger.bucket]]\n[[trigger.queue]]\n[[function]]\n\
                  [function.grants]\n[function.grants.keyvalue]\n[function.limits]\n[function.retry]\n[function.order]\n";
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
    for table in ["listen", "bus", "blob", "limits", "connections", "trigger", "function"] {
        assert!(known.remove(table), "{table}");
    }
    for kind in ["webhook", "schedule", "bucket", "queue"] {
        assert!(known.remove(&format!("trigger.{kind}")), "{kind}");
    }
    assert_eq!(known.iter().map(String::as_str).collect::<BTreeSet<_>>(), told);
}

#[test]
fn an_unset_or_empty_variable_is_named_and_is_no_error() {
    let text = "name = \"shop\"\n[connections.a]\nurl = \"https://a\"\nheaders = { x = \"${env:UNSET}-${env:SET}\" }\n\
                [[trigger.webhook]]\npath = \"/a\"\nsender = \"github\"\nsecret = [\"${env:EMPTY}\", \"${env:UNSET}\"]\n";
    assert_eq!(sound(text).unset_variables(&Folder), ["EMPTY", "UNSET"]);
    check(
        text,
        expect![[r#"
        tidegate.toml:4: warning: connections.a.headers.x: the environment variable UNSET is not set; `up` refuses to start without it
        tidegate.toml:8: warning: trigger.webhook[0].secret[0]: the environment variable EMPTY is not set; `up` refuses to start without it
        tidegate.toml:8: warning: trigger.webhook[0].secret[1]: the environment variable UNSET is not set; `up` refuses to start without it
    "#]],
    );
}

#[test]
fn the_manifest_s_digest_is_of_the_file_and_what_it_names() {
    let digest = |text: &str| sound(text).digest;
    assert_eq!(digest(FUNCTION), digest(FUNCTION));
    assert_ne!(digest(FUNCTION), digest(&format!("{FUNCTION}concurrency = 3")));
    assert_ne!(digest(STOREFRONT), digest(&STOREFRONT.replace("storefront", "shop")));
}

/// Names that were ever deployed, each with the id that it has.
fn deployed(names: &[(&str, u128)]) -> BTreeMap<FunctionName, crate::deployment::FunctionId> {
    let id = |number| crate::deployment::FunctionId::from_uuid(uuid::Uuid::from_u128(number));
    names.iter().map(|(name, number)| (name.parse().unwrap(), id(*number))).collect()
}

#[test]
fn a_function_keeps_its_id_when_it_is_renamed() {
    let check = |known: &[(&str, u128)], more: &str, expected: Option<u128>| {
        let planned = plan(&deployed(known), &sound(&format!("{FUNCTION}{more}"))).unwrap();
        let id = planned.functions[0].id.uuid().as_u128();
        match expected {
            Some(expected) => assert_eq!(id, expected, "{known:?} {more}"),
            None => assert!(known.iter().all(|(_, taken)| *taken != id), "{known:?} {more}"),
        }
    };
    check(&[], "", None);
    check(&[("other", 1)], "", None);
    check(&[("gate", 1)], "", Some(1));
    check(&[("old", 1)], "was = \"old\"", Some(1));
    // A `was` that stays in the file after the rename means nothing.
    check(&[("old", 1), ("gate", 1)], "was = \"old\"", Some(1));
    check(&[("old", 1), ("gate", 2)], "was = \"old\"", Some(2));
}

#[test]
fn a_plan_refuses_a_past_that_is_not_or_that_two_share() {
    let problem = |known: &[(&str, u128)], text: &str| plan(&deployed(known), &sound(text)).unwrap_err();
    let name = |text: &str| -> FunctionName { text.parse().unwrap() };
    assert_eq!(
        problem(&[], &format!("{FUNCTION}was = \"old\"")),
        PlanError::UnknownFormerName { name: name("gate"), was: name("old") }
    );
    let second = FUNCTION.trim_start_matches("name = \"shop\"\n").replace("name = \"gate\"", "name = \"old\"");
    assert_eq!(
        problem(&[("old", 1), ("gate", 1)], &format!("{FUNCTION}{second}")),
        PlanError::SharedPast { name: name("old"), other: name("gate") }
    );
}

#[test]
fn deployments_with_the_same_digest_do_the_same() {
    let known = deployed(&[("gate", 1)]);
    let planned = |text: &str| plan(&known, &sound(text)).unwrap();
    let first = planned(FUNCTION);
    assert_eq!(first.digest, planned(&format!("# a comment changes nothing\n{FUNCTION}")).digest);
    for more in ["concurrency = 3", "config = { a = 1 }", "when = \"true\"", "retry = { attempts = 2 }"] {
        assert_ne!(first.digest, planned(&format!("{FUNCTION}{more}")).digest, "{more}");
    }
    let numbered = crate::deployment::Deployment { number: 7, ..first.clone() };
    assert_eq!(numbered.compute_digest(), first.digest);
    let stored = serde_json::to_vec(&first).unwrap();
    assert_eq!(
        serde_json::from_slice::<crate::deployment::Deployment>(&stored).unwrap().compute_digest(),
        first.digest
    );
}

#[test]
fn a_stored_deployment_lists_its_functions_and_finds_each_by_its_id() {
    let second = FUNCTION.trim_start_matches("name = \"shop\"\n").replace("name = \"gate\"", "name = \"old\"");
    let planned = plan(&deployed(&[("gate", 1), ("old", 2)]), &sound(&format!("{FUNCTION}{second}"))).unwrap();
    let stored = serde_json::to_value(&planned).unwrap();
    let listed: Vec<_> = stored["functions"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(listed, ["gate", "old"]);
    let read: crate::deployment::Deployment = serde_json::from_value(stored).unwrap();
    assert_eq!(read, planned);
    let found = |number| read.function_by_id(crate::deployment::FunctionId::from_uuid(uuid::Uuid::from_u128(number)));
    assert_eq!(found(1).unwrap().name.as_str(), "gate");
    assert_eq!(found(2).unwrap().name.as_str(), "old");
    assert_eq!(found(3), None);
}
