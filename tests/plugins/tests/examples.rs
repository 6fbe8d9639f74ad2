//! The same policy in every language: each example is built, loaded and called,
//! and what the operator composes of its answers is the same text.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests are tests, and the lint knows only the functions"
)]

use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use example_plugins_test::{Language, build};
use operator_core::policy::{Contribution, Grants, Phase, Tier, compose_granted, print};
use operator_plugin_host::{HostConfig, Limits, Plugin, PluginHost};
use serde_json::{Value, json};

/// What is built, and compiled code: kept from one run to the next.
const KEPT: &str = env!("CARGO_TARGET_TMPDIR");

/// One host for all, with a cache on disk: compiling Python's interpreter takes
/// a while.
static HOST: LazyLock<PluginHost> = LazyLock::new(|| {
    PluginHost::new(HostConfig {
        cache_dir: Some(Path::new(KEPT).join("compiled")),
        limits: Limits {
            timeout: Duration::from_secs(10),
            ..Limits::default()
        },
        ..HostConfig::default()
    })
    .expect("a host")
});

const TEXT: &str = "a \"b\" <c> & 'd' é 😀 \\ {x}";

fn context(operation: Option<&str>) -> Value {
    json!({
        "interface": "1.0",
        "api": {
            "name": "catalog", "namespace": "components", "labels": {"operation": "x", "a": "\"}{"},
            "path": "/catalog", "apiType": "openapi", "segment": null, "dialect": "canonical",
            "backendUrl": null, "subscriptionRequired": false, "operations": null, "spec": {"operation": {"id": "no"}}
        },
        "instance": {
            "name": "default", "sku": "Developer", "gatewayUrl": null, "tenantId": "t", "clientId": "c",
            "openidConfigurationUrl": null, "audiences": [], "loginHost": null
        },
        "operation": operation.map(|id| json!({"id": id}))
    })
}

/// The documents that the operator makes of a call, or what it has against
/// them.
fn compose(plugin: &Plugin, operation: Option<&str>, config: &Value) -> Result<String, String> {
    let generated = plugin
        .generate(&context(operation), config)
        .map_err(|error| error.to_string())?;
    let descriptor = plugin.descriptor();
    let contribution = Contribution {
        plugin: &descriptor.name,
        phase: descriptor.phase,
        mandatory: false,
        order: (0, 0),
        sections: &descriptor.sections,
        capabilities: plugin.capabilities(),
        generated,
    };
    compose_granted(
        &[contribution],
        Tier::from_sku("Developer"),
        &Grants::default(),
    )
    .map(|documents| {
        documents
            .iter()
            .map(|(target, document)| format!("{target:?}\n{}", print(document)))
            .collect::<Vec<_>>()
            .concat()
    })
    .map_err(|errors| {
        let error = errors.first().expect("an error");
        let pointer = error.pointer.as_deref().unwrap_or("none");
        format!("{pointer}: {}", error.message)
    })
}

/// Builds, loads and calls one example.
fn try_out(test: &str, language: Language, name: &str) {
    let started = Instant::now();
    let file = match build(language, Path::new(KEPT)) {
        Ok(Ok(file)) => file,
        Ok(Err(missing)) => return test_harness::skip(test, &missing.0),
        Err(error) => panic!("{error:#}"),
    };
    let built = started.elapsed();
    // That it loads says that it imports nothing but the log.
    let plugin = HOST.load_file(&file).expect("loads");
    let loaded = started.elapsed().saturating_sub(built);
    eprintln!("{name}: built in {built:.1?}, loaded in {loaded:.1?}");

    let descriptor = plugin.descriptor();
    assert_eq!(
        (descriptor.name.as_str(), descriptor.phase),
        (name, Phase::Transformation)
    );
    let reading = plugin
        .read_spec(&json!({"dialect": "original", "block": {}}))
        .expect("reads");
    assert_eq!((reading.enabled, reading.config), (None, json!({})));

    let config = json!({"header": "x-team", "text": TEXT});
    assert_eq!(
        compose(&plugin, None, &config).expect("composes"),
        include_str!("api.txt"),
        "{name}"
    );
    assert_eq!(
        compose(&plugin, Some("getItem"), &config).expect("composes"),
        include_str!("operation.txt"),
        "{name}"
    );
    // What would be code is refused, at the config value.
    let refused = compose(
        &plugin,
        None,
        &json!({"header": "x-team", "text": "@(Evil())"}),
    )
    .expect_err(name);
    assert!(refused.starts_with("/text: "), "{name}: {refused}");
}

#[test]
fn the_example_in_rust_makes_the_policy() {
    try_out(
        "the_example_in_rust_makes_the_policy",
        Language::Rust,
        "example-rust",
    );
}

#[test]
fn the_example_in_c_makes_the_policy() {
    try_out(
        "the_example_in_c_makes_the_policy",
        Language::C,
        "example-c",
    );
}

#[test]
fn the_example_in_javascript_makes_the_policy() {
    try_out(
        "the_example_in_javascript_makes_the_policy",
        Language::JavaScript,
        "example-javascript",
    );
}

#[test]
fn the_example_in_python_makes_the_policy() {
    try_out(
        "the_example_in_python_makes_the_policy",
        Language::Python,
        "example-python",
    );
}
