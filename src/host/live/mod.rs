//! Live answers, one file for each kind of effect.

mod chance;
mod keys;
mod log;
mod statistics;
mod time;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

pub use keys::{KEY_BYTES_MAX, KEYS_READ_MAX, VALUE_BYTES_MAX, WRITES_MAX};

use super::{Answer, Effect, HostFault, World, http, lock};
use crate::bus::{Delivery, KeyRead, KeyWrite};
use crate::clock::Timestamp;
use crate::deployment::{DeployedFunction, Function};
use crate::event::EventKey;
use chance::Chance;
use keys::Keys;
use time::Elapsed;

/// Answers from the world, for one attempt.
pub(super) struct Live {
    pub(super) event_key: EventKey,
    pub(super) wall_start: Timestamp,
    world: Arc<World>,
    function: DeployedFunction,
    elapsed: Elapsed,
    chance: Mutex<Chance>,
    keys: Mutex<Keys>,
    /// Bytes that HTTP requests were answered.
    received: AtomicUsize,
}

impl Live {
    pub(super) fn new(world: Arc<World>, delivery: &Delivery) -> Self {
        let event_key = EventKey::of(&delivery.event.event);
        Live {
            event_key,
            wall_start: delivery.first_attempt_at,
            world,
            function: delivery.function.clone(),
            elapsed: Elapsed::default(),
            chance: Mutex::new(Chance::new(event_key, delivery.function.id)),
            keys: Mutex::default(),
            received: AtomicUsize::new(0),
        }
    }

    pub(super) fn function(&self) -> &Function {
        &self.function
    }

    pub(super) async fn answer(&self, effect: &Effect) -> Result<Answer, HostFault> {
        let answer = match effect {
            Effect::WallClock => self.elapsed.wall_clock(self.wall_start),
            Effect::MonotonicClock => self.elapsed.monotonic_clock(),
            Effect::Random { bytes } => lock(&self.chance).random(*bytes),
            Effect::InsecureRandom { bytes } => lock(&self.chance).insecure_random(*bytes),
            Effect::InsecureSeed => lock(&self.chance).insecure_seed(),
            Effect::KeyGet { .. }
            | Effect::KeySet { .. }
            | Effect::KeyDelete { .. }
            | Effect::KeyExists { .. }
            | Effect::KeyList { .. }
            | Effect::KeyIncrement { .. } => {
                keys::answer(&*self.world.bus, self.function(), &self.keys, effect).await?
            }
            Effect::ConfigGet { key } => Answer::Text(self.function().config.get(key).map(|value| value.text.clone())),
            Effect::ConfigAll => {
                let config = &self.function().config;
                Answer::Pairs(config.iter().map(|(key, value)| (key.clone(), value.text.clone())).collect())
            }
            Effect::Log { level, context, message } => log::write(self.function(), *level, context, message),
            Effect::Http(request) => {
                let connections = self.world.connections(self.function.deployment())?;
                http::answer(&connections, self.function(), &self.received, request).await?
            }
            Effect::Statistics { function, component, from, to } => {
                let window = statistics::Window { component: *component, from: *from, to: *to };
                statistics::answer(&*self.world.history, &self.function, function, window).await?
            }
        };
        Ok(answer)
    }

    /// The revisions that were read and the writes; none are left behind.
    pub(super) fn take_keys(&self) -> (Vec<KeyRead>, Vec<KeyWrite>) {
        std::mem::take(&mut *lock(&self.keys)).into_parts()
    }
}
