//! Statistics: how a function's events ended, counted over a window of the log.
//!
//! Only final settlements count. Lengths of time are kept in buckets, four to a power of two, so that two counts can be
//! added and a bucket's bound is at most a quarter above what is in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use super::{Invocation, StoredVerdict};
use crate::deployment::{Digest, FunctionId};
use crate::event::Position;
use crate::outcome::FailureKind;

/// What to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatisticsQuery {
    pub function: FunctionId,
    /// The component that ran the final attempt.
    pub component: Digest,
    /// The first position of the window.
    pub from: Position,
    /// The last one, which belongs to it; none: the end of the log.
    pub to: Option<Position>,
}

/// Final settlements of a window. An event that was redriven counts once for each round that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Statistics {
    pub delivered: u64,
    /// Dead letters, whatever became of them since, by the kind of the failure that ended them.
    pub dead_lettered: BTreeMap<FailureKind, u64>,
    /// How long the final attempts ran, by bucket, shortest first. One that was lost with its process has no length.
    pub latency: Vec<Bucket>,
    /// The last position of the log when this was counted.
    pub position: Position,
}

/// Attempts that ran about equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// None of them ran longer; they ran longer than those of the bucket before.
    pub up_to_micros: u64,
    pub count: u64,
}

impl Bucket {
    /// The bound of the bucket that an attempt of this length is in.
    pub fn bound(ran: Duration) -> u64 {
        let micros = u64::try_from(ran.as_micros()).unwrap_or(u64::MAX);
        let bits_dropped = micros.checked_ilog2().unwrap_or(0).saturating_sub(2);
        micros | ((1 << bits_dropped) - 1)
    }
}

impl Statistics {
    /// Adds final settlements that ended alike. `failure`: none for those that were delivered. `up_to_micros`: their bucket.
    pub fn add(&mut self, failure: Option<FailureKind>, up_to_micros: u64, count: u64) {
        *match failure {
            None => &mut self.delivered,
            Some(kind) => self.dead_lettered.entry(kind).or_default(),
        } += count;
        if failure == Some(FailureKind::HostLost) {
            return;
        }
        match self.latency.binary_search_by_key(&up_to_micros, |bucket| bucket.up_to_micros) {
            Ok(index) => self.latency[index].count += count,
            Err(index) => self.latency.insert(index, Bucket { up_to_micros, count }),
        }
    }

    /// What `History::statistics` means: a direct count over every attempt that there is.
    #[cfg(test)]
    pub fn of(attempts: &[Invocation], query: &StatisticsQuery, position: Position) -> Self {
        let mut statistics = Statistics { position, ..Statistics::default() };
        let asked = |attempt: &&Invocation| {
            attempt.id.function == query.function
                && attempt.component == query.component
                && attempt.id.position >= query.from
                && query.to.is_none_or(|to| attempt.id.position <= to)
        };
        for attempt in attempts.iter().filter(asked) {
            let failure = match (attempt.verdict, &attempt.failure) {
                (StoredVerdict::Delivered, _) => None,
                (StoredVerdict::DeadLettered, failure) => failure.as_ref().map(|failure| failure.kind),
                (StoredVerdict::Retried(_), _) => continue,
            };
            statistics.add(failure, Bucket::bound(attempt.duration), 1);
        }
        statistics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_every_length_up_to_its_bound_which_is_at_most_a_quarter_above() {
        let lengths = (0..100_000).chain((0..63).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]));
        let bound_of = |micros| Bucket::bound(Duration::from_micros(micros));
        for micros in lengths.chain([u64::MAX]) {
            let bound = bound_of(micros);
            assert!(bound >= micros && bound - micros <= micros / 4, "{micros} in the bucket up to {bound}");
            assert_eq!(bound_of(bound), bound, "{micros}");
            assert!(bound == u64::MAX || bound_of(bound + 1) > bound, "{micros}");
        }
    }

    #[test]
    fn what_was_lost_with_its_process_has_an_outcome_and_no_length() {
        let mut statistics = Statistics::default();
        for (failure, micros) in
            [(None, 7), (Some(FailureKind::HostLost), 0), (Some(FailureKind::Trapped), 3), (None, 7)]
        {
            statistics.add(failure, micros, 1);
        }
        let dead_lettered = BTreeMap::from([(FailureKind::HostLost, 1), (FailureKind::Trapped, 1)]);
        let latency = vec![Bucket { up_to_micros: 3, count: 1 }, Bucket { up_to_micros: 7, count: 2 }];
        assert_eq!(statistics, Statistics { delivered: 2, dead_lettered, latency, position: 0 });
    }
}
