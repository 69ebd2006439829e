//! A listener: HTTP/1.1 with bounds on connections, headers and stalled clients, and an end that waits for answers.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// What one listener allows its clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Open at once; more wait in the kernel's queue.
    pub connections_max: usize,
    /// From the start of a connection, or from the answer before, to the last byte of a request's headers.
    pub headers: Duration,
    /// A client that takes nothing of its answer for so long is gone.
    pub stalled: Duration,
    /// What is being answered at the end gets so long.
    pub grace: Duration,
}

const BOUNDS: Bounds = Bounds {
    connections_max: 1024,
    headers: Duration::from_secs(15),
    stalled: Duration::from_secs(30),
    grace: Duration::from_secs(10),
};

const HEADERS_BYTES_MAX: usize = 64 * 1024;
/// Pause after an accept that failed for want of a resource, like file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`; then takes no more connections, and ends when all are answered or the grace is over.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> io::Result<()> {
    serve_within(listener, router, shutdown, BOUNDS).await
}

pub(super) async fn serve_within(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    bounds: Bounds,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = places.clone().acquire_owned();
        let Some(place) = shutdown.run_until_cancelled(place).await else { break };
        let place = place.expect("the semaphore is never closed");
        // Accepting is cancel-safe: a connection not taken stays in the kernel's queue.
        let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await else { break };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), shutdown.clone(), bounds);
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(bounds.grace, all).await;
    Ok(())
}

/// Whether the peer went away between connecting and being accepted.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, shutdown: CancellationToken, bounds: Bounds) {
    // Answers are small and written whole: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.headers)
        .max_buf_size(HEADERS_BYTES_MAX)
        .serve_connection(TokioIo::new(Progress::new(stream, bounds.stalled)), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // Polling a connection by reference is cancel-safe: it goes on where it was.
    let ended = match shutdown.run_until_cancelled(connection.as_mut()).await {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended early");
    }
}

/// A stream whose writes fail once the peer has taken nothing for `stalled`.
struct Progress {
    stream: TcpStream,
    stalled: Duration,
    /// Set while a write waits for the peer.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Progress {
    fn new(stream: TcpStream, stalled: Duration) -> Self {
        Progress { stream, stalled, deadline: None }
    }

    /// Passes on what a write came to; one that waits is given until the deadline.
    fn watch<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let stalled = self.stalled;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(stalled)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl AsyncRead for Progress {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Progress {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
