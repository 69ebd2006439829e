//! Answers as JSON, and the body of a request within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// A body must have arrived after so long.
const BODY_SECONDS: u64 = 60;
/// Bodies that are in memory at once, on both listeners together.
const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;

/// An answer. Every type of `model` can be written as JSON, so this cannot fail.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let text = serde_json::to_vec(value).expect("the types of `model` have text keys and no failing parts");
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Memory for the bodies of requests, charged as they arrive: many clients cannot together take more than there is.
#[derive(Debug, Clone)]
pub struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    fn default() -> Self {
        Bodies(Arc::new(Semaphore::new(BODIES_BYTES_MAX)))
    }
}

/// A body that was read whole; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct HeldBody {
    pub bytes: Bytes,
    _charged: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Reads a body of at most `bytes_max`. Errors: `TooLarge`, `Slow`, `Busy`, `Invalid` if the client breaks off.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<HeldBody, ApiError> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
            return Err(too_large(bytes_max));
        }
        let read = tokio::time::timeout(Duration::from_secs(BODY_SECONDS), self.collect(body, bytes_max));
        read.await.unwrap_or(Err(ApiError::Slow { seconds: BODY_SECONDS }))
    }

    async fn collect(&self, mut body: Body, bytes_max: usize) -> Result<HeldBody, ApiError> {
        let mut bytes = BytesMut::new();
        let mut charged: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ApiError::invalid(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > bytes_max - bytes.len() {
                return Err(too_large(bytes_max));
            }
            let more = self.charge(data.len())?;
            match &mut charged {
                Some(charged) => charged.merge(more),
                None => charged = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok(HeldBody { bytes: bytes.freeze(), _charged: charged })
    }

    fn charge(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0.clone().try_acquire_many_owned(permits).map_err(|_| ApiError::Busy {
            message: "too many large bodies arrive at once; try again in 1 s".to_owned(),
            retry_after_seconds: 1,
        })
    }
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::TooLarge(format!("the body is above {bytes_max} B"))
}

/// Reads a JSON body; errors name line and column.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::invalid(format!("the body: {error}")))
}
