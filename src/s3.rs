//! A client of any S3 endpoint. What is stored there, and under which keys, is the caller's.

#[cfg(test)]
pub mod testing;

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::deployment::{ObjectStore, SecretError};

/// A store that cannot be dialled within this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A request, its body included, that is not answered within this time is made again.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Tries of one request. Whoever asked tries again later, with a wait of its own.
const TRIES_MAX: u32 = 2;

/// Why a store did not do what it was asked, in words: what it answered, or how far the request came and what ended it.
pub fn reason<E, R>(error: &SdkError<E, R>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let came = match error {
        SdkError::ServiceError(answer) => {
            let (code, message) = (answer.err().code().unwrap_or("an error"), answer.err().message());
            return format!(
                "the store answered {code}{}",
                message.map_or_else(String::new, |text| format!(": {text}"))
            );
        }
        SdkError::ConstructionFailure(_) => "the request cannot be made",
        SdkError::TimeoutError(_) => "the store did not answer in time",
        SdkError::DispatchFailure(_) => "the store cannot be reached",
        SdkError::ResponseError(_) => "the store's answer cannot be read",
        // The SDK may add more.
        _ => "the store did not answer",
    };
    format!("{came}: {}", root(error))
}

/// What is at the bottom of an error; what stands above it are the layers of a client.
pub fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root
}

/// A client of a store: with its keys, else those of the standard variables, else with unsigned requests.
pub fn client(store: &ObjectStore, env: &dyn Fn(&str) -> Option<String>) -> Result<Client, SecretError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let keys = match (&store.access_key, &store.secret_key) {
        (Some(access), Some(secret)) => Some((access.resolve(env)?, secret.resolve(env)?, None)),
        _ => set("AWS_ACCESS_KEY_ID")
            .zip(set("AWS_SECRET_ACCESS_KEY"))
            .map(|(access, secret)| (access, secret, set("AWS_SESSION_TOKEN"))),
    };
    let tls = Provider::Rustls(CryptoMode::Ring);
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().tls_provider(tls).build_https())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).read_timeout(ANSWER_WITHIN).build())
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES_MAX))
        // Stores other than AWS know no checksums in trailers.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .region(Region::new(store.region.clone()));
    if let Some(endpoint) = &store.endpoint {
        // Nor have they a host name for each bucket, as a rule.
        config = config.endpoint_url(endpoint).force_path_style(true);
    }
    let config = match keys {
        Some((access, secret, session)) => {
            config.credentials_provider(Credentials::new(access, secret, session, None, "tidegate"))
        }
        None => config.allow_no_auth(),
    };
    Ok(Client::from_conf(config.build()))
}
