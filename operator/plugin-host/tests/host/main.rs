//! The host against plugins that behave and plugins that do not.
//!
//! The hostile ones are written in WebAssembly text (`guest.rs`): small, and
//! free of what a language's compiler would prevent.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests are tests, and the lint knows only the functions"
)]

mod author;
mod builtin;
mod cache;
mod compile;
mod documents;
mod evolution;
mod generated;
mod guest;
mod hostile;
mod limits;
mod loading;
mod usage;

use std::sync::LazyLock;
use std::time::Duration;

use operator_plugin_host::{HostConfig, Limits, LoadError, Plugin, PluginHost, PluginSource};
use serde_json::{Value, json};

/// One host for all tests: starting one reserves address space.
static HOST: LazyLock<PluginHost> = LazyLock::new(|| {
    PluginHost::new(HostConfig {
        limits: Limits {
            // Enough for a busy machine; hostile plugins get less.
            timeout: Duration::from_secs(10),
            ..Limits::default()
        },
        ..HostConfig::default()
    })
    .expect("a host")
});

/// The plugins that come with the operator, by their folder. Compiled once for
/// all tests.
static BUILT_IN: LazyLock<Vec<(&'static str, Plugin)>> = LazyLock::new(|| {
    HOST.load_builtin()
        .into_iter()
        .map(|(folder, plugin)| match plugin {
            Ok(plugin) => (folder, plugin),
            Err(error) => panic!("{folder}: {error}"),
        })
        .collect()
});

fn load(bytes: &[u8]) -> Result<Plugin, LoadError> {
    HOST.load(bytes, PluginSource::File("test.wasm".into()))
}

/// The error of a plugin that must not load.
fn load_error(bytes: &[u8]) -> LoadError {
    load(bytes)
        .map(|plugin| format!("{plugin:?}"))
        .expect_err("must not load")
}

fn context() -> Value {
    json!({
        "interface": "1.0",
        "api": {
            "name": "catalog", "namespace": "components", "labels": {}, "path": "/catalog",
            "apiType": "openapi", "segment": null, "dialect": "canonical", "backendUrl": null,
            "subscriptionRequired": false, "operations": null, "spec": {}
        },
        "instance": {
            "name": "default", "sku": "Developer", "gatewayUrl": null,
            "tenantId": "11111111-1111-1111-1111-111111111111",
            "clientId": "22222222-2222-2222-2222-222222222222",
            "openidConfigurationUrl": null, "audiences": [], "loginHost": null
        },
        "operation": null
    })
}
