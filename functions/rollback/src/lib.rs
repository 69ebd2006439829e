//! Takes a release that failed back: quarantines its digest, asks for the last release that succeeded, opens an incident.
//!
//! | hears | from | does |
//! | --- | --- | --- |
//! | `release.failed` | a function | `digest.quarantined`, `deployment.requested` with purpose `rollback`, `incident.detected` |
//! | `release.verified` | a function | remembers what it can go back to |
//! | `service.deployed`, `.upgraded`, `.rolledback` | a function | `incident.resolved`, once other bytes than those that failed run |
//! | `release.refused` | a function | looks for another way out, where the deployment that was it is refused |
//! | `quarantine.lifted` | a person by the API (`tidegate lift`), or an origin that config `lifters` names | `digest.cleared`, and the digest is out of quarantine |
//!
//! What comes from elsewhere, or from nobody who was proved, counts for nothing; the log says so.
//!
//! - All that a failure leads to is one settlement: the digest is in quarantine as soon as the request is in the log. From then
//!   on `deploy` and `drift` ask for it no more, so nothing redeploys it by itself; a person may, once it is lifted.
//! - The way back is the newest deployment that was verified in the place, did not fail there since, and whose digest is in no
//!   quarantine. It passes no gate, since it did once. Its bytes are checked against the digest by whoever deploys it, as ever,
//!   and its own configuration comes back with it. The last `keep` (config, 10) verified ones are remembered.
//! - Nothing to go back to: the incident says so, and how to clear it. What runs is not taken away.
//! - Another release is under way already: it takes the place of the one that failed, and going back after it would overwrite
//!   what is newer. Should it be refused, the way back is looked for then.
//! - Other bytes run already: there is nothing to go back from. The digest is in quarantine all the same.
//! - A failure of the deployment that was answered last is no news; one of a deployment before it only quarantines, and so does
//!   one of bytes that failed already and are about to go.
//! - A lift says who and why; one that does not is rejected. One of what is in no quarantine changes nothing, and neither does
//!   one of an origin that may not: that the quarantine is over says `digest.cleared` alone.
//!
//! The incident's subject is `<service>/<environment>/<deployment>`, its `customData` a `delivery::Incident`: the release, what
//! was seen, and when it began (the activation: a release cannot fail before), was detected, and decided. It is told again when
//! the way out changes. When other bytes run, `incident.resolved` has the time of that and both latencies.
//!
//! Key space `quarantine` is its own, and so is `rollbacks` (`succeeded/<service>/<environment>`, and the last incident there
//! as `incident/<service>/<environment>`); `releases` is read.
//!
//! # Order
//! `order = { key = "'rollback'" }`: all events one after the other, in the order of the log, since a lift concerns what a
//! failure under another partition key led to. Nothing waits for long: each is a few reads and writes.
//!
//! What is asked for here can race with what `deploy` asks for, and must not come after something newer. It cannot: the
//! decision reads `desired/<service>/<environment>`, where `deploy` writes what it asks for in the same settlement that asks
//! for it. If `deploy` settles first, this invocation runs again and sees the newer release. If this one settles first, the
//! newer release's request stands after it in the log, and the requests of a function are answered in the order of the log.
//!
//! How a request was answered is heard from `deploy`, not from the runtime: what `deploy` says of it is in the settlement that
//! records it, so nothing that is read here is behind what was heard, however far `deploy` is behind the log. What succeeded
//! is remembered here for the same reason.

use delivery::{Route, content, custom, hear, types};
use tidegate_sdk::{Event, Failure};

use crate::books::Books;

mod books;
mod incident;
mod lifted;
mod way;

fn handle(event: Event) -> Result<Vec<Event>, Failure> {
    hear(&event, &ROUTES, Books::open)
}

tidegate_sdk::export!(handle);

const ROUTES: [Route<Books>; 7] = [
    (types::RELEASE_FAILED, Some("function"), |event, books| incident::open(event, content(event)?, books)),
    (types::RELEASE_VERIFIED, Some("function"), |event, books| incident::verified(&content(event)?, books)),
    (types::SERVICE_DEPLOYED, Some("function"), |event, books| incident::changed(event, &custom(event)?, books)),
    (types::SERVICE_UPGRADED, Some("function"), |event, books| incident::changed(event, &custom(event)?, books)),
    (types::SERVICE_ROLLEDBACK, Some("function"), |event, books| incident::changed(event, &custom(event)?, books)),
    (types::RELEASE_REFUSED, Some("function"), |event, books| incident::refused(&content(event)?, books)),
    // Who may lift is a matter of configuration.
    (types::QUARANTINE_LIFTED, None, |event, books| lifted::answer(event, content(event)?, books)),
];

#[cfg(test)]
mod tests;
