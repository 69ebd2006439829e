//! The reconciler answered a request.

use delivery::record::{Current, Desired, Stage};
use delivery::{Activated, Purpose, Refused, Requested, ServiceChanged, ServiceContent, Target, say_cd, types};
use tidegate_sdk::{Event, Failure, info};

use crate::books::Books;
use crate::place::Place;
use crate::rules;

/// A deployment without a request is nobody's release: `drift` looks at it.
pub fn activated(event: &Event, activated: &Activated, books: &Books) -> Result<Vec<Event>, Failure> {
    let Some(request) = &activated.request else { return Ok(Vec::new()) };
    let (release, number) = (&request.release, activated.number);
    let mut place = Place::open(books, event, &release.service, &request.environment)?;
    if place.desired.running.as_ref().is_some_and(|running| running.deployment >= number) {
        info!("deployment {number} is no news in {}", place.key());
        return Ok(Vec::new());
    }
    let deployed = activated.functions.iter().find(|running| running.name == request.function);
    let missing = || format!("deployment {number} has no function {}, which its request names", request.function);
    let component = &deployed.ok_or_else(|| Failure::reject(missing()))?.component;

    let running = Current {
        release: release.clone(),
        function: request.function.clone(),
        component: component.clone(),
        deployment: number,
        purpose: request.purpose,
        since: event.time.clone(),
    };
    let before = place.desired.running.replace(running);
    place.step(release, Stage::Deployed, |progress| {
        progress.steps.entry(Stage::Deployed).and_modify(|step| step.deployment = Some(number));
        // Nobody placed what another function asked for: then its request says where it goes.
        progress.target.get_or_insert_with(|| target_of(request));
    })?;
    let ty = match (request.purpose, &before) {
        (Purpose::Rollback, _) => types::SERVICE_ROLLEDBACK,
        (Purpose::Promotion | Purpose::Heal | Purpose::Redeploy, None) => types::SERVICE_DEPLOYED,
        (Purpose::Promotion | Purpose::Heal | Purpose::Redeploy, Some(_)) => types::SERVICE_UPGRADED,
    };
    let changed = ServiceChanged {
        environment: request.environment.clone(),
        release: release.clone(),
        function: request.function.clone(),
        component: component.clone(),
        deployment: number,
        purpose: request.purpose,
        previous: before.map(|before| before.release.release),
    };
    let content = ServiceContent::new(&request.environment, release);
    place.said.push(say_cd(ty, &release.service, &place.key(), &content, &changed)?);
    if answers(&place.desired, request) {
        place.desired.asked = None;
    }
    place.go_on()?;
    place.close()
}

pub fn refused(event: &Event, refused: &Refused, books: &Books) -> Result<Vec<Event>, Failure> {
    let request = &refused.request;
    let (release, environment) = (&request.release, &request.environment);
    let mut place = Place::open(books, event, &release.service, environment)?;
    let is_own = matches!(request.purpose, Purpose::Promotion | Purpose::Redeploy);
    if is_own && !answers(&place.desired, request) {
        info!("{} is not asked for in {}: its refusal is no news", release.release, place.key());
        return Ok(Vec::new());
    }
    place.refuse(release, rules::deployment_refused(&refused.problems, &release.release, environment))?;
    if is_own {
        place.desired.asked = None;
        place.go_on()?;
    }
    place.close()
}

/// Whether a request is the one that is under way.
fn answers(desired: &Desired, request: &Requested) -> bool {
    let asked = desired.asked.as_ref();
    asked.is_some_and(|asked| asked.purpose == request.purpose && asked.release.release == request.release.release)
}

fn target_of(request: &Requested) -> Target {
    Target { function: request.function.clone(), config: request.config.clone() }
}
