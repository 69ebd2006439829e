//! Which event supersedes which, for one function: the newest of each line, and those of it that are in the queue. A value.
//!
//! The newest of a line that has nothing in the queue is in the log too, if it was settled, so it may be forgotten here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::deployment::{Keys, Rank, Succession};
use crate::event::Position;

/// Lines that are kept in memory although nothing of them is in the queue.
const IDLE_MAX: usize = 16_384;

/// The newest event of a line that was accepted, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Newest {
    pub rank: Rank,
    pub position: Position,
}

impl Newest {
    /// Which event supersedes one of this rank, if it does.
    fn supersedes(&self, rank: &Rank) -> Option<Position> {
        rank.is_older_than(&self.rank).then_some(self.position)
    }
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: HashMap<Arc<str>, Line>,
    /// By when they came to have nothing in the queue.
    idle: BTreeMap<u64, Arc<str>>,
    last_idle: u64,
}

#[derive(Debug)]
struct Line {
    newest: Newest,
    /// In the queue, with their keys.
    here: BTreeMap<Position, Keys>,
    /// Its place in `Lines::idle`.
    idle: Option<u64>,
}

/// What follows from an event that comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// That event is newer.
    Superseded { by: Position },
    /// Those in the queue are older.
    Supersedes(Vec<(Position, Keys)>),
}

impl Lines {
    /// Whether the newest of a line is known, so that the log need not be asked. Then it is not forgotten soon.
    pub fn knows(&mut self, succession: &Succession) -> bool {
        let Some(line) = self.lines.get_mut(&succession.line) else { return false };
        if let Some(idle) = line.idle.take() {
            self.idle.remove(&idle);
            self.last_idle += 1;
            line.idle = Some(self.last_idle);
            self.idle.insert(self.last_idle, succession.line.clone());
        }
        true
    }

    /// An event comes into the queue. `stored`: the newest that the log has of its line.
    pub fn enter(&mut self, position: Position, keys: &Keys, stored: Option<Newest>) -> Entered {
        let Some(Succession { line: name, rank }) = &keys.succession else { return Entered::Supersedes(Vec::new()) };
        let own = || Newest { rank: rank.clone(), position };
        let line = self.lines.entry(name.clone()).or_insert_with(|| Line {
            newest: stored.unwrap_or_else(own),
            here: BTreeMap::new(),
            idle: None,
        });
        if let Some(idle) = line.idle.take() {
            self.idle.remove(&idle);
        }
        line.here.insert(position, keys.clone());
        if let Some(by) = line.newest.supersedes(rank) {
            return Entered::Superseded { by };
        }
        if !line.newest.rank.is_older_than(rank) {
            return Entered::Supersedes(Vec::new());
        }
        line.newest = own();
        let older = |keys: &Keys| keys.succession.as_ref().is_some_and(|other| other.rank.is_older_than(rank));
        let older = line.here.iter().filter(|(_, keys)| older(keys));
        Entered::Supersedes(older.map(|(position, keys)| (*position, keys.clone())).collect())
    }

    /// What supersedes an event that is in the queue, if anything does.
    pub fn superseded(&self, keys: &Keys) -> Option<Position> {
        let succession = keys.succession.as_ref()?;
        self.lines.get(&succession.line)?.newest.supersedes(&succession.rank)
    }

    /// An event leaves the queue, or is there only to be settled without being run.
    pub fn leave(&mut self, position: Position, keys: &Keys) {
        let Some(Succession { line: name, .. }) = &keys.succession else { return };
        let Some(line) = self.lines.get_mut(name) else { return };
        if line.here.remove(&position).is_some() && line.here.is_empty() {
            self.last_idle += 1;
            line.idle = Some(self.last_idle);
            self.idle.insert(self.last_idle, name.clone());
        }
        if self.idle.len() > IDLE_MAX
            && let Some((_, longest)) = self.idle.pop_first()
        {
            self.lines.remove(&longest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::Rank;

    fn keys(line: &str, rank: &str) -> Keys {
        let succession = Succession { line: line.into(), rank: Rank::from_stored(format!("t{rank}")) };
        Keys { succession: Some(succession), ..Keys::default() }
    }

    fn older(entered: Entered) -> Vec<Position> {
        match entered {
            Entered::Supersedes(older) => older.into_iter().map(|(position, _)| position).collect(),
            Entered::Superseded { by } => panic!("superseded by {by}"),
        }
    }

    #[test]
    fn the_newest_of_a_line_supersedes_what_is_older_and_nothing_else() {
        let mut lines = Lines::default();
        assert!(older(lines.enter(1, &keys("a", "1"), None)).is_empty());
        assert!(older(lines.enter(2, &keys("b", "9"), None)).is_empty());
        assert!(older(lines.enter(3, &keys("a", "1"), None)).is_empty(), "an equal one is not older");
        assert_eq!(older(lines.enter(4, &keys("a", "3"), None)), [1, 3]);
        assert_eq!(lines.superseded(&keys("a", "1")), Some(4));
        assert_eq!(lines.enter(5, &keys("a", "2"), None), Entered::Superseded { by: 4 });
        assert!(older(lines.enter(6, &keys("a", "3"), None)).is_empty());
        assert!(older(lines.enter(7, &Keys::default(), None)).is_empty());
    }

    #[test]
    fn what_the_log_has_of_a_line_counts() {
        let mut lines = Lines::default();
        let stored = |rank: &str| Some(Newest { rank: Rank::from_stored(format!("t{rank}")), position: 7 });
        assert_eq!(lines.enter(9, &keys("a", "1"), stored("5")), Entered::Superseded { by: 7 });
        assert!(lines.knows(keys("a", "1").succession.as_ref().unwrap()));
        assert_eq!(older(lines.enter(10, &keys("a", "6"), None)), [9]);
        assert!(older(lines.enter(11, &keys("b", "6"), stored("5"))).is_empty());
    }

    #[test]
    fn a_line_with_nothing_in_the_queue_is_forgotten_in_time_and_none_that_has_something() {
        let mut lines = Lines::default();
        lines.enter(1, &keys("kept", "1"), None);
        for position in 2..IDLE_MAX as u64 + 10 {
            let keys = keys(&position.to_string(), "1");
            lines.enter(position, &keys, None);
            lines.leave(position, &keys);
        }
        assert_eq!((lines.idle.len(), lines.lines.len()), (IDLE_MAX, IDLE_MAX + 1));
        assert!(lines.lines.contains_key("kept") && !lines.lines.contains_key("2"));
    }
}
