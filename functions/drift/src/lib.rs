//! Compares what runs with what should run, by digest, whenever something is deployed and whenever the runtime reports.
//!
//! | hears | from | learns |
//! | --- | --- | --- |
//! | `deployment.activated` that answers a request | the runtime | what should run as the function of the request, and what runs |
//! | `deployment.activated` without one, `deployment.reported` | the runtime | what runs, and who made it so |
//! | `deployment.refused` | the runtime | that a heal was not possible |
//!
//! What comes from elsewhere counts for nothing; the log says so. A function that no release was ever deployed to is watched by
//! nobody.
//!
//! - A divergence is bytes that should not run as a function. It is told once, by `drift.detected` with both sides and who did
//!   it; other wrong bytes are another divergence. When what should run does, `drift.resolved` says so.
//! - Config `policy` says what is done about it: `action = "heal"` asks for what should run, with purpose `heal`; `"report"` does
//!   nothing else; `"incident"` opens an incident.
//! - A heal is asked for once. If it was refused, or was not possible at first, it is tried again at the next activation or
//!   report. It is not possible, and `drift.detected` says why, where
//!   - what should run is in quarantine: `rollback` is about to say what should run in its place;
//!   - `deploy` has asked for another release there, or has seen a later deployment than this function: what should run is
//!     about to change;
//!   - the function is not deployed any more: no request brings a function back.
//!
//! Key space `drift` is its own (`latest`: what runs; `function/<name>`: what should), `releases` and `quarantine` are read.
//!
//! # Order
//! `order = { key = "'drift'" }`: one event after the other, in the order of the log. Every answer still holds in any order, for
//! deployments are numbered: what runs is what the highest number says, what should run is what the highest number with a
//! request says, and a report that was overtaken by an activation changes nothing.
//!
//! No heal can undo what was just promoted, redeployed or rolled back. A request that is under way and would be overwritten
//! stands in the log before the heal, since the requests of a function are answered in the order of the log; and it is seen:
//! - What `deploy` asks for it writes to `desired/<service>/<environment>` in the same settlement, and a heal reads that key. If
//!   `deploy` settles first, this invocation runs again and sees it. If the heal settles first, the newer request stands after
//!   it, and wins. Once it is answered the key names its deployment, which is above the one that this function knows until
//!   it has heard of it too.
//! - `rollback` puts what failed in quarantine in the settlement that asks for what goes back, and a heal reads the quarantine.
//! - Two heals ask for the same, or the first one stands before what came between them.

use delivery::{Route, content, hear, types};
use tidegate_sdk::{Event, Failure};

use crate::books::Books;

mod books;
mod compare;
mod heal;

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    hear(&event, &ROUTES, Books::open)
}

tidegate_sdk::export!(handle);

const ROUTES: [Route<Books>; 3] = [
    (types::DEPLOYMENT_ACTIVATED, Some("runtime"), |event, books| compare::deployed(&content(event)?, books)),
    (types::DEPLOYMENT_REPORTED, Some("runtime"), |event, books| compare::deployed(&content(event)?, books)),
    (types::DEPLOYMENT_REFUSED, Some("runtime"), |event, books| heal::refused(&content(event)?, books)),
];

#[cfg(test)]
mod tests;
