//! Random bytes: the same for every attempt of a function on an event, so that a retry builds the same request.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use super::{Answer, EffectError};
use crate::deployment::FunctionId;
use crate::event::EventKey;

/// Bytes in one request for random bytes.
const RANDOM_BYTES_MAX: u64 = 1024 * 1024;

/// One generator for each kind, so that what is drawn from one does not move another.
pub(super) struct Chance {
    secure: ChaCha20Rng,
    insecure: ChaCha20Rng,
    seed: (u64, u64),
}

impl Chance {
    pub(super) fn new(event: EventKey, function: FunctionId) -> Self {
        let mut hash = Sha256::new();
        hash.update(event.uuid().as_bytes());
        hash.update(function.as_bytes());
        let seed: [u8; 32] = hash.finalize().into();
        let stream = |number| {
            let mut rng = ChaCha20Rng::from_seed(seed);
            rng.set_stream(number);
            rng
        };
        let mut seeds = stream(2);
        Chance { secure: stream(0), insecure: stream(1), seed: (seeds.next_u64(), seeds.next_u64()) }
    }

    pub(super) fn random(&mut self, bytes: u64) -> Answer {
        draw(&mut self.secure, bytes)
    }

    pub(super) fn insecure_random(&mut self, bytes: u64) -> Answer {
        draw(&mut self.insecure, bytes)
    }

    pub(super) fn insecure_seed(&self) -> Answer {
        Answer::Seed(self.seed.0, self.seed.1)
    }
}

fn draw(rng: &mut ChaCha20Rng, bytes: u64) -> Answer {
    if bytes > RANDOM_BYTES_MAX {
        let reason = format!("asked for {bytes} random bytes at once; at most {RANDOM_BYTES_MAX}");
        return Answer::Failed(EffectError::Refused(reason));
    }
    let mut drawn = vec![0; usize::try_from(bytes).expect("a MiB fits")];
    rng.fill_bytes(&mut drawn);
    Answer::Bytes(drawn)
}
