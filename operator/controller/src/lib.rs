//! The Kubernetes side of the operator: what is watched, the reconcile, status,
//! events, probes and metrics.
//!
//! It decides nothing about an API: `operator_core` does. It must never write
//! an ExposedAPI's spec or a CustomResourceDefinition, never treat status as
//! evidence of ownership, and never know a policy plugin by name.
#![forbid(unsafe_code)]

pub mod backends;
pub mod component;
pub mod config_maps;
pub mod crd;
pub mod drift;
pub mod events;
pub mod export;
pub mod instances;
pub mod kept;
pub mod leader;
mod links;
pub mod memory;
pub mod metrics;
pub mod named_values;
pub mod orphans;
pub mod paths;
pub mod plan;
pub mod plugins;
pub mod policy_plugins;
pub mod products;
pub mod profiles;
pub mod reconcile;
pub mod resource;
pub mod run;
mod said;
pub mod seats;
pub mod secrets;
pub mod server;
pub mod shards;
pub mod slots;
pub mod specifications;
pub mod uses;
pub mod watch;
pub mod world;

pub use said::said;
