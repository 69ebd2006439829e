use uuid::Uuid;

use super::*;
use crate::clock::Timestamp;

fn id(name: &str) -> FunctionId {
    FunctionId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}

fn patterns(text: &str) -> Vec<TypePattern> {
    text.split_whitespace().map(|pattern| pattern.parse().unwrap()).collect()
}

/// `NAME hears TYPES emits TYPES`, one a line.
fn stations(text: &str) -> Vec<Station> {
    let station = |line: &str| {
        let (name, rest) = line.split_once(" hears").unwrap();
        let (hears, emits) = rest.split_once("emits").unwrap();
        Station { function: id(name.trim()), hears: patterns(hears), emits: patterns(emits) }
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(station).collect()
}

/// `TYPE: NAME VERDICT [-> LINKS], ..`, one a line; the first is the event that the others followed from.
fn links(text: &str) -> Vec<Link> {
    let passage = |text: &str| {
        let (what, emitted) = text.split_once("->").unwrap_or((text, ""));
        let (name, verdict) = what.trim().split_once(' ').unwrap();
        let emitted = emitted.split_whitespace().map(|link| link.parse().unwrap()).collect();
        Passage { function: id(name), verdict: verdict_of(verdict.trim()), emitted }
    };
    let link = |line: &str| {
        let (ty, passages) = line.split_once(':').unwrap();
        let passages = passages.split(',').filter(|text| !text.trim().is_empty()).map(passage);
        Link { ty: ty.to_owned(), passages: passages.collect() }
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(link).collect()
}

fn verdict_of(word: &str) -> VerdictView {
    match word {
        "delivered" => VerdictView::Delivered,
        "dead" => VerdictView::DeadLettered,
        "filtered" => VerdictView::Filtered { clause: "c".to_owned(), value: "v".to_owned() },
        "failed" => VerdictView::FilterFailed { clause: "c".to_owned(), reason: "r".to_owned() },
        "waiting" => VerdictView::WaitingReady,
        "retrying" => VerdictView::Retrying { attempt: 2, at: Timestamp::EPOCH },
        "superseded" => VerdictView::Superseded { by: 9, at: Timestamp::EPOCH },
        "before-start" => VerdictView::BeforeStart,
        other => panic!("{other} is no verdict"),
    }
}

/// A build, a scan of what it made, and a gate that wants both.
const PATH: &str = "
    build hears push emits built
    scan hears built emits scanned
    gate hears built scanned emits passed blocked
    mail hears blocked emits mailed
";

/// `stopped: LINK FUNCTION BEFORE, ..`, `reached LINK`, `unheard` or `nobody`.
#[track_caller]
fn check(wanted: &str, functions: &str, chain: &str, expected: &str) {
    let (stations, links) = (stations(functions), links(chain));
    let names: Vec<&str> = functions.lines().filter_map(|line| line.trim().split(' ').next()).collect();
    let name = |function: FunctionId| *names.iter().find(|name| id(name) == function).unwrap();
    let told = match walk(&wanted.parse().unwrap(), &links, &stations) {
        Walk::Reached(link) => format!("reached {link}"),
        Walk::Unheard => "unheard".to_owned(),
        Walk::Nobody => "nobody".to_owned(),
        Walk::Stopped(stops) => {
            let stops = stops.iter().map(|stop| format!("{} {} {}", stop.link, name(stop.function), stop.before));
            format!("stopped: {}", stops.collect::<Vec<_>>().join(", "))
        }
    };
    assert_eq!(told, expected, "{wanted} after {chain}");
}

#[test]
fn what_happened_is_told_by_its_place() {
    let chain = "push: build delivered -> 1\n built: gate delivered -> 2\n passed:";
    check("passed", PATH, chain, "reached 2");
    check("pas*", PATH, chain, "reached 2");
    // What is asked for follows from an event: it is not that event itself.
    check("push", PATH, chain, "nobody");
}

#[test]
fn a_type_that_nobody_may_emit_cannot_follow() {
    check("shipped", PATH, "push: build delivered -> 1\n built:", "nobody");
    check("pu*", PATH, "push:", "nobody");
}

#[test]
fn it_stops_where_a_function_is_not_handed_the_event() {
    for verdict in ["filtered", "failed", "superseded", "before-start"] {
        check("passed", PATH, &format!("push: build {verdict}"), "stopped: 0 build 1");
        let chain = format!(
            "push: build delivered -> 1\n built: scan delivered -> 2, gate {verdict}\n scanned: gate {verdict}"
        );
        let all = if verdict == "failed" { "stopped: 2 gate 0, 1 gate 0" } else { "stopped: 2 gate 0" };
        check("passed", PATH, &chain, all);
    }
}

#[test]
fn it_stops_where_a_function_fails_or_is_not_done() {
    for verdict in ["dead", "waiting", "retrying"] {
        check("passed", PATH, &format!("push: build {verdict}"), "stopped: 0 build 1");
    }
}

#[test]
fn it_stops_where_a_function_chose_to_say_something_else_or_nothing() {
    check("passed", PATH, "push: build delivered", "stopped: 0 build 1");
    let blocked = "push: build delivered -> 1\n built: gate delivered -> 2, scan delivered\n blocked: mail delivered -> 3\n mailed:";
    // The mail leads nowhere; the scan, which said nothing, comes after the gate, which is nearer.
    check("passed", PATH, blocked, "stopped: 1 gate 0, 1 scan 1");
}

#[test]
fn what_led_on_is_no_place_where_it_stopped() {
    let chain = "push: build delivered -> 1\n built: scan delivered -> 2, gate delivered\n scanned: gate delivered";
    check("passed", PATH, chain, "stopped: 2 gate 0");
}

#[test]
fn of_a_function_the_last_event_is_told_and_what_failed_before() {
    let chain = "push: build delivered -> 1 2 3\n built: gate delivered\n built: gate dead\n built: gate delivered";
    check("passed", PATH, chain, "stopped: 3 gate 0, 2 gate 0");
}

#[test]
fn what_no_function_on_the_way_hears_is_unheard() {
    check("passed", PATH, "refund:", "unheard");
    // Blocked is heard, and from the mail there is no way to what is asked for.
    check("passed", PATH, "blocked: mail delivered", "unheard");
}

#[test]
fn loops_and_functions_that_hear_everything_end_the_walk_all_the_same() {
    let functions = "
        ping hears pong emits ping
        pong hears ping emits pong
        audit hears emits noted
        end hears noted emits over
    ";
    check(
        "over",
        functions,
        "ping: pong delivered -> 1, audit delivered\n pong: ping delivered, audit filtered",
        "stopped: 1 audit 1, 1 ping 2",
    );
    check("over", functions, "ping: audit dead, pong delivered -> 1\n pong: ping dead", "stopped: 0 audit 1, 1 ping 2");
}

#[test]
fn patterns_of_grants_and_filters_meet_where_they_have_a_type_in_common() {
    let functions = "
        a hears x.* emits y.one.*
        b hears y.* emits z.done
    ";
    check("z.*", functions, "x.1: a delivered", "stopped: 0 a 1");
    check("z.done", functions, "x.1: a delivered -> 1\n y.one.1: b filtered", "stopped: 1 b 0");
    check("y.one.2", functions, "x.1: a delivered", "stopped: 0 a 0");
    check("y.two", functions, "x.1: a delivered", "nobody");
}

#[test]
fn what_an_emitter_hears_and_did_not_get_is_missing() {
    let (stations, links) = (stations(PATH), links("push: build delivered -> 1\n built: gate delivered"));
    let wanted = "passed".parse().unwrap();
    let emitters: Vec<&Station> = emitters(&wanted, &stations).collect();
    assert_eq!(emitters.iter().map(|one| one.function).collect::<Vec<_>>(), [id("gate")]);
    let missing: Vec<String> = missing(emitters[0], &links).map(ToString::to_string).collect();
    assert_eq!(missing, ["scanned"]);
}
