//! The catalogue: event types that have short names, each with a sample.
