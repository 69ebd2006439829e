//! Secrets stand in a project file by name.

use expect_test::expect;

use super::*;

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
