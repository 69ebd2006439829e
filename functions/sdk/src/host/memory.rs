//! The host of a unit test: one thread's memory, behind the same names as `guest`. `testing` fills it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use crate::http::{Request, Response, Target};
use crate::kv::Denial;
use crate::statistics::Statistics;

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// All that a function can ask for.
#[derive(Default)]
pub struct World {
    pub spaces: BTreeMap<String, Space>,
    pub config: BTreeMap<String, String>,
    /// By method and URL, in the order in which they are given.
    pub answers: BTreeMap<(String, String), VecDeque<Response>>,
    pub requests: Vec<Request>,
    /// By what is asked.
    pub statistics: BTreeMap<Reading, Statistics>,
    /// None: the machine's.
    pub now: Option<SystemTime>,
}

#[derive(Default)]
pub struct Space {
    pub values: BTreeMap<String, Vec<u8>>,
    pub writable: bool,
}

/// Function, component, and the window's two ends.
pub type Reading = (String, String, u64, Option<u64>);

/// The world of this thread.
pub fn world<T>(act: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(act)
}

const KEY_BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub struct Bucket(String);

pub fn open(space: &str) -> Result<Bucket, Denial> {
    let granted = world(|world| world.spaces.contains_key(space));
    if granted { Ok(Bucket(space.to_owned())) } else { Err(Denial::AccessDenied) }
}

impl Bucket {
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Denial> {
        self.read(|values| values.get(key).cloned())
    }

    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Denial> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Denial::Refused(format!("a key has {} bytes, 1 to {KEY_BYTES_MAX} are allowed", key.len())));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(Denial::Refused(format!(
                "the value of key {key} has {} bytes, at most {VALUE_BYTES_MAX} are allowed",
                value.len()
            )));
        }
        self.write(|values| {
            values.insert(key.to_owned(), value.to_vec());
        })
    }

    pub fn delete(&self, key: &str) -> Result<(), Denial> {
        self.write(|values| {
            values.remove(key);
        })
    }

    pub fn exists(&self, key: &str) -> Result<bool, Denial> {
        self.read(|values| values.contains_key(key))
    }

    pub fn increment(&self, key: &str, delta: u64) -> Result<u64, Denial> {
        let value = self.get(key)?.unwrap_or_else(|| b"0".to_vec());
        let number = str::from_utf8(&value).ok().and_then(|text| text.parse::<u64>().ok());
        let number = number.ok_or_else(|| Denial::Refused(format!("the value of key {key} is no number")))?;
        let sum = number.checked_add(delta).ok_or_else(|| Denial::Refused(format!("key {key} would overflow")))?;
        self.set(key, sum.to_string().as_bytes())?;
        Ok(sum)
    }

    pub fn keys(&self) -> Result<Vec<String>, Denial> {
        self.read(|values| values.keys().cloned().collect())
    }

    fn read<T>(&self, act: impl FnOnce(&BTreeMap<String, Vec<u8>>) -> T) -> Result<T, Denial> {
        world(|world| world.spaces.get(&self.0).map(|space| act(&space.values)).ok_or(Denial::NoSuchSpace))
    }

    fn write(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Result<(), Denial> {
        world(|world| match world.spaces.get_mut(&self.0) {
            Some(space) if space.writable => {
                act(&mut space.values);
                Ok(())
            }
            Some(_) => Err(Denial::AccessDenied),
            None => Err(Denial::NoSuchSpace),
        })
    }
}

pub fn config(key: &str) -> Result<Option<String>, String> {
    Ok(world(|world| world.config.get(key).cloned()))
}

pub fn send(request: &Request, target: &Target<'_>) -> Result<Response, String> {
    world(|world| {
        world.requests.push(request.clone());
        let prepared = (request.method.clone(), format!("http://{}{}", target.connection, target.path));
        let answer = world.answers.get_mut(&prepared).and_then(VecDeque::pop_front);
        answer.ok_or_else(|| "the test has no answer for it; give one with `Host::answer`".to_owned())
    })
}

pub fn statistics(function: &str, component: &str, from: u64, to: Option<u64>) -> Result<Statistics, String> {
    let hex = component.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(format!("{component:?} is no digest; it is sha256: and 64 lower-case hex digits"));
    }
    let reading = (function.to_owned(), component.to_owned(), from, to);
    let prepared = world(|world| world.statistics.get(&reading).cloned());
    prepared
        .ok_or_else(|| "the test has none of this component and window; give them with `Host::statistics`".to_owned())
}
