//! The plan against a small model of API Management.

mod lists;
mod model;
mod safety;
