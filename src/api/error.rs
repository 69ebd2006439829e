//! Why a request is refused: one variant for each thing that a client can act on, with its status and stable code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::json;
use super::model::{ErrorDetail, ErrorView, EventRef, ProblemView, RefusalView};
use crate::bus::{ActivateError, BusError, PublishError};
use crate::event::HttpError;
use crate::telemetry::Causes;
use crate::trigger::Rejection;

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 400
    #[error("{message}")]
    Invalid { message: String, index: Option<usize> },
    /// 400
    #[error("the project file has errors; nothing was deployed")]
    Project { problems: Vec<ProblemView> },
    /// 401
    #[error("{0}")]
    Unauthorized(String),
    /// 403
    #[error("{0}")]
    Forbidden(String),
    /// 403
    #[error("this page is of another origin; the API answers pages of its own only")]
    ForeignOrigin,
    /// 404
    #[error("{message}")]
    NotFound { message: String, candidates: Vec<EventRef>, refusals: Vec<RefusalView> },
    /// 405
    #[error("{0} is not allowed here")]
    MethodNotAllowed(axum::http::Method),
    /// 408
    #[error("the body did not arrive within {seconds} s")]
    Slow { seconds: u64 },
    /// 409
    #[error("{message}")]
    ContentDiffers { message: String, index: Option<usize> },
    /// 409
    #[error("{text} means several events; name one by its id or #position")]
    Ambiguous { text: String, candidates: Vec<EventRef> },
    /// 409
    #[error("{0}")]
    Moved(String),
    /// 413
    #[error("{0}")]
    TooLarge(String),
    /// 415
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// 421
    #[error("{host:?} is no name of this listener; ask it by its address, or add the name to listen.names")]
    Misdirected { host: String },
    /// 429
    #[error("{message}")]
    Busy { message: String, retry_after_seconds: u64 },
    /// 503
    #[error("{0}")]
    Unavailable(String),
    /// 500: a fault of ours. The cause is logged, and not told.
    #[error("cannot {what}; the server's log says why")]
    Fault {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// 503: the store. The cause is logged, and not told.
    #[error("the store cannot be read or written; the server's log says why")]
    Store(#[source] BusError),
    /// 507
    #[error("{0}; free some space and send it again")]
    Full(String),
}

impl ApiError {
    pub fn invalid(message: impl Into<String>) -> Self {
        ApiError::Invalid { message: message.into(), index: None }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        ApiError::NotFound { message: message.into(), candidates: Vec::new(), refusals: Vec::new() }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            ApiError::Invalid { .. } | ApiError::Project { .. } => StatusCode::BAD_REQUEST,
            ApiError::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            ApiError::Forbidden(_) | ApiError::ForeignOrigin => StatusCode::FORBIDDEN,
            ApiError::NotFound { .. } => StatusCode::NOT_FOUND,
            ApiError::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::Slow { .. } => StatusCode::REQUEST_TIMEOUT,
            ApiError::ContentDiffers { .. } | ApiError::Ambiguous { .. } | ApiError::Moved(_) => StatusCode::CONFLICT,
            ApiError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ApiError::Misdirected { .. } => StatusCode::MISDIRECTED_REQUEST,
            ApiError::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Unavailable(_) | ApiError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Fault { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            ApiError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    /// What programs tell errors apart by. Stable.
    pub fn code(&self) -> &'static str {
        match self {
            ApiError::Invalid { .. } => "invalid",
            ApiError::Project { .. } => "project-invalid",
            ApiError::Unauthorized(_) => "unauthorized",
            ApiError::Forbidden(_) => "forbidden",
            ApiError::ForeignOrigin => "foreign-origin",
            ApiError::NotFound { .. } => "not-found",
            ApiError::MethodNotAllowed(_) => "method-not-allowed",
            ApiError::Slow { .. } => "slow",
            ApiError::ContentDiffers { .. } => "content-differs",
            ApiError::Ambiguous { .. } => "ambiguous",
            ApiError::Moved(_) => "moved",
            ApiError::TooLarge(_) => "too-large",
            ApiError::UnsupportedMediaType(_) => "unsupported-media-type",
            ApiError::Misdirected { .. } => "misdirected",
            ApiError::Busy { .. } => "busy",
            ApiError::Unavailable(_) => "unavailable",
            ApiError::Store(_) => "store",
            ApiError::Fault { .. } => "fault",
            ApiError::Full(_) => "full",
        }
    }

    /// For the log: with the causes that the client is not told, without what may quote its data.
    pub fn reason(&self) -> String {
        match self {
            ApiError::Invalid { .. } => "the sender was told what is wrong with the request".to_owned(),
            other => Causes(other).to_string(),
        }
    }

    pub fn told(&self) -> Told {
        let quotes = matches!(self, ApiError::Invalid { .. });
        Told { code: self.code(), message: self.to_string(), quotes, reason: self.reason() }
    }

    fn into_detail(self) -> ErrorDetail {
        let (code, message) = (self.code().to_owned(), self.to_string());
        let mut detail = ErrorDetail { code, message, ..ErrorDetail::default() };
        match self {
            ApiError::Invalid { index, .. } | ApiError::ContentDiffers { index, .. } => detail.index = index,
            ApiError::NotFound { candidates, refusals, .. } => {
                (detail.candidates, detail.refusals) = (candidates, refusals);
            }
            ApiError::Ambiguous { candidates, .. } => detail.candidates = candidates,
            ApiError::Project { problems } => detail.problems = problems,
            ApiError::Unauthorized(_)
            | ApiError::Forbidden(_)
            | ApiError::ForeignOrigin
            | ApiError::MethodNotAllowed(_)
            | ApiError::Slow { .. }
            | ApiError::Moved(_)
            | ApiError::TooLarge(_)
            | ApiError::UnsupportedMediaType(_)
            | ApiError::Misdirected { .. }
            | ApiError::Busy { .. }
            | ApiError::Unavailable(_)
            | ApiError::Store(_)
            | ApiError::Fault { .. }
            | ApiError::Full(_) => {}
        }
        detail
    }
}

/// The error that an answer tells of; beside it, what the log may know more.
#[derive(Debug, Clone)]
pub struct Told {
    pub code: &'static str,
    pub message: String,
    /// Whether the message may quote what the client sent.
    pub quotes: bool,
    pub reason: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let told = self.told();
        let status = self.status();
        let header = match &self {
            ApiError::Busy { retry_after_seconds, .. } => {
                Some((header::RETRY_AFTER, HeaderValue::from(*retry_after_seconds)))
            }
            ApiError::Unauthorized(_) => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => None,
        };
        let mut response = json(status, &ErrorView { error: self.into_detail() });
        response.headers_mut().extend(header);
        response.extensions_mut().insert(told);
        response
    }
}

impl From<BusError> for ApiError {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Full | BusError::AtMax => ApiError::Full(error.to_string()),
            BusError::Closed => ApiError::Unavailable("the server is stopping; send it again later".to_owned()),
            BusError::Failed { .. } | BusError::Store { .. } => ApiError::Store(error),
        }
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        match error {
            PublishError::ContentDiffers { index } => ApiError::ContentDiffers { message, index: Some(index) },
            PublishError::Refused { index, .. } => ApiError::Invalid { message, index: Some(index) },
            PublishError::Busy { retry_after_seconds } | PublishError::Backlog { retry_after_seconds, .. } => {
                ApiError::Busy { message, retry_after_seconds }
            }
            PublishError::Bus(error) => error.into(),
        }
    }
}

impl From<ActivateError> for ApiError {
    fn from(error: ActivateError) -> Self {
        match error {
            ActivateError::Moved { .. } => ApiError::Moved(error.to_string()),
            ActivateError::Bus(error) => error.into(),
        }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Unproven(message) => ApiError::Unauthorized(message),
            Rejection::Malformed(message) => ApiError::invalid(message),
            Rejection::TooLarge(message) => ApiError::TooLarge(message),
            Rejection::UnsupportedMediaType(message) => ApiError::UnsupportedMediaType(message),
        }
    }
}

impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        let message = error.to_string();
        match error {
            HttpError::UnsupportedMediaType(_) => ApiError::UnsupportedMediaType(message),
            HttpError::Event(_) | HttpError::Batch(_) => ApiError::Invalid { message, index: error.index() },
        }
    }
}
