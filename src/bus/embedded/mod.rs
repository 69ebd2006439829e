//! The embedded bus: one SQLite file, one writer thread with group commit, one reader that follows the tail.
