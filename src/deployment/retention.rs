//! What is kept of the log and for how long: what the operator says of a running process, and no part of a deployment.

use std::time::Duration;

/// How long an event that comes again is known at least, unless `[bus] dedupe` says otherwise.
const DEDUPE_DEFAULT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the log keeps what a function needs that left the deployments, unless `[retention] functions` says otherwise.
const FUNCTIONS_DEFAULT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Rules for each kind of what is kept, and what holds whatever they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Events, with all that was settled on them.
    pub events: Rule,
    /// What was recorded of attempts. A recording goes with its event at the latest.
    pub recordings: Rule,
    /// Dead letters that were put back or dropped, and their events. One without a rule goes with its event.
    pub dead_letters: Rule,
    /// How long what a function needs is kept after it left the deployments.
    pub functions: Duration,
    /// No event is removed sooner: by its row it is known when it comes again. Invariant: `events.age` is not less.
    pub dedupe: Duration,
}

/// What one kind is removed by, oldest first; nothing: never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rule {
    /// What is older goes.
    pub age: Option<Duration>,
    /// The oldest go while all of the kind are larger together.
    pub bytes_max: Option<u64>,
}

impl Rule {
    /// Whether it ever removes anything.
    pub fn removes(&self) -> bool {
        self.age.is_some() || self.bytes_max.is_some()
    }
}

impl Retention {
    /// Whether anything is ever removed.
    pub fn removes(&self) -> bool {
        [self.events, self.recordings, self.dead_letters].iter().any(Rule::removes)
    }
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            events: Rule::default(),
            recordings: Rule::default(),
            dead_letters: Rule::default(),
            functions: FUNCTIONS_DEFAULT,
            dedupe: DEDUPE_DEFAULT,
        }
    }
}
