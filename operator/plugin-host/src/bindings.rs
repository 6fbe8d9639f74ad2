//! What wasmtime makes of `wit/`: one set of bindings per major version of the
//! interface.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
});

pub(crate) use exports::oda::policy::generator as wit;
