//! The client against the local Azure, over HTTPS, with every call in its
//! journal.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod gate;
mod gateways;
mod identity;
mod imports;
mod operations;
mod ownership;
mod parts;
mod products;
mod publish;
mod revisions;
mod stage;
mod storm;
mod versions;
mod wiki;
