//! Tasks as processes of this machine: what a program gets, what is said of its end, and that nothing of it stays.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::http;
use crate::stage::log;
use crate::support::{Project, Server, eventually};

const COMMIT: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const RUN: &str = "acme/shop/runs/6113728f27ae";
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A runner that allows what these tests run. Tasks are asked for through `ask`, since only a function may.
fn project(more: &str) -> Project {
    Project::new(&format!(
        r#"
[[function]]
name = "ask"
component = "builtin:relay"
on = ["com.example.task"]
config = {{ to = "dev.cdeventsx.tidegate-task.requested.0.1.0" }}
grants = {{ emits = ["task.requested"] }}

[[function]]
name = "runner"
component = "native:process"
on = ["task.requested"]
grants = {{ emits = ["taskrun.finished"] }}
{more}
[function.config]
programs = {{ sh = "/bin/sh", env = "/usr/bin/env", head = "/usr/bin/head", gone = "/nowhere/program" }}
env = ["PATH", "GREETING", "UNSET"]
"#
    ))
    .env("GREETING", "hello")
    .env("SECRET", "kept to the server")
}

fn ask(server: &Server<'_>, task: &str, argv: &[&str], more: &Value) {
    let mut content = json!({
        "run": RUN, "task": task, "pipeline": "release", "repository": "acme/shop", "commit": COMMIT,
        "executor": "process", "argv": argv, "time_seconds": 60,
    });
    content.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let event = json!({
        "specversion": "1.0", "id": task, "source": "/tests", "type": "com.example.task", "partitionkey": COMMIT,
        "data": { "context": { "specversion": "0.5.0" }, "subject": { "id": format!("{RUN}/{task}"), "content": content } },
    });
    let answer = http::post(
        &server.api,
        "/events",
        &[("content-type", "application/cloudevents+json")],
        event.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 202);
}

/// What was said of a task's end, once it was.
#[track_caller]
fn end(server: &Server<'_>, task: &str) -> Value {
    let subject = format!("{RUN}/{task}");
    eventually(&format!("the end of task {task}"), || {
        let finished = |event: &Value| {
            let event = &event["event"];
            let is_end = event["type"].as_str().unwrap().starts_with("dev.cdevents.taskrun.finished.");
            (is_end && event["subject"] == subject.as_str()).then(|| event["data"]["customData"].clone())
        };
        log(server).iter().find_map(finished)
    })
}

/// Asks for a task and waits for its end.
#[track_caller]
fn run(server: &Server<'_>, task: &str, argv: &[&str]) -> Value {
    ask(server, task, argv, &json!({}));
    end(server, task)
}

/// What a task printed.
#[track_caller]
fn output(server: &Server<'_>, end: &Value) -> String {
    let digest = end["output"].as_str().unwrap_or_else(|| panic!("no output in {end}"));
    let answer = http::get(&server.api, &format!("/blobs/{digest}"));
    assert_eq!(answer.status, 200);
    answer.body
}

fn is_running(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[track_caller]
fn check_gone(pids: &[&str]) {
    assert!(!pids.is_empty());
    for pid in pids {
        assert!(pid.parse::<u32>().is_ok(), "{pid:?} is no process id");
        eventually(&format!("the end of process {pid}"), || (!is_running(pid)).then_some(()));
    }
}

#[test]
fn a_program_gets_a_folder_and_an_environment_of_its_own_and_tells_its_results() {
    let project = project("");
    let server = project.up();
    let environment = json!({ "env": { "LEVEL": "2", "GREETING": "hi", "HOME": "/" } });
    ask(&server, "env", &["env"], &environment);
    let printed = output(&server, &end(&server, "env"));
    let mut variables: Vec<(&str, &str)> = printed.lines().map(|line| line.split_once('=').unwrap()).collect();
    variables.sort_unstable();
    let names: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
    let expected = [
        "GREETING",
        "HOME",
        "LEVEL",
        "PATH",
        "TIDEGATE_COMMIT",
        "TIDEGATE_REPOSITORY",
        "TIDEGATE_RESULTS",
        "TIDEGATE_RUN",
        "TIDEGATE_TASK",
    ];
    assert_eq!(names, expected);
    assert_eq!((variables[0].1, variables[4].1, variables[8].1), ("hi", COMMIT, "env"));

    let script = r#"echo one; echo two >&2; pwd; echo "$HOME"; ls -A; echo "digest=sha256:ab" > "$TIDEGATE_RESULTS""#;
    let ended = run(&server, "build", &["sh", "-c", script]);
    assert_eq!((&ended["outcome"], &ended["exit_code"]), (&json!("success"), &json!(0)));
    assert_eq!(ended["results"], json!({ "digest": "sha256:ab" }));
    let printed = output(&server, &ended);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((&lines[..2], lines.len()), (&["one", "two"][..], 4), "both outputs in order, and an empty folder");
    assert_eq!(lines[2], lines[3]);
    assert_ne!(lines[2], variables[1].1, "each task has a folder of its own");
    assert!(!Path::new(lines[2]).exists(), "it is gone with the task");
}

#[test]
fn an_end_that_is_no_success_says_why() {
    let project = project("");
    let server = project.up();
    let check = |task: &str, argv: &[&str], outcome: &str, reason: &str| {
        let ended = run(&server, task, argv);
        assert_eq!(ended["outcome"], outcome, "{task}: {ended}");
        assert!(ended["reason"].as_str().unwrap().contains(reason), "{task}: {ended}");
        ended
    };
    let failed = check("failed", &["sh", "-c", "echo broken; exit 3"], "failure", "exit status 3");
    assert_eq!((&failed["exit_code"], output(&server, &failed).as_str()), (&json!(3), "broken\n"));
    check("killed", &["sh", "-c", "kill -9 $$"], "failure", "ended by signal 9");
    check("gone", &["gone"], "error", "it did not start: No such file");
    check("results", &["sh", "-c", "echo broken > $TIDEGATE_RESULTS"], "error", "line 1 of its results");
    let reason = "program \"rm\" is not allowed; name it in config programs of function runner";
    let refused = check("refused", &["rm", "-rf", "/"], "error", reason);
    assert_eq!(refused["output"], Value::Null);
    check("path", &["/bin/sh", "-c", "true"], "error", "program \"/bin/sh\" is not allowed");
}

#[test]
fn when_time_is_over_every_process_of_a_task_ends_whatever_it_ignores() {
    let project = project("");
    let server = project.up();
    // One in the group, one that left it, and one that the program has disowned: all deaf to SIGTERM.
    let script = "trap '' TERM; echo $$; sh -c 'echo $$; exec sleep 1000' & \
                  setsid sh -c 'echo $$; exec sleep 1000' & (setsid sh -c 'echo $$; exec sleep 1000' &); wait; sleep 1000";
    ask(&server, "deaf", &["sh", "-c", script], &json!({ "time_seconds": 1 }));
    let ended = end(&server, "deaf");
    assert_eq!(ended["outcome"], "failure");
    assert_eq!(ended["reason"], "it did not end within 1 s (time of the task)");
    let printed = output(&server, &ended);
    let pids: Vec<&str> = printed.lines().collect();
    assert_eq!(pids.len(), 4, "{printed}");
    assert!(!pids.iter().any(|pid| is_running(pid)), "they are gone before the end is told");

    // Who hears it ends in peace, and has the time for it.
    let script = "trap 'echo tidied; exit 0' TERM; sleep 1000 & wait";
    ask(&server, "tidy", &["sh", "-c", script], &json!({ "time_seconds": 1 }));
    let ended = end(&server, "tidy");
    assert_eq!((&ended["outcome"], output(&server, &ended).as_str()), (&json!("failure"), "tidied\n"));
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let project = project("");
    let server = project.up();
    let ended = run(&server, "daemon", &["sh", "-c", "setsid sleep 1000 & echo $!; exit 0"]);
    assert_eq!(ended["outcome"], "success");
    check_gone(&[output(&server, &ended).trim()]);
}

#[test]
fn a_program_that_kills_its_supervisor_ends_with_it() {
    let project = project("");
    let notes = project.folder().join("notes");
    let server = project.up();
    let script = "echo $$ > \"$NOTES\"; kill -9 $PPID; exec sleep 1000";
    ask(&server, "patricide", &["sh", "-c", script], &json!({ "env": { "NOTES": notes } }));
    let ended = end(&server, "patricide");
    assert_eq!(ended["outcome"], "error");
    assert!(ended["reason"].as_str().unwrap().starts_with("how the process ended is not known"), "{ended}");
    check_gone(&[&runs(&notes)[0]]);
}

#[test]
fn the_function_s_time_limit_holds_a_task_that_would_take_longer() {
    let project = project("limits = { time = \"11s\" }");
    let server = project.up();
    let ended = run(&server, "long", &["sh", "-c", "exec sleep 1000"]);
    assert_eq!(ended["reason"], "it did not end within 1 s (limits.time of function runner)");
}

#[test]
fn output_is_kept_up_to_its_limit_and_says_where_it_was_cut() {
    let project = project("");
    let server = project.up();
    let bytes = OUTPUT_BYTES_MAX + 3;
    let ended = run(&server, "loud", &["head", "-c", &bytes.to_string(), "/dev/zero"]);
    assert_eq!(ended["outcome"], "success");
    let printed = output(&server, &ended);
    let (kept, mark) = printed.split_at(OUTPUT_BYTES_MAX);
    assert!(kept.bytes().all(|byte| byte == 0));
    assert_eq!(mark, "\n[tidegate: 3 more bytes of output were dropped; 16777216 are kept]\n");
}

/// A task that notes each of its runs in a file, and ends in the second.
fn ask_for_two_runs(server: &Server<'_>, notes: &Path) {
    let script = "echo $$ >> \"$NOTES\"; test $(wc -l < \"$NOTES\") -gt 1 || exec sleep 1000";
    ask(server, "twice", &["sh", "-c", script], &json!({ "env": { "NOTES": notes } }));
}

/// The process ids of a task's runs so far.
fn runs(notes: &Path) -> Vec<String> {
    std::fs::read_to_string(notes).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[track_caller]
fn check_second_run(project: &Project, notes: &Path) {
    let server = project.up();
    assert_eq!(end(&server, "twice")["outcome"], "success");
    assert_eq!(runs(notes).len(), 2);
    let ends =
        log(&server).iter().filter(|event| event["event"]["type"] == "dev.cdevents.taskrun.finished.0.3.0").count();
    assert_eq!(ends, 1);
    let left = std::fs::read_dir(project.folder().join(".tidegate/work")).unwrap().count();
    assert_eq!(left, 0, "folders of tasks are gone");
}

#[test]
fn a_task_whose_server_is_killed_is_gone_with_it_and_runs_again_to_one_end() {
    let project = project("");
    let notes = project.folder().join("notes");
    let server = project.up();
    ask_for_two_runs(&server, &notes);
    let first = eventually("the first run", || runs(&notes).pop());
    server.kill();
    check_gone(&[&first]);
    check_second_run(&project, &notes);
}

#[test]
fn a_server_that_stops_ends_its_tasks_first_and_they_run_again() {
    let project = project("");
    let notes = project.folder().join("notes");
    let server = project.up();
    ask_for_two_runs(&server, &notes);
    let first = eventually("the first run", || runs(&notes).pop());
    assert!(server.stop().success());
    assert!(!is_running(&first), "it ended before its server");
    check_second_run(&project, &notes);
}

#[test]
fn only_a_function_may_ask_for_a_process() {
    let project = project("");
    let server = project.up();
    let content = json!({
        "run": RUN, "task": "forged", "pipeline": "release", "repository": "acme/shop", "commit": COMMIT,
        "executor": "process", "argv": ["env"], "time_seconds": 60,
    });
    let event = json!({
        "specversion": "1.0", "id": "forged", "source": "/tests", "type": "dev.cdeventsx.tidegate-task.requested.0.1.0",
        "data": { "subject": { "id": "forged", "content": content } },
    });
    let answer = http::post(
        &server.api,
        "/events",
        &[("content-type", "application/cloudevents+json")],
        event.to_string().as_bytes(),
    );
    assert_eq!(answer.status, 202);
    let letter = eventually("the refusal", || server.json(&["dlq", "list"]).pop());
    let reason = letter["invocation"]["failure"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("only a function may ask for a process"), "{letter}");
}

#[test]
fn a_supervisor_without_a_task_does_nothing() {
    let ended = Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("supervise").stdin(Stdio::null()).output().unwrap();
    assert!(!ended.status.success());
}
