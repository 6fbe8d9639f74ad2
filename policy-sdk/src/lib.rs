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
//! # From nothing to a policy in the cluster
//!
//! ```sh
//! apim-operator plugin new greeting && cd greeting
//! apim-operator plugin test
//! apim-operator plugin push registry.example.com/policies/greeting:1.0.0 | kubectl apply -f -
//! ```
//!
//! `new` writes a folder with this crate in it, so nothing else is needed than
//! cargo and the target `wasm32-unknown-unknown`. `test` builds the plugin and
//! runs its golden cases in the operator's sandbox, then `cargo test`. `push`
//! prints the PolicyPlugin that makes the plugin known to the cluster.
//!
//! # What happens to a config
//!
//! 1. [`Plugin::descriptor`] is asked once. It names the plugin, its
//!    [`Phase`], the [`Section`]s it writes, and the JSON Schema of its config.
//! 2. Where the descriptor names a block of an ExposedAPI's spec
//!    ([`Descriptor::reads_block`]) and the block is there,
//!    [`Plugin::read_spec`] says what it means in the plugin's own config;
//!    [`lenient`] reads what people write there.
//! 3. The operator merges what the platform, the block and the annotation
//!    `plugin.<name>` say, checks it against the schema, and calls
//!    [`Plugin::generate`] with it and with the [`Context`]: the API, its
//!    operations, the API Management instance. Every call starts in a fresh
//!    instance.
//! 4. `generate` returns a [`Policy`]: statements from [`elements`], in
//!    sections that take them. The operator puts them in their place among
//!    those of other plugins, checks the document and publishes it.
//!
//! # Text, code and stored values
//!
//! API Management reads the same text as itself, as C# or as the name of a
//! stored value. Here the type decides: a `String` is text, an [`Expression`]
//! is code, a [`NamedValue`] is a stored value. Text from a config gets into
//! code only through [`csharp::string`]. Text that API Management would read as
//! code is refused by the operator; a value with [`At::at`] is then named by
//! its place in the config.
//!
//! # Errors
//!
//! `generate` and `read_spec` return [`Diagnostic`]s with JSON pointers into
//! the config or the block. A config that does not fit [`Plugin::Config`] makes
//! one by itself. They reach the API's status with the place where the value
//! was written. A panic is shown there with file and line, and fails no other
//! API.
//!
//! # Tests
//!
//! [`testing`] calls the plugin on any machine, where no WebAssembly is
//! involved, and [`testing::run_cases`] runs golden cases. The plugin's crate
//! is of the types `cdylib` and `rlib`.
//!
//! This crate must never give a plugin a clock, randomness, files or a
//! network: the same request must give the same policy. It knows no plugin.

#![forbid(unsafe_code)]

// Generated code names this crate as plugins see it.
extern crate self as policy_sdk;

mod caller;
mod changes;
mod claims;
pub mod config;
mod context;
pub mod csharp;
mod descriptor;
mod diagnostic;
pub mod elements;
pub mod lenient;
pub mod log;
mod policy;
mod reference;
pub mod testing;
pub mod text;
mod value;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod guest;

use serde::de::DeserializeOwned;

pub use caller::Caller;
pub use changes::{Change, Changes};
pub use claims::RequiredClaims;
pub use context::{Api, Context, Instance, Operation, OperationRef};
pub use descriptor::{Descriptor, Dialect, Phase, Section, SpecReading, SpecRequest};
pub use diagnostic::{Diagnostic, Severity};
pub use policy::{Policy, Target};
pub use reference::{CertificateId, NamedValueName, Secret, TextOrSecret};
pub use value::{
    AllowsCode, At, Expression, Fixed, Form, IntoValue, Located, NamedValue, Part, Value, each_at,
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
        Policy, Section, SpecReading, SpecRequest, Target, Value, csharp, each_at, lenient,
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
