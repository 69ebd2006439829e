//! What Tidegate promises, tried from outside: a real process, HTTP and the command line.

mod examples;
mod support;
mod tidy;
