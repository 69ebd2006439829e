//! Triggers: the world -> events. Formats are parsed here and nowhere else: one pure file for each sender.
//!
//! A webhook's request passes `prove` (on the raw bytes), then `parse`. `schedule`, `bucket` and `queue` are loops that publish
//! by themselves. Nothing here knows functions, filters or deployments' contents.
//!
//! Invariant: what `parse` returns is valid (`Event::validate`), and is the same for the same headers and body.

mod artifact;
mod attributes;
pub mod bucket;
mod cdevents;
mod cloudevents;
mod distribution;
mod git;
mod github;
mod intake;
mod named;
mod notices;
mod payload;
pub mod queue;
mod redact;
mod report;
mod s3;
pub mod schedule;
mod signature;

use bytes::Bytes;

pub use cloudevents::handshake;
pub use intake::{Intake, TriggerError};
pub use named::named;
pub use notices::Notices;
pub use redact::{redact, redacts};
pub use signature::{Credentials, CredentialsError, prove};

use crate::deployment::{ReportFormat, Sender};
use crate::event::{DATA_BYTES_MAX, Event};

/// Bodies above this are answered 413.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why something was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// 401
    #[error("{0}")]
    Unproven(String),
    /// 400: with line and column where there are such
    #[error("{0}")]
    Malformed(String),
    /// 413
    #[error("{0}")]
    TooLarge(String),
    /// 415
    #[error("{0}")]
    UnsupportedMediaType(String),
}

/// Makes events of what a sender sent, in its order. Pure. An empty list: acknowledged, and nothing to tell (a test).
/// Whatever parses as JSON is accepted; an event's source is what the sender names, else the sender's name.
pub fn parse(sender: Sender, headers: &http::HeaderMap, body: &Bytes) -> Result<Vec<Event>, Rejection> {
    let events = match sender {
        Sender::Github => github::parse(headers, body),
        Sender::S3 => s3::parse(body),
        Sender::Cloudevents => cloudevents::parse(headers, body),
        Sender::Distribution => distribution::parse(body),
        Sender::Trivy => report::parse(ReportFormat::Trivy, headers, body),
        Sender::Sarif => report::parse(ReportFormat::Sarif, headers, body),
        Sender::Report => report::parse(ReportFormat::Any, headers, body),
    }?;
    events.iter().try_for_each(check_size).map_err(Rejection::TooLarge)?;
    Ok(events)
}

/// With its facts beside it, what a sender sent may be more than an event holds.
fn check_size(event: &Event) -> Result<(), String> {
    match event.data_bytes() {
        bytes if bytes > DATA_BYTES_MAX => {
            Err(format!("{} has {bytes} B of data; at most {DATA_BYTES_MAX} B are taken", event.ty))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
