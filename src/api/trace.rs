//! The causal tree of a chain: each event with what its functions did, under the event that led to it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::explain::CHAIN_SHOWN_MAX;
use super::judge::{Facts, Ground, judge};
use super::model::{TraceAttempt, TraceNode, TraceRun, TraceView, VerdictView};
use crate::bus::{BusError, Chain, History, Invocation, InvocationId, Outline};
use crate::clock::Timestamp;
use crate::event::{Accepted, Event, Position};
use crate::filter::Subject;

/// The whole tree that an event stands in.
pub async fn trace(history: &dyn History, event: &Event) -> Result<TraceView, BusError> {
    let correlation = event.correlation().unwrap_or(&event.id);
    let chain = history.chain(correlation, CHAIN_SHOWN_MAX).await?;
    let ground = Ground::read(history).await?;
    let mut runs = HashMap::new();
    for event in &chain.events {
        let facts = Facts::read(history, event.position).await?;
        runs.insert(event.position, runs_of(history, event, &ground, &facts).await?);
    }
    // What was emitted while this was read is in a later reading: only if there is none is the chain at rest.
    let later = history.chain(correlation, CHAIN_SHOWN_MAX).await?;
    let unchanged = later.events.len() == chain.events.len() && later.waiting.len() == chain.waiting.len();
    Ok(tree(correlation, chain, runs, unchanged))
}

/// Whether every event of a chain is settled by now. Cheaper than the tree, for whoever waits.
pub async fn is_settled(history: &dyn History, event: &Event) -> Result<bool, BusError> {
    let correlation = event.correlation().unwrap_or(&event.id);
    let chain = history.chain(correlation, CHAIN_SHOWN_MAX).await?;
    if !chain.waiting.is_empty() {
        return Ok(false);
    }
    for event in &chain.events {
        if !history.pending(event.position).await?.is_empty() {
            return Ok(false);
        }
    }
    let later = history.chain(correlation, CHAIN_SHOWN_MAX).await?;
    Ok(later.events.len() == chain.events.len() && later.waiting.is_empty())
}

/// What became of an event at each function that took it. Its data is read only where a filter asks for it.
pub(super) async fn runs_of(
    history: &dyn History,
    event: &Outline,
    ground: &Ground,
    facts: &Facts,
) -> Result<Vec<TraceRun>, BusError> {
    let unread = Subject::without_data(event, "it was not read".to_owned());
    let runs = judged_runs(event, &unread, ground, facts);
    if !runs.iter().any(|run| matches!(run.verdict, VerdictView::FilterFailed { .. })) {
        return Ok(runs);
    }
    let whole = history.event_at(event.position).await?;
    Ok(whole.map_or(runs, |whole| judged_runs(&whole, &Subject::new(&whole), ground, facts)))
}

/// Functions that the event was not for are left out.
fn judged_runs(event: &Accepted, subject: &Subject<'_>, ground: &Ground, facts: &Facts) -> Vec<TraceRun> {
    let mut runs: Vec<TraceRun> = ground
        .judged
        .keys()
        .filter_map(|function| {
            let (verdict, _) = judge(event, subject, *function, ground, facts);
            match verdict {
                VerdictView::NotDeployed | VerdictView::BeforeStart | VerdictView::Filtered { .. } => return None,
                VerdictView::WaitingBacklog { .. }
                | VerdictView::WaitingReady
                | VerdictView::WaitingBehind { .. }
                | VerdictView::WaitingRate { .. }
                | VerdictView::WaitingLimit { .. }
                | VerdictView::WaitingUnreadable { .. }
                | VerdictView::FilterFailed { .. }
                | VerdictView::Running { .. }
                | VerdictView::Retrying { .. }
                | VerdictView::Delivered
                | VerdictView::DeadLettered
                | VerdictView::Redriven { .. }
                | VerdictView::Superseded { .. }
                | VerdictView::Dropped { .. } => {}
            }
            let attempts = facts.attempts_of(*function);
            let name = ground.names.name(*function);
            let ran: Vec<TraceAttempt> = times(event.accepted_at, &attempts, &name);
            let gaps: Duration = ran.windows(2).map(|pair| pair[1].startedat.since(pair[0].settledat)).sum();
            let last = attempts.last();
            Some(TraceRun {
                function: name,
                verdict,
                attempts: u32::try_from(attempts.len()).unwrap_or(u32::MAX),
                duration_micros: micros(attempts.iter().map(|attempt| attempt.duration).sum()),
                waited_micros: ran.first().map(|first| micros(first.startedat.since(event.accepted_at))),
                between_micros: micros(gaps),
                settledat: last.map(|attempt| attempt.settled_at),
                failure: last.and_then(|attempt| attempt.failure.clone()),
                ran,
            })
        })
        .collect();
    runs.sort_by(|a, b| (a.settledat, &a.function).cmp(&(b.settledat, &b.function)));
    runs
}

/// When attempts started and ended. None starts before the event was there or the one before it ended.
fn times(accepted_at: Timestamp, attempts: &[&Invocation], function: &str) -> Vec<TraceAttempt> {
    let mut free_at = accepted_at;
    let time = |attempt: &&Invocation| {
        let InvocationId { position, round, attempt: number, .. } = attempt.id;
        let startedat = attempt.settled_at.minus(attempt.duration).max(free_at).min(attempt.settled_at);
        free_at = attempt.settled_at;
        TraceAttempt {
            id: format!("{position}.{function}.{round}.{number}"),
            startedat,
            settledat: attempt.settled_at,
            deployment: attempt.deployment,
            component: attempt.component,
            failure: attempt.failure.clone(),
        }
    };
    attempts.iter().map(time).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn tree(correlation: &str, chain: Chain, mut runs: HashMap<Position, Vec<TraceRun>>, unchanged: bool) -> TraceView {
    let final_runs = runs.values().flatten().all(|run| run.verdict.is_final());
    let settled = unchanged && final_runs && chain.waiting.is_empty();
    let truncated = chain.truncated;
    let accepted = chain.events.iter().map(|event| {
        let functions = runs.remove(&event.position).unwrap_or_default();
        (event.event.causation().map(str::to_owned), accepted_node(event, functions))
    });
    let waiting =
        chain.waiting.iter().map(|(at, event)| (event.causation().map(str::to_owned), waiting_node(*at, event)));
    TraceView {
        correlation: correlation.to_owned(),
        settled,
        truncated,
        roots: grow(accepted.chain(waiting).collect()),
    }
}

fn accepted_node(accepted: &Accepted, functions: Vec<TraceRun>) -> TraceNode {
    TraceNode {
        position: Some(accepted.position),
        acceptedat: Some(accepted.accepted_at),
        origin: Some(accepted.origin.clone()),
        deliverat: None,
        functions,
        ..bare_node(&accepted.event)
    }
}

fn waiting_node(at: Timestamp, event: &Event) -> TraceNode {
    TraceNode { deliverat: Some(at), ..bare_node(event) }
}

fn bare_node(event: &Event) -> TraceNode {
    TraceNode {
        id: event.id.clone(),
        ty: event.ty.clone(),
        source: event.source.clone(),
        subject: event.subject.clone(),
        position: None,
        acceptedat: None,
        origin: None,
        replayof: event.replay_of().map(str::to_owned),
        deliverat: None,
        traceparent: event.traceparent().map(str::to_owned),
        functions: Vec::new(),
        children: Vec::new(),
    }
}

/// Hangs each node under the one whose id is its cause. A cause stands before what it led to; what names a later one, or
/// itself, as its cause is a root, so that every node is in the tree and no sender can close a circle.
fn grow(nodes: Vec<(Option<String>, TraceNode)>) -> Vec<TraceNode> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut children: HashMap<String, Vec<TraceNode>> = HashMap::new();
    let mut roots = Vec::new();
    let mut hung = Vec::with_capacity(nodes.len());
    for (cause, node) in nodes {
        let cause = cause.filter(|cause| seen.contains(cause));
        seen.insert(node.id.clone());
        hung.push((cause, node));
    }
    // From the last to the first: when a node is hung, all under it is there.
    for (cause, mut node) in hung.into_iter().rev() {
        node.children = children.remove(&node.id).unwrap_or_default();
        node.children.reverse();
        match cause {
            Some(cause) => children.entry(cause).or_default().push(node),
            None => roots.push(node),
        }
    }
    roots.reverse();
    roots
}
