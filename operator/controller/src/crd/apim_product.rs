//! The `ApimProduct` definition: APIs that are subscribed to as one.

#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type_, which the lint takes for a repetition"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use operator_core::product::spec::ApimProductSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// APIs that are subscribed to as one.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apim.oda.tmforum.org",
    version = "v1alpha1",
    kind = "ApimProduct",
    plural = "apimproducts",
    namespaced,
    doc = "A product of Azure API Management: APIs that are subscribed to as one.",
    status = "ApimProductStatus",
    printcolumn(name = "Product", json_path = ".status.productId", type_ = "string"),
    printcolumn(name = "Published", json_path = ".spec.published", type_ = "boolean"),
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
pub struct ApimProductSettings(pub ApimProductSpec);

/// What the operator made of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApimProductStatus {
    /// The generation that the rest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The ApimInstance in which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its id in API Management.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// The hash of what is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// `Ready`, `Reconciling` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
