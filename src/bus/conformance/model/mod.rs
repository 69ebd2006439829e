//! Whatever happens to it, a bus does as the reference does: steps are values, done to both, and compared after each.
//!
//! What one is told, the other must be told too; what one delivers, the other must deliver; and at the end both hold the
//! same log. What a bus does a little later by itself is waited for.

mod steps;
mod told;

use std::cell::Cell;
use std::collections::BTreeSet;

use futures_util::FutureExt;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::steps::{Outcome, Sending, Step, any_step};
use self::told::{Held, delivered, same};
use super::*;
use crate::bus::PublishError;
use crate::bus::reference::Memory;
use crate::deployment::Supersede;

/// Unless `TIDEGATE_CASES` says otherwise.
const CASES: u32 = 2_000;
const STEPS_MAX: usize = 14;
/// How long a bus may take until it stands as the reference does; and when steps that fail are made fewer.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_SHRINKING: Duration = Duration::from_millis(300);
/// Where a case lets events be removed, they may be from this age on.
const KEPT: Duration = Duration::from_secs(3);
/// More than there ever are.
const LETTERS_MAX: usize = 10_000;
const SHRINK_MILLIS_MAX: u32 = 60_000;

/// Runs many cases on new storages. A failure prints the fewest and simplest steps that lead to it.
pub fn check<S: Storage + 'static>(storage: impl Fn() -> S) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("TIDEGATE_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 32 | u64::from(nanos()));
    println!("TIDEGATE_SEED={seed} repeats it, and TIDEGATE_CASES=N runs as many cases");
    let cases = number("TIDEGATE_CASES").map_or(CASES, |cases| u32::try_from(cases).unwrap());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: u32::MAX,
        max_shrink_time: SHRINK_MILLIS_MAX,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let each = (any::<bool>(), prop::collection::vec(any_step(), 1..STEPS_MAX));
    let patience = Cell::new(PATIENCE);
    let attempt = |removes: bool, steps: &[Step]| {
        let mut storage = storage();
        if removes {
            storage.remove_after(KEPT);
        }
        let result = runtime.block_on(run(storage, removes, steps, patience.get()));
        if result.is_err() {
            patience.set(PATIENCE_SHRINKING);
        }
        result
    };
    let result = runner.run(&each, |(removes, steps)| attempt(removes, &steps).map_err(TestCaseError::fail));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, (removes, steps))) => {
            let steps = without_idle(steps, |steps| attempt(removes, steps).is_err());
            let again = attempt(removes, &steps).err();
            let difference = again.unwrap_or_else(|| format!("only now and then: {reason}"));
            panic!("{difference}\n{steps:#?}\nremoves: {removes}\nTIDEGATE_SEED={seed} repeats it");
        }
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// Takes out steps that failing does not need: those that came to do nothing when others became simpler.
fn without_idle(mut steps: Vec<Step>, fails: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    for index in (0..steps.len()).rev() {
        let step = steps.remove(index);
        if !fails(&steps) {
            steps.insert(index, step);
        }
    }
    steps
}

fn nanos() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos()
}

async fn run(storage: impl Storage + 'static, removes: bool, steps: &[Step], patience: Duration) -> Result<(), String> {
    let bus = Bench::new(storage);
    let reference = bus.beside(Memory::default());
    let mut run = Run {
        both: Both { bus, reference },
        patience,
        removes,
        functions: functions(),
        deployed: [false; 4],
        known: [false; 4],
        subscriptions: Vec::new(),
        sent: Vec::new(),
        held: Vec::new(),
        lost: Vec::new(),
        agreed_to: 0,
        owed: Vec::new(),
    };
    run.deploy([true, true, true, false]).await?;
    let mut rests = false;
    for step in steps {
        if step.needs_rest() && !rests {
            run.agree().await.map_err(|difference| format!("before {step:?}: {difference}"))?;
        }
        run = run.step(step).await?;
        rests = step.leaves_rest();
    }
    run.finish().await.map_err(|difference| format!("at the end: {difference}"))
}

/// One of each kind.
fn functions() -> [Function; 4] {
    let emitting = |function: Function| Function {
        grants: Grants { emits: vec!["t.*".to_owned()], ..Grants::default() },
        ..function
    };
    let key = || KeyExpression::new("partitionkey").unwrap();
    let superseding = Function { supersede: Some(Supersede { key: key(), by: None }), ..ordered("newest", "t.a") };
    [
        emitting(function("free", "t.a")),
        emitting(ordered("ordered", "t.*")),
        emitting(superseding),
        emitting(Function { start: Start::Latest, ..function("late", "t.b") }),
    ]
}

/// The same of the bus under test and of the reference.
struct Both<T> {
    bus: T,
    reference: T,
}

impl<T> Both<T> {
    fn iter(&self) -> [&T; 2] {
        [&self.bus, &self.reference]
    }
}

struct Run {
    both: Both<Bench>,
    patience: Duration,
    /// Whether the bus may remove what is old and not needed.
    removes: bool,
    functions: [Function; 4],
    deployed: [bool; 4],
    /// Those that ever were deployed.
    known: [bool; 4],
    /// As the functions.
    subscriptions: Vec<Both<Box<dyn Subscription>>>,
    /// What was sent, and when at first.
    sent: Vec<(Timestamp, Event)>,
    held: Vec<Both<Held>>,
    /// Deliveries of processes that died.
    lost: Vec<Both<Held>>,
    /// Up to where they agreed, and what was owed then.
    agreed_to: Position,
    owed: Vec<Position>,
}

impl Run {
    async fn step(mut self, step: &Step) -> Result<Self, String> {
        match step {
            Step::Publish(batch) => self.publish(batch).await?,
            Step::Take { function, count } => self.take(function.index(self.functions.len()), *count).await?,
            Step::Settle(which, outcome) => {
                if let Some(held) = pick(&mut self.held, which)
                    && let Some(back) = self.settle(held, outcome).await?
                {
                    self.held.push(back);
                }
            }
            Step::SettleLost(which, outcome) => {
                if let Some(lost) = pick(&mut self.lost, which) {
                    self.settle(lost, outcome).await?;
                }
            }
            Step::GiveBack(which) => drop(pick(&mut self.held, which)),
            Step::Advance { seconds } => {
                self.both.bus.advance(Duration::from_secs(*seconds));
                if self.removes {
                    // The fence goes with its event, and nobody settles one as late as that.
                    self.lost.clear();
                }
                // What is due has its place in the log before anything else gets one.
                self.agree().await?;
            }
            Step::Redrive { letter, after_seconds } => {
                let due = self.both.bus.now().plus(Duration::from_secs(*after_seconds));
                if let Some((function, position)) = self.letter(letter).await {
                    let letters = vec![PutBack { function, position, due }];
                    let [bus, reference] = self.both.iter().map(|bench| bench.bus.redrive(letters.clone()));
                    same("put back", bus.await.unwrap(), reference.await.unwrap())?;
                }
            }
            Step::DropLetter(letter) => {
                if let Some(letter) = self.letter(letter).await {
                    let [bus, reference] = self.both.iter().map(|bench| bench.bus.drop_letters(vec![letter], "ann"));
                    same("dropped", bus.await.unwrap(), reference.await.unwrap())?;
                }
            }
            Step::Deploy(which) => self.deploy(*which).await?,
            Step::Restart => {
                self.held.clear();
                self.subscriptions.clear();
                let Both { bus, reference } = self.both;
                self.both = Both { bus: bus.restart().await, reference: reference.restart().await };
                self.subscribe();
            }
            Step::Crash => {
                self.subscriptions.clear();
                let Both { bus, reference } = self.both;
                self.both = Both { bus: bus.crash(), reference: reference.crash() };
                self.lost.extend(std::mem::take(&mut self.held).into_iter().map(orphan));
                self.subscribe();
            }
        }
        Ok(self)
    }

    async fn publish(&mut self, batch: &[Sending]) -> Result<(), String> {
        let mut events = Vec::new();
        for sending in batch {
            let now = self.both.bus.now();
            // What is not known any more would be new.
            let is_known = |sent: &&(Timestamp, Event)| !self.removes || now.since(sent.0) < KEPT;
            let known: Vec<Event> = self.sent.iter().filter(is_known).map(|(_, event)| event.clone()).collect();
            let known = |which: &Index| (!known.is_empty()).then(|| which.get(&known).clone());
            let event = match sending {
                Sending::New(sent) => {
                    let id = format!("event-{}", self.sent.len());
                    Some(Event { id, source: "test".to_owned(), ..sent.event(now) })
                }
                Sending::Again(which) => known(which),
                Sending::Otherwise(which) => known(which).map(|event| with(event, "other", "content")),
                Sending::Elsewhere(which) => known(which).map(|event| Event { source: "other".to_owned(), ..event }),
            };
            if let (Sending::New(_), Some(event)) = (sending, &event) {
                self.sent.push((now, event.clone()));
            }
            events.extend(event.map(incoming));
        }
        let [bus, reference] = self.both.iter().map(|bench| bench.bus.publish(events.clone()));
        let told = |answer: Result<Vec<Receipt>, PublishError>| match answer {
            Ok(receipts) => Ok(receipts),
            // Which one is named, if there are several, is nobody's to say.
            Err(PublishError::ContentDiffers { .. }) => Err("the content differs"),
            Err(error) => panic!("{error}"),
        };
        same("answer to a batch", told(bus.await), told(reference.await))
    }

    async fn take(&mut self, function: usize, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let Both { bus, reference } = &mut self.subscriptions[function];
            let Some(expected) = reference.next().now_or_never() else {
                let nothing = bus.next().now_or_never();
                return same("deliveries", nothing.map(|found| format!("{found:?}")), None);
            };
            let expected = expected.expect("it is open");
            let found = tokio::time::timeout(self.patience, bus.next()).await;
            let found = found.map_err(|_| format!("{expected:?} does not come"))?.expect("it is open");
            same("delivery", delivered(&found), delivered(&expected))?;
            let bus = self.both.bus.hold(found).await;
            self.held.push(Both { bus, reference: self.both.reference.hold(expected).await });
        }
        Ok(())
    }

    /// Gives a delivery back whose reads have moved.
    async fn settle(&self, held: Both<Held>, outcome: &Outcome) -> Result<Option<Both<Held>>, String> {
        let bus = self.both.bus.settle(held.bus, outcome).await;
        let reference = self.both.reference.settle(held.reference, outcome).await;
        match (bus, reference) {
            (Settled::Settled, Settled::Settled) | (Settled::AlreadySettled, Settled::AlreadySettled) => Ok(None),
            (Settled::Conflict(bus), Settled::Conflict(reference)) => {
                let bus = self.both.bus.hold(bus).await;
                Ok(Some(Both { bus, reference: self.both.reference.hold(reference).await }))
            }
            (bus, reference) => Err(format!("a settlement is answered {bus:?}, not {reference:?}")),
        }
    }

    async fn deploy(&mut self, which: [bool; 4]) -> Result<(), String> {
        let functions = self.functions.iter().zip(which).filter(|(_, is_deployed)| *is_deployed);
        let functions: Vec<Function> = functions.map(|(function, _)| function.clone()).collect();
        self.deployed = which;
        self.known = std::array::from_fn(|index| self.known[index] || which[index]);
        let [bus, reference] = self.both.iter().map(|bench| bench.activate(functions.clone()));
        same("deployment", bus.await, reference.await)?;
        if self.subscriptions.is_empty() {
            self.subscribe();
        }
        Ok(())
    }

    fn subscribe(&mut self) {
        let Both { bus, reference } = &self.both;
        let both = |id| Both { bus: bus.bus.subscribe(id), reference: reference.bus.subscribe(id) };
        self.subscriptions = self.functions.iter().map(|function| both(function.id)).collect();
    }

    /// A dead letter, open or not.
    async fn letter(&self, which: &Index) -> Option<(FunctionId, Position)> {
        let letters = self.both.reference.history.dead_letters(None, LETTERS_MAX).await.unwrap();
        let places = letters.iter().map(|letter| (letter.invocation.id.function, letter.invocation.id.position));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        (!places.is_empty()).then(|| *which.get(&places))
    }

    /// Waits until what can be delivered is the same, and what cannot for the same reason.
    async fn agree(&mut self) -> Result<(), String> {
        let Both { bus, reference } = &self.both;
        let expected = reference.stands(&self.functions, 1..=Position::MAX).await;
        let owed = expected.iter().map(|(position, ..)| *position).collect();
        // What is settled since, and what is new, must be owed no more than the reference says.
        let before = std::mem::replace(&mut self.owed, owed);
        let new = self.agreed_to + 1..;
        self.agreed_to = reference.history.tail().await.unwrap();
        let asked: BTreeSet<Position> =
            before.into_iter().chain(self.owed.iter().copied()).chain(new.start..=self.agreed_to).collect();
        let since = std::time::Instant::now();
        loop {
            let found = bus.stands(&self.functions, asked.iter().copied()).await;
            let tail = bus.history.tail().await.unwrap();
            let same = same("what is owed", found, expected.clone()).and_then(|()| same("end", tail, self.agreed_to));
            match same {
                Err(difference) if since.elapsed() > self.patience => return Err(difference),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Lets everything come to its end, and compares all that is kept.
    async fn finish(mut self) -> Result<(), String> {
        self.held.clear();
        if self.deployed != self.known {
            self.deploy(self.known).await?;
        }
        let plain = Outcome::Ack { emitted: Vec::new(), reads: [false; 3], writes: Vec::new() };
        self.agree().await?;
        self.both.bus.advance(Duration::from_secs(10));
        loop {
            self.agree().await?;
            for function in 0..self.functions.len() {
                self.take(function, usize::MAX).await?;
            }
            if self.held.is_empty() {
                break;
            }
            for held in std::mem::take(&mut self.held) {
                let back = self.settle(held, &plain).await?;
                assert!(back.is_none(), "it read nothing");
            }
        }
        let Both { bus, reference } = &self.both;
        for position in 1..=reference.history.tail().await.unwrap() {
            // What may be gone may be going.
            if !(self.removes && reference.needs_no_more(position).await) {
                let all = &*reference.history;
                same("what is kept", bus.kept_at(position, all).await, reference.kept_at(position, all).await)?;
            }
        }
        same("what is kept", bus.kept(&self.functions).await, reference.kept(&self.functions).await)?;
        match self.removes {
            // What is removed is counted no more.
            true => Ok(()),
            false => same("statistics", bus.counted(&self.functions).await, reference.counted(&self.functions).await),
        }
    }
}

/// Takes one out.
fn pick<T>(from: &mut Vec<T>, which: &Index) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(which.index(from.len())))
}

/// A delivery whose process is gone: there is nobody that it could go back to.
fn orphan(held: Both<Held>) -> Both<Held> {
    let orphan = |held: Held| Held { delivery: Delivery { guard: Box::new(()), ..held.delivery }, ..held };
    Both { bus: orphan(held.bus), reference: orphan(held.reference) }
}
