//! Functions: their filters, grants, limits and components, alone and beside each other.

use expect_test::expect;

use super::*;
use crate::deployment::{NativeKind, Rate, Start};

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
            tidegate.toml:6: error: function[0].order: is no order; write "none", "partitionkey" or a table like { key = "event.subject" }
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
        "grants = { statistics = [\"gate\", \"ga*\", \"*\", \"ga*e\", \"Shop\", \"shop-*\"] }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].grants.statistics[3]: "ga*e" names no functions; write a function's name, or how names begin and a * at the end
            tidegate.toml:6: error: function[0].grants.statistics[4]: "Shop" names no functions; write a function's name, or how names begin and a * at the end
            tidegate.toml:6: error: function[0].grants.statistics[5]: no function of this file is "shop-*", so there is nothing to count
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
fn a_file_of_config_is_what_its_name_says() {
    check_function(
        "config = { a = { file = \"broken.toml\" }, b = { file = \"broken.json\" }, c = { file = \"good.toml\" } }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].config.a.file: broken.toml is no TOML: line 3, column 1: missing comma between array elements, expected `,`
            tidegate.toml:6: error: function[0].config.b.file: broken.json is no JSON: line 2, column 8: expected value
        "#]],
    );
}

#[test]
fn a_plan_that_a_shipped_function_could_not_read_is_told() {
    check_function("config = { plan = { file = \"plan.toml\" } }\n", expect![[r#""#]]);
    check_function(
        "config = { plan = { file = \"moon.toml\" } }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].config.plan: moon.toml: service storefront goes to moon, which is no environment of the plan; add it to `environments`
    "#]],
    );
    check_function(
        "config = { plan = { file = \"misspelt.toml\" } }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].config.plan: misspelt.toml: line 7, column 1: unknown field `profil`, expected one of `repository`, `artifact`, `profile`, `scans`, `in`
    "#]],
    );
    check_function(
        "config = { plan = { file = \"good.toml\" }, other = { file = \"good.toml\" } }\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].config.plan: good.toml: line 1, column 1: unknown field `any`, expected `environments` or `service`
        "#]],
    );
    check_function(
        "config = { plan = { environments = [\"staging\"], services = {} } }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].config.plan: unknown field `services`, expected `environments` or `service` at line 1 column 38
    "#]],
    );
}

#[test]
fn a_policy_that_its_function_could_not_read_is_told() {
    let planned = |policy: &str| {
        format!("config = {{ policy = {{ file = \"{policy}\" }}, plan = {{ file = \"plan.toml\" }} }}\n")
    };
    check_function(&planned("gate.toml"), expect![[r#""#]]);
    check_function(
        &planned("soon.toml"),
        expect![[r#"
        tidegate.toml:6: error: function[0].config.policy: soon.toml: environment "moon" is none of the plan's; max_age is no length of time; write one like "12h" or "30d"
    "#]],
    );
    check_function(
        &planned("requires.toml"),
        expect![[r#"
        tidegate.toml:6: error: function[0].config.policy: requires.toml: line 6, column 2: unknown field `requires`, expected one of `environment`, `require`, `severity`, `exception`, `max_age`, `ask_again`, `asks_max`, `incident_days`
    "#]],
    );
    check_function(
        "config = { policy = { file = \"requires.toml\" } }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].config.policy: requires.toml: line 6, column 2: unknown field `requires`, expected one of `environment`, `require`, `severity`, `exception`, `max_age`, `ask_again`, `asks_max`, `incident_days`
    "#]],
    );
    let verify = FUNCTION.replace("builtin:gate", "builtin:verify");
    check(
        &format!("{verify}config = {{ policy = {{ file = \"verify.toml\" }} }}\n"),
        expect![[r#"
        tidegate.toml:6: error: function[0].config.policy: verify.toml: looks_max: 0 looks see nothing; write 1 or more
    "#]],
    );
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
    check(
        &format!("{native}config = {{ programs = {{ make = \"make\" }}, shell = true }}\n"),
        expect![[r#"
        tidegate.toml:6: error: function[0].config: shell is not known to native:process; known are programs and env
        tidegate.toml:6: error: function[0].config: programs names make for make, which is no absolute path
    "#]],
    );
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
            tidegate.toml:5: error: function[0].component: a component of the project file is a path or builtin:NAME; one of a registry comes by a deployment request, one of a bucket as a file
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
fn what_supersedes_is_read_and_bad_ones_are_refused() {
    let read = |text: &str| {
        let (manifest, problems) = Manifest::parse(&format!("{FUNCTION}supersede = {text}\n"), &Folder);
        assert_eq!(problems, []);
        let (function, _) = manifest.unwrap().functions.remove(0);
        function.supersede.map(|supersede| (supersede.key.source().to_owned(), supersede.by.is_some()))
    };
    assert_eq!(read("\"partitionkey\""), Some(("event.partitionkey".to_owned(), false)));
    assert_eq!(read("{ key = \"data.id\", by = \"data.version\" }"), Some(("data.id".to_owned(), true)));
    check_function(
        "supersede = true\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].supersede: is a boolean; write text in quotes
    "#]],
    );
    check_function(
        "supersede = { by = \"1 +\" }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].supersede.by: column 4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
        tidegate.toml:6: error: function[0].supersede.key: is missing
    "#]],
    );
}

#[test]
fn a_pace_is_read_and_bad_ones_are_refused() {
    let good = "rate = { per_second = 2.5, burst = 10 }\nlimit = { key = \"event.source\", concurrency = 1 }\n";
    let (manifest, problems) = Manifest::parse(&format!("{FUNCTION}{good}"), &Folder);
    assert_eq!(problems, []);
    let (function, _) = manifest.unwrap().functions.remove(0);
    assert_eq!(function.rate, Rate::new(2.5, 10).ok());
    let limit = function.limit.unwrap();
    assert_eq!((limit.key.source(), limit.concurrency, limit.rate), ("event.source", Some(1), None));
    check_function(
        "rate = { per_second = 0, burst = 0 }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].rate.burst: 0 is out of range; write a whole number from 1 to 10000
        tidegate.toml:6: error: function[0].rate.per_second: 0 is out of range; write a number from 0.0001 to 10000
    "#]],
    );
    check_function(
        "rate = 5\n",
        expect![[r#"
            tidegate.toml:6: error: function[0].rate: is no table; write one like { per_second = 5, burst = 10 }
        "#]],
    );
    check_function(
        "limit = { key = \"event.source\" }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].limit: limits nothing; write `concurrency` or `rate` beside the key
    "#]],
    );
    check_function(
        "limit = { concurrency = 1, rate = {} }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].limit.key: is missing
        tidegate.toml:6: error: function[0].limit.rate.per_second: is missing
    "#]],
    );
    check_function(
        "limit = { key = \"event.\", concurrency = 0 }\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].limit.concurrency: 0 is out of range; write a whole number from 1 to 10000
        tidegate.toml:6: error: function[0].limit.key: column 7: Syntax error: no viable alternative at input '.'
    "#]],
    );
}

#[test]
fn a_condition_that_is_none_is_refused() {
    check_function(
        "when = \"1 + 1\"\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].when: 1 + 1 is int, and must be true or false
    "#]],
    );
    check_function(
        "when = \"data.n > 1 && 'yes'\"\n",
        expect![[r#"
        tidegate.toml:6: error: function[0].when: 'yes' is string, and must be true or false
    "#]],
    );
    check_function("when = \"true\"\n", expect![[""]]);
    check_function("when = \"data.n\"\n", expect![[""]]);
}
