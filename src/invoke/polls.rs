//! What a guest waits for, and what it sees of it. When something has ended hangs on the world, so each look is an effect: a
//! replay shows the guest what it saw.

use wasmtime::Result;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll;

use super::guest::Guest;
use crate::host::{Effect, Place};

impl Guest {
    /// Keeps a place for a look at what has ended, and answers what was seen then according to a recording, which the guest's
    /// own instance then waits for.
    fn look(&mut self, effect: &Effect) -> Result<(Place, Option<Vec<u32>>)> {
        self.go_on()?;
        let place = self.host.begin(effect.clone());
        let seen = self.host.seen(&place, effect).map_err(|fault| self.stop(fault))?;
        Ok((place, seen))
    }
}

impl poll::Host for Guest {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        let effect = Effect::Poll { pollables: u32::try_from(pollables.len())? };
        let (place, seen) = self.look(&effect)?;
        let ready = match seen {
            None => poll::Host::poll(&mut self.table, pollables).await?,
            Some(ready) => {
                for pollable in ready.iter().filter_map(|index| pollables.get(usize::try_from(*index).ok()?)) {
                    let again = Resource::new_borrow(pollable.rep());
                    poll::HostPollable::block(&mut self.table, again).await?;
                }
                ready
            }
        };
        self.host.saw(place, effect, ready.clone());
        Ok(ready)
    }
}

impl poll::HostPollable for Guest {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        let (place, seen) = self.look(&Effect::IsReady)?;
        let ready = match seen {
            None => match poll::HostPollable::ready(&mut self.table, pollable).await? {
                true => vec![0],
                false => Vec::new(),
            },
            Some(ready) if ready.is_empty() => ready,
            Some(ready) => {
                poll::HostPollable::block(&mut self.table, pollable).await?;
                ready
            }
        };
        self.host.saw(place, Effect::IsReady, ready.clone());
        Ok(!ready.is_empty())
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::Host::poll(self, vec![pollable]).await.map(drop)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::drop(&mut self.table, pollable)
    }
}
