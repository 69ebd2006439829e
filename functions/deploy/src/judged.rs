//! A verification came to a verdict.

use delivery::Verification;
use delivery::record::Stage;
use tidegate_sdk::{Event, Failure, info};

use crate::books::Books;
use crate::place::Place;

/// A verdict counts for the deployment that it names: the last one that the release had there.
pub fn answer(event: &Event, seen: &Verification, stage: Stage, books: &Books) -> Result<Vec<Event>, Failure> {
    let (release, environment) = (&seen.release, &seen.environment);
    let place = Place::open(books, event, &release.service, environment)?;
    let record = books.record_of(release)?;
    let progress = record.environments.get(environment);
    let deployment_at = |stage| progress.and_then(|progress| progress.steps.get(&stage)?.deployment);
    if deployment_at(Stage::Deployed) != Some(seen.deployment) || deployment_at(stage) == Some(seen.deployment) {
        info!("{} of deployment {} in {} is no news", release.release, seen.deployment, place.key());
        return Ok(Vec::new());
    }
    place.step(release, stage, |progress| {
        progress.steps.entry(stage).and_modify(|step| step.deployment = Some(seen.deployment));
    })?;
    Ok(Vec::new())
}
