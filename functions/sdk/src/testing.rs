//! A host of memory for unit tests, so that a function is tested as the plain Rust function that it is.
//!
//! ```
//! use tidegate_sdk::{Event, config, kv, testing::Host};
//!
//! let host = Host::new().key_space("counts").config("step", "2");
//! let step = config::get("step")?;
//! assert_eq!(kv::open("counts")?.increment("hello", step)?, 2);
//! assert_eq!(host.get("counts", "hello"), Some(b"2".to_vec()));
//! # Ok::<(), tidegate_sdk::Failure>(())
//! ```
//!
//! It is no simulation of settlement: what a failed call wrote stays written.

use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::host::{Space, World, world};
use crate::http::{Request, Response};
use crate::statistics::{Bucket, Statistics};
use crate::{Attribute, Event};

/// What the functions that this thread calls ask. Dropping it takes everything away again.
#[derive(Debug)]
pub struct Host {
    /// It is bound to its thread.
    here: PhantomData<*const ()>,
}

impl Host {
    /// A host that grants nothing, in place of what this thread had.
    #[must_use]
    pub fn new() -> Self {
        world(|world| *world = World::default());
        Host { here: PhantomData }
    }

    /// Grants a key space for reading and writing.
    #[must_use]
    pub fn key_space(self, name: &str) -> Self {
        world(|world| world.spaces.entry(name.to_owned()).or_default().writable = true);
        self
    }

    /// Puts a value into a key space, which without [`Host::key_space`] is granted for reading only.
    #[must_use]
    pub fn value(self, space: &str, key: &str, value: &[u8]) -> Self {
        world(|world| space_of(world, space).values.insert(key.to_owned(), value.to_vec()));
        self
    }

    /// Like [`Host::value`], as JSON.
    ///
    /// # Panics
    /// If the value has no JSON form.
    #[must_use]
    pub fn json(self, space: &str, key: &str, value: &impl Serialize) -> Self {
        let value = serde_json::to_vec(value).expect("a test's value has a JSON form");
        self.value(space, key, &value)
    }

    #[must_use]
    pub fn config(self, key: &str, text: &str) -> Self {
        world(|world| world.config.insert(key.to_owned(), text.to_owned()));
        self
    }

    /// What the clock says from now on.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        world(|world| world.now = Some(now));
        self
    }

    /// Answers the next request of this method and URL that has no answer yet.
    #[must_use]
    pub fn answer(self, method: &str, url: &str, status: u16, body: &[u8]) -> Self {
        self.answer_with(method, url, Response { status, headers: Vec::new(), body: body.to_vec() })
    }

    /// Like [`Host::answer`], with headers, whose names are in lower case.
    #[must_use]
    pub fn answer_with(self, method: &str, url: &str, response: Response) -> Self {
        world(|world| world.answers.entry((method.to_owned(), url.to_owned())).or_default().push_back(response));
        self
    }

    /// Grants a reading of a function's statistics, and answers it: of this component and from and to these positions, as in
    /// [`statistics::read`](crate::statistics::read). Given again, the later ones count.
    #[must_use]
    pub fn statistics(
        self,
        function: &str,
        component: &str,
        from: u64,
        to: Option<u64>,
        statistics: Statistics,
    ) -> Self {
        let reading = (function.to_owned(), component.to_owned(), from, to);
        world(|world| world.statistics.insert(reading, statistics));
        self
    }

    /// What a key holds now.
    pub fn get(&self, space: &str, key: &str) -> Option<Vec<u8>> {
        world(|world| world.spaces.get(space)?.values.get(key).cloned())
    }

    /// What a key holds now, read as JSON.
    ///
    /// # Panics
    /// If it is not what is asked for.
    pub fn get_json<T: DeserializeOwned>(&self, space: &str, key: &str) -> Option<T> {
        self.get(space, key).map(|value| serde_json::from_slice(&value).expect("the value is what the test reads"))
    }

    /// Every request that was sent, in order.
    pub fn requests(&self) -> Vec<Request> {
        world(|world| world.requests.clone())
    }
}

impl Default for Host {
    fn default() -> Self {
        Host::new()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        world(|world| *world = World::default());
    }
}

impl Statistics {
    /// Adds events that ended alike, after a last attempt of this length.
    #[must_use]
    pub fn ended(mut self, kind: &str, count: u64, ran: Duration) -> Self {
        *self.outcomes.entry(kind.to_owned()).or_default() += count;
        let up_to_micros = u64::try_from(ran.as_micros()).unwrap_or(u64::MAX);
        match self.latency.binary_search_by_key(&up_to_micros, |bucket| bucket.up_to_micros) {
            Ok(index) => self.latency[index].count += count,
            Err(index) => self.latency.insert(index, Bucket { up_to_micros, count }),
        }
        self
    }
}

fn space_of<'a>(world: &'a mut World, name: &str) -> &'a mut Space {
    world.spaces.entry(name.to_owned()).or_default()
}

/// An event from CloudEvents JSON, such as a project's `sample-event.json`.
///
/// # Panics
/// If the text is no CloudEvent.
pub fn event(json: &str) -> Event {
    let mut attributes: Map<String, Value> = serde_json::from_str(json).expect("an event is a JSON object");
    attributes.remove("specversion");
    let data = attributes.remove("data").map(|data| data.to_string().into_bytes());
    let mut take = |name: &str| match attributes.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(other) => panic!("attribute {name} is {other}, not text"),
        None => None,
    };
    let mut event = Event {
        id: take("id").unwrap_or_default(),
        source: take("source").unwrap_or_default(),
        ty: take("type").expect("an event has a type"),
        subject: take("subject"),
        time: take("time"),
        datacontenttype: take("datacontenttype"),
        dataschema: take("dataschema"),
        data,
        ..Event::default()
    };
    event.extensions = attributes.into_iter().map(|(name, value)| (name.clone(), attribute(&name, value))).collect();
    event
}

fn attribute(name: &str, value: Value) -> Attribute {
    match value {
        Value::String(text) => Attribute::Text(text),
        Value::Bool(value) => Attribute::Boolean(value),
        Value::Number(number) => {
            let small = number.as_i64().and_then(|number| i32::try_from(number).ok());
            Attribute::Integer(small.unwrap_or_else(|| panic!("attribute {name} is {number}, not a 32-bit integer")))
        }
        other => panic!("attribute {name} is {other}, which no attribute can be"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, kv};

    #[test]
    fn only_what_was_granted_can_be_had() {
        let _host = Host::new().key_space("counts").value("releases", "shop", b"1");
        assert!(matches!(kv::open("other"), Err(kv::Error::AccessDenied { .. })));
        let releases = kv::open("releases").unwrap();
        assert_eq!(releases.get("shop").unwrap(), Some(b"1".to_vec()));
        assert!(matches!(releases.set("shop", b"2"), Err(kv::Error::AccessDenied { .. })));
        let counts = kv::open("counts").unwrap();
        assert!(matches!(counts.set(&"k".repeat(513), b""), Err(kv::Error::Refused { .. })));
        assert!(matches!(counts.set("k", &vec![0; 256 * 1024 + 1]), Err(kv::Error::Refused { .. })));
    }

    #[test]
    fn values_are_kept_listed_and_deleted() {
        let host = Host::new().key_space("counts");
        let counts = kv::open("counts").unwrap();
        counts.set_json("b", &[1, 2]).unwrap();
        assert_eq!(counts.increment("a", 2).unwrap(), 2);
        assert_eq!(counts.increment("a", 3).unwrap(), 5);
        assert_eq!(counts.keys().unwrap(), ["a", "b"]);
        assert_eq!(counts.get_json::<Vec<u8>>("b").unwrap(), Some(vec![1, 2]));
        assert!(matches!(counts.increment("b", 1), Err(kv::Error::Refused { .. })));
        assert!(matches!(counts.get_json::<String>("b"), Err(kv::Error::Json { .. })));
        counts.delete("b").unwrap();
        assert!(!counts.exists("b").unwrap());
        assert_eq!(host.get_json::<u64>("counts", "a"), Some(5));
    }

    #[test]
    fn requests_are_answered_in_order_and_remembered() {
        let host =
            Host::new().answer("GET", "http://github/rate", 503, b"").answer("GET", "http://github/rate", 200, b"7");
        let ask = || Request::get("http://github/rate").header("Accept", "text/plain").send_ok();
        assert!(matches!(Failure::from(ask().unwrap_err()), Failure::Retry { .. }));
        assert_eq!(ask().unwrap().json::<u8>().unwrap(), 7);
        assert!(ask().unwrap_err().to_string().contains("the test has no answer for it"));
        assert_eq!(host.requests().len(), 3);
        assert_eq!(host.requests()[0].headers, [("accept".to_owned(), "text/plain".to_owned())]);
    }

    #[test]
    fn the_clock_stands_where_the_test_puts_it() {
        let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(7);
        let _host = Host::new().at(then);
        assert_eq!(crate::clock::now(), then);
    }

    #[test]
    fn a_sample_event_is_read_as_a_sender_wrote_it() {
        let event = event(r#"{"specversion": "1.0", "id": "7", "source": "s", "type": "t", "n": 3, "data": {"a": 1}}"#);
        assert_eq!((event.id.as_str(), event.source.as_str(), event.ty.as_str()), ("7", "s", "t"));
        assert_eq!(event.extensions["n"], Attribute::Integer(3));
        assert_eq!(event.data::<Value>().unwrap()["a"], 1);
    }
}
