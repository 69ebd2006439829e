//! Who brought an event in. It stands beside the attributes, where no sender can write.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub kind: OriginKind,
    /// The trigger's path or name, the function's name, or the token's name.
    pub name: String,
    /// Whether a signature or a token proved the sender.
    pub verified: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginKind {
    Trigger,
    Function,
    Api,
    /// Tidegate itself: activations and what the reconciler reports.
    Runtime,
}

impl OriginKind {
    pub fn as_str(self) -> &'static str {
        match self {
            OriginKind::Trigger => "trigger",
            OriginKind::Function => "function",
            OriginKind::Api => "api",
            OriginKind::Runtime => "runtime",
        }
    }
}
