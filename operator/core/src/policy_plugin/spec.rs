//! The settings of one plugin, as a `PolicyPlugin` has them.
//!
//! The CRD is generated from these types: their docs are what
//! `kubectl explain` shows.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instance::selector::LabelSelector;

/// Where a plugin comes from, who vouches for it, who may use it, and what
/// nobody may switch off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyPluginSpec {
    /// Where the plugin comes from: exactly one of the kinds.
    pub source: SourceSpec,
    /// The SHA-256 of the plugin's file, as `sha256:` and 64 hex digits; a
    /// file with another digest is refused, whatever its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How often a source that can change is looked at again: `Never`, or a
    /// duration such as `30s`, `10m` or `1h`, of at least 10 s. Absent: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// Who must have signed it. Absent: signatures are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationSpec>,
    /// Config that holds where no instance, spec block or annotation says
    /// otherwise; null deletes a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub defaults: Option<Value>,
    /// What a call of it may use, below the operator's own limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: LimitsSpec,
    /// What it may do beyond writing known policies in their usual places.
    #[serde(default, skip_serializing_if = "is_default")]
    pub capabilities: Capabilities,
    /// Its place among the plugins of its phase; lower runs first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order: i32,
    /// The namespaces whose APIs may use it. Absent: none. `{}`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The APIs that nobody can switch it off for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandatory: Option<MandatorySpec>,
    /// JSON pointers of the config that API owners may set where the plugin is
    /// mandatory. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlocked: Vec<String>,
    /// The document that a templating plugin works on: a key of a `ConfigMap`
    /// in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<ConfigMapKey>,
    /// How a change reaches the APIs that use it. Absent: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
    /// Whether it takes the place of the built-in plugin of the same name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub replace_built_in: bool,
}

/// Where a plugin comes from; exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceSpec {
    /// A plugin in the operator's binary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_in: Option<BuiltInSource>,
    /// An artifact in an OCI registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
    /// A file on an HTTP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// A key of a `ConfigMap` in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapKey>,
    /// A file that the operator can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSource>,
}

/// A plugin in the operator's binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuiltInSource {
    /// Its name, as `apim-operator plugin list` shows it.
    pub name: String,
}

/// An artifact in an OCI registry: one layer of type `application/wasm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OciSource {
    /// `<registry>/<repository>:<tag>` or `…@sha256:<manifest digest>`.
    pub reference: String,
    /// A Secret of type `kubernetes.io/dockerconfigjson` in the operator's
    /// namespace. Absent: the registry is asked anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_ref: Option<NameRef>,
    /// A key of a `ConfigMap` in the operator's namespace that holds PEM
    /// certificates of further authorities that are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<ConfigMapKey>,
    /// Whether the registry is asked over plain HTTP; for registries on the
    /// same machine.
    #[serde(default, skip_serializing_if = "is_default")]
    pub plain_http: bool,
}

/// A file on an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpSource {
    /// Where it is.
    pub url: String,
    /// The SHA-256 of the file, as 64 hex digits.
    pub sha256: String,
    /// A key of a `ConfigMap` in the operator's namespace that holds PEM
    /// certificates of further authorities that are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<ConfigMapKey>,
}

/// A file that the operator can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSource {
    /// An absolute path.
    pub path: String,
}

/// A key of a `ConfigMap` in the operator's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// The name of the `ConfigMap`.
    pub name: String,
    /// The key in its `data` or `binaryData`.
    pub key: String,
}

/// An object in the operator's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameRef {
    /// Its name.
    pub name: String,
}

/// Who must have signed a plugin: one of the keys or one of the identities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationSpec {
    /// What happens to a plugin that nobody of them signed.
    #[serde(default)]
    pub mode: VerificationMode,
    /// Public keys in PEM, as `cosign.pub` holds one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeySpec>,
    /// Whom a keyless signature's certificate may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<IdentitySpec>,
    /// A key of a `ConfigMap` in the operator's namespace that holds the
    /// `trusted_root.json` of a private sigstore. Absent: the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_root: Option<ConfigMapKey>,
}

/// What happens to a plugin whose signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum VerificationMode {
    /// It is not used.
    #[default]
    Enforce,
    /// It is used, and the condition says that it is not verified.
    Warn,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeySpec {
    /// The key in PEM.
    pub pem: String,
}

/// Whom a certificate may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentitySpec {
    /// The OIDC issuer, exactly.
    pub issuer: String,
    /// The subject, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What the subject's path begins with, in whole segments:
    /// `https://github.com/acme` matches `https://github.com/acme/policies/…`
    /// and not `https://github.com/acme-evil/…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_prefix: Option<String>,
}

/// What one call may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsSpec {
    /// Memory, as a Kubernetes quantity such as `32Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Time, such as `100ms` or `2s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// What it may return, as a Kubernetes quantity such as `256Ki`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// What a plugin may do beyond writing known policies in their usual places.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// Whether it may return policy XML as text, which is parsed and checked
    /// like the rest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub raw_xml: bool,
    /// Policy statements that the operator does not know and passes on
    /// unchecked, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passthrough_elements: Vec<String>,
    /// Policy statements beyond `cors` that it may write before `<base/>`, by
    /// name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preflight_elements: Vec<String>,
    /// Whether its config may hold templates, not only name them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inline_templates: bool,
}

/// The APIs that nobody can switch a plugin off for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MandatorySpec {
    /// All APIs of these namespaces. Absent: none. `{}`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The APIs with these labels besides, in whatever namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How a change reaches the APIs that use a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutSpec {
    /// How many APIs change at once: a number, or a percentage such as `10%`.
    pub batch: IntOrPercent,
    /// How long to wait between two batches, such as `30s`. Absent: not at
    /// all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
}

/// A number or a percentage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrPercent {
    /// So many.
    Count(u32),
    /// Such a part, as `10%`.
    Percent(String),
}

impl Default for IntOrPercent {
    /// All of them.
    fn default() -> Self {
        Self::Percent("100%".to_owned())
    }
}

impl JsonSchema for IntOrPercent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "IntOrPercent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": "^(100|[1-9][0-9]?)%$",
        })
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An object with any fields; Kubernetes keeps them all.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
