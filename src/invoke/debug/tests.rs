//! The debugger on a guest that does something wrong.

use super::*;
use crate::bus::Delivery;
use crate::invoke::testing::{INVOICE_SOURCE, Stage, guests, invoice};

/// An invocation to be debugged.
struct Case {
    stage: Stage,
    delivery: Delivery,
    component: &'static [u8],
}

impl Case {
    fn new(ty: &str) -> Self {
        let stage = Stage::new();
        let delivery = stage.delivery(ty, "ana 3 4 5");
        Case { stage, delivery, component: invoice() }
    }

    fn host(&self) -> Host {
        Host::live(self.stage.world(), &self.delivery)
    }

    async fn open(&self) -> Session<'_> {
        Session::open(self.component, &self.delivery.event, || self.host()).await.unwrap()
    }
}

/// The line of the source that ends with a comment.
fn line(comment: &str) -> u32 {
    let ending = format!("// {comment}");
    let index = INVOICE_SOURCE.lines().position(|line| line.ends_with(&ending));
    index.unwrap_or_else(|| panic!("no line ends with {ending}")) as u32 + 1
}

/// The innermost frame that is the author's.
fn frame(session: &Session<'_>) -> Frame {
    session.frames().into_iter().find(|frame| frame.is_own).expect("it is held in a function of the author's")
}

fn held_line(session: &Session<'_>) -> u32 {
    frame(session).place.expect("its line is known").line
}

fn value(session: &Session<'_>, name: &str) -> String {
    let variables = session.variables(&frame(session)).expect("there is debug information");
    let found = variables.iter().find(|variable| variable.name == name);
    found.unwrap_or_else(|| panic!("{name} is not among {variables:?}")).value.clone()
}

async fn forward(session: &mut Session<'_>, motion: Motion) {
    session.step(motion, Direction::Forward).await.unwrap();
}

async fn back(session: &mut Session<'_>, motion: Motion) {
    session.step(motion, Direction::Back).await.unwrap();
}

#[tokio::test]
async fn it_stops_at_a_function_by_the_end_of_its_name_with_its_callers_and_arguments() {
    let case = Case::new("test.total");
    let mut session = case.open().await;
    session.set_breakpoint("total").unwrap();
    forward(&mut session, Motion::Continue).await;
    let frames = session.frames();
    let functions: Vec<&str> = frames.iter().map(|frame| frame.function.as_str()).collect();
    assert_eq!(functions[..2], ["invoice::total", "<invoice::Invoice as invoice::Guest>::handle"]);
    assert_eq!(frames[1].place.as_ref().map(|place| place.line), Some(line("the call")));
    let owed = r#"&Owed { customer: "ana", prices: [3, 4, 5], discount: None, paid: false }"#;
    assert_eq!(value(&session, "owed"), owed);
    forward(&mut session, Motion::Continue).await;
    assert_eq!((session.place(), session.frames().len()), (session.end(), 0), "it is called once");
    assert!(session.ending().is_ok());
}

#[tokio::test]
async fn it_stops_at_a_line_each_time_and_shows_the_values_of_that_time() {
    let case = Case::new("test.total");
    let mut session = case.open().await;
    let wrong = line("the wrong step");
    session.set_breakpoint(&format!("src/lib.rs:{wrong}")).unwrap();
    for (index, price, sum) in [("0", "3", "2"), ("1", "4", "6")] {
        forward(&mut session, Motion::Continue).await;
        assert_eq!(held_line(&session), wrong);
        let values = ["index", "price", "sum", "name"].map(|name| value(&session, name));
        assert_eq!(values, [index, price, sum, "\"ana\""]);
    }
    forward(&mut session, Motion::Continue).await;
    assert_eq!(session.place(), session.end(), "the last price is left out");
}

#[tokio::test]
async fn a_step_goes_into_over_or_out_of_a_function() {
    let case = Case::new("test.total");
    let mut session = case.open().await;
    let call = line("the call");
    session.set_breakpoint(&format!("lib.rs:{call}")).unwrap();
    forward(&mut session, Motion::Continue).await;
    let here = session.place();
    forward(&mut session, Motion::Over).await;
    assert_eq!(held_line(&session), line("second effect"));
    session.go(here).await.unwrap();
    assert_eq!(held_line(&session), call);
    forward(&mut session, Motion::Into).await;
    assert_eq!(frame(&session).function, "invoice::total");
    forward(&mut session, Motion::Out).await;
    assert!(frame(&session).function.ends_with("::handle"));
}

#[tokio::test]
async fn back_returns_to_the_same_place_with_the_same_values() {
    let case = Case::new("test.total");
    let mut session = case.open().await;
    session.set_breakpoint("total").unwrap();
    forward(&mut session, Motion::Continue).await;
    let mut passed = Vec::new();
    while frame(&session).function == "invoice::total" {
        passed.push((session.place(), session.frames(), session.variables(&frame(&session))));
        forward(&mut session, Motion::Into).await;
    }
    assert!(passed.len() > 10, "{passed:?}");
    for (place, frames, variables) in passed.into_iter().rev() {
        back(&mut session, Motion::Into).await;
        assert_eq!(session.place(), place);
        assert_eq!(session.frames(), frames);
        assert_eq!(session.variables(&frame(&session)), variables);
    }
    back(&mut session, Motion::Out).await;
    assert_eq!(held_line(&session), line("the call"));
}

#[tokio::test]
async fn a_trap_shows_the_line_that_made_it_and_the_line_before_is_one_step_back() {
    let case = Case::new("test.overdraw");
    let mut session = case.open().await;
    assert_eq!(session.ending().as_ref().unwrap_err().kind, FailureKind::Trapped);
    forward(&mut session, Motion::Continue).await;
    assert_eq!(session.place(), session.end());
    assert_eq!(held_line(&session), line("the trap"));
    assert_eq!((value(&session, "number"), value(&session, "cents")), ("1".to_owned(), "6".to_owned()));
    back(&mut session, Motion::Over).await;
    assert_eq!(held_line(&session), line("the trap"));
    back(&mut session, Motion::Over).await;
    assert_eq!(held_line(&session), line("the trap") - 1);
}

#[tokio::test]
async fn an_effect_is_stopped_right_before_it_is_made() {
    let case = Case::new("test.total");
    let mut session = case.open().await;
    assert_eq!(session.effects().0.len(), 2);
    for (number, comment) in [(1, "first effect"), (2, "second effect")] {
        assert!(session.go_to_effect(number).await.unwrap());
        assert_eq!(session.effects().1, number - 1);
        let caller = session.frames().into_iter().find(|frame| frame.function.ends_with("::handle")).unwrap();
        assert_eq!(caller.place.map(|place| place.line), Some(line(comment)));
    }
    assert!(!session.go_to_effect(3).await.unwrap());
    back(&mut session, Motion::Effect).await;
    assert_eq!(session.effects().1, 0);
    forward(&mut session, Motion::Effect).await;
    forward(&mut session, Motion::Effect).await;
    assert_eq!((session.place(), session.effects().1), (session.end(), 2));
}

#[tokio::test]
async fn without_debug_information_there_are_names_offsets_and_locals() {
    let component = guests::hostile();
    let case = Case { component, ..Case::new("test.recurse") };
    let mut session = case.open().await;
    assert!(!session.has_debug_info());
    assert!(matches!(session.set_breakpoint("lib.rs:9"), Err(DebugError::NoLines)));
    let begun = session.place();
    session.set_breakpoint("handle").unwrap();
    back(&mut session, Motion::Into).await;
    forward(&mut session, Motion::Continue).await;
    assert_eq!(session.place(), begun);
    let frame = frame(&session);
    assert!(frame.function.ends_with("handle") && frame.place.is_none() && frame.pc > 0, "{frame:?}");
    assert_eq!(session.variables(&frame), None);
    assert!(!session.registers(&frame).is_empty());
}

#[tokio::test]
async fn a_recursion_without_end_is_held_where_its_stack_is_used_up() {
    let component = guests::hostile();
    let case = Case { component, ..Case::new("test.recurse") };
    let mut session = case.open().await;
    session.go(session.end()).await.unwrap();
    let frames = session.frames();
    assert!(frames.len() > 50 && frames[1..20].iter().all(|frame| frame.function == frames[1].function), "{frames:?}");
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_is_near() {
    let case = Case::new("test.total");
    let mut session = case.open().await;
    let mut refused = |at: &str| session.set_breakpoint(at).unwrap_err().to_string();
    assert!(refused("totl").contains("invoice::total"), "{}", refused("totl"));
    assert!(refused("other.rs:1").contains("lib.rs"), "{}", refused("other.rs:1"));
    assert!(refused("lib.rs:9999").contains("no code at line 9999"), "{}", refused("lib.rs:9999"));
    let moved = session.set_breakpoint("invoice/src/lib.rs:1").unwrap();
    assert!(moved.name != "invoice/src/lib.rs:1" && moved.places.len() == 1, "{moved:?}");
}

#[tokio::test]
async fn a_loop_without_end_is_cut_off_and_held_in_it() {
    let case = Case::new("test.forever");
    let few = |program: &mut Program| program.points_max = 1_000;
    let opened = Session::open_with(case.component, &case.delivery.event, || case.host(), few).await;
    let mut session = opened.unwrap();
    assert_eq!(session.ending().as_ref().unwrap_err().kind, FailureKind::TimedOut);
    forward(&mut session, Motion::Continue).await;
    assert_eq!(session.place(), session.end());
    assert_eq!(frame(&session).function, "invoice::wait");
    let turns = value(&session, "turns");
    back(&mut session, Motion::Into).await;
    forward(&mut session, Motion::Into).await;
    assert_eq!((session.place(), value(&session, "turns")), (session.end(), turns));
}

#[tokio::test]
async fn a_guest_that_does_something_else_the_second_time_is_found_out() {
    let case = Case::new("test.total");
    let other = Case::new("test.overdraw");
    let runs = std::sync::atomic::AtomicUsize::new(0);
    let make_host = || {
        let mut host = case.host();
        if runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            // It is answered that there are invoices already, which was not so when it ran first.
            host = other.host();
        }
        host
    };
    other.stage.set("counts", "invoices", b"7").await;
    let mut session = Session::open(invoice(), &case.delivery.event, make_host).await.unwrap();
    let ended = session.go(session.end() - 1).await;
    assert!(matches!(ended, Err(DebugError::Diverged { .. })), "{:?}", ended.err());
}

#[tokio::test]
async fn a_profile_is_one_that_firefox_reads() {
    let case = Case::new("test.total");
    let json = profile(invoice(), &case.delivery.event, || case.host()).await.unwrap();
    let profile: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(profile["meta"]["preprocessedProfileVersion"].is_u64(), "{}", profile["meta"]);
    let thread = &profile["threads"][0];
    let count = |table: &str| thread[table]["length"].as_u64().unwrap_or(0);
    for table in ["samples", "stackTable", "frameTable", "funcTable"] {
        assert!(count(table) > 0, "{table} is empty");
    }
    let strings = profile["shared"]["stringArray"].as_array().or_else(|| thread["stringArray"].as_array()).unwrap();
    assert!(strings.iter().any(|name| name.as_str().is_some_and(|name| name.contains("handle"))), "{strings:?}");
}

#[tokio::test]
async fn a_core_dump_is_of_a_trap_and_of_nothing_else() {
    let case = Case::new("test.overdraw");
    let dump = coredump(invoice(), &case.delivery.event, case.host()).await.unwrap().expect("it traps");
    let sections: Vec<String> = wasmparser::Parser::new(0)
        .parse_all(&dump)
        .filter_map(|payload| match payload.unwrap() {
            wasmparser::Payload::CustomSection(section) => Some(section.name().to_owned()),
            _ => None,
        })
        .collect();
    for section in ["core", "coremodules", "coreinstances", "corestack"] {
        assert!(sections.iter().any(|name| name == section), "{section} in {sections:?}");
    }
    let case = Case::new("test.total");
    assert!(coredump(invoice(), &case.delivery.event, case.host()).await.unwrap().is_none());
}
