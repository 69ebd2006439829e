//! Queues: messages of a NATS JetStream stream as events.
//!
//! A durable pull consumer with explicit acknowledgement, one for each project, stream and subject: two processes of one
//! project share the messages. A message is acknowledged after its events are durable. One that is delivered again has the
//! same ids, and so is no second event. What the bus refuses for good is logged, and terminated at the server.

mod message;

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind, Message};
use futures_util::StreamExt;
use tracing::warn;

use self::message::Given;
use super::intake::{Intake, Taken, TriggerError, backoff};
use crate::deployment::QueueTrigger;
use crate::event::{Event, derive_uuid};

/// Messages that are published in one commit.
const BATCH_MAX: usize = 64;
/// Messages that the server has out at a time.
const UNACKNOWLEDGED_MAX: i64 = 256;
/// The server delivers again what is not acknowledged for so long.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(60);

/// Takes messages in until it is told to stop. `project` keeps other projects' consumers apart. A server that is not there, or
/// has no such stream, is asked again.
pub async fn run(trigger: QueueTrigger, project: &str, intake: Intake) -> Result<(), TriggerError> {
    let name = format!("queue/{}/{}", trigger.stream, trigger.subject);
    let url = intake.resolve(&name, &trigger.url)?;
    let mut failures = 0;
    loop {
        let consumer = intake.stop.run_until_cancelled(connect(&trigger, project, &url)).await;
        let lost = match consumer {
            None => return Ok(()),
            Some(Ok(consumer)) => match consume(&name, &trigger, &intake, &consumer, &mut failures).await? {
                None => return Ok(()),
                Some(lost) => lost,
            },
            Some(Err(lost)) => lost,
        };
        warn!(trigger = name, error = %lost, "cannot take messages from the queue; trying again");
        if intake.stopped_within(backoff(failures)).await {
            return Ok(());
        }
        failures += 1;
    }
}

/// Connects, and makes the durable consumer if it is not there.
async fn connect(trigger: &QueueTrigger, project: &str, url: &str) -> Result<PullConsumer, async_nats::Error> {
    let client = async_nats::ConnectOptions::new().name("tidegate").connect(url).await?;
    let stream = jetstream::new(client).get_stream(&trigger.stream).await?;
    let identity = derive_uuid(&["queue", project, &trigger.stream, &trigger.subject].map(str::as_bytes));
    let consumer = stream.create_consumer(pull::Config {
        durable_name: Some(format!("tidegate-{identity}")),
        description: Some(format!("events of the project {project}")),
        filter_subject: trigger.subject.clone(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACKNOWLEDGE_WITHIN,
        max_ack_pending: UNACKNOWLEDGED_MAX,
        ..pull::Config::default()
    });
    Ok(consumer.await?)
}

/// Takes messages until the consumer is lost (why), or the loop is told to stop (none).
async fn consume(
    name: &str,
    trigger: &QueueTrigger,
    intake: &Intake,
    consumer: &PullConsumer,
    failures: &mut u32,
) -> Result<Option<async_nats::Error>, TriggerError> {
    let mut batches = match consumer.messages().await {
        Ok(messages) => messages.ready_chunks(BATCH_MAX),
        Err(error) => return Ok(Some(error.into())),
    };
    // Dropped while it waits, a stream loses no message: what is not acknowledged comes again.
    while let Some(batch) = intake.stop.run_until_cancelled(batches.next()).await {
        let Some(batch) = batch else { return Ok(Some("the stream of messages ended".into())) };
        let (messages, mut lost) = split(batch);
        let taken: Vec<Vec<Event>> = messages.iter().map(|message| events(name, trigger, intake, message)).collect();
        let counts: Vec<usize> = taken.iter().map(Vec::len).collect();
        match intake.publish(name, taken.into_iter().flatten().collect()).await? {
            Taken::Stopped => return Ok(None),
            Taken::Durable { refused } => lost = acknowledge(&messages, &counts, &refused).await.err().or(lost),
        }
        match lost {
            Some(lost) => return Ok(Some(lost)),
            None => *failures = 0,
        }
    }
    Ok(None)
}

/// The messages of a batch before the first error, and that error.
fn split<E: Into<async_nats::Error>>(batch: Vec<Result<Message, E>>) -> (Vec<Message>, Option<async_nats::Error>) {
    let (mut messages, mut lost) = (Vec::new(), None);
    for message in batch {
        match message {
            Ok(message) => messages.push(message),
            Err(error) => lost = lost.or(Some(error.into())),
        }
    }
    (messages, lost)
}

fn events(name: &str, trigger: &QueueTrigger, intake: &Intake, message: &Message) -> Vec<Event> {
    let info = message.info().ok();
    let given = Given {
        stream: &trigger.stream,
        subject: message.subject.as_str(),
        sequence: info.as_ref().map(|info| info.stream_sequence),
        published_nanos: info.as_ref().map(|info| info.published.unix_timestamp_nanos()),
        headers: message.headers.as_ref(),
        payload: &message.payload,
    };
    message::events(&given, &trigger.ty, intake.clock.now()).unwrap_or_else(|malformed| {
        warn!(trigger = name, reason = malformed.reason, "a message is no valid CloudEvent; kept as it is");
        vec![malformed.event]
    })
}

/// Acknowledges each message of which something was taken; one whose events were all refused would only come again.
async fn acknowledge(messages: &[Message], counts: &[usize], refused: &[usize]) -> Result<(), async_nats::Error> {
    let mut first = 0;
    for (message, count) in messages.iter().zip(counts) {
        let places = first..first + count;
        first = places.end;
        let all_refused = *count > 0 && places.clone().all(|place| refused.contains(&place));
        message.ack_with(if all_refused { AckKind::Term } else { AckKind::Ack }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
