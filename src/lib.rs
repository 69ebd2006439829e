//! Tidegate: events on a durable log, WebAssembly functions, one commit for all that a function did.
//!
//! ```text
//! trigger -> event -> bus -> filter -> invoke -> outcome -> settle -> bus
//! (world)  (CloudEvents)     (pure)    (wasm)    (pure)     (one commit)
//! ```
//!
//! The modules stand on floors; imports point down, never up. Within a floor, later ones may import earlier ones.
//!
//! | floor | module | what it is |
//! | --- | --- | --- |
//! | 0 | `clock` `event` `outcome` `filter` `deployment` | values and decisions: no IO, no waiting |
//! | 1 | `s3` `blob` `registry` `bus` | what is kept: the log, the cursors, `settle`; large bytes by digest, in a folder or in S3 |
//! | 2 | `host` | what a function can ask, and its journal |
//! | 3 | `invoke` | component + event + host -> result |
//! | 4 | `components` `native` `record` | components ready to run; functions of the runtime's own; run, and what is kept of it |
//! | 5 | `trigger` `process` `dispatch` `reconcile` | the world -> events; tasks as processes; the path itself: READ `dispatch` FIRST; desired -> active -> reported |
//! | 6 | `api` | HTTP routes, JSON, server-sent events |
//! | 7 | `project` `app` `bench` `cli` | a project's folder; putting it together; measuring it |
//! | beside | `telemetry` `tasks` | may be used from everywhere above floor 0 |

pub mod clock;
pub mod event;
pub mod filter;
pub mod outcome;

pub mod deployment;

pub mod blob;
pub mod bus;
pub mod registry;
pub mod s3;

pub mod host;

pub mod invoke;

pub mod components;
pub mod native;
pub mod record;

pub mod dispatch;
pub mod process;
pub mod reconcile;
pub mod trigger;

pub mod api;

pub mod app;
pub mod bench;
pub mod builtin;
pub mod cli;
pub mod project;
pub mod scaffold;

pub mod tasks;
pub mod telemetry;
