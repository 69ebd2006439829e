//! A verification came to a verdict.

use delivery::Verification;
use delivery::record::{Stage, Succeeded};
use tidegate_sdk::{Event, Failure, config, info};

use crate::books::Books;
use crate::place::Place;

/// Succeeded releases that are kept where config `keep` says nothing.
const KEEP: usize = 10;

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
    let record = place.step(release, stage, |progress| {
        progress.steps.entry(stage).and_modify(|step| step.deployment = Some(seen.deployment));
    })?;
    if matches!(stage, Stage::Verified | Stage::Failed) {
        let mut succeeded = books.succeeded(&release.service, environment)?;
        succeeded.retain(|known| known.release.release != release.release);
        if stage == Stage::Verified {
            let target = record.environments[environment].target.clone();
            succeeded.push(Succeeded {
                release: release.clone(),
                target: target.expect("what was deployed has a target"),
                deployment: seen.deployment,
                event: event.id.clone(),
            });
        }
        succeeded.sort_by_key(|known| std::cmp::Reverse(known.deployment));
        succeeded.truncate(config::find("keep")?.unwrap_or(KEEP));
        books.set_succeeded(&release.service, environment, &succeeded)?;
    }
    Ok(Vec::new())
}
