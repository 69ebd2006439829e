//! A person asks for a release of the record.

use delivery::record::Asked;
use delivery::{Purpose, ReleaseRequested, is_from};
use tidegate_sdk::{Event, Failure, info};

use crate::books::Books;
use crate::place::Place;
use crate::rules;

/// A request that is refused changes nothing about how far the release is.
pub fn answer(event: &Event, request: &ReleaseRequested, books: &Books) -> Result<Vec<Event>, Failure> {
    let ReleaseRequested { release, environment, by, reason } = request;
    let unknown = || Failure::reject(format!("release {release} is on no record; `tidegate releases` lists them"));
    let record = books.record(release)?.ok_or_else(unknown)?;
    let mut place = Place::open(books, event, &record.release.service, environment)?;
    let is_placed = record.environments.get(environment).is_some_and(|progress| progress.target.is_some());
    let asked = Asked { release: record.release.clone(), purpose: Purpose::Redeploy, event: event.id.clone() };
    let verdict = if !is_from(event, "api") {
        Err(rules::unproved_request())
    } else if !is_placed {
        Err(rules::not_placed(release, environment))
    } else {
        place.judge(&asked)?
    };
    match verdict {
        Err(refused) => place.say_refused(&record.release, refused)?,
        Ok(()) if place.desired.waiting.as_ref().is_some_and(|waiting| waiting.release.release == *release) => {
            info!("{release} waits in {} already", place.key());
        }
        Ok(()) => {
            info!("{by} asks for {release} in {}: {reason}", place.key());
            place.take(asked)?;
        }
    }
    place.close()
}
