//! `tidegate check --against`: what the filters of a project file would have done with the events that were.

use std::path::Path;

use serde::Serialize;

use super::CliError;
use super::client::{Client, ReadArgs, ServerArgs};
use crate::api::model::{DeploymentView, EventView, Listing};
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Function, FunctionName, Manifest};
use crate::event::{Accepted, Position};
use crate::filter::{Filter, Subject, Verdict};

/// Events that are asked for at once.
const PAGE: usize = 1_000;
/// Events that are named of each function and side.
const NAMED_MAX: usize = 20;

/// What the filter of one function would have gained and lost.
#[derive(Debug, Clone, Serialize)]
pub struct FilterChange {
    pub function: String,
    /// Events that it takes now and did not; the first of them.
    pub gained: u64,
    pub gains: Vec<ChangedVerdict>,
    /// Events that it took and does not now; the first of them.
    pub lost: u64,
    pub losses: Vec<ChangedVerdict>,
}

/// One event, and why it is not taken on the side where it is not.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedVerdict {
    pub position: Position,
    pub id: String,
    #[serde(rename = "type")]
    pub ty: String,
    pub because: String,
}

/// What was compared, and what differs.
#[derive(Debug, Clone, Serialize)]
pub struct AgainstView {
    /// Events that were looked at.
    pub events: u64,
    /// The deployment whose filters were in force.
    pub deployment: u64,
    /// Functions whose filters differ in what they take; the others are left out.
    pub functions: Vec<FilterChange>,
    /// Functions of the file that are not deployed: they would take these events.
    pub new: Vec<FilterChange>,
}

impl AgainstView {
    /// Events that functions would gain and lose.
    pub fn changed(&self) -> u64 {
        self.functions.iter().map(|one| one.gained + one.lost).sum()
    }
}

/// Compares the filters of a manifest with those that are deployed, on the events since a time.
pub async fn against(
    manifest: &Manifest,
    dir: &Path,
    server: &ServerArgs,
    since: Timestamp,
) -> Result<AgainstView, CliError> {
    // Without an address, what the folder itself has kept: it can be read whether or not it is served.
    let dir = server.url.is_none().then(|| dir.to_owned());
    let client = Client::to_read(&ReadArgs { server: server.clone(), dir })?;
    let deployments: Listing<DeploymentView> = client.get(&["deployments"], &[]).await?;
    let Some(active) = deployments.items.first() else {
        return Err(CliError::NotFound(
            "nothing was ever deployed here, so there is nothing to compare with".to_owned(),
        ));
    };
    let active: Deployment = client.get(&["deployments", &active.number.to_string(), "stored"], &[]).await?;
    let mut comparisons: Vec<Comparison<'_>> =
        manifest.functions.iter().map(|(function, was)| Comparison::of(function, was.as_ref(), &active)).collect();
    let mut events = 0;
    let mut after = 0;
    loop {
        let mut query = vec![("since", since.to_string()), ("limit", PAGE.to_string())];
        query.push(("after", after.to_string()));
        let page: Listing<EventView> = client.get(&["events"], &query).await?;
        for view in &page.items {
            let event = accepted(view)?;
            after = view.position;
            // A live replay says again what was counted, and may be for one function alone.
            if event.event.replay_of().is_none() {
                let subject = Subject::new(&event);
                comparisons.iter_mut().for_each(|comparison| comparison.judge(&event, &subject));
                events += 1;
            }
        }
        if page.items.is_empty() {
            break;
        }
    }
    let (known, new): (Vec<_>, Vec<_>) = comparisons.into_iter().partition(|comparison| comparison.before.is_some());
    let differs = |one: &Comparison<'_>| one.change.gained + one.change.lost > 0;
    Ok(AgainstView {
        events,
        deployment: active.number,
        functions: known.into_iter().filter(differs).map(|one| one.change).collect(),
        new: new.into_iter().filter(differs).map(|one| one.change).collect(),
    })
}

fn accepted(view: &EventView) -> Result<Accepted, CliError> {
    let malformed = |reason: String| CliError::Malformed { path: format!("#{}", view.position), reason };
    Ok(Accepted {
        position: view.position,
        accepted_at: view.acceptedat,
        origin: view.origin.clone(),
        hops: view.hops,
        event: view.parse().map_err(|error| malformed(error.to_string()))?,
    })
}

/// One function's filters on both sides.
struct Comparison<'a> {
    /// None: it is not deployed.
    before: Option<&'a Filter>,
    after: &'a Filter,
    change: FilterChange,
}

impl<'a> Comparison<'a> {
    fn of(function: &'a Function, was: Option<&FunctionName>, active: &'a Deployment) -> Self {
        let name = function.name.as_str();
        let before = active.function(name).or_else(|| active.function(was?.as_str()));
        let change =
            FilterChange { function: name.to_owned(), gained: 0, gains: Vec::new(), lost: 0, losses: Vec::new() };
        Comparison { before: before.map(|before| &before.filter), after: &function.filter, change }
    }

    fn judge(&mut self, event: &Accepted, subject: &Subject<'_>) {
        let refused = |filter: &Filter| match filter.judge(subject) {
            Verdict::Pass => None,
            Verdict::Filtered { clause, saw } => Some(format!("{clause} (saw {saw})")),
            Verdict::Failed { clause, reason } => Some(format!("{clause} failed: {reason}")),
        };
        let before = self.before.map_or_else(|| Some("it is not deployed".to_owned()), refused);
        let changed = |because: String| ChangedVerdict {
            position: event.position,
            id: event.event.id.clone(),
            ty: event.event.ty.clone(),
            because,
        };
        let change = &mut self.change;
        let (count, named, because) = match (before, refused(self.after)) {
            (Some(because), None) => (&mut change.gained, &mut change.gains, because),
            (None, Some(because)) => (&mut change.lost, &mut change.losses, because),
            (Some(_), Some(_)) | (None, None) => return,
        };
        *count += 1;
        if named.len() < NAMED_MAX {
            named.push(changed(because));
        }
    }
}
