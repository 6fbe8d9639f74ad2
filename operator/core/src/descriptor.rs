//! What a plugin says of itself: the document that `describe()` returns.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::{Phase, Section};

/// A plugin's descriptor. Unknown fields are kept out of the way: a later
/// minor version of the interface may add some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// A DNS label of at most 56 characters.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// Where its fragments stand.
    pub phase: Phase,
    /// The sections it writes; a fragment for another is refused.
    pub sections: Vec<Section>,
    /// JSON Schema of its config.
    pub config_schema: Value,
    /// The block of an ExposedAPI's spec that it reads (`rateLimit`, `CORS`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_block: Option<String>,
    /// What the APIM instance's tier must offer, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sku_features: Vec<String>,
    /// Capabilities it asks for (`raw-xml`, `passthrough-elements`, …).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// JSON pointers of config values `{configMap: {name, key}}`, which name
    /// documents of the platform: their texts are put into the context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<String>,
    /// JSON pointers of config values that are templates: the platform must
    /// grant the plugin that they may be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inline_templates: Vec<String>,
}

/// The dialect in which a spec block is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// The object has `apiType`: TM Forum's ExposedAPI.
    Canonical,
    /// It has not: the original Azure operator's.
    Original,
}

/// The answer of `read-spec`: what a spec block means to the plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecReading {
    /// Whether the block switches the plugin on, off, or says nothing of it.
    pub enabled: Option<bool>,
    /// The block in the plugin's own config spelling: an object.
    #[serde(default)]
    pub config: Value,
}
