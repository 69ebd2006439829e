//! Where the loops hand their events in: they publish until the bus has taken the event or refused it for good.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::schedule::ScheduleError;
use crate::bus::{Bus, BusError, Incoming, PublishError};
use crate::clock::Clock;
use crate::deployment::SecretError;
use crate::event::{Event, Origin, OriginKind};
use crate::telemetry::Metrics;

/// Waits between tries of what failed: doubled from the first to the last.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_LAST: Duration = Duration::from_secs(60);

/// What the loops share. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    pub bus: Arc<dyn Bus>,
    pub clock: Clock,
    pub metrics: Metrics,
    /// The loops end, by returning, once it is cancelled.
    pub stop: CancellationToken,
}

/// What ends a loop before it is told to stop: what only an operator can mend.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error("trigger {trigger}")]
    Secret {
        trigger: String,
        #[source]
        source: SecretError,
    },
    #[error("trigger {trigger}: {reason}")]
    Config { trigger: String, reason: String },
    #[error("trigger {trigger} cannot use the bus")]
    Bus {
        trigger: String,
        #[source]
        source: BusError,
    },
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is durable, now or since before.
    Durable,
    /// The bus does not take it, however often it is asked.
    Refused,
    /// The loop was told to stop first: nobody knows.
    Stopped,
}

impl Intake {
    /// Hands in one event of the trigger `name`, and waits until it is durable. A bus that is busy or full is asked again.
    pub(super) async fn publish(&self, name: &str, event: Event) -> Result<Taken, TriggerError> {
        let origin = Origin { kind: OriginKind::Trigger, name: name.to_owned(), verified: true };
        let incoming = Incoming { event, origin };
        let mut failures = 0;
        loop {
            let wait = match self.bus.publish(vec![incoming.clone()]).await {
                Ok(receipts) => {
                    self.metrics.accepted(name, &receipts);
                    return Ok(Taken::Durable);
                }
                Err(error @ (PublishError::ContentDiffers { .. } | PublishError::Refused { .. })) => {
                    self.metrics.rejected(name, "refused", &error.to_string());
                    return Ok(Taken::Refused);
                }
                Err(PublishError::Busy { retry_after_seconds }) => Duration::from_secs(retry_after_seconds),
                Err(PublishError::Bus(BusError::Closed)) if self.stop.is_cancelled() => return Ok(Taken::Stopped),
                Err(PublishError::Bus(source @ BusError::Closed)) => {
                    return Err(TriggerError::Bus { trigger: name.to_owned(), source });
                }
                Err(PublishError::Bus(error @ (BusError::Full | BusError::Store { .. }))) => {
                    self.metrics.fault(&error);
                    backoff(failures)
                }
            };
            failures += 1;
            if self.stopped_within(wait).await {
                return Ok(Taken::Stopped);
            }
        }
    }

    /// Waits; whether the loop was told to stop meanwhile.
    pub(super) async fn stopped_within(&self, wait: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none()
    }
}

/// How long to wait after so many failures in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    WAIT_FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(WAIT_LAST)
}
