//! Looks at what a release really did since it was activated, and says whether that is good enough.
//!
//! | hears | from | does |
//! | --- | --- | --- |
//! | `service.deployed`, `service.upgraded` | a function | starts the verification of that deployment |
//! | `service.rolledback` | a function | ends the one before, and starts none: what comes back was verified before |
//! | `verification.due` | a function: itself | looks, and says `release.verified`, `.failed`, `.insufficient`, or is due again |
//!
//! Config `policy`:
//!
//! ```toml
//! delay = "30s"              # from the activation, when it is heard of, to the first look
//! interval = "30s"           # from one look, when it has run, to the next
//! looks_max = 4
//! samples_min = 50           # events that ended
//! failure_rate_max = 0.01    # of those
//! p99_max = "500ms"          # optional: how long the slowest hundredth may run
//! insufficient = "wait"      # or "pass" or "fail": what too little after the last look comes to
//! ```
//!
//! - What counts is what ended since the activation, of the deployed component only (by its digest) and of the function that
//!   the release became: nothing that ran before, and nothing that another component did. An activation does not say where in
//!   the log it stands, so it is counted from the end of the log when the deployment before was heard of, which had other bytes;
//!   or, if it had the same, from the end of the log when this one is heard of, which leaves out what it did until then.
//! - Fewer than `samples_min`, a `p99` that nobody knows where one is asked for, or counts that could not be had, is
//!   insufficient: it is looked again, up to `looks_max` times. After that `wait` says `release.insufficient`, which leaves it to a person, `pass` says `release.verified` and
//!   `fail` `release.failed`. No measurement at all is never a success: then `pass` is `release.insufficient` too.
//! - With samples enough, a failure rate above the limit fails at once, whatever else is known; so does a p99 above its own. A
//!   look at which neither is verifies, at once as well.
//! - A newer deployment of the service in the environment, or a rollback, ends the verification of the older one without a verdict; the log
//!   says superseded. What is late or repeated changes nothing: each deployment gets one verdict at most.
//! - While the runtime runs, a fault is found at most `delay + interval * (looks_max - 1)` after the activation, which each
//!   verdict says (`detection_millis_max`). What a stopped runtime missed is not made up for: the look that was due runs at the
//!   start, and the next one an interval later, so that whoever uses the release has had the time to.
//!
//! Key space `verifications` is its own: `<service>/<environment>`, the last deployment that was verified there.
//!
//! # Order
//! `order = "partitionkey"`, which is `<service>/<environment>` in all that is heard: one after the other for each, all places
//! beside each other. It saves conflicts and no more than that: the key has the deployment's number, so any order ends the same.

use delivery::{Route, content, custom, hear, types};
use tidegate_sdk::{Event, Failure};

use crate::books::Books;

mod books;
mod judge;
mod look;

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    hear(&event, &ROUTES, Books::open)
}

tidegate_sdk::export!(handle);

const ROUTES: [Route<Books>; 4] = [
    (types::SERVICE_DEPLOYED, Some("function"), |event, books| look::start(event, &custom(event)?, books)),
    (types::SERVICE_UPGRADED, Some("function"), |event, books| look::start(event, &custom(event)?, books)),
    (types::SERVICE_ROLLEDBACK, Some("function"), |event, books| look::end(&custom(event)?, books)),
    (types::VERIFICATION_DUE, Some("function"), |event, books| look::look(content(event)?, books)),
];

#[cfg(test)]
mod tests;
