//! What the platform says of a plugin: where it comes from, what it may do,
//! who may use it, and for whom it is mandatory.

mod duration;
mod governance;
mod limits;
pub mod rollout;
mod settings;
pub mod spec;

pub use duration::parse_duration;
pub use governance::{Governance, Pointer};
pub use limits::{PluginLimits, parse_quantity};
pub use settings::{PolicyPlugin, Source};
pub use spec::{Capabilities, PolicyPluginSpec};
