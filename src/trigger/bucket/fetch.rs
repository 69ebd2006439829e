//! The content of an object, as it was when it was listed.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::Object;

use crate::s3;
use crate::trigger::BODY_BYTES_MAX as OBJECT_BYTES_MAX;

/// A store that sends nothing more for this long is asked again.
const MORE_WITHIN: Duration = Duration::from_secs(60);

pub enum Fetched {
    Content(Vec<u8>),
    /// Nobody can read it as it is, now or later.
    Unreadable(String),
    /// It is another by now.
    Changed,
}

/// Why it is tried again.
pub enum FetchError {
    /// The store answers, and not with this object.
    Refused(String),
    /// Asking for others is of no use now.
    Away(String),
}

pub async fn fetch(client: &Client, bucket: &str, object: &Object) -> Result<Fetched, FetchError> {
    let key = object.key().unwrap_or_default();
    if object.size().is_some_and(|bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes > OBJECT_BYTES_MAX)) {
        return Ok(too_large());
    }
    let answer = match client.get_object().bucket(bucket).key(key).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            return match (code, &error) {
                (Some("NoSuchKey" | "NotFound"), _) => {
                    Ok(Fetched::Unreadable("it was gone when it was fetched".to_owned()))
                }
                (Some("InvalidObjectState"), _) => {
                    Ok(Fetched::Unreadable("it is archived; restore it first".to_owned()))
                }
                (_, SdkError::ServiceError(_)) => {
                    Err(FetchError::Refused(format!("object {key:?}: {}", s3::reason(&error))))
                }
                _ => Err(FetchError::Away(s3::reason(&error))),
            };
        }
    };
    let tags = object.e_tag().zip(answer.e_tag());
    if tags.is_some_and(|(listed, fetched)| listed.trim_matches('"') != fetched.trim_matches('"')) {
        return Ok(Fetched::Changed);
    }
    collect(answer.body).await
}

/// Not every store lists sizes that are true.
async fn collect(mut body: ByteStream) -> Result<Fetched, FetchError> {
    let mut content = Vec::new();
    loop {
        match tokio::time::timeout(MORE_WITHIN, body.try_next()).await {
            Ok(Ok(Some(chunk))) if content.len() + chunk.len() > OBJECT_BYTES_MAX => return Ok(too_large()),
            Ok(Ok(Some(chunk))) => content.extend_from_slice(&chunk),
            Ok(Ok(None)) => return Ok(Fetched::Content(content)),
            Ok(Err(error)) => return Err(FetchError::Away(format!("the content broke off: {}", s3::root(&error)))),
            Err(_) => {
                let seconds = MORE_WITHIN.as_secs();
                return Err(FetchError::Away(format!("the content broke off: nothing came for {seconds} s")));
            }
        }
    }
}

fn too_large() -> Fetched {
    Fetched::Unreadable(format!("it has more than {OBJECT_BYTES_MAX} B, which is the most that is read"))
}
