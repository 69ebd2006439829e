//! An object store that speaks S3, in this process, over a folder.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use axum::Router;
use axum::http::StatusCode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;

use super::super::CliError;
use super::failed;

pub const ACCESS_KEY: &str = "demo";
pub const SECRET_KEY: &str = "demo-secret";
/// Where scanners put their reports.
pub const BUCKET: &str = "reports";

/// A scanner's way in.
pub fn client(endpoint: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "demo"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// Serves the buckets in `folder`, which has the one for reports afterwards.
pub fn router(folder: &Path) -> Result<Router, CliError> {
    std::fs::create_dir_all(folder.join(BUCKET)).map_err(failed("cannot make the object store's folder"))?;
    let files = FileSystem::new(folder).map_err(|error| CliError::Failed {
        what: "cannot open the object store's folder".to_owned(),
        source: format!("{error:?}").into(),
    })?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = axum::error_handling::HandleError::new(builder.build(), |error: s3s::HttpError| async move {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}"))
    });
    Ok(Router::new().fallback_service(service))
}
