//! What is said of verdicts, and when the gate looks again.

use chrono::TimeDelta;
use delivery::policy::gate::Policy;
use delivery::record::{self, Desired};
use delivery::{
    Blocked, GateAsked, GateVerdict, IncidentContent, Instant, Release, Spoiled, instant, rfc3339, say, say_cd, types,
};
use tidegate_sdk::{Event, Failure, kv};

use crate::judge::Judged;
use crate::kept::Known;

/// The furthest that an event may be put off, less a margin.
const AHEAD_DAYS_MAX: i64 = 399;

/// Says what is new of a digest's releases.
pub fn tell(
    policy: &Policy,
    now: Instant,
    digest: &str,
    known: &mut Known,
    verdicts: Vec<(Release, Judged)>,
) -> Result<Vec<Event>, Failure> {
    let (again, asked) = look_again(policy, now, digest, known, &verdicts)?;
    let mut said = Vec::new();
    for (release, judged) in verdicts {
        said.extend(tell_of(policy, now, again.as_deref(), known, release, judged)?);
    }
    said.extend(asked);
    Ok(said)
}

/// When the gate looks at a digest again, and the event by which it asks itself to. At most one is under way, unless an
/// earlier one is needed.
fn look_again(
    policy: &Policy,
    now: Instant,
    digest: &str,
    known: &mut Known,
    verdicts: &[(Release, Judged)],
) -> Result<(Option<String>, Option<Event>), Failure> {
    let waits = |(release, judged): &(Release, Judged)| judged.blocked.is_some() && !known.passed(&release.release);
    let asks = known.asks < policy.asks_max && verdicts.iter().any(waits);
    let ask = asks.then(|| now + policy.ask_again);
    let times = verdicts.iter().filter_map(|(_, judged)| judged.until);
    let wanted =
        times.filter(|time| *time > now).chain(ask).min().map(|time| time.min(now + TimeDelta::days(AHEAD_DAYS_MAX)));
    let pending = known.again.as_deref().and_then(instant).filter(|time| *time > now);
    let Some(wanted) = wanted else { return Ok((pending.map(rfc3339), None)) };
    if let Some(pending) = pending.filter(|pending| *pending <= wanted) {
        return Ok((Some(rfc3339(pending)), None));
    }
    known.asks += u32::from(ask == Some(wanted));
    known.again = Some(rfc3339(wanted));
    let content = GateAsked { environment: policy.environment.clone(), digest: digest.to_owned() };
    let event = say(types::GATE_ASKED, digest, digest, &content)?.deliver_at(rfc3339(wanted));
    Ok((known.again.clone(), Some(event)))
}

/// What is new of a release.
fn tell_of(
    policy: &Policy,
    now: Instant,
    again: Option<&str>,
    known: &mut Known,
    release: Release,
    judged: Judged,
) -> Result<Option<Event>, Failure> {
    let told = known.told.entry(release.release.clone()).or_default();
    let Judged { evidence, blocked, found, .. } = judged;
    if told.passed {
        // What passed may run: it is not taken away, but a finding must be mended.
        let Some(blocked) = blocked.filter(|_| found) else { return Ok(None) };
        let what = format!("{} {}", blocked.rule, blocked.input.as_deref().unwrap_or_default());
        if told.spoiled.contains(&what) || replaced(&policy.environment, &release)? {
            return Ok(None);
        }
        told.spoiled.insert(what);
        return incident(policy, now, release, blocked).map(Some);
    }
    if blocked.is_some() && told.blocked == blocked {
        return Ok(None);
    }
    told.passed = blocked.is_none();
    told.blocked.clone_from(&blocked);
    let ty = if told.passed { types::GATE_PASSED } else { types::GATE_BLOCKED };
    let (name, digest) = (release.release.clone(), release.digest.clone());
    let blocked = blocked.map(|blocked| Blocked { again: again.map(str::to_owned), ..blocked });
    let verdict = GateVerdict {
        environment: policy.environment.clone(),
        release,
        evidence,
        policy: policy.digest.clone(),
        blocked,
    };
    say(ty, &name, &digest, &verdict).map(Some)
}

/// Whether `deploy` has put another release in its place. One of which `deploy` knows nothing is on its way.
fn replaced(environment: &str, release: &Release) -> Result<bool, Failure> {
    let releases = kv::open(record::SPACE)?;
    let recorded: Option<record::Record> = releases.get_json(&record::release_key(&release.release))?;
    if recorded.is_none_or(|recorded| !recorded.environments.contains_key(environment)) {
        return Ok(false);
    }
    let desired: Desired = releases.get_json(&record::desired_key(&release.service, environment))?.unwrap_or_default();
    let running = desired.running.map(|running| running.release);
    let asked = [desired.asked, desired.waiting].into_iter().flatten().map(|asked| asked.release);
    Ok(running.into_iter().chain(asked).all(|other| other.release != release.release))
}

fn incident(policy: &Policy, now: Instant, release: Release, blocked: Blocked) -> Result<Event, Failure> {
    let environment = &policy.environment;
    let subject = format!("{}/{environment}/{}", release.release, blocked.rule);
    let content = IncidentContent::new(&blocked.reason, environment, &release);
    let key = record::place(&release.service, environment);
    let deadline = rfc3339(now + policy.incident);
    let spoiled = Spoiled { environment: environment.clone(), release, blocked, deadline };
    say_cd(types::INCIDENT_DETECTED, &subject, &key, &content, &spoiled)
}
