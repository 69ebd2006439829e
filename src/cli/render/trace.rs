//! The causal tree: each event, the functions that it passed to, and the events that these emitted.

use std::time::Duration;

use super::text::{Colour, shorten};
use super::time::{ago, duration};
use super::{Look, brief, brief_type, clean, count, place, verdict};
use crate::api::model::{TraceNode, TraceRun, TraceView, VerdictView};
use crate::clock::Timestamp;
use crate::event::OriginKind;

/// What is shown of a reason at least, however deep in the tree.
const REASON_WIDTH_MIN: usize = 20;
/// Of the columns there are, the part that leads to a line at most.
const MARGIN_SHARE: usize = 3;
/// A shorter wait is no answer to where the time went.
const GAP_SHOWN_MICROS_MIN: u64 = 100_000;
/// Between the parts of a line.
const GAP: &str = "  ";

/// The tree of a chain, and whether all of it has settled.
pub fn trace(trace: &TraceView, look: &Look) -> String {
    let mut text = String::new();
    for root in &trace.roots {
        let began = root.acceptedat;
        text += &format!("{}\n", event_line(root, began, look));
        branches(&mut text, root, "", began, look);
    }
    let (settled, all) = settled_runs(trace);
    let events = trace.roots.iter().map(events_in).sum();
    let state = match trace.settled {
        true if has_dead_letter(trace) => look.bad("settled, with dead letters"),
        true => look.good("settled"),
        false => look.waiting(&left(settled, all, delayed(trace))),
    };
    text += &format!(
        "{}, {}: {state}\n",
        count(events, "event"),
        count(all, "delivery").replace("deliverys", "deliveries")
    );
    if trace.truncated {
        text += "the chain has more events than are shown\n";
    }
    text
}

/// What a chain that has not settled waits for.
fn left(settled: u64, all: u64, delayed: u64) -> String {
    let delayed = (delayed > 0).then(|| match delayed {
        1 => "1 event waits for its time".to_owned(),
        many => format!("{many} events wait for their time"),
    });
    let running = (settled < all).then(|| format!("not settled yet: {settled} of {all}"));
    running.into_iter().chain(delayed).collect::<Vec<_>>().join("; ")
}

/// How many (event, function) of a chain have a final verdict, and how many there are.
pub fn settled_runs(trace: &TraceView) -> (u64, u64) {
    let mut runs = (0, 0);
    each(&trace.roots, &mut |node| {
        runs.0 += node.functions.iter().filter(|run| run.verdict.is_final()).count() as u64;
        runs.1 += node.functions.len() as u64;
    });
    runs
}

/// Events that wait for their `deliverat`.
fn delayed(trace: &TraceView) -> u64 {
    let mut delayed = 0;
    each(&trace.roots, &mut |node| delayed += u64::from(node.position.is_none()));
    delayed
}

/// Whether anything in the chain ended in a dead letter that nobody put back.
pub fn has_dead_letter(trace: &TraceView) -> bool {
    let mut found = false;
    each(&trace.roots, &mut |node| {
        found |= node.functions.iter().any(|run| run.verdict == VerdictView::DeadLettered);
    });
    found
}

fn each(nodes: &[TraceNode], visit: &mut dyn FnMut(&TraceNode)) {
    for node in nodes {
        visit(node);
        each(&node.children, visit);
    }
}

fn events_in(node: &TraceNode) -> u64 {
    1 + node.children.iter().map(events_in).sum::<u64>()
}

/// What hangs on a line of the tree.
enum Branch<'a> {
    Run(&'a TraceRun, Vec<&'a TraceNode>),
    /// An event whose function is not among those shown: renamed since, or none (a live replay, an activation).
    Event(&'a TraceNode),
}

/// `began`: when the first event of the tree was accepted.
fn branches(text: &mut String, node: &TraceNode, indent: &str, began: Option<Timestamp>, look: &Look) {
    let of_run = |run| Branch::Run(run, node.children.iter().filter(|child| child.is_by(run)).collect());
    let mut all: Vec<Branch<'_>> = node.functions.iter().map(of_run).collect();
    let orphan = |child: &&TraceNode| !node.functions.iter().any(|run| child.is_by(run));
    all.extend(node.children.iter().filter(orphan).map(Branch::Event));

    let last = all.len().saturating_sub(1);
    for (index, branch) in all.iter().enumerate() {
        let (corner, inner) = fork(index == last, indent);
        match branch {
            Branch::Event(child) => {
                *text += &format!("{}{}\n", margin(&corner, look), event_line(child, began, look));
                branches(text, child, &inner, began, look);
            }
            Branch::Run(run, emitted) => {
                let lead = margin(&corner, look);
                *text += &format!("{lead}{}\n", run_line(run, lead.chars().count(), look));
                for (index, child) in emitted.iter().enumerate() {
                    let (corner, inner) = fork(index + 1 == emitted.len(), &inner);
                    *text += &format!("{}{}\n", margin(&corner, look), event_line(child, began, look));
                    branches(text, child, &inner, began, look);
                }
            }
        }
    }
}

/// The lines that lead to a branch, and those beside what hangs on it.
fn fork(last: bool, indent: &str) -> (String, String) {
    if last {
        (format!("{indent}└─ "), format!("{indent}   "))
    } else {
        (format!("{indent}├─ "), format!("{indent}│  "))
    }
}

/// What leads to a line, as far as it leaves room for the line: how deep it is beyond that says the tree above it.
fn margin(corner: &str, look: &Look) -> String {
    let (columns, columns_max) = (corner.chars().count(), look.width / MARGIN_SHARE);
    match columns.checked_sub(columns_max) {
        None | Some(0) => corner.to_owned(),
        Some(over) => format!("…{}", corner.chars().skip(over + 1).collect::<String>()),
    }
}

fn event_line(node: &TraceNode, began: Option<Timestamp>, look: &Look) -> String {
    let mut parts = vec![look.faint(&place(node.position)), look.strong(&brief_type(&node.ty))];
    parts.extend(node.subject.as_deref().map(brief));
    let is_replay = node.replayof.is_some();
    let emitted = is_replay || node.origin.as_ref().is_some_and(|origin| origin.kind == OriginKind::Function);
    parts.extend(is_replay.then(|| look.strong("live replay")));
    if let (Some(origin), false) = (&node.origin, emitted) {
        parts.push(look.faint(&format!("from {}", clean(&super::event::origin(origin)))));
    }
    if let (Some(accepted), false) = (node.acceptedat, emitted) {
        parts.push(look.faint(&ago(accepted, look.now)));
    }
    let after = node.acceptedat.zip(began).map(|(accepted, began)| accepted.since(began));
    if let Some(after) = after.filter(|after| !after.is_zero()) {
        parts.push(look.faint(&format!("+{}", duration(after))));
    }
    if let Some(at) = node.deliverat.filter(|_| node.position.is_none()) {
        parts.push(look.waiting(&format!("waits, due {}", ago(at, look.now))));
    }
    parts.join(GAP)
}

/// `indent`: columns before it. Why something failed is cut where the line would not fit; `explain` has it whole.
fn run_line(run: &TraceRun, indent: usize, look: &Look) -> String {
    let mut parts = vec![
        (None, clean(&run.function).into_owned()),
        (Some(verdict::colour(&run.verdict)), clean(&verdict::words(&run.verdict, look)).into_owned()),
    ];
    if run.attempts > 1 {
        parts.push((None, format!("{} attempts", run.attempts)));
    }
    if run.attempts > 0 {
        parts.push((Some(Colour::Faint), verdict::ran(run.duration_micros, run.failure.as_ref())));
    }
    let gaps = [(run.waited_micros.unwrap_or(0), "waited first"), (run.between_micros, "between attempts")];
    for (micros, what) in gaps.into_iter().filter(|(micros, _)| *micros >= GAP_SHOWN_MICROS_MIN) {
        parts.push((Some(Colour::Waiting), format!("{} {what}", duration(Duration::from_micros(micros)))));
    }
    let used = indent + parts.iter().map(|(_, text)| text.chars().count() + GAP.len()).sum::<usize>();
    let room = look.width.saturating_sub(used).max(REASON_WIDTH_MIN);
    let reason = match (&run.verdict, &run.failure) {
        (VerdictView::FilterFailed { clause, reason }, _) => Some(format!("{clause}: {reason}")),
        // Of one that was delivered in the end, why it failed before is told by `explain`.
        (VerdictView::Delivered, _) => None,
        (_, failure) => failure.as_ref().map(verdict::failure),
    };
    parts.extend(reason.map(|reason| (None, shorten(&clean(&reason), room).into_owned())));
    let painted = |(colour, text): (Option<Colour>, String)| match colour {
        Some(colour) => look.paint(colour, &text),
        None => text,
    };
    parts.into_iter().map(painted).collect::<Vec<_>>().join(GAP)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    const LOOK: Look = Look { colour: false, width: 100, now: Timestamp::EPOCH };

    fn emitted(position: u64, ty: &str, by: &str) -> serde_json::Value {
        json!({
            "id": format!("e{position}"), "type": ty, "source": "/f", "position": position,
            "acceptedat": "1970-01-01T00:00:00Z", "functions": [], "children": [],
            "origin": {"kind": "function", "name": by, "verified": true},
        })
    }

    fn chain() -> TraceView {
        let mut run = emitted(2, "dev.cdevents.pipelinerun.started", "pipeline");
        run["functions"] = json!([
            {"function": "gate", "verdict": {"kind": "dead-lettered"}, "attempts": 5, "duration_micros": 2_100_000,
             "failure": {"kind": "timed-out", "reason": "ran longer than 2 s"}},
            {"function": "audit", "verdict": {"kind": "retrying", "attempt": 2, "at": "1970-01-01T00:00:03Z"},
             "attempts": 1, "duration_micros": 900, "failure": {"kind": "retry", "reason": "try\nlater"}},
        ]);
        let waiting = json!({
            "id": "e9", "type": "soak.ended", "source": "/f", "deliverat": "1970-01-01T01:00:00Z",
            "functions": [], "children": [],
        });
        let root = json!({
            "id": "e1", "type": "com.github.push", "source": "/s", "subject": "acme/shop", "position": 1,
            "acceptedat": "1970-01-01T00:00:00Z", "origin": {"kind": "trigger", "name": "/hooks/github", "verified": true},
            "functions": [
                {"function": "pipeline", "verdict": {"kind": "delivered"}, "attempts": 1, "duration_micros": 12_000},
                {"function": "mirror", "verdict": {"kind": "waiting-backlog", "events_before": 7}, "attempts": 0,
                 "duration_micros": 0},
            ],
            "children": [run, emitted(3, "dev.cdevents.change.merged", "pipeline"), waiting],
        });
        serde_json::from_value(json!({"correlation": "e1", "settled": false, "truncated": false, "roots": [root]}))
            .unwrap()
    }

    #[test]
    fn a_chain_is_a_tree_of_events_and_functions() {
        expect![[r#"
            #1  com.github.push  acme/shop  from trigger /hooks/github  now
            ├─ pipeline  delivered  12 ms
            │  ├─ #2  dev.cdevents.pipelinerun.started
            │  │  ├─ gate  dead-lettered  5 attempts  2.1 s  timed-out: ran longer than 2 s
            │  │  └─ audit  retrying, attempt 2 in 3.0 s  900 µs  retry: try\nlater
            │  └─ #3  dev.cdevents.change.merged
            ├─ mirror  waiting: 7 events before it
            └─ -  soak.ended  waits, due in 1 h
            4 events, 4 deliveries: not settled yet: 2 of 4; 1 event waits for its time
        "#]]
        .assert_eq(&trace(&chain(), &LOOK));
    }

    #[test]
    fn it_is_shown_where_the_time_went() {
        let mut chain = chain();
        let run = &mut chain.roots[0].functions[0];
        (run.waited_micros, run.between_micros) = (Some(2_300_000), 31_000_000);
        let child = &mut chain.roots[0].children[0];
        child.acceptedat = Some(Timestamp::EPOCH.plus(Duration::from_millis(2_345)));
        child.functions[0].waited_micros = Some(GAP_SHOWN_MICROS_MIN - 1);
        let text = trace(&chain, &LOOK);
        assert!(text.contains("pipeline  delivered  12 ms  2.3 s waited first  31.0 s between attempts\n"), "{text}");
        assert!(text.contains("─ #2  dev.cdevents.pipelinerun.started  +2.3 s\n"), "{text}");
        assert!(text.contains("gate  dead-lettered  5 attempts  2.1 s  timed-out"), "{text}");
    }

    #[test]
    fn how_long_ran_what_was_lost_with_its_process_is_unknown() {
        let mut chain = chain();
        let run = &mut chain.roots[0].children[0].functions[1];
        run.duration_micros = 0;
        run.failure.as_mut().expect("it failed").kind = crate::outcome::FailureKind::HostLost;
        let text = trace(&chain, &LOOK);
        assert!(text.contains("audit  retrying, attempt 2 in 3.0 s  unknown time  host-lost: "), "{text}");
    }

    #[test]
    fn a_reason_is_cut_where_its_line_would_not_fit() {
        let mut chain = chain();
        let run = &mut chain.roots[0].children[0].functions[0];
        run.failure.as_mut().expect("it failed").reason = "it says much ".repeat(20);
        let (text, whole) = (trace(&chain, &LOOK), trace(&chain, &Look { width: usize::MAX, ..LOOK }));
        assert_eq!(text.lines().map(|line| line.chars().count()).max(), Some(LOOK.width), "{text}");
        assert!(whole.contains(&"it says much ".repeat(20)), "{whole}");
    }

    #[test]
    fn a_chain_of_any_depth_fits() {
        let ty = "dev.cdeventsx.tidegate-verification.due.0.1.0";
        let deep = (2..60).rev().fold(emitted(60, ty, "verify"), |child, position| {
            let mut node = emitted(position, ty, "verify");
            let delivered = json!({
                "function": "verify", "verdict": {"kind": "delivered"}, "attempts": 1, "duration_micros": 900,
            });
            (node["functions"], node["children"]) = (json!([delivered]), json!([child]));
            node
        });
        let view = json!({"correlation": "e1", "settled": true, "truncated": false, "roots": [deep]});
        let text = trace(&serde_json::from_value(view).unwrap(), &Look { width: 120, ..LOOK });
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        assert!(text.contains("─ #60  verification.due\n"), "{text}");
    }

    #[test]
    fn a_dead_letter_anywhere_in_the_chain_is_found() {
        assert!(has_dead_letter(&chain()));
        assert_eq!(settled_runs(&chain()), (2, 4));
        let clean = TraceView { roots: vec![], settled: true, ..chain() };
        assert!(!has_dead_letter(&clean));
    }
}
