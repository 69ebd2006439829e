//! What brings events in.

use expect_test::expect;

use super::*;

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
