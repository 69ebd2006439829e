//! What Tidegate promises, tried from outside: a real process, HTTP and the command line.

mod support;
mod tidy;
