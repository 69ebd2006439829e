//! What refuses a release, as values: the first rule that does not hold is the verdict.

use delivery::record::{Asked, Desired, Record, Stage};
use delivery::{DEPLOYMENT_REFUSED, Placed, Plan, Quarantined, Release, Target, Verdict, instant};

/// What is known of a release that wants to go to an environment.
pub struct Case<'a> {
    pub plan: &'a Plan,
    pub record: &'a Record,
    pub environment: &'a str,
    pub desired: &'a Desired,
    pub quarantined: Option<Quarantined>,
}

/// Where the plan takes a placed release, if it still says what the gate passed.
pub fn planned(plan: &Plan, placed: &Placed) -> Result<Target, Verdict> {
    let (release, environment) = (&placed.release, &placed.environment);
    let service = plan.service.get(&release.service);
    let target = service.and_then(|service| service.targets.get(environment));
    let (Some(service), Some(target)) = (service, target.filter(|target| target.function == placed.function)) else {
        let reason = format!(
            "the plan does not take service {} to {environment} as function {}",
            release.service, placed.function
        );
        return Err(verdict("unplanned", reason, "put the target into the plan, then have the gate judge it again"));
    };
    let configuration = service.configuration();
    if configuration != release.configuration {
        let reason = format!("the plan has configuration {configuration}, the gate passed {}", release.configuration);
        return Err(verdict("configuration-changed", reason, "have the gate judge the artifact again with this plan"));
    }
    Ok(target.clone())
}

/// For a release that was placed.
pub fn for_promotion(case: &Case<'_>) -> Result<(), Verdict> {
    check_quarantine(case)?;
    check_environment_order(case)?;
    check_age(case)
}

/// For a release that a person asks for.
pub fn for_redeploy(case: &Case<'_>) -> Result<(), Verdict> {
    check_quarantine(case)?;
    if was_verified(case.record, case.environment) {
        return Ok(());
    }
    check_environment_order(case)
}

fn check_quarantine(case: &Case<'_>) -> Result<(), Verdict> {
    let Some(entry) = &case.quarantined else { return Ok(()) };
    let reason = format!(
        "{} is in quarantine since {} in {}: {} ({})",
        entry.digest, entry.release, entry.environment, entry.reason, entry.by
    );
    let clear = format!(
        "release another build; or, if this one was not at fault, `tidegate lift {} --reason TEXT`",
        entry.digest
    );
    Err(verdict("quarantined", reason, &clear))
}

fn check_environment_order(case: &Case<'_>) -> Result<(), Verdict> {
    let release = &case.record.release;
    let service = case.plan.service.get(&release.service);
    let before = service.and_then(|service| case.plan.before(service, case.environment));
    let Some(before) = before.filter(|before| !was_verified(case.record, before)) else { return Ok(()) };
    let (name, environment) = (&release.release, case.environment);
    let reason = format!("{name} was not verified in {before}, which comes before {environment}");
    Err(verdict("environment-order", reason, &format!("have it verified in {before} first")))
}

fn was_verified(record: &Record, environment: &str) -> bool {
    record.environments.get(environment).is_some_and(|progress| progress.steps.contains_key(&Stage::Verified))
}

fn check_age(case: &Case<'_>) -> Result<(), Verdict> {
    let (release, environment) = (&case.record.release, case.environment);
    let Some(now) = desired_now(case.desired).filter(|now| is_older(release, now)) else { return Ok(()) };
    let reason =
        format!("{} is of an older commit than {}, which {environment} has", described(release), described(now));
    let clear = format!(
        "bring the change on top of the newer commit; or ask for it: `tidegate redeploy {} --in {environment}`",
        release.release
    );
    Err(verdict("older-commit", reason, &clear))
}

/// What an environment is to run: what is asked for, else what runs.
fn desired_now(desired: &Desired) -> Option<&Release> {
    let asked = desired.asked.as_ref().map(|asked| &asked.release);
    asked.or(desired.running.as_ref().map(|running| &running.release))
}

/// Whether a release comes before another one in the order of the source.
pub fn is_older(release: &Release, other: &Release) -> bool {
    let order = |release: &Release| instant(release.order.as_deref()?);
    order(release).zip(order(other)).is_some_and(|(one, other)| one < other)
}

fn described(release: &Release) -> String {
    let commit = release.commit.as_deref().map_or("no known commit", |commit| commit.get(..12).unwrap_or(commit));
    let order = release.order.as_deref().unwrap_or("no known order");
    format!("{} ({commit}, {order})", release.release)
}

pub fn superseded(by: &Asked) -> Verdict {
    let reason = format!("{} is newer and waits for the same environment", by.release.release);
    verdict("superseded", reason, "nothing is to be done: the newer release goes in its place")
}

pub fn unproved_request() -> Verdict {
    let reason = "the request did not come by the API from somebody who was proved".to_owned();
    verdict("unproved-request", reason, "ask with `tidegate redeploy`, by a token that may operate the project")
}

pub fn not_placed(release: &str, environment: &str) -> Verdict {
    let reason = format!("the gate of {environment} never passed {release}");
    verdict("not-placed", reason, "`tidegate why` says what its gate waits for")
}

pub fn deployment_refused(problems: &[String], release: &str, environment: &str) -> Verdict {
    let clear = format!("put right what it names, then `tidegate redeploy {release} --in {environment}`");
    verdict(DEPLOYMENT_REFUSED, problems.join("; "), &clear)
}

fn verdict(rule: &str, reason: String, clear: &str) -> Verdict {
    Verdict { rule: rule.to_owned(), reason, clear: clear.to_owned() }
}
