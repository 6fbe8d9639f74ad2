//! The ExposedAPI definition for clusters without an ODA Canvas.
//!
//! It is written out rather than derived, because it describes two dialects at
//! once: TM Forum's canonical one and the original Azure operator's. What
//! either of their definitions accepts, this one accepts and keeps unchanged:
//! so the schema names types only where both agree, and every object in it
//! preserves unknown fields. What a value means is decided when it is read.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

/// The API group of ExposedAPIs.
pub const GROUP: &str = "oda.tmforum.org";
/// The kind.
pub const KIND: &str = "ExposedAPI";
/// The plural, as URLs spell it.
pub const PLURAL: &str = "exposedapis";
/// The name of the definition.
pub const CRD_NAME: &str = "exposedapis.oda.tmforum.org";
/// The served versions, the storage version first. The operator works at the
/// first of them that the cluster serves: writing through an older version of
/// the canonical definition destroys `spec.specification`.
pub const VERSIONS: [&str; 3] = ["v1", "v1beta4", "v1beta3"];

fn any(description: &str) -> Value {
    json!({"description": description, "x-kubernetes-preserve-unknown-fields": true})
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}

fn int_or_string(description: &str) -> Value {
    json!({"description": description, "x-kubernetes-int-or-string": true})
}

fn boolean(description: &str) -> Value {
    json!({"description": description, "type": "boolean"})
}

fn block(description: &str, properties: &Value) -> Value {
    json!({
        "description": description,
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": properties,
    })
}

fn spec_schema() -> Value {
    json!({
        "type": "object",
        "description": "What is exposed, and what the policies that protect it read.",
        "x-kubernetes-preserve-unknown-fields": true,
        "required": ["path", "implementation", "port"],
        "properties": {
            "name": text("Name of the API; metadata.name where it is absent."),
            "apiType": {
                "type": "string",
                "enum": ["openapi", "prometheus", "openmetrics", "mcp"],
                "description": "openapi (the default) and mcp are published in API Management; prometheus and openmetrics are reached inside the cluster.",
            },
            "specification": any("The OpenAPI document: {url, version}, a list of those or of URLs, a URL, or the document itself. Absent: every path and method is passed on."),
            "implementation": text("The Service that implements the API, or <external>."),
            "path": text("The path of the API below the gateway, and of the implementation."),
            "port": int_or_string("The port of the Service."),
            "developerUI": text("The path of a developer's user interface."),
            "segment": text("coreFunction, managementFunction or securityFunction."),
            "apiKeyVerification": block("API Management's subscription key.", &json!({
                "enabled": boolean("(default: false) Callers need a subscription key."),
                "location": text("header or query; any other text is the header's name."),
            })),
            "rateLimit": block("How often a caller may call; read by the rate-limit plugin.", &json!({
                "enabled": boolean("(default: false where apiType is set, else true)"),
                "identifier": text("What counts as one caller, for example IP."),
                "limit": int_or_string("Calls in each interval."),
                "interval": text("(default: ps) ps or pm."),
                "period": int_or_string("The interval in seconds, in the dialect without apiType."),
            })),
            "quota": block("How much a caller may call over a long time; needs a plugin that reads it.", &json!({
                "identifier": text("What counts as one caller."),
                "limit": int_or_string("Calls in each period."),
            })),
            "OASValidation": block("Checks against the OpenAPI document; needs a plugin that reads it.", &json!({
                "requestEnabled": boolean("(default: false)"),
                "responseEnabled": boolean("(default: false)"),
                "allowUnspecifiedHeaders": boolean("(default: false)"),
                "allowUnspecifiedQueryParams": boolean("(default: false)"),
                "allowUnspecifiedCookies": boolean("(default: false)"),
            })),
            "CORS": block("Cross-origin requests; read by the cors plugin.", &json!({
                "enabled": boolean("(default: false where apiType is set, else true)"),
                "allowCredentials": boolean("(default: false)"),
                "allowOrigins": any("(default: *) Origins: comma-separated, or a list in the dialect without apiType."),
                "allowMethods": any("Methods, in the dialect without apiType."),
                "allowHeaders": any("Headers, in the dialect without apiType."),
                "exposeHeaders": any("Response headers a script may read, in the dialect without apiType."),
                "maxAge": int_or_string("Seconds, in the dialect without apiType."),
                "handlePreflightRequests": block("How preflight requests are answered.", &json!({
                    "enabled": boolean("(default: true)"),
                    "allowHeaders": text("Comma-separated."),
                    "allowMethods": text("Comma-separated."),
                    "maxAge": int_or_string("(default: 1800) Seconds."),
                })),
            })),
            "template": text("The name of a policy template; needs a plugin that reads it."),
        },
    })
}

fn version(name: &str, storage: bool) -> Value {
    json!({
        "name": name,
        "served": true,
        "storage": storage,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": "Path", "type": "string", "jsonPath": ".spec.path"},
            {"name": "URL", "type": "string", "jsonPath": ".status.apiStatus.url"},
            {"name": "Ready", "type": "string", "jsonPath": ".status.implementation.ready"},
            {"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            {"name": "Plugins", "type": "string", "priority": 1, "jsonPath": ".status.pluginNames"},
            {"name": "API id", "type": "string", "priority": 1, "jsonPath": ".status.apim.apiId"},
        ],
        "schema": {"openAPIV3Schema": {
            "type": "object",
            "description": "An API that a component exposes.",
            "required": ["spec"],
            "properties": {
                "spec": spec_schema(),
                "status": {
                    "type": "object",
                    "description": "What the operator made of it.",
                    "x-kubernetes-preserve-unknown-fields": true,
                },
            },
        }},
    })
}

/// The definition.
pub fn definition() -> Result<CustomResourceDefinition, serde_json::Error> {
    let versions: Vec<Value> = VERSIONS
        .iter()
        .rev()
        .map(|name| version(name, *name == VERSIONS[0]))
        .collect();
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "plural": PLURAL, "singular": "exposedapi", "shortNames": ["expapi"]},
            "conversion": {"strategy": "None"},
            "versions": versions,
        },
    }))
}
