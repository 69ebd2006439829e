//! Time and chance for guests, each answer through the host: the parts of WASI that would otherwise differ from run to run.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use wasmtime::bail;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::guest::Guest;
use crate::host::{Answer, Effect, EffectError};

impl Guest {
    /// Performs an effect in a call that cannot wait.
    fn perform_now(&mut self, effect: Effect) -> wasmtime::Result<Answer> {
        self.perform(effect).now_or_never().expect("a host never waits for time or chance")
    }

    fn nanoseconds(&mut self, effect: Effect) -> wasmtime::Result<u64> {
        match self.perform_now(effect)? {
            Answer::Nanoseconds(nanoseconds) => Ok(nanoseconds),
            other => unexpected(&other),
        }
    }

    fn bytes(&mut self, effect: Effect) -> wasmtime::Result<Vec<u8>> {
        match self.perform_now(effect)? {
            Answer::Bytes(bytes) => Ok(bytes),
            Answer::Failed(EffectError::Refused(reason)) => bail!(reason),
            other => unexpected(&other),
        }
    }

    fn number(&mut self, effect: Effect) -> wasmtime::Result<u64> {
        match self.bytes(effect)?.try_into() {
            Ok(bytes) => Ok(u64::from_le_bytes(bytes)),
            Err(bytes) => unexpected(&Answer::Bytes(bytes)),
        }
    }

    fn sleep(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.perform_now(Effect::Sleep { nanoseconds })?;
        let now = Instant::now();
        let until = match self.host.time_passes() {
            true => now.checked_add(Duration::from_nanos(nanoseconds)),
            false => Some(now),
        };
        let sleep = self.table.push(Sleep { until })?;
        subscribe(&mut self.table, sleep)
    }
}

/// A host answers each effect with its own kind of answer; a recording that does not is not this invocation's.
pub(super) fn unexpected<T>(answer: &Answer) -> wasmtime::Result<T> {
    bail!("the host gave an answer of another kind: {answer:?}")
}

/// A point in time that a guest waits for; the invocation's time limit ends it where it is too far.
struct Sleep {
    until: Option<Instant>,
}

#[async_trait::async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        match self.until {
            Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
            // A guest that polls without waiting must let others run.
            Some(_) => tokio::task::yield_now().await,
            None => std::future::pending().await,
        }
    }
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let now = Duration::from_nanos(self.nanoseconds(Effect::WallClock)?);
        Ok(wall_clock::Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.nanoseconds(Effect::MonotonicClock)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.nanoseconds(Effect::MonotonicClock)?;
        self.sleep(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.sleep(duration)
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(Effect::Random { bytes })
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number(Effect::Random { bytes: 8 })
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, bytes: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(Effect::InsecureRandom { bytes })
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.number(Effect::InsecureRandom { bytes: 8 })
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        match self.perform_now(Effect::InsecureSeed)? {
            Answer::Seed(low, high) => Ok((low, high)),
            other => unexpected(&other),
        }
    }
}
