//! Uses every interface of the contract. `tests/fixtures/handler-0.1.0.wasm` was built of this and must run for ever: when
//! the contract grows, another component is stored beside it.

#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({ path: "../../../wit", world: "function", generate_all });

use wasi::keyvalue::{atomics, batch, store};
use wasi::logging::logging;

struct Frozen;

export!(Frozen);

impl Guest for Frozen {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        let told = |error: store::Error| Failure::Reject(format!("{error:?}"));
        let greeting = wasi::config::store::get("greeting").ok().flatten();
        let greeting = greeting.ok_or_else(|| Failure::Reject("no greeting is configured".to_owned()))?;
        logging::log(logging::Level::Info, "frozen", &greeting);

        let bucket = store::open("frozen").map_err(told)?;
        let seen = atomics::increment(&bucket, "seen", 1).map_err(told)?;
        bucket.set("last", event.id.as_bytes()).map_err(told)?;
        let known = batch::get_many(&bucket, &["last".to_owned(), "none".to_owned()]).map_err(told)?;
        let known = known.iter().flatten().count();
        let keys = bucket.list_keys(None).map_err(told)?.keys;

        let origin = event.origin.as_ref().map(|origin| origin.kind.clone()).unwrap_or_default();
        let answer = format!("{greeting} {origin} {seen} {known} {}", keys.join(","));
        Ok(vec![Event {
            id: String::new(),
            source: String::new(),
            time: None,
            origin: None,
            // The chain's attributes are the host's.
            extensions: Vec::new(),
            type_: "test.done".to_owned(),
            data: Some(answer.into_bytes()),
            ..event
        }])
    }
}
