//! Which deliveries were out when the process died.
//!
//! A file of fixed slots. A slot is written when a delivery is handed out and cleared when it comes back, without a
//! sync: the page cache outlives the process. After a power cut slots may be stale; the fence in the log tells. A slot is
//! never half of one and half of another, since each lies in one sector of the disk.
//!
//! ```text
//! 16 bytes  function id; all zero: the slot is free
//!  8 bytes  position
//!  4 bytes  round
//!  4 bytes  attempt
//!  8 bytes  first attempt at, microseconds since 1970
//! 24 bytes  nothing
//! ```
//! Numbers are little endian.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use uuid::Uuid;

use super::item::Item;
use super::log::lock;
use crate::clock::Timestamp;
use crate::deployment::FunctionId;
use crate::event::Position;

const SLOT_BYTES: usize = 64;
/// Deliveries beyond this are not noted: more are never out at once.
const SLOTS_MAX: u32 = 65_536;

pub(super) type Slot = u32;

pub(super) struct Starts {
    file: File,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    cleared: Vec<Slot>,
    next: Slot,
}

/// A delivery that was out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Started {
    pub function: FunctionId,
    pub position: Position,
    pub round: u32,
    pub attempt: u32,
    pub first_attempt_at: Timestamp,
}

impl Starts {
    /// Opens the file and reads what an earlier process left.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Started>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let left = bytes.chunks_exact(SLOT_BYTES).filter_map(decode).collect();
        Ok((Starts { file, free: Mutex::default() }, left))
    }

    /// Forgets everything.
    pub fn reset(&self) -> io::Result<()> {
        *lock(&self.free) = Free::default();
        self.file.set_len(0)
    }

    /// Notes that an item was handed out. It is a help, not a promise: where it cannot be written, a death of the
    /// process costs no attempt.
    pub fn mark(&self, function: FunctionId, item: &Item) -> Option<Slot> {
        let slot = {
            let mut free = lock(&self.free);
            match free.cleared.pop() {
                Some(slot) => slot,
                None if free.next < SLOTS_MAX => {
                    free.next += 1;
                    free.next - 1
                }
                None => return None,
            }
        };
        if self.file.write_all_at(&encode(function, item), offset(slot)).is_err() {
            lock(&self.free).cleared.push(slot);
            return None;
        }
        Some(slot)
    }

    pub fn clear(&self, slot: Slot) {
        // A slot that cannot be cleared is not used again; the fence makes it harmless at the next start.
        if self.file.write_all_at(&[0; SLOT_BYTES], offset(slot)).is_ok() {
            lock(&self.free).cleared.push(slot);
        }
    }
}

fn offset(slot: Slot) -> u64 {
    u64::from(slot) * SLOT_BYTES as u64
}

fn encode(function: FunctionId, item: &Item) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..16].copy_from_slice(function.as_bytes());
    bytes[16..24].copy_from_slice(&item.position.to_le_bytes());
    bytes[24..28].copy_from_slice(&item.round.to_le_bytes());
    bytes[28..32].copy_from_slice(&item.attempt.to_le_bytes());
    bytes[32..40].copy_from_slice(&item.first_attempt_at.unwrap_or_default().as_micros().to_le_bytes());
    bytes
}

fn decode(slot: &[u8]) -> Option<Started> {
    let (function, rest) = slot.split_first_chunk::<16>()?;
    let (position, rest) = rest.split_first_chunk::<8>()?;
    let (round, rest) = rest.split_first_chunk::<4>()?;
    let (attempt, rest) = rest.split_first_chunk::<4>()?;
    let (first, _) = rest.split_first_chunk::<8>()?;
    (*function != [0; 16]).then(|| Started {
        function: FunctionId::from_uuid(Uuid::from_bytes(*function)),
        position: Position::from_le_bytes(*position),
        round: u32::from_le_bytes(*round),
        attempt: u32::from_le_bytes(*attempt),
        first_attempt_at: Timestamp::from_micros(i64::from_le_bytes(*first)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_out_and_not_cleared_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("starts");
        let (starts, left) = Starts::open(&path).unwrap();
        assert_eq!(left, []);
        let function = FunctionId::new();
        let item = |position| Item { first_attempt_at: Some(Timestamp::from_micros(7)), ..Item::first(position) };
        let slots: Vec<Slot> = (1..=3).map(|position| starts.mark(function, &item(position)).unwrap()).collect();
        starts.clear(slots[1]);
        drop(starts);
        let (starts, left) = Starts::open(&path).unwrap();
        assert_eq!(left.iter().map(|started| started.position).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((left[0].function, left[0].attempt, left[0].first_attempt_at.as_micros()), (function, 1, 7));
        starts.reset().unwrap();
        assert_eq!(Starts::open(&path).unwrap().1, []);
    }
}
