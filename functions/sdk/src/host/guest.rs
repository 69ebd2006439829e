//! The host of a component: its imports, behind the same names as `memory`.

use std::time::Duration;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

use self::bindings::tidegate::handler::types as wit;
use self::bindings::wasi::keyvalue::{atomics, store};
use crate::http::{Request, Response, Target};
use crate::kv::Denial;
use crate::statistics::{Bucket as Latency, Statistics};
use crate::{Attribute, Event, Failure, Origin};

pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "function",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_function",
    });
}

mod outcomes {
    wit_bindgen::generate!({ path: "../../wit", world: "tidegate:statistics/imports" });
}

/// Runs an author's function on what the host hands over.
pub fn call(
    handle: fn(Event) -> Result<Vec<Event>, Failure>,
    event: wit::Event,
) -> Result<Vec<wit::Event>, wit::Failure> {
    match handle(event.into()) {
        Ok(events) => Ok(events.into_iter().map(wit::Event::from).collect()),
        Err(failure) => Err(failure.into()),
    }
}

impl From<wit::Event> for Event {
    fn from(event: wit::Event) -> Self {
        let attribute = |value| match value {
            wit::Attribute::Text(text) => Attribute::Text(text),
            wit::Attribute::Integer(number) => Attribute::Integer(number),
            wit::Attribute::Boolean(value) => Attribute::Boolean(value),
        };
        let origin = |origin: wit::Origin| Origin { kind: origin.kind, name: origin.name, verified: origin.verified };
        Event {
            id: event.id,
            source: event.source,
            ty: event.type_,
            subject: event.subject,
            time: event.time,
            datacontenttype: event.datacontenttype,
            dataschema: event.dataschema,
            extensions: event.extensions.into_iter().map(|(name, value)| (name, attribute(value))).collect(),
            data: event.data,
            origin: event.origin.map(origin),
        }
    }
}

impl From<Event> for wit::Event {
    fn from(event: Event) -> Self {
        let attribute = |value| match value {
            Attribute::Text(text) => wit::Attribute::Text(text),
            Attribute::Integer(number) => wit::Attribute::Integer(number),
            Attribute::Boolean(value) => wit::Attribute::Boolean(value),
        };
        wit::Event {
            id: event.id,
            source: event.source,
            specversion: "1.0".to_owned(),
            type_: event.ty,
            subject: event.subject,
            time: event.time,
            datacontenttype: event.datacontenttype,
            dataschema: event.dataschema,
            extensions: event.extensions.into_iter().map(|(name, value)| (name, attribute(value))).collect(),
            data: event.data,
            origin: None,
        }
    }
}

impl From<Failure> for wit::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry { reason, after } => {
                let millis = |after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                wit::Failure::Retry(wit::Retry { reason, after_ms: after.map(millis) })
            }
            Failure::Reject { reason } => wit::Failure::Reject(reason),
        }
    }
}

#[derive(Debug)]
pub struct Bucket(store::Bucket);

pub fn open(space: &str) -> Result<Bucket, Denial> {
    Ok(Bucket(store::open(space)?))
}

impl Bucket {
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Denial> {
        Ok(self.0.get(key)?)
    }

    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Denial> {
        Ok(self.0.set(key, value)?)
    }

    pub fn delete(&self, key: &str) -> Result<(), Denial> {
        Ok(self.0.delete(key)?)
    }

    pub fn exists(&self, key: &str) -> Result<bool, Denial> {
        Ok(self.0.exists(key)?)
    }

    pub fn increment(&self, key: &str, delta: u64) -> Result<u64, Denial> {
        Ok(atomics::increment(&self.0, key, delta)?)
    }

    pub fn keys(&self) -> Result<Vec<String>, Denial> {
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.0.list_keys(cursor)?;
            keys.extend(page.keys);
            if page.cursor.is_none() {
                return Ok(keys);
            }
            cursor = page.cursor;
        }
    }
}

impl From<store::Error> for Denial {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NoSuchStore => Denial::NoSuchSpace,
            store::Error::AccessDenied => Denial::AccessDenied,
            store::Error::Other(reason) => Denial::Refused(reason),
        }
    }
}

pub fn config(key: &str) -> Result<Option<String>, String> {
    use self::bindings::wasi::config::store;
    store::get(key).map_err(|error| match error {
        store::Error::Upstream(reason) | store::Error::Io(reason) => reason,
    })
}

pub fn statistics(function: &str, component: &str, from: u64, to: Option<u64>) -> Result<Statistics, String> {
    use self::outcomes::tidegate::statistics::statistics;
    let counted =
        statistics::read(function, component, from, to).map_err(|statistics::Error::Refused(reason)| reason)?;
    let latency = |bucket: statistics::Bucket| Latency { up_to_micros: bucket.up_to_us, count: bucket.count };
    Ok(Statistics {
        outcomes: counted.outcomes.into_iter().map(|outcome| (outcome.kind, outcome.count)).collect(),
        latency: counted.latency.into_iter().map(latency).collect(),
        position: counted.position,
    })
}

#[cfg(feature = "logging")]
pub fn log(level: crate::log::Level, message: &str) {
    use self::bindings::wasi::logging::logging;
    let level = match level {
        crate::log::Level::Debug => logging::Level::Debug,
        crate::log::Level::Info => logging::Level::Info,
        crate::log::Level::Warn => logging::Level::Warn,
        crate::log::Level::Error => logging::Level::Error,
    };
    logging::log(level, "", message);
}

/// One write to a body's stream, by the contract of `blocking-write-and-flush`.
const WRITE_BYTES_MAX: usize = 4096;
const READ_BYTES_MAX: u64 = 64 * 1024;

pub fn send(request: &Request, target: &Target<'_>) -> Result<Response, String> {
    let (outgoing, body) = outgoing(request, target)?;
    let options = RequestOptions::new();
    if let Some(timeout) = request.timeout {
        let nanos = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        options.set_first_byte_timeout(Some(nanos)).map_err(|()| "the time limit was refused".to_owned())?;
    }
    let answer = outgoing_handler::handle(outgoing, Some(options)).map_err(told)?;
    write(body, &request.body)?;
    answer.subscribe().block();
    let response = answer.get().and_then(Result::ok).ok_or("the answer was not there")?.map_err(told)?;
    let headers = response.headers().entries();
    let text =
        |(name, value): (String, Vec<u8>)| (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned());
    Ok(Response { status: response.status(), headers: headers.into_iter().map(text).collect(), body: read(&response)? })
}

fn outgoing(request: &Request, target: &Target<'_>) -> Result<(OutgoingRequest, OutgoingBody), String> {
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| (name.clone(), value.as_bytes().to_vec())).collect();
    let headers = Fields::from_list(&headers).map_err(|error| format!("a header was refused: {error}"))?;
    let outgoing = OutgoingRequest::new(headers);
    let refused = |what: &'static str| move |()| format!("the {what} was refused");
    outgoing.set_method(&method(&request.method)).map_err(refused("method"))?;
    outgoing.set_scheme(Some(&Scheme::Http)).map_err(refused("scheme"))?;
    outgoing.set_authority(Some(target.connection)).map_err(refused("connection's name"))?;
    outgoing.set_path_with_query(Some(target.path)).map_err(refused("path"))?;
    let body = outgoing.body().map_err(refused("body"))?;
    Ok((outgoing, body))
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    }
}

fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), String> {
    if !bytes.is_empty() {
        let stream = body.write().map_err(|()| "the body could not be written".to_owned())?;
        for part in bytes.chunks(WRITE_BYTES_MAX) {
            stream.blocking_write_and_flush(part).map_err(|error| format!("the body could not be sent: {error}"))?;
        }
    }
    OutgoingBody::finish(body, None).map_err(told)
}

fn read(response: &IncomingResponse) -> Result<Vec<u8>, String> {
    let unreadable = |()| "the answer's body could not be read".to_owned();
    let body: IncomingBody = response.consume().map_err(unreadable)?;
    let stream = body.stream().map_err(unreadable)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES_MAX) {
            Ok(part) => bytes.extend_from_slice(&part),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(error) => return Err(format!("the answer's body broke off: {error}")),
        }
    }
}

fn told(error: ErrorCode) -> String {
    match error {
        ErrorCode::InternalError(Some(reason)) => reason,
        other => other.to_string(),
    }
}
