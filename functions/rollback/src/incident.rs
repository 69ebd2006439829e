//! An incident: opened by a failure, told again when its way out is refused, over when other bytes run.

use delivery::record::place;
use delivery::{
    DEPLOYMENT_REFUSED, Incident, IncidentContent, Quarantined, Release, ReleaseRefused, ServiceChanged, Verification,
    millis_between, now, proved_origin, rfc3339, say, say_cd, types,
};
use tidegate_sdk::{Event, Failure, info};

use crate::books::{Books, Case, Succeeded};
use crate::way::{self, Way};

pub fn open(event: &Event, seen: Verification, books: &Books) -> Result<Vec<Event>, Failure> {
    let place = place(&seen.release.service, &seen.environment);
    forget(&seen, &place, books)?;
    let last = books.case(&place)?;
    let answered = last.as_ref().map(|case| case.incident.seen.deployment);
    if answered == Some(seen.deployment) {
        info!("that deployment {} failed in {place} is no news", seen.deployment);
        return Ok(Vec::new());
    }
    let mut said = quarantine(event, &seen, books)?;
    if answered > Some(seen.deployment) {
        info!("deployment {} failed in {place}, where a later one did since", seen.deployment);
        return Ok(said);
    }
    if last.is_some_and(|case| is_open(&case) && leads_out(&case, &seen.release)) {
        info!("deployment {} failed in {place}, from where the way out is under way already", seen.deployment);
        return Ok(said);
    }
    let decided = rfc3339(now());
    let (onset, detected) = (seen.since.clone(), event.time.clone().unwrap_or_else(|| decided.clone()));
    let detection_millis = millis_between(&onset, &detected);
    let clear = way::clear(&seen.release.digest);
    let (target, confirmed, rollback_millis) = (None, None, None);
    let incident =
        Incident { seen, target, clear, onset, detected, decided, detection_millis, confirmed, rollback_millis };
    said.extend(decide(Case { incident, refused: Vec::new() }, &place, books)?);
    Ok(said)
}

/// A release did what it should: there is something to go back to.
pub fn verified(seen: &Verification, books: &Books) -> Result<Vec<Event>, Failure> {
    let place = place(&seen.release.service, &seen.environment);
    let mut succeeded = books.succeeded(&place)?;
    if succeeded.iter().all(|known| known.release != seen.release.release || known.deployment < seen.deployment) {
        succeeded.retain(|known| known.release != seen.release.release);
        succeeded.push(Succeeded { release: seen.release.release.clone(), deployment: seen.deployment });
        books.set_succeeded(&place, succeeded)?;
    }
    Ok(Vec::new())
}

/// The way out of an open incident was refused by the reconciler: another one is looked for. `deploy` says so when it has
/// recorded it, so that what is read here is not behind.
pub fn refused(refused: &ReleaseRefused, books: &Books) -> Result<Vec<Event>, Failure> {
    let release = &refused.release;
    let place = place(&release.service, &refused.environment);
    let was_way_out = |case: &Case| {
        let is_target = case.incident.target.as_ref() == Some(&release.release);
        is_open(case) && is_target && refused.refused.rule == DEPLOYMENT_REFUSED
    };
    let Some(mut case) = books.case(&place)?.filter(was_way_out) else { return Ok(Vec::new()) };
    info!("{} was refused in {place}: {}", release.release, refused.refused.reason);
    case.refused.push(release.release.clone());
    case.incident.decided = rfc3339(now());
    decide(case, &place, books)
}

/// Other bytes than those that failed were deployed: the incident is over.
pub fn changed(event: &Event, changed: &ServiceChanged, books: &Books) -> Result<Vec<Event>, Failure> {
    let place = place(&changed.release.service, &changed.environment);
    let ends = |case: &Case| {
        let failed = &case.incident.seen;
        is_open(case) && changed.deployment > failed.deployment && changed.release.digest != failed.release.digest
    };
    let Some(mut case) = books.case(&place)?.filter(ends) else { return Ok(Vec::new()) };
    let incident = &mut case.incident;
    let confirmed = event.time.clone().unwrap_or_else(|| rfc3339(now()));
    incident.rollback_millis = millis_between(&incident.detected, &confirmed);
    incident.confirmed = Some(confirmed);
    incident.target = Some(changed.release.release.clone());
    books.set_case(&place, &case)?;
    let description = format!("{} runs in place of {}", changed.release.release, case.incident.seen.release.release);
    Ok(vec![tell(types::INCIDENT_RESOLVED, &description, &case.incident, &place)?])
}

fn is_open(case: &Case) -> bool {
    case.incident.confirmed.is_none()
}

/// Whether a case is about these bytes, and other bytes are to take their place.
fn leads_out(case: &Case, release: &Release) -> bool {
    case.incident.seen.release.digest == release.digest && case.incident.target.is_some()
}

/// Nobody goes back to it by itself, not even when its quarantine is lifted.
fn forget(seen: &Verification, place: &str, books: &Books) -> Result<(), Failure> {
    let mut succeeded = books.succeeded(place)?;
    succeeded.retain(|known| known.release != seen.release.release);
    books.set_succeeded(place, succeeded)
}

/// A digest that is in quarantine already stays there as it is.
fn quarantine(event: &Event, seen: &Verification, books: &Books) -> Result<Vec<Event>, Failure> {
    let digest = &seen.release.digest;
    if books.is_quarantined(digest)? {
        return Ok(Vec::new());
    }
    let entry = Quarantined {
        digest: digest.clone(),
        environment: seen.environment.clone(),
        release: seen.release.release.clone(),
        service: seen.release.service.clone(),
        reason: reason(seen),
        by: proved_origin(event).expect("only a proved origin is heard"),
    };
    books.quarantine(&entry)?;
    Ok(vec![say(types::DIGEST_QUARANTINED, digest, digest, &entry)?])
}

fn decide(mut case: Case, place: &str, books: &Books) -> Result<Vec<Event>, Failure> {
    let way = way::find(&case, place, books)?;
    let incident = &mut case.incident;
    incident.target = way.target().map(|release| release.release.clone());
    let seen = &incident.seen;
    let description =
        format!("{} failed in {}: {}; {}", seen.release.release, seen.environment, reason(seen), way.described());
    let mut said = Vec::new();
    match way {
        Way::Gone(running) => incident.confirmed = Some(running.since.unwrap_or_else(|| incident.decided.clone())),
        Way::Back(request) => {
            said.push(say(types::DEPLOYMENT_REQUESTED, &request.function, &request.function, &request)?);
        }
        Way::Await(_) | Way::Stuck => {}
    }
    said.push(tell(types::INCIDENT_DETECTED, &description, &case.incident, place)?);
    books.set_case(place, &case)?;
    Ok(said)
}

fn reason(seen: &Verification) -> String {
    seen.reason.clone().unwrap_or_else(|| "its verification says no more".to_owned())
}

fn tell(ty: &str, description: &str, incident: &Incident, place: &str) -> Result<Event, Failure> {
    info!("{place}: {description}");
    let seen = &incident.seen;
    let content = IncidentContent::new(description, &seen.environment, &seen.release);
    say_cd(ty, &format!("{place}/{}", seen.deployment), place, &content, incident)
}
