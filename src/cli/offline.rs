//! A stopped project's API in this process: the same routes over its files, which are only read.

use std::path::Path;

use axum::Router;

use super::CliError;

pub async fn router(_dir: &Path) -> Result<Router, CliError> {
    unimplemented!()
}
