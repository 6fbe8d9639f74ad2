//! The `ApimInstance` definition: where APIs are published, and what their
//! owners may say about it.

#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type_, which the lint takes for a repetition"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use operator_core::instance::ApimInstanceSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where APIs are published, and what their owners may say about it.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apim.oda.tmforum.org",
    version = "v1alpha1",
    kind = "ApimInstance",
    plural = "apiminstances",
    doc = "An Azure API Management instance that APIs are published in.",
    status = "ApimInstanceStatus",
    printcolumn(name = "Service", json_path = ".spec.serviceName", type_ = "string"),
    printcolumn(name = "Tier", json_path = ".status.sku", type_ = "string"),
    printcolumn(name = "Gateway", json_path = ".status.gatewayUrl", type_ = "string"),
    printcolumn(
        name = "Ready",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        type_ = "string"
    ),
    printcolumn(
        name = "Reason",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        type_ = "string"
    ),
    printcolumn(
        name = "Age",
        json_path = ".metadata.creationTimestamp",
        type_ = "date"
    )
)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct ApimInstanceSettings(pub ApimInstanceSpec);

/// What the operator found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApimInstanceStatus {
    /// The tier, as `sku.name` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Where callers reach the APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_url: Option<String>,
    /// Where the developer portal is, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer_portal_url: Option<String>,
    /// Whose host name that is: `DefaultHostName`, or `CustomDomain` for one of
    /// the service's own domains, which counts in a virtual network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<String>,
    /// Its public addresses, which `exposure.protection.allowList` admits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// How it is joined to a virtual network: `None`, `External`, `Internal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_network: Option<String>,
    /// `Ready`: whether APIs can be published in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
