//! What a project says of itself: its doors, its bus, its limits, its connections.

use std::time::Duration;

use expect_test::expect;

use super::*;
use crate::deployment::{Deployment, RecordingSettings, Retention, Rule, plan};

#[test]
fn a_project_of_one_name_has_defaults_that_face_no_network() {
    let manifest = sound("name = \"shop\"");
    assert_eq!(manifest.listen.hooks.to_string(), "127.0.0.1:7118");
    assert_eq!(manifest.listen.api.to_string(), "127.0.0.1:7117");
    assert_eq!(manifest.bus, BusSettings::Embedded { disk_bytes_max: None });
    assert_eq!(manifest.limits, ProjectLimits::default());
    assert_eq!(manifest.retention, Retention::default());
    assert!(!manifest.retention.removes());
}

#[test]
fn retention_is_read_by_kind_and_keeps_what_deduplication_needs() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let manifest = sound(
        "name = \"shop\"\n[bus]\ndedupe = \"2d\"\ndisk_max = \"20GiB\"\n[retention]\nfunctions = \"1d\"\n\
         events = { age = \"2d\", size = \"10GiB\" }\nrecordings = { age = \"12h\" }\ndead_letters = { size = \"1MiB\" }\n",
    );
    assert_eq!(manifest.bus, BusSettings::Embedded { disk_bytes_max: Some(20 << 30) });
    let rule = |age, bytes_max| Rule { age, bytes_max };
    let expected = Retention {
        events: rule(Some(2 * DAY), Some(10 << 30)),
        recordings: rule(Some(DAY / 2), None),
        dead_letters: rule(None, Some(1 << 20)),
        functions: DAY,
        dedupe: 2 * DAY,
    };
    assert_eq!(manifest.retention, expected);
    check_project(
        "[retention]\nevents = { age = \"5d\" }\n",
        expect![[r#"
            tidegate.toml:3: error: retention.events.age: 5d is less than bus.dedupe (7d), and an event that is removed is not known when it comes again; write 7d or more, or lower bus.dedupe
        "#]],
    );
    check_project(
        "[bus]\ndedupe = \"500ms\"\ndisk_max = \"1MiB\"\n[retention]\nevents = {}\nrecordings = { size = \"1KiB\", ages = 1 }\n\
         dead_letters = \"30d\"\nfunctions = \"40000d\"\n",
        expect![[r#"
            tidegate.toml:3: error: bus.dedupe: is out of range; write 1s to 36500d
            tidegate.toml:4: error: bus.disk_max: is out of range; write 16MiB to 1024TiB
            tidegate.toml:6: error: retention.events: removes nothing; write `age`, `size` or both, or leave it out
            tidegate.toml:7: error: retention.recordings.ages: unknown key `ages`; did you mean `age`?
            tidegate.toml:7: error: retention.recordings.size: is out of range; write 1MiB to 1024TiB
            tidegate.toml:8: error: retention.dead_letters: is text; write a table, like { key = "value" }
            tidegate.toml:9: error: retention.functions: is out of range; write 1s to 36500d
        "#]],
    );
}

#[test]
fn recording_is_read_with_its_rules_and_is_part_of_the_deployment() {
    let manifest = sound(
        "name = \"shop\"\n[recording]\nsample = 0.1\nbytes_max = \"1MiB\"\n\
         redact = { paths = [\"data.items[*].card\", \"$.token\", \"subject\"], headers = [\"X-Api-Key\"] }\n",
    );
    let RecordingSettings { sample, bytes_max, redact } = &manifest.recording;
    assert_eq!((*sample, *bytes_max), (0.1, 1 << 20));
    let paths: Vec<String> = redact.paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["data.items[*].card", "$.token", "subject"]);
    assert_eq!(redact.headers, ["x-api-key".to_owned()].into());
    let with = plan(&BTreeMap::new(), &manifest).unwrap();
    let without = plan(&BTreeMap::new(), &sound("name = \"shop\"\n")).unwrap();
    assert_eq!(with.recording, manifest.recording);
    assert_ne!(with.digest, without.digest);
    // What was stored before there was such a table is read, and is the same deployment still.
    let stored = serde_json::to_string(&without).unwrap();
    assert!(!stored.contains("recording"), "{stored}");
    assert!(serde_json::from_str::<Deployment>(&stored).unwrap().recording.is_default());
    check_project(
        "[recording]\nsample = 1.5\nbytes_max = \"8MiB\"\nsamples = 1\n\
         redact = { paths = [\"customer.email\", \"$\", \"source\", \"subject\", \"subject\"], headers = [\"a b\"], header = 1 }\n",
        expect![[r#"
            tidegate.toml:3: error: recording.sample: 1.5 is out of range; write a number from 0 to 1
            tidegate.toml:4: error: recording.bytes_max: is out of range; write 64KiB to 4MiB
            tidegate.toml:5: error: recording.samples: unknown key `samples`; did you mean `sample`?
            tidegate.toml:6: error: recording.redact.header: unknown key `header`; did you mean `headers`?
            tidegate.toml:6: error: recording.redact.headers[0]: "a b" is no header name
            tidegate.toml:6: error: recording.redact.paths[0]: "customer.email" is no path; write data and steps like data.items[*].card, the name of an attribute, or $ and steps like $.token
            tidegate.toml:6: error: recording.redact.paths[1]: $ alone is all of every body, value and line; write what of it, like $.token
            tidegate.toml:6: error: recording.redact.paths[2]: source is an attribute that the runtime goes by, so it cannot be redacted
            tidegate.toml:6: error: recording.redact.paths[4]: "subject" stands twice
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
