//! The `PolicyProfile` and `ClusterPolicyProfile` definitions: named lists of
//! plugins with config, which ExposedAPIs name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use operator_core::profile::spec::{ClusterPolicyProfileSpec, PolicyProfileSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Plugins with config for the APIs of a namespace.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apim.oda.tmforum.org",
    version = "v1alpha1",
    kind = "PolicyProfile",
    plural = "policyprofiles",
    shortname = "pprof",
    namespaced,
    doc = "Plugins with config for the APIs of its namespace that name it in the annotation apim.oda.tmforum.org/profiles.",
    status = "PolicyProfileStatus",
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')").message("a profile's name is a DNS label of at most 63 characters"),
    printcolumn(name = "Plugins", json_path = ".status.pluginNames", type_ = "string"),
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
    printcolumn(name = "APIs", json_path = ".status.users", type_ = "integer"),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date")
)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct PolicyProfileSettings(pub PolicyProfileSpec);

/// Plugins with config for the APIs of many namespaces.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apim.oda.tmforum.org",
    version = "v1alpha1",
    kind = "ClusterPolicyProfile",
    plural = "clusterpolicyprofiles",
    shortname = "cpprof",
    doc = "Plugins with config for the APIs that name it in the annotation apim.oda.tmforum.org/profiles, in the namespaces that it selects.",
    status = "PolicyProfileStatus",
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')").message("a profile's name is a DNS label of at most 63 characters"),
    printcolumn(name = "Plugins", json_path = ".status.pluginNames", type_ = "string"),
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
    printcolumn(name = "APIs", json_path = ".status.users", type_ = "integer"),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date")
)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct ClusterPolicyProfileSettings(pub ClusterPolicyProfileSpec);

/// What the operator made of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyProfileStatus {
    /// The generation that the rest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The names of its plugins, joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_names: Option<String>,
    /// How many APIs name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// `Ready`: whether it can be used. That an API cannot be published with
    /// it makes it not ready, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
