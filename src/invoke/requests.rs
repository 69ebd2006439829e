//! Outgoing requests of guests: a request becomes an effect once its body is whole.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use crate::host::http::{REQUEST_BYTES_MAX, Requests, check_granted, is_hosts_own, normalise};
use crate::host::{Answer, Effect, EffectError, Host, HttpRequest, HttpResponse, Place};

/// Requests of one invocation whose bodies are held at once; the others wait.
const IN_FLIGHT_MAX: usize = 8;
/// Bytes of a body that a guest writes before it has to wait.
const CHUNK_BYTES: usize = 64 * 1024;

type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// Takes a guest's requests to the host.
pub(super) struct Outgoing {
    host: Host,
    requests: Requests,
    in_flight: Arc<Semaphore>,
    /// Set when the guest called what it was not granted: the invocation ends, whatever the guest makes of the error.
    pub(super) not_permitted: Option<String>,
}

impl Outgoing {
    pub(super) fn new(host: &Host) -> Self {
        let requests = Requests::new(host.call().event_key, host.call().function.id);
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        Outgoing { host: host.clone(), requests, in_flight, not_permitted: None }
    }

    /// The request but for its body. The connection is the URL's host, and a port or user is part of no name.
    fn head(&mut self, parts: &Parts, options: Option<RequestOptions>) -> Result<HttpRequest, Error> {
        let connection = parts.uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = normalise(path).map_err(|error| told(error.to_string()))?;
        let mut headers = Vec::new();
        for (name, value) in &parts.headers {
            let text = value.to_str().map_err(|_| told(format!("the value of header {name} is no text")))?;
            headers.push((name.as_str().to_owned(), text.to_owned()));
        }
        let method = parts.method.as_str().to_owned();
        self.requests.stamp(&method, &format!("http://{connection}{path}"), &mut headers);
        let timeout = options.and_then(|options| options.first_byte_timeout);
        let timeout_millis = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        Ok(HttpRequest { method, connection, path, headers, body: Vec::new(), timeout_millis })
    }

    fn refuse(&mut self, head: HttpRequest) -> Error {
        let answer = self.host.perform(Effect::Http(head)).now_or_never();
        if let Some(Ok(Answer::Failed(EffectError::NotPermitted(reason)))) = answer {
            self.not_permitted = Some(reason);
        }
        Error::HttpRequestDenied
    }
}

impl WasiHttpHooks for Outgoing {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_hosts_own(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_hosts_own)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        // As many as a body may have: how far the host has read must not show in what a guest can write next.
        REQUEST_BYTES_MAX / CHUNK_BYTES + 1
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let (parts, body) = request.into_parts();
        let head = match self.head(&parts, options) {
            Ok(head) => head,
            Err(error) => return Box::new(std::future::ready(Err(error))),
        };
        if check_granted(&self.host.call().function, &head.connection).is_err() {
            return Box::new(std::future::ready(Err(self.refuse(head))));
        }
        let place = self.host.begin(Effect::Http(head.clone()));
        let (host, in_flight) = (self.host.clone(), self.in_flight.clone());
        Box::new(async move {
            let _turn = in_flight.acquire().await.expect("the semaphore is never closed");
            send(host, place, head, body).await
        })
    }
}

/// Waits for the body, performs the effect, and hands the answer to the guest.
async fn send(host: Host, place: Place, head: HttpRequest, body: WasiBody) -> Result<Sent, Error> {
    let body = Limited::new(body, REQUEST_BYTES_MAX).collect().await;
    let body =
        body.map_err(|_| told(format!("the request's body is cut short or larger than {REQUEST_BYTES_MAX} bytes")))?;
    let effect = Effect::Http(HttpRequest { body: body.to_bytes().to_vec(), ..head });
    match host.perform_at(place, effect).await {
        Ok(Answer::Http(response)) => Ok((respond(response)?, Box::new(std::future::ready(Ok(()))))),
        Ok(Answer::Failed(EffectError::Refused(reason) | EffectError::NotPermitted(reason))) => Err(told(reason)),
        Ok(_) | Err(_) => Err(told("the host has no answer".to_owned())),
    }
}

fn respond(response: HttpResponse) -> Result<Response<WasiBody>, Error> {
    let mut builder = Response::builder().status(response.status);
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    let body = Full::new(Bytes::from(response.body)).map_err(|never| match never {}).boxed_unsync();
    builder.body(body).map_err(|error| told(error.to_string()))
}

/// An error that carries its text to the guest.
fn told(reason: String) -> Error {
    Error::InternalError(Some(reason))
}
