//! What the platform says of a plugin: where it comes from, what it may do,
//! who may use it, and for whom it is mandatory.

pub mod spec;

pub use spec::{Capabilities, PolicyPluginSpec};
