//! A stage on which plugins are seen at work: an ExposedAPI becomes policy
//! documents as the operator makes them of it, with the plugins in their
//! sandbox, and a gateway executes the documents for real requests.
//!
//! [`Api`] is the object, [`Stage`] the gateway before a backend that tests
//! program. The gateway's clock stands still until a test moves it.
//!
//! It must never make a policy in another way than the operator does, and never
//! answer for the gateway: what a test asserts is what a caller would get.

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "what stands between a test and its gateway has no better way to fail it"
)]

mod api;
mod certificates;
mod stage;
mod tokens;
mod world;

pub use api::{Api, BACKEND, CLIENT, GATEWAY, TENANT, built_in, template};
pub use certificates::{Authority, Identity};
pub use stage::{Answer, Call, START, Stage};
pub use tokens::{ISSUER, Signer, hs256, token};
pub use world::{Seen, World, reply, reply_json};
