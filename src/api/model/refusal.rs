//! What came to a door and was not taken in.

use serde::{Deserialize, Serialize};

use crate::bus::Refusal;

/// `GET /refusals`, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalView {
    #[serde(flatten)]
    pub refusal: Refusal,
    /// What to do, so that it is taken in.
    pub next: String,
}
