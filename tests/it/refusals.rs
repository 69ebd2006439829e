//! What the command line says of a mistake: it names the thing, once.

use crate::support::{Project, text};

#[test]
fn a_filter_on_a_file_that_is_not_there_names_the_file() {
    let project = Project::new("");
    let output = project.command(&["filter", "true", "nofile.json", "--url", "http://127.0.0.1:1"]).output();
    let output = output.expect("tidegate runs");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.starts_with("error: there is no file nofile.json"), "{said}");
    // An id is no file's name.
    let output = project.command(&["filter", "true", "last", "--url", "http://127.0.0.1:1"]).output();
    let said = text(&output.expect("tidegate runs"));
    assert!(said.starts_with("error: cannot reach http://127.0.0.1:1"), "{said}");
}

#[test]
fn a_variable_that_is_not_set_is_warned_of_with_its_line_and_ends_the_start() {
    let hook = "[[trigger.webhook]]\npath = \"/hooks/a\"\nsender = \"cloudevents\"\ntoken = \"${env:TEST_UNSET}\"\n";
    let output = Project::new(hook).command(&["up", "."]).env_remove("TEST_UNSET").output().expect("tidegate runs");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.starts_with("tidegate.toml:8: warning: trigger.webhook[0].token: "), "{said}");
    assert_eq!(said.matches("warning").count(), 1, "{said}");
    assert!(said.contains("are not set: TEST_UNSET"), "{said}");
}

#[test]
fn check_reads_what_the_project_file_names() {
    let gate = r#"
[[function]]
name = "gate"
component = "builtin:gate"
on = ["scan.completed"]
config = { policy = { file = "policy.toml" }, plan = { file = "plan.toml" } }
grants = { keyvalue = { write = ["evidence-staging"] } }
"#;
    let project = Project::new(gate);
    project.write("policy.toml", "environment = \"staging\"\n[require\nimage = []\n");
    project.write("plan.toml", "environments = [\"staging\"]\nservices = {}\n");
    let output = project.tidegate(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.contains("config.policy.file: policy.toml is no TOML: line 2, column 9: "), "{said}");
    assert!(said.contains("config.plan: plan.toml: line 2, column 1: unknown field `services`"), "{said}");
    assert!(said.contains("2 errors"), "{said}");
}
