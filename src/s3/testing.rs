//! A server that speaks S3 over the files of a folder.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::error_handling::HandleError;
use axum::http::StatusCode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;

use crate::deployment::{ObjectStore, Secret};

/// Serves the folders of `root` as buckets, on a port of its own, as long as the runtime lives. Answers its address.
pub async fn serve(root: &Path) -> String {
    let address = serve_at(root, "127.0.0.1:0".parse().unwrap()).await;
    format!("http://{address}")
}

/// The same at a given address.
pub async fn serve_at(root: &Path, address: SocketAddr) -> SocketAddr {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single("access", "hidden"));
    let failed = |error: s3s::HttpError| async move { (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")) };
    let routes = Router::new().fallback_service(HandleError::new(builder.build(), failed));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    address
}

/// A store at an address, with the server's keys as `keys` answers them.
pub fn store(endpoint: String, bucket: &str, prefix: &str) -> ObjectStore {
    ObjectStore {
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        access_key: Some(Secret::new("${env:KEY}")),
        secret_key: Some(Secret::new("${env:SECRET}")),
    }
}

/// The variables that hold the server's keys.
pub fn keys(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("access".to_owned()),
        "SECRET" => Some("hidden".to_owned()),
        _ => None,
    }
}
