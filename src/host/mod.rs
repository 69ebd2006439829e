//! The host: everything a function can ask of the world, as values, through one seam.
//!
//! `Host::perform` is the only place that knows live from replay. Every effect and its answer goes into the journal, in
//! order; the journal is stored with the settlement, so that a replay can answer from it. A new effect is one variant
//! and one live file.

mod effect;
mod journal;
mod live;

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Url;

pub use effect::{Answer, Effect, EffectError, HttpRequest, HttpResponse, LogLevel};
pub use journal::{Entry, Journal};

use crate::bus::{Bus, BusError, Delivery, KeyRead, KeyWrite};
use crate::clock::Clock;

/// What every live host of a process shares.
pub struct World {
    pub bus: Arc<dyn Bus>,
    pub clock: Clock,
    pub connections: Connections,
}

/// The connections of the active deployment with their secrets, by name.
pub struct Connections {
    /// Base URL, headers that the host adds (their values are masked in answers), whether private addresses may be dialled.
    pub by_name: dashmap::DashMap<String, LiveConnection>,
    pub client: reqwest::Client,
}

pub struct LiveConnection {
    pub url: Url,
    pub headers: BTreeMap<String, String>,
    pub private: bool,
}

/// Answers the effects of one invocation and keeps its journal.
pub struct Host {}

/// A fault of ours while an effect was answered: no outcome, no attempt.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    #[error("an effect could not be answered")]
    Bus(#[from] BusError),
}

/// What an invocation leaves behind.
pub struct Trail {
    pub journal: Journal,
    pub reads: Vec<KeyRead>,
    pub writes: Vec<KeyWrite>,
}

impl Host {
    /// Answers from the world, for this delivery's function and its grants.
    pub fn live(_world: Arc<World>, _delivery: &Delivery) -> Self {
        todo!()
    }

    /// The one seam: live or replay, every effect passes here and into the journal.
    pub async fn perform(&mut self, _effect: Effect) -> Result<Answer, HostFault> {
        todo!()
    }

    pub fn into_trail(self) -> Trail {
        todo!()
    }
}
