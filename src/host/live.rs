//! Live answers, one file for each kind of effect.
