//! What a definition may say, and every problem of one that may not.

use crate::definition::Definition;

/// A task `a`, with more of its table.
fn process(more: &str) -> String {
    format!("[[task]]\nname = \"a\"\nexecutor = \"process\"\nargv = [\"make\"]\n{more}\n")
}

fn workflow(more: &str) -> String {
    format!("[[task]]\nname = \"w\"\nexecutor = \"workflow-dispatch\"\n{more}\n")
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let problems = Definition::parse(text, "main").err().unwrap_or_default();
    for problem in expected {
        assert!(problems.contains(problem), "{text}\n{problems:?} does not say {problem:?}");
    }
    assert_eq!(expected.is_empty(), problems.is_empty(), "{text}\n{problems}");
}

#[test]
fn names_are_unique_and_needs_name_tasks() {
    check(&process(""), &[]);
    check(&format!("{}{}", process(""), process("")), &["two tasks are called a"]);
    check(&process("needs = [\"b\"]"), &["task a needs b, which is no task"]);
    check(&process("").replace("\"a\"", "\"A b\""), &["task: \"A b\" is no name"]);
    check(&process("results = [\"Digest\"]"), &["task a: \"Digest\" is no name"]);
    check(&format!("name = \"\"\n{}", process("")), &["name: \"\" is no name"]);
}

#[test]
fn no_task_needs_itself_by_others_either() {
    check(&process("needs = [\"a\"]"), &["none of these tasks can be the first, since they need each other: a"]);
    let circle = format!(
        "{}{}{}",
        process("needs = [\"b\"]"),
        process("needs = [\"a\"]").replace("name = \"a\"", "name = \"b\""),
        process("").replace("\"a\"", "\"c\"")
    );
    check(&circle, &["since they need each other: a, b"]);
    assert!(!Definition::parse(&circle, "main").unwrap_err().contains("c,"));
}

#[test]
fn each_executor_has_its_own_keys() {
    check(&process("workflow = \"b.yml\""), &["task a: its executor has no workflow"]);
    check(&process("ref = \"main\"\nparameters = {}"), &["has no ref", "has no parameters"]);
    check(&workflow("workflow = \"b.yml\"\nargv = [\"x\"]\nenv = {}"), &["has no argv", "has no env"]);
    check(&workflow("workflow = \"b.yml\"\nref = \"v1\""), &[]);
    check(
        &workflow("workflow = \"b.yml\"\nparameters = { tidegate = \"x\" }"),
        &["parameter tidegate is the executor's"],
    );
    for bad in ["", "workflow = \"\"", "workflow = \"../b.yml\"", "workflow = \"b\"", "workflow = \".yml\""] {
        check(&workflow(bad), &["task w: workflow is needed"]);
    }
    check("[[task]]\nname = \"a\"\nexecutor = \"process\"\n", &["task a: argv is needed"]);
    check("[[task]]\nname = \"a\"\nexecutor = \"shell\"\n", &["line 3: unknown variant `shell`"]);
    check(&process("colour = 1"), &["line 5: unknown field `colour`"]);
    check(
        &process("env = { TIDEGATE_RUN = \"x\", \"a=b\" = \"\" }"),
        &["env TIDEGATE_RUN is the runner's", "env \"a=b\""],
    );
    check(&process("env = { A = \"\\u0000\" }"), &["cannot hold a zero byte"]);
}

#[test]
fn every_limit_is_named() {
    check("", &["it has 0 tasks; 1 to 64"]);
    let many: String = (0..65).map(|index| process("").replace("\"a\"", &format!("\"a{index}\""))).collect();
    check(&many, &["it has 65 tasks; 1 to 64"]);
    check(&format!("{}#{}", process(""), "x".repeat(32 * 1024)), &["at most 32768 are allowed"]);
    check(&process("time = \"25h\""), &["task a: time \"25h\" is not within 1s and 86400s"]);
    check(&process("time = \"0s\""), &["task a: time \"0s\""]);
    check(&format!("time = \"8d\"\n{}", process("")), &["time \"8d\" is not within"]);
    let results: Vec<String> = (0..17).map(|index| format!("r{index}")).collect();
    check(&process(&format!("results = {results:?}")), &["task a has 17 results; at most 16"]);
}

#[test]
fn a_reference_is_to_a_result_of_a_task_that_is_needed() {
    let first = process("results = [\"digest\"]");
    let second = |needs: &str, argument: &str| {
        format!(
            "{first}[[task]]\nname = \"b\"\nexecutor = \"process\"\nneeds = {needs}\nargv = [\"push\", \"{argument}\"]\n"
        )
    };
    check(&second("[\"a\"]", "--digest=${a.digest}"), &[]);
    check(&second("[]", "${a.digest}"), &["task b: ${a.digest} is of a task that it does not need"]);
    check(&second("[\"a\"]", "${a.tag}"), &["task b: tag is not among the results of task a"]);
    check(&second("[\"a\"]", "${HOME}"), &["holds a `${` that is no ${task.result}"]);
    check(&second("[\"a\"]", &"${a.digest}".repeat(65)), &["speaks of results 65 times; at most 64"]);
    check(&second("[\"a\"]", "").replace("push", "${a.digest}"), &["the program's name is written out"]);
}

#[test]
fn all_problems_are_told_at_once() {
    check(&process("needs = [\"b\"]\ntime = \"1\"\nref = \"x\""), &["needs b", "time \"1\"", "has no ref"]);
}
