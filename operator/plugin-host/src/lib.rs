//! Loads policy plugins and calls them.
//!
//! A plugin is code that nobody vouches for. This crate is the wall around it:
//! it says what can be loaded at all, gives every call a fresh instance with
//! limits on memory, time and output, and turns whatever a plugin does (trap,
//! loop, lie) into a typed error about that plugin alone.
//!
//! What it must never do: give a plugin anything but a log (no clock, no
//! randomness, no file, no network; there is no WASI in this binary), reuse an
//! instance, know a plugin by name, panic because of what a plugin did, or let
//! the loading of one plugin hold up the calls of another.
//!
//! All calls block: an async caller makes them on a thread for that
//! (`tokio::task::spawn_blocking`).

#![deny(unsafe_code)]

mod bindings;
mod builtin;
mod cache;
mod call;
mod compiler;
mod config;
mod descriptor;
mod digest;
mod engine;
mod error;
mod host;
mod inspect;
mod limits;
mod log;
mod memory;
mod output;
mod plugin;
mod slots;
mod usage;

pub use builtin::builtin_plugins;
pub use compiler::{CompilerCommand, CompilerLimits, compile_plugin};
pub use config::{HostConfig, Limits};
pub use digest::Digest;
pub use error::{CallError, HostError, LoadError};
pub use host::{PluginHost, Stats};
pub use inspect::{Surface, component_of};
pub use limits::CallLimits;
pub use operator_core::policy_plugin::{Capabilities, PluginLimits};
pub use plugin::{Plugin, PluginSource};
pub use usage::Usage;
