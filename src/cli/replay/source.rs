//! Where recorded attempts come from: a project's API, or a bundle.

use std::collections::HashMap;
use std::sync::Arc;

use super::RangeArgs;
use crate::api::model::{FunctionView, InvocationView, Listing, RecordedListing, RecordedView};
use crate::bus::InvocationId;
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::clock::Timestamp;
use crate::deployment::{Deployment, Digest};
use crate::invoke::{Compiled, Engine};
use crate::record::{Bundle, Feed, NotReplayable, Stored};

/// A project's recorded attempts, and what they ran under: each deployment and component is fetched once.
pub struct Source {
    client: Arc<Client>,
    engine: Arc<Engine>,
    deployments: HashMap<u64, Arc<Deployment>>,
    /// Or why they cannot be had.
    components: HashMap<Digest, Result<Compiled, String>>,
}

impl Source {
    pub fn new(client: Client, engine: Arc<Engine>) -> Self {
        Source { client: Arc::new(client), engine, deployments: HashMap::new(), components: HashMap::new() }
    }

    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// One recorded attempt.
    pub async fn one(&mut self, id: &str) -> Result<Stored, CliError> {
        let listing: RecordedListing = self.client.get_packed(&["invocations", id, "recording"], &[]).await?;
        match listing.items.into_iter().next() {
            Some(view) => self.stored(&view).await,
            None => Err(CliError::NotFound(format!("there is no recording of {id}"))),
        }
    }

    /// The attempts on an event, in the order in which they ran.
    pub async fn attempts(&self, event: &str, function: Option<&str>) -> Result<Vec<String>, CliError> {
        let explained: crate::api::model::ExplanationView = self.client.get(&["events", event, "explain"], &[]).await?;
        let attempts = explained.functions.into_iter().flat_map(|function| function.attempts);
        let asked = attempts.filter(|attempt| function.is_none_or(|name| *name == attempt.function));
        Ok(asked.map(|attempt: InvocationView| attempt.id).collect())
    }

    /// Names of the functions that were ever deployed and run as components.
    pub async fn functions(&self) -> Result<Vec<String>, CliError> {
        let listing: Listing<FunctionView> = self.client.get(&["functions"], &[]).await?;
        let guests = listing.items.into_iter().filter(|view| !view.component.reference.starts_with("native:"));
        Ok(guests.map(|view| view.name).collect())
    }

    /// A page of a function's recorded attempts.
    pub async fn page(
        &mut self,
        function: &str,
        range: &RangeArgs,
        now: Timestamp,
        after: Option<&str>,
    ) -> Result<RecordedListing, CliError> {
        let mut query = vec![("function", function.to_owned())];
        query.extend(range.since.map(|since| ("since", since.time(now).to_string())));
        query.extend(range.until.map(|until| ("until", until.time(now).to_string())));
        query.extend(range.r#type.iter().map(|pattern| ("type", pattern.clone())));
        query.extend(after.map(|after| ("after", after.to_owned())));
        if range.failed {
            query.push(("failed", "true".to_owned()));
        }
        self.client.get_packed(&["recordings"], &query).await
    }

    /// Hands a page to those who run it. Whether they still take any.
    pub async fn hand_on(&mut self, items: Vec<RecordedView>, feed: &mut Feed) -> Result<bool, CliError> {
        for view in items {
            let stored = self.stored(&view).await?;
            if !feed.push(stored).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A component that the project has, compiled.
    pub async fn component(&mut self, digest: Digest) -> Result<Compiled, CliError> {
        let bytes = self.client.get_bytes(&["blobs", &digest.to_string()], &[]).await?;
        super::compile(&self.engine, digest, bytes).await
    }

    pub async fn deployment(&mut self, number: u64) -> Result<Arc<Deployment>, CliError> {
        if let Some(known) = self.deployments.get(&number) {
            return Ok(known.clone());
        }
        let fetched: Deployment = self.client.get(&["deployments", &number.to_string(), "stored"], &[]).await?;
        let fetched = Arc::new(fetched);
        self.deployments.insert(number, fetched.clone());
        Ok(fetched)
    }

    /// One attempt in one value, to be written to a file.
    pub async fn bundle(&mut self, id: &str) -> Result<Bundle, CliError> {
        let Stored { id: parsed, event, recording, deployment, compiled } = self.one(id).await?;
        let digest = compiled.map_err(|reason| CliError::NotFound(format!("{id}: {reason}")))?.digest;
        let component = self.client.get_bytes(&["blobs", &digest.to_string()], &[]).await?;
        Ok(Bundle { id: parsed, event, recording, deployment, component })
    }

    async fn stored(&mut self, view: &RecordedView) -> Result<Stored, CliError> {
        let malformed = |reason: String| CliError::Malformed { path: view.id.clone(), reason };
        let id: InvocationId =
            view.id.parse().map_err(|error: crate::bus::InvocationIdError| malformed(error.to_string()))?;
        Ok(Stored {
            id,
            event: view.accepted(&id).map_err(|error| malformed(error.to_string()))?,
            recording: view.recording.to_vec().into(),
            deployment: self.deployment(view.deployment).await?,
            compiled: self.compiled(view, &id).await?,
        })
    }

    /// What an attempt ran, or why nothing can run for it.
    async fn compiled(&mut self, view: &RecordedView, id: &InvocationId) -> Result<Result<Compiled, String>, CliError> {
        if let Some(known) = self.components.get(&view.component) {
            return Ok(known.clone());
        }
        let deployment = self.deployment(view.deployment).await?;
        let native = deployment.function_by_id(id.function).and_then(|function| function.component.native());
        let compiled = match native {
            Some(native) => Err(NotReplayable::Native(native).to_string()),
            None => match self.component(view.component).await {
                Ok(compiled) => Ok(compiled),
                Err(CliError::Refused(refusal)) if refusal.code == "not-found" => Err(refusal.message),
                Err(error) => return Err(error),
            },
        };
        self.components.insert(view.component, compiled.clone());
        Ok(compiled)
    }
}

/// A bundle's attempt. Its component is compiled here, whatever was compiled elsewhere.
pub async fn of_bundle(bundle: Bundle, engine: &Engine) -> Result<Stored, CliError> {
    let Bundle { id, event, recording, deployment, component } = bundle;
    let compiled = super::compile(engine, Digest::of(&component), component).await?;
    Ok(Stored { id, event, recording, deployment, compiled: Ok(compiled) })
}
