//! The request's context, as in `wit/schemas/context.schema.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Dialect;

/// What a policy is generated for. Fields that a later minor version of the
/// interface adds are ignored by a plugin that does not know them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Context {
    /// The version of the interface that the operator speaks, `major.minor`.
    pub interface: String,
    /// The API.
    pub api: Api,
    /// The API Management instance it is published in.
    pub instance: Instance,
    /// The operation that this call is about; none for the whole API.
    #[serde(default)]
    pub operation: Option<OperationRef>,
    /// What the platform granted the plugin: `raw-xml`, `inline-templates`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The text of the document that the `PolicyPlugin`'s `spec.template` names,
    /// if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The texts of the documents that the config names, by the pointers that
    /// the descriptor lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, String>,
}

impl Context {
    /// Whether the platform granted the plugin this.
    #[must_use]
    pub fn grants(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|one| one == capability)
    }
}

/// The API that a policy is generated for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Api {
    /// The name of the ExposedAPI.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The path below the gateway, with a leading slash.
    pub path: String,
    /// `openapi`, `mcp`, …
    pub api_type: String,
    /// `coreAPI`, `managementAPI`, `securityAPI`, where it is known.
    #[serde(default)]
    pub segment: Option<String>,
    /// The dialect in which its spec is written.
    pub dialect: Dialect,
    /// Where requests are forwarded to, where it is known.
    #[serde(default)]
    pub backend_url: Option<String>,
    /// Whether callers need a subscription key.
    #[serde(default)]
    pub subscription_required: bool,
    /// Its operations; none when they are unknown.
    #[serde(default)]
    pub operations: Option<Vec<Operation>>,
    /// The object's whole spec, as it was written.
    #[serde(default)]
    pub spec: Value,
}

/// An operation of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Operation {
    /// Its id in API Management: what a fragment's target names.
    pub id: String,
    /// Its `operationId` in the OpenAPI document, if it has one.
    #[serde(default)]
    pub operation_id: Option<String>,
    /// The HTTP method, in upper case.
    pub method: String,
    /// The URL template, with a leading slash.
    pub url_template: String,
}

/// The API Management instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Instance {
    /// The name of the ApimInstance.
    pub name: String,
    /// The tier, as Azure spells it (`Consumption`, `StandardV2`, …), where
    /// it is known.
    #[serde(default)]
    pub sku: Option<String>,
    /// The URL of its gateway, where it is known.
    #[serde(default)]
    pub gateway_url: Option<String>,
    /// The Entra tenant of its callers.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The application that callers' tokens are for.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Where the tenant's OpenID configuration is.
    #[serde(default)]
    pub openid_configuration_url: Option<String>,
    /// Hosts that may stand in the issuer of a token, where they are not the
    /// usual ones.
    #[serde(default)]
    pub issuer_hosts: Vec<String>,
    /// The audiences that the platform set; empty: the client id.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The host of the cloud's login service.
    #[serde(default)]
    pub login_host: Option<String>,
}

impl Instance {
    /// Whether this is the Consumption tier, which lacks what counts per key.
    #[must_use]
    pub fn is_consumption(&self) -> bool {
        self.sku
            .as_deref()
            .is_some_and(|sku| sku.eq_ignore_ascii_case("Consumption"))
    }
}

/// The operation that a call is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OperationRef {
    /// Its id in API Management.
    pub id: String,
}

impl OperationRef {
    /// The operation with this id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into() }
    }
}
