//! HTTP: the two doors of a running project, and the JSON that they speak.

pub mod model;
