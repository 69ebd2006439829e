//! Both sides, and what is said where they differ.

use delivery::{Activated, DriftAction, DriftDetected, IncidentContent, say, say_cd, types};
use tidegate_sdk::{Event, Failure, info};

use crate::books::{Books, Divergence, Latest, Watch};
use crate::heal;

/// Something was deployed, or the runtime reports what is.
pub fn deployed(activated: &Activated, books: &Books) -> Result<Vec<Event>, Failure> {
    learn_should(activated, books)?;
    let mut latest = books.latest()?;
    if activated.number >= latest.deployment {
        latest = Latest::from(activated);
        books.set_latest(&latest)?;
    }
    let mut said = Vec::new();
    for function in books.watched()? {
        let mut watch = books.watch(&function)?.expect("a key that was listed has a value");
        let before = watch.diverged.clone();
        said.extend(compare(&mut watch, &latest, books)?);
        if watch.diverged != before {
            books.set_watch(&watch)?;
        }
    }
    Ok(said)
}

fn learn_should(activated: &Activated, books: &Books) -> Result<(), Failure> {
    let Some(request) = &activated.request else { return Ok(()) };
    let (function, number) = (&request.function, activated.number);
    let known = books.watch(function)?;
    if known.as_ref().is_some_and(|known| known.deployment >= number) {
        info!("deployment {number} is no news of {function}");
        return Ok(());
    }
    let running = activated.functions.iter().find(|running| running.name == *function);
    let missing = || format!("deployment {number} has no function {function}, which its request names");
    let component = running.ok_or_else(|| Failure::reject(missing()))?.component.clone();
    let diverged = known.and_then(|known| known.diverged);
    Ok(books.set_watch(&Watch { request: request.clone(), component, deployment: number, diverged })?)
}

fn compare(watch: &mut Watch, latest: &Latest, books: &Books) -> Result<Vec<Event>, Failure> {
    let runs = latest.runs.get(&watch.request.function).cloned();
    if runs.as_ref() == Some(&watch.component) {
        let resolved =
            watch.diverged.take().map(|_| tell(types::DRIFT_RESOLVED, watch, latest, books.policy.action, None));
        return resolved.into_iter().collect();
    }
    let known = watch.diverged.take().filter(|known| known.runs == runs);
    let is_news = known.is_none();
    let is_healing = known.is_some_and(|known| known.is_healing);
    watch.diverged = Some(Divergence { runs, is_healing });
    let mut said = Vec::new();
    let mut action = books.policy.action;
    let mut reason = None;
    match action {
        DriftAction::Heal if is_healing => {}
        DriftAction::Heal => match heal::request(watch, latest, books)? {
            Ok(request) => {
                watch.diverged = watch.diverged.take().map(|diverged| Divergence { is_healing: true, ..diverged });
                said.push(request);
            }
            Err(why) => (action, reason) = (DriftAction::Report, Some(why)),
        },
        DriftAction::Incident if is_news => said.push(incident(watch, latest)?),
        DriftAction::Incident | DriftAction::Report => {}
    }
    if is_news {
        said.insert(0, tell(types::DRIFT_DETECTED, watch, latest, action, reason)?);
    }
    Ok(said)
}

fn tell(
    ty: &str,
    watch: &Watch,
    latest: &Latest,
    action: DriftAction,
    reason: Option<String>,
) -> Result<Event, Failure> {
    let function = &watch.request.function;
    say(ty, function, function, &sides(watch, latest, action, reason))
}

fn incident(watch: &Watch, latest: &Latest) -> Result<Event, Failure> {
    let sides = sides(watch, latest, DriftAction::Incident, None);
    let runs = sides.runs.as_deref().unwrap_or("nothing");
    let description = format!("{} runs {runs}, not {} of {}", sides.function, sides.should, sides.release);
    let content = IncidentContent::new(&description, &sides.environment, &watch.request.release);
    let subject = format!("{}/{}", sides.function, sides.deployment);
    say_cd(types::INCIDENT_DETECTED, &subject, &sides.function, &content, &sides)
}

fn sides(watch: &Watch, latest: &Latest, action: DriftAction, reason: Option<String>) -> DriftDetected {
    let request = &watch.request;
    DriftDetected {
        function: request.function.clone(),
        environment: request.environment.clone(),
        service: request.release.service.clone(),
        release: request.release.release.clone(),
        should: watch.component.clone(),
        runs: latest.runs.get(&request.function).cloned(),
        deployment: latest.deployment,
        cause: latest.cause.clone(),
        action,
        reason,
    }
}
