//! Whether a finding blocks.

use delivery::policy::gate::{Exception, Policy};
use delivery::{Instant, Kind, instant};

use crate::kept::Found;

#[derive(Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It does not count, or not yet.
    Passes {
        until: Option<Instant>,
    },
    Blocks,
    /// It blocks again, since nobody answers for it any more.
    Expired {
        owner: String,
        expires: Instant,
    },
}

/// A finding blocks if its severity does, a version that mends it is there (where only those count), no exception holds, and
/// its grace is over, which counts from when it was published, else from when it was seen first.
pub fn rule(policy: &Policy, kind: Kind, found: &Found, now: Instant, seen: impl Fn() -> Option<Instant>) -> Ruling {
    let rules = &policy.severity;
    if !rules.blocks(kind, found.severity) || (rules.fixed_only && kind != Kind::Static && found.fixed.is_none()) {
        return Ruling::Passes { until: None };
    }
    let grace = rules.grace(found.severity).and_then(|grace| {
        let since = found.published.as_deref().and_then(instant).or_else(&seen)?;
        Some(since + grace)
    });
    let exceptions = policy.exceptions.iter().filter(|exception| exception.id == found.id);
    let latest: Option<&Exception> = exceptions.max_by_key(|exception| exception.expires);
    let until = grace.into_iter().chain(latest.map(|exception| exception.expires)).max();
    match (until, latest) {
        (Some(until), _) if now < until => Ruling::Passes { until: Some(until) },
        (_, Some(exception)) => Ruling::Expired { owner: exception.owner.clone(), expires: exception.expires },
        (_, None) => Ruling::Blocks,
    }
}
