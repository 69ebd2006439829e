//! Turns a placed release into a deployment request, one environment after the other, and keeps the record of releases.
//!
//! | hears | from | does |
//! | --- | --- | --- |
//! | `placement.decided` | a function | asks for the deployment, lets the release wait, or refuses it |
//! | `deployment.activated` | the runtime | records what runs, says `service.deployed`, `.upgraded` or `.rolledback`, asks for what waits |
//! | `deployment.refused` | the runtime | says `release.refused` with the problems, asks for what waits |
//! | `release.verified`, `.failed`, `.insufficient` | a function | records the verdict |
//! | `release.requested` | a person, by the API | asks for a release of the record again |
//!
//! What comes from elsewhere, or from nobody who was proved, counts for nothing; the log says so.
//!
//! A placed release is refused, with the rule in `release.refused`, by the first of these:
//! - `unplanned`: the plan does not take the service to this environment, or to another function there.
//! - `configuration-changed`: the service's table in the plan is not the one that the gate passed.
//! - `quarantined`: its digest is in key space `quarantine`.
//! - `environment-order`: it was not verified in the environment before, in the order of the plan.
//! - `older-commit`: its `order` is below that of the release which runs, or is asked for, in this environment. A release whose
//!   order nobody knows, and one of the same order, is as new as its arrival.
//! - `superseded`: another one waits that is newer, or came to wait after it.
//!
//! While one deployment of a service in an environment is under way, the newest release waits; what waited before it is
//! refused as `superseded`. What waited is judged again when its turn comes. A repeated placement of what runs, is asked for or
//! waits changes nothing.
//!
//! A person's request takes the same path with purpose `redeploy`. The rules are `unproved-request` (it did not come by the
//! API from somebody proved), `not-placed` (the environment's gate never passed the release), `quarantined`, and
//! `environment-order` (it was verified neither there nor in the environment before, if there is one). `older-commit` does not
//! hold, since a person asks. A refusal leaves the release where it is. Asking for what is under way already asks for it once
//! more, which gets a request going that nobody answered. A release that is on no record is rejected.
//!
//! A request says the whole target as the plan had it when the release was placed, so that an old release brings its own
//! configuration back. What `rollback` and `drift` ask for themselves is recorded when it is activated.
//!
//! Config `plan` is the plan (`delivery::Plan`). Key space `releases` is its own (`delivery::record` says what is where),
//! `quarantine` is read.
//!
//! # Order
//! `order = { key = "'deploy'" }`: all events one after the other, in the order of the log. That a release was verified in
//! staging is said under one partition key, that it goes to production under another; the log has them in the order in which
//! one led to the other, and no key but a common one keeps it. A decision takes less than a millisecond and nothing is ever
//! tried again, since every answer is there at once, so nobody waits behind anybody. For the same reason no key of its own can
//! move under an invocation; a quarantine that comes meanwhile makes it run again, and then it is seen.

use delivery::record::Stage;
use delivery::{Route, content, hear, types};
use tidegate_sdk::{Event, Failure};

use crate::books::Books;

mod answered;
mod books;
mod judged;
mod place;
mod placed;
mod requested;
mod rules;

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    hear(&event, &ROUTES, Books::open)
}

tidegate_sdk::export!(handle);

const ROUTES: [Route<Books>; 7] = [
    (types::PLACEMENT_DECIDED, Some("function"), |event, books| placed::answer(event, &content(event)?, books)),
    (types::DEPLOYMENT_ACTIVATED, Some("runtime"), |event, books| answered::activated(event, &content(event)?, books)),
    (types::DEPLOYMENT_REFUSED, Some("runtime"), |event, books| answered::refused(event, &content(event)?, books)),
    (types::RELEASE_VERIFIED, Some("function"), |event, books| {
        judged::answer(event, &content(event)?, Stage::Verified, books)
    }),
    (types::RELEASE_FAILED, Some("function"), |event, books| {
        judged::answer(event, &content(event)?, Stage::Failed, books)
    }),
    (types::RELEASE_INSUFFICIENT, Some("function"), |event, books| {
        judged::answer(event, &content(event)?, Stage::Insufficient, books)
    }),
    // Answered whoever sent it: the answer says what is wrong with it.
    (types::RELEASE_REQUESTED, None, |event, books| requested::answer(event, &content(event)?, books)),
];

#[cfg(test)]
mod tests;
