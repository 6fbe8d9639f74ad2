//! The plan against a small model of API Management.

mod adoption;
mod changes;
mod lists;
mod model;
mod safety;
mod versions;
