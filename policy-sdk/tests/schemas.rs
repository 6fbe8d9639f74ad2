//! What the SDK writes and reads agrees with the published JSON Schemas.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests are tests, and the lint knows only the functions"
)]

use std::fs;
use std::path::Path;

use policy_sdk::prelude::*;
use policy_sdk::testing::context;
use serde_json::{Value as Json, json};

fn schema(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../wit/schemas")
        .join(format!("{name}.schema.json"));
    let text = fs::read_to_string(&path).expect("the schema is there");
    let schema: Json = serde_json::from_str(&text).expect("the schema is JSON");
    jsonschema::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::validator_for(&schema).expect("the schema compiles")
}

fn assert_valid(name: &str, document: &Json) {
    let errors: Vec<String> = schema(name)
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new(), "{document:#}");
}

#[test]
fn the_context_fixture_is_valid() {
    assert_valid("context", &serde_json::to_value(context()).expect("JSON"));
}

#[test]
fn a_context_with_documents_and_capabilities_is_valid_and_understood() {
    let mut full = serde_json::to_value(context()).expect("JSON");
    full["capabilities"] = json!(["inline-templates"]);
    full["template"] = json!("<inbound />");
    full["documents"] = json!({"/template": "text"});
    assert_valid("context", &full);
    let context: Context = serde_json::from_value(full).expect("understood");
    assert!(context.grants("inline-templates") && !context.grants("raw-xml"));
    assert_eq!(context.template.as_deref(), Some("<inbound />"));
    assert_eq!(context.documents["/template"], "text");
}

#[test]
fn the_smallest_context_is_understood() {
    let smallest = json!({
        "interface": "1.7",
        "api": {
            "name": "a", "namespace": "n", "labels": {}, "path": "/", "apiType": "mcp", "segment": null,
            "dialect": "original", "backendUrl": null, "subscriptionRequired": true, "operations": null,
            "spec": {}, "addedLater": 1
        },
        "instance": {
            "name": "default", "sku": null, "gatewayUrl": null, "tenantId": null, "clientId": null,
            "openidConfigurationUrl": null, "audiences": [], "loginHost": null
        },
        "operation": { "id": "getPet", "addedLater": true },
        "addedLater": {}
    });
    assert_valid("context", &smallest);
    let context: Context = serde_json::from_value(smallest).expect("understood");
    assert_eq!(context.api.operations, None);
    assert_eq!(context.operation.map(|o| o.id), Some("getPet".to_owned()));
}

#[test]
fn descriptors_are_valid() {
    let descriptor = Descriptor::new("a-1", "1.0.0-rc.1+b", "A.", Phase::Preflight)
        .writes([
            Section::Inbound,
            Section::Backend,
            Section::Outbound,
            Section::OnError,
        ])
        .reads_block("CORS")
        .needs_feature("rate-limit-by-key")
        .asks_for("raw-xml")
        .document("/template")
        .inline_template("/a~1b/0");
    assert_valid(
        "descriptor",
        &serde_json::to_value(descriptor).expect("JSON"),
    );
}

#[test]
fn a_descriptor_without_sections_is_not_valid() {
    let descriptor = Descriptor::new("a", "1.0.0", "A.", Phase::Traffic);
    assert!(!schema("descriptor").is_valid(&serde_json::to_value(descriptor).expect("JSON")));
}

#[test]
fn requests_and_readings_of_a_spec_block_are_valid() {
    let request = SpecRequest::new(Dialect::Canonical, json!({"enabled": true}));
    assert_valid(
        "spec-request",
        &serde_json::to_value(request).expect("JSON"),
    );
    for reading in [
        SpecReading::nothing(),
        SpecReading::enabled(Some(true)).set("calls", Some(10)),
    ] {
        assert_valid(
            "spec-reading",
            &serde_json::to_value(reading).expect("JSON"),
        );
    }
}
