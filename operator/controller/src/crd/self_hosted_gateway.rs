//! The `SelfHostedGateway` definition: API Management's gateway in the cluster.

#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type_, which the lint takes for a repetition"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use operator_core::gateway::spec::SelfHostedGatewaySpec;
use operator_core::product::rotation::Slot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apim_subscription::KeysStatus;

/// A gateway of API Management that runs in the cluster.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apim.oda.tmforum.org",
    version = "v1alpha1",
    kind = "SelfHostedGateway",
    plural = "selfhostedgateways",
    shortname = "shgw",
    namespaced,
    doc = "A gateway of Azure API Management that runs in the cluster.",
    status = "SelfHostedGatewayStatus",
    printcolumn(name = "Mode", json_path = ".spec.mode", type_ = "string"),
    printcolumn(name = "Gateway", json_path = ".status.gatewayId", type_ = "string"),
    printcolumn(name = "URL", json_path = ".status.url", type_ = "string"),
    printcolumn(
        name = "Token until",
        json_path = ".status.token.expires",
        type_ = "string"
    ),
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
pub struct SelfHostedGatewaySettings(pub SelfHostedGatewaySpec);

/// What the operator made of it. It never holds a key or a token.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelfHostedGatewayStatus {
    /// The generation that the rest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The ApimInstance in which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its id in API Management.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
    /// Where callers reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The host of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether a pod of it is available.
    #[serde(default)]
    pub available: bool,
    /// The ids of the APIs that this operator has it serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<String>,
    /// Its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenStatus>,
    /// When its keys are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    /// The Deployment whose pods have its container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<String>,
    /// The Service of the backend that was deployed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The hash of what is in place in API Management.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// `Ready`, `Reconciling` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What is known of a token; never the token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenStatus {
    /// The key that signed it.
    pub key: Slot,
    /// Until when it is valid.
    pub expires: Time,
    /// When it is replaced.
    pub renewal: Time,
}
