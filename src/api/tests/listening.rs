//! The listener against clients that do not behave.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::api::serve::{Bounds, serve_within};

const BOUNDS: Bounds = Bounds {
    connections_max: 2,
    headers: Duration::from_millis(200),
    stalled: Duration::from_millis(200),
    grace: Duration::from_secs(5),
};

/// Serves one route that answers `bytes` bytes, `after` a while.
async fn serving(
    bytes: usize,
    after: Duration,
) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let answer = get(move || async move {
        tokio::time::sleep(after).await;
        vec![b'a'; bytes]
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let served = serve_within(listener, Router::new().route("/", answer), shutdown.clone(), BOUNDS);
    (address, shutdown, tokio::spawn(async move { served.await.unwrap() }))
}

async fn send(address: std::net::SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    // A reset is an end too.
    let _ = read.expect("the server ends the connection");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_dropped() {
    let (address, _shutdown, _served) = serving(1, Duration::ZERO).await;
    assert_eq!(read_to_end(send(address, "GET / HTTP/1.1\r\nhost: a\r\n").await).await, "");
    assert_eq!(read_to_end(send(address, "").await).await, "");
}

#[tokio::test]
async fn a_connection_that_does_not_ask_again_is_closed_so_that_others_get_a_place() {
    let (address, _shutdown, _served) = serving(1, Duration::ZERO).await;
    let _idle = [send(address, "").await, send(address, "").await];
    let answer = read_to_end(send(address, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_dropped() {
    let (address, shutdown, served) = serving(64 * 1024 * 1024, Duration::ZERO).await;
    let _stalled = send(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
    shutdown.cancel();
    // Far within the grace: the connection ended by itself.
    tokio::time::timeout(BOUNDS.grace / 2, served).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_being_answered_at_the_end_is_answered() {
    let (address, shutdown, served) = serving(3, Duration::from_millis(100)).await;
    let asked = send(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::timeout(Duration::from_millis(30), std::future::pending::<()>()).await.unwrap_err();
    shutdown.cancel();
    let answer = read_to_end(asked).await;
    assert!(answer.ends_with("\r\n\r\naaa"), "{answer}");
    served.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
