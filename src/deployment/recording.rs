//! What is kept of attempts: a part of the deployment, since whoever runs one again needs to know it.

use serde::{Deserialize, Serialize};

use super::{FunctionId, Redaction};
use crate::event::{Event, share};

/// Of one recording before it is compressed, whatever a project says.
pub const RECORDING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `[recording]`. How long recordings are kept is `Retention`'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingSettings {
    /// The share of completed attempts whose recordings are kept; 0 to 1. Those of failed ones always are.
    pub sample: f64,
    /// A larger recording, before it is compressed, is truncated and cannot be replayed; at most `RECORDING_BYTES_MAX`.
    pub bytes_max: usize,
    pub redact: Redaction,
}

impl RecordingSettings {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the recording of an attempt that completes is kept: the same for every attempt on an event.
    pub fn samples(&self, event: &Event, function: FunctionId) -> bool {
        self.sample >= 1.0
            || share(&[b"recording", event.key().uuid().as_bytes(), function.uuid().as_bytes()]) < self.sample
    }
}

impl Default for RecordingSettings {
    fn default() -> Self {
        RecordingSettings { sample: 1.0, bytes_max: RECORDING_BYTES_MAX, redact: Redaction::default() }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn sampled(sample: f64) -> usize {
        let settings = RecordingSettings { sample, ..RecordingSettings::default() };
        let function = FunctionId::from_uuid(Uuid::from_u128(7));
        let event = |id: usize| Event { id: id.to_string(), ..Event::default() };
        (0..1_000).filter(|id| settings.samples(&event(*id), function)).count()
    }

    #[test]
    fn about_the_share_that_is_asked_for_is_sampled() {
        assert_eq!((sampled(1.0), sampled(0.0)), (1_000, 0));
        let tenth = sampled(0.1);
        assert!((70..130).contains(&tenth), "{tenth}");
        assert_eq!(tenth, sampled(0.1), "the same ones every time");
    }

    #[test]
    fn what_was_stored_without_settings_has_the_default_ones() {
        let settings: RecordingSettings = serde_json::from_str("{}").unwrap();
        assert!(settings.is_default());
    }
}
