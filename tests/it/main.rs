//! What Tidegate promises, tried from outside: a real process, HTTP and the command line.

mod admission;
mod bench;
mod causes;
mod concurrency;
mod corpus;
mod debugging;
mod demo;
mod doors;
mod evidence;
mod examples;
mod explain;
mod faults;
mod forge;
mod forged;
#[path = "../guests/mod.rs"]
mod guests;
mod hostile;
mod http;
mod live;
mod new_project;
mod pages;
mod path;
mod pipeline;
mod process;
mod promises;
mod recording;
mod refusals;
mod registry;
mod releases;
mod replay;
mod retention;
mod shutdown;
mod stage;
mod statistics;
mod stores;
mod support;
mod telemetry;
mod tidy;
mod world;

use tidegate::scaffold::cargo;
