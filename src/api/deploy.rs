//! Deployments: a project's folder comes in, a numbered deployment goes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::ApiState;
use super::answer::{json, parse_json};
use super::error::ApiError;
use super::model::{DeployedView, ProjectUpload};
use super::reads::deployment_number;
use super::route::By;
use crate::bus::ActivateError;
use crate::deployment::{PROJECT_FILE, Problem};

/// A project's folder as JSON, its files in base64.
const UPLOAD_BYTES_MAX: usize = 96 * 1024 * 1024;

type Shared = State<Arc<ApiState>>;

/// Makes deployments: checks, compiles, stores and activates them.
#[async_trait]
pub trait Deployer: Send + Sync {
    /// Deploys a project's folder, for the operator `by`.
    async fn deploy(&self, project: ProjectFiles, by: &str) -> Result<DeployedView, DeployError>;

    /// Activates what deployment `number` had, as a new deployment.
    async fn rollback(&self, number: u64, by: &str) -> Result<DeployedView, DeployError>;
}

#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("the project has errors")]
    Problems(Vec<Problem>),
    #[error("there is no deployment {number}; `tidegate deployments` lists them")]
    Unknown { number: u64 },
    #[error(transparent)]
    Activate(#[from] ActivateError),
    /// The project that runs has `[deploy] unverified = "refuse"`.
    #[error(
        "nothing was deployed: the project that runs refuses what no event of the path asked for (deploy.unverified); \
         release it by the path, or start the changed project file with `tidegate up`"
    )]
    Unverified,
    /// A fault of ours.
    #[error("cannot {what}")]
    Fault {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The files of an uploaded project.
///
/// Invariant: paths are relative, with `/`, without `.`, `..` or empty parts; `tidegate.toml` is among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectFiles(BTreeMap<String, Bytes>);

impl ProjectFiles {
    /// By path from the project's folder.
    pub fn get(&self, path: &str) -> Option<&Bytes> {
        self.0.get(path)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(path, bytes)| (path.as_str(), bytes))
    }
}

impl TryFrom<ProjectUpload> for ProjectFiles {
    type Error = ApiError;

    fn try_from(upload: ProjectUpload) -> Result<Self, ApiError> {
        let mut files = BTreeMap::new();
        for (path, text) in upload.files {
            if !is_inner(&path) {
                let message =
                    format!("path {path:?} leaves the project's folder; use relative paths with / and without ..");
                return Err(ApiError::invalid(message));
            }
            let bytes = STANDARD.decode(text).map_err(|error| ApiError::invalid(format!("file {path}: {error}")))?;
            files.insert(path, bytes.into());
        }
        if !files.contains_key(PROJECT_FILE) {
            return Err(ApiError::invalid(format!("the upload has no {PROJECT_FILE}")));
        }
        Ok(ProjectFiles(files))
    }
}

fn is_inner(path: &str) -> bool {
    !path.contains(['\\', '\0', ':']) && path.split('/').all(|part| !["", ".", ".."].contains(&part))
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        let message = error.to_string();
        match error {
            DeployError::Problems(problems) => {
                ApiError::Project { problems: problems.into_iter().map(Into::into).collect() }
            }
            DeployError::Unknown { .. } => ApiError::not_found(message),
            DeployError::Unverified => ApiError::Forbidden(message),
            DeployError::Activate(error) => error.into(),
            DeployError::Fault { what, source } => ApiError::Fault { what, source },
        }
    }
}

fn deployer(state: &ApiState) -> Result<&Arc<dyn Deployer>, ApiError> {
    state.bus()?;
    let none = || ApiError::Unavailable("this server takes no deployments".to_owned());
    state.deployer.as_ref().ok_or_else(none)
}

/// `POST /deployments`
pub(super) async fn deploy(
    State(state): Shared,
    Extension(caller): By,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let deployer = deployer(&state)?;
    let body = state.bodies.read(&headers, body, UPLOAD_BYTES_MAX).await?;
    let upload: ProjectUpload = parse_json(&body.bytes)?;
    let deployed = deployer.deploy(upload.try_into()?, &caller.name).await?;
    let status = if deployed.changed { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &deployed))
}

/// `POST /deployments/{number}/rollback`
pub(super) async fn rollback(
    State(state): Shared,
    Extension(caller): By,
    Path(number): Path<String>,
) -> Result<Response, ApiError> {
    let number = deployment_number(&number)?;
    let deployed = deployer(&state)?.rollback(number, &caller.name).await?;
    let status = if deployed.changed { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &deployed))
}
