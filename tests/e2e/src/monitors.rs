//! `ServiceMonitor`s of the Prometheus Operator, as far as tests need them.

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::Stage;

/// The definition, with the fields that an operator may write and no others:
/// a field that Prometheus does not know would be lost, or refused.
#[must_use]
pub fn service_monitor_definition() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": text});
    let endpoint = json!({"type": "object", "properties": {
        "port": text, "path": text, "interval": {"type": "string", "pattern": "^(0|(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"},
        "targetPort": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "relabelings": {"type": "array", "items": {"type": "object", "properties": {
            "action": {"type": "string", "enum": ["keep", "drop", "replace"], "default": "replace"},
            "sourceLabels": texts, "regex": text, "targetLabel": text,
        }}},
    }});
    let labels = json!({"type": "object", "additionalProperties": text});
    let spec = json!({"type": "object", "required": ["endpoints", "selector"], "properties": {
        "endpoints": {"type": "array", "items": endpoint},
        "selector": {"type": "object", "properties": {"matchLabels": labels}},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "ServiceMonitor", "plural": "servicemonitors", "singular": "servicemonitor"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {"spec": spec}}},
            }],
        },
    })
}

impl Stage {
    /// The ServiceMonitors of the namespace `shop`.
    #[must_use]
    pub fn service_monitors(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "ServiceMonitor");
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client.clone(), "shop", &resource)
    }
}

/// An ExposedAPI of metrics.
#[must_use]
pub fn metrics_api(name: &str) -> Value {
    crate::exposed_api(name, |object| {
        object["spec"] = json!({
            "name": name, "apiType": "prometheus", "path": "/metrics", "implementation": name, "port": 8080,
        });
    })
}
