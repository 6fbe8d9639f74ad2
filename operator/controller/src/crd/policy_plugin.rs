//! The `PolicyPlugin` definition: where a plugin comes from, who may use it,
//! and for whom it is mandatory.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use operator_core::policy_plugin::PolicyPluginSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where a plugin comes from, who vouches for it, who may use it, and what
/// nobody may switch off.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apim.oda.tmforum.org",
    version = "v1alpha1",
    kind = "PolicyPlugin",
    plural = "policyplugins",
    shortname = "pp",
    doc = "A policy plugin: where it comes from, who may use it, and for whom it is mandatory. Its name is the one that API owners write.",
    status = "PolicyPluginStatus",
    validation = Rule::new("self.metadata.name.size() <= 56 && !self.metadata.name.contains('.')").message("a plugin's name is a DNS label of at most 56 characters: it becomes part of an annotation's name"),
    printcolumn(name = "Version", json_path = ".status.version", type_ = "string"),
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
    printcolumn(name = "Mandatory", json_path = ".status.mandatoryFor", type_ = "integer"),
    printcolumn(name = "Digest", json_path = ".status.digest", type_ = "string", priority = 1),
    printcolumn(name = "Source", json_path = ".status.reference", type_ = "string", priority = 1),
    printcolumn(name = "Age", json_path = ".metadata.creationTimestamp", type_ = "date")
)]
#[serde(transparent)]
#[schemars(transparent, transform = add_rules)]
pub struct PolicyPluginSettings(pub PolicyPluginSpec);

/// What the operator made of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPluginStatus {
    /// The generation that the rest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the file that runs came from: of a registry
    /// `registry/repository@sha256:<manifest>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The digest of the file that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The version that runs, as the plugin says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the plugin says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor: Option<DescriptorStatus>,
    /// Who signed what runs; absent where no signature is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The digest of the last file that could be used: what runs where the
    /// newest cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_digest: Option<String>,
    /// The reference of the last file that could be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_reference: Option<String>,
    /// How many APIs use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// For how many of them it is mandatory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandatory_for: Option<u32>,
    /// A new version on its way to the users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// `Ready`, `Reconciling` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescriptorStatus {
    /// Its own name, which may differ from the object's.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Where its policy stands.
    pub phase: String,
    /// The sections that it writes.
    pub sections: Vec<String>,
    /// The block of a spec that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_block: Option<String>,
    /// What it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The version of the plugin interface that it was built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The JSON Schema of its config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub config_schema: Option<Value>,
}

/// A new version on its way to the users.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The digest of the new version.
    pub digest: String,
    /// Its version.
    pub version: String,
    /// How many APIs have it.
    pub done: u32,
    /// How many will.
    pub total: u32,
}

/// What can never work, refused when it is applied: field, CEL rule, message.
/// What depends on other objects or on the plugin is told in status.
const RULES: [(&str, &str, &str); 10] = [
    (
        ".source",
        "[has(self.source.builtIn), has(self.source.oci), has(self.source.http), has(self.source.configMap), has(self.source.file)].filter(x, x).size() == 1",
        "write exactly one of builtIn, oci, http, configMap and file",
    ),
    (
        ".digest",
        "!has(self.digest) || self.digest.matches('^sha256:[0-9a-fA-F]{64}$')",
        "write sha256: and 64 hex digits",
    ),
    (
        ".source.http.sha256",
        "!has(self.source.http) || self.source.http.sha256.matches('^[0-9a-fA-F]{64}$')",
        "write 64 hex digits",
    ),
    (
        ".source.http.url",
        "!has(self.source.http) || self.source.http.url.startsWith('https://') || self.source.http.url.startsWith('http://')",
        "write a URL that begins with https://",
    ),
    (
        ".source.file.path",
        "!has(self.source.file) || self.source.file.path.startsWith('/')",
        "write an absolute path",
    ),
    (
        ".refresh",
        "!has(self.refresh) || self.refresh == 'Never' || self.refresh.matches('^[0-9]+(ms|s|m|h)$')",
        "write Never, or a duration such as 30s, 10m or 1h",
    ),
    (
        ".unlocked",
        "!has(self.unlocked) || self.unlocked.all(p, p.startsWith('/'))",
        "write JSON pointers such as /requiredRoles",
    ),
    (
        ".verification",
        "!has(self.verification) || (has(self.verification.keys) && size(self.verification.keys) > 0) || (has(self.verification.identities) && size(self.verification.identities) > 0)",
        "list public keys in keys or signers in identities",
    ),
    (
        ".verification",
        "!has(self.verification) || !has(self.verification.identities) || self.verification.identities.all(i, has(i.subject) != has(i.subjectPrefix))",
        "each identity has exactly one of subject and subjectPrefix",
    ),
    (
        ".replaceBuiltIn",
        "!has(self.replaceBuiltIn) || !self.replaceBuiltIn || !has(self.source.builtIn)",
        "has no meaning for a built-in source",
    ),
];

fn add_rules(schema: &mut schemars::Schema) {
    let rules = RULES.map(
        |(field, rule, message)| json!({"rule": rule, "message": message, "fieldPath": field}),
    );
    schema.insert("x-kubernetes-validations".to_owned(), json!(rules));
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
