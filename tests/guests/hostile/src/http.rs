//! Requests. The answer, or why there is none, is told as text.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, FutureIncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme};

/// `AUTHORITY/PATH` or `AUTHORITY/PATH BODY`; with a body it is a POST.
pub fn get(target: &str) -> String {
    let (url, body) = target.split_once(' ').unwrap_or((target, ""));
    let at = url.find('/').unwrap_or(url.len());
    match request(&url[..at], &url[at..], body, Fields::new()) {
        Ok(answer) => answer,
        Err(error) => format!("error: {error:?}"),
    }
}

/// `NAME`: tries to set that header on a request to the connection `peer`.
pub fn set_header(name: &str) -> String {
    let headers = Fields::new();
    if let Err(error) = headers.set(name, &[b"mine".to_vec()]) {
        return format!("refused at once: {error:?}");
    }
    match request("peer", "/", "", headers) {
        Ok(answer) => answer,
        Err(error) => format!("error: {error:?}"),
    }
}

/// Sends `AUTHORITY/PATH` and does not wait.
pub fn send(target: &str) -> FutureIncomingResponse {
    let at = target.find('/').unwrap_or(target.len());
    begin(&target[..at], &target[at..], "", Fields::new()).expect("the request is valid and granted")
}

/// What a request that is ready was answered.
pub fn answer(future: FutureIncomingResponse) -> String {
    read(future).unwrap_or_else(|error| format!("error: {error:?}"))
}

fn request(authority: &str, path: &str, body: &str, headers: Fields) -> Result<String, ErrorCode> {
    let future = begin(authority, path, body, headers)?;
    future.subscribe().block();
    read(future)
}

fn begin(authority: &str, path: &str, body: &str, headers: Fields) -> Result<FutureIncomingResponse, ErrorCode> {
    let request = OutgoingRequest::new(headers);
    let method = if body.is_empty() { Method::Get } else { Method::Post };
    request.set_method(&method).expect("the method is valid");
    request.set_scheme(Some(&Scheme::Http)).expect("the scheme is valid");
    request.set_authority(Some(authority)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    request.set_path_with_query(Some(path)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let outgoing = request.body().expect("a body is taken once");
    let future = handle(request, None)?;
    if !body.is_empty() {
        let stream = outgoing.write().expect("a stream is taken once");
        stream.blocking_write_and_flush(body.as_bytes()).expect("the body is written");
    }
    OutgoingBody::finish(outgoing, None)?;
    Ok(future)
}

fn read(future: FutureIncomingResponse) -> Result<String, ErrorCode> {
    let response = future.get().expect("it is ready").expect("it is taken once")?;
    let status = response.status();
    let mut headers: Vec<String> = response
        .headers()
        .entries()
        .into_iter()
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(&value)))
        .collect();
    headers.sort();
    let incoming = response.consume().expect("a body is consumed once");
    let stream = incoming.stream().expect("a stream is taken once");
    let mut answer = Vec::new();
    while let Ok(chunk) = stream.blocking_read(65_536) {
        answer.extend(chunk);
    }
    Ok(format!("{status} {} {}", headers.join(" "), String::from_utf8_lossy(&answer)))
}
