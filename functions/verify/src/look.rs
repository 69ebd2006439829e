//! A verification: from the activation to its verdict, look by look.

use std::time::Duration;

use delivery::policy::verify::Policy;
use delivery::record::place;
use delivery::{ServiceChanged, Verification, now, rfc3339, say, types};
use tidegate_sdk::{Event, Failure, info, statistics};

use crate::books::{Books, Watch};
use crate::judge::{Judgement, Seen, judge};

/// A deployment is active: it is looked at after the policy's delay.
pub fn start(event: &Event, changed: &ServiceChanged, books: &Books) -> Result<Vec<Event>, Failure> {
    let Some(from) = follow(changed, false, books)? else { return Ok(Vec::new()) };
    let verification = Verification {
        environment: changed.environment.clone(),
        release: changed.release.clone(),
        function: changed.function.clone(),
        component: changed.component.clone(),
        deployment: changed.deployment,
        look: 1,
        since: event.time.clone().unwrap_or_else(|| rfc3339(now())),
        from,
        detection_millis_max: books.policy.detection_millis_max(),
        samples: None,
        failed: None,
        p99_millis: None,
        position: None,
        reason: None,
    };
    Ok(vec![due(&books.policy, &verification)?])
}

/// A service went back to what was verified before.
pub fn end(changed: &ServiceChanged, books: &Books) -> Result<Vec<Event>, Failure> {
    follow(changed, true, books)?;
    Ok(Vec::new())
}

/// Takes a deployment as the last one of its place, and answers from where on it is counted. None: it is no news.
fn follow(changed: &ServiceChanged, has_verdict: bool, books: &Books) -> Result<Option<u64>, Failure> {
    let place = place(&changed.release.service, &changed.environment);
    let before = books.watch(&place)?;
    if let Some(before) = &before {
        if before.deployment >= changed.deployment {
            info!("deployment {} is no news in {place}", changed.deployment);
            return Ok(None);
        }
        if !before.has_verdict {
            info!("{} of deployment {} in {place} is superseded", before.release, before.deployment);
        }
    }
    let began_at = statistics::read(&changed.function, &changed.component, 0, None)?.position;
    let from = first_position(before.as_ref(), changed, began_at);
    let (release, deployment, component) =
        (changed.release.release.clone(), changed.deployment, changed.component.clone());
    books.set_watch(&place, &Watch { release, deployment, component, began_at, looks: 0, has_verdict })?;
    Ok(Some(from))
}

pub fn look(verification: Verification, books: &Books) -> Result<Vec<Event>, Failure> {
    let place = place(&verification.release.service, &verification.environment);
    let Verification { deployment, look, .. } = verification;
    let Some(mut watch) = books.watch(&place)?.filter(|watch| watch.deployment == deployment) else {
        info!("{} of deployment {deployment} in {place} is superseded", verification.release.release);
        return Ok(Vec::new());
    };
    if watch.has_verdict || watch.looks >= look {
        info!("look {look} at deployment {deployment} in {place} is no news");
        return Ok(Vec::new());
    }
    let ended = statistics::read(&verification.function, &verification.component, verification.from, None);
    let seen = ended.as_ref().map(Seen::of).map_err(ToString::to_string);
    let (judgement, reason) = judge(&books.policy, look, seen.clone());
    info!("look {look} at {} in {place}: {judgement:?}: {reason}", verification.release.release);
    watch.looks = look;
    watch.has_verdict = judgement != Judgement::Again;
    books.set_watch(&place, &watch)?;
    let seen = seen.ok();
    let looked = Verification {
        samples: seen.map(|seen| seen.samples),
        failed: seen.map(|seen| seen.failed),
        p99_millis: seen.and_then(|seen| seen.p99_millis),
        position: ended.ok().map(|ended| ended.position),
        reason: Some(reason),
        detection_millis_max: books.policy.detection_millis_max(),
        ..verification
    };
    let ty = match judgement {
        // What was seen so far goes along, for whoever asks what it waits for.
        Judgement::Again => return Ok(vec![due(&books.policy, &Verification { look: look + 1, ..looked })?]),
        Judgement::Verified => types::RELEASE_VERIFIED,
        Judgement::Failed => types::RELEASE_FAILED,
        Judgement::Insufficient => types::RELEASE_INSUFFICIENT,
    };
    Ok(vec![say(ty, &looked.release.release, &place, &looked)?])
}

/// From where on all that these bytes did, they did since they were activated: nobody says where in the log that was.
fn first_position(before: Option<&Watch>, changed: &ServiceChanged, now: u64) -> u64 {
    match before {
        // Other bytes ran when the verification before began, so these came later.
        Some(before) if before.component != changed.component => before.began_at + 1,
        None if changed.previous.is_none() => 0,
        // They ran already: what is certain is what comes from now on.
        Some(_) | None => now + 1,
    }
}

/// The reminder of a look. It counts from now: one that was planned while the runtime was stopped has run late, and the
/// next one is not to follow it at once.
fn due(policy: &Policy, verification: &Verification) -> Result<Event, Failure> {
    let Verification { release, environment, look, .. } = verification;
    let at = rfc3339(now() + Duration::from_millis(policy.wait_millis(*look)));
    let place = place(&release.service, environment);
    Ok(say(types::VERIFICATION_DUE, &release.release, &place, verification)?.deliver_at(at))
}
