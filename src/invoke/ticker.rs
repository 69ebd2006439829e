//! Beats the engine's epoch while guests run. When none has run for a while it sleeps, so that an idle runtime does nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, park};
use std::time::Duration;

use super::settings::TICK;

/// Ticks without a guest before it sleeps: waking it costs more than a beat, and guests come in crowds.
const IDLE_TICKS: u32 = 100;

/// Dropping it ends its thread, once no guest runs any more.
pub(super) struct Ticker {
    state: Arc<State>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Guests that run.
    live: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

/// A guest runs: the epoch beats for as long as this is there.
pub(super) struct Beating(Arc<State>);

impl Ticker {
    pub fn start(wasm: wasmtime::Engine) -> io::Result<Self> {
        Ticker::start_every(wasm, TICK)
    }

    pub fn start_every(wasm: wasmtime::Engine, tick: Duration) -> io::Result<Self> {
        Ticker::beat(move || {
            wasm.increment_epoch();
            std::thread::sleep(tick);
        })
    }

    /// `tick` takes as long as a tick does.
    fn beat(tick: impl Fn() + Send + 'static) -> io::Result<Self> {
        let state = Arc::<State>::default();
        let shared = state.clone();
        let thread = std::thread::Builder::new().name("epoch".to_owned()).spawn(move || shared.run(tick))?;
        Ok(Ticker { state, thread })
    }

    pub fn beating(&self) -> Beating {
        // In one order with the ticker's: it marks itself asleep, then looks for guests.
        self.state.live.fetch_add(1, Ordering::SeqCst);
        if self.state.asleep.swap(false, Ordering::SeqCst) {
            self.thread.thread().unpark();
        }
        Beating(self.state.clone())
    }
}

impl State {
    fn run(&self, tick: impl Fn()) {
        let mut idle_ticks = 0;
        while !self.stopped.load(Ordering::Relaxed) || self.live.load(Ordering::Relaxed) > 0 {
            tick();
            idle_ticks = if self.live.load(Ordering::Relaxed) == 0 { idle_ticks + 1 } else { 0 };
            if idle_ticks == IDLE_TICKS {
                self.sleep();
                idle_ticks = 0;
            }
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        if self.live.load(Ordering::SeqCst) > 0 {
            self.asleep.store(false, Ordering::SeqCst);
        }
        while self.asleep.load(Ordering::SeqCst) && !self.stopped.load(Ordering::Relaxed) {
            park();
        }
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sleeps_when_no_guest_runs_and_beats_again_for_the_next() {
        let beats = Arc::new(AtomicUsize::new(0));
        let ticker = Ticker::beat({
            let beats = beats.clone();
            move || {
                beats.fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap();
        let wait_until = |what: &dyn Fn() -> bool| {
            let begun = std::time::Instant::now();
            while !what() {
                assert!(begun.elapsed() < std::time::Duration::from_secs(30), "it does not wake up");
                std::thread::yield_now();
            }
        };
        for _ in 0..2 {
            wait_until(&|| ticker.state.asleep.load(Ordering::SeqCst));
            let before = beats.load(Ordering::Relaxed);
            let beating = ticker.beating();
            wait_until(&|| beats.load(Ordering::Relaxed) > before + 3);
            drop(beating);
        }
    }
}
