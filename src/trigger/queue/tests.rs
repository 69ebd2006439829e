use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use async_nats::HeaderMap;
use async_nats::jetstream::stream;
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::deployment::{QueueKind, Secret};
use crate::event::Accepted;
use crate::trigger::testing::{Door, stop};

/// A real server, on a port and in a folder of its own; it ends with the test.
struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Server { process: Server::spawn(&folder, port), folder, port }
    }

    fn spawn(folder: &TempDir, port: u16) -> Child {
        let fetched = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/nats-server");
        let program = std::env::var_os("TIDEGATE_NATS_SERVER").map_or_else(|| PathBuf::from(fetched), PathBuf::from);
        let mut command = Command::new(&program);
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &port.to_string(), "--store_dir"]);
        command.arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}; fetch it with `make tools`, or name one by TIDEGATE_NATS_SERVER",
                program.display()
            )
        })
    }

    fn restart(&mut self) {
        self.end();
        self.process = Server::spawn(&self.folder, self.port);
    }

    fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    async fn jetstream(&self) -> jetstream::Context {
        let client = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(self.url()).await.unwrap();
        jetstream::new(client)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn trigger(server: &Server) -> QueueTrigger {
    QueueTrigger {
        kind: QueueKind::Nats,
        url: Secret::new(server.url()),
        stream: "ORDERS".to_owned(),
        subject: "orders.>".to_owned(),
        ty: "shop.order".to_owned(),
    }
}

async fn with_stream(server: &Server) -> jetstream::Context {
    let jetstream = server.jetstream().await;
    let config =
        stream::Config { name: "ORDERS".into(), subjects: vec!["orders.>".into()], ..stream::Config::default() };
    loop {
        match jetstream.create_stream(config.clone()).await {
            Ok(_) => return jetstream,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn send(jetstream: &jetstream::Context, headers: &[(&str, &str)], payload: &'static str) {
    let headers = headers.iter().fold(HeaderMap::new(), |mut all, (name, value)| {
        all.append(*name, *value);
        all
    });
    jetstream.publish_with_headers("orders.paid", headers, payload.into()).await.unwrap().await.unwrap();
}

fn types(events: &[Accepted]) -> Vec<&str> {
    events.iter().map(|accepted| accepted.event.ty.as_str()).collect()
}

async fn unacknowledged(jetstream: &jetstream::Context) -> u64 {
    let stream = jetstream.get_stream("ORDERS").await.unwrap();
    let mut consumers = stream.consumers();
    let mut left = 0;
    while let Some(consumer) = consumers.next().await {
        let consumer = consumer.unwrap();
        left += consumer.num_pending + consumer.num_ack_pending as u64;
    }
    left
}

#[tokio::test]
async fn messages_become_events_in_order_and_are_acknowledged() {
    let server = Server::start();
    let jetstream = with_stream(&server).await;
    send(&jetstream, &[], r#"{"total":3}"#).await;
    send(
        &jetstream,
        &[("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/shop"), ("ce-type", "shop.paid")],
        "{}",
    )
    .await;
    send(&jetstream, &[("ce-specversion", "1.0"), ("ce-id", "8")], "poison").await;
    let door = Door::open(Clock::system());
    let run = tokio::spawn({
        let (trigger, intake) = (trigger(&server), door.intake.clone());
        async move { run(trigger, "demo", intake).await }
    });
    let events = door.events(3).await;
    assert_eq!(types(&events), ["shop.order", "shop.paid", "com.nats.malformed"]);
    assert_eq!(events[2].event.data.as_deref(), Some(&b"poison"[..]));
    while unacknowledged(&jetstream).await > 0 {
        tokio::task::yield_now().await;
    }
    stop(&door.intake, run).await;
}

#[tokio::test]
async fn a_message_that_was_delivered_but_not_acknowledged_is_one_event() {
    let server = Server::start();
    let jetstream = with_stream(&server).await;
    send(&jetstream, &[("Nats-Msg-Id", "order-1")], "{}").await;
    let door = Door::open(Clock::system());
    let trigger = trigger(&server);
    // What a run that died between publishing and acknowledging leaves behind.
    let consumer = connect(&trigger, "demo", &server.url()).await.unwrap();
    let message = consumer.messages().await.unwrap().next().await.unwrap().unwrap();
    door.intake.publish("queue", events("queue", &trigger, &door.intake, &message)).await.unwrap();
    message.ack_with(AckKind::Nak(None)).await.unwrap();
    send(&jetstream, &[("Nats-Msg-Id", "order-2")], "{}").await;
    let run = tokio::spawn({
        let (trigger, intake) = (trigger.clone(), door.intake.clone());
        async move { run(trigger, "demo", intake).await }
    });
    let events = door.events(2).await;
    while unacknowledged(&jetstream).await > 0 {
        tokio::task::yield_now().await;
    }
    stop(&door.intake, run).await;
    let ids: Vec<&str> = events.iter().map(|accepted| accepted.event.id.as_str()).collect();
    assert_eq!(ids, ["order-1", "order-2"]);
    assert_eq!(door.events(2).await.len(), 2);
}

#[tokio::test]
async fn the_loop_outlives_its_server() {
    let mut server = Server::start();
    let jetstream = with_stream(&server).await;
    send(&jetstream, &[], "1").await;
    let door = Door::open(Clock::system());
    let run = tokio::spawn({
        let (trigger, intake) = (trigger(&server), door.intake.clone());
        async move { run(trigger, "demo", intake).await }
    });
    door.events(1).await;
    server.restart();
    let jetstream = with_stream(&server).await;
    send(&jetstream, &[], "2").await;
    assert_eq!(types(&door.events(2).await), ["shop.order", "shop.order"]);
    stop(&door.intake, run).await;
}
