//! An incident: opened by a failure, told again when its way out is refused, over when another release runs.

use delivery::record::place;
use delivery::{
    Activated, Incident, IncidentContent, Quarantined, Refused, Verification, millis_between, now, proved_origin,
    rfc3339, say, say_cd, types,
};
use tidegate_sdk::{Event, Failure, info};

use crate::books::{Books, Case};
use crate::way::{self, Way};

pub fn open(event: &Event, seen: Verification, books: &Books) -> Result<Vec<Event>, Failure> {
    let place = place(&seen.release.service, &seen.environment);
    let answered = books.case(&place)?.map(|case| case.incident.seen.deployment);
    if answered == Some(seen.deployment) {
        info!("that deployment {} failed in {place} is no news", seen.deployment);
        return Ok(Vec::new());
    }
    let mut said = quarantine(event, &seen, books)?;
    if answered > Some(seen.deployment) {
        info!("deployment {} failed in {place}, where a later one did since", seen.deployment);
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

/// A request of an open incident was refused: another way out is looked for.
pub fn refused(event: &Event, refused: &Refused, books: &Books) -> Result<Vec<Event>, Failure> {
    let release = &refused.request.release;
    let place = place(&release.service, &refused.request.environment);
    let of_this = |case: &Case| is_open(case) && case.incident.target.as_ref() == Some(&release.release);
    let Some(mut case) = books.case(&place)?.filter(of_this) else { return Ok(Vec::new()) };
    info!("{} was refused in {place} by {}: {}", release.release, event.id, refused.problems.join("; "));
    case.refused.push(release.release.clone());
    case.incident.decided = rfc3339(now());
    decide(case, &place, books)
}

/// By request, other bytes than those that failed were deployed: the incident is over.
pub fn activated(event: &Event, activated: &Activated, books: &Books) -> Result<Vec<Event>, Failure> {
    let Some(request) = &activated.request else { return Ok(Vec::new()) };
    let place = place(&request.release.service, &request.environment);
    let ends = |case: &Case| {
        let failed = &case.incident.seen;
        is_open(case) && activated.number > failed.deployment && request.release.digest != failed.release.digest
    };
    let Some(mut case) = books.case(&place)?.filter(ends) else { return Ok(Vec::new()) };
    let incident = &mut case.incident;
    let confirmed = event.time.clone().unwrap_or_else(|| rfc3339(now()));
    incident.rollback_millis = millis_between(&incident.detected, &confirmed);
    incident.confirmed = Some(confirmed);
    incident.target = Some(request.release.release.clone());
    books.set_case(&place, &case)?;
    let description = format!("{} runs in place of {}", request.release.release, case.incident.seen.release.release);
    Ok(vec![tell(types::INCIDENT_RESOLVED, &description, &case.incident, &place)?])
}

fn is_open(case: &Case) -> bool {
    case.incident.confirmed.is_none()
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
    let way = way::find(&case, books)?;
    let incident = &mut case.incident;
    incident.target = way.target().map(str::to_owned);
    let seen = &incident.seen;
    let description =
        format!("{} failed in {}: {}; {}", seen.release.release, seen.environment, reason(seen), way.described());
    let mut said = Vec::new();
    match way {
        Way::Gone(running) => incident.confirmed = Some(running.since.unwrap_or_else(|| incident.decided.clone())),
        Way::Back(succeeded) => {
            let request = way::request(succeeded, &incident.seen.environment);
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
