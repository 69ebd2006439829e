//! The way out of an incident.

use delivery::record::{Asked, Current, Desired, Record};
use delivery::{Purpose, Release, Requested, Target};
use tidegate_sdk::Failure;

use crate::books::{Books, Case};

#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// Other bytes run already.
    Gone(Current),
    /// Another release is under way in its place.
    Await(Asked),
    Back(Requested),
    /// There is nothing to go back to.
    Stuck,
}

/// The digest that failed is in quarantine already, so that nothing leads back to it.
pub fn find(case: &Case, place: &str, books: &Books) -> Result<Way, Failure> {
    let failed = &case.incident.seen;
    let Desired { running, asked, .. } = books.desired(&failed.release.service, &failed.environment)?;
    if let Some(running) = running.filter(|running| running.release.digest != failed.release.digest) {
        return Ok(Way::Gone(running));
    }
    let is_open = |release: &Release| -> Result<bool, Failure> {
        Ok(!case.refused.contains(&release.release) && !books.is_quarantined(&release.digest)?)
    };
    if let Some(asked) = asked
        && is_open(&asked.release)?
    {
        return Ok(Way::Await(asked));
    }
    for succeeded in books.succeeded(place)? {
        let record = books.record(&succeeded.release)?;
        if let Some(request) = record.and_then(|record| request(record, &failed.environment))
            && is_open(&request.release)?
        {
            return Ok(Way::Back(request));
        }
    }
    Ok(Way::Stuck)
}

/// The request that brings a release of the record back, with the configuration that it had.
fn request(record: Record, environment: &str) -> Option<Requested> {
    let Target { function, config } = record.environments.get(environment)?.target.clone()?;
    let (release, environment, config) = (record.release, environment.to_owned(), Some(config.unwrap_or_default()));
    Some(Requested {
        function,
        component: release.reference(),
        config,
        environment,
        release,
        purpose: Purpose::Rollback,
    })
}

impl Way {
    /// The release that is to run in place of the one that failed.
    pub fn target(&self) -> Option<&Release> {
        match self {
            Way::Gone(running) => Some(&running.release),
            Way::Await(asked) => Some(&asked.release),
            Way::Back(request) => Some(&request.release),
            Way::Stuck => None,
        }
    }

    pub fn described(&self) -> String {
        match self {
            Way::Gone(running) => format!("{} runs there already", running.release.release),
            Way::Await(asked) => format!("{} is under way in its place", asked.release.release),
            Way::Back(request) => format!("going back to {}", request.release.release),
            Way::Stuck => "there is nothing to go back to, so it goes on running".to_owned(),
        }
    }
}

/// How to clear an incident, whatever the way out.
pub fn clear(digest: &str) -> String {
    format!("release a mended build; or, if this one was not at fault, `tidegate lift {digest} --reason TEXT`")
}
