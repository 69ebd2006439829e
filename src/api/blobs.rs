//! Large bytes by their digest: what tasks printed, payloads, components.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::ApiState;
use super::error::ApiError;
use crate::blob::BlobError;
use crate::deployment::{Digest, DigestError};

/// `GET /blobs/{digest}`: bytes of nobody knows what, which no browser is to show.
pub(super) async fn show(State(state): State<Arc<ApiState>>, Path(text): Path<String>) -> Result<Response, ApiError> {
    let digest: Digest = text.parse().map_err(|error: DigestError| ApiError::invalid(error.to_string()))?;
    let blobs = state.blobs.clone();
    let read = tokio::task::spawn_blocking(move || blobs.get(digest)).await.expect("reading a blob does not panic");
    match read {
        Ok(bytes) => Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()),
        Err(BlobError::Missing { digest, .. }) => Err(ApiError::not_found(format!("there is no blob {digest}"))),
        Err(
            error @ (BlobError::Corrupt { .. }
            | BlobError::Failed { .. }
            | BlobError::Disk { .. }
            | BlobError::List { .. }
            | BlobError::Remote { .. }),
        ) => Err(ApiError::Fault { what: "read the blob", source: error.into() }),
    }
}
