//! A stage for end-to-end tests: a real kube-apiserver, a local Azure, a
//! stand-in for load balancer and kubelet, and the operator as a process of its
//! own that has nothing but the rights of the shipped RBAC.
//!
//! It must never reach into the operator: tests see what a user and what Azure
//! see.
#![forbid(unsafe_code)]

pub mod canvas;
mod certificate;
mod documents;
pub mod gateways;
mod greeting;
mod journal;
mod look;
mod monitors;
mod objects;
mod policy_plugins;
mod profiles;
mod proxy;
pub mod rights;
pub mod routes;
mod stage;

pub use certificate::certificate_ending_in;
pub use documents::Documents;
pub use greeting::greeting;
pub use journal::{Publishing, assert_protected, step_of};
pub use monitors::{metrics_api, service_monitor_definition};
pub use objects::{conditions, document, exposed_api, status_of};
pub use policy_plugins::{PolicyPlugins, config_map, policy_plugin};
pub use profiles::{Profiles, cluster_profile, profile};
pub use proxy::Proxy;
pub use stage::{Definition, PATIENCE, Replica, Stage, StageBuilder, Write};
