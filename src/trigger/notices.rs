//! What doors tell the loops of this process: that an object came, so that a bucket need not be listed to find it.
//!
//! Nothing is promised: what is not heard is found by the next listing.

use tokio::sync::broadcast;

use super::s3;
use crate::bus::Receipt;
use crate::deployment::Sender;
use crate::event::{Event, Position};

/// Notices that a slow loop may be behind.
const BEHIND_MAX: usize = 1024;

/// Cheap to clone: all clones are one.
#[derive(Debug, Clone)]
pub struct Notices(broadcast::Sender<Notice>);

/// An object that came, and where in the log a notification says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub bucket: String,
    pub key: String,
    pub position: Position,
}

/// Objects that a request's events name, each at the place of its event.
#[derive(Debug)]
pub struct Objects(Vec<(usize, String, String)>);

impl Default for Notices {
    fn default() -> Self {
        Notices(broadcast::Sender::new(BEHIND_MAX))
    }
}

impl Notices {
    /// The objects that came, by events that a door is about to publish; none where nobody listens.
    pub fn objects(&self, sender: Sender, events: &[Event]) -> Objects {
        let heard = if sender == Sender::S3 && self.are_heard() { events } else { &[] };
        let named = heard.iter().enumerate().filter_map(|(place, event)| {
            let (bucket, key) = s3::created(event)?;
            Some((place, bucket, key))
        });
        Objects(named.collect())
    }

    /// Tells of objects once the events that name them are in the log.
    pub fn tell(&self, Objects(objects): Objects, receipts: &[Receipt]) {
        for (place, bucket, key) in objects {
            if let Some(position) = receipts.get(place).and_then(|receipt| receipt.position) {
                // Whoever listened may be gone.
                let _ = self.0.send(Notice { bucket, key, position });
            }
        }
    }

    /// Whether any loop listens.
    pub(super) fn are_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}
