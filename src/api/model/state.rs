//! Committed state.

use serde::{Deserialize, Serialize};

use crate::bus::Revision;

/// `GET /keys/{space}/{key}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// 0: the key is absent.
    pub revision: Revision,
    /// As a list of numbers; absent where the key is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Vec<u8>>,
}

/// `GET /keys/{space}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// The whole space's.
    pub revision: Revision,
    pub keys: Vec<String>,
    /// More may come `after` this key; absent: these were the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
