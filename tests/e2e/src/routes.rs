//! Kinds that route requests and that not every cluster has, as far as tests
//! need them: with the fields that an operator may write and no others, so that
//! a field that the kind does not know is lost, as it would be.

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::Stage;

fn definition(group: &str, kind: &str, plural: &str, spec: &Value, has_status: bool) -> Value {
    version_of(group, "v1", kind, plural, spec, has_status)
}

fn version_of(
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    spec: &Value,
    has_status: bool,
) -> Value {
    let name = version;
    let status = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut version = json!({
        "name": name, "served": true, "storage": true,
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

/// Middlewares and TLSOptions of Traefik.
#[must_use]
pub fn traefik() -> [Value; 2] {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let list = json!({"type": "object", "properties": {"sourceRange": texts}});
    let middleware = json!({"type": "object", "properties": {"ipAllowList": list}});
    let kinds = [
        "NoClientCert",
        "RequireAnyClientCert",
        "RequireAndVerifyClientCert",
    ];
    let client = json!({"type": "object", "properties": {
        "secretNames": texts, "clientAuthType": {"type": "string", "enum": kinds},
    }});
    let options = json!({"type": "object", "properties": {"clientAuth": client}});
    let of = |kind, plural, spec| version_of("traefik.io", "v1alpha1", kind, plural, spec, false);
    [
        of("Middleware", "middlewares", &middleware),
        of("TLSOption", "tlsoptions", &options),
    ]
}

/// What protects workloads in Istio.
#[must_use]
pub fn istio_security() -> [Value; 3] {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "items": text});
    let labels = json!({"type": "object", "additionalProperties": text, "maxProperties": 4096});
    let selector = json!({"type": "object", "properties": {"matchLabels": labels}});
    let modes = ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"];
    let mode = json!({"type": "object", "properties": {"mode": {"type": "string", "enum": modes}}});
    let peer = json!({"type": "object", "properties": {"selector": selector, "mtls": mode}});
    let source =
        json!({"type": "object", "properties": {"principals": texts, "requestPrincipals": texts}});
    let from = json!({"type": "object", "properties": {"source": source}});
    let when = json!({"type": "object", "required": ["key"], "properties": {"key": text, "values": texts}});
    let rule = json!({"type": "object", "properties": {
        "from": {"type": "array", "items": from}, "when": {"type": "array", "items": when},
    }});
    let actions = ["ALLOW", "DENY", "AUDIT", "CUSTOM"];
    let policy = json!({"type": "object", "properties": {
        "selector": selector, "action": {"type": "string", "enum": actions},
        "rules": {"type": "array", "items": rule},
    }});
    let header = json!({"type": "object", "required": ["name"], "properties": {"name": text, "prefix": text}});
    let jwt = json!({"type": "object", "required": ["issuer"], "properties": {
        "issuer": text, "audiences": texts, "jwksUri": text,
        "fromHeaders": {"type": "array", "items": header},
    }});
    let request = json!({"type": "object", "properties": {
        "selector": selector, "jwtRules": {"type": "array", "items": jwt},
    }});
    let of = |kind, plural, spec| definition("security.istio.io", kind, plural, spec, true);
    [
        of("PeerAuthentication", "peerauthentications", &peer),
        of("AuthorizationPolicy", "authorizationpolicies", &policy),
        of("RequestAuthentication", "requestauthentications", &request),
    ]
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
