//! What wit-bindgen makes of `wit/`. Not part of the public interface: plugins
//! get at it only through [`export_plugin!`](crate::export_plugin).

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::all,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "plugin",
    runtime_path: "::policy_sdk::bindings::rt",
    pub_export_macro: true,
    export_macro_name: "export_generator",
    default_bindings_module: "::policy_sdk::bindings",
});

pub use wit_bindgen::rt;
