//! What an author of a Tidegate function uses: the event, what a function may ask of its host, and a way to test
//! without WebAssembly.
//!
//! A function is a crate of type `cdylib` with one function and one line:
//!
//! ```
//! use tidegate_sdk::{Event, Failure, kv};
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     customer: String,
//!     cents: u64,
//! }
//!
//! fn handle(event: Event) -> Result<Vec<Event>, Failure> {
//!     let order: Order = event.data()?;
//!     let total = kv::open("totals")?.increment(&order.customer, order.cents)?;
//!     let told = Event::new("shop.customer.charged").subject(&order.customer).json(&serde_json::json!({ "cents": total }))?;
//!     Ok(vec![told])
//! }
//!
//! tidegate_sdk::export!(handle);
//!
//! // A test calls it as it is; the host is one of memory.
//! let host = tidegate_sdk::testing::Host::new().key_space("totals");
//! let event = Event::new("shop.order.paid").json(&serde_json::json!({ "customer": "ana", "cents": 1250 }))?;
//! let emitted = handle(event)?;
//! assert_eq!(emitted[0].subject.as_deref(), Some("ana"));
//! assert_eq!(host.get("totals", "ana").as_deref(), Some(&b"1250"[..]));
//! # Ok::<(), Failure>(())
//! ```
//!
//! - What it emits and writes is committed with its settlement, once, or not at all. It may run more than once for one
//!   event, so it keeps what it knows in keys, never in statics: every invocation has a fresh instance.
//! - Clock and random answer the same on every attempt. Standard output and error go to the invocation's log.
//! - Everything else has to be granted in the project file, and is refused at deployment where it is not. A component
//!   imports only what its code uses.

pub mod cdevents;
pub mod clock;
pub mod config;
mod event;
mod failure;
pub mod http;
pub mod kv;
pub mod log;
pub mod statistics;

#[cfg(target_arch = "wasm32")]
#[path = "host/guest.rs"]
mod host;
#[cfg(not(target_arch = "wasm32"))]
#[path = "host/memory.rs"]
mod host;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use event::{Attribute, DataError, Event, Origin};
pub use failure::Failure;

/// What `export!` expands to; no part of the public interface.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest {
    pub use crate::host::bindings::*;
    pub use crate::host::call;
}

/// Makes a `fn(Event) -> Result<Vec<Event>, Failure>` the function that the component exports. Once in a crate.
#[macro_export]
macro_rules! export {
    ($handle:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Function;

            impl $crate::guest::Guest for Function {
                fn handle(
                    event: $crate::guest::Event,
                ) -> ::core::result::Result<::std::vec::Vec<$crate::guest::Event>, $crate::guest::Failure> {
                    $crate::guest::call($handle, event)
                }
            }

    $crate::guest::export_function!(Function with_types_in $crate::guest);
        };

        #[cfg(not(target_arch = "wasm32"))]
        const _: fn($crate::Event) -> ::core::result::Result<::std::vec::Vec<$crate::Event>, $crate::Failure> = $handle;
    };
}
