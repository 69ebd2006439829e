//! Whatever the tasks need and in whatever order, and however often, their ends are heard: each is asked for once, after what
//! it needs, and the run ends once, as its tasks did.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A task's needs among those before it, and what becomes of it.
#[derive(Debug, Clone)]
struct Plan {
    needs: Vec<usize>,
    outcome: Outcome,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let outcome = prop_oneof![9 => Just(Outcome::Success), 1 => Just(Outcome::Failure), 1 => Just(Outcome::Error)];
    let plan = (any::<u8>(), outcome);
    prop::collection::vec(plan, 1..8).prop_map(|plans| {
        let needs = |index: usize, bits: u8| (0..index).filter(|other| bits & (1 << other) != 0).collect();
        let plan = |(index, (bits, outcome)): (usize, (u8, Outcome))| Plan { needs: needs(index, bits), outcome };
        plans.into_iter().enumerate().map(plan).collect()
    })
}

fn text(plans: &[Plan]) -> String {
    let task = |(index, plan): (usize, &Plan)| {
        let needs: Vec<String> = plan.needs.iter().map(|need| format!("t{need}")).collect();
        format!("[[task]]\nname = \"t{index}\"\nneeds = {needs:?}\nexecutor = \"process\"\nargv = [\"x\"]\n")
    };
    plans.iter().enumerate().map(task).collect()
}

fn index(task: &str) -> usize {
    task.trim_start_matches('t').parse().unwrap()
}

/// What was heard and said so far.
#[derive(Default)]
struct Heard {
    requested: Vec<usize>,
    done: BTreeSet<usize>,
    ends: Vec<RunFinished>,
}

impl Heard {
    fn take(&mut self, plans: &[Plan], events: &[Event]) {
        for event in events {
            if is(event, types::TASK_REQUESTED) {
                let task = index(&content::<TaskRequested>(event).unwrap().task);
                assert!(!self.requested.contains(&task), "t{task} was asked for twice");
                assert!(
                    plans[task].needs.iter().all(|need| self.done.contains(need)),
                    "t{task} was asked for too early"
                );
                self.requested.push(task);
            } else if is(event, types::PIPELINERUN_FINISHED) {
                self.ends.push(custom(event).unwrap());
            }
        }
    }
}

/// Says nothing, whatever the state.
#[track_caller]
fn ignored(event: &Event) {
    let said = handle(event.clone()).unwrap();
    assert!(said.is_empty(), "on {:?}: {:?}", event.subject, told(&said));
}

/// Runs the tasks to their ends in the order that `picks` chooses among those in flight.
fn play(plans: &[Plan], picks: &[(u8, u8)]) -> Heard {
    let mut heard = Heard::default();
    heard.take(plans, &handle(change("merge")).unwrap());
    for &(pick, other) in picks {
        let open: Vec<usize> = heard.requested.iter().copied().filter(|task| !heard.done.contains(task)).collect();
        let Some(&task) = open.get(usize::from(pick) % open.len().max(1)) else { break };
        let event = done(&format!("t{task}"), result(plans[task].outcome, &[]));
        ignored(&from("function:stranger", event.clone()));
        let other = usize::from(other) % plans.len();
        if !heard.requested.contains(&other) {
            ignored(&succeeded(&format!("t{other}")));
        }
        let ended = !heard.ends.is_empty();
        let said = handle(event.clone()).unwrap();
        assert!(!ended || said.is_empty(), "an ended run says nothing more");
        heard.done.insert(task);
        heard.take(plans, &said);
        ignored(&event);
    }
    heard
}

proptest! {
    #[test]
    fn a_run_ends_as_its_tasks_do_in_whatever_order_that_is_heard(
        plans in plans(),
        picks in prop::collection::vec(any::<(u8, u8)>(), 8),
    ) {
        let _host = host(&text(&plans));
        let heard = play(&plans, &picks);
        let [end] = heard.ends.as_slice() else { panic!("{} ends", heard.ends.len()) };
        let succeeded = plans.iter().all(|plan| plan.outcome == Outcome::Success);
        prop_assert_eq!(end.outcome == Outcome::Success, succeeded);
        match end.failed.as_deref() {
            None => prop_assert_eq!(heard.done.len(), plans.len()),
            Some(failed) => prop_assert_eq!(plans[index(failed)].outcome, end.outcome),
        }
    }
}
