//! Key-value, configuration, logging and statistics for guests: each call is an effect.

use wasmtime::Result;
use wasmtime::component::Resource;

use super::base::unexpected;
use super::bindings::statistics::tidegate::statistics::statistics;
use super::bindings::wasi::config::store as config;
use super::bindings::wasi::keyvalue::{atomics, batch, store};
use super::bindings::wasi::logging::logging;
use super::guest::Guest;
use crate::bus::Statistics;
use crate::deployment::{Digest, DigestError};
use crate::host::{Answer, Effect, EffectError, KEY_BYTES_MAX, LogLevel};

/// A key space that a guest has opened.
pub struct Bucket {
    space: String,
    /// Where each listing that was handed a cursor goes on; the cursor is the place in this list.
    pages: Vec<String>,
}

/// A guest's share of what the host keeps for its open handles.
const PAGES_MAX: usize = 10_000;

type Handle = Resource<Bucket>;

impl Guest {
    fn space(&self, bucket: &Handle) -> Result<String> {
        Ok(self.table.get(bucket)?.space.clone())
    }

    async fn get_key(&mut self, space: String, key: String) -> Result<Result<Option<Vec<u8>>, store::Error>> {
        match self.perform(Effect::KeyGet { space, key }).await? {
            Answer::Value(value) => Ok(Ok(value)),
            other => refused(other),
        }
    }

    async fn done(&mut self, effect: Effect) -> Result<Result<(), store::Error>> {
        match self.perform(effect).await? {
            Answer::Done => Ok(Ok(())),
            other => refused(other),
        }
    }
}

/// What the guest is told of a refusal.
fn refused<T>(answer: Answer) -> Result<Result<T, store::Error>> {
    match answer {
        Answer::Failed(EffectError::Refused(reason)) => Ok(Err(store::Error::Other(reason))),
        other => unexpected(&other),
    }
}

impl store::Host for Guest {
    async fn open(&mut self, space: String) -> Result<Result<Handle, store::Error>> {
        if space.len() > KEY_BYTES_MAX {
            return Ok(Err(store::Error::NoSuchStore));
        }
        // The first use tells whether it was granted: reading and writing are granted apart.
        Ok(Ok(self.table.push(Bucket { space, pages: Vec::new() })?))
    }
}

impl store::HostBucket for Guest {
    async fn get(&mut self, bucket: Handle, key: String) -> Result<Result<Option<Vec<u8>>, store::Error>> {
        let space = self.space(&bucket)?;
        self.get_key(space, key).await
    }

    async fn set(&mut self, bucket: Handle, key: String, value: Vec<u8>) -> Result<Result<(), store::Error>> {
        let space = self.space(&bucket)?;
        self.done(Effect::KeySet { space, key, value }).await
    }

    async fn delete(&mut self, bucket: Handle, key: String) -> Result<Result<(), store::Error>> {
        let space = self.space(&bucket)?;
        self.done(Effect::KeyDelete { space, key }).await
    }

    async fn exists(&mut self, bucket: Handle, key: String) -> Result<Result<bool, store::Error>> {
        let space = self.space(&bucket)?;
        match self.perform(Effect::KeyExists { space, key }).await? {
            Answer::Exists(exists) => Ok(Ok(exists)),
            other => refused(other),
        }
    }

    async fn list_keys(
        &mut self,
        bucket: Handle,
        cursor: Option<u64>,
    ) -> Result<Result<store::KeyResponse, store::Error>> {
        let opened = self.table.get(&bucket)?;
        let page = |cursor| usize::try_from(cursor).ok().and_then(|cursor: usize| opened.pages.get(cursor).cloned());
        let after = match cursor.map(page) {
            Some(None) => return Ok(Err(store::Error::Other("the cursor is of no listing of this bucket".to_owned()))),
            Some(after) => after,
            None => None,
        };
        let space = opened.space.clone();
        match self.perform(Effect::KeyList { space, after }).await? {
            Answer::Keys { keys, next } => {
                let pages = &mut self.table.get_mut(&bucket)?.pages;
                if pages.len() >= PAGES_MAX {
                    return Ok(Err(store::Error::Other(format!("a bucket is listed in at most {PAGES_MAX} pages"))));
                }
                let cursor = next.map(|next| {
                    pages.push(next);
                    pages.len() as u64 - 1
                });
                Ok(Ok(store::KeyResponse { keys, cursor }))
            }
            other => refused(other),
        }
    }

    async fn drop(&mut self, bucket: Handle) -> Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for Guest {
    async fn increment(&mut self, bucket: Handle, key: String, delta: u64) -> Result<Result<u64, store::Error>> {
        let space = self.space(&bucket)?;
        // Two's complement both ways: a guest that counts down adds a negative number.
        match self.perform(Effect::KeyIncrement { space, key, delta: delta.cast_signed() }).await? {
            Answer::Number(sum) => Ok(Ok(sum.cast_unsigned())),
            other => refused(other),
        }
    }
}

type Pair = (String, Vec<u8>);

impl batch::Host for Guest {
    async fn get_many(&mut self, bucket: Handle, keys: Vec<String>) -> Result<Result<Vec<Option<Pair>>, store::Error>> {
        let space = self.space(&bucket)?;
        let mut pairs = Vec::new();
        for key in keys {
            match self.get_key(space.clone(), key.clone()).await? {
                Ok(value) => pairs.push(value.map(|value| (key, value))),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(pairs))
    }

    async fn set_many(&mut self, bucket: Handle, pairs: Vec<Pair>) -> Result<Result<(), store::Error>> {
        let space = self.space(&bucket)?;
        for (key, value) in pairs {
            if let Err(error) = self.done(Effect::KeySet { space: space.clone(), key, value }).await? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    async fn delete_many(&mut self, bucket: Handle, keys: Vec<String>) -> Result<Result<(), store::Error>> {
        let space = self.space(&bucket)?;
        for key in keys {
            if let Err(error) = self.done(Effect::KeyDelete { space: space.clone(), key }).await? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}

impl config::Host for Guest {
    async fn get(&mut self, key: String) -> Result<Result<Option<String>, config::Error>> {
        match self.perform(Effect::ConfigGet { key }).await? {
            Answer::Text(text) => Ok(Ok(text)),
            other => unexpected(&other),
        }
    }

    async fn get_all(&mut self) -> Result<Result<Vec<(String, String)>, config::Error>> {
        match self.perform(Effect::ConfigAll).await? {
            Answer::Pairs(pairs) => Ok(Ok(pairs)),
            other => unexpected(&other),
        }
    }
}

impl logging::Host for Guest {
    async fn log(&mut self, level: logging::Level, context: String, message: String) -> Result<()> {
        let level = match level {
            logging::Level::Trace => LogLevel::Trace,
            logging::Level::Debug => LogLevel::Debug,
            logging::Level::Info => LogLevel::Info,
            logging::Level::Warn => LogLevel::Warn,
            logging::Level::Error => LogLevel::Error,
            logging::Level::Critical => LogLevel::Critical,
        };
        self.perform(Effect::Log { level, context, message }).await?;
        Ok(())
    }
}

impl statistics::Host for Guest {
    async fn read(
        &mut self,
        function: String,
        component_digest: String,
        from: u64,
        to: Option<u64>,
    ) -> Result<Result<statistics::Stats, statistics::Error>> {
        let component: Digest = match component_digest.parse() {
            Ok(component) => component,
            Err(error @ DigestError { .. }) => return Ok(Err(statistics::Error::Refused(error.to_string()))),
        };
        match self.perform(Effect::Statistics { function, component, from, to }).await? {
            Answer::Statistics(counted) => Ok(Ok(told(counted))),
            Answer::Failed(EffectError::Refused(reason)) => Ok(Err(statistics::Error::Refused(reason))),
            other => unexpected(&other),
        }
    }
}

fn told(counted: Statistics) -> statistics::Stats {
    let delivered = ("delivered", counted.delivered);
    let dead_lettered = counted.dead_lettered.iter().map(|(kind, count)| (kind.as_str(), *count));
    let outcomes = std::iter::once(delivered).filter(|(_, count)| *count > 0).chain(dead_lettered);
    let outcomes = outcomes.map(|(kind, count)| statistics::Outcome { kind: kind.to_owned(), count });
    let bucket =
        |bucket: &crate::bus::Bucket| statistics::Bucket { up_to_us: bucket.up_to_micros, count: bucket.count };
    statistics::Stats {
        outcomes: outcomes.collect(),
        latency: counted.latency.iter().map(bucket).collect(),
        position: counted.position,
    }
}
