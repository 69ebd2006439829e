//! The way out of an incident.

use delivery::record::{Asked, Current, Desired, Succeeded};
use delivery::{Purpose, Release, Requested, Target};
use tidegate_sdk::kv::Error;

use crate::books::{Books, Case};

#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// Other bytes run already.
    Gone(Current),
    /// Another release is under way in its place.
    Await(Asked),
    Back(Succeeded),
    /// There is nothing to go back to.
    Stuck,
}

/// The digest that failed is in quarantine already, so that nothing leads back to it.
pub fn find(case: &Case, books: &Books) -> Result<Way, Error> {
    let failed = &case.incident.seen;
    let (service, environment) = (&failed.release.service, &failed.environment);
    let Desired { running, asked, .. } = books.desired(service, environment)?;
    if let Some(running) = running.filter(|running| running.release.digest != failed.release.digest) {
        return Ok(Way::Gone(running));
    }
    let is_open =
        |release: &Release| Ok(!case.refused.contains(&release.release) && !books.is_quarantined(&release.digest)?);
    if let Some(asked) = asked
        && is_open(&asked.release)?
    {
        return Ok(Way::Await(asked));
    }
    for succeeded in books.succeeded(service, environment)? {
        if is_open(&succeeded.release)? {
            return Ok(Way::Back(succeeded));
        }
    }
    Ok(Way::Stuck)
}

impl Way {
    /// The release that is to run in place of the one that failed.
    pub fn target(&self) -> Option<&str> {
        match self {
            Way::Gone(running) => Some(&running.release.release),
            Way::Await(asked) => Some(&asked.release.release),
            Way::Back(succeeded) => Some(&succeeded.release.release),
            Way::Stuck => None,
        }
    }

    pub fn described(&self) -> String {
        match self {
            Way::Gone(running) => format!("{} runs there already", running.release.release),
            Way::Await(asked) => format!("{} is under way in its place", asked.release.release),
            Way::Back(succeeded) => format!("going back to {}", succeeded.release.release),
            Way::Stuck => "there is nothing to go back to, so it goes on running".to_owned(),
        }
    }
}

/// How to clear an incident, whatever the way out.
pub fn clear(digest: &str) -> String {
    format!(
        "release a mended build; or, if the fault was not the release's, lift the quarantine of {digest} with \
         quarantine.lifted, which names digest, by and reason"
    )
}

/// The request that goes back to a release.
pub fn request(succeeded: Succeeded, environment: &str) -> Requested {
    let Succeeded { release, target: Target { function, config }, .. } = succeeded;
    let (component, environment) = (release.reference(), environment.to_owned());
    Requested { function, component, config, environment, release, purpose: Purpose::Rollback }
}
