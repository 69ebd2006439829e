//! Where the loops hand their events in: they publish until the bus has taken an event or refused it for good.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::notices::Notices;
use super::redact;
use crate::bus::{Bus, BusError, Incoming, Named, PublishError, Refusal, Shown};
use crate::clock::Clock;
use crate::deployment::{Env, Secret, SecretError};
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
    pub env: Env,
    pub notices: Notices,
    /// The loops end, by returning, once it is cancelled.
    pub stop: CancellationToken,
}

/// What ends a loop before it is told to stop: what only an operator can mend.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    #[error("trigger {trigger}")]
    Secret {
        trigger: String,
        #[source]
        source: SecretError,
    },
    #[error("trigger {trigger} cannot use the bus")]
    Bus {
        trigger: String,
        #[source]
        source: BusError,
    },
}

/// What became of the events that were handed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// They are durable, now or since before, but for those at these places: the bus refuses them for good, and it was told.
    Durable { refused: Vec<usize> },
    /// The loop was told to stop first: nobody knows.
    Stopped,
}

impl Intake {
    /// Hands in events of the trigger `name`, in one commit, and waits until they are durable. A bus that is busy or full is
    /// asked again.
    pub(super) async fn publish(&self, name: &str, events: Vec<Event>) -> Result<Taken, TriggerError> {
        let events = redact(&*self.bus, events).await;
        let origin = Origin { kind: OriginKind::Trigger, name: name.to_owned(), verified: true };
        let incoming = |event| Incoming { event, origin: origin.clone() };
        let mut batch: Vec<(usize, Incoming)> = events.into_iter().map(incoming).enumerate().collect();
        let (mut refused, mut failures) = (Vec::new(), 0);
        while !batch.is_empty() {
            let wait = match self.bus.publish(batch.iter().map(|(_, incoming)| incoming.clone()).collect()).await {
                Ok(receipts) => {
                    self.metrics.accepted(name, &receipts);
                    break;
                }
                Err(error @ (PublishError::ContentDiffers { index } | PublishError::Refused { index, .. })) => {
                    let (place, Incoming { event, .. }) = batch.remove(index);
                    self.refused(name, &event, &error);
                    refused.push(place);
                    continue;
                }
                Err(PublishError::Busy { retry_after_seconds } | PublishError::Backlog { retry_after_seconds, .. }) => {
                    Duration::from_secs(retry_after_seconds)
                }
                Err(PublishError::Bus(BusError::Closed)) if self.stop.is_cancelled() => return Ok(Taken::Stopped),
                Err(PublishError::Bus(source @ (BusError::Closed | BusError::Failed { .. }))) => {
                    return Err(TriggerError::Bus { trigger: name.to_owned(), source });
                }
                Err(PublishError::Bus(error @ (BusError::Full | BusError::AtMax | BusError::Store { .. }))) => {
                    self.metrics.fault(&error);
                    backoff(failures)
                }
            };
            failures += 1;
            if self.stopped_within(wait).await {
                return Ok(Taken::Stopped);
            }
        }
        Ok(Taken::Durable { refused })
    }

    fn refused(&self, name: &str, event: &Event, error: &PublishError) {
        let code = "refused";
        self.metrics.rejected(name, code, &format!("{} of {}: {error}", event.id, event.source));
        self.bus.keep_refusal(Refusal {
            at: self.clock.now(),
            door: name.to_owned(),
            status: None,
            code: code.to_owned(),
            reason: error.to_string(),
            sender: None,
            proof: Shown::Verified,
            named: vec![Named::of(event)],
        });
    }

    /// Waits; whether the loop was told to stop meanwhile.
    pub(super) async fn stopped_within(&self, wait: Duration) -> bool {
        self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none()
    }

    pub(super) fn resolve(&self, trigger: &str, secret: &Secret) -> Result<String, TriggerError> {
        let resolved = secret.resolve(self.env.as_ref());
        resolved.map_err(|source| TriggerError::Secret { trigger: trigger.to_owned(), source })
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// How long to wait after so many failures in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    WAIT_FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(WAIT_LAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Cause, IdQuery, RefusalQuery};
    use crate::deployment::{Deployment, RecordingSettings, Redaction};
    use crate::trigger::testing::Door;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_bus_refuses_for_good_is_found_by_its_id() {
        let door = Door::open(Clock::system());
        let event = |id: &str, data: &'static str| Event {
            id: id.to_owned(),
            source: "reports".to_owned(),
            ty: "com.s3.ObjectCreated.Put".to_owned(),
            data: Some(data.into()),
            ..Event::default()
        };
        let publish = async |event| door.intake.publish("bucket/reports", vec![event]).await.unwrap();
        assert_eq!(publish(event("a", "1")).await, Taken::Durable { refused: vec![] });
        assert_eq!(publish(event("a", "2")).await, Taken::Durable { refused: vec![0] });
        // What is written after it shows that it was written.
        publish(event("b", "1")).await;
        let query = RefusalQuery { named: Some(IdQuery::Is("a".to_owned())), max: 2, ..RefusalQuery::default() };
        let kept = door.history.refusals(query).await.unwrap().items;
        let told: Vec<_> = kept.iter().map(|one| (one.door.as_str(), one.status, one.proof)).collect();
        assert_eq!(told, [("bucket/reports", None, Shown::Verified)]);
        assert!(kept[0].reason.contains("whose content differs"), "{}", kept[0].reason);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_event_is_redacted_as_the_active_deployment_says_before_it_is_in_the_log() {
        let door = Door::open(Clock::system());
        let redact = Redaction { paths: vec!["data.token".parse().unwrap()], ..Redaction::default() };
        let recording = RecordingSettings { redact, ..RecordingSettings::default() };
        let deployment = Deployment { recording, ..Deployment::new("shop".to_owned(), Vec::new()) };
        door.intake.bus.activate(deployment, 0, Cause::ProjectFile).await.unwrap();
        let sizes = [10, 300_000];
        for size in sizes {
            let data = format!("{{\"token\":\"s3cret\",\"pad\":\"{}\"}}", "x".repeat(size));
            let (id, source, ty) = (size.to_string(), "/queue".to_owned(), "com.example.said".to_owned());
            let event = Event { id, source, ty, data: Some(data.into()), ..Event::default() };
            door.intake.publish("queue", vec![event]).await.unwrap();
        }
        // The first is that of the deployment.
        for (accepted, size) in door.events(3).await.iter().skip(1).zip(sizes) {
            let data = String::from_utf8_lossy(accepted.event.data.as_deref().unwrap());
            assert!(data.starts_with(r#"{"token":"[redacted]","pad":"xx"#) && data.len() > size, "{}", &data[..40]);
        }
    }

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let waits: Vec<u128> = [0, 1, 2, 6, 7, 100].map(|failures| backoff(failures).as_millis()).to_vec();
        assert_eq!(waits, [500, 1000, 2000, 32_000, 60_000, 60_000]);
    }
}
