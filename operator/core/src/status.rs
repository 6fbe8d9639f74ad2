//! What an object's status says.

pub mod reasons;
mod summary;

pub use summary::summary;
