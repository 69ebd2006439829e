//! Committed keys, read from the bus.

use async_trait::async_trait;

use crate::bus::{Bus, Versioned};
use crate::host::HostFault;
use crate::host::keys::{Committed, PAGE_KEYS_MAX, Page, Wanted};

pub(super) struct OnBus<'a>(pub &'a dyn Bus);

#[async_trait]
impl Committed for OnBus<'_> {
    async fn value(&self, space: &str, key: &str, _wanted: Wanted) -> Result<Versioned, HostFault> {
        Ok(self.0.read_key(space, key).await?)
    }

    async fn page(&self, space: &str, after: Option<&str>) -> Result<Page, HostFault> {
        let (revision, keys) = self.0.list_keys(space, after, PAGE_KEYS_MAX).await?;
        let next = if keys.len() == PAGE_KEYS_MAX { keys.last().cloned() } else { None };
        Ok(Page { revision, keys, next })
    }
}
