//! What a policy plugin for apim-operator is written with.
//!
//! A plugin is a pure function from a request to a piece of an API Management
//! policy document. One type, one trait and one macro make one:
//!
//! ```
//! use policy_sdk::prelude::*;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "camelCase", deny_unknown_fields)]
//! struct Config {
//!     text: String,
//! }
//!
//! struct Greeting;
//!
//! impl Plugin for Greeting {
//!     type Config = Config;
//!
//!     fn descriptor() -> Descriptor {
//!         Descriptor::new("greeting", "1.0.0", "Adds a header to responses.", Phase::Transformation)
//!             .writes([Section::Outbound])
//!             .config_schema(serde_json::json!({
//!                 "type": "object",
//!                 "required": ["text"],
//!                 "additionalProperties": false,
//!                 "properties": { "text": { "type": "string", "maxLength": 80 } }
//!             }))
//!     }
//!
//!     fn generate(context: &Context, config: Config) -> Result<Policy, Vec<Diagnostic>> {
//!         let mut policy = Policy::of(context);
//!         policy.outbound(SetHeader::new("x-greeting").value(config.text.at("/text")));
//!         Ok(policy)
//!     }
//! }
//!
//! policy_sdk::export_plugin!(Greeting);
//! # fn main() {
//! # let text = policy_sdk::testing::Call::of::<Greeting>()
//! #     .config(serde_json::json!({ "text": "hello" })).generate_text();
//! # assert!(text.contains("<value>hello</value>"), "{text}");
//! # }
//! ```
//!
//! The crate is a library of crate types `cdylib` and `rlib`; it is built for
//! `wasm32-unknown-unknown` and tested on any machine with [`testing`], where
//! no WebAssembly is involved.
//!
//! This crate must never give a plugin a clock, randomness, files or a
//! network: the same request must give the same policy. It knows no plugin.

#![forbid(unsafe_code)]

// Generated code names this crate as plugins see it.
extern crate self as policy_sdk;

pub mod config;
mod context;
pub mod csharp;
mod descriptor;
mod diagnostic;
pub mod elements;
pub mod lenient;
pub mod log;
mod policy;
pub mod testing;
mod value;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod guest;

use serde::de::DeserializeOwned;

pub use context::{Api, Context, Instance, Operation, OperationRef};
pub use descriptor::{Descriptor, Dialect, Phase, Section, SpecReading, SpecRequest};
pub use diagnostic::{Diagnostic, Severity};
pub use policy::{Policy, Target};
pub use value::{
    AllowsCode, At, Expression, Fixed, Form, IntoValue, Located, NamedValue, Part, Value,
};

/// The version of the plugin interface that this crate speaks.
pub const INTERFACE: &str = "1.0";

/// A policy plugin.
///
/// Nothing is kept between calls: every one starts in a fresh instance.
pub trait Plugin {
    /// Its config, as `configSchema` describes it. Defaults belong here
    /// (`#[serde(default)]`): the operator applies none.
    type Config: DeserializeOwned;

    /// What the plugin is. The answer is a constant.
    fn descriptor() -> Descriptor;

    /// Says what the spec block that the descriptor names means in the
    /// plugin's own config. Called only when the block is there.
    ///
    /// # Errors
    /// What is wrong with the block; pointers lead into it.
    fn read_spec(request: SpecRequest) -> Result<SpecReading, Vec<Diagnostic>> {
        let _ = request;
        Ok(SpecReading::nothing())
    }

    /// Generates the policy of one API or, where the context's `operation` is
    /// set, of that operation.
    ///
    /// # Errors
    /// What is wrong with the config; pointers lead into it.
    fn generate(context: &Context, config: Self::Config) -> Result<Policy, Vec<Diagnostic>>;
}

/// Everything that a plugin's source usually names.
pub mod prelude {
    pub use crate::elements::*;
    pub use crate::export_plugin;
    pub use crate::{
        At, Context, Descriptor, Diagnostic, Dialect, Expression, NamedValue, Phase, Plugin,
        Policy, Section, SpecReading, SpecRequest, Target, Value, csharp, lenient,
    };
}

/// Makes a type that implements [`Plugin`] the plugin of this crate.
///
/// Called once, with the name of the type. On other targets than
/// WebAssembly it does nothing but check that the type is a plugin.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        const _: () = {
            const fn is_a_plugin<P: $crate::Plugin>() {}
            is_a_plugin::<$plugin>();
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type ExportedPlugin = $crate::guest::Adapter<$plugin>;
    $crate::bindings::export_generator!(ExportedPlugin with_types_in $crate::bindings);
        };
    };
}
