//! Key-value state: what a function remembers between events. Needs the grant `keyvalue`.
//!
//! Reads see the invocation's own writes. Writes are committed with the settlement, and only if no key that was read has
//! changed meanwhile; else the function runs again, so that reading and then writing loses nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::host;

/// A key space that was opened.
#[derive(Debug)]
pub struct KeySpace {
    name: String,
    bucket: host::Bucket,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("key space {space} does not exist")]
    NoSuchSpace { space: String },
    #[error("key space {space} is not granted for this; add it to grants.keyvalue of the function")]
    AccessDenied { space: String },
    /// A limit: a key of at most 512 B, a value of 256 KiB, 1,000 writes in an invocation.
    #[error("key space {space}: {reason}")]
    Refused { space: String, reason: String },
    #[error("the value of key {key} in key space {space} is not what the function reads: {source}")]
    Json { space: String, key: String, source: serde_json::Error },
}

/// What the host says is wrong, before the key space is named.
pub(crate) enum Denial {
    NoSuchSpace,
    AccessDenied,
    Refused(String),
}

/// Opens a key space by the name that stands in the function's grants.
pub fn open(space: &str) -> Result<KeySpace, Error> {
    let bucket = host::open(space).map_err(|denial| named(space, denial))?;
    Ok(KeySpace { name: space.to_owned(), bucket })
}

impl KeySpace {
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.bucket.get(key).map_err(|denial| named(&self.name, denial))
    }

    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.bucket.set(key, value).map_err(|denial| named(&self.name, denial))
    }

    /// A value that was written by [`KeySpace::set_json`].
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let value = self.get(key)?;
        value.map(|value| serde_json::from_slice(&value)).transpose().map_err(|source| self.json(key, source))
    }

    pub fn set_json(&self, key: &str, value: &impl Serialize) -> Result<(), Error> {
        let value = serde_json::to_vec(value).map_err(|source| self.json(key, source))?;
        self.set(key, &value)
    }

    /// A key without a value is no error.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        self.bucket.delete(key).map_err(|denial| named(&self.name, denial))
    }

    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        self.bucket.exists(key).map_err(|denial| named(&self.name, denial))
    }

    /// Adds to a number, from 0, and answers the sum. It is kept as decimal text.
    pub fn increment(&self, key: &str, delta: u64) -> Result<u64, Error> {
        self.bucket.increment(key, delta).map_err(|denial| named(&self.name, denial))
    }

    /// Every key, in order. The invocation conflicts with whoever adds or removes one meanwhile: prefer keys that can be
    /// computed.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        self.bucket.keys().map_err(|denial| named(&self.name, denial))
    }

    fn json(&self, key: &str, source: serde_json::Error) -> Error {
        Error::Json { space: self.name.clone(), key: key.to_owned(), source }
    }
}

fn named(space: &str, denial: Denial) -> Error {
    let space = space.to_owned();
    match denial {
        Denial::NoSuchSpace => Error::NoSuchSpace { space },
        Denial::AccessDenied => Error::AccessDenied { space },
        Denial::Refused(reason) => Error::Refused { space, reason },
    }
}
