//! The plugins that come with the operator, whatever they are, and the
//! documents that go between them and the host.

use std::fs;
use std::path::Path;

use operator_core::policy::Target;
use operator_plugin_host::builtin_plugins;
use serde_json::{Value, json};

use super::{BUILT_IN, context};

fn assert_valid(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wit/schemas")
        .join(format!("{name}.schema.json"));
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("the schema is there"))
            .expect("JSON");
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .expect("a schema")
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{document:#}");
}

/// A context with everything in it that can be: about an operation, in the
/// tier that has least.
pub(crate) fn operation_context() -> Value {
    json!({
        "interface": "1.0",
        "api": {
            "name": "catalog", "namespace": "components", "labels": {"a": "b"}, "path": "/catalog",
            "apiType": "openapi", "segment": "coreAPI", "dialect": "original",
            "backendUrl": "https://backend.invalid", "subscriptionRequired": true,
            "operations": [
                {"id": "getPet", "operationId": null, "method": "GET", "urlTemplate": "/pets/{id}"}
            ],
            "spec": {"path": "/catalog"}
        },
        "instance": {
            "name": "default", "sku": "Consumption", "gatewayUrl": "https://gateway.invalid",
            "tenantId": "t", "clientId": "c", "openidConfigurationUrl": null,
            "issuerHosts": ["login.localhost"], "audiences": ["a"], "loginHost": "login.localhost"
        },
        "operation": {"id": "getPet"}
    })
}

#[test]
fn every_folder_of_plugins_is_built_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut folders: Vec<String> = fs::read_dir(folder)
        .expect("plugins")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    folders.sort();
    let names: Vec<_> = builtin_plugins().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, folders);
    assert!(!names.is_empty());
}

#[test]
fn every_built_in_plugin_loads_and_describes_itself() {
    for (folder, plugin) in &*BUILT_IN {
        assert_eq!(plugin.descriptor().name, *folder);
        assert_valid(
            "descriptor",
            &serde_json::to_value(plugin.descriptor()).expect("JSON"),
        );
        // It is run outside the sandbox.
        jsonschema::meta::validate(&plugin.descriptor().config_schema)
            .unwrap_or_else(|error| panic!("{folder}: {error}"));

        let request = json!({"dialect": "original", "block": {}});
        assert_valid("spec-request", &request);
        let reading = plugin.read_spec(&request).expect("works");
        assert_valid(
            "spec-reading",
            &serde_json::to_value(reading).expect("JSON"),
        );
    }
}

#[test]
fn a_built_in_plugin_writes_for_what_it_is_asked_about() {
    for (folder, plugin) in &*BUILT_IN {
        // What works without config; the tables of configs are another test.
        let Ok(policy) = plugin.generate(&context(), &json!({})) else {
            continue;
        };
        assert!(!policy.fragments.is_empty(), "{folder}");
        assert!(
            policy.fragments.iter().all(|f| f.target == Target::Api),
            "{folder}"
        );
        let policy = plugin
            .generate(&operation_context(), &json!({}))
            .unwrap_or_else(|error| panic!("{folder}: {error}"));
        let target = Target::Operation("getPet".to_owned());
        assert!(
            policy.fragments.iter().all(|f| f.target == target),
            "{folder}"
        );
    }
}

#[test]
fn a_plugin_refuses_a_config_with_a_pointer() {
    for (folder, plugin) in &*BUILT_IN {
        let error = plugin
            .generate(&context(), &json!({"no-such-field": 1}))
            .expect_err(folder);
        assert_eq!(error.reason(), "PluginRefused", "{folder}: {error}");
        assert!(
            error
                .to_string()
                .starts_with("/no-such-field: unknown field"),
            "{error}"
        );
    }
}

#[test]
fn the_contexts_of_these_tests_are_what_the_schema_says() {
    assert_valid("context", &context());
    assert_valid("context", &operation_context());
}

#[test]
fn built_in_plugins_are_small() {
    // Size is compile time at every first start. Only code counts: the names
    // of functions, for backtraces, are not compiled. One with a template
    // engine in it has most.
    for (name, bytes) in builtin_plugins() {
        let mut code = 0;
        for payload in wasmparser::Parser::new(0).parse_all(bytes) {
            if let wasmparser::Payload::CodeSectionStart { size, .. } = payload.expect("valid") {
                code += size;
            }
        }
        assert!(
            (1 << 10..1 << 20).contains(&code),
            "{name} has {code} bytes of code"
        );
    }
}
