//! HTTP effects: requests to connections that the operator named.
//!
//! A function names a connection and a path under it; the host knows the address and adds its headers last, so there is
//! nothing to send elsewhere. Redirects are returned, not followed; proxies of the environment are not used.

mod address;
mod connections;
mod idempotency;
mod mask;
mod path;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

pub use connections::{ConnectionProblem, Connections, ConnectionsError, LiveConnection};
pub use idempotency::Requests;
pub use path::{PathError, normalise};

use self::connections::Clients;
use super::{Answer, EffectError, HostFault, HttpRequest, HttpResponse};
use crate::deployment::Function;

/// Body of a request.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Body of an answer.
pub const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bodies of all the answers to one invocation.
pub const RESPONSES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Headers that belong to one hop and so to the host.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether a guest may not set a header on any request.
pub fn is_hosts_own(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || [header::HOST, header::EXPECT].contains(name) || name.as_str() == "proxy-connection"
}

/// Whether the function was granted the connection; else why not.
pub fn check_granted(function: &Function, connection: &str) -> Result<(), EffectError> {
    if function.grants.http.iter().any(|granted| granted == connection) {
        return Ok(());
    }
    let name = &function.name;
    Err(EffectError::NotPermitted(format!(
        "function {name} may not call {connection:?}; name a connection of the project file and grant it with http = [{connection:?}]"
    )))
}

/// Sends the request to its connection and answers with what came back, secrets masked. `received`: bytes that this
/// invocation was answered so far.
pub(super) async fn answer(
    connections: &Connections,
    function: &Function,
    received: &AtomicUsize,
    request: &HttpRequest,
) -> Result<Answer, HostFault> {
    if let Err(error) = check_granted(function, &request.connection) {
        return Ok(Answer::Failed(error));
    }
    let clients = connections.clients()?;
    let sent = match received.load(Ordering::Relaxed) >= RESPONSES_BYTES_MAX {
        true => Err(format!("an invocation is answered at most {RESPONSES_BYTES_MAX} bytes in all")),
        false => send(connections, clients, request).await,
    };
    if let Ok(response) = &sent {
        received.fetch_add(response.body.len(), Ordering::Relaxed);
    }
    Ok(told(request, sent))
}

impl Connections {
    /// Sends a request that a replay was allowed to make, though nothing was recorded of it.
    pub async fn fetch(&self, request: &HttpRequest) -> Answer {
        let sent = match self.clients() {
            Ok(clients) => send(self, clients, request).await,
            Err(error) => Err(describe(error)),
        };
        told(request, sent)
    }
}

/// What the guest is answered.
fn told(request: &HttpRequest, sent: Result<HttpResponse, String>) -> Answer {
    match sent {
        Ok(response) => Answer::Http(response),
        Err(reason) => Answer::Failed(EffectError::Refused(format!("connection {}: {reason}", request.connection))),
    }
}

async fn send(connections: &Connections, clients: &Clients, request: &HttpRequest) -> Result<HttpResponse, String> {
    let connection = connections.get(&request.connection).ok_or("the deployment has no such connection")?;
    let client = clients.of(connection)?;
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|_| "the method is no HTTP method".to_owned())?;
    let mut outgoing = client
        .request(method, connection.url_of(&request.path)?)
        .headers(headers(connection, &request.headers)?)
        .body(request.body.clone());
    if let Some(millis) = request.timeout_millis {
        outgoing = outgoing.timeout(Duration::from_millis(millis));
    }
    let response = outgoing.send().await.map_err(describe)?;
    receive(connection, response).await
}

/// The guest's headers, then the connection's. A header of both is refused, so that a guest learns of its mistake.
fn headers(connection: &LiveConnection, own: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in own {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no header name"))?;
        if is_hosts_own(&header) || connection.headers.contains_key(&header) {
            return Err(format!("a function may not set the header {name}"));
        }
        if header == header::CONTENT_LENGTH {
            continue;
        }
        let value = HeaderValue::from_str(value).map_err(|_| format!("the value of header {name} is not valid"))?;
        headers.append(header, value);
    }
    headers.extend(connection.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(headers)
}

async fn receive(connection: &LiveConnection, mut response: reqwest::Response) -> Result<HttpResponse, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(describe)? {
        if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
            return Err(format!("the answer is larger than {RESPONSE_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    let headers = response
        .headers()
        .iter()
        // The length is of the body as it was sent; masks may change it.
        .filter(|(name, _)| !is_hosts_own(name) && **name != header::CONTENT_LENGTH)
        .map(|(name, value)| (name.as_str().to_owned(), connection.mask.bytes(value.as_bytes())))
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()));
    let headers = headers.collect();
    Ok(HttpResponse { status: response.status().as_u16(), headers, body: connection.mask.bytes(&body).into_owned() })
}

/// The innermost cause, without the address: that is the operator's.
fn describe(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match error.is_connect() {
        true => format!("cannot connect: {cause}"),
        false => cause.to_string(),
    }
}
