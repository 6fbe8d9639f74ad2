//! The config of a plugin for one API: layers, their merge, the schema.

mod guard;
mod layers;
mod merge;
mod report;
mod schema;
#[cfg(test)]
mod tests;

pub use guard::SchemaError;
pub use layers::{Layer, Layers, Origin};
pub use merge::merge;
pub use schema::{CompiledSchema, Violation};

/// A key as a step of a JSON pointer (RFC 6901).
#[must_use]
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
