//! The `ApimSubscription` definition: keys that open a product or an API.

#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn has a type_, which the lint takes for a repetition"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use operator_core::product::rotation::{KeyState, Slot};
use operator_core::product::spec::ApimSubscriptionSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keys that open a product or an API.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apim.oda.tmforum.org",
    version = "v1alpha1",
    kind = "ApimSubscription",
    plural = "apimsubscriptions",
    namespaced,
    doc = "A subscription of Azure API Management: keys, in a Secret, that open a product or an API.",
    status = "ApimSubscriptionStatus",
    printcolumn(name = "Secret", json_path = ".spec.secretName", type_ = "string"),
    printcolumn(name = "State", json_path = ".status.state", type_ = "string"),
    printcolumn(
        name = "Next rotation",
        json_path = ".status.keys.next",
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
pub struct ApimSubscriptionSettings(pub ApimSubscriptionSpec);

/// What the operator made of it. It never holds a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApimSubscriptionStatus {
    /// The generation that the rest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The ApimInstance in which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its id in API Management.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<String>,
    /// What API Management says of it: `active`, `submitted`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The Secret that holds its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// When its keys are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    /// The hash of what is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// `Ready`, `Reconciling` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// When keys are replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysStatus {
    /// Which of the two is the one to use.
    pub current: Slot,
    /// Since when.
    pub since: Time,
    /// When the other one is replaced, and becomes the one to use.
    #[serde(default)]
    pub next: Option<Time>,
    /// The one that is being replaced now. Always written, so that it goes when
    /// it is null.
    #[serde(default)]
    pub replacing: Option<Slot>,
}

impl KeysStatus {
    /// As decisions need it.
    #[must_use]
    pub const fn state(&self) -> KeyState {
        KeyState {
            current: self.current,
            since: self.since.0,
            replacing: self.replacing,
        }
    }
}
