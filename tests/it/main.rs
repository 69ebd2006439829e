//! What Tidegate promises, tried from outside: a real process, HTTP and the command line.

mod corpus;
mod demo;
mod doors;
mod examples;
#[path = "../guests/mod.rs"]
mod guests;
mod http;
mod new_project;
mod promises;
mod support;
mod tidy;
