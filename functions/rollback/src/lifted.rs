//! A quarantine is lifted, by somebody who says who and why. What counts is answered by a word of this function's own, so that
//! nobody else has to know who may lift.

use delivery::{Cleared, QuarantineLifted, is_from, proved_origin, say, types};
use tidegate_sdk::{Event, Failure, config, info, warn};

use crate::books::Books;

pub fn answer(event: &Event, lifted: QuarantineLifted, books: &Books) -> Result<Vec<Event>, Failure> {
    let QuarantineLifted { digest, by, reason } = lifted;
    let lifters: Vec<String> = config::find("lifters")?.unwrap_or_default();
    let origin = proved_origin(event).filter(|origin| is_from(event, "api") || lifters.contains(origin));
    let Some(origin) = origin else {
        warn!("the quarantine of {digest} is lifted only by the API, or by an origin that config lifters names");
        return Ok(Vec::new());
    };
    if by.trim().is_empty() || reason.trim().is_empty() {
        return Err(Failure::reject(format!("a lift of {digest} says who and why; fill in by and reason")));
    }
    if !books.is_quarantined(&digest)? {
        info!("{digest} is in no quarantine");
        return Ok(Vec::new());
    }
    books.lift(&digest)?;
    info!("the quarantine of {digest} was lifted by {by} ({origin}): {reason}");
    let cleared = Cleared { digest, by, reason, lift: event.id.clone(), origin };
    Ok(vec![say(types::DIGEST_CLEARED, &cleared.digest, &cleared.digest, &cleared)?])
}
