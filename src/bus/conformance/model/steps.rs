//! What happens to a bus, as values.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// What happens. An `Index` picks one of what there is, if there is any.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Publish(Vec<Sending>),
    Take {
        function: Index,
        count: usize,
    },
    Settle(Index, Outcome),
    GiveBack(Index),
    Advance {
        seconds: u64,
    },
    Redrive {
        letter: Index,
        after_seconds: u64,
    },
    DropLetter(Index),
    Deploy([bool; 4]),
    Restart,
    /// What is out is lost, and may still be settled, late.
    Crash,
    SettleLost(Index, Outcome),
}

#[derive(Debug, Clone)]
pub(super) enum Sending {
    New(Sent),
    Again(Index),
    /// With the id of one that was sent, and other content.
    Otherwise(Index),
    /// With the id of one that was sent, from another source.
    Elsewhere(Index),
}

#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub ty: &'static str,
    pub key: Option<u8>,
    pub sequence: Option<u8>,
    pub after_seconds: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Ack { emitted: Vec<Sent>, reads: [bool; 3], writes: Vec<(bool, Option<u8>)> },
    Retry { after_seconds: u64 },
    DeadLetter,
}

impl Step {
    /// Whether it depends on what a bus does by itself a little after it was told to.
    pub fn needs_rest(&self) -> bool {
        match self {
            Step::Take { .. } | Step::Advance { .. } | Step::Deploy(_) | Step::Restart | Step::Crash => true,
            Step::Publish(_) | Step::Settle(..) | Step::SettleLost(..) | Step::GiveBack(_) => false,
            Step::Redrive { .. } | Step::DropLetter(_) => false,
        }
    }

    /// Whether a bus that was at rest, or came to it in this step, has nothing to do after it.
    pub fn leaves_rest(&self) -> bool {
        matches!(self, Step::Take { .. } | Step::Advance { .. })
    }
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let some = |range: std::ops::Range<u8>| prop::option::of(range);
    let after = prop_oneof![4 => Just(None), 1 => (1..4u64).prop_map(Some)];
    (prop::sample::select(vec!["t.a", "t.b"]), some(0..2), some(0..5), after)
        .prop_map(|(ty, key, sequence, after_seconds)| Sent { ty, key, sequence, after_seconds })
}

fn any_sending() -> impl Strategy<Value = Sending> {
    prop_oneof![
        8 => any_sent().prop_map(Sending::New),
        2 => any::<Index>().prop_map(Sending::Again),
        1 => any::<Index>().prop_map(Sending::Otherwise),
        1 => any::<Index>().prop_map(Sending::Elsewhere),
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let writes = prop::collection::vec((any::<bool>(), prop::option::of(0..10u8)), 0..3);
    let acked = (prop::collection::vec(any_sent(), 0..3), any::<[bool; 3]>(), writes);
    prop_oneof![
        4 => acked.prop_map(|(emitted, reads, writes)| Outcome::Ack { emitted, reads, writes }),
        2 => (0..4u64).prop_map(|after_seconds| Outcome::Retry { after_seconds }),
        2 => Just(Outcome::DeadLetter),
    ]
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        5 => prop::collection::vec(any_sending(), 1..4).prop_map(Step::Publish),
        8 => (index(), 1..4usize).prop_map(|(function, count)| Step::Take { function, count }),
        8 => (index(), any_outcome()).prop_map(|(which, outcome)| Step::Settle(which, outcome)),
        1 => index().prop_map(Step::GiveBack),
        2 => (1..4u64).prop_map(|seconds| Step::Advance { seconds }),
        2 => (index(), 0..4u64).prop_map(|(letter, after_seconds)| Step::Redrive { letter, after_seconds }),
        1 => index().prop_map(Step::DropLetter),
        2 => any::<[bool; 4]>().prop_map(Step::Deploy),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => (index(), any_outcome()).prop_map(|(which, outcome)| Step::SettleLost(which, outcome)),
    ]
}

impl Sent {
    pub fn event(&self, now: Timestamp) -> Event {
        let mut event = Event { ty: self.ty.to_owned(), ..Event::default() };
        for (name, value) in [("partitionkey", self.key), ("sequence", self.sequence)] {
            if let Some(value) = value {
                event = with(event, name, &value.to_string());
            }
        }
        match self.after_seconds {
            Some(seconds) => with(event, "deliverat", &now.plus(Duration::from_secs(seconds)).to_string()),
            None => event,
        }
    }
}
