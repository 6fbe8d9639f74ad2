//! The operator's decisions, without I/O: what an ExposedAPI means, whether it
//! is allowed, what the desired state is, which policy documents protect it,
//! what to do next and when.
//!
//! Everything here is a pure function of its arguments. This crate must never
//! open a socket or a file, read a clock or the environment, or know of kube,
//! Azure's SDK, tokio or wasmtime. It must never know a policy plugin by name.
#![forbid(unsafe_code)]

pub mod about;
pub mod address;
pub mod annotations;
pub mod apim;
pub mod backend;
pub mod build;
pub mod certificates;
pub mod chain;
pub mod class;
pub mod component;
pub mod config;
pub mod context;
pub mod descriptor;
pub mod desired;
pub mod diagnostics;
pub mod documents;
pub mod drift;
pub mod exposed_api;
pub mod exposure;
pub mod gateway;
pub mod instance;
pub mod leader;
pub mod mark;
pub mod migrate;
pub mod names;
pub mod oauth2;
pub mod openapi;
pub mod pace;
pub mod paths;
pub mod policy;
pub mod policy_plugin;
pub mod problem;
pub mod product;
pub mod products;
pub mod profile;
pub mod protection;
pub mod retry;
pub mod rollout;
pub mod routes;
pub mod shard;
pub mod status;
pub mod tags;
pub mod tier;
pub mod validate;
pub mod versions;
pub mod wiki;
