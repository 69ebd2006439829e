use clap::{CommandFactory, Parser};
use expect_test::expect_file;

use super::Cli;

/// The long help of every command, one after another.
fn all_help() -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = String::new();
    help(&mut command, &mut text);
    text
}

fn help(command: &mut clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or("tidegate").to_owned();
    *text += &format!("$ {name} --help\n{}\n", command.clone().render_long_help());
    for subcommand in command.get_subcommands_mut() {
        help(subcommand, text);
    }
}

#[test]
fn every_command_says_what_it_does_and_how() {
    expect_file!["help.txt"].assert_eq(&all_help());
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command) {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("tidegate "), "{}", command.get_name());
        command.get_subcommands().for_each(check);
    }
    Cli::command().get_subcommands().for_each(check);
}

#[track_caller]
fn parses(line: &str, expected: bool) {
    let parsed = Cli::try_parse_from(line.split(' '));
    assert_eq!(parsed.is_ok(), expected, "{line}: {:?}", parsed.err().map(|error| error.to_string()));
}

#[test]
fn arguments_that_belong_together_parse() {
    for line in [
        "tidegate new shop",
        "tidegate build",
        "tidegate check shop -o json",
        "tidegate -o json check",
        "tidegate up --log json",
        "tidegate emit event.json",
        "tidegate emit - --wait",
        "tidegate emit --wait 5 event.json",
        "tidegate emit --type a.b.c --subject x --ext partitionkey=1 --ext a=b --data {}",
        "tidegate bench --seconds 5 --json",
        "tidegate bench --url http://localhost:1 --sink 127.0.0.1:7200 --seconds 0.5",
        "tidegate events",
        "tidegate events last --dir shop",
        "tidegate events --type a.* --since 15m --limit 10 --follow",
        "tidegate trace #12 --url http://localhost:1",
        "tidegate explain 0193",
        "tidegate explain last --all",
        "tidegate explain --why-not gate.passed --after #12",
        "tidegate events --refused --since 1h",
        "tidegate invocations --function gate --failed",
        "tidegate dlq list",
        "tidegate dlq redrive 1.gate 2.gate",
        "tidegate dlq drop --all --function gate",
        "tidegate functions",
        "tidegate functions --dir shop",
        "tidegate functions show gate",
        "tidegate deployments 3",
        "tidegate deploy shop --token-file token",
        "tidegate rollback",
        "tidegate filter true -",
        "tidegate types artifact.published",
    ] {
        parses(line, true);
    }
}

#[test]
fn arguments_that_contradict_each_other_are_refused() {
    for line in [
        "tidegate",
        "tidegate new Shop",
        "tidegate emit",
        "tidegate emit event.json --type a.b.c",
        "tidegate emit --subject x",
        "tidegate events last --follow",
        "tidegate events --follow --dir shop",
        "tidegate events --since yesterday",
        "tidegate events --limit 0",
        "tidegate events --refused --follow",
        "tidegate explain",
        "tidegate explain last --why-not gate.passed --after last",
        "tidegate explain --why-not gate.passed",
        "tidegate explain last --after last",
        "tidegate trace",
        "tidegate trace last --dir shop --url http://localhost:1",
        "tidegate dlq",
        "tidegate dlq redrive",
        "tidegate dlq redrive 1.gate --all",
        "tidegate dlq redrive 1.gate --function gate",
        "tidegate dlq redrive 1.gate --dir shop",
        "tidegate check -o yaml",
        "tidegate emit a.json --token secret",
        "tidegate rollback last",
        "tidegate bench --sink 127.0.0.1:7200",
        "tidegate bench --seconds 0",
        "tidegate bench --url http://localhost:1 --unoptimised",
    ] {
        parses(line, false);
    }
}
