//! The data plane of the local Azure: a gateway that executes the policy
//! documents of API Management.
//!
//! [`Gateway::start`] serves a [`Configuration`]: APIs with revisions,
//! operations, subscriptions and the policy documents of every scope. A request
//! is matched to an API and operation, runs through the documents' sections as
//! API Management would run them, reaches the backend and is answered.
//! [`Gateway::configure`] swaps the configuration between two requests.
//!
//! It must never let a request pass that its documents do not let pass: what
//! it cannot execute, it refuses (501 for a policy it does not know, 500 for a
//! document that cannot be read). It must never use more memory than its
//! [`Limits`] allow because somebody outside wants it, and never share code
//! with the operator. Where its rules are inferred and not documented, a
//! comment beside the rule says so.

#![forbid(unsafe_code)]

mod body;
mod cache;
mod certificate;
mod client;
mod clock;
mod compile;
pub mod configuration;
mod counters;
mod debug;
mod echo;
mod elsewhere;
mod engine;
mod error;
mod exchange;
mod gateway;
mod headers;
mod identity;
mod pfx;
mod policies;
mod routing;
mod schemas;
mod server;
mod shared;
mod subscriptions;
mod target;
mod tokens;
mod trace;

pub use body::{Body, BodyError};
pub use client::{ClientError, HttpClient, HyperClient, Trust, TrustError};
pub use clock::{Clock, ManualClock, SystemClock};
pub use compile::{
    Checked, CompileError, EffectiveChain, EffectivePolicy, Scope, Section, check_document,
    check_fragment, check_policy, effective_chain,
};
pub use configuration::Configuration;
pub use echo::{EchoBackend, echo};
pub use elsewhere::Elsewhere;
pub use gateway::{Gateway, Options, StartError};
pub use identity::{ClientIdentity, IdentityError};
pub use pfx::{CertificateFacts, PfxError};
pub use policies::executed;
pub use schemas::check_schema;
pub use server::{ServerCertificate, ServerTlsError};
pub use shared::{Limits, ManagedIdentity};
pub use trace::{Trace, TraceChange, TraceEntry};
