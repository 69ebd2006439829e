//! Asking for what should run.

use delivery::{Purpose, Refused, Requested, say, types};
use tidegate_sdk::{Event, Failure, info};

use crate::books::{Books, Latest, Watch};

/// The request; or why there is none, so that nothing newer is overwritten.
pub fn request(watch: &Watch, latest: &Latest, books: &Books) -> Result<Result<Event, String>, Failure> {
    let Requested { function, release, environment, .. } = &watch.request;
    let refuse = |why: String| {
        info!("{function} is not healed: {why}");
        Ok(Err(why))
    };
    if !latest.runs.contains_key(function) {
        return refuse(format!("{function} is not deployed any more; `tidegate deploy` brings it back"));
    }
    if books.is_quarantined(&release.digest)? {
        return refuse(format!("{} of {} is in quarantine", release.digest, release.release));
    }
    let desired = books.desired(&release.service, environment)?;
    if let Some(asked) = desired.asked {
        return refuse(format!("{} is under way in its place", asked.release.release));
    }
    if let Some(running) = desired.running.filter(|running| running.deployment > watch.deployment) {
        return refuse(format!("deployment {} of {} is newer", running.deployment, running.release.release));
    }
    let request = Requested { purpose: Purpose::Heal, ..watch.request.clone() };
    Ok(Ok(say(types::DEPLOYMENT_REQUESTED, function, function, &request)?))
}

/// A heal was not possible: it is tried again when the runtime reports.
pub fn refused(refused: &Refused, books: &Books) -> Result<Vec<Event>, Failure> {
    let request = &refused.request;
    if request.purpose == Purpose::Heal
        && let Some(mut watch) = books.watch(&request.function)?
        && let Some(diverged) = &mut watch.diverged
    {
        info!("{} could not be healed: {}", request.function, refused.problems.join("; "));
        diverged.is_healing = false;
        books.set_watch(&watch)?;
    }
    Ok(Vec::new())
}
