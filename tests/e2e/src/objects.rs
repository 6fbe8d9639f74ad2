//! ExposedAPIs as tests write and read them.

use kube::api::DynamicObject;
use serde_json::{Value, json};

/// A small ExposedAPI with an inline document of two operations; `change` may
/// alter it before it is used.
#[must_use]
pub fn exposed_api(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "oda.tmforum.org/v1",
        "kind": "ExposedAPI",
        "metadata": {"name": name, "namespace": "shop", "annotations": {}},
        "spec": {
            "name": name,
            "apiType": "openapi",
            "path": format!("/{name}"),
            "implementation": name,
            "port": 8080,
            "rateLimit": {"enabled": true, "limit": "100", "interval": "pm"},
            "specification": document(name, &["get", "post"]).to_string(),
        },
    });
    change(&mut object);
    object
}

/// An OpenAPI document with one path and these methods.
#[must_use]
pub fn document(title: &str, methods: &[&str]) -> Value {
    let operations: serde_json::Map<String, Value> = methods
        .iter()
        .map(|method| {
            let operation = json!({"operationId": format!("{method}Item"), "responses": {"200": {"description": "ok"}}});
            ((*method).to_owned(), operation)
        })
        .collect();
    json!({"openapi": "3.0.1", "info": {"title": title, "version": "1"}, "paths": {"/items": operations}})
}

/// The status of an object, `null` where there is none.
#[must_use]
pub fn status_of(object: &DynamicObject) -> Value {
    object.data.get("status").cloned().unwrap_or_default()
}

/// A status's conditions, as `type=status reason`.
#[must_use]
pub fn conditions(status: &Value) -> Vec<String> {
    let text =
        |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            format!(
                "{}={} {}",
                text(c, "type"),
                text(c, "status"),
                text(c, "reason")
            )
        })
        .collect()
}
