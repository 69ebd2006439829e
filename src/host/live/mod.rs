//! Live answers, one file for each kind of effect.

mod committed;
mod log;
mod statistics;
mod time;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use super::chance::Chance;
use super::keys::{self, Keys};
use super::{Answer, Call, Effect, HostFault, World, http, lock};
use crate::bus::{KeyRead, KeyWrite};
use committed::OnBus;
use time::Elapsed;

/// Answers from the world, for one attempt.
pub(super) struct Live {
    world: Arc<World>,
    elapsed: Elapsed,
    chance: Mutex<Chance>,
    keys: Mutex<Keys>,
    /// Bytes that HTTP requests were answered.
    received: AtomicUsize,
}

impl Live {
    pub(super) fn new(world: Arc<World>, call: &Call) -> Self {
        Live {
            world,
            elapsed: Elapsed::default(),
            chance: Mutex::new(Chance::new(call.event_key, call.function.id)),
            keys: Mutex::default(),
            received: AtomicUsize::new(0),
        }
    }

    pub(super) async fn answer(&self, call: &Call, effect: &Effect) -> Result<Answer, HostFault> {
        let function = &call.function;
        let answer = match effect {
            Effect::WallClock => self.elapsed.wall_clock(call.wall_start),
            Effect::MonotonicClock => self.elapsed.monotonic_clock(),
            Effect::Random { bytes } => lock(&self.chance).random(*bytes),
            Effect::InsecureRandom { bytes } => lock(&self.chance).insecure_random(*bytes),
            Effect::InsecureSeed => lock(&self.chance).insecure_seed(),
            Effect::Sleep { .. } => Answer::Done,
            Effect::Poll { .. } | Effect::IsReady => {
                unreachable!("the guest's own instance knows what has ended in it")
            }
            Effect::KeyGet { .. }
            | Effect::KeySet { .. }
            | Effect::KeyDelete { .. }
            | Effect::KeyExists { .. }
            | Effect::KeyList { .. }
            | Effect::KeyIncrement { .. } => {
                keys::answer(&OnBus(&*self.world.bus), function, &self.keys, effect).await?
            }
            Effect::ConfigGet { key } => call.config_value(key),
            Effect::ConfigAll => call.config_all(),
            Effect::Log { level, context, message } => log::write(function, *level, context, message),
            Effect::Http(request) => {
                let connections = self.world.connections(function.deployment())?;
                http::answer(&connections, function, &self.received, request).await?
            }
            Effect::Statistics { function: name, component, from, to } => {
                let window = statistics::Window { component: *component, from: *from, to: *to };
                statistics::answer(&*self.world.history, function, name, window).await?
            }
        };
        Ok(answer)
    }

    /// The revisions that were read and the writes; none are left behind.
    pub(super) fn take_keys(&self) -> (Vec<KeyRead>, Vec<KeyWrite>) {
        std::mem::take(&mut *lock(&self.keys)).into_parts()
    }
}
