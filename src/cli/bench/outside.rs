//! A server from outside: events go in by HTTP, and the ends of their chains are followed, or sent to a sink.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;

use super::{BenchArgs, failed, until_interrupted};
use crate::api::model::{EventView, FunctionView, Listing};
use crate::bench::{self, BenchError, Door, Ends, Flows, OutsideReport};
use crate::cli::client::{Client, Messages, ServerArgs};
use crate::cli::terminal::Terminal;
use crate::cli::{CliError, Status, render};
use crate::event::{Event, STRUCTURED, from_http, to_json};

pub async fn bench(url: &str, args: &BenchArgs, terminal: &Terminal) -> Result<Status, CliError> {
    let at = |url: String| ServerArgs { url: Some(url), token_file: args.token_file.clone() };
    let ends = Ends::default();
    // Whoever tells of ends listens before anything is published.
    let flows = match args.sink {
        None => {
            let base = url.trim_end_matches('/');
            let (server, door) = (at(base.to_owned()), Client::to_write(&at(format!("{base}/events")))?);
            let query = [("follow", "true".to_owned()), ("type", bench::last_type())];
            let api = Client::to_write(&server)?;
            check_chain(&api, url).await?;
            let messages = api.follow(&["events"], &query).await?;
            measure(door, &ends, follow(messages, &ends), args, terminal).await?
        }
        Some(address) => {
            let cannot_listen = |source| failed(&format!("cannot listen on {address}"), source);
            let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
            let address = listener.local_addr().map_err(cannot_listen)?;
            terminal.note(&format!("the sink listens on {address}"));
            let door = Client::to_write(&at(url.to_owned()))?;
            measure(door, &ends, serve_sink(address, listener, ends.clone()), args, terminal).await?
        }
    };
    terminal.show(&OutsideReport { url: url.to_owned(), period: args.seconds, flows }, render::bench_outside)?;
    Ok(Status::Done)
}

/// Without the functions every event would be waited for in vain.
async fn check_chain(api: &Client, url: &str) -> Result<(), CliError> {
    let functions: Listing<FunctionView> = api.get(&["functions"], &[]).await?;
    let emits = |function: &FunctionView| function.deployed && function.grants.emits.contains(&bench::last_type());
    if functions.items.iter().any(emits) {
        return Ok(());
    }
    let ty = bench::last_type();
    Err(CliError::Usage(format!(
        "the project at {url} has no function that emits {ty}; run `tidegate up` on examples/chain"
    )))
}

/// Measures while `listening` tells of ends. That one ends only if it cannot.
async fn measure(
    door: Client,
    ends: &Ends,
    listening: impl Future<Output = CliError>,
    args: &BenchArgs,
    terminal: &Terminal,
) -> Result<Flows, CliError> {
    let period = args.seconds;
    let progress = |what: &str| terminal.progress(&format!("measuring {what}"));
    let (door, ends) = (Arc::new(door), ends.clone());
    let measuring =
        until_interrupted(terminal, async |stop| bench::run_outside(door, ends, period, stop, &progress).await);
    // Whichever ends first, the other is not needed any more.
    tokio::select! {
        flows = measuring => flows,
        error = listening => Err(error),
    }
}

#[async_trait]
impl Door for Client {
    async fn publish(&self, event: Event) -> Result<(), BenchError> {
        let taken = self.hand_over(STRUCTURED, to_json(&event)).await;
        taken.map_err(|error| BenchError::Refused(Box::new(error)))
    }
}

async fn follow(mut messages: Messages, ends: &Ends) -> CliError {
    loop {
        let seen = match messages.next::<EventView>().await {
            Ok(seen) => seen,
            Err(error) => return error,
        };
        let now = Instant::now();
        // One that cannot be read is nobody's end, and whoever waits for it says so.
        if let Ok(event) = seen.parse() {
            ends.reached(event.subject.as_deref().unwrap_or_default(), now);
        }
    }
}

async fn serve_sink(address: SocketAddr, listener: TcpListener, ends: Ends) -> CliError {
    let served = axum::serve(listener, Router::new().fallback(take).with_state(ends)).await;
    let source = served.err().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into());
    failed(&format!("cannot listen on {address} any more"), source)
}

/// Takes events in any mode of the HTTP binding.
async fn take(State(ends): State<Ends>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    match from_http(&headers, body) {
        Ok(events) => {
            let now = Instant::now();
            for event in &events {
                ends.reached(event.subject.as_deref().unwrap_or_default(), now);
            }
            (StatusCode::ACCEPTED, String::new())
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}
