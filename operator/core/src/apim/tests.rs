//! The plan against a small model of API Management.

mod adoption;
mod changes;
mod lists;
mod model;
mod revisions;
mod safety;
mod versions;
