//! Kinds that route requests and that not every cluster has, as far as tests
//! need them: with the fields that an operator may write and no others, so that
//! a field that the kind does not know is lost, as it would be.

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::Stage;

fn definition(group: &str, kind: &str, plural: &str, spec: &Value, has_status: bool) -> Value {
    let status = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut version = json!({
        "name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {
            "type": "object", "required": ["spec"], "properties": {"spec": spec, "status": status},
        }},
    });
    if has_status {
        version["subresources"] = json!({"status": {}});
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // The API server lets nobody define kinds of its own groups without.
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"},
        },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [version],
        },
    })
}

/// Gateways and HTTPRoutes of the Gateway API.
#[must_use]
pub fn gateway_api() -> [Value; 2] {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer", "minimum": 1, "maximum": 65535});
    let listener = json!({"type": "object", "required": ["name", "port", "protocol"], "properties": {
        "name": text, "port": number, "protocol": text, "hostname": text,
    }});
    let gateway = json!({"type": "object", "required": ["gatewayClassName", "listeners"], "properties": {
        "gatewayClassName": text, "listeners": {"type": "array", "items": listener},
    }});
    let parent = json!({"type": "object", "required": ["name"], "properties": {
        "group": {"type": "string", "default": "gateway.networking.k8s.io"}, "kind": {"type": "string", "default": "Gateway"},
        "namespace": text, "name": text, "sectionName": text,
    }});
    let path = json!({"type": "object", "properties": {
        "type": {"type": "string", "enum": ["Exact", "PathPrefix", "RegularExpression"], "default": "PathPrefix"},
        "value": {"type": "string", "default": "/", "maxLength": 1024},
    }});
    let backend = json!({"type": "object", "required": ["name"], "properties": {
        "group": {"type": "string", "default": ""}, "kind": {"type": "string", "default": "Service"},
        "name": text, "namespace": text, "port": number, "weight": {"type": "integer", "default": 1},
    }});
    let rule = json!({"type": "object", "properties": {
        "matches": {"type": "array", "items": {"type": "object", "properties": {"path": path}}},
        "backendRefs": {"type": "array", "items": backend},
    }});
    let route = json!({"type": "object", "properties": {
        "parentRefs": {"type": "array", "items": parent}, "hostnames": {"type": "array", "items": text},
        "rules": {"type": "array", "items": rule},
    }});
    let group = "gateway.networking.k8s.io";
    [
        definition(group, "Gateway", "gateways", &gateway, true),
        definition(group, "HTTPRoute", "httproutes", &route, true),
    ]
}

/// VirtualServices of Istio.
#[must_use]
pub fn istio() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": text});
    let uri =
        json!({"type": "object", "properties": {"exact": text, "prefix": text, "regex": text}});
    let destination = json!({"type": "object", "required": ["host"], "properties": {
        "host": text, "port": {"type": "object", "properties": {"number": {"type": "integer"}}},
    }});
    let route = json!({"type": "object", "properties": {
        "match": {"type": "array", "items": {"type": "object", "properties": {"uri": uri}}},
        "route": {"type": "array", "items": {"type": "object", "properties": {"destination": destination}}},
    }});
    let spec = json!({"type": "object", "properties": {
        "hosts": texts, "gateways": texts, "http": {"type": "array", "items": route},
    }});
    definition(
        "networking.istio.io",
        "VirtualService",
        "virtualservices",
        &spec,
        true,
    )
}

/// The rights for all ways into the cluster, as they are shipped.
pub fn rights() -> anyhow::Result<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(std::fs::read_to_string(
        path.join("../../deploy/rbac-exposures.yaml"),
    )?)
}

impl Stage {
    /// The objects of a kind in the namespace `shop`.
    #[must_use]
    pub fn objects(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), "shop", &resource)
    }
}
