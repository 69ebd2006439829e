//! What the traits mean, as tests: every bus runs them all.
