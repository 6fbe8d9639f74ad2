//! The settings of a profile, as `PolicyProfile` and `ClusterPolicyProfile`
//! have them.
//!
//! The CRDs are generated from these types: their docs are what
//! `kubectl explain` shows.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instance::selector::LabelSelector;

/// A list of plugins with config, for the APIs of the namespace that name it in
/// the annotation `apim.oda.tmforum.org/profiles`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyProfileSpec {
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its plugins. They are added to the chain of an API, behind those that
    /// are there; one that is there already gets the config alone.
    #[schemars(schema_with = "plugins")]
    pub plugins: Vec<ProfilePluginSpec>,
    /// The secrets that its config names, as `{profileSecret: <name>}` where a
    /// plugin takes `{namedValue: <name>}`. Each becomes a named value of API
    /// Management that is marked secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "secrets")]
    pub secrets: Vec<ProfileSecretSpec>,
}

/// A list of plugins with config, for all APIs that may name it in the
/// annotation `apim.oda.tmforum.org/profiles`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterPolicyProfileSpec {
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The namespaces whose APIs may name it. Absent: none. `{}`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Its plugins. They are added to the chain of an API, behind those that
    /// are there; one that is there already gets the config alone.
    #[schemars(schema_with = "plugins")]
    pub plugins: Vec<ProfilePluginSpec>,
    /// The secrets that its config names, as `{profileSecret: <name>}` where a
    /// plugin takes `{namedValue: <name>}`. Each becomes a named value of API
    /// Management that is marked secret, or refers to a Key Vault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "secrets")]
    pub secrets: Vec<ProfileSecretSpec>,
}

/// A plugin of a profile.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfilePluginSpec {
    /// The plugin, as `apim-operator plugin list` and PolicyPlugins name it.
    #[schemars(
        length(min = 1, max = 56),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Config that holds over what the API's spec says and under the annotation
    /// `plugin.<name>`; null deletes a field. Of several profiles the last one
    /// that an API names wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub config: Option<Value>,
}

/// A secret of a profile: exactly one of the places where it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileSecretSpec {
    /// Its name in the profile.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// A key of a Secret that carries the label
    /// `apim.oda.tmforum.org/readable: "true"`: of the profile's namespace, or
    /// of the operator's for a ClusterPolicyProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySpec>,
    /// A secret in a Key Vault, which API Management reads with an identity of
    /// its own. Only in a ClusterPolicyProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault: Option<KeyVaultSpec>,
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeySpec {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A secret in a Key Vault.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyVaultSpec {
    /// Its URL, `https://<vault>.vault.azure.net/secrets/<name>`; without a
    /// version, API Management follows its rotation.
    #[schemars(length(min = 1, max = 2000))]
    pub secret_identifier: String,
    /// The client id of a user-assigned identity of the service that may read
    /// it. Absent: its system-assigned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub identity_client_id: Option<String>,
}

/// The most plugins of one profile.
pub const MOST_PLUGINS: usize = 64;

/// A list whose entries the API server tells apart by their names.
fn plugins(generator: &mut SchemaGenerator) -> Schema {
    let entry = generator.subschema_for::<ProfilePluginSpec>();
    json_schema!({
        "type": "array",
        "items": entry,
        "minItems": 1,
        "maxItems": MOST_PLUGINS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}

/// The most secrets of one profile.
pub const MOST_SECRETS: usize = 32;

/// The same of secrets, with what the API server can check of them.
fn secrets(generator: &mut SchemaGenerator) -> Schema {
    let entry = generator.subschema_for::<ProfileSecretSpec>();
    json_schema!({
        "type": "array",
        "items": entry,
        "maxItems": MOST_SECRETS,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-validations": [{
            "rule": "self.all(s, has(s.secretRef) != has(s.keyVault))",
            "message": "each secret has exactly one of secretRef and keyVault",
        }],
    })
}

/// An object with any fields; Kubernetes keeps them all.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
